//! What a changed configuration means for connections that there are.

use std::sync::Arc;

use lb::{Count, Kind, Refused, Verdict};

use crate::bed::{Bed, at, ip, service, udp, udp_of};
use crate::dns;

const VIP: &str = "10.0.0.100:53";

#[test]
fn quiesced_server_keeps_its_connections_and_gets_no_new_ones() {
    let mut bed = Bed::new(1, 20, vec![dns()]);
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    assert_eq!(server, at("192.168.100.2:5353"));
    bed.change(0, |service| Arc::make_mut(&mut service.servers[0]).weight = 0);
    assert_eq!(bed.client_sends(udp("10.0.0.48:1", VIP)).flow(), (local, server));
    bed.server_sends(udp_of(server, local)).flow();
    for port in 2..12 {
        let (_, other) = bed.client_sends(udp(&format!("10.0.0.48:{port}"), VIP)).flow();
        assert_eq!(other, at("192.168.100.3:5353"));
    }
}

#[test]
fn servers_that_come_and_go_move_no_connection_of_the_others() {
    let mut bed = Bed::new(1, 20, vec![dns()]);
    let ends: Vec<_> = (1..=6)
        .map(|port| bed.client_sends(udp(&format!("10.0.0.48:{port}"), VIP)).flow())
        .collect();
    bed.change(0, |service| {
        let gone = service.servers.remove(0);
        service.servers.insert(
            0,
            Arc::new(lb::Server {
                address: ip("192.168.100.9"),
                number: 7,
                ..(*gone).clone()
            }),
        );
    });
    for (at, (local, server)) in ends.iter().enumerate() {
        let answer = bed.server_sends(udp_of(*server, *local));
        if server.ip() == ip("192.168.100.2") {
            assert_eq!(
                answer.verdict,
                Verdict::NotOurs,
                "its server is gone, and so is it"
            );
        } else {
            answer.flow();
            let again = bed.client_sends(udp(&format!("10.0.0.48:{}", at + 1), VIP));
            assert_eq!(again.flow(), (*local, *server));
        }
    }
    bed.settle();
    assert_eq!(bed.rows().len(), 3);
    assert_eq!(bed.counts(0).sum(Count::Active), 3);
    let (_, server) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    assert_ne!(server.ip(), ip("192.168.100.2"), "its client gets another");
}

#[test]
fn deleted_local_address_ends_its_connections_and_its_ports_come_back_unused() {
    let local = "192.168.100.200";
    let mut bed = Bed::new(1, 20, vec![dns()]);
    let before = bed.config.clone();
    bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    bed.change(0, |service| service.locals.clear());
    assert_eq!(
        bed.client_sends(udp("10.0.0.48:1", VIP)).verdict,
        Verdict::Drop(Refused::NoPort)
    );
    assert_eq!(before.services[0].locals[0].counts.sum(Count::PortsUsed), 0);
    bed.config = before;
    bed.configure();
    let (again, _) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    assert_eq!(again.ip(), ip(local));
    bed.pass(305_000);
    bed.assert_idle();
}

#[test]
fn port_stays_in_use_when_one_of_two_services_of_its_address_goes() {
    let servers = [("192.168.100.2:53", 1)];
    let first = service(1, Kind::Udp, VIP, &servers, &["192.168.100.200"]);
    let second = lb::Service {
        locals: first.locals.clone(),
        ..service(2, Kind::Udp, "10.0.0.101:53", &servers, &["192.168.100.200"])
    };
    let counts = first.locals[0].counts.clone();
    let mut bed = Bed::new(1, 20, vec![first, second]);
    let (one, _) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    let (other, _) = bed.client_sends(udp("10.0.0.48:1", "10.0.0.101:53")).flow();
    assert_ne!(one, other, "they share the ports towards one server");
    assert_eq!(counts.sum(Count::PortsUsed), 2);
    bed.config.services.remove(0);
    bed.configure();
    bed.settle();
    assert_eq!(bed.rows().len(), 1);
    assert_eq!(counts.sum(Count::PortsUsed), 2, "it may be needed for errors");
    bed.pass(3_500);
    assert_eq!(counts.sum(Count::PortsUsed), 1);
}

#[test]
fn service_deleted_and_added_again_knows_nothing_of_its_former_connections() {
    let mut bed = Bed::new(1, 20, vec![dns()]);
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    bed.change(0, |service| {
        service.number = 9;
        for (more, server) in service.servers.iter_mut().enumerate() {
            Arc::make_mut(server).number = 9000 + more as u32;
        }
    });
    assert_eq!(bed.server_sends(udp_of(server, local)).verdict, Verdict::NotOurs);
    assert_eq!(bed.rows().len(), 0);
}

#[test]
fn turns_go_on_where_they_were() {
    let mut bed = Bed::new(1, 20, vec![dns()]);
    let mut turns = Vec::new();
    for port in 1..=4 {
        turns.push(
            bed.client_sends(udp(&format!("10.0.0.48:{port}"), VIP))
                .flow()
                .1
                .ip(),
        );
        bed.configure();
    }
    assert_eq!(turns, [2, 3, 2, 3].map(|host| ip(&format!("192.168.100.{host}"))));
}

#[test]
fn server_that_came_back_gets_replies_to_its_new_connections_whatever_port_they_have() {
    // Each of so many workers has few ports.
    let one = service(
        1,
        Kind::Udp,
        VIP,
        &[("192.168.100.2:53", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(64, 1100, vec![one]);
    let (port_before, _) = bed.client_sends(udp("10.0.0.48:1", VIP)).flow();
    let back = bed.config.services[0].servers.clone();
    bed.change(0, |service| service.servers.clear());
    bed.settle();
    assert_eq!(bed.workers[0].connections(), 1, "kept for errors");
    bed.change(0, |service| service.servers = back);
    bed.change(0, |service| Arc::make_mut(&mut service.servers[0]).number = 77);
    let mut taken = Vec::new();
    for port in 1..1008 {
        let client = format!("10.0.0.49:{port}");
        let (local, server) = bed.client_sends(udp(&client, VIP)).flow();
        assert_eq!(bed.server_sends(udp_of(server, local)).flow().1, at(&client));
        taken.push(local);
    }
    assert!(taken.contains(&port_before));
}

//! When there is no more: of connections, of ports, of servers.

use std::sync::Arc;

use lb::{Count, Fragments, Kind, Refused, Verdict};
use proptest::prelude::*;

use crate::bed::{self, Bed, at, service, tcp, udp, udp_of};
use crate::dns;

const VIP: &str = "10.0.0.100:53";

fn client(number: u32) -> String {
    format!(
        "10.1.{}.{}:{}",
        number / 250 % 250,
        number % 250 + 1,
        1024 + number / 62_500
    )
}

#[test]
fn full_table_refuses_new_connections_keeps_the_others_and_recovers() {
    let mut bed = Bed::new(1, 100, vec![dns()]);
    let ends: Vec<_> = (0..100)
        .map(|number| bed.client_sends(udp(&client(number), VIP)).flow())
        .collect();
    for number in 100..150 {
        let sent = bed.client_sends(udp(&client(number), VIP));
        assert_eq!(sent.verdict, Verdict::Drop(Refused::TableFull));
    }
    assert_eq!(bed.counts(0).drops(Refused::TableFull), 50);
    for (local, server) in ends {
        bed.server_sends(udp_of(server, local)).flow();
    }
    bed.pass(300_500);
    // Those that have ended make room before their time of grace is over.
    for number in 200..300 {
        bed.client_sends(udp(&client(number), VIP)).flow();
    }
    assert_eq!(bed.rows().len(), 100);
    bed.pass(304_500);
    bed.assert_idle();
}

#[test]
fn all_ports_of_a_local_address_are_used_then_the_next_ones_then_none() {
    let locals = ["192.168.100.200", "192.168.100.201"];
    let mut bed = Bed::new(
        1,
        140_000,
        vec![service(1, Kind::Udp, VIP, &[("192.168.100.2:53", 1)], &locals)],
    );
    let all = 2 * 64_511;
    for number in 0..all {
        let sent = bed.client_sends(udp(&client(number), VIP));
        assert!(
            matches!(sent.verdict, Verdict::Forward { .. }),
            "{number}: {:?}",
            sent.verdict
        );
    }
    let service = bed.config.services[0].clone();
    for local in &service.locals {
        assert_eq!(local.counts.sum(Count::PortsUsed), 64_511);
        assert_eq!(local.counts.sum(Count::Misses), 0);
    }
    let sent = bed.client_sends(udp(&client(all), VIP));
    assert_eq!(sent.verdict, Verdict::Drop(Refused::NoPort));
    assert_eq!(service.counts.drops(Refused::NoPort), 1);
    assert_eq!(
        service
            .locals
            .iter()
            .map(|local| local.counts.sum(Count::Misses))
            .sum::<u64>(),
        2
    );
    let mut pairs: Vec<_> = bed.rows().iter().map(|row| row.local).collect();
    pairs.sort();
    pairs.dedup();
    assert_eq!(pairs.len(), all as usize, "no port is used twice");
    // Of a server of another share the same ports are used once more.
    let share_moved = (3..40).any(|host| {
        let server = format!("192.168.100.{host}:53");
        let mut more = service.as_ref().clone();
        more.servers = vec![Arc::new(lb::Server {
            address: at(&server).ip(),
            number: 5000 + host,
            ..(*service.servers[0]).clone()
        })];
        more.servers.push(service.servers[0].clone());
        bed.config.services[0] = Arc::new(more);
        bed.configure();
        matches!(
            bed.client_sends(udp(&client(all + host), VIP)).verdict,
            Verdict::Forward { .. }
        )
    });
    assert!(share_moved);
    bed.pass(310_000);
    bed.assert_idle();
    bed.client_sends(udp(&client(0), VIP)).flow();
}

#[test]
fn ports_of_ended_connections_are_taken_before_their_time_when_there_are_no_others() {
    // Each of so many workers has few ports.
    let mut bed = Bed::new(
        64,
        3000,
        vec![service(
            1,
            Kind::Udp,
            VIP,
            &[("192.168.100.2:53", 1)],
            &["192.168.100.200"],
        )],
    );
    let take_all = |bed: &mut Bed, from: u32| {
        let mut sent = |number: &u32| bed.client_sends(udp(&client(*number), VIP)).verdict;
        (from..from + 3000)
            .take_while(|number| sent(number) != Verdict::Drop(Refused::NoPort))
            .count()
    };
    let all = take_all(&mut bed, 0);
    assert!((1000..1010).contains(&all), "{all}");
    assert_eq!(take_all(&mut bed, 3000), 0);
    bed.pass(300_500);
    assert_eq!(bed.workers[0].connections(), all, "kept for errors");
    assert_eq!(take_all(&mut bed, 6000), all);
}

#[test]
fn server_takes_no_more_than_it_may_and_the_next_when_one_has_ended() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    bed.change(0, |service| {
        for server in &mut service.servers {
            Arc::make_mut(server).max_connections = 2;
        }
    });
    for number in 0..4 {
        bed.client_sends(udp(&client(number), VIP)).flow();
    }
    let sent = bed.client_sends(udp(&client(4), VIP));
    assert_eq!(sent.verdict, Verdict::Drop(Refused::ServerFull));
    assert_eq!(bed.counts(0).drops(Refused::ServerFull), 1);
    bed.pass(300_500);
    bed.client_sends(udp(&client(4), VIP)).flow();
}

#[test]
fn req_icmp_34_fragments_for_a_service_are_joined_or_dropped_and_others_are_neither() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let fragment = |to: &str, protocol| {
        packet::PacketBuilder::ethernet(bed::WAN_MAC, bed::ROUTER)
            .ipv4("10.0.0.48".parse().unwrap(), to.parse().unwrap())
            .fragment(8, true)
            .payload(protocol, &[0; 16])
    };
    let (udp, tcp) = (packet::Protocol::UDP, packet::Protocol::TCP);
    for (policy, verdict) in [
        (Fragments::Join, Verdict::Join),
        (Fragments::Drop, Verdict::Drop(Refused::Fragment)),
    ] {
        bed.config.policy.fragments = policy;
        bed.configure();
        assert_eq!(bed.workers[0].joins_fragments(), policy == Fragments::Join);
        for (to, protocol, expected) in [
            ("10.0.0.100", udp, verdict),
            ("192.168.100.200", udp, verdict),
            ("10.0.0.100", tcp, Verdict::NotOurs),
            ("10.0.0.1", udp, Verdict::NotOurs),
        ] {
            let sent = bed.client_sends(fragment(to, protocol));
            assert_eq!(sent.verdict, expected, "{policy:?}: {to}");
        }
    }
}

#[test]
fn a_packet_would_begin_a_connection_that_is_for_a_service_and_of_none() {
    let mut bed = Bed::new(2, 8, vec![dns()]);
    let would_begin = |bed: &Bed, worker: usize, frame: &[u8]| {
        let worker = &bed.workers[worker];
        worker.would_begin(&worker.look(frame, |_| {}))
    };
    let question = udp("10.0.0.48:1", "10.0.0.100:53");
    assert!(would_begin(&bed, 0, &question) && would_begin(&bed, 1, &question));
    let (local, server) = bed.client_sends(question.clone()).flow();
    assert!(!would_begin(&bed, 0, &question), "it is of a connection");
    assert!(
        would_begin(&bed, 1, &question),
        "which another worker does not have"
    );
    for other in [
        bed::udp_of(server, local),
        udp("10.0.0.48:1", "10.0.0.100:54"),
        udp("10.0.0.48:1", "10.0.0.101:53"),
        tcp("10.0.0.48:1", "10.0.0.100:53", bed::SYN),
        bed::unreachable("10.9.9.9", &udp("10.0.0.100:53", "10.0.0.48:1")),
    ] {
        assert!(!would_begin(&bed, 1, &other));
    }
}

#[test]
fn flood_of_half_open_connections_loses_no_established_one_and_leaves_nothing() {
    let web = service(
        1,
        Kind::Tcp,
        "10.0.0.100:80",
        &[("192.168.100.2:80", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(1, 2000, vec![web]);
    let (local, server) = bed
        .client_sends(tcp("10.0.0.48:1", "10.0.0.100:80", bed::SYN))
        .flow();
    bed.server_sends(bed::tcp_of(server, local, bed::SYN_ACK, 1999, 1))
        .flow();
    bed.client_sends(tcp("10.0.0.48:1", "10.0.0.100:80", bed::ACK))
        .flow();
    for round in 0..10 {
        for number in 0..5000 {
            bed.client_sends(tcp(&client(round * 5000 + number), "10.0.0.100:80", bed::SYN));
        }
        bed.client_sends(tcp("10.0.0.48:1", "10.0.0.100:80", bed::ACK))
            .flow();
        bed.server_sends(bed::tcp_of(server, local, bed::ACK, 2000, 1))
            .flow();
        bed.pass(5_000);
    }
    assert!(bed.counts(0).drops(Refused::TableFull) > 0);
    bed.pass(100_000);
    bed.assert_idle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever comes in whatever order: when all has ended all ports are free, nothing counts as open, and until then no two
    /// connections have the same addresses and ports towards a server.
    #[test]
    fn when_all_has_ended_all_is_free(
        steps in prop::collection::vec((0..12_u8, 0..40_u32, 0..4_u8), 1..300),
        workers in 1..4_usize,
    ) {
        let servers = [("192.168.100.2:80", 1), ("192.168.100.3:80", 3), ("192.168.100.4:80", 1)];
        let locals = ["192.168.100.200", "192.168.100.201"];
        let services = vec![
            service(1, Kind::Tcp, "10.0.0.100:80", &servers, &locals),
            service(2, Kind::Udp, VIP, &servers, &locals),
            service(3, Kind::Icmp, "10.0.0.100:0", &servers, &locals),
        ];
        let mut bed = Bed::new(workers, 24, services);
        for (step, number, what) in steps {
            let worker = number as usize % workers;
            let from = client(number);
            let flags = [bed::SYN, bed::ACK, bed::FIN, bed::RST][usize::from(what)];
            match step {
                0..=3 => drop(bed.send(worker, bed::WAN, tcp(&from, "10.0.0.100:80", flags))),
                4 | 5 => drop(bed.send(worker, bed::WAN, udp(&from, VIP))),
                6 => drop(bed.send(worker, bed::WAN, bed::echo("10.0.0.48", "10.0.0.100", number as u16, false))),
                7 => {
                    let rows = bed.rows();
                    if let Some(row) = rows.get(number as usize % rows.len().max(1)) {
                        let flags = [bed::SYN_ACK, bed::ACK, bed::FIN, bed::RST][usize::from(what)];
                        let answer = match row.kind {
                            Kind::Tcp => bed::tcp_of(row.server, row.local, flags, 1, 1),
                            _ => udp_of(row.server, row.local),
                        };
                        drop(bed.send(worker, bed::LAN, answer));
                    }
                }
                8 => bed.pass(u64::from(number) * 400),
                9 => bed.change(usize::from(what) % 3, |service| {
                    let server = service.servers[number as usize % service.servers.len()].clone();
                    match what {
                        0 if service.servers.len() > 1 => service.servers.retain(|other| other.number != server.number),
                        _ => service.servers.push(Arc::new(lb::Server { number: server.number + 100, ..(*server).clone() })),
                    }
                    service.servers.dedup_by_key(|server| server.number);
                    service.servers.truncate(6);
                }),
                10 => bed.change(usize::from(what) % 3, |service| service.locals.rotate_left(1)),
                _ => bed.configure(),
            }
            let mut towards: Vec<_> = bed.rows().iter().map(|row| (row.kind, row.local, row.server)).collect();
            let count = towards.len();
            towards.sort();
            towards.dedup();
            prop_assert_eq!(towards.len(), count);
        }
        bed.pass(310_000);
        prop_assert_eq!(bed.workers.iter().map(lb::Balancer::connections).sum::<usize>(), 0);
        for service in &bed.config.services {
            prop_assert_eq!(service.counts.sum(Count::Active) + service.counts.sum(Count::Inactive), 0);
            for local in &service.locals {
                prop_assert_eq!(local.counts.sum(Count::PortsUsed), 0);
            }
        }
    }
}

//! Workers' load balancers over frames in memory: what goes in, what comes out, and what is left.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step fails the test"
)]

mod bed;
mod changes;
mod counted;
mod errors;
mod limits;
mod queries;
mod tcp;
mod usual;
mod ways;
mod workers;

use lb::{Count, Kind, Refused, Verdict};

use bed::{Bed, at, service, tcp as segment, udp};

/// A service of UDP over IPv4 with two servers.
fn dns() -> lb::Service {
    let servers = [("192.168.100.2:5353", 1), ("192.168.100.3:5353", 1)];
    service(1, Kind::Udp, "10.0.0.100:53", &servers, &["192.168.100.200"])
}

#[test]
fn datagrams_of_both_directions_are_translated_and_counted() {
    for (vip, client, servers, lip) in [
        (
            "10.0.0.100:53",
            "10.0.0.48:37177",
            ["192.168.100.2:5353", "192.168.100.3:53"],
            "192.168.100.200",
        ),
        (
            "[2001:db8::100]:53",
            "[2001:db8:1::48]:37177",
            ["[fd00::2]:5353", "[fd00::3]:53"],
            "fd00::200",
        ),
    ] {
        let servers = servers.map(|server| (server, 1));
        let mut bed = Bed::new(1, 8, vec![service(1, Kind::Udp, vip, &servers, &[lip])]);
        let question = udp(client, vip);
        let len = question.len() as u64 - 14;
        let (local, server) = bed.client_sends(question.clone()).flow();
        assert_eq!(local.ip(), bed::ip(lip));
        assert!(local.port() >= 1025);
        assert_eq!(server, at(servers[0].0));
        assert_eq!(
            bed.client_sends(question).flow(),
            (local, server),
            "the same connection"
        );
        let answer = bed.server_sends(bed::udp_of(server, local));
        assert_eq!(answer.flow(), (at(vip), at(client)));
        let service = &bed.config.services[0];
        for counts in [&service.counts, &service.servers[0].counts] {
            let sums = [
                Count::Connections,
                Count::InPackets,
                Count::OutPackets,
                Count::InBytes,
                Count::OutBytes,
                Count::Active,
            ];
            assert_eq!(sums.map(|what| counts.sum(what)), [1, 2, 1, 2 * len, len, 1]);
        }
        assert_eq!(service.locals[0].counts.sum(Count::PortsUsed), 1);
        assert_eq!(service.locals[0].counts.sum(Count::Connections), 1);
        assert_eq!(service.servers[1].counts.sum(Count::Connections), 0);
        let rows = bed.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].client, rows[0].service), (at(client), at(vip)));
        assert_eq!((rows[0].local, rows[0].server), (local, server));
        assert_eq!(
            (rows[0].in_packets, rows[0].out_packets, rows[0].out_bytes),
            (2, 1, len)
        );
        assert_eq!((rows[0].state.name(), rows[0].expires_ms), ("normal", 300_000));
    }
}

#[test]
fn connections_end_when_nothing_came_for_their_time_and_all_is_free_again() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    bed.pass(299_000);
    bed.server_sends(bed::udp_of(server, local)).flow();
    bed.pass(299_000);
    assert_eq!(bed.rows().len(), 1, "what a server sends keeps it");
    bed.pass(1_500);
    assert_eq!(bed.rows().len(), 0);
    assert_eq!(bed.workers[0].connections(), 1, "it is kept for errors");
    assert_eq!(
        bed.server_sends(bed::udp_of(server, local)).verdict,
        Verdict::NotOurs
    );
    bed.pass(3_500);
    bed.assert_idle();
}

#[test]
fn what_is_for_no_service_is_left_alone() {
    let web = service(
        2,
        Kind::Tcp,
        "10.0.0.100:80",
        &[("192.168.100.2:80", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(1, 8, vec![dns(), web]);
    for frame in [
        udp("10.0.0.48:1", "10.0.0.100:54"),
        udp("10.0.0.48:1", "10.0.0.100:80"),
        udp("10.0.0.48:1", "10.0.0.101:53"),
        udp("192.168.100.2:5353", "192.168.100.200:2000"),
        segment("10.0.0.48:1", "10.0.0.100:53", bed::SYN),
        bed::echo("10.0.0.48", "10.0.0.100", 7, false),
        bed::echo("10.0.0.48", "10.0.0.100", 7, true),
        bed::echo("192.168.100.2", "192.168.100.200", 2000, true),
    ] {
        let sent = bed.client_sends(frame.clone());
        assert_eq!((sent.verdict, &sent.frame), (Verdict::NotOurs, &frame));
    }
    bed.assert_idle();
}

#[test]
fn lists_of_a_service_let_in_and_keep_out_whoever_they_say_now() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    bed.change(0, |service| service.deny = vec!["10.0.0.48/32".parse().unwrap()]);
    let kept_out = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53"));
    assert_eq!(
        kept_out.verdict,
        Verdict::Drop(Refused::Denied),
        "also who is in already"
    );
    bed.client_sends(udp("10.0.0.49:1", "10.0.0.100:53")).flow();
    bed.change(0, |service| service.allow = vec!["10.0.0.0/28".parse().unwrap()]);
    bed.pass(4_000);
    assert_eq!(bed.rows().len(), 0, "who is not let in any more");
    bed.client_sends(udp("10.0.0.1:1", "10.0.0.100:53")).flow();
    let kept_out = bed.client_sends(udp("10.0.0.16:1", "10.0.0.100:53"));
    assert_eq!(kept_out.verdict, Verdict::Drop(Refused::Denied));
    assert_eq!(bed.counts(0).drops(Refused::Denied), 2);
}

#[test]
fn without_service_and_connection_it_is_off() {
    let mut bed = Bed::new(1, 8, Vec::new());
    assert!(bed.workers[0].is_off());
    bed.config.services = vec![dns().into()];
    bed.configure();
    assert!(!bed.workers[0].is_off());
    bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    bed.config.services.clear();
    bed.configure();
    assert!(!bed.workers[0].is_off(), "a connection is left");
    bed.pass(4_000);
    assert!(bed.workers[0].is_off());
}

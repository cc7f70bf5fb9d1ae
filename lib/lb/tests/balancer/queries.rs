//! ICMP queries: one connection for each identifier of a client (REQ-ICMP-26 to 31).

use lb::{Count, Kind, Refused, Verdict};

use crate::bed::{self, Bed, at, echo, service, udp};

fn ping() -> lb::Service {
    service(
        1,
        Kind::Icmp,
        "10.0.0.100:0",
        &[("192.168.100.2:0", 1)],
        &["192.168.100.200"],
    )
}

#[test]
fn req_icmp_26_28_ping_is_one_connection_with_an_identifier_of_its_own() {
    for (vip, client, server, lip) in [
        ("10.0.0.100:0", "10.0.0.48", "192.168.100.2:0", "192.168.100.200"),
        ("[2001:db8::100]:0", "2001:db8:1::48", "[fd00::2]:0", "fd00::200"),
    ] {
        let mut bed = Bed::new(1, 8, vec![service(1, Kind::Icmp, vip, &[(server, 1)], &[lip])]);
        let address = at(vip).ip().to_string();
        let request = bed.client_sends(echo(client, &address, 7, false));
        let (local, to) = request.flow();
        assert_eq!((local.ip(), to), (bed::ip(lip), at(server)));
        let reply = echo(&at(server).ip().to_string(), lip, local.port(), true);
        let (from, client_seen) = bed.server_sends(reply).flow();
        assert_eq!(
            (from, client_seen.ip(), client_seen.port()),
            (at(vip), bed::ip(client), 7)
        );
        assert_eq!(bed.rows().len(), 1);
        let sums =
            [Count::Connections, Count::InPackets, Count::OutPackets].map(|what| bed.counts(0).sum(what));
        assert_eq!(sums, [1, 1, 1]);
        assert_eq!(bed.rows()[0].expires_ms, 60_000);
        let echo_request = if at(vip).is_ipv4() { 8 } else { 128 };
        assert_eq!(bed.rows()[0].query_type, Some(echo_request));
        assert_eq!(
            (bed.rows()[0].client.port(), bed.rows()[0].local.port()),
            (7, local.port())
        );
    }
}

#[test]
fn req_icmp_29_clients_with_the_same_identifier_do_not_mix() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    let clients = ["10.0.0.48", "10.0.0.49"];
    let ids = clients.map(|client| {
        bed.client_sends(echo(client, "10.0.0.100", 7, false))
            .flow()
            .0
            .port()
    });
    assert_ne!(ids[0], ids[1]);
    for (client, id) in clients.iter().zip(ids) {
        let reply = bed.server_sends(echo("192.168.100.2", "192.168.100.200", id, true));
        assert_eq!(reply.flow().1, at(&format!("{client}:7")));
    }
}

#[test]
fn req_icmp_29_identifiers_are_no_ports_of_other_kinds() {
    let dns = service(
        2,
        Kind::Udp,
        "10.0.0.100:53",
        &[("192.168.100.2:0", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(1, 8, vec![ping(), dns]);
    bed.client_sends(echo("10.0.0.48", "10.0.0.100", 7, false)).flow();
    assert_eq!(bed.config.services[1].locals[0].counts.sum(Count::PortsUsed), 0);
    assert_eq!(bed.config.services[0].locals[0].counts.sum(Count::PortsUsed), 1);
    bed.client_sends(udp("10.0.0.48:7", "10.0.0.100:53")).flow();
    assert_eq!(bed.config.services[1].locals[0].counts.sum(Count::PortsUsed), 1);
    bed.pass(64_000);
    assert_eq!(
        bed.config.services[0].locals[0].counts.sum(Count::PortsUsed),
        0,
        "given back at its end"
    );
}

#[test]
fn req_icmp_27_without_a_server_it_is_dropped_not_answered() {
    let mut bed = Bed::new(
        1,
        8,
        vec![service(
            1,
            Kind::Icmp,
            "10.0.0.100:0",
            &[("192.168.100.2:0", 0)],
            &["192.168.100.200"],
        )],
    );
    let sent = bed.client_sends(echo("10.0.0.48", "10.0.0.100", 7, false));
    assert_eq!(sent.verdict, Verdict::Drop(Refused::NoServer));
    assert_eq!(bed.counts(0).drops(Refused::NoServer), 1);
}

#[test]
fn req_icmp_30_replies_that_nobody_asked_for_are_dropped() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    for frame in [
        echo("10.0.0.48", "10.0.0.100", 7, true),
        echo("192.168.100.2", "192.168.100.200", 3000, true),
        echo("192.168.100.9", "192.168.100.200", 3000, true),
    ] {
        assert_eq!(
            bed.client_sends(frame).verdict,
            Verdict::Drop(Refused::Unsolicited)
        );
    }
    bed.assert_idle();
}

#[test]
fn req_icmp_31_either_direction_keeps_it() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    let (local, _) = bed.client_sends(echo("10.0.0.48", "10.0.0.100", 7, false)).flow();
    bed.pass(59_000);
    bed.server_sends(echo("192.168.100.2", "192.168.100.200", local.port(), true))
        .flow();
    bed.pass(59_000);
    assert_eq!(bed.rows().len(), 1);
    bed.pass(1_500);
    assert_eq!(bed.rows().len(), 0);
}

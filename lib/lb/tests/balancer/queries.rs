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
        assert_eq!((local.ip(), to.ip()), (bed::ip(lip), at(server).ip()));
        let reply = echo(&at(server).ip().to_string(), lip, local.port(), true);
        let (from, client_seen) = bed.server_sends(reply).flow();
        assert_eq!(
            (from.ip(), client_seen.ip(), client_seen.port()),
            (at(vip).ip(), bed::ip(client), 7)
        );
        assert_eq!(bed.rows().len(), 1);
        let sums =
            [Count::Connections, Count::InPackets, Count::OutPackets].map(|what| bed.counts(0).sum(what));
        assert_eq!(sums, [1, 1, 1]);
        assert_eq!(bed.rows()[0].expires_ms, 60_000);
        let echo_request = if at(vip).is_ipv4() { 8 } else { 128 };
        assert_eq!(bed.rows()[0].query_type, Some(echo_request));
        assert_eq!(
            (bed.rows()[0].service, bed.rows()[0].server),
            (at(vip), at(server))
        );
        assert_eq!(
            (bed.rows()[0].client.port(), bed.rows()[0].local.port()),
            (7, local.port())
        );
    }
}

/// As `frame`, of other types than echo.
fn of_type(mut frame: Vec<u8>, message_type: u8) -> Vec<u8> {
    frame[34] = message_type;
    frame[36..38].fill(0);
    let sum = packet::checksum::checksum(&frame[34..]);
    frame[36..38].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn req_icmp_28_queries_of_two_types_with_one_identifier_are_two_connections() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    let asked = echo("10.0.0.48", "10.0.0.100", 7, false);
    let ids = [8, 13].map(|query| bed.client_sends(of_type(asked.clone(), query)).flow().0.port());
    assert_ne!(ids[0], ids[1]);
    let reply = |id| echo("192.168.100.2", "192.168.100.200", id, true);
    for (id, answer) in ids.into_iter().zip([0, 14]) {
        let back = bed.server_sends(of_type(reply(id), answer));
        assert_eq!((back.flow().1, back.frame[34]), (at("10.0.0.48:7"), answer));
    }
    let crossed = bed.server_sends(of_type(reply(ids[0]), 14));
    assert_eq!(crossed.verdict, Verdict::Drop(Refused::Unsolicited));
    let types: Vec<_> = bed.rows().iter().map(|row| row.query_type).collect();
    assert_eq!((types.len(), bed.counts(0).sum(Count::Connections)), (2, 2));
    assert!(types.contains(&Some(8)) && types.contains(&Some(13)), "{types:?}");
}

#[test]
fn req_icmp_28_errors_find_the_connection_of_the_query_or_reply_that_they_quote() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    let asked = echo("10.0.0.48", "10.0.0.100", 7, false);
    let sent = [8, 13].map(|query| bed.client_sends(of_type(asked.clone(), query)));
    for sent in &sent {
        let error = bed.server_sends(bed::unreachable("192.168.100.254", &sent.frame));
        error.flow();
        // Type and identifier of what the client sent.
        assert_eq!(
            (error.frame[62], &error.frame[66..68]),
            (sent.frame[34], &[0, 7][..])
        );
    }
    let reply = echo("192.168.100.2", "192.168.100.200", sent[1].flow().0.port(), true);
    let back = bed.server_sends(of_type(reply, 14));
    let error = bed.client_sends(bed::unreachable("10.0.0.1", &back.frame));
    let id = sent[1].flow().0.port().to_be_bytes();
    assert_eq!((error.frame[62], &error.frame[66..68]), (14, &id[..]));
    // One that the gateway itself sent, from the address of the service, is not the service's.
    let own = echo("10.0.0.100", "10.0.0.48", 9, false);
    let about_own = bed.client_sends(bed::unreachable("10.0.0.1", &own));
    assert_eq!(about_own.verdict, Verdict::NotOurs);
}

#[test]
fn req_icmp_32_hundred_echoes_are_one_connection_to_one_server() {
    let many = service(
        1,
        Kind::Icmp,
        "10.0.0.100:0",
        &[("192.168.100.2:0", 1), ("192.168.100.3:0", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(1, 8, vec![many]);
    let mut flows = Vec::new();
    for sequence in 0..100u8 {
        let mut frame = echo("10.0.0.48", "10.0.0.100", 7, false);
        frame[41] = sequence;
        flows.push(bed.client_sends(of_type(frame, 8)).flow());
    }
    flows.dedup();
    assert_eq!((flows.len(), bed.rows().len()), (1, 1));
    assert_eq!(bed.counts(0).sum(Count::InPackets), 100);
}

#[test]
fn req_icmp_35_lists_of_a_service_are_about_its_pings_too() {
    let mut bed = Bed::new(1, 8, vec![ping()]);
    let request = |client| echo(client, "10.0.0.100", 7, false);
    bed.client_sends(request("10.0.0.48")).flow();
    bed.change(0, |service| service.deny = vec!["10.0.0.48/32".parse().unwrap()]);
    let denied = bed.client_sends(request("10.0.0.48"));
    assert_eq!(
        denied.verdict,
        Verdict::Drop(Refused::Denied),
        "also who is in already"
    );
    bed.client_sends(request("10.0.0.49")).flow();
    bed.change(0, |service| service.allow = vec!["10.0.0.0/28".parse().unwrap()]);
    let denied = bed.client_sends(request("10.0.0.49"));
    assert_eq!(denied.verdict, Verdict::Drop(Refused::Denied));
    bed.client_sends(request("10.0.0.1")).flow();
    assert_eq!(bed.counts(0).drops(Refused::Denied), 2);
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

//! Source in, source out: packets go back by the way that those of the other side came.

use lb::{Path, Verdict};
use packet::MacAddress;

use crate::bed::{self, Bed, LAN, LAN_MAC, OTHER_ROUTER, ROUTER, SERVER_MAC, WAN, WAN_MAC, udp, udp_of};
use crate::dns;

fn by(interface: u16, destination: MacAddress, source: MacAddress) -> Option<Path> {
    Some(Path {
        interface,
        destination,
        source,
    })
}

#[test]
fn path_is_the_one_that_the_last_packet_of_the_other_side_came_by() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let question = udp("10.0.0.48:1", "10.0.0.100:53");
    let first = bed.client_sends(question.clone());
    assert_eq!(first.path(), None, "no server has sent anything");
    let (local, server) = first.flow();
    let answer = udp_of(server, local);
    assert_eq!(bed.server_sends(answer.clone()).path(), by(WAN, ROUTER, WAN_MAC));
    assert_eq!(
        bed.client_sends(question.clone()).path(),
        by(LAN, SERVER_MAC, LAN_MAC)
    );
    // The client's packets come by another router, on another interface.
    let mut moved = question.clone();
    moved[6..12].copy_from_slice(&OTHER_ROUTER.octets());
    bed.send(0, 7, moved);
    assert_eq!(
        bed.server_sends(answer.clone()).path(),
        by(7, OTHER_ROUTER, WAN_MAC),
        "one packet is enough"
    );
}

#[test]
fn without_fast_xmit_routes_say_where_packets_go_at_once() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    bed.change(0, |service| service.fast_xmit = false);
    assert_eq!(
        bed.server_sends(udp_of(server, local)).verdict,
        Verdict::Forward { path: None }
    );
    bed.change(0, |service| service.fast_xmit = true);
    assert_eq!(
        bed.server_sends(udp_of(server, local)).path(),
        by(WAN, ROUTER, WAN_MAC)
    );
}

#[test]
fn req_icmp_40_without_fast_xmit_for_all_or_for_one_service_routes_say_the_way_of_pings_too() {
    let ping = bed::service(
        9,
        lb::Kind::Icmp,
        "10.0.0.100:0",
        &[("192.168.100.2:0", 1)],
        &["192.168.100.200"],
    );
    let mut bed = Bed::new(1, 8, vec![ping, dns()]);
    let echo = bed::echo("10.0.0.48", "10.0.0.100", 7, false);
    let id = bed.client_sends(echo).flow().0.port();
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    let learned = by(WAN, ROUTER, WAN_MAC);
    for (all, one) in [(true, true), (false, true), (true, false), (false, false)] {
        bed.config.policy.fast_xmit = all;
        bed.change(0, |service| service.fast_xmit = one);
        let reply = bed.server_sends(bed::echo("192.168.100.2", "192.168.100.200", id, true));
        assert_eq!(reply.path(), learned.filter(|_| all && one), "{all} {one}");
        let answer = bed.server_sends(udp_of(server, local));
        assert_eq!(answer.path(), learned.filter(|_| all), "{all} {one}");
    }
}

#[test]
fn errors_go_the_learned_way_too() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let sent = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53"));
    let error = bed.server_sends(bed::unreachable("192.168.100.254", &sent.frame));
    assert_eq!(error.path(), by(WAN, ROUTER, WAN_MAC));
}

#[test]
fn packet_at_the_end_of_its_time_and_one_with_options_are_left_to_the_stages() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let (local, server) = bed.client_sends(udp("10.0.0.48:1", "10.0.0.100:53")).flow();
    let (to, from) = (
        "192.168.100.200".parse().unwrap(),
        "192.168.100.2".parse().unwrap(),
    );
    let answer = || packet::PacketBuilder::ethernet(LAN_MAC, SERVER_MAC).ipv4(from, to);
    let late = answer().ttl(1).udp(server.port(), local.port(), b"late");
    assert_eq!(bed.server_sends(late).verdict, Verdict::Forward { path: None });
    // Record route, for one address.
    let with_options = answer()
        .options(&[7, 7, 4, 0, 0, 0, 0, 0])
        .udp(server.port(), local.port(), b"");
    assert_eq!(
        bed.server_sends(with_options).verdict,
        Verdict::Forward { path: None }
    );
    let usual = answer().ttl(2).udp(server.port(), local.port(), b"usual");
    assert_eq!(bed.server_sends(usual).path(), by(WAN, ROUTER, WAN_MAC));
}

#[test]
fn frame_from_nobody_teaches_no_way() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let mut question = udp("10.0.0.48:1", "10.0.0.100:53");
    question[6..12].copy_from_slice(&[0; 6]);
    let (local, server) = bed.client_sends(question).flow();
    assert_eq!(
        bed.server_sends(udp_of(server, local)).verdict,
        Verdict::Forward { path: None }
    );
}

//! Packets for the address of all routers of a subnet: taken, and answered from an address that is the gateway's alone.

use std::net::Ipv6Addr;

use packet::ethernet::EthernetHeader;
use packet::{Icmpv6, Ipv6, PacketBuilder};
use shm::DropReason;

use super::{Bench, GATEWAY, HOST_A6, HOST_B6, LINK_LOCAL, OWN6, SENDER};
use crate::path::punt::Punts;
use crate::path::{Disposition, Family};

const ROUTERS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
const LINK_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
const NEIGHBOR6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn echo(source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(source, destination)
        .echo_request(7, 9, b"data")
}

/// Whom an ICMPv6 message goes from and to, and its type; it is valid in all else.
fn message(frame: &[u8]) -> (Ipv6Addr, Ipv6Addr, u8) {
    let (link, packet) = EthernetHeader::parse(frame).unwrap();
    assert_eq!((link.destination, link.source), (SENDER, GATEWAY[0]));
    let ip = Ipv6::parse(packet).unwrap();
    let message = Icmpv6::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid(ip.source(), ip.destination()));
    (ip.source(), ip.destination(), message.message_type())
}

#[test]
fn an_echo_reply_comes_from_the_gateways_own_address() {
    let bench = Bench::new();
    for (source, destination, own) in [
        (HOST_A6, ROUTERS, OWN6),
        (NEIGHBOR6, ROUTERS, LINK_LOCAL),
        (NEIGHBOR6, LINK_ROUTERS, LINK_LOCAL),
        (HOST_A6, LINK_ROUTERS, OWN6),
    ] {
        let (disposition, reply) = bench.one(echo(source, destination));
        assert_eq!(disposition, Disposition::Transmit(0), "{destination}");
        assert_eq!(message(&reply), (own, source, 129));
        // As a whole that had to be put together.
        let mut whole = echo(source, destination);
        let delivered = bench.path.deliver(0, &Punts::OFF, &mut whole, 14, Family::Six);
        assert_eq!(delivered.disposition, Disposition::Transmit(0));
        assert_eq!(
            message(&whole[delivered.begin..delivered.end]),
            (own, source, 129)
        );
    }
}

#[test]
fn an_error_comes_from_the_gateways_own_address() {
    let bench = Bench::new();
    let datagram = |destination| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv6(HOST_A6, destination)
            .udp(1, 9, b"x")
    };
    for destination in [OWN6, ROUTERS, LINK_ROUTERS] {
        let frame = datagram(destination);
        assert_eq!(bench.dropped(frame.clone()), DropReason::LocalUnhandled);
        let error = bench.path.error_for(0, &frame, DropReason::LocalUnhandled, 0);
        let error = error.unwrap();
        let quote = &frame[error.quote_at..error.quote_at + error.quote_len];
        let sent = [error.headers(), quote].concat();
        assert_eq!(message(&sent), (OWN6, HOST_A6, 1), "{destination}");
    }
}

#[test]
fn nobody_is_answered_who_says_that_it_is_all_routers() {
    let bench = Bench::new();
    assert_eq!(bench.dropped(echo(ROUTERS, OWN6)), DropReason::Ip6MartianSource);
    let mut dying = echo(ROUTERS, HOST_B6);
    dying[14 + 7] = 1;
    assert_eq!(bench.dropped(dying.clone()), DropReason::TtlExpired);
    assert!(
        bench
            .path
            .error_for(0, &dying, DropReason::TtlExpired, 0)
            .is_none()
    );
}

#[test]
fn a_link_without_a_link_local_address_has_none_of_its_routers() {
    let bench = Bench::new();
    let sources = bench.path.interfaces.get(0).unwrap().sources.clone();
    let own = "2001:db8:1::1/64".parse().unwrap();
    sources.set(None, [own].into_iter(), [OWN6].into_iter());
    assert_eq!(
        bench.dropped(echo(NEIGHBOR6, LINK_ROUTERS)),
        DropReason::Ip6LinkLocal
    );
}

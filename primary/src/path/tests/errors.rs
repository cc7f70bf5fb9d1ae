//! Dropped packets in; ICMP errors out.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::builder::{Ipv4Builder, Ipv6Builder};
use packet::ethernet::EthernetHeader;
use packet::{EtherType, Icmpv4, Icmpv6, Ipv4, Ipv6, MacAddress, PacketBuilder, Protocol, VlanTag};
use shm::DropReason;

use super::{Bench, GATEWAY, HOST_A, HOST_A6, HOST_B, HOST_B6, LINK_LOCAL, MTU, OWN, OWN6, SENDER};
use crate::path::Disposition;

impl Bench {
    /// The error for a packet that came in by interface 0, as a whole frame, if there is one.
    pub(super) fn error(&self, frame: Vec<u8>) -> Option<Vec<u8>> {
        let mut frames = [frame];
        let note = self.run(&mut frames)[0];
        let Disposition::Drop(reason) = note.disposition else {
            panic!("not dropped but {:?}", note.disposition);
        };
        let [frame] = frames;
        let error = self.path.error_for(0, &frame, reason, note.detail)?;
        let quote = &frame[error.quote_at..error.quote_at + error.quote_len];
        Some([error.headers(), quote].concat())
    }

    /// Type, code and the last four bytes of the ICMP header of the error, which is checked in all else.
    pub(super) fn error4(&self, frame: Vec<u8>) -> Option<(u8, u8, u32)> {
        let error = self.error(frame.clone())?;
        let (link, rest) = EthernetHeader::parse(&error).unwrap();
        assert_eq!(
            (link.destination, link.source, link.ethertype),
            (SENDER, GATEWAY[0], EtherType::IPV4)
        );
        let ip = Ipv4::parse(rest).unwrap();
        assert_eq!((ip.source(), ip.destination(), ip.ttl()), (OWN, HOST_A, 64));
        let message = Icmpv4::parse(ip.payload()).unwrap();
        assert!(message.checksum_is_valid());
        let (_, original) = EthernetHeader::parse(&frame).unwrap();
        let quote = &ip.payload()[8..];
        assert_eq!(quote, &original[..quote.len()], "the packet as it came");
        let rest = u32::from_be_bytes(ip.payload()[4..8].try_into().unwrap());
        Some((message.message_type(), message.code(), rest))
    }

    pub(super) fn error6(&self, frame: Vec<u8>) -> Option<(u8, u8, u32)> {
        let error = self.error(frame.clone())?;
        let (link, rest) = EthernetHeader::parse(&error).unwrap();
        assert_eq!(
            (link.destination, link.source, link.ethertype),
            (SENDER, GATEWAY[0], EtherType::IPV6)
        );
        let ip = Ipv6::parse(rest).unwrap();
        let (_, original) = EthernetHeader::parse(&frame).unwrap();
        let sender = Ipv6::parse(original).unwrap().source();
        let own = if sender == HOST_A6 { OWN6 } else { LINK_LOCAL };
        assert_eq!((ip.source(), ip.destination(), ip.hop_limit()), (own, sender, 64));
        let message = Icmpv6::parse(ip.payload()).unwrap();
        assert!(message.checksum_is_valid(ip.source(), ip.destination()));
        let quote = &ip.payload()[8..];
        assert_eq!(quote, &original[..quote.len()], "the packet as it came");
        let rest = u32::from_be_bytes(ip.payload()[4..8].try_into().unwrap());
        Some((message.message_type(), message.code(), rest))
    }
}

fn four(destination: Ipv4Addr) -> Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, destination)
}

fn six(destination: &str) -> Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, destination.parse().unwrap())
}

fn own6() -> Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, OWN6)
}

#[test]
fn the_sender_of_an_ipv4_packet_is_told_what_became_of_it() {
    let bench = Bench::new();
    let big = vec![0; usize::from(MTU)];
    for (packet, error) in [
        (four([8, 8, 8, 8].into()).udp(1, 2, b"x"), (3, 0, 0)),
        (four([10, 2, 0, 1].into()).udp(1, 2, b"x"), (3, 1, 0)),
        (four(OWN).payload(Protocol(253), b"x"), (3, 2, 0)),
        (four(OWN).udp(1, 2, b"x"), (3, 3, 0)),
        (
            four(HOST_B).dont_fragment().udp(1, 2, &big),
            (3, 4, u32::from(MTU)),
        ),
        (four([0, 1, 2, 3].into()).udp(1, 2, b"x"), (3, 0, 0)),
        (four([240, 0, 0, 1].into()).udp(1, 2, b"x"), (3, 0, 0)),
        (four(HOST_B).ttl(1).udp(1, 2, b"x"), (11, 0, 0)),
        (
            four(HOST_B).options(&[1, 7, 200, 0]).udp(1, 2, b"x"),
            (12, 0, 22 << 24),
        ),
    ] {
        assert_eq!(bench.error4(packet), Some(error));
    }
}

#[test]
fn the_sender_of_an_ipv6_packet_is_told_what_became_of_it() {
    let bench = Bench::new();
    let big = vec![0; usize::from(MTU)];
    let b = HOST_B6.to_string();
    let from_link_local = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2), HOST_B6)
        .udp(1, 2, b"x");
    for (packet, error) in [
        (six("2001:db8:ffff::1").udp(1, 2, b"x"), (1, 0, 0)),
        (six("::").udp(1, 2, b"x"), (1, 0, 0)),
        (six("::ffff:10.1.2.3").udp(1, 2, b"x"), (1, 0, 0)),
        (from_link_local, (1, 2, 0)),
        (six("2001:db8:a2::1").udp(1, 2, b"x"), (1, 3, 0)),
        (own6().udp(1, 2, b"x"), (1, 4, 0)),
        (six(&b).udp(1, 2, &big), (2, 0, u32::from(MTU))),
        (six(&b).hop_limit(1).udp(1, 2, b"x"), (3, 0, 0)),
        (own6().routing(0, 1).udp(1, 2, b"x"), (4, 0, 42)),
        (own6().payload(Protocol(253), b"x"), (4, 1, 6)),
        (
            own6()
                .destination_options(&[1, 2, 0, 0])
                .payload(Protocol(253), b"x"),
            (4, 1, 40),
        ),
        (
            own6()
                .destination_options(&[1, 2, 0, 0])
                .hop_by_hop(&[1, 2, 0, 0])
                .udp(1, 2, b"x"),
            (4, 1, 40),
        ),
        (
            own6().destination_options(&[0x83, 2, 0, 0]).udp(1, 2, b"x"),
            (4, 2, 42),
        ),
    ] {
        assert_eq!(bench.error6(packet), Some(error));
    }
}

/// An ICMP message of this type.
fn error_message(message_type: u8) -> [u8; 36] {
    let mut message = [0; 36];
    message[0] = message_type;
    let checksum = packet::checksum::checksum(&message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

#[test]
fn nobody_is_told_who_must_not_be() {
    let bench = Bench::new();
    let b = HOST_B6.to_string();
    let broadcast = PacketBuilder::ethernet(MacAddress::BROADCAST, SENDER);
    let silent = [
        // Errors beget no errors.
        four(HOST_B).ttl(1).payload(Protocol::ICMP, &error_message(3)),
        four(HOST_B).ttl(1).payload(Protocol::ICMP, &error_message(5)),
        six(&b).hop_limit(1).icmp(1, 1, &[0; 48]),
        six(&b).hop_limit(1).icmp(137, 0, &[0; 48]),
        // Fragments other than the first; groups and everybody.
        four(HOST_B).ttl(1).fragment(8, false).udp(1, 2, b"x"),
        broadcast.clone().ipv4(HOST_A, OWN).udp(1, 2, b"x"),
        broadcast.ipv6(HOST_A6, OWN6).udp(1, 2, b"x"),
        // What has an answer of its own, or none.
        four(OWN).payload(Protocol::TCP, &[0; 20]),
        own6().payload(Protocol::TCP, &[0; 20]),
        own6().payload(Protocol::NO_NEXT_HEADER, b""),
        own6().echo_reply(1, 2, b""),
        four(OWN).echo_reply(1, 2, b""),
        own6().hop_by_hop(&[0x43, 2, 0, 0]).udp(1, 2, b"x"),
        // Addresses of the inside of a host; source routes.
        four([127, 0, 0, 1].into()).udp(1, 2, b"x"),
        four([0, 0, 0, 0].into()).udp(1, 2, b"x"),
        six("::1").udp(1, 2, b"x"),
        four(OWN).options(&[131, 7, 4, 192, 168, 2, 2, 0]).udp(1, 2, b"x"),
        // What an operator wants nobody to hear of.
        four([10, 3, 0, 1].into()).udp(1, 2, b"x"),
        six("2001:db8:a3::1").udp(1, 2, b"x"),
    ];
    for (number, packet) in silent.into_iter().enumerate() {
        assert_eq!(bench.error(packet), None, "packet {number}");
    }
}

#[test]
fn req_icmp_19_an_icmp_error_that_is_too_long_is_cut_or_dropped_and_nobody_is_told() {
    let bench = Bench::new();
    let mut message = vec![0; usize::from(MTU)];
    message[0] = 3;
    let sum = packet::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let cut = four(HOST_B).payload(Protocol::ICMP, &message);
    assert_eq!(bench.one(cut).0, Disposition::Fragment(1));
    let whole = || four(HOST_B).dont_fragment();
    assert_eq!(
        bench.dropped(whole().payload(Protocol::ICMP, &message)),
        DropReason::TooBig
    );
    assert_eq!(bench.error(whole().payload(Protocol::ICMP, &message)), None);
    // Of a ping as long its sender is told.
    let (message_type, code, mtu) = bench.error4(whole().echo_request(7, 1, &message)).unwrap();
    assert_eq!((message_type, code, mtu), (3, 4, MTU.into()));
    let six = six(&HOST_B6.to_string());
    assert_eq!(bench.error(six.icmp(1, 1, &message)), None);
}

#[test]
fn a_quote_is_as_long_as_it_may_be() {
    let bench = Bench::new();
    let payload = vec![7; 1400];
    let error = bench
        .error(four([8, 8, 8, 8].into()).udp(1, 2, &payload))
        .unwrap();
    assert_eq!(error.len(), 14 + 576);
    let error = bench.error(six("2001:db8:ffff::1").udp(1, 2, &payload)).unwrap();
    assert_eq!(error.len(), 14 + 1280);
    let error = bench.error(four([8, 8, 8, 8].into()).udp(1, 2, b"x")).unwrap();
    assert_eq!(error.len(), 14 + 28 + 29);
}

#[test]
fn padding_and_a_priority_tag_are_not_quoted() {
    let bench = Bench::new();
    let tagged = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .tag(VlanTag {
            tpid: EtherType::VLAN,
            tci: 5 << 13,
        })
        .padded()
        .ipv4(HOST_A, [8, 8, 8, 8].into())
        .udp(1, 2, b"x");
    assert_eq!(bench.error4(tagged.clone()), Some((3, 0, 0)));
    assert_eq!(bench.error(tagged).unwrap().len(), 14 + 28 + 29);
}

#[test]
fn an_interface_without_addresses_tells_nobody() {
    let bench = Bench::new();
    let frame = PacketBuilder::ethernet(GATEWAY[1], SENDER)
        .ipv4(HOST_A, [8, 8, 8, 8].into())
        .udp(1, 2, b"x");
    assert!(bench.path.error_for(1, &frame, DropReason::NoRoute, 0).is_none());
    assert!(bench.path.error_for(2, &frame, DropReason::NoRoute, 0).is_none());
}

#[test]
fn a_first_fragment_without_its_upper_layer_header_is_told_of() {
    let bench = Bench::new();
    let first = |destination: &str| six(destination).fragment(0, true, 7);
    let own = OWN6.to_string();
    // Destination options of 24 bytes, of which 8 are there.
    let options = [Protocol::UDP.0, 2, 1, 4, 0, 0, 0, 0];
    for frame in [
        first(&own).payload(Protocol::TCP, &[1; 8]),
        first(&own).payload(Protocol::TCP, &[1; 16]),
        first(&own).payload(Protocol::DESTINATION_OPTIONS, &options),
        first(&own)
            .destination_options(&[1, 4, 0, 0, 0, 0])
            .payload(Protocol::UDP, &[]),
        first(&own)
            .destination_options(&[1, 4, 0, 0, 0, 0])
            .payload(Protocol::ICMPV6, &[]),
    ] {
        let dropped = bench.dropped(frame.clone());
        assert_eq!(dropped, DropReason::Ip6FirstFragment, "{frame:02x?}");
        assert_eq!(bench.error6(frame), Some((4, 3, 0)));
    }
    for frame in [
        first(&own).payload(Protocol::TCP, &[1; 24]),
        first(&own).payload(Protocol::UDP, &[1; 8]),
        first(&own).payload(Protocol::ICMPV6, &[128, 0, 0, 0, 0, 0, 0, 0]),
        first(&own).payload(Protocol::ESP, &[1; 8]),
        six(&own).fragment(8, true, 7).payload(Protocol::TCP, &[1; 8]),
    ] {
        assert_eq!(
            bench.one(frame.clone()).0,
            Disposition::Reassemble,
            "{frame:02x?}"
        );
    }
    // On its way through, it is no business of a router.
    let through = first(&HOST_B6.to_string()).payload(Protocol::TCP, &[1; 8]);
    assert_eq!(bench.one(through).0, Disposition::Transmit(1));
}

#[test]
fn req_ra_30_the_sender_of_what_a_tool_refuses_is_told_that_it_is_prohibited() {
    let bench = Bench::new();
    let refused = |frame: Vec<u8>| {
        let error = bench.path.error_for(0, &frame, DropReason::PuntRefused, 0)?;
        let [.., kind, code, _, _, _, _, _, _] = *error.headers() else {
            panic!("no ICMP header");
        };
        Some((kind, code))
    };
    let alert = [148, 4, 0, 0];
    assert_eq!(
        refused(four(HOST_B).options(&alert).udp(1, 2, b"x")),
        Some((3, 13))
    );
    let b = HOST_B6.to_string();
    assert_eq!(refused(six(&b).router_alert(5).udp(1, 2, b"x")), Some((1, 1)));
    // Neither errors nor fragments other than the first are answered.
    assert_eq!(refused(six(&b).router_alert(5).icmp(1, 0, &[0; 48])), None);
    assert_eq!(refused(four(HOST_B).fragment(8, false).udp(1, 2, b"x")), None);
}

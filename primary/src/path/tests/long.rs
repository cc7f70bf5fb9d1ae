//! Packets longer than a segment or than a link.

use packet::{PacketBuilder, Protocol};

use super::*;

/// A packet of which the first segment has this many bytes.
pub(super) struct Split(pub(super) Vec<u8>, pub(super) usize);

impl Packet for Split {
    fn first(&mut self) -> &mut [u8] {
        &mut self.0[..self.1]
    }

    fn behind(&self) -> usize {
        self.0.len() - self.1
    }
}

fn frame() -> packet::builder::EthernetBuilder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
}

/// What becomes of a frame whose first segment has `first` bytes.
fn split(bench: &Bench, bytes: Vec<u8>, first: usize) -> (Note, Vec<u8>) {
    let mut packet = Split(bytes, first);
    let note = bench.path.run_one(0, &mut packet);
    (note, packet.0)
}

#[test]
fn a_packet_in_segments_is_forwarded_as_in_one_if_the_first_has_its_headers() {
    let bench = Bench::new();
    let packets = [
        frame()
            .ipv4(HOST_A, HOST_B)
            .options(&[1; 8])
            .udp(1, 2, &[7; 1000]),
        frame().ipv6(HOST_A6, HOST_B6).udp(1, 2, &[7; 1000]),
    ];
    for mut packet in packets {
        // Padding behind the packet.
        let length = packet.len();
        packet.extend([0; 20]);
        let mut whole = packet.clone();
        let expected = bench.path.run_one(0, &mut whole);
        assert_eq!(expected.disposition, Disposition::Transmit(1));
        for first in [54, 100, 1000, length - 1, length] {
            let (note, bytes) = split(&bench, packet.clone(), first);
            assert_eq!(note.disposition, expected.disposition, "{first}");
            assert_eq!((usize::from(note.length), &bytes), (length, &whole), "{first}");
        }
    }
}

#[test]
fn a_packet_in_segments_that_says_that_it_is_longer_than_they_is_dropped() {
    let bench = Bench::new();
    let mut packet = frame().ipv4(HOST_A, HOST_B).udp(1, 2, &[7; 1000]);
    packet.truncate(1000);
    let (note, _) = split(&bench, packet, 500);
    assert_eq!(note.disposition, Disposition::Drop(DropReason::Ip4TotalLength));
    let mut packet = frame().ipv6(HOST_A6, HOST_B6).udp(1, 2, &[7; 1000]);
    packet.truncate(1000);
    let (note, _) = split(&bench, packet, 500);
    assert_eq!(note.disposition, Disposition::Drop(DropReason::Ip6PayloadLength));
}

#[test]
fn a_packet_that_waits_names_its_next_hop_from_its_first_segment() {
    let bench = Bench::new();
    let packet = frame()
        .ipv4(HOST_A, [192, 168, 1, 77].into())
        .udp(1, 2, &[7; 1000]);
    let (note, bytes) = split(&bench, packet, 60);
    let Disposition::Wait { adjacency, .. } = note.disposition else {
        panic!("{note:?}");
    };
    let awaited = bench.path.awaited(adjacency, &bytes[..60], &note).unwrap();
    assert_eq!(awaited.0, IpAddr::from([192, 168, 1, 77]));
}

#[test]
fn a_packet_for_the_gateway_in_segments_is_gathered_then_answered() {
    let bench = Bench::new();
    let packets = [
        frame().ipv4(HOST_A, OWN).echo_request(1, 2, &[7; 1000]),
        frame().ipv6(HOST_A6, OWN6).echo_request(1, 2, &[7; 1000]),
    ];
    for packet in packets {
        let mut expected = packet.clone();
        assert_eq!(
            bench.path.run_one(0, &mut expected).disposition,
            Disposition::Transmit(0)
        );
        let (note, mut bytes) = split(&bench, packet, 100);
        assert_eq!(note.disposition, Disposition::Gather);
        let delivered = bench
            .path
            .deliver(0, &Punts::OFF, &mut bytes, note.link_len(), note.family());
        assert_eq!(delivered.disposition, Disposition::Transmit(0));
        assert_eq!((delivered.end, &bytes), (expected.len(), &expected));
    }
}

#[test]
fn fragments_for_the_gateway_wait_for_each_other() {
    let bench = Bench::new();
    let own6 = || frame().ipv6(HOST_A6, OWN6);
    let fragments = [
        frame()
            .ipv4(HOST_A, OWN)
            .fragment(0, true)
            .echo_request(1, 2, &[0; 8]),
        frame()
            .ipv4(HOST_A, OWN)
            .fragment(8, false)
            .payload(Protocol::TCP, &[0; 8]),
        own6().fragment(0, true, 1).echo_request(1, 2, &[0; 8]),
        own6().fragment(8, false, 1).payload(Protocol::ICMPV6, &[0; 8]),
        // What is behind the fragment header is no business of the first fragment alone.
        own6()
            .fragment(0, true, 1)
            .destination_options(&[0x83, 4, 0, 0, 0, 0])
            .udp(1, 2, &[]),
    ];
    for fragment in fragments {
        assert_eq!(bench.one(fragment).0, Disposition::Reassemble);
    }
    // What is in front of it is: RFC 8200 section 4.5.
    let refused = own6()
        .hop_by_hop(&[0x83, 4, 0, 0, 0, 0])
        .fragment(8, false, 1)
        .payload(Protocol::UDP, &[0; 8]);
    assert_eq!(bench.dropped(refused), DropReason::Ip6Option);
}

#[test]
fn what_is_too_long_is_cut_if_it_may_be() {
    let bench = Bench::new();
    let too_long = vec![7; usize::from(MTU) - 27];
    let long = |ttl| {
        let ip = frame().ipv4(HOST_A, HOST_B).ttl(ttl);
        ip.udp(1, 2, &too_long)
    };
    let mut packet = long(9);
    let note = bench.path.run_one(0, &mut packet);
    assert_eq!(note.disposition, Disposition::Fragment(1));
    assert_eq!(note.detail, MTU);
    // Its headers are written already.
    let ip = Ipv4::parse(&packet[14..]).unwrap();
    assert_eq!(ip.ttl(), 8);
    assert_eq!(packet[..6], NEIGHBOR.octets());
    assert_eq!(packet[6..12], GATEWAY[1].octets());

    assert_eq!(bench.dropped(long(1)), DropReason::TtlExpired);
    let whole = frame().ipv4(HOST_A, HOST_B).dont_fragment();
    assert_eq!(bench.dropped(whole.udp(1, 2, &too_long)), DropReason::TooBig);
    let fits = frame().ipv4(HOST_A, HOST_B).udp(1, 2, &too_long[1..]);
    assert_eq!(bench.one(fits).0, Disposition::Transmit(1));
    let six = frame().ipv6(HOST_A6, HOST_B6).udp(1, 2, &too_long);
    assert_eq!(bench.dropped(six), DropReason::TooBig);
}

#[test]
fn what_was_put_together_is_delivered_as_if_it_had_come_in_one() {
    let mut bench = Bench::new();
    let tag = packet::VlanTag {
        tpid: packet::EtherType::VLAN,
        tci: 100,
    };
    let sub = InterfaceView {
        sub: Some(SubInterface {
            port: 0,
            parent: 0,
            tags: packet::ethernet::VlanTags::one(tag),
        }),
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(2, sub);
    // The reply has the route, with the gateway in it, and no router alert.
    let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
    for (six, whole, plain) in [
        (
            false,
            frame()
                .tag(tag)
                .ipv4(HOST_A, OWN)
                .options(&options)
                .echo_request(1, 2, &[7; 1000]),
            frame()
                .ipv4(HOST_A, OWN)
                .options(&options)
                .echo_request(1, 2, &[7; 1000]),
        ),
        (
            true,
            frame()
                .tag(tag)
                .ipv6(HOST_A6, OWN6)
                .destination_options(&[1, 4, 0, 0, 0, 0])
                .echo_request(1, 2, &[7; 1000]),
            frame()
                .ipv6(HOST_A6, OWN6)
                .destination_options(&[1, 4, 0, 0, 0, 0])
                .echo_request(1, 2, &[7; 1000]),
        ),
    ] {
        let family = if six { Family::Six } else { Family::Four };
        let (mut whole, mut plain) = (whole, plain);
        let expected = bench.path.run_one(0, &mut plain);
        assert_eq!(expected.disposition, Disposition::Transmit(0));
        let delivered = bench.path.deliver(2, &Punts::OFF, &mut whole, 18, family);
        assert_eq!(delivered.disposition, Disposition::Transmit(2));
        assert_eq!(delivered.begin, 4, "the reply has no tag");
        assert_eq!(
            whole[delivered.begin..delivered.end],
            plain[..usize::from(expected.length)]
        );
    }
}

#[test]
fn what_was_put_together_from_an_own_address_is_not_answered() {
    let bench = Bench::new();
    let mut packet = frame().ipv6(OWN6, OWN6).echo_request(1, 2, &[7; 1000]);
    let delivered = bench.path.deliver(0, &Punts::OFF, &mut packet, 14, Family::Six);
    assert_eq!(
        delivered.disposition,
        Disposition::Drop(DropReason::Ip6MartianSource)
    );
    for packet in [
        frame().ipv4(OWN, OWN).echo_request(1, 2, &[7; 1000]),
        frame()
            .ipv4(OWN, OWN)
            .fragment(8, true)
            .payload(Protocol::ICMP, &[7; 1000]),
    ] {
        let (note, _) = split(&bench, packet, 100);
        assert_eq!(note.disposition, Disposition::Drop(DropReason::Ip4MartianSource));
    }
}

#[test]
fn the_route_is_written_into_a_packet_in_segments() {
    let bench = Bench::new();
    let own = "192.168.2.1/24".parse().unwrap();
    let out = bench.path.interfaces.get(1).unwrap();
    out.sources.set(None, [own].into_iter(), std::iter::empty());
    let packet = frame()
        .ipv4(HOST_A, HOST_B)
        .options(&[7, 7, 4, 0, 0, 0, 0, 0])
        .udp(1, 2, &[7; 1000]);
    let mut whole = packet.clone();
    bench.path.run_one(0, &mut whole);
    assert_eq!(whole[36], 8, "the pointer is behind the gateway's address");
    assert_eq!(split(&bench, packet, 100).1, whole);
}

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::tcp::{TcpFlags, TcpHeader};
use packet::{Icmpv4, Icmpv6, PacketBuilder, Udp};
use proptest::prelude::*;

use super::*;
use crate::vectors::{alert_v4, syn_with_text, unhex};

const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

const TCP: TcpHeader = TcpHeader {
    source_port: 80,
    destination_port: 80,
    sequence: 1,
    acknowledgment: 2,
    flags: TcpFlags::ACK,
    window: 1000,
};

fn four() -> packet::builder::Ipv4Builder {
    PacketBuilder::ipv4(HOST4, PEER4).options(&[148, 4, 0, 0])
}

fn six() -> packet::builder::Ipv6Builder {
    PacketBuilder::ipv6(HOST6, PEER6).router_alert(5)
}

fn replaced(mut packet: Vec<u8>, payload: &[u8]) -> Result<Vec<u8>, Refused> {
    let before = packet.clone();
    match replace_payload(&mut packet, payload) {
        Ok(()) => Ok(packet),
        Err(refused) => {
            assert_eq!(packet, before, "a packet that is refused stays as it was");
            Err(refused)
        }
    }
}

#[test]
fn req_ra_29_a_payload_is_replaced_by_a_shorter_and_a_longer_one() {
    let long = [0xa5; 1000];
    for new in [&b""[..], b"odd", b"even", &long] {
        for build in [
            |payload: &[u8]| four().udp(5000, 500, payload),
            |payload: &[u8]| six().udp(5000, 500, payload),
            |payload: &[u8]| four().tcp(&TCP, payload),
            |payload: &[u8]| six().tcp(&TCP, payload),
            |payload: &[u8]| six().icmp(200, 1, payload),
            |payload: &[u8]| four().payload(Protocol::RSVP, payload),
            |payload: &[u8]| six().payload(Protocol::RSVP, payload),
            |payload: &[u8]| six().destination_options(&[]).udp(5000, 500, payload),
            // A packet with a fragment header, and whole all the same.
            |payload: &[u8]| six().fragment(0, false, 7).udp(5000, 500, payload),
        ] {
            assert_eq!(replaced(build(b"some payload."), new), Ok(build(new)));
        }
    }
}

#[test]
fn req_ra_29_the_checksum_of_icmp_for_ipv4_has_no_pseudo_header() {
    let packet = |data: &[u8]| four().echo_request(0, 0, data);
    let body = [&[0; 4][..], b"hello"].concat();
    let changed = replaced(packet(b"some data"), &body).unwrap();
    assert_eq!(changed, packet(b"hello"));
    let ip = Ipv4::parse(&changed).unwrap();
    assert!(Icmpv4::parse(ip.payload()).unwrap().checksum_is_valid());
}

#[test]
fn req_ra_29_options_of_tcp_stay() {
    let with_options = |payload: &[u8]| {
        let mut segment = vec![
            0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x10, 3, 0xe8, 0, 0, 0, 0, 2, 4, 5, 0xb4,
        ];
        segment.extend_from_slice(payload);
        let length = segment.len() as u16;
        let checksum = packet::checksum::Sum::ZERO
            .pseudo_header(HOST6, PEER6, Protocol::TCP, length)
            .bytes(&segment)
            .checksum();
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        six().payload(Protocol::TCP, &segment)
    };
    assert_eq!(
        replaced(with_options(b"before"), b"then"),
        Ok(with_options(b"then"))
    );
}

#[test]
fn req_ra_29_a_packet_of_another_maker_is_changed_to_the_byte() {
    let changed = replaced(syn_with_text(), b"").unwrap();
    let ip = Ipv6::parse(&changed).unwrap();
    assert_eq!((ip.payload_len(), changed.len()), (28, 68));
    let upper = Upper::of_v6(&ip).unwrap();
    let sum = packet::checksum::Sum::ZERO
        .pseudo_header(ip.source(), ip.destination(), Protocol::TCP, 20)
        .bytes(upper.bytes);
    assert!(sum.is_valid());
    assert_eq!(
        replaced(alert_v4(), b"short").unwrap()[..24],
        unhex("4600001d12340000402e6cf8c6336401cb00714d94040000")
    );
}

#[test]
fn req_ra_29_what_lies_behind_a_datagram_stays_there() {
    // RFC 9868: the length of UDP may be less than that of the packet.
    let packet = |payload: &[u8]| {
        let datagram = PacketBuilder::ipv6(HOST6, PEER6).udp(5000, 500, payload);
        six().payload(Protocol::UDP, &[&datagram[40..], b"surplus"].concat())
    };
    assert_eq!(replaced(packet(b"before"), b"then"), Ok(packet(b"then")));
}

#[test]
fn req_ra_29_a_missing_checksum_of_udp_stays_missing() {
    let packet = |payload: &[u8]| four().no_udp_checksum().udp(5000, 500, payload);
    let changed = replaced(packet(b"some payload"), b"another one").unwrap();
    assert_eq!(changed, packet(b"another one"));
    let ip = Ipv4::parse(&changed).unwrap();
    assert_eq!(Udp::parse(ip.payload()).unwrap().checksum(), 0);
}

#[test]
fn req_ra_29_a_checksum_of_udp_that_comes_out_as_zero_is_written_as_ones() {
    // The checksum of a datagram is the payload that makes its sum come out as zero.
    let with_zeros = six().udp(5000, 500, &[0, 0]);
    let [.., sum0, sum1, _, _] = with_zeros[..] else {
        panic!("there is a checksum")
    };
    let changed = replaced(with_zeros.clone(), &[sum0, sum1]).unwrap();
    assert_eq!(changed, six().udp(5000, 500, &[sum0, sum1]));
    assert_eq!(changed[54..56], [0xff, 0xff]);
}

#[test]
fn req_ra_29_a_wrong_checksum_stays_wrong() {
    let mut packet = six().udp(5000, 500, b"some payload");
    packet[49] ^= 1;
    let changed = replaced(packet, b"another").unwrap();
    let ip = Ipv6::parse(&changed).unwrap();
    let upper = Upper::of_v6(&ip).unwrap();
    let datagram = Udp::parse(upper.bytes).unwrap();
    assert_eq!(datagram.payload(), b"another");
    assert!(!datagram.checksum_is_valid(HOST6, PEER6));
}

#[test]
fn req_ra_29_behind_a_routing_header_the_checksum_is_that_for_the_last_destination() {
    // The pseudo-header has an address that the header does not have yet.
    let last: Ipv6Addr = "2001:db8:2::1".parse().unwrap();
    let packet = |payload: &[u8]| {
        let datagram = PacketBuilder::ipv6(HOST6, last).udp(5000, 500, payload);
        six().routing(4, 1).payload(Protocol::UDP, &datagram[40..])
    };
    assert_eq!(
        replaced(packet(b"before"), b"and behind"),
        Ok(packet(b"and behind"))
    );
}

#[test]
fn req_ra_29_fragments_and_what_ipsec_protects_are_refused() {
    let ah = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    for (packet, refused) in [
        (
            four().fragment(0, true).payload(Protocol::UDP, &[0; 16]),
            Refused::Fragment,
        ),
        (
            four().fragment(64, false).payload(Protocol::UDP, &[0; 16]),
            Refused::Fragment,
        ),
        (
            six().fragment(0, true, 7).payload(Protocol::UDP, &[0; 16]),
            Refused::Fragment,
        ),
        (
            six().fragment(64, false, 7).payload(Protocol::UDP, &[0; 16]),
            Refused::Fragment,
        ),
        (
            four().payload(Protocol::ESP, &[0; 32]),
            Refused::Protected(Protocol::ESP),
        ),
        (
            six().payload(Protocol::ESP, &[0; 32]),
            Refused::Protected(Protocol::ESP),
        ),
        (
            four().payload(Protocol::AH, &ah),
            Refused::Protected(Protocol::AH),
        ),
        (
            six().extension(Protocol::AH, &ah).udp(1, 2, b""),
            Refused::Protected(Protocol::AH),
        ),
    ] {
        assert_eq!(replaced(packet, b"another"), Err(refused));
    }
}

#[test]
fn req_ra_29_what_has_no_payload_to_find_is_refused() {
    let mut long_udp = four().udp(1, 2, b"hello");
    long_udp[24 + 5] += 1;
    for (packet, refused) in [
        (vec![], Refused::Version),
        (vec![0x45; 4], Refused::Ipv4(Ipv4Error::Truncated)),
        (vec![0x60; 4], Refused::Ipv6(Ipv6Error::Truncated)),
        (
            six().router_alert(5).udp(1, 2, b""),
            Refused::Chain(ExtensionError::HopByHopNotFirst { pointer: 40 }),
        ),
        (
            four().payload(Protocol::UDP, &[0; 7]),
            Refused::UpperLayer(Protocol::UDP),
        ),
        (long_udp, Refused::UpperLayer(Protocol::UDP)),
        (
            six().payload(Protocol::TCP, &[0; 30]),
            Refused::UpperLayer(Protocol::TCP),
        ),
        (
            six().payload(Protocol::ICMPV6, &[0; 3]),
            Refused::UpperLayer(Protocol::ICMPV6),
        ),
    ] {
        assert_eq!(replaced(packet, b"another"), Err(refused));
    }
}

#[test]
fn req_ra_29_no_packet_becomes_longer_than_its_length_can_say() {
    let payload = vec![7; 65_536];
    let most = 65_535 - 24 - 8;
    assert_eq!(
        replaced(four().udp(1, 2, b"x"), &payload[..most]).unwrap().len(),
        65_535
    );
    assert_eq!(
        replaced(four().udp(1, 2, b"x"), &payload[..most + 1]),
        Err(Refused::TooLong { beyond: 1 })
    );
    let most = 65_535 - 8 - 8;
    assert_eq!(
        replaced(six().udp(1, 2, b"x"), &payload[..most]).unwrap().len(),
        65_575
    );
    assert_eq!(
        replaced(six().udp(1, 2, b"x"), &payload[..most + 2]),
        Err(Refused::TooLong { beyond: 2 })
    );
}

#[test]
fn a_dscp_is_set_and_nothing_else() {
    for ecn in 0..4u8 {
        for (before, dscp) in [(0, 46), (46, 0), (63, 63), (0, 63), (10, 46)] {
            let packet = |dscp: u8| four().traffic_class(dscp << 2 | ecn).udp(1, 2, b"hello");
            let mut changed = packet(before);
            set_dscp(&mut changed, dscp).unwrap();
            assert_eq!(changed, packet(dscp));
            let packet = |dscp: u8| {
                let builder = six().traffic_class(dscp << 2 | ecn).flow_label(0xabcde);
                builder.udp(1, 2, b"hello")
            };
            let mut changed = packet(before);
            set_dscp(&mut changed, dscp).unwrap();
            assert_eq!(changed, packet(dscp));
        }
    }
    let mut packet = four().udp(1, 2, b"");
    assert_eq!(set_dscp(&mut packet, 64), Err(Refused::Dscp(64)));
    assert_eq!(
        set_dscp(&mut packet[..10], 1),
        Err(Refused::Ipv4(Ipv4Error::Truncated))
    );
    assert_eq!(set_dscp(&mut [], 1), Err(Refused::Version));
}

proptest! {
    #[test]
    fn req_ra_29_a_changed_packet_is_as_if_it_had_been_built_so(
        old in prop::collection::vec(any::<u8>(), 0..80), new in prop::collection::vec(any::<u8>(), 0..80),
        dscp in 0..64u8,
    ) {
        for build in [
            |dscp: u8, payload: &[u8]| four().traffic_class(dscp << 2).udp(5000, 500, payload),
            |dscp: u8, payload: &[u8]| six().traffic_class(dscp << 2).udp(5000, 500, payload),
            |dscp: u8, payload: &[u8]| four().traffic_class(dscp << 2).tcp(&TCP, payload),
            |dscp: u8, payload: &[u8]| six().traffic_class(dscp << 2).tcp(&TCP, payload),
            |dscp: u8, payload: &[u8]| six().traffic_class(dscp << 2).icmp(200, 1, payload),
        ] {
            let mut packet = build(0, &old);
            replace_payload(&mut packet, &new).unwrap();
            set_dscp(&mut packet, dscp).unwrap();
            prop_assert_eq!(packet, build(dscp, &new));
        }
    }

    #[test]
    fn req_ra_29_no_bytes_upset_it(
        version in prop_oneof![Just(0x45u8), Just(0x46), Just(0x60)], bytes in prop::collection::vec(any::<u8>(), 0..120),
        new in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut packet = [&[version][..], &bytes].concat();
        let before = packet.clone();
        if replace_payload(&mut packet, &new).is_err() {
            prop_assert_eq!(packet, before);
        }
    }
}

#[test]
fn the_checksum_of_a_message_of_icmpv6_is_right_afterwards() {
    let changed = replaced(six().icmp(128, 0, &[1; 40]), &[2; 7]).unwrap();
    let ip = Ipv6::parse(&changed).unwrap();
    let message = Upper::of_v6(&ip).unwrap().bytes;
    assert!(Icmpv6::parse(message).unwrap().checksum_is_valid(HOST6, PEER6));
}

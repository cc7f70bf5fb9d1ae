//! Whole packets through tunnel mode, and the arithmetic of MTUs against what really comes out.

use std::net::{IpAddr, Ipv6Addr};

use esp::outer::{Ends, Outer, OuterSettings};
use esp::tunnel::Inner;
use esp::udp::{self, Datagram, Ports};
use esp::{Format, Header, Keys, Opened, Sequence, Transform};
use packet::{Ipv4, Ipv6, PacketBuilder, Protocol, Udp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle::{self, keys};
use crate::round_trips::{inbound, outbound, transform};

const PORTS: Ports = Ports {
    source: 4500,
    destination: 61_000,
};

fn ends(six: bool) -> Ends {
    let (source, destination): (IpAddr, IpAddr) = if six {
        (
            Ipv6Addr::LOCALHOST.into(),
            Ipv6Addr::from_bits(0x2001_0db8 << 96 | 7).into(),
        )
    } else {
        ([192, 0, 2, 1].into(), [198, 51, 100, 1].into())
    };
    Ends::new(source, destination).unwrap()
}

/// An inner packet: UDP over either family.
fn inner_packet(six: bool, class: u8, payload: &[u8]) -> Vec<u8> {
    if six {
        PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
            .traffic_class(class)
            .udp(1000, 2000, payload)
    } else {
        PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
            .traffic_class(class)
            .dont_fragment()
            .udp(1000, 2000, payload)
    }
}

/// Through an SA in tunnel mode, as it is sent.
fn into_tunnel(outer: &Outer, keys: &Keys, esn: bool, packet: &[u8]) -> Vec<u8> {
    let inner = Inner::read(packet).unwrap();
    let mut outbound = outbound(keys, Sequence::new(esn));
    let sealing = outbound.seal(packet.len(), inner.family.next_header()).unwrap();
    let front = outer.len() + sealing.head_len();
    let mut buffer = [&vec![0xee; front][..], packet, &vec![0xee; sealing.tail_len()]].concat();
    outer
        .write(&inner, sealing.sealed_len(), sealing.sequence(), &mut buffer)
        .unwrap();
    let esp = &mut buffer[outer.len()..];
    let work = sealing.write(esp).unwrap();
    oracle::seal(&keys.parts(), outbound.format(), &work, esp);
    let len = sealing.finish(esp).unwrap();
    buffer.truncate(outer.len() + len);
    outer.complete(&mut buffer);
    assert_eq!(outer.needs_checksum(), buffer[0] >> 4 == 6 && outer.len() == 48);
    buffer
}

/// Where ESP begins in a packet that was received, and the traffic class around it. Lengths and checksums must be right.
fn esp_in(packet: &[u8], udp: bool) -> (usize, u8) {
    let (len, protocol, class, payload) = match packet[0] >> 4 {
        4 => {
            let ip = Ipv4::parse(packet).unwrap();
            assert_eq!(usize::from(ip.total_len()), packet.len());
            if udp {
                let datagram = Udp::parse(ip.payload()).unwrap();
                assert!(datagram.checksum_is_valid(ip.source(), ip.destination()));
                assert_eq!(datagram.checksum(), 0);
            }
            (20, ip.protocol(), ip.traffic_class(), ip.payload())
        }
        _ => {
            let ip = Ipv6::parse(packet).unwrap();
            assert_eq!(ip.total_len(), packet.len());
            if udp {
                let datagram = Udp::parse(ip.payload()).unwrap();
                assert!(datagram.checksum_is_valid(ip.source(), ip.destination()));
            }
            (40, ip.next_header(), ip.traffic_class(), ip.payload())
        }
    };
    if udp {
        assert_eq!(protocol, Protocol::UDP);
        let datagram = Udp::parse(payload).unwrap();
        assert_eq!(
            (datagram.source_port(), datagram.destination_port()),
            (4500, 61_000)
        );
        assert_eq!(usize::from(datagram.len()), payload.len());
        assert_eq!(udp::classify(datagram.payload()), Datagram::Esp);
        (len + 8, class)
    } else {
        assert_eq!(protocol, Protocol::ESP);
        (len, class)
    }
}

/// Decrypts the ESP packet that `packet` is from `at` on; gives its payload.
fn decrypted(keys: &Keys, esn: bool, packet: &mut Vec<u8>, at: usize) -> esp::Payload {
    let mut inbound = inbound(keys, esn, 0);
    let len = packet.len() - at;
    let opening = inbound.open(Header::parse(&packet[at..]).unwrap(), len).unwrap();
    packet.resize(packet.len() + inbound.format().spare_len(), 0xee);
    let work = inbound.prepare(&opening, &mut packet[at..]).unwrap();
    let authentic = oracle::open(&keys.parts(), inbound.format(), &work, &mut packet[at..]);
    match inbound.finish(opening, authentic, &packet[at..]).unwrap() {
        Opened::Packet(payload) => payload,
        Opened::Dummy => panic!("a dummy"),
    }
}

proptest! {
    #[test]
    fn packets_of_both_families_go_through_tunnels_of_both(
        transform in transform(), esn: bool, outer_six: bool, inner_six: bool, udp: bool, class: u8,
        payload in vec(any::<u8>(), 0..300),
    ) {
        let settings = OuterSettings { udp: udp.then_some(PORTS), ..OuterSettings::default() };
        let outer = Outer::new(ends(outer_six), settings);
        let keys = keys(transform, 1);
        let packet = inner_packet(inner_six, class, &payload);
        let mut sent = into_tunnel(&outer, &keys, esn, &packet);
        let (at, outer_class) = esp_in(&sent, udp);
        prop_assert_eq!((at, outer_class), (outer.len(), class));
        prop_assert_eq!(sent.len(), outer.len_outside(Format::new(transform, esn), packet.len()));
        let opened = decrypted(&keys, esn, &mut sent, at);
        let (inner, span) = opened.decapsulate(&mut sent[at..], outer_class).unwrap();
        prop_assert_eq!(&sent[at..][span.range()], &packet[..]);
        prop_assert_eq!(inner, Inner::read(&packet).unwrap());
    }

    #[test]
    fn the_longest_inner_packet_fills_the_mtu_and_one_byte_more_does_not_fit(
        transform in transform(), esn: bool, outer_six: bool, udp: bool, mtu in 100..1600_usize,
    ) {
        let settings = OuterSettings { udp: udp.then_some(PORTS), ..OuterSettings::default() };
        let outer = Outer::new(ends(outer_six), settings);
        let format = Format::new(transform, esn);
        let keys = keys(transform, 1);
        let inside = outer.mtu_inside(format, mtu);
        prop_assert!(outer.len_outside(format, inside + 1) > mtu);
        if inside >= 28 {
            let packet = inner_packet(false, 0, &vec![7; inside - 28]);
            prop_assert_eq!(packet.len(), inside);
            let sent = into_tunnel(&outer, &keys, esn, &packet);
            prop_assert!(sent.len() <= mtu);
            prop_assert_eq!(sent.len(), outer.len_outside(format, inside));
            let longer = inner_packet(false, 0, &vec![7; inside - 27]);
            prop_assert!(into_tunnel(&outer, &keys, esn, &longer).len() > mtu);
        }
    }
}

#[test]
fn inner_mtus_of_1500_are_the_known_ones() {
    for (transform, six, udp, expected) in [
        (Transform::Aes256Gcm16, false, false, 1446),
        (Transform::Aes256Gcm16, true, false, 1426),
        (Transform::Aes256Gcm16, false, true, 1438),
        (Transform::ChaCha20Poly1305, false, false, 1446),
        (Transform::Aes256Sha256, false, false, 1438),
        (Transform::Aes256Sha512, true, false, 1390),
        (Transform::NullSha256, false, false, 1454),
    ] {
        let settings = OuterSettings {
            udp: udp.then_some(PORTS),
            ..OuterSettings::default()
        };
        let outer = Outer::new(ends(six), settings);
        let inside = outer.mtu_inside(Format::new(transform, true), 1500);
        assert_eq!(inside, expected, "{transform}");
    }
    let outer = Outer::new(ends(true), OuterSettings::default());
    let format = Format::new(Transform::Aes256Sha512, false);
    for mtu in [0, 39, 40, 100] {
        assert_eq!(outer.mtu_inside(format, mtu), 0);
    }
}

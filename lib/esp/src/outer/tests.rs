use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{Ipv4, Ipv6, PacketBuilder};
use proptest::prelude::*;

use super::*;
use crate::sequence::Sequence;
use crate::transform::Transform;

const FOUR: Ends = Ends::V4 {
    source: Ipv4Addr::new(192, 0, 2, 1),
    destination: Ipv4Addr::new(198, 51, 100, 1),
};
const SIX: Ends = Ends::V6 {
    source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
};
const ESP_LEN: usize = 100;

fn inner(family: Family, len: usize, dont_fragment: bool, traffic_class: u8) -> Inner {
    Inner {
        family,
        len,
        traffic_class,
        dont_fragment,
    }
}

fn any_inner() -> Inner {
    inner(Family::V4, 60, true, 0xb8)
}

/// The number after `last`.
fn number_after(last: u64) -> SequenceNumber {
    Sequence::resumed(true, last).next().unwrap()
}

/// The headers, and bytes of an ESP packet behind them.
fn written(ends: Ends, settings: OuterSettings, inner: &Inner) -> Vec<u8> {
    let outer = Outer::new(ends, settings);
    assert_eq!(outer.ends(), ends);
    let mut packet = vec![0xee; outer.len() + ESP_LEN];
    outer
        .write(inner, ESP_LEN, number_after(0x1_2345_6788), &mut packet)
        .unwrap();
    assert_eq!(packet[outer.len()..], [0xee; ESP_LEN]);
    packet
}

#[test]
fn an_ipv4_header_has_what_rfc_4301_says() {
    let packet = written(FOUR, OuterSettings::default(), &any_inner());
    // Parsing checks the checksum.
    let ip = Ipv4::parse(&packet).unwrap();
    assert_eq!(
        (ip.source(), ip.destination()),
        ([192, 0, 2, 1].into(), [198, 51, 100, 1].into())
    );
    assert_eq!((ip.header_len(), ip.total_len(), ip.ttl()), (20, 120, 64));
    assert_eq!((ip.protocol(), ip.identification()), (Protocol::ESP, 0x6789));
    assert_eq!((ip.traffic_class(), ip.is_fragment()), (0xb8, false));
}

#[test]
fn an_ipv6_header_has_what_rfc_4301_says() {
    let settings = OuterSettings {
        ttl: 9,
        flow_label: 0xfff1_2345,
        ..OuterSettings::default()
    };
    let packet = written(SIX, settings, &any_inner());
    let ip = Ipv6::parse(&packet).unwrap();
    assert_eq!(
        (ip.source().segments()[7], ip.destination().segments()[7]),
        (1, 2)
    );
    assert_eq!((ip.total_len(), ip.hop_limit()), (140, 9));
    assert_eq!((ip.next_header(), ip.flow_label()), (Protocol::ESP, 0x1_2345));
    assert_eq!(ip.traffic_class(), 0xb8);
}

#[test]
fn dscp_is_copied_or_fixed_and_ecn_copied_always() {
    for ends in [FOUR, SIX] {
        for class in 0..=u8::MAX {
            for (dscp, expected) in [
                (Dscp::Copy, class),
                (Dscp::Fixed(46), 46 << 2 | class & 3),
                (Dscp::Fixed(0xff), 0xfc | class & 3),
            ] {
                let settings = OuterSettings {
                    dscp,
                    ..OuterSettings::default()
                };
                let packet = written(ends, settings, &inner(Family::V6, 60, true, class));
                let written = match ends {
                    Ends::V4 { .. } => Ipv4::parse(&packet).unwrap().traffic_class(),
                    Ends::V6 { .. } => Ipv6::parse(&packet).unwrap().traffic_class(),
                };
                assert_eq!(written, expected);
            }
        }
    }
}

#[test]
fn df_is_copied_or_as_is_said() {
    for (df, inner, expected) in [
        (Df::Copy, inner(Family::V4, 60, true, 0), true),
        (Df::Copy, inner(Family::V4, 1400, false, 0), false),
        (Df::Copy, inner(Family::V6, 1280, true, 0), false),
        (Df::Copy, inner(Family::V6, 1281, true, 0), true),
        (Df::Set, inner(Family::V4, 60, false, 0), true),
        (Df::Clear, inner(Family::V6, 1400, true, 0), false),
    ] {
        let settings = OuterSettings {
            df,
            ..OuterSettings::default()
        };
        let packet = written(FOUR, settings, &inner);
        let ip = Ipv4::parse(&packet).unwrap();
        assert_eq!(ip.dont_fragment(), expected, "{df:?}, {inner:?}");
    }
}

#[test]
fn checksums_over_ipv6_are_written_and_are_right_also_when_they_come_out_as_zero() {
    let settings = OuterSettings {
        udp: Some(Ports {
            source: 4500,
            destination: 4501,
        }),
        ..OuterSettings::default()
    };
    let outer = Outer::new(SIX, settings);
    let mut packet = written(SIX, settings, &any_inner());
    assert!(outer.needs_checksum());
    outer.complete(&mut packet);
    let checksum = |packet: &[u8]| {
        let ip = Ipv6::parse(packet).unwrap();
        let udp = packet::Udp::parse(ip.payload()).unwrap();
        assert!(udp.checksum_is_valid(ip.source(), ip.destination()));
        udp.checksum()
    };
    let first = checksum(&packet);
    // Its last word made larger by the checksum: the sum is all ones.
    let end = packet.len();
    let last = u16::from_be_bytes([packet[end - 2], packet[end - 1]]);
    let (word, carry) = last.overflowing_add(first);
    packet[end - 2..].copy_from_slice(&(word + u16::from(carry)).to_be_bytes());
    outer.complete(&mut packet);
    assert_eq!(checksum(&packet), 0xffff);

    for (ends, settings) in [
        (FOUR, settings),
        (FOUR, OuterSettings::default()),
        (SIX, OuterSettings::default()),
    ] {
        let outer = Outer::new(ends, settings);
        assert!(!outer.needs_checksum());
        let before = written(ends, settings, &any_inner());
        let mut after = before.clone();
        outer.complete(&mut after);
        assert_eq!(after, before);
    }
}

#[test]
fn what_fits_no_packet_or_no_buffer_is_refused() {
    let udp = OuterSettings {
        udp: Some(Ports {
            source: 1,
            destination: 2,
        }),
        ..OuterSettings::default()
    };
    let plain = OuterSettings::default();
    for (ends, settings, len, longest) in [
        (FOUR, plain, 20, 65_515),
        (FOUR, udp, 28, 65_507),
        (SIX, plain, 40, 65_535),
        (SIX, udp, 48, 65_527),
    ] {
        let outer = Outer::new(ends, settings);
        assert_eq!(outer.len(), len);
        let mut buffer = vec![0; len];
        let mut write =
            |esp_len, room: usize| outer.write(&any_inner(), esp_len, number_after(0), &mut buffer[..room]);
        assert_eq!(write(longest, len), Ok(()));
        assert_eq!(write(longest + 1, len), Err(OuterError::TooLong(longest + 1)));
        let no_room = NoRoom {
            needed: len,
            available: len - 1,
        };
        assert_eq!(write(100, len - 1), Err(no_room.into()));
    }
}

#[test]
fn ends_are_of_one_family() {
    let (four, six) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    assert!(Ends::new(four, four).is_some() && Ends::new(six, six).is_some());
    assert!(Ends::new(four, six).is_none() && Ends::new(six, four).is_none());
}

#[test]
fn the_outer_packet_has_all_lengths_in_it() {
    let packet = PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).udp(1, 2, &[7; 32]);
    let read = Inner::read(&packet).unwrap();
    assert_eq!(read, inner(Family::V4, 60, false, 0));
    let format = Format::new(Transform::Aes128Gcm16, false);
    let outer = Outer::new(FOUR, OuterSettings::default());
    // Outer header, SPI and number, IV, packet, padding, trailer, ICV.
    assert_eq!(outer.len_outside(format, read.len), 20 + 8 + 8 + 60 + 2 + 2 + 16);
}

proptest! {
    #[test]
    fn an_ipv4_header_alone_is_written_as_with_all_else(
        class in any::<u8>(), inner_len in 20_usize..3000, is_four in any::<bool>(), dont_fragment in any::<bool>(),
        df in 0..3_usize, dscp in prop::option::of(0..64_u8), last in any::<u64>(), esp_len in 32..60_000_usize
    ) {
        let family = if is_four { Family::V4 } else { Family::V6 };
        let inner = inner(family, inner_len, dont_fragment || !is_four, class);
        let settings = OuterSettings {
            df: [Df::Copy, Df::Set, Df::Clear][df],
            dscp: dscp.map_or(Dscp::Copy, Dscp::Fixed),
            ..OuterSettings::default()
        };
        let outer = Outer::new(FOUR, settings);
        prop_assert!(outer.is_ipv4());
        let number = number_after(last.min(u64::MAX - 1));
        let mut expected = [0; 20];
        outer.write(&inner, esp_len, number, &mut expected).unwrap();
        prop_assert_eq!(outer.ipv4(&inner, esp_len, number, 0), expected);
        // Each hop does what a router does.
        for hops in 1..expected[8] {
            ipv4::decrement_ttl_above_zero(&mut expected);
            prop_assert_eq!(outer.ipv4(&inner, esp_len, number, hops), expected);
        }
    }

    #[test]
    fn the_checksum_over_ipv4_is_right_whatever_is_in_the_header(
        ends: [u32; 2], ttl: u8, class: u8, esp_len in 0..=65_515_usize, last in 0..u64::MAX, dont_fragment: bool,
    ) {
        let ends = Ends::V4 { source: ends[0].into(), destination: ends[1].into() };
        let outer = Outer::new(ends, OuterSettings { ttl, ..OuterSettings::default() });
        let mut packet = vec![0; 20 + esp_len];
        let inside = inner(Family::V4, 60, dont_fragment, class);
        outer.write(&inside, esp_len, number_after(last), &mut packet).unwrap();
        let ip = Ipv4::parse(&packet).unwrap();
        prop_assert_eq!((ip.ttl(), ip.traffic_class(), ip.dont_fragment()), (ttl, class, dont_fragment));
        prop_assert_eq!(ip.identification(), (last + 1) as u16);
        prop_assert_eq!(usize::from(ip.total_len()), packet.len());
    }
}

#[test]
fn a_keepalive_is_a_byte_from_port_to_port() {
    let ports = Ports {
        source: 4500,
        destination: 1024,
    };
    let settings = OuterSettings {
        udp: Some(ports),
        ..OuterSettings::default()
    };
    for (ends, len) in [(FOUR, 29), (SIX, 49)] {
        let mut buffer = [0xee; 64];
        let outer = Outer::new(ends, settings);
        assert_eq!(outer.keepalive(&mut buffer), Some(len));
        let packet = &buffer[..len];
        let datagram = match ends {
            Ends::V4 { .. } => {
                let ip = Ipv4::parse(packet).unwrap();
                assert_eq!((ip.protocol(), usize::from(ip.total_len())), (Protocol::UDP, len));
                ip.payload()
            }
            Ends::V6 { source, destination } => {
                let ip = Ipv6::parse(packet).unwrap();
                assert_eq!(ip.next_header(), Protocol::UDP);
                let datagram = &packet[ipv6::HEADER_LEN..];
                let sum = Sum::ZERO.pseudo_header(source, destination, Protocol::UDP, datagram.len() as u16);
                assert!(sum.bytes(datagram).is_valid());
                datagram
            }
        };
        assert_eq!(datagram[..6], [0x11, 0x94, 4, 0, 0, 9]);
        assert_eq!(datagram[8..], udp::KEEPALIVE);
        assert_eq!(outer.keepalive(&mut buffer[..len - 1]), None);
        assert_eq!(
            Outer::new(ends, OuterSettings::default()).keepalive(&mut buffer),
            None
        );
    }
}

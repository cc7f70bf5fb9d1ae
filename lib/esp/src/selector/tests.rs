use std::net::Ipv6Addr;

use packet::PacketBuilder;
use packet::tcp::{TcpFlags, TcpHeader};
use proptest::prelude::*;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange::new(address(first), address(last)).unwrap()
}

/// All of IPv4, any protocol, any ports.
fn all_v4() -> Selector {
    Selector {
        source: AddressRange::prefix(address("0.0.0.0"), 0).unwrap(),
        destination: AddressRange::prefix(address("0.0.0.0"), 0).unwrap(),
        protocol: None,
        source_ports: PortSelector::Any,
        destination_ports: PortSelector::Any,
    }
}

fn all_v6() -> Selector {
    Selector {
        source: AddressRange::prefix(address("::"), 0).unwrap(),
        destination: AddressRange::prefix(address("::"), 0).unwrap(),
        ..all_v4()
    }
}

fn allows(selector: Selector, packet: &[u8]) -> bool {
    Selectors::new(vec![selector]).unwrap().allow(packet)
}

fn four() -> packet::builder::Ipv4Builder {
    PacketBuilder::ipv4([10, 1, 2, 3].into(), [192, 0, 2, 9].into())
}

fn six() -> packet::builder::Ipv6Builder {
    PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::from_bits(0x2001_0db8 << 96 | 9))
}

fn tcp(source_port: u16, destination_port: u16) -> TcpHeader {
    TcpHeader {
        source_port,
        destination_port,
        sequence: 0,
        acknowledgment: 0,
        flags: TcpFlags(2),
        window: 0,
    }
}

#[test]
fn ranges_have_their_ends_and_nothing_beyond() {
    let some = range("10.1.2.3", "10.1.3.1");
    for (text, expected) in [
        ("10.1.2.2", false),
        ("10.1.2.3", true),
        ("10.1.2.255", true),
        ("10.1.3.1", true),
        ("10.1.3.2", false),
        ("::ffff:10.1.2.3", false),
    ] {
        assert_eq!(some.contains(address(text)), expected, "{text}");
    }
    let (first, last) = (address("10.0.0.2"), address("10.0.0.1"));
    assert_eq!(
        AddressRange::new(first, last),
        Err(RangeError::Backwards(first, last))
    );
    let last = address("::1");
    assert_eq!(
        AddressRange::new(first, last),
        Err(RangeError::Families(first, last))
    );
}

#[test]
fn prefixes_are_ranges() {
    for (text, len, first, last) in [
        ("10.1.2.3", 0, "0.0.0.0", "255.255.255.255"),
        ("10.1.2.3", 15, "10.0.0.0", "10.1.255.255"),
        ("10.1.2.3", 32, "10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", 0, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        (
            "2001:db8::1",
            33,
            "2001:db8::",
            "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
        ),
        ("2001:db8::1", 128, "2001:db8::1", "2001:db8::1"),
    ] {
        let prefix = AddressRange::prefix(address(text), len).unwrap();
        assert_eq!((prefix.first(), prefix.last()), (address(first), address(last)));
    }
    for (text, len) in [("10.0.0.1", 33), ("10.0.0.1", 255), ("::", 129)] {
        let refused = Err(RangeError::PrefixLength(address(text), len));
        assert_eq!(AddressRange::prefix(address(text), len), refused);
    }
}

#[test]
fn each_part_of_a_selector_counts() {
    let packet = four().tcp(&tcp(5000, 443), b"text");
    let right = Selector {
        source: range("10.1.0.0", "10.1.255.255"),
        destination: range("192.0.2.9", "192.0.2.9"),
        protocol: Some(Protocol::TCP),
        source_ports: PortSelector::Range(5000, 5001),
        destination_ports: PortSelector::Range(443, 443),
    };
    assert!(allows(right, &packet));
    assert!(allows(all_v4(), &packet));
    for wrong in [
        Selector {
            source: range("10.2.0.0", "10.2.255.255"),
            ..right
        },
        Selector {
            destination: range("10.1.2.3", "10.1.2.3"),
            ..right
        },
        Selector {
            protocol: Some(Protocol::UDP),
            ..right
        },
        Selector {
            source_ports: PortSelector::Range(443, 443),
            ..right
        },
        Selector {
            destination_ports: PortSelector::Range(444, u16::MAX),
            ..right
        },
        Selector {
            destination_ports: PortSelector::Opaque,
            ..right
        },
        all_v6(),
    ] {
        assert!(!allows(wrong, &packet), "{wrong:?}");
    }
}

#[test]
fn one_of_several_is_enough_and_anything_is_anything() {
    let packet = six().udp(1, 2, b"text");
    let several = |list: &[Selector]| Selectors::new(list.to_vec()).unwrap().allow(&packet);
    assert!(several(&[all_v4(), all_v6()]));
    assert!(!several(&[all_v4(), all_v4()]));
    assert!(Selectors::anything().allow(&packet) && Selectors::anything().allow(b"no packet"));
    assert!(!several(&[all_v4()]));
    assert_eq!(Selectors::new(vec![]), Err(SelectorCountError(0)));
    assert_eq!(Selectors::new(vec![all_v4(); 17]), Err(SelectorCountError(17)));
    assert!(Selectors::new(vec![all_v4(); 16]).is_ok());
}

#[test]
fn what_cannot_be_read_fits_nothing() {
    let packet = four().udp(1, 2, b"text");
    for len in 0..packet.len() {
        assert!(!allows(all_v4(), &packet[..len]));
    }
    let mut endless = six().payload(Protocol::HOP_BY_HOP, &[0, 200, 0, 0]);
    assert!(!allows(all_v6(), &endless));
    endless[0] = 0x50;
    assert!(!allows(all_v6(), &endless));
}

#[test]
fn later_fragments_fit_where_ports_do_not_count() {
    let with = |ports| Selector {
        source_ports: ports,
        destination_ports: ports,
        protocol: Some(Protocol::UDP),
        ..all_v4()
    };
    let first = four()
        .fragment(0, true)
        .payload(Protocol::UDP, &[0, 9, 0, 9, 0, 40, 0, 0]);
    let later = four()
        .fragment(8, false)
        .payload(Protocol::UDP, &[0, 9, 0, 9, 0, 40, 0, 0]);
    let nine = PortSelector::Range(9, 9);
    assert!(allows(with(nine), &first));
    assert!(!allows(with(nine), &later));
    assert!(allows(with(PortSelector::Opaque), &later));
    assert!(!allows(with(PortSelector::Opaque), &first));
    for any in [PortSelector::Any, PortSelector::Range(0, u16::MAX)] {
        assert!(allows(with(any), &first) && allows(with(any), &later));
    }
}

#[test]
fn a_later_fragment_of_ipv6_may_not_say_its_protocol() {
    let udp = Selector {
        protocol: Some(Protocol::UDP),
        ..all_v6()
    };
    let named = six().fragment(8, false, 1).payload(Protocol::UDP, &[1; 16]);
    assert!(allows(udp, &named));
    // The first fragment goes on with destination options.
    let unnamed = six()
        .fragment(8, false, 1)
        .payload(Protocol::DESTINATION_OPTIONS, &[1; 16]);
    assert!(!allows(udp, &unnamed));
    assert!(allows(all_v6(), &unnamed));
    let options = Selector {
        protocol: Some(Protocol::DESTINATION_OPTIONS),
        ..all_v6()
    };
    assert!(!allows(options, &unnamed));
    assert_eq!(Flow::of(&unnamed).unwrap().protocol, None);
}

#[test]
fn the_upper_layer_is_behind_the_extension_headers() {
    let packet = six()
        .router_alert(0)
        .destination_options(&[])
        .fragment(0, false, 1)
        .udp(7, 8, b"");
    let flow = Flow::of(&packet).unwrap();
    assert_eq!(
        (flow.protocol, flow.ports),
        (Some(Protocol::UDP), Ports::Both(7, 8))
    );
}

#[test]
fn type_and_code_of_icmp_are_one_number() {
    let echo = four().echo_request(1, 2, b"data");
    let unreachable = six().icmp(1, 4, &[0; 8]);
    let binding_update = six().payload(Protocol(135), &[59, 0, 5, 0, 0, 0, 0, 0]);
    for (packet, protocol, message) in [
        (&echo, Protocol::ICMP, 0x0800),
        (&unreachable, Protocol::ICMPV6, 0x0104),
        (&binding_update, Protocol(135), 0x0500),
    ] {
        let flow = Flow::of(packet).unwrap();
        assert_eq!(
            (flow.protocol, flow.ports),
            (Some(protocol), Ports::Message(message))
        );
        let base = if protocol == Protocol::ICMP {
            all_v4()
        } else {
            all_v6()
        };
        let type_and_codes = PortSelector::Range(message & 0xff00, message | 0xff);
        let other = PortSelector::Range(0x0a00, 0x0aff);
        // Key exchange may have put it on either side or on both.
        for (source_ports, destination_ports, expected) in [
            (type_and_codes, PortSelector::Any, true),
            (PortSelector::Any, type_and_codes, true),
            (type_and_codes, type_and_codes, true),
            (other, PortSelector::Any, false),
            (PortSelector::Any, other, false),
            (PortSelector::Opaque, PortSelector::Any, false),
        ] {
            let selector = Selector {
                source_ports,
                destination_ports,
                ..base
            };
            assert_eq!(allows(selector, packet), expected, "{selector:?}");
        }
    }
}

#[test]
fn protocols_without_ports_fit_where_ports_do_not_count() {
    let packet = four().payload(Protocol::GRE, &[0, 80, 0, 80, 1, 2, 3, 4]);
    let web = Selector {
        destination_ports: PortSelector::Range(80, 80),
        ..all_v4()
    };
    assert!(!allows(web, &packet));
    assert!(allows(all_v4(), &packet));
    assert_eq!(Flow::of(&packet).unwrap().ports, Ports::None);
}

#[test]
fn protocols_with_ports_have_them_at_the_front() {
    for protocol in [6, 17, 33, 132, 136] {
        let packet = four().payload(Protocol(protocol), &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Flow::of(&packet).unwrap().ports, Ports::Both(0x0102, 0x0304));
        let short = four().payload(Protocol(protocol), &[1, 2, 3]);
        assert_eq!(Flow::of(&short).unwrap().ports, Ports::None);
    }
}

proptest! {
    #[test]
    fn a_selector_has_a_flow_if_all_its_parts_have(
        hosts: [u8; 2], ports: [u16; 2], first: [u8; 2], more: [u8; 2], low: [u16; 2], high: [u16; 2], other: bool,
    ) {
        let packet = PacketBuilder::ipv4([10, 0, 0, hosts[0]].into(), [10, 0, 0, hosts[1]].into())
            .udp(ports[0], ports[1], b"");
        let addresses = [0, 1].map(|side| {
            let last = first[side].saturating_add(more[side]);
            AddressRange::new([10, 0, 0, first[side]].into(), [10, 0, 0, last].into()).unwrap()
        });
        let selector = Selector {
            source: addresses[0],
            destination: addresses[1],
            protocol: Some(if other { Protocol::TCP } else { Protocol::UDP }),
            source_ports: PortSelector::Range(low[0], high[0]),
            destination_ports: PortSelector::Range(low[1], high[1]),
        };
        let expected = !other && [0, 1].into_iter().all(|side| {
            (first[side]..=first[side].saturating_add(more[side])).contains(&hosts[side])
                && (low[side]..=high[side]).contains(&ports[side])
        });
        prop_assert_eq!(allows(selector, &packet), expected);
    }
}

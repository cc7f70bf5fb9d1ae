use std::net::IpAddr;

use control::message::{SaDirection, SaLifetime};
use esp::Span;
use esp::selector::{AddressRange, PortSelector};
use packet::PacketBuilder;

use super::*;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const REMOTE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const KEY: u32 = 0x0708_090a;
/// Bytes before what was decrypted.
const HEAD: usize = 16;

fn sa(mode: SaMode) -> Sa {
    Sa {
        spi: 0x1000,
        direction: SaDirection::In,
        tunnel: Some("t0".into()),
        mode,
        source: REMOTE,
        destination: LOCAL,
        transform: "aes128gcm16".into(),
        esn: false,
        window: Sa::DEFAULT_WINDOW,
        udp: None,
        keepalive: Sa::DEFAULT_KEEPALIVE,
        selectors: vec![],
        soft: SaLifetime::default(),
        hard: SaLifetime::default(),
    }
}

fn outer(mode: TunnelMode, key: Option<u32>) -> Outer {
    Outer {
        mode,
        local: LOCAL,
        remote: REMOTE,
        key,
    }
}

/// Packets from the other end with this protocol.
fn selector(protocol: Option<Protocol>) -> Selector {
    Selector {
        source: AddressRange::prefix(REMOTE, 32).unwrap(),
        destination: AddressRange::prefix(LOCAL, 32).unwrap(),
        protocol,
        source_ports: PortSelector::Any,
        destination_ports: PortSelector::Any,
    }
}

fn four() -> Vec<u8> {
    PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).udp(1, 2, b"payload")
}

fn six() -> Vec<u8> {
    PacketBuilder::ipv6(1.into(), 2.into()).udp(1, 2, b"payload")
}

fn in_gre(key: Option<u32>, ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut header = vec![0; gre::len(key)];
    gre::emit(ethertype, key, &mut header).unwrap();
    [&header, packet].concat()
}

/// What is inside of what was decrypted, with its next header.
fn inside(behind: &Behind, next_header: Protocol, text: &[u8]) -> Result<(Protocol, Vec<u8>), DropReason> {
    let packet = [&[0xee; HEAD][..], text].concat();
    let span = Span {
        offset: HEAD as u16,
        len: text.len() as u16,
    };
    let inside = behind.inside(&Payload { next_header, span }, &packet)?;
    Ok((inside.next_header, packet[inside.span.range()].to_vec()))
}

fn behind(mode: TunnelMode, key: Option<u32>, selectors: &[Selector]) -> Behind {
    Behind::new(&sa(SaMode::Transport), selectors, &outer(mode, key)).unwrap()
}

#[test]
fn what_stands_in_front_is_what_the_tunnel_puts_there() {
    let fronts = |sa_mode, mode, key| {
        let fronts = Fronts::new(&sa(sa_mode), &[], &outer(mode, key));
        [Family::V4, Family::V6].map(|family| {
            let front = fronts.of(family);
            assert!(front.may_go);
            (front.next_header, front.bytes().to_vec())
        })
    };
    let plain = [(IPV4, vec![]), (IPV6, vec![])];
    assert_eq!(fronts(SaMode::Tunnel, TunnelMode::Esp, None), plain);
    assert_eq!(fronts(SaMode::Transport, TunnelMode::Ipip, None), plain);
    let headers = [EtherType::IPV4, EtherType::IPV6];
    for key in [None, Some(KEY)] {
        let expected = headers.map(|ethertype| (Protocol::GRE, in_gre(key, ethertype, &[])));
        assert_eq!(fronts(SaMode::Transport, TunnelMode::Gre, key), expected);
    }
}

#[test]
fn what_is_inside_is_what_the_other_end_has_put_there() {
    for key in [None, Some(KEY)] {
        let behind = behind(TunnelMode::Gre, key, &[]);
        for (ethertype, protocol, packet) in [(EtherType::IPV4, IPV4, four()), (EtherType::IPV6, IPV6, six())]
        {
            let text = in_gre(key, ethertype, &packet);
            assert_eq!(inside(&behind, Protocol::GRE, &text), Ok((protocol, packet)));
        }
    }
    let behind = behind(TunnelMode::Ipip, None, &[]);
    assert_eq!(inside(&behind, IPV4, &four()), Ok((IPV4, four())));
    assert_eq!(inside(&behind, IPV6, &six()), Ok((IPV6, six())));
    assert!(Behind::new(&sa(SaMode::Tunnel), &[], &outer(TunnelMode::Esp, None)).is_none());
}

#[test]
fn content_of_another_protocol_key_or_form_is_refused() {
    let gre = behind(TunnelMode::Gre, Some(KEY), &[]);
    let ipip = behind(TunnelMode::Ipip, None, &[]);
    let text = |key| in_gre(key, EtherType::IPV4, &four());
    for (behind, next_header, text, expected) in [
        (&gre, IPV4, four(), DropReason::EspSelector),
        (&gre, Protocol::UDP, four(), DropReason::EspSelector),
        (&ipip, Protocol::GRE, text(None), DropReason::EspSelector),
        (&ipip, Protocol::UDP, four(), DropReason::EspSelector),
        (&gre, Protocol::GRE, text(None), DropReason::TunnelUnknown),
        (
            &gre,
            Protocol::GRE,
            text(Some(KEY + 1)),
            DropReason::TunnelUnknown,
        ),
        (
            &gre,
            Protocol::GRE,
            vec![0x20, 0, 8, 0, 1],
            DropReason::TunnelMalformed,
        ),
        (
            &gre,
            Protocol::GRE,
            in_gre(Some(KEY), EtherType::ARP, &four()),
            DropReason::TunnelMalformed,
        ),
        (
            &gre,
            Protocol::GRE,
            in_gre(Some(KEY), EtherType::IPV6, &four()),
            DropReason::TunnelMalformed,
        ),
        (&ipip, IPV6, four(), DropReason::TunnelMalformed),
        (&ipip, IPV4, vec![], DropReason::TunnelMalformed),
    ] {
        assert_eq!(
            inside(behind, next_header, &text),
            Err(expected),
            "{next_header} {text:02x?}"
        );
    }
}

#[test]
fn selectors_are_asked_about_the_outer_packet() {
    let gre = in_gre(None, EtherType::IPV4, &four());
    for (protocol, passes) in [
        (None, true),
        (Some(Protocol::GRE), true),
        (Some(Protocol::UDP), false),
    ] {
        let list = [selector(protocol)];
        let came = inside(&behind(TunnelMode::Gre, None, &list), Protocol::GRE, &gre);
        assert_eq!(came.is_ok(), passes, "{protocol:?}");
        let fronts = Fronts::new(&sa(SaMode::Transport), &list, &outer(TunnelMode::Gre, None));
        assert_eq!(fronts.of(Family::V4).may_go, passes, "{protocol:?}");
    }
    // One family only.
    let behind = behind(TunnelMode::Ipip, None, &[selector(Some(IPV4))]);
    assert_eq!(inside(&behind, IPV4, &four()), Ok((IPV4, four())));
    assert_eq!(inside(&behind, IPV6, &six()), Err(DropReason::EspSelector));
    // Addresses of the packets inside are none of the outer one's.
    let mut other = selector(None);
    other.source = AddressRange::prefix([10, 0, 0, 0].into(), 8).unwrap();
    let fronts = Fronts::new(&sa(SaMode::Transport), &[other], &outer(TunnelMode::Gre, None));
    assert!(!fronts.of(Family::V4).may_go);
    // In tunnel mode they say nothing here.
    let fronts = Fronts::new(&sa(SaMode::Tunnel), &[other], &outer(TunnelMode::Esp, None));
    assert!(fronts.of(Family::V4).may_go);
}

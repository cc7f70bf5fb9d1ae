//! Outer packets in, what is inside noted; packets for a tunnel out, with outer headers in front.

mod errors;
mod esp;
mod out;

use std::sync::atomic::Ordering;

use control::message::{Df, Dscp, Tunnel, TunnelMode};
use packet::ethernet::{EthernetHeader, HEADER_LEN};
use packet::icmp_error::{Icmpv4Problem, Icmpv6Problem, emit_v4, emit_v6};
use packet::tunnel::{Outer, gre};
use packet::{EtherType, Ipv4, Ipv6, PacketBuilder, Protocol};
use proptest::prelude::*;

use super::*;
use crate::path::{Family, TunnelView};

/// The tunnels of the bench, to the hosts behind interface 1.
const FOUR: u16 = 2;
const SIX: u16 = 3;
const GRE: u16 = 4;
const KEYED: u16 = 5;
const GRE_SIX: u16 = 6;

const KEY: u32 = 7;
const TUNNEL_MTU: u16 = 1400;
/// Inside.
const INNER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 7, 0, 1), Ipv4Addr::new(10, 7, 0, 2)];

fn inner6() -> [Ipv6Addr; 2] {
    ["2001:db8:a7::1", "2001:db8:a7::2"].map(|address| address.parse().unwrap())
}

fn tunnels() -> [Tunnel; 5] {
    let four = |mode| Tunnel::new("t", mode, OWN.into(), HOST_B.into());
    let six = |mode| Tunnel::new("t", mode, OWN6.into(), HOST_B6.into());
    let mut keyed = four(TunnelMode::Gre);
    keyed.key = Some(KEY);
    [
        four(TunnelMode::Ipip),
        six(TunnelMode::Ipip),
        four(TunnelMode::Gre),
        keyed,
        six(TunnelMode::Gre),
    ]
}

fn set(bench: &mut Bench, index: u16, tunnel: &Tunnel) -> Arc<AtomicBool> {
    let up = Arc::new(AtomicBool::new(true));
    let view = InterfaceView {
        mac: MacAddress([0; 6]),
        mtu: TUNNEL_MTU,
        kernel_device: false,
        tap: false,
        redirects: false,
        up: up.clone(),
        tunnel: Some(Arc::new(TunnelView::new(tunnel))),
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(index, view);
    up
}

fn with_tunnels(mut bench: Bench) -> Bench {
    for (index, tunnel) in (FOUR..).zip(tunnels()) {
        set(&mut bench, index, &tunnel);
    }
    bench
}

fn bench() -> Bench {
    with_tunnels(Bench::new())
}

fn four() -> Vec<u8> {
    PacketBuilder::ipv4(INNER[0], INNER[1])
        .traffic_class(0xb8)
        .udp(1, 2, b"payload")
}

fn six() -> Vec<u8> {
    let [from, to] = inner6();
    PacketBuilder::ipv6(from, to)
        .traffic_class(0xb8)
        .udp(1, 2, b"payload")
}

fn in_gre(key: Option<u32>, ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut header = vec![0; gre::len(key)];
    gre::emit(ethertype, key, &mut header).unwrap();
    [&header, packet].concat()
}

/// Outer packets of the other end.
fn to_own4() -> packet::builder::Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_B, OWN)
}

fn to_own6() -> packet::builder::Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_B6, OWN6)
}

/// The tunnel that takes a packet, what is inside, and of which EtherType.
fn taken(bench: &Bench, packet: Vec<u8>) -> (u16, EtherType, Vec<u8>) {
    let mut packets = [packet];
    let note = bench.run(&mut packets)[0];
    let Disposition::Tunnelled(tunnel) = note.disposition else {
        panic!("not taken but {:?}", note.disposition);
    };
    let inner = &packets[0][usize::from(note.detail)..usize::from(note.length)];
    let (link, rest) = EthernetHeader::parse(inner).unwrap();
    let mac = bench.path.interfaces.get(usize::from(tunnel)).unwrap().mac;
    assert_eq!((link.destination, link.len()), (mac, HEADER_LEN));
    (tunnel, link.ethertype, rest.to_vec())
}

/// A frame that leaves by a tunnel, with what is put in front.
fn wrapped(bench: &Bench, tunnel: u16, packet: &[u8]) -> Result<Vec<u8>, DropReason> {
    let ethertype = [0x08, 0x00, 0x86, 0xdd];
    let six = packet[0] >> 4 == 6;
    let link = [&[0; 12][..], &ethertype[if six { 2..4 } else { 0..2 }]].concat();
    let frame = [&link, packet].concat();
    let wrapping = bench.path.wrapping(tunnel, &frame, frame.len(), 0x1234, 0)?;
    let mut frame = [vec![0; wrapping.overhead()], frame].concat();
    wrapping.write(&mut frame)?;
    Ok(frame)
}

#[test]
fn what_is_inside_comes_out_of_every_kind_of_tunnel() {
    let bench = bench();
    let (v4, v6) = (EtherType::IPV4, EtherType::IPV6);
    let gre = |key, ethertype, packet: Vec<u8>| in_gre(key, ethertype, &packet);
    for (packet, tunnel, ethertype, inner) in [
        (to_own4().payload(Protocol::IPIP, &four()), FOUR, v4, four()),
        (to_own4().payload(Protocol::IPV6, &six()), FOUR, v6, six()),
        (to_own6().payload(Protocol::IPIP, &four()), SIX, v4, four()),
        (to_own6().payload(Protocol::IPV6, &six()), SIX, v6, six()),
        (
            to_own4().payload(Protocol::GRE, &gre(None, v4, four())),
            GRE,
            v4,
            four(),
        ),
        (
            to_own4().payload(Protocol::GRE, &gre(Some(KEY), v6, six())),
            KEYED,
            v6,
            six(),
        ),
        (
            to_own6().payload(Protocol::GRE, &gre(None, v6, six())),
            GRE_SIX,
            v6,
            six(),
        ),
        // Options are passed over, so is the encapsulation limit of RFC 2473 section 4.1.1.
        (
            to_own4().options(&[1; 8]).payload(Protocol::IPIP, &four()),
            FOUR,
            v4,
            four(),
        ),
        (
            to_own6()
                .destination_options(&[4, 1, 4, 1, 1, 0])
                .payload(Protocol::IPV6, &six()),
            SIX,
            v6,
            six(),
        ),
    ] {
        assert_eq!(taken(&bench, packet), (tunnel, ethertype, inner));
    }
}

#[test]
fn a_tag_and_padding_are_not_part_of_what_is_inside() {
    let bench = bench();
    let frame = PacketBuilder::ethernet(GATEWAY[0], SENDER).vlan(0).padded();
    let least = PacketBuilder::ipv4(INNER[0], INNER[1]).payload(Protocol::UDP, b"");
    let packet = frame.ipv4(HOST_B, OWN).payload(Protocol::IPIP, &least);
    assert!(packet.len() >= 60);
    assert_eq!(taken(&bench, packet), (FOUR, EtherType::IPV4, least));
}

#[test]
fn each_refusal_has_its_reason() {
    let mut bench = bench();
    let stranger = || PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, OWN);
    let gre = |key, ethertype: u16| in_gre(key, EtherType(ethertype), &four());
    let mut summed = in_gre(None, EtherType::IPV4, &four());
    summed.splice(0..4, [0x80, 0, 8, 0, 0x12, 0x34, 0, 0]);
    let marked = |class| to_own4().traffic_class(class).payload(Protocol::IPIP, &four());
    for (packet, reason) in [
        (
            stranger().payload(Protocol::IPIP, &four()),
            DropReason::TunnelUnknown,
        ),
        (
            to_own4().payload(Protocol::GRE, &gre(Some(KEY + 1), 0x0800)),
            DropReason::TunnelUnknown,
        ),
        (
            to_own6().payload(Protocol::GRE, &gre(Some(KEY), 0x0800)),
            DropReason::TunnelUnknown,
        ),
        (
            to_own4().payload(Protocol::GRE, &gre(None, 0x6558)),
            DropReason::TunnelMalformed,
        ),
        (
            to_own4().payload(Protocol::GRE, &[0, 0, 8]),
            DropReason::TunnelMalformed,
        ),
        (
            to_own4().payload(Protocol::GRE, &[0x40, 0, 8, 0]),
            DropReason::TunnelMalformed,
        ),
        (
            to_own4().payload(Protocol::GRE, &summed),
            DropReason::TunnelMalformed,
        ),
        (
            to_own4().payload(Protocol::IPIP, &six()),
            DropReason::TunnelMalformed,
        ),
        (
            to_own4().payload(Protocol::IPIP, &four()[..19]),
            DropReason::TunnelMalformed,
        ),
        (
            to_own6().payload(Protocol::IPV6, &[]),
            DropReason::TunnelMalformed,
        ),
        (marked(3), DropReason::TunnelEcn),
        // What no tunnel has ever had.
        (
            to_own4().payload(Protocol::OSPF, b"x"),
            DropReason::LocalUnhandled,
        ),
    ] {
        assert_eq!(bench.dropped(packet.clone()), reason, "{packet:02x?}");
    }
    let up = set(&mut bench, FOUR, &tunnels()[0]);
    up.store(false, Ordering::Relaxed);
    assert_eq!(bench.dropped(marked(0)), DropReason::TunnelDown);
    bench.path.interfaces.remove(FOUR);
    assert_eq!(bench.dropped(marked(0)), DropReason::TunnelUnknown);
}

#[test]
fn packets_of_a_protected_tunnel_are_not_taken_in_clear() {
    let mut bench = bench();
    for (index, tunnel) in [(GRE, &tunnels()[2]), (SIX, &tunnels()[1])] {
        let protected = Tunnel {
            protected: true,
            ..tunnel.clone()
        };
        set(&mut bench, index, &protected);
    }
    let keyless = to_own4().payload(Protocol::GRE, &in_gre(None, EtherType::IPV4, &four()));
    for packet in [keyless, to_own6().payload(Protocol::IPV6, &six())] {
        assert_eq!(bench.dropped(packet), DropReason::EspClear);
    }
    // Those of others between the same ends are.
    let keyed = to_own4().payload(Protocol::GRE, &in_gre(Some(KEY), EtherType::IPV4, &four()));
    assert_eq!(taken(&bench, keyed), (KEYED, EtherType::IPV4, four()));
}

#[test]
fn without_a_tunnel_nothing_is_different() {
    for packet in [
        to_own4().payload(Protocol::IPIP, &four()),
        to_own4().payload(Protocol::GRE, b""),
        to_own6().payload(Protocol::IPV6, &six()),
    ] {
        assert_eq!(Bench::new().dropped(packet), DropReason::LocalUnhandled);
    }
}

#[test]
fn who_is_no_end_of_a_tunnel_is_told_that_the_protocol_is_not_known_here() {
    let bench = bench();
    let from_a = PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, OWN);
    assert_eq!(
        bench.error4(from_a.payload(Protocol::IPIP, &four())),
        Some((3, 2, 0))
    );
    let from_a = PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, OWN6);
    // The next header field is what is wrong.
    assert_eq!(
        bench.error6(from_a.payload(Protocol::IPV6, &six())),
        Some((4, 1, 6))
    );
    let refused = to_own4().payload(Protocol::GRE, &[0x40, 0, 8, 0]);
    assert_eq!(bench.error(refused), None);
}

#[test]
fn the_kernel_gets_what_is_of_none_of_our_tunnels() {
    let bench = with_tunnels(Bench::with_tap());
    let from_a = PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, OWN);
    let (disposition, _) = bench.one(from_a.payload(Protocol::IPIP, &four()));
    assert_eq!(disposition, Disposition::Kernel(0));
    let down = to_own4().payload(Protocol::GRE, &[0x40, 0, 8, 0]);
    assert_eq!(bench.dropped(down), DropReason::TunnelMalformed);
}

#[test]
fn an_outer_packet_in_fragments_is_put_together_first() {
    let bench = bench();
    let fragment = to_own4().fragment(0, true).payload(Protocol::IPIP, &four()[..24]);
    assert_eq!(bench.one(fragment).0, Disposition::Reassemble);
    let mut whole = to_own6().payload(Protocol::IPIP, &four());
    let delivered = bench
        .path
        .deliver(0, &Punts::OFF, &mut whole, HEADER_LEN, Family::Six);
    assert_eq!(delivered.disposition, Disposition::Tunnelled(SIX));
    assert_eq!(
        whole[usize::from(delivered.detail) + HEADER_LEN..delivered.end],
        four()
    );
}

#[test]
fn what_one_end_puts_in_the_other_takes_out() {
    let here = bench();
    let ends = tunnels().map(|tunnel| {
        let (local, remote) = (tunnel.remote, tunnel.local);
        Tunnel {
            local,
            remote,
            ..tunnel
        }
    });
    let mut there = here.path.interfaces.clone();
    for (index, tunnel) in (FOUR..).zip(&ends) {
        let view = InterfaceView {
            tunnel: Some(Arc::new(TunnelView::new(tunnel))),
            ..there.get(usize::from(index)).unwrap().clone()
        };
        there.set(index, view);
    }
    let (from, to) = inner6().into();
    let payload = prop::collection::vec(any::<u8>(), 0..1200);
    proptest!(|(tunnel in FOUR..=GRE_SIX, is_six: bool, data in payload, class: u8)| {
        let inner = if is_six {
            PacketBuilder::ipv6(from, to).traffic_class(class).udp(1, 2, &data)
        } else {
            PacketBuilder::ipv4(INNER[0], INNER[1]).traffic_class(class).udp(1, 2, &data)
        };
        let mut outer = wrapped(&here, tunnel, &inner).unwrap();
        let (link, packet) = EthernetHeader::parse(&outer).unwrap();
        let family = if link.ethertype == EtherType::IPV4 { Family::Four } else { Family::Six };
        prop_assert_eq!(packet.len(), outer.len() - HEADER_LEN);
        let mut note = Note { family, network: HEADER_LEN as u8, ..Note::NEW };
        let end = outer.len();
        decapsulate::run(&there, &mut outer, end, &mut note);
        prop_assert_eq!(note.disposition, Disposition::Tunnelled(tunnel));
        prop_assert_eq!(&outer[usize::from(note.detail) + HEADER_LEN..], &inner);
    });
}

#[test]
fn any_bytes_for_the_gateway_are_taken_or_refused() {
    let bench = bench();
    let protocols = prop::sample::select(vec![1, 4, 41, 47, 58]);
    let payload = prop::collection::vec(any::<u8>(), 0..120);
    proptest!(|(protocol in protocols, is_six: bool, payload in payload)| {
        let packet = if is_six {
            to_own6().payload(Protocol(protocol), &payload)
        } else {
            to_own4().payload(Protocol(protocol), &payload)
        };
        let mut packets = [packet];
        let note = bench.run(&mut packets)[0];
        if let Disposition::Tunnelled(_) = note.disposition {
            let inner = &packets[0][usize::from(note.detail)..usize::from(note.length)];
            prop_assert!(inner.len() >= HEADER_LEN + 20);
        }
    });
}

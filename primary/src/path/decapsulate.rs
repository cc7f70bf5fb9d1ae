//! Packets for the gateway itself that belong to a tunnel: outer ones, whose headers are taken off. ICMP errors about outer ones that were
//! sent are in [`tunnel_errors`].
//!
//! ```text
//!   outer packet  │ link │ outer header … GRE │ inner packet …
//!   Tunnelled                 │ link, written │ inner packet …      as received by the tunnel's interface
//! ```
//!
//! A look at what nobody else here takes, so that no other packet pays for it. Marks of congestion: RFC 6040 section 4.2.

use std::net::IpAddr;

use control::message::TunnelMode;
use esp::udp;
use packet::ethernet::HEADER_LEN;
use packet::tunnel::{Carried, ecn};
use packet::{Ipv4, Ipv6, Protocol, extension, ipv4};
use shm::DropReason;

use super::{Disposition, Family, Interfaces, Note, Stages, encapsulate, tunnel_errors};
use crate::adjacency;

/// An IP header, and what is behind all of it.
#[derive(Clone, Copy)]
pub(super) struct Header<'p> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    traffic_class: u8,
    pub(super) protocol: Protocol,
    /// Bytes before the payload.
    pub(super) len: usize,
    pub(super) payload: &'p [u8],
}

impl<'p> Header<'p> {
    /// Of a packet that was found right before.
    fn of(family: Family, packet: &'p [u8]) -> Option<Self> {
        match family {
            Family::Four => {
                let header = Ipv4::parse(packet).ok()?;
                Some(Self {
                    source: header.source().into(),
                    destination: header.destination().into(),
                    traffic_class: header.traffic_class(),
                    protocol: header.protocol(),
                    len: header.header_len(),
                    payload: header.payload(),
                })
            }
            Family::Six => Self::six(&Ipv6::parse(packet).ok()?),
        }
    }

    fn six(header: &Ipv6<'p>) -> Option<Self> {
        let upper = extension::upper_layer(header).ok()?;
        Some(Self {
            source: header.source().into(),
            destination: header.destination().into(),
            traffic_class: header.traffic_class(),
            protocol: upper.protocol,
            len: upper.offset,
            payload: upper.payload,
        })
    }

    /// Of the packet that an ICMP error is about: its first bytes, after others have forwarded it.
    pub(super) fn quoted(family: Family, quote: &'p [u8]) -> Option<Self> {
        const ANY: usize = u16::MAX as usize;
        match family {
            Family::Six => Self::six(&Ipv6::parse_start(quote, ANY).ok()?),
            Family::Four => {
                // Nobody promises that the checksum is right here.
                let header = quote.first_chunk::<{ ipv4::HEADER_LEN }>()?;
                let len = usize::from(header[0] & 0x0f) * 4;
                let address = |at: usize| {
                    let octets = header.get(at..)?.first_chunk::<4>()?;
                    Some(IpAddr::from(*octets))
                };
                Some(Self {
                    source: address(12)?,
                    destination: address(16)?,
                    traffic_class: header[1],
                    protocol: Protocol(header[9]),
                    len,
                    payload: quote.get(len..).filter(|_| header[0] >> 4 == 4)?,
                })
            }
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Looks once more at a packet for the gateway itself that nothing takes, where there are tunnels.
    pub(super) fn take_tunnelled(&self, packet: &mut [u8], end: usize, anycast: bool, note: &mut Note) {
        let is_left = note.disposition == Disposition::Drop(DropReason::LocalUnhandled);
        if is_left && !anycast && self.interfaces.has_tunnels() {
            run(&self.interfaces, packet, end, note);
        }
    }
}

/// Notes what becomes of a packet of a tunnel, which ends at `end` and nobody else takes. Of others nothing is noted.
#[cold]
pub(super) fn run(interfaces: &Interfaces, frame: &mut [u8], end: usize, note: &mut Note) {
    let network = usize::from(note.network);
    let Some(outer) = frame
        .get(network..end)
        .and_then(|packet| Header::of(note.family, packet))
    else {
        return;
    };
    match outer.protocol {
        Protocol::ICMP | Protocol::ICMPV6 => tunnel_errors::run(interfaces, &outer, note),
        Protocol::ESP | Protocol::UDP if interfaces.has_esp() => esp_packet(&outer, note),
        Protocol::IPIP | Protocol::IPV6 | Protocol::GRE => {
            let class = outer.traffic_class;
            let taken = inner(interfaces, &outer).and_then(|(tunnel, ethertype, before)| {
                let begin = network + before;
                let packet = frame.get_mut(begin..end).unwrap_or_default();
                if !ecn::decapsulate(packet, class) {
                    return Err(DropReason::TunnelEcn);
                }
                let view = interfaces
                    .get(usize::from(tunnel))
                    .ok_or(DropReason::TunnelUnknown)?;
                // There is room: what is taken off is longer than the link header that was there.
                let link = frame.get_mut(begin - HEADER_LEN..begin).unwrap_or_default();
                encapsulate::link_header(view.mac, ethertype)
                    .emit(link)
                    .map_err(|_| DropReason::TunnelMalformed)?;
                Ok((tunnel, begin - HEADER_LEN))
            });
            match taken {
                Ok((tunnel, begin)) => {
                    note.disposition = Disposition::Tunnelled(tunnel);
                    note.detail = begin as u16;
                }
                Err(reason) => note.drop(reason),
            }
        }
        _ => {}
    }
}

/// Notes what becomes of an ESP packet, be it in UDP or not: RFC 3948 section 2.
fn esp_packet(outer: &Header<'_>, note: &mut Note) {
    let network = usize::from(note.network);
    let before = match outer.protocol {
        Protocol::UDP => {
            let Some((&[_, _, p0, p1, l0, l1, _, _], behind)) = outer.payload.split_first_chunk() else {
                return;
            };
            if u16::from_be_bytes([p0, p1]) != udp::PORT {
                return;
            }
            let said = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(udp::HEADER_LEN);
            // What is behind the datagram is nobody's. One that says to be longer than the packet was refused before.
            let Some(datagram) = said.and_then(|said| behind.get(..said)) else {
                return;
            };
            match udp::classify(datagram) {
                udp::Datagram::Esp => {}
                udp::Datagram::Keepalive => return note.drop(DropReason::EspKeepalive),
                udp::Datagram::Ike | udp::Datagram::Runt => return,
            }
            let before = outer.len + udp::HEADER_LEN;
            if datagram.len() < behind.len() {
                note.length = (network + before + datagram.len()) as u16;
            }
            before
        }
        _ => outer.len,
    };
    note.disposition = Disposition::Esp;
    note.detail = (network + before) as u16;
}

/// The tunnel that an outer packet belongs to, what is inside, and after how many bytes from the outer header on.
fn inner(interfaces: &Interfaces, outer: &Header<'_>) -> Result<(u16, packet::EtherType, usize), DropReason> {
    let carried = Carried::parse(outer.protocol, outer.payload).ok_or(DropReason::TunnelUnknown)?;
    let carried = carried.map_err(|_| DropReason::TunnelMalformed)?;
    let (mode, key) = mode(&carried);
    let tunnel = interfaces
        .by_outer(mode, outer.destination, outer.source, key)
        .ok_or(DropReason::TunnelUnknown)?;
    if interfaces.is_esp(tunnel) {
        // What is its own comes in ESP.
        return Err(DropReason::EspClear);
    }
    if !interfaces
        .get(usize::from(tunnel))
        .is_some_and(|interface| interface.is_up())
    {
        return Err(DropReason::TunnelDown);
    }
    let (ethertype, before) = carried.inner().map_err(|_| DropReason::TunnelMalformed)?;
    Ok((tunnel, ethertype, outer.len + before))
}

pub(super) fn mode(carried: &Carried<'_>) -> (TunnelMode, Option<u32>) {
    match carried {
        Carried::Ip { .. } => (TunnelMode::Ipip, None),
        Carried::Gre(gre) => (TunnelMode::Gre, gre.key()),
    }
}

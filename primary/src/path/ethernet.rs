//! Ethernet and 802.1Q: whose frame it is and what it carries.
//!
//! A priority tag (VLAN 0, IEEE 802.1Q clause 9.6) is no VLAN: such a frame belongs to the interface itself. Frames of
//! other VLANs belong to a sub-interface, see [`super::vlan`].

use std::num::NonZeroU16;

use packet::EtherType;
use packet::ethernet::{EthernetHeader, HEADER_LEN};
use shm::DropReason;

use super::{Disposition, Family, InterfaceView, Interfaces, Note};

/// Whether this is the usual frame: ours, untagged, IPv4, from a station. The others go through [`run`].
#[inline]
pub(super) fn is_usual(interface: &InterfaceView, packet: &[u8]) -> bool {
    packet.first_chunk::<HEADER_LEN>().is_some_and(|header| {
        let &[d0, d1, d2, d3, d4, d5, source, .., type0, type1] = header;
        [d0, d1, d2, d3, d4, d5] == interface.mac.octets()
            && source & 1 == 0
            && [type0, type1] == [0x08, 0x00]
    })
}

/// The same with IPv6.
#[inline]
pub(super) fn is_usual6(interface: &InterfaceView, packet: &[u8]) -> bool {
    packet.first_chunk::<HEADER_LEN>().is_some_and(|header| {
        let &[d0, d1, d2, d3, d4, d5, source, .., type0, type1] = header;
        [d0, d1, d2, d3, d4, d5] == interface.mac.octets()
            && source & 1 == 0
            && [type0, type1] == [0x86, 0xdd]
    })
}

/// Notes where the frame's network header begins and which sub-interface it belongs to; the interface that it came in by,
/// if it goes on as an IP packet.
pub(super) fn run<'a>(
    interfaces: &'a Interfaces,
    interface: &'a InterfaceView,
    ingress: u16,
    (packet, behind): (&[u8], usize),
    note: &mut Note,
) -> Option<&'a InterfaceView> {
    *note = Note {
        length: (packet.len() + behind) as u16,
        ..Note::NEW
    };
    match classify(interfaces, interface, ingress, packet, note) {
        Ok((EtherType::IPV4, interface)) => return Some(interface),
        Ok((EtherType::IPV6, interface)) => {
            note.family = Family::Six;
            return Some(interface);
        }
        Ok((EtherType::ARP, _)) => note.disposition = Disposition::Arp,
        Ok(_) => note.drop(DropReason::UnknownEthertype),
        Err(reason) => note.drop(reason),
    }
    None
}

/// What a frame carries that is for us, and the interface that it came in by.
fn classify<'a>(
    interfaces: &'a Interfaces,
    interface: &'a InterfaceView,
    ingress: u16,
    packet: &[u8],
    note: &mut Note,
) -> Result<(EtherType, &'a InterfaceView), DropReason> {
    let (header, _payload) = EthernetHeader::parse(packet).map_err(|_| DropReason::EthernetTruncated)?;
    let group = header.destination.is_multicast();
    if !group && header.destination != interface.mac {
        return Err(DropReason::OtherHost);
    }
    if header.source.is_multicast() {
        return Err(DropReason::EthernetSource);
    }
    if header.ethertype.is_tag() {
        return Err(DropReason::VlanDepth);
    }
    // 14, 18 or 22.
    note.network = header.len() as u8;
    note.group_frame = group;
    let index = interfaces
        .by_tags(ingress, &header.tags)
        .ok_or(DropReason::UnknownVlan)?;
    if index == ingress {
        return Ok((header.ethertype, interface));
    }
    note.sub = NonZeroU16::new(index);
    let interface = interfaces.get(usize::from(index)).filter(|sub| sub.is_up());
    Ok((header.ethertype, interface.ok_or(DropReason::InterfaceDown)?))
}

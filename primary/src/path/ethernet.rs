//! Ethernet and 802.1Q: whose frame it is and what it carries.
//!
//! A priority tag (VLAN 0, IEEE 802.1Q section 6.8) is no VLAN: such a frame belongs to the interface itself. Frames of
//! other VLANs have no interface to belong to.

use packet::EtherType;
use packet::ethernet::{EthernetHeader, HEADER_LEN};
use shm::DropReason;

use super::{Disposition, Family, InterfaceView, Note};

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

/// Notes where the frame's network header begins; whether the frame goes on as an IP packet.
pub(super) fn run(interface: &InterfaceView, packet: &[u8], note: &mut Note) -> bool {
    *note = Note {
        length: packet.len() as u16,
        ..Note::NEW
    };
    match classify(interface, packet, note) {
        Ok(EtherType::IPV4) => return true,
        Ok(EtherType::IPV6) => {
            note.family = Family::Six;
            return true;
        }
        Ok(EtherType::ARP) => note.disposition = Disposition::Arp,
        Ok(_) => note.drop(DropReason::UnknownEthertype),
        Err(reason) => note.drop(reason),
    }
    false
}

/// What a frame carries that is for us.
fn classify(interface: &InterfaceView, packet: &[u8], note: &mut Note) -> Result<EtherType, DropReason> {
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
    if header.tags.iter().any(|tag| tag.vid() != 0) {
        return Err(DropReason::UnknownVlan);
    }
    // 14, 18 or 22.
    note.network = header.len() as u8;
    note.group_frame = group;
    Ok(header.ethertype)
}

//! Ethernet and 802.1Q: whose frame it is and what it carries.
//!
//! A priority tag (VLAN 0, IEEE 802.1Q section 6.8) is no VLAN: such a frame belongs to the interface itself. Frames of
//! other VLANs have no interface to belong to.

use packet::EtherType;
use packet::ethernet::{EthernetHeader, HEADER_LEN};
use shm::DropReason;

use super::{Alive, Burst, Disposition, InterfaceView, Note};

#[inline]
pub(super) fn run(interface: &InterfaceView, burst: &mut Burst<'_, '_>, ip4: &mut Alive) {
    let own = interface.mac.octets();
    for (number, (packet, note)) in burst.packets.iter().zip(burst.notes.iter_mut()).enumerate() {
        // The usual frame: ours, untagged, IPv4, from a station.
        if let Some(header) = packet.first_chunk::<HEADER_LEN>() {
            let [d0, d1, d2, d3, d4, d5, source, _, _, _, _, _, 0x08, 0x00] = *header else {
                unusual(interface, packet, note, number, ip4);
                continue;
            };
            if [d0, d1, d2, d3, d4, d5] == own && source & 1 == 0 {
                *note = Note {
                    length: packet.len() as u16,
                    network: HEADER_LEN as u8,
                    ..Note::NEW
                };
                ip4.push(number);
                continue;
            }
        }
        unusual(interface, packet, note, number, ip4);
    }
}

#[cold]
fn unusual(interface: &InterfaceView, packet: &[u8], note: &mut Note, number: usize, ip4: &mut Alive) {
    *note = Note {
        length: packet.len() as u16,
        ..Note::NEW
    };
    let Ok((header, _payload)) = EthernetHeader::parse(packet) else {
        return note.drop(DropReason::EthernetTruncated);
    };
    let group = header.destination.is_multicast();
    if !group && header.destination != interface.mac {
        return note.drop(DropReason::OtherHost);
    }
    if header.source.is_multicast() {
        return note.drop(DropReason::EthernetSource);
    }
    if header.ethertype.is_tag() {
        return note.drop(DropReason::VlanDepth);
    }
    if header.tags.iter().any(|tag| tag.vid() != 0) {
        return note.drop(DropReason::UnknownVlan);
    }
    // 14, 18 or 22.
    note.network = header.len() as u8;
    note.group_frame = group;
    match header.ethertype {
        EtherType::IPV4 => ip4.push(number),
        EtherType::ARP => note.disposition = Disposition::Arp,
        _ => note.drop(DropReason::UnknownEthertype),
    }
}

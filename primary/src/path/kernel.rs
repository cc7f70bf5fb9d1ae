//! What the gateway does not handle and the kernel gets, where the interface has a tap: packets for its own addresses whose
//! protocol nobody here takes, packets for groups of the link (RFC 5771 section 4, RFC 4291 section 2.7), frames of other
//! protocols.
//!
//! A look at what is dropped already, so that no other packet pays for it.

use packet::{Ipv4, Ipv6, ipv6};
use shm::DropReason;

use super::{Disposition, Interfaces, Note, Packet};

/// Notes which of the packets that came in by the port of interface `port` go to the kernel instead of being dropped: by the tap of
/// their own interface, if it has one.
#[cold]
pub(super) fn divert<P: Packet>(interfaces: &Interfaces, port: u16, packets: &mut [P], notes: &mut [Note]) {
    for (packet, note) in packets.iter_mut().zip(notes) {
        let ingress = note.ingress(port);
        if let Disposition::Drop(reason) = note.disposition
            && interfaces
                .get(usize::from(ingress))
                .is_some_and(|interface| interface.tap && interface.is_up())
            && is_for_kernel(reason, packet.first(), note)
        {
            note.disposition = Disposition::Kernel(ingress);
        }
    }
}

/// Whether the kernel gets a packet that is to be dropped for `reason`.
pub(super) fn is_for_kernel(reason: DropReason, packet: &[u8], note: &Note) -> bool {
    let behind = note.behind(packet.len());
    let datagram = packet.get(usize::from(note.network)..).unwrap_or_default();
    match reason {
        DropReason::LocalUnhandled | DropReason::TunnelUnknown | DropReason::UnknownEthertype => true,
        DropReason::Ip4Multicast => Ipv4::parse_start(datagram, behind).is_ok_and(|header| {
            let destination = header.destination();
            // 224.0.0.0/24, the local network control block, and the limited broadcast.
            destination.octets().starts_with(&[224, 0, 0]) || destination.is_broadcast()
        }),
        // A scope of 2: link-local. Who is in a solicited-node group answers there, and that is not the gateway.
        DropReason::Ip6Multicast => Ipv6::parse_start(datagram, behind).is_ok_and(|header| {
            let destination = header.destination();
            destination.segments()[0] & 0xff0f == 0xff02 && !ipv6::is_solicited_node(destination)
        }),
        _ => false,
    }
}

//! IPv4 input: is it a packet that a router may touch? RFC 1812 sections 5.2.2 and 5.3.7.

use packet::Ipv4;
use packet::ipv4::Ipv4Error;
use packet::transport::checksum_is_partial;
use shm::{DropReason, PathStage};

use super::punt::Punts;
use super::{InterfaceView, LONGEST_BEHIND, Note, Tracer, ip4_options};

/// Notes where the packet ends whose network header begins at `network`; its destination, unless it is dropped here or a tool
/// is asked about it.
#[inline(always)]
pub(super) fn run<T: Tracer>(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    (packet, behind): (&[u8], usize),
    network: usize,
    note: &mut Note,
) -> Option<u32> {
    tracer.enter(PathStage::Ip4Input);
    let packet = packet.get(network..).unwrap_or_default();
    match check(interface, packet, behind, note) {
        Ok((destination, length)) => {
            note.length = network as u16 + length;
            let has_options = packet.first() != Some(&0x45);
            if has_options {
                tracer.enter(PathStage::Ip4Options);
                if !ip4_options::run(interface, ingress, punts, (packet, behind), note) {
                    return None;
                }
            }
            Some(destination)
        }
        Err(reason) => {
            note.stays_before_lookup();
            note.drop(reason);
            None
        }
    }
}

/// The destination and the total length, or why the packet goes no further.
#[inline(always)]
fn check(
    interface: &InterfaceView,
    packet: &[u8],
    behind: usize,
    note: &Note,
) -> Result<(u32, u16), DropReason> {
    if behind > LONGEST_BEHIND {
        return Err(DropReason::Oversize);
    }
    if interface.kernel_device && claimed_length(packet) > interface.mtu {
        // Segmentation was left to hardware. Such a packet may be cut short as well, so this comes first.
        return Err(DropReason::Oversize);
    }
    let header = Ipv4::parse_start(packet, behind).map_err(|error| match error {
        Ipv4Error::Truncated => DropReason::Ip4Truncated,
        Ipv4Error::Version => DropReason::Ip4Version,
        Ipv4Error::HeaderLength => DropReason::Ip4HeaderLength,
        Ipv4Error::TotalLength => DropReason::Ip4TotalLength,
        Ipv4Error::Checksum => DropReason::Ip4Checksum,
    })?;
    let (source, destination) = (u32::from(header.source()), u32::from(header.destination()));
    let first = |address: u32| (address >> 24) as u8;
    if is_special(first(source)) | is_special(first(destination)) {
        return Err(special(source, destination));
    }
    if note.group_frame {
        return Err(DropReason::Ip4LinkBroadcast);
    }
    if interface.kernel_device && behind == 0 && checksum_is_partial(&header) {
        return Err(DropReason::PartialChecksum);
    }
    Ok((destination, header.total_len()))
}

/// The total length field, before anything is known to be right.
fn claimed_length(packet: &[u8]) -> u16 {
    packet
        .first_chunk::<4>()
        .map_or(0, |bytes| u16::from_be_bytes([bytes[2], bytes[3]]))
}

/// By the first octet of an address: 0/8 and 127/8 are nobody's on a wire; 224/3 is multicast, reserved or broadcast.
#[inline]
pub(super) const fn is_special(first: u8) -> bool {
    (first.wrapping_sub(1) >= 223) | (first == 127)
}

#[cold]
fn special(source: u32, destination: u32) -> DropReason {
    if is_special((source >> 24) as u8) {
        DropReason::Ip4MartianSource
    } else if destination == u32::MAX || destination >> 28 == 0b1110 {
        DropReason::Ip4Multicast
    } else {
        DropReason::Ip4MartianDestination
    }
}

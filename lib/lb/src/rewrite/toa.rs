//! The client's address as an option of TCP (TOA): kernels of servers with a module for it tell programs that address.
//!
//! ```text
//!    0     1      2             4                8 / 20
//!   +-----+------+-------------+----------------+
//!   | 254 | len  | port        | address        |     len 8 over IPv4, 20 over IPv6
//!   +-----+------+-------------+----------------+
//! ```

use packet::tcp::HEADER_LEN;
use packet::{ipv4, ipv6};

use super::{Difference, Ends};
use crate::{Buffer, View, What};

/// One of those for experiments (RFC 4727), which is what TOA uses.
const KIND: u8 = 254;
/// Longest TCP header.
const LONGEST: u8 = 60;

/// Bytes of the option: 8 for IPv4, 20 for IPv6.
#[inline]
pub const fn toa_len(six: bool) -> u16 {
    if six { 20 } else { 8 }
}

/// Puts the client's address into a TCP segment, as the first of its options. `false`, and nothing is changed, if the options have no
/// room, the packet would have more than `mtu` bytes, or the buffer has no room before it.
pub fn insert_toa<B: Buffer>(frame: &mut B, view: &mut View, ends: &Ends, mtu: u16) -> bool {
    let What::Segment { ref mut header, .. } = view.what else {
        return false;
    };
    let len = toa_len(ends.six);
    let (start, transport) = (usize::from(view.network), usize::from(view.transport));
    let network = frame.bytes().get(start..transport).unwrap_or_default();
    let Some(packet_len) = packet_len(network, view.six) else {
        return false;
    };
    let header_len = *header + len as u8;
    let Some(end) = view.end.checked_add(len) else {
        return false;
    };
    // As far as headers go that have a fixed length, the frame moves.
    let moved = transport + HEADER_LEN;
    if header_len > LONGEST
        || packet_len + u32::from(len) > u32::from(mtu)
        || frame.bytes().len() < moved
        || !frame.prepend(usize::from(len))
    {
        return false;
    }
    *header = header_len;
    view.end = end;
    let bytes = frame.bytes_mut();
    if let Some(front) = bytes.get_mut(..moved + usize::from(len)) {
        front.copy_within(usize::from(len).., 0);
        write(front, view, ends, len);
    }
    true
}

/// What the network header says of the packet's length, itself included.
fn packet_len(network: &[u8], six: bool) -> Option<u32> {
    if six {
        let &[_, _, _, _, a, b, ..] = network.first_chunk::<{ ipv6::HEADER_LEN }>()?;
        Some(u32::from(u16::from_be_bytes([a, b])) + ipv6::HEADER_LEN as u32)
    } else {
        let &[_, _, a, b, ..] = network.first_chunk::<{ ipv4::HEADER_LEN }>()?;
        Some(u32::from(u16::from_be_bytes([a, b])))
    }
}

/// Writes the option behind the header, and what it changes before it. All of it is there.
fn write(front: &mut [u8], view: &View, ends: &Ends, len: u16) {
    let Some((network, segment)) = front.split_at_mut_checked(view.transport.into()) else {
        return;
    };
    let network = network.get_mut(usize::from(view.network)..).unwrap_or_default();
    let Some((header, option)) = segment.split_first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    let port = ends.client_port.to_be_bytes();
    let octets = ends.client.to_be_bytes();
    let address = if ends.six { &octets[..] } else { &octets[12..] };
    let bytes = [KIND, len as u8]
        .into_iter()
        .chain(port)
        .chain(address.iter().copied());
    for (to, from) in option.iter_mut().zip(bytes) {
        *to = from;
    }
    let mut difference = Difference::default();
    for word in option.as_chunks::<4>().0 {
        difference.long(0, u32::from_be_bytes(*word));
    }
    let [.., offset, flags, _, _, c0, c1, _, _] = header;
    let old = u16::from_be_bytes([*offset, *flags]);
    *offset = offset.wrapping_add((len as u8 / 4) << 4);
    difference.word(old, u16::from_be_bytes([*offset, *flags]));
    // The length in the pseudo-header grows as that of the packet.
    difference.word(0, len);
    let mut field = [*c0, *c1];
    difference.apply_to(&mut field);
    [*c0, *c1] = field;
    lengthen(network, view.six, len);
}

/// Adds to the length in the network header.
fn lengthen(network: &mut [u8], six: bool, by: u16) {
    if six {
        if let Some([_, _, _, _, a, b, ..]) = network.first_chunk_mut::<{ ipv6::HEADER_LEN }>() {
            [*a, *b] = u16::from_be_bytes([*a, *b]).wrapping_add(by).to_be_bytes();
        }
    } else if let Some([_, _, a, b, _, _, _, _, _, _, c0, c1, ..]) =
        network.first_chunk_mut::<{ ipv4::HEADER_LEN }>()
    {
        let old = u16::from_be_bytes([*a, *b]);
        let new = old.wrapping_add(by);
        [*a, *b] = new.to_be_bytes();
        let mut difference = Difference::default();
        difference.word(old, new);
        let mut field = [*c0, *c1];
        difference.apply_to(&mut field);
        [*c0, *c1] = field;
    }
}

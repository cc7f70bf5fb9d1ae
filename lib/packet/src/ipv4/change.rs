//! Changes of IPv4 headers where they are. Those of single fields keep a checksum right that was (RFC 1624).

use super::HEADER_LEN;
use crate::checksum::{Sum, update16};

/// The flag that has no meaning.
const RESERVED: u16 = 0x8000;

/// Makes the header of a first fragment, options included, that of the whole packet of `total_len` bytes (RFC 791 §3.2).
pub fn make_whole(header: &mut [u8], total_len: u16) {
    if let Some([_, _, len0, len1, _, _, flags, offset, ..]) = header.first_chunk_mut::<HEADER_LEN>() {
        [*len0, *len1] = total_len.to_be_bytes();
        [*flags, *offset] = [0, 0];
    }
    fill_checksum(header);
}

/// Computes the checksum of `header`, options included, and puts it in its place.
pub fn fill_checksum(header: &mut [u8]) {
    if let Some(field) = header.get_mut(10..12) {
        field.fill(0);
    }
    let checksum = Sum::ZERO.bytes(header).checksum();
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Counts the TTL of a valid header down by one and updates the checksum (RFC 1812 §5.3.1, RFC 1624). Gives the new
/// TTL; `None`, and the header as it was, if the TTL is 0 or 1: such a packet may not be forwarded.
#[inline]
#[must_use = "a packet whose TTL has run out may not be forwarded"]
pub fn decrement_ttl(header: &mut [u8; HEADER_LEN]) -> Option<u8> {
    let ttl = header[8];
    if ttl <= 1 {
        return None;
    }
    decrement_ttl_above_zero(header);
    Some(ttl - 1)
}

/// Takes 1 from the TTL, which must be above 0, and updates the checksum as [`decrement_ttl`] does.
#[inline]
pub fn decrement_ttl_above_zero(header: &mut [u8; HEADER_LEN]) {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        ttl_to_checksum @ ..,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = header;
    // TTL and protocol are a word that shrinks by 0x0100, so the checksum grows by as much, with end-around carry, and is never
    // 0xffff then (RFC 1624 section 3). Read from the other end, the four bytes are a number with the TTL in its lowest eight bits
    // and the checksum in its upper sixteen, and both changes are one addition.
    let both = u32::from_le_bytes(*ttl_to_checksum);
    let change = if both < 0xfffe_0000 {
        0x0000_ffff
    } else {
        0x0001_ffff
    };
    *ttl_to_checksum = both.wrapping_add(change).to_le_bytes();
}

/// Sets the TTL and updates the checksum.
#[inline]
pub fn set_ttl(header: &mut [u8; HEADER_LEN], ttl: u8) {
    let [.., old, protocol, sum0, sum1, _, _, _, _, _, _, _, _] = *header;
    let before = u16::from_be_bytes([old, protocol]);
    let after = u16::from_be_bytes([ttl, protocol]);
    let [sum0, sum1] = update16(u16::from_be_bytes([sum0, sum1]), before, after).to_be_bytes();
    header[8] = ttl;
    header[10] = sum0;
    header[11] = sum1;
}

/// Sets DSCP and ECN and updates the checksum.
#[inline]
pub fn set_traffic_class(header: &mut [u8; HEADER_LEN], traffic_class: u8) {
    let [version, old, _, _, _, _, _, _, _, _, sum0, sum1, ..] = *header;
    let before = u16::from_be_bytes([version, old]);
    let after = u16::from_be_bytes([version, traffic_class]);
    let [sum0, sum1] = update16(u16::from_be_bytes([sum0, sum1]), before, after).to_be_bytes();
    header[1] = traffic_class;
    header[10] = sum0;
    header[11] = sum1;
}

/// Clears the flag that must be zero in whatever one sends (RFC 791 §3.1) and updates the checksum.
#[inline]
pub fn clear_reserved_flag(header: &mut [u8; HEADER_LEN]) {
    let [_, _, _, _, _, _, flags, offset, _, _, sum0, sum1, ..] = *header;
    let before = u16::from_be_bytes([flags, offset]);
    let after = before & !RESERVED;
    let [sum0, sum1] = update16(u16::from_be_bytes([sum0, sum1]), before, after).to_be_bytes();
    header[6] = after.to_be_bytes()[0];
    header[10] = sum0;
    header[11] = sum1;
}

/// Exchanges source and destination. The checksum stays right: its sum does not depend on the order of words.
#[inline]
pub fn swap_addresses(header: &mut [u8; HEADER_LEN]) {
    let [.., a, b, c, d, e, f, g, h] = header;
    for (source, destination) in [(a, e), (b, f), (c, g), (d, h)] {
        std::mem::swap(source, destination);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEADER, packet, with};
    use super::*;
    use crate::Ipv4;

    #[test]
    fn ttl_counts_down_to_one_and_no_further() {
        let mut bytes = packet();
        for expected in (1..64).rev() {
            assert_eq!(decrement_ttl(bytes.first_chunk_mut().unwrap()), Some(expected));
            assert_eq!(Ipv4::parse(&bytes).unwrap().ttl(), expected);
        }
        let last = bytes;
        assert_eq!(decrement_ttl(bytes.first_chunk_mut().unwrap()), None);
        assert_eq!(bytes, last);
        let mut zero = with(8, 0);
        assert_eq!(decrement_ttl(zero.first_chunk_mut().unwrap()), None);
    }

    #[test]
    fn the_reserved_flag_goes_and_the_others_stay() {
        let mut bytes = with(6, 0xc0);
        clear_reserved_flag(bytes.first_chunk_mut().unwrap());
        assert_eq!(bytes, with(6, 0x40));
        clear_reserved_flag(bytes.first_chunk_mut().unwrap());
        assert_eq!(bytes, with(6, 0x40));
    }

    #[test]
    fn swapped_addresses_need_no_new_checksum() {
        let mut bytes = packet();
        swap_addresses(bytes.first_chunk_mut().unwrap());
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!(
            (ip.source(), ip.destination()),
            (HEADER.destination, HEADER.source)
        );
    }
}

//! The Internet checksum: RFC 1071 sums over bytes, RFC 1624 updates after a change.
//!
//! ```text
//!   bytes ──► Sum (one's complement, wide) ──fold──► 16 bits ──!──► the checksum field
//! ```
//!
//! A one's-complement sum does not care in which byte order its words are added as long as all are added in the same
//! (RFC 1071 §2 B). So [`Sum`] adds words as the machine loads them and turns the result round once, in `fold`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Protocol;

/// An address of the network layer as a pseudo-header has it.
pub trait Address: Copy {
    /// Whether UDP may go without a checksum: RFC 768, RFC 8200 section 8.1.
    const UDP_CHECKSUM_IS_OPTIONAL: bool;

    /// `sum` with the address added.
    #[must_use]
    fn add_to(self, sum: Sum) -> Sum;
}

impl Address for Ipv4Addr {
    const UDP_CHECKSUM_IS_OPTIONAL: bool = true;

    #[inline]
    fn add_to(self, sum: Sum) -> Sum {
        sum.add(u64::from(u32::from_ne_bytes(self.octets())))
    }
}

impl Address for Ipv6Addr {
    const UDP_CHECKSUM_IS_OPTIONAL: bool = false;

    #[inline]
    fn add_to(self, sum: Sum) -> Sum {
        let octets = self.octets();
        let (words, _) = octets.as_chunks::<4>();
        sum.add(
            words
                .iter()
                .map(|word| u64::from(u32::from_ne_bytes(*word)))
                .sum(),
        )
    }
}

/// A one's-complement sum under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum(0);

    /// Adds `bytes`; an odd last byte counts as if a zero byte followed. So all parts of a message but its last must
    /// have even lengths.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        let (eights, rest) = bytes.as_chunks::<8>();
        // Halves of 32 bits in a sum of 64: no carry is lost before 2^32 additions, and the loop vectorises.
        let mut sum = 0u64;
        for eight in eights {
            let word = u64::from_ne_bytes(*eight);
            sum = sum.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32);
        }
        let (twos, odd) = rest.as_chunks::<2>();
        for two in twos {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes(*two)));
        }
        if let [last] = odd {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes([*last, 0])));
        }
        self.add(sum)
    }

    /// Adds the twenty bytes of an IPv4 header without options: no loop, no length.
    #[inline]
    #[must_use]
    pub fn ipv4_header(self, header: &[u8; 20]) -> Sum {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, last @ ..] = header;
        // Whole words, each carry added again: the compiler finds nothing to make vectors of, which takes longer for so few.
        let first = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        let (sum, carry) = first.overflowing_add(u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
        let last = u64::from(u32::from_ne_bytes(last)) + u64::from(carry);
        let (sum, carry) = sum.overflowing_add(last);
        // A sum that wrapped is far below the largest.
        self.add(sum.wrapping_add(u64::from(carry)))
    }

    /// Adds one 16-bit word given as a number.
    #[inline]
    #[must_use]
    pub fn word(self, word: u16) -> Sum {
        self.add(u64::from(word.to_be()))
    }

    /// Adds the pseudo-header that stands before `len` bytes of `protocol` for the checksum: of TCP (RFC 9293 §3.1) and
    /// UDP (RFC 768) over IPv4, of these and ICMPv6 over IPv6 (RFC 8200 §8.1). The two differ in layout but not in
    /// what they add up to.
    #[inline]
    #[must_use]
    pub fn pseudo_header<A: Address>(self, source: A, destination: A, protocol: Protocol, len: u16) -> Sum {
        destination
            .add_to(source.add_to(self))
            .word(u16::from(protocol.0))
            .word(len)
    }

    /// The sum folded to 16 bits. It is 0 only if everything added was.
    #[inline]
    pub fn fold(self) -> u16 {
        // A number and itself with its halves exchanged: the upper half of the sum is both halves and the carry.
        let sum = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        let sum = (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16;
        u16::from_be(sum)
    }

    /// What goes into the checksum field: the complement of the folded sum.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether this sum, taken over a message with its checksum field in place, says that the message is intact.
    #[inline]
    pub fn is_valid(self) -> bool {
        // Folded it would be 0xffff: it is a multiple of that, and not 0. Multiples times the inverse modulo 2^64, which is that of
        // a division without rest, are those that a number below 2^64 has; no others are as small.
        const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
        self.0.wrapping_mul(INVERSE).wrapping_sub(1) < u64::MAX / 0xffff
    }

    /// Adds with end-around carry, so that any number of additions keeps the value modulo 2^16 - 1.
    #[inline]
    fn add(self, value: u64) -> Sum {
        let (sum, carry) = self.0.overflowing_add(value);
        // A sum that wrapped is at most 2^64 - 2.
        Sum(sum.wrapping_add(u64::from(carry)))
    }
}

/// The checksum field of a message of which `bytes` is all, its checksum field zero.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::ZERO.bytes(bytes).checksum()
}

/// The checksum after a 16-bit word at an even offset changed from `old` to `new` (RFC 1624 §3, equation 3).
#[inline]
pub fn update16(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// As [`update16`] for a 32-bit word (an address) at an even offset.
#[inline]
pub fn update32(checksum: u16, old: u32, new: u32) -> u16 {
    let sum = u64::from(!checksum) + u64::from(!old) + u64::from(new);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// As [`update16`] for a 128-bit word (an IPv6 address) at an even offset.
#[inline]
pub fn update128(checksum: u16, old: u128, new: u128) -> u16 {
    let sum = Sum::ZERO
        .word(!checksum)
        .bytes(&(!old).to_be_bytes())
        .bytes(&new.to_be_bytes());
    sum.checksum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_of_the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::ZERO.bytes(&bytes).fold(), 0xddf2);
    }

    #[test]
    fn update_of_the_example_of_rfc_1624_section_4() {
        // The case that the equation of RFC 1141 gets wrong: the answer is 0x0000, not 0xffff.
        assert_eq!(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn carries_survive_the_largest_words() {
        for len in 0..2048 {
            let expected = if len == 0 { 0 } else { 0xffff };
            // An odd last byte 0xff counts as 0xff00: 0xffff + 0xff00 folds to 0xff00.
            let expected = if len % 2 == 1 { 0xff00 } else { expected };
            assert_eq!(Sum::ZERO.bytes(&vec![0xff; len]).fold(), expected, "{len} bytes");
        }
        let full = Sum::ZERO.add(u64::MAX).add(u64::MAX).add(u64::MAX);
        assert_eq!(full.fold(), 0xffff);
    }
}

//! What a checksum changes by (RFC 1624).

use packet::checksum::Sum;

/// Old words taken away and new ones added, one's complement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Difference(u64);

impl Difference {
    /// A word at an even offset changes.
    #[inline]
    pub(crate) fn word(&mut self, old: u16, new: u16) {
        self.long(u32::from(old), u32::from(new));
    }

    /// Two words change.
    #[inline]
    pub(crate) fn long(&mut self, old: u32, new: u32) {
        // Of 32 bits each: there are not 2^31 of them in a packet.
        self.0 += u64::from(!old) + u64::from(new);
    }

    /// An IPv6 address changes.
    #[inline]
    pub(crate) fn address(&mut self, old: u128, new: u128) {
        for shift in [0, 32, 64, 96] {
            self.long((old >> shift) as u32, (new >> shift) as u32);
        }
    }

    /// Whole words change: `old` and `new` are their sums.
    #[inline]
    pub(crate) fn sums(&mut self, old: Sum, new: Sum) {
        self.word(old.fold(), new.fold());
    }

    /// The checksum after that.
    #[inline(always)]
    pub(crate) fn apply(self, checksum: u16) -> u16 {
        let sum = self.0 + u64::from(!checksum);
        let sum = (sum & 0xffff_ffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }

    /// As [`Difference::apply`] for the field in place.
    #[inline(always)]
    pub(crate) fn apply_to(self, field: &mut [u8; 2]) {
        *field = self.apply(u16::from_be_bytes(*field)).to_be_bytes();
    }

    /// As [`Difference::apply_to`] for UDP: 0 is no checksum, and stays none.
    #[inline(always)]
    pub(crate) fn apply_to_udp(self, field: &mut [u8; 2]) {
        if *field != [0, 0] {
            let checksum = match self.apply(u16::from_be_bytes(*field)) {
                0 => 0xffff,
                other => other,
            };
            *field = checksum.to_be_bytes();
        }
    }
}

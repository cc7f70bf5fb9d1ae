//! Addresses on their way down.

use super::ROOT_BITS;
use super::memory::Place;

/// What is left of an address behind the bits that have been looked at, left-aligned.
///
/// Two halves, and not one number: shifts by less than 64 bits are all that is needed, and are much shorter then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    high: u64,
    low: u64,
}

impl Key {
    /// Of the address ::.
    pub(crate) const ZERO: Key = Key { high: 0, low: 0 };

    /// All of an address.
    #[inline(always)]
    pub(crate) const fn new(address: u128) -> Key {
        Key {
            high: (address >> 64) as u64,
            low: address as u64,
        }
    }

    /// Where the root has the entry of a whole address.
    #[inline(always)]
    pub(crate) const fn root(self) -> Place {
        Place((self.high >> (64 - ROOT_BITS)) as usize)
    }

    /// The first 64 bits.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.high
    }

    /// What is left behind `length` more bits, below 64.
    #[inline(always)]
    pub(crate) const fn after(self, length: u8) -> Key {
        // In two steps, since none of `low` comes along if the length is 0.
        let carried = self.low >> 1 >> (63 - length % 64);
        Key {
            high: self.high << (length % 64) | carried,
            low: self.low << (length % 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_is_the_rest_of_the_address(address: u128, length in 0u8..64) {
            let key = Key::new(address);
            prop_assert_eq!(key.after(length), Key::new(address << length));
            prop_assert_eq!(key.bits(), (address >> 64) as u64);
            prop_assert_eq!(key.root(), Place::root(address));
        }
    }
}

//! The arithmetic of RFC 1071 and RFC 1624.

use packet::checksum::{self, Sum};
use proptest::collection::vec;
use proptest::prelude::*;

/// RFC 1071 §4.1 word by word.
pub(crate) fn reference_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

proptest! {
    #[test]
    fn sum_equals_the_reference_at_any_length_and_split(bytes in vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        prop_assert_eq!(Sum::ZERO.bytes(&bytes).fold(), reference_sum(&bytes));
        prop_assert_eq!(checksum::checksum(&bytes), !reference_sum(&bytes));
        let (head, tail) = bytes.split_at(at.index(bytes.len() + 1) & !1);
        prop_assert_eq!(Sum::ZERO.bytes(head).bytes(tail).fold(), reference_sum(&bytes));
        let words = bytes.chunks_exact(2).fold(Sum::ZERO, |sum, word| sum.word(u16::from_be_bytes([word[0], word[1]])));
        prop_assert_eq!(words.bytes(bytes.chunks_exact(2).remainder()).fold(), reference_sum(&bytes));
    }

    #[test]
    fn updated_checksum_equals_the_recomputed(
        words in vec(prop_oneof![Just(0u16), Just(0xffff), any::<u16>()], 2..20),
        at in any::<prop::sample::Index>(),
        new in prop_oneof![Just(0u32), Just(0xffff), Just(u32::MAX), any::<u32>()],
    ) {
        // A header is never all zero: its version is not.
        let mut bytes: Vec<u8> = [0x4500].iter().chain(&words).flat_map(|word| word.to_be_bytes()).collect();
        let before = checksum::checksum(&bytes);
        let at = 2 + 2 * at.index(words.len() - 1);
        let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let old_word = u16::from_be_bytes([bytes[at], bytes[at + 1]]);

        let [high, low, ..] = new.to_be_bytes();
        let mut one_word = bytes.clone();
        one_word[at..at + 2].copy_from_slice(&[high, low]);
        let updated = checksum::update16(before, old_word, u16::from_be_bytes([high, low]));
        prop_assert_eq!(updated, checksum::checksum(&one_word));

        bytes[at..at + 4].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(checksum::update32(before, old, new), checksum::checksum(&bytes));
    }

    #[test]
    fn checksum_updated_for_128_bits_equals_the_recomputed(
        old in prop_oneof![Just(0u128), Just(u128::MAX), any::<u128>()],
        new in prop_oneof![Just(0u128), Just(u128::MAX), any::<u128>()],
        rest in any::<u16>(),
    ) {
        // A message is never all zero: its pseudo-header is not.
        let bytes = |word: u128| [&[0, 58][..], &rest.to_be_bytes(), &word.to_be_bytes()].concat();
        let updated = checksum::update128(checksum::checksum(&bytes(old)), old, new);
        prop_assert_eq!(updated, checksum::checksum(&bytes(new)));
    }
}

//! Puts the fragments of a message together (RFC 7383 §2.6), in bounded memory.

use super::{Clear, Fragment, MAX_FRAGMENTS, Secret};
use crate::wire::{HEADER_LEN, PAYLOAD_HEADER_LEN, PayloadType};

/// Bytes that all fragments of a message have together, at most.
pub const MAX_FRAGMENTED_LEN: usize = 65_535;

/// The fragments of one message that are here. Only authentic ones come here, so that nobody but the peer takes memory.
#[derive(Debug, Default)]
pub struct Fragments {
    first: Option<PayloadType>,
    parts: Vec<Option<Secret>>,
    missing: usize,
    len: usize,
}

/// Why a fragment is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// More than [`MAX_FRAGMENTS`] of them.
    #[error("the message has {0} fragments, and at most {MAX_FRAGMENTS} are taken; it is dropped")]
    TooMany(u16),
    /// More than [`MAX_FRAGMENTED_LEN`] bytes together.
    #[error("the fragments of the message have more than {MAX_FRAGMENTED_LEN} bytes; it is dropped")]
    TooLong,
    /// The same fragment again, or one of a message that was cut into fewer.
    #[error("the fragment is here already, or of an earlier attempt; it is dropped")]
    Stale,
}

impl Fragments {
    /// Nothing yet.
    pub fn new() -> Fragments {
        Fragments::default()
    }

    /// Takes a fragment; gives the payloads when it was the last that was missing. One of more fragments than those that are here
    /// is of a peer that cuts smaller after a timeout: it replaces them.
    pub fn add(&mut self, fragment: Fragment) -> Result<Option<Clear>, FragmentError> {
        let Fragment {
            first,
            number,
            total,
            bytes,
        } = fragment;
        if total > MAX_FRAGMENTS {
            return Err(FragmentError::TooMany(total));
        }
        let total = usize::from(total);
        if total > self.parts.len() {
            let mut parts = Vec::new();
            parts.resize_with(total, || None);
            *self = Fragments {
                first: None,
                parts,
                missing: total,
                len: 0,
            };
        } else if total < self.parts.len() {
            return Err(FragmentError::Stale);
        }
        let slot = usize::from(number)
            .checked_sub(1)
            .and_then(|at| self.parts.get_mut(at));
        let slot = slot.filter(|slot| slot.is_none()).ok_or(FragmentError::Stale)?;
        if self.len + bytes.len() > MAX_FRAGMENTED_LEN {
            return Err(FragmentError::TooLong);
        }
        self.len += bytes.len();
        self.missing -= 1;
        *slot = Some(bytes);
        if number == 1 {
            self.first = Some(first);
        }
        if self.missing > 0 {
            return Ok(None);
        }
        let whole = std::mem::take(self);
        let parts: Vec<&[u8]> = whole.parts.iter().flatten().map(Secret::expose).collect();
        let first = whole.first.unwrap_or(PayloadType::NONE);
        Ok(Some(Clear::new(
            first,
            Secret::concat(&parts),
            HEADER_LEN + PAYLOAD_HEADER_LEN,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Body, PayloadWriter};

    /// A Vendor ID of `len` bytes, in parts.
    fn fragments(len: usize, total: u16) -> Vec<Fragment> {
        let mut payloads = PayloadWriter::new();
        payloads.push(&Body::VendorId(&vec![7; len])).unwrap();
        let size = payloads.bytes().len().div_ceil(total.into());
        let parts = payloads.bytes().chunks(size).zip(1..);
        parts
            .map(|(part, number)| Fragment {
                first: if number == 1 {
                    payloads.first()
                } else {
                    PayloadType::NONE
                },
                number,
                total,
                bytes: Secret::from(part.to_vec()),
            })
            .collect()
    }

    fn vendor_id_len(clear: &Clear) -> usize {
        match clear.payloads().unwrap().iter().next().unwrap().body {
            Body::VendorId(bytes) => bytes.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fragments_in_any_order_give_the_payloads_and_leave_nothing() {
        let mut all = Fragments::new();
        for _ in 0..2 {
            let mut parts = fragments(1000, 5);
            parts.rotate_left(2);
            let last = parts.pop().unwrap();
            for part in parts {
                assert!(all.add(part).unwrap().is_none());
            }
            assert_eq!(vendor_id_len(&all.add(last).unwrap().unwrap()), 1000);
        }
    }

    #[test]
    fn a_fragment_that_is_here_is_not_taken_again() {
        let mut all = Fragments::new();
        all.add(fragments(1000, 3).remove(0)).unwrap();
        assert_eq!(
            all.add(fragments(1000, 3).remove(0)).unwrap_err(),
            FragmentError::Stale
        );
    }

    #[test]
    fn a_message_cut_smaller_replaces_the_one_before_and_not_the_other_way() {
        let mut all = Fragments::new();
        all.add(fragments(1000, 3).remove(0)).unwrap();
        let mut smaller = fragments(1000, 4);
        all.add(smaller.remove(0)).unwrap();
        assert_eq!(
            all.add(fragments(1000, 3).remove(1)).unwrap_err(),
            FragmentError::Stale
        );
        let last = smaller.pop().unwrap();
        all.add(smaller.remove(1)).unwrap();
        all.add(smaller.remove(0)).unwrap();
        assert_eq!(vendor_id_len(&all.add(last).unwrap().unwrap()), 1000);
    }

    #[test]
    fn memory_is_bounded() {
        let mut all = Fragments::new();
        let fragment = |number, total, len| Fragment {
            first: PayloadType::VENDOR_ID,
            number,
            total,
            bytes: Secret::from(vec![0; len]),
        };
        assert_eq!(
            all.add(fragment(1, 65, 1)).unwrap_err(),
            FragmentError::TooMany(65)
        );
        all.add(fragment(1, 64, 60_000)).unwrap();
        assert_eq!(
            all.add(fragment(2, 64, 5_536)).unwrap_err(),
            FragmentError::TooLong
        );
        all.add(fragment(2, 64, 5_535)).unwrap();
        assert_eq!(all.add(fragment(0, 64, 0)).unwrap_err(), FragmentError::Stale);
        assert_eq!(all.add(fragment(64, 64, 1)).unwrap_err(), FragmentError::TooLong);
    }
}

//! Bytes that nobody may see.

use std::fmt;

use zeroize::Zeroizing;

/// A key, or what keys are made of. It is wiped when dropped, cannot be copied by accident, and `Debug` shows its length alone.
///
/// ```
/// use ikev2::crypto::Secret;
///
/// let psk = Secret::from(b"presharedkey".to_vec());
/// assert_eq!(format!("{psk:?}"), "Secret(12 bytes)");
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes, for what computes with them or keeps them sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Bytes that there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As many zeros, to be written over.
    pub(super) fn zeros(len: usize) -> Secret {
        Secret(Zeroizing::new(vec![0; len]))
    }

    /// Keeps the first `len` bytes; the others are wiped with them.
    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(super) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Several, one behind the other.
    pub(super) fn concat(parts: &[&[u8]]) -> Secret {
        // Room for all at once: a vector that grows would leave copies behind.
        let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| all.extend_from_slice(part));
        Secret(Zeroizing::new(all))
    }

    /// The bytes themselves, for somebody else who wipes them.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }
}

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Secret {
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Whether both are the same, in a time that depends on their lengths alone.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Where random bytes come from: a generator that is fit for keys, outside of tests.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_alone() {
        let secret = Secret::concat(&[&[0xab; 16], b"cd"]);
        assert_eq!(
            format!("{secret:?} {secret:#?}"),
            "Secret(18 bytes) Secret(18 bytes)"
        );
    }

    #[test]
    fn equality_takes_all_bytes_and_the_length() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        for other in [&b"abd"[..], b"bbc", b"ab", b"abcd", b""] {
            assert!(!equal(b"abc", other));
        }
    }
}

//! The keys of an SA: one string of bytes, in the order in which key exchange makes it (RFC 7296 §2.17).
//!
//! ```text
//!   AEAD      │ cipher key │ salt, 4 bytes │           RFC 4106 §8.1, RFC 7634 §2
//!   others    │ cipher key │ integrity key │           RFC 4303, each as long as its RFC says
//! ```

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::Transform;

/// What stands in front of the IV to make an AEAD's nonce: 4 bytes, all zero for the other transforms. It need not be secret
/// (RFC 4106 §4), but it is part of the keys, so nothing shows it, and SAs wipe it when they go.
#[derive(Clone, Copy, Default)]
pub(crate) struct Salt(pub(crate) [u8; 4]);

impl Salt {
    const NONE: &'static [u8; 4] = &[0; 4];
}

impl Zeroize for Salt {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// The keys are longer or shorter than the transform takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{transform} takes {needed} bytes of keys and got {given}; give {cipher} for the cipher{more}",
    needed = .transform.key_len(),
    cipher = .transform.cipher_key_len(),
    more = .transform.behind_the_cipher_key(),
)]
pub struct KeyLengthError {
    /// For which the keys were to be.
    pub transform: Transform,
    /// How many bytes there were.
    pub given: usize,
}

/// What follows the cipher's key, for people.
struct More(Transform);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_aead() {
            write!(f, " and behind them {} of salt", self.0.salt_len())
        } else {
            write!(
                f,
                " and behind them {} for the integrity algorithm",
                self.0.integrity_key_len()
            )
        }
    }
}

/// The keys of an SA taken apart, where they are: for memory that is locked and wiped by its owner.
#[derive(Clone, Copy)]
pub struct KeyParts<'k> {
    transform: Transform,
    cipher: &'k [u8],
    salt: &'k [u8; 4],
    integrity: &'k [u8],
}

impl<'k> KeyParts<'k> {
    /// What they are for.
    pub fn transform(&self) -> Transform {
        self.transform
    }

    /// The cipher's key; empty for NULL.
    pub fn cipher(&self) -> &'k [u8] {
        self.cipher
    }

    /// The integrity algorithm's key; empty for an AEAD.
    pub fn integrity(&self) -> &'k [u8] {
        self.integrity
    }

    pub(crate) fn salt(&self) -> Salt {
        Salt(*self.salt)
    }
}

impl fmt::Debug for KeyParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyParts({}, ..)", self.transform)
    }
}

impl Transform {
    fn behind_the_cipher_key(self) -> More {
        More(self)
    }

    /// Takes the keys of an SA apart.
    pub fn split(self, keys: &[u8]) -> Result<KeyParts<'_>, KeyLengthError> {
        let wrong = KeyLengthError {
            transform: self,
            given: keys.len(),
        };
        if keys.len() != self.key_len() {
            return Err(wrong);
        }
        let (cipher, rest) = keys.split_at_checked(self.cipher_key_len()).ok_or(wrong)?;
        let (salt, integrity) = rest.split_at_checked(self.salt_len()).ok_or(wrong)?;
        let salt = salt.first_chunk().unwrap_or(Salt::NONE);
        Ok(KeyParts {
            transform: self,
            cipher,
            salt,
            integrity,
        })
    }
}

/// The keys of an SA, as long as its transform takes. They are wiped when dropped, and `Debug` shows none of them.
///
/// ```
/// use esp::{Keys, Transform};
///
/// let keys = Keys::new(Transform::NullSha256, vec![7; 32].into())?;
/// assert_eq!(keys.parts().integrity(), [7; 32]);
/// assert_eq!(format!("{keys:?}"), "Keys(null-sha256, ..)");
/// # Ok::<(), esp::KeyLengthError>(())
/// ```
pub struct Keys {
    transform: Transform,
    bytes: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// Takes the keys for `transform`; refused ones are wiped.
    pub fn new(transform: Transform, bytes: Zeroizing<Vec<u8>>) -> Result<Keys, KeyLengthError> {
        transform.split(&bytes)?;
        Ok(Keys { transform, bytes })
    }

    /// They taken apart.
    pub fn parts(&self) -> KeyParts<'_> {
        // `new` has seen that they can be taken apart.
        self.transform.split(&self.bytes).unwrap_or(KeyParts {
            transform: self.transform,
            cipher: &[],
            salt: Salt::NONE,
            integrity: &[],
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, ..)", self.transform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_long_as_the_transform_says_and_lie_in_order() {
        for transform in Transform::ALL {
            let bytes: Vec<u8> = (0..transform.key_len() as u8).collect();
            let keys = Keys::new(transform, bytes.clone().into()).unwrap();
            let parts = keys.parts();
            let salt = &parts.salt().0[..transform.salt_len()];
            assert_eq!(
                [parts.cipher, salt, parts.integrity].concat(),
                bytes,
                "{transform}"
            );
            let lengths = (parts.cipher().len(), parts.integrity().len());
            assert_eq!(
                lengths,
                (transform.cipher_key_len(), transform.integrity_key_len())
            );
            assert_eq!(parts.transform(), transform);
        }
    }

    #[test]
    fn other_lengths_are_refused_with_the_right_one() {
        for transform in Transform::ALL {
            for given in [0, transform.key_len() - 1, transform.key_len() + 1] {
                let refused = Keys::new(transform, vec![0; given].into()).unwrap_err();
                assert_eq!(refused, KeyLengthError { transform, given });
            }
        }
        let refused = Transform::Aes256Gcm16.split(&[0; 32]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "aes256gcm16 takes 36 bytes of keys and got 32; give 32 for the cipher and behind them 4 of salt"
        );
    }

    #[test]
    fn the_salt_of_an_sa_that_goes_is_wiped() {
        let mut salt = Salt([0xab; 4]);
        salt.zeroize();
        assert_eq!(salt.0, [0; 4]);
        // Both keep theirs in what wipes it: nothing else of one that sends has to be dropped.
        assert!(std::mem::needs_drop::<crate::Outbound>());
        // Whoever takes keys apart has no copy.
        assert!(!std::mem::needs_drop::<KeyParts<'_>>());
        let keys = Keys::new(Transform::Aes128Gcm16, (0..20).collect::<Vec<u8>>().into()).unwrap();
        assert!(std::ptr::eq(keys.parts().salt.as_slice(), &keys.bytes[16..]));
    }

    #[test]
    fn nothing_of_the_keys_is_shown() {
        let keys = Keys::new(Transform::Aes128Gcm16, vec![0xab; 20].into()).unwrap();
        let shown = format!("{keys:?} {:?} {:?}", keys.parts(), keys.parts().salt());
        assert_eq!(shown, "Keys(aes128gcm16, ..) KeyParts(aes128gcm16, ..) Salt(..)");
    }
}

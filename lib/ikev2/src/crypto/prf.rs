//! Pseudorandom functions, and `prf+` (RFC 7296 §2.13).

use aws_lc_rs::hmac;

use super::Secret;
use crate::wire::{PrfId, Transform, TransformType};

/// A pseudorandom function (RFC 4868). Its keys may have any length (RFC 7296 §2.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prf {
    /// PRF-HMAC-SHA2-256.
    HmacSha256,
    /// PRF-HMAC-SHA2-384.
    HmacSha384,
    /// PRF-HMAC-SHA2-512.
    HmacSha512,
}

impl Prf {
    /// The function of a transform, if it is here.
    pub fn of(transform: Transform) -> Option<Prf> {
        if transform.kind != TransformType::PRF || transform.key_length.is_some() {
            return None;
        }
        match PrfId(transform.id) {
            PrfId::HMAC_SHA2_256 => Some(Prf::HmacSha256),
            PrfId::HMAC_SHA2_384 => Some(Prf::HmacSha384),
            PrfId::HMAC_SHA2_512 => Some(Prf::HmacSha512),
            _ => None,
        }
    }

    /// Its transform.
    pub const fn transform(self) -> Transform {
        Transform::prf(match self {
            Prf::HmacSha256 => PrfId::HMAC_SHA2_256,
            Prf::HmacSha384 => PrfId::HMAC_SHA2_384,
            Prf::HmacSha512 => PrfId::HMAC_SHA2_512,
        })
    }

    /// Bytes of what comes out, and of keys that are made for it: SK_d and SK_p.
    pub const fn len(self) -> usize {
        match self {
            Prf::HmacSha256 => 32,
            Prf::HmacSha384 => 48,
            Prf::HmacSha512 => 64,
        }
    }

    /// What comes out is never empty.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// `prf(key, data)`, with the data in parts.
    pub fn apply(self, key: &[u8], data: &[&[u8]]) -> Secret {
        self.keyed(key).apply(data)
    }

    /// The first `len` bytes of `prf+(key, seed)` (RFC 7296 §2.13). `None`: more than 255 times what the function gives.
    pub fn plus(self, key: &[u8], seed: &[&[u8]], len: usize) -> Option<Secret> {
        if len > 255 * self.len() {
            return None;
        }
        let keyed = self.keyed(key);
        let mut out = Secret::zeros(len);
        let mut last = Secret::zeros(0);
        for (piece, number) in out.expose_mut().chunks_mut(self.len()).zip(1u8..=255) {
            let number = [number];
            let parts = [&[last.expose()], seed, &[&number]].concat();
            last = keyed.apply(&parts);
            for (to, from) in piece.iter_mut().zip(last.expose()) {
                *to = *from;
            }
        }
        Some(out)
    }

    fn keyed(self, key: &[u8]) -> Keyed {
        let algorithm = match self {
            Prf::HmacSha256 => hmac::HMAC_SHA256,
            Prf::HmacSha384 => hmac::HMAC_SHA384,
            Prf::HmacSha512 => hmac::HMAC_SHA512,
        };
        Keyed(hmac::Key::new(algorithm, key), self.len())
    }
}

/// A function with its key.
struct Keyed(hmac::Key, usize);

impl Keyed {
    fn apply(&self, data: &[&[u8]]) -> Secret {
        // One piece: what takes it in parts leaves its result on the stack, where nobody wipes it.
        let data = Secret::concat(data);
        let mut out = Secret::zeros(self.1);
        if hmac::sign_to_buffer(&self.0, data.expose(), out.expose_mut()).is_err() {
            // There is room, so AWS-LC itself has failed. This one does not return then, so that no key is ever zero.
            let tag = hmac::sign(&self.0, data.expose());
            return Secret::concat(&[tag.as_ref()]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(secret: &Secret) -> String {
        secret.expose().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4868 §2.7.1: test cases PRF-1 and PRF-6, whose key is longer than a block.
    #[test]
    fn values_are_those_of_rfc_4868() {
        let of = |prf: Prf, key: &[u8], data: &[u8]| hex(&prf.apply(key, &[data]));
        let data = b"Hi There";
        assert_eq!(
            of(Prf::HmacSha256, &[0x0b; 20], data),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            of(Prf::HmacSha384, &[0x0b; 20], data),
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"
        );
        assert_eq!(
            of(Prf::HmacSha512, &[0x0b; 20], data),
            concat!(
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde",
                "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            )
        );
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            of(Prf::HmacSha256, &[0xaa; 131], data),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn data_may_come_in_parts() {
        let whole = Prf::HmacSha384.apply(b"key", &[b"abcdef"]);
        assert_eq!(
            whole.expose(),
            Prf::HmacSha384.apply(b"key", &[b"ab", b"", b"cdef"]).expose()
        );
    }

    /// T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2), and so on.
    #[test]
    fn plus_chains_as_rfc_7296_says_and_ends_at_255() {
        let prf = Prf::HmacSha256;
        let first = prf.apply(b"key", &[b"seed", &[1]]);
        let second = prf.apply(b"key", &[first.expose(), b"seed", &[2]]);
        let third = prf.apply(b"key", &[second.expose(), b"seed", &[3]]);
        let all = [first.expose(), second.expose(), third.expose()].concat();
        for len in [0, 1, 32, 33, 70, 96] {
            assert_eq!(
                prf.plus(b"key", &[b"se", b"ed"], len).unwrap().expose(),
                &all[..len]
            );
        }
        assert_eq!(prf.plus(b"key", &[b"seed"], 255 * 32).unwrap().len(), 255 * 32);
        assert!(prf.plus(b"key", &[b"seed"], 255 * 32 + 1).is_none());
    }

    #[test]
    fn functions_that_are_not_here_are_none() {
        for prf in [Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512] {
            assert_eq!(Prf::of(prf.transform()), Some(prf));
        }
        for word in ["prfsha1", "prfmd5", "prfaesxcbc", "sha256", "aes128"] {
            assert_eq!(Prf::of(word.parse().unwrap()), None, "{word}");
        }
    }
}

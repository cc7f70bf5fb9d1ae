//! Transforms, and the words that people write for them.
//!
//! The words are those of strongSwan's proposals where it has one: `aes256gcm16`, `prfsha256`, `modp2048`, `curve25519`, `esn`.

use std::fmt;
use std::str::FromStr;

use super::{EncryptionId, IntegrityId, KeyExchangeMethod, PrfId, SequenceNumbers, TransformType};

/// One algorithm of a proposal. As text it is the word for it, and what has none is shown by its numbers.
///
/// ```
/// use ikev2::wire::{EncryptionId, Transform};
///
/// let transform: Transform = "aes256gcm16".parse()?;
/// assert_eq!(transform, Transform::encryption(EncryptionId::AES_GCM_16, Some(256)));
/// # Ok::<(), ikev2::wire::UnknownKeyword>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transform {
    /// What it is for.
    pub kind: TransformType,
    /// Its number in the registry of its type.
    pub id: u16,
    /// Bits of the key, where the algorithm has keys of several lengths (RFC 7296 §3.3.5).
    pub key_length: Option<u16>,
}

impl Transform {
    /// One without attributes.
    pub const fn new(kind: TransformType, id: u16) -> Transform {
        Transform {
            kind,
            id,
            key_length: None,
        }
    }

    /// Encryption; `key_length` in bits for algorithms with several.
    pub const fn encryption(id: EncryptionId, key_length: Option<u16>) -> Transform {
        Transform {
            kind: TransformType::ENCR,
            id: id.0,
            key_length,
        }
    }

    /// A pseudorandom function.
    pub const fn prf(id: PrfId) -> Transform {
        Transform::new(TransformType::PRF, id.0)
    }

    /// Integrity.
    pub const fn integrity(id: IntegrityId) -> Transform {
        Transform::new(TransformType::INTEG, id.0)
    }

    /// The first key exchange.
    pub const fn key_exchange(method: KeyExchangeMethod) -> Transform {
        Transform::new(TransformType::KE, method.0)
    }

    /// Sequence numbers of ESP.
    pub const fn sequence_numbers(id: SequenceNumbers) -> Transform {
        Transform::new(TransformType::ESN, id.0)
    }

    /// Whether it encrypts and authenticates.
    pub const fn is_combined_mode(self) -> bool {
        self.kind.0 == TransformType::ENCR.0 && EncryptionId(self.id).is_combined_mode()
    }

    /// Whether it stands for nothing of its type.
    pub fn is_none(self) -> bool {
        self.kind.none() == Some(self.id)
    }

    /// The word for it. Additional key exchanges have none of their own: they are shown behind `ke1_` to `ke7_`.
    pub fn keyword(self) -> Option<&'static str> {
        KEYWORDS
            .iter()
            .find(|(_, transform)| *transform == self)
            .map(|(word, _)| *word)
    }
}

const fn aes(id: EncryptionId, bits: u16) -> Transform {
    Transform::encryption(id, Some(bits))
}

/// Words for transforms; of several for one the first is shown. ICVs of GCM may be given in bits, too.
const KEYWORDS: &[(&str, Transform)] = &[
    ("null", Transform::encryption(EncryptionId::NULL, None)),
    ("3des", Transform::encryption(EncryptionId::DES3, None)),
    ("aes128", aes(EncryptionId::AES_CBC, 128)),
    ("aes192", aes(EncryptionId::AES_CBC, 192)),
    ("aes256", aes(EncryptionId::AES_CBC, 256)),
    ("aes", aes(EncryptionId::AES_CBC, 128)),
    ("aes128ctr", aes(EncryptionId::AES_CTR, 128)),
    ("aes192ctr", aes(EncryptionId::AES_CTR, 192)),
    ("aes256ctr", aes(EncryptionId::AES_CTR, 256)),
    ("aes128ccm8", aes(EncryptionId::AES_CCM_8, 128)),
    ("aes192ccm8", aes(EncryptionId::AES_CCM_8, 192)),
    ("aes256ccm8", aes(EncryptionId::AES_CCM_8, 256)),
    ("aes128ccm12", aes(EncryptionId::AES_CCM_12, 128)),
    ("aes192ccm12", aes(EncryptionId::AES_CCM_12, 192)),
    ("aes256ccm12", aes(EncryptionId::AES_CCM_12, 256)),
    ("aes128ccm16", aes(EncryptionId::AES_CCM_16, 128)),
    ("aes192ccm16", aes(EncryptionId::AES_CCM_16, 192)),
    ("aes256ccm16", aes(EncryptionId::AES_CCM_16, 256)),
    ("aes128gcm8", aes(EncryptionId::AES_GCM_8, 128)),
    ("aes192gcm8", aes(EncryptionId::AES_GCM_8, 192)),
    ("aes256gcm8", aes(EncryptionId::AES_GCM_8, 256)),
    ("aes128gcm12", aes(EncryptionId::AES_GCM_12, 128)),
    ("aes192gcm12", aes(EncryptionId::AES_GCM_12, 192)),
    ("aes256gcm12", aes(EncryptionId::AES_GCM_12, 256)),
    ("aes128gcm16", aes(EncryptionId::AES_GCM_16, 128)),
    ("aes192gcm16", aes(EncryptionId::AES_GCM_16, 192)),
    ("aes256gcm16", aes(EncryptionId::AES_GCM_16, 256)),
    ("aes128gcm", aes(EncryptionId::AES_GCM_16, 128)),
    ("aes192gcm", aes(EncryptionId::AES_GCM_16, 192)),
    ("aes256gcm", aes(EncryptionId::AES_GCM_16, 256)),
    ("aes128gcm64", aes(EncryptionId::AES_GCM_8, 128)),
    ("aes192gcm64", aes(EncryptionId::AES_GCM_8, 192)),
    ("aes256gcm64", aes(EncryptionId::AES_GCM_8, 256)),
    ("aes128gcm96", aes(EncryptionId::AES_GCM_12, 128)),
    ("aes192gcm96", aes(EncryptionId::AES_GCM_12, 192)),
    ("aes256gcm96", aes(EncryptionId::AES_GCM_12, 256)),
    ("aes128gcm128", aes(EncryptionId::AES_GCM_16, 128)),
    ("aes192gcm128", aes(EncryptionId::AES_GCM_16, 192)),
    ("aes256gcm128", aes(EncryptionId::AES_GCM_16, 256)),
    ("aes128gmac", aes(EncryptionId::NULL_AUTH_AES_GMAC, 128)),
    ("aes192gmac", aes(EncryptionId::NULL_AUTH_AES_GMAC, 192)),
    ("aes256gmac", aes(EncryptionId::NULL_AUTH_AES_GMAC, 256)),
    ("camellia128", aes(EncryptionId::CAMELLIA_CBC, 128)),
    ("camellia192", aes(EncryptionId::CAMELLIA_CBC, 192)),
    ("camellia256", aes(EncryptionId::CAMELLIA_CBC, 256)),
    (
        "chacha20poly1305",
        Transform::encryption(EncryptionId::CHACHA20_POLY1305, None),
    ),
    ("prfmd5", Transform::prf(PrfId::HMAC_MD5)),
    ("prfsha1", Transform::prf(PrfId::HMAC_SHA1)),
    ("prfaesxcbc", Transform::prf(PrfId::AES128_XCBC)),
    ("prfaescmac", Transform::prf(PrfId::AES128_CMAC)),
    ("prfsha256", Transform::prf(PrfId::HMAC_SHA2_256)),
    ("prfsha384", Transform::prf(PrfId::HMAC_SHA2_384)),
    ("prfsha512", Transform::prf(PrfId::HMAC_SHA2_512)),
    ("md5", Transform::integrity(IntegrityId::HMAC_MD5_96)),
    ("sha1", Transform::integrity(IntegrityId::HMAC_SHA1_96)),
    ("sha", Transform::integrity(IntegrityId::HMAC_SHA1_96)),
    ("aesxcbc", Transform::integrity(IntegrityId::AES_XCBC_96)),
    ("aescmac", Transform::integrity(IntegrityId::AES_CMAC_96)),
    ("sha256", Transform::integrity(IntegrityId::HMAC_SHA2_256_128)),
    ("sha384", Transform::integrity(IntegrityId::HMAC_SHA2_384_192)),
    ("sha512", Transform::integrity(IntegrityId::HMAC_SHA2_512_256)),
    ("sha2_256", Transform::integrity(IntegrityId::HMAC_SHA2_256_128)),
    ("sha2_384", Transform::integrity(IntegrityId::HMAC_SHA2_384_192)),
    ("sha2_512", Transform::integrity(IntegrityId::HMAC_SHA2_512_256)),
    ("modpnone", Transform::key_exchange(KeyExchangeMethod::NONE)),
    ("modp768", Transform::key_exchange(KeyExchangeMethod::MODP_768)),
    ("modp1024", Transform::key_exchange(KeyExchangeMethod::MODP_1024)),
    ("modp1536", Transform::key_exchange(KeyExchangeMethod::MODP_1536)),
    ("modp2048", Transform::key_exchange(KeyExchangeMethod::MODP_2048)),
    ("modp3072", Transform::key_exchange(KeyExchangeMethod::MODP_3072)),
    ("modp4096", Transform::key_exchange(KeyExchangeMethod::MODP_4096)),
    ("modp6144", Transform::key_exchange(KeyExchangeMethod::MODP_6144)),
    ("modp8192", Transform::key_exchange(KeyExchangeMethod::MODP_8192)),
    ("ecp256", Transform::key_exchange(KeyExchangeMethod::ECP_256)),
    ("ecp384", Transform::key_exchange(KeyExchangeMethod::ECP_384)),
    ("ecp521", Transform::key_exchange(KeyExchangeMethod::ECP_521)),
    (
        "curve25519",
        Transform::key_exchange(KeyExchangeMethod::CURVE25519),
    ),
    ("x25519", Transform::key_exchange(KeyExchangeMethod::CURVE25519)),
    ("curve448", Transform::key_exchange(KeyExchangeMethod::CURVE448)),
    ("x448", Transform::key_exchange(KeyExchangeMethod::CURVE448)),
    ("mlkem512", Transform::key_exchange(KeyExchangeMethod::ML_KEM_512)),
    ("mlkem768", Transform::key_exchange(KeyExchangeMethod::ML_KEM_768)),
    (
        "mlkem1024",
        Transform::key_exchange(KeyExchangeMethod::ML_KEM_1024),
    ),
    ("noesn", Transform::sequence_numbers(SequenceNumbers::BITS_32)),
    ("esn", Transform::sequence_numbers(SequenceNumbers::EXTENDED)),
];

/// Which additional key exchange the word is of, and the rest of it.
fn additional(word: &str) -> Option<(TransformType, &str)> {
    let (number, method) = word.strip_prefix("ke")?.split_once('_')?;
    let number = number
        .parse::<u8>()
        .ok()
        .filter(|number| (1..=7).contains(number))?;
    Some((TransformType(TransformType::ADDKE1.0 + number - 1), method))
}

/// The word stands for no transform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no algorithm; write words like aes256gcm16, aes128, sha256, prfsha256, curve25519, ecp256, modp2048 or esn"
)]
pub struct UnknownKeyword(pub String);

impl FromStr for Transform {
    type Err = UnknownKeyword;

    fn from_str(word: &str) -> Result<Transform, UnknownKeyword> {
        let find = |word: &str| {
            KEYWORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map(|(_, found)| *found)
        };
        let found = match additional(word) {
            Some((kind, method)) => find(if method == "none" { "modpnone" } else { method })
                .filter(|transform| transform.kind == TransformType::KE)
                .map(|transform| Transform { kind, ..transform }),
            None => find(word),
        };
        found.ok_or_else(|| UnknownKeyword(word.to_owned()))
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(word) = self.keyword() {
            return f.pad(word);
        }
        let first = Transform {
            kind: TransformType::KE,
            ..*self
        };
        if self.kind.is_additional_key_exchange()
            && let Some(word) = first.keyword()
        {
            let word = if word == "modpnone" { "none" } else { word };
            return write!(f, "ke{}_{word}", self.kind.0 - TransformType::ADDKE1.0 + 1);
        }
        match self.kind {
            TransformType::ENCR => write!(f, "{}", EncryptionId(self.id))?,
            TransformType::PRF => write!(f, "{}", PrfId(self.id))?,
            TransformType::INTEG if self.is_none() => f.write_str("no integrity algorithm")?,
            TransformType::INTEG => write!(f, "{}", IntegrityId(self.id))?,
            TransformType::KE => write!(f, "{}", KeyExchangeMethod(self.id))?,
            TransformType::ESN => write!(f, "{}", SequenceNumbers(self.id))?,
            kind => write!(f, "{kind} number {}", self.id)?,
        }
        match self.key_length {
            Some(bits) => write!(f, " with keys of {bits} bits"),
            None if aes_by_number(self) => f.write_str(" without a key length"),
            None => Ok(()),
        }
    }
}

/// Whether it is an algorithm that needs a key length.
fn aes_by_number(transform: &Transform) -> bool {
    transform.kind == TransformType::ENCR
        && KEYWORDS.iter().any(|(_, known)| {
            known.kind == transform.kind && known.id == transform.id && known.key_length.is_some()
        })
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_or_as_the_first_for_the_same() {
        for (word, transform) in KEYWORDS {
            assert_eq!(word.parse(), Ok(*transform));
            assert_eq!(transform.to_string().parse(), Ok(*transform), "{word}");
        }
        assert_eq!("x25519".parse::<Transform>().unwrap().to_string(), "curve25519");
        assert_eq!(
            "aes256gcm".parse::<Transform>().unwrap().to_string(),
            "aes256gcm16"
        );
    }

    #[test]
    fn additional_key_exchanges_are_key_exchanges_with_a_number() {
        let transform: Transform = "ke3_mlkem768".parse().unwrap();
        assert_eq!((transform.kind, transform.id), (TransformType::ADDKE3, 36));
        assert_eq!(transform.to_string(), "ke3_mlkem768");
        let none: Transform = "ke1_none".parse().unwrap();
        assert!(none.is_none() && none.kind == TransformType::ADDKE1);
        assert_eq!(none.to_string(), "ke1_none");
        for word in [
            "ke0_modp2048",
            "ke8_modp2048",
            "ke1_aes128",
            "ke1_",
            "ke_modp2048",
            "ke1_ke2_modp2048",
        ] {
            assert_eq!(word.parse::<Transform>(), Err(UnknownKeyword(word.to_owned())));
        }
    }

    #[test]
    fn what_is_no_word_is_refused_with_examples() {
        for word in ["", "AES256", "aes512", "modp", "aes256gcm16 "] {
            let refused = word.parse::<Transform>().unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("'{word}' is no algorithm; write")),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_has_no_word_is_shown_by_its_number() {
        let shown = [
            (
                aes(EncryptionId::AES_CBC, 129),
                "ENCR_AES_CBC with keys of 129 bits",
            ),
            (
                Transform::encryption(EncryptionId::AES_GCM_16, None),
                "ENCR_AES_GCM_16 without a key length",
            ),
            (
                Transform::encryption(EncryptionId(1000), None),
                "encryption algorithm 1000",
            ),
            (Transform::prf(PrfId(77)), "PRF 77"),
            (Transform::integrity(IntegrityId::NONE), "no integrity algorithm"),
            (Transform::integrity(IntegrityId(99)), "integrity algorithm 99"),
            (
                Transform::key_exchange(KeyExchangeMethod(22)),
                "key exchange method 22",
            ),
            (
                Transform::sequence_numbers(SequenceNumbers(3)),
                "sequence numbers 3",
            ),
            (
                Transform::new(TransformType(200), 5),
                "transform type 200 number 5",
            ),
        ];
        for (transform, text) in shown {
            assert_eq!(transform.to_string(), text);
        }
    }

    #[test]
    fn combined_modes_are_those_that_authenticate() {
        assert!("aes128gcm16".parse::<Transform>().unwrap().is_combined_mode());
        assert!(
            "chacha20poly1305"
                .parse::<Transform>()
                .unwrap()
                .is_combined_mode()
        );
        for word in ["aes128", "null", "prfsha256", "modp2048"] {
            assert!(!word.parse::<Transform>().unwrap().is_combined_mode(), "{word}");
        }
        // A number of another registry that would be AES-GCM.
        assert!(!Transform::prf(PrfId(20)).is_combined_mode());
    }
}

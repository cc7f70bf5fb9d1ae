//! Suites: the algorithms of an IKE SA, or of a child SA, as they were negotiated.

use std::fmt;

use super::{Encryption, Group, Integrity, Prf};
use crate::wire::{EncryptionId, KeyExchangeMethod, SequenceNumbers, Transform, TransformType};

/// Why transforms that were negotiated make no suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// Nothing of a type that is needed.
    #[error("there is no {0} algorithm among the transforms; a proposal needs one")]
    Missing(TransformType),
    /// Two of a type.
    #[error("there is more than one {0} algorithm among the transforms; one is chosen of each type")]
    Several(TransformType),
    /// An algorithm that is not here.
    #[error("{0} cannot be used here; leave it out of the proposals")]
    Unsupported(Transform),
    /// An integrity algorithm beside a cipher that authenticates (RFC 5282 §8).
    #[error("{0} authenticates by itself and takes no {1}; leave that out of the proposal")]
    NeedlessIntegrity(Transform, Transform),
}

/// The one transform of a type, and `None` for one that stands for nothing.
fn one(transforms: &[Transform], kind: TransformType) -> Result<Option<Transform>, SuiteError> {
    let mut of_kind = transforms.iter().filter(|transform| transform.kind == kind);
    let first = of_kind.next().copied();
    if of_kind.next().is_some() {
        return Err(SuiteError::Several(kind));
    }
    Ok(first.filter(|transform| !transform.is_none()))
}

fn needed<T>(
    transform: Option<Transform>,
    kind: TransformType,
    of: fn(Transform) -> Option<T>,
) -> Result<T, SuiteError> {
    let transform = transform.ok_or(SuiteError::Missing(kind))?;
    of(transform).ok_or(SuiteError::Unsupported(transform))
}

fn group(transform: Transform) -> Option<Group> {
    Group::of(KeyExchangeMethod(transform.id)).filter(|_| transform.key_length.is_none())
}

fn optional<T>(
    transform: Option<Transform>,
    of: fn(Transform) -> Option<T>,
) -> Result<Option<T>, SuiteError> {
    transform
        .map(|transform| of(transform).ok_or(SuiteError::Unsupported(transform)))
        .transpose()
}

/// Refuses transforms of types that no suite here has a place for: other types, additional key exchanges (RFC 9370).
fn known(transforms: &[Transform]) -> Result<(), SuiteError> {
    let strange = |transform: &&Transform| transform.kind.0 == 0 || transform.kind > TransformType::ESN;
    match transforms
        .iter()
        .filter(strange)
        .find(|transform| !transform.is_none())
    {
        Some(transform) => Err(SuiteError::Unsupported(*transform)),
        None => Ok(()),
    }
}

/// The algorithms of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeSuite {
    pub(super) encryption: Encryption,
    /// There exactly where the cipher does not authenticate.
    pub(super) integrity: Option<Integrity>,
    pub(super) prf: Prf,
    pub(super) group: Group,
}

impl IkeSuite {
    /// The suite of the transforms that were negotiated.
    pub fn new(transforms: &[Transform]) -> Result<IkeSuite, SuiteError> {
        known(transforms)?;
        let chosen = |kind| one(transforms, kind);
        let encryption = needed(chosen(TransformType::ENCR)?, TransformType::ENCR, Encryption::of)?;
        let integrity = integrity(encryption, chosen(TransformType::INTEG)?)?;
        if let Some(numbers) = chosen(TransformType::ESN)? {
            return Err(SuiteError::Unsupported(numbers));
        }
        Ok(IkeSuite {
            encryption,
            integrity,
            prf: needed(chosen(TransformType::PRF)?, TransformType::PRF, Prf::of)?,
            group: needed(chosen(TransformType::KE)?, TransformType::KE, group)?,
        })
    }

    /// Transforms that [`IkeSuite::new`] makes the same suite of.
    pub fn transforms(&self) -> Vec<Transform> {
        let integrity = self.integrity.map(Integrity::transform);
        let group = Transform::key_exchange(self.group.method());
        let mut all = vec![self.encryption.transform(), self.prf.transform(), group];
        all.extend(integrity);
        all
    }

    /// What encrypts.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// What authenticates messages; `None` where the cipher does.
    pub fn integrity(&self) -> Option<Integrity> {
        self.integrity
    }

    /// What makes keys.
    pub fn prf(&self) -> Prf {
        self.prf
    }

    /// The key exchange.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Bytes of SK_a: 0 where the cipher authenticates.
    pub fn integrity_key_len(&self) -> usize {
        self.integrity.map_or(0, Integrity::key_len)
    }

    /// Bytes of the ICV of a message.
    pub fn icv_len(&self) -> usize {
        self.integrity.map_or(16, Integrity::icv_len)
    }
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.encryption.transform())?;
        if let Some(integrity) = self.integrity {
            write!(f, "-{}", integrity.transform())?;
        }
        write!(f, "-{}-{}", self.prf.transform(), self.group)
    }
}

/// What authenticates beside `encryption`, of which exactly one of both has to.
fn integrity(encryption: Encryption, transform: Option<Transform>) -> Result<Option<Integrity>, SuiteError> {
    match transform {
        Some(transform) if encryption.is_aead() => {
            Err(SuiteError::NeedlessIntegrity(encryption.transform(), transform))
        }
        None if encryption.is_aead() => Ok(None),
        transform => needed(transform, TransformType::INTEG, Integrity::of).map(Some),
    }
}

/// The algorithms of a child SA of ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspSuite {
    encryption: Option<Encryption>,
    /// There exactly where the cipher does not authenticate.
    integrity: Option<Integrity>,
    group: Option<Group>,
    extended_sequence_numbers: bool,
}

impl EspSuite {
    /// The suite of the transforms that were negotiated.
    pub fn new(transforms: &[Transform]) -> Result<EspSuite, SuiteError> {
        known(transforms)?;
        let chosen = |kind| one(transforms, kind);
        let cipher = chosen(TransformType::ENCR)?;
        let (encryption, integrity) = if cipher == Some(Transform::encryption(EncryptionId::NULL, None)) {
            let integrity = needed(chosen(TransformType::INTEG)?, TransformType::INTEG, Integrity::of)?;
            (None, Some(integrity))
        } else {
            let encryption = needed(cipher, TransformType::ENCR, Encryption::of)?;
            (
                Some(encryption),
                integrity(encryption, chosen(TransformType::INTEG)?)?,
            )
        };
        if let Some(prf) = chosen(TransformType::PRF)? {
            return Err(SuiteError::Unsupported(prf));
        }
        let numbers = chosen(TransformType::ESN)?;
        if let Some(numbers) = numbers
            && numbers != Transform::sequence_numbers(SequenceNumbers::EXTENDED)
        {
            return Err(SuiteError::Unsupported(numbers));
        }
        let group = optional(chosen(TransformType::KE)?, group)?;
        let extended_sequence_numbers = numbers.is_some();
        Ok(EspSuite {
            encryption,
            integrity,
            group,
            extended_sequence_numbers,
        })
    }

    /// Transforms that [`EspSuite::new`] makes the same suite of.
    pub fn transforms(&self) -> Vec<Transform> {
        let null = Transform::encryption(EncryptionId::NULL, None);
        let extended = Transform::sequence_numbers(SequenceNumbers::EXTENDED);
        let mut all = vec![self.encryption.map_or(null, Encryption::transform)];
        all.extend(self.integrity.map(Integrity::transform));
        all.extend(self.group.map(|group| Transform::key_exchange(group.method())));
        all.extend(self.extended_sequence_numbers.then_some(extended));
        all
    }

    /// What encrypts; `None`: nothing (RFC 2410).
    pub fn encryption(&self) -> Option<Encryption> {
        self.encryption
    }

    /// What authenticates; `None` where the cipher does.
    pub fn integrity(&self) -> Option<Integrity> {
        self.integrity
    }

    /// The key exchange of its own, for perfect forward secrecy.
    pub fn group(&self) -> Option<Group> {
        self.group
    }

    /// Whether sequence numbers have 64 bits.
    pub fn has_extended_sequence_numbers(&self) -> bool {
        self.extended_sequence_numbers
    }

    /// Bytes of keys of one direction: of the cipher, its salt, and of the integrity algorithm (RFC 7296 §2.17).
    pub fn key_len(&self) -> usize {
        self.encryption.map_or(0, Encryption::key_len) + self.integrity.map_or(0, Integrity::key_len)
    }
}

/// The name that the transform of ESP has in the data plane: `aes256gcm16`, `aes128-sha256`, `null-sha256`.
impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encryption {
            Some(encryption) => write!(f, "{}", encryption.transform())?,
            None => f.write_str("null")?,
        }
        match self.integrity {
            Some(integrity) => write!(f, "-{}", integrity.transform()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Transform> {
        text.split('-').map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn suites_are_shown_by_the_words_of_their_transforms() {
        for text in ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-prfsha256-modp2048"] {
            assert_eq!(IkeSuite::new(&words(text)).unwrap().to_string(), text);
        }
        let expected = [
            ("aes256gcm16-esn", "aes256gcm16", 36),
            ("aes128-sha256-noesn", "aes128-sha256", 48),
        ];
        for (text, shown, len) in [&expected[..], &[("null-sha512", "null-sha512", 64)]].concat() {
            let suite = EspSuite::new(&words(text)).unwrap();
            assert_eq!((suite.to_string(), suite.key_len()), (shown.to_owned(), len));
            assert_eq!(suite.has_extended_sequence_numbers(), text.ends_with("-esn"));
        }
        let suite = EspSuite::new(&words("chacha20poly1305-curve25519")).unwrap();
        assert_eq!(suite.group(), Some(Group::Curve25519));
    }

    #[test]
    fn what_makes_no_suite_is_refused_with_what_is_wrong() {
        let ike = |text| IkeSuite::new(&words(text)).unwrap_err().to_string();
        let cases = [
            ("prfsha256-ecp256", "there is no encryption algorithm among"),
            ("aes128-prfsha256-ecp256", "there is no integrity algorithm among"),
            ("aes128-sha256-ecp256", "there is no PRF algorithm among"),
            (
                "aes128gcm16-prfsha256",
                "there is no key exchange algorithm among",
            ),
            (
                "aes128gcm16-prfsha256-modpnone",
                "there is no key exchange algorithm among",
            ),
            (
                "aes128gcm16-prfsha256-ecp256-ecp384",
                "there is more than one key exchange",
            ),
            (
                "aes128gcm16-sha256-prfsha256-ecp256",
                "aes128gcm16 authenticates by itself and takes no sha256",
            ),
            ("3des-sha256-prfsha256-ecp256", "3des cannot be used"),
            ("null-sha256-prfsha256-ecp256", "null cannot be used"),
            ("aes128-sha1-prfsha256-ecp256", "sha1 cannot be used"),
            ("aes128-sha256-prfsha1-ecp256", "prfsha1 cannot be used"),
            ("aes128-sha256-prfsha256-modp1024", "modp1024 cannot be used"),
            ("aes128-sha256-prfsha256-ecp256-esn", "esn cannot be used"),
            (
                "aes128gcm16-prfsha256-ecp256-ke1_mlkem768",
                "ke1_mlkem768 cannot be used",
            ),
        ];
        for (text, sentence) in cases {
            assert!(ike(text).starts_with(sentence), "{}", ike(text));
        }
        let esp = |text| EspSuite::new(&words(text)).unwrap_err().to_string();
        for (text, sentence) in [
            ("null", "there is no integrity"),
            ("aes128", "there is no integrity"),
            ("sha256", "there is no encryption"),
            ("aes128gcm16-sha256", "aes128gcm16 authenticates"),
            ("aes128gcm16-prfsha256", "prfsha256 cannot"),
            ("aes128gcm16-modp768", "modp768 cannot"),
        ] {
            assert!(esp(text).starts_with(sentence), "{}", esp(text));
        }
        let strange = [
            words("aes128gcm16"),
            vec![Transform::sequence_numbers(SequenceNumbers(2))],
        ]
        .concat();
        assert!(EspSuite::new(&strange).is_err());
        let long = Transform {
            key_length: Some(256),
            ..Transform::key_exchange(KeyExchangeMethod::ECP_256)
        };
        assert_eq!(
            EspSuite::new(&[words("aes128gcm16"), vec![long]].concat()),
            Err(SuiteError::Unsupported(long))
        );
        // None of an additional key exchange is none.
        assert!(EspSuite::new(&words("aes128gcm16-ke1_none-modpnone")).is_ok());
    }
}

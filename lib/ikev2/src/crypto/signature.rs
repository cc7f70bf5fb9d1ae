//! Signatures in AUTH: hash algorithms, and how each kind of signature is named (RFC 7427 §3, appendix A; RFC 8420).
//!
//! ```text
//!   AUTH of method 14   │ length │ AlgorithmIdentifier in DER │ signature │
//! ```

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Tag, Tagged};
use pkcs1::RsaPssParamsOwned;
use x509_cert::spki::{AlgorithmIdentifier, AlgorithmIdentifierRef};

use crate::wire::HashAlgorithm;

/// A hash function of the SHA-2 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sha2 {
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

impl Sha2 {
    /// All of them.
    pub const ALL: [Sha2; 3] = [Sha2::Sha256, Sha2::Sha384, Sha2::Sha512];

    /// Its number in SIGNATURE_HASH_ALGORITHMS.
    pub const fn number(self) -> HashAlgorithm {
        match self {
            Sha2::Sha256 => HashAlgorithm::SHA2_256,
            Sha2::Sha384 => HashAlgorithm::SHA2_384,
            Sha2::Sha512 => HashAlgorithm::SHA2_512,
        }
    }

    /// Bytes of a hash, which are those of a salt as well.
    pub const fn len(self) -> u8 {
        match self {
            Sha2::Sha256 => 32,
            Sha2::Sha384 => 48,
            Sha2::Sha512 => 64,
        }
    }

    /// A hash is never empty.
    pub const fn is_empty(self) -> bool {
        false
    }

    const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Sha2::Sha256 => "2.16.840.1.101.3.4.2.1",
            Sha2::Sha384 => "2.16.840.1.101.3.4.2.2",
            Sha2::Sha512 => "2.16.840.1.101.3.4.2.3",
        })
    }

    fn of(oid: ObjectIdentifier) -> Option<Sha2> {
        Sha2::ALL.into_iter().find(|hash| hash.oid() == oid)
    }
}

impl fmt::Display for Sha2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number(), f)
    }
}

/// Hash algorithms that an end takes in signatures: what SIGNATURE_HASH_ALGORITHMS says (RFC 7427 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashes(u8);

impl Hashes {
    /// What is taken here: SHA-2, and no hash before a signature, which is how Ed25519 signs. SHA-1 is not.
    pub const SUPPORTED: [HashAlgorithm; 4] = [
        HashAlgorithm::SHA2_256,
        HashAlgorithm::SHA2_384,
        HashAlgorithm::SHA2_512,
        HashAlgorithm::IDENTITY,
    ];

    /// Data of the notify that says what is taken here.
    pub fn notify_data() -> Vec<u8> {
        Hashes::SUPPORTED
            .iter()
            .flat_map(|hash| hash.0.to_be_bytes())
            .collect()
    }

    /// What a peer's notify says. Those that are not here are left out.
    pub fn of_notify(data: &[u8]) -> Hashes {
        let numbers = data.chunks_exact(2).map(|pair| match pair {
            [high, low] => HashAlgorithm(u16::from_be_bytes([*high, *low])),
            _ => HashAlgorithm(0),
        });
        Hashes(numbers.map(Hashes::bit).fold(0, |all, bit| all | bit))
    }

    /// Whether the peer takes this one.
    pub fn contains(self, hash: HashAlgorithm) -> bool {
        self.0 & Hashes::bit(hash) != 0
    }

    fn bit(hash: HashAlgorithm) -> u8 {
        match Hashes::SUPPORTED.iter().position(|known| *known == hash) {
            Some(position) => 1 << position,
            None => 0,
        }
    }
}

/// As people read it: `SHA2-256, SHA2-384`, or `none`.
impl fmt::Display for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for hash in Hashes::SUPPORTED.into_iter().filter(|hash| self.contains(*hash)) {
            write!(f, "{between}{hash}")?;
            between = ", ";
        }
        match between {
            "" => f.write_str("none"),
            _ => Ok(()),
        }
    }
}

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(Sha2),
    /// RSASSA-PSS, whose mask and salt are by the same hash, and as long.
    RsaPss(Sha2),
    /// ECDSA, as ASN.1.
    Ecdsa(Sha2),
    /// Ed25519 (RFC 8420).
    Ed25519,
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureAlgorithm::RsaPkcs1(hash) => write!(f, "RSA with {hash}"),
            SignatureAlgorithm::RsaPss(hash) => write!(f, "RSASSA-PSS with {hash}"),
            SignatureAlgorithm::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            SignatureAlgorithm::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SHA1: [ObjectIdentifier; 2] = [
    // With RSA, and with ECDSA.
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];

const fn rsa_oid(hash: Sha2) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Sha2::Sha256 => "1.2.840.113549.1.1.11",
        Sha2::Sha384 => "1.2.840.113549.1.1.12",
        Sha2::Sha512 => "1.2.840.113549.1.1.13",
    })
}

const fn ecdsa_oid(hash: Sha2) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Sha2::Sha256 => "1.2.840.10045.4.3.2",
        Sha2::Sha384 => "1.2.840.10045.4.3.3",
        Sha2::Sha512 => "1.2.840.10045.4.3.4",
    })
}

/// Why an AlgorithmIdentifier is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// It cannot be read.
    #[error("the peer's AUTH has no AlgorithmIdentifier that can be read; the peer is wrong")]
    Malformed,
    /// Its hash is broken.
    #[error("the peer signs with SHA-1, which is not taken: have it sign with SHA-2, as RFC 7427 has it")]
    Sha1,
    /// There is no such thing here.
    #[error(
        "the peer signs with algorithm {0}, which is not here: have it sign with RSA, RSASSA-PSS or ECDSA and SHA-2, or with Ed25519"
    )]
    Unknown(String),
    /// RSASSA-PSS with parameters that few use.
    #[error(
        "the peer signs with RSASSA-PSS, but not with one hash of SHA-2 for all and a salt as long: have it use these"
    )]
    Pss,
}

/// One type, length and value of DER with less than 128 bytes.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let mut out = vec![tag, value.len() as u8];
    out.extend(value);
    out
}

fn sequence(oid: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(6, &[oid.as_bytes()]), parameters])
}

const NULL: &[u8] = &[5, 0];

impl SignatureAlgorithm {
    /// Its AlgorithmIdentifier in DER, as appendix A of RFC 7427 has it.
    pub fn identifier(self) -> Vec<u8> {
        match self {
            SignatureAlgorithm::RsaPkcs1(hash) => sequence(rsa_oid(hash), NULL),
            SignatureAlgorithm::RsaPss(hash) => {
                let hashed = sequence(hash.oid(), NULL);
                let parameters = [
                    tlv(0xa0, &[&hashed]),
                    tlv(0xa1, &[&sequence(MGF1, &hashed)]),
                    tlv(0xa2, &[&tlv(2, &[&[hash.len()]])]),
                ];
                sequence(RSA_PSS, &tlv(0x30, &parameters.each_ref().map(Vec::as_slice)))
            }
            SignatureAlgorithm::Ecdsa(hash) => sequence(ecdsa_oid(hash), &[]),
            SignatureAlgorithm::Ed25519 => sequence(ED25519, &[]),
        }
    }

    /// That of an AlgorithmIdentifier in DER.
    pub fn of_identifier(identifier: &[u8]) -> Result<SignatureAlgorithm, AlgorithmError> {
        let AlgorithmIdentifier { oid, parameters } =
            AlgorithmIdentifierRef::from_der(identifier).map_err(|_| AlgorithmError::Malformed)?;
        if oid == RSA_PSS {
            let hash = parameters.and_then(pss_hash).ok_or(AlgorithmError::Pss)?;
            return Ok(SignatureAlgorithm::RsaPss(hash));
        }
        // RSA has NULL for parameters, the others none: some mix that up, and nothing hangs on it.
        if parameters.is_some_and(|parameters| parameters.tag() != Tag::Null) {
            return Err(AlgorithmError::Malformed);
        }
        if SHA1.contains(&oid) {
            return Err(AlgorithmError::Sha1);
        }
        let by_hash = Sha2::ALL.into_iter().find_map(|hash| match oid {
            _ if oid == rsa_oid(hash) => Some(SignatureAlgorithm::RsaPkcs1(hash)),
            _ if oid == ecdsa_oid(hash) => Some(SignatureAlgorithm::Ecdsa(hash)),
            _ => None,
        });
        match by_hash {
            Some(algorithm) => Ok(algorithm),
            None if oid == ED25519 => Ok(SignatureAlgorithm::Ed25519),
            None => Err(AlgorithmError::Unknown(oid.to_string())),
        }
    }
}

/// The hash of parameters that AWS-LC can compute with: one for all, and a salt as long.
fn pss_hash(parameters: AnyRef<'_>) -> Option<Sha2> {
    let parameters: RsaPssParamsOwned = parameters.decode_as().ok()?;
    let hash = Sha2::of(parameters.hash.oid)?;
    let mask = parameters.mask_gen;
    let masked = mask.oid == MGF1 && mask.parameters.is_some_and(|by| by.oid == hash.oid());
    (masked && parameters.salt_len == hash.len()).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    /// RFC 7427, appendix A.1, A.3 and A.4; RFC 8420 §2 (RFC 8410 §3).
    #[test]
    fn identifiers_are_those_of_the_rfcs() {
        for (algorithm, der) in [
            (
                SignatureAlgorithm::RsaPkcs1(Sha2::Sha256),
                "300d 0609 2a86 4886 f70d 0101 0b05 00",
            ),
            (
                SignatureAlgorithm::RsaPkcs1(Sha2::Sha384),
                "300d 0609 2a86 4886 f70d 0101 0c05 00",
            ),
            (
                SignatureAlgorithm::RsaPkcs1(Sha2::Sha512),
                "300d 0609 2a86 4886 f70d 0101 0d05 00",
            ),
            (
                SignatureAlgorithm::Ecdsa(Sha2::Sha256),
                "300a 0608 2a86 48ce 3d04 0302",
            ),
            (
                SignatureAlgorithm::Ecdsa(Sha2::Sha384),
                "300a 0608 2a86 48ce 3d04 0303",
            ),
            (
                SignatureAlgorithm::Ecdsa(Sha2::Sha512),
                "300a 0608 2a86 48ce 3d04 0304",
            ),
            (
                SignatureAlgorithm::RsaPss(Sha2::Sha256),
                "3041 0609 2a86 4886 f70d 0101 0a30 34a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a 0609 2a86 \
                 4886 f70d 0101 0830 0d06 0960 8648 0165 0304 0201 0500 a203 0201 20",
            ),
            (SignatureAlgorithm::Ed25519, "3005 0603 2b65 70"),
        ] {
            assert_eq!(algorithm.identifier(), hex(der), "{algorithm}");
            assert_eq!(SignatureAlgorithm::of_identifier(&hex(der)), Ok(algorithm));
        }
        for hash in Sha2::ALL {
            let pss = SignatureAlgorithm::RsaPss(hash);
            assert_eq!(SignatureAlgorithm::of_identifier(&pss.identifier()), Ok(pss));
        }
    }

    #[test]
    fn what_is_weak_or_odd_is_refused_with_its_reason() {
        let of = |text| SignatureAlgorithm::of_identifier(&hex(text));
        assert_eq!(of("300d06092a864886f70d0101050500"), Err(AlgorithmError::Sha1));
        assert_eq!(of("300906072a8648ce3d0401"), Err(AlgorithmError::Sha1));
        // RSASSA-PSS with all defaults, which are SHA-1, and with a salt of 20 bytes.
        assert_eq!(of("300d06092a864886f70d01010a3000"), Err(AlgorithmError::Pss));
        let mut salt = SignatureAlgorithm::RsaPss(Sha2::Sha256).identifier();
        *salt.last_mut().unwrap() = 21;
        assert_eq!(SignatureAlgorithm::of_identifier(&salt), Err(AlgorithmError::Pss));
        assert_eq!(
            of("300506032b6571"),
            Err(AlgorithmError::Unknown("1.3.101.113".to_owned()))
        );
        for text in ["", "30", "3000", "300d06092a864886f70d01010b", "300506032b657000"] {
            assert_eq!(of(text), Err(AlgorithmError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_notify_of_hashes_is_taken_without_what_is_not_here() {
        assert_eq!(Hashes::notify_data(), [0, 2, 0, 3, 0, 4, 0, 5]);
        let hashes = Hashes::of_notify(&[0, 1, 0, 3, 0, 5, 0xff, 0xff, 0]);
        assert_eq!(hashes.to_string(), "SHA2-384, Identity");
        assert!(!hashes.contains(HashAlgorithm::SHA1) && !hashes.contains(HashAlgorithm::SHA2_256));
        assert_eq!(Hashes::of_notify(&[]).to_string(), "none");
    }
}

//! Public keys, and whether AUTH is signed by the private key of one (RFC 7427, RFC 7296 §3.8, RFC 4754).

use std::fmt;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use der::Decode;
use der::asn1::ObjectIdentifier;
use pkcs1::RsaPublicKeyRef;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::{AlgorithmError, Sha2, SignatureAlgorithm};
use crate::wire::{AuthMethod, Authentication};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyKind::Rsa => "RSA",
            KeyKind::EcdsaP256 => "ECDSA P-256",
            KeyKind::EcdsaP384 => "ECDSA P-384",
            KeyKind::Ed25519 => "Ed25519",
        })
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    /// The subjectPublicKey of its certificate: RSAPublicKey in DER, a point that is not compressed, or the key itself.
    bytes: Vec<u8>,
}

/// Why AUTH is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The algorithm is not here.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// It is no signature.
    #[error(
        "the peer authenticates by {0}, which is no signature that is taken here: have it sign as RFC 7427 has it"
    )]
    Method(AuthMethod),
    /// The key is for something else.
    #[error(
        "the peer signs with {algorithm}, but its certificate has a key for {key}: give it the key of its certificate"
    )]
    OtherKey {
        /// How it was signed.
        algorithm: String,
        /// What its key is for.
        key: KeyKind,
    },
    /// Another key, or other octets.
    #[error(
        "the peer's signature, {algorithm}, is not by the key of its certificate: give it the key of its certificate"
    )]
    Invalid {
        /// How it was signed.
        algorithm: String,
    },
}

/// Bits of a modulus that is neither too short to be safe nor so long that it takes our time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl PublicKey {
    /// That of a certificate. An error names the algorithm that is not here.
    pub(crate) fn of_info(info: &SubjectPublicKeyInfoOwned) -> Result<PublicKey, String> {
        let oid = info.algorithm.oid;
        let curve = info.algorithm.parameters.as_ref();
        let curve = curve.and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
        let kind = match (oid, curve) {
            (RSA, _) => {
                let bytes = info.subject_public_key.raw_bytes();
                let key =
                    RsaPublicKeyRef::from_der(bytes).map_err(|_| "RSA that cannot be read".to_owned())?;
                let bits = key.modulus.as_bytes().len() * 8;
                if !RSA_BITS.contains(&bits) {
                    return Err(format!("RSA of {bits} bits"));
                }
                KeyKind::Rsa
            }
            (EC, Some(P256)) => KeyKind::EcdsaP256,
            (EC, Some(P384)) => KeyKind::EcdsaP384,
            (EC, Some(curve)) => return Err(format!("ECDSA on curve {curve}")),
            (ED25519, _) => KeyKind::Ed25519,
            _ => return Err(format!("algorithm {oid}")),
        };
        Ok(PublicKey {
            kind,
            bytes: info.subject_public_key.raw_bytes().to_vec(),
        })
    }

    /// What it is for.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as a certificate has it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks that AUTH is a signature over `octets` by the private key of this one.
    ///
    /// Of the methods before RFC 7427 those of ECDSA are taken as RFC 4754 has them, and that of RSA with SHA-2; with SHA-1, which is
    /// what most peers do then, it is refused, and nothing switches that on.
    pub fn verify(&self, auth: &Authentication<'_>, octets: &[u8]) -> Result<(), VerifyError> {
        match (auth.method, self.kind) {
            (AuthMethod::DIGITAL_SIGNATURE, _) => {
                let (identifier, signature) = auth.digital_signature().ok_or(AlgorithmError::Malformed)?;
                let algorithm = SignatureAlgorithm::of_identifier(identifier)?;
                let verification = self.algorithm(algorithm).ok_or(VerifyError::OtherKey {
                    algorithm: algorithm.to_string(),
                    key: self.kind,
                })?;
                self.check(&algorithm.to_string(), verification, octets, signature)
            }
            (AuthMethod::RSA_SIGNATURE, KeyKind::Rsa) => self.verify_rsa(octets, auth.data),
            (AuthMethod::ECDSA_SHA256_P256, KeyKind::EcdsaP256) => self.check(
                &auth.method.to_string(),
                &signature::ECDSA_P256_SHA256_FIXED,
                octets,
                auth.data,
            ),
            (AuthMethod::ECDSA_SHA384_P384, KeyKind::EcdsaP384) => self.check(
                &auth.method.to_string(),
                &signature::ECDSA_P384_SHA384_FIXED,
                octets,
                auth.data,
            ),
            (
                AuthMethod::RSA_SIGNATURE | AuthMethod::ECDSA_SHA256_P256 | AuthMethod::ECDSA_SHA384_P384,
                key,
            ) => Err(VerifyError::OtherKey {
                algorithm: auth.method.to_string(),
                key,
            }),
            _ => Err(VerifyError::Method(auth.method)),
        }
    }

    /// The hash of the old method is in the signature alone (RFC 7296 §3.8).
    fn verify_rsa(&self, octets: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let by = |algorithm| self.is_by(algorithm, octets, signature);
        if by(&signature::RSA_PKCS1_2048_8192_SHA256)
            || by(&signature::RSA_PKCS1_2048_8192_SHA384)
            || by(&signature::RSA_PKCS1_2048_8192_SHA512)
        {
            return Ok(());
        }
        if by(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY) {
            return Err(AlgorithmError::Sha1.into());
        }
        Err(VerifyError::Invalid {
            algorithm: AuthMethod::RSA_SIGNATURE.to_string(),
        })
    }

    fn is_by(&self, algorithm: &'static dyn VerificationAlgorithm, octets: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm, &self.bytes)
            .verify(octets, signature)
            .is_ok()
    }

    fn check(
        &self,
        name: &str,
        algorithm: &'static dyn VerificationAlgorithm,
        octets: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        if self.is_by(algorithm, octets, signature) {
            return Ok(());
        }
        Err(VerifyError::Invalid {
            algorithm: name.to_owned(),
        })
    }

    /// How AWS-LC verifies it, if this key can sign so.
    fn algorithm(&self, algorithm: SignatureAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (self.kind, algorithm) {
            (KeyKind::Rsa, SignatureAlgorithm::RsaPkcs1(Sha2::Sha256)) => {
                &signature::RSA_PKCS1_2048_8192_SHA256
            }
            (KeyKind::Rsa, SignatureAlgorithm::RsaPkcs1(Sha2::Sha384)) => {
                &signature::RSA_PKCS1_2048_8192_SHA384
            }
            (KeyKind::Rsa, SignatureAlgorithm::RsaPkcs1(Sha2::Sha512)) => {
                &signature::RSA_PKCS1_2048_8192_SHA512
            }
            (KeyKind::Rsa, SignatureAlgorithm::RsaPss(Sha2::Sha256)) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa, SignatureAlgorithm::RsaPss(Sha2::Sha384)) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa, SignatureAlgorithm::RsaPss(Sha2::Sha512)) => &signature::RSA_PSS_2048_8192_SHA512,
            (KeyKind::EcdsaP256, SignatureAlgorithm::Ecdsa(Sha2::Sha256)) => {
                &signature::ECDSA_P256_SHA256_ASN1
            }
            (KeyKind::EcdsaP256, SignatureAlgorithm::Ecdsa(Sha2::Sha384)) => {
                &signature::ECDSA_P256_SHA384_ASN1
            }
            (KeyKind::EcdsaP256, SignatureAlgorithm::Ecdsa(Sha2::Sha512)) => {
                &signature::ECDSA_P256_SHA512_ASN1
            }
            (KeyKind::EcdsaP384, SignatureAlgorithm::Ecdsa(Sha2::Sha256)) => {
                &signature::ECDSA_P384_SHA256_ASN1
            }
            (KeyKind::EcdsaP384, SignatureAlgorithm::Ecdsa(Sha2::Sha384)) => {
                &signature::ECDSA_P384_SHA384_ASN1
            }
            (KeyKind::EcdsaP384, SignatureAlgorithm::Ecdsa(Sha2::Sha512)) => {
                &signature::ECDSA_P384_SHA512_ASN1
            }
            (KeyKind::Ed25519, SignatureAlgorithm::Ed25519) => &signature::ED25519,
            _ => return None,
        })
    }
}

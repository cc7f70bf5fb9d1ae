//! Private keys, and AUTH that is signed with them (RFC 7427, RFC 8420, RFC 4754).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use der::SecretDocument;

use super::{Hashes, KeyKind, PublicKey, Secret, Sha2, SignatureAlgorithm, pem};
use crate::wire::{AuthMethod, HashAlgorithm};

/// How RSA pads. Both are as good as known; RSASSA-PSS has a proof, and not every peer has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RsaPadding {
    /// RSASSA-PKCS1-v1_5.
    #[default]
    Pkcs1,
    /// RSASSA-PSS.
    Pss,
}

enum Pair {
    Rsa(RsaKeyPair),
    /// One for ASN.1, and one for the two numbers of RFC 4754.
    Ecdsa(Box<[EcdsaKeyPair; 2]>),
    Ed25519(Ed25519KeyPair),
}

/// A private key. AWS-LC wipes whatever memory it gives back, and `Debug` shows the kind alone.
pub struct SigningKey {
    kind: KeyKind,
    pair: Pair,
}

/// Why a private key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key in it.
    #[error(
        "the file has no PEM block PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY; give a key in PKCS #8, SEC 1 or PKCS #1, as OpenSSL \
         writes them"
    )]
    NoKey,
    /// The key has a password.
    #[error(
        "the private key is encrypted; take its password off, for example by `openssl pkey -in KEY -out KEY`, and keep the file safe"
    )]
    Encrypted,
    /// It is damaged, or for something else.
    #[error(
        "the private key cannot be read, or is for nothing that is here; give one for RSA (2048 to 8192 bits), ECDSA P-256 or P-384, or \
         Ed25519"
    )]
    Unusable,
}

/// Why AUTH cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The peer takes no hash that this key can sign with.
    #[error(
        "the peer takes signatures with {offered}, and our key for {key} needs {needed}: allow that at the peer, or use another key"
    )]
    NoHash {
        /// What the peer takes.
        offered: Hashes,
        /// Ours.
        key: KeyKind,
        /// What would do.
        needed: &'static str,
    },
    /// The peer knows the old methods alone, which have none for this key that is safe.
    #[error(
        "the peer does not say that it takes signatures of RFC 7427, without which a key for {0} cannot sign safely: switch them on at the peer, or use a key for ECDSA"
    )]
    OldPeer(KeyKind),
    /// The cryptographic library failed.
    #[error("AUTH could not be signed; see whether there is memory left")]
    Failed,
}

/// AUTH that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// How.
    pub method: AuthMethod,
    /// Data of the payload.
    pub data: Vec<u8>,
}

const CURVES: [(KeyKind, [&EcdsaSigningAlgorithm; 2]); 2] = [
    (
        KeyKind::EcdsaP256,
        [
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        ],
    ),
    (
        KeyKind::EcdsaP384,
        [
            &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        ],
    ),
];

impl SigningKey {
    /// The first key of a PEM file: PKCS #8, SEC 1 or PKCS #1. What is decoded on the way is wiped.
    pub fn from_pem(text: &Secret) -> Result<SigningKey, KeyError> {
        let text = std::str::from_utf8(text.expose()).map_err(|_| KeyError::NoKey)?;
        for block in pem::blocks(text) {
            match block.label {
                "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
                "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => {}
                _ => continue,
            }
            if block.text.contains("ENCRYPTED") {
                return Err(KeyError::Encrypted);
            }
            let (label, der) = SecretDocument::from_pem(block.text).map_err(|_| KeyError::Unusable)?;
            let der = der.as_bytes();
            let key = match label {
                "PRIVATE KEY" => SigningKey::of_pkcs8(der),
                "EC PRIVATE KEY" => ecdsa(|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der)),
                _ => RsaKeyPair::from_der(der).ok().map(SigningKey::of_rsa),
            };
            return key.ok_or(KeyError::Unusable);
        }
        Err(KeyError::NoKey)
    }

    fn of_pkcs8(der: &[u8]) -> Option<SigningKey> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Some(SigningKey::of_rsa(pair));
        }
        // Without a public key in it, as OpenSSL writes it.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(SigningKey {
                kind: KeyKind::Ed25519,
                pair: Pair::Ed25519(pair),
            });
        }
        ecdsa(|algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der))
    }

    fn of_rsa(pair: RsaKeyPair) -> SigningKey {
        SigningKey {
            kind: KeyKind::Rsa,
            pair: Pair::Rsa(pair),
        }
    }

    /// What it is for.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether it belongs to a public key.
    pub fn is_of(&self, public: &PublicKey) -> bool {
        let own = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(pairs) => pairs[0].public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        self.kind == public.kind() && own == public.bytes()
    }

    /// Signs what AUTH covers. `offered`: what the peer has said in SIGNATURE_HASH_ALGORITHMS; `None`: nothing, so that it does not know
    /// RFC 7427, and a key for ECDSA signs as RFC 4754 has it. RSA would have to use SHA-1 then, and does not sign.
    pub fn sign(
        &self,
        octets: &[u8],
        offered: Option<Hashes>,
        padding: RsaPadding,
    ) -> Result<Signed, SignError> {
        let Some(offered) = offered else {
            return self.sign_old(octets);
        };
        let no_hash = |needed| SignError::NoHash {
            offered,
            key: self.kind,
            needed,
        };
        let (algorithm, signature) = match (&self.pair, self.kind) {
            (Pair::Rsa(pair), _) => {
                let taken = |hash: &Sha2| offered.contains(hash.number());
                let hash = Sha2::ALL.into_iter().find(taken).ok_or(no_hash("one of SHA-2"))?;
                let (algorithm, encoding) = rsa(hash, padding);
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), octets, &mut signature)
                    .map_err(|_| SignError::Failed)?;
                (algorithm, signature)
            }
            (Pair::Ecdsa(pairs), kind) => {
                let (hash, needed) = match kind {
                    KeyKind::EcdsaP384 => (Sha2::Sha384, "SHA2-384"),
                    _ => (Sha2::Sha256, "SHA2-256"),
                };
                if !offered.contains(hash.number()) {
                    return Err(no_hash(needed));
                }
                (SignatureAlgorithm::Ecdsa(hash), sign_ecdsa(&pairs[0], octets)?)
            }
            (Pair::Ed25519(pair), _) => {
                if !offered.contains(HashAlgorithm::IDENTITY) {
                    return Err(no_hash("Identity, which RFC 8420 has for it"));
                }
                let signature = pair.try_sign(octets).map_err(|_| SignError::Failed)?;
                (SignatureAlgorithm::Ed25519, signature.as_ref().to_vec())
            }
        };
        let identifier = algorithm.identifier();
        // No identifier has more than 80 bytes.
        let len = [identifier.len() as u8];
        Ok(Signed {
            method: AuthMethod::DIGITAL_SIGNATURE,
            data: [&len[..], &identifier, &signature].concat(),
        })
    }

    fn sign_old(&self, octets: &[u8]) -> Result<Signed, SignError> {
        match (&self.pair, self.kind) {
            (Pair::Ecdsa(pairs), kind) => Ok(Signed {
                method: match kind {
                    KeyKind::EcdsaP384 => AuthMethod::ECDSA_SHA384_P384,
                    _ => AuthMethod::ECDSA_SHA256_P256,
                },
                data: sign_ecdsa(&pairs[1], octets)?,
            }),
            (_, kind) => Err(SignError::OldPeer(kind)),
        }
    }
}

/// The key for the curve that it fits.
fn ecdsa<E>(read: impl Fn(&'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, E>) -> Option<SigningKey> {
    CURVES.into_iter().find_map(|(kind, [asn1, fixed])| {
        let pairs = [read(asn1).ok()?, read(fixed).ok()?];
        let pair = Pair::Ecdsa(Box::new(pairs));
        Some(SigningKey { kind, pair })
    })
}

fn sign_ecdsa(pair: &EcdsaKeyPair, octets: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature = pair.sign(&SystemRandom::new(), octets);
    Ok(signature.map_err(|_| SignError::Failed)?.as_ref().to_vec())
}

fn rsa(hash: Sha2, padding: RsaPadding) -> (SignatureAlgorithm, &'static dyn RsaEncoding) {
    match (padding, hash) {
        (RsaPadding::Pkcs1, Sha2::Sha256) => {
            (SignatureAlgorithm::RsaPkcs1(hash), &signature::RSA_PKCS1_SHA256)
        }
        (RsaPadding::Pkcs1, Sha2::Sha384) => {
            (SignatureAlgorithm::RsaPkcs1(hash), &signature::RSA_PKCS1_SHA384)
        }
        (RsaPadding::Pkcs1, Sha2::Sha512) => {
            (SignatureAlgorithm::RsaPkcs1(hash), &signature::RSA_PKCS1_SHA512)
        }
        (RsaPadding::Pss, Sha2::Sha256) => (SignatureAlgorithm::RsaPss(hash), &signature::RSA_PSS_SHA256),
        (RsaPadding::Pss, Sha2::Sha384) => (SignatureAlgorithm::RsaPss(hash), &signature::RSA_PSS_SHA384),
        (RsaPadding::Pss, Sha2::Sha512) => (SignatureAlgorithm::RsaPss(hash), &signature::RSA_PSS_SHA512),
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.kind)
    }
}

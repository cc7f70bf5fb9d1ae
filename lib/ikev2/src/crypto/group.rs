//! Key exchange: groups, private keys, and the checks of what a peer sends (RFC 6989, RFC 7748).
//!
//! ```text
//!                public value                          shared secret
//!   modp*        as long as the prime                  as long as the prime     RFC 3526
//!   ecp*         x and y, each as long as the prime    x                        RFC 5903
//!   curve25519   32 bytes                              32 bytes                 RFC 8031
//! ```

use std::fmt;

use aws_lc_rs::agreement;

use super::{Random, Secret};
use crate::wire::KeyExchangeMethod;

/// A key exchange method that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Group 14.
    Modp2048,
    /// Group 15.
    Modp3072,
    /// Group 16.
    Modp4096,
    /// Group 19: NIST P-256.
    Ecp256,
    /// Group 20: NIST P-384.
    Ecp384,
    /// Group 21: NIST P-521.
    Ecp521,
    /// Group 31.
    Curve25519,
}

/// How a group is computed with.
enum Kind {
    Modp(modp::Group),
    Ecp(&'static agreement::Algorithm),
    Montgomery(&'static agreement::Algorithm),
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 7] = [
        Group::Modp2048,
        Group::Modp3072,
        Group::Modp4096,
        Group::Ecp256,
        Group::Ecp384,
        Group::Ecp521,
        Group::Curve25519,
    ];

    /// The group of a method, if it is here.
    pub fn of(method: KeyExchangeMethod) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.method() == method)
    }

    /// Its number.
    pub const fn method(self) -> KeyExchangeMethod {
        match self {
            Group::Modp2048 => KeyExchangeMethod::MODP_2048,
            Group::Modp3072 => KeyExchangeMethod::MODP_3072,
            Group::Modp4096 => KeyExchangeMethod::MODP_4096,
            Group::Ecp256 => KeyExchangeMethod::ECP_256,
            Group::Ecp384 => KeyExchangeMethod::ECP_384,
            Group::Ecp521 => KeyExchangeMethod::ECP_521,
            Group::Curve25519 => KeyExchangeMethod::CURVE25519,
        }
    }

    /// Bytes of a public value.
    pub const fn public_len(self) -> usize {
        match self {
            Group::Modp2048 => modp::Group::Modp2048.len(),
            Group::Modp3072 => modp::Group::Modp3072.len(),
            Group::Modp4096 => modp::Group::Modp4096.len(),
            Group::Ecp256 => 64,
            Group::Ecp384 => 96,
            Group::Ecp521 => 132,
            Group::Curve25519 => 32,
        }
    }

    /// Bytes of a private key.
    pub const fn private_len(self) -> usize {
        match self {
            Group::Modp2048 => modp::Group::Modp2048.exponent_len(),
            Group::Modp3072 => modp::Group::Modp3072.exponent_len(),
            Group::Modp4096 => modp::Group::Modp4096.exponent_len(),
            Group::Ecp256 | Group::Curve25519 => 32,
            Group::Ecp384 => 48,
            Group::Ecp521 => 66,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Group::Modp2048 => Kind::Modp(modp::Group::Modp2048),
            Group::Modp3072 => Kind::Modp(modp::Group::Modp3072),
            Group::Modp4096 => Kind::Modp(modp::Group::Modp4096),
            Group::Ecp256 => Kind::Ecp(&agreement::ECDH_P256),
            Group::Ecp384 => Kind::Ecp(&agreement::ECDH_P384),
            Group::Ecp521 => Kind::Ecp(&agreement::ECDH_P521),
            Group::Curve25519 => Kind::Montgomery(&agreement::X25519),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.method(), f)
    }
}

/// Why a key exchange fails. What a peer has sent wrong is answered with INVALID_SYNTAX, and its IKE SA given up (RFC 6989 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyExchangeError {
    /// A public value with another length than those of its group (RFC 7296 §3.4).
    #[error(
        "the peer's public value for {group} has {given} bytes where {needed} are right; it is to be refused"
    )]
    Length {
        /// The group.
        group: Group,
        /// What it has.
        given: usize,
        /// What it is to have.
        needed: usize,
    },
    /// A number that is not above 1 and below the prime less 1 (RFC 6989 §2.1).
    #[error("the peer's public value for {0} is 0, 1, the prime less 1, or above; it is to be refused")]
    OutOfRange(Group),
    /// A point that is not on the curve (RFC 6989 §2.3).
    #[error("the peer's public value for {0} is no point of the curve; it is to be refused")]
    NotOnCurve(Group),
    /// A point of small order: what is shared would be zero whatever our key is (RFC 7748 §6.1, RFC 8031 §2.3).
    #[error("the peer's public value for {0} makes the shared secret zero; it is to be refused")]
    Zero(Group),
    /// Bytes that are no private key of the group.
    #[error("these bytes are no private key for {0}; generate one")]
    PrivateKey(Group),
    /// The cryptographic library failed: it is out of memory, or its source of random bytes gives none that will do.
    #[error("no key could be made for {0}; see whether there is memory left")]
    Failed(Group),
}

/// A private key, for one exchange (RFC 6989 §2.4 allows more; nothing is gained by that here).
pub struct PrivateKey {
    group: Group,
    /// What `key` is made of, to be kept by those who outlive a process.
    bytes: Secret,
    key: Option<agreement::PrivateKey>,
    public: Vec<u8>,
}

impl PrivateKey {
    /// Makes one of random bytes.
    pub fn generate(group: Group, random: &mut impl Random) -> Result<PrivateKey, KeyExchangeError> {
        // A scalar of a curve is below its order. Of P-256 one of 2^32 attempts is not, of the others fewer.
        for _ in 0..64 {
            let mut bytes = Secret::zeros(group.private_len());
            random.fill(bytes.expose_mut());
            if group == Group::Ecp521
                && let Some(first) = bytes.expose_mut().first_mut()
            {
                // 521 bits.
                *first &= 1;
            }
            if let Ok(key) = PrivateKey::from_bytes(group, bytes) {
                return Ok(key);
            }
        }
        Err(KeyExchangeError::Failed(group))
    }

    /// One that was made before.
    pub fn from_bytes(group: Group, bytes: Secret) -> Result<PrivateKey, KeyExchangeError> {
        let refused = KeyExchangeError::PrivateKey(group);
        if bytes.len() != group.private_len() {
            return Err(refused);
        }
        let (algorithm, skip) = match group.kind() {
            Kind::Modp(modp) => {
                let public = modp
                    .public(bytes.expose())
                    .map_err(|_| KeyExchangeError::Failed(group))?;
                return Ok(PrivateKey {
                    group,
                    bytes,
                    key: None,
                    public,
                });
            }
            // In front of both coordinates SEC 1 says that they are not compressed.
            Kind::Ecp(algorithm) => (algorithm, 1),
            Kind::Montgomery(algorithm) => (algorithm, 0),
        };
        let key = agreement::PrivateKey::from_private_key(algorithm, bytes.expose()).map_err(|_| refused)?;
        let public = key
            .compute_public_key()
            .map_err(|_| KeyExchangeError::Failed(group))?;
        let public = public.as_ref().get(skip..).unwrap_or_default().to_vec();
        Ok(PrivateKey {
            group,
            bytes,
            key: Some(key),
            public,
        })
    }

    /// Its group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// What the peer gets.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The private key itself, for who keeps it sealed.
    pub fn bytes(&self) -> &Secret {
        &self.bytes
    }

    /// What both ends share, `g^ir`, from the peer's public value, which is checked.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret, KeyExchangeError> {
        let group = self.group;
        let (given, needed) = (peer.len(), group.public_len());
        if given != needed {
            return Err(KeyExchangeError::Length { group, given, needed });
        }
        let (algorithm, prefix, refused): (_, &[u8], _) = match group.kind() {
            Kind::Modp(modp) => {
                return modp.shared(self.bytes.expose(), peer).map(Secret::from).map_err(
                    |error| match error {
                        modp::Error::OutOfRange => KeyExchangeError::OutOfRange(group),
                        _ => KeyExchangeError::Failed(group),
                    },
                );
            }
            Kind::Ecp(algorithm) => (algorithm, &[4], KeyExchangeError::NotOnCurve(group)),
            Kind::Montgomery(algorithm) => (algorithm, &[], KeyExchangeError::Zero(group)),
        };
        let key = self.key.as_ref().ok_or(KeyExchangeError::Failed(group))?;
        let peer = agreement::UnparsedPublicKey::new(algorithm, [prefix, peer].concat());
        agreement::agree(key, peer, refused, |shared| Ok(Secret::concat(&[shared])))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, ..)", self.group)
    }
}

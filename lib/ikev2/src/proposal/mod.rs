//! Negotiation of proposals (RFC 7296 §2.7, §3.3.6): what is chosen, and one sentence about it when nothing is.
//!
//! ```text
//!   text ──► Proposal                     "aes256gcm16-prfsha256-curve25519"
//!   ours, theirs ──► choose ──► Chosen    the responder's choice
//!                           └─► Refusal   "peer wants modp2048, we allow curve25519"
//!   offered, answer ──► accept ──► Chosen the initiator's check of it
//! ```
//!
//! Of each type one transform is chosen: where a proposal has several of a type, any of them will do.

mod accept;
mod choose;
mod refusal;

use std::fmt;

use crate::wire::{
    IntegrityId, PrfId, ProtocolId, SaBuilder, Transform, TransformType, UnknownKeyword, WriteError,
};

pub use accept::{BadAnswer, accept};
pub use choose::{Chosen, Prefer, choose};
pub use refusal::{Mismatch, Refusal};

/// What one end allows: of each type any of the transforms, in the order in which they are liked. As text it is the words of its
/// transforms with `-` between them, as strongSwan has it.
///
/// ```
/// use ikev2::proposal::Proposal;
/// use ikev2::wire::ProtocolId;
///
/// let proposal = Proposal::parse(ProtocolId::IKE, "aes128-sha256-modp2048")?;
/// // The PRF goes with the integrity algorithm, where none is named.
/// assert_eq!(proposal.to_string(), "aes128-sha256-prfsha256-modp2048");
/// # Ok::<(), ikev2::proposal::ProposalError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal {
    protocol: ProtocolId,
    transforms: Vec<Transform>,
}

/// Why a proposal makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// A word that is none.
    #[error(transparent)]
    Unknown(#[from] UnknownKeyword),
    /// An algorithm of a type that the protocol has not.
    #[error("{0} has no place in a proposal for {1}; leave it out")]
    NoPlace(Transform, ProtocolId),
    /// The same algorithm twice.
    #[error("{0} is there twice; leave one out")]
    Twice(Transform),
    /// Nothing of a type that the protocol needs.
    #[error("a proposal for {1} needs {0}; add an algorithm like {2}")]
    Missing(TransformType, ProtocolId, &'static str),
    /// Ciphers that authenticate beside others (RFC 7296 §3.3).
    #[error("{0} authenticates by itself and {1} does not; make two proposals of them")]
    Mixed(Transform, Transform),
    /// A cipher that authenticates beside an integrity algorithm (RFC 5282 §8).
    #[error("{0} authenticates by itself; leave {1} out")]
    NeedlessIntegrity(Transform, Transform),
    /// A cipher that does not authenticate where nothing else has to either.
    #[error(
        "{0} does not authenticate, and the proposal would do without; take the transform for no integrity out"
    )]
    NoIntegrity(Transform),
}

impl Proposal {
    /// Reads words like `aes256gcm16-prfsha256-curve25519`. Where a proposal for IKE names no PRF, those of its integrity algorithms
    /// are added; where one for ESP says nothing of sequence numbers, those of 32 bits are.
    pub fn parse(protocol: ProtocolId, text: &str) -> Result<Proposal, ProposalError> {
        let mut transforms = text
            .split('-')
            .map(str::parse)
            .collect::<Result<Vec<Transform>, _>>()?;
        let has = |transforms: &[Transform], kind| transforms.iter().any(|transform| transform.kind == kind);
        if protocol == ProtocolId::IKE && !has(&transforms, TransformType::PRF) {
            let prfs: Vec<Transform> = transforms.iter().copied().filter_map(prf_of).collect();
            let at = transforms
                .iter()
                .position(|transform| transform.kind == TransformType::KE);
            let at = at.unwrap_or(transforms.len());
            transforms.splice(at..at, prfs);
        }
        if protocol == ProtocolId::ESP && !has(&transforms, TransformType::ESN) {
            transforms.push(Transform::new(TransformType::ESN, 0));
        }
        Proposal::new(protocol, transforms)
    }

    /// Takes transforms that make sense together.
    pub fn new(protocol: ProtocolId, transforms: Vec<Transform>) -> Result<Proposal, ProposalError> {
        let place = |kind: TransformType| match kind {
            TransformType::ENCR | TransformType::INTEG | TransformType::KE => true,
            TransformType::PRF => protocol == ProtocolId::IKE,
            TransformType::ESN => protocol != ProtocolId::IKE,
            kind => kind.is_additional_key_exchange(),
        };
        if let Some(strange) = transforms.iter().find(|transform| !place(transform.kind)) {
            return Err(ProposalError::NoPlace(*strange, protocol));
        }
        for (at, transform) in transforms.iter().enumerate() {
            if transforms.iter().skip(at + 1).any(|other| other == transform) {
                return Err(ProposalError::Twice(*transform));
            }
        }
        let first = |kind| {
            transforms
                .iter()
                .find(|transform| transform.kind == kind && !transform.is_none())
        };
        let missing = |kind, example| ProposalError::Missing(kind, protocol, example);
        let ciphers = || {
            transforms
                .iter()
                .filter(|transform| transform.kind == TransformType::ENCR)
        };
        let combined = ciphers().find(|cipher| cipher.is_combined_mode());
        let plain = ciphers().find(|cipher| !cipher.is_combined_mode());
        let integrity = first(TransformType::INTEG);
        match (combined, plain, integrity) {
            (None, None, _) => return Err(missing(TransformType::ENCR, "aes256gcm16")),
            (Some(combined), Some(plain), _) => return Err(ProposalError::Mixed(*combined, *plain)),
            (Some(combined), None, Some(integrity)) => {
                return Err(ProposalError::NeedlessIntegrity(*combined, *integrity));
            }
            (None, Some(_), None) => return Err(missing(TransformType::INTEG, "sha256")),
            (None, Some(plain), Some(_)) => {
                let none =
                    |transform: &Transform| transform.kind == TransformType::INTEG && transform.is_none();
                if transforms.iter().any(none) {
                    return Err(ProposalError::NoIntegrity(*plain));
                }
            }
            (Some(_), None, None) => {}
        }
        if protocol == ProtocolId::IKE {
            first(TransformType::PRF).ok_or_else(|| missing(TransformType::PRF, "prfsha256"))?;
            first(TransformType::KE).ok_or_else(|| missing(TransformType::KE, "curve25519"))?;
        }
        Ok(Proposal { protocol, transforms })
    }

    /// What it is for.
    pub fn protocol(&self) -> ProtocolId {
        self.protocol
    }

    /// Its transforms, those of a type in the order in which they are liked.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// Its transforms of a type.
    pub fn of(&self, kind: TransformType) -> impl Iterator<Item = Transform> + '_ {
        self.transforms
            .iter()
            .copied()
            .filter(move |transform| transform.kind == kind)
    }

    /// The same without key exchanges: for the child SA of IKE_AUTH, which has none (RFC 7296 §1.2).
    #[must_use]
    pub fn without_key_exchange(&self) -> Proposal {
        let stays = |transform: &&Transform| {
            transform.kind != TransformType::KE && !transform.kind.is_additional_key_exchange()
        };
        let transforms = self.transforms.iter().filter(stays).copied().collect();
        Proposal {
            protocol: self.protocol,
            transforms,
        }
    }

    /// Appends it to an SA payload.
    pub fn write(&self, number: u8, spi: &[u8], sa: &mut SaBuilder) -> Result<(), WriteError> {
        sa.proposal(number, self.protocol, spi)?;
        self.transforms
            .iter()
            .try_for_each(|transform| sa.transform(*transform))
    }
}

/// The PRF with the hash of an integrity algorithm.
fn prf_of(transform: Transform) -> Option<Transform> {
    let prf = match IntegrityId(transform.id) {
        _ if transform.kind != TransformType::INTEG => return None,
        IntegrityId::HMAC_MD5_96 => PrfId::HMAC_MD5,
        IntegrityId::HMAC_SHA1_96 => PrfId::HMAC_SHA1,
        IntegrityId::AES_XCBC_96 => PrfId::AES128_XCBC,
        IntegrityId::AES_CMAC_96 => PrfId::AES128_CMAC,
        IntegrityId::HMAC_SHA2_256_128 => PrfId::HMAC_SHA2_256,
        IntegrityId::HMAC_SHA2_384_192 => PrfId::HMAC_SHA2_384,
        IntegrityId::HMAC_SHA2_512_256 => PrfId::HMAC_SHA2_512,
        _ => return None,
    };
    Some(Transform::prf(prf))
}

/// Writes words with something between them.
fn join(f: &mut fmt::Formatter<'_>, transforms: &[Transform], between: &str) -> fmt::Result {
    for (number, transform) in transforms.iter().enumerate() {
        let between = if number == 0 { "" } else { between };
        write!(f, "{between}{transform}")?;
    }
    Ok(())
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.transforms, "-")
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(protocol: ProtocolId, text: &str) -> String {
        match Proposal::parse(protocol, text) {
            Ok(proposal) => proposal.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_not_said_is_added() {
        let cases = [
            (
                ProtocolId::IKE,
                "aes256gcm16-prfsha384-ecp384",
                "aes256gcm16-prfsha384-ecp384",
            ),
            (
                ProtocolId::IKE,
                "aes128-sha256-sha512-modp2048",
                "aes128-sha256-sha512-prfsha256-prfsha512-modp2048",
            ),
            (ProtocolId::ESP, "aes256gcm16", "aes256gcm16-noesn"),
            (
                ProtocolId::ESP,
                "aes256gcm-x25519-esn",
                "aes256gcm16-curve25519-esn",
            ),
            (ProtocolId::ESP, "null-sha256-esn-noesn", "null-sha256-esn-noesn"),
        ];
        for (protocol, text, expected) in cases {
            assert_eq!(shown(protocol, text), expected);
            assert_eq!(shown(protocol, expected), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_do() {
        let cases = [
            (ProtocolId::IKE, "aes256gcm17", "'aes256gcm17' is no algorithm"),
            (ProtocolId::IKE, "", "'' is no algorithm"),
            (
                ProtocolId::IKE,
                "aes128gcm16-ecp256",
                "a proposal for IKE needs PRF; add an algorithm like prfsha256",
            ),
            (
                ProtocolId::IKE,
                "aes128gcm16-prfsha256",
                "a proposal for IKE needs key exchange; add",
            ),
            (
                ProtocolId::IKE,
                "aes128gcm16-prfsha256-modpnone",
                "a proposal for IKE needs key exchange; add",
            ),
            (
                ProtocolId::IKE,
                "sha256-modp2048",
                "a proposal for IKE needs encryption; add",
            ),
            (
                ProtocolId::IKE,
                "aes128-prfsha256-modp2048",
                "a proposal for IKE needs integrity; add",
            ),
            (
                ProtocolId::IKE,
                "aes128gcm16-prfsha256-ecp256-esn",
                "esn has no place in a proposal for IKE",
            ),
            (
                ProtocolId::ESP,
                "aes128gcm16-prfsha256",
                "prfsha256 has no place in a proposal for ESP",
            ),
            (
                ProtocolId::ESP,
                "aes128gcm16-aes128-sha256",
                "aes128gcm16 authenticates by itself and aes128 does not",
            ),
            (
                ProtocolId::ESP,
                "aes128gcm16-sha256",
                "aes128gcm16 authenticates by itself; leave sha256 out",
            ),
            (
                ProtocolId::ESP,
                "aes128gcm16-esn-aes128gcm",
                "aes128gcm16 is there twice",
            ),
        ];
        for (protocol, text, sentence) in cases {
            assert!(
                shown(protocol, text).starts_with(sentence),
                "{}",
                shown(protocol, text)
            );
        }
    }

    #[test]
    fn no_integrity_is_for_ciphers_that_authenticate() {
        let none = Transform::integrity(IntegrityId::NONE);
        let with_none = |text: &str| {
            let words = text.split('-').map(|word| word.parse().unwrap());
            Proposal::new(ProtocolId::ESP, words.chain([none]).collect())
        };
        assert!(with_none("aes128gcm16-esn").is_ok());
        let refused = with_none("aes128-sha256-esn").unwrap_err();
        assert_eq!(refused, ProposalError::NoIntegrity("aes128".parse().unwrap()));
        assert!(refused.to_string().starts_with("aes128 does not authenticate"));
    }

    #[test]
    fn the_first_child_sa_has_no_key_exchange() {
        let proposal = Proposal::parse(ProtocolId::ESP, "aes256gcm16-curve25519-ke1_mlkem768-esn").unwrap();
        assert_eq!(proposal.without_key_exchange().to_string(), "aes256gcm16-esn");
    }
}

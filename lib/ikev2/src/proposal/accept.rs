//! The initiator's check of what the responder chose.

use super::{Chosen, Proposal};
use crate::wire::{ProtocolId, Sa, TransformType};

/// Why an answer is none to what was offered: the exchange has failed (RFC 7296 §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not one proposal.
    #[error("the peer answers with {0} proposals where one is right")]
    Proposals(usize),
    /// A number that was not offered.
    #[error("the peer answers with proposal {0}, which was not offered")]
    Number(u8),
    /// Another protocol.
    #[error("the peer answers with a proposal for {got} where {offered} was offered")]
    Protocol {
        /// In the answer.
        got: ProtocolId,
        /// In the proposal of that number.
        offered: ProtocolId,
    },
    /// Something that was not in the proposal.
    #[error("the peer chose a transform for {0} that was not offered")]
    NotOffered(TransformType),
    /// Two of a type.
    #[error("the peer chose more than one transform for {0}")]
    Several(TransformType),
    /// None of a type that was offered.
    #[error("the peer chose no transform for {0}")]
    Missing(TransformType),
}

/// Checks that `answer` is one of the proposals `offered`, numbered from 1, with one transform of each type.
pub fn accept(offered: &[Proposal], answer: &Sa<'_>) -> Result<Chosen, BadAnswer> {
    let mut answers = answer.proposals();
    let (Some(view), 0) = (answers.next(), answers.count()) else {
        return Err(BadAnswer::Proposals(answer.proposals().count()));
    };
    let ours = usize::from(view.number)
        .checked_sub(1)
        .ok_or(BadAnswer::Number(view.number))?;
    let offer = offered.get(ours).ok_or(BadAnswer::Number(view.number))?;
    if view.protocol != offer.protocol() {
        return Err(BadAnswer::Protocol {
            got: view.protocol,
            offered: offer.protocol(),
        });
    }
    let mut chosen = Chosen {
        number: view.number,
        protocol: view.protocol,
        spi: view.spi.to_vec(),
        transforms: Vec::new(),
        ours,
    };
    for transform in view.transforms() {
        let kind = transform.kind;
        if chosen.of(kind).is_some() {
            return Err(BadAnswer::Several(kind));
        }
        let plain = transform
            .plain()
            .filter(|plain| offer.transforms().contains(plain));
        chosen.transforms.push(plain.ok_or(BadAnswer::NotOffered(kind))?);
    }
    // Who says nothing of a type has chosen what stands for nothing, if that was offered.
    let missing = offer
        .transforms()
        .iter()
        .map(|transform| transform.kind)
        .find(|kind| chosen.of(*kind).is_none() && !offer.of(*kind).any(|transform| transform.is_none()));
    match missing {
        Some(kind) => Err(BadAnswer::Missing(kind)),
        None => Ok(chosen),
    }
}

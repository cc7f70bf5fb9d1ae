//! The responder's choice.

use super::{Mismatch, Proposal, Refusal};
use crate::wire::{ProposalView, ProtocolId, Sa, Transform, TransformType};

/// Whose order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// Ours: the first of our proposals that fits any of theirs, and of each type the first of ours.
    Ours,
    /// Theirs: the first of their proposals that fits any of ours, and of each type the first of theirs.
    Theirs,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Number of the proposal that it is of, which the answer repeats.
    pub number: u8,
    /// What it is for.
    pub protocol: ProtocolId,
    /// The SPI that the other end chose; empty for an IKE SA that is new.
    pub spi: Vec<u8>,
    /// One transform of each type that was offered.
    pub transforms: Vec<Transform>,
    /// Which of ours it fits, from 0.
    pub ours: usize,
}

impl Chosen {
    /// The transform of a type, if one was offered.
    pub fn of(&self, kind: TransformType) -> Option<Transform> {
        self.transforms
            .iter()
            .copied()
            .find(|transform| transform.kind == kind)
    }
}

/// A proposal of the peer's: its transforms as far as they can be chosen, and the known types that it has.
pub(super) struct Theirs<'a> {
    pub(super) view: ProposalView<'a>,
    pub(super) transforms: Vec<Transform>,
    pub(super) kinds: Vec<TransformType>,
    /// A type that is not known here: nothing of it can be chosen, and so nothing of the proposal.
    strange: Option<TransformType>,
}

impl<'a> Theirs<'a> {
    pub(super) fn new(view: ProposalView<'a>) -> Theirs<'a> {
        let mut kinds = Vec::new();
        let mut strange = None;
        for kind in view.transforms().map(|transform| transform.kind) {
            if kind.name().is_none() {
                strange.get_or_insert(kind);
            } else if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        // One with an attribute that is not known is not chosen (RFC 7296 §3.3.6).
        let transforms = view
            .transforms()
            .filter_map(|transform| transform.plain())
            .collect();
        Theirs {
            view,
            transforms,
            kinds,
            strange,
        }
    }

    fn of(&self, kind: TransformType) -> impl Iterator<Item = Transform> + '_ {
        self.transforms
            .iter()
            .copied()
            .filter(move |transform| transform.kind == kind)
    }
}

/// Chooses from what the peer offers, or says why nothing can be. At most [`crate::wire::MAX_PROPOSALS`] of 255 transforms each are
/// compared with ours.
pub fn choose(ours: &[Proposal], theirs: &Sa<'_>, prefer: Prefer) -> Result<Chosen, Refusal> {
    let theirs: Vec<Theirs<'_>> = theirs.proposals().map(Theirs::new).collect();
    let (outer, inner) = match prefer {
        Prefer::Ours => (ours.len(), theirs.len()),
        Prefer::Theirs => (theirs.len(), ours.len()),
    };
    let mut closest: Option<(Vec<TransformType>, &Proposal, &Theirs<'_>)> = None;
    for first in 0..outer {
        for second in 0..inner {
            let (at, number) = match prefer {
                Prefer::Ours => (first, second),
                Prefer::Theirs => (second, first),
            };
            let (Some(our), Some(their)) = (ours.get(at), theirs.get(number)) else {
                continue;
            };
            if our.protocol() != their.view.protocol {
                continue;
            }
            match both(our, their, prefer) {
                Ok(transforms) => {
                    let ProposalView {
                        number,
                        protocol,
                        spi,
                        ..
                    } = their.view;
                    return Ok(Chosen {
                        number,
                        protocol,
                        spi: spi.to_vec(),
                        transforms,
                        ours: at,
                    });
                }
                Err(kinds)
                    if closest
                        .as_ref()
                        .is_none_or(|(others, ..)| others.len() > kinds.len()) =>
                {
                    closest = Some((kinds, our, their));
                }
                Err(_) => {}
            }
        }
    }
    Err(match closest {
        Some((kinds, our, their)) => Refusal::Algorithms {
            number: their.view.number,
            mismatches: kinds
                .into_iter()
                .map(|kind| Mismatch::new(kind, our, their))
                .collect(),
        },
        None => Refusal::protocols(ours, &theirs),
    })
}

/// What is common to both, one of each type that they offer; or the types of which nothing is.
fn both(our: &Proposal, their: &Theirs<'_>, prefer: Prefer) -> Result<Vec<Transform>, Vec<TransformType>> {
    if let Some(kind) = their.strange {
        return Err(vec![kind]);
    }
    let mut mismatches = Vec::new();
    let mut transforms = Vec::new();
    // Types in the order of their proposal, which the answer keeps, and behind them those that only ours has.
    let mut kinds = their.kinds.clone();
    for transform in our.transforms() {
        if !kinds.contains(&transform.kind) {
            kinds.push(transform.kind);
        }
    }
    for kind in kinds {
        let offered = their.kinds.contains(&kind);
        let allowed = our.of(kind).next().is_some();
        // What one end does not speak of it does without, and the other has to allow that (RFC 7296 §3.3.3).
        let none = kind.none().map(|id| Transform::new(kind, id));
        let ours_has = |transform: Transform| {
            our.of(kind).any(|ours| ours == transform) || !allowed && Some(transform) == none
        };
        let theirs_has = |transform: Transform| {
            their.of(kind).any(|theirs| theirs == transform) || !offered && Some(transform) == none
        };
        let found = match prefer {
            Prefer::Ours => our
                .of(kind)
                .chain(none)
                .find(|transform| ours_has(*transform) && theirs_has(*transform)),
            Prefer::Theirs => their
                .of(kind)
                .chain(none)
                .find(|transform| ours_has(*transform) && theirs_has(*transform)),
        };
        match found {
            Some(found) => {
                // A type that was not offered has no place in the answer.
                if offered {
                    transforms.push(found);
                }
            }
            None => mismatches.push(kind),
        }
    }
    if mismatches.is_empty() {
        Ok(transforms)
    } else {
        Err(mismatches)
    }
}

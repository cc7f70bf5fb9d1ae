//! Why nothing was chosen, for people.

use std::fmt;

use super::choose::Theirs;
use super::{Proposal, join};
use crate::wire::{ProtocolId, Transform, TransformType};

/// As many words of one end are shown.
const SHOWN: usize = 8;

/// What each end has of a type of which nothing is common to both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The type.
    pub kind: TransformType,
    /// What the peer offers: empty, if it has nothing of the type.
    pub peer: Vec<Transform>,
    /// Whether the peer has more of the type, with attributes that are not known here.
    pub peer_has_unknown: bool,
    /// What we allow: empty, if we have nothing of the type.
    pub ours: Vec<Transform>,
}

impl Mismatch {
    pub(super) fn new(kind: TransformType, our: &Proposal, their: &Theirs<'_>) -> Mismatch {
        let of_kind = || their.view.transforms().filter(|transform| transform.kind == kind);
        Mismatch {
            kind,
            peer: of_kind().filter_map(|transform| transform.plain()).collect(),
            peer_has_unknown: of_kind().any(|transform| transform.plain().is_none()),
            ours: our.of(kind).collect(),
        }
    }
}

/// The words of one end.
fn words(f: &mut fmt::Formatter<'_>, transforms: &[Transform], kind: TransformType) -> fmt::Result {
    match transforms.split_at_checked(SHOWN) {
        _ if transforms.is_empty() => write!(f, "no {kind}"),
        Some((shown, more)) if !more.is_empty() => {
            join(f, shown, ", ")?;
            write!(f, " or {} more", more.len())
        }
        _ => join(f, transforms, " or "),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("peer wants ")?;
        if self.peer_has_unknown && self.peer.is_empty() {
            write!(f, "{} with attributes that are not known here", self.kind)?;
        } else {
            words(f, &self.peer, self.kind)?;
        }
        f.write_str(", we allow ")?;
        words(f, &self.ours, self.kind)
    }
}

/// Why nothing can be chosen: of all pairs of proposals the one that is closest to fit. In one sentence that a log can begin with
/// the name of a profile, and end with what to add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is common of these types.
    Algorithms {
        /// Number of the peer's proposal.
        number: u8,
        /// What each end has; at least one.
        mismatches: Vec<Mismatch>,
    },
    /// The proposals are for something else.
    Protocols {
        /// What the peer offers, each once.
        peer: Vec<ProtocolId>,
        /// What we allow, each once.
        ours: Vec<ProtocolId>,
    },
}

impl Refusal {
    pub(super) fn protocols(ours: &[Proposal], theirs: &[Theirs<'_>]) -> Refusal {
        let once = |protocols: &mut dyn Iterator<Item = ProtocolId>| {
            let mut once = Vec::new();
            protocols.for_each(|protocol| {
                if !once.contains(&protocol) {
                    once.push(protocol);
                }
            });
            once
        };
        Refusal::Protocols {
            peer: once(&mut theirs.iter().map(|their| their.view.protocol)),
            ours: once(&mut ours.iter().map(Proposal::protocol)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Algorithms { mismatches, .. } => {
                for (number, mismatch) in mismatches.iter().enumerate() {
                    let between = if number == 0 { "" } else { "; " };
                    write!(f, "{between}{mismatch}")?;
                }
                Ok(())
            }
            Refusal::Protocols { peer, ours } => {
                let list = |f: &mut fmt::Formatter<'_>, protocols: &[ProtocolId]| {
                    if protocols.is_empty() {
                        return f.write_str("nothing");
                    }
                    protocols
                        .iter()
                        .enumerate()
                        .take(SHOWN)
                        .try_for_each(|(number, protocol)| {
                            let between = if number == 0 { "" } else { " or " };
                            write!(f, "{between}{protocol}")
                        })
                };
                f.write_str("peer offers ")?;
                list(f, peer)?;
                f.write_str(", we allow ")?;
                list(f, ours)
            }
        }
    }
}

impl std::error::Error for Refusal {}

//! What is made of the options of packets on their way through an interface: the policy, and what a fault leads to.
//!
//! IPv4 options are always walked; the policy is asked about router alerts alone. Of IPv6 it is about the hop-by-hop header: with
//! `process` each one is judged, RFC 8200 section 4.2. Without, it is looked at while router alerts concern anybody, and what is
//! not known there is skipped, as RFC 8200 section 4 allows a router.

use packet::extension::UnrecognizedAction;
use router_alert::alert::{Alert, Fault, Settings, Unrecognized};
use shm::DropReason;

use super::{Note, Remarks};

/// What is made of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionPolicy {
    /// What is taken of them.
    pub settings: Settings,
    /// Whether the sender of an IPv6 router alert of a wrong length is told.
    pub tells_length: bool,
}

impl Default for OptionPolicy {
    /// As the defaults of a configuration are.
    fn default() -> Self {
        Self {
            settings: Settings {
                unrecognized: Unrecognized::Skip,
                ..Settings::default()
            },
            tells_length: true,
        }
    }
}

impl OptionPolicy {
    /// The same where each hop-by-hop header is judged, or none is for its own sake.
    pub fn with_hop_by_hop(self, process: bool) -> Self {
        let unrecognized = if process {
            Unrecognized::Judge
        } else {
            Unrecognized::Skip
        };
        Self {
            settings: Settings {
                unrecognized,
                ..self.settings
            },
            ..self
        }
    }

    /// Whether each hop-by-hop header is judged.
    #[inline]
    pub fn processes(&self) -> bool {
        self.settings.unrecognized == Unrecognized::Judge
    }

    /// Drops a packet for what is wrong with its options. An error says so where its detail points at something.
    pub(super) fn refuse(&self, fault: Fault, note: &mut Note) {
        let is_told = match fault {
            Fault::AlertLength { .. } => self.tells_length,
            Fault::Unrecognized { action, .. } => action != UnrecognizedAction::Discard,
            _ => true,
        };
        let pointer = fault.pointer().filter(|_| is_told);
        // The octets of a hop-by-hop header are among the first two thousand.
        note.detail = pointer.unwrap_or_default() as u16;
        note.drop(reason(fault));
    }
}

/// Why a packet with this fault is dropped. That its IP header is right has been seen before.
fn reason(fault: Fault) -> DropReason {
    match fault {
        Fault::Version | Fault::Ipv4(_) | Fault::Ipv4OptionLength { .. } => DropReason::Ip4Options,
        Fault::Ipv6(_) | Fault::HeaderLength { .. } => DropReason::HopByHopLength,
        Fault::OptionLength { .. } => DropReason::HopByHopOptionLength,
        Fault::AlertLength { .. } => DropReason::RouterAlertLength,
        Fault::Padding { .. } => DropReason::HopByHopPadding,
        Fault::Duplicate { .. } => DropReason::RouterAlertDuplicate,
        Fault::Jumbo { .. } => DropReason::JumboPayload,
        Fault::Unrecognized { .. } => DropReason::HopByHopOption,
        Fault::HeaderTooBig { .. } => DropReason::HopByHopTooBig,
        Fault::TooManyOptions { .. } => DropReason::HopByHopTooMany,
    }
}

/// What is odd about an alert that is taken all the same.
pub(super) fn remarks(alert: &Alert) -> Remarks {
    let marks = [
        (alert.misaligned, Remarks::MISALIGNED),
        (alert.duplicate, Remarks::DUPLICATE),
        (alert.irregular_padding, Remarks::PADDING),
    ];
    let marks = marks.into_iter().filter(|(is_so, _)| *is_so);
    marks.fold(Remarks::NONE, |all, (_, mark)| all.union(mark))
}

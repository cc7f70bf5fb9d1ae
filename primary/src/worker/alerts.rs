//! Router alerts: what is counted of them by rule and interface, and who sees those that go no further.

use control::message::PuntClass;
use dpdk::Mbuf;
use shm::{AlertCounter, DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use crate::adjacency;
use crate::path::punt::{Alerted, NO_RULE};
use crate::path::{Note, Remarks};

/// Only packets that pass one of these stages have router alerts.
pub(super) const OPTIONS: Passed = Passed::NONE
    .with(PathStage::Ip4Options)
    .with(PathStage::Ip6Options);

/// The rule that a packet fits which goes to the tool of this class.
#[inline]
pub(super) fn rule_of(class: PuntClass, note: &Note) -> Option<u16> {
    (class == PuntClass::RouterAlert && note.detail != NO_RULE).then_some(note.detail)
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Counts the router alerts of a burst that came in by the port of interface `port`.
    #[cold]
    pub(super) fn count_alerts(&self, port: u16, notes: &[Note]) {
        for note in notes {
            let interface = note.sub_interface().unwrap_or(port);
            self.count_remarks(interface, note.remarks);
            let of_rule = |rule, counter| self.counters.alert(rule, counter, 1);
            match note.alert {
                Alerted::No => continue,
                Alerted::Unmatched => self.counters.add(interface, InterfaceCounter::AlertsUnmatched, 1),
                Alerted::Asked => of_rule(note.detail, AlertCounter::Matched),
                Alerted::Expired(rule) => of_rule(rule, AlertCounter::Expired),
                Alerted::Bypass(rule) => {
                    of_rule(rule, AlertCounter::Matched);
                    of_rule(rule, AlertCounter::BypassDead);
                }
                Alerted::Closed(rule) => {
                    of_rule(rule, AlertCounter::Matched);
                    of_rule(rule, AlertCounter::ClosedDead);
                }
            }
            self.counters.add(interface, InterfaceCounter::AlertsSeen, 1);
        }
    }

    /// Counts what is odd about a router alert.
    fn count_remarks(&self, interface: u16, remarks: Remarks) {
        for (remark, counter) in [
            (Remarks::MISALIGNED, InterfaceCounter::AlertsMisaligned),
            (Remarks::DUPLICATE, InterfaceCounter::AlertsDuplicate),
            (Remarks::PADDING, InterfaceCounter::AlertsPadding),
        ] {
            self.counters
                .add(interface, counter, remarks.contains(remark).into());
        }
    }

    /// Copies a router alert that came in by `ingress` to those who watch, if it is dropped since its hops have run out and its rule
    /// says so.
    #[cold]
    pub(super) fn show_expired(
        &mut self,
        ingress: u16,
        mbuf: &Mbuf,
        reason: DropReason,
        alert: Alerted,
        now: u64,
    ) {
        if let (DropReason::TtlExpired, Alerted::Expired(rule)) = (reason, alert) {
            self.consumers.show_expired(rule, ingress, mbuf, now);
        }
    }
}

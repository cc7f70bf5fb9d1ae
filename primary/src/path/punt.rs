//! Which packets a tool decides about: those with the router alert option, RFC 2113 and RFC 2711, and IKE to the gateway
//! itself, RFC 7296.
//!
//! Of router alerts the rules say which, as soon as there is one; without rules it is all of them.

use std::sync::Arc;

use control::message::{FailMode, PuntClass};
use esp::udp::{Datagram, PORT, classify};
use packet::Udp;
use router_alert::alert::Alert;
use shm::DropReason;

use super::{Disposition, Note, rewrite};
use crate::alerts::RuleSet;

/// What becomes of the packets of a class now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuntMode {
    /// What would become of them if there were no such class.
    Off,
    /// A tool decides.
    Tool,
    /// There is no tool, and the class fails closed.
    Closed,
}

/// What becomes of the packets of each class now.
#[derive(Clone, Debug)]
pub struct Punts {
    modes: [PuntMode; PuntClass::COUNT],
    /// The rules for router alerts, if there are any.
    rules: Option<Arc<RuleSet>>,
}

/// The detail of a packet for a tool that fits no rule.
pub const NO_RULE: u16 = u16::MAX;

/// What the rules for router alerts say of a packet. Rules are named by their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alerted {
    /// Nothing: it has no router alert, or nobody wants to know.
    #[default]
    No,
    /// None fits it.
    Unmatched,
    /// It fits the one that is the detail of its note, and a tool is to be asked.
    Asked,
    /// It fits this one, goes no further, and no tool is asked.
    Expired(u16),
    /// It fits this one, which has no tool, and goes on.
    Bypass(u16),
    /// It fits this one, which has no tool, and is dropped.
    Closed(u16),
}

impl Punts {
    /// No tool is asked about anything.
    pub const OFF: Self = Self {
        modes: [PuntMode::Off; PuntClass::COUNT],
        rules: None,
    };

    /// What each class is to be like.
    pub fn new(mode: impl Fn(PuntClass) -> PuntMode) -> Self {
        Self {
            modes: PuntClass::ALL.map(mode),
            rules: None,
        }
    }

    /// The same with rules for router alerts.
    pub fn with_rules(self, rules: Option<Arc<RuleSet>>) -> Self {
        Self { rules, ..self }
    }

    /// Notes what the router alert of a packet leads to that came in by `ingress`; `false` when the packet goes on as any other.
    /// `packet` begins with the IP header, which was checked.
    #[cold]
    pub(super) fn apply_alert(&self, alert: &Alert, ingress: u16, packet: &[u8], note: &mut Note) -> bool {
        if self.is_off(PuntClass::RouterAlert) {
            return false;
        }
        let Some(rules) = &self.rules else {
            note.alert = Alerted::Unmatched;
            let applies = self.apply(PuntClass::RouterAlert, note);
            if matches!(note.disposition, Disposition::Punt(_)) {
                note.detail = NO_RULE;
            }
            return applies;
        };
        let Some(rule) = rules.find(alert, ingress, packet) else {
            note.alert = Alerted::Unmatched;
            return false;
        };
        let id = rule.id;
        // Whether it is for the gateway itself is not known yet. Then its hops are enough, and it is no tool's to send on.
        if rewrite::has_expired(note.family, packet) {
            note.alert = Alerted::Expired(id);
            return false;
        }
        if self.modes[PuntClass::RouterAlert as usize] == PuntMode::Tool {
            note.alert = Alerted::Asked;
            note.detail = id;
            note.disposition = Disposition::Punt(PuntClass::RouterAlert);
            return true;
        }
        match rule.fail {
            FailMode::Open => {
                note.alert = Alerted::Bypass(id);
                false
            }
            FailMode::Closed => {
                note.alert = Alerted::Closed(id);
                note.drop(DropReason::PuntClosed);
                true
            }
        }
    }

    /// Notes that a packet is of a class; `false` when that changes nothing.
    pub(super) fn apply(&self, class: PuntClass, note: &mut Note) -> bool {
        note.disposition = match self.modes[class as usize] {
            PuntMode::Off => return false,
            PuntMode::Tool => Disposition::Punt(class),
            PuntMode::Closed => Disposition::Drop(DropReason::PuntClosed),
        };
        true
    }

    /// Whether nobody wants to know which packets are of a class.
    pub(super) fn is_off(&self, class: PuntClass) -> bool {
        let has_rules = class == PuntClass::RouterAlert && self.rules.is_some();
        self.modes[class as usize] == PuntMode::Off && !has_rules
    }
}

/// UDP port of IKE, RFC 7296 section 2.
pub(crate) const IKE: u16 = 500;
/// With NAT traversal as well, section 2.23.
const IKE_PORTS: [u16; 2] = [IKE, esp::udp::PORT];

/// Whether a tool decides about UDP to this port of the gateway itself, or nobody may.
pub(super) fn ike(punts: &Punts, segment: &[u8], note: &mut Note) -> bool {
    let is_ike =
        || Udp::parse(segment).is_ok_and(|udp| IKE_PORTS.contains(&udp.destination_port()) && !is_esp(&udp));
    !punts.is_off(PuntClass::Ike) && is_ike() && punts.apply(PuntClass::Ike, note)
}

/// Whether it is an ESP packet in UDP, or a keepalive: RFC 3948 section 2.
fn is_esp(udp: &Udp<'_>) -> bool {
    let is_other = || matches!(classify(udp.payload()), Datagram::Esp | Datagram::Keepalive);
    udp.destination_port() == PORT && is_other()
}

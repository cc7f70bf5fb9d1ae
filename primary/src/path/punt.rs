//! Which packets a tool decides about: those with the router alert option, RFC 2113 and RFC 2711, and IKE to the gateway
//! itself, RFC 7296.

use std::sync::Arc;

use control::message::{AlertRule, PuntClass};
use packet::Udp;
use shm::DropReason;

use super::{Disposition, Family, Note};

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
    /// The values of router alerts that the tool wants, if not all.
    alerts: Option<Arc<AlertValues>>,
}

/// Words of 64 values each.
const WORDS: usize = (1 << 16) / 64;

/// Values of the router alert option, a bit for each.
#[derive(Debug)]
pub struct AlertValues {
    four: [u64; WORDS],
    six: [u64; WORDS],
}

impl AlertValues {
    /// Those of some rules.
    pub fn new(rules: &[AlertRule]) -> Self {
        let mut values = Self {
            four: [0; WORDS],
            six: [0; WORDS],
        };
        for AlertRule { rule, .. } in rules {
            for value in rule.values.ranges().flatten() {
                let bit = 1 << (value % 64);
                if rule.family != Some(router_alert::Family::Six) {
                    values.four[usize::from(value) / 64] |= bit;
                }
                if rule.family != Some(router_alert::Family::Four) {
                    values.six[usize::from(value) / 64] |= bit;
                }
            }
        }
        values
    }

    fn contains(&self, family: Family, value: u16) -> bool {
        let words = match family {
            Family::Four => &self.four,
            Family::Six => &self.six,
        };
        words[usize::from(value) / 64] >> (value % 64) & 1 == 1
    }
}

impl Punts {
    /// No tool is asked about anything.
    pub const OFF: Self = Self {
        modes: [PuntMode::Off; PuntClass::COUNT],
        alerts: None,
    };

    /// What each class is to be like.
    pub fn new(mode: impl Fn(PuntClass) -> PuntMode) -> Self {
        Self {
            modes: PuntClass::ALL.map(mode),
            alerts: None,
        }
    }

    /// The same where the tool wants router alerts of these values only.
    pub fn with_alerts(self, alerts: Option<Arc<AlertValues>>) -> Self {
        Self { alerts, ..self }
    }

    /// Notes that a packet has the router alert option with this value; `false` when that changes nothing.
    pub(super) fn apply_alert(&self, value: u16, note: &mut Note) -> bool {
        let decides = self.modes[PuntClass::RouterAlert as usize] == PuntMode::Tool;
        let wanted = self
            .alerts
            .as_ref()
            .is_none_or(|alerts| alerts.contains(note.family, value));
        (wanted || !decides) && self.apply(PuntClass::RouterAlert, note)
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

    pub(super) fn is_off(&self, class: PuntClass) -> bool {
        self.modes[class as usize] == PuntMode::Off
    }
}

/// UDP ports of IKE: without and with NAT traversal, RFC 7296 sections 2 and 2.23.
const IKE_PORTS: [u16; 2] = [500, 4500];

/// Whether a tool decides about UDP to this port of the gateway itself, or nobody may.
pub(super) fn ike(punts: &Punts, segment: &[u8], note: &mut Note) -> bool {
    let is_ike = || Udp::parse(segment).is_ok_and(|udp| IKE_PORTS.contains(&udp.destination_port()));
    !punts.is_off(PuntClass::Ike) && is_ike() && punts.apply(PuntClass::Ike, note)
}

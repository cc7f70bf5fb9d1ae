//! Which packets a tool decides about: those with the router alert option, RFC 2113 and RFC 2711, and IKE to the gateway
//! itself, RFC 7296.

use control::message::PuntClass;
use packet::Udp;
use shm::DropReason;

use super::{Disposition, Note};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punts([PuntMode; PuntClass::COUNT]);

impl Punts {
    /// No tool is asked about anything.
    pub const OFF: Self = Self([PuntMode::Off; PuntClass::COUNT]);

    /// What each class is to be like.
    pub fn new(mode: impl Fn(PuntClass) -> PuntMode) -> Self {
        Self(PuntClass::ALL.map(mode))
    }

    /// Notes that a packet is of a class; `false` when that changes nothing.
    pub(super) fn apply(&self, class: PuntClass, note: &mut Note) -> bool {
        note.disposition = match self.0[class as usize] {
            PuntMode::Off => return false,
            PuntMode::Tool => Disposition::Punt(class),
            PuntMode::Closed => Disposition::Drop(DropReason::PuntClosed),
        };
        true
    }

    pub(super) fn is_off(&self, class: PuntClass) -> bool {
        self.0[class as usize] == PuntMode::Off
    }
}

/// UDP ports of IKE: without and with NAT traversal, RFC 7296 sections 2 and 2.23.
const IKE_PORTS: [u16; 2] = [500, 4500];

/// Whether a tool decides about UDP to this port of the gateway itself, or nobody may.
pub(super) fn ike(punts: &Punts, segment: &[u8], note: &mut Note) -> bool {
    let is_ike = || Udp::parse(segment).is_ok_and(|udp| IKE_PORTS.contains(&udp.destination_port()));
    !punts.is_off(PuntClass::Ike) && is_ike() && punts.apply(PuntClass::Ike, note)
}

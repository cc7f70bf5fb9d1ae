//! Which packets a tool decides about: those with the router alert option, RFC 2113, and IKE to the gateway itself, RFC 7296.

use control::message::PuntClass;
use packet::{Ipv4, Protocol, Udp};
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
    fn apply(&self, class: PuntClass, note: &mut Note) -> bool {
        note.disposition = match self.0[class as usize] {
            PuntMode::Off => return false,
            PuntMode::Tool => Disposition::Punt(class),
            PuntMode::Closed => Disposition::Drop(DropReason::PuntClosed),
        };
        true
    }

    fn is_off(&self, class: PuntClass) -> bool {
        self.0[class as usize] == PuntMode::Off
    }
}

/// The router alert option: copied, class 0, number 20.
const ROUTER_ALERT: u8 = 148;
/// The end of the options, and an option of nothing, which have no length: RFC 791 section 3.1.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// UDP ports of IKE: without and with NAT traversal, RFC 7296 sections 2 and 2.23.
const IKE_PORTS: [u16; 2] = [500, 4500];

/// Whether a tool decides about a packet with options, or nobody may.
#[cold]
pub(super) fn router_alert(punts: &Punts, packet: &[u8], note: &mut Note) -> bool {
    if punts.is_off(PuntClass::RouterAlert) {
        return false;
    }
    let alert = Ipv4::parse(packet).is_ok_and(|header| has_router_alert(header.options()));
    alert && punts.apply(PuntClass::RouterAlert, note)
}

/// Whether the option is among these. Options that overrun are none.
fn has_router_alert(mut options: &[u8]) -> bool {
    loop {
        match options {
            [] | [END, ..] => return false,
            [NO_OPERATION, rest @ ..] => options = rest,
            [kind, length, ..] if *length >= 2 => {
                let Some(rest) = options.get(usize::from(*length)..) else {
                    return false;
                };
                if *kind == ROUTER_ALERT && *length == 4 {
                    return true;
                }
                options = rest;
            }
            _ => return false,
        }
    }
}

/// Whether a tool decides about a packet for the gateway itself, or nobody may.
pub(super) fn ike(punts: &Punts, packet: &[u8], note: &mut Note) -> bool {
    if punts.is_off(PuntClass::Ike) {
        return false;
    }
    let datagram = packet.get(usize::from(note.network)..usize::from(note.length));
    let is_ike = datagram
        .and_then(|datagram| Ipv4::parse(datagram).ok())
        .is_some_and(|header| {
            header.protocol() == Protocol::UDP
                && !header.is_fragment()
                && Udp::parse(header.payload()).is_ok_and(|udp| IKE_PORTS.contains(&udp.destination_port()))
        });
    is_ike && punts.apply(PuntClass::Ike, note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_option_is_found_wherever_it_stands_and_only_whole() {
        for (options, found) in [
            (&[148, 4, 0, 0][..], true),
            (&[1, 1, 1, 148, 4, 0, 0, 0], true),
            (&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 5, 0], true),
            (&[], false),
            (&[0, 148, 4, 0], false),
            (&[148, 3, 0, 0], false),
            (&[148, 4, 0], false),
            (&[148], false),
            (&[7, 0, 148, 4, 0, 0], false),
            (&[7, 200, 148, 4, 0, 0], false),
        ] {
            assert_eq!(has_router_alert(options), found, "{options:?}");
        }
    }

    proptest! {
        #[test]
        fn any_options_are_searched_to_an_end(options in prop::collection::vec(any::<u8>(), 0..40)) {
            has_router_alert(&options);
        }
    }
}

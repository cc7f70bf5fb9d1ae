//! Packets for the gateway itself that had to be put together first: out of segments, or out of fragments.

use super::local6::Ends;
use super::punt::Punts;
use super::{Disposition, Family, Note, Stages, kernel, local4, local6, vlan};
use crate::adjacency;
use shm::DropReason;

/// What becomes of a packet for the gateway itself.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    /// Its end. To be transmitted is the reply that it was made. What a tunnel takes out of it begins where `detail` says.
    pub disposition: Disposition,
    /// As of its note.
    pub detail: u16,
    /// Where the packet begins in its bytes: a reply has no tags.
    pub begin: usize,
    /// Where the packet ends in its bytes, a reply perhaps before where it ended before.
    pub end: usize,
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Delivers a packet that came in by `ingress`, all of which is in `frame` behind a link header of `link_len` bytes. It may
    /// be longer than any that a link carries.
    pub fn deliver(
        &self,
        ingress: u16,
        punts: &Punts,
        frame: &mut [u8],
        link_len: usize,
        family: Family,
    ) -> Delivered {
        let mut end = frame.len();
        let mut note = Note {
            network: link_len as u8,
            family,
            ..Note::NEW
        };
        let mut anycast = false;
        match (self.up(ingress), family) {
            (None, _) => note.drop(DropReason::InterfaceDown),
            (Some(interface), family) => {
                let reply = match family {
                    // The source was looked at before: it is the same in all fragments.
                    Family::Four => local4::answer(interface, ingress, punts, frame, end, &mut note),
                    Family::Six => {
                        let packet = frame.get(link_len..).unwrap_or_default();
                        anycast = self.is_for_routers(packet);
                        let ends = Ends {
                            own_source: self.is_from_here(packet, 0),
                            anycast,
                        };
                        local6::answer(interface, ingress, punts, frame, end, &mut note, ends)
                    }
                };
                self.take_tunnelled(frame, end, anycast, &mut note);
                if note.disposition == Disposition::Esp && note.length != 0 {
                    // Its datagram ends before.
                    end = note.length.into();
                }
                if let Some(reply) = reply {
                    end = reply;
                    vlan::untag(frame, &mut note);
                } else if interface.tap
                    && let Disposition::Drop(reason) = note.disposition
                    && kernel::is_for_kernel(reason, frame, &note)
                {
                    note.disposition = Disposition::Kernel(ingress);
                }
            }
        }
        Delivered {
            disposition: note.disposition,
            detail: note.detail,
            begin: note.trim.into(),
            end,
        }
    }

    /// The longest IP packet that leaves by an interface.
    pub fn mtu(&self, interface: u16) -> u16 {
        let interface = self.interfaces.get(usize::from(interface));
        interface.map_or(0, |interface| interface.mtu)
    }
}

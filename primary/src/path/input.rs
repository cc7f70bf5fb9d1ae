//! What comes before the lookup: each frame of a burst through the stages of its kind.

use packet::ethernet::HEADER_LEN;

use super::punt::Punts;
use super::{Alive, Family, InterfaceView, Interfaces, Note, Packet, ethernet, ip4_input, ip6_input};

/// The packets of a burst that go on to the lookup, by family.
pub(super) struct Found {
    pub(super) four: Alive,
    pub(super) six: Alive,
}

/// What comes before the lookup: which packets go on, and to where those of IPv4.
#[inline(never)]
pub(super) fn run<P: Packet>(
    interfaces: &Interfaces,
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    packets: &mut [P],
    notes: &mut [Note],
    destinations: &mut [u32],
) -> Found {
    let mut alive = Found {
        four: Alive::NONE,
        six: Alive::NONE,
    };
    for (number, ((packet, note), destination)) in packets.iter_mut().zip(notes).zip(destinations).enumerate()
    {
        let behind = packet.behind();
        let packet = packet.first();
        if ethernet::is_usual(interface, packet) {
            *note = Note {
                length: (packet.len() + behind) as u16,
                network: HEADER_LEN as u8,
                ..Note::NEW
            };
            if let Some(found) = ip4_input::run(interface, punts, (packet, behind), HEADER_LEN, note) {
                *destination = found;
                alive.four.insert(number);
            }
        } else {
            let goes_on = if ethernet::is_usual6(interface, packet) {
                *note = Note {
                    length: (packet.len() + behind) as u16,
                    network: HEADER_LEN as u8,
                    family: Family::Six,
                    ..Note::NEW
                };
                ip6_input::run(interface, ingress, punts, (packet, behind), note)
            } else {
                unusual(
                    interfaces,
                    interface,
                    ingress,
                    punts,
                    (packet, behind),
                    note,
                    destination,
                )
            };
            if goes_on {
                match note.family {
                    Family::Four => alive.four.insert(number),
                    Family::Six => alive.six.insert(number),
                }
            }
        }
    }
    alive
}

/// For frames that are tagged, for everybody or a group, of another EtherType, or not for us; whether they go on.
#[inline(never)]
fn unusual(
    interfaces: &Interfaces,
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    (packet, behind): (&mut [u8], usize),
    note: &mut Note,
    destination: &mut u32,
) -> bool {
    let Some(interface) = ethernet::run(interfaces, interface, ingress, (packet, behind), note) else {
        return false;
    };
    let ingress = note.ingress(ingress);
    match note.family {
        Family::Four => {
            let network = usize::from(note.network);
            let found = ip4_input::run(interface, punts, (packet, behind), network, note);
            *destination = found.unwrap_or(*destination);
            found.is_some()
        }
        Family::Six => ip6_input::run(interface, ingress, punts, (packet, behind), note),
    }
}

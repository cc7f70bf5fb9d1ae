//! What comes before the lookup: each frame of a burst through the stages of its kind.

use packet::ethernet::HEADER_LEN;
use shm::{Passed, PathStage};

use super::punt::Punts;
use super::{Alive, Family, InterfaceView, Interfaces, Note, Packet, Tracer, ethernet, ip4_input, ip6_input};

/// The packets of a burst that go on to the lookup, by family.
pub(super) struct Found {
    pub(super) four: Alive,
    pub(super) six: Alive,
}

/// What comes before the lookup: which packets go on, and to where those of IPv4.
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "all that there is between two stages")]
pub(super) fn run<P: Packet, T: Tracer>(
    interfaces: &Interfaces,
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
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
        tracer.enter(PathStage::Ethernet);
        if ethernet::is_usual(interface, packet) {
            *note = Note {
                length: (packet.len() + behind) as u16,
                network: HEADER_LEN as u8,
                passed: Passed::USUAL4,
                ..Note::NEW
            };
            let packet = (&*packet, behind);
            if let Some(found) = ip4_input::run(interface, ingress, punts, tracer, packet, HEADER_LEN, note) {
                *destination = found;
                alive.four.insert(number);
            }
        } else {
            let goes_on = if ethernet::is_usual6(interface, packet) {
                *note = Note {
                    length: (packet.len() + behind) as u16,
                    network: HEADER_LEN as u8,
                    family: Family::Six,
                    passed: Passed::USUAL6,
                    ..Note::NEW
                };
                ip6_input::run(interface, ingress, punts, tracer, (packet, behind), note)
            } else {
                unusual(
                    interfaces,
                    interface,
                    ingress,
                    punts,
                    tracer,
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
#[expect(clippy::too_many_arguments, reason = "all that there is between two stages")]
fn unusual<T: Tracer>(
    interfaces: &Interfaces,
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    (packet, behind): (&mut [u8], usize),
    note: &mut Note,
    destination: &mut u32,
) -> bool {
    let found = ethernet::run(interfaces, interface, ingress, (packet, behind), note);
    if note.sub.is_some() {
        note.passed = note.passed.with(PathStage::Vlan);
        tracer.enter(PathStage::Vlan);
    }
    let Some(interface) = found else {
        return false;
    };
    let ingress = note.ingress(ingress);
    match note.family {
        Family::Four => {
            note.passed = note.passed.union(Passed::USUAL4);
            let network = usize::from(note.network);
            let found = ip4_input::run(interface, ingress, punts, tracer, (packet, behind), network, note);
            *destination = found.unwrap_or(*destination);
            found.is_some()
        }
        Family::Six => {
            note.passed = note.passed.union(Passed::USUAL6);
            ip6_input::run(interface, ingress, punts, tracer, (packet, behind), note)
        }
    }
}

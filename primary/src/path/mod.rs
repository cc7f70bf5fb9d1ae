//! The way of a packet through a worker: the stages, top to bottom.
//!
//! ```text
//!   rx ─► ethernet ─► ip4_input ─► lookup ─┬─► rewrite ─► Transmit by the adjacency's interface
//!            │           │                 ├─► local   ─► Transmit back where it came from (ICMP echo)
//!            │           │                 │      └─► Punt to a tool (IKE)
//!            │           └─► Punt to a tool (router alert)
//!            └─► Arp                       └─► Wait for the next hop, or Drop with a reason
//! ```
//!
//! Stages see the bytes of a burst and note what becomes of each packet; nothing is moved, sent or freed before
//! [`crate::worker`] does what the notes say. So a stage is tested on plain byte buffers.

mod ethernet;
mod ip4_input;
mod local;
mod lookup;
pub mod punt;
mod rewrite;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::message::PuntClass;
use fib::{Fib4Reader, NextHop};
use packet::MacAddress;
use packet::ethernet::HEADER_LEN;
use shm::DropReason;

use self::punt::Punts;
use crate::adjacency::{self, Adjacency, AdjacencyReader};

/// The most packets that go through the stages together.
pub const BURST: usize = 32;

/// What a worker knows of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceView {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Longest IP packet, bytes.
    pub mtu: u16,
    /// Whether a kernel interface feeds it, which may hand over packets whose sums or cuts it left to hardware.
    pub kernel_device: bool,
    /// Set by the control thread.
    pub up: Arc<AtomicBool>,
}

impl InterfaceView {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leaves by this interface, its link header written.
    Transmit(u16),
    /// Ends here.
    Drop(DropReason),
    /// Goes to the control thread.
    Arp,
    /// Goes to the tool that decides about its class.
    Punt(PuntClass),
    /// Stays until the next hop on this interface has answered.
    Wait {
        /// The interface.
        interface: u16,
        /// The next hop.
        next_hop: Ipv4Addr,
        /// Where the packet itself goes: what the FIB says of it tells when the wait is over.
        destination: Ipv4Addr,
    },
}

/// What the stages note of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// What becomes of it.
    pub disposition: Disposition,
    /// Bytes to take from its front before it leaves: a tag that it came with.
    pub trim: u8,
    /// Its length before that: what lies behind is link-layer padding.
    pub length: u16,
    /// Whether the gateway made it from an echo request.
    pub echo_reply: bool,
    /// Where its network header begins.
    network: u8,
    /// Whether its frame was for everybody or a group.
    group_frame: bool,
}

impl Note {
    const NEW: Self = Self {
        disposition: Disposition::Drop(DropReason::EthernetTruncated),
        trim: 0,
        length: 0,
        echo_reply: false,
        network: 0,
        group_frame: false,
    };

    /// For a packet of `length` bytes that is not to be changed.
    pub fn of(disposition: Disposition, length: usize) -> Self {
        Self {
            disposition,
            length: length as u16,
            ..Self::NEW
        }
    }

    fn drop(&mut self, reason: DropReason) {
        self.disposition = Disposition::Drop(reason);
    }

    /// Whether the packet leaves with all of the `length` bytes that it came with.
    #[inline]
    fn leaves_whole(&self, length: usize) -> bool {
        matches!(self.disposition, Disposition::Transmit(_))
            && self.trim == 0
            && usize::from(self.length) == length
    }
}

/// The numbers of the packets in a burst that go on to the next stage.
#[derive(Clone, Copy)]
struct Alive(u32);

impl Alive {
    const NONE: Self = Self(0);

    #[inline]
    fn insert(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    #[inline]
    fn contains(self, number: usize) -> bool {
        self.0 & 1 << number != 0
    }

    /// Makes the next hops of all other packets none. They were looked up as well, which costs less than to sort them out.
    #[inline]
    fn clear_others(self, next_hops: &mut [NextHop]) {
        if self.0.count_ones() as usize == next_hops.len() {
            return;
        }
        for (number, next_hop) in next_hops.iter_mut().enumerate() {
            if !self.contains(number) {
                *next_hop = NextHop::NONE;
            }
        }
    }
}

const _: () = assert!(
    BURST == u32::BITS as usize,
    "a burst has a bit of `Alive` for each packet"
);

/// A burst on its way: packets and notes by number.
pub struct Burst<'b, P> {
    /// Mbufs, or whatever else gives its bytes, from the destination MAC address on.
    pub packets: &'b mut [P],
    /// As many as packets.
    pub notes: &'b mut [Note; BURST],
}

/// The stages of a worker and what they look up.
pub struct Stages<F, A> {
    interfaces: Vec<InterfaceView>,
    fib: Fib4Reader<F>,
    adjacencies: AdjacencyReader<A>,
    /// Which classes of packets tools decide about; set by the worker when a tool comes or goes.
    pub punts: Punts,
}

/// Notes for a burst that has not begun.
pub const NOTES: [Note; BURST] = [Note::NEW; BURST];

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// The stages over these tables. Interfaces are named by their index.
    pub fn new(
        interfaces: Vec<InterfaceView>,
        fib: Fib4Reader<F>,
        adjacencies: AdjacencyReader<A>,
        punts: Punts,
    ) -> Self {
        Self {
            interfaces,
            fib,
            adjacencies,
            punts,
        }
    }

    /// Takes a burst that came in by `ingress` through all stages: afterwards each packet's note says what becomes of
    /// it. If they all leave by one interface and none has to be cut, that is the answer, and the notes need no look.
    /// At most [`BURST`] packets are looked at.
    #[inline]
    pub fn run<P: AsMut<[u8]>>(&self, ingress: u16, burst: &mut Burst<'_, P>) -> Option<u16> {
        self.run_with(&self.punts, ingress, burst)
    }

    #[inline]
    fn run_with<P: AsMut<[u8]>>(&self, punts: &Punts, ingress: u16, burst: &mut Burst<'_, P>) -> Option<u16> {
        let Some(interface) = self.up(ingress) else {
            drop_all(burst, DropReason::InterfaceDown);
            return None;
        };
        let count = burst.packets.len().min(BURST);
        let (packets, notes) = (&mut burst.packets[..count], &mut burst.notes[..count]);
        let mut destinations = [0; BURST];
        let alive = input(interface, punts, packets, notes, &mut destinations[..count]);
        let mut next_hops = [NextHop::NONE; BURST];
        self.fib
            .lookup_burst(&destinations[..count], &mut next_hops[..count]);
        alive.clear_others(&mut next_hops[..count]);
        self.output(ingress, punts, packets, notes, &next_hops[..count], alive)
    }

    /// What follows the lookup.
    // Not inlined, as `input`: each loop has the registers to itself.
    #[inline(never)]
    fn output<P: AsMut<[u8]>>(
        &self,
        ingress: u16,
        punts: &Punts,
        packets: &mut [P],
        notes: &mut [Note],
        next_hops: &[NextHop],
        alive: Alive,
    ) -> Option<u16> {
        let adjacencies = self.adjacencies.view();
        // The packets of a burst mostly leave by one interface: what is known of that of the first is looked up once.
        let common = next_hops
            .first()
            .and_then(|next_hop| adjacencies.egress(*next_hop));
        let common = common.and_then(|egress| Some((egress, self.up(egress)?)));
        let mut whole = 0;
        for (number, ((packet, note), next_hop)) in packets.iter_mut().zip(notes).zip(next_hops).enumerate() {
            let packet = packet.as_mut();
            if let Some((egress, out)) = common
                && let Some(mac) = adjacencies.by(egress, *next_hop)
                && usize::from(note.network) == HEADER_LEN
            {
                note.disposition = match rewrite::run(out, mac, packet, note) {
                    Ok(()) => Disposition::Transmit(egress),
                    Err(reason) => Disposition::Drop(reason),
                };
                whole += usize::from(note.leaves_whole(packet.len()));
            } else if alive.contains(number) {
                self.output_other(ingress, punts, packet, note, *next_hop);
            }
        }
        common
            .filter(|_| whole == next_hops.len())
            .map(|(egress, _)| egress)
    }

    /// For a packet that leaves by another interface than the first of its burst, with less than it came with, or not at all.
    #[inline(never)]
    fn output_other(
        &self,
        ingress: u16,
        punts: &Punts,
        packet: &mut [u8],
        note: &mut Note,
        next_hop: NextHop,
    ) {
        match self.adjacencies.load(next_hop) {
            Adjacency::Forward { interface, mac } => {
                self.adjacencies.mark_used(next_hop);
                self.forward(interface, mac, packet, note);
            }
            Adjacency::Local { .. } => local::run(&self.interfaces, punts, ingress, packet, note),
            adjacency => {
                lookup::unforwardable(adjacency, || self.adjacencies.next_hop(next_hop), packet, note)
            }
        }
    }

    /// Makes a packet ready to leave by interface `egress` for `mac`.
    fn forward(&self, egress: u16, mac: MacAddress, packet: &mut [u8], note: &mut Note) {
        // The new link header ends where the network header begins; a tag that was there goes.
        note.trim = note.network.saturating_sub(HEADER_LEN as u8);
        let packet = packet.get_mut(usize::from(note.trim)..).unwrap_or_default();
        note.disposition = match self.up(egress).map(|out| rewrite::run(out, mac, packet, note)) {
            Some(Ok(())) => Disposition::Transmit(egress),
            Some(Err(reason)) => Disposition::Drop(reason),
            None => Disposition::Drop(DropReason::InterfaceDown),
        };
    }

    /// An interface that is up.
    fn up(&self, interface: u16) -> Option<&InterfaceView> {
        self.interfaces
            .get(usize::from(interface))
            .filter(|interface| interface.is_up())
    }

    /// Whether a packet for `destination` would still have to wait for its next hop.
    pub fn must_wait(&self, destination: Ipv4Addr) -> bool {
        let adjacency = self.adjacencies.load(self.fib.lookup(destination.into()));
        matches!(adjacency, Adjacency::Glean { .. } | Adjacency::Incomplete { .. })
    }

    /// Why a frame of `length` bytes cannot leave by an interface as it is, if it cannot.
    pub fn refusal(&self, interface: u16, length: usize) -> Option<DropReason> {
        let Some(out) = self.interfaces.get(usize::from(interface)) else {
            return Some(DropReason::PuntInterface);
        };
        if !out.is_up() {
            Some(DropReason::InterfaceDown)
        } else if length < HEADER_LEN {
            Some(DropReason::EthernetTruncated)
        } else if length > usize::from(out.mtu) + HEADER_LEN {
            Some(DropReason::PuntOversize)
        } else {
            None
        }
    }

    /// Takes one packet through all stages that has been through them before, or comes from a tool: no tool is asked about
    /// it, again or at all.
    pub fn run_one(&self, ingress: u16, packet: &mut [u8]) -> Note {
        let mut notes = NOTES;
        self.run_with(
            &Punts::OFF,
            ingress,
            &mut Burst {
                packets: &mut [packet],
                notes: &mut notes,
            },
        );
        notes[0]
    }
}

/// What comes before the lookup: which packets go on, and to where.
#[inline(never)]
fn input<P: AsMut<[u8]>>(
    interface: &InterfaceView,
    punts: &Punts,
    packets: &mut [P],
    notes: &mut [Note],
    destinations: &mut [u32],
) -> Alive {
    let mut alive = Alive::NONE;
    for (number, ((packet, note), destination)) in packets.iter_mut().zip(notes).zip(destinations).enumerate()
    {
        let packet = packet.as_mut();
        let found = if ethernet::is_usual(interface, packet) {
            *note = Note {
                length: packet.len() as u16,
                network: HEADER_LEN as u8,
                ..Note::NEW
            };
            ip4_input::run(interface, punts, packet, HEADER_LEN, note)
        } else {
            unusual(interface, punts, packet, note)
        };
        if let Some(found) = found {
            *destination = found;
            alive.insert(number);
        }
    }
    alive
}

/// For frames that are tagged, for everybody, of another EtherType, or not for us.
#[inline(never)]
fn unusual(interface: &InterfaceView, punts: &Punts, packet: &[u8], note: &mut Note) -> Option<u32> {
    let goes_on = ethernet::run(interface, packet, note);
    goes_on
        .then(|| ip4_input::run(interface, punts, packet, usize::from(note.network), note))
        .flatten()
}

fn drop_all<P>(burst: &mut Burst<'_, P>, reason: DropReason) {
    for note in burst.notes.iter_mut().take(burst.packets.len()) {
        *note = Note::NEW;
        note.drop(reason);
    }
}

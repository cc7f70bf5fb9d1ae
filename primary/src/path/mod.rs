//! The way of a packet through a worker: the stages, top to bottom.
//!
//! ```text
//!   rx ─► ethernet ─┬─► ip4_input ─┬─► lookup ─┬─► rewrite ─► Transmit by the adjacency's interface
//!            │      └─► ip6_input ─┤           ├─► local4, local6 ─► Transmit back where it came from (echo)
//!            │                     │           │      ├─► Punt to a tool (IKE)
//!            │                     │           │      └─► Nd
//!            │                     └─► Punt to a tool (router alert)
//!            └─► Arp                           └─► Wait for the next hop, or Drop with a reason
//! ```
//!
//! What is dropped may be answered: [`errors`] says by which ICMP message, RFC 1812 and RFC 4443.
//!
//! Stages see the bytes of a burst and note what becomes of each packet; nothing is moved, sent or freed before
//! [`crate::worker`] does what the notes say. So a stage is tested on plain byte buffers.

pub mod errors;
mod ethernet;
mod ip4_input;
mod ip4_options;
mod ip6_input;
mod local4;
mod local6;
mod lookup;
mod note;
pub mod punt;
mod rewrite;
#[cfg(test)]
mod tests;
mod tracer;
mod usual;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fib::{Fib4Reader, Fib6Reader, NextHop};
use packet::ethernet::HEADER_LEN;
use packet::{Ipv4, Ipv6, MacAddress};
use shm::{DropReason, Passed, PathStage};

use self::errors::IcmpError;
use self::note::Alive;
pub use self::note::{Disposition, Family, NOTES, Note, Together};
use self::punt::Punts;
pub use self::tracer::{Off, Recorder, Tracer};
use self::usual::{Four, Six};
use crate::adjacency::{self, Adjacency, AdjacencyReader};
use crate::sources::SourceAddresses;

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
    /// Its addresses.
    pub sources: Arc<SourceAddresses>,
}

impl InterfaceView {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

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
    fib4: Fib4Reader<F>,
    fib6: Fib6Reader<A>,
    adjacencies: AdjacencyReader<A>,
    /// Which classes of packets tools decide about; set by the worker when a tool comes or goes.
    pub punts: Punts,
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// The stages over these tables. Interfaces are named by their index.
    pub fn new(
        interfaces: Vec<InterfaceView>,
        fib4: Fib4Reader<F>,
        fib6: Fib6Reader<A>,
        adjacencies: AdjacencyReader<A>,
        punts: Punts,
    ) -> Self {
        Self {
            interfaces,
            fib4,
            fib6,
            adjacencies,
            punts,
        }
    }

    /// Takes a burst that came in by `ingress` through all stages: afterwards each packet's note says what becomes of
    /// it. If they all leave by one interface as they are, that is the answer instead, and the notes say nothing.
    /// At most [`BURST`] packets are looked at.
    #[inline]
    pub fn run<P: AsMut<[u8]>>(&self, ingress: u16, burst: &mut Burst<'_, P>) -> Option<Together> {
        self.run_with(&self.punts, &mut Off, ingress, burst)
    }

    #[inline]
    fn run_with<P: AsMut<[u8]>, T: Tracer>(
        &self,
        punts: &Punts,
        tracer: &mut T,
        ingress: u16,
        burst: &mut Burst<'_, P>,
    ) -> Option<Together> {
        let Some(interface) = self.up(ingress) else {
            drop_all(burst, DropReason::InterfaceDown);
            return None;
        };
        let count = burst.packets.len().min(BURST);
        let (packets, notes) = (&mut burst.packets[..count], &mut burst.notes[..count]);
        if !T::WATCHES
            && let Some(together) = self.usual(interface, packets)
        {
            return Some(together);
        }
        let mut destinations = [0; BURST];
        let mut next_hops = [NextHop::NONE; BURST];
        let alive = input(
            interface,
            ingress,
            punts,
            tracer,
            packets,
            notes,
            &mut destinations[..count],
        );
        if !alive.four.union(alive.six).is_empty() {
            tracer.enter(PathStage::Lookup);
        }
        if !alive.four.is_empty() {
            self.fib4
                .lookup_burst(&destinations[..count], &mut next_hops[..count]);
            alive.four.clear_others(&mut next_hops[..count]);
        }
        if !alive.six.is_empty() {
            self.lookup6(packets, notes, alive.six, &mut next_hops[..count]);
        }
        let six = alive.six.count();
        let alive = alive.four.union(alive.six);
        let egress = self.output(ingress, punts, tracer, packets, notes, &next_hops[..count], alive);
        egress.map(|egress| Together { egress, six })
    }

    /// Makes a burst ready to leave if it is a usual one: by the interface that is the answer.
    #[inline(always)]
    fn usual<P: AsMut<[u8]>>(&self, interface: &InterfaceView, packets: &mut [P]) -> Option<Together> {
        let up = |egress| self.up(egress);
        let view = self.adjacencies.view();
        let mut next_hops = [NextHop::NONE; BURST];
        let next_hops = next_hops.get_mut(..packets.len())?;
        if packets.first_mut()?.as_mut().get(12) == Some(&0x08) {
            let mut destinations = [0; BURST];
            let found = usual::input::<Four, _, _>(interface, packets, &mut destinations);
            if found.count < packets.len() {
                return None;
            }
            self.fib4.lookup_burst(&destinations[..found.count], next_hops);
            let egress = usual::output::<Four, _, _>(&found, view, up, packets, next_hops)?;
            Some(Together { egress, six: 0 })
        } else {
            let mut destinations = [0; BURST];
            let found = usual::input::<Six, _, _>(interface, packets, &mut destinations);
            if found.count < packets.len() {
                return None;
            }
            self.fib6.lookup_burst(&destinations[..found.count], next_hops);
            let egress = usual::output::<Six, _, _>(&found, view, up, packets, next_hops)?;
            let six = found.count as u16;
            Some(Together { egress, six })
        }
    }

    /// Looks up the destinations of the IPv6 packets of a burst.
    #[inline(never)]
    fn lookup6<P: AsMut<[u8]>>(
        &self,
        packets: &mut [P],
        notes: &[Note],
        alive: Alive,
        next_hops: &mut [NextHop],
    ) {
        let mut destinations = [0; BURST];
        let mut found = [NextHop::NONE; BURST];
        let mut count = 0;
        for (number, (packet, note)) in packets.iter_mut().zip(notes).enumerate() {
            if alive.contains(number) {
                destinations[count] = ip6_input::destination(packet.as_mut(), usize::from(note.network));
                count += 1;
            }
        }
        self.fib6
            .lookup_burst(&destinations[..count], &mut found[..count]);
        let mut found = found.iter();
        for (number, next_hop) in next_hops.iter_mut().enumerate() {
            if alive.contains(number) {
                *next_hop = found.next().copied().unwrap_or_default();
            }
        }
    }

    /// What follows the lookup.
    // Not inlined, as `input`: each loop has the registers to itself.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "all that there is between two stages")]
    fn output<P: AsMut<[u8]>, T: Tracer>(
        &self,
        ingress: u16,
        punts: &Punts,
        tracer: &mut T,
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
                && !note.link_local
            {
                tracer.found(*next_hop);
                tracer.enter(PathStage::Rewrite);
                note.disposition = match rewrite::run(out, mac, packet, note) {
                    Ok(()) => Disposition::Transmit(egress),
                    Err(reason) => Disposition::Drop(reason),
                };
                whole += usize::from(note.leaves_whole(packet.len()));
            } else if alive.contains(number) {
                self.output_other(ingress, punts, tracer, packet, note, *next_hop);
            }
        }
        common
            .filter(|_| whole == next_hops.len())
            .map(|(egress, _)| egress)
    }

    /// For a packet that leaves by another interface than the first of its burst, with less than it came with, or not at all.
    #[inline(never)]
    fn output_other<T: Tracer>(
        &self,
        ingress: u16,
        punts: &Punts,
        tracer: &mut T,
        packet: &mut [u8],
        note: &mut Note,
        next_hop: NextHop,
    ) {
        tracer.found(next_hop);
        let rewritten = note.passed;
        note.passed = rewritten.without(PathStage::Rewrite);
        match self.adjacencies.load(next_hop) {
            Adjacency::Forward { .. } | Adjacency::Glean { .. } | Adjacency::Incomplete { .. }
                if note.link_local =>
            {
                note.drop(DropReason::Ip6Scope);
            }
            Adjacency::Forward { interface, mac } => {
                self.adjacencies.mark_used(next_hop);
                note.passed = rewritten;
                tracer.enter(PathStage::Rewrite);
                self.forward(interface, mac, packet, note);
            }
            Adjacency::Local { .. } => match (self.up(ingress), note.family) {
                (None, _) => note.drop(DropReason::InterfaceDown),
                (Some(interface), Family::Four) => {
                    note.passed = note.passed.with(PathStage::Local4);
                    tracer.enter(PathStage::Local4);
                    local4::run(interface, ingress, punts, packet, note);
                }
                (Some(interface), Family::Six) => {
                    note.passed = note.passed.with(PathStage::Local6);
                    tracer.enter(PathStage::Local6);
                    local6::run(interface, ingress, punts, packet, note);
                }
            },
            adjacency => lookup::unforwardable(adjacency, next_hop, packet, note),
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

    /// The next hop that `adjacency` names, and the destination of the packet that waits for it; `None` for bytes that are no
    /// IP packet.
    pub fn awaited(&self, adjacency: NextHop, packet: &[u8], note: &Note) -> Option<(IpAddr, IpAddr)> {
        let packet = packet.get(usize::from(note.network)..)?;
        let destination = match note.family {
            Family::Four => IpAddr::V4(Ipv4::parse(packet).ok()?.destination()),
            Family::Six => IpAddr::V6(Ipv6::parse(packet).ok()?.destination()),
        };
        let gateway = self.adjacencies.next_hop(adjacency);
        let next_hop = if gateway.is_unspecified() {
            destination
        } else {
            gateway
        };
        Some((next_hop, destination))
    }

    /// Whether a packet for `destination` would still have to wait for its next hop.
    pub fn must_wait(&self, destination: IpAddr) -> bool {
        let next_hop = match destination {
            IpAddr::V4(destination) => self.fib4.lookup(destination.into()),
            IpAddr::V6(destination) => self.fib6.lookup(destination.into()),
        };
        let adjacency = self.adjacencies.load(next_hop);
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

    /// The ICMP error for a frame that came in by `ingress` and was dropped, if its sender is to be told.
    pub fn error_for(
        &self,
        ingress: u16,
        frame: &[u8],
        reason: DropReason,
        detail: u16,
    ) -> Option<IcmpError> {
        errors::error_for(self.up(ingress)?, frame, reason, detail)
    }

    /// Takes one packet through all stages that has been through them before, or comes from a tool: no tool is asked about
    /// it, again or at all.
    pub fn run_one(&self, ingress: u16, packet: &mut [u8]) -> Note {
        let mut notes = NOTES;
        let together = self.run_with(
            &Punts::OFF,
            &mut Off,
            ingress,
            &mut Burst {
                packets: &mut [&mut *packet],
                notes: &mut notes,
            },
        );
        match together {
            Some(together) => Note::usual(together.egress, packet),
            None => notes[0],
        }
    }
}

/// The packets of a burst that go on to the lookup, by family.
struct Found {
    four: Alive,
    six: Alive,
}

/// What comes before the lookup: which packets go on, and to where those of IPv4.
#[inline(never)]
fn input<P: AsMut<[u8]>, T: Tracer>(
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
        let packet = packet.as_mut();
        tracer.enter(PathStage::Ethernet);
        if ethernet::is_usual(interface, packet) {
            *note = Note {
                length: packet.len() as u16,
                network: HEADER_LEN as u8,
                passed: Passed::USUAL4,
                ..Note::NEW
            };
            if let Some(found) = ip4_input::run(interface, punts, tracer, packet, HEADER_LEN, note) {
                *destination = found;
                alive.four.insert(number);
            }
        } else {
            let goes_on = if ethernet::is_usual6(interface, packet) {
                *note = Note {
                    length: packet.len() as u16,
                    network: HEADER_LEN as u8,
                    family: Family::Six,
                    passed: Passed::USUAL6,
                    ..Note::NEW
                };
                ip6_input::run(interface, ingress, punts, tracer, packet, note)
            } else {
                unusual(interface, ingress, punts, tracer, packet, note, destination)
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
fn unusual<T: Tracer>(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    tracer: &mut T,
    packet: &mut [u8],
    note: &mut Note,
    destination: &mut u32,
) -> bool {
    if !ethernet::run(interface, packet, note) {
        return false;
    }
    match note.family {
        Family::Four => {
            note.passed = Passed::USUAL4;
            let found = ip4_input::run(interface, punts, tracer, packet, usize::from(note.network), note);
            *destination = found.unwrap_or(*destination);
            found.is_some()
        }
        Family::Six => {
            note.passed = Passed::USUAL6;
            ip6_input::run(interface, ingress, punts, tracer, packet, note)
        }
    }
}

fn drop_all<P>(burst: &mut Burst<'_, P>, reason: DropReason) {
    for note in burst.notes.iter_mut().take(burst.packets.len()) {
        *note = Note {
            passed: Passed::NONE,
            ..Note::NEW
        };
        note.drop(reason);
    }
}

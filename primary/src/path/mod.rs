//! The way of a packet through a worker: the stages, top to bottom.
//!
//! ```text
//!   rx ─► ethernet ─┬─► ip4_input ─┬─► lookup ─┬─► rewrite ─► Transmit by the adjacency's interface, or Fragment
//!            │      └─► ip6_input ─┤           ├─► local4, local6 ─► Transmit back where it came from (echo)
//!            │                     │           │      ├─► Punt to a tool (IKE)
//!            │                     │           │      ├─► Nd
//!            │                     │           │      ├─► Tunnelled: and here again, what is inside
//!            │                     └─► Punt to a tool (router alert)
//!            └─► Arp                           │      └─► Gather, Reassemble: and here again, whole
//!                                              └─► Wait for the next hop, or Drop with a reason
//!                                                     └─► kernel, where the interface has a tap
//! ```
//!
//! A route with several next hops, or with an MTU of its own, leads to a group: between lookup and rewrite, [`multipath`] puts
//! an adjacency in its place. A burst without one passes that by.
//!
//! What is dropped may be answered: [`errors`] says by which ICMP message, RFC 1812 and RFC 4443. What leaves by the interface that
//! it came in by goes through [`redirect`] as well.
//!
//! Stages see the bytes of a burst and note what becomes of each packet; nothing is moved, sent or freed before
//! [`crate::worker`] does what the notes say. So a stage is tested on plain byte buffers.

mod balanced;
mod decapsulate;
mod deliver;
mod encapsulate;
pub mod errors;
mod ethernet;
mod input;
mod ip4_input;
mod ip4_options;
mod ip4_record;
mod ip6_input;
mod ip6_options;
mod kernel;
mod local4;
mod local6;
mod lookup;
mod multipath;
mod note;
mod options;
mod originate;
mod own;
mod path_mtu;
pub mod punt;
mod redirect;
mod rewrite;
mod segments;
#[cfg(test)]
mod tests;
mod tracer;
mod tunnel;
mod tunnel_errors;
mod usual;
mod vlan;
mod way_out;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fib::{Fib4Reader, Fib6Reader, NextHop};
use packet::ethernet::HEADER_LEN;
use packet::{Ipv4, Ipv6, MacAddress};
use shm::{DropReason, Passed, PathStage};

pub use self::balanced::{Hop, Ready};
pub use self::deliver::Delivered;
pub use self::encapsulate::{Wrapping, link_bytes, link_header};
use self::local6::Ends;
use self::note::Alive;
pub use self::note::{Disposition, Family, NOTES, Note, Remarks, Together};
pub use self::options::OptionPolicy;
pub use self::path_mtu::{LEARNED_SECONDS, PathMtu};
use self::punt::Punts;
use self::rewrite::Onward;
pub use self::segments::Packet;
pub use self::tracer::{Off, Recorder, Tracer};
pub use self::tunnel::{Outer, TunnelView};
pub use self::tunnel_errors::{SentEsp, esp_error};
use self::usual::Leaving;
pub(crate) use self::usual::{HEAD4, HEAD6};
pub use self::vlan::{Interfaces, SubInterface, take_tags, write_tags};
pub use self::way_out::WayOut;
use crate::adjacency::{self, Adjacency, AdjacencyReader};
use crate::sources::SourceAddresses;

/// The most packets that go through the stages together.
pub const BURST: usize = 32;

/// The most bytes behind the first segment of a packet. What is longer than that came of a device that puts segments of TCP
/// together: no MTU is.
pub(crate) const LONGEST_BEHIND: usize = 16_384;

/// What a worker knows of an interface.
// What packets need that leave by it stands together, so that it is one line of cache: there may be thousands of tunnels.
#[derive(Clone, Debug)]
#[repr(C, align(32))]
pub struct InterfaceView {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Longest IP packet, bytes.
    pub mtu: u16,
    /// Whether a kernel interface feeds it, which may hand over packets whose sums or cuts it left to hardware.
    pub kernel_device: bool,
    /// Whether the kernel gets what is not handled here of its own packets.
    pub tap: bool,
    /// Whether those are told of a better next hop whose packets leave by it again.
    pub redirects: bool,
    /// Whether the device loses by which EtherType the outermost tag came, and says 0x8100 whatever it was: net_af_packet,
    /// since the kernel takes that tag off and the driver puts it back.
    pub any_tpid: bool,
    /// Set by the control thread.
    pub up: Arc<AtomicBool>,
    /// What makes it a tunnel, if it is one.
    pub tunnel: Option<Arc<TunnelView>>,
    /// Its addresses.
    pub sources: Arc<SourceAddresses>,
    /// What it is of a port, unless it is the port's own.
    pub sub: Option<SubInterface>,
    /// What is made of the options of packets that come in by it.
    pub options: OptionPolicy,
}

impl InterfaceView {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether what leaves by it is as it is on the wire: it has no tag, and no outer headers.
    #[inline]
    fn is_port(&self) -> bool {
        self.sub.is_none() && self.tunnel.is_none()
    }
}

/// A burst on its way: packets and notes by number.
pub struct Burst<'b, P> {
    /// Mbufs, or whatever else is a packet.
    pub packets: &'b mut [P],
    /// As many as packets.
    pub notes: &'b mut [Note; BURST],
}

/// The stages of a worker and what they look up.
pub struct Stages<F, A> {
    /// Replaced by the worker when sub-interfaces or tunnels come, go or change.
    pub interfaces: Interfaces,
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
            interfaces: Interfaces::new(interfaces),
            fib4,
            fib6,
            adjacencies,
            punts,
        }
    }

    /// Takes a burst that came in by `ingress` through all stages: afterwards each packet's note says what becomes of
    /// it. If they all leave by one interface as they are, that is the answer instead, and the notes say nothing, unless packets
    /// may have several segments.
    /// At most [`BURST`] packets are looked at.
    #[inline]
    pub fn run<P: Packet>(&self, ingress: u16, burst: &mut Burst<'_, P>) -> Option<Together> {
        self.run_with(&self.punts, &mut Off, ingress, burst)
    }

    #[inline]
    fn run_with<P: Packet, T: Tracer>(
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
        if !P::MAY_GO_ON && !T::WATCHES {
            match self.usual(interface, packets, notes) {
                Leaving::Together(together) => return Some(together),
                Leaving::Apart => return None,
                Leaving::Otherwise => {}
            }
        }
        let mut destinations = [0; BURST];
        let mut next_hops = [NextHop::NONE; BURST];
        let alive = input::run(
            &self.interfaces,
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
        let mut alive = alive.four.union(alive.six);
        let next_hops = &mut next_hops[..count];
        if adjacency::any_group(next_hops) {
            self.choose_members(ingress, tracer, packets, notes, &mut alive, next_hops);
        }
        let egress = self.output(ingress, punts, tracer, packets, notes, next_hops, alive);
        if egress.is_none() && self.interfaces.is_tapped(ingress) {
            kernel::divert(&self.interfaces, ingress, packets, notes);
        }
        egress.map(|egress| Together { egress, six })
    }

    /// What follows the lookup.
    // Not inlined, as `input`: each loop has the registers to itself.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "all that there is between two stages")]
    fn output<P: Packet, T: Tracer>(
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
        let common = common.filter(|(egress, out)| out.is_port() && !(*egress == ingress && out.redirects));
        let mut whole = 0;
        for (number, ((packet, note), next_hop)) in packets.iter_mut().zip(notes).zip(next_hops).enumerate() {
            let behind = packet.behind();
            let packet = packet.first();
            if let Some((egress, out)) = common
                && let Some(mac) = adjacencies.by(egress, *next_hop)
                && usize::from(note.network) == HEADER_LEN
                && !note.careful
            {
                tracer.found(*next_hop);
                tracer.enter(PathStage::Rewrite);
                note.disposition = match rewrite::run(out, mac, packet, note) {
                    Ok(()) => Disposition::Transmit(egress),
                    Err(reason) => rewrite::refused(reason, (egress, out), mac, packet, note),
                };
                whole += usize::from(note.leaves_whole(packet.len() + behind));
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
            Adjacency::Forward { interface, .. }
            | Adjacency::Glean { interface }
            | Adjacency::Incomplete { interface }
                if note.stays_on_link() && interface != note.ingress(ingress) =>
            {
                // RFC 4443 section 3.3 leaves no choice about the hop limit.
                let header = packet.get(usize::from(note.network)..).unwrap_or_default();
                let expired = rewrite::has_expired(note.family, header);
                note.drop(if expired {
                    DropReason::TtlExpired
                } else {
                    DropReason::Ip6Scope
                });
            }
            Adjacency::Forward { interface, mac } => {
                self.adjacencies.mark_used(next_hop);
                note.passed = rewritten;
                tracer.enter(PathStage::Rewrite);
                let to = Onward {
                    next_hop,
                    egress: interface,
                    mac,
                    mtu: u16::MAX,
                };
                self.forward(tracer, ingress, to, packet, note);
            }
            Adjacency::Local { .. } => self.local(note.ingress(ingress), punts, tracer, packet, note, false),
            Adjacency::Anycast { .. } => self.local(note.ingress(ingress), punts, tracer, packet, note, true),
            adjacency => lookup::unforwardable(adjacency, next_hop, packet, note),
        }
    }

    /// Takes a packet for the gateway itself that came in by `ingress`, or for all routers of a subnet (`anycast`).
    fn local<T: Tracer>(
        &self,
        ingress: u16,
        punts: &Punts,
        tracer: &mut T,
        packet: &mut [u8],
        note: &mut Note,
        anycast: bool,
    ) {
        let Some(interface) = self.up(ingress) else {
            return note.drop(DropReason::InterfaceDown);
        };
        let stage = match note.family {
            Family::Four => PathStage::Local4,
            Family::Six => PathStage::Local6,
        };
        note.passed = note.passed.with(stage);
        tracer.enter(stage);
        let datagram = packet.get(usize::from(note.network)..).unwrap_or_default();
        let own_source = self.is_from_here(datagram, note.behind(packet.len()));
        match note.family {
            Family::Four if own_source => note.drop(DropReason::Ip4MartianSource),
            Family::Four => local4::run(interface, ingress, punts, packet, note),
            Family::Six => {
                let ends = Ends { own_source, anycast };
                local6::run(interface, ingress, punts, packet, note, ends);
            }
        }
        let end = usize::from(note.length);
        self.take_tunnelled(packet, end, anycast, note);
    }

    /// Whether there is an interface, and it is up.
    pub fn is_up(&self, interface: u16) -> bool {
        self.up(interface).is_some()
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
        let behind = note.behind(packet.len());
        let packet = packet.get(usize::from(note.network)..)?;
        let destination = match note.family {
            Family::Four => IpAddr::V4(Ipv4::parse_start(packet, behind).ok()?.destination()),
            Family::Six => IpAddr::V6(Ipv6::parse_start(packet, behind).ok()?.destination()),
        };
        let gateway = self.adjacencies.next_hop(adjacency);
        let next_hop = if gateway.is_unspecified() {
            destination
        } else {
            gateway
        };
        Some((next_hop, destination))
    }

    /// Whether a packet for `destination` that waits for the neighbour `awaited` on `interface` would still have to.
    pub fn must_wait(&self, destination: IpAddr, interface: u16, awaited: IpAddr) -> bool {
        let next_hop = match destination {
            IpAddr::V4(destination) => self.fib4.lookup(destination.into()),
            IpAddr::V6(destination) => self.fib6.lookup(destination.into()),
        };
        self.leads_to_unknown(next_hop, interface, awaited)
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

    /// As [`run`](Self::run), for packets that the load balancer has judged: no tool is asked about them.
    pub fn run_judged<P: Packet>(&self, ingress: u16, burst: &mut Burst<'_, P>) -> Option<Together> {
        self.run_with(&Punts::OFF, &mut Off, ingress, burst)
    }

    /// As [`run_judged`](Self::run_judged), for packets of IPv4 that it has carried to `destinations`: untagged, whole, without options, with a
    /// TTL above 1 and a right checksum, so that the input stages have nothing left to say of them.
    pub fn run_carried<P: Packet>(
        &self,
        ingress: u16,
        burst: &mut Burst<'_, P>,
        destinations: &[u32; BURST],
    ) -> Option<Together> {
        match self.carried(ingress, burst.packets, burst.notes, destinations) {
            Leaving::Together(together) => Some(together),
            Leaving::Apart => None,
            Leaving::Otherwise => self.run_judged(ingress, burst),
        }
    }

    /// Takes one packet through all stages that has been through them before, or comes from a tool: no tool is asked about
    /// it, again or at all.
    pub fn run_one<P: Packet>(&self, ingress: u16, packet: P) -> Note {
        self.run_again(&mut Off, ingress, packet)
    }

    /// As [`run_one`](Self::run_one), where somebody may look on.
    pub fn run_again<P: Packet, T: Tracer>(&self, tracer: &mut T, ingress: u16, mut packet: P) -> Note {
        let mut notes = NOTES;
        let together = self.run_with(
            &Punts::OFF,
            tracer,
            ingress,
            &mut Burst {
                packets: &mut [&mut packet],
                notes: &mut notes,
            },
        );
        match together {
            Some(together) if !P::MAY_GO_ON => Note::usual(together.egress, packet.first()),
            _ => notes[0],
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

//! What the gateway knows: its interfaces, addresses, routes, neighbours, rules for router alerts and SAs, and how workers and
//! readers learn of it.
//!
//! The control thread owns [`Tables`] and is the only one that changes anything. Every change goes three ways at once:
//!
//! ```text
//!   requests ──┐                    ┌──► FIB and adjacencies        what workers forward by
//!   ARP ───────┼──► Tables (rules) ─┼──► records in shared memory   what tools show
//!   time ──────┘                    └──► actions                    ARP to send, events to tell
//! ```
//!
//! There is no I/O and no clock in here: packets and the time come in as arguments, and what is to be sent or told is
//! left as [`Action`]s. The time is that of `CLOCK_BOOTTIME`, so that neighbours age while the host sleeps.

mod address_rules;
mod addresses;
mod alerts;
mod announce;
mod arp;
mod attributes;
mod buckets;
mod candidates;
mod explain;
mod fibs;
mod forwarding;
mod groups;
mod interface_set;
mod interfaces;
mod nd;
mod neighbor_set;
mod neighbors;
mod own_address;
mod publish;
mod reachability;
mod refusal;
mod resolution;
mod route_plan;
mod routes;
mod sas;
mod service;
mod services;
mod sub_interfaces;
#[cfg(test)]
pub(crate) mod tests;
mod timers;
mod tunnels;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use control::event::Event;
use fib::{Fib4Reader, Fib6Reader, NextHop, Quiescence};
use packet::nd::NeighborMessage;
use packet::{Arp, MacAddress};
use shm::keys::KeyArenaError;

use crate::adjacency::{self, Adjacency, AdjacencyReader, AdjacencyWriter};
use alerts::AlertSet;
pub use arp::ArpVerdict;
use attributes::AttributeSets;
use candidates::Candidates;
pub use fibs::{FibRefusal, Fibs};
use groups::GroupSet;
use interface_set::InterfaceSet;
use neighbor_set::NeighborSet;
use own_address::OwnAddress;
use publish::Published;
pub use refusal::NeighborRefusal;
use sas::SaSet;
pub use sas::{CheckedSas, InstalledSa, SaNews};
use services::ServiceSet;
pub use sub_interfaces::NewSubInterface;
use timers::{Jitter, Timer, Timers};

/// The shortest time between two reports of the same trouble: RFC 5227's `DEFEND_INTERVAL`.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What the tables decided that somebody else must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP packet. There is none for an interface that is down.
    SendArp {
        /// By which interface.
        interface: u16,
        /// To which Ethernet address.
        destination: MacAddress,
        /// The message.
        arp: Arp,
    },
    /// Send a neighbour discovery packet, with hop limit 255. There is none for an interface that is down.
    SendNd {
        /// By which interface.
        interface: u16,
        /// To which Ethernet address.
        mac: MacAddress,
        /// From which address; unspecified while one is looked for.
        source: Ipv6Addr,
        /// To which address.
        destination: Ipv6Addr,
        /// The message.
        message: NeighborMessage,
    },
    /// Tell subscribers.
    Event(Event),
    /// Another host claims an address of the gateway, RFC 5227 section 2.4, RFC 4862 section 5.4.5. At most one per address and ten seconds.
    Conflict {
        /// Where it was heard.
        interface: u16,
        /// The address.
        address: IpAddr,
        /// Who claims it.
        mac: MacAddress,
    },
    /// Routes that should count again, since their interface is up, found no room in the FIB any more.
    RoutesRefused {
        /// The interface.
        interface: u16,
        /// How many.
        routes: usize,
    },
    /// A neighbour was needed for a packet and could not be had. At most one per ten seconds.
    NeighborRefused {
        /// The interface that it is on.
        interface: u16,
        /// Its address.
        address: IpAddr,
        /// Why.
        reason: NeighborRefusal,
    },
}

/// How much may be in the tables: `[limits]` of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// IPv4 routes of configuration and operators.
    pub routes4: usize,
    /// IPv6 routes of configuration and operators.
    pub routes6: usize,
    /// Neighbours of both families.
    pub neighbors: usize,
    /// Addresses of the gateway, those left out that it makes itself.
    pub addresses: usize,
    /// Groups of next hops that routes share.
    pub groups: usize,
    /// SAs.
    pub sas: usize,
}

/// How much is in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 routes of configuration and operators.
    pub routes4: usize,
    /// IPv6 routes of configuration and operators.
    pub routes6: usize,
    /// IPv4 routes that the gateway has for its own addresses.
    pub own_routes4: usize,
    /// IPv6 routes that the gateway has for its own addresses.
    pub own_routes6: usize,
    /// Routes in the FIB: these two and one per neighbour, as far as they are not hidden by a better one.
    pub fib_routes4: usize,
    /// The same of IPv6.
    pub fib_routes6: usize,
    /// Bytes that the IPv6 FIB uses of its memory, those included that wait for workers.
    pub fib6_bytes: usize,
    /// Neighbours.
    pub neighbors: usize,
    /// Addresses of the gateway.
    pub addresses: usize,
    /// Adjacencies, those that wait for workers included.
    pub adjacencies: usize,
    /// Groups of next hops, those that wait for workers included.
    pub groups: usize,
    /// Groups of 256 addresses that are free for prefixes longer than 24 bits.
    pub tbl8_groups_free: usize,
}

/// Why the tables could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TablesError {
    /// Somebody else writes the region's tables.
    #[error("a table of the table region has a writer already: make one set of tables per region")]
    Taken,
    /// There is no room for the adjacencies that are always there.
    #[error("there are {capacity} adjacencies and the tables need some for themselves: provide more")]
    Adjacencies {
        /// How many there are.
        capacity: usize,
    },
    /// There is no memory for keys that is fit for them.
    #[error(transparent)]
    Keys(#[from] KeyArenaError),
}

/// All tables of an instance, over memory `F` for the FIB and `A` for the adjacencies.
pub struct Tables<F, A> {
    fib: Fibs<F, A>,
    adjacencies: AdjacencyWriter<A>,
    published: Published,
    limits: Limits,
    interfaces: InterfaceSet,
    /// Slots of those that workers may still know of.
    deleted_interfaces: Vec<u32>,
    addresses: Vec<OwnAddress>,
    /// Since tunnels were last asked whether they end at one.
    addresses_changed: bool,
    candidates: Candidates,
    attributes: AttributeSets,
    groups: GroupSet,
    /// Of the hash by which flows choose among next hops.
    seed: u32,
    neighbors: NeighborSet<IpAddr>,
    alerts: AlertSet,
    sas: SaSet,
    services: ServiceSet,
    timers: Timers,
    jitter: Jitter,
    /// Answers for anycast addresses among the timers.
    delayed_answers: usize,
    actions: Vec<Action>,
    refusal_reported: Option<Duration>,
    blackhole: NextHop,
    unreachable: NextHop,
    prohibit: NextHop,
    broadcast: NextHop,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Empty tables over empty FIBs, unused adjacencies and the tables of `region`, which becomes theirs to write.
    pub fn new(
        fib: Fibs<F, A>,
        mut adjacencies: AdjacencyWriter<A>,
        region: &shm::TableWriter,
        limits: Limits,
    ) -> Result<Self, TablesError> {
        let published = Published::new(region).ok_or(TablesError::Taken)?;
        let alerts = AlertSet::new(region).ok_or(TablesError::Taken)?;
        let sas = SaSet::new(region.sas().ok_or(TablesError::Taken)?, limits.sas)?;
        let capacity = adjacencies.capacity();
        let mut fixed = |adjacency| {
            let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            adjacencies
                .allocate(adjacency, nowhere)
                .ok_or(TablesError::Adjacencies { capacity })
        };
        let (blackhole, broadcast) = (fixed(Adjacency::Blackhole)?, fixed(Adjacency::Broadcast)?);
        let (unreachable, prohibit) = (fixed(Adjacency::Unreachable)?, fixed(Adjacency::Prohibit)?);
        Ok(Self {
            fib,
            adjacencies,
            published,
            limits,
            interfaces: InterfaceSet::default(),
            deleted_interfaces: Vec::new(),
            addresses: Vec::new(),
            addresses_changed: false,
            candidates: Candidates::new(),
            attributes: AttributeSets::new(),
            groups: GroupSet::new(),
            seed: 0,
            neighbors: NeighborSet::new(),
            alerts,
            sas,
            services: ServiceSet::new(),
            timers: Timers::new(),
            jitter: Jitter::new(),
            delayed_answers: 0,
            actions: Vec::new(),
            refusal_reported: None,
            blackhole,
            unreachable,
            prohibit,
            broadcast,
        })
    }

    /// A worker's view of the IPv4 routes.
    pub fn fib4_reader(&self) -> Fib4Reader<F> {
        self.fib.four.reader()
    }

    /// A worker's view of the IPv6 routes.
    pub fn fib6_reader(&self) -> Fib6Reader<A> {
        self.fib.six.reader()
    }

    /// A worker's view of what routes lead to.
    pub fn adjacency_reader(&self) -> AdjacencyReader<A> {
        self.adjacencies.reader()
    }

    /// Takes what is to be done since the last call, in order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Does what is due at `now`. The cost is that of what is due, however much there is.
    pub fn tick(&mut self, now: Duration) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Neighbor(id) => self.neighbor_due(id, now),
                Timer::Announcement { interface, address } => self.announce(interface, address),
                Timer::Detection { interface, address } => self.detected(interface, address, now),
                Timer::AnycastAnswer {
                    interface,
                    target,
                    asker,
                    mac,
                } => self.anycast_answer_due(interface, target, asker, mac),
                Timer::Sa { id, hard } => self.sa_lifetime_over(id, hard, now),
                Timer::SaKeepalive(id) => self.sas.keepalive(id, &mut self.timers, now),
                Timer::SaChanges => self.tell_sa_changes(),
                Timer::Acquires => self.tell_acquires(),
            }
        }
        self.settle_tunnels(now);
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Makes free what was taken out of use and no worker can hold any more; gives the number of things. Never waits.
    /// Always to be called with the same `quiescence`.
    pub fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        self.fib.reclaim(quiescence) + self.adjacencies.reclaim(quiescence)
    }

    /// How much is in the tables.
    pub fn usage(&self) -> Usage {
        let units = self.fib.six.units();
        let [routes4, routes6] = self.candidates.given_len();
        let [own_routes4, own_routes6] = self.candidates.own_len();
        Usage {
            routes4,
            routes6,
            own_routes4,
            own_routes6,
            fib_routes4: self.fib.four.len(),
            fib_routes6: self.fib.six.len(),
            fib6_bytes: (units.used + units.retired) * fib::UNIT_BYTES,
            neighbors: self.neighbors.len(),
            addresses: self.addresses.len(),
            adjacencies: self.adjacencies.in_use(),
            groups: self.adjacencies.groups_in_use(),
            tbl8_groups_free: self.fib.four.free_groups(),
        }
    }

    fn tell(&mut self, event: Event) {
        self.actions.push(Action::Event(event));
    }
}

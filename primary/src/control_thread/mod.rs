//! The control thread: the one writer of all tables, at rest most of the time.
//!
//! ```text
//!   workers ─ ARP, next hops to find ─►┐                       ┌─► tables: FIB, adjacencies, region
//!   tools ─ requests ─────────────────►│ one round of the loop ├─► workers: ARP to send
//!   signals, timers ──────────────────►┘                       └─► tools: answers, events
//! ```

mod alerts;
mod connections;
mod held;
mod links;
mod packets;
mod reload;
mod requests;
mod sas;
mod services;
mod signals;
mod taps;
mod tunnels;
mod watch;
mod workers;

use std::net::IpAddr;
use std::time::Duration;

use control::event::{Event, Subscribers};
use control::instance::InstanceLock;
use control::message::{ControlError, ROUTES_PER_REQUEST};
use control::server::Server;
use dpdk::ring::{Consumer, MbufConsumer, MbufProducer};
use dpdk::{Pool, Port, RunningPort};
use fib::Quiescence;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use shm::records::{self, RouteProtocol};
use shm::{CounterBlock, DiscoveryPage, SlotTable, TableWriter, discovery::HEARTBEAT_PERIOD};

pub use self::connections::Connections;
pub use self::held::Held;
pub use self::links::{attachment_interface, sub_interface_view};
pub use self::reload::Reload;
pub use self::signals::Signals;
pub use self::tunnels::{attachment_tunnel, tunnel_view};
use self::watch::Seen;
pub use self::watch::{carries_packets, pool_record};
use crate::alerts::Told;
use crate::attachments::Attachments;
use crate::balancer::BalancerControl;
use crate::config::{Config, LoadBalancer};
use crate::ipsec::{Crypto, EspControl};
use crate::kernel::Kernel;
use crate::log::Log;
use crate::path::Interfaces;
use crate::plan::Plan;
use crate::ports::{KernelMtu, OpenPort};
use crate::start::{AdjacencyStorage, FibStorage};
use crate::tables::{Action, Tables};
use crate::trace::Traces;
use crate::worker::doorbell::Sleeper;
use crate::worker::{LinkControl, LongestAnew, ResolveRequest};

/// The rings by which a worker reaches the control thread.
pub struct Punts {
    /// ARP and neighbour discovery packets.
    pub discovery: MbufConsumer,
    /// Next hops to find.
    pub resolve: Consumer<ResolveRequest>,
}

/// A port as the control thread knows it.
pub struct PortState {
    /// Name of the interface.
    pub name: String,
    /// The port.
    pub port: RunningPort,
    /// The kernel interface behind it.
    pub netdev: Option<String>,
    /// The kernel interfaces behind the members of a bond.
    member_netdevs: Vec<String>,
    seen: Seen,
    /// What is one in it, if it is a bond; after the port, which it outlives.
    _members: Vec<Port>,
    /// Restores the kernel interface; after the port, which it outlives.
    _kernel_mtu: Vec<KernelMtu>,
}

impl PortState {
    /// A port that was just started, and the name of its interface.
    pub fn new(name: String, open: OpenPort, netdev: Option<String>, member_netdevs: Vec<String>) -> Self {
        Self {
            name,
            port: open.port,
            netdev,
            member_netdevs,
            seen: Seen::default(),
            _members: open.members,
            _kernel_mtu: open.kernel_mtu,
        }
    }
}

/// Everything that the control thread owns.
pub struct Control<'a> {
    /// The gateway's state.
    pub tables: Tables<FibStorage, AdjacencyStorage>,
    /// When what workers may still look at is free again.
    pub quiescence: Quiescence,
    /// Its sleep.
    pub sleeper: Sleeper,
    /// From each worker.
    pub punts: Vec<Punts>,
    /// To the worker that sends for each interface.
    pub send: Vec<MbufProducer>,
    /// Where its packets lie.
    pub pool: Pool,
    /// Its counters.
    pub counters: CounterBlock,
    /// The shared tables.
    pub region: &'a TableWriter,
    /// The discovery page.
    pub page: &'a DiscoveryPage,
    /// The run directory.
    pub lock: &'a InstanceLock,
    /// Requests; lent out while they are served.
    pub server: Option<Server>,
    /// Tools that see packets, or decide about them.
    pub attachments: Attachments<'a>,
    /// Memory of a tool, for the one after it.
    pub held: Held,
    /// The taps.
    pub kernel: Kernel,
    /// The stages that packets went through.
    pub traces: Traces<'a>,
    /// Events.
    pub subscribers: Subscribers,
    /// Levels.
    pub log: Log,
    /// Told by the kernel.
    pub signals: Signals,
    /// By interface index.
    pub ports: Vec<PortState>,
    /// By DPDK port id, and beyond those each sub-interface and tunnel by its own index.
    pub interface_of_port: Vec<u16>,
    /// Interfaces as workers see them.
    pub interfaces: Interfaces,
    /// By which each worker learns of sub-interfaces and tunnels that come, go or change.
    pub links: Vec<LinkControl>,
    /// What does the cryptography of SAs.
    pub crypto: Crypto<'a>,
    /// By which each worker learns of SAs.
    pub sas: Vec<EspControl>,
    /// By which each worker learns of services, and tells of connections.
    pub balancers: Vec<BalancerControl>,
    /// By which each worker is asked to begin its longest round anew.
    pub anew: Vec<LongestAnew>,
    /// Connections that tools have asked for.
    pub connections: Connections,
    /// What workers were told of rules for router alerts.
    pub alert_rules: Told,
    /// The pool's place in the region.
    pub pool_table: SlotTable<records::Pool>,
    /// Its slot there.
    pub pool_slot: u32,
    /// What is written there.
    pub pool_record: records::Pool,
    /// What runs.
    pub config: &'a Config,
    /// What it needs.
    pub plan: &'a Plan,
    /// Configurations that are read, compared and applied.
    pub reload: Reload,
}

impl Control<'_> {
    /// Brings the tables to what the configuration says, by the same calls that requests use.
    pub fn configure(&mut self) -> Result<(), ControlError> {
        let now = self.now();
        for (index, interface) in (0..).zip(&self.config.interfaces) {
            for address in &interface.addresses {
                self.tables.address_add(index, *address, now)?;
            }
        }
        for interface in &self.config.sub_interfaces {
            let index = self.tables.interface_index(&interface.name)?;
            for address in &interface.addresses {
                self.tables.address_add(index, *address, now)?;
            }
        }
        for tunnel in &self.config.tunnels {
            let index = self.tables.interface_index(&tunnel.tunnel.name)?;
            for address in &tunnel.addresses {
                self.tables.address_add(index, *address, now)?;
            }
        }
        let LoadBalancer { timeouts, policy } = self.config.load_balancer;
        self.tables.set_balancing(timeouts, policy);
        // Before routes, which may lead out of interfaces that have local addresses alone.
        for service in &self.config.services {
            self.tables.service_add(service.clone(), now)?;
            self.warn_of_service(service.id);
        }
        self.perform();
        for routes in self.config.routes.chunks(ROUTES_PER_REQUEST) {
            self.tables
                .routes_add(routes, false, RouteProtocol::STATIC, now)?;
            self.tables.reclaim(&self.quiescence);
            // One event per route, and nobody who could have subscribed yet.
            drop(self.tables.take_actions());
        }
        for neighbor in &self.config.neighbors {
            let interface = self.tables.interface_index(&neighbor.interface)?;
            self.tables
                .neighbor_add(interface, neighbor.address, neighbor.mac, now)?;
        }
        self.perform();
        for (name, up) in self.config.admin_states().filter(|(_, up)| !up) {
            let index = self.tables.interface_index(name)?;
            self.tables.set_admin(index, up, now);
        }
        self.sync_taps();
        self.tell_services();
        Ok(())
    }

    /// Works until it is told to end.
    pub fn run(&mut self) {
        let mut next_beat = Duration::ZERO;
        let mut next_watch = Duration::ZERO;
        while !self.signals.end() {
            let now = self.now();
            let mut more = self.take_packets(now);
            self.tables.tick(now);
            more |= self.serve(now);
            self.collect_attachments();
            self.traces.collect();
            more |= self.reload(now);
            self.tell_alert_rules();
            self.tell_sas(now);
            self.tell_services();
            self.collect_connections();
            if now >= next_beat {
                self.page.beat();
                self.watch_links(now);
                next_beat = now + HEARTBEAT_PERIOD;
            }
            if now >= next_watch {
                self.watch();
                next_watch = now + watch::PERIOD;
            }
            // Comes round with every heartbeat at least, which is soon enough for what was retired.
            self.tables.reclaim(&self.quiescence);
            self.perform();
            if more {
                continue;
            }
            let until = next_beat.min(next_watch);
            let until = self
                .tables
                .next_deadline()
                .map_or(until, |deadline| until.min(deadline));
            self.sleep(until);
        }
        self.subscribers.tell(&Event::Stopping);
    }

    /// The tables' clock: `CLOCK_BOOTTIME`, which records carry as well.
    fn now(&self) -> Duration {
        // The clock exists on every kernel that DPDK runs on.
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
    }

    /// Does what the tables decided.
    pub fn perform(&mut self) {
        let mut taps_differ = false;
        for action in self.tables.take_actions() {
            match action {
                Action::SendArp {
                    interface,
                    destination,
                    arp,
                } => self.send_arp(interface, destination, &arp),
                Action::SendNd {
                    interface,
                    mac,
                    source,
                    destination,
                    message,
                } => self.send_nd(interface, mac, source, destination, &message),
                Action::Event(event) => {
                    taps_differ |= taps::follow(&event);
                    tracing::debug!(target: "event", "{}", event.to_json());
                    self.subscribers.tell(&event);
                }
                Action::Conflict {
                    interface,
                    address,
                    mac,
                } => {
                    let name = self.tables.interface_name(interface);
                    let sentence = format!(
                        "{name}: {mac} uses {address} as well, which is this gateway's: give one of them another address"
                    );
                    warn_about(address, &sentence);
                }
                Action::RoutesRefused { interface, routes } => {
                    let name = self.tables.interface_name(interface);
                    tracing::warn!(
                        target: "route",
                        "{name}: {routes} routes find no room since it is up again: raise tbl8_groups4, routes4 or routes6 in [limits]"
                    );
                }
                Action::NeighborRefused {
                    interface,
                    address,
                    reason,
                } => {
                    let name = self.tables.interface_name(interface);
                    warn_about(
                        address,
                        &format!("{name}: packets for {address} cannot be sent: {reason}"),
                    );
                }
            }
        }
        if taps_differ {
            self.sync_taps();
        }
    }

    /// Sleeps until something happens, at the latest until `until`.
    fn sleep(&mut self, until: Duration) {
        self.sleeper.about_to_sleep();
        let waiting = self
            .punts
            .iter()
            .any(|punts| !punts.discovery.is_empty() || !punts.resolve.is_empty());
        if !waiting {
            let mut descriptors = vec![
                PollFd::new(self.sleeper.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.signals.descriptor(), PollFlags::POLLIN),
            ];
            if let Some(server) = &self.server {
                server.descriptors(&mut descriptors);
            }
            self.attachments.descriptors(&mut descriptors);
            // Rounded up: a timer that is a fraction of a millisecond early would make the loop spin.
            let left = until.saturating_sub(self.now()).as_micros().div_ceil(1000);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            // EINTR is a signal, which the next round sees.
            let _ = poll(&mut descriptors, timeout);
        }
        self.sleeper.awake();
        self.signals.clear();
    }
}

/// A warning in the log of the protocol that finds neighbours of the address's family.
fn warn_about(address: IpAddr, sentence: &str) {
    match address {
        IpAddr::V4(_) => tracing::warn!(target: "arp", "{sentence}"),
        IpAddr::V6(_) => tracing::warn!(target: "nd", "{sentence}"),
    }
}

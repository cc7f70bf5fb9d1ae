//! The configuration file: read as a whole, believed only when nothing is wrong with it.
//!
//! ```text
//!   text ─► document   TOML with places            every problem is noted as file:line:column: sentence,
//!        ─► sections,  keys, types, ranges         and the walk goes on to find the next
//!           network
//!        ─► check      what sections say of each other
//!        ─► Config     plain types, nothing left to check
//! ```

mod address;
mod alert_limits;
mod bond;
mod check;
mod crypto;
mod device;
mod eal_args;
mod instance;
mod interfaces;
mod load_balancer;
pub mod machine;
mod network;
mod places;
mod render;
mod route;
mod router_alert;
mod sections;
mod service;
mod states;
#[cfg(test)]
mod tests;
mod tunnel;
mod vlan;
mod words;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use control::instance::InstanceName;
use control::message::{PuntClass, Route, Service, VlanProtocol};
use ipnet::IpNet;
use packet::MacAddress;
use shm::records::IdlePolicy;

pub use self::bond::{Bond, BondMode};
pub use self::crypto::CryptoConfig;
pub use self::device::{BadDevice, BadPciAddress, Device, PciAddress};
pub use self::load_balancer::LoadBalancer;
pub use self::router_alert::{HopByHop, RouterAlert};
pub use self::tunnel::Tunnel;
pub use document::{ConfigErrors, Problem};

use self::check::Network;
use self::machine::Machine;
use self::network::{RawInterface, RawNeighbor};
pub(crate) use self::places::Places;
use self::route::RawRoute;
use self::service::RawService;
use self::tunnel::RawTunnel;
use crate::attachments::ClassPolicy;
use crate::log::LogConfig;
use crate::plan;
use document::{Document, Section};

/// A configuration that has nothing wrong with it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it is from.
    pub path: PathBuf,
    /// `[instance]`.
    pub instance: Instance,
    /// `[log]`.
    pub log: LogConfig,
    /// `[eal]`.
    pub eal: EalConfig,
    /// `[crypto]`.
    pub crypto: CryptoConfig,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[punt]]`, by class; what is not given has its defaults.
    pub punts: [ClassPolicy; PuntClass::COUNT],
    /// `[router_alert]`.
    pub router_alert: RouterAlert,
    /// `[workers]`.
    pub workers: Workers,
    /// `[[interface]]` with a device, in the order of the file: the index is that of the port's interface.
    pub interfaces: Vec<Interface>,
    /// `[[interface]]` on another one, each after that.
    pub sub_interfaces: Vec<SubInterface>,
    /// `[[tunnel]]`.
    pub tunnels: Vec<Tunnel>,
    /// `[[route]]`.
    pub routes: Vec<Route>,
    /// `[[neighbor]]`.
    pub neighbors: Vec<Neighbor>,
    /// `[load_balancer]`.
    pub load_balancer: LoadBalancer,
    /// `[[service]]`.
    pub services: Vec<Service>,
    /// Where memory_mb is written, for the message that it is too little: `file:line:column`, or the file.
    pub(crate) memory_place: String,
    /// Where keys are written that only a restart changes.
    pub(crate) places: Places,
}

/// `[instance]`: who this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Name of the instance.
    pub name: InstanceName,
    /// The network namespace to enter, as `ip netns` names it.
    pub netns: Option<String>,
    /// EAL's file prefix, which also names the table region.
    pub file_prefix: String,
    /// The group that may use the instance.
    pub group: Option<Group>,
}

/// A group of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

/// `[eal]`: what DPDK gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Megabytes of hugepages on each NUMA node that has a worker: at the start, and never more.
    pub memory_mb: u32,
    /// Whether DPDK's own secondaries may attach.
    pub stock_tools: bool,
    /// The hugetlbfs mount to use, when it is not to be found by itself.
    pub huge_dir: Option<PathBuf>,
    /// More arguments: the file's, then those of the command line.
    pub args: Vec<String>,
}

impl EalConfig {
    const DEFAULT_MEMORY_MB: u32 = 256;
}

/// `[limits]`: how much the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// IPv4 routes of configuration and operators.
    pub routes4: u32,
    /// IPv6 routes of configuration and operators.
    pub routes6: u32,
    /// Groups of 256 IPv4 addresses in which a prefix longer than /24 lies.
    pub tbl8_groups4: u32,
    /// Neighbours of both families.
    pub neighbors: u32,
    /// Addresses of the gateway, of both families.
    pub addresses: u32,
    /// Packets that can be in the primary at a time, in the queues of its devices or waiting.
    pub packet_buffers: u32,
    /// Bytes of a frame that a packet buffer holds; longer frames lie in several. Headers must lie in the first: less than what
    /// drivers take for granted is for a device whose frames are known to be short.
    pub packet_buffer_bytes: u16,
    /// Tools attached at a time that take packets.
    pub attachments: u32,
    /// Memory of each of them, MB: it holds so many packets on their way to the tool that some 500 of 1,500 bytes take 1 MB.
    pub attachment_mb: u32,
    /// Sub-interfaces and tunnels, those made at run time included.
    pub sub_interfaces: u32,
    /// Groups of next hops that routes share.
    pub groups: u32,
    /// Packets for the gateway itself that each worker puts together from fragments at a time, in 68 KB of ordinary memory each.
    pub reassemblies: u32,
    /// SAs, those that come in and those that go out.
    pub sas: u32,
    /// Connections of the load balancer, of all workers together, in ordinary memory.
    pub connections: u32,
}

impl Limits {
    const DEFAULT_ROUTES4: u32 = 100_000;
    const DEFAULT_ROUTES6: u32 = 50_000;
    const DEFAULT_NEIGHBORS: u32 = 4096;
    const DEFAULT_ADDRESSES: u32 = 256;
    const MIN_PACKET_BUFFERS: u32 = 4096;
    /// What drivers take for granted.
    const DEFAULT_PACKET_BUFFER_BYTES: u16 = dpdk::Pool::DATA_ROOM - dpdk::Pool::HEADROOM;
    const DEFAULT_ATTACHMENTS: u32 = 4;
    const DEFAULT_ATTACHMENT_MB: u32 = 8;
    const DEFAULT_SUB_INTERFACES: u32 = 64;
    /// With the ports, of which DPDK has 32, an adjacency can name them all.
    const MAX_SUB_INTERFACES: u32 = 4000;
    /// Unless `groups` says otherwise.
    pub const DEFAULT_GROUPS: u32 = 256;
    const DEFAULT_REASSEMBLIES: u32 = 64;
    const DEFAULT_SAS: u32 = 1024;
    const MIN_CONNECTIONS: u32 = 1024;
    const DEFAULT_CONNECTIONS: u32 = 65_536;
    const MAX_CONNECTIONS: u32 = 1 << 26;

    /// All of them with their keys.
    pub(crate) fn each(&self) -> [(&'static str, u32); 13] {
        [
            ("routes4", self.routes4),
            ("routes6", self.routes6),
            ("tbl8_groups4", self.tbl8_groups4),
            ("neighbors", self.neighbors),
            ("addresses", self.addresses),
            ("packet_buffers", self.packet_buffers),
            ("attachments", self.attachments),
            ("attachment_mb", self.attachment_mb),
            ("sub_interfaces", self.sub_interfaces),
            ("groups", self.groups),
            ("reassemblies", self.reassemblies),
            ("sas", self.sas),
            ("connections", self.connections),
        ]
    }

    /// Memory of an attachment, bytes: a whole number of its pages of 2 MB.
    pub fn attachment_bytes(&self) -> usize {
        megabytes_of_pages(self.attachment_mb)
    }

    /// Few routes of the Internet are longer than /24; those of a data centre often lie side by side.
    fn default_tbl8_groups4(routes4: u32) -> u32 {
        (routes4 / 4).min(32_768) + 1024
    }
}

impl Config {
    /// Whether there are to be SAs that protect packets, as far as the file says: crypto devices are opened at the start then.
    pub fn expects_sas(&self) -> bool {
        let says_how_many = self.places.line("[limits]", "sas").is_some();
        let has_protected = || {
            let mut tunnels = self.tunnels.iter();
            tunnels.any(|tunnel| tunnel.tunnel.is_protected())
        };
        self.limits.sas > 0 && (says_how_many || has_protected())
    }
}

/// Bytes in whole pages of 2 MB.
fn megabytes_of_pages(megabytes: u32) -> usize {
    (megabytes.next_multiple_of(2) as usize) << 20
}

/// `[workers]`: which CPU does what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The CPU of each worker.
    pub lcores: Vec<u32>,
    /// The CPUs of the control thread.
    pub control_cpus: Vec<u32>,
    /// What a worker does that has nothing to do.
    pub idle: IdlePolicy,
    /// Whether packets are handed to workers without a receive queue.
    pub spread: SpreadPolicy,
}

/// Whether the owner of a receive queue hands packets over by flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadPolicy {
    /// Where a port has fewer receive queues than there are workers.
    Auto,
    /// Never.
    Off,
}

/// `[[interface]]`: a port with an IP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The device behind it.
    pub device: Device,
    /// Its addresses, each with the length of its connected prefix. One of fe80::/64 at most, which takes the place of
    /// the link-local address that is made from the MAC address.
    pub addresses: Vec<IpNet>,
    /// The longest IP packet in bytes, 68 to 9000, and with an IPv6 address from 1280 on.
    pub mtu: u16,
    /// Length of each receive queue.
    pub rx_descriptors: u16,
    /// Length of each transmit queue.
    pub tx_descriptors: u16,
    /// Of a bond: what is one in it.
    pub bond: Option<Bond>,
    /// The kernel interface that gets what the gateway does not handle, when there is to be one.
    pub tap: Option<String>,
    /// Whether hosts are told of a better next hop whose packets leave by it again.
    pub redirects: bool,
    /// What becomes of the hop-by-hop headers of packets that come in by it.
    pub hop_by_hop: HopByHop,
    /// Whether it is set up.
    pub up: bool,
}

impl Interface {
    /// Its device, and those that are one in it if it is a bond.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        let members = self.bond.iter().flat_map(|bond| &bond.members);
        std::iter::once(&self.device).chain(members)
    }

    /// The interfaces of the kernel that it sends and receives through.
    pub fn kernel_interfaces(&self) -> impl Iterator<Item = &str> {
        self.devices().filter_map(Device::kernel_interface)
    }
}

/// `[[interface]]` on another one: a VLAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubInterface {
    /// Its name.
    pub name: String,
    /// Name of the interface that it is on.
    pub link: String,
    /// Whose tags its frames have.
    pub protocol: VlanProtocol,
    /// VLAN identifier, 1 to 4094.
    pub id: u16,
    /// The longest IP packet in bytes, at most that of `link`.
    pub mtu: u16,
    /// Whether it is set up.
    pub up: bool,
    /// Its addresses, as those of [`Interface`].
    pub addresses: Vec<IpNet>,
    /// The kernel interface that gets what the gateway does not handle of its packets, when there is to be one.
    pub tap: Option<String>,
    /// As that of [`Interface`].
    pub redirects: bool,
    /// As that of [`Interface`].
    pub hop_by_hop: HopByHop,
}

/// `[[neighbor]]`: a neighbour that is never asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: MacAddress,
    /// Name of the interface that it is on.
    pub interface: String,
}

/// What the command line says beside the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--instance`.
    pub instance: Option<InstanceName>,
    /// `--netns`.
    pub netns: Option<String>,
    /// What stands after `--`.
    pub eal_args: Vec<String>,
    /// How often `--verbose` is given: the log has these levels whatever `[log]` says, see [`crate::log::Levels::raised`].
    pub verbose: u8,
}

impl Config {
    /// Reads the file, with what the command line says beside it.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigErrors> {
        document::load(path, |text| Self::read(text, path, overrides))
    }

    /// As [`Config::load`], of a file whose text is there already.
    pub fn read(text: &str, path: &Path, overrides: &Overrides) -> Result<Self, ConfigErrors> {
        Self::parse(text, path, overrides, &Machine::read())
    }

    /// The same without its routes and neighbours, of which there can be a million.
    pub(crate) fn without_tables(&self) -> Self {
        Self {
            path: self.path.clone(),
            instance: self.instance.clone(),
            log: self.log.clone(),
            eal: self.eal.clone(),
            crypto: self.crypto.clone(),
            limits: self.limits,
            punts: self.punts,
            router_alert: self.router_alert,
            workers: self.workers.clone(),
            interfaces: self.interfaces.clone(),
            sub_interfaces: self.sub_interfaces.clone(),
            tunnels: self.tunnels.clone(),
            routes: Vec::new(),
            neighbors: Vec::new(),
            load_balancer: self.load_balancer,
            services: self.services.clone(),
            memory_place: self.memory_place.clone(),
            places: Places::default(),
        }
    }

    /// Parses the text of the file at `path` for a machine.
    pub fn parse(
        text: &str,
        path: &Path,
        overrides: &Overrides,
        machine: &Machine,
    ) -> Result<Self, ConfigErrors> {
        Document::keeping(path, text, places::is_fixed)
            .read_with(|root| Self::walk(root, path, overrides, machine))
    }

    /// Parses all sections. `None` only when something was noted as wrong.
    fn walk(root: Section<'_>, path: &Path, overrides: &Overrides, machine: &Machine) -> Option<Self> {
        let document = root.document;
        let instance = instance::instance(root.section("instance", "[instance]"), overrides);
        let log = sections::log(root.section("log", "[log]"), overrides);
        let (eal, memory_place) = sections::eal(root.section("eal", "[eal]"), overrides);
        let crypto = CryptoConfig::parse(root.section("crypto", "[crypto]"));
        let limits = root.section("limits", "[limits]");
        let workers = sections::workers(root.section("workers", "[workers]"), machine);
        let raw_sections = |key, name| root.sections(key, name).into_iter();
        let interfaces: Vec<_> = raw_sections("interface", "[[interface]]")
            .map(RawInterface::parse)
            .collect();
        let tunnels: Vec<_> = raw_sections("tunnel", "[[tunnel]]")
            .map(RawTunnel::parse)
            .collect();
        let routes: Vec<_> = raw_sections("route", "[[route]]").map(RawRoute::parse).collect();
        let neighbors: Vec<_> = raw_sections("neighbor", "[[neighbor]]")
            .map(RawNeighbor::parse)
            .collect();
        let services: Vec<_> = raw_sections("service", "[[service]]")
            .map(RawService::parse)
            .collect();
        let load_balancer = LoadBalancer::parse(root.section("load_balancer", "[load_balancer]"));
        let punts = sections::punts(document, root.sections("punt", "[[punt]]"));
        let router_alert = RouterAlert::parse(root.section("router_alert", "[router_alert]"));
        let descriptors: u32 = interfaces.iter().map(RawInterface::descriptors).sum();
        let taps = interfaces.iter().filter(|raw| raw.tap.is_some()).count();
        let mtus = interfaces.iter().filter_map(|raw| Some(raw.mtu.as_ref()?.value));
        let longest = mtus.fold(1500, u16::max);
        let limits = sections::limits(limits, |attachment_bytes| {
            let with_tool = plan::with_tool(attachment_bytes, longest);
            plan::packet_buffers(descriptors, workers.lcores.len(), taps, with_tool)
        });
        root.finish();

        interfaces::check_interfaces(document, &interfaces);
        let sub_interfaces = vlan::sub_interfaces(document, &interfaces, limits.sub_interfaces);
        interfaces::check_taps(document, &interfaces);
        tunnel::check(document, &tunnels, &interfaces, limits.sub_interfaces);
        let network = Network::of(&interfaces, &tunnels, &services);
        network.check_addresses(document, &limits);
        network.check_routes(document, &routes, &limits);
        network.check_neighbors(document, &neighbors, &routes, &limits);
        network.check_services(document, &services, &routes, &neighbors, &limits);
        let mut places = Places::of(document.take_places());
        interfaces.iter().for_each(|raw| raw.note_place(&mut places));
        Some(Self {
            path: path.to_path_buf(),
            places,
            instance: instance?,
            log,
            eal,
            crypto,
            limits,
            punts,
            router_alert,
            workers,
            interfaces: interfaces
                .into_iter()
                .filter_map(RawInterface::into_interface)
                .collect(),
            sub_interfaces,
            tunnels: tunnels.into_iter().filter_map(RawTunnel::into_tunnel).collect(),
            routes: routes.into_iter().filter_map(RawRoute::into_route).collect(),
            neighbors: neighbors
                .into_iter()
                .filter_map(RawNeighbor::into_neighbor)
                .collect(),
            load_balancer,
            services: services
                .into_iter()
                .filter_map(RawService::into_service)
                .collect(),
            memory_place: memory_place
                .map_or_else(|| path.display().to_string(), |place| place.in_file(path)),
        })
    }
}

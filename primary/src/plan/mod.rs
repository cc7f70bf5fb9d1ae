//! What the configuration takes of the machine: sizes of all tables and pools, hugepages, EAL's arguments.
//!
//! ```text
//!   hugepages ─┬─ EAL's memory      [eal] memory_mb, taken at the start and never more
//!              │    tbl24 │ tbl8 groups │ adjacencies │ packet buffers │ rings, queues, DPDK's own
//!              ├─ table region      a file of its own, which outlives nothing: the primary unlinks it
//!              └─ attachments       memory for each tool that may attach, set aside at the start
//! ```

mod eal;
mod hugepages;
mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use dpdk::{Eal, NumaNode, Pool, PoolError};
use fib::{GROUP_ENTRIES, TBL24_ENTRIES};
use shm::Capacity;
use shm::attachment::most_decided;

use crate::adjacency;
use crate::attachments::MOST_BEHIND;
use crate::config::machine::Machine;
use crate::config::{Config, Interface};
use crate::ipsec::SPARE_SESSIONS;
use crate::worker::{BALANCED, FRAGMENTS, HANDED, LONG_BUFFERS, MOST_WAITING, long_room};
use crate::{kernel, ports};

use self::hugepages::Mount;
pub use self::hugepages::check_hugepages;

/// Next hops that tools can be shown for each group, one with another.
const NEXT_HOPS_PER_GROUP: usize = 8;
/// Mbufs that each lcore keeps at hand.
const CACHE_SIZE: u32 = 256;
/// Mbufs that a worker has in bursts, in transmit batches and in rings to others.
const PER_WORKER: u32 = 2048;
/// Mbufs that the control thread has in its rings and makes packets from.
const FOR_CONTROL: u32 = 1024;
/// What DPDK puts before each object of a pool, and the mbuf itself, in bytes.
const OBJECT_HEADER: usize = 64;
const MBUF: usize = 128;
/// Bytes of a frame beside the IP packet: Ethernet header, two VLAN tags, checksum.
pub const FRAME_OVERHEAD: usize = 14 + 8 + 4;
/// Attachments are in pages of this size, whatever the rest is in: a larger one would be mostly empty.
const ATTACHMENT_PAGE: usize = 2 << 20;

/// What a primary with a certain configuration needs and how it is started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// EAL's arguments, without a program name.
    pub eal_args: Vec<String>,
    /// EAL's lcore id of each worker.
    pub worker_lcores: Vec<u16>,
    /// EAL's id of the main lcore, the control thread's.
    pub main_lcore: u16,
    /// The NUMA node for tables and pools, that of the first worker; `None` where the kernel knows of no nodes.
    pub node: Option<u8>,
    /// What the table region has room for.
    pub capacity: Capacity,
    /// The most prefixes in the IPv4 FIB: limits.routes4, and those that addresses and neighbours make.
    pub fib_routes4: usize,
    /// The same in the IPv6 FIB.
    pub fib_routes6: usize,
    /// Words of 8 bytes that the IPv6 FIB lies in.
    pub fib6_words: usize,
    /// Groups of the FIB's second table.
    pub tbl8_groups: usize,
    /// Adjacencies, of [`adjacency::WORDS`] words each.
    pub adjacencies: usize,
    /// Groups of next hops, of [`adjacency::GROUP_WORDS`] words each.
    pub groups: usize,
    /// The pool of packets.
    pub pool: PoolPlan,
    /// The pool of long buffers that long packets of SAs are in meanwhile; none where there can be no SA.
    pub long_pool: Option<PoolPlan>,
    /// Megabytes of EAL's memory on each of its nodes: memory_mb in whole hugepages.
    pub memory_mb: u32,
    /// Bytes of the table region, a whole number of hugepages.
    pub table_region_bytes: usize,
    /// Tools that can be attached at a time.
    pub attachments: usize,
    /// The memory that each of them has.
    pub attachment_bytes: usize,
    /// Connections of the load balancer that each worker has room for.
    pub connections: usize,
    /// Bytes of a hugepage.
    pub huge_page_size: usize,
    /// The hugetlbfs directory for the table region; `None` when nothing is mounted, which
    /// [`check_hugepages`] refuses.
    pub huge_dir: Option<PathBuf>,
    file_prefix: String,
    configured_huge_dir: Option<PathBuf>,
    stock_tools: bool,
    /// Nodes on which EAL has memory.
    memory_nodes: Vec<u8>,
    /// Whether the machine has more nodes than one.
    several_nodes: bool,
    parts: Vec<Part>,
}

/// A pool of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Mbufs.
    pub count: u32,
    /// Mbufs that each lcore keeps at hand.
    pub cache_size: u32,
    /// Bytes in each, headroom included.
    pub data_room: u16,
}

impl PoolPlan {
    /// The pool, under a name that is unique in DPDK.
    ///
    /// # Errors
    /// DPDK has no memory for it.
    pub fn make(&self, eal: &Eal, name: &str, node: NumaNode) -> Result<Pool, PoolError> {
        Pool::new(eal, name, self.count, self.cache_size, self.data_room, node)
    }

    /// Bytes that the pool takes: its objects, and a ring of pointers to the free ones.
    pub fn bytes(&self) -> usize {
        let count = self.count as usize;
        // DPDK adds a cache line to an object where that spreads them over memory channels.
        let object = (OBJECT_HEADER + MBUF + usize::from(self.data_room)).next_multiple_of(64) + 64;
        count * object + (count + 1).next_power_of_two() * 8
    }
}

/// A part of EAL's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: &'static str,
    bytes: usize,
}

/// Why the configuration cannot be had on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// `[eal] memory_mb` does not hold `[limits]`.
    #[error(
        "{place}: too little memory for [limits]: memory_mb = {memory_mb}, and {needed_mb} MB are needed ({parts}): set \
         memory_mb = {needed_mb} or more, or lower {lower} in [limits]"
    )]
    TooLittleMemory {
        /// Where memory_mb is written, or the file.
        place: String,
        /// As configured.
        memory_mb: u32,
        /// The smallest that works.
        needed_mb: usize,
        /// What needs how much.
        parts: String,
        /// The limit that saves most.
        lower: &'static str,
    },
    /// There are more workers than lcores.
    #[error("{0} workers are more than DPDK has lcores for beside control: list at most {max} CPUs in lcores of [workers]", max = eal::MAX_LCORE - 1)]
    TooManyWorkers(usize),
    /// No hugetlbfs.
    #[error(
        "no hugetlbfs is mounted: 'tollgate-hugepage-setup mount' mounts it, and 'tollgate-hugepage-setup reserve' gets the pages"
    )]
    NotMounted,
    /// `[eal] huge_dir` is elsewhere.
    #[error(
        "huge_dir = '{path}' in [eal] is in no hugetlbfs: name a directory that 'findmnt -t hugetlbfs' lists, or remove it"
    )]
    NotHugetlbfs {
        /// As configured.
        path: PathBuf,
    },
    /// Not enough free pages.
    #[error(
        "{needed} hugepages of {size} are needed{} ({eal} for memory_mb in [eal], {region} for the table region, {attachments} for \
         attachments in [limits]) and {free} are free: \
         'tollgate-hugepage-setup reserve --size {size} --pages {reserve}{}' reserves them",
        node.map_or(String::new(), |node| format!(" on NUMA node {node}")),
        node.map_or(String::new(), |node| format!(" --node {node}"))
    )]
    TooFewPages {
        /// Pages that this instance needs, in all or on the node.
        needed: usize,
        /// Those of EAL.
        eal: usize,
        /// Those of the table region.
        region: usize,
        /// Those of the attachments.
        attachments: usize,
        /// Free ones.
        free: usize,
        /// Their size: `2M`.
        size: String,
        /// How many the kernel must have in all, those that others use included.
        reserve: usize,
        /// The node that has too few, when others have enough.
        node: Option<u8>,
    },
}

/// Packets of up to `mtu` bytes that can be with a tool that decides and has so much memory.
pub(crate) fn with_tool(attachment_bytes: usize, mtu: u16) -> u32 {
    let fit = attachment_bytes / (usize::from(mtu) + FRAME_OVERHEAD);
    most_decided(attachment_bytes).min(u32::try_from(fit).unwrap_or(u32::MAX))
}

/// Mbufs for queues of that many descriptors, each worker having one queue per port and direction, for the rings of taps, for
/// those between workers, and for what is with a tool that decides, at most so many packets, and behind that.
pub(crate) fn packet_buffers(descriptors: u32, workers: usize, taps: usize, with_tool: u32) -> u32 {
    let with_tool = with_tool + workers as u32 * MOST_BEHIND;
    let (workers, taps) = (workers as u32, taps as u32);
    let for_taps = taps.saturating_mul(workers * kernel::TO_KERNEL + ports::RING);
    let to_others = workers.saturating_sub(1) * (FRAGMENTS + HANDED + BALANCED);
    let worker = descriptors + MOST_WAITING as u32 + to_others + PER_WORKER + 2 * CACHE_SIZE;
    workers
        .saturating_mul(worker)
        .saturating_add(FOR_CONTROL + with_tool + 2 * CACHE_SIZE)
        .saturating_add(for_taps)
}

impl Plan {
    /// The plan for this machine.
    pub fn new(config: &Config) -> Result<Self, PlanError> {
        Self::on(config, &Machine::read(), &hugepages::mounts())
    }

    fn on(config: &Config, machine: &Machine, mounts: &[Mount]) -> Result<Self, PlanError> {
        let (limits, workers) = (&config.limits, &config.workers.lcores);
        if workers.len() >= usize::from(eal::MAX_LCORE) {
            return Err(PlanError::TooManyWorkers(workers.len()));
        }
        let (worker_lcores, main_lcore) = eal::lcores(workers, config.eal.stock_tools);
        let configured_huge_dir = config.eal.huge_dir.clone();
        let mount = hugepages::choose(mounts, configured_huge_dir.as_deref());
        let huge_page_size = mount.as_ref().map_or(2 << 20, |mount| mount.page_size);

        let [routes4, routes6, neighbors, addresses] =
            [limits.routes4, limits.routes6, limits.neighbors, limits.addresses].map(|limit| limit as usize);
        // Each address makes a local route, a connected one and two that are never forwarded to; each neighbour one.
        let fib_routes4 = routes4 + neighbors + 4 * addresses;
        // In IPv6 one to the address of all routers of its subnet instead of those two.
        let fib_routes6 = routes6 + neighbors + 3 * addresses;
        let interfaces = config.interfaces.len() + limits.sub_interfaces as usize;
        let capacity = Capacity {
            interfaces,
            // Each interface may have a link-local one of its own making.
            addresses: addresses + interfaces,
            routes4: fib_routes4,
            routes6: fib_routes6,
            neighbors,
            next_hops: limits.groups as usize * NEXT_HOPS_PER_GROUP,
            workers: workers.len(),
            pools: 1,
            sas: limits.sas as usize,
        };
        // As many again, for those that wait until all workers have passed.
        let adjacencies = 2 * (neighbors + 2 * addresses + 3 * interfaces) + 64;
        let groups = 2 * limits.groups as usize;
        let pool = PoolPlan {
            count: limits.packet_buffers,
            cache_size: CACHE_SIZE,
            data_room: data_room(limits.packet_buffer_bytes, &config.interfaces),
        };
        // They are too few to be kept at hand by anybody.
        let long_pool = (limits.sas > 0).then(|| PoolPlan {
            count: workers.len() as u32 * LONG_BUFFERS,
            cache_size: 0,
            data_room: long_room(pool.data_room),
        });
        let tbl8_groups = limits.tbl8_groups4 as usize;
        let fib6_words = fib::words6(fib_routes6);
        let parts = parts(
            config,
            tbl8_groups,
            fib6_words,
            adjacencies,
            groups,
            &pool,
            long_pool.as_ref(),
        );

        let mut memory_nodes: Vec<u8> = workers
            .iter()
            .map(|cpu| machine.node_of(*cpu).unwrap_or(0))
            .collect();
        memory_nodes.sort_unstable();
        memory_nodes.dedup();
        let pages = (config.eal.memory_mb as usize)
            .saturating_mul(1 << 20)
            .div_ceil(huge_page_size);
        let mut plan = Self {
            eal_args: Vec::new(),
            worker_lcores,
            main_lcore,
            node: workers.first().and_then(|cpu| machine.node_of(*cpu)),
            capacity,
            fib_routes4,
            fib_routes6,
            fib6_words,
            tbl8_groups,
            adjacencies,
            groups,
            pool,
            long_pool,
            memory_mb: u32::try_from(pages * (huge_page_size >> 20)).unwrap_or(u32::MAX),
            table_region_bytes: capacity.bytes(huge_page_size),
            attachments: limits.attachments as usize,
            attachment_bytes: limits.attachment_bytes(),
            connections: (limits.connections as usize).div_ceil(workers.len().max(1)),
            huge_page_size,
            huge_dir: mount.map(|mount| mount.path),
            file_prefix: config.instance.file_prefix.clone(),
            configured_huge_dir,
            stock_tools: config.eal.stock_tools,
            memory_nodes,
            several_nodes: machine.nodes.len() > 1,
            parts,
        };
        plan.check_memory(config)?;
        let nodes: Vec<u8> = machine.nodes.iter().map(|(node, _)| *node).collect();
        plan.eal_args = eal::args(config, &plan, &nodes);
        Ok(plan)
    }

    /// Bytes of ordinary memory that all workers together have for connections of the load balancer.
    pub fn connection_bytes(&self) -> usize {
        self.worker_lcores.len() * lb::Balancer::bytes_for(self.connections)
    }

    fn check_memory(&self, config: &Config) -> Result<(), PlanError> {
        let needed: usize = self.parts.iter().map(|part| part.bytes).sum();
        if needed <= self.eal_bytes() {
            return Ok(());
        }
        let parts = self
            .parts
            .iter()
            .map(|part| format!("{} {}", part.name, megabytes(part.bytes)));
        let tbl8 = self.tbl8_groups * GROUP_ENTRIES * 4;
        Err(PlanError::TooLittleMemory {
            place: config.memory_place.clone(),
            memory_mb: config.eal.memory_mb,
            needed_mb: needed.next_multiple_of(self.huge_page_size) >> 20,
            parts: parts.collect::<Vec<_>>().join(", "),
            lower: [
                (tbl8, "tbl8_groups4 or routes4"),
                (self.fib6_words * 8, "routes6"),
                (self.pool.bytes(), "packet_buffers"),
            ]
            .into_iter()
            .max_by_key(|(bytes, _)| *bytes)
            .map_or("packet_buffers", |(_, keys)| keys),
        })
    }

    /// The file of the table region.
    pub fn tables_path(&self) -> Option<PathBuf> {
        // EAL removes unlocked files with `map_` in their names; file prefixes do not contain it.
        self.huge_dir
            .as_ref()
            .map(|directory| directory.join(format!("{}.tables", self.file_prefix)))
    }

    /// Bytes of EAL's memory on each of its nodes.
    fn eal_bytes(&self) -> usize {
        (self.memory_mb as usize) << 20
    }

    fn eal_pages(&self) -> usize {
        self.memory_nodes.len() * self.eal_bytes() / self.huge_page_size
    }

    fn region_pages(&self) -> usize {
        self.table_region_bytes / self.huge_page_size
    }

    /// Pages of 2 MB.
    fn attachment_pages(&self) -> usize {
        self.attachments * self.attachment_bytes / ATTACHMENT_PAGE
    }
}

/// What the configuration asks for, where longer frames may lie in several mbufs; the longest frame where they may not.
fn data_room(frame_bytes: u16, interfaces: &[Interface]) -> u16 {
    let longest = interfaces
        .iter()
        .flat_map(|interface| {
            let devices = interface.devices();
            devices.filter_map(|device| device.buffer_for(interface.mtu))
        })
        .max()
        .unwrap_or(0);
    let room = longest
        .max(frame_bytes.into())
        .next_multiple_of(64)
        .saturating_add(Pool::HEADROOM.into());
    u16::try_from(room).unwrap_or(u16::MAX)
}

/// What EAL's memory is needed for.
fn parts(
    config: &Config,
    tbl8_groups: usize,
    fib6_words: usize,
    adjacencies: usize,
    groups: usize,
    pool: &PoolPlan,
    long_pool: Option<&PoolPlan>,
) -> Vec<Part> {
    let (workers, ports) = (config.workers.lcores.len(), config.interfaces.len());
    let bonds = config
        .interfaces
        .iter()
        .filter_map(|interface| interface.bond.as_ref());
    let members: usize = bonds.map(|bond| bond.members.len()).sum();
    let own = DPDK_BYTES + workers * WORKER_BYTES + ports * PORT_BYTES + members * MEMBER_BYTES;
    [
        ("tbl24 of the route lookup", TBL24_ENTRIES * 4),
        ("its tbl8 groups", tbl8_groups * GROUP_ENTRIES * 4),
        ("trie of IPv6 routes", fib6_words * 8),
        ("adjacencies", adjacencies * adjacency::WORDS * 8),
        ("groups of next hops", groups * adjacency::GROUP_WORDS * 8),
        ("packet buffers", pool.bytes()),
        ("long buffers for SAs", long_pool.map_or(0, PoolPlan::bytes)),
        ("crypto devices", crypto_bytes(config)),
        (
            "DPDK's own tools",
            if config.eal.stock_tools {
                STOCK_TOOLS_BYTES
            } else {
                0
            },
        ),
        ("rings, queues and DPDK itself", own),
    ]
    .map(|(name, bytes)| Part { name, bytes })
    .into()
}

/// What crypto devices take that SAs need: the keys of those lie elsewhere, in memory that no other process sees.
fn crypto_bytes(config: &Config) -> usize {
    let sas = config.limits.sas as usize;
    if sas == 0 {
        return 0;
    }
    // A pool of sessions has a ring of pointers to the free ones here.
    let ring = (sas + SPARE_SESSIONS as usize + 1).next_power_of_two() * 8;
    config.crypto.devices.len() * (CRYPTO_DEVICE_BYTES + ring)
}

/// The one queue of a crypto device, some 200 KB with what the driver keeps in it, and what is lost around it.
const CRYPTO_DEVICE_BYTES: usize = 512 << 10;

/// Where DPDK's own tools may attach: 4 MB of counters of captures, and 12 MB that `dpdk-dumpcap` takes for two interfaces.
const STOCK_TOOLS_BYTES: usize = 20 << 20;
/// What DPDK takes for itself, and what is lost between allocations.
const DPDK_BYTES: usize = 8 << 20;
/// Rings to and from control and other workers.
const WORKER_BYTES: usize = 1 << 20;
/// Queues and driver state of a port.
const PORT_BYTES: usize = 1 << 20;
/// Queues of a member of a bond, and the pool that DPDK makes for its LACP packets.
const MEMBER_BYTES: usize = 8 << 20;

/// Bytes in megabytes, rounded up.
fn megabytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}

//! What a primary says of itself, for tools and for other primaries.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shm::ProcessId;

use super::InstanceName;

/// What a primary says of itself in `instance.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the instance.
    pub name: InstanceName,
    /// [`crate::VERSION`] of the primary.
    pub version: String,
    /// Process id of the primary.
    pub pid: u32,
    /// Its start time in clock ticks after boot.
    pub start_time: u64,
    /// EAL file prefix.
    pub file_prefix: String,
    /// The network namespace that it entered, as `ip netns` names it.
    pub netns: Option<String>,
    /// The configuration file.
    pub config: PathBuf,
    /// The hugetlbfs mount that it uses.
    pub huge_dir: PathBuf,
    /// The table region.
    pub tables: PathBuf,
    /// Name of the discovery segment.
    pub segment: String,
    /// The group that may use the instance.
    pub group: Option<String>,
    /// Whether DPDK's own secondaries may attach.
    pub stock_tools: bool,
    /// The devices that it owns.
    pub devices: Vec<DeviceClaim>,
    /// The CPUs that its workers run on.
    pub cpus: Vec<CpuClaim>,
}

impl Description {
    /// The primary that wrote this.
    pub fn process(&self) -> ProcessId {
        ProcessId {
            pid: self.pid,
            start_time: self.start_time,
        }
    }
}

/// A device that an instance owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceClaim {
    /// Name of the interface in the configuration.
    pub interface: String,
    /// The devargs as configured.
    pub device: String,
    /// What two instances cannot both have: a PCI address, or a kernel interface with the inode of its network
    /// namespace. `None` for devices that exist only inside the process.
    pub key: Option<String>,
}

/// A CPU that a worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuClaim {
    /// Number of the CPU.
    pub cpu: u32,
    /// Whether the worker polls without pause, so that nobody else can use the CPU.
    pub busy: bool,
}

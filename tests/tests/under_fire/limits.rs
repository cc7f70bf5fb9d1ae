//! What a flood may take of a primary, and what it must give back.

use std::fs;

use serde_json::Value;

use crate::{
    floods::Flood,
    site::{NEIGHBORS, Site},
};

/// Packet buffers that may be on their way when one looks: bursts and batches, none of them for long.
const UNDER_WAY: u64 = 256;
/// Packets that a worker keeps for next hops that are looked for: 64 for each of 64.
const KEPT: u64 = 4096;
/// Packets in the two rings to the control thread.
const RINGS: u64 = 2048;
/// Packets that are put together from fragments at a time.
const REASSEMBLIES: u64 = 64;
/// By how much the memory of the process may differ, kB.
const MEMORY_KB: u64 = 4096;

/// What a primary has in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    packet_buffers: u64,
    neighbors: u64,
    waiting: u64,
    resident_kb: u64,
    huge_kb: u64,
}

impl Usage {
    pub(crate) fn now(site: &mut Site) -> Self {
        let path = format!("/proc/{}/status", site.primary.process().pid());
        let status = fs::read_to_string(path).unwrap();
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let memory = site.primary.ctl_json(&["memory", "show"]).unwrap();
        let used = |name: &str| {
            let parts: &Vec<Value> = memory.as_array().unwrap();
            let part = parts.iter().find(|part| part["part"] == name);
            part.unwrap()["used"].as_u64().unwrap()
        };
        Self {
            packet_buffers: used("pool_packets"),
            neighbors: used("table_neighbors"),
            waiting: site.waiting(),
            resident_kb: kb("VmRSS:"),
            huge_kb: kb("HugetlbPages:"),
        }
    }

    /// Panics if `later`, in the middle of a flood, is more than it may be.
    pub(crate) fn assert_bounded(&self, later: &Self, flood: Flood) {
        let kept = match flood {
            // Copies: no buffer is kept.
            Flood::Fragments => REASSEMBLIES,
            _ => KEPT,
        };
        let buffers = self.packet_buffers + KEPT + RINGS + UNDER_WAY;
        assert!(later.waiting <= kept, "{flood:?}: {self:?}, then {later:?}");
        assert!(
            later.packet_buffers <= buffers,
            "{flood:?}: {self:?}, then {later:?}"
        );
        assert!(later.neighbors <= NEIGHBORS as u64, "{flood:?}: {later:?}");
        let grown = later.resident_kb.saturating_sub(self.resident_kb);
        assert!(grown <= MEMORY_KB, "{flood:?}: {self:?}, then {later:?}");
        assert_eq!(later.huge_kb, self.huge_kb, "{flood:?}");
    }

    /// Panics unless `later`, when the flood is over, has every packet buffer back.
    pub(crate) fn assert_freed(&self, later: &Self, flood: Flood) {
        let buffers = self.packet_buffers + UNDER_WAY;
        assert!(
            later.packet_buffers <= buffers,
            "{flood:?}: {self:?}, then {later:?}"
        );
    }
}

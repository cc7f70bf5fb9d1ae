//! EAL's arguments: everything that follows from the configuration, then what the operator adds.

use crate::config::machine::format_list;
use crate::config::{Config, Interface};

use super::Plan;

/// Lcores that this DPDK can tell apart: RTE_MAX_LCORE.
pub(super) const MAX_LCORE: u16 = 128;

/// The EAL lcore ids of the workers, and that of the main lcore. A worker's is the number of its CPU, which is how DPDK's
/// own tools name it; a CPU beyond the ids that there are gets one that is free.
///
/// Where those tools may attach, ids are the last ones instead. The tools number theirs from 0, and an id that two processes
/// have is a cache of packets that both use without a lock, in the pools that `dpdk-dumpcap` and `dpdk-pdump` make.
pub(super) fn lcores(cpus: &[u32], stock_tools: bool) -> (Vec<u16>, u16) {
    let direct = |cpu: u32| {
        u16::try_from(cpu)
            .ok()
            .filter(|id| *id < MAX_LCORE && !stock_tools)
    };
    let mut taken: Vec<u16> = cpus.iter().filter_map(|cpu| direct(*cpu)).collect();
    let mut free = || {
        let id = (0..MAX_LCORE).rev().find(|id| !taken.contains(id)).unwrap_or(0);
        taken.push(id);
        id
    };
    let workers = cpus
        .iter()
        .map(|cpu| direct(*cpu).unwrap_or_else(&mut free))
        .collect();
    (workers, free())
}

pub(super) fn args(config: &Config, plan: &Plan, nodes: &[u8]) -> Vec<String> {
    let mut args = vec![format!("--file-prefix={}", config.instance.file_prefix)];
    let mut lcores = vec![format!(
        "{}@({})",
        plan.main_lcore,
        format_list(&config.workers.control_cpus)
    )];
    let workers = plan.worker_lcores.iter().zip(&config.workers.lcores);
    lcores.extend(workers.map(|(id, cpu)| format!("{id}@{cpu}")));
    args.push(format!("--lcores={}", lcores.join(",")));
    args.push(format!("--main-lcore={}", plan.main_lcore));

    // Nodes without workers get nothing: a limit of 0 would be none, and 1 MB is less than a page.
    let last = nodes.iter().chain(&plan.memory_nodes).copied().max().unwrap_or(0);
    let has_memory = |node: u8| plan.memory_nodes.contains(&node);
    let list = |without: u32| {
        let megabytes = (0..=last).map(|node| if has_memory(node) { plan.memory_mb } else { without });
        megabytes
            .map(|megabytes| megabytes.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    args.push(format!("--socket-mem={}", list(0)));
    args.push(format!("--socket-limit={}", list(1)));
    match (plan.stock_tools, &plan.huge_dir) {
        // No memory that another process could open: nothing of it stays behind, even when the primary is killed.
        (false, _) => args.push("--in-memory".to_owned()),
        (true, Some(directory)) => args.push(format!("--huge-dir={}", directory.display())),
        (true, None) => {}
    }
    let devices: Vec<_> = config
        .interfaces
        .iter()
        .flat_map(Interface::devices)
        .filter(|device| device.pci().is_some())
        .map(|device| format!("--allow={}", device.devargs().trim_start_matches("pci:")))
        .collect();
    if devices.is_empty() {
        args.push("--no-pci".to_owned());
    }
    args.extend(devices);
    // DPDK hands over everything, and the level of the module eal decides, which can change at run time.
    args.push("--log-level=*:debug".to_owned());
    args.extend(config.eal.args.iter().cloned());
    args
}

//! What the machine has: CPUs and the NUMA nodes that they belong to.

use std::fs;
use std::sync::OnceLock;

/// CPUs of this machine, or of one that a test thinks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs that are online, ascending.
    pub online: Vec<u32>,
    /// Those of them that this process might run on when it was started, ascending.
    pub allowed: Vec<u32>,
    /// NUMA nodes with their CPUs; empty where the kernel knows of none.
    pub nodes: Vec<(u8, Vec<u32>)>,
}

impl Machine {
    /// This machine, as sysfs and proc describe it.
    pub fn read() -> Self {
        let online = read_list("/sys/devices/system/cpu/online").unwrap_or_else(|| vec![0]);
        // As this process was started: EAL binds the thread that is asked to the CPUs of control, and a configuration
        // that is read again must come to the same.
        static ALLOWED: OnceLock<Vec<u32>> = OnceLock::new();
        let mut allowed = ALLOWED.get_or_init(|| read_allowed().unwrap_or_default()).clone();
        allowed.retain(|cpu| online.contains(cpu));
        if allowed.is_empty() {
            allowed.clone_from(&online);
        }
        Self {
            online,
            allowed,
            nodes: read_nodes(),
        }
    }

    /// The NUMA node of a CPU.
    pub fn node_of(&self, cpu: u32) -> Option<u8> {
        self.nodes
            .iter()
            .find(|(_, cpus)| cpus.contains(&cpu))
            .map(|(node, _)| *node)
    }
}

fn read_allowed() -> Option<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    parse_list(
        status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?,
    )
}

fn read_nodes() -> Vec<(u8, Vec<u32>)> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/node") else {
        return Vec::new();
    };
    let mut nodes: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            let cpus = fs::read_to_string(entry.path().join("cpulist")).ok()?;
            Some((node, parse_list(&cpus)?))
        })
        .collect();
    nodes.sort();
    nodes
}

fn read_list(path: &str) -> Option<Vec<u32>> {
    parse_list(&fs::read_to_string(path).ok()?)
}

/// Parses a list of CPUs as the kernel writes it, such as `0-3,8`.
pub fn parse_list(text: &str) -> Option<Vec<u32>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut cpus = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        // No machine has more; a damaged file must not fill the memory.
        if first > last || last > 1 << 16 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The list as the kernel writes it.
pub fn format_list(cpus: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text = |&(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_list("\n"), Some(vec![]));
        for wrong in ["3-1", "a", "1,,2", "0-4294967295"] {
            assert_eq!(parse_list(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_machine_has_a_cpu_that_this_process_may_use() {
        let machine = Machine::read();
        assert!(!machine.allowed.is_empty());
        assert!(machine.allowed.iter().all(|cpu| machine.online.contains(cpu)));
    }

    proptest! {
        #[test]
        fn a_list_comes_back_from_its_text(cpus in proptest::collection::btree_set(0..500u32, 0..50)) {
            let cpus: Vec<u32> = cpus.into_iter().collect();
            prop_assert_eq!(parse_list(&format_list(&cpus)), Some(cpus));
        }
    }
}

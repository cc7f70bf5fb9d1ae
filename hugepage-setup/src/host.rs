//! The places of a host that this tool reads and writes. They are fields, so that tests work on a tree of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::size::PageSize;

/// Where the host keeps what this tool needs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// sysfs.
    pub(crate) sys: PathBuf,
    /// procfs.
    pub(crate) proc: PathBuf,
    /// Configuration that outlives a boot.
    pub(crate) etc: PathBuf,
    /// Devices and the shared memory below them.
    pub(crate) dev: PathBuf,
    /// Where EAL keeps a directory per file prefix.
    pub(crate) eal: PathBuf,
    /// Modules of the kernel.
    pub(crate) lib: PathBuf,
    /// Programs and libraries, DPDK's drivers among them.
    pub(crate) usr: PathBuf,
}

impl Host {
    /// The host that this process runs on.
    pub(crate) fn this() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            etc: "/etc".into(),
            dev: "/dev".into(),
            eal: "/var/run/dpdk".into(),
            lib: "/lib".into(),
            usr: "/usr".into(),
        }
    }

    /// A host below `root`.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            sys: root.join("sys"),
            proc: root.join("proc"),
            etc: root.join("etc"),
            dev: root.join("dev"),
            eal: root.join("var/run/dpdk"),
            lib: root.join("lib"),
            usr: root.join("usr"),
        }
    }

    /// The size that the kernel takes when none is named.
    pub(crate) fn default_page_size(&self) -> Result<PageSize, Error> {
        let path = self.proc.join("meminfo");
        let text = read(&path)?;
        let kib = kib_field(&text, "Hugepagesize").unwrap_or(0);
        PageSize::from_bytes(kib * 1024).ok_or(Error::NoHugepages { path })
    }

    /// Memory of the host, or of one node.
    pub(crate) fn memory(&self, node: Option<u32>) -> Result<Memory, Error> {
        match node {
            None => Memory::of_host(&read(&self.proc.join("meminfo"))?),
            Some(node) => {
                let path = self.sys.join(format!("devices/system/node/node{node}/meminfo"));
                Memory::of_node(&read(&path)?)
            }
        }
        .ok_or(Error::NoHugepages {
            path: self.proc.join("meminfo"),
        })
    }

    /// CPUs of a node; none for one that has memory alone.
    pub(crate) fn cpus_of_node(&self, node: u32) -> Result<Vec<usize>, Error> {
        let path = self.sys.join(format!("devices/system/node/node{node}/cpulist"));
        Ok(parse_cpu_list(&read(&path)?))
    }
}

/// How much memory there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) total: u64,
    /// What the kernel could give away without taking it from a process.
    pub(crate) available: u64,
}

impl Memory {
    fn of_host(meminfo: &str) -> Option<Self> {
        let field = |name| Some(kib_field(meminfo, name)? * 1024);
        Some(Self {
            total: field("MemTotal")?,
            available: field("MemAvailable")?,
        })
    }

    /// A node has no MemAvailable: free memory and what can be dropped come close to it.
    fn of_node(meminfo: &str) -> Option<Self> {
        let bare: String = meminfo
            .lines()
            .filter_map(|line| line.splitn(3, ' ').nth(2))
            .flat_map(|line| [line.trim(), "\n"])
            .collect();
        let field = |name| Some(kib_field(&bare, name)? * 1024);
        let droppable: u64 = ["Active(file)", "Inactive(file)", "SReclaimable"]
            .into_iter()
            .filter_map(field)
            .sum();
        Some(Self {
            total: field("MemTotal")?,
            available: field("MemFree")? + droppable,
        })
    }
}

/// The value of a line `name:  123 kB`.
pub(crate) fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The numbers in `0-3,8,10-11`; what is no number is left out.
pub(crate) fn parse_cpu_list(text: &str) -> Vec<usize> {
    const MOST: usize = 1 << 16;
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    ranges.flat_map(|(first, last)| first..=last.min(MOST)).collect()
}

/// The list as the kernel writes it.
pub(crate) fn format_cpu_list(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text = |(first, last): &(usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Reads a file as text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// What is in a directory, in order of names; nothing when it is not there.
pub(crate) fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed.collect::<Result<Vec<_>, _>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut paths: Vec<_> = listed
        .map_err(Error::io("list", path))?
        .iter()
        .map(fs::DirEntry::path)
        .collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_of_a_node_counts_what_can_be_dropped() {
        let text = "Node 0 MemTotal:       1000 kB\nNode 0 MemFree:        100 kB\nNode 0 Active(file):   20 kB\n\
                    Node 0 Inactive(file): 3 kB\nNode 0 SReclaimable:  4 kB\n";
        assert_eq!(
            Memory::of_node(text),
            Some(Memory {
                total: 1000 << 10,
                available: 127 << 10
            })
        );
    }

    #[test]
    fn memory_of_the_host_is_what_the_kernel_calls_available() {
        let text =
            "MemTotal:  24684396 kB\nMemFree:  1 kB\nMemAvailable:   23558000 kB\nHugepagesize:  2048 kB\n";
        assert_eq!(
            Memory::of_host(text),
            Some(Memory {
                total: 24684396 << 10,
                available: 23558000 << 10
            })
        );
        assert_eq!(kib_field(text, "Huge"), None);
    }

    #[test]
    fn a_cpu_list_is_read_with_ranges_and_gaps() {
        assert_eq!(parse_cpu_list("0-2,5,8-9\n"), [0, 1, 2, 5, 8, 9]);
        assert!(parse_cpu_list("\n").is_empty());
    }

    proptest! {
        #[test]
        fn a_cpu_list_comes_back_from_its_text(cpus in proptest::collection::btree_set(0..500usize, 0..50)) {
            let cpus: Vec<_> = cpus.into_iter().collect();
            prop_assert_eq!(parse_cpu_list(&format_cpu_list(&cpus)), cpus);
        }

        #[test]
        fn no_cpu_list_makes_the_parser_fall(text in "[0-9,-]{0,24}") {
            let _ = parse_cpu_list(&text);
        }
    }
}

//! What the host is: CPUs, and what its kernel offers to drivers in user space.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::host::{Host, entries, parse_cpu_list};

/// The host, as far as findings about several things depend on it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct HostFacts {
    /// Release of the kernel.
    pub(super) kernel: String,
    /// What the kernel was booted with.
    pub(super) kernel_command_line: String,
    /// Whether the CPU says that it is a virtual one.
    pub(super) virtual_machine: bool,
    /// As the CPU names its maker.
    pub(super) cpu_vendor: String,
    #[serde(skip)]
    pub(super) cpu_flags: Vec<String>,
    pub(super) cpus: Cpus,
    /// Groups of devices that the IOMMU keeps apart; 0 where none is in use.
    pub(super) iommu_groups: usize,
    pub(super) vfio_pci: Module,
    /// Whether vfio may be used without an IOMMU.
    pub(super) vfio_noiommu: bool,
    /// The kernel's lockdown mode; none where it has no such thing.
    pub(super) lockdown: Option<String>,
}

/// CPUs by their numbers, ascending.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cpus {
    pub(super) online: Vec<usize>,
    /// Those that this process may run on.
    pub(super) allowed: Vec<usize>,
    /// Those that the scheduler leaves alone.
    pub(super) isolated: Vec<usize>,
    pub(super) nodes: Vec<NodeCpus>,
    /// CPUs that share a core, for cores with more than one.
    pub(super) siblings: Vec<Vec<usize>>,
}

/// CPUs of a NUMA node.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NodeCpus {
    pub(super) node: u32,
    pub(super) cpus: Vec<usize>,
}

/// Where a module of the kernel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Module {
    /// In the kernel.
    Loaded,
    /// On the disk.
    Available,
    /// Not of this kernel.
    #[default]
    Missing,
}

impl HostFacts {
    /// Reads them; what is not there is empty, off or missing.
    pub(super) fn read(host: &Host) -> Self {
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let kernel = text(&host.proc.join("sys/kernel/osrelease"));
        let cpuinfo = text(&host.proc.join("cpuinfo"));
        let field = |name: &str| cpuinfo_field(&cpuinfo, name).unwrap_or_default().to_owned();
        let cpu_flags: Vec<_> = field("flags")
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        let noiommu = text(&host.sys.join("module/vfio/parameters/enable_unsafe_noiommu_mode"));
        Self {
            kernel_command_line: text(&host.proc.join("cmdline")),
            virtual_machine: cpu_flags.iter().any(|flag| flag == "hypervisor"),
            cpu_vendor: field("vendor_id"),
            cpu_flags,
            cpus: Cpus::read(host),
            iommu_groups: entries(&host.sys.join("kernel/iommu_groups")).map_or(0, |groups| groups.len()),
            vfio_pci: Module::find(host, &kernel, "vfio-pci"),
            vfio_noiommu: matches!(noiommu.as_str(), "Y" | "1"),
            lockdown: fs::read_to_string(host.sys.join("kernel/security/lockdown"))
                .ok()
                .and_then(|modes| Some(modes.split_once('[')?.1.split_once(']')?.0.to_owned())),
            kernel,
        }
    }
}

impl Cpus {
    fn read(host: &Host) -> Self {
        let cpu = host.sys.join("devices/system/cpu");
        let list = |path: &Path| parse_cpu_list(&fs::read_to_string(path).unwrap_or_default());
        let online = list(&cpu.join("online"));
        let status = fs::read_to_string(host.proc.join("self/status")).unwrap_or_default();
        let mut allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .map(parse_cpu_list)
            .unwrap_or_default();
        allowed.retain(|cpu| online.contains(cpu));
        let mut nodes: Vec<_> = entries(&host.sys.join("devices/system/node"))
            .unwrap_or_default()
            .iter()
            .filter_map(|path| {
                let node = path.file_name()?.to_str()?.strip_prefix("node")?.parse().ok()?;
                let cpus = list(&path.join("cpulist"));
                Some(NodeCpus { node, cpus })
            })
            .collect();
        nodes.sort_by_key(|node| node.node);
        let mut siblings: Vec<_> = online
            .iter()
            .map(|number| list(&cpu.join(format!("cpu{number}/topology/thread_siblings_list"))))
            .filter(|siblings| siblings.len() > 1)
            .collect();
        siblings.sort();
        siblings.dedup();
        Self {
            allowed: if allowed.is_empty() {
                online.clone()
            } else {
                allowed
            },
            online,
            isolated: list(&cpu.join("isolated")),
            nodes,
            siblings,
        }
    }

    /// CPUs of a node that are online.
    pub(super) fn of_node(&self, node: u32) -> Vec<usize> {
        let found = self.nodes.iter().find(|found| found.node == node);
        let cpus = found.map(|found| found.cpus.as_slice()).unwrap_or_default();
        cpus.iter()
            .copied()
            .filter(|cpu| self.online.contains(cpu))
            .collect()
    }

    /// The CPU for a worker: an isolated one where there is one, on the node where that has any, and not the first.
    pub(super) fn worker(&self, node: Option<u32>) -> usize {
        let near = node.map(|node| self.of_node(node)).unwrap_or_default();
        let is_near = |cpu: &&usize| near.is_empty() || near.contains(cpu);
        let isolated = self.isolated.iter().filter(|cpu| self.online.contains(cpu));
        let free = self.allowed.iter().skip(1);
        isolated
            .filter(is_near)
            .min()
            .or_else(|| free.clone().rfind(is_near))
            .or_else(|| free.clone().next_back())
            .or(self.allowed.first())
            .copied()
            .unwrap_or(0)
    }

    /// The CPU for control: not the worker's, and on another core if it can be.
    pub(super) fn control(&self, worker: usize) -> usize {
        let core = self.core_of(worker);
        let others = || self.allowed.iter().filter(|cpu| **cpu != worker);
        let apart = others().find(|cpu| !core.contains(cpu));
        apart.or_else(|| others().next()).copied().unwrap_or(worker)
    }

    /// The CPU and those that share its core.
    pub(super) fn core_of(&self, cpu: usize) -> Vec<usize> {
        let core = self.siblings.iter().find(|core| core.contains(&cpu));
        core.cloned().unwrap_or_else(|| vec![cpu])
    }
}

impl Module {
    /// Looks for a module in the kernel and in what belongs to it on the disk.
    pub(super) fn find(host: &Host, kernel: &str, name: &str) -> Self {
        let loaded = host.sys.join("module").join(name.replace('-', "_")).exists()
            || host.sys.join("bus/pci/drivers").join(name).exists();
        if loaded {
            return Self::Loaded;
        }
        let directory = host.lib.join("modules").join(kernel);
        let file = format!("/{name}.ko");
        let listed = |list: &str| {
            let text = fs::read_to_string(directory.join(list)).unwrap_or_default();
            // A line is a path, and in modules.dep those that it needs.
            text.lines()
                .filter_map(|line| line.split([':', ' ']).next())
                .any(|path| path.contains(&file))
        };
        if listed("modules.dep") || listed("modules.builtin") {
            Self::Available
        } else {
            Self::Missing
        }
    }
}

/// The first value of a line `name : value`.
fn cpuinfo_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(online: &str, isolated: &str, siblings: &[&str]) -> Cpus {
        let online = parse_cpu_list(online);
        Cpus {
            allowed: online
                .iter()
                .copied()
                .filter(|cpu| !parse_cpu_list(isolated).contains(cpu))
                .collect(),
            nodes: vec![
                NodeCpus {
                    node: 0,
                    cpus: parse_cpu_list("0-3"),
                },
                NodeCpus {
                    node: 1,
                    cpus: parse_cpu_list("4-7"),
                },
            ],
            online,
            isolated: parse_cpu_list(isolated),
            siblings: siblings.iter().map(|list| parse_cpu_list(list)).collect(),
        }
    }

    #[test]
    fn a_worker_is_near_the_nic_and_where_the_scheduler_does_not_come() {
        let pick = |cpus: &Cpus, node| (cpus.worker(node), cpus.control(cpus.worker(node)));
        assert_eq!(pick(&cpus("0-7", "", &[]), None), (7, 0));
        assert_eq!(pick(&cpus("0-7", "", &[]), Some(0)), (3, 0));
        assert_eq!(pick(&cpus("0-7", "2-3,6-7", &[]), Some(1)), (6, 0));
        assert_eq!(pick(&cpus("0-7", "2-3", &[]), Some(1)), (7, 0));
        assert_eq!(pick(&cpus("0-1", "", &["0,1"]), Some(0)), (1, 0));
        assert_eq!(pick(&cpus("0-3", "", &["0,3", "1,2"]), Some(0)), (3, 1));
        assert_eq!(pick(&cpus("0", "", &[]), Some(0)), (0, 0));
    }

    #[test]
    fn a_module_is_loaded_or_on_the_disk_or_missing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let find = || Module::find(&host, "6.1", "vfio-pci");
        assert_eq!(find(), Module::Missing);
        let directory = host.lib.join("modules/6.1");
        fs::create_dir_all(&directory).unwrap();
        let only_needed = "kernel/drivers/x/x.ko: kernel/drivers/vfio/pci/vfio-pci.ko\n";
        fs::write(directory.join("modules.dep"), only_needed).unwrap();
        assert_eq!(find(), Module::Missing);
        fs::write(
            directory.join("modules.dep"),
            "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/a.ko\n",
        )
        .unwrap();
        assert_eq!(find(), Module::Available);
        fs::create_dir_all(host.sys.join("module/vfio_pci")).unwrap();
        assert_eq!(find(), Module::Loaded);
    }
}

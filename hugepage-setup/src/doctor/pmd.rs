//! DPDK's drivers, the NICs that they are for, and the Debian packages that have them.

use std::fs;
use std::path::PathBuf;

use crate::host::{Host, entries};

/// What DPDK calls a driver in user space: poll mode driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pmd {
    /// As in `librte_net_NAME.so`.
    pub(super) name: &'static str,
    /// How it gets at the NIC.
    pub(super) access: Access,
    /// Drivers of the kernel for the same NICs, as modprobe writes them: with `_`.
    kernel_drivers: &'static [&'static str],
    /// The usual devices, by vendor and device: for a NIC whose driver in the kernel is not known.
    devices: &'static [(u16, u16)],
}

/// How a driver gets at its NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The NIC is taken from the kernel and bound to vfio-pci.
    Vfio,
    /// As [`Vfio`](Self::Vfio), and the NIC is one that a hypervisor makes up.
    VfioOfGuest,
    /// Bifurcated: the NIC stays with the kernel's driver, and DPDK works beside it.
    Bifurcated,
    /// Not by PCI: the suite uses the kernel's interface.
    KernelInterface,
}

const fn pmd(
    name: &'static str,
    access: Access,
    kernel_drivers: &'static [&'static str],
    devices: &'static [(u16, u16)],
) -> Pmd {
    Pmd {
        name,
        access,
        kernel_drivers,
        devices,
    }
}

use Access::{Bifurcated, KernelInterface, Vfio, VfioOfGuest};

const PMDS: [Pmd; 27] = [
    pmd(
        "atlantic",
        Vfio,
        &["atlantic"],
        &[(0x1d6a, 0x07b1), (0x1d6a, 0xd107)],
    ),
    pmd("axgbe", Vfio, &["amd_xgbe"], &[(0x1022, 0x1458)]),
    pmd("bnx2x", Vfio, &["bnx2x"], &[(0x14e4, 0x168e)]),
    pmd(
        "bnxt",
        Vfio,
        &["bnxt_en"],
        &[(0x14e4, 0x16d7), (0x14e4, 0x16d8), (0x14e4, 0x1750)],
    ),
    pmd("cxgbe", Vfio, &["cxgb4", "cxgb4vf"], &[(0x1425, 0x5401)]),
    // Also what virtual machines emulate.
    pmd(
        "e1000",
        Vfio,
        &["e1000", "e1000e", "igb", "igbvf"],
        &[
            (0x8086, 0x100e),
            (0x8086, 0x10d3),
            (0x8086, 0x1521),
            (0x8086, 0x1533),
        ],
    ),
    pmd(
        "ena",
        VfioOfGuest,
        &["ena"],
        &[(0x1d0f, 0xec20), (0x1d0f, 0xec21)],
    ),
    pmd("enic", Vfio, &["enic"], &[(0x1137, 0x0043)]),
    pmd("fm10k", Vfio, &["fm10k"], &[(0x8086, 0x15a4)]),
    pmd("gve", VfioOfGuest, &["gve"], &[(0x1ae0, 0x0042)]),
    pmd("hinic", Vfio, &["hinic"], &[(0x19e5, 0x1822)]),
    pmd("hns3", Vfio, &["hns3", "hclge"], &[(0x19e5, 0xa221)]),
    pmd(
        "i40e",
        Vfio,
        &["i40e"],
        &[
            (0x8086, 0x1572),
            (0x8086, 0x1583),
            (0x8086, 0x158b),
            (0x8086, 0x37d0),
        ],
    ),
    pmd("iavf", Vfio, &["iavf"], &[(0x8086, 0x154c), (0x8086, 0x1889)]),
    pmd(
        "ice",
        Vfio,
        &["ice"],
        &[(0x8086, 0x1592), (0x8086, 0x1593), (0x8086, 0x159b)],
    ),
    pmd("igc", Vfio, &["igc"], &[(0x8086, 0x15f2), (0x8086, 0x15f3)]),
    pmd("ionic", Vfio, &["ionic"], &[(0x1dd8, 0x1002)]),
    pmd(
        "ixgbe",
        Vfio,
        &["ixgbe", "ixgbevf"],
        &[
            (0x8086, 0x10fb),
            (0x8086, 0x10ed),
            (0x8086, 0x1528),
            (0x8086, 0x1563),
        ],
    ),
    pmd("mana", Bifurcated, &["mana"], &[(0x1414, 0x00ba)]),
    pmd(
        "mlx4",
        Bifurcated,
        &["mlx4_core"],
        &[(0x15b3, 0x1003), (0x15b3, 0x1007)],
    ),
    pmd(
        "mlx5",
        Bifurcated,
        &["mlx5_core"],
        &[
            (0x15b3, 0x1013),
            (0x15b3, 0x1015),
            (0x15b3, 0x1017),
            (0x15b3, 0x1019),
            (0x15b3, 0x101d),
            (0x15b3, 0x101e),
        ],
    ),
    pmd("netvsc", KernelInterface, &["hv_netvsc"], &[]),
    pmd("nfp", Vfio, &["nfp"], &[(0x19ee, 0x4000)]),
    pmd("qede", Vfio, &["qede"], &[(0x1077, 0x1656)]),
    pmd("sfc", Vfio, &["sfc"], &[(0x1924, 0x0a03)]),
    pmd(
        "virtio",
        VfioOfGuest,
        &["virtio_pci"],
        &[(0x1af4, 0x1000), (0x1af4, 0x1041)],
    ),
    pmd("vmxnet3", VfioOfGuest, &["vmxnet3"], &[(0x15ad, 0x07b0)]),
];

impl Pmd {
    /// The one for NICs that a driver of the kernel is for.
    pub(super) fn for_driver(driver: &str) -> Option<&'static Self> {
        let driver = driver.replace('-', "_");
        PMDS.iter()
            .find(|pmd| pmd.kernel_drivers.contains(&driver.as_str()))
    }

    /// The one for a PCI device: by the driver that this kernel would take, as its table of aliases has it, or by the
    /// device's number.
    pub(super) fn for_device(
        host: &Host,
        kernel: &str,
        modalias: &str,
        device: (u16, u16),
    ) -> Option<&'static Self> {
        let aliases = host.lib.join("modules").join(kernel).join("modules.alias");
        let aliases = fs::read_to_string(aliases).unwrap_or_default();
        let by_alias = aliases.lines().find_map(|line| {
            let (pattern, driver) = line.strip_prefix("alias ")?.split_once(' ')?;
            matches(pattern, modalias)
                .then(|| Self::for_driver(driver))
                .flatten()
        });
        by_alias.or_else(|| PMDS.iter().find(|pmd| pmd.devices.contains(&device)))
    }

    /// The kernel's driver to go back to, for a bifurcated one.
    pub(super) fn kernel_driver(&self) -> &'static str {
        self.kernel_drivers.first().copied().unwrap_or(self.name)
    }
}

/// Whether text is of a pattern in which `*` stands for anything, as in modules.alias.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    let mut rest = rest;
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

/// DPDK's ABI of a version as in "0.1.0 (DPDK 22.11.7)": that of a November is the next year's and is the one that
/// Debian names its packages by.
pub(super) fn abi(version: &str) -> Option<u32> {
    let (_, dpdk) = version.split_once("DPDK ")?;
    let mut numbers = dpdk.split(|c: char| !c.is_ascii_digit());
    let (year, month): (u32, u32) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(if month >= 11 { year + 1 } else { year })
}

/// The drivers that are on the disk.
#[derive(Debug)]
pub(super) struct Installed {
    abi: Option<u32>,
    names: Vec<String>,
}

impl Installed {
    /// Looks into the directories that EAL loads drivers of this ABI from.
    pub(super) fn look(host: &Host, abi: Option<u32>) -> Self {
        let wanted = abi.map_or_else(|| "pmds-".to_owned(), |abi| format!("pmds-{abi}."));
        let listed = |directory: PathBuf| entries(&directory).unwrap_or_default();
        let names = ["lib", "local/lib"]
            .iter()
            .flat_map(|place| listed(host.usr.join(place)))
            .flat_map(|architecture| listed(architecture.join("dpdk")))
            .filter(|directory| name_of(directory).is_some_and(|name| name.starts_with(&wanted)))
            .flat_map(listed)
            .filter_map(|file| {
                let name = name_of(&file)?.strip_prefix("librte_net_")?.split_once(".so")?.0;
                Some(name.to_owned())
            })
            .collect();
        Self { abi, names }
    }

    /// Whether the driver of this name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|installed| installed == name)
    }

    /// The Debian package of a driver.
    pub(super) fn package(&self, name: &str) -> String {
        let dashed = name.replace('_', "-");
        // A number after a number would be another one.
        let between = if dashed.ends_with(|c: char| c.is_ascii_digit()) {
            "-"
        } else {
            ""
        };
        let abi = self.abi.map_or_else(|| "*".to_owned(), |abi| abi.to_string());
        format!("librte-net-{dashed}{between}{abi}")
    }
}

fn name_of(path: &std::path::Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
mod tests;

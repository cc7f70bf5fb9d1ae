//! By which way DPDK is to have a NIC.

use serde::Serialize;

use super::host_facts::HostFacts;
use super::network::Network;
use super::nic::{Interface, Nic, Pci};
use super::pmd::{Access, Installed, Pmd};
use crate::host::Host;

/// Drivers of the kernel that hand a PCI device to user space by vfio, for which there has to be an IOMMU, and without.
const VFIO: &str = "vfio-pci";
const UIO: [&str; 2] = ["igb_uio", "uio_pci_generic"];

/// The way to a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// DPDK's driver has the PCI device, which is bound to vfio-pci or one of its like.
    Vfio,
    /// DPDK's driver works beside the kernel's, which keeps the PCI device.
    Bifurcated,
    /// Packets go through the kernel's interface.
    Kernel,
    /// There is none.
    Unusable,
}

/// A NIC with the way that is proposed for it.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    pub(super) nic: &'a Nic,
    pub(super) way: Way,
    /// DPDK's driver for the device itself.
    pub(super) pmd: Option<&'static Pmd>,
    /// What the host does over it.
    pub(super) need: Option<String>,
    /// Whether its way is the kernel only because vfio-pci has no IOMMU here.
    pub(super) lacks_iommu: bool,
}

impl<'a> Proposal<'a> {
    pub(super) fn new(host: &Host, nic: &'a Nic, facts: &HostFacts, network: &Network) -> Self {
        let interface = nic.interface.as_ref();
        let need = interface.and_then(|interface| network.need_of(host, &interface.name));
        let pmd = pmd(host, nic, facts);
        let has_interface = interface.is_some_and(|interface| interface.ethernet);
        let has_iommu = nic.pci.as_ref().is_some_and(|pci| pci.iommu_group.is_some());
        let mut lacks_iommu = false;
        let through_kernel = if has_interface { Way::Kernel } else { Way::Unusable };
        let way = match (pmd.map(|pmd| pmd.access), &nic.pci) {
            // What the host does over it cannot be seen from here.
            _ if elsewhere(nic) => Way::Unusable,
            (Some(Access::Bifurcated), Some(_)) => Way::Bifurcated,
            (Some(Access::Vfio | Access::VfioOfGuest), Some(_)) => {
                let guest = facts.virtual_machine || pmd.is_some_and(|pmd| pmd.access == Access::VfioOfGuest);
                // A host of its own can switch its IOMMU on; a guest has the one that it was given.
                lacks_iommu = guest && !has_iommu && !facts.vfio_noiommu;
                if bound(nic) || (need.is_none() && !lacks_iommu) {
                    Way::Vfio
                } else {
                    through_kernel
                }
            }
            _ => through_kernel,
        };
        Self {
            nic,
            way,
            pmd,
            need,
            lacks_iommu: lacks_iommu && way == Way::Kernel,
        }
    }

    /// Whether the kernel must have what vfio-pci needs for it.
    pub(super) fn wants_vfio(&self) -> bool {
        self.way == Way::Vfio && !has_driver(self.nic, &UIO)
    }

    /// The interface, for the way through it.
    pub(super) fn kernel_interface(&self) -> Option<&'a Interface> {
        self.nic.interface.as_ref().filter(|_| self.way == Way::Kernel)
    }

    /// DPDK's driver for the way, and the package that is needed for it.
    pub(super) fn driver(&self) -> Option<&'static str> {
        match self.way {
            Way::Vfio | Way::Bifurcated => self.pmd.map(|pmd| pmd.name),
            Way::Kernel => Some("af_packet"),
            Way::Unusable => None,
        }
    }

    /// The device as `[[interface]]` names it.
    pub(super) fn device(&self) -> Option<String> {
        match self.way {
            Way::Vfio | Way::Bifurcated => self.nic.pci.as_ref().map(|pci| pci.address.clone()),
            Way::Kernel => self
                .kernel_interface()
                .map(|interface| format!("net_af_packet0,iface={}", interface.name)),
            Way::Unusable => None,
        }
    }
}

/// Whether the device has been handed to user space.
pub(super) fn bound(nic: &Nic) -> bool {
    has_driver(nic, &[VFIO]) || has_driver(nic, &UIO)
}

fn has_driver(nic: &Nic, drivers: &[&str]) -> bool {
    nic.driver
        .as_deref()
        .is_some_and(|driver| drivers.contains(&driver))
}

/// Whether a driver of the kernel has the device, and its interface is in another network namespace.
pub(super) fn elsewhere(nic: &Nic) -> bool {
    nic.interface.is_none() && nic.driver.is_some() && !bound(nic)
}

fn pmd(host: &Host, nic: &Nic, facts: &HostFacts) -> Option<&'static Pmd> {
    let by_driver = nic.driver.as_deref().and_then(Pmd::for_driver);
    by_driver.or_else(|| {
        let pci = nic.pci.as_ref()?;
        Pmd::for_device(host, &facts.kernel, &pci.modalias, (pci.vendor, pci.device))
    })
}

/// A NIC as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct NicReport {
    interface: Option<String>,
    pci: Option<Pci>,
    driver: Option<String>,
    numa_node: Option<u32>,
    mtu: Option<u32>,
    way: Way,
    /// The device as `[[interface]]` names it.
    device: Option<String>,
    pmd: Option<&'static str>,
    package: Option<String>,
    installed: bool,
    /// What the host does over it.
    host_needs_it: Option<String>,
}

impl NicReport {
    pub(super) fn new(proposal: &Proposal<'_>, installed: &Installed) -> Self {
        let nic = proposal.nic;
        let driver = proposal.driver();
        Self {
            interface: nic.interface.as_ref().map(|interface| interface.name.clone()),
            pci: nic.pci.clone(),
            driver: nic.driver.clone(),
            numa_node: nic.numa_node,
            mtu: nic.interface.as_ref().map(|interface| interface.mtu),
            way: proposal.way,
            device: proposal.device(),
            pmd: driver,
            package: driver.map(|name| installed.package(name)),
            installed: driver.is_some_and(|name| installed.has(name)),
            host_needs_it: proposal.need.clone(),
        }
    }
}

//! The NICs of the host: network devices of the PCI buses, and interfaces of the kernel in this network namespace.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::host::{Host, entries};

/// ARPHRD_ETHER of `linux/if_arp.h`.
const ETHERNET: u32 = 1;
/// IFF_UP of `linux/if.h`.
const UP: u32 = 1;
/// The base class of network controllers, in the PCI Code and ID Assignment Specification.
const NETWORK_CLASS: u32 = 0x02;

/// A NIC: a PCI device, an interface of the kernel, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nic {
    /// The kernel's interface, if it has one in this network namespace.
    pub(super) interface: Option<Interface>,
    /// The PCI device, if it is one.
    pub(super) pci: Option<Pci>,
    /// The driver that has the device; none for an interface that is software alone.
    pub(super) driver: Option<String>,
    /// The node that the device is attached to, where there is more to say than "some".
    pub(super) numa_node: Option<u32>,
}

/// An interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// Bytes of an IP packet.
    pub(super) mtu: u32,
    /// Whether it is administratively up.
    pub(super) up: bool,
    /// Whether its frames are Ethernet's.
    pub(super) ethernet: bool,
}

/// A PCI device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pci {
    /// Domain, bus, device and function, as in `0000:01:00.0`.
    pub(super) address: String,
    /// The vendor's number.
    pub(super) vendor: u16,
    /// The vendor's number of the device.
    pub(super) device: u16,
    /// What modprobe finds its driver by.
    #[serde(skip)]
    pub(super) modalias: String,
    /// The IOMMU group, where an IOMMU is in use.
    pub(super) iommu_group: Option<u32>,
}

impl Nic {
    /// The name of the interface or, without one, the PCI address.
    pub(super) fn title(&self) -> &str {
        let interface = self.interface.as_ref().map(|interface| interface.name.as_str());
        let pci = self.pci.as_ref().map(|pci| pci.address.as_str());
        interface.or(pci).unwrap_or("?")
    }
}

/// All of them: first those with a PCI device, by address, then the others by name.
pub(super) fn all(host: &Host) -> Result<Vec<Nic>, Error> {
    let mut nics = Vec::new();
    for path in entries(&host.sys.join("class/net"))? {
        let name = path.file_name().and_then(|name| name.to_str());
        // /sys/class/net has files as well, such as bonding_masters.
        if let Some(name) = name.filter(|name| *name != "lo" && path.join("mtu").exists()) {
            nics.push(interface(&path, name));
        }
    }
    for path in entries(&host.sys.join("bus/pci/devices"))? {
        let known = |pci: &Pci| nics.iter().any(|nic| nic.pci.as_ref() == Some(pci));
        let is_network = hexadecimal(&path.join("class")).is_some_and(|class| class >> 16 == NETWORK_CLASS);
        if let Some(pci) = pci(&path).filter(|pci| is_network && !known(pci)) {
            nics.push(Nic {
                interface: None,
                pci: Some(pci),
                driver: link_name(&path.join("driver")),
                numa_node: number(&path.join("numa_node")),
            });
        }
    }
    nics.sort_by(|a, b| {
        let key = |nic: &Nic| {
            let address = nic.pci.as_ref().map(|pci| pci.address.clone());
            (address.is_none(), address, nic.title().to_owned())
        };
        key(a).cmp(&key(b))
    });
    Ok(nics)
}

/// The one of this name: an interface, or a PCI address with or without its domain.
pub(super) fn find<'a>(all: &'a [Nic], name: &str) -> Result<&'a Nic, Error> {
    let lower = name.to_ascii_lowercase();
    let address = if lower.matches(':').count() == 1 {
        format!("0000:{lower}")
    } else {
        lower
    };
    let interface = |nic: &&Nic| nic.interface.as_ref().is_some_and(|found| found.name == name);
    let pci = |nic: &&Nic| nic.pci.as_ref().is_some_and(|pci| pci.address == address);
    let found = all.iter().find(interface).or_else(|| all.iter().find(pci));
    found.ok_or_else(|| {
        let title = |nic: &Nic| match (&nic.interface, &nic.pci) {
            (Some(interface), Some(pci)) => format!("{} ({})", interface.name, pci.address),
            _ => nic.title().to_owned(),
        };
        Error::NoNic {
            name: name.to_owned(),
            known: all.iter().map(title).collect(),
        }
    })
}

fn interface(path: &Path, name: &str) -> Nic {
    let interface = Interface {
        name: name.to_owned(),
        mtu: number(&path.join("mtu")).unwrap_or(0),
        up: hexadecimal(&path.join("flags")).is_some_and(|flags| flags & UP != 0),
        ethernet: number(&path.join("type")) == Some(ETHERNET),
    };
    // Between the interface and the PCI device there may be others, such as virtio's.
    let device = path.join("device").canonicalize().ok();
    let on_pci = device.iter().flat_map(|device| device.ancestors());
    let pci = on_pci
        .filter(|path| path.join("vendor").exists() && path.join("class").exists())
        .find_map(|path| Some((path.to_path_buf(), pci(path)?)));
    let driven = pci.as_ref().map(|(path, _)| path.clone()).or(device);
    Nic {
        interface: Some(interface),
        driver: driven.as_ref().and_then(|path| link_name(&path.join("driver"))),
        numa_node: driven.as_ref().and_then(|path| number(&path.join("numa_node"))),
        pci: pci.map(|(_, pci)| pci),
    }
}

fn pci(path: &Path) -> Option<Pci> {
    let address = path.file_name()?.to_str()?;
    let is_address = address.len() >= "0000:00:00.0".len() && address.matches(':').count() == 2;
    if !is_address {
        return None;
    }
    Some(Pci {
        address: address.to_owned(),
        vendor: u16::try_from(hexadecimal(&path.join("vendor"))?).ok()?,
        device: u16::try_from(hexadecimal(&path.join("device"))?).ok()?,
        modalias: fs::read_to_string(path.join("modalias"))
            .unwrap_or_default()
            .trim()
            .to_owned(),
        iommu_group: link_name(&path.join("iommu_group")).and_then(|group| group.parse().ok()),
    })
}

/// The last part of what a link leads to.
fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// A number that is not negative: sysfs has -1 where there is none.
fn number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn hexadecimal(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

//! Why a port does not run, in the words of the configuration: which interface, and which key would help.

use std::fs;
use std::path::Path;

use dpdk::PortError;

use crate::config::{Device, Interface, PciAddress};

/// Why the ports do not run.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// A device that DPDK cannot make, find or start.
    #[error("interface '{interface}', device '{device}': {source}")]
    Port {
        /// Name of the interface.
        interface: String,
        /// Its devargs.
        device: String,
        /// What DPDK said.
        source: PortError,
    },
    /// A PCI device that DPDK cannot open while the kernel drives it.
    #[error(
        "interface '{interface}', device '{address}': {source}; the kernel's {driver} has the device: \
         'tollgate-hugepage-setup doctor {address}' says how DPDK gets it"
    )]
    KernelHasIt {
        /// Name of the interface.
        interface: String,
        /// Where the device is.
        address: PciAddress,
        /// The kernel's driver.
        driver: Box<str>,
        /// What DPDK said.
        source: PortError,
    },
    /// A device that takes no frames longer than a packet buffer, with an MTU that asks for some.
    #[error(
        "interface '{interface}', device '{device}': {source}; set its mtu to {most} or less, or packet_buffer_bytes in [limits] to \
         {bytes} or more; virtio has several buffers for a frame when its host says mrg_rxbuf=on"
    )]
    OneBuffer {
        /// Name of the interface.
        interface: String,
        /// Its devargs.
        device: String,
        /// The largest MTU for these buffers.
        most: u16,
        /// How long buffers must be for the MTU of the interface.
        bytes: u32,
        /// What DPDK said.
        source: PortError,
    },
    /// The kernel's interface does not take the MTU.
    #[error(
        "interface '{interface}': the kernel refuses its MTU of {mtu}: {source}; lower mtu, or raise what the link takes"
    )]
    Mtu {
        /// Name of the interface.
        interface: String,
        /// As configured.
        mtu: u16,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A ring between two threads.
    #[error("cannot make the ring '{name}': {source}; raise [eal] memory_mb")]
    Ring {
        /// Name of the ring.
        name: String,
        /// What DPDK said.
        source: dpdk::ring::RingError,
    },
}

/// Why a device is not open, with the kernel's driver if that is in the way: drivers of DPDK do not say so.
pub(super) fn not_opened(interface: &Interface, device: &Device, source: PortError) -> PortsError {
    let kernel = device.pci().and_then(|address| {
        let driver = kernel_driver(&Path::new("/sys/bus/pci/devices").join(address.to_string()))?;
        Some((address, driver))
    });
    let interface = interface.name.clone();
    match kernel {
        Some((address, driver)) => PortsError::KernelHasIt {
            interface,
            address,
            driver,
            source,
        },
        None => PortsError::Port {
            interface,
            device: device.devargs().to_owned(),
            source,
        },
    }
}

/// Why a device does not run, with the keys of the configuration that would let it.
pub(super) fn not_started(interface: &Interface, source: PortError) -> PortsError {
    let (interface, device) = (interface.name.clone(), interface.device.devargs().to_owned());
    match source {
        PortError::OneBuffer { most, bytes, .. } => PortsError::OneBuffer {
            interface,
            device,
            most,
            bytes,
            source,
        },
        _ => PortsError::Port {
            interface,
            device,
            source,
        },
    }
}

/// The kernel's driver of a device in sysfs, unless it is one that hands devices on: vfio-pci, uio_pci_generic and their like.
fn kernel_driver(device: &Path) -> Option<Box<str>> {
    let driver = fs::read_link(device.join("driver")).ok()?;
    let name = driver.file_name()?.to_str()?;
    (!name.contains("vfio") && !name.contains("uio")).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_device_that_the_kernel_drives_is_told_from_one_that_it_hands_on() {
        let device = tempfile::tempdir().unwrap();
        assert_eq!(kernel_driver(device.path()), None);
        for (driver, found) in [
            ("virtio-pci", Some("virtio-pci")),
            ("e1000", Some("e1000")),
            ("vfio-pci", None),
            ("uio_pci_generic", None),
        ] {
            let link = device.path().join("driver");
            std::os::unix::fs::symlink(format!("../../../bus/pci/drivers/{driver}"), &link).unwrap();
            assert_eq!(kernel_driver(device.path()).as_deref(), found, "{driver}");
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn an_mtu_that_needs_several_buffers_of_a_device_that_takes_one_names_both_keys() {
        let text = "[instance]\nname = \"blue\"\n[[interface]]\nname = \"wan\"\ndevice = \"0000:00:05.0\"\n";
        let machine = crate::config::machine::Machine {
            online: vec![0, 1],
            allowed: vec![0, 1],
            nodes: Vec::new(),
        };
        let config = Config::parse(text, Path::new("blue.toml"), &Default::default(), &machine).unwrap();
        let source = PortError::OneBuffer {
            port: "0000:00:05.0".into(),
            mtu: 9000,
            most: 2014,
            bytes: 9034,
            log: Default::default(),
        };
        let sentence = not_started(&config.interfaces[0], source).to_string();
        for part in [
            "interface 'wan'",
            "0000:00:05.0",
            "mtu to 2014 or less",
            "packet_buffer_bytes in [limits] to 9034 or more",
            "mrg_rxbuf=on",
        ] {
            assert!(sentence.contains(part), "no '{part}' in: {sentence}");
        }
    }
}

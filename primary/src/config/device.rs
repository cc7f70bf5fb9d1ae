//! A device as the configuration names it: DPDK devargs, or a PCI address with the driver's options behind commas.

use std::fmt;
use std::str::FromStr;

/// DPDK devargs with what the suite must know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    devargs: String,
    pci: Option<PciAddress>,
    kernel_interface: Option<String>,
}

impl Device {
    /// The most bytes of devargs; readers of the table region see all of them.
    pub const MAX_LEN: usize = 127;

    /// What DPDK is asked to probe.
    pub fn devargs(&self) -> &str {
        &self.devargs
    }

    /// The PCI address, when it is a PCI device.
    pub fn pci(&self) -> Option<PciAddress> {
        self.pci
    }

    /// Whether it is made of other devices.
    pub fn is_bond(&self) -> bool {
        virtual_device(&self.devargs).is_some_and(|device| is_driver(device, "bonding"))
    }

    /// The interface of the kernel that the device sends and receives through.
    pub fn kernel_interface(&self) -> Option<&str> {
        self.kernel_interface.as_deref()
    }

    /// Driver and number without options: `net_af_packet0`. DPDK knows one device by it.
    pub fn name(&self) -> &str {
        head(&self.devargs)
    }

    /// What DPDK is asked to probe, with rings of `descriptors` frames for packets of `mtu` bytes where the driver learns that
    /// by its devargs only: net_af_packet does, and would have 512 of 2 KB. Devargs that lay out the ring themselves stay as
    /// they are.
    pub fn devargs_with(&self, descriptors: u16, mtu: u16) -> String {
        let ring = ["framecnt", "framesz", "blocksz"];
        let laid_out = ring.iter().any(|key| self.option(key).is_some());
        if laid_out || !self.is_af_packet() {
            return self.devargs.clone();
        }
        let frame = af_packet_frame(mtu);
        if frame <= AF_PACKET_FRAME {
            // The kernel has blocks of a page, two frames each, and takes no part of one.
            return format!("{},framecnt={}", self.devargs, descriptors.next_multiple_of(2));
        }
        // A frame to a block: the driver takes frames to follow each other without a gap.
        format!(
            "{},framecnt={descriptors},framesz={frame},blocksz={frame}",
            self.devargs
        )
    }

    /// Whether the driver is net_af_packet, which takes a frame into one buffer, however long it is.
    pub fn is_af_packet(&self) -> bool {
        virtual_device(&self.devargs).is_some_and(|device| is_driver(device, "af_packet"))
    }

    /// Bytes of a buffer for frames of an interface with this MTU that must lie in one; `None` for drivers that use as many as
    /// it takes.
    pub fn buffer_for(&self, mtu: u16) -> Option<usize> {
        let asked = self.option("framesz").and_then(|size| size.parse().ok());
        let frame = asked.unwrap_or(af_packet_frame(mtu));
        self.is_af_packet().then_some(frame)
    }

    /// The value of an option: of `net_memif0,id=1` the option `id` is `1`.
    pub fn option(&self, key: &str) -> Option<&str> {
        option(&self.devargs, key)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.devargs)
    }
}

/// Text that names no device.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDevice {
    /// Neither devargs nor a PCI address.
    #[error(
        "'{0}' is not a DPDK device: write driver and number with options, as in net_af_packet0,iface={0}, or a PCI \
         address, as in 0000:01:00.0"
    )]
    NoDevice(String),
    /// Longer than [`Device::MAX_LEN`].
    #[error("the device has {0} bytes: shorten it to {max}", max = Device::MAX_LEN)]
    TooLong(usize),
    /// A space or another character that devargs cannot have.
    #[error("the device '{0}' has a space or an unprintable character in it: remove it")]
    Character(String),
    /// A driver that works on a kernel interface is not told which.
    #[error("the device '{device}' does not say which interface of the kernel to open: add ,{option}=NAME")]
    NoInterface {
        /// As written.
        device: String,
        /// The option that names it.
        option: &'static str,
    },
}

/// Drivers that open an interface of the kernel, and the options that name it, the usual one first.
const KERNEL_DRIVERS: [(&str, &[&str], bool); 4] = [
    ("af_packet", &["iface"], true),
    ("af_xdp", &["iface"], true),
    ("pcap", &["iface", "rx_iface", "tx_iface"], false),
    ("tap", &["remote"], false),
];

impl FromStr for Device {
    type Err = BadDevice;

    fn from_str(text: &str) -> Result<Self, BadDevice> {
        if text.len() > Self::MAX_LEN {
            return Err(BadDevice::TooLong(text.len()));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(BadDevice::Character(text.to_owned()));
        }
        let head = head(text);
        let on_pci_bus = head == "bus=pci";
        let address = if on_pci_bus {
            option(text, "addr")
        } else {
            Some(head.trim_start_matches("pci:"))
        };
        let pci = address.and_then(|address| address.parse().ok());
        let driver = virtual_device(text);
        let known = pci.is_some() || driver.is_some() || head.contains([':', '=']);
        if !known || head.is_empty() {
            return Err(BadDevice::NoDevice(text.to_owned()));
        }
        let mut kernel_interface = None;
        if let Some((_, options, required)) =
            driver.and_then(|driver| KERNEL_DRIVERS.iter().find(|(name, ..)| is_driver(driver, name)))
        {
            let value = options
                .iter()
                .find_map(|key| option(text, key))
                .filter(|value| !value.is_empty());
            if let (None, true) = (value, *required) {
                return Err(BadDevice::NoInterface {
                    device: text.to_owned(),
                    option: "iface",
                });
            }
            kernel_interface = value.map(str::to_owned);
        }
        Ok(Self {
            devargs: text.to_owned(),
            pci,
            kernel_interface,
        })
    }
}

/// Bytes of a frame in the ring of net_af_packet that has none laid out for it.
const AF_PACKET_FRAME: usize = 2048;

/// Bytes of a frame in such a ring for packets of `mtu` bytes: what the kernel puts in front (packet(7), TPACKET_V2), Ethernet
/// with two tags, the packet; in whole pages where half of one is too short.
fn af_packet_frame(mtu: u16) -> usize {
    const IN_FRONT: usize = 96;
    const LINK: usize = 14 + 2 * 4;
    const PAGE: usize = 4096;
    let frame = IN_FRONT + LINK + usize::from(mtu);
    if frame <= AF_PACKET_FRAME {
        AF_PACKET_FRAME
    } else {
        frame.next_multiple_of(PAGE)
    }
}

/// Driver and number of a virtual device: `af_packet0` of `vdev:net_af_packet0,iface=wan0`.
fn virtual_device(devargs: &str) -> Option<&str> {
    let name = head(devargs).trim_start_matches("vdev:");
    ["net_", "eth_"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
}

/// Whether a device name is that of the driver: `pcap0` and `pcap_wan` are, `pcapng0` is not.
fn is_driver(device: &str, driver: &str) -> bool {
    device
        .strip_prefix(driver)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn head(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or(devargs)
}

fn option<'a>(devargs: &'a str, key: &str) -> Option<&'a str> {
    devargs
        .split(',')
        .skip(1)
        .find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
}

/// The place of a device on the PCI buses: domain, bus, device and function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// Text that is no PCI address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a PCI address: write domain:bus:device.function in hexadecimal, as in 0000:01:00.0")]
pub struct BadPciAddress(String);

impl FromStr for PciAddress {
    type Err = BadPciAddress;

    fn from_str(text: &str) -> Result<Self, BadPciAddress> {
        let parse = || {
            let (place, function) = text.split_once('.')?;
            let mut parts = place.rsplit(':');
            let device = hexadecimal(parts.next()?, 2)?;
            let bus = hexadecimal(parts.next()?, 2)?;
            let domain = parts.next().map_or(Some(0), |domain| hexadecimal(domain, 8))?;
            let function = hexadecimal(function, 1)?;
            let whole = parts.next().is_none() && device < 32 && function < 8;
            whole.then_some(Self {
                domain,
                bus: bus as u8,
                device: device as u8,
                function: function as u8,
            })
        };
        parse().ok_or_else(|| BadPciAddress(text.to_owned()))
    }
}

/// A number of at most `digits` hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let good = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        f.pad(&format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_device_over_a_kernel_interface_names_it() {
        for (text, interface) in [
            ("net_af_packet0,iface=wan0,qpairs=2", Some("wan0")),
            ("eth_af_packet0,iface=wan0", Some("wan0")),
            ("net_af_xdp1,start_queue=0,iface=wan0", Some("wan0")),
            ("net_tap0,iface=dtap0,remote=eth1", Some("eth1")),
            ("net_tap0,iface=dtap0", None),
            ("net_pcap0,rx_iface=eth1,tx_pcap=out.pcap", Some("eth1")),
            ("net_null0", None),
            ("net_memif0,id=1,role=server", None),
            ("0000:81:00.0,representor=[0]", None),
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!(device.kernel_interface(), interface, "{text}");
            assert_eq!(device.devargs(), text);
        }
    }

    #[test]
    fn a_packet_socket_has_as_many_frames_as_the_interface_has_descriptors() {
        for (text, probed) in [
            ("net_af_packet0,iface=w", "net_af_packet0,iface=w,framecnt=1024"),
            (
                "vdev:eth_af_packet0,iface=w",
                "vdev:eth_af_packet0,iface=w,framecnt=1024",
            ),
            (
                "net_af_packet0,iface=w,framecnt=64",
                "net_af_packet0,iface=w,framecnt=64",
            ),
            (
                "net_af_packet0,iface=w,framesz=4096",
                "net_af_packet0,iface=w,framesz=4096",
            ),
            ("net_af_xdp0,iface=w", "net_af_xdp0,iface=w"),
            ("0000:01:00.0", "0000:01:00.0"),
        ] {
            assert_eq!(
                text.parse::<Device>().unwrap().devargs_with(1023, 1500),
                probed,
                "{text}"
            );
        }
    }

    #[test]
    fn a_packet_socket_for_long_packets_has_frames_that_hold_them() {
        let device: Device = "net_af_packet0,iface=w".parse().unwrap();
        assert_eq!(
            device.devargs_with(1023, 9000),
            "net_af_packet0,iface=w,framecnt=1023,framesz=12288,blocksz=12288"
        );
        assert_eq!(device.buffer_for(9000), Some(12288));
        let other: Device = "0000:01:00.0".parse().unwrap();
        assert_eq!(other.buffer_for(9000), None);
    }

    #[test]
    fn pci_addresses_are_found_however_they_are_written() {
        for text in [
            "0000:01:00.1",
            "01:00.1",
            "pci:0000:01:00.1",
            "1:0.1,rxq_cqe_comp_en=0",
            "bus=pci,addr=01:00.1",
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!(device.pci().unwrap().to_string(), "0000:01:00.1", "{text}");
        }
        for text in ["0000:01:20.0", "01:00.8", "0:0:0:0.0", "01:00", "zz:00.0"] {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_kernel_interface_alone_is_answered_with_the_device_it_could_be() {
        let message = "eth0".parse::<Device>().unwrap_err().to_string();
        assert!(message.contains("net_af_packet0,iface=eth0"), "{message}");
    }

    #[test]
    fn a_device_without_the_interface_that_it_needs_is_refused() {
        let message = "net_af_packet0".parse::<Device>().unwrap_err().to_string();
        assert!(
            message.contains("net_af_packet0") && message.contains("iface=NAME"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_device_or_refused(text in ".{0,140}") {
            if let Ok(device) = text.parse::<Device>() {
                prop_assert_eq!(device.devargs(), text);
            }
        }

        #[test]
        fn a_pci_address_comes_back_from_its_text(domain: u32, bus: u8, device in 0..32u8, function in 0..8u8) {
            let address = PciAddress { domain, bus, device, function };
            prop_assert_eq!(address.to_string().parse::<PciAddress>().unwrap(), address);
        }
    }
}

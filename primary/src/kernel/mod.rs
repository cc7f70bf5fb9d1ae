//! The kernel beside the gateway: an interface of the kernel for each interface with `tap = true`, to which goes what the
//! gateway does not handle, and from which the kernel sends.
//!
//! ```text
//!   worker ─ policer ─ ring ──────────► thread of the taps ─ write ─► tap ─► kernel: sshd, BIRD ...
//!   control thread ─ ARP replies, neighbour advertisements ─ write ─► tap
//!   port ◄─ worker that sends for it ◄─ ring ─ thread of the taps ◄─ read ─ tap ◄─ kernel
//! ```
//!
//! A tap has the MAC address, the MTU and the addresses of its interface, is up while that is, and has a carrier while that has a
//! link. That of a sub-interface knows of no tags: they are taken off for the kernel, and put on what it sends. Both are seen as one host: the gateway answers ARP, neighbour solicitations and echo requests, the kernel gets
//! none of them; what answers its own questions it gets as a copy, so that it finds its neighbours itself. The tap is not
//! persistent: it goes when the primary does, however it ends.

mod device;
mod netlink;
mod sysctl;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use dpdk::Eal;
use dpdk::ring::{self, MbufProducer};
use ipnet::IpNet;
use packet::MacAddress;
use tun_rs::SyncDevice;

use self::device::Tap;
use self::netlink::Netlink;
use self::sysctl::Silenced;
pub use self::thread::{TapEnd, TapThread};
use crate::config::Config;
use crate::path::take_tags;
use crate::ports::PortsError;

/// Packets for the kernel that a ring holds: from each worker there is one to each tap. A burst of the policer, as it is if
/// nothing else is said.
pub const TO_KERNEL: u32 = 1024;

/// Why there is no tap. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The name is taken.
    #[error(
        "interface '{interface}' cannot have the tap '{tap}': there is an interface of that name in this network namespace \
         already; set tap_name in its [[interface]] to another, or rename that interface"
    )]
    Exists {
        /// The gateway's interface.
        interface: String,
        /// Name of the tap.
        tap: String,
    },
    /// The kernel refuses.
    #[error(
        "interface '{interface}': cannot {step} the tap '{tap}': {source}; it takes /dev/net/tun ('modprobe tun') and \
         CAP_NET_ADMIN"
    )]
    Refused {
        /// The gateway's interface.
        interface: String,
        /// Name of the tap.
        tap: String,
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel would answer by the device beneath.
    #[error(
        "interface '{interface}' has a tap, so the kernel must not answer on its device '{device}' itself, and {file} cannot be \
         written: {source}; make /proc/sys writable, or set tap = false"
    )]
    Silence {
        /// The gateway's interface.
        interface: String,
        /// The kernel interface of its device.
        device: String,
        /// What cannot be written.
        file: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The interface that a tap is made for.
struct Like<'a> {
    interface: &'a str,
    mtu: u16,
    mac: MacAddress,
}

/// What a tap is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapState {
    /// Whether an operator has the interface up.
    pub admin_up: bool,
    /// Whether its link carries packets.
    pub link_up: bool,
    /// The addresses in use.
    pub addresses: BTreeSet<IpNet>,
}

/// All taps of an instance, from the control thread's side.
#[derive(Default)]
pub struct Kernel {
    /// By interface index.
    taps: Vec<Option<Tap>>,
    netlink: Option<Netlink>,
    /// By the kernel interface of a device.
    silenced: BTreeMap<String, Silenced>,
}

impl Kernel {
    /// Makes the taps of the interfaces that have one; `macs` are those of the ports. They are down.
    pub fn make(config: &Config, macs: &[MacAddress]) -> Result<Self, KernelError> {
        let mut kernel = Self::default();
        let device_of = |port: usize| config.interfaces.get(port)?.device.kernel_interface();
        let ports = config.interfaces.iter().enumerate();
        let ports = ports.map(|(port, of)| (&of.name, of.mtu, &of.tap, Some(port)));
        let subs = config.sub_interfaces.iter();
        let subs = subs.map(|of| (&of.name, of.mtu, &of.tap, config.port_of(of)));
        for (interface, mtu, tap, port) in ports.chain(subs) {
            let mac = port.and_then(|port| macs.get(port).copied());
            let made = tap.as_deref().zip(mac).map(|(name, mac)| {
                let like = Like { interface, mtu, mac };
                kernel.make_one(&like, name, port.and_then(device_of))
            });
            kernel.taps.push(made.transpose()?);
        }
        Ok(kernel)
    }

    fn make_one(&mut self, like: &Like<'_>, tap: &str, device: Option<&str>) -> Result<Tap, KernelError> {
        let interface = || like.interface.to_owned();
        if self.netlink.is_none() {
            let netlink = Netlink::open().map_err(|source| KernelError::Refused {
                interface: interface(),
                tap: tap.to_owned(),
                step: "open a netlink socket for",
                source,
            })?;
            self.netlink = Some(netlink);
        }
        if let Some(device) = device.filter(|device| !self.silenced.contains_key(*device)) {
            let silenced = Silenced::new(device).map_err(|(file, source)| KernelError::Silence {
                interface: interface(),
                device: device.to_owned(),
                file,
                source,
            })?;
            self.silenced.insert(device.to_owned(), silenced);
        }
        Tap::make(like, tap)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taps.iter().all(Option::is_none)
    }

    /// The tap of an interface, to read and to write.
    pub fn device(&self, interface: u16) -> Option<Arc<SyncDevice>> {
        Some(self.tap(interface)?.device.clone())
    }

    /// Gives the kernel a copy of a frame that came in by an interface, without tags; whether it got one.
    pub fn copy(&self, interface: u16, frame: &[u8]) -> bool {
        self.tap(interface).is_some_and(|tap| {
            let mut frame = frame.to_vec();
            let begin = take_tags(&mut frame);
            tap.device.send(frame.get(begin..).unwrap_or_default()).is_ok()
        })
    }

    /// Interfaces that have a tap.
    pub fn interfaces(&self) -> Vec<u16> {
        let all = (0..).zip(&self.taps);
        all.filter_map(|(interface, tap)| tap.as_ref().map(|_| interface))
            .collect()
    }

    /// Brings the tap of an interface to a state. What the kernel refuses is logged, and tried again the next time.
    pub fn sync(&mut self, interface: u16, wanted: &TapState) {
        if let Some(Some(tap)) = self.taps.get_mut(usize::from(interface))
            && let Some(netlink) = &mut self.netlink
        {
            tap.sync(netlink, wanted);
        }
    }

    fn tap(&self, interface: u16) -> Option<&Tap> {
        self.taps.get(usize::from(interface))?.as_ref()
    }
}

/// The rings between workers and the thread of the taps.
pub struct Rings {
    /// By worker, by interface index: where it puts packets for the kernel.
    pub of_workers: Vec<Vec<Option<MbufProducer>>>,
    /// For the thread.
    pub taps: Vec<TapEnd>,
}

/// Makes the rings; `to_ports` are those to the workers that send, by interface index.
pub fn rings(
    eal: &Eal,
    kernel: &Kernel,
    workers: usize,
    to_ports: Vec<Option<MbufProducer>>,
) -> Result<Rings, PortsError> {
    let mut rings = Rings {
        of_workers: (0..workers).map(|_| Vec::new()).collect(),
        taps: Vec::new(),
    };
    for (interface, to_port) in (0..).zip(to_ports) {
        let mut from_workers = Vec::with_capacity(workers);
        let pair = kernel.device(interface).zip(to_port);
        for (number, of_worker) in rings.of_workers.iter_mut().enumerate() {
            let mut producer = None;
            if pair.is_some() {
                let name = format!("kernel.w{number}.p{interface}");
                let (put, take) =
                    ring::mbufs(eal, &name, TO_KERNEL).map_err(|source| PortsError::Ring { name, source })?;
                producer = Some(put);
                from_workers.push(take);
            }
            of_worker.push(producer);
        }
        if let Some((device, to_port)) = pair {
            rings
                .taps
                .push(TapEnd::new(interface, device, from_workers, to_port));
        }
    }
    Ok(rings)
}

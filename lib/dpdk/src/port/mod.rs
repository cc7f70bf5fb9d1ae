//! Ports: probed by devargs, configured once, closed when the last of port and queues is dropped.
//!
//! ```text
//!   Port::probe ──► Port ──configure──► StartedPort { RunningPort, RxQueue…, TxQueue… }
//!                     └───────┬────────────────────────────┘
//!                           Device: name, info, link, statistics
//! ```

mod configure;
mod device;
mod info;
mod probe;
mod queue;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::errno::{Errno, ErrorLines, probe_reason};

pub use configure::{PortConfig, StartedPort};
pub use device::Device;
pub use info::{LinkStatus, MacAddress, PortInfo, PortStats, RxOffloads, TxOffloads};
pub(crate) use probe::hotplug;
pub use queue::{RxQueue, TxQueue};

/// The number that DPDK gave to a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(u16);

impl PortId {
    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The `index`th of the numbers that no port has, all being beyond those of ports: for packets that came in by something
    /// of the program's own. `index` is less than 0xff00.
    pub const fn beyond_ports(index: u16) -> Self {
        Self(dpdk_sys::RTE_MAX_ETHPORTS as u16 + index)
    }

    /// None for the number that stands for no port.
    #[inline]
    pub(crate) fn from_raw(port: u16) -> Option<Self> {
        (port != u16::MAX).then_some(Self(port))
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

/// A port that was probed and carries no packets yet. Dropping it removes the device.
#[derive(Debug)]
pub struct Port {
    device: Arc<Device>,
}

/// A configured and started port, without its queues. Clones are handles to the same port. It is stopped, closed and
/// removed when the last handle and the last queue are dropped.
#[derive(Clone, Debug)]
pub struct RunningPort {
    device: Arc<Device>,
}

impl Deref for Port {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl Deref for RunningPort {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

/// Why a port cannot be had, or not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The devargs are no C string.
    #[error("the device {devargs:?} contains a zero byte: remove it")]
    ZeroByte {
        /// The devargs.
        devargs: String,
    },
    /// DPDK cannot make a port of it.
    #[error("the device \"{devargs}\" cannot be opened: {}", probe_reason(*.errno, .log))]
    Probe {
        /// The devargs.
        devargs: String,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// There is a device, but no driver made an Ethernet port of it.
    #[error("the device \"{devargs}\" has no Ethernet port: check its driver{log}")]
    NoPort {
        /// The devargs.
        devargs: String,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// Every port of the device has an owner in this process.
    #[error("the device \"{devargs}\" is in use by another port of this process: name each device once")]
    InUse {
        /// The devargs.
        devargs: String,
    },
    /// More queues than the device has.
    #[error("{port} has at most {most} {direction} queues, {wanted} were asked for: use fewer workers")]
    TooManyQueues {
        /// The port's name.
        port: String,
        /// "receive" or "transmit".
        direction: &'static str,
        /// How many were asked for.
        wanted: u16,
        /// How many there are.
        most: u16,
    },
    /// Neither receive nor transmit queues were asked for.
    #[error("{port} needs at least one queue: ask for a receive or a transmit queue")]
    NoQueues {
        /// The port's name.
        port: String,
    },
    /// The MTU is out of the device's range.
    #[error("{port} takes an MTU from {least} to {most}, not {mtu}")]
    Mtu {
        /// The port's name.
        port: String,
        /// The MTU asked for.
        mtu: u16,
        /// The smallest.
        least: u16,
        /// The largest.
        most: u16,
    },
    /// The device takes no frames that are longer than a packet buffer.
    #[error(
        "{port} receives a frame into one packet buffer only, which is long enough for an MTU of {most}, not of {mtu}{log}"
    )]
    OneBuffer {
        /// The port's name.
        port: String,
        /// The MTU asked for.
        mtu: u16,
        /// The largest for these buffers.
        most: u16,
        /// Bytes of a frame that a buffer must hold for the MTU asked for.
        bytes: u32,
        /// What DPDK logged.
        log: ErrorLines,
    },
    /// An offload was asked for that the device does not have.
    #[error("{port} does not have the offload {offloads}: ask its capabilities first")]
    Offloads {
        /// The port's name.
        port: String,
        /// The offloads that it lacks.
        offloads: String,
    },
    /// A DPDK function failed.
    #[error("{port}: cannot {action}: {errno}{log}")]
    Dpdk {
        /// The port's name.
        port: String,
        /// What was tried.
        action: &'static str,
        /// What DPDK answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

//! From devargs to a port with one owner.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::Device;
use super::{Port, PortError, PortId};
use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease};
use crate::log;

const MAX_PORTS: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;

/// Held while devices come and go. True for each port that has an owner in this process.
static OWNED: Mutex<[bool; MAX_PORTS]> = Mutex::new([false; MAX_PORTS]);

pub(crate) fn hotplug() -> MutexGuard<'static, [bool; MAX_PORTS]> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    /// Makes the device that `devargs` name: "net_af_packet0,iface=wan0", "net_null0", or a PCI address. A device
    /// that EAL has probed already (`--vdev`, or a PCI device found by its scan) is taken over. Of a device with
    /// several ports each call answers the next.
    pub fn probe(_eal: &Eal, devargs: &str) -> Result<Self, PortError> {
        let c_devargs = CString::new(devargs).map_err(|_| PortError::ZeroByte {
            devargs: devargs.to_owned(),
        })?;
        let mut owned = hotplug();
        let mut ports = ports_of(&c_devargs);
        let mut log = ErrorLines::default();
        if ports.is_empty() {
            // SAFETY: EAL is running, the string is copied, and hotplug calls are made one at a time.
            let probe = || unsafe { dpdk_sys::rte_dev_probe(c_devargs.as_ptr()) };
            let result;
            (result, log) = log::collect_errors(probe);
            if let Err(errno) = Errno::check(result) {
                return Err(PortError::Probe {
                    devargs: devargs.to_owned(),
                    errno,
                    log,
                });
            }
            ports = ports_of(&c_devargs);
        }
        let free = ports
            .iter()
            .copied()
            .find(|&port| !owned.get(usize::from(port)).copied().unwrap_or(true));
        let Some(port) = free else {
            let devargs = devargs.to_owned();
            return Err(if ports.is_empty() {
                PortError::NoPort { devargs, log }
            } else {
                PortError::InUse { devargs }
            });
        };
        owned[usize::from(port)] = true;
        drop(owned);
        let device = Device::new(Claim(PortId(port)), Lease::new(HandleKind::Port))?;
        Ok(Self {
            device: Arc::new(device),
        })
    }
}

/// The sole ownership of a port in this process. It is given up by [`Claim::release`], while [`hotplug`] is held, so
/// that nobody claims a port that is about to be closed.
pub(super) struct Claim(PortId);

impl Claim {
    pub(super) fn port(&self) -> PortId {
        self.0
    }

    pub(super) fn release(&self, owned: &mut [bool; MAX_PORTS]) {
        owned[usize::from(self.0.0)] = false;
    }
}

/// The ports of the device that the devargs name.
fn ports_of(devargs: &CStr) -> Vec<u16> {
    let mut iterator = MaybeUninit::<dpdk_sys::rte_dev_iterator>::zeroed();
    let mut ports = Vec::new();
    // SAFETY: init fills the iterator, or fails; it may keep a pointer to the devargs, which outlive it; next answers
    // a port that exists or RTE_MAX_ETHPORTS, on which it has freed what init allocated.
    unsafe {
        if dpdk_sys::rte_eth_iterator_init(iterator.as_mut_ptr(), devargs.as_ptr()) != 0 {
            return ports;
        }
        loop {
            let port = dpdk_sys::rte_eth_iterator_next(iterator.as_mut_ptr());
            if usize::from(port) >= MAX_PORTS {
                return ports;
            }
            ports.push(port);
        }
    }
}

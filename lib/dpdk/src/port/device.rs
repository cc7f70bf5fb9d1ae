//! What can be asked of a port whether it runs or not, and the end of it.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::info::{LinkStatus, MacAddress, PortInfo, PortStats};
use super::probe::{Claim, hotplug};
use super::{PortError, PortId};
use crate::errno::{Errno, ErrorLines};
use crate::handles::Lease;
use crate::log;
use crate::numa::NumaNode;

/// A port of DPDK, by way of [`Port`](super::Port) or [`RunningPort`](super::RunningPort).
pub struct Device {
    claim: Claim,
    name: String,
    /// ethdev's functions, other than bursts, are for one thread at a time.
    control: Mutex<()>,
    started: AtomicBool,
    // Last, so that the port is closed before EAL may go.
    _lease: Lease,
}

impl Device {
    pub(super) fn new(claim: Claim, lease: Lease) -> Result<Self, PortError> {
        let mut name = [0 as c_char; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize];
        let id = claim.port();
        // SAFETY: the buffer is as long as ethdev's longest name, and zeroed, so it ends in a zero in any case.
        let (text, result) = unsafe {
            let result = dpdk_sys::rte_eth_dev_get_name_by_port(id.number(), name.as_mut_ptr());
            (CStr::from_ptr(name.as_ptr()), result)
        };
        let name = text.to_string_lossy().into_owned();
        let device = Self {
            claim,
            name,
            control: Mutex::new(()),
            started: AtomicBool::new(false),
            _lease: lease,
        };
        device.done("get its name", result, ErrorLines::default())?;
        Ok(device)
    }

    /// The number that DPDK gave to it, and that its packets carry.
    pub fn id(&self) -> PortId {
        self.claim.port()
    }

    /// Its name, such as "net_af_packet0" or a PCI address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the device is and can do.
    pub fn info(&self) -> Result<PortInfo, PortError> {
        let info = self.raw_info()?;
        let driver = if info.driver_name.is_null() {
            String::new()
        } else {
            // SAFETY: the driver's name is a C string that stays while the port is there.
            unsafe { CStr::from_ptr(info.driver_name) }
                .to_string_lossy()
                .into_owned()
        };
        Ok(PortInfo::from_raw(&info, driver, self.numa()))
    }

    /// The NUMA node of the device.
    pub fn numa(&self) -> NumaNode {
        // SAFETY: the port is this value's.
        NumaNode::from_raw(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id().number()) })
    }

    /// Its own MAC address.
    pub fn mac(&self) -> Result<MacAddress, PortError> {
        let mut address = dpdk_sys::rte_ether_addr { addr_bytes: [0; 6] };
        // SAFETY: the port is this value's, and the address is written before the call ends.
        self.call("get its MAC address", || unsafe {
            dpdk_sys::rte_eth_macaddr_get(self.id().number(), &mut address)
        })?;
        Ok(MacAddress(address.addr_bytes))
    }

    /// The MTU, bytes.
    pub fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port is this value's, and the MTU is written before the call ends.
        self.call("get its MTU", || unsafe {
            dpdk_sys::rte_eth_dev_get_mtu(self.id().number(), &mut mtu)
        })?;
        Ok(mtu)
    }

    /// Receives all packets of the link, or only those to its own MAC address. Drivers without a filter (net_null,
    /// net_pcap) receive all in any case, and have nothing to do.
    pub fn set_promiscuous(&self, on: bool) -> Result<(), PortError> {
        let port = self.id().number();
        // SAFETY: the port is this value's.
        self.call_if_supported("change promiscuous mode", || unsafe {
            if on {
                dpdk_sys::rte_eth_promiscuous_enable(port)
            } else {
                dpdk_sys::rte_eth_promiscuous_disable(port)
            }
        })
    }

    /// Receives the packets of all groups, or only those to its own MAC address and to everybody. Drivers without a filter
    /// have nothing to do.
    pub fn set_all_multicast(&self, on: bool) -> Result<(), PortError> {
        let port = self.id().number();
        // SAFETY: the port is this value's.
        self.call_if_supported("change the reception of multicast", || unsafe {
            if on {
                dpdk_sys::rte_eth_allmulticast_enable(port)
            } else {
                dpdk_sys::rte_eth_allmulticast_disable(port)
            }
        })
    }

    /// The link, as it is now, without waiting for it to settle.
    pub fn link(&self) -> Result<LinkStatus, PortError> {
        let (mut speed, mut full_duplex, mut up) = (0, false, false);
        // SAFETY: the port is this value's, and the three are written before the call ends.
        self.call("get its link", || unsafe {
            dpdk_sys::shim_eth_link_get_nowait(self.id().number(), &mut speed, &mut full_duplex, &mut up)
        })?;
        Ok(LinkStatus::new(up, speed, full_duplex))
    }

    /// Its counters.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut stats = MaybeUninit::<dpdk_sys::rte_eth_stats>::zeroed();
        // SAFETY: the port is this value's, and the counters are written before the call ends.
        self.call("get its counters", || unsafe {
            dpdk_sys::rte_eth_stats_get(self.id().number(), stats.as_mut_ptr())
        })?;
        // SAFETY: the structure is integers, all zero to begin with.
        let stats = unsafe { stats.assume_init() };
        Ok(PortStats {
            rx_packets: stats.ipackets,
            tx_packets: stats.opackets,
            rx_bytes: stats.ibytes,
            tx_bytes: stats.obytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_mbuf: stats.rx_nombuf,
            tx_errors: stats.oerrors,
        })
    }

    /// Starts the port, whose queues are all set up.
    pub(super) fn start(&self) -> Result<(), PortError> {
        // SAFETY: the port is this value's; ethdev checks that it is configured.
        self.call("start", || unsafe {
            dpdk_sys::rte_eth_dev_start(self.id().number())
        })?;
        self.started.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn raw_info(&self) -> Result<dpdk_sys::rte_eth_dev_info, PortError> {
        let mut info = MaybeUninit::<dpdk_sys::rte_eth_dev_info>::zeroed();
        // SAFETY: the port is this value's, and the structure is written before the call ends.
        self.call("get its properties", || unsafe {
            dpdk_sys::rte_eth_dev_info_get(self.id().number(), info.as_mut_ptr())
        })?;
        // SAFETY: the structure is integers and raw pointers, all zero to begin with.
        Ok(unsafe { info.assume_init() })
    }

    /// Calls a function of ethdev, alone, and makes an error of what it answers.
    pub(super) fn call(&self, action: &'static str, call: impl FnOnce() -> i32) -> Result<(), PortError> {
        let _alone = self.alone();
        let (result, log) = log::collect_errors(call);
        self.done(action, result, log)
    }

    /// As `call`, for functions that a driver need not have.
    pub(super) fn call_if_supported(
        &self,
        action: &'static str,
        call: impl FnOnce() -> i32,
    ) -> Result<(), PortError> {
        match self.call(action, call) {
            Err(PortError::Dpdk {
                errno: Errno::NOT_SUPPORTED,
                ..
            }) => Ok(()),
            result => result,
        }
    }

    fn done(&self, action: &'static str, result: i32, log: ErrorLines) -> Result<(), PortError> {
        Errno::check(result).map_err(|errno| PortError::Dpdk {
            port: self.name.clone(),
            action,
            errno,
            log,
        })
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Device {
    /// Stops and closes the port and, if it was its device's last, takes the device away, so that it can be probed
    /// again. There is nobody to tell of an error, and nothing to be done about one: DPDK logs it.
    fn drop(&mut self) {
        let port = self.id().number();
        let device = self.raw_info().map_or(ptr::null_mut(), |info| info.device);
        let mut owned = hotplug();
        // SAFETY: no queue and no handle of the port is left, so nothing uses it; the device stays until it is
        // removed here, which is after its last port is closed.
        unsafe {
            if *self.started.get_mut() {
                dpdk_sys::rte_eth_dev_stop(port);
            }
            dpdk_sys::rte_eth_dev_close(port);
            if !device.is_null()
                && dpdk_sys::rte_eth_find_next_of(0, device) >= dpdk_sys::RTE_MAX_ETHPORTS as u16
            {
                dpdk_sys::rte_dev_remove(device);
            }
        }
        self.claim.release(&mut owned);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("id", &self.id())
            .field("name", &self.name)
            .finish()
    }
}

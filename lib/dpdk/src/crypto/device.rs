//! A crypto device: from devargs to an owner, configured once, closed with its last handle.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CryptoError;
use super::queue::Queue;
use super::transform::{Direction, Transform};
use crate::eal::Eal;
use crate::errno::{Errno, ErrorLines};
use crate::handles::{HandleKind, Lease};
use crate::log;
use crate::numa::NumaNode;
use crate::port::hotplug;

const MOST_DEVICES: usize = dpdk_sys::RTE_CRYPTO_MAX_DEVS as usize;

/// True for each crypto device that has an owner in this process. Taken with [`hotplug`] held, so that nobody claims a
/// device that is about to go.
static OWNED: Mutex<[bool; MOST_DEVICES]> = Mutex::new([false; MOST_DEVICES]);

fn owned() -> MutexGuard<'static, [bool; MOST_DEVICES]> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a device is to work.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Queues to hand out. None are needed to work on the caller's thread.
    pub queues: u16,
    /// Packets that a queue holds, rounded up to a power of two, which is at most 32768.
    pub descriptors: u16,
    /// Where queues and what they hold lie.
    pub node: NumaNode,
}

/// A crypto device that runs. Clones are handles to the same device; sessions and queues keep it alive.
#[derive(Clone)]
pub struct Device {
    running: Arc<Running>,
}

/// The device itself, stopped and removed when dropped.
pub(super) struct Running {
    id: u8,
    name: String,
    driver: String,
    features: u64,
    started: bool,
    /// Sessions are made one at a time: drivers of the CPU use state of queue 0 for it, which is never handed out.
    making: Mutex<()>,
    // Last, so that the device is closed before EAL may go.
    _lease: Lease,
}

impl Device {
    /// Opens the crypto device that `devargs` name: "crypto_aesni_mb0", "crypto_aesni_mb0,max_nb_queue_pairs=17", or a
    /// PCI address in full. A device that EAL has probed already is taken over. Answers the device and its queues.
    pub fn open(eal: &Eal, devargs: &str, config: &Config) -> Result<(Self, Vec<Queue>), CryptoError> {
        let mut running = Running::claim(eal, devargs)?;
        running.configure(config)?;
        let running = Arc::new(running);
        let queues = (1..=config.queues)
            .map(|index| Queue::new(&running, index, config))
            .collect::<Result<_, _>>()?;
        Ok((Self { running }, queues))
    }

    /// Its name, such as "crypto_aesni_mb0".
    pub fn name(&self) -> &str {
        &self.running.name
    }

    /// The name of its driver, such as "crypto_aesni_mb".
    pub fn driver(&self) -> &str {
        &self.running.driver
    }

    /// True if it works on the caller's thread, see [`Session::process`](super::Session::process).
    pub fn is_synchronous(&self) -> bool {
        self.running.has(dpdk_sys::SHIM_CRYPTO_FF_SYNCHRONOUS)
    }

    /// True if the device can do this, with keys of these lengths.
    pub fn supports(&self, transform: &Transform) -> bool {
        self.running.supports(transform)
    }

    pub(super) fn running(&self) -> &Arc<Running> {
        &self.running
    }
}

impl Running {
    /// Finds the device, or has DPDK make it, and takes it for this process.
    fn claim(_eal: &Eal, devargs: &str) -> Result<Self, CryptoError> {
        let zero_byte = |_| CryptoError::ZeroByte {
            devargs: devargs.to_owned(),
        };
        let c_devargs = CString::new(devargs).map_err(zero_byte)?;
        let _no_other_comes_or_goes = hotplug();
        let mut log = ErrorLines::default();
        let mut found = devices_of(devargs);
        if found.is_empty() {
            let result;
            // SAFETY: EAL is running, the string is copied, and hotplug calls are made one at a time.
            (result, log) = log::collect_errors(|| unsafe { dpdk_sys::rte_dev_probe(c_devargs.as_ptr()) });
            if let Err(errno) = Errno::check(result) {
                return Err(CryptoError::Probe {
                    devargs: devargs.to_owned(),
                    errno,
                    log,
                });
            }
            found = devices_of(devargs);
        }
        let devargs = devargs.to_owned();
        let mut owned = owned();
        let Some((id, name)) = found.iter().find(|(id, _)| !owned[usize::from(*id)]) else {
            return Err(if found.is_empty() {
                CryptoError::NoCrypto { devargs, log }
            } else {
                CryptoError::InUse { devargs }
            });
        };
        owned[usize::from(*id)] = true;
        let info = Info::of(*id);
        Ok(Self {
            id: *id,
            name: name.clone(),
            driver: info.driver,
            features: info.features,
            started: false,
            making: Mutex::new(()),
            _lease: Lease::new(HandleKind::CryptoDevice),
        })
    }

    fn configure(&mut self, config: &Config) -> Result<(), CryptoError> {
        // Queues are numbered in 16 bits, queue 0 is the device's own.
        let most = Info::of(self.id)
            .most_queues
            .saturating_sub(1)
            .min(u32::from(u16::MAX) - 1);
        if u32::from(config.queues) > most {
            return Err(CryptoError::TooManyQueues {
                device: self.name.clone(),
                wanted: config.queues,
                most,
            });
        }
        let (id, node) = (self.id, config.node.as_raw());
        let queues = config.queues + 1;
        // SAFETY: the device is this value's and not started.
        self.call("configure it", || unsafe {
            dpdk_sys::shim_crypto_configure(id, queues, node)
        })?;
        for queue in 0..queues {
            // SAFETY: as above, and the device was configured with so many queues.
            self.call("set up a queue", || unsafe {
                dpdk_sys::shim_crypto_queue_setup(id, queue, u32::from(config.ring_size()), node)
            })?;
        }
        // SAFETY: all queues are set up.
        self.call("start it", || unsafe { dpdk_sys::rte_cryptodev_start(id) })?;
        self.started = true;
        Ok(())
    }

    pub(super) fn id(&self) -> u8 {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// True if it reaches packets and sessions by bus addresses.
    pub(super) fn is_hardware(&self) -> bool {
        self.has(dpdk_sys::SHIM_CRYPTO_FF_HARDWARE)
    }

    fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    pub(super) fn supports(&self, transform: &Transform) -> bool {
        let raw = transform.as_raw(Direction::Seal);
        // SAFETY: the device is this value's, and only lengths of the transform are looked at.
        transform.check().is_ok() && unsafe { dpdk_sys::shim_crypto_supports(self.id, &raw const raw) }
    }

    pub(super) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, action: &'static str, call: impl FnOnce() -> i32) -> Result<(), CryptoError> {
        let (result, log) = log::collect_errors(call);
        Errno::check(result).map_err(|errno| self.failed(action, errno, log))
    }

    pub(super) fn failed(&self, action: &'static str, errno: Errno, log: ErrorLines) -> CryptoError {
        CryptoError::Dpdk {
            device: self.name.clone(),
            action,
            errno,
            log,
        }
    }
}

impl Config {
    /// Drivers of the CPU keep a queue in a ring, whose size is a power of two and which holds one less.
    fn ring_size(&self) -> u16 {
        self.descriptors.clamp(2, 1 << 15).next_power_of_two()
    }

    /// How many packets a queue holds.
    pub(super) fn capacity(&self) -> u16 {
        self.ring_size() - 1
    }
}

impl Drop for Running {
    /// Stops, closes and removes the device, so that it can be opened again. There is nobody to tell of an error: DPDK
    /// logs it.
    fn drop(&mut self) {
        let device = Info::of(self.id).device;
        let _no_other_comes_or_goes = hotplug();
        // SAFETY: no queue and no session of the device is left, since each keeps this value.
        unsafe {
            if self.started {
                dpdk_sys::rte_cryptodev_stop(self.id);
            }
            dpdk_sys::rte_cryptodev_close(self.id);
            if !device.is_null() {
                dpdk_sys::rte_dev_remove(device);
            }
        }
        owned()[usize::from(self.id)] = false;
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.running.name)
            .finish_non_exhaustive()
    }
}

/// What DPDK says of a device.
struct Info {
    driver: String,
    device: *mut dpdk_sys::rte_device,
    features: u64,
    most_queues: u32,
}

impl Info {
    /// `id` is that of a device that exists.
    fn of(id: u8) -> Self {
        let (mut driver, mut device) = (ptr::null(), ptr::null_mut());
        let (mut features, mut most_queues) = (0, 0);
        // SAFETY: the four are written before the call ends; the driver's name is a C string that stays while the
        // device is there.
        let driver = unsafe {
            dpdk_sys::shim_crypto_info(id, &mut driver, &mut device, &mut features, &mut most_queues);
            if driver.is_null() {
                c""
            } else {
                CStr::from_ptr(driver)
            }
        };
        Self {
            driver: driver.to_string_lossy().into_owned(),
            device,
            features,
            most_queues,
        }
    }
}

/// The crypto devices of the device that the devargs name, with their names: a PCI device may be several, each named for
/// it and what it does.
fn devices_of(devargs: &str) -> Vec<(u8, String)> {
    let device = devargs.split(',').next().unwrap_or_default();
    (0..MOST_DEVICES as u8)
        // SAFETY: it looks at a table of so many entries.
        .filter(|&id| unsafe { dpdk_sys::rte_cryptodev_is_valid_dev(id) } != 0)
        .filter_map(|id| {
            // SAFETY: the device exists and comes and goes only under `hotplug`, which the caller holds; its name is a C
            // string.
            let name = unsafe { CStr::from_ptr(dpdk_sys::rte_cryptodev_name_get(id)) };
            let name = name.to_string_lossy().into_owned();
            let rest = name.strip_prefix(device)?;
            let is_of_it = rest.is_empty() || rest.starts_with('_');
            (is_of_it && Info::of(id).features & dpdk_sys::SHIM_CRYPTO_FF_SYMMETRIC != 0)
                .then_some((id, name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_a_ring_with_one_place_to_spare() {
        let sizes = [
            (0, 2),
            (1, 2),
            (3, 4),
            (4, 4),
            (300, 512),
            (32768, 32768),
            (u16::MAX, 32768),
        ];
        for (descriptors, size) in sizes {
            let config = Config {
                queues: 1,
                descriptors,
                node: NumaNode::ANY,
            };
            assert_eq!(
                (config.ring_size(), config.capacity()),
                (size, size - 1),
                "{descriptors}"
            );
        }
    }
}

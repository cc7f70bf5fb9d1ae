//! Configuration: queues, MTU, offloads; then the port runs.

use std::mem::MaybeUninit;

use super::info::{PortInfo, RxOffloads, TxOffloads};
use super::queue::{RxQueue, TxQueue};
use super::{Device, Port, PortError, RunningPort};
use crate::pool::Pool;

/// Drivers that do not give all mbufs back when a port is closed: net_af_xdp forgets those in its fill ring.
const KEEPERS: [&str; 1] = ["net_af_xdp"];

/// A key for Toeplitz hashes by which both ways of a flow go to the same queue: its bits repeat after 16, so that source and
/// destination may change places. As long as any key can be; drivers only read it.
static SYMMETRIC_KEY: [u8; 256] = {
    let mut key = [0x6d; 256];
    let mut odd = 1;
    while odd < key.len() {
        key[odd] = 0x5a;
        odd += 2;
    }
    key
};

/// How a port is to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// Receive queues; with more than one, packets are spread over them by RSS where the device has it, both ways of a flow to
    /// the same queue.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue; the device's limits are kept to.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue; the device's limits are kept to.
    pub tx_descriptors: u16,
    /// The MTU, bytes: what follows the Ethernet header.
    pub mtu: u16,
    /// Receive offloads; the device must have them.
    pub rx_offloads: RxOffloads,
    /// Transmit offloads; the device must have them.
    pub tx_offloads: TxOffloads,
}

impl Default for PortConfig {
    /// One queue each way, 1024 descriptors, an MTU of 1500, no offloads.
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: 1500,
            rx_offloads: RxOffloads::empty(),
            tx_offloads: TxOffloads::empty(),
        }
    }
}

/// A port that runs, and its queues, each of which there is once.
#[derive(Debug)]
pub struct StartedPort {
    /// The port without its queues.
    pub port: RunningPort,
    /// The receive queues, by number.
    pub rx_queues: Vec<RxQueue>,
    /// The transmit queues, by number.
    pub tx_queues: Vec<TxQueue>,
}

impl Port {
    /// Configures and starts the port. Received packets come from `pool`, which needs an mbuf for each receive
    /// descriptor and more for those on their way. If it fails, the port is closed and can be probed again.
    pub fn configure(self, config: &PortConfig, pool: &Pool) -> Result<StartedPort, PortError> {
        let info = self.info()?;
        self.check(config, &info)?;
        let id = self.id().number();
        if let Some(driver) = KEEPERS.into_iter().find(|driver| *driver == info.driver) {
            pool.note_keeper(driver);
        }
        let raw = self.ethernet_config(config, &info, pool)?;
        // SAFETY: the port is this value's, has no queues, and the structure is copied.
        self.call("be configured", || unsafe {
            dpdk_sys::rte_eth_dev_configure(id, config.rx_queues, config.tx_queues, &raw)
        })?;
        // Drivers that have no say in the MTU (net_null, net_pcap) take what configuration noted.
        // SAFETY: the port is configured.
        self.call_if_supported("set its MTU", || unsafe {
            dpdk_sys::rte_eth_dev_set_mtu(id, config.mtu)
        })?;

        let (mut rx_descriptors, mut tx_descriptors) = (config.rx_descriptors, config.tx_descriptors);
        // SAFETY: both numbers are written before the call ends.
        self.call("fit its descriptors to its limits", || unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx_descriptors, &mut tx_descriptors)
        })?;
        let node = self.numa().as_raw() as u32;
        for queue in 0..config.rx_queues {
            // SAFETY: the port is configured with that many queues. The pool is unmapped only with EAL, which waits
            // for this port. A null configuration means the driver's own.
            self.call("set up a receive queue", || unsafe {
                let config = std::ptr::null();
                dpdk_sys::rte_eth_rx_queue_setup(id, queue, rx_descriptors, node, config, pool.as_ptr())
            })
            .map_err(|error| about_frames(error, config.mtu, frame_room(pool), info.rx_offloads))?;
        }
        for queue in 0..config.tx_queues {
            // SAFETY: as for the receive queues.
            self.call("set up a transmit queue", || unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(id, queue, tx_descriptors, node, std::ptr::null())
            })?;
        }
        self.start()?;

        let device = self.device;
        Ok(StartedPort {
            rx_queues: (0..config.rx_queues)
                .map(|queue| RxQueue::new(&device, queue))
                .collect(),
            tx_queues: (0..config.tx_queues)
                .map(|queue| TxQueue::new(&device, queue))
                .collect(),
            port: RunningPort { device },
        })
    }
}

impl Device {
    fn check(&self, config: &PortConfig, info: &PortInfo) -> Result<(), PortError> {
        let port = || self.name().to_owned();
        if config.rx_queues == 0 && config.tx_queues == 0 {
            return Err(PortError::NoQueues { port: port() });
        }
        for (direction, wanted, most) in [
            ("receive", config.rx_queues, info.max_rx_queues),
            ("transmit", config.tx_queues, info.max_tx_queues),
        ] {
            if wanted > most {
                return Err(PortError::TooManyQueues {
                    port: port(),
                    direction,
                    wanted,
                    most,
                });
            }
        }
        let (mtu, least, most) = (config.mtu, info.min_mtu, info.max_mtu);
        if !(least..=most).contains(&mtu) {
            return Err(PortError::Mtu {
                port: port(),
                mtu,
                least,
                most,
            });
        }
        let rx = config.rx_offloads - info.rx_offloads;
        let tx = config.tx_offloads - info.tx_offloads;
        let lacking: Vec<_> = rx
            .iter_names()
            .map(|(name, _)| name)
            .chain(tx.iter_names().map(|(name, _)| name))
            .collect();
        if !lacking.is_empty() {
            return Err(PortError::Offloads {
                port: port(),
                offloads: lacking.join(", "),
            });
        }
        Ok(())
    }

    fn ethernet_config(
        &self,
        config: &PortConfig,
        info: &PortInfo,
        pool: &Pool,
    ) -> Result<dpdk_sys::rte_eth_conf, PortError> {
        let mut rx_offloads = config.rx_offloads;
        if longest_frame(config.mtu) > u32::from(frame_room(pool)) {
            rx_offloads |= info.rx_offloads & RxOffloads::SCATTER;
        }
        let tx_offloads = config.tx_offloads | (info.tx_offloads & TxOffloads::MULTI_SEGMENT);

        // SAFETY: the structure is integers and raw pointers, for which zero is DPDK's default.
        let mut raw: dpdk_sys::rte_eth_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        raw.rxmode.mtu = u32::from(config.mtu);
        raw.rxmode.offloads = rx_offloads.bits();
        raw.txmode.offloads = tx_offloads.bits();
        let driver = self.raw_info()?;
        let hashes = driver.flow_type_rss_offloads
            & (dpdk_sys::SHIM_RSS_IP | dpdk_sys::SHIM_RSS_TCP | dpdk_sys::SHIM_RSS_UDP);
        if config.rx_queues > 1 && hashes != 0 {
            raw.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            raw.rx_adv_conf.rss_conf.rss_hf = hashes;
            // A device that does not say how long its key is keeps its own.
            if driver.hash_key_size != 0 {
                raw.rx_adv_conf.rss_conf.rss_key = SYMMETRIC_KEY.as_ptr().cast_mut();
                raw.rx_adv_conf.rss_conf.rss_key_len = driver.hash_key_size;
            }
        }
        Ok(raw)
    }
}

/// What the longest frame has beside the MTU: an Ethernet header, two VLAN tags, and a CRC or what virtio puts in front.
const BESIDE_MTU: u16 = 14 + 2 * 4 + 12;

fn longest_frame(mtu: u16) -> u32 {
    u32::from(mtu) + u32::from(BESIDE_MTU)
}

/// Bytes of a frame that a buffer holds.
fn frame_room(pool: &Pool) -> u16 {
    pool.data_room().saturating_sub(Pool::HEADROOM)
}

/// Why a receive queue was refused by a device with these offloads: of frames that are longer than a buffer, a device that cannot
/// scatter them says so in words of its own.
fn about_frames(error: PortError, mtu: u16, room: u16, offloads: RxOffloads) -> PortError {
    let bytes = longest_frame(mtu);
    match error {
        PortError::Dpdk { port, log, .. }
            if bytes > u32::from(room) && !offloads.contains(RxOffloads::SCATTER) =>
        {
            PortError::OneBuffer {
                port,
                mtu,
                most: room.saturating_sub(BESIDE_MTU),
                bytes,
                log,
            }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno::{Errno, ErrorLines};

    /// What net_virtio says without mergeable buffers.
    fn refused() -> PortError {
        let mut log = ErrorLines::default();
        log.push("virtio_dev_rx_queue_setup(): RxQ 0 Rx scatter check failed");
        PortError::Dpdk {
            port: "0000:00:05.0".into(),
            action: "set up a receive queue",
            errno: Errno(22),
            log,
        }
    }

    #[test]
    fn a_device_that_does_not_scatter_says_which_mtu_its_buffers_are_long_enough_for() {
        let error = about_frames(refused(), 9000, 2048, RxOffloads::empty());
        assert!(
            matches!(
                error,
                PortError::OneBuffer {
                    mtu: 9000,
                    most: 2014,
                    bytes: 9034,
                    ..
                }
            ),
            "{error:?}"
        );
        let sentence = error.to_string();
        for part in [
            "0000:00:05.0",
            "one packet buffer",
            "2014",
            "9000",
            "scatter check",
        ] {
            assert!(sentence.contains(part), "no '{part}' in: {sentence}");
        }
        // What it says would do does.
        assert!(matches!(
            about_frames(refused(), 2014, 2048, RxOffloads::empty()),
            PortError::Dpdk { .. }
        ));
        assert!(matches!(
            about_frames(refused(), 9000, 9034, RxOffloads::empty()),
            PortError::Dpdk { .. }
        ));
    }

    #[test]
    fn a_device_that_scatters_is_refused_for_another_reason() {
        assert!(matches!(
            about_frames(refused(), 9000, 2048, RxOffloads::SCATTER),
            PortError::Dpdk { .. }
        ));
    }

    /// The Toeplitz hash of Microsoft's RSS: for each bit of the input that is set, the 32 bits of the key from there on.
    fn toeplitz(input: &[u8]) -> u32 {
        let bit = |at: usize| u32::from(SYMMETRIC_KEY[at / 8] >> (7 - at % 8) & 1);
        let window = |from: usize| (0..32).fold(0, |word, at| word << 1 | bit(from + at));
        (0..input.len() * 8)
            .filter(|at| input[at / 8] >> (7 - at % 8) & 1 == 1)
            .fold(0, |hash, at| hash ^ window(at))
    }

    #[test]
    fn both_ways_of_a_flow_have_the_same_hash() {
        let there = [192, 168, 1, 2, 10, 0, 7, 9, 0x12, 0x34, 0, 53];
        let back = [10, 0, 7, 9, 192, 168, 1, 2, 0, 53, 0x12, 0x34];
        assert_eq!(toeplitz(&there), toeplitz(&back));
        assert_ne!(toeplitz(&there), toeplitz(&[1; 12]));
    }
}

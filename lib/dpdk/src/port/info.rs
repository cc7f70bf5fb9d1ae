//! What a port tells of itself.

use std::fmt;

use bitflags::bitflags;

use crate::numa::NumaNode;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

bitflags! {
    /// What a port can do for received packets (RTE_ETH_RX_OFFLOAD_*).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct RxOffloads: u64 {
        /// Take the VLAN tag out of the packet and note it in the mbuf.
        const VLAN_STRIP = dpdk_sys::SHIM_RX_OFFLOAD_VLAN_STRIP;
        /// Check the IPv4 header checksum.
        const IPV4_CHECKSUM = dpdk_sys::SHIM_RX_OFFLOAD_IPV4_CKSUM;
        /// Check the UDP checksum.
        const UDP_CHECKSUM = dpdk_sys::SHIM_RX_OFFLOAD_UDP_CKSUM;
        /// Check the TCP checksum.
        const TCP_CHECKSUM = dpdk_sys::SHIM_RX_OFFLOAD_TCP_CKSUM;
        /// Receive a frame into several segments. Turned on where the MTU needs it.
        const SCATTER = dpdk_sys::SHIM_RX_OFFLOAD_SCATTER;
    }
}

bitflags! {
    /// What a port can do for packets to be sent (RTE_ETH_TX_OFFLOAD_*).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct TxOffloads: u64 {
        /// Insert a VLAN tag.
        const VLAN_INSERT = dpdk_sys::SHIM_TX_OFFLOAD_VLAN_INSERT;
        /// Fill in the IPv4 header checksum.
        const IPV4_CHECKSUM = dpdk_sys::SHIM_TX_OFFLOAD_IPV4_CKSUM;
        /// Fill in the UDP checksum.
        const UDP_CHECKSUM = dpdk_sys::SHIM_TX_OFFLOAD_UDP_CKSUM;
        /// Fill in the TCP checksum.
        const TCP_CHECKSUM = dpdk_sys::SHIM_TX_OFFLOAD_TCP_CKSUM;
        /// Send packets of several segments. Turned on wherever the port has it.
        const MULTI_SEGMENT = dpdk_sys::SHIM_TX_OFFLOAD_MULTI_SEGS;
    }
}

/// Drivers that offer more queues than are of use. net_e1000_em offers two each way: without RSS nothing comes by the second
/// receive queue, and of its devices the 82540 and 82545 (those of emulators) send nothing from a second transmit queue.
const SINGLE_QUEUE: [&str; 1] = ["net_e1000_em"];

/// What a device is and can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortInfo {
    /// The driver, such as "net_af_packet".
    pub driver: String,
    /// The kernel interface behind the port (af_packet, af_xdp, tap), none for a NIC.
    pub if_index: Option<u32>,
    /// Where the device is.
    pub numa: NumaNode,
    /// The most receive queues.
    pub max_rx_queues: u16,
    /// The most transmit queues.
    pub max_tx_queues: u16,
    /// The smallest MTU, bytes.
    pub min_mtu: u16,
    /// The largest MTU, bytes, also regarding the longest frame that the device receives.
    pub max_mtu: u16,
    /// How many MAC addresses it can have.
    pub max_mac_addresses: u32,
    /// Receive offloads that it has.
    pub rx_offloads: RxOffloads,
    /// Transmit offloads that it has.
    pub tx_offloads: TxOffloads,
}

impl PortInfo {
    pub(super) fn from_raw(info: &dpdk_sys::rte_eth_dev_info, driver: String, numa: NumaNode) -> Self {
        let most = if SINGLE_QUEUE.contains(&driver.as_str()) {
            1
        } else {
            u16::MAX
        };
        Self {
            driver,
            if_index: (info.if_index != 0).then_some(info.if_index),
            numa,
            max_rx_queues: info.max_rx_queues.min(most),
            max_tx_queues: info.max_tx_queues.min(most),
            min_mtu: info.min_mtu,
            max_mtu: largest_mtu(info.max_mtu, info.max_rx_pktlen),
            max_mac_addresses: info.max_mac_addrs,
            rx_offloads: RxOffloads::from_bits_truncate(info.rx_offload_capa),
            tx_offloads: TxOffloads::from_bits_truncate(info.tx_offload_capa),
        }
    }
}

/// A driver that does not say its largest MTU (65535) still has a longest frame, which ethdev holds the MTU against
/// with an Ethernet header and a CRC.
fn largest_mtu(max_mtu: u16, max_rx_frame: u32) -> u16 {
    const HEADER_AND_CRC: u32 = 14 + 4;
    if max_mtu < u16::MAX {
        return max_mtu;
    }
    u16::try_from(max_rx_frame.saturating_sub(HEADER_AND_CRC)).unwrap_or(u16::MAX)
}

/// The state of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkStatus {
    /// Packets can pass.
    pub up: bool,
    /// Mbit/s, none if the driver does not know. Virtual ports answer what they like.
    pub speed_mbps: Option<u32>,
    /// Both directions at once.
    pub full_duplex: bool,
}

impl LinkStatus {
    pub(super) fn new(up: bool, speed_mbps: u32, full_duplex: bool) -> Self {
        // RTE_ETH_SPEED_NUM_NONE and RTE_ETH_SPEED_NUM_UNKNOWN.
        let known = speed_mbps != 0 && speed_mbps != u32::MAX;
        Self {
            up,
            speed_mbps: known.then_some(speed_mbps),
            full_duplex,
        }
    }
}

/// A port's counters since it was started. Drivers differ in whether bytes include the CRC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that found the receive queue full.
    pub rx_missed: u64,
    /// Packets received with errors.
    pub rx_errors: u64,
    /// Packets not received because the pool was empty.
    pub rx_no_mbuf: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_an_mtu_limit_is_held_to_its_longest_frame() {
        assert_eq!(largest_mtu(u16::MAX, 1518), 1500);
        assert_eq!(largest_mtu(u16::MAX, u32::MAX), u16::MAX);
        assert_eq!(largest_mtu(9000, 9018), 9000);
    }

    #[test]
    fn a_driver_whose_second_queues_are_dead_has_one_each_way() {
        // SAFETY: the structure is integers and raw pointers, which may all be zero.
        let mut raw: dpdk_sys::rte_eth_dev_info = unsafe { std::mem::zeroed() };
        (raw.max_rx_queues, raw.max_tx_queues) = (2, 2);
        for (driver, queues) in [("net_e1000_em", 1), ("net_e1000_igb", 2)] {
            let info = PortInfo::from_raw(&raw, driver.to_owned(), NumaNode::ANY);
            assert_eq!(
                (info.max_rx_queues, info.max_tx_queues),
                (queues, queues),
                "{driver}"
            );
        }
    }

    #[test]
    fn an_unknown_speed_is_none() {
        assert_eq!(LinkStatus::new(true, u32::MAX, true).speed_mbps, None);
        assert_eq!(LinkStatus::new(false, 0, false).speed_mbps, None);
        assert_eq!(LinkStatus::new(true, 10_000, true).speed_mbps, Some(10_000));
    }

    #[test]
    fn a_mac_address_reads_as_usual() {
        assert_eq!(
            MacAddress([2, 0, 0, 0, 0x10, 0xff]).to_string(),
            "02:00:00:00:10:ff"
        );
    }
}

//! What the port found out about a packet that it received.

use bitflags::bitflags;

bitflags! {
    /// The receive side of an mbuf's offload flags (RTE_MBUF_F_RX_*).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct OffloadFlags: u64 {
        /// The packet had a VLAN tag, and [`Mbuf::vlan_tci`](crate::Mbuf::vlan_tci) has it.
        const VLAN = dpdk_sys::SHIM_MBUF_F_RX_VLAN;
        /// The tag is no longer in the packet's bytes.
        const VLAN_STRIPPED = dpdk_sys::SHIM_MBUF_F_RX_VLAN_STRIPPED;
        /// First bit of the IP checksum's status: ask [`OffloadFlags::ip_checksum`].
        const IP_CHECKSUM_BAD = dpdk_sys::SHIM_MBUF_F_RX_IP_CKSUM_BAD;
        /// Second bit of the IP checksum's status.
        const IP_CHECKSUM_GOOD = dpdk_sys::SHIM_MBUF_F_RX_IP_CKSUM_GOOD;
        /// First bit of the L4 checksum's status: ask [`OffloadFlags::l4_checksum`].
        const L4_CHECKSUM_BAD = dpdk_sys::SHIM_MBUF_F_RX_L4_CKSUM_BAD;
        /// Second bit of the L4 checksum's status.
        const L4_CHECKSUM_GOOD = dpdk_sys::SHIM_MBUF_F_RX_L4_CKSUM_GOOD;
    }
}

/// What the port says of a checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumStatus {
    /// Nothing: it was not checked.
    Unknown,
    /// It is wrong.
    Bad,
    /// It is right.
    Good,
    /// It is not filled in, but the packet's content is known to be intact (a virtual port whose sender left the
    /// checksum to the hardware).
    NotFilledIn,
}

impl OffloadFlags {
    /// The status of the IPv4 header checksum.
    #[inline]
    pub fn ip_checksum(self) -> ChecksumStatus {
        self.checksum(Self::IP_CHECKSUM_BAD, Self::IP_CHECKSUM_GOOD)
    }

    /// The status of the TCP, UDP or SCTP checksum.
    #[inline]
    pub fn l4_checksum(self) -> ChecksumStatus {
        self.checksum(Self::L4_CHECKSUM_BAD, Self::L4_CHECKSUM_GOOD)
    }

    fn checksum(self, bad: Self, good: Self) -> ChecksumStatus {
        match (self.contains(bad), self.contains(good)) {
            (false, false) => ChecksumStatus::Unknown,
            (true, false) => ChecksumStatus::Bad,
            (false, true) => ChecksumStatus::Good,
            (true, true) => ChecksumStatus::NotFilledIn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_checksum_bits_together_mean_not_filled_in() {
        let flags =
            OffloadFlags::L4_CHECKSUM_BAD | OffloadFlags::L4_CHECKSUM_GOOD | OffloadFlags::IP_CHECKSUM_BAD;
        assert_eq!(flags.l4_checksum(), ChecksumStatus::NotFilledIn);
        assert_eq!(flags.ip_checksum(), ChecksumStatus::Bad);
        assert_eq!(OffloadFlags::IP_CHECKSUM_GOOD.ip_checksum(), ChecksumStatus::Good);
        assert_eq!(OffloadFlags::VLAN.l4_checksum(), ChecksumStatus::Unknown);
    }

    #[test]
    fn the_flags_are_different_bits() {
        assert_eq!(OffloadFlags::all().bits().count_ones(), 6);
    }
}

//! What the devices and packet buffers of a turn are like: the same for every program in a comparison.

use super::traffic::Size;

/// net_null that receives nothing.
pub(super) const SINK: &str = "net_null0,no-rx=1";
/// What DPDK puts in front of each packet.
const HEADROOM: u32 = 128;

/// Packets and the buffers for them. net_pcap keeps the whole pcap in buffers, and copies each packet to a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many packets there are, and for how many routes.
    pub(super) size: Size,
    pub(super) packet_buffers: u32,
    /// Of a frame, that a buffer holds.
    pub(super) buffer_bytes: u32,
}

impl Shape {
    /// Buffers as programs have them when nothing else is asked for.
    pub(super) const ORDINARY: Self = Self::of(Size::Ordinary);

    pub(super) const fn of(size: Size) -> Self {
        match size {
            Size::One | Size::Ordinary => Self {
                size,
                packet_buffers: 16_383,
                buffer_bytes: 2048,
            },
            // So many packets fit in little memory if their buffers are short.
            Size::Full => Self {
                size,
                packet_buffers: super::traffic::MANY_PACKETS as u32 + 16_383,
                buffer_bytes: 128,
            },
        }
    }

    /// A buffer with what is in front of the packet.
    pub(super) fn data_room(self) -> u32 {
        self.buffer_bytes + HEADROOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packets_fit_in_the_buffers_and_as_many_are_free_as_else() {
        for size in [Size::One, Size::Ordinary, Size::Full] {
            assert!(Shape::of(size).packet_buffers as usize >= size.packets() + 6000);
        }
        assert_eq!(Shape::of(Size::Full).data_room(), 256);
    }
}

//! What the stages see of a packet.

/// A packet: the bytes of its first segment, which holds all headers that the stages look at, and how many follow in others.
pub trait Packet {
    /// Whether there may be bytes behind the first segment.
    const MAY_GO_ON: bool = false;

    /// The bytes of the first segment, from the destination MAC address on.
    fn first(&mut self) -> &mut [u8];

    /// Bytes in the segments behind it. A constant 0 for packets of one segment costs nothing.
    #[inline(always)]
    fn behind(&self) -> usize {
        0
    }
}

/// A packet of one segment: bursts with others go through the stages as [`dpdk::Chain`].
impl Packet for dpdk::Mbuf {
    #[inline(always)]
    fn first(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl Packet for dpdk::Chain {
    const MAY_GO_ON: bool = true;

    #[inline]
    fn first(&mut self) -> &mut [u8] {
        self.first_mut()
    }

    #[inline]
    fn behind(&self) -> usize {
        dpdk::Chain::behind(self)
    }
}

impl Packet for Vec<u8> {
    fn first(&mut self) -> &mut [u8] {
        self
    }
}

impl<const N: usize> Packet for [u8; N] {
    #[inline(always)]
    fn first(&mut self) -> &mut [u8] {
        self
    }
}

impl Packet for [u8] {
    #[inline(always)]
    fn first(&mut self) -> &mut [u8] {
        self
    }
}

impl<P: Packet + ?Sized> Packet for &mut P {
    const MAY_GO_ON: bool = P::MAY_GO_ON;

    #[inline(always)]
    fn first(&mut self) -> &mut [u8] {
        (**self).first()
    }

    #[inline(always)]
    fn behind(&self) -> usize {
        (**self).behind()
    }
}

//! Packet buffers as the load balancer sees them.

use dpdk::Mbuf;
use lb::Buffer;

/// The first segment of a packet, from its link header on: all headers are in it.
pub(super) struct Frame<'m>(pub(super) &'m mut Mbuf);

impl Buffer for Frame<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.data()
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }

    fn prepend(&mut self, bytes: usize) -> bool {
        self.0.prepend(bytes).is_ok()
    }
}

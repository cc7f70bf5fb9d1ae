//! Packets that are dropped: counted, and shown to captures of drops as they are at that moment, so that what is counted and what is
//! seen cannot part.
//!
//! A packet keeps the link header that it had where it was dropped: that by which it came, or the new one behind the rewrite. What
//! lies in no packet buffer, such as fragments that were given up, is counted alone.

use dpdk::Mbuf;
use shm::attachment::Way;
use shm::{DropReason, PathStage};

use super::Engine;
use crate::attachments::Seen;

impl<F, A> Engine<F, A> {
    /// Drops a packet that `interface` counts and that had come to `stage`. The caller frees it, or makes another of it.
    #[inline]
    pub(super) fn drop_one(&mut self, interface: u16, reason: DropReason, stage: PathStage, mbuf: &mut Mbuf) {
        self.drop_all(interface, reason, stage, std::slice::from_mut(mbuf));
    }

    /// The same for several.
    #[inline]
    pub(super) fn drop_all(
        &mut self,
        interface: u16,
        reason: DropReason,
        stage: PathStage,
        packets: &mut [Mbuf],
    ) {
        self.counters.drop(interface, reason, packets.len() as u64);
        if self.transmit.taps.see(Way::Drop) {
            self.show_dropped(&Seen::dropped(interface, reason, stage), packets);
        }
    }

    #[cold]
    fn show_dropped(&mut self, seen: &Seen, packets: &mut [Mbuf]) {
        self.transmit.taps.observe(seen, packets);
    }
}

impl<F: fib::Storage, A: crate::adjacency::Storage> Engine<F, A> {
    /// The same for a frame that lies in no packet buffer.
    pub(super) fn drop_frame(&mut self, interface: u16, reason: DropReason, stage: PathStage, frame: &[u8]) {
        if !self.transmit.taps.see(Way::Drop) {
            return self.counters.drop(interface, reason, 1);
        }
        match self.filled(interface, &[frame]) {
            Ok(mut copy) => self.drop_one(interface, reason, stage, &mut copy),
            Err(_) => self.counters.drop(interface, reason, 1),
        }
    }
}

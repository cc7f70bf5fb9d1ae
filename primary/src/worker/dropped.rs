//! Packets that are dropped: counted, and shown to captures of drops as they are at that moment, so that what is counted and what is
//! seen cannot part.
//!
//! A packet keeps the link header that it had where it was dropped: that by which it came, or the new one behind the rewrite. What
//! lies in no packet buffer, such as fragments that were given up, is shown in one that is kept for that.

use dpdk::Mbuf;
use reassembly::GivenUp;
use shm::attachment::Way;
use shm::{DropReason, PathStage};

use super::Engine;
use crate::attachments::{Loose, Seen};

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

    /// The same for a frame that lies in no packet buffer.
    pub(super) fn drop_frame(&mut self, interface: u16, reason: DropReason, stage: PathStage, frame: &[u8]) {
        let frame = Loose {
            parts: &[frame],
            mark: None,
        };
        self.drop_loose(interface, reason, stage, &frame);
    }

    /// The same for one that lies in several pieces.
    pub(super) fn drop_loose(
        &mut self,
        interface: u16,
        reason: DropReason,
        stage: PathStage,
        frame: &Loose<'_>,
    ) {
        self.counters.drop(interface, reason, 1);
        self.transmit
            .taps
            .observe_loose(&Seen::dropped(interface, reason, stage), frame);
    }

    /// The same for the bytes that a tool has just answered with, of a packet with this mark or of its own.
    #[cold]
    pub(super) fn drop_answer(
        &mut self,
        interface: u16,
        reason: DropReason,
        mark: Option<u64>,
        length: usize,
    ) {
        self.counters.drop(interface, reason, 1);
        let frame = Loose {
            parts: &[self.consumers.bytes(length)],
            mark,
        };
        let seen = Seen::dropped(interface, reason, PathStage::FromTool);
        self.transmit.taps.observe_loose(&seen, &frame);
    }

    /// The same for fragments that have waited in vain.
    #[cold]
    pub(super) fn drop_given_up(&mut self, lost: &GivenUp<'_>, reason: DropReason) {
        self.counters
            .drop(lost.interface, reason, u64::from(lost.fragments));
        let taps = &mut self.transmit.taps;
        if !taps.see(Way::Drop) {
            return;
        }
        let seen = Seen::dropped(lost.interface, reason, PathStage::Reassembly);
        let mut left = lost.fragments;
        for piece in lost.each() {
            let frame = Loose {
                parts: &piece.parts,
                mark: piece.mark,
            };
            taps.observe_loose(&seen, &frame);
            left = left.saturating_sub(1);
        }
        taps.lose(&seen, left.into());
    }
}

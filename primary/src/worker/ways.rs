//! Counts which way each packet went: the stages that its note has, and where it came from and ended.

use dpdk::MbufBatch;
use shm::{DropReason, Passed, PathStage, Ways};

use super::Engine;
use crate::path::{BURST, Disposition, Note};

/// The stages behind the path that a packet passes before it ends, whether it gets through them or not.
pub(super) fn behind(disposition: Disposition) -> Passed {
    match disposition {
        Disposition::Arp => Passed::NONE.with(PathStage::Arp),
        Disposition::Nd => Passed::NONE.with(PathStage::Nd),
        Disposition::Punt(_) => Passed::NONE.with(PathStage::Punt),
        Disposition::Gather | Disposition::Reassemble => Passed::NONE.with(PathStage::Reassembly),
        Disposition::Fragment(_) => Passed::NONE.with(PathStage::Fragment),
        Disposition::Transmit(_)
        // The stages have noted what it passes.
        | Disposition::Redirect { .. }
        | Disposition::Wait { .. }
        | Disposition::Kernel(_)
        | Disposition::Tunnelled(_)
        | Disposition::TunnelMtu(_)
        | Disposition::Esp
        | Disposition::EspError
        | Disposition::Drop(_) => Passed::NONE,
    }
}

/// The end of a packet that nothing gave back.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// What it passed last.
    pub(super) passed: Passed,
    /// Why it was dropped, if it was.
    pub(super) refused: Option<DropReason>,
}

impl End {
    /// Where it was to go.
    pub(super) fn at(stage: PathStage) -> Self {
        Self {
            passed: Passed::NONE.with(stage),
            refused: None,
        }
    }

    /// Dropped, with what it passed on its way there.
    pub(super) fn dropped(passed: Passed, reason: DropReason) -> Self {
        Self {
            passed,
            refused: Some(reason),
        }
    }
}

impl<F, A> Engine<F, A> {
    /// Counts a burst of `count` usual packets, `six` of them IPv6, that left by one interface, except for those in `full`, which found
    /// no room.
    #[inline(never)]
    pub(super) fn count_together(&self, count: u64, six: u64, full: &MbufBatch<BURST>) {
        let mut ways = Ways::default();
        let (mut four, mut six) = (count - six, six);
        for mbuf in full.iter() {
            // The interface does not matter here.
            let note = Note::usual(0, mbuf.data());
            if note.passed == Passed::USUAL4 {
                four -= 1;
            } else {
                six -= 1;
            }
            let way = note.passed.with(PathStage::Rx).with(PathStage::Drop);
            self.counters.way(&mut ways, way);
        }
        self.counters.usual(four, six);
        self.counters.ways(&ways);
    }

    /// Counts a single packet.
    pub(super) fn count_way(&self, passed: Passed) {
        let mut ways = Ways::default();
        self.counters.way(&mut ways, passed);
        self.counters.ways(&ways);
    }
}

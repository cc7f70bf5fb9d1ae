//! What threads beside the workers drop, the control thread and that of the taps: shown to captures by one more part of each, with which
//! they take turns. Both are in no hurry, and a worker never waits for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk::Mbuf;
use shm::{CounterBlock, DropReason, PathStage};

use super::parts::{Ended, PartControl};
use super::{Loose, Seen, Tap, Taps};

/// The captures of those threads.
#[derive(Clone)]
pub struct Beside(Arc<Mutex<Taps>>);

impl Beside {
    /// With a part of its own in captures.
    pub fn new(taps: Taps) -> Self {
        Self(Arc::new(Mutex::new(taps)))
    }

    fn taps(&self) -> MutexGuard<'_, Taps> {
        // A thread that panics ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a packet that `interface` counts and that had come to `stage` as dropped, and shows it. The caller frees it.
    #[cold]
    pub fn drop_one(
        &self,
        counters: &CounterBlock,
        interface: u16,
        reason: DropReason,
        stage: PathStage,
        mbuf: &mut Mbuf,
    ) {
        counters.drop(interface, reason, 1);
        let mut taps = self.taps();
        taps.observe(
            &Seen::dropped(interface, reason, stage),
            std::slice::from_mut(mbuf),
        );
        taps.publish();
    }

    /// The same for a frame that lies in no packet buffer.
    #[cold]
    pub fn drop_frame(
        &self,
        counters: &CounterBlock,
        interface: u16,
        reason: DropReason,
        stage: PathStage,
        frame: &[u8],
    ) {
        counters.drop(interface, reason, 1);
        let mut taps = self.taps();
        let frame = Loose {
            parts: &[frame],
            mark: None,
        };
        taps.observe_loose(&Seen::dropped(interface, reason, stage), &frame);
        taps.publish();
    }

    /// Ends all captures: the primary ends.
    pub fn stop(&self) {
        self.taps().stop();
    }
}

/// By which the control thread has them take part in captures.
pub struct BesideControl {
    /// The other end of the part that they have.
    pub parts: PartControl<Tap>,
    /// They.
    pub taps: Beside,
}

impl BesideControl {
    /// Has them take part, from now on; `false` when there is no room.
    pub(super) fn add(&self, tap: Tap) -> bool {
        let added = self.parts.add(tap);
        self.taps.taps().serve();
        added
    }

    /// Has them take no part any more.
    pub(super) fn remove(&self, id: u32) {
        self.parts.remove(id);
        self.taps.taps().serve();
    }

    pub(super) fn take_ended(&self) -> Option<Ended<Tap>> {
        self.parts.take_ended()
    }
}

//! Wakes a tool that sleeps on its attachment, from another thread of the tool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::memory::Memory;

/// Wakes who sleeps in [`super::PuntEnd::wait`], as a packet of the primary's does. Clones wake the same tool.
#[derive(Clone)]
pub struct Waker {
    memory: Arc<Memory>,
    rung: Arc<AtomicBool>,
}

impl Waker {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self {
            memory: memory.clone(),
            rung: Arc::default(),
        }
    }

    /// Wakes the tool. If it is awake, its next sleep ends at once.
    pub fn wake(&self) {
        self.rung.store(true, Ordering::Release);
        self.memory.wake();
    }

    /// Whether it was woken since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.is_rung() && self.rung.swap(false, Ordering::Acquire)
    }

    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }
}

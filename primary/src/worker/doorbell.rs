//! Wakes the control thread: an eventfd that is written only when the control thread sleeps.
//!
//! The control thread sets the flag, looks at its rings once more, then polls. A worker fills a ring, then looks at the
//! flag. Both have a full fence in between, so at least one of them sees what the other did.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A worker's end.
#[derive(Clone)]
pub struct Doorbell(Arc<Inner>);

/// The control thread's end.
pub struct Sleeper(Arc<Inner>);

struct Inner {
    asleep: AtomicBool,
    event: EventFd,
}

/// Both ends.
pub fn pair() -> nix::Result<(Doorbell, Sleeper)> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let inner = Arc::new(Inner {
        asleep: AtomicBool::new(false),
        event,
    });
    Ok((Doorbell(inner.clone()), Sleeper(inner)))
}

impl Doorbell {
    /// Call after something was put into a ring: a system call only if the control thread sleeps.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::Relaxed) {
            // Fails only when the counter is full, and then it wakes as well.
            let _ = self.0.event.write(1);
        }
    }
}

impl Sleeper {
    /// Says that the thread is about to sleep. It must look at its rings once more before it does.
    pub fn about_to_sleep(&self) {
        self.0.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the thread is awake.
    pub fn awake(&self) {
        self.0.asleep.store(false, Ordering::Relaxed);
        // EAGAIN when nobody rang.
        let _ = self.0.event.read();
    }

    /// What to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, poll};

    fn rings(sleeper: &Sleeper) -> bool {
        poll(&mut [PollFd::new(sleeper.descriptor(), PollFlags::POLLIN)], 0u8).unwrap() == 1
    }

    #[test]
    fn only_a_sleeper_is_woken() {
        let (doorbell, sleeper) = pair().unwrap();
        doorbell.ring();
        assert!(!rings(&sleeper));
        sleeper.about_to_sleep();
        doorbell.ring();
        assert!(rings(&sleeper));
        sleeper.awake();
        assert!(!rings(&sleeper));
    }
}

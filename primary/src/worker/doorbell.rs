//! Wakes the control thread: an eventfd that is written only when the control thread sleeps. And says whether it may have changed
//! tables.
//!
//! The control thread sets the flag, looks at its rings once more, then polls. A worker fills a ring, then looks at the
//! flag. Both have a full fence in between, so at least one of them sees what the other did.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A worker's end.
#[derive(Clone)]
pub struct Doorbell(Arc<Inner>);

/// The control thread's end.
pub struct Sleeper(Arc<Inner>);

struct Inner {
    asleep: AtomicBool,
    event: EventFd,
    /// Even from where the thread is about to sleep to where it is awake.
    turns: AtomicU64,
}

/// Both ends.
pub fn pair() -> nix::Result<(Doorbell, Sleeper)> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let inner = Arc::new(Inner {
        asleep: AtomicBool::new(false),
        event,
        turns: AtomicU64::new(1),
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

    /// A number that is even while the thread sleeps and another one after each sleep: where it was even and still is the same,
    /// no table has changed in between. Who has seen a change in a table sees no older number than the one of that change.
    #[inline]
    pub fn turns(&self) -> u64 {
        // Acquire: whoever sees that a turn is over sees all of its changes.
        self.0.turns.load(Ordering::Acquire)
    }
}

impl Sleeper {
    /// Says that the thread is about to sleep. It must look at its rings once more before it does.
    pub fn about_to_sleep(&self) {
        self.0.turns.fetch_add(1, Ordering::Release);
        self.0.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the thread is awake.
    pub fn awake(&self) {
        // Before any change that is published with Release.
        self.0.turns.fetch_add(1, Ordering::Relaxed);
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

    #[test]
    fn each_sleep_has_an_even_number_of_its_own() {
        let (doorbell, sleeper) = pair().unwrap();
        let mut seen = vec![doorbell.turns()];
        for _ in 0..2 {
            sleeper.about_to_sleep();
            seen.push(doorbell.turns());
            sleeper.awake();
            seen.push(doorbell.turns());
        }
        assert!(seen.is_sorted_by(|one, next| one + 1 == *next), "{seen:?}");
        assert_eq!(seen[1] % 2, 0);
    }
}

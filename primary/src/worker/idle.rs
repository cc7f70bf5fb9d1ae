//! What a worker does when there is nothing to do: spin, then pause, then sleep for longer and longer.

use std::time::Duration;

use fib::quiescence::Checkpoint;
use shm::records::IdlePolicy;

/// Rounds without packets before the worker pauses between rounds.
const SPIN: u32 = 256;
/// Rounds without packets before it sleeps.
const PAUSE: u32 = 1024;
/// The first sleep; each further one is half as long again.
const FIRST_SLEEP: Duration = Duration::from_micros(2);
/// The longest sleep.
const LONGEST_SLEEP: Duration = Duration::from_micros(200);
/// The longest sleep while somebody captures: packets have the time at which they are seen.
const LONGEST_SLEEP_WATCHED: Duration = Duration::from_micros(20);

pub(super) struct Idle {
    policy: IdlePolicy,
    empty_rounds: u32,
    sleep: Duration,
}

impl Idle {
    pub(super) fn new(policy: IdlePolicy) -> Self {
        // The default slack of 50 µs would make every short sleep that much longer. Where it cannot be set, sleeps are
        // longer and nothing else changes.
        let _ = nix::sys::prctl::set_timerslack(1);
        Self {
            policy,
            empty_rounds: 0,
            sleep: FIRST_SLEEP,
        }
    }

    /// Ends a round in which `moved` packets moved, `watched` by captures or not; returns whether the worker slept.
    #[inline]
    pub(super) fn round(&mut self, moved: usize, watched: bool, checkpoint: &mut Checkpoint) -> bool {
        if moved > 0 {
            self.empty_rounds = 0;
            self.sleep = FIRST_SLEEP;
            return false;
        }
        self.policy == IdlePolicy::Adaptive && self.back_off(watched, checkpoint)
    }

    fn back_off(&mut self, watched: bool, checkpoint: &mut Checkpoint) -> bool {
        self.empty_rounds = self.empty_rounds.saturating_add(1);
        match self.empty_rounds {
            0..SPIN => false,
            SPIN..PAUSE => {
                dpdk::pause();
                false
            }
            _ => {
                // Offline: nothing that is retired meanwhile waits for this worker.
                let offline = checkpoint.offline();
                let longest = if watched {
                    LONGEST_SLEEP_WATCHED
                } else {
                    LONGEST_SLEEP
                };
                self.sleep = self.sleep.min(longest);
                std::thread::sleep(self.sleep);
                offline.online();
                self.sleep = self.sleep * 3 / 2;
                true
            }
        }
    }
}

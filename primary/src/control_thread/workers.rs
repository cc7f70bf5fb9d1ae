//! What workers are asked to do, and waiting for it: who is answered may count on it.

use std::time::{Duration, Instant};

use control::message::{Answer, ControlError, ErrorCode, Reply};

use super::Control;

/// How long an answer waits for workers. They look in each round or every thousand, and before they sleep for less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(200);

/// Waits until workers have done something; `false` if they have not for so long that the answer goes without it.
pub(super) fn settle(mut is_done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

impl Control<'_> {
    /// Has workers begin what they show as their longest round anew, and waits until they have.
    pub(super) fn workers_zero(&self) -> Answer {
        self.anew.iter().for_each(crate::worker::LongestAnew::ask);
        let mut slow = None;
        settle(|| {
            slow = self.anew.iter().position(|worker| !worker.is_done());
            slow.is_none()
        });
        if let Some(slow) = slow {
            let sentence =
                format!("worker {slow} has not begun anew yet, and will: it has much to do, or no processor");
            return Err(ControlError::new(ErrorCode::Busy, sentence));
        }
        Ok(Reply::Done)
    }
}

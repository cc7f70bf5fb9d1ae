//! What workers are asked to do.

use std::time::{Duration, Instant};

use control::message::{Answer, ControlError, ErrorCode, Reply};

use super::Control;

/// How long an answer waits for workers. They look every thousand rounds, and before they sleep.
const PATIENCE: Duration = Duration::from_millis(200);

impl Control<'_> {
    /// Has workers begin what they show as their longest round anew, and waits until they have.
    pub(super) fn workers_zero(&self) -> Answer {
        self.anew.iter().for_each(crate::worker::LongestAnew::ask);
        let until = Instant::now() + PATIENCE;
        while let Some(slow) = self.anew.iter().position(|worker| !worker.is_done()) {
            if Instant::now() > until {
                let sentence = format!(
                    "worker {slow} has not begun anew yet, and will: it has much to do, or no processor"
                );
                return Err(ControlError::new(ErrorCode::Busy, sentence));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(Reply::Done)
    }
}

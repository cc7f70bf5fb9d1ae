//! A capture, from the tool's side: begun over the control socket, fed through shared memory.

use std::thread;
use std::time::{Duration, Instant};

use shm::attachment::ToolEnd;
pub use shm::attachment::{Counts, Dropped, Packet, Way};
pub use shm::{DropReason, PathStage};

pub use crate::attached::AttachmentError as CaptureError;
use crate::attached::{Attached, LOOK, unexpected};
use crate::instance::InstanceDir;
use crate::message::{CaptureInterface, CaptureRequest, ControlError, Reply, Request};

/// How long the workers of a primary may take to end a capture; they do it between two bursts.
const END: Duration = Duration::from_secs(1);

/// Whoever has just had packets looks for more by himself: to be woken costs the worker a system call, thousands of cycles for each time.
const NAP: Duration = Duration::from_micros(50);
/// Without packets for so long he waits to be woken.
const AWAKE: Duration = Duration::from_millis(2);
/// With fewer slots than this for each worker a nap is too long: they may be full before it is over.
const NAP_SLOTS: u32 = 2048;

/// A capture on a primary. It ends when this is dropped.
pub struct Capture {
    attached: Attached,
    end: ToolEnd,
    stopped: bool,
    /// When there were packets last.
    taken: Option<Instant>,
}

impl Capture {
    /// Connects to the primary of an instance as `tool` and begins a capture.
    pub fn start(directory: &InstanceDir, tool: &str, request: CaptureRequest) -> Result<Self, ControlError> {
        let (attached, [packets, rings]) = Attached::start(
            directory,
            tool,
            Request::CaptureStart(request),
            |reply| match reply {
                Reply::CaptureStarted(started) => Ok(started),
                other => Err(other),
            },
        )?;
        let end = ToolEnd::open(packets, rings).map_err(|error| unexpected(&error.to_string()))?;
        Ok(Self {
            attached,
            end,
            stopped: false,
            taken: None,
        })
    }

    /// The interfaces that packets come from.
    pub fn interfaces(&self) -> &[CaptureInterface] {
        self.attached.interfaces()
    }

    /// Takes what packets there are, the oldest first, and waits at most `timeout` for the first. Gives how many were taken, at
    /// most some hundreds.
    pub fn receive(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Packet<'_>),
    ) -> Result<usize, CaptureError> {
        let deadline = Instant::now() + timeout;
        loop {
            // Looked at before the rings: what was put in until the end is handed out first.
            let over = self.end.has_ended() || self.attached.is_closed();
            let taken = self
                .end
                .receive(take)
                .map_err(|error| self.attached.damaged(&error.to_string()))?;
            let now = Instant::now();
            if taken > 0 {
                self.taken = Some(now);
                return Ok(taken);
            }
            let left = deadline.saturating_duration_since(now);
            if over {
                return if self.stopped {
                    Ok(0)
                } else {
                    Err(self.attached.ended())
                };
            }
            if left.is_zero() {
                return Ok(0);
            }
            let is_awake = self.taken.is_some_and(|taken| now.duration_since(taken) < AWAKE);
            if is_awake && self.end.slots() >= NAP_SLOTS {
                thread::sleep(left.min(NAP));
            } else {
                self.end.wait(left.min(LOOK));
            }
        }
    }

    /// Returns when no more packets are put in. [`Capture::receive`] gives those that are in, then 0 at once.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        // A primary that does not answer any more puts nothing in either.
        if self.attached.call(Request::CaptureStop).is_ok() {
            let deadline = Instant::now() + END;
            while !self.end.has_ended() && !self.attached.is_closed() && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// What the primary has counted.
    pub fn counts(&self) -> Counts {
        self.end.counts()
    }
}

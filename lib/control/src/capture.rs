//! A capture, from the tool's side: begun over the control socket, fed through shared memory.

use std::thread;
use std::time::{Duration, Instant};

use shm::attachment::ToolEnd;
pub use shm::attachment::{Counts, Packet, Way};
use shm::{DiscoveryReader, InstanceState};

use crate::client::Client;
use crate::instance::InstanceDir;
use crate::message::{CaptureInterface, CaptureRequest, ControlError, ErrorCode, Reply, Request};

/// How often a tool that sleeps looks whether its primary still lives.
const LOOK: Duration = Duration::from_millis(50);
/// How long the workers of a primary may take to end a capture; they do it between two bursts.
const END: Duration = Duration::from_secs(1);

/// A capture on a primary. It ends when this is dropped.
pub struct Capture {
    client: Client,
    end: ToolEnd,
    interfaces: Vec<CaptureInterface>,
    directory: InstanceDir,
    stopped: bool,
}

/// Why a capture ended without having been told to. What was in it has been handed out before.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The primary is gone, or goes.
    #[error("the primary of '{0}' ended")]
    PrimaryEnded(String),
    /// The primary lives and has ended the attachment.
    #[error("the primary of '{0}' ended this capture: its log says why")]
    CutOff(String),
    /// The shared memory says what cannot be.
    #[error("the memory shared with the primary of '{instance}' is damaged: {problem}")]
    Damaged {
        /// Name of the instance.
        instance: String,
        /// What was found.
        problem: String,
    },
}

impl Capture {
    /// Connects to the primary of an instance as `tool` and begins a capture.
    pub fn start(directory: &InstanceDir, tool: &str, request: CaptureRequest) -> Result<Self, ControlError> {
        let mut client = Client::connect(directory, tool)?;
        let mut descriptors = Vec::new();
        let started = match client.call_with(Request::CaptureStart(request), &mut descriptors)? {
            Reply::CaptureStarted(started) => started,
            other => return Err(unexpected(&format!("{other:?}"))),
        };
        let Ok([packets, rings]) = <[_; 2]>::try_from(descriptors) else {
            return Err(unexpected("a capture without its memory"));
        };
        let end = ToolEnd::open(packets, rings).map_err(|error| unexpected(&error.to_string()))?;
        Ok(Self {
            client,
            end,
            interfaces: started.interfaces,
            directory: directory.clone(),
            stopped: false,
        })
    }

    /// The interfaces that packets come from.
    pub fn interfaces(&self) -> &[CaptureInterface] {
        &self.interfaces
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
            let over = self.end.has_ended() || self.client.is_closed();
            let taken = self.end.receive(take).map_err(|error| CaptureError::Damaged {
                instance: self.directory.name().to_string(),
                problem: error.to_string(),
            })?;
            let left = deadline.saturating_duration_since(Instant::now());
            if taken > 0 {
                return Ok(taken);
            }
            if over {
                return if self.stopped { Ok(0) } else { Err(self.ended()) };
            }
            if left.is_zero() {
                return Ok(0);
            }
            self.end.wait(left.min(LOOK));
        }
    }

    fn ended(&self) -> CaptureError {
        let name = self.directory.name().to_string();
        // A primary says that it ends before its workers do; a dead one has lost its lock.
        let forwards = DiscoveryReader::read(&self.directory.segment())
            .is_some_and(|page| page.state == Some(InstanceState::Ready));
        if forwards && self.directory.is_alive().unwrap_or(false) {
            CaptureError::CutOff(name)
        } else {
            CaptureError::PrimaryEnded(name)
        }
    }

    /// Returns when no more packets are put in. [`Capture::receive`] gives those that are in, then 0 at once.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        // A primary that does not answer any more puts nothing in either.
        if self.client.call(Request::CaptureStop).is_ok() {
            let deadline = Instant::now() + END;
            while !self.end.has_ended() && !self.client.is_closed() && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// What the primary has counted.
    pub fn counts(&self) -> Counts {
        self.end.counts()
    }
}

fn unexpected(what: &str) -> ControlError {
    ControlError::new(
        ErrorCode::VersionMismatch,
        format!(
            "the primary answered what this tool does not expect ({what}): use tools of the primary's build"
        ),
    )
}

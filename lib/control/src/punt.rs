//! An attachment by which a tool takes packets that the primary leaves to it, decides about them, and sends some of its own.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use shm::attachment::PuntEnd;
pub use shm::attachment::{Answer, Counts, Packet, Punted, Stage, Waker};

use crate::attached::Attached;
pub use crate::attached::AttachmentError;
use crate::instance::InstanceDir;
use crate::message::{CaptureInterface, ControlError, PuntRequest, Reply, Request};

/// Packets of some classes, on their way to this tool. It ends when this is dropped.
pub struct Punts {
    attached: Attached,
    end: PuntEnd,
    /// When it was last asked whether the connection is closed: a system call, which a tool that polls has no time for.
    looked: Instant,
}

/// How often that is asked while the tool does not sleep.
const CLOSED_LOOK: Duration = Duration::from_millis(10);

impl Punts {
    /// Connects to the primary of an instance as `tool` and takes or watches the packets of some classes.
    pub fn start(directory: &InstanceDir, tool: &str, request: PuntRequest) -> Result<Self, ControlError> {
        let (attached, [packets, rings]) = Attached::start(
            directory,
            tool,
            Request::PuntStart(request),
            |reply| match reply {
                Reply::PuntStarted(started) => Ok(started),
                other => Err(other),
            },
        )?;
        let end =
            PuntEnd::open(packets, rings).map_err(|error| crate::attached::unexpected(&error.to_string()))?;
        Ok(Self {
            attached,
            end,
            looked: Instant::now(),
        })
    }

    /// The interfaces of the primary; packets carry their index.
    pub fn interfaces(&self) -> &[CaptureInterface] {
        self.attached.interfaces()
    }

    /// What wakes this tool from other threads: [`Punts::receive`] returns then.
    pub fn waker(&self) -> Waker {
        self.end.waker()
    }

    /// Has [`Punts::receive`] sleep as soon as there is nothing; [`PuntEnd::sleep_at_once`].
    pub fn sleep_at_once(&mut self) {
        self.end.sleep_at_once();
    }

    /// The longest frame that can be answered with or sent, bytes.
    pub fn longest(&self) -> usize {
        self.end.longest()
    }

    /// Asks the primary for something by the connection of this attachment.
    ///
    /// # Errors
    ///
    /// The primary refuses, or is gone.
    pub fn call(&mut self, request: Request) -> Result<Reply, ControlError> {
        self.attached.call(request)
    }

    /// Has the primary hold memory for the tool after this one: [`Request::MemoryHold`].
    ///
    /// # Errors
    ///
    /// The primary refuses it, or is gone.
    pub fn hold(&mut self, memory: OwnedFd) -> Result<(), ControlError> {
        self.attached.call_handing(Request::MemoryHold, memory).map(drop)
    }

    /// The memory that the primary holds for this tool, if it does: [`Request::MemoryHeld`].
    ///
    /// # Errors
    ///
    /// The primary refuses, or is gone.
    pub fn held(&mut self) -> Result<Option<OwnedFd>, ControlError> {
        let mut descriptors = Vec::new();
        match self.attached.call_with(Request::MemoryHeld, &mut descriptors)? {
            Reply::Held(false) => Ok(None),
            Reply::Held(true) if descriptors.len() == 1 => Ok(descriptors.pop()),
            _ => Err(crate::attached::unexpected("no memory that was held")),
        }
    }

    /// Takes what packets there are and waits at most `timeout` for the first, or until its waker is used. Gives how many were taken.
    pub fn receive(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(Punted, &Packet<'_>),
    ) -> Result<usize, AttachmentError> {
        let mut now = Instant::now();
        let deadline = now + timeout;
        loop {
            let over = self.end.has_ended() || self.is_closed(now);
            let taken = self
                .end
                .receive(take)
                .map_err(|error| self.attached.damaged(&error.to_string()))?;
            if taken > 0 {
                return Ok(taken);
            }
            if over {
                return Err(self.attached.ended());
            }
            now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() || self.end.was_woken() {
                return Ok(0);
            }
            self.end.wait(left.min(crate::attached::LOOK));
        }
    }

    /// Whether the connection is closed, as far as that is known: it is asked every 10 ms.
    fn is_closed(&mut self, now: Instant) -> bool {
        if now.duration_since(self.looked) < CLOSED_LOOK {
            return false;
        }
        self.looked = now;
        self.attached.is_closed()
    }

    /// Answers about a packet; [`PuntEnd::answer`].
    pub fn answer(&mut self, punted: Punted, answer: Answer<'_>) -> bool {
        self.end.answer(punted, answer)
    }

    /// Sends a frame of the tool's own; [`PuntEnd::send`].
    pub fn send(&mut self, stage: Stage, interface: u16, frame: &[u8]) -> bool {
        self.end.send(stage, interface, frame)
    }

    /// Shows the primary what was answered and sent: once per burst.
    pub fn flush(&mut self) {
        self.end.flush();
    }

    /// What the primary has counted.
    pub fn counts(&self) -> Counts {
        self.end.counts()
    }
}

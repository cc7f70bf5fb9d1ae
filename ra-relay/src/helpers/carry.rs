//! Carries questions to a helper and its answers back, over whatever it is connected by.
//!
//! A pipe holds hundreds of messages, and a slow helper would spend its time on packets that nobody waits for any more. So only a few are
//! written before they are answered, fewer after an answer that came too late and more after one in time; and questions that would be
//! answered too late, by how long answers have taken, are passed over for later ones.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ra_helper::frame::{Answer, FrameError, LONGEST, Messages};

use super::Decision;
use super::serve::State;

/// Questions that are written and not answered, at most.
const WINDOW: usize = 32;
/// How long after its deadline an answer is still counted on.
const GRACE: Duration = Duration::from_secs(1);
/// How long a child has to end when its input does.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// A question on its way.
pub(super) struct Asked {
    pub(super) id: u64,
    /// When nobody waits for an answer any more.
    pub(super) deadline: Instant,
    pub(super) message: Vec<u8>,
}

/// A connection to a helper; reading and writing do not block.
pub(super) struct Connection {
    pub(super) input: Option<File>,
    pub(super) output: Option<File>,
    /// Whether messages are kept apart, as on a socket, and not one stream.
    pub(super) is_message_wise: bool,
    /// The helper, where it is a child.
    pub(super) child: Option<Child>,
    /// What it is, for people.
    pub(super) shown: String,
}

impl Connection {
    /// Hangs up, and sees to it that a child ends; says how it did.
    pub(super) fn end(mut self) -> Option<String> {
        (self.input, self.output) = (None, None);
        let mut child = self.child.take()?;
        let until = Instant::now() + LAST_SECOND;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status.to_string()),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                _ => break,
            }
        }
        // It closed its output and lives on, or does not end when its input does.
        let _ = child.kill();
        child.wait().ok().map(|status| status.to_string())
    }
}

/// Why nothing is carried any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The thread is to end.
    #[error("it is not needed any more")]
    Told,
    /// The helper has gone.
    #[error("it hung up")]
    HangUp,
    /// It cannot be read from or written to.
    #[error("it cannot be talked to: {0}")]
    Io(#[from] io::Error),
    /// What it says makes no sense.
    #[error("it was cut off, since it sent {0}")]
    Frame(#[from] FrameError),
    /// It answers what nobody asked.
    #[error("it was cut off, since it answered question {0}, which was not asked")]
    NotAsked(u64),
    /// On a socket each message is whole.
    #[error("it was cut off, since it sent part of a message")]
    Part,
}

impl Ended {
    pub(super) fn is_hang_up(&self) -> bool {
        match self {
            Self::HangUp => true,
            Self::Io(error) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

/// Carries until something ends it.
pub(super) fn carry(
    connection: &mut Connection,
    asked: &Receiver<Asked>,
    rung: &UnixStream,
    state: &State,
    answer: &dyn Fn(u64, Decision),
) -> Ended {
    let mut carrier = Carrier {
        written: VecDeque::with_capacity(WINDOW),
        window: WINDOW,
        took: Duration::ZERO,
        outgoing: None,
        messages: Messages::default(),
        buffer: vec![0; LONGEST],
    };
    let (Some(input), Some(output)) = (&connection.input, &connection.output) else {
        return Ended::HangUp;
    };
    loop {
        let now = Instant::now();
        if let Err(ended) = carrier.write(output, asked, now) {
            return ended;
        }
        let mut wanted = vec![(input.as_fd(), PollFlags::POLLIN)];
        if carrier.outgoing.is_some() {
            wanted.push((output.as_fd(), PollFlags::POLLOUT));
        }
        wait_for(&wanted, rung, carrier.patience(now));
        let _ = (&*rung).read(&mut [0; 64]);
        if state.ends() {
            return Ended::Told;
        }
        if let Err(ended) = carrier.read(input, connection.is_message_wise, state, answer) {
            return ended;
        }
    }
}

/// Waits until one of `wanted` is ready, or the bell was rung, or `patience` is over.
pub(super) fn wait_for(
    wanted: &[(BorrowedFd<'_>, PollFlags)],
    rung: &UnixStream,
    patience: Option<Duration>,
) {
    let bell = (rung.as_fd(), PollFlags::POLLIN);
    let mut descriptors: Vec<_> = wanted
        .iter()
        .chain([&bell])
        .map(|(descriptor, flags)| PollFd::new(*descriptor, *flags))
        .collect();
    // A millisecond more, so that what is waited for is over then.
    let timeout = match patience {
        Some(patience) => PollTimeout::try_from(patience.as_millis() + 1).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    // Interrupted, the caller looks and comes back.
    let _ = poll(&mut descriptors, timeout);
}

/// A question that is written.
struct Written {
    id: u64,
    deadline: Instant,
    /// When it was.
    since: Instant,
}

struct Carrier {
    /// Questions that are written and not answered.
    written: VecDeque<Written>,
    /// How many of these there may be, 1 to [`WINDOW`].
    window: usize,
    /// How long answers have taken lately.
    took: Duration,
    /// What is being written, and how much of it is.
    outgoing: Option<(Asked, usize)>,
    messages: Messages,
    buffer: Vec<u8>,
}

impl Carrier {
    /// Writes what can be written.
    fn write(&mut self, mut output: &File, asked: &Receiver<Asked>, now: Instant) -> Result<(), Ended> {
        loop {
            self.written.retain(|written| written.deadline + GRACE > now);
            if self.outgoing.is_none() {
                if self.written.len() >= self.window {
                    return Ok(());
                }
                let Some(next) = self.next(asked, now) else {
                    return Ok(());
                };
                self.outgoing = Some((next, 0));
            }
            let Some((asked, done)) = &mut self.outgoing else {
                return Ok(());
            };
            match output.write(asked.message.get(*done..).unwrap_or_default()) {
                Ok(length) => *done += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if *done >= asked.message.len() {
                self.written.push_back(Written {
                    id: asked.id,
                    deadline: asked.deadline,
                    since: now,
                });
                self.outgoing = None;
            }
        }
    }

    /// The next question that will be answered in time. Where none will, the helper gets the last one all the same if it has nothing else:
    /// it may be faster now.
    fn next(&self, asked: &Receiver<Asked>, now: Instant) -> Option<Asked> {
        let answered = now + self.took;
        let mut last = None;
        for next in asked.try_iter().filter(|next| next.deadline > now) {
            if next.deadline > answered {
                return Some(next);
            }
            last = Some(next);
        }
        last.filter(|_| self.written.is_empty())
    }

    /// Reads what there is to read, and hands the answers out.
    fn read(
        &mut self,
        mut input: &File,
        is_message_wise: bool,
        state: &State,
        answer: &dyn Fn(u64, Decision),
    ) -> Result<(), Ended> {
        loop {
            let length = match input.read(&mut self.buffer) {
                Ok(0) => return Err(Ended::HangUp),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Ended::HangUp),
                Err(error) => return Err(error.into()),
            };
            self.messages.push(self.buffer.get(..length).unwrap_or_default());
            while let Some(message) = self.messages.take()? {
                let Answer { id, verdict } = Answer::decode(message)?;
                if id > state.asked() || id == 0 {
                    return Err(Ended::NotAsked(id));
                }
                let decision = Decision::from(verdict);
                self.answered(id);
                answer(id, decision);
            }
            if is_message_wise && self.messages.has_rest() {
                return Err(Ended::Part);
            }
        }
    }

    /// Makes the window fit how fast answers come.
    fn answered(&mut self, id: u64) {
        let place = self.written.iter().position(|written| written.id == id);
        if let Some(written) = place.and_then(|place| self.written.remove(place)) {
            let now = Instant::now();
            // Half of what it was and half of what it is now, and some more to be on the safe side.
            self.took = (self.took + (now - written.since).mul_f32(1.25)) / 2;
            self.window = if now > written.deadline {
                (self.window / 2).max(1)
            } else {
                (self.window + 1).min(WINDOW)
            };
        }
    }

    /// How long until there is something to do by itself: room for the next question.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let first = self.written.iter().map(|written| written.deadline).min();
        first.map(|deadline| (deadline + GRACE).saturating_duration_since(now))
    }
}

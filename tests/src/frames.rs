//! Frames as they are on a link: made by scapy, and whatever comes in by one.
//!
//! The programs are Python's, in `tests/frames`: what reads and makes the packets here has no line in common with the
//! gateway.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::{Error, Namespace, Process};

/// The one that Debian's scapy is installed for.
const PYTHON: &str = "/usr/bin/python3";
const SCAPY: &str = include_str!("../frames/scapy_frames.py");
const LISTEN: &str = include_str!("../frames/listen.py");
/// Python starts in tenths of a second, scapy in one.
const LIMIT: Duration = Duration::from_secs(60);

/// What [`Namespace::send_frames`] sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The frames, from the destination MAC address on.
    pub frames: Vec<Vec<u8>>,
    /// How long the sending took.
    pub seconds: f64,
}

/// What scapy_frames.py answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Made { frames: Vec<String>, seconds: f64 },
    Wrong { error: String },
}

impl Namespace {
    /// Sends frames out of `interface`, each given as an expression of scapy for a frame or a list of them.
    ///
    /// # Errors
    /// scapy is not installed, or an expression is wrong.
    pub fn send_frames(&self, interface: &str, expressions: &[String]) -> Result<Sent, Error> {
        self.ask_scapy(Some(interface), expressions)
    }

    /// The bytes of packets, each given as an expression of scapy for one or a list of them; nothing is sent.
    ///
    /// # Errors
    /// As [`Namespace::send_frames`].
    pub fn make_packets(&self, expressions: &[String]) -> Result<Vec<Vec<u8>>, Error> {
        self.ask_scapy(None, expressions).map(|made| made.frames)
    }

    fn ask_scapy(&self, link: Option<&str>, expressions: &[String]) -> Result<Sent, Error> {
        let mut place = self.scapy();
        let mut scapy = match place.take() {
            Some(scapy) => scapy,
            None => self
                .process("makes frames", PYTHON)
                .args(["-I", "-c", SCAPY])
                .with_stdin()
                .start()?,
        };
        let asked = json!({ "link": link, "expressions": expressions });
        let line = scapy.ask(&asked.to_string(), "what it made", LIMIT)?;
        let unreadable = |reason: String| Error::Answer {
            process: "scapy_frames.py".to_owned(),
            reason,
        };
        let answer = serde_json::from_str(&line).map_err(|error| unreadable(format!("{error}: {line}")))?;
        *place = Some(scapy);
        match answer {
            Answer::Made { frames, seconds } => {
                let frames: Option<_> = frames.iter().map(|frame| unhex(frame)).collect();
                let frames = frames.ok_or_else(|| unreadable(format!("no hex: {line}")))?;
                Ok(Sent { frames, seconds })
            }
            Answer::Wrong { error } => Err(unreadable(error)),
        }
    }
}

/// Listens to all that comes in by a link.
#[derive(Debug)]
pub struct Listener {
    process: Mutex<Process>,
    /// How often it was asked whether it has read all.
    asked: AtomicU32,
}

impl Listener {
    /// Starts to listen.
    ///
    /// # Errors
    /// Python is not installed, or there is no such link.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Self, Error> {
        let mut process = namespace
            .process("listens on a link", PYTHON)
            .args(["-I", "-c", LISTEN, interface])
            .with_stdin()
            .start()?;
        process.wait_for_stderr("`ready`", LIMIT, |line| line == "ready")?;
        Ok(Self {
            process: Mutex::new(process),
            asked: AtomicU32::new(0),
        })
    }

    /// Waits for a frame that satisfies `is_it`, or finds it among those that have come; `expected` says it in words.
    ///
    /// # Errors
    /// None came within `limit`.
    pub fn wait_for(
        &mut self,
        expected: &str,
        limit: Duration,
        is_it: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Error> {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let found = process.wait_for_stdout(expected, limit, |line| {
            unhex(line).is_some_and(|frame| is_it(&frame))
        });
        found.map(|line| unhex(&line).unwrap_or_default())
    }

    /// All frames that have come, in their order: each that was on the link when this was called is among them.
    ///
    /// # Panics
    /// It has ended, or does not answer.
    #[allow(
        clippy::panic,
        reason = "for tests alone, which end where something is not as expected"
    )]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let word = format!("all read {}", self.asked.fetch_add(1, Ordering::Relaxed));
        process.say(&word);
        if let Err(error) = process.wait_for_stdout(&word, LIMIT, |line| line == word) {
            panic!("{error}");
        }
        process.stdout().lines().filter_map(unhex).collect()
    }
}

/// The bytes of a line of hex; None for anything else, such as a line that is not complete.
fn unhex(line: &str) -> Option<Vec<u8>> {
    let digits = line.as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Privilege;

    #[test]
    fn what_scapy_sends_is_heard_at_the_other_end() {
        let a = Namespace::create(Privilege::detect(), "a").unwrap();
        let b = Namespace::create(Privilege::detect(), "b").unwrap();
        a.connect("eth0", &b, "eth0").unwrap();
        let mut listener = Listener::start(&b, "eth0").unwrap();
        let expressions = [
            "Ether(dst='02:00:00:00:00:99', src='02:00:00:00:00:98')/IP(src='192.0.2.1', dst='192.0.2.2')/UDP(sport=1, dport=2)/b'x'",
            "[Ether(dst='02:00:00:00:00:99', src='02:00:00:00:00:98', type=0x88b5)/Raw(bytes([n])) for n in range(3)]",
        ];
        let sent = a.send_frames("eth0", &expressions.map(str::to_owned)).unwrap();
        assert_eq!((sent.frames.len(), sent.frames[0].len()), (4, 14 + 20 + 8 + 1));
        let last = listener
            .wait_for("the last frame", LIMIT, |frame| frame.ends_with(&[0x88, 0xb5, 2]))
            .unwrap();
        assert_eq!(Some(&last), sent.frames.last());
        assert_eq!(listener.frames(), sent.frames);
        // An expression that is wrong is quoted, and what made it goes on.
        let wrong = a.send_frames("eth0", &["Ether(".to_owned()]).unwrap_err();
        assert!(wrong.to_string().contains("SyntaxError"), "{wrong}");
        let made = a.make_packets(&expressions.map(str::to_owned)).unwrap();
        assert_eq!(made, sent.frames);
        assert_eq!(listener.frames().len(), 4, "they were not sent again");
    }

    #[test]
    fn hex_is_read_and_nothing_else() {
        assert_eq!(unhex("00ffA1"), Some(vec![0, 0xff, 0xa1]));
        assert_eq!(unhex("123"), None);
        assert_eq!(unhex("0x"), None);
    }
}

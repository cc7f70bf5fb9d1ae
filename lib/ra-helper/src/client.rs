//! The helper's end: packets one after the other, and what becomes of each.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::frame::{Answer, Family, FrameError, LONGEST, Messages, Question, Verdict};

/// A packet that the relay waits for an answer about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The number that the answer has to have.
    pub id: u64,
    /// When it came: nanoseconds since 1970, UTC.
    pub time_ns: u64,
    /// The value of its router alert.
    pub value: u16,
    /// Its family.
    pub family: Family,
    /// The interface that it came by.
    pub interface: String,
    /// The rule that it fits.
    pub rule: String,
    /// The packet, from the IP header on.
    pub data: Vec<u8>,
}

/// Why a helper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The relay cannot be read from or written to.
    #[error("cannot talk to the relay: {0}")]
    Io(#[from] io::Error),
    /// The relay said what this client does not understand.
    #[error("the relay sent {0}")]
    Frame(#[from] FrameError),
    /// A packet that does not fit a message.
    #[error("a packet of {0} bytes is none: 65535 are the most")]
    TooLong(usize),
}

/// A connection to the relay. It gives packets until the relay goes, and waits for each.
pub struct Helper {
    input: File,
    output: File,
    messages: Messages,
    buffer: Vec<u8>,
}

impl Helper {
    /// Talks over standard input and output, as a child of the relay (`exec` in its configuration). What a helper has to say to people
    /// goes to standard error.
    ///
    /// # Errors
    ///
    /// Either is closed.
    pub fn stdio() -> Result<Self, HelperError> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self::new(input.into(), output.into()))
    }

    /// Connects to a socket that the relay listens on (`socket` in its configuration). The relay talks to one helper at a time: another
    /// that connects waits until that one has gone.
    ///
    /// # Errors
    ///
    /// There is no relay, or it may not be connected to.
    pub fn connect(path: &Path) -> Result<Self, HelperError> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let connection =
            socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(io::Error::from)?;
        let address = UnixAddr::new(path).map_err(io::Error::from)?;
        connect(connection.as_raw_fd(), &address).map_err(io::Error::from)?;
        let input = File::from(connection);
        Ok(Self::new(input.try_clone()?, input))
    }

    fn new(input: File, output: File) -> Self {
        Self {
            input,
            output,
            messages: Messages::default(),
            buffer: vec![0; LONGEST],
        }
    }

    /// Says what becomes of a packet. Answers may come in any order; one that comes too late is not looked at.
    ///
    /// # Errors
    ///
    /// The relay is gone, or a packet is longer than one can be.
    pub fn answer(&mut self, id: u64, verdict: Verdict<'_>) -> Result<(), HelperError> {
        match verdict {
            Verdict::Changed(packet) if packet.len() > usize::from(u16::MAX) => {
                Err(HelperError::TooLong(packet.len()))
            }
            // One call: on a socket it is one message.
            verdict => Ok(self.output.write_all(&Answer { id, verdict }.encode())?),
        }
    }

    fn receive(&mut self) -> Result<Option<Packet>, HelperError> {
        loop {
            if let Some(message) = self.messages.take()? {
                let question = Question::decode(message)?;
                return Ok(Some(Packet {
                    id: question.id,
                    time_ns: question.time_ns,
                    value: question.value,
                    family: question.family,
                    interface: question.interface.to_owned(),
                    rule: question.rule.to_owned(),
                    data: question.packet.to_vec(),
                }));
            }
            let length = match self.input.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // It went without having read the last answers.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            self.messages.push(self.buffer.get(..length).unwrap_or_default());
        }
    }
}

impl Iterator for Helper {
    type Item = Result<Packet, HelperError>;

    /// Waits for the next packet; `None` when the relay has gone.
    fn next(&mut self) -> Option<Self::Item> {
        self.receive().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::thread;

    use nix::sys::socket::socketpair;

    use super::*;

    /// A helper, and the relay's end of its connection.
    fn connected() -> (Helper, File) {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .unwrap();
        let of = |end: OwnedFd| File::from(end);
        let input = of(ours);
        (Helper::new(input.try_clone().unwrap(), input), of(theirs))
    }

    #[test]
    fn packets_are_answered_until_the_relay_goes() {
        let (mut helper, mut relay) = connected();
        let asks = thread::spawn(move || {
            let mut verdicts = Vec::new();
            for id in 1..=3 {
                let question = Question {
                    id,
                    time_ns: 5,
                    value: 65503,
                    family: Family::Six,
                    interface: "lan",
                    rule: "demo",
                    packet: b"a packet",
                };
                relay.write_all(&question.encode()).unwrap();
                let mut buffer = [0; 100];
                let length = relay.read(&mut buffer).unwrap();
                let answer = Answer::decode(&buffer[..length]).unwrap();
                assert_eq!(answer.id, id);
                verdicts.push(format!("{:?}", answer.verdict));
            }
            verdicts
        });
        let mut seen = 0;
        while let Some(packet) = helper.next() {
            let packet = packet.unwrap();
            seen += 1;
            assert_eq!((packet.value, packet.interface.as_str()), (65503, "lan"));
            assert_eq!(
                (packet.rule.as_str(), &packet.data[..]),
                ("demo", &b"a packet"[..])
            );
            let verdict = match packet.id {
                1 => Verdict::Forward,
                2 => Verdict::Hold(9),
                _ => Verdict::Changed(b"another"),
            };
            helper.answer(packet.id, verdict).unwrap();
        }
        assert_eq!(seen, 3);
        let changed = format!("{:?}", Verdict::Changed(b"another"));
        assert_eq!(asks.join().unwrap(), ["Forward", "Hold(9)", &changed]);
    }

    #[test]
    fn a_relay_that_goes_without_reading_the_last_answer_has_gone() {
        let (mut helper, relay) = connected();
        helper.answer(1, Verdict::Drop).unwrap();
        drop(relay);
        assert!(helper.next().is_none());
    }

    #[test]
    fn a_packet_that_is_too_long_is_not_sent() {
        let (mut helper, _relay) = connected();
        let refused = helper.answer(1, Verdict::Changed(&[0; 65536])).unwrap_err();
        assert!(matches!(refused, HelperError::TooLong(65536)), "{refused}");
    }
}

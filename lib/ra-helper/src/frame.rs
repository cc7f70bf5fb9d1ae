//! The messages, byte by byte; numbers are big-endian.
//!
//! ```text
//!   0        1        2                 4                                   8
//!   ├────────┼────────┼─────────────────┼───────────────────────────────────┼─────────────────────────┐
//!   │version │ kind   │ 0               │ length of the whole message       │ id                      │  all
//!   ├────────┴────────┴─────────────────┴───────────────────────────────────┼────────┬───────┬────────┤
//!   │16 time_ns                                                             │24 value│family │ifname  │  question
//!   ├────────┬──────────────────────────┬───────────────────────────────────┴────────┴───────┴─length─┤
//!   │28 rule │ 0                        │32 interface, rule, packet from the IP header on             │
//!   ├─length─┼──────────────────────────┼───────────────────────────────────┬─────────────────────────┤
//!   │16      │ 0                        │20 milliseconds                    │24 packet                │  answer
//!   └verdict─┴──────────────────────────┴───────────────────────────────────┴─────────────────────────┘
//! ```
//!
//! On a socket that keeps messages apart each is one of these; on a pipe they follow one another, and the length says where each
//! ends. What stands as 0 is 0, and is not looked at.

use std::fmt;

/// The version of the messages.
pub const VERSION: u8 = 1;
/// The longest message, bytes: more than a packet of 65,535 and two names.
pub const LONGEST: usize = 1 << 17;
/// The longest time that a helper may have a packet held, milliseconds.
pub const LONGEST_HOLD_MS: u32 = 10_000;

/// Bytes that all messages begin with.
const HEADER: usize = 16;
const QUESTION: usize = 32;
const ANSWER: usize = 24;
/// Where the length is.
const LENGTH: std::ops::Range<usize> = 4..8;

const KIND_QUESTION: u8 = 1;
const KIND_ANSWER: u8 = 2;

/// IPv4 or IPv6: values of router alerts mean something else in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4, RFC 2113.
    Four = 4,
    /// IPv6, RFC 2711.
    Six = 6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Four => "ipv4",
            Family::Six => "ipv6",
        })
    }
}

/// A packet that the relay asks a helper about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The number that the answer has to have.
    pub id: u64,
    /// When the packet came: nanoseconds since 1970, UTC.
    pub time_ns: u64,
    /// The value of its router alert.
    pub value: u16,
    /// Its family.
    pub family: Family,
    /// The interface that it came by; at most 255 bytes of the name are sent.
    pub interface: &'a str,
    /// The rule that it fits; at most 255 bytes of the name are sent.
    pub rule: &'a str,
    /// The packet, from the IP header on.
    pub packet: &'a [u8],
}

/// What a helper has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// That of the question.
    pub id: u64,
    /// What becomes of the packet.
    pub verdict: Verdict<'a>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes on as it came.
    Forward,
    /// This packet, from the IP header on, goes on in its place. Lengths and checksums are made right by the relay, and the hop
    /// limit is that of the packet as it came: the gateway counts it down.
    Changed(&'a [u8]),
    /// It is dropped.
    Drop,
    /// It is dropped, and its sender is told that this is prohibited (ICMP 3/13, ICMPv6 1/1).
    Prohibited,
    /// It goes on as it came, so many milliseconds later, 1 to [`LONGEST_HOLD_MS`].
    Hold(u32),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Of another version.
    #[error(
        "a message of version {0}, and {VERSION} is the one that is understood: use a client of this build"
    )]
    Version(u8),
    /// Its length cannot be.
    #[error("a message of {0} bytes by its own account: 16 to {LONGEST} can be")]
    Length(u32),
    /// It is not what comes this way.
    #[error("a message of kind {0}, which does not come this way")]
    Kind(u8),
    /// It ends before what it has to have, or goes on behind it.
    #[error("a message of {0} bytes, which is not as long as what it has to have in it")]
    Size(usize),
    /// Neither IPv4 nor IPv6.
    #[error("a packet of family {0}: 4 and 6 are known")]
    Family(u8),
    /// A name that is no UTF-8.
    #[error("a name that is not UTF-8")]
    Name,
    /// A verdict that is none.
    #[error("verdict {0}, which means nothing: 1 to 5 are known")]
    Verdict(u8),
    /// A time that no packet is held.
    #[error("a packet to be held for {0} ms: 1 to {LONGEST_HOLD_MS} can be")]
    Hold(u32),
}

impl<'a> Question<'a> {
    /// As a message.
    pub fn encode(&self) -> Vec<u8> {
        let (interface, rule) = (short(self.interface), short(self.rule));
        let length = QUESTION + interface.len() + rule.len() + self.packet.len();
        let mut message = header(KIND_QUESTION, self.id, length);
        message.extend(self.time_ns.to_be_bytes());
        message.extend(self.value.to_be_bytes());
        // `short` makes both fit a byte.
        message.extend([
            self.family as u8,
            interface.len() as u8,
            rule.len() as u8,
            0,
            0,
            0,
        ]);
        message.extend(interface.as_bytes());
        message.extend(rule.as_bytes());
        message.extend(self.packet);
        message
    }

    /// The question in a message.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn decode(message: &'a [u8]) -> Result<Self, FrameError> {
        let id = id_of(message, KIND_QUESTION)?;
        let size = FrameError::Size(message.len());
        let fixed = message.first_chunk::<QUESTION>().ok_or(size)?;
        let names = QUESTION + usize::from(fixed[27]);
        let packet = names + usize::from(fixed[28]);
        let name = |range: std::ops::Range<usize>| {
            let bytes = message.get(range).ok_or(size)?;
            std::str::from_utf8(bytes).map_err(|_| FrameError::Name)
        };
        Ok(Self {
            id,
            time_ns: number(&fixed[16..24]),
            value: u16::from_be_bytes([fixed[24], fixed[25]]),
            family: match fixed[26] {
                4 => Family::Four,
                6 => Family::Six,
                other => return Err(FrameError::Family(other)),
            },
            interface: name(QUESTION..names)?,
            rule: name(names..packet)?,
            packet: message.get(packet..).ok_or(size)?,
        })
    }
}

impl<'a> Answer<'a> {
    /// As a message.
    pub fn encode(&self) -> Vec<u8> {
        let (verdict, milliseconds, packet) = match self.verdict {
            Verdict::Forward => (1, 0, &[][..]),
            Verdict::Changed(packet) => (2, 0, packet),
            Verdict::Drop => (3, 0, &[][..]),
            Verdict::Prohibited => (4, 0, &[][..]),
            Verdict::Hold(milliseconds) => (5, milliseconds, &[][..]),
        };
        let mut message = header(KIND_ANSWER, self.id, ANSWER + packet.len());
        message.extend([verdict, 0, 0, 0]);
        message.extend(milliseconds.to_be_bytes());
        message.extend(packet);
        message
    }

    /// The answer in a message.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn decode(message: &'a [u8]) -> Result<Self, FrameError> {
        let id = id_of(message, KIND_ANSWER)?;
        let size = FrameError::Size(message.len());
        let (fixed, packet) = message.split_at_checked(ANSWER).ok_or(size)?;
        let milliseconds = number(&fixed[20..24]) as u32;
        let verdict = match fixed[16] {
            1 => Verdict::Forward,
            2 => Verdict::Changed(packet),
            3 => Verdict::Drop,
            4 => Verdict::Prohibited,
            5 if (1..=LONGEST_HOLD_MS).contains(&milliseconds) => Verdict::Hold(milliseconds),
            5 => return Err(FrameError::Hold(milliseconds)),
            other => return Err(FrameError::Verdict(other)),
        };
        match verdict {
            Verdict::Changed(_) => {}
            _ if packet.is_empty() => {}
            _ => return Err(size),
        }
        Ok(Self { id, verdict })
    }
}

/// What comes in, cut into messages.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    /// How many of them were given out.
    taken: usize,
}

impl Messages {
    /// Takes bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message that is all there.
    ///
    /// # Errors
    ///
    /// What comes next is no message, so that nobody knows where the one after it begins.
    pub fn take(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(length) = rest.get(LENGTH) else {
            return Ok(None);
        };
        if rest.first() != Some(&VERSION) {
            return Err(FrameError::Version(rest.first().copied().unwrap_or_default()));
        }
        let length = number(length) as usize;
        if !(HEADER..=LONGEST).contains(&length) {
            return Err(FrameError::Length(length as u32));
        }
        let message = rest.get(..length);
        if message.is_some() {
            self.taken += length;
        }
        Ok(message)
    }

    /// Whether there are bytes that are no whole message yet.
    pub fn has_rest(&self) -> bool {
        self.taken < self.bytes.len()
    }
}

fn header(kind: u8, id: u64, length: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(length);
    message.extend([VERSION, kind, 0, 0]);
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(id.to_be_bytes());
    message
}

/// The id of a message that is of this kind, and as long as it says.
fn id_of(message: &[u8], kind: u8) -> Result<u64, FrameError> {
    let size = FrameError::Size(message.len());
    let header = message.first_chunk::<HEADER>().ok_or(size)?;
    if header[0] != VERSION {
        return Err(FrameError::Version(header[0]));
    }
    if header[1] != kind {
        return Err(FrameError::Kind(header[1]));
    }
    if number(&header[LENGTH]) != message.len() as u64 {
        return Err(size);
    }
    Ok(number(&header[8..16]))
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// As much of a name as its length field can say.
fn short(name: &str) -> &str {
    let end = (0..=name.len().min(usize::from(u8::MAX)))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;

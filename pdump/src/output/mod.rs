//! Where packets go: into a file of whole blocks, or onto the screen (see [`crate::print`]).
//!
//! ```text
//!   CaptureFile: packet ─► pcapng | pcap ─► stream: whole blocks, compressed or not ─► destination: file, pipe
//!                                                                                      series: which file comes next
//! ```

pub(crate) mod buffer;
mod compress;
mod destination;
mod file;
pub(crate) mod packet_block;
pub(crate) mod pcap;
pub(crate) mod pcapng;
mod series;
pub(crate) mod stream;

use std::io;

use control::message::{CaptureInterface, CapturePoint};

use self::buffer::Buffer;
pub use self::compress::Compression;
pub use self::destination::Owner;
pub use self::file::CaptureFile;
pub use self::series::{Files, Stop, Switch, Target};
use crate::source::{Counts, Packet};

/// What takes packets.
pub trait Output {
    /// What follows is of other interfaces: the primary was restarted.
    fn section(&mut self, about: &About<'_>) -> Result<(), OutputError>;

    /// Takes a packet.
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError>;

    /// After each burst; `idle`: none came for a while.
    fn round(&mut self, idle: bool) -> Result<(), OutputError>;

    /// What the primary has counted, before each burst.
    fn counted(&mut self, _counts: Counts) {}

    /// Once a second, with what the primary has counted.
    fn second(&mut self, _counts: Counts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Whether it takes no more.
    fn is_complete(&self) -> bool {
        false
    }

    /// Nothing follows any more, of this section at least. Not called after an error.
    fn finish(&mut self, counts: Counts) -> Result<(), OutputError>;

    /// How many packets have really gone out.
    fn written(&self) -> u64;
}

/// Why packets could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file cannot be opened.
    #[error("cannot open {name} for writing: {source}")]
    Open {
        /// The file.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It is a directory.
    #[error("{name} is a directory: name a file in it after -w")]
    Directory {
        /// The directory.
        name: String,
    },
    /// It cannot be given to whom it is to be.
    #[error("cannot give {name} to its owner and group: {source}")]
    Owner {
        /// The file.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The oldest file of a ring stays, so that there would be more and more.
    #[error("cannot remove {name}, the oldest of the ring: {source}")]
    Oldest {
        /// The file.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Somebody took the file away.
    #[error("{name} was removed while it was written, with the {packets} packets in it")]
    Removed {
        /// What it was called.
        name: String,
        /// Packets that are gone.
        packets: u64,
    },
    /// There is no memory to compress in.
    #[error("cannot compress: {0}")]
    Compressor(io::Error),
    /// The file takes no more.
    #[error("cannot write to {name}: {source}; the {packets} packets that it has can be read")]
    Write {
        /// The file.
        name: String,
        /// Packets that are in it as a whole.
        packets: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Nobody reads any more.
    #[error("whoever read {name} has ended after {packets} packets, and so does the capture")]
    Closed {
        /// The pipe.
        name: String,
        /// Packets that went into it.
        packets: u64,
    },
    /// It would be read and written at once.
    #[error("{name} is one of the files that -r reads: name another after -w")]
    Same {
        /// The file.
        name: String,
    },
    /// A packet that the format cannot hold.
    #[error("a packet does not fit into the format: {reason}")]
    Format {
        /// What does not fit.
        reason: String,
    },
}

impl OutputError {
    pub(crate) fn format(error: &dyn std::error::Error) -> Self {
        let inner = error.source().map(|source| format!(": {source}"));
        Self::Format {
            reason: format!("{error}{}", inner.unwrap_or_default()),
        }
    }

    /// Something could not be written after so many packets.
    pub(crate) fn write(name: &str, packets: u64, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed { name, packets },
            _ => Self::Write {
                name,
                packets,
                source,
            },
        }
    }
}

/// What a file says of its capture.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The interfaces.
    pub interfaces: &'a [CaptureInterface],
    /// Where its packets are seen.
    pub points: &'a [CapturePoint],
    /// The filter; empty: none.
    pub expression: &'a str,
    /// Bytes kept of each packet.
    pub snaplen: u32,
}

/// Writes one format into a [`Buffer`].
trait Encoder {
    /// What comes before the packets; again when a primary that was restarted has other interfaces.
    fn section(&mut self, to: &mut Buffer, about: &About<'_>) -> Result<(), OutputError>;

    /// The same for one more file.
    fn file(&mut self, to: &mut Buffer);

    fn packet(&mut self, to: &mut Buffer, packet: &Packet<'_>) -> Result<(), OutputError>;

    /// What was counted until now.
    fn statistics(&mut self, to: &mut Buffer, counts: Counts, at_end: bool) -> Result<(), OutputError>;
}

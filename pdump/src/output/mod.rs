//! Where packets go: into a file of whole blocks, or onto the screen (see [`crate::print`]).
//!
//! ```text
//!   CaptureFile: packet ─► pcapng | pcap ─► buffer of whole blocks ─► destination: file, pipe
//! ```

mod buffer;
mod destination;
mod pcap;
mod pcapng;

use std::io;
use std::time::{Duration, Instant};

use control::message::{CaptureInterface, CapturePoint};

use self::buffer::Buffer;
pub use self::destination::Destination;
use crate::arguments::Format;
use crate::source::{Counts, Packet};

/// Bytes to gather before they are written.
const GATHER: usize = 256 << 10;

/// The longest that a packet waits to be written while others keep coming.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// What takes packets.
pub trait Output {
    /// Takes a packet.
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError>;

    /// After each burst; `idle`: none came for a while.
    fn round(&mut self, idle: bool) -> Result<(), OutputError>;

    /// Nothing follows any more. Not called after an error.
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
    /// A packet that the format cannot hold.
    #[error("a packet does not fit into the format: {reason}")]
    Format {
        /// What does not fit.
        reason: String,
    },
}

impl OutputError {
    fn format(error: &dyn std::error::Error) -> Self {
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
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError>;
    fn finish(&mut self, counts: Counts) -> Result<(), OutputError>;
}

/// A capture file, or the same through a pipe.
pub struct CaptureFile {
    encoder: Box<dyn Encoder>,
    buffer: Buffer,
    destination: Destination,
    flushed: Instant,
    written: u64,
}

impl CaptureFile {
    /// Empties the destination and writes what comes before the packets.
    pub fn begin(
        mut destination: Destination,
        format: Format,
        about: &About<'_>,
    ) -> Result<Self, OutputError> {
        destination.begin()?;
        let buffer = Buffer::default();
        let encoder: Box<dyn Encoder> = match format {
            Format::Pcapng => Box::new(pcapng::Pcapng::begin(buffer.clone(), about)?),
            Format::Pcap => Box::new(pcap::Pcap::begin(buffer.clone(), about)?),
        };
        buffer.end_block(0);
        let mut file = Self {
            encoder,
            buffer,
            destination,
            flushed: Instant::now(),
            written: 0,
        };
        // A reader at the other end of a pipe learns at once what it reads.
        file.flush()?;
        Ok(file)
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.flushed = Instant::now();
        let (bytes, blocks) = self.buffer.take();
        let outcome = self.destination.write(&bytes, &blocks);
        self.written += match &outcome {
            Ok(()) => blocks.iter().map(|block| block.packets).sum(),
            Err(failed) => failed.packets,
        };
        self.buffer.recycle(bytes, blocks);
        outcome.map_err(|failed| OutputError::write(self.destination.name(), self.written, failed.source))
    }
}

impl Output for CaptureFile {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        self.encoder.packet(packet)?;
        self.buffer.end_block(1);
        if self.buffer.len() < GATHER {
            return Ok(());
        }
        self.flush()
    }

    fn round(&mut self, idle: bool) -> Result<(), OutputError> {
        if idle || self.flushed.elapsed() >= AT_LEAST_EVERY {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self, counts: Counts) -> Result<(), OutputError> {
        // The packets first: they shall not be lost to what is said about them.
        self.flush()?;
        self.encoder.finish(counts)?;
        self.buffer.end_block(0);
        self.flush()
    }

    fn written(&self) -> u64 {
        self.written
    }
}

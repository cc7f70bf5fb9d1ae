//! Blocks on their way into files: gathered, compressed if so wanted, and written.

use std::time::{Duration, Instant};

use super::OutputError;
use super::buffer::{BlockEnd, Buffer};
use super::compress::Compressor;
use super::destination::Destination;

/// Bytes to gather before they are written.
const GATHER: usize = 256 << 10;

/// The longest that a packet waits to be written while others keep coming.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// What blocks are put into.
pub(crate) struct Stream {
    /// Where the next block goes.
    pub(crate) buffer: Buffer,
    compressor: Option<Compressor>,
    destination: Destination,
    flushed: Instant,
    /// Packets in the present file, and in those before.
    in_file: u64,
    before: u64,
}

impl Stream {
    /// Empties the file.
    pub(crate) fn begin(
        mut destination: Destination,
        compressor: Option<Compressor>,
    ) -> Result<Self, OutputError> {
        destination.begin()?;
        Ok(Self {
            buffer: Buffer::default(),
            compressor,
            destination,
            flushed: Instant::now(),
            in_file: 0,
            before: 0,
        })
    }

    /// What is put in next goes into another file; gives the old one. Called when everything is written.
    pub(crate) fn switch(&mut self, mut destination: Destination) -> Result<Destination, OutputError> {
        destination.begin()?;
        self.before += std::mem::take(&mut self.in_file);
        Ok(std::mem::replace(&mut self.destination, destination))
    }

    /// What was put in since the last block is one, with so many packets. Writes if there is much.
    #[inline]
    pub(crate) fn end_block(&mut self, packets: u64) -> Result<(), OutputError> {
        self.buffer.end_block(packets);
        if self.buffer.bytes.len() < GATHER {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what has waited for long enough; if nothing follows at once, everything.
    pub(crate) fn round(&mut self, idle: bool) -> Result<(), OutputError> {
        if idle || self.flushed.elapsed() >= AT_LEAST_EVERY {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.flushed = Instant::now();
        if self.buffer.bytes.is_empty() {
            return Ok(());
        }
        let outcome = match &mut self.compressor {
            None => self.destination.write(&self.buffer.bytes, self.buffer.blocks()),
            Some(compressor) => compressor
                .part(&self.buffer.bytes)
                .map_err(super::destination::Failed::nothing)
                .and_then(|part| {
                    let whole = BlockEnd {
                        end: part.len(),
                        packets: self.buffer.packets(),
                    };
                    self.destination.write(part, &[whole])
                }),
        };
        self.in_file += match &outcome {
            Ok(()) => self.buffer.packets(),
            Err(failed) => failed.packets,
        };
        self.buffer.clear();
        outcome.map_err(|failed| OutputError::write(self.destination.name(), self.in_file, failed.source))
    }

    /// Bytes that the file has, with those that wait. These do not count if they are to be compressed: nobody knows how many they
    /// will be.
    #[inline]
    pub(crate) fn length(&self) -> u64 {
        let waiting = match self.compressor {
            None => self.buffer.bytes.len() as u64,
            Some(_) => 0,
        };
        self.destination.length() + waiting
    }

    /// Whether somebody removed the file meanwhile.
    pub(crate) fn check(&self) -> Result<(), OutputError> {
        self.destination.check(self.in_file)
    }

    /// Packets that are written, in all files.
    pub(crate) fn written(&self) -> u64 {
        self.before + self.in_file
    }
}

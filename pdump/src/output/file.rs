//! A capture that goes into files.

use super::compress::Compressor;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::series::Files;
use super::stream::Stream;
use super::{About, Encoder, Output, OutputError};
use crate::arguments::Format;
use crate::source::{Counts, Packet};

/// A capture file or several, or the same through a pipe.
pub struct CaptureFile {
    encoder: Box<dyn Encoder>,
    stream: Stream,
    files: Files,
    /// Packets in the present file, with those that wait.
    packets: u64,
    /// The present file is full: the next packet goes into another.
    is_full: bool,
    /// What the primary had counted of this section when it was last asked.
    counts: Counts,
    /// Packets of the sections before.
    before: u64,
}

impl CaptureFile {
    /// Empties the file and writes what comes before the packets.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn begin(mut files: Files, format: Format, about: &About<'_>) -> Result<Self, OutputError> {
        let compressor = files.compressor().map_err(OutputError::Compressor)?;
        let mut file = Self {
            encoder: match format {
                Format::Pcapng => Box::<Pcapng>::default(),
                Format::Pcap => Box::<Pcap>::default(),
            },
            stream: begin(&mut files, compressor)?,
            files,
            packets: 0,
            is_full: false,
            counts: Counts::default(),
            before: 0,
        };
        // A reader at the other end of a pipe learns at once what it reads.
        file.section(about)?;
        Ok(file)
    }

    /// Ends the present file and begins the next.
    fn switch(&mut self) -> Result<(), OutputError> {
        self.stream.flush()?;
        let mut counts = self.counts;
        // What is written has been seen, also if nobody has asked since.
        let written = self.stream.written().saturating_sub(self.before);
        counts.matched = counts.matched.max(written + counts.lost + counts.unsampled);
        counts.seen = counts.seen.max(counts.matched);
        self.finish_file(counts)?;
        let next = self.files.next()?;
        drop(self.stream.switch(next)?);
        (self.packets, self.is_full) = (0, false);
        self.encoder.file(&mut self.stream.buffer);
        self.stream.end_block(0)?;
        self.stream.flush()
    }

    fn finish_file(&mut self, counts: Counts) -> Result<(), OutputError> {
        // The packets first: they shall not be lost to what is said about them.
        self.stream.flush()?;
        self.encoder.statistics(&mut self.stream.buffer, counts, true)?;
        self.stream.end_block(0)?;
        self.stream.flush()
    }
}

fn begin(files: &mut Files, compressor: Option<Compressor>) -> Result<Stream, OutputError> {
    Stream::begin(files.first()?, compressor)
}

impl Output for CaptureFile {
    fn section(&mut self, about: &About<'_>) -> Result<(), OutputError> {
        self.before = self.stream.written();
        self.counts = Counts::default();
        self.encoder.section(&mut self.stream.buffer, about)?;
        self.stream.end_block(0)?;
        self.stream.flush()
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        if self.is_full {
            self.switch()?;
        }
        self.encoder.packet(&mut self.stream.buffer, packet)?;
        self.stream.end_block(1)?;
        self.packets += 1;
        self.is_full = self.files.is_full(self.stream.length(), self.packets);
        Ok(())
    }

    fn round(&mut self, idle: bool) -> Result<(), OutputError> {
        self.stream.round(idle)?;
        if self.files.is_over() {
            // The last one has had its time.
            self.is_full = true;
            if !self.files.is_last() {
                self.switch()?;
            }
        }
        Ok(())
    }

    fn counted(&mut self, counts: Counts) {
        self.counts = counts;
    }

    fn second(&mut self, counts: Counts) -> Result<(), OutputError> {
        self.encoder.statistics(&mut self.stream.buffer, counts, false)?;
        self.stream.end_block(0)?;
        self.stream.check()
    }

    fn is_complete(&self) -> bool {
        self.is_full && self.files.is_last()
    }

    fn finish(&mut self, counts: Counts) -> Result<(), OutputError> {
        self.finish_file(counts)
    }

    fn written(&self) -> u64 {
        self.stream.written()
    }
}

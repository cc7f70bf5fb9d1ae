//! Ports of a primary that are streams of frames: net_pcap on named pipes, so that millions go through in seconds and none is stored.
//!
//! ```text
//!   test ──► in ──► near  gateway  far ──► out ──► test
//!   test ◄── back ◄──┘
//! ```
//!
//! A worker waits in the read of an empty pipe, so nothing else is done by it until there are frames, a burst of them at a time, or there
//! is an end.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter},
    path::PathBuf,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use tempfile::TempDir;

/// Pipes that the two ports of a primary are made of.
pub struct Streams {
    paths: [PathBuf; 3],
    /// Both ends, for nobody to wait for another one.
    held: [File; 3],
    input: Input,
    folder: TempDir,
}

/// What a primary receives; it sees the end when this is dropped.
pub struct Input {
    writer: PcapWriter<BufWriter<File>>,
    frames: u64,
}

/// What a primary sends by a port.
pub struct Output(File);

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

impl Streams {
    /// Makes the pipes.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn create() -> io::Result<Self> {
        let folder = TempDir::new()?;
        let paths = ["in", "out", "back"].map(|name| folder.path().join(name));
        for path in &paths {
            mkfifo(path, Mode::from_bits_truncate(0o600))?;
        }
        let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path);
        let [input, out, back] = &paths;
        let held = [open(input)?, open(out)?, open(back)?];
        let mut writer = PcapWriter::new(BufWriter::new(open(input)?)).map_err(failed)?;
        writer.flush().map_err(failed)?;
        Ok(Self {
            input: Input { writer, frames: 0 },
            held,
            paths,
            folder,
        })
    }

    /// The devices of the near port, which receives and sends, and of the far one, which sends.
    pub fn devices(&self) -> [String; 2] {
        let [input, out, back] = self.paths.each_ref().map(|path| path.display());
        [
            format!("net_pcap0,rx_pcap={input},tx_pcap={back}"),
            format!("net_pcap1,tx_pcap={out}"),
        ]
    }

    /// Once a primary has opened the pipes: what it is to receive, and what it sends by the far port and by the near one. The folder
    /// is that of the pipes.
    ///
    /// # Errors
    /// The pipes cannot be opened.
    pub fn split(self) -> io::Result<(Input, [Output; 2], TempDir)> {
        let [_, out, back] = &self.paths;
        let outputs = [Output(File::open(out)?), Output(File::open(back)?)];
        drop(self.held);
        Ok((self.input, outputs, self.folder))
    }
}

impl Input {
    /// Sends a frame, at the latest with the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// Nobody reads.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.frames += 1;
        let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame);
        self.writer
            .write_packet(&packet.map_err(failed)?)
            .map_err(failed)?;
        Ok(())
    }

    /// Sends what is still here.
    ///
    /// # Errors
    /// Nobody reads.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(failed)
    }

    /// Frames that were sent.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

impl Output {
    /// Gives all frames to `take`, until the primary has ended.
    ///
    /// # Errors
    /// What comes is no capture.
    pub fn read(self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = PcapReader::new(self.0).map_err(failed)?;
        while let Some(packet) = reader.next_packet() {
            let packet = packet.map_err(failed)?;
            take(&packet.into_data());
        }
        Ok(())
    }
}

//! The pcaps that packets come from.

use std::{fs::File, io::BufWriter, path::Path, time::Duration};

use pcap_file::pcap::{PcapPacket, PcapWriteError, PcapWriter};

use crate::error::Error;

/// Writes frames to a pcap, one after the other.
pub(super) fn write(path: &Path, frames: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
    try_write(path, frames).map_err(|error| {
        Error::Unexpected(format!(
            "cannot write {}: {error}; is there space, and is the folder yours?",
            path.display()
        ))
    })
}

fn try_write(path: &Path, frames: impl Iterator<Item = Vec<u8>>) -> Result<(), PcapWriteError> {
    let mut pcap = PcapWriter::new(BufWriter::new(File::create(path).map_err(PcapWriteError::Io)?))?;
    for frame in frames {
        pcap.write_packet(&PcapPacket::new(Duration::ZERO, frame.len() as u32, frame)?)?;
    }
    pcap.flush()
}

//! pcap with nanoseconds (magic 0xa1b23c4d): packets alone, for tools that read nothing else.

use pcap_file::pcap::{PcapHeader, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};

use super::buffer::Buffer;
use super::{About, Encoder, OutputError};
use crate::source::{Counts, Packet};

const NANOSECONDS: u64 = 1_000_000_000;

/// Writes pcap.
#[derive(Default)]
pub(crate) struct Pcap {
    /// What each file begins with.
    header: Vec<u8>,
}

/// What a file begins with, of packets of one link type, of each of which at most `snaplen` bytes are kept.
pub(crate) fn header(datalink: DataLink, snaplen: u32) -> Result<Vec<u8>, OutputError> {
    let header = PcapHeader {
        snaplen,
        datalink,
        ts_resolution: PcapTsResolution::NanoSecond,
        endianness: Endianness::native(),
        ..PcapHeader::default()
    };
    let writer = PcapWriter::with_header(Vec::new(), header);
    Ok(writer.map_err(|error| OutputError::format(&error))?.into_inner())
}

/// Puts a packet into `bytes`.
pub(crate) fn put(
    bytes: &mut Vec<u8>,
    time_ns: u64,
    wire_length: u32,
    data: &[u8],
) -> Result<(), OutputError> {
    let seconds = u32::try_from(time_ns / NANOSECONDS).map_err(|_| OutputError::Format {
        reason: "pcap has no times after 2106: write pcapng".to_owned(),
    })?;
    let length = data.len() as u32;
    let words = [
        seconds,
        (time_ns % NANOSECONDS) as u32,
        length,
        wire_length.max(length),
    ];
    let mut head = [0; 16];
    for (place, word) in head.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(data);
    Ok(())
}

impl Encoder for Pcap {
    /// The format has no sections: only before the first packet.
    fn section(&mut self, to: &mut Buffer, about: &About<'_>) -> Result<(), OutputError> {
        self.header = header(DataLink::ETHERNET, about.snaplen)?;
        self.file(to);
        Ok(())
    }

    fn file(&mut self, to: &mut Buffer) {
        to.bytes.extend_from_slice(&self.header);
    }

    fn packet(&mut self, to: &mut Buffer, packet: &Packet<'_>) -> Result<(), OutputError> {
        put(&mut to.bytes, packet.time_ns, packet.wire_length, packet.data)
    }

    /// The format has no place for counts.
    fn statistics(&mut self, _: &mut Buffer, _: Counts, _: bool) -> Result<(), OutputError> {
        Ok(())
    }
}

//! pcap with nanoseconds (magic 0xa1b23c4d): packets alone, for tools that read nothing else.

use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};

use super::buffer::Buffer;
use super::{About, Encoder, OutputError};
use crate::source::{Counts, Packet};

/// Writes pcap.
pub(super) struct Pcap(PcapWriter<Buffer>);

impl Pcap {
    pub(super) fn begin(buffer: Buffer, about: &About<'_>) -> Result<Self, OutputError> {
        let header = PcapHeader {
            snaplen: about.snaplen,
            datalink: DataLink::ETHERNET,
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(buffer, header);
        writer.map(Self).map_err(|error| OutputError::format(&error))
    }
}

impl Encoder for Pcap {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        let time = Duration::from_nanos(packet.time_ns);
        let packet = PcapPacket::new(time, packet.wire_length, packet.data)
            .map_err(|error| OutputError::format(&error))?;
        let written = self.0.write_packet(&packet);
        written.map(drop).map_err(|error| OutputError::format(&error))
    }

    /// The format has no place for counts.
    fn finish(&mut self, _counts: Counts) -> Result<(), OutputError> {
        Ok(())
    }
}

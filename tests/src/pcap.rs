//! Capture files, read back.

use std::{fs::File, path::Path, time::Duration};

use pcap_file::{
    pcap::PcapReader,
    pcapng::{Block, PcapNgReader, blocks::interface_description::InterfaceDescriptionOption},
};

use crate::Error;

/// A packet of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Since 1970, UTC.
    pub time: Duration,
    /// Its bytes, as many as were kept.
    pub data: Vec<u8>,
    /// Name of the interface that the file says it is of; empty where it does not.
    pub interface: String,
}

/// The packets of a pcapng file.
///
/// # Errors
/// It cannot be opened, or has anything in it that is not whole.
pub fn read_pcapng(path: &Path) -> Result<Vec<Recorded>, Error> {
    let failed = |reason: String| Error::Pcap {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut reader = PcapNgReader::new(file).map_err(|error| failed(error.to_string()))?;
    let (mut packets, mut names) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        let (block, _) = block.map_err(|error| failed(error.to_string()))?;
        if let Block::InterfaceDescription(interface) = &block {
            let name = interface.options.iter().find_map(|option| match option {
                InterfaceDescriptionOption::IfName(name) => Some(name.clone().into_owned()),
                _ => None,
            });
            names.push(name.unwrap_or_default());
        }
        if let Some(packet) = block.into_enhanced_packet() {
            packets.push(Recorded {
                interface: names
                    .get(packet.interface_id as usize)
                    .cloned()
                    .unwrap_or_default(),
                time: packet.timestamp,
                data: packet.data.into_owned(),
            });
        }
    }
    Ok(packets)
}

/// The packets of a pcap file.
///
/// # Errors
/// As for [`read_pcapng`].
pub fn read_pcap(path: &Path) -> Result<Vec<Recorded>, Error> {
    let failed = |reason: String| Error::Pcap {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut reader = PcapReader::new(file).map_err(|error| failed(error.to_string()))?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| failed(error.to_string()))?;
        packets.push(Recorded {
            time: packet.timestamp(),
            data: packet.into_data().into_owned(),
            interface: String::new(),
        });
    }
    Ok(packets)
}

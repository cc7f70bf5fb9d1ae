//! pcapng (draft-ietf-opsawg-pcapng): a section with one interface description per interface, enhanced packets with
//! their direction, and interface statistics at the end. What is seen where a tool gets a packet or gives it back is of an
//! interface of its own, named for the point: `wan:punt`.
//!
//! The primary counts for the capture, not per interface. So the first interface's statistics carry the numbers of the
//! whole capture (and say so if there are several), while the packets written are counted for each.

use std::borrow::Cow;
use std::fs;
use std::time::{Duration, SystemTime};

use control::message::{CaptureInterface, CapturePoint};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::buffer::Buffer;
use super::{About, Encoder, OutputError};
use crate::TOOL;
use crate::source::{Counts, Packet, Way};

/// The kind of filter that if_filter begins with: text of libpcap.
const LIBPCAP_TEXT: u8 = 0;

/// epb_flags, bits 0 and 1.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Writes pcapng.
pub(super) struct Pcapng {
    writer: PcapNgWriter<Buffer>,
    interfaces: Vec<Interface>,
    begun: Duration,
}

/// An interface, at the position that the file knows it by.
struct Interface {
    index: u16,
    place: Place,
    written: u64,
}

/// Where the packets of an interface of the file are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the port.
    Wire,
    Punt,
    Reinject,
    Drop,
    PreEncrypt,
    PostDecrypt,
}

impl Place {
    const ALL: [Self; 6] = [
        Self::Wire,
        Self::Punt,
        Self::Reinject,
        Self::Drop,
        Self::PreEncrypt,
        Self::PostDecrypt,
    ];

    fn of(way: Way) -> Self {
        match way {
            Way::Rx | Way::Tx => Self::Wire,
            Way::Punt => Self::Punt,
            Way::Reinject => Self::Reinject,
            Way::Drop => Self::Drop,
            Way::PreEncrypt => Self::PreEncrypt,
            Way::PostDecrypt => Self::PostDecrypt,
        }
    }

    fn has(self, point: CapturePoint) -> bool {
        self == Self::of(point.into())
    }

    /// What the file calls an interface there.
    fn name(self, interface: &str) -> Cow<'_, str> {
        match self {
            Self::Wire => interface.into(),
            Self::Punt => format!("{interface}:punt").into(),
            Self::Reinject => format!("{interface}:reinject").into(),
            Self::Drop => format!("{interface}:drop").into(),
            Self::PreEncrypt => format!("{interface}:pre-encrypt").into(),
            Self::PostDecrypt => format!("{interface}:post-decrypt").into(),
        }
    }
}

impl Pcapng {
    pub(super) fn begin(buffer: Buffer, about: &About<'_>) -> Result<Self, OutputError> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![
                SectionHeaderOption::Hardware(hardware().into()),
                SectionHeaderOption::OS(system().into()),
                SectionHeaderOption::UserApplication(format!("{TOOL} {}", control::VERSION).into()),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut encoder = Self {
            writer: PcapNgWriter::with_section_header(buffer, section)
                .map_err(|error| OutputError::format(&error))?,
            interfaces: Vec::new(),
            begun: now(),
        };
        for place in Place::ALL {
            if !about.points.iter().any(|point| place.has(*point)) {
                continue;
            }
            for interface in about.interfaces {
                encoder.write(description(interface, place, about))?;
                encoder.interfaces.push(Interface {
                    index: interface.index,
                    place,
                    written: 0,
                });
            }
        }
        Ok(encoder)
    }

    fn write<'a>(&mut self, block: impl PcapNgBlock<'a>) -> Result<(), OutputError> {
        let written = self.writer.write_pcapng_block(block);
        written.map(drop).map_err(|error| OutputError::format(&error))
    }
}

impl Encoder for Pcapng {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        let place = Place::of(packet.way);
        let found = (0..)
            .zip(&mut self.interfaces)
            .find(|(_, interface)| interface.index == packet.interface && interface.place == place);
        let (interface_id, interface) = found.ok_or_else(|| OutputError::Format {
            reason: format!(
                "it is of interface {}, which is none of the capture's",
                packet.interface
            ),
        })?;
        interface.written += 1;
        let flags = match packet.way {
            Way::Rx | Way::Punt | Way::PostDecrypt => Some(INBOUND),
            Way::Tx | Way::PreEncrypt => Some(OUTBOUND),
            // Neither: it is on its way.
            Way::Reinject | Way::Drop => None,
        };
        self.write(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(packet.time_ns),
            original_len: packet.wire_length,
            data: Cow::Borrowed(packet.data),
            options: flags.map(EnhancedPacketOption::Flags).into_iter().collect(),
        })
    }

    fn finish(&mut self, counts: Counts) -> Result<(), OutputError> {
        let ended = now();
        let several = self.interfaces.len() > 1;
        let delivered: Vec<u64> = self
            .interfaces
            .iter()
            .map(|interface| interface.written)
            .collect();
        for (interface_id, delivered) in (0..).zip(delivered) {
            let mut options = vec![
                InterfaceStatisticsOption::IsbStartTime(self.begun),
                InterfaceStatisticsOption::IsbEndTime(ended),
            ];
            if interface_id == 0 {
                options.extend([
                    InterfaceStatisticsOption::IsbIfRecv(counts.seen),
                    InterfaceStatisticsOption::IsbIfDrop(counts.lost),
                    InterfaceStatisticsOption::IsbFilterAccept(counts.matched),
                ]);
            }
            options.push(InterfaceStatisticsOption::IsbUsrDeliv(delivered));
            if interface_id == 0 && several {
                let comment = "received, dropped and accepted are those of all interfaces together";
                options.push(InterfaceStatisticsOption::Common(CommonOption::Comment(
                    comment.into(),
                )));
            }
            self.write(InterfaceStatisticsBlock {
                interface_id,
                timestamp: ended,
                options,
            })?;
        }
        Ok(())
    }
}

fn description<'a>(
    interface: &'a CaptureInterface,
    place: Place,
    about: &About<'_>,
) -> InterfaceDescriptionBlock<'a> {
    let mut options = vec![
        InterfaceDescriptionOption::IfName(place.name(&interface.name)),
        InterfaceDescriptionOption::IfDescription(Cow::Borrowed(&interface.device)),
        InterfaceDescriptionOption::IfMacAddr(interface.mac.octets().to_vec().into()),
        InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
    ];
    if interface.speed_mbps != 0 {
        options.push(InterfaceDescriptionOption::IfSpeed(
            u64::from(interface.speed_mbps) * 1_000_000,
        ));
    }
    if !about.expression.is_empty() {
        let filter = [&[LIBPCAP_TEXT], about.expression.as_bytes()].concat();
        options.push(InterfaceDescriptionOption::IfFilter(filter.into()));
    }
    InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: about.snaplen,
        options,
    }
}

/// Since 1970, UTC.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The model of the processor, or at least its architecture.
fn hardware() -> String {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim()).trim_end().to_owned()
}

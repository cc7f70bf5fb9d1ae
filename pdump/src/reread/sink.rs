//! Where packets go that were read back.

use std::io;

use control::capture::{DropReason, Dropped, PathStage};
use control::message::{CaptureInterface, CapturePoint};
use packet::MacAddress;
use pcap_file::DataLink;
use pcap_file::Endianness;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};

use super::input::{Found, Input, link_name};
use crate::TOOL;
use crate::arguments::Format;
use crate::output::packet_block::{OUTBOUND, PACKET_ID, QUEUE, WORKER};
use crate::output::stream::Stream;
use crate::output::{About, Files, Output, OutputError, pcap};
use crate::print::{Lines, Style};
use crate::source::{Counts, Packet, Way};

/// As tcpdump: no limit, in effect.
const SNAPLEN: u32 = 262_144;

/// What takes what was read.
pub(super) trait Sink {
    /// An interface of a file; gives the number that it has here.
    fn interface(
        &mut self,
        file: &str,
        interface: &InterfaceDescriptionBlock<'static>,
    ) -> Result<u32, OutputError>;

    /// A packet of an interface.
    fn packet(&mut self, interface: u32, packet: Found) -> Result<(), OutputError>;

    /// Something else; if it is of an interface, with the number of that.
    fn other(&mut self, block: &Block<'static>) -> Result<(), OutputError>;

    /// Nothing follows.
    fn finish(&mut self) -> Result<(), OutputError>;

    /// Packets that have gone out.
    fn written(&self) -> u64;
}

/// A file.
pub(super) struct Written {
    stream: Stream,
    form: Form,
}

enum Form {
    /// Interfaces that are the same in several files are one.
    Pcapng { writer: Box<PcapNgWriter<Vec<u8>>> },
    /// The link type of all packets, once there is one.
    Pcap { link: Option<DataLink> },
}

impl Written {
    /// Begins a file with what those that are read say of where they were captured.
    pub(super) fn begin(mut files: Files, format: Format, inputs: &[Input]) -> Result<Self, OutputError> {
        let compressor = files.compressor().map_err(OutputError::Compressor)?;
        let mut stream = Stream::begin(files.first()?, compressor)?;
        let form = match format {
            Format::Pcap => Form::Pcap { link: None },
            Format::Pcapng => {
                let writer = PcapNgWriter::with_section_header(Vec::new(), section(inputs));
                let mut writer = writer.map_err(|error| OutputError::format(&error))?;
                stream.buffer.bytes.append(writer.get_mut());
                stream.end_block(0)?;
                Form::Pcapng {
                    writer: Box::new(writer),
                }
            }
        };
        Ok(Self { stream, form })
    }

    fn put(&mut self, block: &Block<'_>, packets: u64) -> Result<(), OutputError> {
        if let Form::Pcapng { writer } = &mut self.form {
            writer
                .write_block(block)
                .map_err(|error| OutputError::format(&error))?;
            self.stream.buffer.bytes.append(writer.get_mut());
            self.stream.end_block(packets)?;
        }
        Ok(())
    }

    fn begin_pcap(&mut self, link: DataLink) -> Result<(), OutputError> {
        let header = pcap::header(link, SNAPLEN)?;
        self.stream.buffer.bytes.extend_from_slice(&header);
        self.stream.end_block(0)
    }
}

/// Host and system of the first file, comments of all.
fn section(inputs: &[Input]) -> SectionHeaderBlock<'static> {
    let sections: Vec<_> = inputs.iter().filter_map(Input::section).collect();
    let mut options: Vec<_> = sections
        .first()
        .into_iter()
        .flat_map(|section| section.options.iter())
        .filter(|option| {
            matches!(
                option,
                SectionHeaderOption::Hardware(_) | SectionHeaderOption::OS(_)
            )
        })
        .cloned()
        .collect();
    options.push(SectionHeaderOption::UserApplication(
        format!("{TOOL} {}", control::VERSION).into(),
    ));
    let all = sections.iter().flat_map(|section| section.options.iter());
    let comments =
        all.filter(|option| matches!(option, SectionHeaderOption::Common(CommonOption::Comment(_))));
    for comment in comments {
        if !options.contains(comment) {
            options.push(comment.clone());
        }
    }
    SectionHeaderBlock {
        endianness: Endianness::native(),
        options,
        ..SectionHeaderBlock::default()
    }
}

impl Sink for Written {
    fn interface(
        &mut self,
        file: &str,
        interface: &InterfaceDescriptionBlock<'static>,
    ) -> Result<u32, OutputError> {
        match &mut self.form {
            Form::Pcapng { writer } => {
                let known = writer.interfaces();
                let count = known.len() as u32;
                if let Some(number) = (0..)
                    .zip(known)
                    .find_map(|(number, known)| (known == interface).then_some(number))
                {
                    return Ok(number);
                }
                self.put(&Block::InterfaceDescription(interface.clone()), 0)?;
                Ok(count)
            }
            Form::Pcap { link: Some(link) } if *link != interface.linktype => Err(OutputError::Format {
                reason: format!(
                    "pcap has one link type, and {file} has {} where others have {}: write pcapng",
                    link_name(interface.linktype),
                    link_name(*link)
                ),
            }),
            Form::Pcap { link: Some(_) } => Ok(0),
            Form::Pcap { link } => {
                *link = Some(interface.linktype);
                self.begin_pcap(interface.linktype)?;
                Ok(0)
            }
        }
    }

    fn packet(&mut self, interface: u32, packet: Found) -> Result<(), OutputError> {
        match self.form {
            Form::Pcapng { .. } => {
                let block = EnhancedPacketBlock {
                    interface_id: interface,
                    timestamp: packet.time,
                    original_len: packet.wire_length,
                    data: packet.data.into(),
                    options: packet.options,
                };
                self.put(&Block::EnhancedPacket(block), 1)
            }
            Form::Pcap { .. } => {
                let time_ns = nanoseconds(&packet);
                pcap::put(
                    &mut self.stream.buffer.bytes,
                    time_ns,
                    packet.wire_length,
                    &packet.data,
                )?;
                self.stream.end_block(1)
            }
        }
    }

    fn other(&mut self, block: &Block<'static>) -> Result<(), OutputError> {
        self.put(block, 0)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if matches!(self.form, Form::Pcap { link: None }) {
            self.begin_pcap(DataLink::ETHERNET)?;
        }
        self.stream.flush()
    }

    fn written(&self) -> u64 {
        self.stream.written()
    }
}

/// The screen.
pub(super) struct Printed {
    lines: Lines<io::Stdout>,
    interfaces: Vec<CaptureInterface>,
    /// Of each interface: at which point it was, if its name says so.
    ways: Vec<Option<Way>>,
}

impl Printed {
    pub(super) fn new(style: Style) -> Self {
        Self {
            lines: Lines::new(io::stdout(), &[], style),
            interfaces: Vec::new(),
            ways: Vec::new(),
        }
    }
}

impl Sink for Printed {
    fn interface(
        &mut self,
        file: &str,
        interface: &InterfaceDescriptionBlock<'static>,
    ) -> Result<u32, OutputError> {
        if interface.linktype != DataLink::ETHERNET {
            return Err(OutputError::Format {
                reason: format!(
                    "{file} has packets of link type {}, and only Ethernet is printed: give -w, or read it with tcpdump",
                    link_name(interface.linktype)
                ),
            });
        }
        let number = self.interfaces.len();
        let named = interface.options.iter().find_map(|option| match option {
            InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
            _ => None,
        });
        let named = named.unwrap_or_else(|| format!("if{number}"));
        let (name, way) = split(&named);
        self.interfaces.push(CaptureInterface {
            index: number as u16,
            name: name.to_owned(),
            device: String::new(),
            mac: MacAddress([0; 6]),
            speed_mbps: 0,
        });
        self.ways.push(way);
        self.lines.section(&About {
            interfaces: &self.interfaces,
            points: &[],
            expression: "",
            snaplen: SNAPLEN,
        })?;
        Ok(number as u32)
    }

    fn packet(&mut self, interface: u32, packet: Found) -> Result<(), OutputError> {
        let flags = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Flags(flags) => Some(flags & 3),
            _ => None,
        });
        let on_wire = if flags == Some(OUTBOUND) { Way::Tx } else { Way::Rx };
        let lost_before = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::DropCount(lost) => u32::try_from(*lost).ok(),
            _ => None,
        });
        self.lines.packet(&Packet {
            time_ns: nanoseconds(&packet),
            interface: interface as u16,
            way: self
                .ways
                .get(interface as usize)
                .copied()
                .flatten()
                .unwrap_or(on_wire),
            wire_length: packet.wire_length,
            rule: None,
            id: number(&packet, PACKET_ID).unwrap_or(0),
            worker: number(&packet, WORKER).map(|worker| worker as u16),
            queue: number(&packet, QUEUE).map(|queue| queue as u16),
            lost_before: lost_before.unwrap_or(0),
            dropped: packet.options.iter().find_map(dropped),
            data: &packet.data,
        })
    }

    fn other(&mut self, _: &Block<'static>) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.lines.finish(Counts::default())
    }

    fn written(&self) -> u64 {
        self.lines.written()
    }
}

/// An option that is a number of 4 or 8 bytes.
fn number(packet: &Found, code: u16) -> Option<u64> {
    packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Common(CommonOption::Unknown(option)) if option.code == code => {
            let value = &option.value[..];
            let long = value.try_into().map(u64::from_ne_bytes).ok();
            long.or_else(|| value.try_into().map(u32::from_ne_bytes).ok().map(u64::from))
        }
        _ => None,
    })
}

/// Why a packet was dropped, from what its comment says.
fn dropped(option: &EnhancedPacketOption<'_>) -> Option<Dropped> {
    let EnhancedPacketOption::Common(CommonOption::Comment(comment)) = option else {
        return None;
    };
    let (reason, stage) = comment.strip_prefix("dropped: ")?.split_once(" at ")?;
    let reason = DropReason::ALL.iter().find(|known| known.name() == reason)?;
    let stage = PathStage::ALL.iter().find(|known| known.name() == stage)?;
    Some(Dropped::new(*reason, *stage))
}

/// Interface and point of a name in a file: `wan:punt`.
fn split(name: &str) -> (&str, Option<Way>) {
    let found = name.rsplit_once(':').and_then(|(interface, word)| {
        let point = CapturePoint::ALL.into_iter().find(|point| point.name() == word)?;
        Some((interface, Some(Way::from(point))))
    });
    found.unwrap_or((name, None))
}

fn nanoseconds(packet: &Found) -> u64 {
    u64::try_from(packet.time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_at_which_point_an_interface_is() {
        assert_eq!(split("wan:post-decrypt"), ("wan", Some(Way::PostDecrypt)));
        assert_eq!(split("wan.100"), ("wan.100", None));
        assert_eq!(split("a:b"), ("a:b", None));
    }
}

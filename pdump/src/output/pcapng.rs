//! pcapng (draft-ietf-opsawg-pcapng): a section with one interface description per interface, enhanced packets with what is known of
//! each (see [`super::packet_block`]), and interface statistics every second and at the end. What is seen on the wire, in and out, is
//! of the interface; what is seen at another point is of one of its own, named for the point: `wan:punt`.
//!
//! The primary counts for the capture, not per interface. So the first interface's statistics carry the numbers of the
//! whole capture (and say so if there are several), among them as isb_osdrop what the capture's own budget left out, while the packets written are counted for each, over all files of a series.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::time::{Duration, SystemTime};

use control::capture::{DropReason, Dropped, PathStage};
use control::message::{CaptureInterface, CapturePoint};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use super::buffer::Buffer;
use super::packet_block::{self, INBOUND, OUTBOUND};
use super::{About, Encoder, OutputError};
use crate::TOOL;
use crate::source::{Counts, Packet, Way};

/// The kind of filter that if_filter begins with: text of libpcap.
const LIBPCAP_TEXT: u8 = 0;

/// A clock that is set back by less than so much, nanoseconds, does not take packets of a queue back: they come at the same time.
/// One that is set back by more has been wrong, and is followed.
const STEP_NS: u64 = 1_000_000_000;

/// Writes pcapng.
#[derive(Default)]
pub(crate) struct Pcapng {
    /// The present section; it writes into memory, which is emptied after each block.
    writer: Option<PcapNgWriter<Vec<u8>>>,
    /// What each file of the section begins with.
    header: Vec<u8>,
    interfaces: Vec<Interface>,
    /// Positions in `interfaces`, by place and index of the interface.
    positions: [Vec<Option<u32>>; Place::ALL.len()],
    /// The time of the latest packet of the threads beside the workers, and of each of those.
    latest: Vec<u64>,
    begun: Duration,
    /// What is said of drops, by reason and stage: each is written once.
    comments: HashMap<(u16, u8), String>,
}

/// An interface, at the position that the file knows it by.
struct Interface {
    written: u64,
    /// What the latest statistics said was written.
    said: u64,
}

/// Where the packets of an interface of the file are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
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
    fn begin(&mut self, about: &About<'_>) -> Result<(), OutputError> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![
                SectionHeaderOption::Hardware(hardware().into()),
                SectionHeaderOption::OS(system().into()),
                SectionHeaderOption::UserApplication(format!("{TOOL} {}", control::VERSION).into()),
                SectionHeaderOption::Common(CommonOption::Comment(host().into())),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(Vec::new(), section)
            .map_err(|error| OutputError::format(&error))?;
        *self = Self {
            begun: now(),
            // Times do not go back over a section either.
            latest: std::mem::take(&mut self.latest),
            ..Self::default()
        };
        for (place, positions) in Place::ALL.into_iter().zip(&mut self.positions) {
            if !about.points.iter().any(|point| place.has(*point)) {
                continue;
            }
            for interface in about.interfaces {
                let written = writer.write_pcapng_block(description(interface, place, about));
                written.map_err(|error| OutputError::format(&error))?;
                let index = usize::from(interface.index);
                positions.resize(positions.len().max(index + 1), None);
                positions[index] = u32::try_from(self.interfaces.len()).ok();
                self.interfaces.push(Interface { written: 0, said: 0 });
            }
        }
        self.header = std::mem::take(writer.get_mut());
        self.writer = Some(writer);
        Ok(())
    }

    /// The number of the interface that a packet is of, one more of which is written.
    #[inline]
    fn count(&mut self, packet: &Packet<'_>) -> Result<u32, OutputError> {
        let positions = &self.positions[Place::of(packet.way) as usize];
        let position = positions.get(usize::from(packet.interface)).copied().flatten();
        let interface = position.and_then(|position| self.interfaces.get_mut(position as usize));
        let (Some(position), Some(interface)) = (position, interface) else {
            return Err(OutputError::Format {
                reason: format!(
                    "it is of interface {}, which is none of the capture's",
                    packet.interface
                ),
            });
        };
        interface.written += 1;
        Ok(position)
    }

    /// The time that a packet is said to have come at.
    #[inline]
    fn time(&mut self, worker: Option<u16>, time_ns: u64) -> u64 {
        let place = worker.map_or(0, |worker| usize::from(worker) + 1);
        if self.latest.len() <= place {
            self.latest.resize(place + 1, 0);
        }
        let latest = &mut self.latest[place];
        if time_ns >= *latest || *latest - time_ns > STEP_NS {
            *latest = time_ns;
        }
        *latest
    }
}

impl Encoder for Pcapng {
    fn section(&mut self, to: &mut Buffer, about: &About<'_>) -> Result<(), OutputError> {
        self.begin(about)?;
        self.file(to);
        Ok(())
    }

    fn file(&mut self, to: &mut Buffer) {
        to.bytes.extend_from_slice(&self.header);
    }

    #[inline]
    fn packet(&mut self, to: &mut Buffer, packet: &Packet<'_>) -> Result<(), OutputError> {
        let interface = self.count(packet)?;
        let time_ns = self.time(packet.worker, packet.time_ns);
        let about = packet_block::About {
            flags: match packet.way {
                // What is dropped has come in by the interface that it is of.
                Way::Rx | Way::Punt | Way::PostDecrypt | Way::Drop => INBOUND,
                Way::Tx | Way::PreEncrypt => OUTBOUND,
                // Neither: it is on its way.
                Way::Reinject => 0,
            },
            id: packet.id,
            queue: packet.queue,
            worker: packet.worker,
            lost_before: packet.lost_before,
            comment: packet
                .dropped
                .map_or("", |dropped| comment(&mut self.comments, dropped)),
        };
        packet_block::put(
            &mut to.bytes,
            interface,
            time_ns,
            packet.wire_length,
            packet.data,
            &about,
        );
        Ok(())
    }

    fn statistics(&mut self, to: &mut Buffer, counts: Counts, at_end: bool) -> Result<(), OutputError> {
        let ended = now();
        let several = self.interfaces.len() > 1;
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        for (interface_id, interface) in (0..).zip(&mut self.interfaces) {
            // One that is quiet has nothing new to say: a capture may run for months.
            if interface_id != 0 && !at_end && interface.said == interface.written {
                continue;
            }
            interface.said = interface.written;
            let mut options = vec![
                InterfaceStatisticsOption::IsbStartTime(self.begun),
                InterfaceStatisticsOption::IsbEndTime(ended),
            ];
            if interface_id == 0 {
                options.extend([
                    InterfaceStatisticsOption::IsbIfRecv(counts.seen),
                    InterfaceStatisticsOption::IsbIfDrop(counts.lost),
                    InterfaceStatisticsOption::IsbFilterAccept(counts.matched),
                    InterfaceStatisticsOption::IsbOsDrop(counts.unsampled),
                ]);
            }
            options.push(InterfaceStatisticsOption::IsbUsrDeliv(interface.written));
            if interface_id == 0 && several && at_end {
                let comment = "received, dropped and accepted are those of all interfaces together";
                options.push(InterfaceStatisticsOption::Common(CommonOption::Comment(
                    comment.into(),
                )));
            }
            let written = writer.write_pcapng_block(InterfaceStatisticsBlock {
                interface_id,
                timestamp: ended,
                options,
            });
            written.map_err(|error| OutputError::format(&error))?;
        }
        to.bytes.append(writer.get_mut());
        Ok(())
    }
}

/// Why a packet was dropped, and where: `dropped: ttl_expired at ip4_lookup`.
fn comment(comments: &mut HashMap<(u16, u8), String>, dropped: Dropped) -> &str {
    let Dropped { reason, stage } = dropped;
    comments.entry((reason, stage)).or_insert_with(|| {
        let reason_name = DropReason::from_index(reason.into()).map(DropReason::name);
        let stage_name = PathStage::from_index(stage.into()).map(PathStage::name);
        format!(
            "dropped: {} at {}",
            reason_name.map_or_else(|| format!("reason {reason}"), str::to_owned),
            stage_name.map_or_else(|| format!("stage {stage}"), str::to_owned),
        )
    })
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

/// The time of day, since 1970, UTC.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Where it was captured: the format has no field for that.
fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    format!("captured on host {}", name.to_string_lossy())
}

/// What it runs on: the model of the processor, or at least its architecture.
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

//! A file that is read back: pcapng or pcap, plain or compressed, which its first bytes say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use pcap_file::pcap::{PcapReadError, PcapReader};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::{CommonOption, UnknownOption};
use pcap_file::pcapng::blocks::packet::PacketOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::{DataLink, Endianness};

use crate::output::packet_block::{PACKET_ID, QUEUE, WORKER};

/// The longest block that can be read.
const BLOCK_MAX: usize = 4 << 20;

/// How often to look whether the tool is to end, in milliseconds.
const LOOK: u8 = 100;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Why a file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The file.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{name} is {found}, not a capture file: -r takes pcapng and pcap, plain or compressed with gzip or zstd"
    )]
    Other {
        /// The file.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
    /// It stops.
    #[error("{name} ends in the middle of {what} after {packets} packets, which were read")]
    Cut {
        /// The file.
        name: String,
        /// Of what.
        what: &'static str,
        /// Packets before.
        packets: u64,
    },
    /// It goes wrong.
    #[error("{name} cannot be read on after {packets} packets, which were read: {reason}")]
    Wrong {
        /// The file.
        name: String,
        /// Packets before.
        packets: u64,
        /// What is wrong.
        reason: String,
    },
}

/// A packet that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Position of its interface in the section.
    pub(super) interface: u32,
    /// Since 1970, UTC.
    pub(super) time: Duration,
    pub(super) wire_length: u32,
    pub(super) data: Vec<u8>,
    pub(super) options: Vec<EnhancedPacketOption<'static>>,
}

/// What follows in a file.
pub(super) enum Item {
    /// Interfaces are counted anew.
    Section,
    Interface(InterfaceDescriptionBlock<'static>),
    Packet(Found),
    /// Statistics, names and what else there is.
    Other(Block<'static>),
}

type Bytes = Box<dyn Read>;

enum Reader {
    Pcapng(PcapNgReader<Bytes>),
    Pcap(PcapReader<Bytes>, Option<InterfaceDescriptionBlock<'static>>),
}

/// A file, read block by block.
pub(super) struct Input {
    name: String,
    reader: Reader,
    packets: u64,
    /// The time of the packet before: simple packets have none of their own.
    latest: Duration,
}

impl Input {
    /// Opens a file, `-` for the standard input, and reads what it begins with. When `stopped` says so while nothing comes out of a
    /// pipe, that ends there.
    pub(super) fn open(path: &Path, stopped: &Arc<AtomicBool>) -> Result<Self, InputError> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin {
            "the standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let opened = if is_stdin {
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let opened = opened.map(|file| {
            let stopped = Arc::clone(stopped);
            Box::new(Patient { file, stopped }) as Bytes
        });
        let failed = |source| InputError::Open {
            name: name.clone(),
            source,
        };
        let (begin, bytes) = plain(opened.map_err(failed)?).map_err(failed)?;
        let reader = if begin.is_empty() {
            let found = "empty";
            return Err(InputError::Other { name, found });
        } else if begin.starts_with(&PCAPNG) {
            PcapNgReader::with_capacity(bytes, BLOCK_MAX)
                .map(Reader::Pcapng)
                .map_err(|error| error.to_string())
        } else if is_pcap(&begin) {
            let reader = PcapReader::with_capacity(bytes, BLOCK_MAX);
            reader.map(pcap).map_err(|error| error.to_string())
        } else {
            let found = "something else";
            return Err(InputError::Other { name, found });
        };
        let reader = reader.map_err(|reason| InputError::Wrong {
            name: name.clone(),
            packets: 0,
            reason,
        })?;
        Ok(Self {
            name,
            reader,
            packets: 0,
            latest: Duration::ZERO,
        })
    }

    /// How to call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The section that it begins with; a pcap file has none.
    pub(super) fn section(&self) -> Option<SectionHeaderBlock<'static>> {
        match &self.reader {
            Reader::Pcapng(reader) => Some(reader.section().clone()),
            Reader::Pcap(..) => None,
        }
    }

    /// What follows; `None`: nothing.
    pub(super) fn next(&mut self) -> Result<Option<Item>, InputError> {
        let next = match &mut self.reader {
            Reader::Pcapng(reader) => match reader.next_block() {
                None => Ok(None),
                Some(Ok((block, state))) => {
                    let is_foreign = state.endianness() != Endianness::native();
                    Ok(Some(item(block.into_owned(), self.latest, is_foreign)))
                }
                Some(Err(error)) => Err(is_cut(&error).then_some("a block").ok_or_else(|| reason(&error))),
            },
            Reader::Pcap(reader, interface) => match interface.take() {
                Some(interface) => Ok(Some(Item::Interface(interface))),
                None => match reader.next_packet() {
                    None => Ok(None),
                    Some(Ok(packet)) => Ok(Some(Item::Packet(Found {
                        interface: 0,
                        time: packet.timestamp(),
                        wire_length: packet.orig_len(),
                        data: packet.data().to_vec(),
                        options: Vec::new(),
                    }))),
                    Some(Err(error @ PcapReadError::Io(_))) => {
                        Err(is_cut(&error).then_some("a packet").ok_or_else(|| reason(&error)))
                    }
                    Some(Err(error)) => Err(Err(reason(&error))),
                },
            },
        };
        let (name, packets) = (|| self.name.clone(), self.packets);
        let item = next.map_err(|stop| match stop {
            Ok(what) => InputError::Cut {
                name: name(),
                what,
                packets,
            },
            Err(reason) => InputError::Wrong {
                name: name(),
                packets,
                reason,
            },
        })?;
        if let Some(Item::Packet(packet)) = &item {
            self.packets += 1;
            self.latest = packet.time;
        }
        Ok(item)
    }
}

/// Waits for bytes of a pipe no longer than until somebody ends the tool.
struct Patient {
    file: File,
    stopped: Arc<AtomicBool>,
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut descriptors = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut descriptors, LOOK) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return self.file.read(bytes),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The bytes of a file as they were before compression, and the first of them once more.
fn plain(bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut bytes = BufReader::with_capacity(1 << 16, bytes);
    let begin = begin(&mut bytes)?;
    let unpacked: Bytes = if begin.starts_with(&GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(bytes))
    } else if begin.starts_with(&ZSTD) {
        Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?)
    } else {
        return Ok((begin, Box::new(bytes)));
    };
    let mut unpacked = BufReader::with_capacity(1 << 16, unpacked);
    Ok((self::begin(&mut unpacked)?, Box::new(unpacked)))
}

fn begin(bytes: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let begin = bytes.fill_buf()?;
    Ok(begin.get(..4).unwrap_or(begin).to_vec())
}

/// The four magic numbers of pcap: micro- and nanoseconds, in both byte orders.
fn is_pcap(begin: &[u8]) -> bool {
    let magics = [0xa1b2_c3d4_u32, 0xa1b2_3c4d];
    magics
        .iter()
        .any(|magic| begin == magic.to_be_bytes() || begin == magic.to_le_bytes())
}

fn pcap(reader: PcapReader<Bytes>) -> Reader {
    let header = reader.header();
    let mut interface = InterfaceDescriptionBlock::new(header.datalink, header.snaplen);
    let nanoseconds = InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO);
    interface.options.push(nanoseconds);
    Reader::Pcap(reader, Some(interface))
}

fn item(block: Block<'static>, latest: Duration, is_foreign: bool) -> Item {
    match block {
        Block::SectionHeader(_) => Item::Section,
        Block::InterfaceDescription(interface) => Item::Interface(interface),
        Block::EnhancedPacket(packet) => Item::Packet(Found {
            interface: packet.interface_id,
            time: packet.timestamp,
            wire_length: packet.original_len,
            data: packet.data.into_owned(),
            options: packet
                .options
                .into_iter()
                .map(|option| native(option, is_foreign))
                .collect(),
        }),
        Block::SimplePacket(packet) => Item::Packet(Found {
            interface: 0,
            time: latest,
            wire_length: packet.original_len,
            data: packet.data.into_owned(),
            options: Vec::new(),
        }),
        Block::Packet(packet) => {
            let mut options: Vec<_> = packet.options.into_iter().map(enhanced).collect();
            // All ones: nobody knows.
            if !matches!(packet.drop_count, 0 | u16::MAX) {
                options.push(EnhancedPacketOption::DropCount(packet.drop_count.into()));
            }
            Item::Packet(Found {
                interface: packet.interface_id.into(),
                time: packet.timestamp,
                wire_length: packet.original_len,
                data: packet.data.into_owned(),
                options,
            })
        }
        other => Item::Other(other),
    }
}

fn enhanced(option: PacketOption<'static>) -> EnhancedPacketOption<'static> {
    match option {
        PacketOption::Flags(flags) => EnhancedPacketOption::Flags(flags),
        PacketOption::Hash(hash) => EnhancedPacketOption::Hash(hash),
        PacketOption::Common(option) => EnhancedPacketOption::Common(option),
    }
}

/// Numbers that the reader takes for bytes, in the byte order of this machine.
fn native(option: EnhancedPacketOption<'static>, is_foreign: bool) -> EnhancedPacketOption<'static> {
    match option {
        EnhancedPacketOption::Common(CommonOption::Unknown(UnknownOption { code, value }))
            if is_foreign && matches!(code, PACKET_ID | QUEUE | WORKER) =>
        {
            let value = value.iter().rev().copied().collect::<Vec<_>>().into();
            EnhancedPacketOption::Common(CommonOption::Unknown(UnknownOption { code, value }))
        }
        option => option,
    }
}

/// Whether a file, or what was compressed, stops short.
fn is_cut(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(error) = this.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::UnexpectedEof;
        }
        error = this.source();
    }
    false
}

/// An error with what it is because of.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(because) = source {
        let more = because.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = because.source();
    }
    text
}

/// Whether two paths lead to one file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    real(one) == real(other)
}

/// What link type it is, for people.
pub(super) fn link_name(link: DataLink) -> String {
    let number = u32::from(link);
    let name = pcap::Linktype(i32::try_from(number).unwrap_or_default()).get_name();
    name.map_or_else(|_| number.to_string(), |name| format!("{number} ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcap::{PcapPacket, PcapWriter};
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_statistics::{
        InterfaceStatisticsBlock, InterfaceStatisticsOption,
    };
    use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
    use proptest::prelude::*;

    const NOON: Duration = Duration::from_micros(1_795_264_496_123_456);

    /// A file of each format, with options.
    fn files() -> [Vec<u8>; 2] {
        let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
        let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
        interface
            .options
            .push(InterfaceDescriptionOption::IfName("wan".into()));
        pcapng.write_pcapng_block(interface).unwrap();
        let data = || [7; 61][..].into();
        let comment = EnhancedPacketOption::Common(CommonOption::Comment("seen".into()));
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: NOON,
            original_len: 61,
            data: data(),
            options: vec![EnhancedPacketOption::Flags(1), comment],
        };
        let simple = SimplePacketBlock {
            original_len: 61,
            data: data(),
        };
        let statistics = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: NOON,
            options: vec![InterfaceStatisticsOption::IsbEndTime(NOON)],
        };
        pcapng.write_pcapng_block(packet).unwrap();
        pcapng.write_pcapng_block(simple).unwrap();
        pcapng.write_pcapng_block(statistics).unwrap();
        let mut pcap = PcapWriter::new(Vec::new()).unwrap();
        let packet = PcapPacket::new(NOON, 61, data()).unwrap();
        pcap.write_packet(&packet).unwrap();
        pcap.write_packet(&packet).unwrap();
        [pcapng.into_inner(), pcap.into_inner()]
    }

    /// How many packets there are before it ends or goes wrong.
    fn packets(bytes: &[u8]) -> usize {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        let Ok(mut input) = Input::open(file.path(), &Arc::default()) else {
            return 0;
        };
        let mut packets = 0;
        while let Ok(Some(item)) = input.next() {
            packets += usize::from(matches!(item, Item::Packet(_)));
        }
        packets
    }

    #[test]
    fn a_packet_without_a_time_has_that_of_the_one_before() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, &files()[0]).unwrap();
        let mut input = Input::open(file.path(), &Arc::default()).unwrap();
        let mut times = Vec::new();
        while let Some(item) = input.next().unwrap() {
            if let Item::Packet(packet) = item {
                times.push(packet.time);
            }
        }
        assert_eq!(times, [NOON; 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn no_bytes_do_more_than_end_a_file(
            which in 0usize..2,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = files()[which].clone();
            prop_assert_eq!(packets(&bytes), 2);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert!(packets(&bytes) <= 3);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(packets(&bytes) <= 3);
        }
    }
}

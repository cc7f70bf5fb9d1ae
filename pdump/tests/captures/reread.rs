//! Captures that are read back: filtered, merged, written and printed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use control::capture::{DropReason, Dropped, PathStage};
use control::message::CapturePoint;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapTsResolution, PcapWriter};
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::opt_common::{CommonOption, UnknownOption};
use pcap_file::pcapng::{PcapNgReader, PcapNgWriter};
use pcap_file::{DataLink, Endianness};
use pdump::arguments::Format;
use pdump::output::{Compression, Switch, Target};
use pdump::source::Way;

use crate::files::{expected, packets, read, tcpdump, tshark};
use crate::script::{Captured, NOON, Script, Step, begin_target, counts, pings};

/// A place for files.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes packets as a capture does; gives the file.
    fn capture(&self, name: &str, sent: &[Captured]) -> PathBuf {
        let path = self.path(name);
        self.capture_to(Target::file(&path), Format::Pcapng, sent);
        path
    }

    fn capture_to(&self, target: Target, format: Format, sent: &[Captured]) {
        let points = [CapturePoint::Rx, CapturePoint::Tx, CapturePoint::Drop];
        let mut output = begin_target(target, &points, format).unwrap();
        let count = sent.len() as u64;
        let mut source = Script::new([Step::Packets(sent.to_vec())], counts(count, count, 0));
        source.run(&mut output, None).1.unwrap();
    }

    /// Reads files with these words; gives status, stdout and stderr.
    fn pdump(&self, words: &[&str], files: &[&Path]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"))
            .current_dir(self.0.path())
            .args(words)
            .arg("-r")
            .args(files)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

#[test]
fn files_are_merged_by_time_and_their_interfaces_are_one() {
    let place = Place::new();
    let sent = pings(9);
    let part = |of: usize| -> Vec<_> { sent.iter().skip(of).step_by(3).cloned().collect() };
    let files = [0, 1, 2].map(|of| place.capture(&format!("{of}.pcapng"), &part(of)));
    let (status, out, said) = place.pdump(&["-w", "all.pcapng"], &[&files[2], &files[0], &files[1]]);
    assert_eq!((status, out.as_str()), (0, ""), "{said}");
    assert_eq!(said, "9 seen, 0 filtered, 9 written, 0 lost\n");
    let all = place.path("all.pcapng");
    assert_eq!(packets(&all), sent);
    assert_eq!(tcpdump(&all), expected(&sent));
    let interfaces = read(&all)
        .iter()
        .filter(|block| matches!(block, Block::InterfaceDescription(_)))
        .count();
    // Two interfaces on the wire, two where packets are dropped.
    assert_eq!(interfaces, 4);
    let fields = ["frame.packet_id", "frame.interface_name", "frame.drop_count"];
    assert_eq!(tshark(&all, "frame.drop_count", &fields).len(), 1);
    // Statistics, host and system are kept.
    let before = PcapNgReader::new(File::open(&files[0]).unwrap())
        .unwrap()
        .section()
        .clone();
    let after = PcapNgReader::new(File::open(&all).unwrap())
        .unwrap()
        .section()
        .clone();
    assert_eq!(before.options[..3], after.options[..3]);
    let statistics = |path: &Path| {
        read(path)
            .iter()
            .filter(|block| block.as_interface_statistics().is_some())
            .count()
    };
    assert_eq!(statistics(&all), 3 * statistics(&files[0]));
}

#[test]
fn filters_and_counts_choose_and_the_rest_is_accounted_for() {
    let place = Place::new();
    let sent = pings(20);
    let file = place.capture("in.pcapng", &sent);
    let words = [
        "-f",
        "icmp[6:2] >= 5 and greater 98",
        "-w",
        "out.pcapng",
        "--json",
    ];
    let (status, _, said) = place.pdump(&words, &[&file]);
    assert_eq!(status, 0, "{said}");
    let chosen: Vec<_> = (5..20)
        .filter(|number| number % 4 == 0)
        .map(|number| sent[number].clone())
        .collect();
    assert_eq!(packets(&place.path("out.pcapng")), chosen);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&report["report"]["filtered"], &report["report"]["written"]),
        (&17.into(), &3.into())
    );

    let (status, _, said) = place.pdump(&["-c", "3", "-w", "out.pcapng"], &[&file]);
    assert_eq!(
        (status, said.as_str()),
        (
            0,
            "4 seen, 0 filtered, 3 written, 0 lost, 1 came too late to be written\n"
        )
    );
    assert_eq!(packets(&place.path("out.pcapng")), sent[..3]);
    // A filter is looked at before files are.
    let (status, _, said) = place.pdump(&["-f", "icmp and"], &[Path::new("/nonexistent")]);
    assert_eq!(status, 2, "{said}");
}

#[test]
fn compressed_files_and_series_are_read_and_written() {
    let place = Place::new();
    let sent = pings(40);
    let target = Target {
        switch: Some(Switch {
            packets: Some(15),
            ..Switch::default()
        }),
        compression: Some(Compression::Gzip),
        ..Target::file(&place.path("part.pcapng"))
    };
    place.capture_to(target, Format::Pcapng, &sent);
    let mut parts: Vec<_> = fs::read_dir(place.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    parts.sort();
    assert_eq!(parts.len(), 3);
    let parts: Vec<_> = parts.iter().map(PathBuf::as_path).collect();
    let (status, _, said) = place.pdump(&["-w", "all.pcapng", "--compress", "zstd"], &parts);
    assert_eq!(
        (status, said.as_str()),
        (0, "40 seen, 0 filtered, 40 written, 0 lost\n")
    );
    let (status, _, said) = place.pdump(&["-q", "-w", "plain.pcapng"], &[&place.path("all.pcapng.zst")]);
    assert_eq!((status, said.as_str()), (0, ""));
    assert_eq!(packets(&place.path("plain.pcapng")), sent);
}

#[test]
fn pcap_of_each_kind_is_read_and_written() {
    let place = Place::new();
    let sent = pings(4);
    let mut files = Vec::new();
    for (endianness, ts_resolution) in [
        (Endianness::Big, PcapTsResolution::MicroSecond),
        (Endianness::Little, PcapTsResolution::NanoSecond),
    ] {
        let path = place.path(&format!("{endianness:?}.pcap"));
        let header = PcapHeader {
            endianness,
            ts_resolution,
            ..PcapHeader::default()
        };
        let mut writer = PcapWriter::with_header(File::create(&path).unwrap(), header).unwrap();
        for packet in &sent {
            let packet = PcapPacket::new(
                Duration::from_nanos(packet.time_ns),
                packet.wire_length,
                &packet.data[..],
            );
            writer.write_packet(&packet.unwrap()).unwrap();
        }
        files.push(path);
    }
    let (status, _, said) = place.pdump(&["-w", "out.pcap", "--format", "pcap"], &[&files[0], &files[1]]);
    assert_eq!(
        (status, said.as_str()),
        (0, "8 seen, 0 filtered, 8 written, 0 lost\n")
    );
    let mut reader = PcapReader::new(File::open(place.path("out.pcap")).unwrap()).unwrap();
    let mut times = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let time_ns = packet.unwrap().timestamp().as_nanos() as u64;
        times.push(time_ns.wrapping_sub(NOON));
    }
    // Those in microseconds come first.
    let micro = (NOON / 1000 * 1000).wrapping_sub(NOON);
    assert_eq!(times, [micro, micro, micro, micro, 0, 1, 2, 3]);
    let (status, _, said) = place.pdump(&["-w", "out.pcapng"], &[&files[1]]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(tcpdump(&place.path("out.pcapng")), expected(&sent));
}

#[test]
fn without_a_file_to_write_lines_are_printed() {
    let place = Place::new();
    let mut sent = pings(3);
    sent[2].way = Way::Drop;
    sent[2].dropped = Some(Dropped::new(DropReason::TtlExpired, PathStage::Rewrite));
    let file = place.capture("in.pcapng", &sent);
    let (status, out, said) = place.pdump(&[], &[&file]);
    assert_eq!(
        (status, said.as_str()),
        (0, "3 seen, 0 filtered, 3 written, 0 lost\n")
    );
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with("12:34:56.123456789 wan rx IP 10.0.0.1 > 10.0.1.1: ICMP echo request"),
        "{out}"
    );
    assert!(lines[1].contains(" lan tx IP "), "{out}");
    assert!(
        lines[2].contains(" wan drop IP ") && lines[2].contains("dropped: ttl_expired at rewrite"),
        "{out}"
    );
    // From a pipe as well.
    let script = format!(
        "exec {} -q -r - < {}",
        env!("CARGO_BIN_EXE_tollgate-pdump"),
        file.display()
    );
    let piped = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), out);
}

#[test]
fn what_could_be_read_of_a_bad_file_counts_and_the_others_are_whole() {
    let place = Place::new();
    let sent = pings(6);
    let whole = place.capture("whole.pcapng", &sent[..3]);
    let cut = place.capture("cut.pcapng", &sent[3..]);
    let blocks = fs::read(&cut).unwrap();
    // In the middle of the second packet: behind a section, four interfaces and a packet.
    let second = sent[4].data.as_slice();
    let at = blocks
        .windows(second.len())
        .position(|window| window == second)
        .unwrap();
    fs::write(&cut, &blocks[..at + 20]).unwrap();
    let (status, _, said) = place.pdump(&["-w", "out.pcapng"], &[&cut, &whole]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((status, lines[0]), (1, "4 seen, 0 filtered, 4 written, 0 lost"));
    assert_eq!(
        lines[1..],
        [format!(
            "error: {} ends in the middle of a block after 1 packets, which were read",
            cut.display()
        )]
    );
    assert_eq!(packets(&place.path("out.pcapng")), sent[..4]);

    // Damaged instead of cut; and compressed, cut within a part.
    let mut damaged = blocks.clone();
    damaged[at - 24..at - 20].copy_from_slice(&[0xff; 4]);
    fs::write(&cut, &damaged).unwrap();
    let (status, _, said) = place.pdump(&["-w", "out.pcapng"], &[&cut]);
    assert!(
        status == 1 && said.contains("cut.pcapng") && said.contains("1 packets, which were read"),
        "{said}"
    );
    let packed = Target {
        compression: Some(Compression::Zstd),
        ..Target::file(&place.path("packed"))
    };
    place.capture_to(packed, Format::Pcapng, &sent);
    let packed = place.path("packed.zst");
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() - 9]).unwrap();
    let (status, _, said) = place.pdump(&["-w", "out.pcapng"], &[&packed]);
    assert!(
        status == 1 && said.starts_with("6 seen, 0 filtered, 6 written"),
        "{said}"
    );
    assert!(said.contains("after 6 packets, which were read"), "{said}");
}

#[test]
fn what_is_no_capture_is_a_sentence_and_costs_no_file() {
    let place = Place::new();
    let good = place.capture("good.pcapng", &pings(1));
    let (empty, text) = (place.path("empty"), place.path("text"));
    fs::write(&empty, "").unwrap();
    fs::write(&text, "not a capture at all").unwrap();
    for (file, part) in [
        (&empty, "empty is empty, not a capture file"),
        (&text, "text is something else, not a capture file"),
        (&place.path("missing"), "missing: No such file or directory"),
        (&place.0.path().to_path_buf(), "Is a directory"),
    ] {
        let (status, out, said) = place.pdump(&["-w", "out.pcapng"], &[&good, file]);
        assert_eq!((status, out.as_str(), said.lines().count()), (1, "", 1), "{said}");
        assert!(said.contains(part), "{said}");
        assert!(!place.path("out.pcapng").exists());
    }
    let before = fs::read(&good).unwrap();
    let (status, _, said) = place.pdump(&["-w", "./good.pcapng"], &[&good]);
    assert!(
        status == 1 && said.contains("one of the files that -r reads"),
        "{said}"
    );
    assert_eq!(fs::read(&good).unwrap(), before);
    let (status, _, said) = place.pdump(&["-i", "wan"], &[&good]);
    assert!(status == 2 && said.contains("cannot be used with"), "{said}");
}

#[test]
fn an_interrupt_ends_it_while_a_pipe_is_silent() {
    let place = Place::new();
    let sent = pings(5);
    let bytes = fs::read(place.capture("in.pcapng", &sent)).unwrap();
    let out = place.path("out.pcapng");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"))
        .args(["-r", "-", "-w"])
        .arg(&out)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Up to the middle of the last packet, and then nothing.
    let mut pipe = child.stdin.take().unwrap();
    let last = sent[4].data.as_slice();
    let at = bytes
        .windows(last.len())
        .position(|window| window == last)
        .unwrap();
    pipe.write_all(&bytes[..at + 9]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(
        (ended.status.code(), said.as_str()),
        (Some(0), "4 seen, 0 filtered, 4 written, 0 lost\n")
    );
    assert_eq!(packets(&out), sent[..4]);
    drop(pipe);
}

#[test]
fn other_link_types_and_byte_orders_keep_what_they_have() {
    let place = Place::new();
    let [ping] = <[_; 1]>::try_from(pings(1)).unwrap();
    let raw = place.path("raw.pcapng");
    let mut writer = PcapNgWriter::with_endianness(File::create(&raw).unwrap(), Endianness::Big).unwrap();
    let mut interface = InterfaceDescriptionBlock::new(DataLink::RAW, 0);
    interface
        .options
        .push(InterfaceDescriptionOption::IfName("tun".into()));
    writer.write_pcapng_block(interface.clone()).unwrap();
    let comment = EnhancedPacketOption::Common(CommonOption::Comment("seen by others".into()));
    let id = |bytes: [u8; 8]| {
        EnhancedPacketOption::Common(CommonOption::Unknown(UnknownOption {
            code: 5,
            value: bytes.to_vec().into(),
        }))
    };
    let packet = EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_micros(5_000_001),
        original_len: 1500,
        data: ping.data[14..].into(),
        options: vec![
            EnhancedPacketOption::Flags(2),
            comment.clone(),
            id(77u64.to_be_bytes()),
        ],
    };
    writer.write_pcapng_block(packet.clone()).unwrap();
    let ethernet = place.capture("ethernet.pcapng", std::slice::from_ref(&ping));

    let (status, _, said) = place.pdump(
        &["-f", "icmp and greater 98", "-w", "out.pcapng"],
        &[&raw, &ethernet],
    );
    assert_eq!(
        (status, said.as_str()),
        (0, "2 seen, 0 filtered, 2 written, 0 lost\n")
    );
    let blocks = read(&place.path("out.pcapng"));
    let interfaces: Vec<_> = blocks
        .iter()
        .filter_map(Block::as_interface_description)
        .collect();
    let found = blocks.iter().find_map(Block::as_enhanced_packet).unwrap();
    assert_eq!(*interfaces[found.interface_id as usize], interface);
    let options = vec![EnhancedPacketOption::Flags(2), comment, id(77u64.to_ne_bytes())];
    let expected = EnhancedPacketBlock {
        interface_id: found.interface_id,
        options,
        ..packet
    };
    assert_eq!(*found, expected);

    let (status, _, said) = place.pdump(&["-w", "out.pcap", "--format", "pcap"], &[&raw, &ethernet]);
    assert!(status == 1 && said.contains("pcap has one link type"), "{said}");
    let (status, _, said) = place.pdump(&[], &[&raw]);
    assert!(status == 1 && said.contains("only Ethernet is printed"), "{said}");
}

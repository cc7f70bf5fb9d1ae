//! What is in a file, as two readers see it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use control::capture::{DropReason, Dropped, PathStage};
use control::message::CapturePoint;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapReader, PcapTsResolution};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionOption, InterfaceTsResolution};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pdump::arguments::Format;
use pdump::capture::Limits;
use pdump::source::Way;

use crate::script::{Captured, LAN, NOON, Script, Step, WAN, begin, begin_at, counts, interfaces, pings};

/// The blocks behind the section header of a file, which has to be readable to its end.
pub(crate) fn read(path: &Path) -> Vec<Block<'static>> {
    let reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    reader
        .into_iter()
        .map(|block| block.expect("a whole block"))
        .collect()
}

/// The bytes of an option that the reader does not know.
fn unknown<'a>(option: &'a EnhancedPacketOption<'_>, wanted: u16) -> Option<&'a [u8]> {
    match option {
        EnhancedPacketOption::Common(CommonOption::Unknown(option)) if option.code == wanted => {
            Some(&option.value)
        }
        _ => None,
    }
}

/// The packets of a file.
pub(crate) fn packets(path: &Path) -> Vec<Captured> {
    let of_block = |block: Block<'static>| {
        let packet = block.into_enhanced_packet()?;
        let flags = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Flags(flags) => Some(*flags),
            _ => None,
        });
        let lost = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::DropCount(lost) => u32::try_from(*lost).ok(),
            _ => None,
        });
        let bytes = |code| packet.options.iter().find_map(|option| unknown(option, code));
        let number = |code| bytes(code).map(|bytes| u32::from_ne_bytes(bytes.try_into().unwrap()));
        Some(Captured {
            time_ns: u64::try_from(packet.timestamp.as_nanos()).unwrap(),
            interface: [WAN, LAN][packet.interface_id as usize],
            way: match flags {
                Some(1) => Way::Rx,
                Some(2) => Way::Tx,
                other => panic!("{other:?}"),
            },
            wire_length: packet.original_len,
            id: bytes(5).map_or(0, |bytes| u64::from_ne_bytes(bytes.try_into().unwrap())),
            worker: u16::try_from(number(0x8001).unwrap()).unwrap(),
            queue: number(6).map(|queue| u16::try_from(queue).unwrap()),
            lost_before: lost.unwrap_or(0),
            dropped: None,
            data: packet.data.to_vec(),
        })
    };
    read(path).into_iter().filter_map(of_block).collect()
}

/// What tcpdump reads in a file: a line per packet, with nanoseconds.
pub(crate) fn tcpdump(path: &Path) -> Vec<String> {
    let output = Command::new("tcpdump")
        .args(["-n", "-tt", "--nano", "-r", "-"])
        .stdin(File::open(path).unwrap())
        .output()
        .expect("tcpdump has to be installed for this test");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && !said.contains("truncated"),
        "tcpdump: {said}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What tcpdump should say of pings.
pub(crate) fn expected(pings: &[Captured]) -> Vec<String> {
    let line = |(number, ping): (u16, &Captured)| {
        let (seconds, nanoseconds) = (ping.time_ns / 1_000_000_000, ping.time_ns % 1_000_000_000);
        // Ethernet and IPv4 headers are no part of the length that it shows.
        let length = ping.wire_length - 34;
        format!(
            "{seconds}.{nanoseconds:09} IP 10.0.0.1 > 10.0.1.1: ICMP echo request, id 1, seq {number}, length {length}"
        )
    };
    (0..).zip(pings).map(line).collect()
}

#[test]
fn a_pcapng_file_has_every_packet_with_its_time_and_direction() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let sent = pings(300);
    let (first, second) = sent.split_at(120);
    let steps = [
        Step::Packets(first.to_vec()),
        Step::Idle,
        Step::Packets(second.to_vec()),
    ];
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let (report, ended) = Script::new(steps, counts(1000, 301, 1)).run(&mut output, None);
    ended.unwrap();
    assert!(sent.iter().any(|packet| packet.lost_before > 0));
    assert_eq!(report.to_string(), "1000 seen, 699 filtered, 300 written, 1 lost");
    assert_eq!(packets(&path), sent);
    assert_eq!(tcpdump(&path), expected(&sent));
}

#[test]
fn a_pcapng_file_says_who_captured_what_where() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let steps = [Step::Packets(pings(5))];
    Script::new(steps, counts(20, 7, 2))
        .run(&mut output, None)
        .1
        .unwrap();
    let blocks = read(&path);

    let reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
    let section = reader.section();
    let about: Vec<_> = section.options.iter().collect();
    let [
        SectionHeaderOption::Hardware(hardware),
        SectionHeaderOption::OS(system),
        SectionHeaderOption::UserApplication(application),
        SectionHeaderOption::Common(CommonOption::Comment(host)),
    ] = about[..]
    else {
        panic!("{about:?}");
    };
    assert!(!hardware.is_empty() && system.starts_with("Linux "), "{about:?}");
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(*host, format!("captured on host {}", name.trim()));
    assert_eq!(*application, format!("tollgate-pdump {}", control::VERSION));

    for (position, interface) in interfaces().into_iter().enumerate() {
        let Block::InterfaceDescription(description) = &blocks[position] else {
            panic!("{:?}", blocks[position]);
        };
        assert_eq!(
            (description.linktype, description.snaplen),
            (DataLink::ETHERNET, 16_384)
        );
        let has = |option| description.options.contains(&option);
        assert!(has(InterfaceDescriptionOption::IfName(interface.name.into())));
        assert!(has(InterfaceDescriptionOption::IfDescription(
            interface.device.into()
        )));
        assert!(has(InterfaceDescriptionOption::IfMacAddr(
            interface.mac.octets().to_vec().into()
        )));
        assert!(has(InterfaceDescriptionOption::IfTsResol(
            InterfaceTsResolution::NANO
        )));
        assert!(has(InterfaceDescriptionOption::IfFilter(
            b"\0icmp or esp"[..].into()
        )));
        let speed = InterfaceDescriptionOption::IfSpeed(10_000_000_000);
        assert_eq!(has(speed), interface.speed_mbps != 0);
    }

    let statistics = |position: usize| match &blocks[7 + position] {
        Block::InterfaceStatistics(block) => block.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((blocks.len(), statistics(1).interface_id), (9, 1));
    let [first, second] = [0, 1].map(|position| statistics(position).options);
    for (option, in_both) in [
        (InterfaceStatisticsOption::IsbIfRecv(20), false),
        (InterfaceStatisticsOption::IsbFilterAccept(7), false),
        (InterfaceStatisticsOption::IsbIfDrop(2), false),
        (InterfaceStatisticsOption::IsbUsrDeliv(3), false),
    ] {
        assert_eq!(
            (first.contains(&option), second.contains(&option)),
            (true, in_both)
        );
    }
    assert!(second.contains(&InterfaceStatisticsOption::IsbUsrDeliv(2)));
    let time =
        |of: fn(&InterfaceStatisticsOption<'_>) -> Option<Duration>| first.iter().find_map(of).unwrap();
    let begun = time(|option| match option {
        InterfaceStatisticsOption::IsbStartTime(time) => Some(*time),
        _ => None,
    });
    let ended = time(|option| match option {
        InterfaceStatisticsOption::IsbEndTime(time) => Some(*time),
        _ => None,
    });
    assert!(before <= begun && begun <= ended && ended < before + Duration::from_secs(60));
    assert_eq!(statistics(0).timestamp, ended);
}

#[test]
fn a_pcap_file_has_nanoseconds_too() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcap");
    let mut sent = pings(10);
    sent[4].data.truncate(60);
    let mut output = begin(&path, Format::Pcap).unwrap();
    let (report, ended) =
        Script::new([Step::Packets(sent.clone())], counts(10, 10, 0)).run(&mut output, None);
    ended.unwrap();
    assert_eq!(report.written, 10);
    assert_eq!(
        fs::read(&path).unwrap()[..4],
        u32::to_ne_bytes(0xa1b2_3c4d),
        "the magic of nanoseconds"
    );
    let mut reader = PcapReader::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.header().ts_resolution, PcapTsResolution::NanoSecond);
    for packet in &sent {
        let read = reader.next_packet().unwrap().unwrap();
        assert_eq!(read.timestamp(), Duration::from_nanos(packet.time_ns));
        assert_eq!(
            (read.orig_len(), read.data()),
            (packet.wire_length, &packet.data[..])
        );
    }
    assert!(reader.next_packet().is_none());
    let lines = tcpdump(&path);
    assert_eq!(lines[..4], expected(&sent)[..4]);
    assert_eq!(lines.len(), 10);
}

#[test]
fn a_packet_of_an_interface_that_nobody_described_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let mut stray = pings(2);
    stray[1].interface = 99;
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let (_, ended) = Script::new([Step::Packets(stray)], counts(2, 2, 0)).run(&mut output, None);
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("interface 99"), "{error}");
}

#[test]
fn an_empty_capture_is_a_file_all_the_same() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let (report, ended) = Script::new([], counts(4, 0, 0)).run(&mut output, None);
    ended.unwrap();
    assert_eq!((report.filtered, report.written), (4, 0));
    assert_eq!(read(&path).len(), 4);
    assert_eq!(tcpdump(&path), Vec::<String>::new());
}

#[test]
fn a_point_where_tools_decide_is_an_interface_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let ways = [Way::Punt, Way::Reinject, Way::Tx];
    let mut seen = pings(3);
    for (packet, way) in seen.iter_mut().zip(ways) {
        (packet.interface, packet.way) = (LAN, way);
    }
    let points = [CapturePoint::Tx, CapturePoint::Punt, CapturePoint::Reinject];
    let mut output = begin_at(&points, &path, Format::Pcapng).unwrap();
    let steps = [Step::Packets(seen.clone())];
    Script::new(steps, counts(3, 3, 0))
        .run(&mut output, None)
        .1
        .unwrap();
    let blocks = read(&path);
    let names: Vec<_> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::InterfaceDescription(interface) => Some(&interface.options[0]),
            _ => None,
        })
        .map(|option| match option {
            InterfaceDescriptionOption::IfName(name) => name.as_ref(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "wan",
        "lan",
        "wan:punt",
        "lan:punt",
        "wan:reinject",
        "lan:reinject",
    ];
    assert_eq!(names, expected);
    let flags = |option: &EnhancedPacketOption<'_>| match option {
        EnhancedPacketOption::Flags(flags) => Some(*flags),
        _ => None,
    };
    let packets = blocks.iter().filter_map(Block::as_enhanced_packet);
    let packets: Vec<_> = packets
        .map(|packet| {
            (
                names[packet.interface_id as usize],
                packet.options.iter().find_map(flags),
            )
        })
        .collect();
    let expected = [("lan:punt", Some(1)), ("lan:reinject", None), ("lan", Some(2))];
    assert_eq!(packets, expected);
    assert_eq!(tcpdump(&path).len(), 3);
    // What was not asked for has no interface.
    let mut output = begin_at(&points[1..2], &path, Format::Pcapng).unwrap();
    let steps = [Step::Packets(seen[..2].to_vec())];
    let (_, ended) = Script::new(steps, counts(2, 2, 0)).run(&mut output, None);
    assert!(ended.is_err());
}

/// What tshark says of each packet of a file that `filter` shows, without a word on stderr.
pub(crate) fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-Y", filter, "-T", "fields"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.arg("-r").arg(path).output();
    let output = output.expect("tshark has to be installed for this test");
    let said = String::from_utf8(output.stderr).unwrap();
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.contains("as user \"root\""))
        .collect();
    assert!(output.status.success() && said.is_empty(), "{said:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_drop_says_why_and_where_and_wireshark_finds_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let mut seen = pings(6);
    let reasons = [
        DropReason::TtlExpired,
        DropReason::NoRoute,
        DropReason::TtlExpired,
    ];
    for (packet, reason) in seen[3..].iter_mut().zip(reasons) {
        packet.way = Way::Drop;
        packet.dropped = Some(Dropped::new(reason, PathStage::Rewrite));
    }
    let points = [CapturePoint::Rx, CapturePoint::Tx, CapturePoint::Drop];
    let mut output = begin_at(&points, &path, Format::Pcapng).unwrap();
    let steps = [Step::Packets(seen.clone())];
    Script::new(steps, counts(6, 6, 0))
        .run(&mut output, None)
        .1
        .unwrap();
    let fields = ["frame.number", "frame.interface_name", "frame.comment"];
    let why = format!("dropped: ttl_expired at {}", PathStage::Rewrite.name());
    assert_eq!(
        tshark(&path, "frame.comment contains \"ttl\"", &fields),
        [format!("4\tlan:drop\t{why}"), format!("6\tlan:drop\t{why}")]
    );
    let fields = ["frame.packet_id", "frame.interface_queue", "frame.drop_count"];
    let expected: Vec<_> = (0..6u64)
        .map(|number| {
            let id = match number {
                0 => String::new(),
                number => (number << 40).to_string(),
            };
            let queue = number.checked_sub(1).map(|queue| queue.to_string());
            let lost = if number == 2 { "7" } else { "" };
            format!("{id}\t{}\t{lost}", queue.unwrap_or_default())
        })
        .collect();
    assert_eq!(tshark(&path, "frame", &fields), expected);
}

#[test]
fn statistics_come_every_second_and_say_more_each_time() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let wait = |milliseconds| {
        Step::Look(Box::new(move || {
            std::thread::sleep(Duration::from_millis(milliseconds))
        }))
    };
    let steps = [
        Step::Packets(pings(1)),
        wait(1010),
        Step::Packets(pings(3)),
        wait(1010),
        wait(1010),
        Step::Packets(pings(4)),
    ];
    let mut said = Vec::new();
    let (report, ended) =
        Script::new(steps, counts(20, 10, 2)).run_until(&mut output, Limits::default(), &mut |report| {
            said.push((report.seen, report.written));
        });
    ended.unwrap();
    assert_eq!((report.written, report.unwritten), (8, 0));
    assert_eq!(said, [(20, 1), (20, 4), (20, 4)]);
    let mut delivered = Vec::new();
    for block in read(&path) {
        let Block::InterfaceStatistics(statistics) = block else {
            continue;
        };
        let written = statistics.options.iter().find_map(|option| match option {
            InterfaceStatisticsOption::IsbUsrDeliv(written) => Some(*written),
            _ => None,
        });
        let lost = statistics
            .options
            .contains(&InterfaceStatisticsOption::IsbIfDrop(2));
        assert_eq!(lost, statistics.interface_id == 0);
        delivered.push((statistics.interface_id, written.unwrap()));
    }
    // The second interface only when there is something new of it, and at the end.
    assert_eq!(delivered, [(0, 1), (0, 3), (1, 1), (0, 3), (0, 5), (1, 3)]);
    assert_eq!(tcpdump(&path).len(), 8);
    let infos = Command::new("capinfos").arg(&path).output();
    let infos = infos.expect("capinfos has to be installed for this test");
    assert!(
        infos.status.success() && infos.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&infos.stderr)
    );
}

#[test]
fn times_of_a_queue_do_not_go_back_when_the_clock_is_set() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let mut sent = pings(6);
    let shifts: [i64; 6] = [0, 500, -400, 100, 600, -5_000_000_000];
    for (packet, shift) in sent.iter_mut().zip(shifts) {
        packet.time_ns = NOON.checked_add_signed(shift).unwrap();
        packet.worker = 0;
    }
    // Another worker has another queue.
    sent[3].worker = 1;
    Script::new([Step::Packets(sent)], counts(6, 6, 0))
        .run(&mut output, None)
        .1
        .unwrap();
    let found: Vec<_> = packets(&path)
        .iter()
        .map(|packet| packet.time_ns.wrapping_sub(NOON).cast_signed())
        .collect();
    assert_eq!(found, [0, 500, 500, 100, 600, -5_000_000_000]);
}

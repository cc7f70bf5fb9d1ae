//! What is in a file, as two readers see it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use control::message::CapturePoint;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapReader, PcapTsResolution};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionOption, InterfaceTsResolution};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pdump::arguments::Format;
use pdump::source::Way;

use crate::script::{Captured, LAN, Script, Step, WAN, begin, begin_at, counts, interfaces, pings};

/// The blocks behind the section header of a file, which has to be readable to its end.
pub(crate) fn read(path: &Path) -> Vec<Block<'static>> {
    let reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    reader
        .into_iter()
        .map(|block| block.expect("a whole block"))
        .collect()
}

/// The packets of a file.
pub(crate) fn packets(path: &Path) -> Vec<Captured> {
    let of_block = |block: Block<'static>| {
        let packet = block.into_enhanced_packet()?;
        Some(Captured {
            time_ns: u64::try_from(packet.timestamp.as_nanos()).unwrap(),
            interface: [WAN, LAN][packet.interface_id as usize],
            way: match packet.options[0] {
                EnhancedPacketOption::Flags(1) => Way::Rx,
                EnhancedPacketOption::Flags(2) => Way::Tx,
                ref other => panic!("{other:?}"),
            },
            wire_length: packet.original_len,
            data: packet.data.into_owned(),
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
    ] = about[..]
    else {
        panic!("{about:?}");
    };
    assert!(!hardware.is_empty() && system.starts_with("Linux "), "{about:?}");
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

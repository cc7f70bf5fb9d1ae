//! Lines beside those of `tcpdump -n -S` for the same packets, and lines of packets that nobody would send.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

mod packets;

use std::io::{BufWriter, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use control::capture::{Packet, Way};
use control::message::CaptureInterface;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pdump::output::Output;
use pdump::print::{Dump, Lines, Style, TimeStyle, summary};
use proptest::prelude::*;

use packets::{others, packets};

/// How `pdump` prints packets, without interface and point.
fn ours(packets: &[Vec<u8>], style: Style) -> String {
    let mut printed = Vec::new();
    let mut lines = Lines::new(&mut printed, &[], style);
    for packet in packets {
        lines.packet(&packet_of(packet, packet.len() as u32)).unwrap();
    }
    lines.round(true).unwrap();
    String::from_utf8(printed).unwrap().replace("? rx ", "")
}

fn packet_of(data: &[u8], wire_length: u32) -> Packet<'_> {
    Packet {
        time_ns: 0,
        interface: 0,
        way: Way::Rx,
        wire_length,
        rule: None,
        id: 0,
        worker: Some(0),
        queue: None,
        lost_before: 0,
        dropped: None,
        data,
    }
}

/// A file of them.
fn written(packets: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ..Default::default()
    };
    let mut buffered = BufWriter::new(file.as_file());
    let mut writer = PcapWriter::with_header(&mut buffered, header).unwrap();
    for packet in packets {
        let packet = PcapPacket::new(Duration::ZERO, packet.len() as u32, packet);
        writer.write_packet(&packet.unwrap()).unwrap();
    }
    buffered.flush().unwrap();
    drop(buffered);
    file
}

/// How tcpdump prints them.
fn theirs(packets: &[Vec<u8>], words: &[&str]) -> String {
    let file = written(packets);
    let output = Command::new("tcpdump")
        .args(["-n", "-S", "-t"])
        .args(words)
        .arg("-r")
        .arg(file.path())
        .output()
        .expect("tcpdump has to be installed for this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

const PLAIN: Style = Style {
    json: false,
    time: TimeStyle::None,
    link: false,
    dump: None,
};

/// A line is theirs, and what it says besides is behind that in brackets.
fn assert_same(ours: &str, theirs: &str) {
    let mut differ = Vec::new();
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}\n{theirs}");
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        // Some of its words have a space too many.
        let theirs = theirs.replace(",  ", ", ");
        let rest = ours.strip_prefix(&theirs);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (") && rest.ends_with(')')) {
            differ.push([ours.to_owned(), theirs]);
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn lines_are_those_of_tcpdump() {
    let packets = packets();
    // Without -e it does not say tags.
    let without_tags: String = ours(&packets, PLAIN)
        .lines()
        .map(|line| {
            let mut line = line;
            while line.starts_with("vlan ") {
                line = &line[line.find(", ").unwrap() + 2..];
                line = &line[line.find(", ").unwrap() + 2..];
                line = line.strip_prefix("DEI, ").unwrap_or(line);
            }
            format!("{line}\n")
        })
        .collect();
    assert_same(&without_tags, &theirs(&packets, &[]));
}

#[test]
fn lines_with_the_link_header_are_those_of_tcpdump() {
    let packets = packets();
    let style = Style { link: true, ..PLAIN };
    assert_same(&ours(&packets, style), &theirs(&packets, &["-e"]));
}

#[test]
fn bytes_below_the_line_are_as_tcpdump_has_them() {
    let packets = packets();
    for (words, link, characters) in [
        ("-x", false, false),
        ("-xx", true, false),
        ("-X", false, true),
        ("-XX", true, true),
    ] {
        let style = Style {
            dump: Some(Dump { link, characters }),
            ..PLAIN
        };
        let rows = |text: &str| -> Vec<String> {
            let rows = text.lines().filter(|line| line.starts_with("\t0x"));
            rows.map(str::to_owned).collect()
        };
        let (ours, theirs) = (rows(&ours(&packets, style)), rows(&theirs(&packets, &[words])));
        assert_eq!(ours.len(), theirs.len(), "{words}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{words}");
        }
    }
}

#[test]
fn what_is_not_looked_into_is_said_by_its_number_or_name() {
    for (packet, expected) in others() {
        assert_eq!(summary(&packet, packet.len() as u32), expected);
    }
}

#[test]
fn what_tcpdump_does_not_say_is_in_brackets() {
    let said = ours(&packets(), PLAIN);
    for note in [
        "ICMP 10.9.9.9 udp port 1053 unreachable, length 41 (about 10.0.0.2.1024 > 10.9.9.9.1053 udp)",
        "isakmp: parent_sa ikev2_init[I] (message id 0)",
        "isakmp: child_sa  inf2[IR] (message id 3)",
        "UDP, length 5 (router alert 0)",
        "HBH ICMP6, echo request, id 1, seq 2, length 13 (router alert 3)",
        "who has fe80::9, length 32 (source lladdr 02:00:00:00:00:02)",
        "tgt is fe80::9, length 32 (router, solicited, override, target lladdr 02:00:00:00:00:02)",
        "(fragment 77: 16 bytes at 0+)",
        "router advertisement, length 24 (hop limit 64, lifetime 1800 s, source lladdr 02:00:00:00:00:02)",
    ] {
        assert!(said.lines().any(|line| line.ends_with(note)), "{note}\n{said}");
    }
    let mut wrong = packets().swap_remove(6);
    wrong[22] ^= 1;
    assert!(
        summary(&wrong, 46).ends_with("(wrong header checksum)"),
        "{}",
        summary(&wrong, 46)
    );
}

#[test]
fn a_short_snapshot_shows_what_it_has_and_makes_nothing_up() {
    for packet in packets() {
        let length = packet.len() as u32;
        let whole = summary(&packet, length);
        for cut in 0..packet.len() {
            let line = summary(&packet[..cut], length);
            // Each word is one that would be said of all, but for the mark.
            let (said, is_cut) = match line.split_once("[|") {
                Some((said, _)) => (said, true),
                None => (&line[..], false),
            };
            for word in said.split([' ', ':', ')']) {
                assert!(whole.contains(word), "{cut}: {line}\n{whole}");
            }
            assert!(is_cut || cut >= 14, "{cut}: {line}");
        }
    }
}

/// One line of characters that do nothing to a terminal.
fn assert_one_line(frame: &[u8], wire_length: u32) {
    let line = summary(frame, wire_length);
    assert!(
        line.chars().all(|character| (' '..='~').contains(&character)),
        "{line:?}"
    );
    let style = Style {
        link: true,
        time: TimeStyle::SinceLast,
        dump: Some(Dump {
            link: true,
            characters: true,
        }),
        json: false,
    };
    let mut printed = Vec::new();
    let mut lines = Lines::new(&mut printed, &[], style);
    lines.packet(&packet_of(frame, wire_length)).unwrap();
    lines.round(true).unwrap();
    let text = String::from_utf8(printed).unwrap();
    assert!(
        text.chars()
            .all(|character| matches!(character, ' '..='~' | '\n' | '\t')),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 1 + frame.len().div_ceil(16));
}

#[test]
fn names_of_interfaces_do_nothing_to_a_terminal() {
    let odd = CaptureInterface {
        index: 0,
        name: "w\u{1b}[2J\u{9b}\n ü".to_owned(),
        device: String::new(),
        mac: packet::MacAddress([0; 6]),
        speed_mbps: 0,
    };
    let mut printed = Vec::new();
    let mut lines = Lines::new(&mut printed, &[odd], PLAIN);
    lines.packet(&packet_of(&[], 0)).unwrap();
    lines.round(true).unwrap();
    let text = String::from_utf8(printed).unwrap();
    assert_eq!(text, "w\\u{1b}[2J\\u{9b}\\u{a}\\u{20}ü rx [|ether]\n");
}

#[test]
#[ignore = "a figure: run it with --release, on a machine that does nothing else"]
fn lines_come_as_fast_as_tcpdump_s() {
    let packets: Vec<_> = std::iter::repeat_n(packets(), 5_000).flatten().collect();
    let nowhere = || std::fs::File::options().write(true).open("/dev/null").unwrap();
    let begun = Instant::now();
    let mut lines = Lines::new(nowhere(), &[], PLAIN);
    for packet in &packets {
        lines.packet(&packet_of(packet, packet.len() as u32)).unwrap();
    }
    lines.round(true).unwrap();
    let ours = begun.elapsed();
    let file = written(&packets);
    let begun = Instant::now();
    let status = Command::new("tcpdump")
        .args(["-n", "-S", "-t", "-r"])
        .arg(file.path())
        .stdout(nowhere())
        .status()
        .unwrap();
    let theirs = begun.elapsed();
    assert!(status.success());
    let rate = |time: Duration| packets.len() as f64 / time.as_secs_f64();
    println!("lines/s: {:.0}, of tcpdump {:.0}", rate(ours), rate(theirs));
    assert!(ours < theirs * 2, "{ours:?} {theirs:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_it_panic_or_speak_to_the_terminal(
        frame in prop::collection::vec(any::<u8>(), 0..200), wire_length: u32
    ) {
        assert_one_line(&frame, wire_length);
    }

    #[test]
    fn no_change_to_a_good_packet_makes_it_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        longer in 0..100_u32,
    ) {
        let mut frame = which.get(&packets()).clone();
        let length = frame.len() as u32 + longer;
        for (place, byte) in changes {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        frame.truncate(cut.index(frame.len() + 1));
        assert_one_line(&frame, length);
    }
}

//! Files in series: when one ends and the next begins, which stay, and when there are enough; compressed ones too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use control::message::CapturePoint;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pdump::arguments::Format;
use pdump::capture::Limits;
use pdump::output::{Compression, OutputError, Stop, Switch, Target};
use pdump::report::Report;

use crate::files::{packets, read};
use crate::script::{Captured, Script, Step, begin_target, counts, pings};

const WIRE: [CapturePoint; 2] = [CapturePoint::Rx, CapturePoint::Tx];

/// A place, and a capture into it.
struct Place {
    directory: tempfile::TempDir,
    target: Target,
    format: Format,
}

impl Place {
    fn new(switch: Option<Switch>, stop: Stop) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target = Target {
            switch,
            stop,
            ..Target::file(&directory.path().join("out.pcapng"))
        };
        Self {
            directory,
            target,
            format: Format::Pcapng,
        }
    }

    /// Runs it over steps that have so many packets in all.
    fn capture(&self, steps: Vec<Step<'_>>, all: u64) -> Report {
        let mut output = begin_target(self.target.clone(), &WIRE, self.format).unwrap();
        let mut source = Script::new(steps, counts(all, all, 0));
        let (report, ended) = source.run(&mut output, None);
        ended.unwrap();
        assert_eq!(
            report.seen,
            report.filtered + report.written + report.lost + report.unsampled + report.unwritten
        );
        report
    }

    /// The files, in the order of their names.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn all_packets(files: &[PathBuf]) -> Vec<Captured> {
    files.iter().flat_map(|file| packets(file)).collect()
}

/// The number in a name, which has the time of day behind it.
fn number(path: &Path) -> u32 {
    let name = path.file_name().unwrap().to_str().unwrap();
    let rest = name.strip_prefix("out_").unwrap();
    let (number, time) = rest.split_once('_').unwrap();
    let time = time.split('.').next().unwrap();
    assert!(
        time.len() == 14 && time.starts_with("20") && time.bytes().all(|byte| byte.is_ascii_digit()),
        "{name}"
    );
    assert_eq!(number.len(), 5);
    number.parse().unwrap()
}

#[test]
fn a_file_has_so_many_packets_and_none_is_empty() {
    let switch = Switch {
        packets: Some(4),
        ..Switch::default()
    };
    let place = Place::new(Some(switch), Stop::default());
    let sent = pings(12);
    let steps = vec![
        Step::Packets(sent[..6].to_vec()),
        Step::Idle,
        Step::Packets(sent[6..].to_vec()),
    ];
    assert_eq!(place.capture(steps, 12).written, 12);
    let files = place.files();
    assert_eq!(
        files.iter().map(|file| number(file)).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(all_packets(&files), sent);
    for file in &files {
        // Two interfaces, four packets, and statistics of both: whole by itself.
        let blocks = read(file);
        assert_eq!(blocks.len(), 2 + 4 + 2);
        let statistics = blocks.iter().find_map(Block::as_interface_statistics).unwrap();
        assert!(
            statistics
                .options
                .contains(&InterfaceStatisticsOption::IsbIfRecv(12))
        );
        // Of the capture until then: received and sent by turns.
        let delivered = InterfaceStatisticsOption::IsbUsrDeliv(u64::from(number(file)) * 2);
        assert!(statistics.options.contains(&delivered), "{statistics:?}");
    }
}

#[test]
fn a_file_ends_with_the_packet_that_makes_it_long_enough() {
    for format in [Format::Pcapng, Format::Pcap] {
        let switch = Switch {
            length: Some(2000),
            ..Switch::default()
        };
        let mut place = Place::new(Some(switch), Stop::default());
        place.format = format;
        let written = place.capture(vec![Step::Packets(pings(100))], 100).written;
        let files = place.files();
        assert_eq!(written, 100);
        assert!(files.len() > 5, "{files:?}");
        for file in &files[..files.len() - 1] {
            let length = fs::metadata(file).unwrap().len();
            // The longest packet, and statistics.
            assert!((2000..2000 + 180 + 300).contains(&length), "{length}");
        }
    }
}

#[test]
fn a_ring_keeps_the_latest() {
    let switch = Switch {
        packets: Some(1),
        files: Some(3),
        ..Switch::default()
    };
    let place = Place::new(Some(switch), Stop::default());
    let sent = pings(10);
    let most = |place: &Place| place.files().len();
    let mut steps = Vec::new();
    for ping in &sent {
        steps.push(Step::Packets(vec![ping.clone()]));
        steps.push(Step::Look(Box::new(|| assert!(most(&place) <= 3))));
    }
    assert_eq!(place.capture(steps, 10).written, 10);
    let files = place.files();
    assert_eq!(
        files.iter().map(|file| number(file)).collect::<Vec<_>>(),
        [8, 9, 10]
    );
    assert_eq!(all_packets(&files), sent[7..]);
}

#[test]
fn enough_files_or_bytes_end_it() {
    let switch = Switch {
        packets: Some(4),
        ..Switch::default()
    };
    let stop = Stop {
        files: Some(2),
        length: None,
    };
    let place = Place::new(Some(switch), stop);
    let sent = pings(30);
    let report = place.capture(vec![Step::Packets(sent.clone()), Step::Packets(pings(5))], 35);
    assert_eq!((report.written, report.unwritten), (8, 27));
    assert_eq!(all_packets(&place.files()), sent[..8]);

    let stop = Stop {
        files: None,
        length: Some(1000),
    };
    let place = Place::new(None, stop);
    let report = place.capture(vec![Step::Packets(sent.clone())], 30);
    assert!((2..30).contains(&report.written), "{report}");
    assert_eq!(packets(&place.target.path).len() as u64, report.written);
}

#[test]
fn time_ends_files_and_the_capture() {
    let pause = |sent: &[Captured]| {
        let wait = || std::thread::sleep(Duration::from_millis(60));
        [Step::Packets(sent.to_vec()), Step::Look(Box::new(wait))]
    };
    let switch = Switch {
        duration: Some(Duration::from_millis(50)),
        ..Switch::default()
    };
    let place = Place::new(Some(switch), Stop::default());
    let sent = pings(6);
    let steps = sent.chunks(2).flat_map(pause).collect();
    assert_eq!(place.capture(steps, 6).written, 6);
    let files = place.files();
    assert!(files.len() >= 3, "{files:?}");
    assert_eq!(all_packets(&files), sent);

    let interval = Switch {
        interval: Some(Duration::from_secs(1)),
        ..Switch::default()
    };
    let place = Place::new(Some(interval), Stop::default());
    let wait = || std::thread::sleep(Duration::from_millis(1010));
    let steps = vec![
        Step::Packets(sent[..3].to_vec()),
        Step::Look(Box::new(wait)),
        Step::Packets(sent[3..].to_vec()),
    ];
    place.capture(steps, 6);
    assert!((2..=3).contains(&place.files().len()));

    let place = Place::new(None, Stop::default());
    let mut output = begin_target(place.target.clone(), &WIRE, Format::Pcapng).unwrap();
    let limits = Limits {
        packets: None,
        duration: Some(Duration::from_millis(50)),
    };
    let wait = || std::thread::sleep(Duration::from_millis(60));
    let steps = [
        Step::Packets(sent[..2].to_vec()),
        Step::Look(Box::new(wait)),
        // On its way when the time was over.
        Step::Packets(sent[2..4].to_vec()),
        Step::Idle,
        Step::Packets(sent[4..].to_vec()),
    ];
    let (report, ended) = Script::new(steps, counts(6, 6, 0)).run_until(&mut output, limits, &mut |_| {});
    ended.unwrap();
    assert_eq!((report.written, report.unwritten), (4, 2));
}

/// What another program makes of a compressed file.
fn unpacked(program: &str, path: &Path) -> Vec<u8> {
    let output = Command::new(program).arg("-dc").arg(path).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} has to be installed for this test: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn compressed_files_are_whole_whenever_something_was_written() {
    for (compression, program, ending) in [
        (Compression::Zstd, "zstd", "zst"),
        (Compression::Gzip, "gzip", "gz"),
    ] {
        let mut place = Place::new(None, Stop::default());
        place.target.compression = Some(compression);
        let path = place.directory.path().join(format!("out.pcapng.{ending}"));
        let plain = place.directory.path().join("plain");
        let sent = pings(300);
        let look = || {
            fs::write(&plain, unpacked(program, &path)).unwrap();
            assert_eq!(packets(&plain), sent[..200]);
        };
        let steps = vec![
            Step::Packets(sent[..120].to_vec()),
            Step::Idle,
            Step::Packets(sent[120..200].to_vec()),
            Step::Idle,
            Step::Look(Box::new(look)),
            Step::Packets(sent[200..].to_vec()),
        ];
        place.capture(steps, 300);
        fs::write(&plain, unpacked(program, &path)).unwrap();
        assert_eq!(packets(&plain), sent);
        assert!(fs::metadata(&path).unwrap().len() < fs::metadata(&plain).unwrap().len() / 2);
        // Readers that know compression take all of its parts.
        let tshark = Command::new("tshark")
            .args(["-n", "-T", "fields", "-e", "frame.len", "-r"])
            .arg(&path)
            .output();
        let tshark = tshark.expect("tshark has to be installed for this test");
        assert_eq!(
            tshark.stdout.split(|byte| *byte == b'\n').count(),
            301,
            "{}",
            String::from_utf8_lossy(&tshark.stderr)
        );
    }
}

#[test]
fn a_directory_that_vanishes_ends_it_with_what_is_in_the_files_before() {
    let switch = Switch {
        packets: Some(2),
        ..Switch::default()
    };
    let place = Place::new(Some(switch), Stop::default());
    let moved = place.directory.path().with_extension("moved");
    let mut output = begin_target(place.target.clone(), &WIRE, Format::Pcapng).unwrap();
    let steps = [
        Step::Packets(pings(4)),
        Step::Look(Box::new(|| fs::rename(place.directory.path(), &moved).unwrap())),
        Step::Packets(pings(1)),
    ];
    let (report, ended) = Script::new(steps, counts(5, 5, 0)).run(&mut output, None);
    let error = ended.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("out_00003_"),
        "{error}"
    );
    assert_eq!((report.written, report.unwritten), (4, 1));
    fs::rename(&moved, place.directory.path()).unwrap();
    assert_eq!(all_packets(&place.files()).len(), 4);
}

#[test]
fn a_file_that_somebody_removes_is_said_within_a_second() {
    let place = Place::new(None, Stop::default());
    let mut output = begin_target(place.target.clone(), &WIRE, Format::Pcapng).unwrap();
    let mut steps = vec![
        Step::Packets(pings(3)),
        Step::Idle,
        Step::Look(Box::new(|| fs::remove_file(&place.target.path).unwrap())),
    ];
    let wait = || Step::Look(Box::new(|| std::thread::sleep(Duration::from_millis(100))));
    steps.extend((0..20).map(|_| wait()));
    let (report, ended) = Script::new(steps, counts(3, 3, 0)).run(&mut output, None);
    let error = ended.unwrap_err();
    assert!(
        matches!(
            error,
            pdump::capture::Interruption::Output(OutputError::Removed { packets: 3, .. })
        ),
        "{error}"
    );
    assert_eq!(report.written, 3);
}

#[test]
fn the_oldest_that_is_gone_already_is_no_error() {
    let switch = Switch {
        packets: Some(1),
        files: Some(1),
        ..Switch::default()
    };
    let place = Place::new(Some(switch), Stop::default());
    let clear = || {
        place
            .files()
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap())
    };
    let steps = vec![
        Step::Packets(pings(2)),
        Step::Idle,
        Step::Look(Box::new(clear)),
        Step::Packets(pings(1)),
    ];
    assert_eq!(place.capture(steps, 3).written, 3);
    assert_eq!(place.files().len(), 1);
}

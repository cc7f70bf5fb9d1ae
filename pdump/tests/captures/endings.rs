//! How captures end, and that what was captured until then can be read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use control::message::CapturePoint;
use pdump::arguments::Format;
use pdump::capture::Interruption;
use pdump::output::{Compression, OutputError, Target};
use pdump::print::{Lines, Style};
use pdump::source::CaptureError;

use crate::files::{expected, packets, read, tcpdump};
use crate::script::{Script, Step, begin, begin_target, counts, interfaces, pings};

#[test]
fn a_signal_ends_it_after_what_is_still_on_its_way() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let sent = pings(9);
    let steps = [
        Step::Packets(sent[..3].to_vec()),
        Step::Signal,
        Step::Packets(sent[3..6].to_vec()),
        Step::Packets(sent[6..].to_vec()),
        Step::Idle,
        Step::Packets(pings(1)),
    ];
    let mut source = Script::new(steps, counts(9, 9, 0));
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let (report, ended) = source.run(&mut output, None);
    ended.unwrap();
    assert!(source.stopped);
    assert_eq!(report.written, 9);
    assert_eq!(packets(&path), sent);
}

#[test]
fn a_count_ends_it_to_the_packet() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let sent = pings(9);
    for count in [1, 3, 4, 9] {
        let steps = [
            Step::Packets(sent[..3].to_vec()),
            Step::Packets(sent[3..].to_vec()),
            Step::Ends(CaptureError::PrimaryEnded("blue".into())),
        ];
        let mut source = Script::new(steps, counts(9, 9, 0));
        let mut output = begin(&path, Format::Pcapng).unwrap();
        let (report, ended) = source.run(&mut output, Some(count));
        ended.unwrap();
        assert!(source.stopped);
        assert_eq!(report.written, count);
        assert_eq!(packets(&path), sent[..usize::try_from(count).unwrap()]);
    }
}

#[test]
fn packets_are_in_the_file_as_soon_as_nothing_follows() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let sent = pings(4);
    // Not the statistics, of course.
    let look = |count: usize| {
        let (path, sent) = (&path, &sent);
        Step::Look(Box::new(move || assert_eq!(packets(path), sent[..count])))
    };
    let steps = [
        look(0),
        Step::Packets(sent[..2].to_vec()),
        Step::Idle,
        look(2),
        Step::Packets(sent[2..].to_vec()),
        Step::Idle,
        look(4),
    ];
    let mut output = begin(&path, Format::Pcapng).unwrap();
    Script::new(steps, counts(4, 4, 0))
        .run(&mut output, None)
        .1
        .unwrap();
}

#[test]
fn the_end_of_the_primary_leaves_a_finished_file() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    let steps = [
        Step::Packets(pings(5)),
        Step::Ends(CaptureError::PrimaryEnded("blue".into())),
    ];
    let mut output = begin(&path, Format::Pcapng).unwrap();
    let (report, ended) = Script::new(steps, counts(5, 5, 0)).run(&mut output, None);
    assert!(matches!(
        ended,
        Err(Interruption::Source(CaptureError::PrimaryEnded(_)))
    ));
    assert_eq!(report.written, 5);
    assert_eq!(tcpdump(&path), expected(&pings(5)));
    assert_eq!(read(&path).len(), 2 + 5 + 2);
}

#[test]
fn a_device_that_is_full_is_said_at_once() {
    let error = begin("/dev/full".as_ref(), Format::Pcapng).err().unwrap();
    assert!(matches!(error, OutputError::Write { packets: 0, .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("cannot write to /dev/full: No space left on device"),
        "{message}"
    );
}

/// Runs as a process of its own, below.
#[test]
#[ignore = "the next test runs it, with a limit on the length of files"]
fn fill_a_file() {
    let path = std::env::var_os("PDUMP_TEST_FILE").expect("only a_file_that_takes_no_more runs this");
    let compression = std::env::var_os("PDUMP_TEST_ZSTD").map(|_| Compression::Zstd);
    let target = Target {
        compression,
        ..Target::file(path.as_ref())
    };
    let points = [CapturePoint::Rx, CapturePoint::Tx];
    let mut output = begin_target(target, &points, Format::Pcapng).unwrap();
    let steps = (0..100).flat_map(|_| [Step::Packets(pings(10)), Step::Idle]);
    let mut source = Script::new(steps, counts(1000, 1000, 0));
    let (report, ended) = source.run(&mut output, None);
    let error = ended.unwrap_err();
    println!("written={} error={error}", report.written);
    assert!(source.stopped);
    assert!(
        matches!(error, Interruption::Output(OutputError::Write { packets, .. }) if packets == report.written)
    );
}

/// A full disk looks the same to the tool: a write that is cut short, then one that is refused.
#[test]
fn a_file_that_takes_no_more_ends_with_a_whole_block() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.pcapng");
    for limit in 3..30 {
        let output = Command::new("sh")
            .args(["-c", r#"trap '' XFSZ; ulimit -f "$1"; shift; exec "$@""#, "sh"])
            .arg(limit.to_string())
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "endings::fill_a_file", "--nocapture"])
            .env("PDUMP_TEST_FILE", &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (_, written) = said.split_once("written=").unwrap();
        let (written, _) = written.split_once(' ').unwrap();
        let found = packets(&path);
        assert!(found.len() > 3, "{said}");
        assert_eq!(found.len().to_string(), written);
        assert_eq!(tcpdump(&path).len(), found.len());
    }
}

/// The same on a disk that is really full, which other programs see as well; with parts that are compressed.
#[test]
fn a_full_disk_leaves_what_was_captured() {
    let place = tempfile::tempdir().unwrap();
    let (disk, copy) = (place.path().join("disk"), place.path().join("copy"));
    fs::create_dir(&disk).unwrap();
    let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && { PDUMP_TEST_FILE="$2/out" "$4" --ignored --exact endings::fill_a_file \
        --nocapture; status=$?; cat "$2"/out* > "$3"; umount "$2"; exit $status; }"#;
    // Root may mount, also where there are no namespaces for users, as in a chroot.
    let is_root = fs::metadata(place.path()).unwrap().uid() == 0;
    let namespace: &[&str] = if is_root {
        &[]
    } else {
        &["unshare", "--mount", "--map-root-user"]
    };
    let fill = |zstd: bool, size: &str| {
        let mut command = Command::new("env");
        command.args(namespace).args(["sh", "-c", script, "sh", size]);
        command.args([&disk, &copy]).arg(std::env::current_exe().unwrap());
        if zstd {
            command.env("PDUMP_TEST_ZSTD", "1");
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("No space left on device"), "{said}");
        let (_, written) = said.split_once("written=").unwrap();
        written.split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    for size in ["32k", "64k"] {
        let written = fill(false, size);
        assert!((100..600).contains(&written), "{written}");
        assert_eq!(packets(&copy).len(), written);
        assert_eq!(tcpdump(&copy).len(), written);
    }
    let written = fill(true, "8k");
    assert!((50..1000).contains(&written), "{written}");
    let unpacked = Command::new("zstd")
        .args(["-dcq"])
        .stdin(File::open(&copy).unwrap())
        .output()
        .unwrap();
    assert!(unpacked.status.success());
    fs::write(&copy, unpacked.stdout).unwrap();
    assert_eq!(packets(&copy).len(), written);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pipe");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let reader = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut start = [0; 28];
            File::open(path).unwrap().read_exact(&mut start).unwrap();
        })
    };
    let mut output = begin(&path, Format::Pcapng).unwrap();
    reader.join().unwrap();
    wait_for_no_reader(&path);
    let (_, ended) =
        Script::new([Step::Packets(pings(3)), Step::Idle], counts(3, 3, 0)).run(&mut output, None);
    let error = ended.unwrap_err();
    assert!(
        matches!(
            error,
            Interruption::Output(OutputError::Closed { packets: 0, .. })
        ),
        "{error}"
    );
    // A pipe is not ours to remove.
    drop(output);
    assert!(fs::symlink_metadata(&path).is_ok());
}

/// A program that another test starts at this moment has the pipe open until it is another program.
fn wait_for_no_reader(pipe: &Path) {
    let mut writing = OpenOptions::new();
    writing.write(true).custom_flags(nix::libc::O_NONBLOCK);
    let until = Instant::now() + Duration::from_secs(10);
    while writing.open(pipe).is_ok() {
        assert!(Instant::now() < until, "somebody reads {}", pipe.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn lines_come_with_their_burst_and_a_broken_screen_ends_it() {
    let mut printed = Vec::new();
    let mut output = Lines::new(&mut printed, &interfaces(), Style::default());
    let (report, ended) = Script::new([Step::Packets(pings(2))], counts(2, 2, 0)).run(&mut output, None);
    ended.unwrap();
    assert_eq!(report.written, 2);
    let text = String::from_utf8(printed).unwrap();
    assert_eq!(
        text,
        "12:34:56.123456789 wan rx IP 10.0.0.1 > 10.0.1.1: ICMP echo request, id 1, seq 0, length 64\n\
         12:34:56.123456790 lan tx IP 10.0.0.1 > 10.0.1.1: ICMP echo request, id 1, seq 1, length 63\n"
    );

    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut output = Lines::new(Gone, &interfaces(), Style::default());
    let (report, ended) =
        Script::new([Step::Packets(pings(2)), Step::Idle], counts(2, 2, 0)).run(&mut output, None);
    assert_eq!(report.written, 0);
    assert!(matches!(
        ended,
        Err(Interruption::Output(OutputError::Closed { .. }))
    ));
}

//! The tool attached to a primary that forwards nothing, but answers, and puts packets into real attachments. Needs
//! neither DPDK, nor huge pages, nor privileges.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

mod lasting;
mod primary;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::primary::{PACKETS, Primary, ended, packets_in, packets_of, wait_for_packets};

#[test]
fn packets_are_printed_until_there_are_enough() {
    let mut primary = Primary::start();
    let words = [
        "-i",
        "wan",
        "--direction",
        "rx",
        "-f",
        "icmp",
        "-s",
        "200",
        "-c",
        "2",
    ];
    let (status, out, said) = ended(primary.pdump(&words));
    assert_eq!(status, 0, "{said}");
    assert_eq!(
        out,
        "12:34:56.123456789 wan rx IP 10.0.0.1 > 10.0.1.1: ICMP echo request, id 1, seq 0, length 64\n\
         12:34:56.123456790 wan rx IP 10.0.0.1 > 10.0.1.1: ICMP echo request, id 1, seq 1, length 64\n"
    );
    assert_eq!(
        said,
        "capturing on wan of instance blue, received packets only, filter 'icmp'; Ctrl-C ends\n\
         8 seen, 3 filtered, 2 written, 0 lost, 3 came too late to be written\n"
    );
    let (status, out, said) = ended(primary.pdump(&["-q", "-c", "5"]));
    assert_eq!((status, out.lines().count(), said.as_str()), (0, 5, ""));

    let asked = primary.end();
    let filter = pdump::filter::Filter::compile("icmp").unwrap();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (&asked[0].interfaces[..], asked[0].snaplen),
        (&["wan".to_owned()][..], 200)
    );
    assert_eq!(
        (&asked[0].filter, asked[0].expression.as_str()),
        (&filter.program, "icmp")
    );
    assert_eq!((asked[1].filter.len(), asked[1].snaplen), (0, 16_384));
}

#[test]
fn json_is_an_object_per_line() {
    let primary = Primary::start();
    let (status, out, said) = ended(primary.pdump(&["-c", "5", "--json"]));
    assert_eq!(status, 0, "{said}");
    let objects = |text: &str| -> Vec<serde_json::Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let lines = objects(&out);
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[4]["time"], "2026-11-21T12:34:56.123456793Z");
    let report = serde_json::json!({ "seen": 8, "filtered": 3, "written": 5, "lost": 0, "unsampled": 0, "unwritten": 0 });
    assert_eq!(lines[5]["report"], report);
    assert_eq!(objects(&said)[0]["capturing"]["interfaces"][0], "wan");

    let output = primary
        .pdump(&["-c", "5", "--json", "-w", "-"])
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(objects(&said)[1]["report"], report);
    assert_eq!(packets_of(&output.stdout[..]), 5);
}

#[test]
fn both_signals_end_a_capture_with_a_report() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let primary = Primary::start();
        let file = primary.file();
        let child = primary.pdump(&["-w", file.to_str().unwrap()]);
        wait_for_packets(&file);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let (status, out, said) = ended(child);
        assert_eq!((status, out.as_str()), (0, ""), "{said}");
        assert!(
            said.ends_with("\n8 seen, 3 filtered, 5 written, 0 lost\n"),
            "{said}"
        );
        assert_eq!(packets_in(&file), 5);
    }
}

#[test]
fn the_primary_s_end_ends_it_within_a_second() {
    let mut primary = Primary::start();
    let file = primary.file();
    let child = primary.pdump(&["-w", file.to_str().unwrap()]);
    wait_for_packets(&file);
    primary.end();
    let begun = Instant::now();
    let (status, _, said) = ended(child);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(status, 1, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "8 seen, 3 filtered, 5 written, 0 lost",
            "error: the primary of 'blue' ended"
        ]
    );
    assert_eq!(packets_in(&file), 5);
}

#[test]
fn a_pipe_is_live_and_carries_nothing_but_the_capture() {
    let primary = Primary::start();
    let mut child = primary.pdump(&["-w", "-"]);
    let mut tcpdump = Command::new("tcpdump")
        .args(["-l", "-n", "-r", "-"])
        .stdin(child.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tcpdump has to be installed for this test");
    let mut lines = BufReader::new(tcpdump.stdout.take().unwrap());
    for number in 0..PACKETS {
        // While the capture runs.
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(
            line.contains(&format!("ICMP echo request, id 1, seq {number}, ")),
            "{line}"
        );
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(ended(child).0, 0);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!((tcpdump.wait().unwrap().code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn a_second_signal_ends_what_the_first_cannot() {
    let primary = Primary::start();
    let pipe = primary.place.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Full, and held open by somebody who never reads.
    let held = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut filler = held.try_clone().unwrap();
    thread::spawn(move || while filler.write_all(&[0; 4096]).is_ok() {});
    let mut child = primary.pdump(&["-w", pipe.to_str().unwrap()]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !primary.captures.load(Ordering::Acquire) {
        assert!(Instant::now() < deadline, "it asks for no capture");
        thread::sleep(Duration::from_millis(1));
    }
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(
        child.try_wait().unwrap().is_none(),
        "the first signal waits for the pipe"
    );
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(ended(child).0, 1);
    drop(held);
}

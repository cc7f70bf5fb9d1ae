//! The tool as it is started: what it refuses, in which order, and with which status. Nothing here needs a primary.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit status, stdout and stderr.
fn pdump(run_dir: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"));
    command
        .args(words)
        .env_remove("TOLLGATE_INSTANCE")
        .env("TOLLGATE_RUN_DIR", run_dir);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_wrong_filter_is_a_sentence_with_a_caret_and_2() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("out.pcapng");
    let words = ["-f", "tcp and and udp", "-w", file.to_str().unwrap()];
    let (status, out, said) = pdump(place.path(), &words);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        said,
        "error: the filter is wrong at column 9: syntax error\n  tcp and and udp\n          ^\n"
    );
    assert!(!file.exists());

    let (status, _, said) = pdump(place.path(), &["--json", "-f", "tcp and and udp"]);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status, 2);
    assert_eq!(
        error["error"],
        serde_json::json!({ "code": "invalid", "message": "the filter is wrong at column 9: syntax error", "column": 9 })
    );
}

#[test]
fn a_program_is_dumped_without_an_instance() {
    let (status, out, said) = pdump(Path::new("/nonexistent"), &["-f", "vlan and arp", "-d"]);
    assert_eq!((status, said.as_str()), (0, ""));
    assert!(
        out.starts_with("(000) ldh      [12]\n(001) jeq      #0x8100"),
        "{out}"
    );
    // What does not speak of tags is asked of frames without, with one and with more.
    let (_, arp, _) = pdump(Path::new("/nonexistent"), &["-f", "arp", "-d"]);
    let asked = arp.lines().filter(|line| line.contains("jeq      #0x806 "));
    assert_eq!(asked.count(), 3, "{arp}");
    // Keys are a filter as well.
    let (status, keys, said) = pdump(
        Path::new("/nonexistent"),
        &["--match", "proto=udp,proto-port=53", "-d"],
    );
    assert_eq!((status, said.as_str()), (0, ""));
    let (_, filter, _) = pdump(Path::new("/nonexistent"), &["-f", "udp and port 53", "-d"]);
    assert_eq!(keys, filter);
    let (status, _, said) = pdump(Path::new("/nonexistent"), &["--match", "proto=esp", "-d"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("proto=esp: a protocol is tcp, udp, icmp or icmp6"),
        "{said}"
    );
}

#[test]
fn a_path_that_is_wrong_is_refused_before_the_instance_is_asked() {
    let place = tempfile::tempdir().unwrap();
    for (path, part) in [
        (place.path().to_str().unwrap(), "is a directory"),
        ("/nonexistent/out.pcapng", "cannot open /nonexistent/out.pcapng"),
    ] {
        let (status, out, said) = pdump(place.path(), &["-w", path]);
        assert_eq!((status, out.as_str(), said.lines().count()), (1, "", 1), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn who_may_not_write_there_is_told_so() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // Others may not go to where this checkout is.
    let programs = tempfile::tempdir().unwrap();
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = programs.path().join("tollgate-pdump");
    fs::copy(env!("CARGO_BIN_EXE_tollgate-pdump"), &program).unwrap();
    let mut command = Command::new(program);
    command.arg("-w").arg(place.path().join("out.pcapng"));
    // Root may write everywhere.
    if fs::metadata(place.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: cannot open ") && said.contains("out.pcapng for writing: Permission denied"),
        "{said}"
    );
}

#[test]
fn options_of_files_that_do_not_go_together_are_2() {
    let place = tempfile::tempdir().unwrap();
    for (words, part) in [
        (&["-w", "f", "-b", "files:3"][..], "when the next begins"),
        (&["-w", "-", "-b", "filesize:3"], "give one after -w"),
        (&["-w", "-", "--group", "root"], "--group is for files"),
        (&["-w", "f", "-a", "files:3"], "add -b"),
        (&["-b", "filesize:3"], "--write"),
        (
            &["-w", "f", "--follow", "--format", "pcap"],
            "--follow needs sections",
        ),
        (&["-r", "f", "-Z", "nobody"], "cannot be used with"),
    ] {
        let (status, out, said) = pdump(place.path(), words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
}

#[test]
fn an_instance_that_is_not_there_costs_no_file() {
    let place = tempfile::tempdir().unwrap();
    let (new, old) = (place.path().join("new"), place.path().join("old"));
    fs::write(&old, "an older capture").unwrap();
    for file in [&new, &old] {
        let (status, out, said) = pdump(place.path(), &["-I", "red", "-w", file.to_str().unwrap()]);
        assert_eq!((status, out.as_str(), said.lines().count()), (1, "", 1), "{said}");
        assert!(said.starts_with("error: there is no instance 'red'"), "{said}");
    }
    assert!(!new.exists());
    assert_eq!(fs::read(&old).unwrap(), b"an older capture");
    let (status, _, said) = pdump(place.path(), &["-I", "red", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &error["error"]["code"]), (1, &"unknown_instance".into()));
}

#[test]
fn wrong_usage_is_2() {
    for words in [
        ["-s", "20000"],
        ["-c", "0"],
        ["--direction", "in"],
        ["--format", "erf"],
    ] {
        let (status, out, said) = pdump(Path::new("/nonexistent"), &words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {said}");
        let (status, out, said) = pdump(Path::new("/nonexistent"), &[&words[..], &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {said}");
        assert_eq!(error["error"]["code"], "usage");
        assert!(
            error["error"]["message"]
                .as_str()
                .is_some_and(|said| said.contains(words[1])),
            "{said}"
        );
    }
}

#[test]
fn help_completion_and_man_page_are_printed() {
    let print = |words: &[&str]| {
        let (status, out, said) = pdump(Path::new("/nonexistent"), words);
        assert_eq!((status, said.as_str()), (0, ""), "{words:?}");
        out
    };
    assert!(print(&["--help"]).contains("Examples:"));
    assert!(print(&["--version"]).contains("DPDK"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            print(&["completion", shell]).contains("tollgate-pdump"),
            "{shell}"
        );
    }
    assert!(print(&["man"]).contains(".TH tollgate-pdump"));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for words in [&["man"][..], &["-f", "udp port 500", "-d"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"));
        let output = command.args(words).stdout(writer).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code <= 1), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{said}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"));
    let output = command.arg("man").stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

//! What cannot be captured, by whom, and where to.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tests::{Privilege, ProcessBuilder, apart, read_pcapng};

use crate::{LIMIT, hosts, pings, report};

#[test]
fn what_cannot_be_captured_is_said_in_a_sentence() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let run = |words: &[&str]| {
        let mut process = primary.pdump(words).unwrap().start().unwrap();
        let status = process.wait(LIMIT).unwrap();
        (status.code(), process.stderr())
    };
    let (status, said) = run(&["-f", "udp port 53 and froom 1.2.3.4", "-w", "/dev/null"]);
    assert_eq!(status, Some(2), "{said}");
    let lines: Vec<_> = said.lines().collect();
    let caret = lines.iter().position(|line| line.trim() == "^").unwrap();
    assert_eq!(lines[caret].find('^'), lines[caret - 1].find("froom"), "{said}");
    for (words, part, expected) in [
        (vec!["-i", "nowhere"], "there are a0, b0", 1),
        (vec!["-w", "/proc/nowhere/x"], "/proc/nowhere/x", 1),
        (vec!["-w", "/"], "/", 1),
    ] {
        let (status, said) = run(&words);
        assert_eq!(status, Some(expected), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    // As many as [limits] has, and one more.
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut process = primary.pdump(&["-w", "/dev/null"]).unwrap().start().unwrap();
            process
                .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
                .unwrap();
            process
        })
        .collect();
    let (status, said) = run(&["-w", "/dev/null"]);
    assert_eq!(status, Some(1));
    let pid = running[0].pid().to_string();
    assert!(
        said.contains("attachments in [limits]") && said.contains(&pid),
        "{said}"
    );
}

/// A folder that others may enter, with a copy of pdump in it that they may run.
fn for_everybody() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("tollgate-pdump");
    fs::copy(tests::binaries::find("tollgate-pdump").unwrap(), &program).unwrap();
    (folder, program)
}

#[test]
fn a_member_of_the_group_captures_without_root_and_others_are_told_why_they_may_not() {
    let hosts = hosts();
    let (folder, program) = for_everybody();
    let run_dir = folder.path().join("run");
    let primary = hosts
        .primary("gw")
        .run_dir(&run_dir)
        .group("daemon")
        .start()
        .unwrap();
    let capture = |group: &str| {
        let words = ["--reuid=65534", "--clear-groups", group];
        let mut process = ProcessBuilder::new(Privilege::detect(), "captures as another user", "setpriv")
            .args(words)
            .arg(&program)
            .arg("--run-dir")
            .arg(&run_dir)
            .args([
                "--instance",
                primary.instance(),
                "-i",
                "a0",
                "-f",
                "icmp",
                "-c",
                "4",
            ])
            .start()
            .unwrap();
        let pinger = pings(&hosts, 1);
        let status = process.wait(LIMIT).unwrap();
        pinger.finish(LIMIT).unwrap().assert_all_answered();
        (status.code(), process.stdout(), process.stderr())
    };
    // Group 1 is daemon on every Debian.
    let (status, printed, said) = capture("--regid=1");
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(
        printed.lines().filter(|line| line.contains("ICMP echo")).count(),
        4,
        "{printed}"
    );
    let (status, _, said) = capture("--regid=65534");
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("permission"), "{said}");
}

#[test]
fn a_full_disk_ends_a_capture_with_what_fits() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.pcapng");
    // A file system of 64 KB in a mount namespace of its own; what is in it is copied out at the end.
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -n -t tmpfs -o size=64k none {disk} && \"$@\"; status=$?; cp {disk}/full.pcapng {kept}; exit $status",
        disk = disk.display(),
        kept = kept.display()
    );
    let [program, words @ ..] = apart(&script);
    let mut process = ProcessBuilder::new(Privilege::detect(), "captures to a small disk", program)
        .args(words)
        .arg(tests::binaries::find("tollgate-pdump").unwrap())
        .arg("--run-dir")
        .arg(primary.run_dir())
        .args(["--instance", primary.instance(), "-f", "icmp", "-w"])
        .arg(disk.join("full.pcapng"))
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    let pinger = pings(&hosts, 3);
    let status = process.wait(LIMIT).unwrap();
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    assert_eq!(status.code(), Some(1), "{}", process.stderr());
    assert!(process.stderr().contains("full.pcapng"), "{}", process.stderr());
    assert!(
        process.stderr().to_lowercase().contains("no space"),
        "{}",
        process.stderr()
    );
    let packets = read_pcapng(&kept).unwrap();
    assert!((200..700).contains(&packets.len()), "{}", packets.len());
    assert_eq!(packets.len() as u64, report(&process)[2]);
}

#[test]
fn a_pipe_that_is_closed_ends_a_capture() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let program = tests::binaries::find("tollgate-pdump").unwrap();
    let script = format!(
        "{} --run-dir {} --instance {} -f icmp -w - | head -c 2000 > /dev/null; echo ended",
        program.display(),
        primary.run_dir().display(),
        primary.instance()
    );
    let mut process = ProcessBuilder::new(Privilege::detect(), "captures into a pipe", "sh")
        .args(["-c", &script])
        .start()
        .unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    let pinger = pings(&hosts, 3);
    assert!(process.wait(LIMIT).unwrap().success());
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    assert!(
        process.stderr().contains("has ended after"),
        "{}",
        process.stderr()
    );
    assert_eq!(
        primary.ctl_json(&["capture", "show"]).unwrap(),
        serde_json::json!([])
    );
}

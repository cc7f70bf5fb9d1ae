//! Captures that go on when their primary ends, that give up root, and that end for reasons of their own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Group, Pid, User};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;

use crate::primary::{PACKETS, Primary, ended, packets_in, wait_for_packets};

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
}

/// Sections and packets of a file.
fn sections_and_packets(path: &Path) -> (usize, usize) {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let (mut sections, mut packets) = (1, 0);
    while let Some(block) = reader.next_block() {
        match block.unwrap().0 {
            Block::SectionHeader(_) => sections += 1,
            Block::EnhancedPacket(_) => packets += 1,
            _ => {}
        }
    }
    (sections, packets)
}

#[test]
fn a_capture_goes_on_in_the_same_file_when_its_primary_is_back() {
    let mut primary = Primary::start();
    let file = primary.file();
    let mut child = primary.pdump(&["-w", file.to_str().unwrap(), "--follow"]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line
    };
    for round in 1..=3 {
        assert!(line().starts_with("capturing on wan of instance blue"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while packets_in(&file) < round * usize::from(PACKETS) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
        if round < 3 {
            primary.end();
            assert_eq!(
                line(),
                "the primary of 'blue' ended; waiting until it is back, Ctrl-C ends\n"
            );
            primary = primary.restart();
        }
    }
    interrupt(&child);
    assert_eq!(line(), "24 seen, 9 filtered, 15 written, 0 lost\n");
    assert!(child.wait().unwrap().success());
    assert_eq!(sections_and_packets(&file), (3, 15));
    let lines = Command::new("tcpdump")
        .args(["-n", "-r", "-"])
        .stdin(File::open(&file).unwrap())
        .output();
    let lines = lines.expect("tcpdump has to be installed for this test");
    assert_eq!(String::from_utf8(lines.stdout).unwrap().lines().count(), 15);
}

#[test]
fn a_capture_that_waits_for_its_primary_can_be_ended() {
    let mut primary = Primary::start();
    let file = primary.file();
    let mut child = primary.pdump(&["-w", file.to_str().unwrap(), "--follow"]);
    wait_for_packets(&file);
    primary.end();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("waiting until") {
        assert_ne!(said.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    interrupt(&child);
    said.read_to_string(&mut lines).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        lines.ends_with("8 seen, 3 filtered, 5 written, 0 lost\n"),
        "{lines}"
    );
    assert_eq!(sections_and_packets(&file), (1, 5));
}

#[test]
fn limits_hold_over_a_restart() {
    let mut primary = Primary::start();
    let file = primary.file();
    let child = primary.pdump(&["-w", file.to_str().unwrap(), "--follow", "-c", "7"]);
    wait_for_packets(&file);
    primary.end();
    let _primary = primary.restart();
    let (status, _, said) = ended(child);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.ends_with("16 seen, 6 filtered, 7 written, 0 lost, 3 came too late to be written\n"),
        "{said}"
    );
    assert_eq!(sections_and_packets(&file), (2, 7));
}

#[test]
fn pcap_has_no_sections_to_go_on_with() {
    let primary = Primary::start();
    let file = primary.file();
    let words = ["-w", file.to_str().unwrap(), "--follow", "--format", "pcap"];
    let (status, _, said) = ended(primary.pdump(&words));
    assert_eq!(status, 2);
    assert!(said.contains("--follow needs sections"), "{said}");
    assert!(!file.exists());
}

#[test]
fn a_duration_ends_it_and_json_says_each_second_how_it_is() {
    let primary = Primary::start();
    let file = primary.file();
    let words = ["-w", file.to_str().unwrap(), "-a", "duration:2.3", "--json"];
    let begun = Instant::now();
    let (status, out, said) = ended(primary.pdump(&words));
    assert!(
        (2.3..4.0).contains(&begun.elapsed().as_secs_f64()),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((status, out.as_str()), (0, ""), "{said}");
    let objects: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 4, "{said}");
    let live = &objects[1]["live"];
    assert_eq!(
        (&live["seen"], &live["written"], &live["seconds"]),
        (&8.into(), &5.into(), &1.into())
    );
    assert_eq!(live["written_per_second"], 5);
    assert_eq!(objects[2]["live"]["written_per_second"], 0);
    assert_eq!(objects[3]["report"]["written"], 5);
}

#[test]
fn a_terminal_has_a_line_that_is_written_anew() {
    let primary = Primary::start();
    let file = primary.file();
    let run = |words: &str| {
        let tool = env!("CARGO_BIN_EXE_tollgate-pdump");
        let script = Command::new("script")
            .args(["-qec", &format!("{tool} {words}"), "/dev/null"])
            .env("TOLLGATE_INSTANCE", "blue")
            .env("TOLLGATE_RUN_DIR", primary.place.path().join("run"))
            .stdin(Stdio::null())
            .output();
        let output = script.expect("script has to be installed for this test");
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (status, said) = run(&format!("-w {} -a duration:1.5", file.display()));
    assert!(
        status == Some(0)
            && said.contains("\r1 s: 8 seen (8/s), 5 written (5/s), 0 lost\x1b[K\r\n8 seen, 3 filtered"),
        "{said:?}"
    );
    // Not among the packets, nor when nothing is to be said.
    let (_, said) = run("-a duration:1.5");
    assert!(
        !said.contains("1 s:") && said.contains("ICMP echo request"),
        "{said:?}"
    );
    let (status, said) = run(&format!("-q -w {} -a duration:1.5", file.display()));
    assert_eq!((status, said.as_str()), (Some(0), ""));
    let (status, said) = run("-w -");
    assert!(
        status == Some(2) && said.contains("nothing for a terminal"),
        "{said:?}"
    );
}

/// Whether this test can become another user; says so if not.
fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can become another user");
    }
    is_root
}

fn nobody() -> User {
    User::from_name("nobody")
        .unwrap()
        .expect("there is a user nobody")
}

#[test]
fn root_is_given_up_and_further_files_are_the_user_s() {
    if !is_root() {
        return;
    }
    let primary = Primary::start();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(primary.place.path());
    let directory = primary.place.path().join("out");
    fs::create_dir(&directory).unwrap();
    nix::unistd::chown(&directory, Some(nobody().uid), None).unwrap();
    let file = directory.join("out.pcapng");
    let group = Group::from_gid(nobody().gid).unwrap().unwrap();
    let path = file.to_str().unwrap();
    let words = [
        "-w",
        path,
        "-b",
        "packets:2",
        "-Z",
        "nobody",
        "--group",
        &group.name,
    ];
    let child = primary.pdump(&words);
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_dir(&directory).unwrap().count() < 3 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let user = nobody().uid.to_string();
    assert_eq!(field("Uid:"), [&*user, &*user, &*user, &*user]);
    assert_eq!(
        (field("CapEff:"), field("CapPrm:")),
        (vec!["0000000000000000".into()], vec!["0000000000000000".into()])
    );
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    interrupt(&child);
    let (status, _, said) = ended(child);
    assert_eq!(status, 0, "{said}");
    for entry in fs::read_dir(&directory).unwrap() {
        let about = entry.unwrap().metadata().unwrap();
        assert_eq!(
            (about.uid(), about.gid(), about.mode() & 0o777),
            (nobody().uid.as_raw(), group.gid.as_raw(), 0o640)
        );
    }
}

#[test]
fn what_the_user_could_not_do_later_is_said_before_it_begins() {
    if !is_root() {
        return;
    }
    let primary = Primary::start();
    fs::set_permissions(primary.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = primary.file();
    let path = file.to_str().unwrap();
    let open = primary.place.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for (words, part) in [
        (
            &["-w", path, "-Z", "nobody", "-b", "packets:2"][..],
            "'nobody' may make no files in",
        ),
        (
            &["-w", path, "-Z", "no-such-user"],
            "there is no user 'no-such-user'",
        ),
        (
            &["-w", path, "--group", "no-such-group"],
            "there is no group 'no-such-group'",
        ),
        (
            &["-Z", "nobody", "--follow"],
            "'nobody' may not attach to 'blue' again",
        ),
    ] {
        let (status, _, said) = ended(primary.pdump(words));
        assert_eq!((status, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0, "no file is left");
    // The directory of the instance, and that one.
    assert_eq!(fs::read_dir(primary.place.path()).unwrap().count(), 2);

    let child = primary.pdump(&["-w", path, "-Z", "nobody"]);
    wait_for_packets(&file);
    let about = fs::metadata(&file).unwrap();
    assert_eq!(
        (about.uid(), about.mode() & 0o777 & !0o640),
        (nobody().uid.as_raw(), 0)
    );
    interrupt(&child);
    assert_eq!(ended(child).0, 0);
}

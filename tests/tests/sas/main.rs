//! SAs of a running primary: made, shown, replaced, deleted, over when their time is; and their keys, which are nowhere else.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod client;
mod keys;
mod tunnel;

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use control::instance::{InstanceDir, RunDir};
use serde_json::{Value, json};
use tests::{Interface, Primary, PrimaryBuilder, Privilege, Process, Random, binaries, memory, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// What is installed in most tests, but for the keys.
const ADD: &str = "sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 transform aes256gcm16 esn keys";
/// Bytes of keys that this transform has.
const KEY_BYTES: usize = 36;

fn builder() -> PrimaryBuilder {
    Primary::builder(Privilege::detect(), "gw")
        .interface(Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24"))
}

fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

/// SPI and state of those that there are.
fn shown(primary: &Primary) -> Vec<(u64, String)> {
    let shown = primary.ctl_json(&["sa", "show"]).unwrap();
    let sas = shown.as_array().unwrap().iter();
    sas.map(|sa| {
        (
            sa["spi"].as_u64().unwrap(),
            sa["state"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

fn installed<const N: usize>(spis: [u64; N]) -> Vec<(u64, String)> {
    spis.map(|spi| (spi, "installed".to_owned())).into()
}

/// How many keys the primary has.
fn keys_held(primary: &Primary) -> u64 {
    let memory = primary.ctl_json(&["memory"]).unwrap();
    let parts = memory.as_array().unwrap();
    let keys = parts.iter().find(|part| part["part"] == "keys").unwrap();
    keys["used"].as_u64().unwrap()
}

/// Keys that nothing else has by chance.
fn new_keys(random: &mut Random) -> Vec<u8> {
    (0..KEY_BYTES).map(|_| random.below(256) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that nobody else may read.
fn key_file(folder: &Path, name: &str, keys: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, hex(keys)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// `tollgate-ctl` that waits for keys on its stdin.
fn ctl_waiting_for_keys(primary: &Primary, words: &str) -> Child {
    let mut command: Command = Privilege::detect().command(binaries::find("tollgate-ctl").unwrap());
    command
        .arg("--run-dir")
        .arg(primary.run_dir())
        .args(["--instance", primary.instance()])
        .args(words.split_whitespace())
        .stdin(Stdio::piped());
    command.spawn().unwrap()
}

/// `monitor`, from where it misses nothing.
fn monitor(primary: &Primary) -> Process {
    let mut monitor = primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("that it subscribed", LIMIT, |line| {
            line.contains("\"subscribed\"")
        })
        .unwrap();
    monitor
}

/// What happened to SAs, as `monitor` has printed it so far.
fn changes(monitor: &Process) -> Vec<(String, u64)> {
    let lines = monitor.stdout();
    let events = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["event"] == "sas")
        .flat_map(|event| event["changes"].as_array().unwrap().clone())
        .map(|change| {
            let kind = change["change"].as_str().unwrap().to_owned();
            (kind, change["spi"].as_u64().unwrap())
        })
        .collect()
}

fn wait_for_changes<const N: usize>(monitor: &Process, expected: [(&str, u64); N]) {
    let expected: Vec<_> = expected.map(|(kind, spi)| (kind.to_owned(), spi)).into();
    wait_until(&format!("{expected:?}"), LIMIT, || {
        let seen = changes(monitor);
        assert!(expected.starts_with(&seen), "{seen:?}");
        Ok((seen == expected).then_some(()))
    })
    .unwrap();
}

#[test]
fn sas_are_added_from_file_and_stdin_shown_replaced_and_deleted() {
    let primary = builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::printed("keys");
    let file = key_file(folder.path(), "in.key", &new_keys(&mut random));
    let monitor = monitor(&primary);
    assert_eq!(shown(&primary), []);

    let added = primary.ctl(
        &format!("{ADD} {}", file.display())
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    let said = added.unwrap().success().unwrap().stderr;
    assert!(said.contains("protects nothing, as it names no tunnel"), "{said}");
    let words = "sa add spi 0x2000 out src 192.0.2.1 dst 198.51.100.1 transform aes256-sha512 udp 4500:4500 keys - \
                 hard packets 1000 sel src 10.0.0.0/8 dst 10.9.0.0/16 proto udp dport 53";
    let mut child = ctl_waiting_for_keys(&primary, words);
    let keys = [new_keys(&mut random), new_keys(&mut random), vec![7; 24]].concat();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(hex(&keys).as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(shown(&primary), installed([0x1000, 0x2000]));
    let sas = primary.ctl_json(&["sa"]).unwrap();
    for (key, value) in [
        ("direction", json!("out")),
        ("source", json!("192.0.2.1")),
        ("transform", json!("aes256-sha512")),
        ("udp", json!({ "source": 4500, "destination": 4500 })),
        ("hard", json!({ "bytes": null, "packets": 1000, "seconds": null })),
        ("packets", json!(0)),
    ] {
        assert_eq!(sas[1][key], value, "{key}");
    }
    assert_eq!(sas[1]["selectors"][0]["destination_ports"], json!([53, 53]));
    wait_for_changes(&monitor, [("added", 0x1000), ("added", 0x2000)]);

    let replace = ADD.replacen("add", "replace", 1).replace("esn", "window 64");
    let other = key_file(folder.path(), "other.key", &new_keys(&mut random));
    primary.tell(&format!("{replace} {}", other.display()));
    assert_eq!(shown(&primary), installed([0x1000, 0x2000]));
    let sas = primary.ctl_json(&["sa"]).unwrap();
    assert_eq!((&sas[0]["esn"], &sas[0]["window"]), (&json!(false), &json!(64)));
    assert_eq!(keys_held(&primary), 2);

    // A configuration says nothing of SAs, and takes none away.
    let config = primary.config_path();
    primary.tell(&format!("config apply {}", config.display()));
    primary.tell("sa del spi 0x2000 dst 198.51.100.1");
    assert_eq!(shown(&primary), installed([0x1000]));
    primary.tell("sa flush");
    assert_eq!((shown(&primary), keys_held(&primary)), (vec![], 0));
    wait_for_changes(
        &monitor,
        [
            ("added", 0x1000),
            ("added", 0x2000),
            ("replaced", 0x1000),
            ("deleted", 0x2000),
            ("deleted", 0x1000),
        ],
    );
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence_and_nothing_changes() {
    let primary = builder().toml("[limits]\nsas = 2").start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::printed("keys");
    let file = key_file(folder.path(), "in.key", &new_keys(&mut random));
    let good = format!("{ADD} {}", file.display());
    primary.tell(&good);
    let open = key_file(folder.path(), "open.key", &new_keys(&mut random));
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    for (words, code, said) in [
        (
            good.clone(),
            "exists",
            "there is an SA with SPI 0x00001000 to 192.0.2.1 already: use another SPI, or 'tollgate-ctl sa replace'",
        ),
        (
            with("0x1000", "255"),
            "usage",
            "255 is no SPI of an SA: use one from 256 on",
        ),
        (
            with("0x1000 in", "0x3000 in tunnel ipsec0"),
            "unknown_interface",
            "there is no tunnel 'ipsec0' for the SA with SPI 0x00003000 to 192.0.2.1",
        ),
        (
            with("0x1000 in", "0x3000 in tunnel n0"),
            "unknown_interface",
            "there is no tunnel 'n0' for",
        ),
        (
            with("0x1000", "0x3000").replace("aes256gcm16", "3des"),
            "invalid",
            "'3des' is no transform",
        ),
        (
            with("0x1000", "0x3000").replace("aes256gcm16", "aes128gcm16"),
            "invalid",
            "aes128gcm16 takes 20 bytes of keys and got 36",
        ),
        (
            format!("{ADD} {}", open.display()).replacen("0x1000", "0x3000", 1),
            "permission_denied",
            "are not secret: its mode 0644 lets others at it",
        ),
        (
            "sa del spi 0x3000 dst 192.0.2.1".to_owned(),
            "not_found",
            "there is no SA with SPI 0x00003000 to 192.0.2.1",
        ),
        (
            "sa show ipsec0".to_owned(),
            "not_found",
            "no SA protects 'ipsec0'",
        ),
    ] {
        let (found, message) = primary.refusal(&words);
        assert_eq!(found, code, "{words}: {message}");
        assert!(message.contains(said), "{words}: {message}");
    }
    assert_eq!((shown(&primary), keys_held(&primary)), (installed([0x1000]), 1));
    primary.tell(&with("0x1000", "0x1001"));
    let (code, message) = primary.refusal(&with("0x1000", "0x1002"));
    assert_eq!(code, "limit_reached");
    assert_eq!(
        message,
        "there are 2 SAs and 2 have room: delete some, or raise sas in [limits]"
    );
    // Numbers that begin anew must not meet the same keys.
    let (code, message) = primary.refusal(&with("add", "replace"));
    assert_eq!(code, "invalid");
    assert!(message.contains("has these keys already"), "{message}");
    let other = key_file(folder.path(), "other.key", &new_keys(&mut random));
    primary.tell(&format!(
        "{} {}",
        ADD.replacen("add", "replace", 1),
        other.display()
    ));
    assert_eq!(keys_held(&primary), 2);
}

#[test]
fn soft_lifetimes_are_told_and_hard_ones_end_an_sa_and_its_keys() {
    let privilege = Privilege::detect();
    let mut primary = builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::printed("keys");
    let keys = new_keys(&mut random);
    let file = key_file(folder.path(), "in.key", &keys);
    let monitor = monitor(&primary);
    let began = Instant::now();
    primary.tell(&format!("{ADD} {} soft seconds 1 hard seconds 4", file.display()));
    wait_for_changes(&monitor, [("added", 0x1000), ("soft_seconds", 0x1000)]);
    let soft = began.elapsed();
    assert!(soft >= Duration::from_secs(1), "{soft:?}");
    assert_eq!(shown(&primary), [(0x1000, "expiring".to_owned())]);
    assert_eq!(keys_held(&primary), 1);
    wait_for_changes(
        &monitor,
        [
            ("added", 0x1000),
            ("soft_seconds", 0x1000),
            ("hard_seconds", 0x1000),
        ],
    );
    let hard = began.elapsed();
    assert!(hard >= Duration::from_secs(4), "{hard:?}");
    assert_eq!((shown(&primary), keys_held(&primary)), (vec![], 0));
    assert_eq!(
        memory::find(privilege, primary.process().pid(), &keys).unwrap(),
        []
    );
}

#[test]
fn sas_of_a_tunnel_go_with_it() {
    let primary = builder().start().unwrap();
    let monitor = monitor(&primary);
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::printed("keys");
    let file = key_file(folder.path(), "in.key", &new_keys(&mut random));
    for (name, remote) in [("ipsec0", 1), ("ipsec1", 2)] {
        primary.tell(&format!(
            "tunnel add {name} mode esp local 192.0.2.1 remote 198.51.100.{remote}"
        ));
    }
    for (spi, tunnel, remote) in [
        (0x1000, "ipsec0", "198.51.100.1"),
        (0x1001, "ipsec0", "198.51.100.1"),
        (0x1002, "ipsec1", "198.51.100.2"),
    ] {
        let words = ADD.replacen("0x1000 in", &format!("{spi} in tunnel {tunnel}"), 1);
        let words = words.replacen("198.51.100.1", remote, 1);
        primary.tell(&format!("{words} {}", file.display()));
    }
    // One that sends in clear has no use for SAs.
    primary.tell("tunnel add tun0 mode ipip local 192.0.2.1 remote 198.51.100.3");
    let (code, message) = primary.refusal(&format!(
        "{} {}",
        ADD.replacen("0x1000 in", "0x1005 in tunnel tun0", 1),
        file.display()
    ));
    assert_eq!(code, "invalid");
    assert!(
        message.contains("is to protect tun0, which is not protected"),
        "{message}"
    );
    primary.tell(&format!(
        "{} {}",
        ADD.replacen("0x1000", "0x1003", 1),
        file.display()
    ));
    let (code, message) = primary.refusal(&format!(
        "{} {}",
        ADD.replacen("0x1000 in", "0x1004 in tunnel ipsec2", 1),
        file.display()
    ));
    assert_eq!(code, "unknown_interface");
    assert!(message.ends_with("there are ipsec0, ipsec1, tun0"), "{message}");
    let of = primary.ctl_json(&["sa", "show", "ipsec0"]).unwrap();
    assert_eq!(of.as_array().unwrap().len(), 2);
    primary.tell("tunnel del ipsec0");
    assert_eq!(shown(&primary), installed([0x1003, 0x1002]));
    assert_eq!(keys_held(&primary), 2);
    wait_for_changes(
        &monitor,
        [
            ("added", 0x1000),
            ("added", 0x1001),
            ("added", 0x1002),
            ("added", 0x1003),
            ("deleted", 0x1000),
            ("deleted", 0x1001),
        ],
    );
}

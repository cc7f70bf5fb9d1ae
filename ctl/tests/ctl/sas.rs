//! SAs as the tool shows them, and what it asks for; keys from a file or stdin, and from nowhere else.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use control::message::{
    NewSa, Request, Sa, SaDirection, SaId, SaKeys, SaLifetime, SaMode, SaState, Selector,
};
use control::sas::records;
use serde_json::{Value, json};
use shm::{SaCells, SaCounter};
use zeroize::Zeroizing;

use crate::fake_primary::FakePrimary;
use crate::run::{run, run_with_input, tool};

const ADD: &str =
    "sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes128gcm16 esn keys";
/// Twenty bytes.
const KEYS: &str = "000102030405060708090a0b0c0d0e0f10111213";

fn sa() -> Sa {
    Sa {
        spi: 0x1000,
        direction: SaDirection::In,
        tunnel: Some("ipsec0".into()),
        mode: SaMode::Tunnel,
        source: [198, 51, 100, 1].into(),
        destination: [192, 0, 2, 1].into(),
        transform: "aes128gcm16".into(),
        esn: true,
        window: 1024,
        udp: None,
        keepalive: Sa::DEFAULT_KEEPALIVE,
        selectors: vec![],
        soft: SaLifetime::default(),
        hard: SaLifetime::default(),
    }
}

fn request(replace: bool) -> Request {
    let keys = SaKeys::new(Zeroizing::new((0..20).collect()));
    Request::SaAdd {
        sas: vec![NewSa {
            sa: sa(),
            keys,
            sequence: 0,
        }],
        replace,
    }
}

/// One that comes in and one that goes out, and the counters of the first.
fn with_sas() -> (tempfile::TempDir, FakePrimary, SaCells) {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut table = primary.sas();
    let out = Sa {
        spi: 0x2000,
        direction: SaDirection::Out,
        source: sa().destination,
        destination: sa().source,
        esn: false,
        udp: Some((4500, 4501)),
        selectors: vec![Selector {
            source: ([10, 0, 0, 0].into(), [10, 0, 0, 255].into()),
            destination: ([10, 9, 0, 1].into(), [10, 9, 0, 1].into()),
            protocol: Some(17),
            source_ports: Selector::ANY_PORT,
            destination_ports: (53, 53),
        }],
        soft: SaLifetime {
            seconds: Some(3300),
            ..SaLifetime::default()
        },
        hard: SaLifetime {
            bytes: None,
            packets: Some(1 << 32),
            seconds: Some(3600),
        },
        ..sa()
    };
    let added = Duration::ZERO;
    let (record, selectors) = records(&out, 1, added, SaState::Expiring);
    table.insert(&record, &selectors).unwrap();
    let (record, selectors) = records(&sa(), 2, added, SaState::Installed);
    let place_of_in = table.insert(&record, &selectors).unwrap();
    let cells = table.cells(&place_of_in).unwrap();
    for (counter, value) in [
        (SaCounter::Packets, 10),
        (SaCounter::Bytes, 640),
        (SaCounter::Replayed, 2),
        (SaCounter::BadIcv, 1),
        (SaCounter::Sequence, 12),
    ] {
        cells.set(counter, value);
    }
    (place, primary, cells)
}

#[test]
fn sas_are_shown_with_what_was_counted_and_without_keys() {
    let (_place, primary, _cells) = with_sas();
    let shown = run(&primary.run_dir, "sa show").good();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = shown.lines().map(columns).collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert_eq!(
        lines[1][..8],
        [
            "in",
            "0x00001000",
            "198.51.100.1",
            "192.0.2.1",
            "ipsec0",
            "tunnel",
            "aes128gcm16",
            "installed"
        ]
    );
    for (line, said) in [
        (1, "esn, window 1024"),
        (1, " 10    640      3"),
        (
            2,
            "expiring   udp 4500:4501, soft 3300 seconds, hard 4294967296 packets or 3600 seconds",
        ),
        (3, "sel src 10.0.0.0-10.0.0.255 dst 10.9.0.1 proto udp dport 53"),
    ] {
        let line = shown.lines().nth(line).unwrap();
        assert!(line.contains(said), "{said}\n{line}");
    }
    let mut sas = run(&primary.run_dir, "--json sa").json();
    for sa in &mut sas {
        assert!(sa["age_ms"].take().is_u64());
    }
    let lifetime =
        |seconds: Value, packets: Value| json!({ "bytes": null, "packets": packets, "seconds": seconds });
    assert_eq!(
        sas,
        [
            json!({
                "spi": 4096, "direction": "in", "source": "198.51.100.1", "destination": "192.0.2.1", "tunnel": "ipsec0",
                "mode": "tunnel", "transform": "aes128gcm16", "state": "installed", "esn": true, "window": 1024, "udp": null,
                "keepalive": null,
                "selectors": [], "soft": lifetime(Value::Null, Value::Null), "hard": lifetime(Value::Null, Value::Null),
                "age_ms": null, "idle_ms": null, "sequence": 12, "packets": 10, "bytes": 640,
                "drops": {
                    "replayed": 2, "too_old": 0, "bad_icv": 1, "malformed": 0, "selector": 0, "source": 0, "exhausted": 0,
                },
                "warning": null,
            }),
            json!({
                "spi": 8192, "direction": "out", "source": "192.0.2.1", "destination": "198.51.100.1", "tunnel": "ipsec0",
                "mode": "tunnel", "transform": "aes128gcm16", "state": "expiring", "esn": false, "window": null,
                "udp": { "source": 4500, "destination": 4501 }, "keepalive": 20,
                "selectors": [{
                    "source": ["10.0.0.0", "10.0.0.255"], "destination": ["10.9.0.1", "10.9.0.1"], "protocol": 17,
                    "source_ports": null, "destination_ports": [53, 53],
                }],
                "soft": lifetime(3300.into(), Value::Null), "hard": lifetime(3600.into(), (1_u64 << 32).into()),
                "age_ms": null, "idle_ms": null, "sequence": 0, "packets": 0, "bytes": 0,
                "drops": {
                    "replayed": 0, "too_old": 0, "bad_icv": 0, "malformed": 0, "selector": 0, "source": 0, "exhausted": 0,
                },
                "warning": null,
            }),
        ]
    );
    assert_eq!(run(&primary.run_dir, "--json sa ipsec0").json().len(), 2);
    let (status, code, message) = run(&primary.run_dir, "--json sa show ipsec1").error();
    assert_eq!((status, code.as_str()), (1, "not_found"));
    assert!(message.starts_with("no SA protects 'ipsec1'"), "{message}");
    assert_eq!(primary.asked(), [], "they are read from shared memory");
}

#[test]
fn an_sa_that_no_packet_goes_by_is_warned_of_and_shown_as_such() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut table = primary.sas();
    for (words, add, said, brief) in [
        (
            "sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 transform aes128gcm16 keys -",
            Sa { tunnel: None, ..sa() },
            "protects nothing, as it names no tunnel: delete it, and add it with 'tunnel NAME'",
            "protects nothing, esn, window 1024",
        ),
        (
            "sa replace spi 0x1001 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes128gcm16 udp 4500:1024 keys -",
            Sa {
                spi: 0x1001,
                udp: Some((4500, 1024)),
                ..sa()
            },
            "is to come in UDP to port 1024",
            "never in UDP, esn, window 1024, udp 4500:1024",
        ),
    ] {
        let ran = run_with_input(&primary.run_dir, words, KEYS);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
        let whole = control::sas::idle(&add).unwrap().to_string();
        assert!(whole.contains(said), "{whole}");
        assert_eq!(ran.stderr, format!("warning: {whole}\n"));
        let ran = run_with_input(&primary.run_dir, &format!("--json {words}"), KEYS);
        let warned: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(warned, json!({ "warning": { "message": whole } }));

        let (record, selectors) = records(&add, add.spi.into(), Duration::ZERO, SaState::Installed);
        table.insert(&record, &selectors).unwrap();
        let shown = run(&primary.run_dir, "sa").good();
        assert!(shown.contains(brief), "{shown}");
        let listed = run(&primary.run_dir, "--json sa").json();
        assert!(listed.iter().any(|sa| sa["warning"] == whole), "{listed:?}");
    }
    let good = run_with_input(&primary.run_dir, &format!("{ADD} -"), KEYS);
    assert_eq!((good.status, good.stderr.as_str()), (0, ""));
}

#[test]
fn watched_sas_have_rates() {
    let (_place, primary, cells) = with_sas();
    let mut command = tool(&primary.run_dir, "--json --watch 0.2 sa show");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let listing: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        listing[0].clone()
    };
    assert_eq!(next()["packets_per_second"], Value::Null);
    cells.add(SaCounter::Packets, 5);
    let second = next();
    assert_eq!(second["packets"], 15);
    assert!(second["packets_per_second"].as_f64().unwrap() > 0.0, "{second}");
    assert_eq!(second["drops_per_second"]["bad_icv"], 0.0);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sas_are_asked_for_with_keys_of_a_file_or_of_stdin() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let file = place.path().join("in.key");
    fs::write(&file, format!("{KEYS}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    run(&primary.run_dir, &format!("{ADD} {}", file.display())).good();
    run_with_input(&primary.run_dir, &format!("{ADD} -"), KEYS).good();
    let replace = ADD.replacen("add", "replace", 1);
    run_with_input(&primary.run_dir, &format!("{replace} -"), KEYS).good();
    run(&primary.run_dir, "sa del spi 0x1000 dst 192.0.2.1").good();
    run(&primary.run_dir, "sa flush").good();
    let id = SaId {
        destination: [192, 0, 2, 1].into(),
        spi: 0x1000,
    };
    assert_eq!(
        primary.asked(),
        [
            request(false),
            request(false),
            request(true),
            Request::SaDelete(vec![id]),
            Request::SaFlush
        ]
    );
}

#[test]
fn keys_that_others_may_know_are_refused_and_none_are_repeated() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let file = place.path().join("in.key");
    fs::write(&file, KEYS).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let words = format!("--json {ADD} {}", file.display());
    let (status, code, message) = run(&primary.run_dir, &words).error();
    assert_eq!((status, code.as_str()), (1, "permission_denied"));
    assert!(
        message.contains("are not secret: its mode 0644 lets others at it"),
        "{message}"
    );
    for (words, input, said) in [
        (
            format!("{ADD} {KEYS}"),
            "",
            "keys on the command line are seen by all users",
        ),
        (
            format!("{ADD} -"),
            &KEYS[1..],
            "the keys on stdin cannot be: a hex digit is left over",
        ),
        (
            format!("-vv {ADD} -"),
            "0102030405060708zz",
            "what stands at byte 16 is no hex digit",
        ),
        (
            format!("{ADD} nowhere.key"),
            "",
            "cannot read the keys in nowhere.key: No such file",
        ),
        (
            ADD.to_owned(),
            KEYS,
            "the file of the keys is missing: write spi N in|out",
        ),
        (
            "--watch 1 ".to_owned() + ADD + " -",
            KEYS,
            "--watch goes with show and get only",
        ),
    ] {
        let ran = run_with_input(&primary.run_dir, &words, input);
        assert_ne!(ran.status, 0, "{words}");
        assert!(ran.stderr.contains(said), "{words}: {}", ran.stderr);
        assert!(!ran.stderr.contains("0405060708"), "{}", ran.stderr);
    }
    assert_eq!(primary.asked(), []);
    // What is asked is shown with -vv, but for keys.
    let ran = run_with_input(&primary.run_dir, &format!("-vv {ADD} -"), KEYS);
    assert!(ran.stderr.contains("SaAdd"), "{}", ran.stderr);
    assert!(
        !ran.stderr.contains("0405") && !ran.stderr.contains("4, 5, 6"),
        "{}",
        ran.stderr
    );
}

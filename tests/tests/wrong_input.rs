//! Wrong input: a sentence that says what to do, the exit status of the contract, and nothing left behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    Captured, HostState, Interface, Namespace, Primary, PrimaryBuilder, Privilege, RunId, Wait, apart,
    binaries, run,
};

const LIMIT: Wait = Wait::ToTheEnd(Duration::from_secs(60));
/// Wrong usage or configuration.
const USAGE: i32 = 2;
const FAILED: i32 = 1;
/// Becomes an ordinary user, of no group that matters.
const AS_NOBODY: [&str; 5] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

/// A primary with a port that needs nothing of the host.
fn primary() -> PrimaryBuilder {
    let port = Interface::device("n0", "net_null0,no-rx=1").address("192.0.2.1/24");
    Primary::builder(Privilege::detect(), "wrong").interface(port)
}

/// A folder that other users may look into.
fn open_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// Asserts that the primary ends with `status`, with one line on stderr that has all `words`, and leaves nothing.
fn assert_refused(primary: PrimaryBuilder, status: i32, words: &[&str]) {
    let folder = open_folder();
    let run_dir = folder.path().join("run");
    let before = HostState::take();
    let captured = primary.run_dir(&run_dir).run_to_end().unwrap();
    assert_eq!(captured.status.code(), Some(status), "{captured:?}");
    assert_sentence(&captured, words);
    assert_eq!(captured.stdout, "");
    assert_eq!(
        before.differences(&HostState::take(), &RunId::current()),
        Vec::<String>::new()
    );
    let left: Vec<_> = fs::read_dir(&run_dir).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn assert_sentence(captured: &Captured, words: &[&str]) {
    let complaints = captured.complaints();
    assert_eq!(complaints.len(), 1, "one sentence: {}", captured.stderr);
    for word in words {
        assert!(complaints[0].contains(word), "{word} in: {}", complaints[0]);
    }
}

/// Asserts as [`assert_refused`], and that the complaint begins with the place of `text` in the configuration.
fn assert_refused_at(primary: PrimaryBuilder, text: &str, words: &[&str]) {
    let config = primary.config_text();
    let line = config.lines().position(|line| line.contains(text)).unwrap();
    let place = format!("primary.toml:{}:", line + 1);
    let mut all = vec![place.as_str()];
    all.extend(words);
    assert_refused(primary, USAGE, &all);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    let wrong = primary().toml("[limits]\nroutse4 = 1000\n");
    assert_refused_at(wrong, "routse4", &["routse4", "routes4", "[limits]"]);
}

#[test]
fn a_bad_prefix_is_named_with_its_place() {
    for (prefix, word) in [("10.1.0.0/33", "10.1.0.0/33"), ("10.1.0.1/16", "10.1.0.0/16")] {
        assert_refused_at(primary().route(prefix, "192.0.2.2"), prefix, &[prefix, word]);
    }
}

#[test]
fn overlapping_addresses_are_named_with_both_interfaces() {
    let other = Interface::device("n1", "net_null1,no-rx=1").address("192.0.2.129/25");
    assert_refused_at(
        primary().interface(other),
        "192.0.2.129/25",
        &["overlap", "192.0.2.129/25 on n1", "192.0.2.1/24 on n0", "subnet"],
    );
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let program = binaries::find("tollgate-primary").unwrap();
    let mut command = Command::new(program);
    command.args(["--config", "/nonexistent/blue.toml"]);
    let captured = run(command, LIMIT).unwrap();
    assert_eq!(captured.status.code(), Some(USAGE));
    assert_sentence(&captured, &["/nonexistent/blue.toml", "--config"]);
}

#[test]
fn a_missing_device_is_named_with_what_lists_them() {
    let namespace = Namespace::create(Privilege::detect(), "empty").unwrap();
    let missing = Primary::builder(Privilege::detect(), "wrong")
        .netns(&namespace)
        .interface(Interface::af_packet("nosuch0").address("192.0.2.1/24"));
    assert_refused(missing, FAILED, &["nosuch0", "ip link"]);
}

#[test]
fn a_device_that_dpdk_cannot_make_is_named() {
    let wrong = Interface::device("n0", "net_pcap0,rx_pcap=/nonexistent/in.pcap,tx_pcap=/dev/null");
    let builder = Primary::builder(Privilege::detect(), "wrong").interface(wrong);
    assert_refused(builder, FAILED, &["n0", "/nonexistent/in.pcap"]);
}

#[test]
fn a_missing_namespace_is_named_with_what_lists_them() {
    let wrong = primary().argument("--netns").argument("nosuchnetns");
    assert_refused(wrong, FAILED, &["nosuchnetns", "ip netns"]);
}

#[test]
fn without_hugetlbfs_the_primary_says_how_to_mount_it() {
    // In a mount namespace of its own, where nobody else's mounts are touched.
    let script = "umount -n --all --types hugetlbfs && exec \"$@\"";
    let under = apart(script);
    assert_refused(
        primary().under(&under),
        FAILED,
        &["hugetlbfs", "tollgate-hugepage-setup mount"],
    );
}

#[test]
fn with_too_few_hugepages_the_primary_says_how_many_to_reserve() {
    let words = [
        "hugepages of 2M are needed",
        "are free",
        "tollgate-hugepage-setup reserve --size 2M --pages",
    ];
    assert_refused(primary().memory_mb(1_000_000), FAILED, &words);
}

#[test]
fn a_hugetlbfs_that_is_full_is_named() {
    let folder = open_folder();
    let mount = folder.path().join("huge");
    fs::create_dir(&mount).unwrap();
    // One page of room, which the table region does not fit into; there are enough of them otherwise.
    let script = format!(
        "mount -n -t hugetlbfs -o size=2M,pagesize=2M none {0} && exec \"$@\"",
        mount.display()
    );
    let under = apart(&script);
    let text = primary().config_text();
    let with_mount = text.replacen(
        "[eal]\n",
        &format!("[eal]\nhuge_dir = \"{}\"\n", mount.display()),
        1,
    );
    assert_ne!(with_mount, text);
    let builder = primary().config(&with_mount).under(&under);
    assert_refused(builder, FAILED, &[mount.to_str().unwrap(), "hugepage"]);
}

#[test]
fn too_little_memory_for_the_limits_is_refused_with_what_is_needed() {
    let wrong = primary().memory_mb(64);
    assert_refused_at(
        wrong,
        "memory_mb",
        &["too little memory for [limits]", "set memory_mb = ", "[limits]"],
    );
    let wrong = primary().toml("[limits]\ntbl8_groups4 = 1000000\n");
    assert_refused_at(
        wrong,
        "memory_mb",
        &["too little memory for [limits]", "lower tbl8_groups4"],
    );
}

#[test]
fn the_memory_that_is_asked_for_is_enough() {
    let captured = primary().memory_mb(64).argument("--check").run_to_end().unwrap();
    assert_eq!(captured.status.code(), Some(USAGE));
    let (_, rest) = captured.stderr.split_once("set memory_mb = ").unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let needed = digits.parse().unwrap();
    let started = primary().memory_mb(needed).start();
    assert!(started.is_ok(), "{needed} MB: {}", started.unwrap_err());
}

/// A copy of a program of the suite where every user may run it.
fn public_copy(folder: &TempDir, name: &str) -> PathBuf {
    let copy = folder.path().join(name);
    fs::copy(binaries::find(name).unwrap(), &copy).unwrap();
    copy
}

#[test]
fn a_primary_without_permission_says_who_may() {
    let folder = open_folder();
    let program = public_copy(&folder, "tollgate-primary");
    let wrong = primary().program(&program).under(&AS_NOBODY);
    assert_refused(wrong, FAILED, &["permission", "root"]);
}

/// Runs ctl by way of `under` with `words`, once as people do and once with `--json`, and asserts that both refuse.
fn assert_ctl_refuses(under: &[&str], program: &str, words: &[&str], code: &str, in_message: &[&str]) {
    let ctl = |json: &[&str]| {
        let mut all = [under, &[program], json, words].concat().into_iter();
        let mut command = Command::new(all.next().unwrap());
        command.args(all);
        run(command, LIMIT).unwrap()
    };
    let plain = ctl(&[]);
    assert_eq!(plain.status.code(), Some(FAILED), "{plain:?}");
    assert_sentence(&plain, in_message);
    let json = ctl(&["--json"]);
    assert_eq!((json.status.code(), json.stdout.as_str()), (Some(FAILED), ""));
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"]["code"], code, "{error}");
    let message = error["error"]["message"].as_str().unwrap();
    assert_eq!(plain.stderr.trim_end(), format!("error: {message}"));
}

fn ctl_program() -> String {
    binaries::find("tollgate-ctl")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn ctl_without_permission_says_who_may() {
    let primary = primary().start().unwrap();
    let folder = open_folder();
    let program = public_copy(&folder, "tollgate-ctl");
    let run_dir = primary.run_dir();
    for object in ["link", "log"] {
        let words = [
            "--run-dir",
            run_dir.to_str().unwrap(),
            "--instance",
            primary.instance(),
            object,
            "show",
        ];
        let in_message = [primary.instance(), "permission", "root"];
        assert_ctl_refuses(
            &AS_NOBODY,
            program.to_str().unwrap(),
            &words,
            "permission_denied",
            &in_message,
        );
    }
}

#[test]
fn an_unknown_instance_has_a_code_and_is_named() {
    let folder = open_folder();
    let run_dir = folder.path().to_str().unwrap();
    for object in ["link", "log", "instance"] {
        let words = ["--run-dir", run_dir, "--instance", "nosuch", object, "show"];
        let in_message = ["nosuch", run_dir, "instance show"];
        assert_ctl_refuses(&[], &ctl_program(), &words, "unknown_instance", &in_message);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_dead_instance_has_a_code_and_is_named() {
    let mut primary = primary().start().unwrap();
    primary.kill();
    let run_dir = primary.run_dir();
    for object in ["link", "log", "monitor"] {
        let mut words = vec![
            "--run-dir",
            run_dir.to_str().unwrap(),
            "--instance",
            primary.instance(),
            object,
        ];
        words.extend((object != "monitor").then_some("show"));
        let in_message = [primary.instance(), "dead", "tollgate-hugepage-setup clean"];
        assert_ctl_refuses(&[], &ctl_program(), &words, "instance_dead", &in_message);
    }
    primary.hugepage_setup(&["clean"]).unwrap().success().unwrap();
}

#[test]
fn wrong_usage_of_ctl_is_told_from_failure() {
    let primary = primary().start().unwrap();
    for words in [
        &["route", "add", "10.1.0.0/33", "blackhole"][..],
        &["link", "shwo", "--x"],
        &["neigh", "add"],
    ] {
        let mut all = vec!["--json"];
        all.extend(words);
        let captured = primary.ctl(&all).unwrap();
        assert_eq!(captured.status.code(), Some(USAGE), "{captured:?}");
        let error: Value = serde_json::from_str(&captured.stderr).unwrap();
        assert_eq!(error["error"]["code"], "usage");
    }
    let refused = primary
        .ctl(&["--json", "route", "add", "10.1.0.0/16", "via", "203.0.113.1"])
        .unwrap();
    assert_eq!(refused.status.code(), Some(FAILED));
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "invalid", "{error}");
}

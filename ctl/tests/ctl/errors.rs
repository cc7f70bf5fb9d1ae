//! What goes wrong: a sentence, a stable code, a status.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{fs, io, thread};

use nix::unistd::Uid;

use crate::fake_primary::FakePrimary;
use crate::run::{run, tool};

#[test]
fn an_unknown_instance_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    for words in [
        "-I red route",
        "-I red link set wan up",
        "-I red monitor",
        "instance show red",
    ] {
        let (status, code, message) = run(&primary.run_dir, &format!("--json {words}")).error();
        assert_eq!((status, code.as_str()), (1, "unknown_instance"), "{words}");
        assert!(message.contains("no instance 'red'"), "{message}");
    }
    let plain = run(&primary.run_dir, "-I red route");
    assert_eq!((plain.status, plain.stdout.as_str()), (1, ""));
    assert_eq!(plain.stderr.lines().count(), 1);
    assert!(
        plain.stderr.starts_with("error: there is no instance 'red'"),
        "{}",
        plain.stderr
    );
}

#[test]
fn nothing_runs_is_an_empty_list_and_no_instance_to_ask() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(run(place.path(), "--json instance").good(), "[]\n");
    let (status, code, _) = run(place.path(), "--json route").error();
    assert_eq!((status, code.as_str()), (1, "unknown_instance"));
}

#[test]
fn tables_of_a_dead_primary_are_refused_and_it_is_shown_as_dead() {
    let place = tempfile::tempdir().unwrap();
    let dead = FakePrimary::start(place.path(), "blue", 0).die();
    for words in [
        "route",
        "-I blue counter",
        "-I blue memory",
        "-I blue link set wan up",
        "monitor",
    ] {
        let (status, code, message) = run(&dead.run_dir, &format!("--json {words}")).error();
        assert_eq!((status, code.as_str()), (1, "instance_dead"), "{words}");
        assert!(message.contains("'tollgate-hugepage-setup clean'"), "{message}");
    }
    let instances = run(&dead.run_dir, "--json instance").json();
    assert_eq!(instances[0]["state"], "dead");
    let since = humantime::parse_rfc3339(instances[0]["dead_since"].as_str().unwrap()).unwrap();
    let age = since.elapsed().unwrap();
    assert!(age.as_secs() < 60, "{age:?}");
}

#[test]
fn a_primary_that_starts_where_one_died_has_no_tables_yet() {
    let place = tempfile::tempdir().unwrap();
    let mut primary = FakePrimary::start(place.path(), "blue", 0);
    primary.description.start_time += 1;
    primary
        .lock
        .as_ref()
        .unwrap()
        .publish(&primary.description, None)
        .unwrap();
    let (status, code, message) = run(&primary.run_dir, "--json route").error();
    assert_eq!((status, code.as_str()), (1, "no_answer"), "{message}");
}

#[test]
fn several_instances_must_be_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let blue = FakePrimary::start(place.path(), "blue", 0);
    let _green = FakePrimary::start(place.path(), "green", 0);
    let (status, code, message) = run(&blue.run_dir, "--json route").error();
    assert_eq!((status, code.as_str()), (2, "usage"));
    assert!(message.contains("(blue, green)"), "{message}");
    let named = tool(&blue.run_dir, "route")
        .env("TOLLGATE_INSTANCE", "green")
        .output()
        .unwrap();
    assert!(named.status.success());
    assert_eq!(run(&blue.run_dir, "--json instance").json().len(), 2);
}

#[test]
fn wrong_usage_is_status_2() {
    let place = tempfile::tempdir().unwrap();
    for words in [
        "nonsense",
        "route add",
        "route add 10.0.0.0/8",
        "route add 10.0.0.0/8 vai 192.168.10.2",
        "route add --file x 10.0.0.0/8 blackhole",
        "route del 10.0.0.1/8",
        "route get 10.0.0.0/8",
        "route get 2001:db8::/32",
        "route show -4 -6",
        "route show -4 2001:db8::/32",
        "route del -6 10.0.0.0/8",
        "route add default via fe80::2",
        "route add 10.0.0.0/8 via 2001:db8::2",
        "addr add 192.168.1.1 dev wan",
        "neigh add 192.168.1.1 dev wan",
        "link set wan sideways",
        "link wan show",
        "log set loud",
        "log set arp debug please",
        "monitor --count 0",
        "monitor --watch 1",
        "link set wan up --watch 1",
        "route --watch 0",
        "-I Blue route",
        "man nonsense",
    ] {
        let (status, code, message) = run(place.path(), &format!("--json {words}")).error();
        assert_eq!((status, code.as_str()), (2, "usage"), "{words}");
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    }
    assert_eq!(run(place.path(), "").status, 2);
}

#[test]
fn what_is_not_there_has_a_code() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    for (words, expected) in [
        ("link show dmz", "unknown_interface"),
        ("counter show dmz", "unknown_interface"),
        ("drop show dmz", "unknown_interface"),
        ("link set dmz up", "unknown_interface"),
        ("route show 10.2.0.0/16", "not_found"),
        ("route show 2001:db8:2::/48", "not_found"),
        ("route show -4 default", "not_found"),
        ("neigh show 192.168.10.77", "not_found"),
        ("route add --file /nonexistent", "not_found"),
    ] {
        let (status, code, _) = run(&primary.run_dir, &format!("--json {words}")).error();
        assert_eq!((status, code.as_str()), (1, expected), "{words}");
    }
}

#[test]
fn tables_of_another_layout_are_refused_with_both_versions() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut description = primary.description.clone();
    description.version = "0.0.9 (DPDK 22.11.0)".into();
    primary
        .lock
        .as_ref()
        .unwrap()
        .publish(&description, None)
        .unwrap();
    let mut region = fs::read(&description.tables).unwrap();
    // Word 1 is the layout hash.
    region[8] ^= 1;
    fs::write(&description.tables, region).unwrap();
    let (status, code, message) = run(&primary.run_dir, "--json route").error();
    assert_eq!((status, code.as_str()), (1, "version_mismatch"));
    assert!(
        message.contains("0.0.9 (DPDK 22.11.0)") && message.contains(control::VERSION),
        "{message}"
    );
}

#[test]
fn who_may_not_is_told_so() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    // Somebody who may reach the directory of instances, and not the instance. Only root can be somebody else, and
    // only others are kept out by modes.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = Uid::effective().is_root();
    if !root {
        fs::set_permissions(primary.directory.path(), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Where it was built may be out of a stranger's reach.
    let copy = place.path().join("tollgate-ctl");
    fs::copy(env!("CARGO_BIN_EXE_tollgate-ctl"), &copy).unwrap();
    let stranger = |words: &str| {
        let mut command = Command::new(&copy);
        command
            .args(words.split_whitespace())
            .env_remove("TOLLGATE_INSTANCE")
            .env("TOLLGATE_RUN_DIR", &primary.run_dir);
        if root {
            command.uid(65_534).gid(65_534);
        }
        loop {
            // A process that another test is about to start has the copy open for writing until it is started.
            match command.output() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::yield_now(),
                output => return output.unwrap(),
            }
        }
    };
    for words in [
        "-I blue route",
        "route",
        "-I blue link set wan up",
        "instance show blue",
    ] {
        let output = stranger(&format!("--json {words}"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}: {said}");
        assert!(
            said.starts_with(r#"{"error":{"code":"permission_denied","#),
            "{words}: {said}"
        );
    }
    let listed = stranger("--json instance");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["state"], "no_permission");
    fs::set_permissions(primary.directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 20_000);
    let script = format!(
        "{} --json route | head -n 1; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_tollgate-ctl")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("TOLLGATE_RUN_DIR", &primary.run_dir)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "[\n0\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

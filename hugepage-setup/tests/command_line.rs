//! The program as it is started: help, versions, wrong usage, and that it keeps its hands off what it was not told to
//! touch. Nothing here needs root.

#![expect(
    clippy::unwrap_used,
    reason = "a program that cannot be started fails the test"
)]

use std::fs;
use std::process::{Command, Output};

fn setup(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate-hugepage-setup"))
        .args(words)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_shows_the_commands_and_examples() {
    let output = setup(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for word in [
        "reserve",
        "release",
        "mount",
        "umount",
        "show",
        "clean",
        "doctor",
        "completion",
        "man",
        "Examples:",
        "--run-dir",
    ] {
        assert!(
            stdout(&output).contains(word),
            "no '{word}' in:\n{}",
            stdout(&output)
        );
    }
    for command in ["reserve", "release", "mount", "umount", "show", "clean", "doctor"] {
        let output = setup(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Examples:"), "{command}");
    }
}

#[test]
fn the_version_names_that_of_dpdk() {
    let output = setup(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).contains(control::VERSION) && stdout(&output).contains("DPDK"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn wrong_usage_is_2_and_says_what_is_wrong() {
    let wrong: [(&[&str], &str); 13] = [
        (&[], "Usage"),
        (&["frobnicate"], "frobnicate"),
        (&["reserve"], "--size"),
        (&["reserve", "--size", "2M"], "--pages"),
        (&["reserve", "--size", "3M", "--pages", "1"], "'3M' is not a size"),
        (&["reserve", "--size", "two", "--pages", "1"], "2M or 1G"),
        (&["reserve", "--size", "2M", "--pages", "0"], "--pages"),
        (&["reserve", "--size", "2M", "--pages", "-1"], "-1"),
        (&["release"], "--size"),
        (&["clean", "--instance", "blue"], "--instance"),
        (&["man", "frobnicate"], "frobnicate"),
        (&["doctor", "tg-nowhere"], "'tg-nowhere'"),
        (&["doctor", "eth0", "eth1"], "eth1"),
    ];
    for (words, part) in wrong {
        let output = setup(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{words:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn a_size_that_the_cpu_does_not_have_is_1_and_names_those_it_has() {
    let output = setup(&["reserve", "--size", "512G", "--pages", "1", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with("tollgate-hugepage-setup: ") && message.contains("512G"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn completion_and_man_pages_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = setup(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("tollgate-hugepage-setup"), "{shell}");
    }
    let page = setup(&["man"]);
    assert!(
        page.status.success() && stdout(&page).contains(".TH tollgate-hugepage-setup"),
        "{}",
        stdout(&page)
    );
    let page = setup(&["man", "reserve"]);
    assert!(
        stdout(&page).contains(".TH tollgate-hugepage-setup-reserve"),
        "{}",
        stdout(&page)
    );
}

#[test]
fn show_leaves_no_trace_and_its_json_is_a_list() {
    let place = tempfile::tempdir().unwrap();
    let run_dir = place.path().join("run");
    let output = setup(&["show", "--json", "--run-dir", &run_dir.to_string_lossy()]);
    if fs::exists("/sys/kernel/mm/hugepages").unwrap() {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let sizes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            sizes
                .as_array()
                .is_some_and(|sizes| sizes.iter().all(|size| size["total"].is_u64())),
            "{sizes}"
        );
    } else {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("no huge pages"), "{}", stderr(&output));
    }
    assert!(!run_dir.exists());
}

#[test]
fn the_doctor_says_by_its_exit_status_whether_there_is_a_problem() {
    let output = setup(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["level"] == "problem")
        .count();
    assert_eq!(report["problems"], problems);
    assert_eq!(output.status.code(), Some(i32::from(problems > 0)));
    let table = setup(&["doctor"]);
    assert!(stdout(&table).starts_with("LEVEL"), "{}", stdout(&table));
    assert_eq!(stderr(&table).lines().count(), usize::from(problems > 0));
}

#[test]
fn the_doctor_gives_each_interface_of_this_host_a_configuration_or_says_why_not() {
    let output = setup(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checked = 0;
    for nic in report["nics"].as_array().unwrap() {
        let Some(name) = nic["interface"].as_str() else {
            continue;
        };
        checked += 1;
        let output = setup(&["doctor", name]);
        let config: toml::Table = stdout(&output).parse().unwrap();
        assert_eq!(
            config.contains_key("interface"),
            nic["way"] != "unusable",
            "{name}: {}",
            stdout(&output)
        );
    }
    if checked == 0 {
        eprintln!("NOT TESTED: this network namespace has no interface but lo");
    }
}

#[test]
fn a_dry_run_reserves_nothing() {
    if !fs::exists("/sys/kernel/mm/hugepages/hugepages-2048kB").unwrap() {
        eprintln!("NOT TESTED: this host has no huge pages of 2M");
        return;
    }
    let reserved = fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap();
    let more = reserved.trim().parse::<u64>().unwrap() + 100;
    let output = setup(&[
        "reserve",
        "--size",
        "2M",
        "--pages",
        &more.to_string(),
        "--persist",
        "--dry-run",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("(dry run)") && stdout(&output).contains(&more.to_string()),
        "{}",
        stdout(&output)
    );
    assert!(
        !fs::read_to_string("/etc/sysctl.d/80-tollgate-hugepages.conf")
            .is_ok_and(|text| text.contains(&format!("= {more}\n")))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for words in [
        &["show", "--json"][..],
        &["man"],
        &["clean", "--help"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-hugepage-setup"));
        let output = command.args(words).stdout(writer).output().unwrap();
        assert!(
            output.status.code().is_some_and(|code| code <= 1),
            "{words:?}: {output:?}"
        );
        assert!(
            !stderr(&output).contains("panicked"),
            "{words:?}: {}",
            stderr(&output)
        );
    }
}

//! `cargo xtask test`: unit tests of all crates, then whole-system tests against the programs built for release.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ::tests::{Privilege, ProcessBuilder, RUN_ID_VARIABLE, RunId, Swept, binaries};
use serde_json::Value;

use crate::{
    cargo,
    error::Error,
    host::{Host, sweep_as_root},
    instructions, machine,
    packages::{self, Needs},
    progress::{say, step},
    session,
    tally::Tally,
};

/// What the hungriest system test needs, in pages of 2 MB.
const PAGES: u64 = 1200;
/// Longest time for the tests of one file, and at full length.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const SOAK_LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// Files whose tests wait for the timers of protocols most of the time, and measure nothing but numbers by their own time: they run side
/// by side.
const SIDE_BY_SIDE: [&str; 15] = [
    "bonds",
    "discovery",
    "esp",
    "fragments",
    "icmp_errors",
    "kernel",
    "kernel_services",
    "neighbors",
    "offloads",
    "punts",
    "ra_handlers",
    "redirects",
    "traces",
    "tunnels",
    "vlans",
];
/// So many of their tests at a time; each needs hugepages for a primary or two, 150 each.
const AT_A_TIME: usize = 3;

/// The files whose tests are ignored unless there is a virtual machine, and what names the folder with its packages to them.
const IN_MACHINE: [&str; 2] = ["kernel_peer", "real_pmd"];
const MACHINE_VARIABLE: &str = "TOLLGATE_VM";

/// Runs the tests whose names hold `filter`, at full length with `soak`, and those in a virtual machine with `vm`.
pub(crate) fn run(soak: bool, vm: bool, filter: Option<&str>) -> Result<(), Error> {
    let privilege = session::privilege()?;
    packages::install(if vm { Needs::TestsInMachine } else { Needs::Tests })?;
    let machine = vm.then(machine::unpacked).transpose()?;
    let mut unit = unit_tests(filter)?;
    if soak {
        unit.add(long_unit_tests(filter)?);
    }
    cargo::build_all_and_examples()?;
    let executables = executables()?;
    if filter.is_none()
        && let Err(error) = instructions::compare(false)
    {
        match error {
            Error::Step(::tests::Error::Interrupted(_)) => return Err(error),
            error => unit.faults.push(error.to_string()),
        }
    }
    let host = Host::prepare(privilege, PAGES)?;
    let runner = Runner {
        privilege,
        soak,
        machine,
        filter,
    };
    let mut outcome = unit;
    match host.restore_after(runner.run_all(&executables, &mut outcome)) {
        Ok(()) => {}
        Err(error @ Error::Step(::tests::Error::Interrupted(_))) => return Err(error),
        Err(error) => outcome.faults.push(error.to_string()),
    }
    outcome.tell();
    outcome.judge(filter)
}

/// What came of some test executables.
#[derive(Default)]
struct Outcome {
    tally: Tally,
    /// Sentences about what is wrong besides tests that said so themselves.
    faults: Vec<String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.tally += other.tally;
        self.faults.extend(other.faults);
    }

    /// Says what is wrong, and at last how many passed.
    fn tell(&self) {
        for fault in &self.faults {
            say!("xtask: {fault}");
        }
        say!("\n{} passed, {} failed", self.tally.passed, self.tally.failed);
    }

    fn judge(&self, filter: Option<&str>) -> Result<(), Error> {
        if self.tally.failed > 0 || !self.faults.is_empty() {
            return Err(Error::Tests("not all is well; see above".to_owned()));
        }
        match (self.tally.is_empty(), filter) {
            (true, Some(filter)) => Err(Error::Tests(format!("no test has `{filter}` in its name"))),
            (true, None) => Err(Error::Tests("no test ran".to_owned())),
            (false, _) => Ok(()),
        }
    }
}

fn unit_tests(filter: Option<&str>) -> Result<Outcome, Error> {
    let words = ["test", "--workspace", "--exclude", "tests", "--no-fail-fast"];
    cargo_tests("unit tests", &words, false, filter)
}

/// Ten million mutated packets, and what else is too much for a build without optimisations.
fn long_unit_tests(filter: Option<&str>) -> Result<Outcome, Error> {
    let words = ["test", "--release", "-p", "fuzz", "--no-fail-fast"];
    cargo_tests("unit tests at full length", &words, true, filter)
}

fn cargo_tests(what: &str, words: &[&str], soak: bool, filter: Option<&str>) -> Result<Outcome, Error> {
    let mut words = words.to_vec();
    words.extend(filter);
    step!("{what}: cargo {}", words.join(" "));
    let mut builder = ProcessBuilder::new(Privilege::Direct, "", cargo::program())
        .args(&words)
        .current_dir(&cargo::workspace())
        .shown();
    if soak {
        builder = builder.env("TOLLGATE_SOAK", "1");
    }
    let mut process = builder.start()?;
    let status = process.wait(cargo::BUILD_LIMIT)?;
    let tally = Tally::read(&process.stdout());
    let mut faults = Vec::new();
    if !status.success() && tally.failed == 0 {
        faults.push("the unit tests did not build or did not run to their end".to_owned());
    }
    Ok(Outcome { tally, faults })
}

/// Builds the test executables of the package `tests` and returns their paths.
fn executables() -> Result<Vec<PathBuf>, Error> {
    let words = ["test", "--release", "-p", "tests", "--no-run"];
    step!("building the system tests: cargo {}", words.join(" "));
    cargo::show(&words)?;
    // Built already: this only says where they are.
    let messages = cargo::capture(&[words.as_slice(), &["--message-format=json", "--quiet"]].concat())?;
    Ok(test_executables(&messages))
}

/// The executables in cargo's messages that hold tests.
fn test_executables(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

struct Runner<'a> {
    privilege: Privilege,
    soak: bool,
    /// Folder of the packages for the virtual machine.
    machine: Option<PathBuf>,
    filter: Option<&'a str>,
}

impl Runner<'_> {
    /// Adds to `outcome` as it goes: what was seen counts whatever comes after it.
    fn run_all(&self, executables: &[PathBuf], outcome: &mut Outcome) -> Result<(), Error> {
        for (number, executable) in executables.iter().enumerate() {
            step!(
                "system tests {} of {}: {}",
                number + 1,
                executables.len(),
                name(executable)
            );
            outcome.add(self.run(executable)?);
        }
        Ok(())
    }

    /// Runs one executable, mostly one test at a time: each has the CPUs to itself.
    fn run(&self, executable: &Path) -> Result<Outcome, Error> {
        let run = RunId::current();
        let mut builder = ProcessBuilder::new(self.privilege, "runs system tests", executable)
            .arg(format!("--test-threads={}", at_a_time(executable, self.soak)))
            .args(self.filter)
            .env(RUN_ID_VARIABLE, run.to_string())
            .env(binaries::BIN_DIR_VARIABLE, cargo::programs())
            .current_dir(&cargo::workspace().join("tests"))
            .shown();
        if self.soak {
            builder = builder.env("TOLLGATE_SOAK", "1");
        }
        if let Some(packages) = self.machine.as_ref().filter(|_| is_in_machine(executable)) {
            builder = builder.arg("--include-ignored").env(MACHINE_VARIABLE, packages);
        }
        if let Some(temporary) = std::env::var_os("TMPDIR") {
            builder = builder.env("TMPDIR", temporary);
        }
        let mut process = builder.start()?;
        let ended = process.wait(if self.soak { SOAK_LIMIT } else { LIMIT });
        let tally = Tally::read(&process.stdout());
        let mut faults = Vec::new();
        match ended {
            Ok(status) if !status.success() && tally.failed == 0 => {
                faults.push(format!("{} ended without a result ({status})", name(executable)));
            }
            Ok(_) => {}
            Err(error @ ::tests::Error::NoEvent { .. }) => {
                faults.push(format!("{}: {error}", name(executable)))
            }
            Err(error) => return Err(error.into()),
        }
        // Ends it, if it is still running.
        drop(process);
        let swept = sweep_as_root(self.privilege, &run)?;
        if swept != Swept::default() {
            let Swept {
                processes,
                namespaces,
                files,
            } = swept;
            faults.push(format!(
                "{} left behind {processes} processes, {namespaces} namespaces and {files} files; they are removed",
                name(executable)
            ));
        }
        Ok(Outcome { tally, faults })
    }
}

/// Whether the tests of an executable boot a virtual machine.
fn is_in_machine(executable: &Path) -> bool {
    IN_MACHINE.contains(&name(executable).as_str())
}

/// How many tests of an executable run at a time. At full length some put load on gateways, so each has the CPUs to itself.
fn at_a_time(executable: &Path, soak: bool) -> usize {
    if !soak && SIDE_BY_SIDE.contains(&name(executable).as_str()) {
        AT_A_TIME
    } else {
        1
    }
}

fn name(executable: &Path) -> String {
    let name = executable.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-')
        .map_or(name.clone().into_owned(), |(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_with_tests_are_run() {
        let messages = r#"{"reason":"compiler-artifact","profile":{"test":false},"executable":"/t/release/tg-datagrams"}
{"reason":"compiler-artifact","profile":{"test":true},"executable":"/t/release/deps/forwarding-0a1b"}
{"reason":"compiler-artifact","profile":{"test":true},"executable":null}
{"reason":"build-finished","success":true}
not json"#;
        assert_eq!(
            test_executables(messages),
            [PathBuf::from("/t/release/deps/forwarding-0a1b")]
        );
        assert_eq!(name(Path::new("/t/release/deps/forwarding-0a1b")), "forwarding");
    }

    #[test]
    fn tests_that_measure_have_the_cpus_to_themselves() {
        let at_a_time = |name, soak| at_a_time(Path::new(name), soak);
        assert_eq!(at_a_time("/t/release/deps/forwarding-0a1b", false), 1);
        assert_eq!(at_a_time("/t/release/deps/discovery-0a1b", false), 3);
        assert_eq!(at_a_time("/t/release/deps/discovery-0a1b", true), 1);
    }

    #[test]
    fn a_run_without_a_single_test_is_no_success() {
        assert!(Outcome::default().judge(Some("nonesuch")).is_err());
        assert!(Outcome::default().judge(None).is_err());
        let passed = Outcome {
            tally: Tally { passed: 1, failed: 0 },
            faults: Vec::new(),
        };
        assert!(passed.judge(None).is_ok());
        let faulty = Outcome {
            tally: Tally { passed: 1, failed: 0 },
            faults: vec!["left a file".to_owned()],
        };
        assert!(faulty.judge(None).is_err());
    }
}

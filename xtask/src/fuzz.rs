//! `cargo xtask fuzz`: the targets of fuzz/ under libFuzzer, which needs no nightly compiler: the passes that it wants
//! are LLVM's own.
//!
//! ```text
//!   target/fuzz/corpus/TARGET      inputs that reach something new; begins with the target's seeds, kept from run to run
//!   target/fuzz/artifacts/TARGET   inputs that it fails on
//! ```

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ::tests::{Captured, Wait, run as capture};

use crate::{
    cargo,
    error::Error,
    packages::{self, Needs},
    progress::{say, show, step},
};

/// Coverage as libFuzzer reads it, and every check that a build for release leaves out.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];
/// The longest input, bytes: a jumbo frame's worth is nowhere needed.
const LONGEST: usize = 4096;
/// An input that takes longer is a fault, seconds.
const SLOWEST: usize = 10;
/// Starting, reading the corpus, and shrinking nothing.
const SLACK: Duration = Duration::from_secs(120);

/// Runs one target, or all, for so many seconds each.
pub(crate) fn run(target: Option<&str>, seconds: u64) -> Result<(), Error> {
    packages::install(Needs::Fuzz)?;
    let fuzzer = build()?;
    let known = listed(&fuzzer)?;
    let chosen: Vec<_> = known
        .iter()
        .filter(|name| target.is_none_or(|target| target == *name))
        .collect();
    if chosen.is_empty() {
        let (target, known) = (target.unwrap_or_default(), known.join(", "));
        return Err(Error::Unexpected(format!(
            "there is no fuzz target '{target}': use one of {known}"
        )));
    }
    let mut failed = Vec::new();
    for name in chosen {
        step!("fuzzing {name} for {seconds} seconds");
        if let Err(input) = fuzz(&fuzzer, name, seconds)? {
            say!(
                "    {name} fails; to see it again:\n    cargo run -p fuzz -- {name} {}",
                input.display()
            );
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        say!("\nfuzz: nothing found");
        return Ok(());
    }
    Err(Error::Tests(format!(
        "fuzzing found faults in {}; see above",
        failed.join(", ")
    )))
}

fn folder() -> PathBuf {
    cargo::target().join("fuzz")
}

/// Builds the fuzzer into a target folder of its own: with other flags all is built anew.
fn build() -> Result<PathBuf, Error> {
    let triple = format!("{ARCH}-unknown-linux-gnu");
    let folder = folder();
    let words = ["build", "--release", "-p", "fuzz", "--target", &triple];
    step!(
        "building the fuzzer: cargo {} (minutes the first time)",
        words.join(" ")
    );
    let mut command = Command::new(cargo::program());
    command
        .args(words)
        .current_dir(cargo::workspace())
        .env("CARGO_TARGET_DIR", &folder)
        // With a target named, these are not for build scripts.
        .env("RUSTFLAGS", FLAGS.join(" "));
    ::tests::run_shown(command, Wait::Interruptible(cargo::BUILD_LIMIT))?;
    Ok(folder.join(triple).join("release/tg-fuzz"))
}

fn listed(fuzzer: &Path) -> Result<Vec<String>, Error> {
    let listing = capture(Command::new(fuzzer), Wait::Interruptible(SLACK))?.success()?;
    Ok(listing.stdout.lines().map(str::to_owned).collect())
}

/// Runs a target and says what it did; the input that it fails on, if it does.
fn fuzz(fuzzer: &Path, name: &str, seconds: u64) -> Result<Result<(), PathBuf>, Error> {
    let corpus = made(folder().join("corpus").join(name))?;
    let artifacts = made(folder().join("artifacts").join(name))?;
    let command = || {
        let mut command = Command::new(fuzzer);
        command.env("TOLLGATE_FUZZ_TARGET", name);
        command
    };
    let mut seeding = command();
    seeding.env("TOLLGATE_FUZZ_SEEDS", &corpus);
    capture(seeding, Wait::Interruptible(SLACK))?.success()?;
    let mut fuzzing = command();
    fuzzing
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-timeout={SLOWEST}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .arg(&corpus);
    let limit = Duration::from_secs(seconds) + SLACK;
    let done = capture(fuzzing, Wait::Interruptible(limit))?;
    let figures = Figures::read(&done.stderr);
    say!(
        "    {} inputs, {} a second, {} places in the code reached, corpus of {}",
        figures.executions,
        figures.executions / seconds.max(1),
        figures.coverage,
        fs::read_dir(&corpus).map_or(0, Iterator::count)
    );
    if done.status.success() {
        return Ok(Ok(()));
    }
    show(last_lines(&done, 30));
    let written = done
        .stderr
        .lines()
        .find_map(|line| line.split_once("Test unit written to "));
    match written {
        Some((_, input)) => Ok(Err(PathBuf::from(input.trim()))),
        None => Err(done.success().map(drop).err().map_or_else(
            || Error::Unexpected(format!("the fuzzer of {name} ended without a word")),
            Error::from,
        )),
    }
}

fn made(folder: PathBuf) -> Result<PathBuf, Error> {
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(source) => Err(Error::File {
            action: "make",
            path: folder,
            source,
        }),
    }
}

fn last_lines(done: &Captured, count: usize) -> &str {
    let start = done
        .stderr
        .rmatch_indices('\n')
        .nth(count)
        .map_or(0, |(at, _)| at + 1);
    done.stderr.get(start..).unwrap_or_default()
}

/// What libFuzzer says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    coverage: u64,
}

impl Figures {
    fn read(output: &str) -> Self {
        let mut figures = Self::default();
        for line in output.lines() {
            let number = |after: &str| -> Option<u64> {
                let (_, rest) = line.split_once(after)?;
                rest.split_whitespace().next()?.parse().ok()
            };
            if let Some(executions) = number("stat::number_of_executed_units:") {
                figures.executions = executions;
            }
            if let Some(coverage) = number(" cov: ") {
                figures.coverage = coverage;
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figures_count() {
        let output = "#2\tINITED cov: 21 ft: 22 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                      #512\tNEW    cov: 40 ft: 60 corp: 2/9b lim: 4 exec/s: 0 rss: 30Mb L: 8/8 MS: 1 CopyPart-\n\
                      Done 4096 runs in 1 second(s)\nstat::number_of_executed_units: 4096\nstat::average_exec_per_sec:     4096\n";
        assert_eq!(
            Figures::read(output),
            Figures {
                executions: 4096,
                coverage: 40
            }
        );
        assert_eq!(Figures::read("killed"), Figures::default());
    }
}

//! Instructions as valgrind's callgrind counts them: the same in every run, whatever else the host does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::Error;

/// How long a program is counted that goes on by itself: some million packets.
pub(super) const COUNTED: Duration = Duration::from_secs(4);

/// What callgrind writes about a program.
pub(crate) struct Profile {
    path: PathBuf,
}

impl Profile {
    /// To be written to `path`.
    pub(crate) fn new(path: &Path) -> Self {
        // One of an earlier run is not taken for this one's.
        let _ = fs::remove_file(path);
        Self {
            path: path.to_owned(),
        }
    }

    /// What runs a program such that what happens in the function is counted; it may be named with `*`.
    pub(crate) fn words(&self, function: &str) -> Vec<String> {
        [
            "valgrind".to_owned(),
            "--quiet".to_owned(),
            "--tool=callgrind".to_owned(),
            // One thread runs at a time: a worker that never waits would let no other.
            "--fair-sched=try".to_owned(),
            "--compress-strings=no".to_owned(),
            "--compress-pos=no".to_owned(),
            format!("--callgrind-out-file={}", self.path.display()),
            format!("--toggle-collect=*{function}*"),
        ]
        .into()
    }

    /// Instructions for each `share` of a call of the function, and all that is around the calls.
    pub(crate) fn per_call(&self, function: &str, share: usize) -> Result<f64, Error> {
        let text = fs::read_to_string(&self.path).map_err(|source| Error::File {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        let calls = calls(&text, function);
        total(&text).filter(|_| calls > 0).map_or_else(
            || {
                Err(Error::Unexpected(format!(
                    "callgrind saw no call of {function}: is it another function by now, or part of its caller? See {}",
                    self.path.display()
                )))
            },
            |total| Ok(total as f64 / (calls as f64 * share as f64)),
        )
    }
}

/// All instructions that a profile has counted.
pub(crate) fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary:"))?;
    line.trim().parse().ok()
}

/// How often a function was called whose name holds the parts between the `*`, in their order.
fn calls(text: &str, function: &str) -> u64 {
    let mut called = false;
    let mut sum = 0;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            called = matches(name, function);
        } else if let Some(count) = line.strip_prefix("calls=") {
            let count = count
                .split(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok());
            sum += count.filter(|_| called).unwrap_or(0);
            called = false;
        }
    }
    sum
}

fn matches(name: &str, function: &str) -> bool {
    let mut rest = name;
    function.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "version: 1\nevents: Ir\nsummary: 6400\n\nfn=worker::Worker<F,A>::run\n12 100\n\
                           cfn=worker::Engine<F,A>::burst\ncalls=2 265\n30 5000\ncfn=other\ncalls=7 1\n30 10\n\
                           cfn=worker::Engine<F,A>::burst\ncalls=3 265\n30 1000\ntotals: 6400\n";

    #[test]
    fn instructions_are_shared_out_among_the_calls_of_one_function() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callgrind.out");
        let profile = Profile::new(&path);
        assert!(profile.per_call("Engine*::burst", 32).is_err());
        fs::write(&path, PROFILE).unwrap();
        assert_eq!(profile.per_call("Engine*::burst", 32).unwrap(), 40.0);
        let error = profile.per_call("Engine*::nonesuch", 32).unwrap_err().to_string();
        assert!(error.contains("no call of Engine*::nonesuch"), "{error}");
    }
}

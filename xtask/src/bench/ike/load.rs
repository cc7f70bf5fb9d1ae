//! What `tg-ike-load` does, and what it says about it.

use std::time::Duration;

use ::tests::{Wait, binaries, run};
use serde_json::Value;

use super::site::{PROFILE, QUIET, Site};
use crate::error::Error;

/// Under way at a time: enough that both ends have work, and fewer than what a burst of the primary's takes.
const AT_A_TIME: u32 = 48;
/// Any load on a host that is busy.
const LIMIT: Duration = Duration::from_secs(300);

/// Handshakes one after the other.
pub(super) struct One<const N: usize> {
    /// Of each process that was looked at, seconds per handshake.
    pub(super) cpu: [f64; N],
}

/// Handshakes many at a time.
pub(super) struct Rate {
    pub(super) per_second: f64,
}

impl<const N: usize> One<N> {
    pub(super) fn measure(site: &Site, count: u32, pids: [u32; N]) -> Result<Self, Error> {
        let mut words = vec!["one-by-one".to_owned(), "--count".to_owned(), count.to_string()];
        words.extend(pids.iter().flat_map(|pid| ["--pid".to_owned(), pid.to_string()]));
        let said = load(site, &words)?;
        Ok(Self {
            cpu: pids.map(|pid| spent(&said, pid) / f64::from(count.max(1))),
        })
    }
}

impl Rate {
    pub(super) fn measure(site: &Site, count: u32) -> Result<Self, Error> {
        let words = ["many", "--quiet", QUIET, "--count"].map(str::to_owned);
        let more = [count.to_string(), "--at-a-time".to_owned(), AT_A_TIME.to_string()];
        let said = load(site, &[&words[..], &more].concat())?;
        let seconds = said["seconds"].as_f64().unwrap_or_default();
        Ok(Self {
            per_second: f64::from(count) / seconds.max(1e-6),
        })
    }
}

/// Seconds of CPU that a process has spent in all its threads.
fn spent(said: &Value, pid: u32) -> f64 {
    let threads = said["cpu"][pid.to_string()].as_object();
    threads
        .into_iter()
        .flatten()
        .filter_map(|(_, seconds)| seconds.as_f64())
        .sum()
}

fn load(site: &Site, words: &[String]) -> Result<Value, Error> {
    let (primary, privilege) = (&site.west, site.namespaces[0].privilege());
    let mut command = privilege.command(binaries::find("tg-ike-load")?);
    command.arg("--run-dir").arg(primary.run_dir());
    command.args(["--instance", primary.instance(), "--profile", PROFILE]);
    command.args(words);
    privilege.announce(&command, "has IKE SAs made");
    let ended = run(command, Wait::Interruptible(LIMIT))?;
    if !ended.status.success() {
        return Err(Error::Unexpected(format!(
            "{}; the daemon that answers says:\n{}",
            ended.stderr.trim(),
            site.said()
        )));
    }
    Ok(ended.json()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_of_a_process_count_and_no_others() {
        let said = serde_json::json!({"cpu": {"12": {"a": 0.5, "b": 0.25}, "13": {"a": 4.0}}});
        assert_eq!((spent(&said, 12), spent(&said, 14)), (0.75, 0.0));
    }
}

//! A turn of `tollgate-pdump`.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ::tests::{Primary, Process, ProcessBuilder, binaries, read_pcapng};

use super::super::{Bench, START_LIMIT};
use super::{Kind, SNAPLEN, Taken, dump_file};
use crate::{error::Error, summary::sum};

/// What one port receives.
const WHAT: [&str; 6] = ["-i", "in", "--direction", "rx", "-s", SNAPLEN];

impl Bench {
    /// From the start of the tool to its first packet, by the time stamp of that.
    pub(super) fn pdump_attach(&self, primary: &Primary) -> Result<Duration, Error> {
        let file = dump_file()?;
        let began = SystemTime::now();
        let mut tool = primary.pdump(&WHAT)?.args(["-c", "1", "-w"]).arg(&file).start()?;
        let status = tool.wait(START_LIMIT)?;
        let first = self.make_readable(&file).and_then(|()| Ok(read_pcapng(&file)?));
        self.remove(&file)?;
        let first = first?.first().map(|packet| packet.time);
        let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match first {
            Some(time) if status.success() => Ok(time.saturating_sub(began)),
            _ => Err(gave_up(&tool)),
        }
    }

    /// Captures beside the worker.
    pub(super) fn pdump(&self, primary: &Primary, kind: &Kind, file: &Path) -> Result<Taken, Error> {
        let mut tool = ProcessBuilder::new(self.privilege, "captures", "taskset")
            .args(["-c", &self.cores.control.to_string()])
            .arg(binaries::find("tollgate-pdump")?)
            .arg("--run-dir")
            .arg(primary.run_dir())
            .args(["--instance", primary.instance()])
            .args(WHAT)
            .args(kind.filter.iter().flat_map(|filter| ["-f", *filter]))
            .arg("-w")
            .arg(file)
            .start()?;
        tool.wait_for_stderr("that it captures", START_LIMIT, |line| {
            line.starts_with("capturing")
        })?;
        let measured = (|| {
            let before = Sample::take(primary)?;
            let turn = self.watch(primary)?;
            let written = Sample::take(primary)?.written_since(&before);
            Ok::<_, Error>(Taken { turn, written })
        })();
        // A full disk, say: it has told why.
        if tool.ended().is_some() {
            return Err(gave_up(&tool));
        }
        tool.terminate()?;
        measured
    }
}

fn gave_up(tool: &Process) -> Error {
    Error::Unexpected(format!("{tool:?} captured nothing; it said:\n{}", tool.stderr()))
}

/// The counters of the one capture that there is, at a moment.
struct Sample {
    at: Instant,
    /// Packets that matched and were handed over.
    taken: u64,
}

impl Sample {
    fn take(primary: &Primary) -> Result<Self, Error> {
        let asked = Instant::now();
        let captures = primary.ctl_json(&["capture", "show"])?;
        let at = asked + asked.elapsed() / 2;
        let left_out = sum(&captures, "lost") + sum(&captures, "unsampled");
        Ok(Self {
            at,
            taken: sum(&captures, "matched").saturating_sub(left_out),
        })
    }

    fn written_since(&self, before: &Self) -> f64 {
        let time = self.at.duration_since(before.at).max(Duration::from_millis(1));
        self.taken.saturating_sub(before.taken) as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_by_the_time_between_the_samples() {
        let began = Instant::now();
        let sample = |seconds, taken| Sample {
            at: began + Duration::from_secs(seconds),
            taken,
        };
        let rate = sample(4, 13_000_000).written_since(&sample(0, 1_000_000));
        assert_eq!(rate, 3e6);
    }
}

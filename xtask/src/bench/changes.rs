//! How fast routes change, while nothing is forwarded and while a worker forwards all it can.

use std::{path::PathBuf, time::Duration};

use ::tests::{Primary, Wait, run};

use super::Bench;
use super::figures::{Bound, Section, Unit};
use super::shape::Shape;
use super::tollgate::Setup;
use super::traffic::{self, Family};
use crate::{cargo, error::Error};

/// What must be reached with a worker at full speed, changes per second.
const LEAST: Bound = Bound::AtLeast(100_000.0);
/// From asking for a change to the answer, seconds.
const LONGEST: Bound = Bound::AtMost(1e-3);

impl Bench {
    /// By the thousand and one at a time, idle and under load.
    pub(super) fn changes(&self) -> Result<Section, Error> {
        let mut section = Section::new("Changes of routes");
        cargo::show(&[
            "build",
            "--release",
            "-p",
            "control",
            "--example",
            "route_changes",
        ])?;
        for round in 1..=self.times.rounds {
            self.progress("route changes", round);
            let mut idle = self.idle_primary(Family::Four, "")?;
            self.change(&mut section, &idle, "idle")?;
            idle.terminate()?;
            let setup = Setup::new(Family::Four, Shape::ORDINARY);
            let turn = self.with_primary(&setup, |primary| {
                self.change(&mut section, primary, "under full load")?;
                // Still all that it can, and nothing dropped.
                self.watch(primary)
            })?;
            section.record("forwarded before and after", Unit::PacketsPerSecond, turn.rate);
        }
        section.judge("changes, idle", LEAST);
        section.judge("changes, under full load", LEAST);
        section.judge("one change, idle", LONGEST);
        section.judge("one change, under full load", LONGEST);
        section.remarks.push(
            "One change is timed from asking to the answer: from then on packets go by it, which `route_changes` among the tests checks \
             packet by packet."
                .to_owned(),
        );
        Ok(section)
    }

    fn change(&self, section: &mut Section, primary: &Primary, when: &str) -> Result<(), Error> {
        let mut next_hops = traffic::neighbors(Family::Four).map(|(address, _)| address.to_string());
        let seconds = self.times.measured.as_secs_f64().to_string();
        let mut command = self.privilege.command(program());
        command
            .arg(primary.run_dir())
            .args([primary.instance(), &seconds])
            .args(next_hops.by_ref().take(2));
        self.privilege.announce(&command, "changes routes");
        let limit = self.times.measured + Duration::from_secs(60);
        let answer = run(command, Wait::Interruptible(limit))?.success()?.stdout;
        let mut figures = answer
            .split_whitespace()
            .filter_map(|word| word.parse::<f64>().ok());
        let (Some(rate), Some(one)) = (figures.next(), figures.next()) else {
            return Err(Error::Unexpected(format!(
                "route_changes printed no figures: {answer}"
            )));
        };
        section.record(&format!("changes, {when}"), Unit::ChangesPerSecond, rate);
        section.record(&format!("one change, {when}"), Unit::Seconds, one);
        Ok(())
    }
}

/// The example of the library for tools, whose tables this needs nothing of.
fn program() -> PathBuf {
    cargo::programs().join("examples").join("route_changes")
}

//! What captures leave a worker of its speed, and how many packets they write: `tollgate-pdump`, beside DPDK's own `dpdk-dumpcap` on the
//! same primary.
//!
//! ```text
//!   packets.pcap ─► net_pcap0, infinite_rx ─► tollgate-primary ─► net_null0        one CPU: the worker
//!                                                  │
//!                                                  └─► the tool that captures ─► tmpfs    the other CPU
//! ```
//!
//! Each turn comes right after one without a capture, and what counts is the ratio of the two.

mod dumpcap;
mod pdump;

use std::path::{Path, PathBuf};

use ::tests::{Primary, RunId};

use super::Bench;
use super::figures::{Bound, Section, Unit};
use super::shape::Shape;
use super::tollgate::{Setup, Turn};
use super::traffic::Family;
use super::{cargo, number_of};
use crate::error::Error;

/// A tool that captures what one port receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Pdump,
    Dumpcap,
}

/// What is captured.
struct Kind {
    name: &'static str,
    filter: Option<&'static str>,
    /// What a worker is to keep of its speed beside `tollgate-pdump`.
    keeps: Bound,
}

/// The filter is that of the example `filter_cycles`.
const NOTHING: Kind = Kind {
    name: "a filter that matches nothing",
    filter: Some("udp dst port 53"),
    keeps: Bound::AtLeast(0.75),
};
/// The last byte of a destination is nearly as random as the rest: 3 of 256.
const FEW: Kind = Kind {
    name: "a filter that matches 1 %",
    filter: Some("ip[19] < 3"),
    keeps: Bound::AtLeast(0.7),
};
const ALL: Kind = Kind {
    name: "all packets",
    filter: None,
    keeps: Bound::AtLeast(0.6),
};

const BASE: &str = "no capture";
/// Bytes of each packet that are captured, as the command lines have them.
const SNAPLEN: &str = "64";
/// What a tool with a CPU of its own writes when everything is captured.
const WRITTEN: Bound = Bound::AtLeast(3e6);
/// From the start of the tool to the first packet that it has, seconds.
const LONGEST_ATTACH: Bound = Bound::AtMost(20e-3);
/// What a filter that matches nothing costs a packet, and what of that is the filter's own.
const MATCHES_NOTHING: &str = "cost of a filter that matches nothing";
const FILTER: &str = "the filter by itself";
const MOST_BESIDE_FILTER: Bound = Bound::AtMost(1.3);

/// What a turn with a capture gave.
struct Taken {
    turn: Turn,
    /// Packets per second that the tool wrote; not known of a filter that matches nothing.
    written: f64,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Pdump => "tollgate-pdump",
            Self::Dumpcap => "dpdk-dumpcap",
        }
    }

    fn attach(self) -> String {
        format!("{}: start to first packet", self.name())
    }

    fn rate(self, kind: &Kind) -> String {
        format!("{}, {}", self.name(), kind.name)
    }

    fn share(self, kind: &Kind) -> String {
        format!("{} / {BASE}", self.rate(kind))
    }

    fn written(self, kind: &Kind) -> String {
        format!("{}: written", self.rate(kind))
    }
}

impl Bench {
    /// Both tools, by turns.
    pub(super) fn captures(&self) -> Result<Section, Error> {
        let mut section =
            Section::new("Captures, 64 bytes of each packet to tmpfs, the tool on a CPU of its own");
        let mut setup = Setup::new(Family::Four, Shape::ORDINARY);
        setup.stock_tools = true;
        for round in 1..=self.times.rounds {
            self.progress("captures", round);
            let measured = self.with_primary(&setup, |primary| {
                self.captures_of(&mut section, primary, Tool::Pdump)?;
                self.captures_of(&mut section, primary, Tool::Dumpcap)
            });
            self.take(&mut section, measured, |_, ()| ())?;
            let filter = number_of(&cargo::example("dpdk", "filter_cycles")?)?;
            section.record(FILTER, Unit::Cycles, filter);
        }
        judge(&mut section);
        Ok(section)
    }

    /// All that one tool is measured by.
    fn captures_of(&self, section: &mut Section, primary: &Primary, tool: Tool) -> Result<(), Error> {
        let took = match tool {
            Tool::Pdump => self.pdump_attach(primary),
            Tool::Dumpcap => self.dumpcap_attach(primary),
        }?;
        section.record(&tool.attach(), Unit::Seconds, took.as_secs_f64());
        for kind in [NOTHING, FEW, ALL] {
            let alone = self.watch(primary)?;
            let file = dump_file()?;
            let taken = match tool {
                Tool::Pdump => self.pdump(primary, &kind, &file),
                Tool::Dumpcap => self.dumpcap(primary, &kind, &file),
            };
            self.remove(&file)?;
            let taken = taken?;
            section.record(BASE, Unit::PacketsPerSecond, alone.rate);
            section.record(&tool.rate(&kind), Unit::PacketsPerSecond, taken.turn.rate);
            section.record(
                &tool.share(&kind),
                Unit::Ratio,
                taken.turn.rate / alone.rate.max(1.0),
            );
            if kind.name != NOTHING.name {
                section.record(&tool.written(&kind), Unit::PacketsPerSecond, taken.written);
            } else if tool == Tool::Pdump {
                section.record(MATCHES_NOTHING, Unit::Cycles, taken.turn.cycles - alone.cycles);
            }
        }
        Ok(())
    }

    /// The tool is root's where we are not.
    fn remove(&self, file: &Path) -> Result<(), Error> {
        let file = file.to_string_lossy();
        let removed = self
            .privilege
            .run_to_undo("removes what was captured", &["rm", "-f", &file]);
        removed?.success()?;
        Ok(())
    }

    fn make_readable(&self, file: &Path) -> Result<(), Error> {
        let file = file.to_string_lossy();
        let made = self
            .privilege
            .run("reads what was captured", &["chmod", "a+r", &file]);
        made?.success()?;
        Ok(())
    }
}

/// A file in memory that the sweep knows.
fn dump_file() -> Result<PathBuf, Error> {
    let folder = PathBuf::from("/dev/shm");
    if folder.is_dir() {
        Ok(folder.join(RunId::current().unique("capture.pcapng")))
    } else {
        Err(Error::Unexpected(
            "captures are measured on a tmpfs, and there is none at /dev/shm: mount one".to_owned(),
        ))
    }
}

/// Asks of the series what is asked.
fn judge(section: &mut Section) {
    for kind in [NOTHING, FEW, ALL] {
        section.judge(&Tool::Pdump.share(&kind), kind.keeps);
    }
    section.compare(MATCHES_NOTHING, FILTER, Some(MOST_BESIDE_FILTER));
    section.judge(&Tool::Pdump.written(&ALL), WRITTEN);
    section.judge(&Tool::Pdump.attach(), LONGEST_ATTACH);
    for series in [Tool::written as fn(Tool, &Kind) -> String, Tool::share] {
        section.compare(&series(Tool::Pdump, &ALL), &series(Tool::Dumpcap, &ALL), None);
    }
    section.remarks.push(
        "Each share is of the worker's speed right before, without a capture, on the same primary, which has stock_tools for dpdk-dumpcap. \
         The first packet is that with the first time stamp in the file of tollgate-pdump, and the first that is in the file of \
         dpdk-dumpcap, whose time stamps are not to be trusted. dpdk-testpmd is no primary for dpdk-dumpcap: it loads other drivers of \
         packet pools, so that no packet is captured."
            .to_owned(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_asked_of_the_medians_of_all_rounds() {
        let mut section = Section::new("captures");
        for (share, written) in [(0.5, 4e6), (0.8, 3.5e6), (0.9, 1e6)] {
            section.record(&Tool::Pdump.share(&ALL), Unit::Ratio, share);
            section.record(&Tool::Dumpcap.share(&ALL), Unit::Ratio, 0.2);
            section.record(&Tool::Pdump.written(&ALL), Unit::PacketsPerSecond, written);
        }
        judge(&mut section);
        let verdicts: Vec<_> = section
            .findings
            .iter()
            .map(|finding| {
                (
                    finding.value,
                    finding.bound.map(|bound| bound.holds(finding.value)),
                )
            })
            .collect();
        assert_eq!(verdicts, [(0.8, Some(true)), (3.5e6, Some(true)), (4.0, None)]);
    }
}

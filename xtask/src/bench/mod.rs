//! `cargo xtask bench`: how fast the suite is, beside DPDK's own programs on the same devices and by itself.
//!
//! ```text
//!   packets.pcap ─► net_pcap0, infinite_rx ─► one core: tollgate-primary, testpmd or l3fwd ─► net_null0
//!   64 bytes, to random destinations in 1, 10,000 or 1,000,000 routes
//! ```
//!
//! A host's speed swings within minutes. So the programs take turns, several rounds of them, and only the ratio of medians
//! counts: each runs alone, on the same core, with the same burst, packets and number of packet buffers.

pub(crate) mod arguments;
pub(crate) mod callgrind;
mod capture;
mod changes;
mod cores;
mod examples;
mod features;
mod figures;
mod forwarding;
mod ike;
pub(crate) mod ipsec;
mod l3fwd;
mod pcap;
mod peer;
mod plot;
mod relay;
mod report;
mod services;
mod shape;
mod start;
pub(crate) mod telemetry;
mod tollgate;
mod traffic;

use std::{
    collections::HashMap, fs, path::Path, path::PathBuf, process::Command, thread, time::Duration,
    time::Instant,
};

use ::tests::{Privilege, RunId, Wait, binaries, interrupt, run as run_command};

use crate::{
    cargo,
    error::Error,
    host::{Host, sweep_as_root},
    packages::{self, Needs},
    progress::{aside, say, show, step},
    session,
};
use arguments::{Arguments, Part};
use cores::Cores;
use report::{Circumstances, Report};
use shape::SINK;
use traffic::{Family, Size, Traffic};

/// What the hungriest program needs with the packet buffers of the pcap, in pages of 2 MB.
const PAGES: u64 = 450;
/// What two gateways with room for the SAs of all handshakes need, in the same.
const PAGES_OF_TWO: u64 = 800;
/// EAL and a pcap, on a host that is busy with other things.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Packets that programs take at a time.
const BURST: usize = 32;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Turns of each program.
    rounds: usize,
    /// From the first packet to the measurement.
    warm_up: Duration,
    /// How long each turn is measured.
    measured: Duration,
    /// Handshakes of IKE one after the other, of a turn.
    handshakes: u32,
}

impl Times {
    fn of(quick: bool) -> Self {
        let (rounds, warm_up, measured, handshakes) = if quick {
            (3, 300, 700, 60)
        } else {
            (7, 1000, 3000, 300)
        };
        Self {
            rounds,
            warm_up: Duration::from_millis(warm_up),
            measured: Duration::from_millis(measured),
            handshakes,
        }
    }
}

/// Measures and puts the host back.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let privilege = session::privilege()?;
    packages::install(Needs::Bench)?;
    cargo::build_programs(&[
        "primary",
        "ctl",
        "hugepage-setup",
        "pdump",
        "ra-relay",
        "ikev2d",
        "tests",
    ])?;
    let bench = Bench {
        privilege,
        cores: Cores::choose()?,
        times: Times::of(arguments.quick),
        traffic: traffic_of(&arguments.parts()),
        folder: folder()?,
    };
    bench.write_inputs()?;
    let work = || {
        bench
            .measure(&arguments.parts())
            .and_then(|report| bench.tell(&report))
    };
    if arguments.reserved {
        let done = work();
        sweep_as_root(privilege, &RunId::current())?;
        return done;
    }
    let two = arguments.parts().contains(&Part::Ike);
    let host = Host::prepare(privilege, if two { PAGES_OF_TWO } else { PAGES })?;
    // Told before the way back: what others do on the host meanwhile does not make it worth less.
    host.restore_after(work())
}

/// The traffic that the parts need: a million routes take seconds to think up.
fn traffic_of(parts: &[Part]) -> HashMap<(Family, Size), Traffic> {
    let full = parts.contains(&Part::Forwarding) || parts.contains(&Part::Start);
    let sizes = [Size::One, Size::Ordinary, Size::Full];
    let wanted = sizes.into_iter().filter(|size| full || *size != Size::Full);
    wanted
        .flat_map(|size| [Family::Four, Family::Six].map(|family| (family, size)))
        .map(|(family, size)| ((family, size), Traffic::new(family, size)))
        .collect()
}

/// What all turns have in common.
struct Bench {
    privilege: Privilege,
    cores: Cores,
    times: Times,
    traffic: HashMap<(Family, Size), Traffic>,
    /// Where the pcaps are and the figures go.
    folder: PathBuf,
}

impl Bench {
    fn write_inputs(&self) -> Result<(), Error> {
        for ((family, size), traffic) in &self.traffic {
            traffic.write_pcap(&self.file("packets", *family, *size, "pcap"))?;
            traffic.write_routes(&self.file("routes", *family, *size, "txt"))?;
        }
        self.traffic(Family::Four, Size::Ordinary)?
            .write_rules(&self.folder.join(l3fwd::RULES4))?;
        write(&self.folder.join(l3fwd::RULES6), l3fwd::ONE_RULE6)?;
        Ok(())
    }

    fn measure(&self, parts: &[Part]) -> Result<Report, Error> {
        step!(
            "measuring {}: {} rounds, each program alone on CPU {}",
            parts
                .iter()
                .map(|part| part.name())
                .collect::<Vec<_>>()
                .join(", "),
            self.times.rounds,
            self.cores.measured
        );
        let sections = parts.iter().map(|part| match part {
            Part::Forwarding => self.forwarding(),
            Part::Features => self.features(),
            Part::Capture => self.captures(),
            Part::Changes => self.changes(),
            Part::Start => self.start(),
            Part::Relay => self.relay(),
            Part::Ipsec => self.ipsec(),
            Part::Ike => self.ike(),
            Part::Services => self.services(),
        });
        Ok(Report {
            sections: sections.collect::<Result<_, _>>()?,
            circumstances: self.circumstances()?,
        })
    }

    /// Prints the figures and writes them to files.
    fn tell(&self, report: &Report) -> Result<(), Error> {
        step!("what was measured");
        show(&report.table());
        for (name, text) in [
            ("bench.md", report.markdown()),
            ("bench.json", report.json()),
            ("bench.svg", report.svg()),
        ] {
            let path = self.folder.join(name);
            write(&path, &text)?;
            say!("    {}", path.display());
        }
        Ok(())
    }

    fn traffic(&self, family: Family, size: Size) -> Result<&Traffic, Error> {
        let traffic = self.traffic.get(&(family, size));
        traffic.ok_or_else(|| Error::Unexpected(format!("no traffic was made for {family:?} and {size:?}")))
    }

    /// A file of the traffic.
    fn file(&self, what: &str, family: Family, size: Size, extension: &str) -> PathBuf {
        self.folder.join(format!(
            "{what}{}-{}.{extension}",
            family.number(),
            size.routes(family)
        ))
    }

    /// net_pcap on packets of the bench.
    fn source(&self, family: Family, size: Size) -> String {
        let pcap = self.file("packets", family, size, "pcap");
        format!("net_pcap0,rx_pcap={},infinite_rx=1", pcap.display())
    }

    fn progress(&self, what: &str, round: usize) {
        aside!("    {what}: round {round} of {}", self.times.rounds);
    }

    fn say_what(&self, doing: &str, what: &str) {
        aside!("    {doing} {what}");
    }

    fn circumstances(&self) -> Result<Circumstances, Error> {
        let mut command = Privilege::Direct.command(binaries::find("tollgate-primary")?);
        command.arg("--version");
        let version = run_command(command, Wait::Interruptible(Duration::from_secs(10)))?.success()?;
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Ok(Circumstances {
            version: version.stdout.trim().to_owned(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            cpu: report::cpu_model(&text("/proc/cpuinfo"))
                .unwrap_or("unknown")
                .to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            devices: format!("net_pcap (infinite_rx=1) to {SINK}"),
            frame_bytes: traffic::FRAME_BYTES,
            rounds: self.times.rounds,
            seconds: self.times.measured.as_secs_f64(),
        })
    }
}

/// What the checkout is at, where git can tell.
fn commit() -> Option<String> {
    let mut command = Command::new("git");
    command
        .args(["describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"])
        .current_dir(cargo::workspace());
    let answer = run_command(command, Wait::Interruptible(Duration::from_secs(10))).ok()?;
    Some(answer.success().ok()?.stdout.trim().to_owned())
}

/// The first number that a program of ours printed.
fn number_of(output: &str) -> Result<f64, Error> {
    let number = output.split_whitespace().find_map(|word| word.parse().ok());
    number.ok_or_else(|| Error::Unexpected(format!("an example printed no figure: {output}")))
}

/// Sleeps, but not through a signal.
fn pause(time: Duration) -> Result<(), Error> {
    let began = Instant::now();
    while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        interrupt::check()?;
        thread::sleep(left.min(interrupt::TICK));
    }
    Ok(())
}

/// `target/bench`, made if need be.
fn folder() -> Result<PathBuf, Error> {
    let folder = cargo::target().join("bench");
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(source) => Err(Error::File {
            action: "make",
            path: folder,
            source,
        }),
    }
}

/// Writes a file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

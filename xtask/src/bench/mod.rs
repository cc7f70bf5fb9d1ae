//! `cargo xtask bench`: how many packets one worker forwards, beside DPDK's own `dpdk-testpmd` on the same devices.
//!
//! ```text
//!   packets.pcap ─► net_pcap0, infinite_rx ─► one core: tollgate-primary, or testpmd ─► net_null0
//!   64 bytes, one packet for each of 10,000 routes; IPv4, and for the primary IPv6 as well
//! ```
//!
//! A host's speed swings within minutes. So the programs take turns, several rounds of them, and only the ratio of medians
//! counts: each runs alone, on the same core, with the same burst, packets and number of packet buffers.

mod cores;
mod figures;
mod testpmd;
mod tollgate;
mod traffic;

use std::{fs, path::PathBuf, thread, time::Duration, time::Instant};

use ::tests::{Privilege, Wait, binaries, interrupt, run as run_command};

use crate::{
    cargo,
    error::Error,
    host::Host,
    packages::{self, Needs},
    progress::{say, show, step},
    session,
};
use cores::Cores;
use figures::{Circumstances, Figures, Round};
use traffic::{Family, Traffic};

/// What the primary needs with the packet buffers of the pcap, in pages of 2 MB.
const PAGES: u64 = 400;
/// Turns of each program.
const ROUNDS: usize = 7;
/// From the first packet to the measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long each turn is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// Packet buffers: net_pcap keeps the whole pcap in them and copies each packet to a fresh one.
const PACKET_BUFFERS: u32 = 16_383;

/// Measures and puts the host back.
pub(crate) fn run() -> Result<(), Error> {
    let privilege = session::privilege()?;
    packages::install(Needs::Bench)?;
    cargo::build_programs(&["primary", "ctl", "hugepage-setup", "pdump"])?;
    let cores = Cores::choose()?;
    let folder = folder()?;
    let traffic = [Family::Four, Family::Six].map(Traffic::new);
    let bench = Bench {
        privilege,
        cores,
        traffic,
        folder,
    };
    for family in [Family::Four, Family::Six] {
        bench.traffic(family).write_pcap(&bench.pcap(family))?;
    }
    let host = Host::prepare(privilege, PAGES)?;
    // Told before the way back: what others do on the host meanwhile does not make it worth less.
    host.restore_after(bench.measure().and_then(|figures| bench.tell(&figures)))
}

/// What all turns have in common.
struct Bench {
    privilege: Privilege,
    cores: Cores,
    /// By family.
    traffic: [Traffic; 2],
    /// Where the pcaps are and the figures go.
    folder: PathBuf,
}

impl Bench {
    fn measure(&self) -> Result<Figures, Error> {
        step!(
            "{ROUNDS} rounds, each program alone on CPU {}",
            self.cores.measured
        );
        let mut rounds = Vec::with_capacity(ROUNDS);
        for number in 1..=ROUNDS {
            let mac = self.testpmd("mac")?;
            let [tollgate, captured] = self.tollgate()?;
            let six = self.tollgate6()?;
            let filter = filter_cycles()?;
            let io = self.testpmd("io")?;
            say!(
                "    round {number}: testpmd mac {:.2} Mpps, tollgate {:.2} Mpps at {:.1} cycles per packet, {:.1} with a capture \
                 whose filter takes {filter:.1}, IPv6 {:.2} Mpps at {:.1} cycles, testpmd io {:.2} Mpps",
                mac / 1e6,
                tollgate.rate / 1e6,
                tollgate.cycles,
                captured.cycles,
                six.rate / 1e6,
                six.cycles,
                io / 1e6
            );
            rounds.push(Round {
                tollgate: tollgate.rate,
                tollgate6: six.rate,
                cycles_per_packet6: six.cycles,
                cycles_per_packet: tollgate.cycles,
                cycles_captured: captured.cycles,
                cycles_filter: filter,
                testpmd_mac: mac,
                testpmd_io: io,
            });
        }
        let slots = number_of(&cargo::example("shm", "slots")?)?;
        Ok(Figures {
            circumstances: self.circumstances()?,
            rounds,
            slots_per_second: slots * 1e6,
        })
    }

    /// Prints the figures and writes them to files.
    fn tell(&self, figures: &Figures) -> Result<(), Error> {
        step!("packets per second");
        show(&figures.table());
        for (name, text) in [
            ("figures.md", figures.markdown()),
            ("figures.json", figures.json()),
        ] {
            let path = self.folder.join(name);
            write(&path, &text)?;
            say!("    {}", path.display());
        }
        Ok(())
    }

    fn traffic(&self, family: Family) -> &Traffic {
        &self.traffic[family as usize]
    }

    fn pcap(&self, family: Family) -> PathBuf {
        self.folder.join(match family {
            Family::Four => "packets.pcap",
            Family::Six => "packets6.pcap",
        })
    }

    /// net_pcap on packets of the bench.
    fn source(&self, family: Family) -> String {
        format!("net_pcap0,rx_pcap={},infinite_rx=1", self.pcap(family).display())
    }

    fn circumstances(&self) -> Result<Circumstances, Error> {
        let mut command = Privilege::Direct.command(binaries::find("tollgate-primary")?);
        command.arg("--version");
        let version = run_command(command, Wait::Interruptible(Duration::from_secs(10)))?.success()?;
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Circumstances {
            version: version.stdout.trim().to_owned(),
            cpu: figures::cpu_model(&cpus).unwrap_or("unknown").to_owned(),
            devices: format!("net_pcap (infinite_rx=1) to {SINK}"),
            routes: self.traffic(Family::Four).routes(),
            frame_bytes: traffic::FRAME_BYTES,
            packet_buffers: PACKET_BUFFERS,
        })
    }
}

/// net_null that receives nothing.
const SINK: &str = "net_null0,no-rx=1";

/// Cycles per packet of the capture's filter by itself.
fn filter_cycles() -> Result<f64, Error> {
    number_of(&cargo::example("dpdk", "filter_cycles")?)
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

fn write(path: &std::path::Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

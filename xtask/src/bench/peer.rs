//! A turn of a program of DPDK's own that Tollgate is compared with, on the same devices.

use std::{path::PathBuf, thread, time::Instant};

use ::tests::{Process, ProcessBuilder, RunId, interrupt};

use super::shape::{SINK, Shape};
use super::traffic::Family;
use super::{Bench, START_LIMIT};
use super::{l3fwd, telemetry};
use crate::error::Error;

/// The port that packets leave by: the second device of the command line.
const OUT_PORT: u16 = 1;

impl Bench {
    /// Packets per second that testpmd forwards in `mode`.
    pub(super) fn testpmd(&self, mode: &str, shape: Shape) -> Result<f64, Error> {
        let cores = self.cores;
        let lcores = format!("0@{},1@{}", cores.control, cores.measured);
        let source = self.source(Family::Four, shape.size);
        self.peer("dpdk-testpmd".into(), &lcores, &[&source, SINK], |builder| {
            builder
                .args(["--burst=32", "--nb-cores=1"])
                .arg(format!("--total-num-mbufs={}", shape.packet_buffers))
                .arg(format!("--mbuf-size={}", shape.data_room()))
                .arg(format!("--forward-mode={mode}"))
                // Without it, testpmd waits for a key.
                .arg("--stats-period=3600")
        })
    }

    /// Packets per second that l3fwd forwards by the lookup `lpm` or `fib`.
    pub(super) fn l3fwd(&self, program: &std::path::Path, lookup: &str) -> Result<f64, Error> {
        // Its lcores get a transmit queue each, and the devices have one: it forwards on its main lcore.
        let lcores = format!("0@{}", self.cores.measured);
        let [rules4, rules6] = [l3fwd::RULES4, l3fwd::RULES6].map(|name| self.folder.join(name));
        let source = self.source(Family::Four, Shape::ORDINARY.size);
        self.peer(program.to_owned(), &lcores, &[&source, SINK], |builder| {
            builder
                .args(["-p", "0x3", "-P", "--config", "(0,0,0),(1,0,0)", "--parse-ptype"])
                // Its packet buffers follow from the lengths of its queues: as many as the others have.
                .arg(format!("--rx-queue-size={}", Shape::ORDINARY.packet_buffers / 2))
                .arg(format!("--lookup={lookup}"))
                .arg(format!("--rule_ipv4={}", rules4.display()))
                .arg(format!("--rule_ipv6={}", rules6.display()))
        })
    }

    /// Starts a program on the devices, of which the second is the one that sends, lets it run warm, and reads how fast it sends.
    pub(super) fn peer(
        &self,
        program: PathBuf,
        lcores: &str,
        devices: &[&str],
        arguments: impl FnOnce(ProcessBuilder) -> ProcessBuilder,
    ) -> Result<f64, Error> {
        let prefix = RunId::current().unique("peer");
        let builder = ProcessBuilder::new(self.privilege, "starts what is compared with", &program)
            .args(["--lcores", lcores, "--file-prefix", &prefix])
            // No file in hugetlbfs: some end by the signal and would leave it behind.
            .args(["--no-pci", "--in-memory"])
            .args(devices.iter().flat_map(|device| ["--vdev", device]))
            .arg("--");
        let mut process = arguments(builder).start()?;
        let began = Instant::now();
        // The socket is there before packets are; the first that left says that they are.
        let socket = telemetry::socket_of(&prefix);
        loop {
            let tick = interrupt::TICK;
            if telemetry::rate(self.privilege, &socket, OUT_PORT, tick).is_ok_and(|rate| rate > 0.0) {
                break;
            }
            if process.ended().is_some() || began.elapsed() > START_LIMIT {
                return Err(gave_up(&process));
            }
            interrupt::check()?;
            thread::sleep(tick);
        }
        super::pause(self.times.warm_up)?;
        let rate = telemetry::rate(self.privilege, &socket, OUT_PORT, self.times.measured)?;
        process.terminate()?;
        if rate > 0.0 {
            Ok(rate)
        } else {
            Err(gave_up(&process))
        }
    }
}

fn gave_up(process: &Process) -> Error {
    let lines: Vec<_> = [process.stdout(), process.stderr()]
        .iter()
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.starts_with("Adding route"))
        .collect();
    let last = lines.iter().rev().take(20).rev().cloned().collect::<Vec<_>>();
    Error::Unexpected(format!(
        "{process:?} forwarded nothing; it said at last:\n{}",
        last.join("\n")
    ))
}

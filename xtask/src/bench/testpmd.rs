//! A turn of `dpdk-testpmd`, measured by its own statistics.

use std::{thread, time::Duration, time::Instant};

use ::tests::{Process, ProcessBuilder, RunId, interrupt};

use super::traffic::Family;
use super::{Bench, MEASURED, PACKET_BUFFERS, SINK, WARM_UP};
use crate::error::Error;

/// EAL, the pcap and some seconds of statistics, on a host that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);
/// The second device on the command line.
const OUT_PORT: &str = "port 1";

impl Bench {
    /// Packets per second that testpmd forwards in `mode`.
    pub(super) fn testpmd(&self, mode: &str) -> Result<f64, Error> {
        // One report a second; the first spans the time before the start.
        let skipped = 1 + WARM_UP.as_secs() as usize;
        let wanted = skipped + MEASURED.as_secs() as usize;
        let mut process = self.start_testpmd(mode)?;
        let began = Instant::now();
        let rates = loop {
            let rates = rates_of(&process.stdout(), OUT_PORT);
            if rates.len() >= wanted {
                break rates;
            }
            if process.ended().is_some() || began.elapsed() > LIMIT {
                return Err(gave_up(&process));
            }
            interrupt::check()?;
            thread::sleep(interrupt::TICK);
        };
        process.terminate()?;
        let measured = &rates[skipped..wanted];
        let rate = measured.iter().sum::<f64>() / measured.len() as f64;
        if rate > 0.0 {
            Ok(rate)
        } else {
            Err(gave_up(&process))
        }
    }

    fn start_testpmd(&self, mode: &str) -> Result<Process, Error> {
        let cores = self.cores;
        Ok(
            ProcessBuilder::new(self.privilege, "starts what is compared with", "dpdk-testpmd")
                .args(["--lcores", &format!("0@{},1@{}", cores.control, cores.measured)])
                .args(["--file-prefix", &RunId::current().unique("testpmd")])
                // No file in hugetlbfs: it ends by the signal and would leave it behind.
                .args(["--no-pci", "--in-memory", "--no-telemetry"])
                .args(["--vdev", &self.source(Family::Four), "--vdev", SINK, "--"])
                .args(["--burst=32", "--nb-cores=1", "--stats-period=1"])
                .arg(format!("--total-num-mbufs={PACKET_BUFFERS}"))
                .arg(format!("--forward-mode={mode}"))
                .start()?,
        )
    }
}

fn gave_up(process: &Process) -> Error {
    Error::Unexpected(format!(
        "dpdk-testpmd forwarded nothing; it said:\n{}{}",
        process.stdout(),
        process.stderr()
    ))
}

/// The `Tx-pps` of a port in each report of its statistics but the last, which may be half written.
fn rates_of(output: &str, port: &str) -> Vec<f64> {
    let reports = output.split("NIC statistics for ").skip(1);
    reports
        .filter(|report| report.starts_with(port))
        .filter_map(|report| {
            let (_, rest) = report.split_once("Tx-pps:")?;
            let (rate, _) = rest.trim_start().split_once(' ')?;
            rate.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(port: u32, rate: u64) -> String {
        format!(
            "\n  ######################## NIC statistics for port {port}  ########################\n  \
             RX-packets: 0          RX-missed: 0          RX-bytes:  0\n  RX-errors: 0\n  RX-nombuf:  0         \n  \
             TX-packets: 99         TX-errors: 0          TX-bytes:  5940\n\n  Throughput (since last show)\n  \
             Rx-pps:            0          Rx-bps:            0\n  \
             Tx-pps:     {rate:8}          Tx-bps:      1234567\n  ####################\n"
        )
    }

    #[test]
    fn the_rates_of_the_second_port_are_read() {
        let output = [report(0, 1), report(1, 0), report(0, 2), report(1, 45_012_345)].concat();
        assert_eq!(rates_of(&output, OUT_PORT), [0.0, 45_012_345.0]);
    }

    #[test]
    fn a_report_that_is_half_written_does_not_count_yet() {
        let whole = report(1, 45_012_345);
        let half = whole.split_once("Tx-bps").unwrap().0.trim_end();
        assert!(rates_of(half, OUT_PORT).is_empty());
        assert!(rates_of("EAL: Detected CPU lcores: 2\n", OUT_PORT).is_empty());
    }
}

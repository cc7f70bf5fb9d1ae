//! `worker`: how busy the workers are.

use clap::{Args, Subcommand};
use control::message::Request;
use serde::Serialize;
use shm::records::{self, IdlePolicy, from_text};
use shm::{CounterView, WorkerCounter};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::{Session, Tables};
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl worker
  tollgate-ctl --watch 1 worker
  tollgate-ctl worker zero

BUSY is the share of time spent on packets since the worker started, BUSY NOW since the last look. CYCLES/PACKET counts
ticks of the time stamp counter in rounds that moved packets. PACKETS are those that went through the worker's stages;
HANDED OVER those that it received for workers without a queue of the port, to whom it gives them by flow. LONGEST LOOP US is
the longest round that moved packets, or copied connections for 'conn show', since the start or the last 'zero'.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show them
    Show,
    /// Have the longest round begin anew; all other counters go on
    Zero,
}

/// A worker and what it has done since it started.
#[derive(Debug, Serialize)]
struct Worker {
    worker: u32,
    lcore: u32,
    cpu: u32,
    /// As `INTERFACE:QUEUE`, the first eight.
    queues: Vec<String>,
    /// How many there are.
    rx_queues: u32,
    idle: &'static str,
    packets: u64,
    loops: u64,
    busy_loops: u64,
    busy_ticks: u64,
    ticks: u64,
    busy_percent: Option<f64>,
    packets_per_busy_loop: Option<f64>,
    cycles_per_packet: Option<f64>,
    longest_loop_us: Option<f64>,
    sleeps: u64,
    bad_verdicts: u64,
    /// Received for other workers; not among its packets.
    handed_over: u64,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    if let Some(Verb::Zero) = arguments.verb {
        return session.change(Request::WorkerZero);
    }
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let workers = tables.reader.workers();
        let workers = workers
            .iter()
            .map(|(index, record)| Worker::new(*index, record, &counters, &tables));
        Ok(tables.reading(workers.collect()))
    })
}

impl Worker {
    fn new(index: u32, record: &records::Worker, counters: &CounterView<'_>, tables: &Tables) -> Self {
        let count = |counter| counters.worker(index as usize, counter);
        let packets = count(WorkerCounter::Packets);
        let busy_loops = count(WorkerCounter::BusyLoops);
        let busy_ticks = count(WorkerCounter::BusyTicks);
        let ticks = count(WorkerCounter::Ticks);
        let listed = record.queues.len().min(record.rx_queues as usize);
        Self {
            worker: index,
            lcore: record.lcore,
            cpu: record.cpu,
            queues: record.queues[..listed]
                .iter()
                .map(|queue| queue_name(*queue, tables))
                .collect(),
            rx_queues: record.rx_queues,
            idle: IdlePolicy::from_raw(record.idle).map_or("unknown", IdlePolicy::name),
            packets,
            loops: count(WorkerCounter::Loops),
            busy_loops,
            busy_ticks,
            ticks,
            busy_percent: ratio(busy_ticks as f64 * 100.0, ticks as f64),
            packets_per_busy_loop: ratio(packets as f64, busy_loops as f64),
            cycles_per_packet: ratio(busy_ticks as f64, packets as f64),
            bad_verdicts: count(WorkerCounter::BadVerdicts),
            longest_loop_us: ratio(
                count(WorkerCounter::LongestTicks) as f64 * 1e6,
                record.tsc_hz as f64,
            ),
            sleeps: count(WorkerCounter::Sleeps),
            handed_over: count(WorkerCounter::HandedOver),
        }
    }
}

/// `port << 16 | queue` with the interface's name for the port.
fn queue_name(queue: u32, tables: &Tables) -> String {
    let (port, queue) = (queue >> 16, queue & 0xffff);
    let found = tables
        .interfaces
        .iter()
        .find(|(_, interface)| u32::from(interface.port) == port);
    match found {
        Some((_, interface)) => format!("{}:{queue}", from_text(&interface.name)),
        None => format!("port{port}:{queue}"),
    }
}

/// To a tenth; `None` when there is nothing to divide by yet.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 10.0).round() / 10.0)
}

impl Show for Worker {
    const COLUMNS: &'static [Column] = &[
        right("WORKER"),
        right("LCORE"),
        right("CPU"),
        left("QUEUES"),
        left("IDLE"),
        right("PACKETS"),
        right("BUSY %"),
        right("PACKETS/BUSY LOOP"),
        right("CYCLES/PACKET"),
        right("LONGEST LOOP US"),
        right("SLEEPS"),
        right("BAD VERDICTS"),
        right("HANDED OVER"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S"), right("SLEEPS/S"), right("BUSY NOW %")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        let more = if (self.rx_queues as usize) > self.queues.len() {
            ",…"
        } else {
            ""
        };
        table
            .cell(self.worker)
            .cell(self.lcore)
            .cell(self.cpu)
            .cell(format_args!("{}{more}", self.queues.join(",")))
            .cell(self.idle)
            .cell(self.packets)
            .optional(self.busy_percent)
            .optional(self.packets_per_busy_loop)
            .optional(self.cycles_per_packet)
            .optional(self.longest_loop_us)
            .cell(self.sleeps)
            .cell(self.bad_verdicts)
            .cell(self.handed_over);
        if let Some(rates) = rates {
            let busy = rates.of("busy_ticks").zip(rates.of("ticks"));
            table
                .optional(rates.of("packets"))
                .optional(rates.of("sleeps"))
                .optional(busy.and_then(|(busy, all)| ratio(busy * 100.0, all)));
        }
    }

    fn key(&self) -> String {
        self.worker.to_string()
    }

    fn counts(&self) -> Vec<Count> {
        vec![
            Count::new("packets", self.packets),
            Count::new("loops", self.loops),
            Count::new("busy_loops", self.busy_loops),
            Count::new("busy_ticks", self.busy_ticks),
            Count::new("ticks", self.ticks),
            Count::new("sleeps", self.sleeps),
            Count::new("handed_over", self.handed_over),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let worker = Worker {
            worker: 0,
            lcore: 1,
            cpu: 1,
            queues: vec!["wan:0".into(), "lan:0".into()],
            rx_queues: 2,
            idle: "adaptive",
            packets: 1000,
            loops: 5000,
            busy_loops: 100,
            busy_ticks: 200_000,
            ticks: 1_000_000,
            busy_percent: ratio(20_000_000.0, 1_000_000.0),
            packets_per_busy_loop: ratio(1000.0, 100.0),
            cycles_per_packet: ratio(200_000.0, 1000.0),
            longest_loop_us: None,
            bad_verdicts: 0,
            handed_over: 3,
            sleeps: 7,
        };
        assert_eq!(
            serde_json::to_string(&worker).unwrap(),
            r#"{"worker":0,"lcore":1,"cpu":1,"queues":["wan:0","lan:0"],"rx_queues":2,"idle":"adaptive","packets":1000,"loops":5000,"busy_loops":100,"busy_ticks":200000,"ticks":1000000,"busy_percent":20.0,"packets_per_busy_loop":10.0,"cycles_per_packet":200.0,"longest_loop_us":null,"sleeps":7,"bad_verdicts":0,"handed_over":3}"#
        );
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(1.0, 3.0), Some(0.3));
    }
}

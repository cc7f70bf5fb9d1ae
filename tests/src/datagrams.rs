//! Numbered UDP datagrams in several flows: did each arrive once, and in order within its flow?
//!
//! The payload of a datagram, integers in network byte order, padded with zeros to the size asked for:
//!
//! ```text
//!  0       8      12      16           size
//!  +-------+-------+-------+------------+
//!  |  run  | flow  | number| padding ...|
//!  +-------+-------+-------+------------+
//! ```
//!
//! Each flow is a socket, hence a source port, of its own. The programs of [`send`] and [`receive`] run in namespaces
//! as `tg-datagrams send` and `tg-datagrams receive`.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::socket::{setsockopt, sockopt},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// Bytes of run, flow and number.
pub const HEADER: usize = 16;
/// The longest burst, so that queues are not what is tested.
const LONGEST_BURST: u32 = 20;
/// Room for a second of datagrams while the receiver is not scheduled.
const RECEIVE_BUFFER: usize = 64 << 20;

/// What one datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Tells this run's datagrams from any other's.
    pub run: u64,
    /// Which flow, from 0.
    pub flow: u32,
    /// Its place in the flow, from 0.
    pub number: u32,
}

impl Numbered {
    /// Writes it to the front of `payload`, which holds at least [`HEADER`] bytes; false if not.
    pub fn emit(&self, payload: &mut [u8]) -> bool {
        let Some(header) = payload.first_chunk_mut::<HEADER>() else {
            return false;
        };
        header[..8].copy_from_slice(&self.run.to_be_bytes());
        header[8..12].copy_from_slice(&self.flow.to_be_bytes());
        header[12..].copy_from_slice(&self.number.to_be_bytes());
        true
    }

    /// Reads the front of `payload`; None if it is too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (flow, rest) = rest.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u64::from_be_bytes(*run),
            flow: u32::from_be_bytes(*flow),
            number: u32::from_be_bytes(*number),
        })
    }
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where to.
    pub to: SocketAddr,
    /// Number of flows; datagrams go to them in turn.
    pub flows: u32,
    /// Number of datagrams in all.
    pub count: u32,
    /// Datagrams per second.
    pub rate: u32,
    /// Bytes of UDP payload, [`HEADER`] at least.
    pub size: usize,
    /// Tells this run's datagrams from any other's.
    pub run: u64,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: u32,
    /// Seconds from the first to the last.
    pub seconds: f64,
    /// Times that the kernel reported an error of an earlier datagram (ICMP unreachable).
    pub errors: u32,
}

/// Keeps this thread on the first CPU that it may use. veth queues packets on the CPU of their sender: one that moves
/// to another may see later packets overtake earlier ones before any gateway had them.
///
/// # Errors
/// The kernel refuses.
pub fn stay_on_one_cpu() -> io::Result<()> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let mut one = CpuSet::new();
    if let Some(first) = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap_or(false)) {
        one.set(first)?;
        sched_setaffinity(this_thread, &one)?;
    }
    Ok(())
}

/// Sends `load`, in bursts of at most 20 that are evenly spaced. A sender that was held up goes on from there, it does not catch up.
///
/// # Errors
/// A socket cannot be made or the kernel refuses to send (no route, size beyond the limit of UDP).
pub fn send(load: &Load) -> io::Result<Sent> {
    let any = if load.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let flows = (0..load.flows.max(1))
        .map(|_| {
            let socket = UdpSocket::bind(any)?;
            socket.connect(load.to)?;
            Ok(socket)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut payload = vec![0; load.size.max(HEADER)];
    let burst = (load.rate / 1000).clamp(1, LONGEST_BURST);
    let interval = Duration::from_secs(1) * burst / load.rate.max(1);
    let mut sent = Sent {
        sent: 0,
        seconds: 0.0,
        errors: 0,
    };
    let began = Instant::now();
    let mut due = began;
    'all: loop {
        for _ in 0..burst {
            if sent.sent == load.count {
                break 'all;
            }
            let (number, flow) = (sent.sent / load.flows.max(1), sent.sent % load.flows.max(1));
            Numbered {
                run: load.run,
                flow,
                number,
            }
            .emit(&mut payload);
            let socket = &flows[flow as usize];
            if let Err(error) = socket.send(&payload) {
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    return Err(error);
                }
                // An answer to an earlier datagram; this one has not been sent yet.
                sent.errors += 1;
                socket.send(&payload)?;
            }
            sent.sent += 1;
        }
        due += interval;
        let now = Instant::now();
        match due.checked_duration_since(now) {
            Some(wait) => thread::sleep(wait),
            None if now - due > 2 * interval => due = now,
            None => {}
        }
    }
    sent.seconds = began.elapsed().as_secs_f64();
    Ok(sent)
}

/// What arrived, in one flow or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Different datagrams that arrived.
    pub received: u32,
    /// Copies of datagrams that had arrived already.
    pub duplicates: u32,
    /// Datagrams that arrived after one of a higher number in their flow.
    pub out_of_order: u32,
    /// Datagrams that did not arrive.
    pub lost: u32,
}

/// What arrived at a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// All flows together.
    #[serde(flatten)]
    pub total: Received,
    /// Datagrams of another run, or none of ours.
    pub foreign: u32,
    /// Each flow.
    pub flows: Vec<Received>,
}

/// Keeps the books of one run.
#[derive(Debug)]
pub struct Ledger {
    run: u64,
    foreign: u32,
    flows: Vec<Flow>,
}

#[derive(Clone, Debug)]
struct Flow {
    /// By number: has it arrived?
    arrived: Vec<bool>,
    highest: Option<u32>,
    counts: Received,
}

impl Ledger {
    /// Books for `expect` datagrams of `run`, dealt to `flows` flows in turn.
    pub fn new(run: u64, flows: u32, expect: u32) -> Self {
        let flows = flows.max(1);
        let flow = |flow: u32| Flow {
            arrived: vec![false; (expect / flows + u32::from(flow < expect % flows)) as usize],
            highest: None,
            counts: Received::default(),
        };
        Self {
            run,
            foreign: 0,
            flows: (0..flows).map(flow).collect(),
        }
    }

    /// Enters one payload.
    pub fn enter(&mut self, payload: &[u8]) {
        let of_this_run = Numbered::parse(payload).filter(|numbered| numbered.run == self.run);
        let entry = of_this_run.and_then(|numbered| {
            let flow = self.flows.get_mut(numbered.flow as usize)?;
            let known = *flow.arrived.get(numbered.number as usize)?;
            Some((flow, numbered.number, known))
        });
        match entry {
            None => self.foreign += 1,
            Some((flow, _, true)) => flow.counts.duplicates += 1,
            Some((flow, number, false)) => {
                flow.arrived[number as usize] = true;
                flow.counts.received += 1;
                flow.counts.out_of_order += u32::from(flow.highest > Some(number));
                flow.highest = flow.highest.max(Some(number));
            }
        }
    }

    /// Whether every datagram has arrived.
    pub fn is_complete(&self) -> bool {
        self.flows
            .iter()
            .all(|flow| flow.counts.received as usize == flow.arrived.len())
    }

    /// Closes the books.
    pub fn report(self) -> Report {
        let close = |flow: Flow| Received {
            lost: u32::try_from(flow.arrived.iter().filter(|arrived| !**arrived).count()).unwrap_or(u32::MAX),
            ..flow.counts
        };
        let flows: Vec<_> = self.flows.into_iter().map(close).collect();
        let total = flows.iter().fold(Received::default(), |sum, flow| Received {
            received: sum.received + flow.received,
            duplicates: sum.duplicates + flow.duplicates,
            out_of_order: sum.out_of_order + flow.out_of_order,
            lost: sum.lost + flow.lost,
        });
        Report {
            total,
            foreign: self.foreign,
            flows,
        }
    }
}

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// Address to receive on.
    pub bind: SocketAddr,
    /// Number of flows.
    pub flows: u32,
    /// Number of datagrams in all.
    pub count: u32,
    /// The end, when nothing has arrived for this long.
    pub silence: Duration,
    /// The run whose datagrams count.
    pub run: u64,
}

/// Receives until all have arrived and a moment has shown no copy of one, or until nothing arrives any more. Calls `ready` once datagrams
/// cannot be missed any more.
///
/// # Errors
/// The address cannot be bound.
pub fn receive(expectation: &Expectation, ready: impl FnOnce()) -> io::Result<Report> {
    /// How long to look for late copies when all is here.
    const LATE_COPIES: Duration = Duration::from_millis(300);
    let socket = UdpSocket::bind(expectation.bind)?;
    // Beyond the limit for ordinary users; without the right to it, the kernel's default has to do.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER);
    let mut ledger = Ledger::new(expectation.run, expectation.flows, expectation.count);
    let mut payload = vec![0; 1 << 16];
    let mut patience = Duration::ZERO;
    ready();
    loop {
        let wanted = if ledger.is_complete() {
            LATE_COPIES
        } else {
            expectation.silence
        };
        if wanted != patience {
            socket.set_read_timeout(Some(wanted))?;
            patience = wanted;
        }
        match socket.recv(&mut payload) {
            Ok(length) => ledger.enter(&payload[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ledger.report()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(flow: u32, number: u32) -> [u8; HEADER] {
        let mut payload = [0; HEADER];
        assert!(Numbered { run: 7, flow, number }.emit(&mut payload));
        payload
    }

    fn report(arrivals: &[(u32, u32)], flows: u32, expect: u32) -> Report {
        let mut ledger = Ledger::new(7, flows, expect);
        for &(flow, number) in arrivals {
            ledger.enter(&payload(flow, number));
        }
        ledger.report()
    }

    #[test]
    fn all_in_order_is_clean() {
        let report = report(&[(0, 0), (1, 0), (0, 1)], 2, 3);
        assert_eq!(
            report.total,
            Received {
                received: 3,
                ..Received::default()
            }
        );
    }

    #[test]
    fn loss_copy_and_overtaking_are_told_apart() {
        let report = report(&[(0, 0), (0, 2), (0, 1), (0, 1)], 1, 5);
        assert_eq!(
            report.total,
            Received {
                received: 3,
                duplicates: 1,
                out_of_order: 1,
                lost: 2
            }
        );
    }

    #[test]
    fn flows_may_overtake_each_other() {
        let report = report(&[(1, 0), (1, 1), (0, 0), (0, 1)], 2, 4);
        assert_eq!(report.total.out_of_order, 0);
    }

    #[test]
    fn what_is_not_of_this_run_does_not_count() {
        let mut ledger = Ledger::new(8, 1, 1);
        ledger.enter(&payload(0, 0));
        ledger.enter(b"short");
        let report = ledger.report();
        assert_eq!(
            (report.foreign, report.total.received, report.total.lost),
            (2, 0, 1)
        );
    }

    #[test]
    fn a_thread_that_stays_on_one_cpu_has_one() {
        let cpus = thread::spawn(|| {
            stay_on_one_cpu().unwrap();
            let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
            (0..CpuSet::count())
                .filter(|&cpu| allowed.is_set(cpu).unwrap())
                .count()
        });
        assert_eq!(cpus.join().unwrap(), 1);
    }

    #[test]
    fn sender_and_receiver_agree_over_loopback() {
        let bind = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let expectation = Expectation {
            bind,
            flows: 4,
            count: 500,
            silence: Duration::from_secs(10),
            run: 9,
        };
        let (ready, is_ready) = std::sync::mpsc::channel();
        let receiver = thread::spawn(move || receive(&expectation, || ready.send(()).unwrap()).unwrap());
        is_ready.recv().unwrap();
        let load = Load {
            to: bind,
            flows: 4,
            count: 500,
            rate: 5000,
            size: 100,
            run: 9,
        };
        let sent = send(&load).unwrap();
        assert_eq!((sent.sent, sent.errors), (500, 0));
        assert!(
            sent.seconds >= 0.09,
            "500 at 5000 per second take a tenth of a second, not {}",
            sent.seconds
        );
        let report = receiver.join().unwrap();
        assert_eq!(
            report.total,
            Received {
                received: 500,
                ..Received::default()
            }
        );
        assert_eq!(report.flows.len(), 4);
    }

    proptest! {
        #[test]
        fn a_header_reads_back(run: u64, flow: u32, number: u32, size in HEADER..200_usize) {
            let numbered = Numbered { run, flow, number };
            let mut payload = vec![0; size];
            prop_assert!(numbered.emit(&mut payload));
            prop_assert_eq!(Numbered::parse(&payload), Some(numbered));
        }

        #[test]
        fn received_and_lost_add_up(arrivals in prop::collection::vec((0_u32..5, 0_u32..50), 0..300)) {
            let report = report(&arrivals, 4, 120);
            prop_assert_eq!(report.total.received + report.total.lost, 120);
            let entered = report.total.received + report.total.duplicates + report.foreign;
            prop_assert_eq!(entered as usize, arrivals.len());
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(payload: Vec<u8>) {
            prop_assert_eq!(Numbered::parse(&payload).is_some(), payload.len() >= HEADER);
        }
    }
}

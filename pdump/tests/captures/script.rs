//! A source that hands out what a test wrote down, and what the tests need around it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use control::capture::Dropped;
use control::message::{CaptureInterface, CapturePoint};
use packet::{MacAddress, PacketBuilder};
use pdump::arguments::Format;
use pdump::capture::{Interruption, Limits, Run};
use pdump::output::{About, CaptureFile, Files, Output, OutputError, Target};
use pdump::report::Report;
use pdump::source::{CaptureError, Counts, Packet, Source, Way};

/// A packet that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) time_ns: u64,
    pub(crate) interface: u16,
    pub(crate) way: Way,
    pub(crate) wire_length: u32,
    pub(crate) id: u64,
    pub(crate) worker: u16,
    pub(crate) queue: Option<u16>,
    pub(crate) lost_before: u32,
    pub(crate) dropped: Option<Dropped>,
    pub(crate) data: Vec<u8>,
}

impl Captured {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet {
            time_ns: self.time_ns,
            interface: self.interface,
            way: self.way,
            wire_length: self.wire_length,
            rule: None,
            id: self.id,
            worker: Some(self.worker),
            queue: self.queue,
            lost_before: self.lost_before,
            dropped: self.dropped,
            data: &self.data,
        }
    }
}

/// The number of the interface that is listed second: numbers are not positions.
pub(crate) const LAN: u16 = 7;
pub(crate) const WAN: u16 = 2;

/// 2026-11-21 12:34:56.123456789 UTC.
pub(crate) const NOON: u64 = 1_795_264_496_123_456_789;

pub(crate) fn interfaces() -> Vec<CaptureInterface> {
    let interface = |index, name: &str, mac, speed_mbps| CaptureInterface {
        index,
        name: name.to_owned(),
        device: format!("net_af_packet{index},iface={name}0"),
        mac: MacAddress([2, 0, 0, 0, 0, mac]),
        speed_mbps,
    };
    vec![interface(WAN, "wan", 1, 10_000), interface(LAN, "lan", 2, 0)]
}

/// `count` pings, a nanosecond and a sequence number apart, received on wan and sent on lan in turns.
pub(crate) fn pings(count: u16) -> Vec<Captured> {
    let ping = |number: u16| {
        let data = PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 9]))
            .ipv4([10, 0, 0, 1].into(), [10, 0, 1, 1].into())
            .echo_request(1, number, &[0xa5; 56][usize::from(number % 4)..]);
        let (interface, way) = if number.is_multiple_of(2) {
            (WAN, Way::Rx)
        } else {
            (LAN, Way::Tx)
        };
        Captured {
            time_ns: NOON + u64::from(number),
            interface,
            way,
            wire_length: u32::try_from(data.len()).unwrap(),
            id: u64::from(number) << 40,
            worker: number % 3,
            queue: number.checked_sub(1),
            lost_before: u32::from(number == 2) * 7,
            dropped: None,
            data,
        }
    };
    (0..count).map(ping).collect()
}

/// What a call of `receive` does.
pub(crate) enum Step<'a> {
    Packets(Vec<Captured>),
    /// Nothing comes.
    Idle,
    /// Nothing comes, and the test looks at something meanwhile.
    Look(Box<dyn FnOnce() + 'a>),
    /// Somebody presses Ctrl-C, and nothing comes.
    Signal,
    Ends(CaptureError),
}

/// Hands out steps. After the last it is idle, and Ctrl-C is pressed.
pub(crate) struct Script<'a> {
    steps: VecDeque<Step<'a>>,
    counts: Counts,
    signalled: Rc<Cell<bool>>,
    pub(crate) stopped: bool,
}

impl<'a> Script<'a> {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step<'a>>, counts: Counts) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            counts,
            signalled: Rc::default(),
            stopped: false,
        }
    }

    /// Captures to `output`.
    pub(crate) fn run(
        &mut self,
        output: &mut dyn Output,
        count: Option<u64>,
    ) -> (Report, Result<(), Interruption>) {
        let packets = count.map(|count| count.try_into().unwrap());
        let limits = Limits {
            packets,
            duration: None,
        };
        self.run_until(output, limits, &mut |_| {})
    }

    /// The same until a limit is reached; tells how it is once a second.
    pub(crate) fn run_until(
        &mut self,
        output: &mut dyn Output,
        limits: Limits,
        watch: &mut dyn FnMut(&Report),
    ) -> (Report, Result<(), Interruption>) {
        let signalled = Rc::clone(&self.signalled);
        let stopped = || signalled.get();
        let mut run = Run::new(output, limits, &stopped, watch);
        let ended = run.capture(self);
        (run.report(), ended)
    }
}

impl Source for Script<'_> {
    fn receive(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Packet<'_>),
    ) -> Result<usize, CaptureError> {
        assert!(
            timeout <= Duration::from_millis(100),
            "an idle capture writes out what it has"
        );
        match self.steps.pop_front() {
            Some(Step::Packets(packets)) => {
                packets.iter().for_each(|captured| take(&captured.packet()));
                Ok(packets.len())
            }
            Some(Step::Look(look)) => {
                look();
                Ok(0)
            }
            Some(Step::Idle) => Ok(0),
            Some(Step::Ends(error)) => Err(error),
            Some(Step::Signal) | None => {
                self.signalled.set(true);
                Ok(0)
            }
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// Begins a file of both interfaces with a filter.
pub(crate) fn begin(path: &Path, format: Format) -> Result<CaptureFile, OutputError> {
    begin_at(&[CapturePoint::Rx, CapturePoint::Tx], path, format)
}

/// The same at other points.
pub(crate) fn begin_at(
    points: &[CapturePoint],
    path: &Path,
    format: Format,
) -> Result<CaptureFile, OutputError> {
    begin_target(Target::file(path), points, format)
}

/// The same for one file or several.
pub(crate) fn begin_target(
    target: Target,
    points: &[CapturePoint],
    format: Format,
) -> Result<CaptureFile, OutputError> {
    let about = About {
        interfaces: &interfaces(),
        points,
        expression: "icmp or esp",
        snaplen: 16_384,
    };
    CaptureFile::begin(Files::open(target)?, format, &about)
}

/// Counts of a capture whose filter matched `matched` of `seen`.
pub(crate) fn counts(seen: u64, matched: u64, lost: u64) -> Counts {
    Counts {
        seen,
        matched,
        lost,
        unsampled: 0,
        late: 0,
    }
}

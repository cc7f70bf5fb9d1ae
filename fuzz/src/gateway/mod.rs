//! The stages of the primary over a small network, and what must become of each packet there.
//!
//! ```text
//!   frame ──┬─► Stages::run ─► note, bytes ──┐
//!           └─► oracle ─► what is allowed ───┴─► check
//! ```

pub mod alerts;
mod answer;
mod check;
pub mod oracle;
pub mod packets;
pub mod topology;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{SystemTime, UNIX_EPOCH};

use control::message::PuntClass;
use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, TBL24_ENTRIES, words6};
use packet::MacAddress;
use primary::adjacency::{Adjacency, AdjacencyWriter, WORDS};
use primary::path::punt::{PuntMode, Punts};
use primary::path::{
    BURST, Burst, Disposition, InterfaceView, NOTES, Note, OptionPolicy, Packet, Recorder, Stages,
};
use primary::sources::SourceAddresses;
use shm::PathStage;

pub use self::check::Seen;
use self::topology::{INTERFACES, ROUTES4, ROUTES6, Target};

/// The stages and the network of [`topology`].
pub struct Gateway {
    /// By what becomes of packets that tools may decide about.
    stages: [Stages<Vec<AtomicU32>, Vec<AtomicU64>>; 3],
}

/// Why there is no gateway: never, unless the tables have become smaller.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The IPv4 table refused a route.
    #[error("the IPv4 table refuses the network of the test: {0}")]
    Fib4(#[from] fib::FibError),
    /// The IPv6 table refused a route.
    #[error("the IPv6 table refuses the network of the test: {0}")]
    Fib6(#[from] fib::Fib6Error),
    /// A prefix that is none, or no adjacency left.
    #[error("the network of the test has a prefix that is none, or too many adjacencies")]
    Network,
}

impl Gateway {
    /// A gateway.
    pub fn new() -> Result<Self, TopologyError> {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let words = |count| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let mut fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(64 * GROUP_ENTRIES), 100)?;
        let mut fib6 = Fib6Writer::new(words(words6(100)), 100)?;
        let mut adjacencies = AdjacencyWriter::new(words(64 * WORDS));
        let mut adjacency = |target, unknown: IpAddr| -> Result<NextHop, TopologyError> {
            let (adjacency, next_hop) = match target {
                Target::Forward(interface) => {
                    let mac = MacAddress(topology::neighbor(interface));
                    (Adjacency::Forward { interface, mac }, None)
                }
                Target::Local => (Adjacency::Local { interface: 0 }, None),
                Target::Glean(interface) => (Adjacency::Glean { interface }, None),
                Target::Incomplete(interface) => (Adjacency::Incomplete { interface }, Some(unknown)),
                Target::Failed(interface) => (Adjacency::Failed { interface }, Some(unknown)),
                Target::Broadcast => (Adjacency::Broadcast, None),
                Target::Blackhole => (Adjacency::Blackhole, None),
            };
            let next_hop = next_hop.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            adjacencies
                .allocate(adjacency, next_hop)
                .ok_or(TopologyError::Network)
        };
        for (network, length, target) in ROUTES4 {
            let next_hop = adjacency(*target, topology::UNKNOWN4.into())?;
            let prefix = ipnet::Ipv4Net::new(*network, *length).map_err(|_| TopologyError::Network)?;
            fib4.insert(prefix, next_hop)?;
        }
        for (network, length, target) in ROUTES6 {
            let next_hop = adjacency(*target, topology::UNKNOWN6.into())?;
            let prefix = ipnet::Ipv6Net::new(*network, *length).map_err(|_| TopologyError::Network)?;
            fib6.insert(prefix, next_hop)?;
        }
        let interfaces: Vec<_> = INTERFACES.iter().map(view).collect();
        let stages = |mode| {
            Stages::new(
                interfaces.clone(),
                fib4.reader(),
                fib6.reader(),
                adjacencies.reader(),
                Punts::new(|_| mode),
            )
        };
        Ok(Self {
            stages: [PuntMode::Off, PuntMode::Tool, PuntMode::Closed].map(stages),
        })
    }

    /// Takes at most [`BURST`] frames that came in by `ingress` through the stages, and checks what became of each against
    /// what may; panics where it may not. `originals` are the same frames, which stay as they are.
    pub fn run(
        &self,
        ingress: u16,
        punts: PuntMode,
        frames: &mut [Vec<u8>],
        originals: &[Vec<u8>],
        mut seen: impl FnMut(Seen),
    ) {
        let stages = &self.stages[punts as usize];
        let mut notes = NOTES;
        let together = stages.run(
            ingress,
            &mut Burst {
                packets: frames,
                notes: &mut notes,
            },
        );
        for ((frame, original), note) in frames.iter().zip(originals).zip(&mut notes) {
            if let Some(together) = together {
                // They leave as they are, and nothing is noted.
                *note = Note::usual(together.egress, original);
            }
            let opinion = oracle::opinion(ingress, original, punts);
            seen(check::check(stages, ingress, original, frame, note, &opinion));
        }
    }

    /// Takes one frame through the stages as one that has been through them before, for which no tool is asked.
    pub fn run_again(&self, ingress: u16, original: &[u8]) -> Note {
        let mut frame = original.to_vec();
        let stages = &self.stages[PuntMode::Off as usize];
        let note = stages.run_one(ingress, &mut frame);
        let opinion = oracle::opinion(ingress, original, PuntMode::Off);
        check::check(stages, ingress, original, &frame, &note, &opinion);
        self.trace(stages, ingress, original, &note);
        note
    }

    /// Takes a frame whose first segment has `first` bytes through the stages. Nothing behind it may change, and where it has all
    /// headers the frame fares as in one segment. Give an interface that no kernel feeds: that looks at checksums of single segments.
    pub fn run_split(&self, ingress: u16, punts: PuntMode, original: &[u8], first: usize) {
        let stages = &self.stages[punts as usize];
        let fate = |first: usize| {
            let mut packets = [Split(original.to_vec(), first.min(original.len()))];
            let mut notes = NOTES;
            let burst = &mut Burst {
                packets: &mut packets,
                notes: &mut notes,
            };
            let together = stages.run(ingress, burst);
            let fate = together.map_or(notes[0].disposition, |together| {
                Disposition::Transmit(together.egress)
            });
            let [Split(bytes, _)] = packets;
            (fate, bytes)
        };
        let ((in_one, whole), (split, bytes)) = within_a_millisecond(|| (fate(original.len()), fate(first)));
        assert_eq!(
            bytes.get(first..),
            original.get(first..),
            "what lies behind the first segment was changed"
        );
        let goes_on = matches!(
            in_one,
            Disposition::Transmit(_) | Disposition::Punt(PuntClass::RouterAlert)
        );
        if goes_on && first >= original.len().min(HEADERS) {
            assert_eq!((split, &bytes), (in_one, &whole), "{first} of {original:02x?}");
        }
    }

    /// Takes the frame through the stages with and without writing down where it was: nothing else may come of it.
    fn trace(
        &self,
        stages: &Stages<Vec<AtomicU32>, Vec<AtomicU64>>,
        ingress: u16,
        original: &[u8],
        note: &Note,
    ) {
        let (plain, traced, recorder) = within_a_millisecond(|| {
            let [mut plain, mut traced] = [original.to_vec(), original.to_vec()];
            let mut recorder = Recorder::new();
            let one = stages.run_one(ingress, &mut plain);
            let other = stages.run_traced(ingress, &mut traced, &mut recorder);
            let plain = (one.disposition, one.passed, plain);
            (plain, (other.disposition, other.passed, traced), recorder)
        });
        assert_eq!(traced, plain, "a traced packet fares as any other");
        let entered = recorder.steps().iter().map(|(stage, _)| *stage);
        // The worker sends redirects and cuts what they are about: the stages only note it.
        let is_workers = |stage: &PathStage| matches!(stage, PathStage::Redirect | PathStage::Fragment);
        assert!(
            entered.eq(note.passed.iter().filter(|stage| !is_workers(stage))),
            "{:?}: {:?}",
            note.passed,
            recorder.steps()
        );
    }
}

/// What `run` gives while the clock shows one millisecond: the stages write the time into options, RFC 791 section 3.1, and what is
/// compared is to have the same.
fn within_a_millisecond<T>(run: impl Fn() -> T) -> T {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.unwrap_or_default().as_millis()
    };
    loop {
        let began = now();
        let made = run();
        if now() == began {
            return made;
        }
    }
}

/// Link header, IPv6 header, and as much as its options and the header of the upper layer may take.
const HEADERS: usize = 14 + 40 + 2048 + 60;

/// A packet of which the first segment has this many bytes.
struct Split(Vec<u8>, usize);

impl Packet for Split {
    const MAY_GO_ON: bool = true;

    fn first(&mut self) -> &mut [u8] {
        &mut self.0[..self.1]
    }

    fn behind(&self) -> usize {
        self.0.len() - self.1
    }
}

/// The most frames of a burst.
pub const MOST: usize = BURST;

fn view(interface: &topology::Interface) -> InterfaceView {
    let (four, six, link_local) = interface.addresses;
    let sources = SourceAddresses::default();
    let nets = [
        ipnet::IpNet::new(four.into(), 24),
        ipnet::IpNet::new(six.into(), 64),
    ];
    sources.set(
        Some(link_local),
        nets.into_iter().flatten(),
        [six, link_local].into_iter(),
    );
    InterfaceView {
        mac: MacAddress(interface.mac),
        mtu: interface.mtu,
        kernel_device: interface.kernel_device,
        tap: false,
        redirects: true,
        options: OptionPolicy::default().with_hop_by_hop(interface.process),
        up: Arc::new(AtomicBool::new(interface.up)),
        sources: Arc::new(sources),
        any_tpid: false,
        sub: None,
        tunnel: None,
    }
}

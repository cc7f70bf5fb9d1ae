//! A worker's part in a trace: which packets are meant, and what was seen of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::SyncSender;

use control::message::{PuntClass, TRACED_BYTES, TRACED_SENT_BYTES, TraceTool, TraceVerdict};
use dpdk::filter::Filter;
use dpdk::{Mbuf, MbufBatch};
use fib::NextHop;
use shm::attachment::Way;
use shm::{DropReason, Passed, PathStage};

use super::legs::{Finished, Followed, Leg};
use crate::attachments::{self, Sight};
use crate::path::{BURST, Disposition, Note, Recorder, Tracer};

/// One worker's part of one trace.
pub struct Part {
    id: u32,
    worker: u16,
    filter: Option<Arc<Filter>>,
    sight: Sight,
    /// How many packets all workers together may still take.
    left: Arc<AtomicU32>,
    finished: SyncSender<Finished>,
}

impl attachments::Part for Part {
    fn id(&self) -> u32 {
        self.id
    }

    fn end(&mut self) {}
}

impl Part {
    /// For packets that match and come in where they are in `sight`, until none are `left`.
    pub fn new(
        id: u32,
        worker: u16,
        filter: Option<Arc<Filter>>,
        sight: Sight,
        left: Arc<AtomicU32>,
        finished: SyncSender<Finished>,
    ) -> Self {
        Self {
            id,
            worker,
            filter,
            sight,
            left,
            finished,
        }
    }

    /// Whether no packet is meant any more.
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// The packets of a burst by a port that are to be traced, a bit each. They count as taken.
    pub fn choose(&self, port: u16, packets: &mut MbufBatch<BURST>) -> u32 {
        if self.is_over() || !self.sight.covers(port, Way::Rx) {
            return 0;
        }
        let mut chosen = 0;
        for (number, mbuf) in packets.iter_mut().enumerate() {
            let mut matches = false;
            self.sight.each(port, Way::Rx, mbuf, |_, mbuf| {
                matches |= self.filter.as_ref().is_none_or(|filter| filter.matches(mbuf));
            });
            if matches && self.take() {
                chosen |= 1 << number;
            }
        }
        chosen
    }

    fn take(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    /// One of its packets, which was just received, is followed from here on.
    pub fn follow(&self, leg: Leg) -> Followed {
        Followed::new(self.worker, leg, self.finished.clone())
    }
}

/// A packet that is being traced, from its first stage to its end or into a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Where it was.
    pub recorder: Recorder,
    /// Index of the interface that it came in by.
    pub ingress: u16,
    /// When it began, ticks of the time stamp counter.
    pub begun: u64,
    /// Its length as it began.
    pub length: u32,
    received: Head<TRACED_BYTES>,
    back: Option<Back>,
    sent: Head<TRACED_SENT_BYTES>,
}

/// A traced packet that is back from a tool.
#[derive(Clone, Copy, Debug)]
struct Back {
    class: PuntClass,
    verdict: TraceVerdict,
    bytes: Head<TRACED_BYTES>,
    /// What the stages noted then.
    note: Option<Note>,
}

impl Watched {
    /// A packet that begins now.
    pub fn new(ingress: u16, mbuf: &Mbuf) -> Self {
        Self {
            recorder: Recorder::new(),
            ingress,
            begun: dpdk::tsc(),
            length: mbuf.len() as u32,
            received: Head::of(mbuf.data()),
            back: None,
            sent: Head::of(&[]),
        }
    }

    /// Keeps the bytes of a packet that is about to leave.
    pub fn leaves(&mut self, bytes: &[u8]) {
        self.sent = Head::of(bytes);
    }

    /// A tool for this class has decided, and these bytes come back.
    pub fn is_back(&mut self, class: PuntClass, verdict: TraceVerdict, bytes: &[u8]) {
        self.back = Some(Back {
            class,
            verdict,
            bytes: Head::of(bytes),
            note: None,
        });
    }

    /// What a tool made of it, if it is back from one.
    pub fn tool(&self) -> Option<TraceTool> {
        self.back.as_ref().map(|back| TraceTool {
            class: back.class,
            verdict: back.verdict,
            bytes: back.bytes.bytes().to_vec(),
        })
    }

    /// What was noted of it once it was back.
    pub fn last_note(&self) -> Option<&Note> {
        self.back.as_ref()?.note.as_ref()
    }

    /// The first bytes as it began.
    pub fn received(&self) -> &[u8] {
        self.received.bytes()
    }

    /// The first bytes as sent; none if it was not.
    pub fn sent(&self) -> &[u8] {
        self.sent.bytes()
    }
}

impl Tracer for Watched {
    const WATCHES: bool = true;

    fn enter(&mut self, stage: PathStage) {
        self.recorder.enter(stage);
    }

    fn found(&mut self, next_hop: NextHop) {
        self.recorder.found(next_hop);
    }

    fn goes_on(&mut self, note: &Note, packet: &[u8]) {
        if let Some(back) = &mut self.back {
            back.note = Some(*note);
        }
        if matches!(
            note.disposition,
            Disposition::Transmit(_) | Disposition::Fragment(_)
        ) {
            let end = usize::from(note.length).min(packet.len());
            self.leaves(packet.get(usize::from(note.trim)..end).unwrap_or_default());
        }
    }

    fn end(&mut self, passed: Passed, refused: Option<DropReason>) {
        self.recorder.end(passed, refused);
    }
}

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug)]
struct Head<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Head<N> {
    fn of(packet: &[u8]) -> Self {
        let mut bytes = [0; N];
        let len = packet.len().min(N);
        for (to, from) in bytes.iter_mut().zip(packet) {
            *to = *from;
        }
        Self { bytes, len }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

//! Traces: the stages that single packets went through, and when.
//!
//! ```text
//!   tool ─ TraceStart ─► control thread ─ a part each ─► workers ─ finished traces, by a channel ─► control thread
//!     ▲                                                   │ filter, stages with a recorder             │
//!     └───────────── TraceShow ◄─ the last trace, whole ◄─┘                                            ◄┘
//! ```
//!
//! A worker that has no part pays a branch for each burst.

mod legs;
mod part;
mod show;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use control::message::{
    ControlError, ErrorCode, TRACES_MAX, TRACES_PER_REPLY, Trace, TracePage, TraceRequest, TraceStatus,
};
use dpdk::Eal;

use shm::attachment::{Clock, Way};

use crate::attachments::{PartControl, Sight, compile, means_all, now_ns};
use crate::path::Interfaces;

use self::legs::Finished;
pub use self::legs::{Followed, Judged, Leg, Protection};
pub use self::part::{Part, Watched};

/// Parts that a worker can have at a time: one that works, and some that it has not handed back yet.
pub const PARTS: usize = 4;
/// The longest filter expression that is kept to be shown, bytes.
const EXPRESSION: usize = 1024;

/// All traces, as the control thread has them.
pub struct Traces<'a> {
    eal: &'a Eal,
    /// By index, those of ports first.
    interfaces: Vec<String>,
    workers: Vec<PartControl<Part>>,
    /// Parts that workers have, those of earlier traces among them.
    parts: usize,
    next_id: u32,
    current: Option<Current>,
    traces: Vec<Trace>,
    /// When the primary started: time stamp counter, nanoseconds since 1970.
    epoch: (u64, u64),
}

/// The trace that was asked for last.
struct Current {
    id: u32,
    request: TraceRequest,
    /// How many packets the workers may still take.
    left: Arc<AtomicU32>,
    finished: Receiver<Finished>,
    running: bool,
}

impl<'a> Traces<'a> {
    /// No traces yet. The interfaces of ports by their indices.
    pub fn new(eal: &'a Eal, ports: Vec<String>) -> Self {
        Self {
            eal,
            interfaces: ports,
            workers: Vec::new(),
            parts: 0,
            next_id: 1,
            current: None,
            traces: Vec::new(),
            epoch: (dpdk::tsc(), now_ns()),
        }
    }

    /// One more worker, in the order of their numbers.
    pub fn add_worker(&mut self, worker: PartControl<Part>) {
        self.workers.push(worker);
    }

    /// Names an interface that came after those of ports.
    pub fn name_interface(&mut self, index: u16, name: &str) {
        let index = usize::from(index);
        if index >= self.interfaces.len() {
            self.interfaces.resize(index + 1, String::new());
        }
        name.clone_into(&mut self.interfaces[index]);
    }

    /// Forgets what was traced and traces what comes from now on.
    pub fn start(&mut self, request: TraceRequest, interfaces: &Interfaces) -> Result<(), ControlError> {
        let invalid = |message| Err(ControlError::new(ErrorCode::Invalid, message));
        if request.count == 0 || request.count > TRACES_MAX {
            return invalid(format!(
                "{} packets cannot be traced: give 1 to {TRACES_MAX}",
                request.count
            ));
        }
        let sight = self.choose(&request.interfaces, interfaces)?;
        let filter = compile(self.eal, &request.filter)?;
        self.collect();
        self.stop();
        if self.parts + self.workers.len() > PARTS * self.workers.len() {
            return Err(ControlError::new(
                ErrorCode::NoAnswer,
                "workers have not ended earlier traces yet: try again",
            ));
        }
        self.traces.clear();
        // Room for all: a worker that has a packet to tell of never finds the channel full.
        let (finish, finished) = sync_channel(request.count as usize);
        let left = Arc::new(AtomicU32::new(request.count));
        let id = self.next_id;
        self.next_id += 1;
        let workers = (0..).zip(&self.workers);
        let parts = workers.filter(|(number, worker)| {
            worker.add(Part::new(
                id,
                *number,
                filter.clone(),
                sight.clone(),
                left.clone(),
                finish.clone(),
            ))
        });
        self.parts += parts.count();
        let mut request = request;
        request
            .expression
            .truncate(request.expression.floor_char_boundary(EXPRESSION));
        request.expression = request.expression.chars().filter(|c| !c.is_control()).collect();
        tracing::info!(target: "trace", "{} packets are traced: '{}'", request.count, request.expression);
        self.current = Some(Current {
            id,
            request,
            left,
            finished,
            running: true,
        });
        Ok(())
    }

    /// Traces no more.
    pub fn stop(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        if std::mem::replace(&mut current.running, false) {
            // Those that see this before the message trace nothing in between.
            current.left.store(0, Ordering::Relaxed);
            for worker in &self.workers {
                worker.remove(current.id);
            }
        }
    }

    /// Traces no more and forgets.
    pub fn clear(&mut self) {
        self.stop();
        self.current = None;
        self.traces.clear();
    }

    /// Takes over what workers have finished.
    pub fn collect(&mut self) {
        if self.parts == 0 && self.current.as_ref().is_none_or(|current| !current.running) {
            return;
        }
        for worker in &self.workers {
            while worker.take_ended().is_some() {
                self.parts -= 1;
            }
        }
        let Some(current) = &mut self.current else {
            return;
        };
        let clock = Clock::between(self.epoch, (dpdk::tsc(), now_ns()));
        while let Ok(finished) = current.finished.try_recv() {
            let number = self.traces.len() as u32 + 1;
            self.traces
                .push(show::trace(&finished, number, &self.interfaces, &clock));
        }
        if self.traces.len() >= current.request.count as usize {
            // Workers that had none of the packets still have their parts.
            self.stop();
        }
    }

    /// Traces behind number `after`.
    pub fn show(&mut self, after: u32) -> TracePage {
        self.collect();
        TracePage {
            request: self.current.as_ref().map(|current| TraceStatus {
                count: current.request.count,
                traced: self.traces.len() as u32,
                running: current.running,
                interfaces: current.request.interfaces.clone(),
                expression: current.request.expression.clone(),
            }),
            traces: self
                .traces
                .iter()
                .skip(after as usize)
                .take(TRACES_PER_REPLY)
                .cloned()
                .collect(),
        }
    }

    /// Where packets come in that are meant.
    fn choose(&self, names: &[String], interfaces: &Interfaces) -> Result<Sight, ControlError> {
        let there = (0..).zip(&self.interfaces);
        let there: Vec<(u16, &String)> = there.filter(|(index, _)| interfaces.is_there(*index)).collect();
        let all = means_all(names);
        let unknown = names
            .iter()
            .find(|name| !there.iter().any(|(_, known)| known == name));
        if let (false, Some(unknown)) = (all, unknown) {
            let known: Vec<_> = there.iter().map(|(_, name)| name.as_str()).collect();
            return Err(ControlError::new(
                ErrorCode::UnknownInterface,
                format!(
                    "there is no interface '{unknown}': there are {}",
                    known.join(", ")
                ),
            ));
        }
        let meant = there.iter().filter(|(_, name)| all || names.contains(name));
        let meant: Vec<_> = meant.map(|(index, _)| *index).collect();
        Ok(Sight::new(
            &Arc::new(interfaces.clone()),
            &meant,
            Way::Rx.bit(),
            all,
        ))
    }
}

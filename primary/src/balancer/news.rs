//! How workers learn of services, and how the control thread learns of their connections.
//!
//! ```text
//!   control thread ── Prepared ──────────────────► worker      all services at once, with all that packets look up
//!   control thread ◄─ the one before ───────────── worker      freed here
//!   control thread ── empty Part, where to begin ─► worker
//!   control thread ◄─ full Part, where to go on ── worker      filled a little in each round
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lb::{Prepared, Row};

use crate::worker::doorbell::Doorbell;

/// Rows of a part that is as long as one should be.
pub const PART: usize = 512;
/// News of a kind under way, at most.
const DEPTH: usize = 2;

/// Connections of a worker.
#[derive(Debug)]
pub struct Part {
    /// The connections; the worker fills it up to its capacity and never beyond.
    pub rows: Vec<Row>,
    /// Where in its table the worker goes on; 0 is the beginning.
    pub cursor: u32,
    /// Whether there are no more behind these.
    pub is_last: bool,
}

impl Part {
    /// The first part of a worker's connections, still empty, with room for [`PART`] rows.
    pub fn first() -> Self {
        Self {
            rows: Vec::with_capacity(PART),
            cursor: 0,
            is_last: false,
        }
    }

    /// The part behind this one, in its memory; the rows of this one are gone.
    #[must_use]
    pub fn next(mut self) -> Self {
        self.rows.clear();
        self
    }
}

/// A worker's end.
pub struct BalancerNews {
    mail: Arc<AtomicBool>,
    prepared: Receiver<Prepared>,
    used: SyncSender<Prepared>,
    asked: Receiver<Part>,
    answered: SyncSender<Part>,
    /// The part that is being filled.
    part: Option<Part>,
    doorbell: Doorbell,
}

/// The control thread's end.
pub struct BalancerControl {
    mail: Arc<AtomicBool>,
    prepared: SyncSender<Prepared>,
    used: Receiver<Prepared>,
    ask: SyncSender<Part>,
    answered: Receiver<Part>,
    /// What the worker is still to be told: the newest alone.
    waiting: Option<Prepared>,
    /// Snapshots that were not handed back yet.
    under_way: usize,
    /// Whether the worker has a part.
    is_asked: bool,
}

/// Both ends. The worker rings `doorbell` when it hands something back.
pub fn news(doorbell: Doorbell) -> (BalancerControl, BalancerNews) {
    let (prepared, take_prepared) = sync_channel(DEPTH);
    let (hand_back, used) = sync_channel(DEPTH);
    let (ask, asked) = sync_channel(DEPTH);
    let (answer, answered) = sync_channel(DEPTH);
    let mail = Arc::new(AtomicBool::new(false));
    let control = BalancerControl {
        mail: mail.clone(),
        prepared,
        used,
        ask,
        answered,
        waiting: None,
        under_way: 0,
        is_asked: false,
    };
    let worker = BalancerNews {
        mail,
        prepared: take_prepared,
        used: hand_back,
        asked,
        answered: answer,
        part: None,
        doorbell,
    };
    (control, worker)
}

impl BalancerControl {
    /// Gives the worker other services. One that it was not told of yet is freed: it never needs it.
    pub fn configure(&mut self, prepared: Prepared) {
        self.waiting = Some(prepared);
        self.serve();
    }

    /// Sends what could not be sent before, and frees what came back. Gives whether the worker has taken all by now: then no packet meets
    /// services of before.
    pub fn serve(&mut self) -> bool {
        self.under_way -= self.used.try_iter().count().min(self.under_way);
        if self.under_way < DEPTH
            && let Some(prepared) = self.waiting.take()
            && self.prepared.try_send(prepared).is_ok()
        {
            self.under_way += 1;
            self.mail.store(true, Ordering::Release);
        }
        self.under_way == 0 && self.waiting.is_none()
    }

    /// Asks for connections, or gives the part back: the worker has one already.
    pub fn ask(&mut self, part: Part) -> Result<(), Part> {
        if self.is_asked {
            return Err(part);
        }
        match self.ask.try_send(part) {
            Ok(()) => {
                self.is_asked = true;
                self.mail.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => Err(match error {
                std::sync::mpsc::TrySendError::Full(part)
                | std::sync::mpsc::TrySendError::Disconnected(part) => part,
            }),
        }
    }

    /// The part that was asked for, once the worker has filled it.
    pub fn take(&mut self) -> Option<Part> {
        let part = self.answered.try_recv().ok()?;
        self.is_asked = false;
        Some(part)
    }
}

impl BalancerNews {
    /// Whether there is something to take, or to fill.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed) || self.part.is_some()
    }

    /// Gives other services to `configure`, if there are any, and hands back what that gives.
    #[inline]
    pub(crate) fn take(&mut self, configure: impl FnMut(Prepared) -> Prepared) {
        if self.mail.load(Ordering::Relaxed) {
            self.take_all(configure);
        }
    }

    #[cold]
    fn take_all(&mut self, mut configure: impl FnMut(Prepared) -> Prepared) {
        self.mail.store(false, Ordering::Relaxed);
        // What was sent before the mark is seen with it; what comes later brings a mark of its own.
        std::sync::atomic::fence(Ordering::SeqCst);
        while let Ok(prepared) = self.prepared.try_recv() {
            let before = configure(prepared);
            // There is room for as many as can be under way.
            let _ = self.used.try_send(before);
            self.doorbell.ring();
        }
        if let Ok(part) = self.asked.try_recv() {
            self.part = Some(part);
        }
    }

    /// Fills the part that was asked for a little more by `fill`, which gets the cursor and the rows and says whether that was all. Gives
    /// whether there was something to do.
    #[inline]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut u32, &mut Vec<Row>) -> bool) -> bool {
        let Some(part) = &mut self.part else {
            return false;
        };
        part.is_last = fill(&mut part.cursor, &mut part.rows);
        if (part.is_last || part.rows.len() == part.rows.capacity())
            && let Some(part) = self.part.take()
        {
            // There is room: no other is asked for before.
            let _ = self.answered.try_send(part);
            self.doorbell.ring();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lb::{Config, Kind, State};

    use super::*;
    use crate::worker::doorbell;

    fn ends() -> (BalancerControl, BalancerNews) {
        let (bell, _sleeper) = doorbell::pair().unwrap();
        news(bell)
    }

    fn prepared() -> (Prepared, Arc<Config>) {
        let config = Arc::new(Config::default());
        (Prepared::new(config.clone(), 1), config)
    }

    fn row() -> Row {
        let any = SocketAddr::from(([10, 0, 0, 1], 1));
        Row {
            kind: Kind::Udp,
            query_type: None,
            client: any,
            service: any,
            local: any,
            server: any,
            state: State::Normal,
            expires_ms: 0,
            in_packets: 0,
            in_bytes: 0,
            out_packets: 0,
            out_bytes: 0,
        }
    }

    #[test]
    fn what_a_worker_went_by_before_is_freed_by_the_control_thread() {
        let (mut control, mut worker) = ends();
        let (first, first_config) = prepared();
        let (second, second_config) = prepared();
        let (mut goes_by, _) = prepared();
        for one in [first, second] {
            control.configure(one);
            assert!(!control.serve());
            worker.take(|next| std::mem::replace(&mut goes_by, next));
        }
        // It came back, and nobody has looked yet.
        assert_eq!(Arc::strong_count(&first_config), 2);
        assert!(control.serve());
        assert_eq!(Arc::strong_count(&first_config), 1);
        assert!(Arc::ptr_eq(goes_by.config(), &second_config));
    }

    #[test]
    fn a_worker_that_is_behind_gets_the_newest_services() {
        let (mut control, mut worker) = ends();
        let mut newest = None;
        for _ in 0..10 {
            let (next, config) = prepared();
            control.configure(next);
            newest = Some(config);
        }
        let (mut goes_by, _) = prepared();
        while !control.serve() {
            worker.take(|next| std::mem::replace(&mut goes_by, next));
        }
        assert!(Arc::ptr_eq(goes_by.config(), &newest.unwrap()));
    }

    #[test]
    fn connections_come_in_parts_that_are_filled_a_little_at_a_time() {
        let (mut control, mut worker) = ends();
        let all = PART as u32 * 2 + 100;
        let mut part = Part::first();
        let (mut rows, mut parts) = (0, 0);
        loop {
            control.ask(part).unwrap();
            assert!(control.ask(Part::first()).is_err(), "one at a time");
            worker.take(|same| same);
            let memory = loop {
                let did = worker.fill(|cursor, rows| {
                    let end = all.min(*cursor + 64);
                    rows.extend((*cursor..end).map(|_| row()).take(PART - rows.len()));
                    *cursor = end;
                    end == all
                });
                if !did {
                    break control.take().unwrap();
                }
            };
            (rows, parts) = (rows + memory.rows.len(), parts + 1);
            assert_eq!(memory.rows.capacity(), PART, "a worker never takes memory");
            if memory.is_last {
                break;
            }
            part = memory.next();
        }
        assert_eq!((rows, parts), (all as usize, 3));
    }
}

//! A worker's part in captures: it asks the filter and copies what matches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use dpdk::Mbuf;
use dpdk::filter::Filter;
use shm::attachment::{BadVerdict, Lane, Origin, Way};

/// One worker's part of one capture.
pub struct Tap {
    /// Number of the capture.
    pub id: u32,
    filter: Option<Arc<Filter>>,
    /// By interface: a bit for each [`Way`].
    ways: Vec<u8>,
    lane: Lane,
}

impl Tap {
    /// Takes packets that match, by interface those of the ways whose bits are set; without a filter all of them.
    pub fn new(id: u32, filter: Option<Arc<Filter>>, ways: Vec<u8>, lane: Lane) -> Self {
        Self {
            id,
            filter,
            ways,
            lane,
        }
    }

    #[inline]
    fn observe(&mut self, interface: u16, way: Way, packets: &[Mbuf], ticks: u64) -> Result<(), BadVerdict> {
        let wanted = self
            .ways
            .get(usize::from(interface))
            .is_some_and(|ways| ways & way as u8 != 0);
        if !wanted {
            return Ok(());
        }
        let mut looked = false;
        for mbuf in packets {
            if self.filter.as_ref().is_some_and(|filter| !filter.matches(mbuf)) {
                continue;
            }
            if !looked {
                looked = true;
                self.lane.reclaim()?;
            }
            let origin = Origin {
                ticks,
                interface,
                way,
                wire_length: mbuf.len() as u32,
            };
            self.lane.put(&origin, mbuf.segments());
        }
        self.lane.count_seen(packets.len() as u64);
        self.lane.publish();
        Ok(())
    }
}

/// What a worker is told.
enum Command {
    Add(Tap),
    Remove(u32),
}

/// A tap that its worker has done with.
pub struct Ended {
    /// It, to be freed by who is not in a hurry.
    pub tap: Tap,
    /// Why, when the worker ended it.
    pub bad: Option<BadVerdict>,
}

/// A worker's end: its taps.
pub struct Taps {
    commands: Receiver<Command>,
    mail: Arc<AtomicBool>,
    ended: SyncSender<Ended>,
    taps: Vec<Tap>,
    /// Whether a tap was handed back since the last look.
    news: bool,
    bad_verdicts: u64,
}

/// The control thread's end.
pub struct TapControl {
    commands: SyncSender<Command>,
    mail: Arc<AtomicBool>,
    ended: Receiver<Ended>,
}

/// Both ends, for at most `most` taps at a time.
pub fn taps(most: usize) -> (TapControl, Taps) {
    // Each tap is added once, removed once and handed back once.
    let (commands, told) = sync_channel(2 * most + 1);
    let (hand_back, ended) = sync_channel(most + 1);
    let mail = Arc::new(AtomicBool::new(false));
    let worker = Taps {
        commands: told,
        mail: mail.clone(),
        ended: hand_back,
        taps: Vec::with_capacity(most),
        news: false,
        bad_verdicts: 0,
    };
    (
        TapControl {
            commands,
            mail,
            ended,
        },
        worker,
    )
}

impl TapControl {
    /// Gives the worker a tap; `false` when it has more to do than it can have.
    pub fn add(&self, tap: Tap) -> bool {
        self.tell(Command::Add(tap))
    }

    /// Has the worker end a tap and hand it back.
    pub fn remove(&self, id: u32) -> bool {
        self.tell(Command::Remove(id))
    }

    fn tell(&self, command: Command) -> bool {
        let told = !matches!(self.commands.try_send(command), Err(TrySendError::Full(_)));
        self.mail.store(true, Ordering::Release);
        told
    }

    /// A tap that the worker handed back.
    pub fn take_ended(&self) -> Option<Ended> {
        self.ended.try_recv().ok()
    }
}

impl Taps {
    /// Whether anything is captured.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taps.is_empty()
    }

    /// Taps that ended because of what their tools handed back.
    pub fn bad_verdicts(&self) -> u64 {
        self.bad_verdicts
    }

    /// Does what the control thread has told; gives whether taps were handed back.
    #[inline]
    pub fn serve(&mut self) -> bool {
        if self.mail.load(Ordering::Relaxed) {
            self.read_mail();
        }
        std::mem::take(&mut self.news)
    }

    #[cold]
    fn read_mail(&mut self) {
        self.mail.swap(false, Ordering::Acquire);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Add(tap)) => self.taps.push(tap),
                Ok(Command::Remove(id)) => {
                    if let Some(place) = self.taps.iter().position(|tap| tap.id == id) {
                        self.hand_back(place, None);
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn hand_back(&mut self, place: usize, bad: Option<BadVerdict>) {
        let mut tap = self.taps.swap_remove(place);
        tap.lane.end();
        self.bad_verdicts += u64::from(bad.is_some());
        // There is room for all taps that there can be.
        drop(self.ended.try_send(Ended { tap, bad }));
        self.news = true;
    }

    /// Shows packets to all captures, before the stages change them or after.
    #[inline]
    pub fn observe(&mut self, interface: u16, way: Way, packets: &[Mbuf]) {
        if !self.taps.is_empty() {
            self.observe_all(interface, way, packets);
        }
    }

    #[inline(never)]
    fn observe_all(&mut self, interface: u16, way: Way, packets: &[Mbuf]) {
        let ticks = dpdk::tsc();
        let mut place = 0;
        while let Some(tap) = self.taps.get_mut(place) {
            match tap.observe(interface, way, packets, ticks) {
                Ok(()) => place += 1,
                Err(bad) => self.hand_back(place, Some(bad)),
            }
        }
    }

    /// Ends all captures: the worker ends.
    pub fn stop(&mut self) {
        self.read_mail();
        while !self.taps.is_empty() {
            self.hand_back(0, None);
        }
    }
}

//! A thread's part in captures, mostly a worker's: it asks the filter and copies what matches.

use std::sync::Arc;

use control::message::PuntClass;
use dpdk::Mbuf;
use dpdk::filter::Filter;
use shm::attachment::{BadVerdict, Dropped, Lane, Origin, Way};
use shm::{DropReason, PathStage};

use super::parts::{Part, Parts};
use super::{Loose, Ration, Sight, Spare, related};

/// One worker's part of one capture.
pub struct Tap {
    id: u32,
    filter: Option<Arc<Filter>>,
    sight: Sight,
    terms: Terms,
    ration: Option<Ration>,
    lane: Lane,
}

/// What a capture takes of what is in its sight.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The only queue that it is on.
    pub queue: Option<u16>,
    /// The reasons whose drops it takes; `None`: all.
    pub reasons: Option<Arc<[bool; DropReason::COUNT]>>,
    /// The classes that it takes at the points of tools; `None`: all.
    pub classes: Option<[bool; PuntClass::COUNT]>,
    /// Whether it takes ICMP errors that quote what its filter matches.
    pub related: bool,
}

/// Where packets are seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Index of the interface: of the port; of a dropped packet the one that counts it.
    pub interface: u16,
    /// The point.
    pub way: Way,
    /// The queue of the port, if it is one's.
    pub queue: Option<u16>,
    /// Why they are dropped, and where, if they are.
    pub dropped: Option<(DropReason, PathStage)>,
}

impl Seen {
    /// At a point of an interface that no queue belongs to.
    pub fn at(interface: u16, way: Way) -> Self {
        Self {
            interface,
            way,
            queue: None,
            dropped: None,
        }
    }

    /// Going by a queue of a port.
    pub fn by_queue(interface: u16, way: Way, queue: Option<u16>) -> Self {
        Self {
            queue,
            ..Self::at(interface, way)
        }
    }

    /// Dropped, and counted by an interface.
    pub fn dropped(interface: u16, reason: DropReason, stage: PathStage) -> Self {
        Self {
            dropped: Some((reason, stage)),
            ..Self::at(interface, Way::Drop)
        }
    }
}

impl Terms {
    /// Whether anything that is seen there may be taken.
    fn allow(&self, seen: &Seen) -> bool {
        let is_its_queue = self.queue.is_none() || self.queue == seen.queue;
        let is_its_reason = match (&self.reasons, seen.dropped) {
            (Some(reasons), Some((reason, _))) => reasons[reason as usize],
            _ => true,
        };
        is_its_queue && is_its_reason
    }

    /// Whether a packet may be taken, by the class for whose tool it is or was.
    fn allow_class(&self, way: Way, mbuf: &Mbuf) -> bool {
        match (&self.classes, way) {
            (Some(classes), Way::Punt | Way::Reinject) => class_of(mbuf).is_some_and(|class| classes[class]),
            _ => true,
        }
    }
}

impl Part for Tap {
    fn id(&self) -> u32 {
        self.id
    }

    fn end(&mut self) {
        self.lane.end();
    }
}

impl Tap {
    /// Takes packets in its sight that match, as its terms and its ration allow; without a filter all match.
    pub fn new(
        id: u32,
        filter: Option<Arc<Filter>>,
        sight: Sight,
        terms: Terms,
        ration: Option<Ration>,
        lane: Lane,
    ) -> Self {
        Self {
            id,
            filter,
            sight,
            terms,
            ration,
            lane,
        }
    }

    /// Takes what it wants of packets; gives whether it has looked at them.
    #[inline]
    fn observe(
        &mut self,
        seen: &Seen,
        packets: &mut [Mbuf],
        numbers: &mut Numbers,
        ticks: u64,
    ) -> Result<bool, BadVerdict> {
        let Self {
            filter,
            sight,
            terms,
            ration,
            lane,
            ..
        } = self;
        let &Seen {
            interface,
            way,
            queue,
            dropped,
        } = seen;
        let is_dropped = dropped.is_some();
        let is_covered = if is_dropped {
            sight.is_on(interface, way)
        } else {
            sight.covers(interface, way)
        };
        if !is_covered || !terms.allow(seen) {
            return Ok(false);
        }
        let dropped = dropped.map(|(reason, stage)| Dropped::new(reason, stage));
        let snaplen = lane.snaplen();
        let mut reclaimed = None;
        let mut count = 0;
        let mut take = |interface, mbuf: &mut Mbuf| {
            let length = mbuf.len();
            if let Some(ration) = ration
                && !ration.takes(mbuf.data(), length.min(snaplen), ticks)
            {
                return lane.count_unsampled();
            }
            if reclaimed.get_or_insert_with(|| lane.reclaim()).is_err() {
                return;
            }
            if lane.free() == 0 {
                return lane.count_lost();
            }
            lane.prefetch();
            let origin = Origin {
                id: numbers.number(mbuf),
                queue,
                dropped,
                ..Origin::new(ticks, interface, way, length as u32)
            };
            let first = mbuf.data();
            // Where the next segment is stands in another cache line of the packet's.
            if mbuf.segment_count() == 1 || first.len() >= snaplen {
                lane.put(&origin, std::iter::once(first));
            } else {
                lane.put(&origin, mbuf.segments());
            }
        };
        if let Some(filter) = filter
            && !is_dropped
            && !terms.related
            && terms.classes.is_none()
            && sight.is_plain()
        {
            // Nothing but the filter, which matches few.
            count = packets.len() as u64;
            for mbuf in packets {
                if filter.matches(mbuf) {
                    take(interface, mbuf);
                }
            }
        } else {
            let mut see = |interface, mbuf: &mut Mbuf| {
                if !terms.allow_class(way, mbuf) {
                    return;
                }
                count += 1;
                if let Some(filter) = filter
                    && !filter.matches(mbuf)
                    && !(terms.related && related::quotes(mbuf, |quoted| filter.matches(quoted)))
                {
                    return;
                }
                take(interface, mbuf);
            };
            for mbuf in packets {
                if is_dropped {
                    sight.own(interface, mbuf, &mut see);
                } else {
                    sight.each(interface, way, mbuf, &mut see);
                }
            }
        }
        reclaimed.unwrap_or(Ok(()))?;
        lane.count_seen(count);
        Ok(true)
    }
}

/// The part of a packet's mark that is its number. Above it lies the class for whose tool it is, from 1.
const ID: u64 = (1 << 48) - 1;

/// The number by which a packet is known wherever it is seen; 0 for none.
#[inline]
pub(super) fn id_of(mbuf: &Mbuf) -> u64 {
    mbuf.mark().unwrap_or(0) & ID
}

fn class_of(mbuf: &Mbuf) -> Option<usize> {
    let class = (mbuf.mark()? >> 48) as usize;
    class.checked_sub(1).filter(|class| *class < PuntClass::COUNT)
}

/// What packets are known by, wherever they are seen. One gets its number when the first capture takes it, so that those that nobody
/// takes cost nothing.
struct Numbers {
    /// The last that was given.
    last: u64,
    /// From one to the next: threads take turns.
    stride: u64,
}

impl Numbers {
    /// The number of a packet, which gets one if it has none yet.
    #[inline]
    fn number(&mut self, mbuf: &mut Mbuf) -> u64 {
        match mbuf.mark() {
            Some(mark) => mark & ID,
            None => {
                self.last += self.stride;
                mbuf.set_mark(self.last & ID);
                id_of(mbuf)
            }
        }
    }
}

/// All captures of a thread.
pub struct Taps {
    parts: Parts<Tap>,
    /// A bit for each [`Way`] that one of them is on.
    ways: u8,
    numbers: Numbers,
    /// What frames are shown in that lie in no packet buffer.
    spare: Option<Spare>,
    /// Whether something was put in or counted that tools have not been shown.
    news: bool,
}

impl Taps {
    /// Those of one of so many threads.
    pub fn new(parts: Parts<Tap>, (thread, threads): (usize, usize), spare: Option<Spare>) -> Self {
        Self {
            spare,
            parts,
            ways: 0,
            numbers: Numbers {
                last: thread as u64 + 1,
                stride: threads as u64,
            },
            news: false,
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether one may be on such a point.
    #[inline]
    pub fn see(&self, way: Way) -> bool {
        self.ways & way.bit() != 0
    }

    /// Captures that ended because of what their tools handed back.
    pub fn bad_verdicts(&self) -> u64 {
        self.parts.bad_verdicts()
    }

    /// Does what the control thread has told; gives whether taps were handed back.
    #[inline]
    pub fn serve(&mut self) -> bool {
        if self.parts.has_mail() {
            self.parts.read_mail(|_| {});
            self.find_ways();
        }
        self.parts.take_news()
    }

    fn find_ways(&mut self) {
        self.ways = self.parts.iter().fold(0, |ways, tap| ways | tap.sight.ways());
    }

    /// Ends all: the worker ends.
    pub fn stop(&mut self) {
        self.parts.stop(|_| {});
        self.ways = 0;
    }

    /// Shows packets to all captures that may be on that point.
    #[inline]
    pub fn observe(&mut self, seen: &Seen, packets: &mut [Mbuf]) {
        if self.see(seen.way) {
            self.show(seen, packets);
        }
    }

    /// The same for a packet that the tool of a class gets, which is noted on it for when it comes back.
    #[inline]
    pub fn observe_punt(&mut self, interface: u16, class: PuntClass, mbuf: &mut Mbuf) {
        if self.see(Way::Punt) || self.see(Way::Reinject) {
            let id = self.numbers.number(mbuf);
            mbuf.set_mark(id | (class as u64 + 1) << 48);
            self.observe(&Seen::at(interface, Way::Punt), std::slice::from_mut(mbuf));
        }
    }

    /// Shows a frame that lies in no packet buffer. Captures that may be on that point count it as lost where there is none to show it
    /// in, whatever their filters.
    #[cold]
    pub fn observe_loose(&mut self, seen: &Seen, frame: &Loose<'_>) {
        if !self.see(seen.way) {
            return;
        }
        let mut spare = self.spare.take();
        match spare.as_mut().and_then(|spare| spare.fill(frame)) {
            Some(mbuf) => self.show(seen, std::slice::from_mut(mbuf)),
            None => self.lose(seen, 1),
        }
        if let Some(spare) = &mut spare {
            spare.empty();
        }
        self.spare = spare;
    }

    /// Has captures that may be on that point of an interface count packets as lost that there is nothing left of, whatever their filters.
    pub fn lose(&mut self, seen: &Seen, packets: u64) {
        let mut place = 0;
        while let Some(tap) = self.parts.get_mut(place) {
            if tap.sight.is_on(seen.interface, seen.way) && tap.terms.allow(seen) {
                tap.lane.count_seen(packets);
                (0..packets).for_each(|_| tap.lane.count_lost());
                self.news |= packets > 0;
            }
            place += 1;
        }
    }

    #[inline(never)]
    fn show(&mut self, seen: &Seen, packets: &mut [Mbuf]) {
        let ticks = dpdk::tsc();
        let mut place = 0;
        while let Some(tap) = self.parts.get_mut(place) {
            match tap.observe(seen, packets, &mut self.numbers, ticks) {
                Ok(looked) => {
                    self.news |= looked;
                    place += 1;
                }
                Err(bad) => {
                    self.parts.hand_back(place, Some(bad));
                    self.find_ways();
                }
            }
        }
    }

    /// Shows tools what was put in and counted since the last call.
    #[inline]
    pub fn publish(&mut self) {
        if std::mem::take(&mut self.news) {
            self.publish_all();
        }
    }

    #[inline(never)]
    fn publish_all(&mut self) {
        let mut place = 0;
        while let Some(tap) = self.parts.get_mut(place) {
            if tap.lane.has_news() {
                tap.lane.publish();
            }
            place += 1;
        }
    }
}

//! A worker's part in captures: it asks the filter and copies what matches.

use std::sync::Arc;

use dpdk::Mbuf;
use dpdk::filter::Filter;
use shm::attachment::{BadVerdict, Lane, Origin, Way};

use super::Sight;
use super::parts::{Part, Parts};

/// One worker's part of one capture.
pub struct Tap {
    id: u32,
    filter: Option<Arc<Filter>>,
    sight: Sight,
    lane: Lane,
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
    /// Takes packets in its sight that match; without a filter all of them.
    pub fn new(id: u32, filter: Option<Arc<Filter>>, sight: Sight, lane: Lane) -> Self {
        Self {
            id,
            filter,
            sight,
            lane,
        }
    }

    #[inline]
    fn observe(&mut self, port: u16, way: Way, packets: &mut [Mbuf], ticks: u64) -> Result<(), BadVerdict> {
        let Self {
            filter, sight, lane, ..
        } = self;
        if !sight.covers(port, way) {
            return Ok(());
        }
        let mut reclaimed = None;
        let mut seen = 0;
        for mbuf in packets {
            sight.each(port, way, mbuf, |interface, mbuf| {
                seen += 1;
                if filter.as_ref().is_some_and(|filter| !filter.matches(mbuf)) {
                    return;
                }
                if reclaimed.get_or_insert_with(|| lane.reclaim()).is_err() {
                    return;
                }
                let origin = Origin::new(ticks, interface, way, mbuf.len() as u32);
                lane.put(&origin, mbuf.segments());
            });
        }
        reclaimed.unwrap_or(Ok(()))?;
        lane.count_seen(seen);
        lane.publish();
        Ok(())
    }
}

/// All captures of a worker.
pub struct Taps(pub Parts<Tap>);

impl Taps {
    /// Does what the control thread has told; gives whether taps were handed back.
    #[inline]
    pub fn serve(&mut self) -> bool {
        if self.0.has_mail() {
            self.0.read_mail(|_| {});
        }
        self.0.take_news()
    }

    /// Shows packets that come or go by a port to all captures, before the stages change them or after; or those that a tool gets or
    /// gives back.
    #[inline]
    pub fn observe(&mut self, port: u16, way: Way, packets: &mut [Mbuf]) {
        if !self.0.is_empty() {
            self.observe_all(port, way, packets);
        }
    }

    #[inline(never)]
    fn observe_all(&mut self, port: u16, way: Way, packets: &mut [Mbuf]) {
        let ticks = dpdk::tsc();
        let mut place = 0;
        while let Some(tap) = self.0.get_mut(place) {
            match tap.observe(port, way, packets, ticks) {
                Ok(()) => place += 1,
                Err(bad) => self.0.hand_back(place, Some(bad)),
            }
        }
    }
}

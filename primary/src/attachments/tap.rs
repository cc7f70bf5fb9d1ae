//! A worker's part in captures: it asks the filter and copies what matches.

use std::sync::Arc;

use dpdk::Mbuf;
use dpdk::filter::Filter;
use shm::attachment::{BadVerdict, Lane, Origin, Way};

use super::parts::{Part, Parts};

/// One worker's part of one capture.
pub struct Tap {
    id: u32,
    filter: Option<Arc<Filter>>,
    /// By interface: a bit for each [`Way`].
    ways: Vec<u8>,
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

    /// Shows packets to all captures, before the stages change them or after.
    #[inline]
    pub fn observe(&mut self, interface: u16, way: Way, packets: &[Mbuf]) {
        if !self.0.is_empty() {
            self.observe_all(interface, way, packets);
        }
    }

    #[inline(never)]
    fn observe_all(&mut self, interface: u16, way: Way, packets: &[Mbuf]) {
        let ticks = dpdk::tsc();
        let mut place = 0;
        while let Some(tap) = self.0.get_mut(place) {
            match tap.observe(interface, way, packets, ticks) {
                Ok(()) => place += 1,
                Err(bad) => self.0.hand_back(place, Some(bad)),
            }
        }
    }
}

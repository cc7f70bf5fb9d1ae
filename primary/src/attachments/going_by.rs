//! Packets that go by the tool that decides about their class, and do not overtake those of their flow that it has.

use control::message::PuntClass;
use dpdk::Mbuf;
use shm::CounterBlock;

use super::ends::Unanswered;
use super::{Consumers, HandedBack};

impl Consumers {
    /// Keeps a packet behind those of its flow that the tool has. Gives it back when there are none, or no place for it:
    /// [`Consumers::make_room`] tells which. It comes back by [`Consumers::hand_back`].
    pub fn keep_behind(&mut self, class: PuntClass, rule: Option<u16>, mbuf: Mbuf) -> Result<(), Mbuf> {
        let Some(part) = self.deciding[class as usize].and_then(|place| self.parts.get_mut(place)) else {
            return Err(mbuf);
        };
        part.order.keep(part.order.flow_of(mbuf.data(), rule), mbuf)
    }

    /// The next packet that has to go on before one that goes by the tool can be kept, or go on itself; `None` when that can go on.
    /// What the tool has of its flow is taken from it, as if the time for an answer were over.
    pub fn make_room(
        &mut self,
        class: PuntClass,
        rule: Option<u16>,
        mbuf: &Mbuf,
        counters: &CounterBlock,
        now: u64,
    ) -> Option<HandedBack> {
        let part = self.deciding[class as usize].and_then(|place| self.parts.get_mut(place))?;
        let flow = part.order.flow_of(mbuf.data(), rule);
        if !part.order.has_any(flow) {
            return None;
        }
        if let Some(mbuf) = part.order.next() {
            return Some(HandedBack::Behind(mbuf));
        }
        let slot = part.order.first_slot(flow)?;
        let since = part.held.get(slot as usize)?.as_ref()?.since;
        part.window.taken_back(since, now);
        part.lane.count_late();
        let held = part.release(slot)?;
        Some(self.fail.without_tool(held, Unanswered::Late, counters))
    }

    /// The next packet that has no other of its flow before it any more.
    pub(super) fn next_behind(&mut self) -> Option<HandedBack> {
        let mut place = 0;
        while let Some(part) = self.parts.get_mut(place) {
            if let Some(mbuf) = part.order.next() {
                return Some(HandedBack::Behind(mbuf));
            }
            place += 1;
        }
        None
    }
}

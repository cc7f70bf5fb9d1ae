//! Packets of a flow leave in the order in which they came, also when some of them go by the tool.
//!
//! ```text
//!   by flow, the oldest first:   slot 3 ─ slot 8 ─ packet ─ packet ─ slot 9 ─ packet
//!                                └ with the tool ┘ └ gone by it, ┘
//!                                                    not overtaking
//! ```
//!
//! A packet goes by the tool where that is behind and the rule fails open, or where there are too many for a policer. If the tool
//! has others of its flow, or such stay here, it stays behind them; when the last of those before it is back, it goes on. That
//! takes no longer than the tool may take for an answer. Packets that no other of their flow is before go on at once.
//!
//! Places are bounded. When they are all taken, the caller makes room: it takes back from the tool what is before the packet, as
//! if the time for an answer were over, so that nothing is lost and nothing overtakes.
//!
//! A flow is here whatever goes from one address to another and fits the same rule, so fragments belong to the packets that they are
//! of. Flows that share a number wait for each other.

use std::hash::{BuildHasher, Hasher, RandomState};

use packet::EtherType;
use packet::ethernet::EthernetHeader;

use super::oldest::{Lists, Oldest};
use crate::flow;

/// Numbers of flows.
const FLOWS: u32 = 1024;
/// Packets of a worker that stay behind those of a tool, at most.
pub const MOST_BEHIND: u32 = 1024;

/// The number of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowNumber(u16);

/// The packets of one worker that are with a tool or behind such. `P` is what stays behind.
#[derive(Debug)]
pub(super) struct FlowOrder<P> {
    /// Nobody can tell which flows share a number.
    seed: u32,
    /// By flow: slots, and beyond those places.
    lists: Lists,
    /// By slot or place.
    flows: Vec<FlowNumber>,
    slots: u32,
    /// By place.
    behind: Vec<Option<P>>,
    /// Places that are free.
    free: Vec<u32>,
    /// Flows whose first has nobody to wait for any more.
    ready: Oldest,
}

impl<P> FlowOrder<P> {
    /// For a tool with so many slots, with as many places behind them, but [`MOST_BEHIND`] at most.
    pub(super) fn new(slots: u32) -> Self {
        let places = slots.min(MOST_BEHIND);
        let numbers = slots + places;
        Self {
            seed: RandomState::new().build_hasher().finish() as u32,
            lists: Lists::new(FLOWS as usize, numbers),
            flows: vec![FlowNumber(0); numbers as usize],
            slots,
            behind: (0..places).map(|_| None).collect(),
            free: (slots..numbers).rev().collect(),
            ready: Oldest::new(FLOWS),
        }
    }

    /// The number of the flow of a frame that fits this rule.
    pub(super) fn flow_of(&self, frame: &[u8], rule: Option<u16>) -> FlowNumber {
        /// So that the bits of a rule's number are spread over all of the seed: the golden ratio.
        const SPREAD: u32 = 0x9e37_79b9;
        let rule = rule.map_or(0, |rule| (u32::from(rule) + 1).wrapping_mul(SPREAD));
        let addresses = EthernetHeader::parse(frame)
            .ok()
            .and_then(|(link, packet)| match link.ethertype {
                EtherType::IPV4 => packet.get(12..20),
                EtherType::IPV6 => packet.get(8..40),
                _ => None,
            });
        FlowNumber((flow::pair(self.seed ^ rule, addresses.unwrap_or_default()) % FLOWS) as u16)
    }

    /// A packet of a flow goes to the tool in a slot that none is in.
    pub(super) fn enter(&mut self, flow: FlowNumber, slot: u32) {
        if let Some(place) = self.flows.get_mut(slot as usize) {
            *place = flow;
            self.lists.push(flow.0.into(), slot);
        }
    }

    /// The packet of a slot is with the tool no more.
    pub(super) fn leave(&mut self, slot: u32) {
        if let Some(flow) = self.flows.get(slot as usize).copied() {
            let was_first = self.lists.first(flow.0.into()) == Some(slot);
            self.lists.remove(flow.0.into(), slot);
            if was_first && self.first_behind(flow).is_some() {
                self.ready.push(flow.0.into());
            }
        }
    }

    /// Keeps a packet behind those of its flow. Gives it back when there is no place, or nobody to wait for.
    pub(super) fn keep(&mut self, flow: FlowNumber, packet: P) -> Result<(), P> {
        if !self.has_any(flow) {
            return Err(packet);
        }
        let Some(number) = self.free.pop() else {
            return Err(packet);
        };
        self.flows[number as usize] = flow;
        self.behind[(number - self.slots) as usize] = Some(packet);
        self.lists.push(flow.0.into(), number);
        Ok(())
    }

    /// Whether a packet of the flow has others to wait for.
    pub(super) fn has_any(&self, flow: FlowNumber) -> bool {
        self.lists.first(flow.0.into()).is_some()
    }

    /// Whether packets stay here.
    pub(super) fn any_behind(&self) -> bool {
        self.free.len() < self.behind.len()
    }

    /// The slot of the packet that is before all others of its flow, if the tool has it.
    pub(super) fn first_slot(&self, flow: FlowNumber) -> Option<u32> {
        self.lists
            .first(flow.0.into())
            .filter(|number| *number < self.slots)
    }

    /// The next packet that has nobody to wait for any more. What else is known of packets of the tool waits until there is none.
    #[inline]
    pub(super) fn next(&mut self) -> Option<P> {
        let flow = FlowNumber(self.ready.first()? as u16);
        let number = self.first_behind(flow)?;
        self.lists.remove(flow.0.into(), number);
        self.free.push(number);
        if self.first_behind(flow).is_none() {
            self.ready.remove(flow.0.into());
        }
        self.behind[(number - self.slots) as usize].take()
    }

    /// The first of a flow, if it has a place here.
    fn first_behind(&self, flow: FlowNumber) -> Option<u32> {
        self.lists
            .first(flow.0.into())
            .filter(|number| *number >= self.slots)
    }
}

#[cfg(test)]
mod tests;

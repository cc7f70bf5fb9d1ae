//! Services of the load balancer: packets for them, and from their servers, are judged and translated before the stages.
//!
//! ```text
//!   burst ─► looked at, all ─► judged, one by one ─┬─► not ours: the stages, as received
//!                                                  ├─► translated ─┬─► by the way that its connection has learned: transmit batch
//!                                                  │               └─► the stages, as if received so
//!                                                  ├─► another worker's connection: ring, and the same there
//!                                                  ├─► a fragment: put together with others, and the whole judged (joined.rs)
//!                                                  └─► refused: dropped, counted by why
//! ```
//!
//! Where there is no service and no connection a burst costs one look at a flag.

mod frame;
mod handed;
mod joined;
mod judged;
mod told;
mod usual;
mod watched;

use lb::{Balancer, IcmpCount};
use shm::CounterBlock;

pub use self::handed::{BALANCED, Balancing, balancing};
use self::joined::Joined;
use super::Engine;
use crate::adjacency;
use crate::balancer::{BalancerNews, icmp_counter};

/// Connections that a round looks at for who wants to see them: about 20 µs.
const ROWS: usize = 128;

/// A worker's part in the load balancer.
pub(super) struct Services {
    balancer: Balancer,
    news: BalancerNews,
    handover: Balancing,
    /// Whether packets need be looked at: there is a service, or a connection of one that there was.
    on: bool,
    /// What was put together from fragments a moment ago, until whoever has put in the last of them is done.
    joined: Option<Joined>,
    /// Such a packet is on its way through the stages.
    placing: bool,
}

impl Services {
    /// None yet.
    pub(super) fn new(balancer: Balancer, news: BalancerNews, handover: Balancing) -> Self {
        Self {
            balancer,
            news,
            handover,
            on: false,
            joined: None,
            placing: false,
        }
    }

    /// Whether packets need be looked at.
    #[inline]
    pub(super) fn are_on(&self) -> bool {
        self.on
    }

    /// Shows what was counted of ICMP.
    pub(super) fn publish(&self, counters: &CounterBlock) {
        for what in IcmpCount::ALL {
            counters.set_icmp(icmp_counter(what), self.balancer.icmp(what));
        }
    }

    /// Counts an error that is not made since there were too many, if it is about a packet that may have been translated.
    #[cold]
    pub(super) fn count_limited(&mut self, about: &[u8]) {
        if self.balancer.has_sent(about) {
            self.balancer.count_icmp(IcmpCount::ErrorsLimited);
        }
    }

    /// Does what is due in a round: learns of services, ends connections, copies those that somebody wants to see. Gives how much.
    fn serve(&mut self, now: u64) -> usize {
        let Self {
            balancer, news, on, ..
        } = self;
        news.take(|prepared| balancer.configure(prepared));
        balancer.age(now);
        let copied = news.fill(|cursor, rows| {
            let room = rows.capacity() - rows.len();
            balancer.rows(cursor, rows, room.min(ROWS), now)
        });
        *on = !balancer.is_off();
        usize::from(copied)
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Does what services want in a round. Gives how many packets came from other workers, or connections were copied.
    #[inline]
    pub(super) fn serve_services(&mut self, now: u64) -> usize {
        if !(self.services.on || self.services.news.has_mail() || self.services.handover.has_mail()) {
            return 0;
        }
        self.serve_balancer(now)
    }

    #[inline(never)]
    fn serve_balancer(&mut self, now: u64) -> usize {
        let mut moved = self.services.serve(now);
        if self.services.handover.has_mail() {
            moved += self.take_balanced(now);
        }
        moved
    }
}

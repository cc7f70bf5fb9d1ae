//! Whose queue gives way when all are taken and a packet has to wait for another next hop.
//!
//! Who scans a subnet takes all queues that there are, for as long as nobody answers. So they are shared: among the
//! interfaces that packets come in by, and those of one among the interfaces that they wait to leave by. A queue gives way to a share
//! that stays smaller than its own even so. Therefore shares come to rest, however many packets come: who has a fair share is refused,
//! which costs next to nothing and disturbs nobody.

/// The most queues that are looked at.
const MOST: usize = super::waiting::NEXT_HOPS;

/// A queue that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The interface that its first packet came in by.
    pub(super) ingress: u16,
    /// The interface that its next hop is on.
    pub(super) egress: u16,
    /// When it was taken, in ticks.
    pub(super) since: u64,
}

/// Which of the queues gives way to one for packets from `ingress` to `egress`: of whoever has the most the one that nobody has
/// answered for longest. None while that would only turn the tables.
pub(super) fn gives_way(
    queues: impl Iterator<Item = Taken> + Clone,
    ingress: u16,
    egress: u16,
) -> Option<usize> {
    let all = Shares::of(queues.clone().map(|queue| queue.ingress));
    let egresses = |ingress| {
        let its = queues.clone().filter(move |queue| queue.ingress == ingress);
        Shares::of(its.map(|queue| queue.egress))
    };
    let (from, to) = match all.greedier_than(ingress) {
        Some(greedy) => (greedy, egresses(greedy).largest()?.0),
        None => (ingress, egresses(ingress).greedier_than(egress)?),
    };
    let its = queues
        .enumerate()
        .filter(|(_, queue)| (queue.ingress, queue.egress) == (from, to));
    its.min_by_key(|(_, queue)| queue.since).map(|(index, _)| index)
}

/// How many queues each of some interfaces has.
struct Shares {
    each: [(u16, u8); MOST],
    len: usize,
}

impl Shares {
    fn of(interfaces: impl Iterator<Item = u16>) -> Self {
        let mut shares = Self {
            each: [(0, 0); MOST],
            len: 0,
        };
        for interface in interfaces.take(MOST) {
            let (known, rest) = shares.each.split_at_mut(shares.len);
            match known.iter_mut().find(|(known, _)| *known == interface) {
                Some((_, count)) => *count += 1,
                None => {
                    // There is a place for each that is looked at.
                    rest.iter_mut().take(1).for_each(|free| *free = (interface, 1));
                    shares.len += 1;
                }
            }
        }
        shares
    }

    fn each(&self) -> impl Iterator<Item = (u16, u8)> {
        self.each.iter().copied().take(self.len)
    }

    fn largest(&self) -> Option<(u16, u8)> {
        self.each().max_by_key(|(_, count)| *count)
    }

    /// Who has the most, if it still has no less than `interface` after a queue has gone from one to the other.
    fn greedier_than(&self, interface: u16) -> Option<u16> {
        let own = self.each().find(|(known, _)| *known == interface);
        let own = own.map_or(0, |(_, count)| count);
        self.largest()
            .filter(|(_, most)| *most > own + 1)
            .map(|(greedy, _)| greedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Queues of a worker, of which there are a few.
    struct Queues {
        room: usize,
        taken: Vec<Taken>,
        now: u64,
    }

    impl Queues {
        fn new(room: usize) -> Self {
            let (taken, now) = (Vec::new(), 0);
            Self { room, taken, now }
        }

        /// A packet that has to wait for a next hop of its own; gives whose queue it took, or nothing if it was refused.
        fn wait(&mut self, ingress: u16, egress: u16) -> Option<Option<Taken>> {
            self.now += 1;
            let since = self.now;
            let new = Taken {
                ingress,
                egress,
                since,
            };
            if self.taken.len() < self.room {
                self.taken.push(new);
                return Some(None);
            }
            let index = gives_way(self.taken.iter().copied(), ingress, egress)?;
            Some(Some(std::mem::replace(&mut self.taken[index], new)))
        }

        fn count(&self, of: impl Fn(&Taken) -> bool) -> usize {
            self.taken.iter().filter(|queue| of(queue)).count()
        }
    }

    #[test]
    fn who_floods_makes_room_for_others_and_for_nothing_of_its_own() {
        let mut queues = Queues::new(8);
        while queues.wait(1, 2).is_some() {}
        assert_eq!(queues.taken.len(), 8);
        // From another interface to the same, and from the same to another: the oldest goes.
        assert_eq!(queues.wait(3, 2).unwrap().unwrap().since, 1);
        assert_eq!(queues.wait(1, 4).unwrap().unwrap().since, 2);
        // The flood goes on, and takes nothing from them.
        assert_eq!(queues.wait(1, 2), None);
        assert_eq!(queues.count(|queue| queue.ingress == 3), 1);
        assert_eq!(queues.count(|queue| queue.egress == 4), 1);
    }

    #[test]
    fn two_floods_share_and_leave_a_third_its_part() {
        let mut queues = Queues::new(9);
        for _ in 0..100 {
            queues.wait(1, 9);
            queues.wait(2, 9);
        }
        let of = |queues: &Queues, ingress| queues.count(|queue| queue.ingress == ingress);
        assert_eq!((of(&queues, 1), of(&queues, 2)), (5, 4));
        assert!(queues.wait(1, 9).is_none() && queues.wait(2, 9).is_none());
        for number in 1..=3 {
            assert!(queues.wait(3, 9).is_some(), "{number}");
        }
        assert_eq!(queues.wait(3, 9), None);
        assert_eq!((of(&queues, 1), of(&queues, 2)), (3, 3));
    }

    #[test]
    fn all_queues_of_a_worker_are_looked_at() {
        let mut queues = Queues::new(MOST);
        for interface in 0..MOST as u16 - 1 {
            queues.wait(interface, 0);
        }
        let last = MOST as u16;
        queues.wait(last, 0);
        assert_eq!(queues.wait(last + 1, 0), None);
        queues.taken[3].ingress = last;
        assert_eq!(queues.wait(last + 1, 0).unwrap().unwrap().since, 4);
    }

    proptest! {
        /// Whatever came before.
        #[test]
        fn nobody_is_refused_a_fair_share_and_floods_come_to_rest(
            before in proptest::collection::vec((0..5u16, 0..5u16), 0..200),
            floods in proptest::collection::vec((0..5u16, 0..5u16), 1..6),
            room in 1..=MOST,
        ) {
            let mut queues = Queues::new(room);
            for (ingress, egress) in before {
                let own = queues.count(|queue| queue.ingress == ingress);
                let most = (0..5).map(|each| queues.count(|queue| queue.ingress == each)).max().unwrap();
                let full = queues.taken.len() == room;
                if let Some(taken) = queues.wait(ingress, egress) {
                    prop_assert_eq!(taken.is_some(), full);
                    if let Some(taken) = taken {
                        let left = queues.count(|queue| queue.ingress == taken.ingress);
                        prop_assert!(left >= queues.count(|queue| queue.ingress == ingress));
                    }
                } else {
                    prop_assert!(full && own + 1 >= most);
                    let to = |to| queues.count(|queue| (queue.ingress, queue.egress) == (ingress, to));
                    prop_assert!((0..5).all(|other| to(other) <= to(egress) + 1));
                }
            }
            let mut rounds = 0;
            while floods.iter().filter(|(ingress, egress)| queues.wait(*ingress, *egress).is_some()).count() > 0 {
                rounds += 1;
                prop_assert!(rounds <= 2 * MOST);
            }
        }
    }
}

//! When connections are looked at again: a wheel of slots, one for each tick, with a list of connections each. Packets do not come
//! here: a connection whose time has moved on meanwhile is put into a later slot when its slot is due.

/// Slots of the wheel: ticks that can be waited for at a time. What is due later comes by more often.
const SLOTS: u64 = 4096;
/// The list behind the slots: connections that have ended, in the order in which they did.
const ENDED: usize = SLOTS as usize;
/// No connection.
const NONE: u32 = u32::MAX;
/// Slots without a connection that are passed in one call.
const PASSED: u32 = 64;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    behind: u32,
    /// The tick for which it is in its list.
    tick: u32,
    list: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// The wheel. Times are cycles.
#[derive(Debug)]
pub(super) struct Wheel {
    links: Vec<Link>,
    lists: Vec<List>,
    /// A tick is so many cycles, as a power of two: between an eighth and a sixteenth of a second.
    shift: u32,
    /// The first tick whose slot is not done with.
    next: u64,
}

impl Wheel {
    pub(super) fn new(connections: usize, hz: u64, now: u64) -> Self {
        let free = Link {
            before: NONE,
            behind: NONE,
            tick: 0,
            list: NONE,
        };
        let shift = (hz / 8).max(1).ilog2();
        Self {
            links: vec![free; connections],
            lists: vec![
                List {
                    first: NONE,
                    last: NONE
                };
                ENDED + 1
            ],
            shift,
            next: now >> shift,
        }
    }

    /// Bytes that [`Wheel::new`] takes.
    pub(super) fn bytes_for(connections: usize) -> usize {
        connections * size_of::<Link>() + (ENDED + 1) * size_of::<List>()
    }

    /// Shows `each` where its links are.
    pub(super) fn memory(&self, each: &mut impl FnMut(*const u8, usize)) {
        each(self.links.as_ptr().cast(), size_of_val(self.links.as_slice()));
    }

    /// Puts `at`, which is in no list, where it is found at the first tick behind `when`.
    pub(super) fn wait(&mut self, at: u32, when: u64) {
        let tick = (when >> self.shift).clamp(self.next, self.next + SLOTS - 1);
        self.append((tick % SLOTS) as usize, at, tick as u32);
    }

    /// Moves `at` to an earlier slot, if `when` is before that in which it is.
    pub(super) fn hasten(&mut self, at: u32, when: u64) {
        let tick = (when >> self.shift).max(self.next);
        let ahead = self
            .links
            .get(at as usize)
            .map_or(0, |link| link.tick.wrapping_sub(self.next as u32));
        if (tick - self.next) < u64::from(ahead) {
            self.remove(at);
            self.wait(at, when);
        }
    }

    /// Takes `at` out of its list.
    pub(super) fn remove(&mut self, at: u32) {
        let Some(link) = self.links.get_mut(at as usize) else {
            return;
        };
        let Link {
            before, behind, list, ..
        } = *link;
        link.list = NONE;
        let Some(list) = self.lists.get_mut(list as usize) else {
            return;
        };
        match self.links.get_mut(before as usize) {
            Some(before) => before.behind = behind,
            None => list.first = behind,
        }
        match self.links.get_mut(behind as usize) {
            Some(behind) => behind.before = before,
            None => list.last = before,
        }
    }

    /// Puts `at`, which is in no list, behind those that have ended, until `when`.
    pub(super) fn put_ended(&mut self, at: u32, when: u64) {
        self.append(ENDED, at, (when >> self.shift) as u32);
    }

    /// The one that ended first of those that have ended.
    pub(super) fn first_ended(&self) -> Option<u32> {
        self.first(ENDED)
    }

    /// The same, if its time is over.
    pub(super) fn ended_due(&self, now: u64) -> Option<u32> {
        let first = self.first(ENDED)?;
        let tick = self.links.get(first as usize)?.tick;
        let ahead = tick.wrapping_sub((now >> self.shift) as u32) as i32;
        (ahead < 0).then_some(first)
    }

    /// Whether there may be a slot that is due.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        now >> self.shift > self.next
    }

    /// Takes one out of the slots whose time is over.
    pub(super) fn take_due(&mut self, now: u64) -> Option<u32> {
        for _ in 0..PASSED {
            if !self.is_due(now) {
                return None;
            }
            if let Some(first) = self.first((self.next % SLOTS) as usize) {
                self.remove(first);
                return Some(first);
            }
            self.next += 1;
        }
        None
    }

    fn first(&self, list: usize) -> Option<u32> {
        let first = self.lists.get(list)?.first;
        (first != NONE).then_some(first)
    }

    fn append(&mut self, list: usize, at: u32, tick: u32) {
        let Some(ends) = self.lists.get_mut(list) else {
            return;
        };
        let before = ends.last;
        ends.last = at;
        match self.links.get_mut(before as usize) {
            Some(before) => before.behind = at,
            None => ends.first = at,
        }
        if let Some(link) = self.links.get_mut(at as usize) {
            *link = Link {
                before,
                behind: NONE,
                tick,
                list: list as u32,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1024;

    fn due(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        let mut all = Vec::new();
        while wheel.is_due(now) {
            all.extend(wheel.take_due(now));
        }
        all
    }

    #[test]
    fn each_is_due_after_its_time_and_within_a_quarter_of_a_second() {
        let mut wheel = Wheel::new(3, HZ, 5000);
        wheel.wait(0, 5000 + 3 * HZ);
        wheel.wait(1, 5000 + HZ);
        wheel.wait(2, 5000 + 400 * HZ);
        assert_eq!(due(&mut wheel, 5000 + HZ), []);
        assert_eq!(due(&mut wheel, 5000 + HZ + HZ / 4), [1]);
        assert_eq!(due(&mut wheel, 5000 + 3 * HZ + HZ / 4), [0]);
        assert_eq!(due(&mut wheel, 5000 + 400 * HZ), []);
        assert_eq!(due(&mut wheel, 5000 + 401 * HZ), [2]);
    }

    #[test]
    fn what_is_far_off_comes_by_early_and_never_late() {
        let mut wheel = Wheel::new(1, HZ, 0);
        wheel.wait(0, 10_000 * HZ);
        assert_eq!(due(&mut wheel, 513 * HZ), [0]);
    }

    #[test]
    fn hastened_comes_earlier_and_is_never_put_off() {
        let mut wheel = Wheel::new(3, HZ, 0);
        for at in 0..3 {
            wheel.wait(at, 90 * HZ);
        }
        wheel.hasten(1, 3 * HZ);
        wheel.hasten(2, 200 * HZ);
        assert_eq!(due(&mut wheel, 4 * HZ), [1]);
        assert_eq!(due(&mut wheel, 91 * HZ), [0, 2]);
    }

    #[test]
    fn removed_ones_are_not_due_wherever_they_were() {
        for gone in 0..3 {
            let mut wheel = Wheel::new(3, HZ, 0);
            for at in 0..3 {
                wheel.wait(at, HZ);
            }
            wheel.remove(gone);
            let rest: Vec<u32> = (0..3).filter(|at| *at != gone).collect();
            assert_eq!(due(&mut wheel, 2 * HZ), rest);
        }
    }

    #[test]
    fn ended_ones_come_in_their_order() {
        let mut wheel = Wheel::new(2, HZ, 0);
        wheel.put_ended(1, 3 * HZ);
        wheel.put_ended(0, 3 * HZ);
        assert_eq!(wheel.ended_due(3 * HZ), None);
        assert_eq!(wheel.first_ended(), Some(1));
        assert_eq!(wheel.ended_due(4 * HZ), Some(1));
        wheel.remove(1);
        assert_eq!(wheel.ended_due(4 * HZ), Some(0));
        wheel.remove(0);
        assert_eq!(wheel.first_ended(), None);
    }
}

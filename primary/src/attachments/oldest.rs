//! Slots in the order in which they were taken, so that the oldest is at hand and any can leave: a list whose links lie in an array.

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots in use, the oldest first. Nothing is allocated after it was made.
#[derive(Debug)]
pub(super) struct Oldest {
    /// By slot: the one before and the one after it.
    links: Vec<(u32, u32)>,
    first: u32,
    last: u32,
}

impl Oldest {
    /// None of `slots` is in it.
    pub(super) fn new(slots: u32) -> Self {
        Self {
            links: vec![(NONE, NONE); slots as usize],
            first: NONE,
            last: NONE,
        }
    }

    /// The one that was put in first.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Puts in a slot that is not in it.
    pub(super) fn push(&mut self, slot: u32) {
        let last = std::mem::replace(&mut self.last, slot);
        self.link(slot, |links| *links = (last, NONE));
        match last {
            NONE => self.first = slot,
            last => self.link(last, |links| links.1 = slot),
        }
    }

    /// Takes out a slot that is in it.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some((before, after)) = self.links.get(slot as usize).copied() else {
            return;
        };
        match before {
            NONE => self.first = after,
            before => self.link(before, |links| links.1 = after),
        }
        match after {
            NONE => self.last = before,
            after => self.link(after, |links| links.0 = before),
        }
    }

    fn link(&mut self, slot: u32, change: impl FnOnce(&mut (u32, u32))) {
        if let Some(links) = self.links.get_mut(slot as usize) {
            change(links);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_always_the_oldest(slots in prop::collection::vec(0u32..8, 0..200)) {
            let mut oldest = Oldest::new(8);
            let mut expected = VecDeque::new();
            for slot in slots {
                if let Some(place) = expected.iter().position(|other| *other == slot) {
                    expected.remove(place);
                    oldest.remove(slot);
                } else {
                    expected.push_back(slot);
                    oldest.push(slot);
                }
                prop_assert_eq!(oldest.first(), expected.front().copied());
            }
            while let Some(slot) = oldest.first() {
                prop_assert_eq!(Some(slot), expected.pop_front());
                oldest.remove(slot);
            }
            prop_assert!(expected.is_empty());
        }
    }
}

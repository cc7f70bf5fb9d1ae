//! Numbers in the order in which they were put in, so that the oldest is at hand and any can leave: lists whose links lie in an array.

/// No number.
const NONE: u32 = u32::MAX;

/// Several lists of numbers, each the oldest first. A number is in one list at most. Nothing is allocated after they were made.
#[derive(Debug)]
pub(super) struct Lists {
    /// By number: the one before and the one after it.
    links: Vec<(u32, u32)>,
    /// By list: the first and the last.
    ends: Vec<(u32, u32)>,
}

impl Lists {
    /// So many empty lists, of the numbers below `numbers`.
    pub(super) fn new(lists: usize, numbers: u32) -> Self {
        Self {
            links: vec![(NONE, NONE); numbers as usize],
            ends: vec![(NONE, NONE); lists],
        }
    }

    /// The one that was put first into a list.
    #[inline]
    pub(super) fn first(&self, list: usize) -> Option<u32> {
        let (first, _) = *self.ends.get(list)?;
        (first != NONE).then_some(first)
    }

    /// Puts a number that is in no list at the end of one.
    pub(super) fn push(&mut self, list: usize, number: u32) {
        let Some(ends) = self.ends.get_mut(list) else {
            return;
        };
        let last = std::mem::replace(&mut ends.1, number);
        if last == NONE {
            ends.0 = number;
        }
        self.link(number, |links| *links = (last, NONE));
        self.link(last, |links| links.1 = number);
    }

    /// Takes a number out of the list that it is in.
    pub(super) fn remove(&mut self, list: usize, number: u32) {
        let (Some((before, after)), Some(ends)) =
            (self.links.get(number as usize).copied(), self.ends.get_mut(list))
        else {
            return;
        };
        if before == NONE {
            ends.0 = after;
        }
        if after == NONE {
            ends.1 = before;
        }
        self.link(before, |links| links.1 = after);
        self.link(after, |links| links.0 = before);
    }

    /// Does nothing to no number.
    fn link(&mut self, number: u32, change: impl FnOnce(&mut (u32, u32))) {
        if let Some(links) = self.links.get_mut(number as usize) {
            change(links);
        }
    }
}

/// One such list.
#[derive(Debug)]
pub(crate) struct Oldest(Lists);

impl Oldest {
    /// None of the numbers below `numbers` is in it.
    pub(crate) fn new(numbers: u32) -> Self {
        Self(Lists::new(1, numbers))
    }

    /// The one that was put in first.
    #[inline]
    pub(crate) fn first(&self) -> Option<u32> {
        self.0.first(0)
    }

    /// Puts in a number that is not in it.
    pub(crate) fn push(&mut self, number: u32) {
        self.0.push(0, number);
    }

    /// Takes out a number that is in it.
    pub(crate) fn remove(&mut self, number: u32) {
        self.0.remove(0, number);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_always_the_oldest(steps in prop::collection::vec((0usize..3, 0u32..8), 0..200)) {
            let mut lists = Lists::new(3, 8);
            let mut expected: [VecDeque<u32>; 3] = Default::default();
            for (list, number) in steps {
                let place = |expected: &VecDeque<u32>| expected.iter().position(|other| *other == number);
                if let Some(list) = (0..3).find(|list| place(&expected[*list]).is_some()) {
                    let place = place(&expected[list]).unwrap();
                    expected[list].remove(place);
                    lists.remove(list, number);
                } else {
                    expected[list].push_back(number);
                    lists.push(list, number);
                }
                for (list, expected) in expected.iter().enumerate() {
                    prop_assert_eq!(lists.first(list), expected.front().copied());
                }
            }
            for (list, mut expected) in expected.into_iter().enumerate() {
                while let Some(number) = lists.first(list) {
                    prop_assert_eq!(Some(number), expected.pop_front());
                    lists.remove(list, number);
                }
                prop_assert!(expected.is_empty());
            }
        }
    }
}

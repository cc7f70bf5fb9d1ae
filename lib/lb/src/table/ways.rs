//! Numbers for the ways by which packets come: what a connection remembers of one is then a byte. They are never given to another way, so
//! a number that is equal says that the way is; ways that get none are compared by nobody.

use packet::MacAddress;

use crate::verdict::Path;

/// How packets came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way(u8);

impl Way {
    /// None has come.
    pub(crate) const UNKNOWN: Way = Way(0);
    /// By a way without a number.
    const OTHER: Way = Way(u8::MAX);

    #[inline(always)]
    pub(crate) fn has_number(self) -> bool {
        self != Way::UNKNOWN && self != Way::OTHER
    }
}

/// Those of a worker.
#[derive(Debug)]
pub(crate) struct Ways {
    /// That with number 1, and so on. A way has one place, or no number where another has that.
    paths: [Option<Path>; PLACES],
    /// The last packet's link addresses and interface, and what they said.
    last: ([u8; 12], u16, Way),
}

const PLACES: usize = 254;

impl Ways {
    pub(crate) const NONE: Ways = Ways {
        paths: [None; PLACES],
        last: ([0; 12], 0, Way::UNKNOWN),
    };

    /// The way by which a frame came, and `UNKNOWN` if it does not say. Mostly it is that of the one before.
    #[inline(always)]
    pub(crate) fn of(&mut self, frame: &[u8], ingress: u16) -> Way {
        let (addresses, interface, way) = &self.last;
        match frame.first_chunk() {
            Some(same) if same == addresses && *interface == ingress => *way,
            _ => self.learn(frame, ingress),
        }
    }

    #[inline(never)]
    fn learn(&mut self, frame: &[u8], ingress: u16) -> Way {
        let way = came_by(frame, ingress).map_or(Way::UNKNOWN, |path| self.number(path));
        if let Some(addresses) = frame.first_chunk() {
            self.last = (*addresses, ingress, way);
        }
        way
    }

    /// The way that has a number.
    #[inline(always)]
    pub(super) fn path(&self, way: Way) -> Option<Path> {
        let place = usize::from(way.0).checked_sub(1)?;
        self.paths.get(place).copied().flatten()
    }

    /// The number of a way, which it has from now on if its place is free.
    pub(crate) fn number(&mut self, path: Path) -> Way {
        let bits = path.destination.to_bits()
            ^ path.source.to_bits().rotate_left(24)
            ^ u64::from(path.interface) << 48;
        let place = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES;
        let Some(there) = self.paths.get_mut(place) else {
            return Way::OTHER;
        };
        if *there.get_or_insert(path) == path {
            Way(place as u8 + 1)
        } else {
            Way::OTHER
        }
    }
}

/// The way back to whoever sent a frame; `None` if it says none.
#[inline]
pub(crate) fn came_by(frame: &[u8], ingress: u16) -> Option<Path> {
    let (ours, theirs) = frame.first_chunk::<12>()?.split_at(6);
    let path = Path {
        interface: ingress,
        destination: MacAddress(*theirs.first_chunk()?),
        source: MacAddress(*ours.first_chunk()?),
    };
    (path.destination.is_unicast() && path.source.is_unicast()).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// More ways than there are numbers.
    #[test]
    fn way_keeps_its_number_and_no_other_gets_it() {
        let mut ways = Ways::NONE;
        let frame = |number: u16| {
            let [a, b] = number.to_be_bytes();
            [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, a, b, 8, 0]
        };
        let numbers: Vec<_> = (0..1000)
            .map(|number| ways.of(&frame(number), number % 3))
            .collect();
        let mut holders = HashMap::new();
        for (number, way) in (0..1000).zip(&numbers) {
            assert_eq!(ways.of(&frame(number), number % 3), *way);
            assert_ne!(*way, Way::UNKNOWN);
            if way.has_number() {
                assert_eq!(holders.insert(way.0, number), None);
            }
        }
        assert!(holders.len() > PLACES / 2);
    }

    #[test]
    fn frame_from_a_group_or_to_one_says_no_way() {
        let mut ways = Ways::NONE;
        assert_eq!(ways.of(&[2, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 1], 0), Way::UNKNOWN);
        assert_eq!(ways.of(&[3, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1], 0), Way::UNKNOWN);
    }
}

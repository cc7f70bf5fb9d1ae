//! A map from an address (or another number) and a little more to a number: made once, then only read. What is not in it is told by
//! one cache line, nearly always.

use crate::hash::fixed;

/// The value of cells that are free.
const FREE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Cell {
    key: u128,
    more: u32,
    value: u32,
}

/// The map.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// A power of two of them, at least half of them free.
    cells: Vec<Cell>,
}

impl Lookup {
    /// With room for `entries`.
    pub(crate) fn with_room(entries: usize) -> Self {
        let free = Cell {
            key: 0,
            more: 0,
            value: FREE,
        };
        Self {
            cells: vec![free; (entries.max(1) * 2).next_power_of_two()],
        }
    }

    /// Puts in `value`, unless there is one already; gives that which is there now. Beyond the room said, nothing is put in.
    pub(crate) fn entry(&mut self, key: u128, more: u32, value: u32) -> u32 {
        match self.find(key, more) {
            Ok(at) => self.cells.get(at).map_or(value, |cell| cell.value),
            Err(at) => {
                if let Some(cell) = self.cells.get_mut(at) {
                    *cell = Cell { key, more, value };
                }
                value
            }
        }
    }

    /// Puts these bits in beside those there are.
    pub(crate) fn mark(&mut self, key: u128, bits: u32) {
        self.entry(key, 0, 0);
        if let Ok(at) = self.find(key, 0)
            && let Some(cell) = self.cells.get_mut(at)
        {
            cell.value |= bits;
        }
    }

    /// What was put in.
    #[inline]
    pub(crate) fn get(&self, key: u128, more: u32) -> Option<u32> {
        let at = self.find(key, more).ok()?;
        self.cells.get(at).map(|cell| cell.value)
    }

    /// Where it is, or where it would be.
    #[inline]
    fn find(&self, key: u128, more: u32) -> Result<usize, usize> {
        let mask = self.cells.len() - 1;
        let mut at = fixed(key, u64::from(more)) as usize & mask;
        for _ in 0..self.cells.len() {
            match self.cells.get(at) {
                Some(cell) if cell.value == FREE => return Err(at),
                Some(cell) if cell.key == key && cell.more == more => return Ok(at),
                _ => at = (at + 1) & mask,
            }
        }
        Err(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut lookup = Lookup::with_room(1000);
        for key in 0..1000_u32 {
            assert_eq!(lookup.entry(u128::from(key), key % 3, key), key);
        }
        assert_eq!(lookup.entry(7, 1, 99), 7, "what is there stays");
        for key in 0..1000_u32 {
            assert_eq!(lookup.get(u128::from(key), key % 3), Some(key));
            assert_eq!(lookup.get(u128::from(key), 3), None);
        }
        assert_eq!(lookup.get(1000, 0), None);
    }

    #[test]
    fn marks_of_a_key_come_together() {
        let mut lookup = Lookup::with_room(2);
        lookup.mark(5, 1);
        lookup.mark(5, 8);
        assert_eq!(lookup.get(5, 0), Some(9));
        assert_eq!(lookup.get(6, 0), None);
    }
}

//! One record under a sequence word.
//!
//! ```text
//!   word 0   bit 0  a write is going on     bit 1  the slot holds a record     bits 2..  number of writes
//!   word 1…  the record, as 64-bit words
//! ```
//!
//! The writer sets bit 0, writes the words, then stores the next number with release order. A reader takes word 0 with
//! acquire order, copies the words, and takes word 0 again behind an acquire fence: the same even value before and
//! after means that the copy is one whole record. All accesses are atomic, so that a race is a retry and never
//! undefined behaviour.

use std::sync::atomic::{AtomicU64, Ordering, fence};

const WRITING: u64 = 1;
const OCCUPIED: u64 = 2;
const ONE_WRITE: u64 = 4;

/// How often a reader tries again before it takes the writer for dead. A write takes well under a microsecond.
const READ_TRIES: u32 = 10_000;

/// What a reader found in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The slot holds a record; its words are in the buffer.
    Record,
    /// The slot is empty.
    Empty,
    /// A write began and never ended: its writer died in the middle.
    Torn,
}

/// Replaces what the slot holds; `None` empties it. Only one writer may exist.
pub(crate) fn write(slot: &[AtomicU64], record: Option<&[u64]>) {
    let Some((sequence, words)) = slot.split_first() else {
        return;
    };
    let before = sequence.load(Ordering::Relaxed) & !(WRITING | OCCUPIED);
    sequence.store(before | WRITING, Ordering::Relaxed);
    // Keeps the stores below from moving before the mark.
    fence(Ordering::Release);
    if let Some(record) = record {
        for (word, value) in words.iter().zip(record) {
            word.store(*value, Ordering::Relaxed);
        }
    }
    let occupied = if record.is_some() { OCCUPIED } else { 0 };
    sequence.store(before.wrapping_add(ONE_WRITE) | occupied, Ordering::Release);
}

/// Copies the record out into `buffer`, which is as long as the record.
pub(crate) fn read(slot: &[AtomicU64], buffer: &mut [u64]) -> Found {
    let Some((sequence, words)) = slot.split_first() else {
        return Found::Empty;
    };
    for _ in 0..READ_TRIES {
        let before = sequence.load(Ordering::Acquire);
        if before & WRITING != 0 {
            std::hint::spin_loop();
            continue;
        }
        if before & OCCUPIED == 0 {
            return Found::Empty;
        }
        for (value, word) in buffer.iter_mut().zip(words) {
            *value = word.load(Ordering::Relaxed);
        }
        // Keeps the loads above from moving behind the second look.
        fence(Ordering::Acquire);
        if sequence.load(Ordering::Relaxed) == before {
            return Found::Record;
        }
    }
    Found::Torn
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn slot(words: usize) -> Vec<AtomicU64> {
        (0..=words).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_record_comes_back_and_can_be_removed() {
        let slot = slot(3);
        let mut out = [0; 3];
        assert_eq!(read(&slot, &mut out), Found::Empty);
        write(&slot, Some(&[1, 2, 3]));
        assert_eq!(read(&slot, &mut out), Found::Record);
        assert_eq!(out, [1, 2, 3]);
        write(&slot, None);
        assert_eq!(read(&slot, &mut out), Found::Empty);
    }

    #[test]
    fn a_write_that_never_ended_is_noticed() {
        let slot = slot(1);
        slot[0].store(WRITING, Ordering::Relaxed);
        assert_eq!(read(&slot, &mut [0]), Found::Torn);
    }

    #[test]
    fn readers_beside_a_writer_see_whole_records_only() {
        let slot = slot(7);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..200_000u64 {
                    write(&slot, Some(&[round; 7]));
                }
                done.store(true, Ordering::Release);
            });
            let mut out = [0; 7];
            while !done.load(Ordering::Acquire) {
                if read(&slot, &mut out) == Found::Record {
                    assert!(out.iter().all(|word| *word == out[0]), "torn: {out:?}");
                }
            }
        });
    }
}

//! Keys of security associations, in memory of this process alone.
//!
//! ```text
//!   pages of their own │ place 0: key, zeros │ place 1: zeros │ …     locked: never in swap
//!                                                                     MADV_DONTDUMP: not in a core dump
//!                                                                     MADV_DONTFORK: not in a child
//! ```
//!
//! A place is wiped as soon as its key goes, and all of them when the memory does.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// Bytes of a place: 32 of a cipher's key and 64 of an integrity key are the most that a transform of ESP has.
pub const KEY_BYTES: usize = 96;

/// Why there is no memory for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyArenaError {
    /// It must not be swapped, and the kernel does not promise that.
    #[error(
        "the {bytes} bytes for keys of SAs cannot be locked in memory ({}): give the process CAP_IPC_LOCK or more of \
         RLIMIT_MEMLOCK, or lower sas in [limits]",
        .errno.desc()
    )]
    Lock {
        /// Bytes needed.
        bytes: usize,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Anything else that the kernel refused.
    #[error("cannot {step} the {bytes} bytes for keys of SAs ({}): lower sas in [limits]", .errno.desc())]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// Bytes needed.
        bytes: usize,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Memory for a fixed number of keys.
pub struct KeyArena {
    memory: NonNull<u8>,
    bytes: NonZeroUsize,
    places: usize,
    /// Places that were used before and are free; those from `fresh` on have never been used.
    free: Vec<usize>,
    fresh: usize,
}

// SAFETY: the memory belongs to this value alone, and is reached by `&self` for reading and by `&mut self` for writing only.
unsafe impl Send for KeyArena {}

/// Where a key lies. It is to be given back to [`KeyArena::wipe`]; one that is dropped keeps its place until the arena goes.
#[derive(Debug)]
#[must_use = "a key stays in memory until it is wiped"]
pub struct KeyPlace {
    place: usize,
    length: usize,
}

impl KeyArena {
    /// Memory for so many keys of at most [`KEY_BYTES`] bytes, locked and kept out of core dumps.
    ///
    /// # Errors
    ///
    /// The process may not lock as much, or there is not as much.
    pub fn new(places: usize) -> Result<Self, KeyArenaError> {
        const PAGE: usize = 4096;
        let wanted = places
            .saturating_mul(KEY_BYTES)
            .max(1)
            .checked_next_multiple_of(PAGE);
        let kernel = |step, bytes| move |errno| KeyArenaError::Kernel { step, bytes, errno };
        let Some(bytes) = wanted.and_then(NonZeroUsize::new) else {
            return Err(kernel("count", usize::MAX)(Errno::ENOMEM));
        };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so the kernel chooses one where nothing is.
        let memory = unsafe { mmap_anonymous(None, bytes, protection, MapFlags::MAP_PRIVATE) };
        let memory = memory.map_err(kernel("map", bytes.get()))?;
        // From here on dropping it unmaps the memory.
        let arena = Self {
            memory: memory.cast(),
            bytes,
            places,
            free: Vec::new(),
            fresh: 0,
        };
        for (step, advice) in [
            ("keep core dumps from", MmapAdvise::MADV_DONTDUMP),
            ("keep children from", MmapAdvise::MADV_DONTFORK),
        ] {
            // SAFETY: this is the mapping just made, which neither advice changes.
            unsafe { madvise(memory, bytes.get(), advice) }.map_err(kernel(step, bytes.get()))?;
        }
        // SAFETY: this is the mapping just made; to lock it changes nothing in it.
        unsafe { mlock(memory, bytes.get()) }.map_err(|errno| KeyArenaError::Lock {
            bytes: bytes.get(),
            errno,
        })?;
        Ok(arena)
    }

    /// Copies a key into a free place; `None` when there is none, or the key is longer than [`KEY_BYTES`].
    pub fn store(&mut self, key: &[u8]) -> Option<KeyPlace> {
        if key.len() > KEY_BYTES {
            return None;
        }
        let place = self.free.pop().or_else(|| {
            let fresh = (self.fresh < self.places).then_some(self.fresh)?;
            self.fresh += 1;
            Some(fresh)
        })?;
        self.place_mut(place)[..key.len()].copy_from_slice(key);
        Some(KeyPlace {
            place,
            length: key.len(),
        })
    }

    /// The key at a place. Who copies it wipes the copy.
    pub fn key(&self, at: &KeyPlace) -> &[u8] {
        assert!(
            at.place < self.fresh && at.length <= KEY_BYTES,
            "a place of another arena"
        );
        // SAFETY: as was just checked, the bytes lie inside the mapping, which lives as long as `self` and which nobody writes
        // while `self` is borrowed.
        unsafe { slice::from_raw_parts(self.memory.add(at.place * KEY_BYTES).as_ptr(), at.length) }
    }

    /// Wipes a key; its place is free again.
    pub fn wipe(&mut self, at: KeyPlace) {
        self.place_mut(at.place).zeroize();
        self.free.push(at.place);
    }

    /// Keys that there are.
    pub fn len(&self) -> usize {
        self.fresh - self.free.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys fit.
    pub fn capacity(&self) -> usize {
        self.places
    }

    /// Bytes of its memory, in whole pages.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    fn place_mut(&mut self, place: usize) -> &mut [u8] {
        assert!(place < self.fresh, "a place of another arena");
        // SAFETY: `fresh` is at most `places`, and as many places lie inside the mapping, which lives as long as `self`; nobody
        // else has a reference into it while `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.memory.add(place * KEY_BYTES).as_ptr(), KEY_BYTES) }
    }
}

impl Drop for KeyArena {
    fn drop(&mut self) {
        for place in 0..self.fresh {
            self.place_mut(place).zeroize();
        }
        // Nothing can be done about memory that stays. SAFETY: the mapping is this value's own, and all references into it ended
        // with their borrows of `self`.
        let _ = unsafe { munmap(self.memory.cast::<c_void>(), self.bytes.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_until_they_are_wiped_and_their_places_are_used_again() {
        let mut arena = KeyArena::new(2).unwrap();
        let (long, short) = ([7; KEY_BYTES], [9; 20]);
        let first = arena.store(&long).unwrap();
        let second = arena.store(&short).unwrap();
        assert!(arena.store(&[1]).is_none(), "it is full");
        assert_eq!((arena.key(&first), arena.key(&second)), (&long[..], &short[..]));
        let place = first.place;
        arena.wipe(first);
        assert_eq!(arena.place_mut(place), [0; KEY_BYTES]);
        assert_eq!(arena.key(&second), short, "the other one stays");
        assert!(arena.store(&[1; KEY_BYTES + 1]).is_none(), "it is too long");
        let third = arena.store(&[5; 4]).unwrap();
        assert_eq!(third.place, place);
        assert_eq!(arena.key(&third), [5; 4]);
        assert_eq!((arena.len(), arena.capacity()), (2, 2));
    }

    #[test]
    fn an_arena_for_no_key_takes_none() {
        let mut arena = KeyArena::new(0).unwrap();
        assert!(arena.store(&[1]).is_none());
        assert!(arena.is_empty());
    }

    #[test]
    fn more_than_an_address_space_is_refused_with_what_to_do() {
        let refused = KeyArena::new(usize::MAX).err().unwrap();
        assert!(
            refused.to_string().ends_with("lower sas in [limits]"),
            "{refused}"
        );
        let refused = KeyArena::new(usize::MAX / KEY_BYTES / 2).err().unwrap();
        assert!(
            matches!(refused, KeyArenaError::Kernel { step: "map", .. }),
            "{refused}"
        );
    }

    /// The flags of the mapping that an address is in: proc(5), smaps.
    fn flags(address: usize) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let parsed =
                range.map(|(from, to)| (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)));
            if let Some((Ok(from), Ok(to))) = parsed {
                inside = (from..to).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return flags.split_whitespace().map(str::to_owned).collect();
            }
        }
        panic!("no mapping has {address:x}");
    }

    #[test]
    fn the_memory_is_locked_and_left_out_of_core_dumps_and_children() {
        let arena = KeyArena::new(100).unwrap();
        for address in [
            arena.memory.addr().get(),
            arena.memory.addr().get() + arena.bytes() - 1,
        ] {
            let flags = flags(address);
            for flag in ["lo", "dd", "dc"] {
                assert!(flags.iter().any(|found| found == flag), "{flag} in {flags:?}");
            }
        }
    }
}

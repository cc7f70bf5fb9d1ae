//! Memory that outlives the process that writes to it, since another one holds its descriptor: bytes are appended, and count once they
//! are committed.
//!
//! ```text
//!   memfd │ magic │ committed │ carried out │ … 64 │ bytes, one batch behind the other │ room │
//! ```
//!
//! A writer that is killed in the middle of a batch has not committed it. What is to happen because of a batch happens behind that, and is
//! noted as carried out: so the process after it knows what may have been cut off. The pages are locked while they are mapped, which the
//! kernel does for a writer that lives, and are in no core dump.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use memmap2::Advice;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::MFdFlags;
use zeroize::Zeroizing;

use crate::mapping::Mapping;
use crate::sealed::sealed_memfd;

/// "TGJOURN1".
const MAGIC: u64 = u64::from_be_bytes(*b"TGJOURN1");
const WORD_MAGIC: usize = 0;
const WORD_COMMITTED: usize = 1;
const WORD_CARRIED_OUT: usize = 2;
/// Where bytes begin.
const HEADER: usize = 64;
const PAGE: usize = 4096;
const NAME: &CStr = c"tollgate-journal";
/// `MFD_NOEXEC_SEAL`, memfd_create(2): nobody makes a program of it. Linux has it since 6.3.
const NOEXEC_SEAL: u32 = 8;

/// Why there is no such memory.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// What was handed over is something else.
    #[error("it is no memory that was written by this version: it is left out")]
    Layout,
    /// Its size could change while it is read.
    #[error("it is no memfd whose size is sealed: it is left out")]
    Unsealed,
    /// The kernel refused it.
    #[error("cannot {step} it: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn io(step: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { step, source }
}

/// Whether a descriptor is that of a memfd that never becomes shorter, so that reading its mapping cannot fail.
pub fn is_sealed(descriptor: BorrowedFd<'_>) -> bool {
    fcntl(descriptor, FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(SealFlag::F_SEAL_SHRINK))
}

/// Memory that is appended to.
pub struct Journal {
    file: File,
    mapping: Mapping,
    bytes: usize,
    length: usize,
    is_locked: bool,
}

/// What there is in memory that another process has left.
pub struct Left {
    /// All batches that were committed.
    pub batches: Zeroizing<Vec<u8>>,
    /// So many bytes of them were carried out.
    pub carried_out: usize,
    mapping: Mapping,
}

impl Journal {
    /// Memory for so many bytes; a little more, since it is in whole pages.
    ///
    /// # Errors
    ///
    /// There is not as much.
    pub fn new(capacity: usize) -> Result<Self, JournalError> {
        let bytes = capacity
            .checked_add(HEADER)
            .and_then(|bytes| bytes.checked_next_multiple_of(PAGE))
            .ok_or_else(|| io("size")(Errno::EFBIG.into()))?;
        let made = match sealed_memfd(NAME, MFdFlags::from_bits_retain(NOEXEC_SEAL), bytes) {
            Err((_, error)) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                sealed_memfd(NAME, MFdFlags::empty(), bytes)
            }
            made => made,
        };
        let (file, mapping) = made.map_err(|(step, error)| io(step)(error))?;
        let is_locked = keep_to_itself(&mapping)?;
        mapping.words()[WORD_MAGIC].store(MAGIC, Ordering::Release);
        Ok(Self {
            file,
            mapping,
            bytes,
            length: 0,
            is_locked,
        })
    }

    /// Whether its pages stay out of swap. They do not for a process without CAP_IPC_LOCK and with a low RLIMIT_MEMLOCK.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Bytes that there is room for.
    pub fn room(&self) -> usize {
        self.bytes - HEADER - self.length
    }

    /// Appends a batch and commits it; `false`: there is no room for it, and nothing has changed.
    #[must_use]
    pub fn append(&mut self, batch: &[u8]) -> bool {
        if batch.len() > self.room() {
            return false;
        }
        self.mapping.write(HEADER + self.length, batch);
        self.length += batch.len();
        // Who sees this length sees all bytes before it.
        self.mapping.words()[WORD_COMMITTED].store(self.length as u64, Ordering::Release);
        true
    }

    /// Notes that all that was appended was carried out.
    pub fn carried_out(&mut self) {
        self.mapping.words()[WORD_CARRIED_OUT].store(self.length as u64, Ordering::Release);
    }

    /// A descriptor of it, for who is to hold it.
    ///
    /// # Errors
    ///
    /// There are too many descriptors.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// Makes nothing of all that is in it, whoever holds it.
    pub fn wipe(self) {
        wipe(&self.mapping);
    }
}

/// Keeps it out of core dumps and children, and out of swap if the kernel lets this process: whether it does.
fn keep_to_itself(mapping: &Mapping) -> Result<bool, JournalError> {
    mapping
        .advise(Advice::DontDump)
        .map_err(io("keep core dumps from"))?;
    mapping
        .advise(Advice::DontFork)
        .map_err(io("keep children from"))?;
    Ok(mapping.lock().is_ok())
}

fn wipe(mapping: &Mapping) {
    for word in mapping.words() {
        word.store(0, Ordering::Release);
    }
}

impl Left {
    /// Reads what another process has left. It writes to it no more.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn read(descriptor: OwnedFd) -> Result<Self, JournalError> {
        if !is_sealed(descriptor.as_fd()) {
            return Err(JournalError::Unsealed);
        }
        let file = File::from(descriptor);
        let bytes = file.metadata().map_err(io("look at"))?.len();
        let bytes = usize::try_from(bytes).map_err(|_| JournalError::Layout)?;
        if bytes < PAGE || bytes % PAGE != 0 {
            return Err(JournalError::Layout);
        }
        let mapping = Mapping::writable(&file, bytes).map_err(io("map"))?;
        keep_to_itself(&mapping)?;
        let word = |index: usize| mapping.words()[index].load(Ordering::Acquire);
        let length = usize::try_from(word(WORD_COMMITTED)).unwrap_or(usize::MAX);
        let carried_out = usize::try_from(word(WORD_CARRIED_OUT)).unwrap_or(usize::MAX);
        if word(WORD_MAGIC) != MAGIC || length > bytes - HEADER || carried_out > length {
            return Err(JournalError::Layout);
        }
        let mut batches = Zeroizing::new(vec![0; length]);
        mapping.read(HEADER, &mut batches);
        Ok(Self {
            batches,
            carried_out,
            mapping,
        })
    }

    /// What was carried out of it.
    pub fn before(&self) -> &[u8] {
        self.batches.get(..self.carried_out).unwrap_or_default()
    }

    /// Makes nothing of all that is in it, whoever holds it.
    pub fn wipe(self) {
        wipe(&self.mapping);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::memfd::memfd_create;

    use super::*;

    fn read(journal: &Journal) -> Left {
        Left::read(journal.descriptor().unwrap()).unwrap()
    }

    #[test]
    fn what_was_committed_is_there_and_nothing_else() {
        let mut journal = Journal::new(100).unwrap();
        assert!(read(&journal).batches.is_empty());
        assert!(journal.append(b"one"));
        journal.carried_out();
        assert!(journal.append(b"and two"));
        // Killed in the middle of the third.
        journal.mapping.write(HEADER + 10, b"thr");
        let left = read(&journal);
        assert_eq!(*left.batches, b"oneand two");
        assert_eq!(left.before(), b"one");
        assert!(journal.append(b"three"));
        assert_eq!(*read(&journal).batches, b"oneand twothree");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut journal = Journal::new(PAGE - HEADER).unwrap();
        assert!(journal.append(&[1; PAGE - HEADER - 2]));
        assert!(!journal.append(&[2; 3]));
        assert_eq!(read(&journal).batches.len(), PAGE - HEADER - 2);
        assert!(journal.append(&[2; 2]));
        assert!(!journal.append(&[2; 1]));
    }

    #[test]
    fn what_was_wiped_is_read_no_more() {
        let mut journal = Journal::new(100).unwrap();
        assert!(journal.append(b"keys"));
        let descriptor = journal.descriptor().unwrap();
        journal.wipe();
        let left = Left::read(descriptor.try_clone().unwrap());
        assert!(matches!(left, Err(JournalError::Layout)));
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut File::from(descriptor), &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0) && bytes.len() == PAGE);
    }

    #[test]
    fn what_is_no_such_memory_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_sealed(file.as_fd()));
        assert!(matches!(Left::read(file.into()), Err(JournalError::Unsealed)));
        let open = memfd_create(NAME, MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(!is_sealed(open.as_fd()));
        fcntl(&open, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
        assert!(is_sealed(open.as_fd()));
        assert!(matches!(Left::read(open), Err(JournalError::Layout)));
        let journal = Journal::new(10).unwrap();
        journal.mapping.words()[WORD_COMMITTED].store(PAGE as u64, Ordering::Release);
        let left = Left::read(journal.descriptor().unwrap());
        assert!(matches!(left, Err(JournalError::Layout)));
    }
}

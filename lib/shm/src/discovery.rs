//! The discovery page: one small POSIX segment per instance that `ctl` can read when the primary is dead, hangs, or its
//! hugepages are gone. The crate `shared_memory` makes and maps it.
//!
//! It is advisory. The lock in the run directory says whether a primary lives; this page says how it was when it was
//! last seen: state, heartbeat, last words.

use std::fs::File;
use std::io;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;
use shared_memory::{Shmem, ShmemConf};

use crate::mapping::Mapping;
use crate::process::ProcessId;
use crate::records::{from_text, text};
use crate::region::LAYOUT_HASH;
use crate::slot::{self, Found};

const MAGIC: u64 = u64::from_le_bytes(*b"tg-disco");
const PAGE: usize = 4096;
const WORDS: usize = PAGE / 8;

const PID: usize = 2;
const START_TIME: usize = 3;
const STARTED_AT: usize = 4;
const STATE: usize = 5;
const HEARTBEAT: usize = 6;
const VERSION: usize = 8;
const VERSION_WORDS: usize = 8;
const LAST_ERROR: usize = 16;
/// Sequence word and the text.
const LAST_ERROR_WORDS: usize = 1 + 64;
const LAST_RELOAD: usize = 96;
/// Sequence word, the time, whether all went well, and the text.
const LAST_RELOAD_WORDS: usize = 1 + 2 + RELOAD_TEXT_WORDS;
const RELOAD_TEXT_WORDS: usize = 64;

/// How often the primary writes its heartbeat.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_millis(100);

/// What a primary is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// Between its start and the first packet.
    Starting,
    /// It forwards.
    Ready,
    /// It was told to end and cleans up.
    Stopping,
    /// It gave up; the last error says why.
    Failed,
}

impl InstanceState {
    fn from_raw(raw: u64) -> Option<Self> {
        [Self::Starting, Self::Ready, Self::Stopping, Self::Failed]
            .into_iter()
            .find(|state| *state as u64 == raw)
    }

    /// The stable name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// The segment could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the shared memory segment {name}: {source} (is /dev/shm mounted and writable?)")]
pub struct DiscoveryError {
    /// The segment's name.
    name: String,
    /// What the kernel or the crate answered.
    source: io::Error,
}

/// The primary's side. Dropping it removes the segment; a killed primary leaves it for `ctl` to read.
pub struct DiscoveryPage {
    segment: Shmem,
}

// SAFETY: the segment is reached through atomics only; Shmem is not Send because it holds a raw pointer.
unsafe impl Send for DiscoveryPage {}

// SAFETY: as above; every method stores atomics only.
unsafe impl Sync for DiscoveryPage {}

impl DiscoveryPage {
    /// Makes the segment `name`, readable by `group`, and replaces one that a dead primary left: the caller holds the
    /// lock of the instance.
    pub fn create(name: &str, group: Option<u32>, version: &str) -> Result<Self, DiscoveryError> {
        remove(name);
        let failed = |source| DiscoveryError {
            name: name.to_owned(),
            source,
        };
        let segment = ShmemConf::new()
            .os_id(name)
            .size(PAGE)
            .create()
            .map_err(|error| failed(io::Error::other(error)))?;
        let page = Self { segment };
        if group.is_some() {
            let descriptor =
                shm_open(name, OFlag::O_RDWR, Mode::empty()).map_err(|errno| failed(errno.into()))?;
            let file = File::from(descriptor);
            fchown(&file, None, group).map_err(failed)?;
            file.set_permissions(PermissionsExt::from_mode(0o640))
                .map_err(failed)?;
        }
        let me = ProcessId::current();
        let mut version_words = [0u64; VERSION_WORDS];
        copy_text::<{ VERSION_WORDS * 8 }>(version, &mut version_words);
        for (index, word) in version_words.into_iter().enumerate() {
            page.set(VERSION + index, word);
        }
        page.set(PID, u64::from(me.pid));
        page.set(START_TIME, me.start_time);
        page.set(STARTED_AT, now_ns());
        page.beat();
        page.set_state(InstanceState::Starting);
        page.set(1, LAYOUT_HASH);
        page.set(0, MAGIC);
        Ok(page)
    }

    /// Says that the primary is alive now.
    pub fn beat(&self) {
        self.set(HEARTBEAT, now_ns());
    }

    /// Says what the primary is doing.
    pub fn set_state(&self, state: InstanceState) {
        self.set(STATE, state as u64);
    }

    /// Leaves a sentence for whoever looks after the primary's end; cut at 512 bytes.
    pub fn set_last_error(&self, message: &str) {
        let mut words = [0u64; LAST_ERROR_WORDS - 1];
        copy_text::<{ (LAST_ERROR_WORDS - 1) * 8 }>(message, &mut words);
        slot::write(
            &words_of(&self.segment)[LAST_ERROR..LAST_ERROR + LAST_ERROR_WORDS],
            Some(&words),
        );
    }

    /// Says what came of the last configuration that was applied or refused, now; cut at 512 bytes.
    pub fn set_last_reload(&self, ok: bool, outcome: &str) {
        let mut words = [0u64; LAST_RELOAD_WORDS - 1];
        words[0] = now_ns();
        words[1] = u64::from(ok);
        copy_text::<{ RELOAD_TEXT_WORDS * 8 }>(outcome, &mut words[2..]);
        slot::write(
            &words_of(&self.segment)[LAST_RELOAD..LAST_RELOAD + LAST_RELOAD_WORDS],
            Some(&words),
        );
    }

    fn set(&self, index: usize, value: u64) {
        words_of(&self.segment)[index].store(value, Ordering::Release);
    }
}

/// What the page said at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryReader {
    /// The primary.
    pub process: ProcessId,
    /// Its version.
    pub version: String,
    /// Layout hash of its tables.
    pub layout_hash: u64,
    /// What it was doing; `None` when this build does not know the value.
    pub state: Option<InstanceState>,
    /// When it started.
    pub started_at: SystemTime,
    /// When it was last known to be alive, to within [`HEARTBEAT_PERIOD`].
    pub heartbeat: SystemTime,
    /// Its last words, if it had any.
    pub last_error: Option<String>,
    /// What came of the last configuration since the start, if there was one.
    pub last_reload: Option<LastReload>,
}

/// What came of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReload {
    /// When.
    pub at: SystemTime,
    /// Whether what runs is what it says.
    pub ok: bool,
    /// What was changed, or why nothing was.
    pub outcome: String,
}

impl DiscoveryReader {
    /// Reads the segment `name`; `None` when there is none or it is not a discovery page.
    pub fn read(name: &str) -> Option<Self> {
        // Not by the crate, which opens for writing: a reader needs no more than read permission.
        let descriptor = shm_open(name, OFlag::O_RDONLY, Mode::empty()).ok()?;
        Self::of(&File::from(descriptor))
    }

    /// Reads a page that is open already; `None` when it is none.
    pub fn of(file: &File) -> Option<Self> {
        if file.metadata().ok()?.len() < PAGE as u64 {
            return None;
        }
        let mapping = Mapping::readable(file, PAGE).ok()?;
        let words = mapping.words();
        let load = |index: usize| words[index].load(Ordering::Acquire);
        if load(0) != MAGIC {
            return None;
        }
        let version: Vec<u8> = (0..VERSION_WORDS)
            .flat_map(|index| load(VERSION + index).to_ne_bytes())
            .collect();
        let mut error = [0u64; LAST_ERROR_WORDS - 1];
        let found = slot::read(&words[LAST_ERROR..LAST_ERROR + LAST_ERROR_WORDS], &mut error);
        let error: Vec<u8> = error.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut reload = [0u64; LAST_RELOAD_WORDS - 1];
        let reloaded = slot::read(&words[LAST_RELOAD..LAST_RELOAD + LAST_RELOAD_WORDS], &mut reload);
        let outcome: Vec<u8> = reload[2..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        Some(Self {
            process: ProcessId {
                pid: u32::try_from(load(PID)).unwrap_or(0),
                start_time: load(START_TIME),
            },
            version: from_text(&version),
            layout_hash: load(1),
            state: InstanceState::from_raw(load(STATE)),
            started_at: UNIX_EPOCH + Duration::from_nanos(load(STARTED_AT)),
            heartbeat: UNIX_EPOCH + Duration::from_nanos(load(HEARTBEAT)),
            last_error: (found == Found::Record).then(|| from_text(&error)),
            last_reload: (reloaded == Found::Record).then(|| LastReload {
                at: UNIX_EPOCH + Duration::from_nanos(reload[0]),
                ok: reload[1] != 0,
                outcome: from_text(&outcome),
            }),
        })
    }
}

/// Removes the segment `name`, if there is one.
pub fn remove(name: &str) {
    // ENOENT is what the caller wants.
    let _ = shm_unlink(name);
}

fn words_of(segment: &Shmem) -> &[AtomicU64] {
    let words = (segment.len() / 8).min(WORDS);
    // SAFETY: the mapping is page-aligned and at least `words * 8` bytes long, lives as long as `segment`, and other
    // processes reach it through atomics as well.
    unsafe { std::slice::from_raw_parts(segment.as_ptr().cast(), words) }
}

fn copy_text<const N: usize>(value: &str, words: &mut [u64]) {
    for (word, bytes) in words.iter_mut().zip(text::<N>(value).chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(test: &str) -> String {
        format!("/tollgate-test-{}-{test}", std::process::id())
    }

    #[test]
    fn the_page_says_who_and_how() {
        let name = name("who");
        let page = DiscoveryPage::create(&name, None, "0.1.0 (DPDK 22.11.11)").unwrap();
        page.set_state(InstanceState::Ready);
        page.set_last_error("port wan: no such device");
        assert_eq!(DiscoveryReader::read(&name).unwrap().last_reload, None);
        page.set_last_reload(true, "2 changes");
        let seen = DiscoveryReader::read(&name).unwrap();
        assert_eq!(seen.process, ProcessId::current());
        assert_eq!(seen.version, "0.1.0 (DPDK 22.11.11)");
        assert_eq!(seen.state, Some(InstanceState::Ready));
        assert_eq!(seen.last_error.as_deref(), Some("port wan: no such device"));
        assert!(seen.heartbeat.elapsed().unwrap() < Duration::from_secs(5));
        let reload = seen.last_reload.unwrap();
        assert_eq!((reload.ok, reload.outcome.as_str()), (true, "2 changes"));
        assert!(reload.at.elapsed().unwrap() < Duration::from_secs(5));
    }

    #[test]
    fn the_page_goes_with_a_primary_that_ends_and_stays_with_one_that_dies() {
        let name = name("stays");
        drop(DiscoveryPage::create(&name, None, "1").unwrap());
        assert_eq!(DiscoveryReader::read(&name), None);
        // A killed primary drops nothing.
        std::mem::forget(DiscoveryPage::create(&name, None, "1").unwrap());
        assert!(DiscoveryReader::read(&name).is_some());
        let next = DiscoveryPage::create(&name, None, "2").unwrap();
        assert_eq!(DiscoveryReader::read(&name).unwrap().version, "2");
        drop(next);
        assert_eq!(DiscoveryReader::read(&name), None);
    }
}

//! The host during a run: prepared, and afterwards as it was.
//!
//! There is no way out between [`Host::prepare`] and [`Host::restore`] but the ordinary one: work in between returns its
//! error, a signal makes it return one, and nothing panics (a panic aborts here, and would skip the way back).

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ::tests::{HostState, Privilege, RunId, Swept, interrupt, sweep};
use serde::{Deserialize, Serialize};

use crate::{
    cargo,
    error::Error,
    hugepages::Added,
    progress::{say, step},
};

/// A folder that is there on every host with hugepages, is the same in every chroot, and which any user may open: the lock of those who
/// change the number of hugepages.
const LOCK: &str = "/sys/kernel/mm/hugepages";
/// How long another command may take.
const LOCK_LIMIT: Duration = Duration::from_secs(90 * 60);
/// Where `ip netns` keeps its names, on a mount that it makes.
const NETNS: &str = "/run/netns";
/// Folders that come with the first namespace, primary or EAL, and are removed if they were not there before and are empty again.
const RUNTIME_FOLDERS: &[&str] = &[NETNS, "/run/tollgate", "/run/dpdk", "/run/xdp"];

/// What a run has changed and how the host was before; enough to put it back, also from another process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changes {
    run: String,
    before: HostState,
    hugepages: Added,
    absent: Vec<PathBuf>,
    netns_was_mounted: bool,
}

/// A host that is prepared for a run.
pub(crate) struct Host {
    privilege: Privilege,
    changes: Changes,
    _lock: File,
}

impl Host {
    /// Waits for others, notes how the host is, and provides hugepages. If that fails, what was done is undone.
    pub(crate) fn prepare(privilege: Privilege, pages: u64) -> Result<Self, Error> {
        step!("preparing the host: {pages} hugepages of 2 MB, hugetlbfs");
        let lock = lock()?;
        interrupt::check()?;
        let changes = Changes {
            run: RunId::current().to_string(),
            before: HostState::take(),
            hugepages: Added::default(),
            absent: RUNTIME_FOLDERS
                .iter()
                .map(PathBuf::from)
                .filter(|folder| !folder.exists())
                .collect(),
            netns_was_mounted: is_mounted(NETNS),
        };
        let mut host = Self {
            privilege,
            changes,
            _lock: lock,
        };
        match host.changes.hugepages.provide(host.privilege, pages) {
            Ok(()) => Ok(host),
            Err(error) => {
                if let Err(left) = host.restore() {
                    say!("xtask: {left}");
                }
                Err(error)
            }
        }
    }

    /// Puts everything back, whatever signals come.
    ///
    /// # Errors
    /// A step of it failed, or the host is not as it was.
    pub(crate) fn restore(self) -> Result<(), Error> {
        step!("putting the host back as it was");
        self.changes.undo(self.privilege)
    }

    /// Restores the host after `work`, whose error counts first.
    pub(crate) fn restore_after<T>(self, work: Result<T, Error>) -> Result<T, Error> {
        match (work, self.restore()) {
            (Ok(done), Ok(())) => Ok(done),
            (Ok(_), Err(error)) => Err(error),
            (Err(error), restored) => {
                if let Err(left) = restored {
                    say!("xtask: {left}");
                }
                Err(error)
            }
        }
    }

    /// Leaves everything as it is now, and says what is to be undone some day.
    pub(crate) fn keep(self) -> Changes {
        self.changes
    }
}

impl Changes {
    /// Ends what is left of the run and takes back what was changed; goes on after an error and returns the first.
    pub(crate) fn undo(&self, privilege: Privilege) -> Result<(), Error> {
        let run = RunId::parse(&self.run).unwrap_or_else(RunId::of_this_process);
        let swept = sweep_as_root(privilege, &run).map(drop);
        let withdrawn = self.hugepages.withdraw(privilege);
        self.remove_runtime_folders(privilege);
        swept.and(withdrawn)?;
        let differences = self.before.differences(&HostState::take(), &run);
        if differences.is_empty() {
            say!("    hugepages, links, namespaces, mounts, /run, /var/run/dpdk and /dev/shm are as before");
            return Ok(());
        }
        Err(Error::NotRestored(differences))
    }

    /// Removes folders that came with the run. One that is in use by somebody else by now stays, and the comparison says so.
    fn remove_runtime_folders(&self, privilege: Privilege) {
        let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if !self.netns_was_mounted && is_mounted(NETNS) && is_empty(Path::new(NETNS)) {
            let _ = privilege.run_to_undo("unmounts what `ip netns` mounted", &["umount", "-n", NETNS]);
        }
        for folder in self.absent.iter().filter(|folder| is_empty(folder)) {
            let _ = privilege.run_to_undo("removes an empty folder", &["rmdir", &folder.to_string_lossy()]);
        }
    }
}

fn is_mounted(point: &str) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(point))
}

/// The lock of this host, held until the value goes.
fn lock() -> Result<File, Error> {
    let path = Path::new(LOCK);
    let folder = File::open(path).map_err(|source| Error::NoHugepages {
        path: path.to_owned(),
        source,
    })?;
    let began = Instant::now();
    let mut said = false;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::Error(source)) => {
                return Err(Error::File {
                    action: "lock",
                    path: path.to_owned(),
                    source,
                });
            }
            Err(TryLockError::WouldBlock) if began.elapsed() > LOCK_LIMIT => {
                return Err(Error::HostIsBusy(LOCK_LIMIT.as_secs() / 60));
            }
            Err(TryLockError::WouldBlock) if !said => {
                say!("    another `cargo xtask` is using this host's hugepages; waiting for it to end");
                said = true;
            }
            Err(TryLockError::WouldBlock) => {}
        }
        interrupt::check()?;
        thread::sleep(interrupt::TICK);
    }
}

/// Runs [`sweep()`] with privilege: directly, or in a process of its own behind sudo.
pub(crate) fn sweep_as_root(privilege: Privilege, run: &RunId) -> Result<Swept, Error> {
    if privilege == Privilege::Direct {
        return Ok(sweep(run)?);
    }
    // sudo does not hand our folder of temporary files on.
    let temporary = format!("TMPDIR={}", env::temp_dir().display());
    let words = [
        "env",
        &temporary,
        &cargo::own_program().to_string_lossy(),
        "sweep",
        &run.to_string(),
    ];
    let answer = privilege.run_to_undo("removes what the run has left, if anything", &words)?;
    Ok(serde_json::from_value(answer.json()?).unwrap_or_default())
}

/// The other end of [`sweep_as_root`].
pub(crate) fn sweep_here(run: &RunId) -> Result<(), Error> {
    let swept = sweep(run)?;
    say!("{}", serde_json::json!(swept));
    Ok(())
}

//! Hugepages for a run: reserved and mounted by `tollgate-hugepage-setup` as far as they are not there, and given back.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ::tests::{Privilege, binaries};
use serde::{Deserialize, Serialize};

use crate::{error::Error, progress::say};

/// The 2 MB pages of all nodes.
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// Where hugetlbfs is mounted by custom.
const MOUNT_POINT: &str = "/dev/hugepages";
/// A mount is busy until the last process that had a file in it is gone for good.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(10);

/// What was added to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    /// 2 MB pages. A difference and not the former count: other users may come and go meanwhile.
    pages: u64,
    /// Mounts of hugetlbfs.
    mounts: Vec<String>,
    /// Folders made to mount on.
    mount_points: Vec<PathBuf>,
}

impl Added {
    /// Sees to it that `pages` pages of 2 MB are free and that hugetlbfs is mounted. What was changed is in `self` also if
    /// an error comes.
    pub(crate) fn provide(&mut self, privilege: Privilege, pages: u64) -> Result<(), Error> {
        let before = Pool::read()?;
        if let Some(total) = before.total_for(pages) {
            say!(
                "    {} hugepages of 2 MB are free; reserving {total} in all",
                before.free()
            );
            let done = setup(
                privilege,
                "reserves hugepages",
                &["reserve", "--size", "2M", "--pages", &total.to_string()],
            );
            self.pages = Pool::read()?.total.saturating_sub(before.total);
            done?;
        }
        if mounts()?.is_empty() {
            let was_there = Path::new(MOUNT_POINT).exists();
            let done = setup(privilege, "mounts hugetlbfs", &["mount"]);
            self.mounts = mounts()?;
            if !was_there && Path::new(MOUNT_POINT).exists() {
                self.mount_points.push(PathBuf::from(MOUNT_POINT));
            }
            done?;
        }
        Ok(())
    }

    /// Takes away what was added; goes on after an error and returns the first.
    pub(crate) fn withdraw(&self, privilege: Privilege) -> Result<(), Error> {
        let unmounted = self
            .mounts
            .iter()
            .map(|point| unmount(privilege, point))
            .fold(Ok(()), Result::and);
        let removed = self
            .mount_points
            .iter()
            .filter(|point| point.exists())
            .map(|point| remove(privilege, point))
            .fold(Ok(()), Result::and);
        let released = if self.pages == 0 {
            Ok(())
        } else {
            let total = Pool::read()?.total.saturating_sub(self.pages).to_string();
            setup(
                privilege,
                "gives hugepages back",
                &["release", "--size", "2M", "--pages", &total],
            )
        };
        unmounted.and(removed).and(released)
    }
}

/// The suite's own tool for the host: what it says is shown.
fn setup(privilege: Privilege, why: &str, words: &[&str]) -> Result<(), Error> {
    let program = binaries::find("tollgate-hugepage-setup")?;
    let program = program.to_string_lossy();
    let mut all = vec![&*program];
    all.extend(words);
    privilege.run_to_undo(why, &all)?;
    Ok(())
}

fn unmount(privilege: Privilege, point: &str) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        match privilege.run_to_undo("unmounts what was mounted", &["umount", "-n", point]) {
            Err(error) if began.elapsed() > UNMOUNT_LIMIT => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(200)),
            Ok(_) => return Ok(()),
        }
    }
}

fn remove(privilege: Privilege, folder: &Path) -> Result<(), Error> {
    privilege.run_to_undo(
        "removes a folder that was made to mount on",
        &["rmdir", &folder.to_string_lossy()],
    )?;
    Ok(())
}

fn mounts() -> Result<Vec<String>, Error> {
    Ok(mounts_of_2m(&read("/proc/mounts")?))
}

/// The mount points of hugetlbfs with pages of 2 MB in the text of /proc/mounts.
fn mounts_of_2m(text: &str) -> Vec<String> {
    let mounts = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts
        .filter(|fields| fields.get(2) == Some(&"hugetlbfs"))
        .filter(|fields| {
            fields
                .get(3)
                .is_some_and(|options| options.split(',').any(|option| option == "pagesize=2M"))
        })
        .filter_map(|fields| fields.get(1).map(|point| (*point).to_owned()))
        .collect()
}

/// Counts of 2 MB pages.
#[derive(Clone, Copy, Debug)]
struct Pool {
    /// On the host.
    total: u64,
    /// Not in use.
    unused: u64,
    /// Of these, promised to mappings that have not touched them yet.
    promised: u64,
}

impl Pool {
    fn read() -> Result<Self, Error> {
        let count = |name: &str| -> Result<u64, Error> {
            let text = read(&format!("{POOL}/{name}")).map_err(|error| match error {
                Error::File { path, source, .. } => Error::NoHugepages { path, source },
                other => other,
            })?;
            Ok(text.trim().parse().unwrap_or(0))
        };
        Ok(Self {
            total: count("nr_hugepages")?,
            unused: count("free_hugepages")?,
            promised: count("resv_hugepages")?,
        })
    }

    fn free(&self) -> u64 {
        self.unused.saturating_sub(self.promised)
    }

    /// How many pages the host must have in all so that `pages` are free; None if they are.
    fn total_for(&self, pages: u64) -> Option<u64> {
        let missing = pages.saturating_sub(self.free());
        (missing > 0).then(|| self.total + missing)
    }
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: PathBuf::from(path),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_in_use_or_promised_are_not_counted_on() {
        let pool = Pool {
            total: 300,
            unused: 100,
            promised: 40,
        };
        assert_eq!(pool.total_for(60), None);
        assert_eq!(pool.total_for(61), Some(301));
        assert_eq!(
            Pool {
                total: 0,
                unused: 0,
                promised: 0
            }
            .total_for(256),
            Some(256)
        );
    }

    #[test]
    fn a_mount_with_pages_of_another_size_does_not_serve() {
        let text = "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n\
                    none /mnt/huge1g hugetlbfs rw,relatime,pagesize=1024M 0 0\n\
                    tmpfs /tmp tmpfs rw,pagesize=2M 0 0\n";
        assert_eq!(mounts_of_2m(text), ["/dev/hugepages"]);
    }
}

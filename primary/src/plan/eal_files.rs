//! What EAL leaves on the host, and that it goes.
//!
//! EAL makes a runtime directory even when it is told to keep everything in memory, and with files it leaves these, and
//! the hugepages in them, behind after a clean end: another of its processes might still use them.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::Plan;

/// Where EAL has its runtime directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeDirectory {
    /// The directory of all EALs.
    parent: PathBuf,
    /// Whether that one was there before.
    parent_was_there: bool,
    /// That of this one.
    path: PathBuf,
}

impl RuntimeDirectory {
    /// As EAL finds it.
    pub(super) fn find(file_prefix: &str) -> Self {
        let base = env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).unwrap_or_else(|| {
            if geteuid().is_root() {
                PathBuf::from("/var/run")
            } else {
                env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
            }
        });
        Self::below(&base, file_prefix)
    }

    fn below(base: &Path, file_prefix: &str) -> Self {
        let parent = base.join("dpdk");
        Self { parent_was_there: parent.exists(), path: parent.join(file_prefix), parent }
    }

    fn remove_if_empty(&self) -> io::Result<()> {
        // Not empty: another EAL is starting or running there.
        let gone = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty);
        let remove = |path: &Path| fs::remove_dir(path).or_else(|error| if gone(error.kind()) { Ok(()) } else { Err(error) });
        remove(&self.path)?;
        if self.parent_was_there { Ok(()) } else { remove(&self.parent) }
    }
}

impl Plan {
    /// Removes the empty directory that EAL has just made, unless DPDK's own tools are to find this instance by it. After
    /// that nothing of EAL is on the host, so that nothing stays behind however the primary ends.
    pub fn after_eal_start(&self) -> io::Result<()> {
        if self.stock_tools { Ok(()) } else { self.runtime_directory.remove_if_empty() }
    }

    /// Removes all that EAL left. Only after it was shut down, and while this process has the lock of the instance: the
    /// files are those of its file prefix.
    pub fn after_eal_end(&self) -> io::Result<()> {
        if let (true, Some(huge_dir)) = (self.stock_tools, &self.huge_dir) {
            remove_hugepage_files(huge_dir, &self.file_prefix)?;
            match fs::remove_dir_all(&self.runtime_directory.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.runtime_directory.remove_if_empty()
    }
}

/// Removes `<prefix>map_<number>`, which is how EAL names its hugepages.
fn remove_hugepage_files(huge_dir: &Path, file_prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(huge_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(file_prefix)?.strip_prefix("map_"));
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_runtime_directory_goes_and_one_in_use_stays() {
        let base = tempfile::tempdir().unwrap();
        let directory = RuntimeDirectory::below(base.path(), "tg-blue");
        directory.remove_if_empty().expect("there is none yet");
        fs::create_dir_all(&directory.path).unwrap();
        directory.remove_if_empty().unwrap();
        assert!(!directory.parent.exists(), "it was not there before");
        fs::create_dir_all(directory.path.join("config")).unwrap();
        directory.remove_if_empty().unwrap();
        assert!(directory.path.join("config").exists());
        fs::remove_dir(directory.path.join("config")).unwrap();
        RuntimeDirectory::below(base.path(), "tg-blue").remove_if_empty().unwrap();
        assert!(directory.parent.exists() && !directory.path.exists(), "the parent was there before");
    }

    #[test]
    fn only_hugepages_of_the_prefix_go() {
        let directory = tempfile::tempdir().unwrap();
        let others = ["tg-blue.tables", "tg-blue2map_1", "tg-redmap_1", "tg-bluemap_", "tg-bluemap_1x"];
        for name in others.iter().chain(&["tg-bluemap_1", "tg-bluemap_23"]) {
            fs::write(directory.path().join(name), "").unwrap();
        }
        remove_hugepage_files(directory.path(), "tg-blue").unwrap();
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut others = others.to_vec();
        others.sort();
        assert_eq!(left, others);
    }
}

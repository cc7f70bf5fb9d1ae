//! Lock files, and the lock that makes a process the primary of an instance.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{Description, InstanceDir, RegistryError, RunDir, make_directory};

/// This process owns the instance. Dropping it removes the instance's directory.
pub struct InstanceLock {
    directory: InstanceDir,
    _file: File,
}

impl InstanceLock {
    /// `file` is the lock file of `directory`, and locked.
    pub(super) fn new(directory: InstanceDir, file: File) -> Self {
        Self {
            directory,
            _file: file,
        }
    }

    /// The place that is locked.
    pub fn directory(&self) -> &InstanceDir {
        &self.directory
    }

    /// Lets the group use the instance: read the directory, connect, and put event sockets into `events`.
    pub fn open_to(&self, group: Option<u32>) -> Result<(), RegistryError> {
        let events = self.directory.events();
        make_directory(&events, 0o770)?;
        // The mode of a directory that was there already is whatever it was.
        fs::set_permissions(&events, fs::Permissions::from_mode(0o1770))
            .map_err(RegistryError::io("set the mode of", &events))?;
        if group.is_some() {
            for path in [self.directory.path.clone(), self.directory.lock_path(), events] {
                chown(&path, None, group).map_err(RegistryError::io("set the group of", &path))?;
            }
        }
        Ok(())
    }

    /// Publishes the description, whole or not at all.
    pub fn publish(&self, description: &Description, group: Option<u32>) -> Result<(), RegistryError> {
        let path = self.directory.description_path();
        let next = self.directory.path.join("instance.json.new");
        let text = serde_json::to_string_pretty(description).map_err(|error| RegistryError::Description {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let failed = || RegistryError::io("write", &next);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&next)
            .map_err(failed())?;
        file.write_all(text.as_bytes()).map_err(failed())?;
        if group.is_some() {
            chown(&next, None, group).map_err(failed())?;
        }
        fs::rename(&next, &path).map_err(RegistryError::io("publish", &path))
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // What cannot be removed now, 'tollgate-hugepage-setup clean' removes later.
        drop(fs::remove_dir_all(&self.directory.path));
        RunDir(self.directory.run_dir.clone()).remove_if_empty();
    }
}

/// Opens or makes a lock file; `None` when its directory is gone.
pub(super) fn open_lock(path: &Path) -> Result<Option<File>, RegistryError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RegistryError::io("open", path)(error)),
    }
}

/// Whether `path` still names this file: who removes a lock file does so while holding it, so a lock taken after that is
/// on nothing.
pub(super) fn is_at(file: &File, path: &Path) -> Result<bool, RegistryError> {
    let ours = file.metadata().map_err(RegistryError::io("look at", path))?;
    Ok(fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()))
}

pub(super) fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

pub(super) fn is_locked(file: &File) -> io::Result<bool> {
    let mut probe = whole_file(libc::F_RDLCK);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut probe)).map_err(io::Error::from)?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}

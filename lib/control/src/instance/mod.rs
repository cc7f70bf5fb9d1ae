//! The instance registry: a directory per instance under the run directory.
//!
//! The lock is an open-file-description lock: the kernel drops it with the process that holds it, however that ends, and
//! others can ask who holds it without taking it for a moment themselves, which would make a starting primary fail.

mod description;
mod error;
mod lock;
mod name;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

pub use self::description::{CpuClaim, Description, DeviceClaim};
pub use self::error::RegistryError;
pub use self::lock::InstanceLock;
use self::lock::{is_at, is_locked, open_lock, whole_file};
pub use self::name::{BadName, InstanceName};

/// The directory of all instances.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Where instances live unless told otherwise.
    pub const DEFAULT: &'static str = "/run/tollgate";

    /// The directory at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The place of one instance, whether it exists or not.
    pub fn instance(&self, name: &InstanceName) -> InstanceDir {
        InstanceDir {
            path: self.0.join(name.as_str()),
            run_dir: self.0.clone(),
            name: name.clone(),
        }
    }

    /// All instances, alive or dead, by name.
    pub fn instances(&self) -> Result<Vec<InstanceDir>, RegistryError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RegistryError::io("list", &self.0)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(RegistryError::io("list", &self.0))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let (true, Some(Ok(name))) = (
                is_directory,
                entry.file_name().to_str().map(str::parse::<InstanceName>),
            ) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names.iter().map(|name| self.instance(name)).collect())
    }

    /// Waits for its turn among starting primaries and cleaners: whoever holds the guard compares claims and publishes
    /// its own without a race.
    pub fn claims(&self) -> Result<ClaimsGuard, RegistryError> {
        let path = self.claims_path();
        loop {
            make_directory(&self.0, 0o755)?;
            let Some(file) = open_lock(&path)? else { continue };
            fcntl(file.as_fd(), FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK)))
                .map_err(|errno| RegistryError::io("lock", &path)(errno.into()))?;
            if is_at(&file, &path)? {
                return Ok(ClaimsGuard { _file: file });
            }
        }
    }

    fn claims_path(&self) -> PathBuf {
        self.0.join(".claims")
    }

    /// Removes the run directory when no instance is left in it. Under the claims lock, so that nobody compares claims
    /// under a lock file that is gone; when another process holds it, the directory is in use anyway.
    pub fn remove_if_empty(&self) {
        let path = self.claims_path();
        let Ok(Some(file)) = open_lock(&path) else { return };
        if fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))).is_err() {
            return;
        }
        let empty =
            fs::read_dir(&self.0).is_ok_and(|entries| entries.flatten().all(|entry| entry.path() == path));
        if empty {
            drop(fs::remove_file(&path));
            drop(fs::remove_dir(&self.0));
        }
    }
}

/// While it is held, no other process compares or publishes claims.
pub struct ClaimsGuard {
    _file: File,
}

/// The place of one instance.
#[derive(Clone, Debug)]
pub struct InstanceDir {
    path: PathBuf,
    run_dir: PathBuf,
    name: InstanceName,
}

impl InstanceDir {
    /// Name of the instance.
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Where those who subscribe to events put their sockets.
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// The name of the discovery segment: the run directory is part of it, since instances of two run directories may
    /// have one name.
    pub fn segment(&self) -> String {
        let run_dir = fs::canonicalize(&self.run_dir).unwrap_or_else(|_| self.run_dir.clone());
        let hash = run_dir
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            });
        format!("/tollgate-{}-{hash:08x}", self.name)
    }

    /// Whether the directory is there.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether a primary lives here now: it holds the lock.
    pub fn is_alive(&self) -> Result<bool, RegistryError> {
        let path = self.lock_path();
        match File::open(&path) {
            Ok(file) => is_locked(&file).map_err(RegistryError::io("look at", &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(RegistryError::io("open", &path)(error)),
        }
    }

    /// What the primary said of itself; `None` when it has not yet, or died before it could.
    pub fn description(&self) -> Result<Option<Description>, RegistryError> {
        let path = self.description_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RegistryError::io("read", &path)(error)),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| RegistryError::Description {
                path,
                reason: error.to_string(),
            })
    }

    /// Takes the instance for this process: makes the directory and locks it. A directory that a dead primary left is
    /// taken over as it is.
    pub fn claim(&self) -> Result<InstanceLock, RegistryError> {
        let path = self.lock_path();
        loop {
            make_directory(&self.run_dir, 0o755)?;
            match make_directory(&self.path, 0o750) {
                Err(RegistryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            }
            // The last owner may remove the directory between any two steps.
            let Some(file) = open_lock(&path)? else { continue };
            if fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))).is_err() {
                return Err(RegistryError::Running {
                    name: self.name.clone(),
                    pid: self.owner(),
                });
            }
            if is_at(&file, &path)? {
                file.set_len(0).map_err(RegistryError::io("write", &path))?;
                writeln!(&file, "{}", std::process::id()).map_err(RegistryError::io("write", &path))?;
                // What a dead primary said of itself is true no more.
                drop(fs::remove_file(self.description_path()));
                return Ok(InstanceLock::new(self.clone(), file));
            }
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn description_path(&self) -> PathBuf {
        self.path.join("instance.json")
    }

    fn owner(&self) -> u32 {
        fs::read_to_string(self.lock_path())
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), RegistryError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(RegistryError::io("make the directory", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, InstanceDir) {
        let directory = tempfile::tempdir().unwrap();
        let instance = RunDir::new(&directory.path().join("run")).instance(&"blue".parse().unwrap());
        (directory, instance)
    }

    #[test]
    fn names_are_fit_for_file_names() {
        for good in ["blue", "0", "a-b_c", &"x".repeat(32)] {
            assert!(good.parse::<InstanceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "..", "a/b", "Blue", &"x".repeat(33), "a b", ".claims"] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_is_claimed_once_and_leaves_nothing() {
        let (_guard, instance) = place();
        let lock = instance.claim().unwrap();
        assert!(instance.is_alive().unwrap());
        let message = instance.claim().err().unwrap().to_string();
        assert!(
            message.contains(&format!("pid {}", std::process::id())),
            "{message}"
        );
        drop(lock);
        assert!(!instance.is_alive().unwrap());
        assert!(!instance.run_dir.exists());
    }

    #[test]
    fn looking_at_an_instance_does_not_keep_it_from_starting() {
        let (_guard, instance) = place();
        drop(instance.claim().unwrap());
        std::thread::scope(|scope| {
            let looker = scope.spawn(|| (0..20_000).filter(|_| instance.is_alive().unwrap()).count());
            while !looker.is_finished() {
                drop(instance.claim().unwrap());
            }
        });
    }

    #[test]
    fn a_directory_that_a_dead_primary_left_is_taken_over() {
        let (_guard, instance) = place();
        fs::create_dir_all(instance.path()).unwrap();
        fs::write(instance.lock_path(), "1\n").unwrap();
        assert!(!instance.is_alive().unwrap());
        instance.claim().unwrap();
    }

    #[test]
    fn instances_of_two_run_directories_have_segments_of_their_own() {
        let (_first, one) = place();
        let (_second, two) = place();
        assert_ne!(one.segment(), two.segment());
    }
}

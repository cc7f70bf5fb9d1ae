//! The instance registry: a directory per instance under the run directory.
//!
//! The lock is an open-file-description lock: the kernel drops it with the process that holds it, however that ends, and
//! others can ask who holds it without taking it for a moment themselves, which would make a starting primary fail.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};
use shm::ProcessId;

/// The name of an instance: 1 to 32 lower-case letters, digits, `-` and `_`, starting with a letter or digit. It becomes
/// part of file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName(String);

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Text that is no instance name.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not an instance name: use 1 to 32 lower-case letters, digits, '-' and '_', starting with a letter or digit"
)]
pub struct BadName(String);

impl FromStr for InstanceName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = (1..=32).contains(&bytes.len())
            && plain(bytes[0])
            && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'_'));
        if good { Ok(Self(text.to_owned())) } else { Err(BadName(text.to_owned())) }
    }
}

impl TryFrom<String> for InstanceName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.0
    }
}

/// What a primary says of itself in `instance.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the instance.
    pub name: InstanceName,
    /// [`crate::VERSION`] of the primary.
    pub version: String,
    /// Process id of the primary.
    pub pid: u32,
    /// Its start time in clock ticks after boot.
    pub start_time: u64,
    /// EAL file prefix.
    pub file_prefix: String,
    /// The network namespace that it entered, as `ip netns` names it.
    pub netns: Option<String>,
    /// The configuration file.
    pub config: PathBuf,
    /// The hugetlbfs mount that it uses.
    pub huge_dir: PathBuf,
    /// The table region.
    pub tables: PathBuf,
    /// Name of the discovery segment.
    pub segment: String,
    /// The group that may use the instance.
    pub group: Option<String>,
    /// Whether DPDK's own secondaries may attach.
    pub stock_tools: bool,
    /// The devices that it owns.
    pub devices: Vec<DeviceClaim>,
    /// The CPUs that its workers run on.
    pub cpus: Vec<CpuClaim>,
}

impl Description {
    /// The primary that wrote this.
    pub fn process(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_time: self.start_time }
    }
}

/// A device that an instance owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceClaim {
    /// Name of the interface in the configuration.
    pub interface: String,
    /// The devargs as configured.
    pub device: String,
    /// What two instances cannot both have: a PCI address, or a kernel interface with the inode of its network
    /// namespace. `None` for devices that exist only inside the process.
    pub key: Option<String>,
}

/// A CPU that a worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuClaim {
    /// Number of the CPU.
    pub cpu: u32,
    /// Whether the worker polls without pause, so that nobody else can use the CPU.
    pub busy: bool,
}

/// The directory of all instances.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

/// What the registry could not do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The instance runs already.
    #[error(
        "instance '{name}' is running already (pid {pid}): give this one another name, or stop that one with 'kill {pid}'"
    )]
    Running {
        /// The instance.
        name: InstanceName,
        /// Its primary.
        pid: u32,
    },
    /// No directory of that name.
    #[error("there is no instance '{name}' in {run_dir}: 'tollgate-ctl instance show' lists those that are there")]
    Unknown {
        /// The instance.
        name: InstanceName,
        /// Where it was looked for.
        run_dir: PathBuf,
    },
    /// The caller may not.
    #[error("no permission for {path}: run as root, or as a member of the instance's group ([instance] group)")]
    Permission {
        /// The file or directory.
        path: PathBuf,
    },
    /// The description is not one.
    #[error("{path} is not an instance description ({reason}): a tool of another build wrote it, or it was cut short")]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// Anything else that the kernel refused.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl RegistryError {
    fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            _ => Self::Io { step, path, source },
        }
    }
}

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
        InstanceDir { path: self.0.join(name.as_str()), run_dir: self.0.clone(), name: name.clone() }
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
            if let (true, Some(Ok(name))) = (is_directory, entry.file_name().to_str().map(str::parse::<InstanceName>)) {
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
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
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
            .map_err(|error| RegistryError::Description { path, reason: error.to_string() })
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
                return Err(RegistryError::Running { name: self.name.clone(), pid: self.owner() });
            }
            if is_at(&file, &path)? {
                file.set_len(0).map_err(RegistryError::io("write", &path))?;
                writeln!(&file, "{}", std::process::id()).map_err(RegistryError::io("write", &path))?;
                // What a dead primary said of itself is true no more.
                drop(fs::remove_file(self.description_path()));
                return Ok(InstanceLock { directory: self.clone(), _file: file });
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
        fs::read_to_string(self.lock_path()).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

/// This process owns the instance. Dropping it removes the instance's directory.
pub struct InstanceLock {
    directory: InstanceDir,
    _file: File,
}

impl InstanceLock {
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
        let text = serde_json::to_string_pretty(description)
            .map_err(|error| RegistryError::Description { path: path.clone(), reason: error.to_string() })?;
        let failed = || RegistryError::io("write", &next);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&next).map_err(failed())?;
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

fn make_directory(path: &Path, mode: u32) -> Result<(), RegistryError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(RegistryError::io("make the directory", path)),
    }
}

/// Opens or makes a lock file; `None` when its directory is gone.
fn open_lock(path: &Path) -> Result<Option<File>, RegistryError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RegistryError::io("open", path)(error)),
    }
}

/// Whether `path` still names this file: who removes a lock file does so while holding it, so a lock taken after that is
/// on nothing.
fn is_at(file: &File, path: &Path) -> Result<bool, RegistryError> {
    let ours = file.metadata().map_err(RegistryError::io("look at", path))?;
    Ok(fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()))
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn is_locked(file: &File) -> io::Result<bool> {
    let mut probe = whole_file(libc::F_RDLCK);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut probe)).map_err(io::Error::from)?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
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
        assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
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

//! Where EAL keeps its runtime directory: it makes one in any mode, and leaves it behind.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where DPDK's own tools look for programs of root.
const SYSTEM: &str = "/var/run";
/// Sockets that a primary process has there: for telemetry, and for secondary processes.
const SOCKETS: [&str; 2] = ["dpdk_telemetry.v2", "mp_socket"];
/// How often the directory of all prefixes may vanish while it is in use.
const ATTEMPTS: usize = 100;

/// The process has threads already.
#[derive(Debug, thiserror::Error)]
#[error(
    "the EAL runtime directory can only be set before the process has a second thread, and it has {threads}"
)]
pub struct ThreadsRunning {
    /// Threads of the process.
    threads: usize,
}

/// The runtime directory of a file prefix cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirectoryError {
    /// It cannot be said any more which it is.
    #[error(transparent)]
    ThreadsRunning(#[from] ThreadsRunning),
    /// Another program has it.
    #[error(
        "the file prefix '{file_prefix}' is that of a DPDK program that runs, whose socket is {}: choose another one, or end that program",
        socket.display()
    )]
    InUse {
        /// As asked for.
        file_prefix: String,
        /// What it has there.
        socket: PathBuf,
    },
    /// It cannot be made.
    #[error("DPDK's runtime directory {} cannot be made: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The runtime directory of an EAL that DPDK's own tools find by its file prefix, `/var/run/dpdk/PREFIX`. Dropped, it is
/// removed with all that is in it: after EAL is shut down.
#[derive(Debug)]
#[must_use = "dropped, it is removed"]
pub struct RuntimeDirectory {
    path: PathBuf,
}

impl RuntimeDirectory {
    /// Makes the directory for the EAL that this process will start with `--file-prefix`, and lets it use no other. What a dead
    /// one left there stays, EAL takes it over.
    ///
    /// # Errors
    /// The process has several threads, a program that lives has the prefix, or the directory cannot be made.
    pub fn make(file_prefix: &str) -> Result<Self, RuntimeDirectoryError> {
        // systemd sets it for what a unit's own programs look for, and nobody else.
        set_runtime_directory(Path::new(SYSTEM))?;
        Self::make_below(&Path::new(SYSTEM).join("dpdk"), file_prefix)
    }

    fn make_below(all: &Path, file_prefix: &str) -> Result<Self, RuntimeDirectoryError> {
        let path = all.join(file_prefix);
        // With --in-memory EAL would take the prefix with whoever has it, and the tools would find the other one.
        let taken = SOCKETS.iter().map(|name| path.join(name));
        if let Some(socket) = taken.into_iter().find(|socket| has_owner(socket)) {
            return Err(RuntimeDirectoryError::InUse {
                file_prefix: file_prefix.to_owned(),
                socket,
            });
        }
        // A program that ends may remove the directory above as long as that is empty.
        let mut made = Ok(());
        for _ in 0..ATTEMPTS {
            made = make_directory(all).and_then(|()| make_directory(&path));
            if !matches!(&made, Err(error) if error.kind() == ErrorKind::NotFound) {
                break;
            }
        }
        match made {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(RuntimeDirectoryError::Io { path, source }),
        }
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        // What cannot be removed does no harm: the next one of this prefix takes it over.
        drop(fs::remove_dir_all(&self.path));
        if let Some(all) = self.path.parent() {
            // Not empty while another DPDK program runs.
            drop(fs::remove_dir(all));
        }
    }
}

/// Makes a directory as EAL would, if there is none.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether a process has the socket, of whatever type: one of another type is refused by its type, and notices nothing.
fn has_owner(socket: &Path) -> bool {
    match UnixDatagram::unbound().and_then(|asking| asking.connect(socket)) {
        Ok(()) => true,
        Err(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::NotADirectory
        ),
    }
}

/// Makes EAL keep its runtime directory in `directory` instead of /var/run (`RUNTIME_DIRECTORY`, as systemd sets it).
pub fn set_runtime_directory(directory: &Path) -> Result<(), ThreadsRunning> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads != 1 {
        return Err(ThreadsRunning { threads });
    }
    // SAFETY: the environment must not be read by another thread meanwhile, and there is none.
    unsafe { std::env::set_var("RUNTIME_DIRECTORY", directory) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_directory_is_made_with_its_parent_and_both_go() {
        let root = tempfile::tempdir().unwrap();
        let all = root.path().join("dpdk");
        let one = RuntimeDirectory::make_below(&all, "one").unwrap();
        let other = RuntimeDirectory::make_below(&all, "other").unwrap();
        fs::write(one.path.join("config"), "").unwrap();
        drop(one);
        assert!(!all.join("one").exists() && all.join("other").exists());
        drop(other);
        assert!(!all.exists());
    }

    #[test]
    fn what_a_dead_program_left_is_taken_over_and_that_of_a_live_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("blue")).unwrap();
        for (name, is_listener) in [("dpdk_telemetry.v2", true), ("mp_socket", false)] {
            let path = root.path().join("blue").join(name);
            let owner: Box<dyn std::any::Any> = if is_listener {
                Box::new(UnixListener::bind(&path).unwrap())
            } else {
                Box::new(UnixDatagram::bind(&path).unwrap())
            };
            let error = RuntimeDirectory::make_below(root.path(), "blue").unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("'blue'") && message.contains(name) && message.contains("choose another"),
                "{message}"
            );
            drop(owner);
        }
        drop(RuntimeDirectory::make_below(root.path(), "blue").unwrap());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RuntimeDirectory::make_below(&file, "blue").unwrap_err();
        assert!(error.to_string().contains("file/blue"), "{error}");
    }
}

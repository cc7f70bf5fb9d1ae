//! Where EAL keeps its runtime directory: it makes one in any mode, and leaves it behind.

use std::path::Path;

/// The process has threads already.
#[derive(Debug, thiserror::Error)]
#[error(
    "the EAL runtime directory can only be set before the process has a second thread, and it has {threads}"
)]
pub struct ThreadsRunning {
    /// Threads of the process.
    threads: usize,
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

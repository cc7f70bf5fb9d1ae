//! The two locks that tell whether an EAL primary lives: fcntl(2) on its `config`, flock(2) on its hugepage files. The
//! kernel drops both with the process.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;

/// Whether another process holds a record lock anywhere in the file.
pub(crate) fn is_record_locked(file: &File) -> io::Result<bool> {
    let mut probe = whole_file();
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut probe)).map_err(io::Error::from)?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}

/// Takes the record lock on all of the file until it is closed, so that no primary starts on it; false when somebody has
/// it.
pub(crate) fn take_record_lock(file: &File) -> io::Result<bool> {
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole_file())) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the lock that EAL keeps on a hugepage file; `None` when somebody has it.
pub(crate) fn take_file_lock(file: File) -> io::Result<Option<Flock<File>>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

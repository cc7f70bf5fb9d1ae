//! Helpers that connect to a socket of the relay's.

use std::fs;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket,
    sockopt::PeerCredentials,
};
use nix::sys::stat::{Mode, fchmod};

use super::carry::{Connection, wait_for};

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// Helpers that wait for the one before to go.
const WAITING: i32 = 4;

/// Why the relay cannot listen for a helper.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something else has this name.
    #[error("{0} is there and is no socket: give the helper another, or remove it")]
    Taken(PathBuf),
    /// Another program listens.
    #[error("another program listens at {0}: give the helper another socket, or end that program")]
    InUse(PathBuf),
    /// Anything else.
    #[error("cannot listen at {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A socket that helpers connect to, one at a time. The file goes with it.
pub(super) struct Socket {
    // SEQPACKET, whatever the type's name says: accepting is the same.
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at `path`. A socket there that nobody listens at is a dead relay's and is replaced.
    pub(super) fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source: io::Error| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        if let Ok(metadata) = fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(SocketError::Taken(path.to_owned()));
            }
            if is_listened_at(path) {
                return Err(SocketError::InUse(path.to_owned()));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = listen_at(path).map_err(failed)?;
        Ok(Self {
            listener: listener.into(),
            path: path.to_owned(),
        })
    }

    /// The next helper; `None` when `ends` says so, which is asked each time that the bell rings.
    pub(super) fn accept(
        &mut self,
        rung: &UnixStream,
        ends: &dyn Fn() -> bool,
    ) -> io::Result<Option<Connection>> {
        loop {
            if ends() {
                return Ok(None);
            }
            match self.listener.accept() {
                Ok((stream, _)) => return connection(stream).map(Some),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            wait_for(&[(self.listener.as_fd(), PollFlags::POLLIN)], rung, None);
            let _ = (&*rung).read(&mut [0; 64]);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already, or nothing that could be done about it.
        let _ = fs::remove_file(&self.path);
    }
}

fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    // The file begins with no more than this.
    fchmod(&listener, Mode::from_bits_truncate(MODE))?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    listen(&listener, Backlog::new(WAITING)?)?;
    Ok(listener)
}

/// Whether a program accepts connections there, or has too many to do so now.
fn is_listened_at(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(probe) = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None) else {
        return true;
    };
    match UnixAddr::new(path).map(|address| connect(probe.as_raw_fd(), &address)) {
        Ok(Err(Errno::ECONNREFUSED)) => false,
        Ok(_) => true,
        Err(_) => false,
    }
}

fn connection(stream: UnixStream) -> io::Result<Connection> {
    stream.set_nonblocking(true)?;
    let peer = getsockopt(&stream, PeerCredentials)?;
    let input = File::from(OwnedFd::from(stream));
    Ok(Connection {
        output: Some(input.try_clone()?),
        input: Some(input),
        is_message_wise: true,
        child: None,
        shown: format!("process {} of user {} is connected", peer.pid(), peer.uid()),
    })
}

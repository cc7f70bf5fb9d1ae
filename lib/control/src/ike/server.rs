//! The daemon's end of its socket. A thread of the daemon accepts and another one per connection serves, so that no tool holds up
//! anything but itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, setsockopt, socket,
    sockopt::PeerCredentials, sockopt::ReceiveTimeout, sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use super::{ABOUT_THE_CONNECTION, IkeAnswer, IkeRequest, socket_path};
use crate::frame::{self, MAX_FRAME, Received};
use crate::instance::InstanceDir;
use crate::message::{ControlError, Envelope, ErrorCode};

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// How long a connection may be idle, and how long a tool may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the socket is still there, milliseconds.
const LOOK_MS: u16 = 500;

/// The listening socket.
pub struct IkeListener {
    // SEQPACKET, whatever the type's name says: accepting is the same.
    listener: UnixListener,
    directory: InstanceDir,
    path: PathBuf,
    inode: u64,
}

/// Who is at the other end, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkePeer {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
}

/// A connection.
pub struct IkeConnection {
    socket: OwnedFd,
    peer: IkePeer,
    buffer: Vec<u8>,
}

impl IkeListener {
    /// Listens. A socket that is there is a dead daemon's: who calls has the instance's IKE packets, and so is the only one.
    ///
    /// # Errors
    ///
    /// The instance has no directory, or the caller may not write there.
    pub fn bind(directory: &InstanceDir) -> io::Result<Self> {
        let path = socket_path(directory);
        let listener = listen_at(directory, &path)?;
        Ok(Self {
            inode: fs::metadata(&path)?.ino(),
            listener,
            directory: directory.clone(),
            path,
        })
    }

    /// Whether nobody has a socket there any more: the primary has made its directory anew, or is gone with it.
    pub fn is_gone(&self) -> bool {
        fs::metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Listens anew, unless the socket that is there is this one. Only who has the instance's IKE packets may: two daemons that wait for a
    /// primary would take it from each other.
    ///
    /// # Errors
    ///
    /// As [`IkeListener::bind`].
    pub fn claim(&mut self) -> io::Result<()> {
        if !self.is_ours() {
            *self = Self::bind(&self.directory)?;
        }
        Ok(())
    }

    fn is_ours(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
    }

    /// Waits for half a second at most for somebody to connect.
    ///
    /// # Errors
    ///
    /// Something is wrong that will not pass by itself.
    pub fn accept(&self) -> io::Result<Option<IkeConnection>> {
        let mut descriptors = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        // Interrupted or not: accepting does not block.
        let _ = poll(&mut descriptors, PollTimeout::from(LOOK_MS));
        match self.listener.accept() {
            Ok((stream, _)) => {
                let socket = OwnedFd::from(stream);
                let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), 0);
                setsockopt(&socket, ReceiveTimeout, &patience)?;
                setsockopt(&socket, SendTimeout, &patience)?;
                let peer = getsockopt(&socket, PeerCredentials)?;
                Ok(Some(IkeConnection {
                    socket,
                    peer: IkePeer {
                        pid: peer.pid(),
                        uid: peer.uid(),
                    },
                    buffer: vec![0; MAX_FRAME],
                }))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}

impl Drop for IkeListener {
    fn drop(&mut self) {
        // One that another has made in its place stays.
        if self.is_ours() {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn listen_at(directory: &InstanceDir, path: &PathBuf) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let sentence = format!(
                "{} is in the way, and cannot be removed ({error}): a daemon of another user has left it, remove it as that user or as root",
                path.display()
            );
            return Err(io::Error::new(error.kind(), sentence));
        }
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    // Who may ask the primary may ask its daemon.
    if let Ok(metadata) = fs::metadata(directory.socket()) {
        chown(path, None, Some(metadata.gid()))?;
    }
    listen(&listener, Backlog::new(16)?)?;
    Ok(listener.into())
}

impl IkeConnection {
    /// Who is there.
    pub fn peer(&self) -> IkePeer {
        self.peer
    }

    /// The next request, and the number to answer it by; `None` when the other end is gone, says nothing for long, or what cannot
    /// be read, which it is told.
    pub fn receive(&mut self) -> Option<(u32, IkeRequest)> {
        let received =
            frame::receive_with::<Envelope<IkeRequest>>(&self.socket, &mut self.buffer, &mut Vec::new());
        match received {
            Received::Message(Envelope { id, body }) => Some((id, body)),
            Received::Malformed => {
                let sentence = format!(
                    "tollgate-ikev2d ({}) cannot read this request: use tools of its build",
                    crate::VERSION
                );
                self.send(
                    ABOUT_THE_CONNECTION,
                    Err(ControlError::new(ErrorCode::BadRequest, sentence)),
                );
                None
            }
            Received::Nothing | Received::Closed => None,
        }
    }

    /// Sends the replies to a request; `false` when the other end does not take them. What fits into no frame is answered by an error,
    /// and so is all behind it. Nothing of them stays in memory.
    pub fn reply(&mut self, id: u32, replies: Vec<IkeAnswer>) -> bool {
        for body in replies {
            match self.send(id, body) {
                Sent::Yes => {}
                Sent::Gone => return false,
                Sent::TooLong => {
                    let sentence = "the answer is longer than a frame: ask for one profile, or without keys";
                    let error = ControlError::new(ErrorCode::Failed, sentence);
                    return matches!(self.send(id, Err(error)), Sent::Yes);
                }
            }
        }
        true
    }

    /// Hangs up, and says why.
    pub fn refuse(mut self, error: ControlError) {
        self.send(ABOUT_THE_CONNECTION, Err(error));
    }

    fn send(&mut self, id: u32, body: IkeAnswer) -> Sent {
        let Some(bytes) = frame::encode_into(&Envelope { id, body }, &mut self.buffer) else {
            frame::wipe(&mut self.buffer);
            return Sent::TooLong;
        };
        let sent = frame::send(&self.socket, bytes, &[]);
        frame::wipe(bytes);
        match sent {
            Ok(()) => Sent::Yes,
            Err(_) => Sent::Gone,
        }
    }

    #[cfg(test)]
    pub(super) fn wait_for_request(&self) {
        let mut descriptors = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut descriptors, PollTimeout::NONE).unwrap();
    }
}

/// What became of a reply.
enum Sent {
    Yes,
    /// The other end does not take it.
    Gone,
    /// It fits into no frame.
    TooLong,
}

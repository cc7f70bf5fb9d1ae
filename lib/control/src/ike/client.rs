//! A tool's end of the daemon's socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::ReceiveTimeout,
    sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use super::{ABOUT_THE_CONNECTION, IkeAnswer, IkeReply, IkeRequest, socket_path};
use crate::VERSION;
use crate::frame::{self, MAX_FRAME, Received};
use crate::instance::InstanceDir;
use crate::message::{ControlError, Envelope, ErrorCode};

/// How long a daemon may take to answer: it may be busy with thousands of peers.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the daemon of an instance.
pub struct IkeClient {
    socket: OwnedFd,
    buffer: Vec<u8>,
    next_id: u32,
    instance: String,
}

impl IkeClient {
    /// Connects.
    ///
    /// # Errors
    ///
    /// There is no daemon, or the caller may not use it.
    pub fn connect(directory: &InstanceDir) -> Result<Self, ControlError> {
        let instance = directory.name().to_string();
        let socket = open(directory).map_err(|errno| refusal(&instance, errno))?;
        Ok(Self {
            socket,
            buffer: vec![0; MAX_FRAME],
            next_id: 0,
            instance,
        })
    }

    /// Sends a request and gives all replies to it.
    ///
    /// # Errors
    ///
    /// The daemon refuses, or is gone, or does not answer.
    pub fn call(&mut self, request: IkeRequest) -> Result<Vec<IkeReply>, ControlError> {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let id = self.next_id;
        let too_long = || {
            ControlError::new(
                ErrorCode::BadRequest,
                "the request is too long: shorten its names",
            )
        };
        let bytes = frame::encode(&Envelope { id, body: request }).ok_or_else(too_long)?;
        match frame::send(&self.socket, &bytes, &[]) {
            // One that has hung up may have said why.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => {}
            Err(errno) => return Err(self.lost(errno)),
        }
        let mut replies = Vec::new();
        let mut is_reset = false;
        loop {
            let received =
                frame::receive_with::<Envelope<IkeAnswer>>(&self.socket, &mut self.buffer, &mut Vec::new());
            match received {
                Received::Message(answer) if [id, ABOUT_THE_CONNECTION].contains(&answer.id) => {
                    let reply = answer.body?;
                    let is_last = reply.is_last();
                    replies.push(reply);
                    if is_last {
                        return Ok(replies);
                    }
                }
                // To a request that ran out of patience before.
                Received::Message(_) => {}
                Received::Malformed => {
                    return Err(ControlError::new(
                        ErrorCode::VersionMismatch,
                        format!(
                            "tollgate-ikev2d answered what this tool ({VERSION}) cannot read: use tools of its build"
                        ),
                    ));
                }
                Received::Nothing => return Err(self.lost(Errno::EAGAIN)),
                // Where the other end has not read all, that comes before what it has said.
                Received::Closed if !is_reset => is_reset = true,
                Received::Closed => return Err(self.lost(Errno::ECONNRESET)),
            }
        }
    }

    fn lost(&self, errno: Errno) -> ControlError {
        let instance = &self.instance;
        match errno {
            Errno::EAGAIN => ControlError::new(
                ErrorCode::NoAnswer,
                format!(
                    "tollgate-ikev2d of '{instance}' has not answered for {} seconds: see its log",
                    PATIENCE.as_secs()
                ),
            ),
            _ => ControlError::new(
                ErrorCode::InstanceDead,
                format!(
                    "tollgate-ikev2d of '{instance}' closed the connection: it ended, or is of another build"
                ),
            ),
        }
    }
}

fn open(directory: &InstanceDir) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), 0);
    setsockopt(&socket, ReceiveTimeout, &patience)?;
    setsockopt(&socket, SendTimeout, &patience)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&socket_path(directory))?)?;
    Ok(socket)
}

fn refusal(instance: &str, errno: Errno) -> ControlError {
    match errno {
        Errno::EACCES => ControlError::new(
            ErrorCode::PermissionDenied,
            format!(
                "tollgate-ikev2d of '{instance}' is not yours to ask: use sudo, or join the group of its primary"
            ),
        ),
        Errno::ENOENT | Errno::ECONNREFUSED => ControlError::new(
            ErrorCode::NotFound,
            format!(
                "no tollgate-ikev2d runs for instance '{instance}': start 'tollgate-ikev2d --instance {instance} --config FILE'"
            ),
        ),
        errno => ControlError::new(
            ErrorCode::Failed,
            format!(
                "cannot connect to tollgate-ikev2d of '{instance}': {}",
                io::Error::from(errno)
            ),
        ),
    }
}

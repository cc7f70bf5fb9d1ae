//! A tool's end of the control socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::ReceiveTimeout,
    sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use crate::VERSION;
pub use crate::frame::MAX_FRAME;
use crate::frame::{self, Received};
use crate::instance::{InstanceDir, RegistryError};
use crate::message::{Answer, ControlError, Envelope, ErrorCode, Reply, Request};

/// How long a primary may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a primary, past its hello.
pub struct Client {
    socket: OwnedFd,
    buffer: Vec<u8>,
    next_id: u32,
    instance: String,
}

impl Client {
    /// Connects to the primary of an instance and says hello as `tool`.
    pub fn connect(directory: &InstanceDir, tool: &str) -> Result<Self, ControlError> {
        let socket = open(directory).map_err(|errno| refusal(directory, errno))?;
        let mut client = Self {
            socket,
            buffer: vec![0; MAX_FRAME],
            next_id: 0,
            instance: directory.name().to_string(),
        };
        client.call(Request::Hello {
            version: VERSION.to_owned(),
            layout_hash: shm::LAYOUT_HASH,
            tool: tool.to_owned(),
        })?;
        Ok(client)
    }

    /// Sends a request and waits for its answer, at most five seconds.
    pub fn call(&mut self, request: Request) -> Result<Reply, ControlError> {
        self.call_with(request, &mut Vec::new())
    }

    /// As [`Client::call`]; into `descriptors` goes what comes with the answer.
    pub fn call_with(
        &mut self,
        request: Request,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Reply, ControlError> {
        self.exchange(request, &[], descriptors)
    }

    /// As [`Client::call`], with a descriptor for the primary.
    pub fn call_handing(&mut self, request: Request, descriptor: OwnedFd) -> Result<Reply, ControlError> {
        self.exchange(request, &[descriptor], &mut Vec::new())
    }

    fn exchange(
        &mut self,
        request: Request,
        handed: &[OwnedFd],
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Reply, ControlError> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let envelope = Envelope { id, body: request };
        let Some(bytes) = frame::encode_into(&envelope, &mut self.buffer) else {
            frame::wipe(&mut self.buffer);
            return Err(ControlError::new(
                ErrorCode::BadRequest,
                format!("the request is longer than {MAX_FRAME} bytes: split it"),
            ));
        };
        let sent = frame::send(&self.socket, bytes, handed);
        frame::wipe(bytes);
        sent.map_err(|errno| self.lost(errno))?;
        loop {
            match frame::receive_with::<Envelope<Answer>>(&self.socket, &mut self.buffer, descriptors) {
                Received::Message(answer) if answer.id == id => return answer.body,
                // An answer to a request that ran out of patience before.
                Received::Message(_) => {}
                Received::Malformed => {
                    return Err(ControlError::new(
                        ErrorCode::VersionMismatch,
                        format!(
                            "the primary of '{}' answered what this tool cannot read: use tools of the primary's build",
                            self.instance
                        ),
                    ));
                }
                Received::Nothing => return Err(self.lost(Errno::EAGAIN)),
                Received::Closed => return Err(self.lost(Errno::ECONNRESET)),
            }
        }
    }

    /// Whether the primary has hung up. Never blocks.
    pub(crate) fn is_closed(&self) -> bool {
        let mut descriptors = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        poll(&mut descriptors, PollTimeout::ZERO).is_ok()
            && descriptors[0]
                .revents()
                .is_some_and(|events| events.intersects(hung_up))
    }

    fn lost(&self, errno: Errno) -> ControlError {
        match errno {
            Errno::EAGAIN => ControlError::new(
                ErrorCode::NoAnswer,
                format!(
                    "the primary of '{}' has not answered for {} seconds: 'tollgate-ctl instance show' tells its last heartbeat",
                    self.instance,
                    PATIENCE.as_secs()
                ),
            ),
            _ => ControlError::new(
                ErrorCode::InstanceDead,
                format!(
                    "the primary of '{}' closed the connection: it ended, or cut this tool off",
                    self.instance
                ),
            ),
        }
    }
}

fn open(directory: &InstanceDir) -> Result<OwnedFd, Errno> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), 0);
    setsockopt(&socket, ReceiveTimeout, &patience)?;
    setsockopt(&socket, SendTimeout, &patience)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&directory.socket())?)?;
    Ok(socket)
}

/// Why nobody could be connected to, from what the registry knows.
fn refusal(directory: &InstanceDir, errno: Errno) -> ControlError {
    let name = directory.name();
    if errno == Errno::EACCES {
        let path = directory.socket();
        return RegistryError::Permission { path }.into();
    }
    match directory.is_alive() {
        Err(error) => error.into(),
        Ok(true) => ControlError::new(
            ErrorCode::NoAnswer,
            format!(
                "the primary of '{name}' does not take connections ({}): it is starting or ending; try again",
                io::Error::from(errno)
            ),
        ),
        Ok(false) if directory.exists() => dead(directory),
        Ok(false) => unknown(directory),
    }
}

/// The refusal for an instance that is not there.
pub fn unknown(directory: &InstanceDir) -> ControlError {
    RegistryError::Unknown {
        name: directory.name().clone(),
        run_dir: directory.path().parent().map(Into::into).unwrap_or_default(),
    }
    .into()
}

/// The refusal for an instance whose primary is dead.
pub fn dead(directory: &InstanceDir) -> ControlError {
    ControlError::new(
        ErrorCode::InstanceDead,
        format!(
            "the primary of '{}' is dead: start it again, or remove what it left with 'tollgate-hugepage-setup clean'",
            directory.name()
        ),
    )
}

impl From<RegistryError> for ControlError {
    fn from(error: RegistryError) -> Self {
        let code = match &error {
            RegistryError::Unknown { .. } => ErrorCode::UnknownInstance,
            RegistryError::Permission { .. } => ErrorCode::PermissionDenied,
            RegistryError::Description { .. } => ErrorCode::VersionMismatch,
            RegistryError::Running { .. } => ErrorCode::Exists,
            RegistryError::Io { .. } => ErrorCode::Failed,
        };
        Self::new(code, error.to_string())
    }
}

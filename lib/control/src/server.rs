//! The primary's end of the control socket: never blocks, and no client can hold up another.
//!
//! The control thread polls [`Server::descriptors`] with its own and calls [`Server::serve`]. A client that does not read
//! its answers has at most [`PENDING`] of them waiting, then it is cut off.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, UnixCredentials, bind, getsockopt, listen, socket,
    sockopt::PeerCredentials,
};

use crate::VERSION;
use crate::frame::{self, MAX_FRAME, Received};
use crate::instance::InstanceDir;
use crate::message::{Answer, ControlError, Envelope, ErrorCode, Reply, Request};

/// Answers that may wait for a client that does not read.
pub const PENDING: usize = 64;
/// The most clients at a time.
pub const CLIENTS: usize = 64;
/// Requests that one client gets answered before the others have their turn.
const TURN: usize = 8;

/// The listening socket and all connections.
pub struct Server {
    // SEQPACKET, whatever the type's name says: accepting is the same.
    listener: UnixListener,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    connections: u64,
    closed: Vec<u64>,
}

struct Client {
    socket: OwnedFd,
    peer: Peer,
    greeted: bool,
    pending: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// An answer, and the descriptors that go with it.
pub struct Response {
    /// What is answered.
    pub answer: Answer,
    /// At most [`shm::attachment::handover::DESCRIPTORS`].
    pub descriptors: Vec<OwnedFd>,
}

impl<E: Into<ControlError>> From<Result<Reply, E>> for Response {
    fn from(answer: Result<Reply, E>) -> Self {
        Self {
            answer: answer.map_err(Into::into),
            descriptors: Vec::new(),
        }
    }
}

/// Who is at the other end, by the kernel's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Number of the connection, never used again.
    pub connection: u64,
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// What it calls itself; empty before its hello.
    pub tool: String,
}

enum Fate {
    Stays,
    Goes,
}

impl Server {
    /// Binds the control socket of an instance whose lock this process holds; a socket that is there is a dead
    /// primary's.
    pub fn bind(directory: &InstanceDir, group: Option<u32>) -> io::Result<Self> {
        let path = directory.socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(listener.as_raw_fd(), &UnixAddr::new(&path)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        if group.is_some() {
            chown(&path, None, group)?;
        }
        listen(&listener, Backlog::new(16)?)?;
        Ok(Self {
            listener: listener.into(),
            clients: Vec::new(),
            buffer: vec![0; MAX_FRAME],
            connections: 0,
            closed: Vec::new(),
        })
    }

    /// What to poll for.
    pub fn descriptors<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        // Who is not accepted waits in the backlog.
        if self.clients.len() < CLIENTS {
            into.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        }
        for client in &self.clients {
            let write = if client.pending.is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::POLLOUT
            };
            into.push(PollFd::new(client.socket.as_fd(), PollFlags::POLLIN | write));
        }
    }

    /// Takes connections and answers requests, a few of each client; the rest wait for the next call. `answer` gets the
    /// descriptors that came with a request. Returns whether a client had more than its turn, so that the caller comes back at
    /// once.
    pub fn serve(&mut self, mut answer: impl FnMut(&Peer, Request, Vec<OwnedFd>) -> Response) -> bool {
        self.accept();
        let mut more = false;
        let (buffer, closed) = (&mut self.buffer, &mut self.closed);
        self.clients.retain_mut(|client| {
            let stays = matches!(client.serve(buffer, &mut answer, &mut more), Fate::Stays);
            if !stays {
                closed.push(client.peer.connection);
            }
            stays
        });
        more
    }

    /// Numbers of the connections that have closed since the last call.
    pub fn take_closed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.closed)
    }

    /// Closes a connection. It is not among those that [`Server::take_closed`] gives.
    pub fn disconnect(&mut self, connection: u64) {
        self.clients.retain(|client| client.peer.connection != connection);
    }

    /// How many tools are connected.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    fn accept(&mut self) {
        while self.clients.len() < CLIENTS {
            let Ok((socket, _)) = self.listener.accept() else {
                return;
            };
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            let socket = OwnedFd::from(socket);
            let Ok(credentials) = getsockopt(&socket, PeerCredentials) else {
                continue;
            };
            self.connections += 1;
            self.clients.push(Client {
                peer: Peer::new(self.connections, credentials),
                socket,
                greeted: false,
                pending: VecDeque::new(),
            });
        }
    }
}

impl Peer {
    fn new(connection: u64, credentials: UnixCredentials) -> Self {
        Self {
            connection,
            pid: credentials.pid(),
            uid: credentials.uid(),
            gid: credentials.gid(),
            tool: String::new(),
        }
    }
}

impl Client {
    fn serve(
        &mut self,
        buffer: &mut [u8],
        answer: &mut impl FnMut(&Peer, Request, Vec<OwnedFd>) -> Response,
        more: &mut bool,
    ) -> Fate {
        if let Fate::Goes = self.flush() {
            return Fate::Goes;
        }
        for _ in 0..TURN {
            let mut descriptors = Vec::new();
            let received = frame::receive_with::<Envelope<Request>>(&self.socket, buffer, &mut descriptors);
            let Envelope { id, body } = match received {
                Received::Message(request) => request,
                Received::Nothing => return Fate::Stays,
                // A client of another build, or a hostile one: either way nothing it says can be trusted to be what it means.
                Received::Malformed => {
                    let message = format!(
                        "the primary ({VERSION}) cannot read this request: use tools of the primary's build"
                    );
                    self.reply(0, Err(ControlError::new(ErrorCode::BadRequest, message)).into());
                    return Fate::Goes;
                }
                Received::Closed => return Fate::Goes,
            };
            let response = match body {
                Request::Hello {
                    version,
                    layout_hash,
                    tool,
                } => self.hello(&version, layout_hash, tool).into(),
                _ if !self.greeted => Err(ControlError::new(
                    ErrorCode::BadRequest,
                    "a connection begins with a hello: send that first",
                ))
                .into(),
                request => answer(&self.peer, request, descriptors),
            };
            let refused = !self.greeted;
            if let Fate::Goes = self.reply(id, response) {
                return Fate::Goes;
            }
            if refused {
                return Fate::Goes;
            }
        }
        *more = true;
        Fate::Stays
    }

    fn hello(&mut self, version: &str, layout_hash: u64, tool: String) -> Answer {
        if version != VERSION || layout_hash != shm::LAYOUT_HASH {
            return Err(ControlError::new(
                ErrorCode::VersionMismatch,
                format!(
                    "{tool} is {version} with table layout {layout_hash:016x}, the primary {VERSION} with {:016x}: use \
                     tools of the primary's build",
                    shm::LAYOUT_HASH
                ),
            ));
        }
        self.greeted = true;
        self.peer.tool = tool.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(Reply::Hello {
            version: VERSION.to_owned(),
        })
    }

    fn reply(&mut self, id: u32, response: Response) -> Fate {
        let body = response.answer;
        let bytes = frame::encode(&Envelope { id, body }).or_else(|| {
            let body: Answer = Err(ControlError::new(
                ErrorCode::Failed,
                "the answer is too long for a message: ask for less",
            ));
            frame::encode(&Envelope { id, body })
        });
        let Some(bytes) = bytes else { return Fate::Goes };
        if self.pending.len() >= PENDING {
            return Fate::Goes;
        }
        self.pending.push_back((bytes, response.descriptors));
        self.flush()
    }

    fn flush(&mut self) -> Fate {
        while let Some((bytes, descriptors)) = self.pending.front() {
            match frame::send(&self.socket, bytes, descriptors) {
                Ok(()) => drop(self.pending.pop_front()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Fate::Stays,
                Err(_) => return Fate::Goes,
            }
        }
        Fate::Stays
    }
}

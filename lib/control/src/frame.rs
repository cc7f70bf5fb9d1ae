//! One message per SEQPACKET datagram: the kernel keeps the borders, postcard the content.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recvmsg, sendmsg};
use serde::{Serialize, de::DeserializeOwned};

/// The longest message, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;

/// What a non-blocking receive gave.
#[derive(Debug)]
pub(crate) enum Received<T> {
    /// A message.
    Message(T),
    /// Bytes that are no message, or too many of them.
    Malformed,
    /// Nothing now.
    Nothing,
    /// The other end is gone.
    Closed,
}

/// Encodes a message; `None` when it would be longer than [`MAX_FRAME`].
pub(crate) fn encode<T: Serialize>(message: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(message)
        .ok()
        .filter(|bytes| bytes.len() <= MAX_FRAME)
}

/// Sends one encoded message. `EAGAIN` when the other end does not read and the socket does not block.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    // MSG_NOSIGNAL: a client that is gone is an error to handle, not a SIGPIPE.
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map(drop)
}

/// Receives one message into `buffer`, which is [`MAX_FRAME`] long.
pub(crate) fn receive<T: DeserializeOwned>(socket: &OwnedFd, buffer: &mut [u8]) -> Received<T> {
    let (length, truncated) = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match recvmsg::<()>(socket.as_raw_fd(), &mut slices, None, MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) => break (message.bytes, message.flags.contains(MsgFlags::MSG_TRUNC)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Received::Nothing,
            Err(_) => return Received::Closed,
        }
    };
    if length == 0 {
        return Received::Closed;
    }
    match postcard::take_from_bytes(&buffer[..length]) {
        Ok((message, rest)) if rest.is_empty() && !truncated => Received::Message(message),
        _ => Received::Malformed,
    }
}

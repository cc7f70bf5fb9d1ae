//! One message per SEQPACKET datagram: the kernel keeps the borders, postcard the content.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use shm::attachment::handover;

/// The longest message, in bytes.
pub const MAX_FRAME: usize = 128 * 1024;

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

/// Sends one encoded message and descriptors with it. `EAGAIN` when the other end does not read and the socket does not
/// block.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[OwnedFd]) -> Result<(), Errno> {
    let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[][..] } else { &rights };
    // MSG_NOSIGNAL: a client that is gone is an error to handle, not a SIGPIPE.
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None).map(drop)
}

/// Receives one message into `buffer`, which is [`MAX_FRAME`] long, and into `descriptors` what comes with it.
pub(crate) fn receive_with<T: DeserializeOwned>(
    socket: &OwnedFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Received<T> {
    let received = loop {
        match handover::receive(socket.as_fd(), buffer) {
            Ok(received) => break received,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Received::Nothing,
            Err(_) => return Received::Closed,
        }
    };
    if received.length == 0 {
        return Received::Closed;
    }
    *descriptors = received.descriptors;
    match postcard::take_from_bytes(&buffer[..received.length]) {
        Ok((message, rest)) if rest.is_empty() && !received.truncated => Received::Message(message),
        _ => Received::Malformed,
    }
}

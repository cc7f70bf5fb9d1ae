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

/// Encodes a message into `buffer`, which is [`MAX_FRAME`] long and has a use for [`wipe`] then; `None` when it would be longer.
/// Nothing of it is anywhere else, as it would be where a vector grows.
pub(crate) fn encode_into<'a, T: Serialize>(message: &T, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    postcard::to_slice(message, buffer).ok()
}

/// Makes nothing of what was said in a message: it may have had keys in it.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Without this a compiler that sees the end of the buffer could leave the zeros out.
    std::hint::black_box(bytes);
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

/// Receives one message into `buffer`, which is [`MAX_FRAME`] long, and into `descriptors` what comes with it. Nothing of the message
/// stays in the buffer.
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
    let bytes = &mut buffer[..received.length];
    let message = match postcard::take_from_bytes(bytes) {
        Ok((message, rest)) if rest.is_empty() && !received.truncated => Received::Message(message),
        _ => Received::Malformed,
    };
    wipe(bytes);
    message
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn nothing_of_a_message_stays_in_the_buffers_it_went_through() {
        let mut buffer = vec![0; MAX_FRAME];
        for (message, is_one) in [(&b"a secret"[..], true), (&[0xff; 20][..], false)] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let encoded = encode_into(&message, &mut buffer).unwrap();
            let sent = if is_one { &*encoded } else { message };
            send(&ours.into(), sent, &[]).unwrap();
            wipe(encoded);
            assert!(buffer.iter().all(|byte| *byte == 0));
            let received = receive_with::<Vec<u8>>(&theirs.into(), &mut buffer, &mut Vec::new());
            assert_eq!(
                matches!(received, Received::Message(text) if text == message),
                is_one
            );
            assert!(buffer.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn what_does_not_fit_is_not_encoded() {
        let mut buffer = [0; 8];
        assert!(encode_into(&[1_u8; 9], &mut buffer).is_none());
    }
}

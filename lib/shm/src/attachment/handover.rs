//! Descriptors that come with a message, SCM_RIGHTS of unix(7).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// The most descriptors that come with a message.
pub const DESCRIPTORS: usize = 2;

/// What came.
#[derive(Debug)]
pub struct Received {
    /// Bytes of the message.
    pub length: usize,
    /// Whether it was longer than there was room for.
    pub truncated: bool,
    /// What came with it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Receives one message into `buffer`, and at most [`DESCRIPTORS`] descriptors with it.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = cmsg_space!([i32; DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let rights = message.cmsgs()?.filter_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = rights
        .flatten()
        // SAFETY: the kernel has just made the descriptor for this process, and nobody else knows of it.
        .map(|raw| unsafe { OwnedFd::from_raw_fd(raw) })
        .collect();
    Ok(Received {
        length: message.bytes,
        truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        descriptors,
    })
}

//! A link of a namespace as whoever is malicious uses it: whole frames out, whole frames in.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, setns},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrLike,
        recvfrom, sendmmsg, sendto, socket,
    },
};

use crate::{Error, Namespace};

/// `sll_pkttype` of what this host has sent itself, packet(7).
const OUTGOING: u8 = 4;
/// Longer than any frame of a test.
const LONGEST: usize = 4096;
/// A sender that was held up for longer does not catch up.
const LONGEST_DELAY: Duration = Duration::from_millis(20);
/// How soon a clock is looked at again that is not that of this thread.
const SOON: Duration = Duration::from_micros(200);

/// A packet socket.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    link: LinkAddr,
    name: String,
}

impl Wire {
    /// Frames that are handed to the kernel at a time.
    pub const AT_A_TIME: usize = 32;

    /// Opens the link `interface` of `namespace`. Only root may: tests that use it run as root.
    ///
    /// # Errors
    /// The kernel refuses, or there is no such link.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self, Error> {
        let (path, name) = (namespace.path(), format!("{interface} of {}", namespace.name()));
        // A thread that has entered another namespace ends there.
        let open = || {
            setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
            open(interface)
        };
        let opened = thread::scope(|scope| scope.spawn(open).join());
        Self::opened(opened.unwrap_or(Err(Errno::EINTR.into())), name)
    }

    /// As [`Wire::open`], of the namespace of this thread.
    ///
    /// # Errors
    /// The kernel refuses, or there is no such link.
    pub fn open_here(interface: &str) -> Result<Self, Error> {
        Self::opened(open(interface), interface.to_owned())
    }

    fn opened(opened: io::Result<(OwnedFd, LinkAddr)>, name: String) -> Result<Self, Error> {
        let (socket, link) = opened.map_err(|source| Error::File {
            action: "open",
            path: PathBuf::from(&name),
            source,
        })?;
        Ok(Self { socket, link, name })
    }

    fn refused(&self, errno: Errno) -> Error {
        Error::File {
            action: "send or receive by",
            path: PathBuf::from(&self.name),
            source: errno.into(),
        }
    }

    /// Sends a frame of 14 bytes or more; the kernel takes no shorter one.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        let (socket, link) = (self.socket.as_raw_fd(), &self.link as &dyn SockaddrLike);
        let sent = sendto(socket, frame, link, MsgFlags::empty());
        sent.map(drop).map_err(|errno| self.refused(errno))
    }

    /// Sends frames over and over, `rate` a second by `clock`, as long as `go_on` says so, and gives how many it has sent. What was
    /// missed in a short delay is caught up.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send_at(
        &self,
        frames: &[Vec<u8>],
        rate: u32,
        clock: impl Fn() -> Duration,
        go_on: impl Fn() -> bool,
    ) -> Result<u64, Error> {
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(Self::AT_A_TIME, None);
        let links = [Some(self.link); Self::AT_A_TIME];
        let interval = Duration::from_secs(1) * Self::AT_A_TIME as u32 / rate.max(1);
        let mut due = clock();
        let mut count = 0;
        for turn in frames.chunks(Self::AT_A_TIME).cycle() {
            let mut now = clock();
            while now < due && go_on() {
                thread::sleep(SOON.min(due - now));
                now = clock();
            }
            if !go_on() {
                break;
            }
            due = due.max(now.saturating_sub(LONGEST_DELAY)) + interval;
            let slices: Vec<_> = turn.iter().map(|frame| [io::IoSlice::new(frame)]).collect();
            let socket = self.socket.as_raw_fd();
            let sent = sendmmsg(socket, &mut headers, &slices, links, [], MsgFlags::empty())
                .map_err(|errno| self.refused(errno))?;
            count += sent.count() as u64;
        }
        Ok(count)
    }

    /// The next frame that arrives within `limit`, if one does; zero is for what is there already.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn receive(&self, limit: Duration) -> Result<Option<Vec<u8>>, Error> {
        let socket = self.socket.as_raw_fd();
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut frame = vec![0; LONGEST];
        let refused = |errno| self.refused(errno);
        while poll(&mut waiting, limit).map_err(refused)? > 0 {
            let (length, from) = recvfrom::<LinkAddr>(socket, &mut frame).map_err(refused)?;
            if from.is_none_or(|from| from.pkttype() != OUTGOING) {
                frame.truncate(length);
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}

fn open(interface: &str) -> io::Result<(OwnedFd, LinkAddr)> {
    let all = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, all)?;
    let link = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or(Errno::ENODEV)?;
    Ok((socket, link))
}

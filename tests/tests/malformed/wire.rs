//! A link of a namespace as whoever is malicious uses it: whole frames out, whole frames in.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use nix::{
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, setns},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, recvfrom, sendto,
        socket,
    },
};
use tests::Namespace;

/// `sll_pkttype` of what this host has sent itself, packet(7).
const OUTGOING: u8 = 4;
/// Longer than any frame of a test.
const LONGEST: usize = 4096;

/// A packet socket.
pub(crate) struct Wire {
    socket: OwnedFd,
    link: LinkAddr,
}

impl Wire {
    /// Opens the link `interface` of `namespace`.
    pub(crate) fn open(namespace: &Namespace, interface: &str) -> Self {
        let path = namespace.path();
        // A thread that has entered another namespace ends there.
        let open = || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let all = SockProtocol::EthAll;
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, all).unwrap();
            let link = getifaddrs()
                .unwrap()
                .filter(|found| found.interface_name == interface)
                .find_map(|found| found.address?.as_link_addr().copied())
                .unwrap();
            Self { socket, link }
        };
        thread::scope(|scope| scope.spawn(open).join().unwrap())
    }

    /// Sends a frame of 14 bytes or more; the kernel takes no shorter one.
    pub(crate) fn send(&self, frame: &[u8]) {
        let sent = sendto(
            self.socket.as_raw_fd(),
            frame,
            &self.link as &dyn SockaddrLike,
            MsgFlags::empty(),
        );
        assert_eq!(sent, Ok(frame.len()));
    }

    /// The next frame that arrives within `limit`; zero is for what is there already.
    pub(crate) fn receive(&self, limit: Duration) -> Option<Vec<u8>> {
        let socket = self.socket.as_raw_fd();
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap();
        let mut frame = vec![0; LONGEST];
        while poll(&mut waiting, limit).unwrap() > 0 {
            let (length, from) = recvfrom::<LinkAddr>(socket, &mut frame).unwrap();
            if from.is_none_or(|from| from.pkttype() != OUTGOING) {
                frame.truncate(length);
                return Some(frame);
            }
        }
        None
    }
}

//! Packets in UDP from another place than before: the other end is behind an address translation that has forgotten it, or has moved
//! (RFC 3948 section 1, RFC 7296 section 2.23).
//!
//! Anybody can send from anywhere, so nothing follows before a packet is found to be authentic, and the newest so far: then it is told, and
//! the new place is the one that counts. Where packets go that are sent is not changed: whoever installs SAs decides about that.

use std::net::{IpAddr, SocketAddr};

use control::message::Sa;
use packet::Protocol;

use crate::path::Family;

/// Where packets of an SA come from, be it through an address translation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    at: SocketAddr,
    /// Where it was before, if that is still to be told.
    before: Option<SocketAddr>,
    /// When a change may be told again, ticks.
    quiet_until: u64,
}

impl Peer {
    /// Of an SA as it is installed; `None` without UDP, where packets come from its source alone.
    pub(crate) fn new(sa: &Sa) -> Option<Self> {
        let (source, _) = sa.udp?;
        Some(Self {
            at: SocketAddr::new(sa.source, source),
            before: None,
            quiet_until: 0,
        })
    }

    /// Whether a packet from there comes from where others did.
    #[inline]
    pub(crate) fn is_at(&self, address: IpAddr, port: u16) -> bool {
        self.at.port() == port && self.at.ip() == address
    }

    /// Takes the newest packet that is authentic. A change that comes too soon after another is left to later packets.
    #[cold]
    pub(crate) fn came_from(&mut self, place: SocketAddr, now: u64, pause: u64) {
        if place != self.at && now >= self.quiet_until {
            self.before = Some(self.at);
            self.at = place;
            self.quiet_until = now.saturating_add(pause);
        }
    }

    /// From where to where it moved, once.
    #[inline]
    pub(crate) fn take_move(&mut self) -> Option<(SocketAddr, SocketAddr)> {
        let before = self.before.take()?;
        Some((before, self.at))
    }
}

/// The source port of the UDP header in front of an ESP header `at` bytes into a frame, if there is one right behind the IP header.
pub(crate) fn source_port(frame: &[u8], link_len: usize, family: Family, at: usize) -> Option<u16> {
    let (protocol, len) = match family {
        Family::Four => (9, usize::from(frame.get(link_len)? & 0x0f) * 4),
        Family::Six => (6, packet::ipv6::HEADER_LEN),
    };
    let is_udp = frame.get(link_len + protocol) == Some(&Protocol::UDP.0);
    let begin = link_len + len;
    let port = frame.get(begin..)?.first_chunk()?;
    (is_udp && begin + esp::udp::HEADER_LEN == at).then(|| u16::from_be_bytes(*port))
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;

    fn place(last: u8, port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, last].into(), port)
    }

    #[test]
    fn a_move_is_told_once_and_the_next_one_after_a_pause() {
        let mut peer = Peer {
            at: place(1, 4500),
            before: None,
            quiet_until: 0,
        };
        peer.came_from(place(1, 4500), 0, 10);
        assert_eq!(peer.take_move(), None);
        peer.came_from(place(1, 1024), 0, 10);
        assert_eq!(peer.take_move(), Some((place(1, 4500), place(1, 1024))));
        assert_eq!(peer.take_move(), None);
        let (address, port) = (place(1, 1024).ip(), 1024);
        assert!(peer.is_at(address, port) && !peer.is_at(address, 4500));
        assert!(!peer.is_at(place(2, 0).ip(), port));
        peer.came_from(place(2, 1024), 9, 10);
        assert_eq!(peer.take_move(), None);
        peer.came_from(place(2, 1024), 10, 10);
        assert_eq!(peer.take_move(), Some((place(1, 1024), place(2, 1024))));
    }

    #[test]
    fn the_port_is_read_where_udp_stands_right_behind_the_ip_header() {
        let four = || PacketBuilder::ipv4([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let six = || PacketBuilder::ipv6(1.into(), 2.into());
        for (family, packet, at, expected) in [
            (Family::Four, four().udp(1024, 4500, b"12345678"), 28, Some(1024)),
            (
                Family::Four,
                four().options(&[1; 4]).udp(1024, 4500, b"12345678"),
                32,
                Some(1024),
            ),
            (Family::Four, four().payload(Protocol::ESP, b"12345678"), 20, None),
            (Family::Six, six().udp(1024, 4500, b"12345678"), 48, Some(1024)),
            (Family::Six, six().payload(Protocol::ESP, b"12345678"), 40, None),
        ] {
            let frame = [&[0; 14][..], &packet].concat();
            assert_eq!(
                source_port(&frame, 14, family, 14 + at),
                expected,
                "{packet:02x?}"
            );
            for cut in 0..frame.len() {
                source_port(&frame[..cut], 14, family, 14 + at);
            }
        }
    }
}

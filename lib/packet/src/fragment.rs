//! Cuts packets that are too long for a link: IPv4 on the way (RFC 791 §3.2, RFC 1812 §4.2.2.7), IPv6 at its source
//! (RFC 8200 §4.5).
//!
//! ```text
//!   header │ payload ─────────────────────────────────────────────┐
//!          │ 0        first          │ next            │ last     │
//!   Cut:   header + 0..first   header' + first..next   header' + next..
//! ```
//!
//! A [`Cut`] is the headers of one fragment and which bytes of the payload follow them; who has the payload copies it.

use std::ops::Range;

use crate::ipv4_options::{Ipv4Option, Ipv4Options};
use crate::{Protocol, ipv4, ipv6};

/// The longest IPv4 header.
const MAX_HEADER_LEN_V4: usize = 60;
/// Bytes of an IPv6 fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;
/// Flags and offset of an IPv4 header.
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// One fragment.
#[derive(Clone, Debug)]
pub struct Cut {
    headers: [u8; MAX_HEADER_LEN_V4],
    len: usize,
    /// Which bytes of the payload of the packet that is cut.
    pub payload: Range<usize>,
}

impl Cut {
    /// What stands in front of the payload.
    pub fn headers(&self) -> &[u8] {
        self.headers.get(..self.len).unwrap_or_default()
    }
}

/// The fragments of a packet, in order.
#[derive(Clone, Debug)]
pub struct Cuts {
    kind: Kind,
    /// Header of the first fragment.
    first: Cut,
    /// Header of the others: IPv4 options that are not copied are left out.
    others: Cut,
    mtu: usize,
    next: usize,
    payload_len: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    V4 {
        /// Where the payload belongs in the whole packet's, in units of 8 bytes: the packet may be a fragment itself.
        offset: u16,
        /// The packet is a fragment that another follows.
        more: bool,
    },
    V6,
}

/// The fragments for a link of `mtu` bytes of the IPv4 packet with `header`, valid and all of it, options included.
/// `None` for a header that is none, for one that says that it may not be fragmented, and for an MTU that leaves less than
/// 8 bytes for the payload: 68 are enough for any header.
pub fn cut_v4(header: &[u8], mtu: u16) -> Option<Cuts> {
    let fixed = header.first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let header = header.get(..usize::from(fixed[0] & 0x0f) * 4)?;
    let options = header.get(ipv4::HEADER_LEN..)?;
    let (total, flags) = (usize::from(word(2)), word(6));
    if flags & DONT_FRAGMENT != 0 || usize::from(mtu) < header.len() + 8 {
        return None;
    }
    let mut first = Cut::of(header)?;
    first.len = header.len();
    let mut others = Cut::of(fixed)?;
    for option in copied(options) {
        others
            .headers
            .get_mut(others.len..others.len + option.len())?
            .copy_from_slice(option);
        others.len += option.len();
    }
    // What is left of the last word is zero, the end of the options.
    others.len = others.len.next_multiple_of(4);
    Some(Cuts {
        kind: Kind::V4 {
            offset: flags & OFFSET,
            more: flags & MORE_FRAGMENTS != 0,
        },
        first,
        others,
        mtu: mtu.into(),
        next: 0,
        payload_len: total.checked_sub(header.len())?,
    })
}

/// The fragments for a link of `mtu` bytes, at least 56, of an IPv6 packet that the gateway made itself or put together; `header` is
/// its own, and `identification` no other such packet's between the two addresses. All that follows the header is cut: a hop-by-hop header,
/// which each fragment would need (RFC 8200 section 4.5), is not to be there.
pub fn cut_v6(header: &[u8; ipv6::HEADER_LEN], mtu: u16, identification: u32) -> Option<Cuts> {
    let mut first = Cut::of(header)?;
    let (next_header, payload_len) = (header[6], u16::from_be_bytes([header[4], header[5]]));
    if usize::from(mtu) < ipv6::HEADER_LEN + FRAGMENT_HEADER_LEN + 8 {
        return None;
    }
    first.headers[6] = Protocol::FRAGMENT.0;
    let [id0, id1, id2, id3] = identification.to_be_bytes();
    first
        .headers
        .get_mut(ipv6::HEADER_LEN..ipv6::HEADER_LEN + FRAGMENT_HEADER_LEN)?
        .copy_from_slice(&[next_header, 0, 0, 0, id0, id1, id2, id3]);
    first.len = ipv6::HEADER_LEN + FRAGMENT_HEADER_LEN;
    Some(Cuts {
        kind: Kind::V6,
        others: first.clone(),
        first,
        mtu: mtu.into(),
        next: 0,
        payload_len: payload_len.into(),
    })
}

impl Cut {
    fn of(header: &[u8]) -> Option<Self> {
        let mut headers = [0; MAX_HEADER_LEN_V4];
        headers.get_mut(..header.len())?.copy_from_slice(header);
        Some(Self {
            headers,
            len: header.len(),
            payload: 0..0,
        })
    }
}

impl Iterator for Cuts {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let left = self.payload_len.checked_sub(self.next).filter(|left| *left > 0)?;
        let mut cut = if self.next == 0 {
            self.first.clone()
        } else {
            self.others.clone()
        };
        let room = self.mtu - cut.len;
        // All but the last are whole units of 8 bytes.
        let len = if left <= room { left } else { room & !7 };
        let is_last = len == left;
        cut.payload = self.next..self.next + len;
        let here = (self.next / 8) as u16;
        match self.kind {
            Kind::V4 { offset, more } => {
                let more = if is_last && !more { 0 } else { MORE_FRAGMENTS };
                // A packet whose fragments would reach beyond 65,535 bytes reached there before.
                let flags = more | (offset.wrapping_add(here) & OFFSET);
                let total = (cut.len + len) as u16;
                let words = (cut.len / 4) as u8;
                cut.headers[0] = 0x40 | words;
                cut.headers[2..4].copy_from_slice(&total.to_be_bytes());
                cut.headers[6..8].copy_from_slice(&flags.to_be_bytes());
                if let Some(header) = cut.headers.get_mut(..cut.len) {
                    ipv4::fill_checksum(header);
                }
            }
            Kind::V6 => {
                let payload_len = (FRAGMENT_HEADER_LEN + len) as u16;
                let offset = here << 3 | u16::from(!is_last);
                cut.headers[4..6].copy_from_slice(&payload_len.to_be_bytes());
                cut.headers[ipv6::HEADER_LEN + 2..ipv6::HEADER_LEN + 4]
                    .copy_from_slice(&offset.to_be_bytes());
            }
        }
        self.next += len;
        Some(cut)
    }
}

/// The options that every fragment has: those whose copied flag is set (RFC 791 §3.1). Malformed ones end the walk.
fn copied(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    Ipv4Options::new(options)
        .map_while(Result::ok)
        .filter(Ipv4Option::is_copied)
        .map(|option| option.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension;
    use crate::{Ipv4, Ipv6, PacketBuilder};
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 2);
    const B: Ipv4Addr = Ipv4Addr::new(192, 168, 20, 2);

    fn fragments(packet: &[u8], header_len: usize, cuts: Cuts) -> Vec<Vec<u8>> {
        let payload = &packet[header_len..];
        cuts.map(|cut| [cut.headers(), &payload[cut.payload.clone()]].concat())
            .collect()
    }

    fn cut(packet: &[u8], mtu: u16) -> Vec<Vec<u8>> {
        let header_len = usize::from(packet[0] & 15) * 4;
        fragments(packet, header_len, cut_v4(packet, mtu).unwrap())
    }

    #[test]
    fn fragments_carry_the_whole_payload_in_order() {
        let packet = PacketBuilder::ipv4(A, B).identification(7).udp(1, 2, &[9; 3000]);
        let all = cut(&packet, 1500);
        let expected = [(1500, 0, true), (1500, 1480, true), (68, 2960, false)];
        assert_eq!(all.len(), expected.len());
        for (fragment, expected) in all.iter().zip(expected) {
            let ip = Ipv4::parse(fragment).unwrap();
            let found = (fragment.len(), ip.fragment_offset(), ip.more_fragments());
            assert_eq!((found, ip.identification()), (expected, 7));
        }
    }

    #[test]
    fn options_without_the_copied_flag_are_in_the_first_fragment_only() {
        // Record route, 3 bytes of nothing, then router alert, which is copied.
        let options = [7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0];
        let packet = PacketBuilder::ipv4(A, B).options(&options).udp(1, 2, &[9; 200]);
        let all = cut(&packet, 100);
        assert_eq!(Ipv4::parse(&all[0]).unwrap().options(), options);
        for fragment in &all[1..] {
            assert_eq!(Ipv4::parse(fragment).unwrap().options(), [148, 4, 0, 0]);
        }
    }

    #[test]
    fn a_fragment_is_cut_into_fragments_of_the_same_packet() {
        let middle = PacketBuilder::ipv4(A, B)
            .fragment(1480, true)
            .payload(Protocol::UDP, &[9; 1480]);
        let all = cut(&middle, 1000);
        let found: Vec<_> = all
            .iter()
            .map(|fragment| {
                let ip = Ipv4::parse(fragment).unwrap();
                (ip.fragment_offset(), ip.payload().len(), ip.more_fragments())
            })
            .collect();
        assert_eq!(found, [(1480, 976, true), (2456, 504, true)]);
    }

    #[test]
    fn what_may_not_be_cut_is_not() {
        let packet = PacketBuilder::ipv4(A, B).dont_fragment().udp(1, 2, &[9; 3000]);
        assert!(cut_v4(&packet, 1500).is_none());
        let packet = PacketBuilder::ipv4(A, B).udp(1, 2, &[9; 3000]);
        assert!(cut_v4(&packet, 27).is_none());
        assert!(cut_v4(&packet[..19], 1500).is_none());
    }

    #[test]
    fn ipv6_fragments_have_a_fragment_header_each() {
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let packet = PacketBuilder::ipv6(a, b).udp(1, 2, &[9; 3000]);
        let header = packet.first_chunk().unwrap();
        let all = fragments(&packet, 40, cut_v6(header, 1280, 77).unwrap());
        let mut whole = Vec::new();
        for fragment in &all {
            assert!(fragment.len() <= 1280);
            let upper = extension::upper_layer(&Ipv6::parse(fragment).unwrap()).unwrap();
            let said = upper.fragment.unwrap();
            assert_eq!((usize::from(said.offset), said.identification), (whole.len(), 77));
            whole.extend_from_slice(upper.payload);
            assert_eq!(said.more, whole.len() < packet.len() - 40);
            assert_eq!(upper.protocol, Protocol::UDP);
        }
        assert_eq!(whole, packet[40..]);
    }

    proptest! {
        #[test]
        fn every_fragment_is_valid_and_fits(
            len in 1usize..9000, mtu in 68u16..2000, offset in 0u16..1000, more: bool,
            options in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let packet = PacketBuilder::ipv4(A, B)
                .fragment(offset * 8, more)
                .options(&options)
                .payload(Protocol::UDP, &vec![1; len]);
            let mut at = usize::from(offset) * 8;
            let mut ended = false;
            for fragment in cut(&packet, mtu) {
                prop_assert!(fragment.len() <= usize::from(mtu) && !ended);
                let ip = Ipv4::parse(&fragment).unwrap();
                prop_assert_eq!(ip.fragment_offset(), at);
                at += ip.payload().len();
                ended = at == usize::from(offset) * 8 + len;
                prop_assert_eq!(ip.more_fragments(), more || !ended);
            }
            prop_assert!(ended);
        }
    }
}

//! ICMP errors that quote a packet: a filter is asked about that as if it had come itself.
//!
//! ```text
//!   link │ IP │ ICMP │ quoted packet              as it came
//!   link │ IP │ link │ quoted packet              while the filter is asked, which sees what begins at the second
//! ```

use dpdk::Mbuf;
use packet::{EtherType, EthernetHeader, Protocol, icmpv6, ipv4, ipv6};

/// Bytes of an ICMP error before what it quotes.
const ICMP_LEN: usize = 8;
/// The longest link header that is read: two tags.
const LINK_MOST: usize = 22;

/// Whether a frame is an ICMP error, and `matches` is true of the packet that it quotes, behind the link header of the error.
#[cold]
pub(super) fn quotes(mbuf: &mut Mbuf, matches: impl FnOnce(&Mbuf) -> bool) -> bool {
    let Some(Quote { link_len, at }) = quote(mbuf.data()) else {
        return false;
    };
    // What a packet of IP has before its quote is longer than a link header.
    let begin = at - link_len;
    let mut kept = [0; LINK_MOST];
    let (Some(kept), Some(place)) = (kept.get_mut(..link_len), mbuf.data().get(begin..at)) else {
        return false;
    };
    kept.copy_from_slice(place);
    mbuf.data_mut().copy_within(..link_len, begin);
    if mbuf.trim_front(begin).is_err() {
        return false;
    }
    let answer = matches(mbuf);
    if let Some(place) = mbuf.data_mut().get_mut(..link_len) {
        place.copy_from_slice(kept);
    }
    // What was just cut off fits in again.
    drop(mbuf.prepend(begin));
    answer
}

/// Where a quoted packet begins.
#[derive(Debug, PartialEq, Eq)]
struct Quote {
    link_len: usize,
    at: usize,
}

/// What a frame quotes, if it is an ICMP error: RFC 792, RFC 4443 section 2.1. One of several segments has to have it in the first.
fn quote(frame: &[u8]) -> Option<Quote> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    let link_len = link.len();
    let head = match link.ethertype {
        EtherType::IPV4 => {
            let header = packet.first_chunk::<{ ipv4::HEADER_LEN }>()?;
            let later = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
            let len = usize::from(header[0] & 0x0f) * 4;
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            let is_error = matches!(packet.get(len)?, 3 | 4 | 5 | 11 | 12);
            (header[9] == Protocol::ICMP.0 && len >= ipv4::HEADER_LEN && !later && is_error).then_some(len)?
        }
        EtherType::IPV6 => {
            let header = packet.first_chunk::<{ ipv6::HEADER_LEN }>()?;
            let is_error = icmpv6::is_error(*packet.get(ipv6::HEADER_LEN)?);
            (header[6] == Protocol::ICMPV6.0 && is_error).then_some(ipv6::HEADER_LEN)?
        }
        _ => return None,
    };
    let at = link_len + head + ICMP_LEN;
    (at < frame.len() && link_len <= LINK_MOST).then_some(Quote { link_len, at })
}

#[cfg(test)]
mod tests {
    use packet::builder::EthernetBuilder;
    use packet::{MacAddress, PacketBuilder, VlanTag};

    use super::*;

    fn link() -> EthernetBuilder {
        PacketBuilder::ethernet(MacAddress::BROADCAST, MacAddress::BROADCAST)
    }

    #[test]
    fn an_error_is_told_from_what_is_none_and_the_quote_is_found() {
        let quoted = PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).udp(1, 2, b"");
        let error = |kind: u8| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
        let four = |builder: EthernetBuilder, kind| {
            builder
                .ipv4([192, 0, 2, 1].into(), [10, 0, 0, 1].into())
                .payload(Protocol::ICMP, &error(kind))
        };
        for kind in [3, 4, 5, 11, 12] {
            assert_eq!(quote(&four(link(), kind)), Some(Quote { link_len: 14, at: 42 }));
        }
        assert_eq!(quote(&four(link(), 8)), None, "an echo request");
        let tag = VlanTag {
            tpid: EtherType::VLAN,
            tci: 7,
        };
        assert_eq!(
            quote(&four(link().tag(tag), 11)),
            Some(Quote { link_len: 18, at: 46 })
        );
        let six = |kind| {
            link()
                .ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
                .payload(Protocol::ICMPV6, &error(kind))
        };
        assert_eq!(quote(&six(3)), Some(Quote { link_len: 14, at: 62 }));
        assert_eq!(quote(&six(128)), None, "an echo request");
        let whole = four(link(), 3);
        for cut in 0..43 {
            assert_eq!(quote(&whole[..cut]), None, "{cut}");
        }
    }
}

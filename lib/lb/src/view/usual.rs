//! The usual frame: untagged IPv4 without options, whole and exactly as long as its packet, with UDP or TCP in it. What [`super::look`]
//! sees of such a one is seen here with few branches.

use packet::checksum::Sum;
use packet::ethernet::HEADER_LEN;
use packet::tcp::TcpFlags;
use packet::{Protocol, ipv4, tcp, udp};

use super::{Flow, View, What};
use crate::config::Kind;

/// Where what IPv4 carries begins.
const TRANSPORT: usize = HEADER_LEN + ipv4::HEADER_LEN;
/// Bytes that are looked at in any case.
const HEAD: usize = TRANSPORT + udp::HEADER_LEN;

/// What was seen of a usual frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    /// Source and destination port in a row.
    pub(crate) ports: u32,
    /// Bytes of the packet.
    pub(crate) bytes: u16,
    /// UDP or TCP.
    pub(crate) kind: Kind,
    /// Of TCP.
    pub(crate) flags: TcpFlags,
    /// Bytes of the TCP header.
    header: u8,
}

/// Where a frame goes, if it is of IPv4 without tags and options. Nothing else is known to be right.
#[inline(always)]
pub(crate) fn usual_destination(frame: &[u8]) -> Option<u32> {
    let head = frame.first_chunk::<HEAD>()?;
    // EtherType, version 4 and a header of five words; what is shifted out is the type of service.
    const IPV4: u32 = u32::from_be_bytes([0x08, 0x00, 0x45, 0x00]) >> 8;
    (word(head, 12) >> 8 == IPV4).then(|| word(head, 30))
}

/// A frame that [`usual_destination`] knows, if it is usual in all else too, and not at the end of its TTL.
#[inline(always)]
pub(crate) fn usual(frame: &[u8]) -> Option<Usual> {
    // More fragments, or an offset.
    const FRAGMENT: u32 = 0x3fff;
    let head = frame.first_chunk::<HEAD>()?;
    let bytes = word(head, 14) & 0xffff;
    let carried = bytes.wrapping_sub(ipv4::HEADER_LEN as u32);
    let (ttl, protocol) = (head[22], Protocol(head[23]));
    let ip = head.get(HEADER_LEN..)?.first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let source = word(head, 26);
    let [first, ..] = source.to_be_bytes();
    let sound = (bytes as usize + HEADER_LEN == frame.len())
        & (word(head, 18) & FRAGMENT == 0)
        & (ttl > 1)
        // 0/8 and 127/8 are nobody's on a wire, 224/3 no source.
        & (first.wrapping_sub(1) < 223)
        & (first != 127)
        & Sum::ZERO.ipv4_header(ip).is_valid();
    if !sound {
        return None;
    }
    let mut usual = Usual {
        source,
        destination: word(head, 30),
        ports: word(head, 34),
        bytes: bytes as u16,
        kind: Kind::Udp,
        flags: TcpFlags(0),
        header: 0,
    };
    match protocol {
        Protocol::UDP => {
            let claimed = word(head, 38) >> 16;
            (claimed >= udp::HEADER_LEN as u32 && claimed <= carried).then_some(usual)
        }
        Protocol::TCP => {
            let header = frame.get(TRANSPORT..)?.first_chunk::<{ tcp::HEADER_LEN }>()?;
            let [.., offset, flags, _, _, _, _, _, _] = *header;
            usual.kind = Kind::Tcp;
            usual.flags = TcpFlags(flags);
            usual.header = offset >> 4 << 2;
            let header = u32::from(usual.header);
            (header >= tcp::HEADER_LEN as u32 && header <= carried).then_some(usual)
        }
        _ => None,
    }
}

impl Usual {
    /// What [`super::look`] would say, as far as it counts for translating. Sequence numbers are not looked at.
    #[inline(always)]
    pub(crate) fn view(&self) -> View {
        View {
            flow: Flow::default(),
            what: match self.kind {
                Kind::Tcp => What::Segment {
                    flags: self.flags,
                    header: self.header,
                    sequence: 0,
                    acknowledgment: 0,
                },
                _ => What::Datagram,
            },
            network: HEADER_LEN as u16,
            transport: TRANSPORT as u16,
            end: HEADER_LEN as u16 + self.bytes,
            ..View::OTHER
        }
    }
}

/// Four bytes of a head, big-endian.
#[inline(always)]
fn word(head: &[u8; HEAD], at: usize) -> u32 {
    // Constant at every call and within the head, so that no check is left.
    head.get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

//! What is behind the headers of a packet, in either family.

use std::ops::Range;

use packet::extension::{self, ExtensionError};
use packet::{Ipv4, Ipv6, Protocol, Tcp, Udp, udp};

/// Bytes before the body of an ICMP message: type, code, checksum.
const ICMP_START: usize = 4;

/// The upper layer of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upper<'a> {
    pub(crate) protocol: Protocol,
    /// Where it begins, from the IP header on.
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
    /// It is part of a packet, be it the first.
    pub(crate) part: Option<Part>,
    /// An authentication header covers the IP header and its options.
    pub(crate) is_authenticated: bool,
}

/// Which part of a fragmented packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where it belongs, in bytes; 0 in the first.
    pub(crate) offset: usize,
    pub(crate) identification: u32,
}

impl<'a> Upper<'a> {
    pub(crate) fn of_v4(packet: &Ipv4<'a>) -> Self {
        Self {
            protocol: packet.protocol(),
            offset: packet.header_len(),
            bytes: packet.payload(),
            part: packet.is_fragment().then(|| Part {
                offset: packet.fragment_offset(),
                identification: packet.identification().into(),
            }),
            is_authenticated: packet.protocol() == Protocol::AH,
        }
    }

    pub(crate) fn of_v6(packet: &Ipv6<'a>) -> Result<Self, ExtensionError> {
        let mut headers = extension::walk(packet);
        let mut is_authenticated = false;
        for header in headers.by_ref() {
            is_authenticated |= header?.protocol == Protocol::AH;
        }
        let upper = headers.upper_layer()?;
        let fragment = upper.fragment.filter(|_| upper.is_fragment());
        Ok(Self {
            protocol: upper.protocol,
            offset: upper.offset,
            bytes: upper.payload,
            part: fragment.map(|fragment| Part {
                offset: fragment.offset.into(),
                identification: fragment.identification,
            }),
            // In a later fragment the walk ends at what the first begins with.
            is_authenticated: is_authenticated || upper.protocol == Protocol::AH,
        })
    }

    /// Which of its bytes a program reads and writes: what is behind the header of TCP and UDP and behind the checksum of ICMP, all
    /// of anything else. `None` if that header is not all there.
    pub(crate) fn payload(&self) -> Option<Range<usize>> {
        let end = self.bytes.len();
        match self.protocol {
            Protocol::UDP => {
                let datagram = Udp::parse(self.bytes).ok()?;
                Some(udp::HEADER_LEN..udp::HEADER_LEN + datagram.payload().len())
            }
            Protocol::TCP => {
                let segment = Tcp::parse(self.bytes).ok()?;
                Some(end - segment.payload().len()..end)
            }
            Protocol::ICMP | Protocol::ICMPV6 => (end >= ICMP_START).then_some(ICMP_START..end),
            _ => Some(0..end),
        }
    }
}

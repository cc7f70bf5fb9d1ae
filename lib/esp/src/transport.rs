//! Transport mode (RFC 4303 §3.1.1): ESP between the headers of a packet and what they carry.
//!
//! ```text
//!   before   │ IPv4, options │                                          TCP …
//!            │ IPv6, hop-by-hop, routing, fragment │ destination options, TCP …
//!   after    │ the same, with ESP for the protocol │ UDP │ ESP head │ the rest │ trailer, ICV
//!            ╟── Headers ──────────────────────────╢
//! ```
//!
//! IPv6 destination options stay in front where a routing header follows them, since nodes on the way read them; others are
//! protected. Fragments are not: a packet is cut after it is protected, and put together before it is opened (RFC 4303 §3.3.4).

use std::ops::Range;

use packet::extension::{self, ExtensionHeader};
use packet::{Ipv4, Ipv6, Protocol, ipv4, ipv6};

use crate::format::Format;
use crate::inbound::Payload;
use crate::outbound::{NoRoom, Sealing};
use crate::tunnel::Family;
use crate::udp::{self, Ports};

/// Why a packet is neither protected nor opened in transport mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No valid IP packet.
    #[error("the packet is no IP packet whose headers can be followed; its sender is at fault")]
    Malformed,
    /// A fragment.
    #[error("the packet is a fragment, and transport mode protects whole packets; put it together first")]
    Fragment,
    /// What was received is neither ESP nor ESP in UDP.
    #[error("the packet carries protocol {0} and no ESP")]
    NoEsp(Protocol),
    /// The packet would be longer than any.
    #[error("the packet would be longer than any with ESP in it; its sender must send less at a time")]
    TooLong,
    /// The buffer is too short.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// The headers in front of what is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    family: Family,
    /// Their bytes.
    len: usize,
    /// Where the field is that names what follows them.
    named_at: usize,
    /// What follows them.
    protocol: Protocol,
    /// Bytes of the packet.
    total: usize,
}

/// Where IPv4 says what follows.
const PROTOCOL_V4: usize = 9;
/// Where the IPv6 header says what follows.
const NEXT_HEADER_V6: usize = 6;

impl Headers {
    /// The headers that a packet keeps in front when it is protected.
    pub fn to_protect(packet: &[u8]) -> Result<Headers, TransportError> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => Headers::of_v4(packet),
            Some(6) => Headers::to_protect_v6(packet),
            _ => Err(TransportError::Malformed),
        }
    }

    /// The headers in front of the ESP header, or the UDP header around it, of a packet that was received.
    pub fn received(packet: &[u8]) -> Result<Headers, TransportError> {
        let headers = match packet.first().map(|first| first >> 4) {
            Some(4) => Headers::of_v4(packet)?,
            Some(6) => Headers::received_v6(packet)?,
            _ => return Err(TransportError::Malformed),
        };
        match headers.protocol {
            Protocol::ESP | Protocol::UDP => Ok(headers),
            other => Err(TransportError::NoEsp(other)),
        }
    }

    fn of_v4(packet: &[u8]) -> Result<Headers, TransportError> {
        let ip = Ipv4::parse(packet).map_err(|_| TransportError::Malformed)?;
        if ip.is_fragment() {
            return Err(TransportError::Fragment);
        }
        Ok(Headers {
            family: Family::V4,
            len: ip.header_len(),
            named_at: PROTOCOL_V4,
            protocol: ip.protocol(),
            total: ip.total_len().into(),
        })
    }

    fn to_protect_v6(packet: &[u8]) -> Result<Headers, TransportError> {
        let ip = Ipv6::parse(packet).map_err(|_| TransportError::Malformed)?;
        let mut headers = Headers {
            family: Family::V6,
            len: ipv6::HEADER_LEN,
            named_at: NEXT_HEADER_V6,
            protocol: ip.next_header(),
            total: ip.total_len(),
        };
        for header in extension::walk(&ip) {
            let header = header.map_err(|_| TransportError::Malformed)?;
            if is_fragment(&header) {
                return Err(TransportError::Fragment);
            }
            match header.protocol {
                Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::FRAGMENT => {
                    headers.len = header.offset + header.bytes.len();
                    headers.named_at = header.offset;
                    let next = header.bytes.first().copied();
                    headers.protocol = Protocol(next.ok_or(TransportError::Malformed)?);
                }
                Protocol::AH => break,
                _ => {}
            }
        }
        Ok(headers)
    }

    fn received_v6(packet: &[u8]) -> Result<Headers, TransportError> {
        let ip = Ipv6::parse(packet).map_err(|_| TransportError::Malformed)?;
        let upper = extension::upper_layer(&ip).map_err(|_| TransportError::Malformed)?;
        if upper.is_fragment() {
            return Err(TransportError::Fragment);
        }
        Ok(Headers {
            family: Family::V6,
            len: upper.offset,
            named_at: upper.named_at,
            protocol: upper.protocol,
            total: ip.total_len(),
        })
    }

    /// Bytes of the headers.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "headers are never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of what they carry: the payload to be sealed, or the ESP packet with the UDP header around it.
    #[inline]
    pub fn carried_len(&self) -> usize {
        self.total - self.len
    }

    /// What they carry.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The longest packet with these headers whose ESP packet has at most `mtu` bytes, in UDP or not; 0 if none has.
    pub fn mtu_inside(&self, format: Format, udp: bool, mtu: usize) -> usize {
        let around = self.len + if udp { udp::HEADER_LEN } else { 0 };
        let payload = mtu.checked_sub(around).and_then(|room| format.payload_room(room));
        payload.map_or(0, |payload| self.len + payload)
    }

    /// Moves the headers to the front of the room that was made for ESP, and for UDP if there are `ports`, and has them say what
    /// they carry now. `packet` begins with that room: [`Sealing::head_len`] bytes and 8 for UDP, behind it the packet as it was.
    /// Gives where the ESP header belongs.
    pub fn enclose(
        &self,
        packet: &mut [u8],
        sealing: &Sealing,
        ports: Option<Ports>,
    ) -> Result<usize, TransportError> {
        let udp_len = if ports.is_some() { udp::HEADER_LEN } else { 0 };
        let front = udp_len + sealing.head_len();
        let (needed, available) = (front + self.len, packet.len());
        let carried = udp_len + sealing.sealed_len();
        let headers = packet.get_mut(..needed).ok_or(NoRoom { needed, available })?;
        headers.copy_within(front.., 0);
        let protocol = if ports.is_some() {
            Protocol::UDP
        } else {
            Protocol::ESP
        };
        let (headers, behind) = headers
            .split_at_mut_checked(self.len)
            .ok_or(NoRoom { needed, available })?;
        self.say(headers, protocol, carried)?;
        if let Some(ports) = ports {
            // No more than the packet, whose length is said in 16 bits.
            let header = ports.header(sealing.sealed_len() as u16);
            *behind.first_chunk_mut().ok_or(NoRoom { needed, available })? = header;
        }
        Ok(self.len + udp_len)
    }

    /// Moves the headers back to what was protected, and has them say that they carry it. `packet` begins with them, and its ESP
    /// header is behind them, or behind a UDP header. Gives where the packet is then.
    pub fn disclose(&self, packet: &mut [u8], payload: &Payload) -> Result<Range<usize>, TransportError> {
        let udp_len = if self.protocol == Protocol::UDP {
            udp::HEADER_LEN
        } else {
            0
        };
        let begin = udp_len + usize::from(payload.span.offset);
        let (needed, available) = (begin + self.len, packet.len());
        let front = packet.get_mut(..needed).ok_or(NoRoom { needed, available })?;
        front.copy_within(..self.len, begin);
        let carried = usize::from(payload.span.len);
        let headers = front.get_mut(begin..).ok_or(NoRoom { needed, available })?;
        self.say(headers, payload.next_header, carried)?;
        Ok(begin..needed + carried)
    }

    /// Has `headers` say that `len` bytes of `protocol` follow them.
    fn say(&self, headers: &mut [u8], protocol: Protocol, len: usize) -> Result<(), TransportError> {
        let (needed, available) = (self.len, headers.len());
        let no_room = NoRoom { needed, available };
        *headers.get_mut(self.named_at).ok_or(no_room)? = protocol.0;
        let (at, length) = match self.family {
            Family::V4 => (2, self.len + len),
            Family::V6 => (4, self.len + len - ipv6::HEADER_LEN),
        };
        let length = u16::try_from(length).map_err(|_| TransportError::TooLong)?;
        let field = headers.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        *field.ok_or(no_room)? = length.to_be_bytes();
        if self.family == Family::V4 {
            ipv4::fill_checksum(headers);
        }
        Ok(())
    }
}

fn is_fragment(header: &ExtensionHeader<'_>) -> bool {
    header
        .fragment()
        .is_some_and(|fragment| fragment.more || fragment.offset != 0)
}

#[cfg(test)]
mod tests;

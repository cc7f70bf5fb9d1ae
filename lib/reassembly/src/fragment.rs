//! What one fragment says.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use packet::extension::{self, ExtensionHeader};
use packet::fragment::FRAGMENT_HEADER_LEN;
use packet::{Ipv4, Ipv6, Protocol};

use crate::slot::HEADERS_ROOM;

/// The longest packet, bytes (RFC 791 §3.1), and the longest payload of IPv6 (RFC 8200 §3).
pub(crate) const MAX_LEN: usize = 65_535;

/// Which packet a fragment is part of: RFC 791 §3.2, RFC 8200 §4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    identification: u32,
    source: IpAddr,
    destination: IpAddr,
    /// IPv4 tells packets apart by it; 0 for IPv6.
    protocol: u8,
    /// Link-local addresses mean something on their link only: its number, 0 for others.
    link: u32,
}

impl Key {
    pub(crate) fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// A number that equal keys have in common, and others seldom.
    pub(crate) fn tag(&self) -> u32 {
        let last = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => address.to_bits() as u32,
        };
        let spread = last(self.source).wrapping_mul(0x9e37_79b9) ^ last(self.destination).rotate_left(16);
        self.identification ^ spread ^ u32::from(self.protocol)
    }
}

/// A fragment of a packet, valid by itself.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    pub(crate) key: Key,
    /// The IPv4 header with its options, or all up to the end of the fragment header.
    pub(crate) headers: &'a [u8],
    /// For IPv6, where the next header field is that names the fragment header.
    pub(crate) named_at: usize,
    /// Where the payload belongs in the whole packet's, bytes: a multiple of 8.
    pub(crate) offset: usize,
    /// Others follow it.
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) mark: Option<u64>,
}

/// Why bytes are no fragment that could be part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// No packet, or a whole one.
    #[error("the packet is no fragment")]
    NoFragment,
    /// Nothing in it, or not the last and no multiple of 8 bytes long (RFC 8200 §4.5: Parameter Problem, code 0).
    #[error("the fragment has {len} bytes and is not the last: it must have a multiple of 8")]
    Length {
        /// Its payload, bytes.
        len: usize,
    },
    /// The packet would be longer than any (RFC 8200 §4.5: Parameter Problem, code 0).
    #[error("the fragment reaches beyond the longest packet: byte {pointer} says where it belongs")]
    TooLong {
        /// Where its offset is, from the start of the IP header.
        pointer: usize,
    },
    /// More headers in front of the fragment header than are kept.
    #[error("the fragment has {len} bytes of headers, and at most 256 are kept")]
    Headers {
        /// How many bytes.
        len: usize,
    },
}

impl<'a> Fragment<'a> {
    /// The IPv4 fragment at the start of `packet`.
    pub fn parse_v4(packet: &'a [u8]) -> Result<Self, FragmentError> {
        let ip = Ipv4::parse(packet).map_err(|_| FragmentError::NoFragment)?;
        if !ip.is_fragment() {
            return Err(FragmentError::NoFragment);
        }
        let headers = packet.get(..ip.header_len()).unwrap_or_default();
        Self {
            key: Key {
                identification: ip.identification().into(),
                source: ip.source().into(),
                destination: ip.destination().into(),
                protocol: ip.protocol().0,
                link: 0,
            },
            headers,
            named_at: 0,
            offset: ip.fragment_offset(),
            more: ip.more_fragments(),
            payload: ip.payload(),
            mark: None,
        }
        .checked(headers.len(), 6)
    }

    /// The IPv6 fragment at the start of `packet`, which came by link number `link`.
    pub fn parse_v6(packet: &'a [u8], link: u16) -> Result<Self, FragmentError> {
        let ip = Ipv6::parse(packet).map_err(|_| FragmentError::NoFragment)?;
        let header = extension::walk(&ip)
            .map_while(Result::ok)
            .find(|header| header.protocol == Protocol::FRAGMENT)
            .ok_or(FragmentError::NoFragment)?;
        let said = ExtensionHeader::fragment(&header).ok_or(FragmentError::NoFragment)?;
        if said.offset == 0 && !said.more {
            return Err(FragmentError::NoFragment);
        }
        let end = header.offset + FRAGMENT_HEADER_LEN;
        let (headers, payload) = packet
            .get(..ip.total_len())
            .and_then(|packet| packet.split_at_checked(end))
            .ok_or(FragmentError::NoFragment)?;
        let (source, destination) = (ip.source(), ip.destination());
        let on_link = source.is_unicast_link_local()
            || destination.is_unicast_link_local()
            || destination.is_multicast();
        Self {
            key: Key {
                identification: said.identification,
                source: source.into(),
                destination: destination.into(),
                protocol: 0,
                link: if on_link { u32::from(link) + 1 } else { 0 },
            },
            headers,
            named_at: header.named_at,
            offset: said.offset.into(),
            more: said.more,
            payload,
            mark: None,
        }
        .checked(header.offset - packet::ipv6::HEADER_LEN, header.offset + 2)
    }

    /// The same with a mark, not 0, by which it is known should it be given up.
    #[must_use]
    pub fn marked(self, mark: Option<u64>) -> Self {
        Self { mark, ..self }
    }

    /// `counted` bytes of headers count for the longest packet.
    fn checked(self, counted: usize, pointer: usize) -> Result<Self, FragmentError> {
        let len = self.payload.len();
        if len == 0 || self.more && !len.is_multiple_of(8) {
            Err(FragmentError::Length { len })
        } else if counted + self.offset + len > MAX_LEN {
            Err(FragmentError::TooLong { pointer })
        } else if self.headers.len() > HEADERS_ROOM {
            let len = self.headers.len();
            Err(FragmentError::Headers { len })
        } else {
            Ok(self)
        }
    }

    /// Which of `workers`, at least one, puts the packet together: the same for all of its fragments.
    pub fn worker(&self, workers: usize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        // Less than `workers`, which fits.
        (hasher.finish() % workers.max(1) as u64) as usize
    }

    pub(crate) fn end(&self) -> usize {
        self.offset + self.payload.len()
    }
}

//! What stands in front of a packet in a tunnel: an IP header, and for GRE another one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::gre;
use crate::ipv4::{self, Ipv4Header};
use crate::ipv6::{self, Ipv6Header};
use crate::{BufferTooShort, EtherType, Protocol};

/// The two ends of a tunnel: source and destination of outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ends {
    /// Over IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// Over IPv6.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// Of two addresses; `None` if they are of different families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Ends> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Ends::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Ends::V6(source, destination)),
            _ => None,
        }
    }
}

/// Why no headers can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// No length field says so much.
    #[error("a packet of {len} bytes does not fit into another one; cut it before")]
    TooLong {
        /// Bytes of the inner packet.
        len: usize,
    },
    /// The buffer is too short.
    #[error(transparent)]
    Buffer(#[from] BufferTooShort),
}

/// The headers in front of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Between whom.
    pub ends: Ends,
    /// GRE, with or without a key; `None` for IP in IP.
    pub gre: Option<Option<u32>>,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Of IPv4: may not be fragmented.
    pub dont_fragment: bool,
    /// Of IPv4: identification, which has to be another one for each packet that may be fragmented (RFC 6864 section 4.2).
    pub identification: u16,
    /// Of IPv6: its low 20 bits say which flow the inner packet is of (RFC 6438).
    pub flow_label: u32,
}

impl Outer {
    /// Bytes of the headers of such tunnels: 20 to 48.
    pub const fn len_of(ends: &Ends, gre: Option<Option<u32>>) -> usize {
        let ip = match ends {
            Ends::V4(..) => ipv4::HEADER_LEN,
            Ends::V6(..) => ipv6::HEADER_LEN,
        };
        match gre {
            Some(key) => ip + gre::len(key),
            None => ip,
        }
    }

    /// Bytes of these headers.
    #[allow(clippy::len_without_is_empty, reason = "headers are never empty")]
    pub const fn len(&self) -> usize {
        Self::len_of(&self.ends, self.gre)
    }

    /// Writes the headers of a packet of `inner_len` bytes to the start of `buffer`; gives the bytes written.
    pub fn emit(&self, inner: EtherType, inner_len: usize, buffer: &mut [u8]) -> Result<usize, OuterError> {
        let len = self.len();
        let available = buffer.len();
        let needed = len;
        let out = buffer
            .get_mut(..len)
            .ok_or(BufferTooShort { needed, available })?;
        let too_long = OuterError::TooLong { len: inner_len };
        let length = |before| u16::try_from(inner_len + len - before).map_err(|_| too_long);
        let protocol = match self.gre {
            Some(_) => Protocol::GRE,
            None if inner == EtherType::IPV4 => Protocol::IPIP,
            None => Protocol::IPV6,
        };
        let at = match self.ends {
            Ends::V4(source, destination) => {
                // The length field counts the header too.
                length(0)?;
                let header = Ipv4Header {
                    traffic_class: self.traffic_class,
                    identification: self.identification,
                    dont_fragment: self.dont_fragment,
                    ttl: self.ttl,
                    protocol,
                    source,
                    destination,
                    payload_len: length(ipv4::HEADER_LEN)?,
                };
                header.emit(out)?
            }
            Ends::V6(source, destination) => {
                let header = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: self.flow_label,
                    next_header: protocol,
                    hop_limit: self.ttl,
                    source,
                    destination,
                    payload_len: length(ipv6::HEADER_LEN)?,
                };
                header.emit(out)?
            }
        };
        if let Some(key) = self.gre {
            gre::emit(inner, key, out.get_mut(at..).unwrap_or_default())?;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tunnel::Carried;
    use crate::{Ipv4, Ipv6};

    const FOUR: Ends = Ends::V4(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
    const SIX: Ends = Ends::V6(
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    );

    fn outer(ends: Ends, gre: Option<Option<u32>>) -> Outer {
        Outer {
            ends,
            gre,
            traffic_class: 0x2a,
            ttl: 64,
            dont_fragment: true,
            identification: 0x1234,
            flow_label: 0xa_bcde,
        }
    }

    #[test]
    fn headers_over_ipv4_have_the_bytes_of_rfc_791_and_rfc_2890() {
        let mut bytes = [0xee; 29];
        let written = outer(FOUR, Some(Some(7))).emit(EtherType::IPV6, 100, &mut bytes);
        assert_eq!(written, Ok(28));
        let expected = [
            0x45, 0x2a, 0, 128, 0x12, 0x34, 0x40, 0, 64, 47, bytes[10],
            bytes[11], // the checksum is Ipv4's to check
            192, 0, 2, 1, 198, 51, 100, 1, // addresses
            0x20, 0, 0x86, 0xdd, 0, 0, 0, 7, 0xee, // key, IPv6; nothing behind
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn ends_are_of_one_family() {
        let (four, six) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert!(Ends::new(four, four).is_some() && Ends::new(six, six).is_some());
        assert!(Ends::new(four, six).is_none() && Ends::new(six, four).is_none());
    }

    #[test]
    fn a_length_that_no_field_says_is_refused() {
        let mut bytes = [0; 48];
        for (ends, gre, most) in [
            (FOUR, None, 65_515),
            (FOUR, Some(None), 65_511),
            (SIX, None, 65_535),
            (SIX, Some(Some(1)), 65_527),
        ] {
            let outer = outer(ends, gre);
            assert!(outer.emit(EtherType::IPV4, most, &mut bytes).is_ok());
            let refused = Err(OuterError::TooLong { len: most + 1 });
            assert_eq!(outer.emit(EtherType::IPV4, most + 1, &mut bytes), refused);
        }
        let refused = outer(SIX, None).emit(EtherType::IPV4, 20, &mut bytes[..39]);
        assert!(matches!(refused, Err(OuterError::Buffer(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            four: (u32, u32), six: (u128, u128), over_six: bool, gre: Option<Option<u32>>, inner_is_six: bool,
            traffic_class: u8, ttl: u8, dont_fragment: bool, identification: u16, flow_label in 0u32..1 << 20,
            len in 40usize..200,
        ) {
            let ends = if over_six {
                Ends::V6(six.0.into(), six.1.into())
            } else {
                Ends::V4(four.0.into(), four.1.into())
            };
            let outer = Outer { ends, gre, traffic_class, ttl, dont_fragment, identification, flow_label };
            let inner = if inner_is_six { EtherType::IPV6 } else { EtherType::IPV4 };
            let mut bytes = vec![if inner_is_six { 0x60 } else { 0x45 }; outer.len() + len];
            prop_assert_eq!(outer.emit(inner, len, &mut bytes), Ok(outer.len()));
            let (protocol, payload) = match ends {
                Ends::V4(source, destination) => {
                    let header = Ipv4::parse(&bytes).unwrap();
                    prop_assert_eq!((header.source(), header.destination()), (source, destination));
                    prop_assert_eq!((header.traffic_class(), header.ttl()), (traffic_class, ttl));
                    prop_assert_eq!(header.dont_fragment(), dont_fragment);
                    prop_assert_eq!(header.identification(), identification);
                    prop_assert!(!header.is_fragment());
                    (header.protocol(), header.payload())
                }
                Ends::V6(source, destination) => {
                    let header = Ipv6::parse(&bytes).unwrap();
                    prop_assert_eq!((header.source(), header.destination()), (source, destination));
                    prop_assert_eq!((header.traffic_class(), header.hop_limit()), (traffic_class, ttl));
                    prop_assert_eq!(header.flow_label(), flow_label);
                    (header.next_header(), header.payload())
                }
            };
            let carried = Carried::parse(protocol, payload).unwrap().unwrap();
            let (read, before) = carried.inner().unwrap();
            prop_assert_eq!((read, payload.len() - before), (inner, len));
            match carried {
                Carried::Gre(read) => prop_assert_eq!(Some(read.key()), gre),
                Carried::Ip { .. } => prop_assert_eq!(gre, None),
            }
        }
    }
}

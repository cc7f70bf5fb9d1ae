//! The outer headers of tunnel mode (RFC 4301 §5.1.2): made once for an SA, and patched for each packet.
//!
//! ```text
//!   │ IPv4, 20 bytes │ or │ IPv6, 40 bytes │     │ UDP, 8 bytes │     │ ESP …
//!
//!             IPv4                            IPv6
//!   class     DSCP as is said, ECN of the inner packet (RFC 6040 §4.1, normal mode)
//!   length    of the packet
//!   id        low bits of the sequence number
//!   DF        as is said
//!   flow                                      as is said
//!   TTL       as is said
//!   checksum  of the header
//! ```
//!
//! Options and extension headers of the inner packet are not copied, and none are added.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::checksum::Sum;
use packet::tunnel::ecn;
use packet::{Protocol, ipv4, ipv6};

use crate::format::Format;
use crate::outbound::NoRoom;
use crate::sequence::SequenceNumber;
use crate::tunnel::{Family, Inner};
use crate::udp::{self, Ports};

/// The two ends of a tunnel, as its packets have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// IPv4.
    V4 {
        /// Source address.
        source: Ipv4Addr,
        /// Destination address.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address.
        destination: Ipv6Addr,
    },
}

impl Ends {
    /// The ends with these addresses; `None` if they are of two families.
    pub const fn new(source: IpAddr, destination: IpAddr) -> Option<Ends> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Ends::V4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Ends::V6 { source, destination }),
            _ => None,
        }
    }
}

/// The don't-fragment flag of an outer IPv4 header (RFC 4301 §8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Df {
    /// That of the inner packet. IPv6 counts as if it were set above 1280 bytes, which every link must carry (RFC 4213 §3.2.2).
    #[default]
    Copy,
    /// Set.
    Set,
    /// Clear.
    Clear,
}

/// The DSCP of an outer header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dscp {
    /// That of the inner packet.
    #[default]
    Copy,
    /// This one: its low 6 bits.
    Fixed(u8),
}

/// What is said of the outer headers of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterSettings {
    /// TTL or hop limit.
    pub ttl: u8,
    /// Of IPv4: don't fragment.
    pub df: Df,
    /// DSCP.
    pub dscp: Dscp,
    /// Of IPv6: its low 20 bits.
    pub flow_label: u32,
    /// UDP encapsulation.
    pub udp: Option<Ports>,
}

impl Default for OuterSettings {
    /// TTL 64, DF and DSCP copied, flow label 0, no UDP.
    fn default() -> Self {
        OuterSettings {
            ttl: 64,
            df: Df::Copy,
            dscp: Dscp::Copy,
            flow_label: 0,
            udp: None,
        }
    }
}

/// Why no outer headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// The packet would be longer than any.
    #[error("an ESP packet of {0} bytes does not fit into an IP packet; send what is inside in fragments")]
    TooLong(usize),
    /// The buffer is too short.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

const LONGEST: usize = ipv6::HEADER_LEN + udp::HEADER_LEN;
const DONT_FRAGMENT: u16 = 0x4000;

/// The outer headers of an SA.
// What packets over IPv4 need is at the beginning, within a line of cache.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Outer {
    len: u8,
    /// Of the outer headers.
    family: Family,
    /// Of IPv4: the sum over the template's header.
    sum: u16,
    settings: OuterSettings,
    /// All that is the same in each packet.
    template: [u8; LONGEST],
    ends: Ends,
}

impl Outer {
    /// The headers between `ends`.
    pub fn new(ends: Ends, settings: OuterSettings) -> Outer {
        let protocol = if settings.udp.is_some() {
            Protocol::UDP
        } else {
            Protocol::ESP
        };
        let mut template = [0; LONGEST];
        let (family, ip_len) = match ends {
            Ends::V4 { source, destination } => {
                let [a, b, c, d] = source.octets();
                let [e, f, g, h] = destination.octets();
                let header = [
                    0x45,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    settings.ttl,
                    protocol.0,
                    0,
                    0,
                    a,
                    b,
                    c,
                    d,
                    e,
                    f,
                    g,
                    h,
                ];
                copy(&mut template, 0, &header);
                (Family::V4, header.len())
            }
            Ends::V6 { source, destination } => {
                let first = 6 << 28 | settings.flow_label & 0x000f_ffff;
                copy(&mut template, 0, &first.to_be_bytes());
                copy(&mut template, 6, &[protocol.0, settings.ttl]);
                copy(&mut template, 8, &source.octets());
                copy(&mut template, 24, &destination.octets());
                (Family::V6, ipv6::HEADER_LEN)
            }
        };
        let mut len = ip_len;
        if let Some(ports) = settings.udp {
            copy(&mut template, ip_len, &ports.header(0));
            len += udp::HEADER_LEN;
        }
        let sum = Sum::ZERO.bytes(template.get(..ip_len).unwrap_or_default()).fold();
        Outer {
            len: len as u8,
            family,
            sum,
            settings,
            template,
            ends,
        }
    }

    /// Between whom.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// Bytes in front of the ESP header: 20 to 48.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "headers are never empty")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// The longest inner packet whose outer packet has at most `mtu` bytes; 0 if none has. An IPv6 packet of up to 1280 bytes has
    /// to go all the same, be it in outer fragments (RFC 2473 §7.1).
    pub const fn mtu_inside(&self, format: Format, mtu: usize) -> usize {
        let Some(room) = mtu.checked_sub(self.len()) else {
            return 0;
        };
        match format.payload_room(room) {
            Some(payload) => payload,
            None => 0,
        }
    }

    /// The bytes of the outer packet around an inner one of `inner_len` bytes.
    pub const fn len_outside(&self, format: Format, inner_len: usize) -> usize {
        self.len() + format.sealed_len(inner_len)
    }

    /// Writes a NAT keepalive from the ports of the UDP encapsulation (RFC 3948 §2.3, §4) to the start of `buffer`; gives how long it is,
    /// 29 or 49 bytes. `None` without UDP, or where it has no room.
    pub fn keepalive(&self, buffer: &mut [u8]) -> Option<usize> {
        self.settings.udp?;
        let len = self.len() + udp::KEEPALIVE.len();
        let packet = buffer.get_mut(..len)?;
        // As around a packet that has no marks, and may be cut.
        let inside = Inner {
            family: Family::V4,
            len: udp::KEEPALIVE.len(),
            traffic_class: 0,
            dont_fragment: false,
        };
        self.write(&inside, udp::KEEPALIVE.len(), SequenceNumber(0), packet)
            .ok()?;
        packet.get_mut(self.len()..)?.copy_from_slice(&udp::KEEPALIVE);
        if self.needs_checksum() {
            self.complete(packet);
        }
        Some(len)
    }

    /// Writes the headers in front of an ESP packet of `esp_len` bytes with `inner` inside, to the start of `buffer`.
    #[inline]
    pub fn write(
        &self,
        inner: &Inner,
        esp_len: usize,
        sequence: SequenceNumber,
        buffer: &mut [u8],
    ) -> Result<(), OuterError> {
        let (needed, available) = (self.len(), buffer.len());
        let out = buffer.get_mut(..needed).ok_or(NoRoom { needed, available })?;
        let total = needed + esp_len;
        let class = self.class(inner);
        out.copy_from_slice(self.template.get(..needed).unwrap_or_default());
        let ip_len = match self.family {
            Family::V4 => {
                let len = u16::try_from(total).map_err(|_| OuterError::TooLong(esp_len))?;
                let flags = if self.dont_fragment(inner) {
                    DONT_FRAGMENT
                } else {
                    0
                };
                let identification = sequence.get() as u16;
                let checksum = self.checksum(class, len, identification, flags, 0);
                if let Some([_, tos, l0, l1, i0, i1, f0, f1, _, _, c0, c1]) = out.first_chunk_mut() {
                    *tos = class;
                    [*l0, *l1] = len.to_be_bytes();
                    [*i0, *i1] = identification.to_be_bytes();
                    [*f0, *f1] = flags.to_be_bytes();
                    [*c0, *c1] = checksum.to_be_bytes();
                }
                ipv4::HEADER_LEN
            }
            Family::V6 => {
                let len =
                    u16::try_from(total - ipv6::HEADER_LEN).map_err(|_| OuterError::TooLong(esp_len))?;
                if let Some([first, second, _, _, l0, l1]) = out.first_chunk_mut() {
                    *first |= class >> 4;
                    *second |= class << 4;
                    [*l0, *l1] = len.to_be_bytes();
                }
                ipv6::HEADER_LEN
            }
        };
        if self.settings.udp.is_some() {
            // What IP counts is more, and fits.
            let len = ((total - ip_len) as u16).to_be_bytes();
            let field = out.get_mut(ip_len + 4..).and_then(<[u8]>::first_chunk_mut);
            if let Some(field) = field {
                *field = len;
            }
        }
        Ok(())
    }

    /// Whether it is an IPv4 header and nothing else, so that [`Outer::ipv4`] writes it.
    #[inline]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.family, Family::V4) && self.settings.udp.is_none()
    }

    /// What [`Outer::write`] writes where [`Outer::is_ipv4`] says so, once it has passed so many `hops`, which its TTL has left; an ESP packet
    /// that is too long for any IP packet does not come here.
    #[inline(always)]
    pub fn ipv4(
        &self,
        inner: &Inner,
        esp_len: usize,
        sequence: SequenceNumber,
        hops: u8,
    ) -> [u8; ipv4::HEADER_LEN] {
        let class = self.class(inner);
        let flags = if self.dont_fragment(inner) {
            DONT_FRAGMENT
        } else {
            0
        };
        let (len, identification) = ((ipv4::HEADER_LEN + esp_len) as u16, sequence.get() as u16);
        let checksum = self.checksum(class, len, identification, flags, hops);
        let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            ttl,
            protocol,
            _,
            _,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            ..,
        ] = self.template;
        let [l0, l1] = len.to_be_bytes();
        let [i0, i1] = identification.to_be_bytes();
        let [f0, f1] = flags.to_be_bytes();
        let [c0, c1] = checksum.to_be_bytes();
        [
            0x45,
            class,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            ttl.wrapping_sub(hops),
            protocol,
            c0,
            c1,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        ]
    }

    #[inline(always)]
    fn class(&self, inner: &Inner) -> u8 {
        let dscp = match self.settings.dscp {
            Dscp::Copy => None,
            Dscp::Fixed(dscp) => Some(dscp),
        };
        ecn::outer_traffic_class(inner.traffic_class, dscp)
    }

    #[inline(always)]
    fn dont_fragment(&self, inner: &Inner) -> bool {
        match self.settings.df {
            Df::Copy => inner.dont_fragment && (inner.family == Family::V4 || inner.len > ipv6::MIN_MTU),
            Df::Set => true,
            Df::Clear => false,
        }
    }

    /// That of an IPv4 header with these fields.
    #[inline(always)]
    fn checksum(&self, class: u8, len: u16, identification: u16, flags: u16, hops: u8) -> u16 {
        // What is taken off is its complement put on.
        let words = [class.into(), len, identification, flags, !(u16::from(hops) << 8)];
        let sum = words.iter().map(|word| u32::from(*word)).sum::<u32>() + u32::from(self.sum);
        let sum = (sum & 0xffff) + (sum >> 16);
        !((sum & 0xffff) + (sum >> 16)) as u16
    }

    /// Whether [`Outer::complete`] has something to do.
    #[inline]
    pub const fn needs_checksum(&self) -> bool {
        matches!(self.ends, Ends::V6 { .. }) && self.settings.udp.is_some()
    }

    /// Writes the checksum that UDP over IPv6 must have (RFC 8200 §8.1), once cryptography is done: the one thing here that reads
    /// a packet from end to end. `packet` begins with the outer IP header and ends with the ICV.
    pub fn complete(&self, packet: &mut [u8]) {
        let Ends::V6 { source, destination } = self.ends else {
            return;
        };
        let datagram = packet.get_mut(ipv6::HEADER_LEN..).unwrap_or_default();
        if self.settings.udp.is_some() {
            udp::fill_checksum(source, destination, datagram);
        }
    }
}

fn copy(to: &mut [u8; LONGEST], at: usize, from: &[u8]) {
    if let Some(to) = to.get_mut(at..at + from.len()) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests;

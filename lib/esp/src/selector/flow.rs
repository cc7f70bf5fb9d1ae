//! What selectors look at in a packet.

use std::net::IpAddr;

use packet::extension::{self, UpperLayer};
use packet::{Ipv4, Ipv6, Protocol};

/// SCTP (RFC 9260).
const SCTP: Protocol = Protocol(132);
/// DCCP (RFC 4340).
const DCCP: Protocol = Protocol(33);
/// UDP-Lite (RFC 3828).
const UDP_LITE: Protocol = Protocol(136);
/// Mobility header of IPv6 (RFC 6275).
const MOBILITY: Protocol = Protocol(135);

/// Ports, or what an upper layer has in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The protocol has none, or not in this packet: it is a fragment other than the first, or ends before them.
    None,
    /// Source and destination port.
    Both(u16, u16),
    /// Of ICMP 256 · type + code, of the mobility header 256 · type (RFC 4301 §4.4.1.1).
    Message(u16),
}

/// Who says what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The upper layer; `None` in a fragment of IPv6 that does not say it.
    pub protocol: Option<Protocol>,
    /// Its ports.
    pub ports: Ports,
}

impl Flow {
    /// That of the packet at the start of `packet`; `None` if it cannot be read.
    #[inline]
    pub fn of(packet: &[u8]) -> Option<Flow> {
        match packet.first()? >> 4 {
            4 => Flow::of_v4(&Ipv4::parse(packet).ok()?),
            _ => Flow::of_v6(&Ipv6::parse(packet).ok()?),
        }
    }

    fn of_v4(ip: &Ipv4<'_>) -> Option<Flow> {
        let upper_layer = (ip.fragment_offset() == 0).then_some(ip.payload());
        Some(Flow {
            source: ip.source().into(),
            destination: ip.destination().into(),
            protocol: Some(ip.protocol()),
            ports: Ports::of(ip.protocol(), upper_layer),
        })
    }

    fn of_v6(ip: &Ipv6<'_>) -> Option<Flow> {
        let upper: UpperLayer<'_> = extension::upper_layer(ip).ok()?;
        let later = upper.is_later_fragment();
        // A later fragment names what comes first behind the fragment header of the first, and that may be no upper layer.
        let protocol = (!later || !extension::is_extension(upper.protocol)).then_some(upper.protocol);
        let ports = match protocol {
            Some(protocol) => Ports::of(protocol, (!later).then_some(upper.payload)),
            None => Ports::None,
        };
        Some(Flow {
            source: ip.source().into(),
            destination: ip.destination().into(),
            protocol,
            ports,
        })
    }
}

impl Ports {
    /// Those of `protocol`, whose header begins `payload`; `None`: it is not in this packet.
    #[inline]
    fn of(protocol: Protocol, payload: Option<&[u8]>) -> Ports {
        let first = payload.and_then(<[u8]>::first_chunk::<4>);
        match (protocol, first) {
            (Protocol::TCP | Protocol::UDP | SCTP | DCCP | UDP_LITE, Some(&[s0, s1, d0, d1])) => {
                Ports::Both(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]))
            }
            (Protocol::ICMP | Protocol::ICMPV6, Some(&[kind, code, ..])) => {
                Ports::Message(u16::from_be_bytes([kind, code]))
            }
            (MOBILITY, Some(&[_, _, kind, _])) => Ports::Message(u16::from_be_bytes([kind, 0])),
            _ => Ports::None,
        }
    }
}

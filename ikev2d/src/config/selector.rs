//! Traffic selectors as the file has them, which is as strongSwan has them: `10.1.0.0/16`, `10.1.0.0-10.1.0.9[udp/53]`.

use std::net::IpAddr;
use std::str::FromStr;

use ikev2::wire::OPAQUE_PORTS;
use ikev2::wire::TrafficSelector;
use ipnet::IpNet;

/// A selector.
pub(super) struct WrittenSelector(pub(super) TrafficSelector);

/// Protocols by name. Others have numbers.
const PROTOCOLS: [(&str, u8); 7] = [
    ("any", 0),
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("icmpv6", 58),
    ("sctp", 132),
];

impl FromStr for WrittenSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no traffic selector: write \"10.1.0.0/16\", \"10.1.0.1-10.1.0.9\" or, for some of the packets there, \
                 \"10.1.0.0/16[udp/53]\""
            )
        };
        let (addresses, packets) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((addresses, packets)) => (addresses, Some(packets)),
            None => (text, None),
        };
        let (first, last) = range(addresses).ok_or_else(wrong)?;
        let (protocol, ports) = packets
            .map_or(Some((0, (0, u16::MAX))), packets_of)
            .ok_or_else(wrong)?;
        TrafficSelector::new(protocol, ports, first, last)
            .map(Self)
            .ok_or_else(wrong)
    }
}

fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        return Some((first.trim().parse().ok()?, last.trim().parse().ok()?));
    }
    if let Ok(address) = text.parse() {
        return Some((address, address));
    }
    let prefix: IpNet = text.parse().ok()?;
    Some(match prefix {
        IpNet::V4(prefix) => (prefix.network().into(), prefix.broadcast().into()),
        IpNet::V6(prefix) => (prefix.network().into(), prefix.broadcast().into()),
    })
}

/// Protocol and ports of `udp/53`, `tcp/1024-65535`, `icmp` or `udp/opaque`.
fn packets_of(text: &str) -> Option<(u8, (u16, u16))> {
    let (protocol, ports) = text
        .split_once('/')
        .map_or((text, None), |(protocol, ports)| (protocol, Some(ports)));
    let named = PROTOCOLS.iter().find(|(name, _)| *name == protocol);
    let protocol = match named {
        Some((_, number)) => *number,
        None => protocol.parse().ok()?,
    };
    let ports = match ports {
        None => (0, u16::MAX),
        Some("opaque") => OPAQUE_PORTS,
        Some(ports) => match ports.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => (ports.parse().ok()?, ports.parse().ok()?),
        },
    };
    // Ports are of a protocol.
    (protocol != 0 || ports == (0, u16::MAX)).then_some((protocol, ports))
}

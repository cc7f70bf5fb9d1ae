//! UDP datagrams in frames of the primary, and back.

use std::net::{IpAddr, SocketAddr};

use ike_engine::{Datagram, Path};
use packet::{EtherType, EthernetHeader, Ipv4, Ipv6, MacAddress, PacketBuilder, Protocol, Udp, extension};

/// A datagram that has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Between which addresses and ports.
    pub(crate) path: Path,
    /// What follows the UDP header.
    pub(crate) payload: Vec<u8>,
}

/// The datagram in a frame; `None` if there is none. The primary has checked lengths and checksums.
pub(crate) fn parse(frame: &[u8]) -> Option<Received> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    let (source, destination, protocol, segment): (IpAddr, IpAddr, _, _) = match link.ethertype {
        EtherType::IPV4 => {
            let header = Ipv4::parse(packet).ok()?;
            let ends = (header.source().into(), header.destination().into());
            (ends.0, ends.1, header.protocol(), header.payload())
        }
        EtherType::IPV6 => {
            let header = Ipv6::parse(packet).ok()?;
            let upper = extension::upper_layer(&header).ok()?;
            let ends = (header.source().into(), header.destination().into());
            (ends.0, ends.1, upper.protocol, upper.payload)
        }
        _ => return None,
    };
    if protocol != Protocol::UDP {
        return None;
    }
    let udp = Udp::parse(segment).ok()?;
    Some(Received {
        path: Path {
            local: SocketAddr::new(destination, udp.destination_port()),
            remote: SocketAddr::new(source, udp.source_port()),
        },
        payload: udp.payload().to_vec(),
    })
}

/// The frame of a datagram, for the primary to send as its own; `None` if the addresses are of two families. `identification` tells
/// IPv4 packets of a path apart, so that their fragments are.
pub(crate) fn build(datagram: &Datagram, identification: u16) -> Option<Vec<u8>> {
    let Path { local, remote } = datagram.path;
    // The primary writes the addresses of the link.
    let link = PacketBuilder::ethernet(MacAddress([0; 6]), MacAddress([0; 6]));
    let (from, to) = (local.port(), remote.port());
    match (local.ip(), remote.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(
            link.ipv4(source, destination)
                .identification(identification)
                .udp(from, to, &datagram.payload),
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Some(link.ipv6(source, destination).udp(from, to, &datagram.payload))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_again_with_right_checksums() {
        for (local, remote) in [
            ("192.0.2.1:500", "198.51.100.2:4501"),
            ("[2001:db8::1]:4500", "[2001:db8:1::2]:4500"),
        ] {
            let path = Path {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
            };
            let payload = b"a message".to_vec();
            let sent = Datagram { path, payload };
            let frame = build(&sent, 7).unwrap();
            let back = parse(&frame).unwrap();
            assert_eq!((back.path.local, back.path.remote), (path.remote, path.local));
            assert_eq!(back.payload, sent.payload);
            match path.local.ip() {
                IpAddr::V4(_) => {
                    let header = Ipv4::parse(&frame[14..]).unwrap();
                    let udp = Udp::parse(header.payload()).unwrap();
                    assert!(
                        udp.checksum() != 0 && udp.checksum_is_valid(header.source(), header.destination())
                    );
                }
                IpAddr::V6(_) => {
                    let header = Ipv6::parse(&frame[14..]).unwrap();
                    let udp = Udp::parse(&frame[54..]).unwrap();
                    assert!(udp.checksum_is_valid(header.source(), header.destination()));
                }
            }
            for length in 0..frame.len() {
                assert!(parse(&frame[..length]).is_none_or(|cut| cut.payload.len() < 9));
            }
        }
        let path = Path {
            local: "192.0.2.1:500".parse().unwrap(),
            remote: "[2001:db8::1]:500".parse().unwrap(),
        };
        let payload = Vec::new();
        assert_eq!(build(&Datagram { path, payload }, 0), None);
    }
}

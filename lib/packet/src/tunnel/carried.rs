//! What stands behind an outer IP header, seen from where the tunnel ends.

use super::gre::{Gre, GreError};
use crate::{EtherType, Protocol, ipv4, ipv6};

/// Why there is no packet inside that could be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarriedError {
    /// The GRE header cannot be read.
    #[error(transparent)]
    Gre(#[from] GreError),
    /// The GRE checksum does not fit.
    #[error("the checksum of the GRE header is wrong")]
    Checksum,
    /// GRE with something else than IP: a bridged Ethernet frame, a keepalive.
    #[error("GRE carries {0:?}, which is not IPv4 or IPv6")]
    Payload(EtherType),
    /// The inner packet is shorter than its header or of another version than the outer one says.
    #[error("what the tunnel carries does not begin with the IP header that was named")]
    Inner,
}

/// A packet behind the outer IP header of a tunnel: its header is read, the rest checked by [`Carried::inner`].
#[derive(Clone, Copy, Debug)]
pub enum Carried<'a> {
    /// The inner packet follows at once.
    Ip {
        /// Which it is.
        ethertype: EtherType,
        /// All of it.
        packet: &'a [u8],
    },
    /// There is a GRE header between.
    Gre(Gre<'a>),
}

impl<'a> Carried<'a> {
    /// Whether packets of this protocol are those of a tunnel.
    pub fn is_carried_by(protocol: Protocol) -> bool {
        matches!(protocol, Protocol::IPIP | Protocol::IPV6 | Protocol::GRE)
    }

    /// What follows an outer IP header that says `protocol`; `None` for a protocol of no tunnel.
    pub fn parse(protocol: Protocol, payload: &'a [u8]) -> Option<Result<Carried<'a>, CarriedError>> {
        let ethertype = match protocol {
            Protocol::IPIP => EtherType::IPV4,
            Protocol::IPV6 => EtherType::IPV6,
            Protocol::GRE => return Some(Gre::parse(payload).map(Carried::Gre).map_err(CarriedError::Gre)),
            _ => return None,
        };
        let packet = payload;
        Some(Ok(Carried::Ip { ethertype, packet }))
    }

    /// What the inner packet is and how many bytes stand before it, once all that can be is checked: the first of the inner
    /// header is there and of the right version.
    pub fn inner(&self) -> Result<(EtherType, usize), CarriedError> {
        let (ethertype, packet, before) = match self {
            Carried::Ip { ethertype, packet } => (*ethertype, *packet, 0),
            Carried::Gre(gre) => {
                if !gre.checksum_is_valid() {
                    return Err(CarriedError::Checksum);
                }
                (gre.protocol(), gre.payload(), gre.header_len())
            }
        };
        let (version, least) = match ethertype {
            EtherType::IPV4 => (4, ipv4::HEADER_LEN),
            EtherType::IPV6 => (6, ipv6::HEADER_LEN),
            other => return Err(CarriedError::Payload(other)),
        };
        match packet.first() {
            Some(first) if first >> 4 == version && packet.len() >= least => Ok((ethertype, before)),
            _ => Err(CarriedError::Inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{PacketBuilder, tunnel::gre};

    fn four() -> Vec<u8> {
        PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).udp(1, 2, b"")
    }

    fn six() -> Vec<u8> {
        PacketBuilder::ipv6(1.into(), 2.into()).udp(1, 2, b"")
    }

    fn in_gre(protocol: u16, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; gre::len(Some(3))];
        gre::emit(EtherType(protocol), Some(3), &mut bytes).unwrap();
        [bytes, packet.to_vec()].concat()
    }

    fn inner(protocol: Protocol, payload: &[u8]) -> Result<(EtherType, usize), CarriedError> {
        Carried::parse(protocol, payload)
            .unwrap()
            .and_then(|carried| carried.inner())
    }

    #[test]
    fn each_protocol_has_its_packet() {
        assert_eq!(inner(Protocol::IPIP, &four()), Ok((EtherType::IPV4, 0)));
        assert_eq!(inner(Protocol::IPV6, &six()), Ok((EtherType::IPV6, 0)));
        assert_eq!(
            inner(Protocol::GRE, &in_gre(0x0800, &four())),
            Ok((EtherType::IPV4, 8))
        );
        assert_eq!(
            inner(Protocol::GRE, &in_gre(0x86dd, &six())),
            Ok((EtherType::IPV6, 8))
        );
        for number in 0..=255 {
            let is_tunnel = [4, 41, 47].contains(&number);
            assert_eq!(Carried::is_carried_by(Protocol(number)), is_tunnel);
            assert_eq!(Carried::parse(Protocol(number), &four()).is_some(), is_tunnel);
        }
    }

    #[test]
    fn what_is_not_as_it_says_is_refused() {
        assert_eq!(inner(Protocol::IPIP, &six()), Err(CarriedError::Inner));
        assert_eq!(inner(Protocol::IPV6, &four()), Err(CarriedError::Inner));
        assert_eq!(inner(Protocol::IPIP, &four()[..19]), Err(CarriedError::Inner));
        assert_eq!(inner(Protocol::IPV6, &six()[..39]), Err(CarriedError::Inner));
        assert_eq!(inner(Protocol::IPIP, &[]), Err(CarriedError::Inner));
        assert_eq!(
            inner(Protocol::GRE, &in_gre(0x0800, &six())),
            Err(CarriedError::Inner)
        );
        for other in [0x6558, 0, 0x0806] {
            let refused = Err(CarriedError::Payload(EtherType(other)));
            assert_eq!(inner(Protocol::GRE, &in_gre(other, &four())), refused);
        }
        assert_eq!(
            inner(Protocol::GRE, &[0, 1, 8, 0]),
            Err(CarriedError::Gre(GreError::Version))
        );
        let summed = [&[0x80, 0, 8, 0, 0x12, 0x34, 0, 0][..], &four()].concat();
        assert_eq!(inner(Protocol::GRE, &summed), Err(CarriedError::Checksum));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(number: u8, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(Ok((ethertype, before))) = Carried::parse(Protocol(number), &bytes)
                .map(|carried| carried.and_then(|carried| carried.inner()))
            {
                let version = if ethertype == EtherType::IPV4 { 4 } else { 6 };
                prop_assert_eq!(bytes[before] >> 4, version);
                prop_assert!(bytes.len() >= before + 20);
            }
        }
    }
}

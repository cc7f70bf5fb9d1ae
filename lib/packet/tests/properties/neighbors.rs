//! Neighbour solicitations and advertisements.

use std::net::Ipv6Addr;

use packet::ipv6::{link_local, multicast_mac, solicited_node};
use packet::nd::{MAX_FRAME_LEN, NeighborAdvertisement, NeighborMessage, NeighborSolicitation};
use packet::{EtherType, EthernetHeader, Ipv6, MacAddress};
use proptest::prelude::*;

use crate::exercise::exercise;
use crate::strategies::{address_v6, mac};

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    address_v6().prop_filter("a unicast address", |address| {
        !address.is_multicast() && !address.is_unspecified()
    })
}

fn message() -> impl Strategy<Value = NeighborMessage> {
    (
        unicast(),
        prop::option::of(mac()),
        any::<[bool; 3]>(),
        any::<bool>(),
    )
        .prop_map(
            |(target, link_layer, [router, solicited, overrides], is_solicitation)| {
                if is_solicitation {
                    NeighborMessage::Solicitation(NeighborSolicitation {
                        target,
                        source_link_layer: link_layer,
                    })
                } else {
                    NeighborMessage::Advertisement(NeighborAdvertisement {
                        target,
                        router,
                        solicited,
                        overrides,
                        target_link_layer: link_layer,
                    })
                }
            },
        )
}

fn frame(
    message: &NeighborMessage,
    source: (MacAddress, Ipv6Addr),
    destination: (MacAddress, Ipv6Addr),
) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME_LEN];
    let len = match message {
        NeighborMessage::Solicitation(message) => {
            message.emit_frame(source.0, destination.0, source.1, destination.1, &mut buffer)
        }
        NeighborMessage::Advertisement(message) => {
            message.emit_frame(source.0, destination.0, source.1, destination.1, &mut buffer)
        }
    };
    buffer[..len.unwrap()].to_vec()
}

fn parse(packet: &[u8]) -> Option<NeighborMessage> {
    Ipv6::parse(packet)
        .ok()
        .and_then(|ip| NeighborMessage::parse(&ip).ok())
}

proptest! {
    #[test]
    fn message_comes_back_and_its_frame_is_addressed_as_asked(
        message in message(),
        source in (mac(), unicast()),
        destination in (mac(), unicast()),
    ) {
        let frame = frame(&message, source, destination);
        let (header, packet) = EthernetHeader::parse(&frame).unwrap();
        prop_assert_eq!((header.source, header.destination), (source.0, destination.0));
        prop_assert_eq!(header.ethertype, EtherType::IPV6);
        let ip = Ipv6::parse(packet).unwrap();
        prop_assert_eq!((ip.source(), ip.destination(), ip.hop_limit()), (source.1, destination.1, 255));
        prop_assert_eq!(parse(packet), Some(message));
    }

    #[test]
    fn message_with_any_bit_turned_over_is_not_believed(
        message in message(),
        source in (mac(), unicast()),
        destination in (mac(), unicast()),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let frame = frame(&message, source, destination);
        let mut packet = frame[14..].to_vec();
        *at.get_mut(&mut packet) ^= 1u8 << bit;
        exercise(&packet);
        // Traffic class and flow label are in no checksum.
        let unprotected = at.index(packet.len()) < 4 && packet[0] >> 4 == 6;
        prop_assert_eq!(parse(&packet).is_some(), unprotected);
    }

    #[test]
    fn message_truncated_at_any_byte_is_not_believed(
        message in message(),
        source in (mac(), unicast()),
        destination in (mac(), unicast()),
    ) {
        let frame = frame(&message, source, destination);
        let packet = &frame[14..];
        for cut in 0..packet.len() {
            prop_assert_eq!(parse(&packet[..cut]), None);
        }
    }

    #[test]
    fn addresses_that_follow_from_others_keep_their_low_bits(address in address_v6(), mac in mac()) {
        let group = solicited_node(address);
        prop_assert!(packet::ipv6::is_solicited_node(group) && group.is_multicast());
        prop_assert_eq!(&group.octets()[13..], &address.octets()[13..]);
        prop_assert_eq!(&multicast_mac(group).octets()[2..], &group.octets()[12..]);
        let link_local = link_local(mac);
        prop_assert!(link_local.is_unicast_link_local());
        let octets = link_local.octets();
        prop_assert_eq!(
            [octets[8] ^ 2, octets[9], octets[10], octets[13], octets[14], octets[15]],
            mac.octets()
        );
    }
}

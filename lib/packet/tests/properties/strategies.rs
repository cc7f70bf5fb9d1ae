//! Addresses, headers and packets to try.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::builder::{EthernetBuilder, Ipv6Builder};
use packet::ethernet::VlanTags;
use packet::tcp::{TcpFlags, TcpHeader};
use packet::{EtherType, MacAddress, PacketBuilder, Protocol, VlanTag};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

pub(crate) fn address_v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from)
}

pub(crate) fn mac() -> impl Strategy<Value = MacAddress> {
    any::<[u8; 6]>().prop_map(MacAddress)
}

pub(crate) fn tags() -> impl Strategy<Value = VlanTags> {
    let tag = || {
        let tpid = prop_oneof![Just(EtherType::VLAN), Just(EtherType::SERVICE_VLAN)];
        (tpid, any::<u16>()).prop_map(|(tpid, tci)| VlanTag { tpid, tci })
    };
    prop_oneof![
        Just(VlanTags::NONE),
        tag().prop_map(VlanTags::one),
        (tag(), tag()).prop_map(|(outer, inner)| VlanTags::two(outer, inner)),
    ]
}

pub(crate) fn tcp_header() -> impl Strategy<Value = TcpHeader> {
    (any::<[u16; 3]>(), any::<[u32; 2]>(), any::<u8>()).prop_map(
        |([source_port, destination_port, window], [sequence, acknowledgment], flags)| TcpHeader {
            source_port,
            destination_port,
            sequence,
            acknowledgment,
            flags: TcpFlags(flags),
            window,
        },
    )
}

fn link() -> impl Strategy<Value = EthernetBuilder> {
    (mac(), mac(), tags()).prop_map(|(destination, source, tags)| {
        tags.iter()
            .fold(PacketBuilder::ethernet(destination, source), |builder, tag| {
                builder.tag(tag)
            })
    })
}

/// A frame of each kind that the builder can make of IPv4.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let ip = (
        link(),
        address(),
        address(),
        any::<u8>(),
        vec(any::<u8>(), 0..=40),
    )
        .prop_map(|(link, source, destination, ttl, options)| {
            link.ipv4(source, destination).ttl(ttl).options(&options)
        });
    (ip, 0..5, tcp_header(), vec(any::<u8>(), 0..200)).prop_map(|(ip, kind, tcp, payload)| match kind {
        0 => ip.udp(tcp.source_port, tcp.destination_port, &payload),
        1 => ip.tcp(&tcp, &payload),
        2 => ip.echo_request(tcp.source_port, tcp.window, &payload),
        3 => ip.udp(tcp.source_port, tcp.destination_port, &payload),
        _ => ip.payload(Protocol::ESP, &payload),
    })
}

/// An extension header for [`Ipv6Builder`] to put in; hop-by-hop options may come out anywhere.
#[derive(Clone, Debug)]
pub(crate) enum Extension {
    HopByHop(Vec<u8>),
    DestinationOptions(Vec<u8>),
    Routing(u8),
    Fragment(u16, bool, u32),
    Authentication(Vec<u8>),
}

impl Extension {
    pub(crate) fn put_into(&self, builder: Ipv6Builder) -> Ipv6Builder {
        match self {
            Extension::HopByHop(options) => builder.hop_by_hop(options),
            Extension::DestinationOptions(options) => builder.destination_options(options),
            Extension::Routing(segments_left) => builder.routing(0, *segments_left),
            Extension::Fragment(offset, more, identification) => {
                builder.fragment(*offset, *more, *identification)
            }
            Extension::Authentication(value) => {
                let units = u8::try_from(value.len() / 4 + 1).unwrap();
                builder.extension(
                    Protocol::AH,
                    &[&[0, units, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &value[..]].concat(),
                )
            }
        }
    }

    /// Bytes of the header.
    pub(crate) fn len(&self) -> usize {
        match self {
            Extension::HopByHop(options) | Extension::DestinationOptions(options) => {
                (options.len() + 2).next_multiple_of(8)
            }
            Extension::Routing(_) | Extension::Fragment(..) => 8,
            Extension::Authentication(value) => 12 + value.len(),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Extension::HopByHop(_) => Protocol::HOP_BY_HOP,
            Extension::DestinationOptions(_) => Protocol::DESTINATION_OPTIONS,
            Extension::Routing(_) => Protocol::ROUTING,
            Extension::Fragment(..) => Protocol::FRAGMENT,
            Extension::Authentication(_) => Protocol::AH,
        }
    }
}

/// Extension headers that leave the packet whole and where it was going.
pub(crate) fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let options = || vec(any::<u8>(), 0..40);
    let later = prop_oneof![
        options().prop_map(Extension::DestinationOptions),
        Just(Extension::Routing(0)),
        any::<u32>().prop_map(|identification| Extension::Fragment(0, false, identification)),
        (0usize..6).prop_map(|words| Extension::Authentication(vec![0; words * 4])),
    ];
    let first = prop::option::of(options().prop_map(Extension::HopByHop));
    (first, vec(later, 0..5)).prop_map(|(first, later)| first.into_iter().chain(later).collect())
}

/// An IPv6 packet with these headers and of each kind that the builder can make.
pub(crate) fn packet_v6(extensions: Vec<Extension>) -> impl Strategy<Value = Vec<u8>> {
    let ip = (address_v6(), address_v6(), any::<u8>()).prop_map(move |(source, destination, hop_limit)| {
        let ip = PacketBuilder::ipv6(source, destination).hop_limit(hop_limit);
        extensions.iter().fold(ip, |ip, extension| extension.put_into(ip))
    });
    (ip, 0..5, tcp_header(), vec(any::<u8>(), 0..200)).prop_map(|(ip, kind, tcp, payload)| match kind {
        0 => ip.udp(tcp.source_port, tcp.destination_port, &payload),
        1 => ip.tcp(&tcp, &payload),
        2 => ip.echo_request(tcp.source_port, tcp.window, &payload),
        3 => ip.icmp(tcp.flags.0, 0, &payload),
        _ => ip.payload(Protocol::ESP, &payload),
    })
}

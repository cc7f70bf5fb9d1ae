//! Valid packets, and some that are refused, of both families and every kind that the stages tell apart.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder};
use packet::nd::{NeighborAdvertisement, NeighborSolicitation};
use packet::tcp::{TcpFlags, TcpHeader};
use packet::{Arp, EtherType, MacAddress, PacketBuilder, Protocol, VlanTag, ipv6, nd};

use super::alerts;
use super::topology::INTERFACES;

pub(super) const SENDER: MacAddress = MacAddress([2, 0, 0, 0, 9, 9]);
pub(super) const HOST4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
pub(super) const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
pub(super) const HOST_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);

/// Destinations of every kind.
pub const TO4: [[u8; 4]; 19] = [
    [192, 168, 2, 2],
    [192, 168, 1, 1],
    [192, 168, 2, 1],
    [192, 168, 1, 2],
    [192, 168, 1, 77],
    [192, 168, 2, 77],
    [192, 168, 1, 255],
    [10, 1, 2, 3],
    [10, 2, 2, 3],
    [10, 3, 2, 3],
    [10, 4, 2, 3],
    [10, 5, 2, 3],
    [10, 6, 2, 3],
    [8, 8, 8, 8],
    [127, 0, 0, 1],
    [0, 1, 2, 3],
    [224, 0, 0, 5],
    [240, 0, 0, 1],
    [255, 255, 255, 255],
];

/// Destinations of every kind.
pub const TO6: [Ipv6Addr; 22] = {
    const fn net(third: u16, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, third, 0, 0, 0, 0, last)
    }
    const fn group(scope: u16, seventh: u16, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(scope, 0, 0, 0, 0, if seventh == 0 { 0 } else { 1 }, seventh, last)
    }
    [
        net(2, 2),
        net(1, 1),
        net(2, 1),
        net(1, 2),
        net(1, 77),
        net(2, 77),
        net(0x11, 3),
        net(0x12, 3),
        net(0x13, 3),
        net(0x14, 3),
        net(0x15, 3),
        net(0x16, 3),
        net(0x99, 3),
        Ipv6Addr::new(0xfd00, 0x17, 0, 0, 0, 0, 0, 3),
        Ipv6Addr::LOCALHOST,
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
        group(0xff02, 0, 1),
        group(0xff02, 0xff00, 1),
        group(0xff05, 0, 2),
    ]
};

const TCP: TcpHeader = TcpHeader {
    source_port: 40_000,
    destination_port: 80,
    sequence: 1,
    acknowledgment: 2,
    flags: TcpFlags(0x10),
    window: 1000,
};

/// Frames that come in by `ingress`.
pub fn frames(ingress: u16) -> Vec<Vec<u8>> {
    let own = MacAddress(INTERFACES[usize::from(ingress)].mac);
    let link = || PacketBuilder::ethernet(own, SENDER);
    let mut frames = Vec::new();
    for to in TO4 {
        kinds4(|| link().ipv4(HOST4, to.into()), &mut frames);
    }
    for to in TO6 {
        kinds6(|| link().ipv6(HOST6, to), &mut frames);
        let ip = || link().ipv6(HOST_LINK_LOCAL, to);
        frames.extend([ip().udp(1, 2, b"from the link"), ip().echo_request(1, 2, b"")]);
    }
    discovery(own, &mut frames);
    links(own, &mut frames);
    long(link, &mut frames);
    frames.extend(alerts::frames(ingress));
    frames
}

fn kinds4(ip: impl Fn() -> Ipv4Builder, frames: &mut Vec<Vec<u8>>) {
    frames.extend([
        ip().udp(1000, 2000, b"payload"),
        ip().udp(1000, 2000, b""),
        ip().ttl(1).udp(33_434, 33_435, b"trace"),
        ip().ttl(0).udp(1, 2, b""),
        ip().ttl(2).tcp(&TCP, b"some bytes"),
        ip().tcp(&TCP, b""),
        ip().echo_request(7, 9, b"are you there?"),
        ip().ttl(1).echo_request(7, 9, b""),
        ip().echo_reply(7, 9, b"here"),
        ip().dont_fragment().udp(1, 500, b"ike"),
        ip().udp(4500, 4500, b"ike"),
        ip().no_udp_checksum().udp(1, 2, b"none"),
        ip().partial_checksum().udp(1, 2, b"unfinished"),
        ip().partial_checksum().tcp(&TCP, b"unfinished"),
        ip().payload(Protocol::ESP, &[7; 40]),
        ip().payload(Protocol::ICMP, &[3, 1, 0, 0, 0, 0, 0, 0]),
        ip().payload(Protocol::ICMP, &[8, 0]),
        ip().fragment(0, true).udp(1, 2, &[0; 24]),
        ip().fragment(1480, false).payload(Protocol::UDP, &[0; 24]),
        ip().options(&[148, 4, 0, 0]).udp(1, 2, b"rsvp"),
        ip().options(&[1, 7, 7, 4, 0, 0, 0, 0]).udp(1, 2, b"record route"),
        ip().options(&[131, 7, 4, 10, 1, 0, 1])
            .echo_request(1, 2, b"source route"),
        ip().options(&[137, 7, 8, 10, 1, 0, 1]).udp(1, 2, b"at its end"),
        ip().options(&[68, 40, 5, 0]).udp(1, 2, b"too long"),
        ip().options(&[1; 40]).udp(1, 2, b"nothing"),
    ]);
}

fn kinds6(ip: impl Fn() -> Ipv6Builder, frames: &mut Vec<Vec<u8>>) {
    frames.extend([
        ip().udp(1000, 2000, b"payload"),
        ip().hop_limit(1).udp(33_434, 33_435, b"trace"),
        ip().hop_limit(0).udp(1, 2, b""),
        ip().hop_limit(2).tcp(&TCP, b"some bytes"),
        ip().tcp(&TCP, b""),
        ip().echo_request(7, 9, b"are you there?"),
        ip().hop_limit(1)
            .traffic_class(0xb8)
            .flow_label(0x12345)
            .echo_request(7, 9, b""),
        ip().echo_reply(7, 9, b"here"),
        ip().udp(1, 500, b"ike"),
        ip().partial_checksum().udp(1, 2, b"unfinished"),
        ip().partial_checksum().tcp(&TCP, b"unfinished"),
        ip().payload(Protocol::ESP, &[7; 40]),
        ip().payload(Protocol::NO_NEXT_HEADER, &[]),
        ip().payload(Protocol(200), &[1; 9]),
        ip().icmp(1, 0, &[0; 40]),
        ip().icmp(130, 0, &[0; 20]),
        ip().icmp(128, 1, &[0; 4]),
        ip().payload(Protocol::ICMPV6, &[128, 0]),
        ip().fragment(0, true, 7).udp(1, 2, &[0; 24]),
        ip().fragment(1480, false, 7).payload(Protocol::UDP, &[0; 24]),
        ip().fragment(0, false, 7).echo_request(1, 2, b"atomic"),
        ip().router_alert(0).udp(1, 2, b"mld or rsvp"),
        ip().hop_by_hop(&[5, 2, 0, 1, 0x5e, 2, 0, 0])
            .udp(1, 2, b"discard"),
        ip().hop_by_hop(&[0x9e, 0, 5, 2, 0, 1]).udp(1, 2, b"tell"),
        ip().hop_by_hop(&[0, 5, 2, 0, 1, 5, 2, 0, 2]).udp(1, 2, b"twice"),
        ip().hop_by_hop(&[0xc2, 4, 0, 1, 0, 0]).udp(1, 2, b"jumbo"),
        ip().hop_by_hop(&[]).echo_request(1, 2, b""),
        ip().hop_by_hop(&[0x1e, 1, 0])
            .destination_options(&[0x3e, 0])
            .echo_request(1, 2, b""),
        ip().destination_options(&[0x5e, 2, 0, 0]).udp(1, 2, b"discard"),
        ip().destination_options(&[0x9e, 2, 0, 0]).udp(1, 2, b"tell"),
        ip().destination_options(&[0xde, 2, 0, 0]).udp(1, 2, b"tell one"),
        ip().destination_options(&[1, 200]).udp(1, 2, b"overrun"),
        ip().routing(0, 0).echo_request(1, 2, b""),
        ip().routing(4, 1).udp(1, 2, b"segments left"),
        ip().destination_options(&[])
            .hop_by_hop(&[])
            .udp(1, 2, b"misplaced"),
        ip().extension(
            Protocol::AH,
            &[
                0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
            ],
        )
        .udp(1, 2, b""),
        ip().payload(Protocol::ROUTING, &[17, 9, 0, 0, 0, 0, 0, 0]),
        (0..17)
            .fold(ip(), |ip, _| ip.destination_options(&[]))
            .udp(1, 2, b"too many"),
    ]);
}

/// ARP and neighbour discovery.
fn discovery(own: MacAddress, frames: &mut Vec<Vec<u8>>) {
    let arp = Arp::request(SENDER, HOST4, Ipv4Addr::new(192, 168, 1, 1));
    frames.push(
        PacketBuilder::ethernet(MacAddress::BROADCAST, SENDER)
            .padded()
            .arp(&arp),
    );
    frames.push(PacketBuilder::ethernet(own, SENDER).arp(&arp));
    let target = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    let group = ipv6::solicited_node(target);
    let mut buffer = [0; nd::MAX_FRAME_LEN];
    let mut push = |length: Result<usize, _>, buffer: &[u8]| {
        frames.extend(
            length
                .ok()
                .and_then(|length: usize| Some(buffer.get(..length)?.to_vec())),
        );
    };
    for (source, source_link_layer) in [(HOST6, Some(SENDER)), (Ipv6Addr::UNSPECIFIED, None)] {
        let solicitation = NeighborSolicitation {
            target,
            source_link_layer,
        };
        let length = solicitation.emit_frame(SENDER, ipv6::multicast_mac(group), source, group, &mut buffer);
        push(length.map_err(drop), &buffer);
    }
    let advertisement = NeighborAdvertisement {
        target: HOST6,
        router: false,
        solicited: true,
        overrides: true,
        target_link_layer: Some(SENDER),
    };
    let length = advertisement.emit_frame(SENDER, own, HOST6, target, &mut buffer);
    push(length.map_err(drop), &buffer);
}

/// Link headers of every kind.
fn links(own: MacAddress, frames: &mut Vec<Vec<u8>>) {
    let tag = |tci| VlanTag {
        tpid: EtherType::VLAN,
        tci,
    };
    let service = VlanTag {
        tpid: EtherType::SERVICE_VLAN,
        tci: 0,
    };
    let group = MacAddress([0x33, 0x33, 0, 0, 0, 1]);
    let plain = |to| PacketBuilder::ethernet(to, SENDER);
    let each: [EthernetBuilder; 8] = [
        plain(own).padded(),
        plain(own).tag(tag(5 << 13)).padded(),
        plain(own).tag(tag(7)),
        plain(own).tag(service).tag(tag(0)),
        plain(group),
        plain(MacAddress::BROADCAST),
        plain(MacAddress([2, 0, 0, 0, 7, 7])),
        PacketBuilder::ethernet(own, MacAddress([3, 0, 0, 0, 0, 1])),
    ];
    for link in each {
        for to in [TO4[0], TO4[1], TO4[13]] {
            frames.push(link.clone().ipv4(HOST4, to.into()).udp(1, 2, b"x"));
            frames.push(link.clone().ipv4(HOST4, to.into()).echo_request(1, 2, b"x"));
        }
        for to in [TO6[0], TO6[1], TO6[12], TO6[19]] {
            frames.push(link.clone().ipv6(HOST6, to).udp(1, 2, b"x"));
            frames.push(link.clone().ipv6(HOST6, to).echo_request(1, 2, b"x"));
            frames.push(
                link.clone()
                    .ipv6(HOST6, to)
                    .destination_options(&[0x9e, 0])
                    .udp(1, 2, b"x"),
            );
        }
        frames.push(link.clone().payload(EtherType::LLDP, &[0; 46]));
        frames.push(link.tag(tag(0)).payload(EtherType::VLAN, &[0; 46]));
    }
}

/// Packets about as long as an MTU.
fn long(link: impl Fn() -> EthernetBuilder, frames: &mut Vec<Vec<u8>>) {
    for length in [1251, 1272, 1273, 1452, 1472, 1473, 2000] {
        let payload = vec![0x55; length];
        for to in [TO4[0], TO4[1], TO4[11]] {
            let ip = || link().ipv4(HOST4, to.into());
            frames.push(ip().udp(1, 2, &payload));
            frames.push(ip().dont_fragment().udp(1, 2, &payload));
            frames.push(ip().dont_fragment().ttl(1).udp(1, 2, &payload));
        }
        for to in [TO6[0], TO6[1], TO6[10]] {
            frames.push(link().ipv6(HOST6, to).udp(1, 2, &payload));
            frames.push(link().ipv6(HOST6, to).echo_request(1, 2, &payload));
        }
    }
}

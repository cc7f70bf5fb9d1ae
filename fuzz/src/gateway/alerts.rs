//! Packets with the router alert option, well-formed and not: what the requirements speak of, REQ-RA-1 to 13 and 20 to 28.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder};
use packet::{MacAddress, PacketBuilder, Protocol};

use super::packets::{HOST_LINK_LOCAL, HOST4, HOST6, SENDER};
use super::topology::INTERFACES;

/// A host behind the gateway, one that nobody leads to, and the gateway itself.
const TO4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(10, 1, 2, 3),
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(192, 168, 1, 1),
];
const TO6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0x11, 0, 0, 0, 0, 3),
    Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 3),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
];
/// All nodes of the link, its routers that report groups, and a group that is routed.
const GROUPS: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16),
    Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 0x1234),
];

/// Options of IPv4, each list as it stands in a header.
const OPTIONS4: &[&[u8]] = &[
    &[148, 4, 0, 0],
    &[148, 4, 0, 5],
    &[148, 4, 0xff, 0xff],
    &[1, 1, 148, 4, 0, 0, 1, 1],
    &[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0],
    &[148, 4, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0],
    &[0, 0, 0, 0, 148, 4, 0, 0],
    &[148, 4, 0, 0, 148, 4, 0, 0],
    &[148, 4, 0, 0, 148, 4, 0, 1],
    // Of other lengths than an alert has, or none at all.
    &[148, 3, 0, 0],
    &[148, 2, 0, 0],
    &[148, 6, 0, 0, 0, 0],
    &[148, 0, 0, 0],
    &[148, 1, 0, 0],
    &[148, 5, 0, 0],
    &[1, 1, 1, 148],
    // An option before it that is malformed, or that nobody follows.
    &[94, 0, 0, 0, 148, 4, 0, 0],
    &[131, 7, 4, 10, 1, 0, 1, 0, 148, 4, 0, 0],
];

/// Options of a hop-by-hop header, each list as it stands in one.
const OPTIONS6: &[&[u8]] = &[
    &[5, 2, 0, 0],
    &[5, 2, 0, 5],
    &[5, 2, 0xff, 0xff],
    &[1, 0, 5, 2, 0, 5],
    // At an odd offset.
    &[0, 5, 2, 0, 5, 0],
    // Twice, the same and another.
    &[5, 2, 0, 5, 5, 2, 0, 5],
    &[5, 2, 0, 5, 5, 2, 0, 6],
    // Of lengths that it does not have.
    &[5, 0],
    &[5, 1, 0],
    &[5, 4, 0, 5, 0, 5],
    // Padding: not zero, too long, too much of one byte.
    &[5, 2, 0, 5, 1, 4, 1, 2, 3, 4],
    &[5, 2, 0, 5, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 5],
    // Unknown options, by the two highest bits of their type and the one that says whether they change on the way.
    &[5, 2, 0, 5, 0x1e, 2, 0, 0],
    &[5, 2, 0, 5, 0x3e, 2, 0, 0],
    &[5, 2, 0, 5, 0x5e, 2, 0, 0],
    &[5, 2, 0, 5, 0x7e, 2, 0, 0],
    &[5, 2, 0, 5, 0x9e, 2, 0, 0],
    &[5, 2, 0, 5, 0xbe, 2, 0, 0],
    &[5, 2, 0, 5, 0xde, 2, 0, 0],
    &[5, 2, 0, 5, 0xfe, 2, 0, 0],
    &[0x5e, 2, 0, 0, 5, 2, 0, 5],
    &[0x9e, 2, 0, 0, 5, 2, 0, 5],
    &[0xde, 2, 0, 0, 5, 2, 0, 5],
    // Jumbo payloads: one, none, of another length.
    &[0xc2, 4, 0, 1, 0, 0, 5, 2, 0, 5],
    &[0xc2, 4, 0, 0, 0, 16, 5, 2, 0, 5],
    &[5, 2, 0, 5, 0xc2, 4, 0, 1, 0, 0],
    &[0xc2, 2, 0, 1],
    // Eight and nine options.
    &[5, 2, 0, 5, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0],
    &[5, 2, 0, 5, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0, 30, 0],
];

/// Frames that come in by `ingress`.
pub fn frames(ingress: u16) -> Vec<Vec<u8>> {
    let own = MacAddress(INTERFACES[usize::from(ingress)].mac);
    let link = || PacketBuilder::ethernet(own, SENDER);
    let mut frames = Vec::new();
    for to in TO4 {
        let ip = || link().ipv4(HOST4, to);
        for options in OPTIONS4 {
            kinds4(|| ip().options(options), &mut frames);
        }
    }
    for to in TO6.into_iter().chain(GROUPS) {
        let ip = || link().ipv6(HOST6, to);
        for options in OPTIONS6 {
            frames.push(ip().hop_by_hop(options).udp(1000, 2000, b"an alert"));
        }
        kinds6(ip, &mut frames);
    }
    senders(link, &mut frames);
    frames
}

fn kinds4(ip: impl Fn() -> Ipv4Builder, frames: &mut Vec<Vec<u8>>) {
    frames.extend([
        ip().udp(1000, 2000, b"an alert"),
        ip().ttl(1).udp(1000, 2000, b"its last hop"),
        ip().ttl(0).udp(1000, 2000, b"beyond it"),
        ip().payload(Protocol::RSVP, &[0x10, 1, 0, 0, 63, 0, 0, 8]),
        ip().payload(Protocol::IGMP, &[0x22, 0, 0, 0, 0, 0, 0, 0]),
        ip().fragment(0, true).udp(1000, 2000, &[7; 16]),
        ip().fragment(1480, false).payload(Protocol::UDP, &[7; 24]),
    ]);
}

fn kinds6(ip: impl Fn() -> Ipv6Builder, frames: &mut Vec<Vec<u8>>) {
    let alert = || ip().router_alert(5);
    let long = |length: usize| {
        let mut options = vec![5, 2, 0, 5];
        while options.len() < length {
            options.extend([30, 200]);
            options.extend([0; 200]);
        }
        ip().hop_by_hop(&options).udp(1000, 2000, b"a long header")
    };
    frames.extend([
        alert().hop_limit(1).udp(1000, 2000, b"its last hop"),
        alert().hop_limit(0).udp(1000, 2000, b"beyond it"),
        alert().icmp(143, 0, &[0, 0, 0, 1, 4, 0, 0, 0]),
        alert().fragment(0, true, 7).udp(1000, 2000, &[7; 16]),
        alert().fragment(1480, false, 7).payload(Protocol::UDP, &[7; 24]),
        // A second header of the kind, one that comes late, and the option where it is none.
        alert().router_alert(6).udp(1000, 2000, b"twice"),
        ip().destination_options(&[])
            .router_alert(5)
            .udp(1000, 2000, b"late"),
        ip().destination_options(&[5, 2, 0, 5])
            .udp(1000, 2000, b"no alert"),
        // RFC 4302: the option is covered by it.
        alert()
            .extension(
                Protocol::AH,
                &[
                    0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
                ],
            )
            .udp(1000, 2000, b"authentic"),
        // A header, and an option, that go beyond what is there.
        ip().payload(Protocol::HOP_BY_HOP, &[17, 9, 5, 2, 0, 5, 1, 0]),
        ip().extension(Protocol::HOP_BY_HOP, &[0, 0, 5, 2, 0, 5, 1, 9])
            .udp(1000, 2000, b"an option too long"),
        ip().extension(Protocol::HOP_BY_HOP, &[0, 0, 1, 3, 0, 0, 0, 5])
            .udp(1000, 2000, b"an option without a length"),
        ip().payload(Protocol::HOP_BY_HOP, &[17]),
        long(200),
        long(250),
        long(1800),
    ]);
}

/// Alerts from senders that nobody may answer, or not all.
fn senders(link: impl Fn() -> EthernetBuilder, frames: &mut Vec<Vec<u8>>) {
    for source in [
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST,
        GROUPS[0],
        HOST_LINK_LOCAL,
    ] {
        for to in [TO6[0], GROUPS[0], GROUPS[1]] {
            let ip = link().ipv6(source, to);
            frames.push(ip.router_alert(0).udp(1000, 2000, b"from whom?"));
        }
    }
    for source in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [192, 168, 1, 255]] {
        let ip = link().ipv4(source.into(), TO4[0]);
        frames.push(ip.options(OPTIONS4[0]).udp(1000, 2000, b"from whom?"));
    }
}

//! IPv6 on its way through: headers, addresses, scopes, extension headers.

use std::net::Ipv6Addr;

use packet::{PacketBuilder, Protocol, builder::Ipv6Builder, ipv6};

use crate::{
    gateway::{Case, FAR6, GATEWAY_A6, Gateway, HOST_A_MAC, HOST_A6, HOST_B6, MTU_B, Outcome},
    patched,
    router::ETHERNET,
};
use Outcome::{Dropped, Forwarded, Told};

const NONE: [u8; 4] = [0; 4];
const TIME_EXCEEDED: [u8; 2] = [3, 0];

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(crate) fn headers_that_contradict_themselves_are_dropped_by_name(gateway: &Gateway) {
    let good = gateway.through6().udp(1000, 2000, &[7; 40]);
    let case = |name: &str, offset, bytes: &[u8], outcome| {
        Case::new(name, patched(good.clone(), ETHERNET + offset, bytes), outcome)
    };
    let partial = gateway.through6().partial_checksum().udp(1000, 2000, &[7; 40]);
    gateway.assert_all(&[
        Case::new("nothing wrong", good.clone(), Forwarded),
        case("version 0", 0, &[0x00], Dropped("ip6_version")),
        case("version 4", 0, &[0x45], Dropped("ip6_version")),
        case("version 7", 0, &[0x70], Dropped("ip6_version")),
        case("version 15", 0, &[0xff], Dropped("ip6_version")),
        case(
            "all of traffic class and flow label",
            0,
            &[0x6f, 0xff, 0xff, 0xff],
            Forwarded,
        ),
        case(
            "a payload of one too many",
            4,
            &[0, 49],
            Dropped("ip6_payload_length"),
        ),
        case(
            "a payload of far too many",
            4,
            &[5, 0],
            Dropped("ip6_payload_length"),
        ),
        case("a payload beyond the MTU", 4, &[0xff, 0xff], Dropped("oversize")),
        case("a payload of one less", 4, &[0, 47], Forwarded),
        case("no payload, as a jumbogram has", 4, &[0, 0], Forwarded),
        case("hop limit 0", 7, &[0], Told("ttl_expired", TIME_EXCEEDED, NONE)),
        case("hop limit 1", 7, &[1], Told("ttl_expired", TIME_EXCEEDED, NONE)),
        case("hop limit 2", 7, &[2], Forwarded),
        case("hop limit 255", 7, &[255], Forwarded),
        case("a UDP length of 0", 44, &[0, 0], Forwarded),
        case("no UDP checksum", 46, &[0, 0], Forwarded),
        case("a wrong UDP checksum", 46, &[1, 2], Forwarded),
        Case::new("an unfinished UDP checksum", partial, Dropped("partial_checksum")),
    ]);
}

pub(crate) fn addresses_and_scopes_that_end_here_are_dropped_by_name(gateway: &Gateway) {
    let udp = |frame: Ipv6Builder| frame.udp(1, 2, b"payload");
    let mut cases = Vec::new();
    for source in ["::", "::1", "ff02::1", "ff0e::1", "::ffff:192.168.1.2"].map(address) {
        for (name, destination) in [("through", FAR6), ("to the gateway", GATEWAY_A6)] {
            let frame = udp(gateway.frame().ipv6(source, destination));
            let name = format!("from {source}, {name}");
            cases.push(Case::new(name, frame, Dropped("ip6_martian_source")));
        }
    }
    for (destination, outcome) in [
        ("::", Told("ip6_martian_destination", [1, 0], NONE)),
        ("::1", Dropped("ip6_martian_destination")),
        ("::ffff:10.1.2.3", Told("ip6_martian_destination", [1, 0], NONE)),
        ("ff05::1", Dropped("ip6_multicast")),
        ("ff0e::1:2", Dropped("ip6_multicast")),
        ("ff02::5", Dropped("ip6_multicast")),
        ("ff00::", Dropped("ip6_multicast")),
        // All nodes, which the gateway is one of, and where nothing takes UDP.
        ("ff02::1", Dropped("local_unhandled")),
        ("ff02::2", Dropped("local_unhandled")),
        ("fe80::99", Dropped("ip6_link_local")),
        ("febf::1", Dropped("ip6_link_local")),
        ("fc00::1", Told("no_route", [1, 0], NONE)),
        ("fec0::1", Told("no_route", [1, 0], NONE)),
        ("::10.1.2.3", Told("no_route", [1, 0], NONE)),
        ("3fff::1", Told("no_route", [1, 0], NONE)),
        ("2001:db8:66::1", Dropped("blackhole")),
        ("2001:db8:2::2", Forwarded),
    ] {
        let frame = udp(gateway.frame().ipv6(HOST_A6, address(destination)));
        cases.push(Case::new(format!("to {destination}"), frame, outcome));
    }
    for group in ["ff02::5", "ff05::1", "ff0e::1"].map(address) {
        let frame = udp(gateway.group(group).ipv6(HOST_A6, group));
        cases.push(Case::new(
            format!("to {group} in a frame for it"),
            frame,
            Dropped("ip6_multicast"),
        ));
    }
    let link_local = address("fe80::a:2");
    cases.extend([
        Case::new(
            "link-local, on its way off the link",
            udp(gateway.frame().ipv6(link_local, FAR6)),
            Told("ip6_scope", [1, 2], NONE),
        ),
        Case::new(
            "link-local, to where no route leads",
            udp(gateway.frame().ipv6(link_local, address("3fff::1"))),
            Told("no_route", [1, 0], NONE),
        ),
        Case::new(
            "to a host of the link, which is known",
            udp(gateway.frame().ipv6(HOST_A6, HOST_B6)),
            Forwarded,
        ),
    ]);
    // RFC 4443 section 2.4 (e): whom not to tell.
    let nowhere = || gateway.frame().ipv6(HOST_A6, address("3fff::1"));
    for (name, frame) in [
        ("an ICMPv6 error", nowhere().icmp(1, 0, &[0; 48])),
        ("a redirect", nowhere().icmp(137, 0, &[0; 40])),
        (
            "ICMPv6 that does not say what it is",
            nowhere().payload(Protocol::ICMPV6, &[]),
        ),
        (
            "a chain of headers that breaks off",
            nowhere()
                .extension(Protocol::ROUTING, &[0, 9])
                .payload(Protocol::UDP, &[]),
        ),
    ] {
        let name = format!("{name} to where no route leads");
        cases.push(Case::new(name, frame, Dropped("no_route")));
    }
    let everybody = PacketBuilder::ethernet(ipv6::multicast_mac(ipv6::ALL_NODES), HOST_A_MAC);
    cases.push(Case::new(
        "a packet for one host in a frame for all",
        udp(everybody.ipv6(HOST_A6, FAR6)),
        Dropped("ip6_link_multicast"),
    ));
    gateway.assert_all(&cases);
}

pub(crate) fn extension_headers_are_passed_on_whatever_they_say(gateway: &Gateway) {
    let through = || gateway.through6();
    let end = |builder: Ipv6Builder| builder.udp(1, 2, b"payload");
    let many = |count| end((0..count).fold(through(), |builder, _| builder.destination_options(&[])));
    let long = |bytes: u16| through().udp(1, 2, &vec![7; usize::from(bytes) - 48]);
    let [high, low] = MTU_B.to_be_bytes();
    let cases = [
        (
            "an unknown next header",
            through().payload(Protocol(253), &[0; 8]),
        ),
        ("no next header", through().payload(Protocol::NO_NEXT_HEADER, &[])),
        (
            "no next header and yet something",
            through().payload(Protocol::NO_NEXT_HEADER, &[1, 2, 3]),
        ),
        ("hop-by-hop padding", end(through().hop_by_hop(&[]))),
        ("router alert", end(through().router_alert(0))),
        (
            "an unknown option to skip",
            end(through().hop_by_hop(&[0x1e, 2, 1, 2])),
        ),
        // RFC 8200 section 4: a router that is not told to look does not look.
        (
            "an unknown option to discard",
            end(through().hop_by_hop(&[0x5e, 2, 1, 2])),
        ),
        (
            "an unknown option to tell of",
            end(through().hop_by_hop(&[0x9e, 2, 1, 2])),
        ),
        (
            "an option beyond its header",
            end(through().hop_by_hop(&[0x1e, 200, 1, 2])),
        ),
        (
            "hop-by-hop options beyond the packet",
            through()
                .extension(Protocol::HOP_BY_HOP, &[0, 99])
                .payload(Protocol::UDP, &[]),
        ),
        (
            "hop-by-hop options that are not first",
            end(through().destination_options(&[]).hop_by_hop(&[])),
        ),
        (
            "hop-by-hop options twice",
            end(through().hop_by_hop(&[]).hop_by_hop(&[])),
        ),
        ("routing header type 0", end(through().routing(0, 1))),
        ("routing header type 0, used up", end(through().routing(0, 0))),
        ("routing header of an unknown type", end(through().routing(77, 3))),
        ("a first fragment", end(through().fragment(0, true, 9))),
        ("a last fragment", end(through().fragment(1232, false, 9))),
        ("a fragment that is whole", end(through().fragment(0, false, 9))),
        (
            "a fragment beyond the end of any packet",
            end(through().fragment(65_528, false, 9)),
        ),
        (
            "all extension headers in order",
            end(through()
                .router_alert(0)
                .destination_options(&[])
                .routing(2, 1)
                .fragment(0, true, 1)),
        ),
        ("twenty extension headers", many(20)),
        (
            "a header that breaks off",
            through()
                .extension(Protocol::DESTINATION_OPTIONS, &[17])
                .payload(Protocol::UDP, &[]),
        ),
        (
            "AH",
            through()
                .extension(
                    Protocol::AH,
                    &[
                        0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    ],
                )
                .udp(1, 2, b""),
        ),
        ("ESP", through().payload(Protocol::ESP, &[0; 40])),
        ("a packet as long as may be", long(MTU_B)),
    ];
    let mut cases: Vec<_> = cases
        .into_iter()
        .map(|(name, frame)| Case::new(name, frame, Forwarded))
        .collect();
    cases.push(Case::new(
        "a packet one byte too long",
        long(MTU_B + 1),
        Told("too_big", [2, 0], [0, 0, high, low]),
    ));
    gateway.assert_all(&cases);
}

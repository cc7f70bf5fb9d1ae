//! IPv6 for the gateway itself: extension headers, options, ICMPv6.

use packet::{Protocol, builder::Ipv6Builder, ipv6};

use crate::{
    gateway::{Case, GATEWAY_A6, Gateway, HOST_A6, Outcome},
    patched,
    router::ETHERNET,
};
use Outcome::{Dropped, Echo6, Told};

const NONE: [u8; 4] = [0; 4];
/// Parameter Problem, RFC 4443 section 3.4: a field, a next header, an option.
const FIELD: [u8; 2] = [4, 0];
const NEXT_HEADER: [u8; 2] = [4, 1];
const OPTION: [u8; 2] = [4, 2];

/// A pointer as the error has it.
fn at(offset: u8) -> [u8; 4] {
    [0, 0, 0, offset]
}

fn echo(builder: Ipv6Builder) -> Vec<u8> {
    builder.echo_request(1, 2, b"payload")
}

pub(crate) fn extension_headers_for_the_gateway_are_followed_or_pointed_at(gateway: &Gateway) {
    let to = || gateway.to6();
    let case = Case::new;
    let broken = || Dropped("ip6_extension_header");
    let fragment = |pointer| Told("fragment_malformed", FIELD, at(pointer));
    let mine = || Echo6(GATEWAY_A6);
    let many = |count| echo((0..count).fold(to(), |builder, _| builder.destination_options(&[])));
    gateway.assert_all(&[
        case("no extension header", echo(to()), mine()),
        case("hop-by-hop padding", echo(to().hop_by_hop(&[])), mine()),
        case("router alert", echo(to().router_alert(0)), mine()),
        case(
            "destination options",
            echo(to().destination_options(&[1, 2, 0, 0])),
            mine(),
        ),
        case("sixteen extension headers", many(16), mine()),
        case("seventeen extension headers", many(17), broken()),
        case(
            "an unknown next header",
            to().payload(Protocol(253), &[0; 8]),
            Told("local_unhandled", NEXT_HEADER, at(6)),
        ),
        case(
            "an unknown next header behind options",
            to().destination_options(&[]).payload(Protocol(253), &[0; 8]),
            Told("local_unhandled", NEXT_HEADER, at(40)),
        ),
        case(
            "hop-by-hop options that are not first",
            echo(to().destination_options(&[]).hop_by_hop(&[])),
            Told("ip6_extension_header", NEXT_HEADER, at(40)),
        ),
        case(
            "hop-by-hop options twice",
            echo(to().hop_by_hop(&[]).hop_by_hop(&[])),
            Told("ip6_extension_header", NEXT_HEADER, at(40)),
        ),
        case(
            "routing header type 0",
            echo(to().routing(0, 1)),
            Told("ip6_routing_header", FIELD, at(42)),
        ),
        case(
            "routing header of an unknown type",
            echo(to().routing(77, 255)),
            Told("ip6_routing_header", FIELD, at(42)),
        ),
        case("routing header type 0, used up", echo(to().routing(0, 0)), mine()),
        case(
            "an unknown option to skip",
            echo(to().hop_by_hop(&[0x1e, 2, 1, 2])),
            mine(),
        ),
        case(
            "an unknown option to discard",
            echo(to().hop_by_hop(&[0x5e, 2, 1, 2])),
            Dropped("ip6_option"),
        ),
        case(
            "an unknown option to tell of",
            echo(to().hop_by_hop(&[0x9e, 2, 1, 2])),
            Told("ip6_option", OPTION, at(42)),
        ),
        case(
            "an unknown option to tell of unless it was for a group",
            echo(to().destination_options(&[1, 1, 0, 0xde, 0])),
            Told("ip6_option", OPTION, at(45)),
        ),
        case(
            "the length of a jumbogram",
            echo(to().hop_by_hop(&[0xc2, 4, 0, 1, 0, 0])),
            Told("ip6_option", OPTION, at(42)),
        ),
        case(
            "an option beyond its header",
            echo(to().hop_by_hop(&[0x1e, 200, 1, 2])),
            broken(),
        ),
        case(
            "an option without its length",
            echo(to().hop_by_hop(&[0, 0, 0, 0, 0, 0x1e])),
            broken(),
        ),
        case(
            "a header beyond the packet",
            to().extension(Protocol::HOP_BY_HOP, &[0, 99, 0, 0, 0, 0, 0, 0])
                .payload(Protocol::ICMPV6, &[]),
            broken(),
        ),
        case(
            "a header that breaks off",
            to().extension(Protocol::DESTINATION_OPTIONS, &[58])
                .payload(Protocol::ICMPV6, &[]),
            broken(),
        ),
        case(
            "a first fragment with a gap behind it",
            echo(to().fragment(0, true, 9)),
            fragment(4),
        ),
        case(
            "a last fragment beyond the longest packet",
            echo(to().fragment(65_528, false, 9)),
            fragment(42),
        ),
        case(
            "a fragment that is whole",
            echo(to().fragment(0, false, 9)),
            mine(),
        ),
        case(
            "no next header",
            to().payload(Protocol::NO_NEXT_HEADER, &[]),
            Dropped("local_unhandled"),
        ),
    ]);
}

pub(crate) fn upper_layers_for_the_gateway_are_answered_told_or_dropped_by_name(gateway: &Gateway) {
    let to = || gateway.to6();
    let malformed = || Dropped("icmp_malformed");
    let unhandled = || Dropped("local_unhandled");
    let good = echo(to());
    let far = "2001:db8:2::1".parse().unwrap();
    let link_local = gateway.link_local;
    let from_link = || gateway.frame().ipv6("fe80::a:2".parse().unwrap(), link_local);
    let mut cases = vec![
        Case::new(
            "UDP to no port of ours",
            to().udp(1000, 9, b"discard"),
            Told("local_unhandled", [1, 4], NONE),
        ),
        Case::new("TCP", to().payload(Protocol::TCP, &[0; 20]), unhandled()),
        Case::new(
            "IPv6 in IPv6",
            to().payload(Protocol(41), &[0x60; 40]),
            Told("local_unhandled", NEXT_HEADER, at(6)),
        ),
        Case::new(
            "an echo request with a wrong checksum",
            patched(good.clone(), ETHERNET + 42, &[1, 2]),
            malformed(),
        ),
        Case::new(
            "an echo request without data",
            to().icmp(128, 0, &[0, 1, 0, 2]),
            Echo6(GATEWAY_A6),
        ),
        Case::new(
            "an echo request of a code that there is not",
            to().icmp(128, 1, &[0; 4]),
            unhandled(),
        ),
        Case::new("an echo reply", to().icmp(129, 0, &[0; 4]), unhandled()),
        Case::new("an ICMPv6 error", to().icmp(1, 4, &[0; 48]), unhandled()),
        Case::new("a redirect", to().icmp(137, 0, &[0; 36]), unhandled()),
        Case::new("an unknown ICMPv6 error", to().icmp(100, 0, &[0; 4]), unhandled()),
        Case::new(
            "an unknown ICMPv6 message",
            to().icmp(200, 0, &[0; 4]),
            unhandled(),
        ),
        Case::new(
            "an echo request to the address of the other side",
            echo(gateway.frame().ipv6(HOST_A6, far)),
            Echo6(far),
        ),
        Case::new(
            "an echo request with hop limit 1",
            echo(to().hop_limit(1)),
            Echo6(GATEWAY_A6),
        ),
        Case::new(
            "an echo request on the link",
            echo(from_link()),
            Echo6(link_local),
        ),
        Case::new(
            "UDP on the link",
            from_link().udp(1000, 9, b"discard"),
            Told("local_unhandled", [1, 4], NONE),
        ),
    ];
    for length in 0..8 {
        let whole = &good[ETHERNET + 40..];
        let frame = to().payload(Protocol::ICMPV6, &whole[..length]);
        cases.push(Case::new(
            format!("{length} bytes of an echo request"),
            frame,
            malformed(),
        ));
    }
    // Groups that the gateway is in.
    let nodes = ipv6::ALL_NODES;
    let group = || gateway.group(nodes).ipv6(HOST_A6, nodes);
    let routers = ipv6::ALL_ROUTERS;
    let unspecified = std::net::Ipv6Addr::UNSPECIFIED;
    cases.extend([
        Case::new("an echo request to all", echo(group()), Echo6(GATEWAY_A6)),
        Case::new(
            "an echo request to all from nobody",
            echo(gateway.group(nodes).ipv6(unspecified, nodes)),
            Dropped("ip6_martian_source"),
        ),
        Case::new("UDP to all", group().udp(1000, 9, b"discard"), unhandled()),
        Case::new(
            "an option for all to tell of",
            echo(group().hop_by_hop(&[0x9e, 2, 1, 2])),
            Told("ip6_option", OPTION, at(42)),
        ),
        Case::new(
            "an option for all to tell of unless it was for a group",
            echo(group().hop_by_hop(&[0xde, 2, 1, 2])),
            Dropped("ip6_option"),
        ),
        Case::new(
            "routing header type 0 to all",
            echo(group().routing(0, 1)),
            Dropped("ip6_routing_header"),
        ),
        Case::new(
            "an unknown next header to all",
            group().payload(Protocol(253), &[0; 8]),
            unhandled(),
        ),
        Case::new(
            "a query for listeners",
            group().router_alert(0).icmp(130, 0, &[0; 20]),
            Dropped("ip6_multicast"),
        ),
        Case::new(
            "a router advertisement",
            group().icmp(134, 0, &[0; 12]),
            Dropped("ip6_multicast"),
        ),
        Case::new(
            "a router solicitation",
            gateway
                .group(routers)
                .ipv6(HOST_A6, routers)
                .icmp(133, 0, &[0; 4]),
            Dropped("ip6_multicast"),
        ),
        Case::new(
            "a router solicitation from nobody",
            gateway
                .group(routers)
                .ipv6(unspecified, routers)
                .icmp(133, 0, &[0; 4]),
            Dropped("ip6_martian_source"),
        ),
    ]);
    gateway.assert_all(&cases);
}

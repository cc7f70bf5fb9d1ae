//! IPv4: headers, addresses, options, fragments, and what is for the gateway itself.

use std::net::Ipv4Addr;

use packet::{MacAddress, PacketBuilder, Protocol};

use crate::{
    gateway::{Case, FAR, GATEWAY_A, Gateway, HOST_A, HOST_A_MAC, HOST_B, MTU_B, Outcome},
    patched,
    router::{ETHERNET, fix_checksum, sum},
};
use Outcome::{Dropped, Echo4, Forwarded, Told};

const TIME_EXCEEDED: [u8; 2] = [11, 0];
const PARAMETER_PROBLEM: [u8; 2] = [12, 0];
const NONE: [u8; 4] = [0; 4];

/// A frame whose IPv4 header has `bytes` at `offset` and a right checksum.
fn with(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = patched(frame.to_vec(), ETHERNET + offset, bytes);
    fix_checksum(&mut frame[ETHERNET..]);
    frame
}

/// An ICMP message with a right checksum.
fn icmp(message_type: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let message = [&[message_type, code, 0, 0], rest].concat();
    let checksum = !sum(&message);
    patched(message, 2, &checksum.to_be_bytes())
}

pub(crate) fn headers_that_contradict_themselves_are_dropped_by_name(gateway: &Gateway) {
    let good = gateway.through4().udp(1000, 2000, &[7; 40]);
    let case =
        |name: &str, offset, bytes: &[u8], outcome| Case::new(name, with(&good, offset, bytes), outcome);
    let mut cases = vec![
        Case::new("nothing wrong", good.clone(), Forwarded),
        case("version 0", 0, &[0x05], Dropped("ip4_version")),
        case("version 5", 0, &[0x55], Dropped("ip4_version")),
        case("version 6", 0, &[0x65], Dropped("ip4_version")),
        case("version 15", 0, &[0xf5], Dropped("ip4_version")),
        case("no header", 0, &[0x40], Dropped("ip4_header_length")),
        case("a header of 16 bytes", 0, &[0x44], Dropped("ip4_header_length")),
        case("a total length of 0", 2, &[0, 0], Dropped("ip4_total_length")),
        case("a total length of 19", 2, &[0, 19], Dropped("ip4_total_length")),
        case(
            "a total length of one too many",
            2,
            &[0, 69],
            Dropped("ip4_total_length"),
        ),
        case(
            "a total length of far too many",
            2,
            &[5, 0xdc],
            Dropped("ip4_total_length"),
        ),
        case(
            "a total length beyond the MTU",
            2,
            &[0xff, 0xff],
            Dropped("oversize"),
        ),
        case("a total length of the header alone", 2, &[0, 20], Forwarded),
        case("the reserved flag", 6, &[0x80, 0], Forwarded),
        case("TTL 0", 8, &[0], Told("ttl_expired", TIME_EXCEEDED, NONE)),
        case("TTL 1", 8, &[1], Told("ttl_expired", TIME_EXCEEDED, NONE)),
        case("TTL 2", 8, &[2], Forwarded),
        case("TTL 255", 8, &[255], Forwarded),
        case("protocol 0", 9, &[0], Forwarded),
        case("protocol 255", 9, &[255], Forwarded),
        Case::new(
            "a header that is all there is, and longer",
            with(&good[..ETHERNET + 20], 0, &[0x46, 0, 0, 20]),
            Dropped("ip4_total_length"),
        ),
        Case::new(
            "a header of 60 bytes in a packet of 40",
            with(&gateway.through4().udp(1, 2, &[7; 12]), 0, &[0x4f]),
            Dropped("ip4_total_length"),
        ),
    ];
    for bit in 0..16 {
        let mut frame = good.clone();
        frame[ETHERNET + 10 + bit / 8] ^= 1 << (bit % 8);
        let name = format!("bit {bit} of the checksum");
        cases.push(Case::new(name, frame, Dropped("ip4_checksum")));
    }
    // What is not the network layer's is not the router's.
    let udp = ETHERNET + 20;
    for (name, offset, bytes) in [
        ("a UDP length of 0", udp + 4, [0, 0]),
        ("a UDP length of too many", udp + 4, [0xff, 0xff]),
        ("a wrong UDP checksum", udp + 6, [0x12, 0x34]),
        ("no UDP checksum", udp + 6, [0, 0]),
    ] {
        cases.push(Case::new(name, patched(good.clone(), offset, &bytes), Forwarded));
    }
    let partial = gateway.through4().partial_checksum().udp(1000, 2000, &[7; 40]);
    cases.push(Case::new(
        "an unfinished UDP checksum",
        partial,
        Dropped("partial_checksum"),
    ));
    gateway.assert_all(&cases);
}

pub(crate) fn addresses_that_no_packet_may_have_are_dropped_by_name(gateway: &Gateway) {
    let mut cases = Vec::new();
    for source in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [127, 255, 255, 255],
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        let source = Ipv4Addr::from(source);
        let frame = gateway.frame().ipv4(source, FAR).udp(1, 2, b"payload");
        cases.push(Case::new(
            format!("from {source}"),
            frame,
            Dropped("ip4_martian_source"),
        ));
        let frame = gateway.frame().ipv4(source, GATEWAY_A).echo_request(1, 2, b"me");
        let name = format!("an echo request from {source}");
        cases.push(Case::new(name, frame, Dropped("ip4_martian_source")));
    }
    let everybody = MacAddress::BROADCAST;
    let group = MacAddress([1, 0, 0x5e, 0, 0, 5]);
    for (destination, reason, told) in [
        ([0, 0, 0, 0], "ip4_martian_destination", false),
        ([0, 1, 2, 3], "ip4_martian_destination", true),
        ([127, 0, 0, 1], "ip4_martian_destination", false),
        ([240, 0, 0, 1], "ip4_martian_destination", true),
        ([255, 255, 255, 254], "ip4_martian_destination", true),
        ([255, 255, 255, 255], "ip4_multicast", false),
        ([224, 0, 0, 1], "ip4_multicast", false),
        ([239, 1, 2, 3], "ip4_multicast", false),
    ] {
        let destination = Ipv4Addr::from(destination);
        for mac in [gateway.mac, everybody, group] {
            let frame = PacketBuilder::ethernet(mac, HOST_A_MAC).ipv4(HOST_A, destination);
            let name = format!("to {destination} at {mac}");
            let outcome = if told && mac == gateway.mac {
                Told(reason, [3, 0], NONE)
            } else {
                Dropped(reason)
            };
            cases.push(Case::new(name, frame.echo_request(1, 2, b"who"), outcome));
        }
    }
    let to = |name: &str, destination: [u8; 4], outcome| {
        let frame = gateway.frame().ipv4(HOST_A, destination.into());
        Case::new(name, frame.udp(1, 2, b"payload"), outcome)
    };
    cases.extend([
        to(
            "to all of a subnet",
            [192, 168, 2, 255],
            Dropped("ip4_directed_broadcast"),
        ),
        to(
            "to all of a subnet, as of old",
            [192, 168, 2, 0],
            Dropped("ip4_directed_broadcast"),
        ),
        to(
            "to all of the own subnet",
            [192, 168, 1, 255],
            Dropped("ip4_directed_broadcast"),
        ),
        to(
            "to where no route leads",
            [203, 0, 113, 1],
            Told("no_route", [3, 0], NONE),
        ),
        to("into a black hole", [10, 66, 0, 1], Dropped("blackhole")),
        to("to a host of the link", HOST_B.octets(), Forwarded),
    ]);
    // RFC 1812 section 4.3.2.7: whom not to tell.
    let nowhere = || gateway.frame().ipv4(HOST_A, [203, 0, 113, 1].into());
    for (name, frame) in [
        (
            "a later fragment",
            nowhere().fragment(8, true).udp(1, 2, b"payload"),
        ),
        (
            "an ICMP error",
            nowhere().payload(Protocol::ICMP, &icmp(3, 1, &[0; 32])),
        ),
        (
            "an ICMP message without a type",
            nowhere().payload(Protocol::ICMP, &[]),
        ),
        (
            "an ICMP message of an unknown type",
            nowhere().payload(Protocol::ICMP, &icmp(77, 0, &[0; 4])),
        ),
    ] {
        cases.push(Case::new(
            format!("{name} to where no route leads"),
            frame,
            Dropped("no_route"),
        ));
    }
    gateway.assert_all(&cases);
}

pub(crate) fn options_are_passed_on_or_pointed_at(gateway: &Gateway) {
    let mut cases = Vec::new();
    for (name, options) in [
        ("nothing but padding", &[1, 1, 1, 0][..]),
        ("all 40 bytes of padding", &[1; 40]),
        ("what follows the end", &[0, 148, 9, 9]),
        ("record route", &[7, 7, 4, 0, 0, 0, 0, 0]),
        ("a full record route", &[7, 7, 8, 10, 0, 0, 1, 0]),
        ("a time stamp", &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("router alert", &[148, 4, 0, 0]),
        ("router alert of an unknown value", &[148, 4, 0xff, 0xff]),
        ("an unknown option", &[0x99, 4, 1, 2]),
        ("a security option", &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let frame = gateway.through4().options(options).udp(1, 2, b"payload");
        cases.push(Case::new(name, frame, Forwarded));
    }
    for (name, options, pointer) in [
        ("an option of length 0", &[7, 0, 0, 0][..], 21),
        ("an option of length 1", &[7, 1, 0, 0], 21),
        ("an option beyond the header", &[7, 5, 4, 0], 21),
        ("an option far beyond the header", &[1, 0x99, 0xff, 0], 22),
        ("an option without its length", &[1, 1, 1, 7], 23),
        ("router alert of 3 bytes", &[148, 3, 0, 0], 21),
        ("router alert of 6 bytes", &[148, 6, 0, 0, 0, 0, 0, 0], 21),
        ("a source route without a pointer", &[131, 2, 0, 0], 21),
        (
            "a source route that points to itself",
            &[131, 7, 3, 10, 0, 0, 1, 0],
            22,
        ),
        ("two source routes", &[131, 3, 4, 137, 3, 4, 0, 0], 23),
    ] {
        let told = Told("ip4_options", PARAMETER_PROBLEM, [pointer, 0, 0, 0]);
        let frame = gateway.through4().options(options).udp(1, 2, b"payload");
        cases.push(Case::new(name, frame, told.clone()));
        let frame = gateway.to4().options(options).echo_request(1, 2, b"payload");
        cases.push(Case::new(format!("{name}, to the gateway"), frame, told));
    }
    let routed = |options: &[u8]| gateway.to4().options(options).echo_request(1, 2, b"payload");
    for (name, route) in [
        ("a source route", [131, 7, 4, 192, 168, 2, 2, 0]),
        ("a strict source route", [137, 7, 4, 192, 168, 2, 2, 0]),
        ("a source route that is used up", [131, 7, 8, 192, 168, 1, 1, 0]),
    ] {
        let through = gateway.through4().options(&route).udp(1, 2, b"payload");
        for (way, frame) in [("through", through), ("to", routed(&route))] {
            let name = format!("{name} {way} the gateway");
            cases.push(Case::new(name, frame, Dropped("ip4_source_route")));
        }
    }
    cases.push(Case::new(
        "an echo request with padding",
        routed(&[1, 1, 1, 0]),
        Echo4(GATEWAY_A),
    ));
    gateway.assert_all(&cases);
}

pub(crate) fn fragments_and_long_packets_are_the_business_of_others(gateway: &Gateway) {
    let through = |offset, more| gateway.through4().fragment(offset, more).udp(1, 2, &[7; 64]);
    let long = |bytes: u16| vec![7; usize::from(bytes) - 28];
    let [high, low] = MTU_B.to_be_bytes();
    gateway.assert_all(&[
        Case::new("a first fragment", through(0, true), Forwarded),
        Case::new("a fragment from the middle", through(64, true), Forwarded),
        Case::new("a last fragment", through(128, false), Forwarded),
        Case::new("a fragment that overlaps", through(8, false), Forwarded),
        Case::new(
            "a fragment beyond the end of any packet",
            through(65_528, false),
            Forwarded,
        ),
        Case::new(
            "a fragment that may not be one",
            gateway
                .through4()
                .dont_fragment()
                .fragment(8, true)
                .udp(1, 2, b""),
            Forwarded,
        ),
        Case::new(
            "a first fragment for the gateway with a gap behind it",
            gateway.to4().fragment(0, true).echo_request(1, 2, &[7; 65]),
            Dropped("fragment_malformed"),
        ),
        Case::new(
            "a last fragment for the gateway beyond the longest packet",
            gateway.to4().fragment(65_528, false).echo_request(1, 2, &[7; 64]),
            Dropped("fragment_malformed"),
        ),
        Case::new(
            "a packet as long as may be",
            gateway.through4().dont_fragment().udp(1, 2, &long(MTU_B)),
            Forwarded,
        ),
        Case::new(
            "a packet one byte too long",
            gateway.through4().dont_fragment().udp(1, 2, &long(MTU_B + 1)),
            Told("too_big", [3, 4], [0, 0, high, low]),
        ),
    ]);
}

pub(crate) fn what_the_gateway_itself_cannot_take_is_told_or_dropped_by_name(gateway: &Gateway) {
    let to = |name: &str, protocol, payload: &[u8], outcome| {
        Case::new(name, gateway.to4().payload(Protocol(protocol), payload), outcome)
    };
    let echo = icmp(8, 0, &[0, 1, 0, 2, 7, 7, 7, 7, 7]);
    let malformed = || Dropped("icmp_malformed");
    let unhandled = || Dropped("local_unhandled");
    let mut cases = vec![
        Case::new(
            "UDP to no port of ours",
            gateway.to4().udp(1000, 9, b"discard"),
            Told("local_unhandled", [3, 3], NONE),
        ),
        to(
            "UDP that is no datagram",
            17,
            &[1, 2, 3],
            Dropped("udp_malformed"),
        ),
        to("TCP", 6, &[0; 20], unhandled()),
        to(
            "an unknown protocol",
            200,
            &[0; 20],
            Told("local_unhandled", [3, 2], NONE),
        ),
        to(
            "IPv4 in IPv4",
            4,
            &[0x45; 20],
            Told("local_unhandled", [3, 2], NONE),
        ),
        to("an echo request", 1, &echo, Echo4(GATEWAY_A)),
        to(
            "an echo request without data",
            1,
            &icmp(8, 0, &[0, 1, 0, 2]),
            Echo4(GATEWAY_A),
        ),
        to(
            "an echo request with a wrong checksum",
            1,
            &patched(echo.clone(), 8, &[8]),
            malformed(),
        ),
        to(
            "an echo request of a code that there is not",
            1,
            &icmp(8, 1, &[0; 4]),
            unhandled(),
        ),
        to("an echo reply", 1, &icmp(0, 0, &[0; 4]), unhandled()),
        to("an ICMP error", 1, &icmp(3, 3, &[0; 32]), unhandled()),
        to("a redirect", 1, &icmp(5, 1, &[0; 32]), unhandled()),
        to("a time stamp request", 1, &icmp(13, 0, &[0; 16]), unhandled()),
        to("an unknown ICMP type", 1, &icmp(77, 0, &[0; 4]), unhandled()),
        Case::new(
            "an echo request to the address of the other side",
            gateway
                .frame()
                .ipv4(HOST_A, [192, 168, 2, 1].into())
                .echo_request(1, 2, b"far"),
            Echo4([192, 168, 2, 1].into()),
        ),
        Case::new(
            "an echo request with TTL 1",
            gateway.to4().ttl(1).echo_request(1, 2, b"last"),
            Echo4(GATEWAY_A),
        ),
    ];
    for length in 0..8 {
        let name = format!("{length} bytes of an echo request");
        cases.push(to(&name, 1, &icmp(8, 0, &[0, 1, 0, 2])[..length], malformed()));
    }
    gateway.assert_all(&cases);
}

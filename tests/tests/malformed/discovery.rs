//! ARP and neighbour discovery: RFC 826, RFC 4861 section 7.1, and that nobody off the link teaches the gateway anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{Arp, EtherType, MacAddress, PacketBuilder, Protocol, arp, builder::Ipv6Builder, ipv6};

use crate::{
    gateway::{Case, GATEWAY_A, GATEWAY_A6, Gateway, HOST_A, HOST_A_MAC, HOST_A6, Outcome},
    patched,
    router::ETHERNET,
};
use Outcome::{Advertisement, ArpReply, Dropped, Taken};

/// Addresses in the neighbour table.
fn known(gateway: &Gateway) -> Vec<String> {
    let neighbors = gateway.primary.ctl_json(&["neigh", "show"]).unwrap();
    let mut known: Vec<_> = neighbors
        .as_array()
        .unwrap()
        .iter()
        .map(|neighbor| format!("{} {}", neighbor["address"], neighbor["mac"]))
        .collect();
    known.sort();
    known
}

pub(crate) fn arp_that_no_host_sends_is_dropped_and_teaches_nothing(gateway: &Gateway) {
    let before = known(gateway);
    let request = Arp::request(HOST_A_MAC, HOST_A, GATEWAY_A);
    let everybody = || PacketBuilder::ethernet(MacAddress::BROADCAST, HOST_A_MAC);
    let good = everybody().arp(&request);
    let malformed = || Dropped("arp_malformed");
    let case = |name: &str, offset, bytes: &[u8]| {
        Case::new(name, patched(good.clone(), ETHERNET + offset, bytes), malformed())
    };
    let mut cases = vec![
        Case::new("a request", good.clone(), ArpReply),
        Case::new(
            "a request to the gateway alone",
            gateway.frame().arp(&request),
            ArpReply,
        ),
        Case::new(
            "a request in a padded frame",
            everybody().padded().arp(&request),
            ArpReply,
        ),
        case("a hardware type of IEEE 802", 0, &[0, 6]),
        case("a protocol type of IPv6", 2, &[0x86, 0xdd]),
        case("a hardware address of 8 bytes", 4, &[8]),
        case("a hardware address of none", 4, &[0]),
        case("a protocol address of 16 bytes", 5, &[16]),
        case("operation 0", 6, &[0, 0]),
        case("operation 3, a reverse request", 6, &[0, 3]),
        case("operation 65535", 6, &[0xff, 0xff]),
        case("from a group of stations", 8, &[3, 0, 0, 0, 0, 9]),
        case("from 127.0.0.1", 14, &[127, 0, 0, 1]),
        case("from 0.0.0.1", 14, &[0, 0, 0, 1]),
        case("from 224.0.0.1", 14, &[224, 0, 0, 1]),
        case("from 255.255.255.255", 14, &[255; 4]),
    ];
    for length in 0..arp::LEN {
        let frame = everybody().payload(EtherType::ARP, &good[ETHERNET..ETHERNET + length]);
        cases.push(Case::new(format!("{length} bytes of ARP"), frame, malformed()));
    }
    let from = |mac: MacAddress, arp: Arp| PacketBuilder::ethernet(MacAddress::BROADCAST, mac).arp(&arp);
    let stranger = MacAddress([2, 0, 0, 0, 0x0a, 9]);
    let unknown = Ipv4Addr::new(192, 168, 1, 77);
    cases.extend([
        Case::new(
            "from the MAC address 0",
            from(
                MacAddress::ZERO,
                Arp::request(MacAddress::ZERO, HOST_A, GATEWAY_A),
            ),
            malformed(),
        ),
        Case::new(
            "for another station",
            PacketBuilder::ethernet(stranger, HOST_A_MAC).arp(&request),
            Dropped("other_host"),
        ),
        Case::new(
            "a request for another host",
            from(HOST_A_MAC, Arp::request(HOST_A_MAC, HOST_A, unknown)),
            Taken,
        ),
        Case::new(
            "a request for an address of the other side",
            from(
                HOST_A_MAC,
                Arp::request(HOST_A_MAC, HOST_A, [192, 168, 2, 1].into()),
            ),
            Taken,
        ),
        Case::new(
            "a reply to another host",
            from(
                stranger,
                Arp::request(HOST_A_MAC, HOST_A, unknown).reply(stranger),
            ),
            Taken,
        ),
        Case::new(
            "an announcement of a host that nobody knows",
            from(stranger, Arp::announcement(stranger, unknown)),
            Taken,
        ),
        Case::new(
            "an announcement of a host that is known for good",
            from(stranger, Arp::announcement(stranger, HOST_A)),
            Taken,
        ),
        Case::new(
            "a request from off the link",
            from(
                HOST_A_MAC,
                Arp::request(HOST_A_MAC, [203, 0, 113, 9].into(), GATEWAY_A),
            ),
            ArpReply,
        ),
    ]);
    gateway.assert_all(&cases);
    assert_eq!(known(gateway), before);
}

/// A solicitation for the gateway's address, its body behind the checksum.
fn body(target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    [&[0; 4], &target.octets()[..], options].concat()
}

pub(crate) fn neighbor_messages_that_may_not_be_believed_are_dropped_and_teach_nothing(gateway: &Gateway) {
    let before = known(gateway);
    let solicited = ipv6::solicited_node(GATEWAY_A6);
    let source_option = [&[1, 1], &HOST_A_MAC.octets()[..]].concat();
    let target_option = [&[2, 1], &HOST_A_MAC.octets()[..]].concat();
    let ask = || gateway.group(solicited).ipv6(HOST_A6, solicited).hop_limit(255);
    let ask_alone = || gateway.to6().hop_limit(255);
    let dad = |destination: Ipv6Addr| {
        let frame = gateway
            .group(destination)
            .ipv6(Ipv6Addr::UNSPECIFIED, destination);
        frame.hop_limit(255)
    };
    let ns = |builder: Ipv6Builder, options: &[u8]| builder.icmp(135, 0, &body(GATEWAY_A6, options));
    let na = |builder: Ipv6Builder, flags: u8, target: Ipv6Addr, options: &[u8]| {
        builder.icmp(136, 0, &patched(body(target, options), 0, &[flags]))
    };
    let malformed = || Dropped("nd_malformed");
    let good = ns(ask(), &source_option);
    let longer = ns(ask(), &[&source_option[..], &[14, 1, 0, 0, 0, 0, 0, 0]].concat());
    let whole = &longer[ETHERNET + ipv6::HEADER_LEN..];
    let stranger: Ipv6Addr = "2001:db8:1::77".parse().unwrap();
    let off_link: Ipv6Addr = "2001:db8:99::9".parse().unwrap();
    let mut cases = vec![
        Case::new("a solicitation", good.clone(), Advertisement),
        Case::new(
            "a solicitation to the gateway alone",
            ns(ask_alone(), &source_option),
            Advertisement,
        ),
        Case::new(
            "a solicitation without an option",
            ns(ask_alone(), &[]),
            Advertisement,
        ),
        Case::new(
            "a solicitation with an option that is not known",
            ns(ask(), &[&[14, 1, 1, 2, 3, 4, 5, 6], &source_option[..]].concat()),
            Advertisement,
        ),
        Case::new(
            "hop limit 254",
            ns(ask().hop_limit(254), &source_option),
            malformed(),
        ),
        Case::new("hop limit 0", ns(ask().hop_limit(0), &source_option), malformed()),
        Case::new(
            "a wrong checksum",
            patched(good.clone(), ETHERNET + 42, &[1, 2]),
            Dropped("icmp_malformed"),
        ),
        Case::new(
            "code 1",
            ask().icmp(135, 1, &body(GATEWAY_A6, &source_option)),
            malformed(),
        ),
        Case::new(
            "a group as target",
            ask().icmp(135, 0, &body(solicited, &source_option)),
            malformed(),
        ),
        Case::new(
            "an option of length 0",
            ns(ask(), &[1, 0, 0, 0, 0, 0, 0, 0]),
            malformed(),
        ),
        Case::new(
            "an option beyond the message",
            ns(ask(), &[1, 2, 0, 0, 0, 0, 0, 0]),
            malformed(),
        ),
        Case::new("half an option", ns(ask(), &[1, 1, 2, 0]), malformed()),
        Case::new("a byte of an option", ns(ask(), &[1]), malformed()),
        Case::new(
            "an unknown option of length 0 behind a good one",
            ns(ask(), &[&source_option[..], &[14, 0, 0, 0, 0, 0, 0, 0]].concat()),
            malformed(),
        ),
        Case::new(
            "a link-layer address of 14 bytes",
            ns(ask(), &[&[1, 2][..], &[2; 14]].concat()),
            malformed(),
        ),
        Case::new(
            "in a fragment that is whole",
            ns(ask().fragment(0, false, 1), &source_option),
            malformed(),
        ),
        Case::new(
            "in a first fragment",
            ask().fragment(0, true, 1).payload(Protocol::ICMPV6, &whole[..32]),
            Taken,
        ),
        Case::new(
            "in a last fragment, which makes it whole: RFC 6980 section 5",
            ask()
                .fragment(32, false, 1)
                .payload(Protocol::ICMPV6, &whole[32..]),
            malformed(),
        ),
        Case::new(
            "from nobody with an address",
            ns(dad(solicited), &source_option),
            malformed(),
        ),
        Case::new("from nobody to all", ns(dad(ipv6::ALL_NODES), &[]), malformed()),
        Case::new(
            "from a group",
            ns(
                gateway
                    .group(solicited)
                    .ipv6(ipv6::ALL_NODES, solicited)
                    .hop_limit(255),
                &source_option,
            ),
            Dropped("ip6_martian_source"),
        ),
        Case::new(
            "a solicitation for another host",
            ask().icmp(135, 0, &body(stranger, &source_option)),
            Taken,
        ),
        Case::new(
            "a solicitation for an address of the other side",
            ask().icmp(135, 0, &body("2001:db8:2::1".parse().unwrap(), &source_option)),
            Taken,
        ),
        Case::new(
            "a solicitation from off the link",
            ns(
                gateway.frame().ipv6(off_link, GATEWAY_A6).hop_limit(255),
                &source_option,
            ),
            Advertisement,
        ),
        Case::new(
            "a solicited advertisement to all",
            na(
                gateway
                    .group(ipv6::ALL_NODES)
                    .ipv6(HOST_A6, ipv6::ALL_NODES)
                    .hop_limit(255),
                0x60,
                HOST_A6,
                &target_option,
            ),
            malformed(),
        ),
        Case::new(
            "an advertisement with hop limit 254",
            na(gateway.to6().hop_limit(254), 0x60, HOST_A6, &target_option),
            malformed(),
        ),
        Case::new(
            "an advertisement of a group",
            na(ask_alone(), 0x60, ipv6::ALL_NODES, &target_option),
            malformed(),
        ),
        Case::new(
            "an advertisement with an option of length 0",
            na(ask_alone(), 0x60, HOST_A6, &[2, 0, 0, 0, 0, 0, 0, 0]),
            malformed(),
        ),
        Case::new(
            "an advertisement that nobody asked for",
            na(ask_alone(), 0x60, stranger, &target_option),
            Taken,
        ),
        Case::new(
            "an advertisement of a host that is known for good, elsewhere",
            na(ask_alone(), 0x60, HOST_A6, &[2, 1, 2, 0, 0, 0, 0, 9]),
            Taken,
        ),
    ];
    for length in 0..20 {
        let frame = ask().icmp(135, 0, &body(GATEWAY_A6, &[])[..length]);
        let outcome = if length < 4 {
            Dropped("icmp_malformed")
        } else {
            malformed()
        };
        cases.push(Case::new(
            format!("{} bytes of a solicitation", length + 4),
            frame,
            outcome,
        ));
    }
    gateway.assert_all(&cases);
    assert_eq!(known(gateway), before);
}

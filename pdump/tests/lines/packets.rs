//! A packet of each kind that lines tell of.

use std::net::Ipv4Addr;

use packet::builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder};
use packet::tcp::{TcpFlags, TcpHeader};
use packet::{Arp, EtherType, MacAddress, PacketBuilder, Protocol, VlanTag};

const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

fn ethernet() -> EthernetBuilder {
    PacketBuilder::ethernet(HERE, THERE)
}

fn ip() -> Ipv4Builder {
    ethernet().ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
}

fn ip6() -> Ipv6Builder {
    ethernet().ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
}

/// A packet without its Ethernet header.
fn bare(mut frame: Vec<u8>) -> Vec<u8> {
    frame.split_off(14)
}

/// Two parts, one behind the other.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, second].concat()
}

/// An IPv4 datagram as errors quote it and tunnels carry it.
fn inner() -> Vec<u8> {
    let from: Ipv4Addr = [10, 0, 0, 2].into();
    bare(
        ethernet()
            .ipv4(from, [10, 9, 9, 9].into())
            .udp(1024, 1053, b"inner"),
    )
}

/// An IPv6 datagram, as above.
fn inner6() -> Vec<u8> {
    let ends = ["2001:db8::2", "2001:db8::99"].map(|end| end.parse().unwrap());
    bare(ethernet().ipv6(ends[0], ends[1]).udp(1024, 1053, b"inner"))
}

/// A TCP segment with options, which are a multiple of four bytes.
fn segment(flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut header = vec![4, 0, 4, 1, 0, 0, 0, 7, 0, 0, 0, 9];
    header.extend([(5 + options.len() as u8 / 4) << 4, flags, 2, 0, 0, 0, 0, 3]);
    ip().payload(Protocol::TCP, &[&header, options, data].concat())
}

/// An ICMP message: type, code, the second word, the rest.
fn icmp(kind: u8, code: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    ip().payload(Protocol::ICMP, &[&[kind, code, 0, 0], &word[..], rest].concat())
}

/// The header of an IKE message: exchange, flags, message id; the length says that nothing follows.
fn ike(exchange: u8, flags: u8, id: u32) -> Vec<u8> {
    let mut header = vec![0x11; 16];
    header.extend([0, 0x20, exchange, flags]);
    header.extend(id.to_be_bytes());
    header.extend(28u32.to_be_bytes());
    header
}

/// Those whose lines are in the words of tcpdump.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    [
        links(),
        transports(),
        secured(),
        errors(),
        errors6(),
        neighbors(),
        tunnels(),
        parts(),
        wrong(),
    ]
    .concat()
}

fn links() -> Vec<Vec<u8>> {
    let request = Arp::request(THERE, [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let tagged = |tag| {
        ethernet()
            .tag(tag)
            .ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
    };
    let twice = ethernet().tag(VlanTag::new(200)).tag(VlanTag::new(7));
    vec![
        ethernet().arp(&request),
        ethernet().padded().arp(&request.reply(HERE)),
        ethernet().vlan(100).arp(&request),
        tagged(VlanTag::new(100)).udp(1024, 1025, b"tagged"),
        tagged(VlanTag {
            tci: 0x7064,
            ..VlanTag::new(0)
        })
        .echo_request(1, 2, b"priority and drop eligible"),
        twice
            .ipv6("::1".parse().unwrap(), "::2".parse().unwrap())
            .udp(1024, 1025, b""),
    ]
}

fn transports() -> Vec<Vec<u8>> {
    let header = TcpHeader {
        source_port: 1024,
        destination_port: 1025,
        sequence: u32::MAX,
        acknowledgment: 9,
        flags: TcpFlags::PSH.and(TcpFlags::ACK),
        window: 512,
    };
    // Maximum segment size, SACK permitted, timestamps, a no-operation, window scale.
    let opening = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
    // Two no-operations, selective acknowledgments of two blocks.
    let selective = [
        &[1, 1, 5, 18],
        &[0, 0, 0, 5, 0, 0, 0, 9][..],
        &[0, 0, 1, 5, 0, 0, 1, 9],
    ]
    .concat();
    vec![
        ip().udp(1024, 1025, b"data"),
        ip().udp(1024, 1025, b""),
        ip6().udp(1024, 1025, b"data"),
        ip().tcp(&header, b"wraps"),
        ip6().tcp(&header, b""),
        segment(0x02, &opening, b""),
        segment(0x12, &opening, b""),
        segment(0x10, &selective, b""),
        segment(0x04, &[], b""),
        segment(0x00, &[], b"none"),
        segment(0xff, &[], b"all"),
        // The end of the options, and one that nobody knows.
        segment(0x10, &[0, 0, 0, 0], b""),
        segment(0x10, &[200, 4, 0xab, 0xcd], b""),
    ]
}

fn secured() -> Vec<Vec<u8>> {
    // SPI and sequence number.
    let esp = [1, 2, 3, 4, 0, 0, 0, 5, 9, 9, 9, 9];
    let natted = |message: &[u8]| ip().udp(4500, 4500, message);
    vec![
        ip().payload(Protocol::ESP, &esp),
        ip6().payload(Protocol::ESP, &esp),
        natted(&esp),
        natted(&[0xff]),
        natted(&joined(&[0; 4], &ike(35, 0x20, 1))),
        ip().udp(500, 500, &ike(34, 0x08, 0)),
        ip().udp(500, 500, &ike(34, 0x20, 0)),
        ip().udp(500, 500, &ike(36, 0x08, 2)),
        ip6().udp(500, 500, &ike(37, 0x28, 3)),
        ip6().udp(1024, 4500, &[0xff]),
    ]
}

fn errors() -> Vec<Vec<u8>> {
    let mut packets: Vec<_> = (0..=15)
        .map(|code| icmp(3, code, [0, 0, 5, 120], &inner()))
        .collect();
    packets.extend((0..4).map(|code| icmp(5, code, [10, 0, 0, 7], &inner())));
    packets.extend((0..2).map(|code| icmp(11, code, [0; 4], &inner())));
    packets.extend([
        ip().echo_request(1, 2, b"data"),
        ip().echo_reply(1, 2, b"data"),
        icmp(3, 4, [0; 4], &inner()),
        icmp(4, 0, [0; 4], &inner()),
        icmp(12, 0, [20, 0, 0, 0], &inner()),
        icmp(10, 0, [0; 4], &[]),
        icmp(77, 0, [0; 4], &[]),
    ]);
    packets
}

fn errors6() -> Vec<Vec<u8>> {
    let error = |kind, code, word: [u8; 4]| ip6().icmp(kind, code, &joined(&word, &inner6()));
    let mut packets: Vec<_> = (0..5).map(|code| error(1, code, [0; 4])).collect();
    packets.extend((0..2).map(|code| error(3, code, [0; 4])));
    packets.extend((0..3).map(|code| error(4, code, [0, 0, 0, 40])));
    packets.extend([
        error(2, 0, [0, 0, 5, 0]),
        ip6().echo_request(5, 6, b"data"),
        ip6().echo_reply(5, 6, b"data"),
    ]);
    packets
}

fn neighbors() -> Vec<Vec<u8>> {
    let target = "fe80::9".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let [source_mac, target_mac] = [1, 2].map(|kind| joined(&[kind, 1], &THERE.octets()));
    let message = |kind, word: [u8; 4], parts: &[&[u8]]| {
        let body = [&word[..], &parts.concat()].concat();
        ip6().hop_limit(255).icmp(kind, 0, &body)
    };
    vec![
        message(133, [0; 4], &[&source_mac]),
        // Hop limit 64, lifetime 1800 s, and no times.
        message(134, [64, 0, 7, 8], &[&[0; 8], &source_mac]),
        message(135, [0; 4], &[&target, &source_mac]),
        message(135, [0; 4], &[&target]),
        message(136, [0xe0, 0, 0, 0], &[&target, &target_mac]),
        message(137, [0; 4], &[&target, &target, &target_mac]),
        // A report of no groups.
        message(143, [0; 4], &[]),
    ]
}

fn tunnels() -> Vec<Vec<u8>> {
    let whole = ethernet()
        .ipv4([1, 1, 1, 1].into(), [2, 2, 2, 2].into())
        .udp(7, 1025, b"x");
    vec![
        ip().payload(Protocol::IPIP, &inner()),
        ip().payload(Protocol::IPV6, &inner6()),
        ip6().payload(Protocol::IPV6, &inner6()),
        // GRE: no flags and IPv4, key and sequence number, a frame.
        ip().payload(Protocol::GRE, &joined(&[0, 0, 8, 0], &inner())),
        ip().payload(
            Protocol::GRE,
            &joined(&[0x30, 0, 0x86, 0xdd, 0, 0, 0, 5, 0, 0, 0, 6], &inner6()),
        ),
        ip().payload(Protocol::GRE, &joined(&[0, 0, 0x65, 0x58], &whole)),
    ]
}

/// Fragments and options.
fn parts() -> Vec<Vec<u8>> {
    let alert = [148, 4, 0, 0];
    let first = [4, 0, 4, 1, 4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    vec![
        ip().identification(77)
            .fragment(0, true)
            .payload(Protocol::UDP, &first),
        ip6().fragment(0, true, 7).payload(Protocol::UDP, &first),
        ip6().fragment(1480, false, 7).payload(Protocol::UDP, &first),
        ip().options(&alert).udp(1024, 1025, b"alert"),
        ip().options(&alert).echo_request(1, 2, b"alert"),
        ip6().router_alert(0).udp(1024, 1025, b"alert"),
        ip6().router_alert(3).echo_request(1, 2, b"alert"),
        ip6()
            .destination_options(&[1, 4, 0, 0, 0, 0])
            .udp(1024, 1025, b""),
        ip6().payload(Protocol::NO_NEXT_HEADER, &[]),
    ]
}

/// What is not as it should be.
fn wrong() -> Vec<Vec<u8>> {
    let long = ip().payload(Protocol::UDP, &[4, 0, 4, 1, 0, 100, 0, 0, 1]);
    let short = ip().payload(Protocol::UDP, &[4, 0, 4, 1, 0, 4, 0, 0]);
    let mut missing = ip().udp(1024, 1025, b"data");
    missing[17] += 70;
    vec![long, short, missing]
}

/// What tcpdump says otherwise: other protocols, which it looks into or says the number of.
pub(crate) fn others() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (
            ethernet().payload(EtherType(0x88b5), b"abc"),
            "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype Unknown (0x88b5), length 17",
        ),
        (
            ethernet().vlan(5).payload(EtherType::LLDP, b"abc"),
            "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype 802.1Q (0x8100), length 21: vlan 5, p 0, \
             ethertype LLDP (0x88cc)",
        ),
        (
            ethernet().payload(EtherType(3), b"abc"),
            "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype 802.3 (0x0003), length 17",
        ),
        (
            ip().payload(Protocol::OSPF, &[0; 24]),
            "IP 10.0.0.1 > 10.0.0.2: ospf, length 24",
        ),
        (
            ip().payload(Protocol(200), &[]),
            "IP 10.0.0.1 > 10.0.0.2: ip-proto-200, length 0",
        ),
        (
            ip().identification(77)
                .fragment(1480, false)
                .payload(Protocol::UDP, &[0; 8]),
            "IP 10.0.0.1 > 10.0.0.2: udp (fragment 77: 8 bytes at 1480)",
        ),
    ]
}

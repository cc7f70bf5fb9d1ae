//! Valid frames of all kinds that a gateway meets, and what chance makes of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{
    Arp, EtherType, MacAddress, PacketBuilder, Protocol, VlanTag, ipv6,
    tcp::{TcpFlags, TcpHeader},
};
use tests::{
    Random,
    mutate::{mend_checksum, mutate},
};

use crate::replay::MTU_OUT;
use crate::router::{ETHERNET, sum6};

/// Frames and how they are changed, the same for the same seed.
pub(crate) struct Mutation {
    random: Random,
    frames: Vec<Vec<u8>>,
}

impl Mutation {
    pub(crate) fn new(random: Random, gateway: MacAddress) -> Self {
        Self {
            random,
            frames: valid(gateway),
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self, frame: &mut Vec<u8>) {
        let random = &mut self.random;
        frame.clear();
        frame.extend_from_slice(&self.frames[random.below(self.frames.len())]);
        mutate(random, frame);
        // What may be cut is compared in the tests of fragments: here each packet that leaves is one frame.
        if let [0x08, 0x00, _, _, high, low, _, _, flags, ..] = &mut frame.get_mut(12..).unwrap_or_default()
            && u16::from_be_bytes([*high, *low]) > MTU_OUT
        {
            *flags |= 0x40;
        }
        // Otherwise what is behind the check of the IPv4 checksum would hardly ever be seen.
        if !random.once_in(4) {
            mend_checksum(frame);
        }
        // Nor what is behind that of ICMPv6, right behind the IPv6 header.
        let is_icmp6 = frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(20) == Some(&58);
        if is_icmp6 && frame.len() >= ETHERNET + 48 && !random.once_in(4) {
            let packet = &mut frame[ETHERNET..];
            packet[42..44].fill(0);
            let checksum = !sum6(packet);
            packet[42..44].copy_from_slice(&checksum.to_be_bytes());
        }
    }
}

/// What the gateway of the streams forwards, answers or takes: see [`crate::replay`] for the addresses.
fn valid(gateway: MacAddress) -> Vec<Vec<u8>> {
    let host_mac = MacAddress([2, 0, 0, 0, 0x0a, 2]);
    let frame = || PacketBuilder::ethernet(gateway, host_mac);
    let (host, own, far) = (
        Ipv4Addr::new(192, 168, 1, 2),
        Ipv4Addr::new(192, 168, 1, 1),
        Ipv4Addr::new(10, 1, 2, 3),
    );
    let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let (host6, own6, far6) = (v6("2001:db8:1::2"), v6("2001:db8:1::1"), v6("2001:db8:b::3"));
    let (through, to) = (|| frame().ipv4(host, far), || frame().ipv4(host, own));
    let (through6, to6) = (|| frame().ipv6(host6, far6), || frame().ipv6(host6, own6));
    let priority = VlanTag {
        tpid: EtherType::VLAN,
        tci: 0xe000,
    };
    let segment = TcpHeader {
        source_port: 1000,
        destination_port: 80,
        sequence: 1,
        acknowledgment: 2,
        flags: TcpFlags::ACK,
        window: 1000,
    };
    let solicited = ipv6::solicited_node(own6);
    let source_option = [&[1, 1], &host_mac.octets()[..]].concat();
    let body =
        |target: Ipv6Addr, flags: u8| [&[flags, 0, 0, 0], &target.octets()[..], &source_option].concat();
    let group = |group| PacketBuilder::ethernet(ipv6::multicast_mac(group), host_mac);
    let error = |offended: &[u8]| [&[3, 1, 0xfc, 0xfe, 0, 0, 0, 0], offended].concat();
    vec![
        through().udp(1000, 2000, b"payload"),
        through().udp(1000, 2000, &[7; 600]),
        through().ttl(2).udp(1000, 2000, b"payload"),
        through().ttl(1).udp(1000, 2000, b"payload"),
        through().tcp(&segment, b"GET / HTTP/1.0"),
        through().echo_request(1, 2, &[7; 56]),
        through().dont_fragment().udp(1, 2, &[7; 1350]),
        through().dont_fragment().udp(1, 2, &[7; 1400]),
        through().fragment(0, true).udp(1, 2, &[7; 64]),
        through().fragment(64, false).udp(1, 2, &[7; 64]),
        through().options(&[148, 4, 0, 0]).udp(1, 2, b"alert"),
        through()
            .options(&[7, 7, 4, 0, 0, 0, 0, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            .udp(1, 2, b"options"),
        through()
            .options(&[131, 11, 4, 10, 0, 0, 1, 10, 0, 0, 2, 0])
            .udp(1, 2, b"route"),
        through().payload(Protocol::ICMP, &error(&[0x45; 28])),
        frame()
            .ipv4(host, Ipv4Addr::new(203, 0, 113, 1))
            .udp(1, 2, b"no route"),
        frame()
            .ipv4(host, Ipv4Addr::new(192, 168, 2, 2))
            .udp(1, 2, b"neighbor"),
        frame()
            .ipv4(host, Ipv4Addr::new(192, 168, 2, 255))
            .udp(1, 2, b"broadcast"),
        frame().padded().ipv4(host, far).udp(1, 2, b""),
        frame().tag(priority).ipv4(host, far).udp(1, 2, b"priority"),
        frame()
            .tag(priority)
            .tag(VlanTag::new(0))
            .ipv6(host6, far6)
            .udp(1, 2, b"priority"),
        to().echo_request(1, 2, &[7; 56]),
        to().options(&[131, 7, 4, 192, 168, 2, 2, 0])
            .echo_request(1, 2, b"route"),
        to().udp(1000, 500, b"ike"),
        PacketBuilder::ethernet(MacAddress::BROADCAST, host_mac).arp(&Arp::request(host_mac, host, own)),
        frame()
            .padded()
            .arp(&Arp::request(gateway, own, host).reply(host_mac)),
        through6().udp(1000, 2000, b"payload"),
        through6().udp(1000, 2000, &[7; 600]),
        through6().hop_limit(2).udp(1000, 2000, b"payload"),
        through6().hop_limit(1).udp(1000, 2000, b"payload"),
        through6().tcp(&segment, b"GET / HTTP/1.0"),
        through6().echo_request(1, 2, &[7; 56]),
        through6().udp(1, 2, &[7; 1340]),
        through6().udp(1, 2, &[7; 1400]),
        through6().router_alert(0).udp(1, 2, b"alert"),
        through6().fragment(0, true, 9).udp(1, 2, &[7; 64]),
        through6()
            .destination_options(&[1, 2, 0, 0])
            .routing(0, 1)
            .udp(1, 2, b"headers"),
        through6().icmp(1, 0, &[0x60; 48]),
        frame().ipv6(host6, v6("3fff::1")).udp(1, 2, b"no route"),
        frame().ipv6(host6, v6("2001:db8:2::2")).udp(1, 2, b"neighbor"),
        frame().ipv6(v6("fe80::a:2"), far6).udp(1, 2, b"scope"),
        to6().echo_request(1, 2, &[7; 56]),
        to6()
            .hop_by_hop(&[1, 2, 0, 0])
            .destination_options(&[])
            .routing(0, 0)
            .fragment(0, false, 9)
            .echo_request(1, 2, b"headers"),
        to6().udp(1000, 4500, b"nat-t"),
        group(solicited)
            .ipv6(host6, solicited)
            .hop_limit(255)
            .icmp(135, 0, &body(own6, 0)),
        to6().hop_limit(255).icmp(136, 0, &body(host6, 0x60)),
        group(ipv6::ALL_NODES)
            .ipv6(host6, ipv6::ALL_NODES)
            .echo_request(1, 2, b"all"),
    ]
}

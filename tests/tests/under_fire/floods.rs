//! What an attacker sends, and what an honest host sends at the same rate: frames of about the same length.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{
    Arp, MacAddress, PacketBuilder, Protocol,
    builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder},
    ipv6,
};

/// The host that floods, which the gateway knows.
pub(crate) const HOST_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x0b, 2]);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
pub(crate) const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
/// The gateway on its link.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 1);
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
/// Frames of a flood that differ; more than tables and queues of the gateway hold.
const FRAMES: u32 = 8192;

/// A kind of packets that cost a gateway more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// ARP requests of hosts that are not known.
    Arp,
    /// Neighbour solicitations of hosts that are not known.
    Nd,
    /// Packets whose TTL or hop limit ends here: their sender is to be told.
    Expired,
    /// Packets with options: to be written into, wrong ones, ones for every router.
    Options,
    /// Packets for hosts of a connected subnet that are not there.
    Unresolvable,
    /// First fragments for the gateway whose others never come.
    Fragments,
    /// Packets that a tool decides about, which is stopped.
    Punts,
    /// Packets that a relay sends on, each of them.
    Alerts,
}

impl Flood {
    /// What the gateway is told besides.
    pub(crate) fn configuration(self) -> &'static str {
        match self {
            // All of them are for the relay to send on.
            Self::Alerts => "[[punt]]\nclass = \"router_alert\"\nrate = 10000000\nburst = 1000000\n",
            _ => "",
        }
    }

    /// The frames, for the gateway at `mac`.
    pub(crate) fn frames(self, mac: MacAddress) -> Vec<Vec<u8>> {
        (0..FRAMES).map(|number| self.frame(mac, number)).collect()
    }

    fn frame(self, mac: MacAddress, number: u32) -> Vec<u8> {
        let (four, six) = (|to| from_host(mac, to), |to| from_host6(mac, to));
        let odd = number % 2 == 1;
        match self {
            Self::Arp => {
                let (sender, address) = stranger(number);
                EthernetBuilder::arp(
                    PacketBuilder::ethernet(MacAddress::BROADCAST, sender).padded(),
                    &Arp::request(sender, address, GATEWAY),
                )
            }
            Self::Nd => {
                let (sender, _) = stranger(number);
                let address = Ipv6Addr::from_bits(HOST6.to_bits() + 0x1_0000 + u128::from(number));
                let group = ipv6::solicited_node(GATEWAY6);
                let body = [&[0; 4], &GATEWAY6.octets()[..], &[1, 1], &sender.octets()[..]].concat();
                PacketBuilder::ethernet(ipv6::multicast_mac(group), sender)
                    .ipv6(address, group)
                    .hop_limit(255)
                    .icmp(135, 0, &body)
            }
            Self::Expired if odd => six(far6(number)).hop_limit(1).udp(1, 2, &[]),
            Self::Expired => four(far(number)).ttl(1).udp(1, 2, &[7; 18]),
            Self::Options => match number % 4 {
                // Record route with room for one address, and a time stamp.
                0 => four(far(number))
                    .options(&[7, 7, 4, 0, 0, 0, 0, 0])
                    .udp(1, 2, &[7; 10]),
                1 => four(far(number))
                    .options(&[68, 8, 5, 0, 0, 0, 0, 0])
                    .udp(1, 2, &[7; 10]),
                // An option that overruns the header: its sender is to be told.
                2 => four(far(number)).options(&[7, 40, 4, 0]).udp(1, 2, &[7; 14]),
                _ => six(far6(number)).router_alert(0).udp(1, 2, &[]),
            },
            Self::Unresolvable if odd => {
                let nobody = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 1, 0, 0, number as u16);
                six(nobody).udp(1, 2, &[])
            }
            Self::Unresolvable => {
                let [.., high, low] = number.to_be_bytes();
                four(Ipv4Addr::new(10, 9, high, low)).udp(1, 2, &[7; 18])
            }
            Self::Fragments if odd => six(GATEWAY6).fragment(0, true, number).udp(1, 2, &[]),
            Self::Fragments => four(GATEWAY)
                .identification(number as u16)
                .fragment(0, true)
                .payload(Protocol::UDP, &[7; 24]),
            Self::Punts => match number % 3 {
                0 => four(far(number)).options(&[148, 4, 0, 0]).udp(1, 2, &[7; 14]),
                1 => six(GATEWAY6).udp(500, 500, &[]),
                _ => four(GATEWAY).udp(4500, 4500, &[7; 18]),
            },
            Self::Alerts if odd => six(far6(number)).router_alert(5).udp(1, 2, &[]),
            Self::Alerts => four(far(number)).options(&[148, 4, 0, 0]).udp(1, 2, &[7; 14]),
        }
    }
}

/// Packets that are sent on, half of either family, as the floods of two families are.
pub(crate) fn ordinary(mac: MacAddress) -> Vec<Vec<u8>> {
    let frame = |number: u32| match number % 2 {
        0 => from_host(mac, far(number)).udp(1, 2, &[7; 18]),
        _ => from_host6(mac, far6(number)).udp(1, 2, &[]),
    };
    (0..FRAMES).map(frame).collect()
}

/// Frames for the other port, from whom nothing bad comes.
pub(crate) fn good(mac: MacAddress) -> Vec<Vec<u8>> {
    let source = Ipv4Addr::new(10, 7, 0, 2);
    let frame = |number: u32| {
        let [.., high, low] = number.to_be_bytes();
        PacketBuilder::ethernet(mac, MacAddress([2, 0, 0, 0, 0x0a, 2]))
            .ipv4(source, Ipv4Addr::new(10, 1, high, low))
            .udp(1, 2, &[7; 18])
    };
    (0..1024).map(frame).collect()
}

/// Packets that lead back to the host, of another sender on its link.
pub(crate) fn for_the_host(mac: MacAddress) -> [Vec<u8>; 2] {
    let frame = || PacketBuilder::ethernet(mac, MacAddress([2, 0, 0, 0, 0x0b, 3]));
    let other6 = Ipv6Addr::from_bits(HOST6.to_bits() + 1);
    [
        frame()
            .ipv4(Ipv4Addr::new(192, 168, 2, 3), HOST)
            .udp(1, 2, &[7; 18]),
        frame().ipv6(other6, HOST6).udp(1, 2, &[]),
    ]
}

fn from_host(mac: MacAddress, to: Ipv4Addr) -> Ipv4Builder {
    PacketBuilder::ethernet(mac, HOST_MAC).ipv4(HOST, to)
}

fn from_host6(mac: MacAddress, to: Ipv6Addr) -> Ipv6Builder {
    PacketBuilder::ethernet(mac, HOST_MAC).ipv6(HOST6, to)
}

/// A host behind the gateway.
fn far(number: u32) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 2, high, low)
}

fn far6(number: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, number as u16)
}

/// A host on the link that nobody knows.
fn stranger(number: u32) -> (MacAddress, Ipv4Addr) {
    let [.., high, low] = number.to_be_bytes();
    let mac = MacAddress([2, 0, 0, 1, high, low]);
    (mac, Ipv4Addr::new(192, 168, 64 | high, low))
}

//! Which prefixes there are, and which next hops their routes name.
//!
//! ```text
//!   20.b.0.0/16    always there     one next hop
//!   20.b.j.0/24    comes and goes   two next hops, of which it names one at a time
//!   20.b.j.16/28   comes and goes   two others
//! ```
//!
//! So of 64 next hops a destination has three or five, and a packet that went by what another prefix names is found out.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use packet::{MacAddress, PacketBuilder};
use pcap_file::pcap::{PcapPacket, PcapWriter};

pub(crate) const NEXT_HOPS: usize = 64;
const BLOCKS: usize = 32;
const SUBNETS_PER_BLOCK: usize = 64;
/// Where the next hops are, half of them each.
pub(crate) const INTERFACES: [&str; 2] = ["first", "second"];
pub(crate) const SUBNETS: [&str; 2] = ["198.19.0.1/24", "198.19.1.1/24"];
/// What net_pcap gives to the first port of a process.
const PORT_MAC: MacAddress = MacAddress([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
/// The one destination of the second test.
const WATCHED: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 17);
/// One packet in so many is for the watched destination.
const WATCHED_SHARE: usize = 8;

/// Which interface a next hop is on.
pub(crate) fn interface(next_hop: usize) -> usize {
    next_hop % 2
}

pub(crate) fn address(next_hop: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, interface(next_hop) as u8, 10 + next_hop as u8)
}

pub(crate) fn mac(next_hop: usize) -> MacAddress {
    MacAddress([2, 0, 0, 0, 1, next_hop as u8])
}

/// Which next hop a MAC address is of.
pub(crate) fn next_hop(mac: &[u8]) -> Option<usize> {
    let (number, rest) = mac.split_last()?;
    (rest == [2, 0, 0, 0, 1] && usize::from(*number) < NEXT_HOPS).then_some(usize::from(*number))
}

/// A prefix that routes lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Cover { block: usize },
    Subnet { block: usize, subnet: usize },
    Part { block: usize, subnet: usize },
}

impl Prefix {
    pub(crate) fn covers() -> impl Iterator<Item = Self> {
        (0..BLOCKS).map(|block| Self::Cover { block })
    }

    pub(crate) fn changing() -> impl Iterator<Item = Self> {
        subnets().flat_map(|(block, subnet)| [Self::Subnet { block, subnet }, Self::Part { block, subnet }])
    }

    /// That of the watched destination; both its next hops are on one interface.
    pub(crate) fn watched() -> Self {
        Self::Part { block: 0, subnet: 0 }
    }

    pub(crate) fn net(self) -> IpNet {
        let (block, subnet, host, length) = match self {
            Self::Cover { block } => (block, 0, 0, 16),
            Self::Subnet { block, subnet } => (block, subnet, 0, 24),
            Self::Part { block, subnet } => (block, subnet, 16, 28),
        };
        let network = Ipv4Addr::new(20, block as u8, subnet as u8, host);
        Ipv4Net::new_assert(network, length).into()
    }

    /// The two that its routes name, one at a time.
    pub(crate) fn next_hops(self) -> [usize; 2] {
        let first = match self {
            Self::Cover { block } => block * 7,
            Self::Subnet { block, subnet } => (block * SUBNETS_PER_BLOCK + subnet) * 5 + 2,
            Self::Part { block, subnet } => (block * SUBNETS_PER_BLOCK + subnet) * 5 + 33,
        };
        let second = match self {
            Self::Cover { .. } => first,
            // On the same interface, and on the other.
            Self::Part { .. } => first + 2,
            Self::Subnet { .. } => first + 3,
        };
        [first, second].map(|next_hop| next_hop % NEXT_HOPS)
    }
}

fn subnets() -> impl Iterator<Item = (usize, usize)> {
    (0..BLOCKS).flat_map(|block| (0..SUBNETS_PER_BLOCK).map(move |subnet| (block, subnet)))
}

/// Where packets go: into a /28 and beside it.
pub(crate) fn destinations() -> impl Iterator<Item = Ipv4Addr> {
    subnets()
        .flat_map(|(block, subnet)| [17, 200].map(|host| Ipv4Addr::new(20, block as u8, subnet as u8, host)))
}

/// Whether each packet to the destination is written down.
pub(crate) fn is_watched(destination: Ipv4Addr) -> bool {
    destination == WATCHED
}

/// The next hops that some route to a destination names at some time, a bit each; none for an address that no packet is for.
pub(crate) fn named(destination: Ipv4Addr) -> u64 {
    let [first, block, subnet, host] = destination.octets();
    let (block, subnet) = (usize::from(block), usize::from(subnet));
    if first != 20 || block >= BLOCKS || subnet >= SUBNETS_PER_BLOCK {
        return 0;
    }
    let bits = |prefix: Prefix| {
        prefix
            .next_hops()
            .iter()
            .fold(0, |bits, next_hop| bits | 1u64 << next_hop)
    };
    let wide = bits(Prefix::Cover { block }) | bits(Prefix::Subnet { block, subnet });
    if (16..32).contains(&host) {
        wide | bits(Prefix::Part { block, subnet })
    } else {
        wide
    }
}

/// Writes a packet to each destination, and between them those to the watched one.
pub(crate) fn write_packets(path: &Path) {
    let mut pcap = PcapWriter::new(std::io::BufWriter::new(std::fs::File::create(path).unwrap())).unwrap();
    let mut write = |destination: Ipv4Addr| {
        let frame = PacketBuilder::ethernet(PORT_MAC, MacAddress([2, 0, 0, 0, 0, 1]))
            .ipv4(Ipv4Addr::new(198, 18, 0, 2), destination)
            .udp(5000, 5001, &[&destination.octets()[..], &[0; 14]].concat());
        let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame).unwrap();
        pcap.write_packet(&packet).unwrap();
    };
    for (number, destination) in destinations().enumerate() {
        write(destination);
        if number % WATCHED_SHARE == 0 {
            write(WATCHED);
        }
    }
    pcap.flush().unwrap();
}

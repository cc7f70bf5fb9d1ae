//! The routes and the packets: random, and the same in every run.

use std::{
    collections::HashSet,
    fs::File,
    io::BufWriter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    path::Path,
    time::Duration,
};

use ipnet::IpNet;
use packet::{MacAddress, PacketBuilder, Protocol, ethernet, ipv4, ipv6, udp};
use pcap_file::pcap::{PcapPacket, PcapWriteError, PcapWriter};

use crate::error::Error;

/// Routes, and packets: one for each.
const ROUTES: usize = 10_000;
/// Routers that the routes lead to.
const NEXT_HOPS: usize = 16;
/// Lengths of the IPv4 prefixes.
const LENGTHS4: RangeInclusive<u8> = 16..=28;
/// Lengths of the IPv6 prefixes.
const LENGTHS6: RangeInclusive<u8> = 29..=64;
/// A 64-byte frame without its frame check sequence, as DPDK hands frames over.
pub(super) const FRAME_BYTES: usize = ethernet::MIN_FRAME_LEN;
/// What fills such a frame behind its headers. IPv6 leaves no room for UDP.
const PAYLOAD4_BYTES: usize = FRAME_BYTES - ethernet::HEADER_LEN - ipv4::HEADER_LEN - udp::HEADER_LEN;
const PAYLOAD6_BYTES: usize = FRAME_BYTES - ethernet::HEADER_LEN - ipv6::HEADER_LEN;

/// The MAC address that net_pcap gives to the first port of a process.
pub(super) const PORT_MAC: MacAddress = MacAddress([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
const SENDER_MAC: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x01]);

/// The gateway's own subnets lie in the blocks for benchmarks, RFC 2544 and RFC 5180.
pub(super) const IN_ADDRESSES: [&str; 2] = ["198.18.0.1/24", "2001:2::1/64"];
pub(super) const OUT_ADDRESSES: [&str; 2] = ["198.19.0.1/24", "2001:2:0:1::1/64"];
const SENDER4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const SENDER6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2);

/// The family of a bench's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Four,
    Six,
}

/// A route of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: IpNet,
    pub(super) via: IpAddr,
    /// Somewhere in the prefix, maybe in a longer one of another route as well.
    destination: IpAddr,
}

/// Routes, and a packet for each.
pub(super) struct Traffic {
    pub(super) table: Vec<Route>,
    family: Family,
}

impl Traffic {
    pub(super) fn new(family: Family) -> Self {
        let mut random = Random(0x746f_6c6c_6761_7465);
        let mut seen = HashSet::new();
        let mut table = Vec::with_capacity(ROUTES);
        let range = family.lengths();
        let lengths = usize::from(range.end() - range.start()) + 1;
        while table.len() < ROUTES {
            let destination = family.destination(&mut random);
            // The length is one of the family's by its range, so there is such a prefix.
            let length = range.start() + random.below(lengths) as u8;
            let Ok(prefix) = IpNet::new(destination, length).map(|net| net.trunc()) else {
                continue;
            };
            let via = family.next_hop(random.below(NEXT_HOPS));
            if is_routable(destination) && seen.insert(prefix) {
                table.push(Route {
                    prefix,
                    via,
                    destination,
                });
            }
        }
        Self { table, family }
    }

    pub(super) fn routes(&self) -> usize {
        self.table.len()
    }

    /// The routers with their MAC addresses.
    pub(super) fn neighbors(&self) -> impl Iterator<Item = (IpAddr, MacAddress)> {
        (0..NEXT_HOPS).map(|number| {
            (
                self.family.next_hop(number),
                MacAddress([0x02, 0, 0, 0, 0x01, number as u8]),
            )
        })
    }

    /// Writes a packet to each route, in the order of the routes, which is random.
    pub(super) fn write_pcap(&self, path: &Path) -> Result<(), Error> {
        self.try_write_pcap(path).map_err(|error| {
            Error::Unexpected(format!(
                "cannot write {}: {error}; is there space, and is the folder yours?",
                path.display()
            ))
        })
    }

    fn try_write_pcap(&self, path: &Path) -> Result<(), PcapWriteError> {
        let mut pcap = PcapWriter::new(BufWriter::new(File::create(path).map_err(PcapWriteError::Io)?))?;
        for route in &self.table {
            let frame = route.frame();
            let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame)?;
            pcap.write_packet(&packet)?;
        }
        pcap.flush()
    }
}

impl Route {
    fn frame(&self) -> Vec<u8> {
        let link = PacketBuilder::ethernet(PORT_MAC, SENDER_MAC);
        match self.destination {
            IpAddr::V4(destination) => link
                .ipv4(SENDER4, destination)
                .udp(5000, 5001, &[0; PAYLOAD4_BYTES]),
            IpAddr::V6(destination) => link
                .ipv6(SENDER6, destination)
                .payload(Protocol::NO_NEXT_HEADER, &[0; PAYLOAD6_BYTES]),
        }
    }
}

impl Family {
    fn lengths(self) -> RangeInclusive<u8> {
        match self {
            Self::Four => LENGTHS4,
            Self::Six => LENGTHS6,
        }
    }

    /// Any address; of IPv6 one that is handed out, in 2000::/3.
    fn destination(self, random: &mut Random) -> IpAddr {
        match self {
            Self::Four => Ipv4Addr::from_bits(random.next() as u32).into(),
            Self::Six => {
                let bits = u128::from(random.next()) << 64 | u128::from(random.next());
                Ipv6Addr::from_bits(bits >> 3 | 1 << 125).into()
            }
        }
    }

    fn next_hop(self, number: usize) -> IpAddr {
        // There are fewer than 245 of them.
        let number = 10 + number as u8;
        match self {
            Self::Four => Ipv4Addr::new(198, 19, 0, number).into(),
            Self::Six => Ipv6Addr::new(0x2001, 2, 0, 1, 0, 0, 0, number.into()).into(),
        }
    }
}

/// Whether packets to the address are forwarded, and not to the gateway's own subnets.
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, _, _] = address.octets();
            (1..224).contains(&first) && first != 127 && !(first == 198 && (second == 18 || second == 19))
        }
        IpAddr::V6(address) => {
            let [first, second, third, ..] = address.segments();
            first >> 13 == 1 && (first, second, third) != (0x2001, 2, 0)
        }
    }
}

/// SplitMix64: short, and good enough to spread prefixes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use packet::{EthernetHeader, Ipv4, Ipv6};

    use super::*;

    #[test]
    fn every_run_has_the_same_distinct_routes() {
        for family in [Family::Four, Family::Six] {
            let traffic = Traffic::new(family);
            assert_eq!(traffic.table, Traffic::new(family).table);
            let prefixes: HashSet<_> = traffic.table.iter().map(|route| route.prefix).collect();
            assert_eq!(prefixes.len(), ROUTES);
            for length in family.lengths() {
                let of_length = prefixes
                    .iter()
                    .filter(|prefix| prefix.prefix_len() == length)
                    .count();
                assert!(of_length > ROUTES / 50, "{of_length} of length {length}");
            }
            let neighbors: HashSet<_> = traffic.neighbors().map(|(address, _)| address).collect();
            assert!(traffic.table.iter().all(|route| neighbors.contains(&route.via)));
        }
    }

    #[test]
    fn every_packet_is_a_64_byte_frame_for_its_route() {
        let tables = [Family::Four, Family::Six].map(|family| Traffic::new(family).table);
        for route in tables.into_iter().flatten() {
            let frame = route.frame();
            assert_eq!(frame.len(), FRAME_BYTES);
            let (header, payload) = EthernetHeader::parse(&frame).unwrap();
            assert_eq!(header.destination, PORT_MAC);
            let destination = match route.prefix {
                IpNet::V4(_) => IpAddr::V4(Ipv4::parse(payload).unwrap().destination()),
                IpNet::V6(_) => IpAddr::V6(Ipv6::parse(payload).unwrap().destination()),
            };
            assert!(route.prefix.contains(&destination) && is_routable(destination));
        }
    }

    #[test]
    fn the_pcap_holds_a_packet_for_each_route() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.pcap");
        Traffic::new(Family::Four).write_pcap(&path).unwrap();
        // File header, then a record header before each packet.
        let expected = 24 + ROUTES * (16 + FRAME_BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), expected as u64);
    }

    #[test]
    fn a_pcap_that_cannot_be_written_is_named() {
        let error = Traffic::new(Family::Six)
            .write_pcap(Path::new("/nonesuch/packets.pcap"))
            .unwrap_err();
        assert!(error.to_string().contains("/nonesuch/packets.pcap"), "{error}");
    }
}

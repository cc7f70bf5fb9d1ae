//! The routes and the packets: random, and the same in every run.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    path::Path,
};

use ::tests::{FULL_TABLE4, FULL_TABLE6};
use ipnet::IpNet;
use packet::{MacAddress, PacketBuilder, Protocol, ethernet, ipv4, ipv6, udp};

use super::pcap;
use crate::error::Error;

/// Packets where there is not one for each route.
const FEW_PACKETS: usize = 10_000;
/// Packets to different destinations where tables are full: more than caches hold, and few enough to fit in packet buffers of 256 bytes.
pub(super) const MANY_PACKETS: usize = 262_144;
/// Routers that the routes lead to.
const NEXT_HOPS: usize = 16;
/// Lengths of the prefixes, each as often as any other.
const LENGTHS4: RangeInclusive<u8> = 16..=28;
const LENGTHS6: RangeInclusive<u8> = 29..=64;
/// A 64-byte frame without its frame check sequence, as DPDK hands frames over.
pub(super) const FRAME_BYTES: usize = ethernet::MIN_FRAME_LEN;
/// What fills such a frame behind its headers. IPv6 leaves no room for UDP.
const PAYLOAD4_BYTES: usize = FRAME_BYTES - ethernet::HEADER_LEN - ipv4::HEADER_LEN - udp::HEADER_LEN;
const PAYLOAD6_BYTES: usize = FRAME_BYTES - ethernet::HEADER_LEN - ipv6::HEADER_LEN;

/// The MAC address that net_pcap gives to the first port of a process.
pub(super) const PORT_MAC: MacAddress = MacAddress([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
pub(super) const SENDER_MAC: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x01]);

/// The gateway's own subnets lie in the blocks for benchmarks, RFC 2544 and RFC 5180.
pub(super) const IN_ADDRESSES: [&str; 2] = ["198.18.0.1/24", "2001:2::1/64"];
pub(super) const OUT_ADDRESSES: [&str; 2] = ["198.19.0.1/24", "2001:2:0:1::1/64"];
pub(super) const SENDER4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const SENDER6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2);

/// The family of a bench's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Four,
    Six,
}

/// How many routes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Size {
    /// One, to everywhere.
    One,
    /// 10,000.
    Ordinary,
    /// 1,000,000 for IPv4 and 250,000 for IPv6.
    Full,
}

impl Size {
    pub(super) fn routes(self, family: Family) -> usize {
        match (self, family) {
            (Self::One, _) => 1,
            (Self::Ordinary, _) => 10_000,
            (Self::Full, Family::Four) => 1_000_000,
            (Self::Full, Family::Six) => 250_000,
        }
    }

    /// Packets, to destinations in the routes one after the other.
    pub(super) fn packets(self) -> usize {
        match self {
            Self::One | Self::Ordinary => FEW_PACKETS,
            Self::Full => MANY_PACKETS,
        }
    }

    fn length(self, family: Family, random: &mut Random) -> u8 {
        let among = |lengths: RangeInclusive<u8>, random: &mut Random| {
            lengths.start() + random.below(lengths.len()) as u8
        };
        match (self, family) {
            (Self::One, _) => 0,
            (Self::Ordinary, Family::Four) => among(LENGTHS4, random),
            (Self::Ordinary, Family::Six) => among(LENGTHS6, random),
            (Self::Full, Family::Four) => shared_out(&FULL_TABLE4, random),
            (Self::Full, Family::Six) => shared_out(&FULL_TABLE6, random),
        }
    }
}

/// One of the lengths, by their shares per cent.
fn shared_out(lengths: &[(u8, u32)], random: &mut Random) -> u8 {
    let mut place = random.below(100) as u32;
    for (length, share) in lengths {
        match place.checked_sub(*share) {
            Some(rest) => place = rest,
            None => return *length,
        }
    }
    0
}

/// A route of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: IpNet,
    pub(super) via: IpAddr,
}

/// Routes, and packets to destinations in them.
pub(super) struct Traffic {
    pub(super) table: Vec<Route>,
    destinations: Vec<IpAddr>,
}

impl Traffic {
    pub(super) fn new(family: Family, size: Size) -> Self {
        let mut random = Random(0x746f_6c6c_6761_7465);
        let mut seen = HashSet::new();
        let routes = size.routes(family);
        let mut table = Vec::with_capacity(routes);
        while table.len() < routes {
            let address = family.address(&mut random);
            let length = size.length(family, &mut random);
            // The length is one of the family's, so there is such a prefix.
            let Ok(prefix) = IpNet::new(address, length).map(|net| net.trunc()) else {
                continue;
            };
            let via = family.next_hop(random.below(NEXT_HOPS));
            if is_routable(address) && seen.insert(prefix) {
                table.push(Route { prefix, via });
            }
        }
        let mut destinations = Vec::with_capacity(size.packets());
        for route in table.iter().cycle().take(size.packets()) {
            destinations.push(family.destination(route.prefix, &mut random));
        }
        Self { table, destinations }
    }

    /// Writes the routes as `tollgate-ctl route add --file` reads them.
    pub(super) fn write_routes(&self, path: &Path) -> Result<(), Error> {
        let lines = self
            .table
            .iter()
            .map(|route| format!("{} via {}\n", route.prefix, route.via));
        super::write(path, &lines.collect::<String>())
    }

    /// Writes the routes as rules of l3fwd, all by its second port.
    pub(super) fn write_rules(&self, path: &Path) -> Result<(), Error> {
        let lines = self.table.iter().map(|route| format!("R{} 1\n", route.prefix));
        super::write(path, &lines.collect::<String>())
    }

    /// Writes the packets, in random order.
    pub(super) fn write_pcap(&self, path: &Path) -> Result<(), Error> {
        pcap::write(
            path,
            self.destinations.iter().map(|destination| frame(*destination)),
        )
    }
}

fn frame(destination: IpAddr) -> Vec<u8> {
    let link = PacketBuilder::ethernet(PORT_MAC, SENDER_MAC);
    match destination {
        IpAddr::V4(destination) => link
            .ipv4(SENDER4, destination)
            .udp(5000, 5001, &[0; PAYLOAD4_BYTES]),
        IpAddr::V6(destination) => link
            .ipv6(SENDER6, destination)
            .payload(Protocol::NO_NEXT_HEADER, &[0; PAYLOAD6_BYTES]),
    }
}

/// The routers of a family with their MAC addresses.
pub(super) fn neighbors(family: Family) -> impl Iterator<Item = (IpAddr, MacAddress)> {
    (0..NEXT_HOPS).map(move |number| {
        let mac = MacAddress([0x02, 0, 0, 0, 0x01, number as u8]);
        (family.next_hop(number), mac)
    })
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    /// Any address; of IPv6 one that is handed out, in 2000::/3.
    fn address(self, random: &mut Random) -> IpAddr {
        match self {
            Self::Four => Ipv4Addr::from_bits(random.next() as u32).into(),
            Self::Six => {
                let bits = u128::from(random.next()) << 64 | u128::from(random.next());
                Ipv6Addr::from_bits(bits >> 3 | 1 << 125).into()
            }
        }
    }

    /// An address in a prefix to which packets are forwarded.
    fn destination(self, prefix: IpNet, random: &mut Random) -> IpAddr {
        loop {
            let destination = match (prefix, self.address(random)) {
                (IpNet::V4(net), IpAddr::V4(address)) => Ipv4Addr::from_bits(
                    net.network().to_bits() | address.to_bits() & net.hostmask().to_bits(),
                )
                .into(),
                (IpNet::V6(net), IpAddr::V6(address)) => Ipv6Addr::from_bits(
                    net.network().to_bits() | address.to_bits() & net.hostmask().to_bits(),
                )
                .into(),
                (_, address) => address,
            };
            if is_routable(destination) {
                return destination;
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
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use packet::{EthernetHeader, Ipv4, Ipv6};

    use super::*;

    const SIZES: [(Family, Size); 3] = [
        (Family::Four, Size::Ordinary),
        (Family::Six, Size::Ordinary),
        (Family::Six, Size::Full),
    ];

    #[test]
    fn every_run_has_the_same_distinct_routes() {
        for (family, size) in SIZES {
            let traffic = Traffic::new(family, size);
            assert_eq!(traffic.table, Traffic::new(family, size).table);
            let prefixes: HashSet<_> = traffic.table.iter().map(|route| route.prefix).collect();
            assert_eq!(prefixes.len(), size.routes(family));
            let neighbors: HashSet<_> = neighbors(family).map(|(address, _)| address).collect();
            assert!(traffic.table.iter().all(|route| neighbors.contains(&route.via)));
        }
    }

    #[test]
    fn prefixes_are_of_all_lengths_that_there_are_shares_for() {
        let share = |traffic: &Traffic, length: u8| {
            let of_length = traffic
                .table
                .iter()
                .filter(|route| route.prefix.prefix_len() == length);
            of_length.count() as f64 / traffic.table.len() as f64
        };
        let traffic = Traffic::new(Family::Four, Size::Ordinary);
        for length in LENGTHS4 {
            assert!(share(&traffic, length) > 0.02, "{length}");
        }
        let traffic = Traffic::new(Family::Six, Size::Full);
        for (length, per_cent) in FULL_TABLE6 {
            let difference = share(&traffic, length) - per_cent as f64 / 100.0;
            assert!(difference.abs() < 0.01, "{length}");
        }
        assert_eq!(FULL_TABLE4.iter().map(|(_, share)| share).sum::<u32>(), 100);
        assert_eq!(FULL_TABLE6.iter().map(|(_, share)| share).sum::<u32>(), 100);
    }

    #[test]
    fn every_packet_is_a_64_byte_frame_for_a_route() {
        for (family, size) in SIZES.into_iter().chain([(Family::Four, Size::One)]) {
            let traffic = Traffic::new(family, size);
            assert_eq!(traffic.destinations.len(), size.packets());
            for (route, expected) in traffic.table.iter().cycle().zip(&traffic.destinations) {
                let frame = frame(*expected);
                assert_eq!(frame.len(), FRAME_BYTES);
                let (header, payload) = EthernetHeader::parse(&frame).unwrap();
                assert_eq!(header.destination, PORT_MAC);
                let destination = match family {
                    Family::Four => IpAddr::V4(Ipv4::parse(payload).unwrap().destination()),
                    Family::Six => IpAddr::V6(Ipv6::parse(payload).unwrap().destination()),
                };
                assert_eq!(destination, *expected);
                assert!(route.prefix.contains(&destination) && is_routable(destination));
            }
        }
    }

    #[test]
    fn full_tables_are_met_by_destinations_that_no_cache_holds() {
        let destinations = Traffic::new(Family::Six, Size::Full).destinations;
        let different: HashSet<_> = destinations.into_iter().collect();
        assert!(different.len() >= 256_000, "{}", different.len());
    }

    #[test]
    fn the_files_hold_a_packet_and_a_line_for_each_route() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let traffic = Traffic::new(Family::Four, Size::Ordinary);
        traffic.write_pcap(&path).unwrap();
        // File header, then a record header before each packet.
        let expected = 24 + 10_000 * (16 + FRAME_BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), expected as u64);
        traffic.write_rules(&path).unwrap();
        let rules = std::fs::read_to_string(&path).unwrap();
        assert_eq!(rules.lines().count(), 10_000);
        assert!(
            rules
                .lines()
                .all(|rule| rule.starts_with('R') && rule.ends_with(" 1"))
        );
        Traffic::new(Family::Six, Size::One).write_routes(&path).unwrap();
        let routes = std::fs::read_to_string(&path).unwrap();
        assert!(routes.starts_with("::/0 via 2001:2:0:1::"), "{routes}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let traffic = Traffic::new(Family::Six, Size::One);
        let path = Path::new("/nonesuch/packets.pcap");
        for error in [traffic.write_pcap(path), traffic.write_routes(path)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("/nonesuch/packets.pcap"), "{error}");
        }
    }
}

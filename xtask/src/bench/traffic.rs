//! The routes and the packets: random, and the same in every run.

use std::{collections::HashSet, fs::File, io::BufWriter, net::Ipv4Addr, path::Path, time::Duration};

use ipnet::Ipv4Net;
use packet::{MacAddress, PacketBuilder, ethernet, ipv4, udp};
use pcap_file::pcap::{PcapPacket, PcapWriteError, PcapWriter};

use crate::error::Error;

/// Routes, and packets: one for each.
const ROUTES: usize = 10_000;
/// Routers that the routes lead to.
const NEXT_HOPS: usize = 16;
/// Lengths of the prefixes.
const LENGTHS: std::ops::RangeInclusive<u8> = 16..=28;
/// A 64-byte frame without its frame check sequence, as DPDK hands frames over.
pub(super) const FRAME_BYTES: usize = ethernet::MIN_FRAME_LEN;
/// What fills such a frame behind its headers.
const PAYLOAD_BYTES: usize = FRAME_BYTES - ethernet::HEADER_LEN - ipv4::HEADER_LEN - udp::HEADER_LEN;

/// The MAC address that net_pcap gives to the first port of a process.
pub(super) const PORT_MAC: MacAddress = MacAddress([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
const SENDER_MAC: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x01]);

/// The gateway's own subnets lie in the block for benchmarks, RFC 2544.
pub(super) const IN_ADDRESS: &str = "198.18.0.1/24";
pub(super) const OUT_ADDRESS: &str = "198.19.0.1/24";
const SENDER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// A route of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Ipv4Net,
    pub(super) via: Ipv4Addr,
    /// Somewhere in the prefix, maybe in a longer one of another route as well.
    destination: Ipv4Addr,
}

/// Routes, and a packet for each.
pub(super) struct Traffic {
    pub(super) table: Vec<Route>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let mut random = Random(0x746f_6c6c_6761_7465);
        let mut seen = HashSet::new();
        let mut table = Vec::with_capacity(ROUTES);
        let lengths = usize::from(LENGTHS.end() - LENGTHS.start()) + 1;
        while table.len() < ROUTES {
            let destination = Ipv4Addr::from(random.next() as u32);
            // The length is one of 33 by its range, so there is such a prefix.
            let length = LENGTHS.start() + random.below(lengths) as u8;
            let Ok(prefix) = Ipv4Net::new(destination, length).map(|net| net.trunc()) else {
                continue;
            };
            let via = next_hop(random.below(NEXT_HOPS));
            if is_routable(destination) && seen.insert(prefix) {
                table.push(Route {
                    prefix,
                    via,
                    destination,
                });
            }
        }
        Self { table }
    }

    pub(super) fn routes(&self) -> usize {
        self.table.len()
    }

    /// The routers with their MAC addresses.
    pub(super) fn neighbors(&self) -> impl Iterator<Item = (Ipv4Addr, MacAddress)> {
        (0..NEXT_HOPS).map(|number| (next_hop(number), MacAddress([0x02, 0, 0, 0, 0x01, number as u8])))
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
        PacketBuilder::ethernet(PORT_MAC, SENDER_MAC)
            .ipv4(SENDER, self.destination)
            .udp(5000, 5001, &[0; PAYLOAD_BYTES])
    }
}

fn next_hop(number: usize) -> Ipv4Addr {
    // There are fewer than 245 of them.
    Ipv4Addr::new(198, 19, 0, 10 + number as u8)
}

/// Whether packets to the address are forwarded, and not to the gateway's own subnets.
fn is_routable(address: Ipv4Addr) -> bool {
    let [first, second, _, _] = address.octets();
    (1..224).contains(&first) && first != 127 && !(first == 198 && (second == 18 || second == 19))
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
    use packet::{EthernetHeader, Ipv4};

    use super::*;

    #[test]
    fn every_run_has_the_same_distinct_routes() {
        let traffic = Traffic::new();
        assert_eq!(traffic.table, Traffic::new().table);
        let prefixes: HashSet<_> = traffic.table.iter().map(|route| route.prefix).collect();
        assert_eq!(prefixes.len(), ROUTES);
        for length in LENGTHS {
            let of_length = prefixes
                .iter()
                .filter(|prefix| prefix.prefix_len() == length)
                .count();
            assert!(of_length > ROUTES / 20, "{of_length} of length {length}");
        }
        let neighbors: HashSet<_> = traffic.neighbors().map(|(address, _)| address).collect();
        assert!(traffic.table.iter().all(|route| neighbors.contains(&route.via)));
    }

    #[test]
    fn every_packet_is_a_64_byte_frame_for_its_route() {
        for route in Traffic::new().table {
            let frame = route.frame();
            assert_eq!(frame.len(), FRAME_BYTES);
            let (header, payload) = EthernetHeader::parse(&frame).unwrap();
            assert_eq!(header.destination, PORT_MAC);
            let packet = Ipv4::parse(payload).unwrap();
            assert!(route.prefix.contains(&packet.destination()) && is_routable(packet.destination()));
        }
    }

    #[test]
    fn the_pcap_holds_a_packet_for_each_route() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.pcap");
        Traffic::new().write_pcap(&path).unwrap();
        // File header, then a record header before each packet.
        let expected = 24 + ROUTES * (16 + FRAME_BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), expected as u64);
    }

    #[test]
    fn a_pcap_that_cannot_be_written_is_named() {
        let error = Traffic::new()
            .write_pcap(Path::new("/nonesuch/packets.pcap"))
            .unwrap_err();
        assert!(error.to_string().contains("/nonesuch/packets.pcap"), "{error}");
    }
}

//! The packets: UDP in IPv4 to what lies behind tunnels, each tunnel as often as any other.

use std::{iter, net::Ipv4Addr};

use packet::{PacketBuilder, ipv4, udp};

use super::super::traffic::{PORT_MAC, Random, SENDER_MAC, SENDER4};

/// Packets of a pcap: two for each of [`MANY`](super::MANY) tunnels, and few enough that copying them from memory is not what is measured.
pub(super) const PACKETS: usize = 2000;
/// What lies behind all tunnels, /24 by /24.
pub(super) const BEHIND: &str = "10.0.0.0/8";

/// What lies behind a tunnel.
pub(super) fn prefix(tunnel: u32) -> String {
    format!("{}/24", network(tunnel))
}

fn network(tunnel: u32) -> Ipv4Addr {
    // There are fewer than 2^16.
    Ipv4Addr::from_bits(0x0a00_0000 | tunnel << 8)
}

/// Frames with IP packets of this length into so many tunnels, in random order and the same in every run.
pub(super) fn plain(bytes: usize, tunnels: u32) -> impl Iterator<Item = Vec<u8>> {
    let payload = vec![0; bytes.saturating_sub(ipv4::HEADER_LEN + udp::HEADER_LEN)];
    order(tunnels).into_iter().map(move |tunnel| {
        let destination = Ipv4Addr::from_bits(network(tunnel).to_bits() | 2);
        PacketBuilder::ethernet(PORT_MAC, SENDER_MAC)
            .ipv4(SENDER4, destination)
            .udp(5000, 5001, &payload)
    })
}

/// The tunnels of the packets.
fn order(tunnels: u32) -> Vec<u32> {
    let mut order: Vec<u32> = iter::repeat(0..tunnels).flatten().take(PACKETS).collect();
    let mut random = Random(0x6573_7020_746f_6c6c);
    for place in (1..order.len()).rev() {
        order.swap(place, random.below(place + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use packet::{EthernetHeader, Ipv4};

    use super::*;

    #[test]
    fn packets_have_their_length_and_go_behind_their_tunnels() {
        for bytes in [64, 512, 1400, 1408] {
            let frames: Vec<_> = plain(bytes, 1).collect();
            assert_eq!(frames.len(), PACKETS);
            for frame in frames {
                let (_, packet) = EthernetHeader::parse(&frame).unwrap();
                assert_eq!(packet.len(), bytes);
                let ip = Ipv4::parse(packet).unwrap();
                assert_eq!(ip.destination(), Ipv4Addr::new(10, 0, 0, 2));
            }
        }
        assert_eq!(
            (prefix(0), prefix(999)),
            ("10.0.0.0/24".into(), "10.3.231.0/24".into())
        );
    }

    #[test]
    fn each_tunnel_gets_as_many_packets_as_any_other_and_not_in_a_row() {
        let order = order(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(
            sorted
                .iter()
                .enumerate()
                .all(|(place, tunnel)| place / 2 == *tunnel as usize)
        );
        let neighbors = order.windows(2).filter(|pair| pair[0] + 1 == pair[1]);
        assert!(neighbors.count() < 20);
    }
}

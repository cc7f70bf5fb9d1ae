//! The packets: router alerts of 170 bytes, and others of the same length that a blackhole takes.

use std::{net::Ipv6Addr, path::PathBuf};

use packet::{MacAddress, PacketBuilder};

use super::super::{Bench, pcap, traffic::PORT_MAC};
use crate::error::Error;

/// The value of the alerts.
pub(super) const VALUE: u16 = 5;
/// What fills a packet up to 170 bytes behind its headers, that of its alert or none.
const PAYLOAD_BYTES: usize = 170 - 40 - 8 - 8;
const SENDER_MAC: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x01]);
const SENDER: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2);
/// Where alerts go, and the prefix that it is in.
const FAR: Ipv6Addr = Ipv6Addr::new(0x2404, 0x6800, 0x4005, 0x803, 0, 0, 0, 0x200e);
pub(super) const FAR_PREFIX: &str = "2404:6800::/32";
/// Where the others go.
const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x66, 0, 0, 0, 0, 7);
pub(super) const NOWHERE_PREFIX: &str = "2001:db8:66::/48";
/// Packets of a pcap.
pub(super) const PACKETS: usize = 4096;

/// A router alert as a frame for this station.
pub(super) fn alert(to: MacAddress) -> Vec<u8> {
    let packet = PacketBuilder::ethernet(to, SENDER_MAC).ipv6(SENDER, FAR);
    packet.router_alert(VALUE).udp(5000, 5001, &[0; PAYLOAD_BYTES])
}

/// A packet of the same length that goes the same way and asks for nothing.
pub(super) fn ordinary(to: MacAddress) -> Vec<u8> {
    let packet = PacketBuilder::ethernet(to, SENDER_MAC).ipv6(SENDER, FAR);
    packet.udp(5000, 5001, &[0; PAYLOAD_BYTES + 8])
}

fn useless(to: MacAddress) -> Vec<u8> {
    let packet = PacketBuilder::ethernet(to, SENDER_MAC).ipv6(SENDER, NOWHERE);
    packet.udp(5000, 5001, &[0; PAYLOAD_BYTES + 8])
}

/// Whether the packet at this place is one of `count` that are spread evenly over all.
fn is_one_of(count: usize, place: usize) -> bool {
    (place + 1) * count / PACKETS > place * count / PACKETS
}

impl Bench {
    /// The pcap of packets of which `alerts` in [`PACKETS`] are alerts.
    pub(super) fn mixed(&self, alerts: usize) -> Result<PathBuf, Error> {
        let path = self.folder.join("alerts.pcap");
        let frame = |place| {
            if is_one_of(alerts, place) {
                alert(PORT_MAC)
            } else {
                useless(PORT_MAC)
            }
        };
        pcap::write(&path, (0..PACKETS).map(frame))?;
        Ok(path)
    }

    /// A pcap of ordinary packets only.
    pub(super) fn good(&self) -> Result<PathBuf, Error> {
        let path = self.folder.join("good.pcap");
        pcap::write(&path, (0..PACKETS).map(|_| ordinary(PORT_MAC)))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use packet::ethernet;

    use super::*;

    #[test]
    fn packets_of_all_kinds_have_170_bytes() {
        for frame in [alert(PORT_MAC), ordinary(PORT_MAC), useless(PORT_MAC)] {
            assert_eq!(frame.len() - ethernet::HEADER_LEN, 170);
        }
    }

    #[test]
    fn alerts_are_spread_evenly() {
        for count in [0, 1, 3, 1000, PACKETS] {
            let places: Vec<_> = (0..PACKETS).filter(|place| is_one_of(count, *place)).collect();
            assert_eq!(places.len(), count);
            let gaps: Vec<_> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (gaps.iter().min(), gaps.iter().max());
            assert!(
                least.zip(most).is_none_or(|(least, most)| most - least <= 1),
                "{count}"
            );
        }
    }
}

//! A receive queue whose packets several workers take: its owner hands each packet to the worker of its flow.
//!
//! ```text
//!   receive queue ─► owner ─┬─► its own stages
//!                           └─► ring ─► stages of another worker
//! ```
//!
//! A flow is told by its addresses and ports, either way round alike; a fragment by its addresses, since only the first has
//! ports. A flow always has the same worker, so it keeps its order. What is no IP packet stays with the owner.

use dpdk::MbufBatch;
use dpdk::ring::{MbufConsumer, MbufProducer};
use packet::{EtherType, EthernetHeader, Protocol, ipv4, ipv6};
use shm::{DropReason, InterfaceCounter, Passed, PathStage, Ways};

use super::Engine;
use crate::path::BURST;

/// Whom the packets of a receive queue go to.
pub struct Spread {
    others: Vec<Other>,
}

struct Other {
    ring: MbufProducer,
    batch: MbufBatch<BURST>,
}

/// Packets that the owner of a receive queue hands over.
pub struct HandedOver {
    /// Index of the interface that they came in by.
    pub interface: u16,
    /// The queue.
    pub queue: u16,
    /// They.
    pub packets: MbufConsumer,
}

impl Spread {
    /// Among the owner and the workers behind these rings, evenly.
    pub fn new(rings: Vec<MbufProducer>) -> Self {
        let other = |ring| Other {
            ring,
            batch: MbufBatch::new(),
        };
        Self {
            others: rings.into_iter().map(other).collect(),
        }
    }

    /// Hands the packets of others over, and leaves the owner's in the batch. Gives how many the others have, and those that
    /// found no room.
    fn split(&mut self, batch: &mut MbufBatch<BURST>) -> (usize, MbufBatch<BURST>) {
        let workers = self.others.len() + 1;
        let mut own = MbufBatch::<BURST>::new();
        for mbuf in batch.drain() {
            let share = share(mbuf.data(), workers);
            // Each batch has room for all: it was empty before.
            drop(
                match share.checked_sub(1).and_then(|other| self.others.get_mut(other)) {
                    Some(other) => other.batch.push(mbuf),
                    None => own.push(mbuf),
                },
            );
        }
        batch.append(&mut own);
        let (mut handed, mut refused) = (0, MbufBatch::new());
        for other in &mut self.others {
            if !other.batch.is_empty() {
                handed += other.ring.enqueue(&mut other.batch);
                refused.append(&mut other.batch);
            }
        }
        (handed, refused)
    }
}

impl<F, A> Engine<F, A> {
    /// Spreads what a queue of interface `ingress` received; the owner's part stays in the batch. Gives how many others have.
    pub(super) fn spread(
        &mut self,
        ingress: u16,
        spread: &mut Spread,
        batch: &mut MbufBatch<BURST>,
    ) -> usize {
        let (handed, mut refused) = spread.split(batch);
        // Those that were handed over are counted by who takes them.
        if !refused.is_empty() {
            let bytes: usize = refused.iter().map(dpdk::Mbuf::len).sum();
            let count = refused.len() as u64;
            self.counters.add(ingress, InterfaceCounter::RxPackets, count);
            self.counters
                .add(ingress, InterfaceCounter::RxBytes, bytes as u64);
            self.drop_all(ingress, DropReason::SpreadRingFull, PathStage::Rx, &mut refused);
            let mut ways = Ways::default();
            let way = Passed::NONE.with(PathStage::Rx).with(PathStage::Drop);
            (0..count).for_each(|_| self.counters.way(&mut ways, way));
            self.counters.ways(&ways);
        }
        handed
    }
}

/// Which of `workers` has the flow of a frame; 0 is the owner of the queue.
pub(super) fn share(frame: &[u8], workers: usize) -> usize {
    let hash = flow(frame).unwrap_or(0);
    // The high bits are the well-mixed ones.
    ((u64::from(hash) * workers as u64) >> 32) as usize
}

/// The hash of a frame's flow, the same both ways; `None` for what is no IP packet.
pub(crate) fn flow(frame: &[u8]) -> Option<u32> {
    let (link, packet) = EthernetHeader::parse(frame).ok()?;
    match link.ethertype {
        EtherType::IPV4 => four(packet),
        EtherType::IPV6 => six(packet),
        _ => None,
    }
}

fn four(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let transport = usize::from(header[0] & 0x0f) * 4;
    let ports = if fragment {
        0
    } else {
        ports(Protocol(header[9]), packet.get(transport..)?)
    };
    Some(mix(word(12) ^ word(16), word(12).wrapping_add(word(16)), ports))
}

fn six(packet: &[u8]) -> Option<u32> {
    let (header, rest) = packet.split_first_chunk::<{ ipv6::HEADER_LEN }>()?;
    let (mut either, mut sum) = (0, 0_u32);
    for at in (8..24).step_by(4) {
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (source, destination) = (word(at), word(at + 16));
        either = mix(either, source ^ destination, 0);
        sum = sum.rotate_left(7).wrapping_add(source.wrapping_add(destination));
    }
    // Behind extension headers, fragments among them, nobody looks for ports.
    Some(mix(either, sum, ports(Protocol(header[6]), rest)))
}

/// What is the same of both ports, whichever comes first.
fn ports(protocol: Protocol, segment: &[u8]) -> u32 {
    match (protocol, segment) {
        (Protocol::TCP | Protocol::UDP, [a, b, c, d, ..]) => {
            let (source, destination) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            u32::from(source ^ destination) << 16 | u32::from(source.wrapping_add(destination))
        }
        _ => 0,
    }
}

/// A multiplicative hash: the factors are the fractional part of the golden ratio, and two primes.
fn mix(a: u32, b: u32, c: u32) -> u32 {
    let hash = a.wrapping_mul(0x9e37_79b1) ^ b.wrapping_mul(0x85eb_ca77) ^ c.wrapping_mul(0xc2b2_ae3d);
    (hash ^ hash >> 15).wrapping_mul(0x9e37_79b1)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use packet::{Arp, MacAddress, PacketBuilder, VlanTag};
    use proptest::prelude::*;

    use super::*;

    const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn udp4(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16)) -> Vec<u8> {
        PacketBuilder::ethernet(HERE, THERE)
            .ipv4(from, to)
            .udp(ports.0, ports.1, &[])
    }

    fn udp6(from: Ipv6Addr, to: Ipv6Addr, ports: (u16, u16)) -> Vec<u8> {
        PacketBuilder::ethernet(HERE, THERE)
            .ipv6(from, to)
            .udp(ports.0, ports.1, &[])
    }

    proptest! {
        #[test]
        fn both_ways_of_a_flow_have_the_same_worker(
            a: u32, b: u32, c: u128, d: u128, ports: (u16, u16), workers in 1_usize..9
        ) {
            let (a, b, c, d) = (a.into(), b.into(), c.into(), d.into());
            let back = (ports.1, ports.0);
            prop_assert_eq!(share(&udp4(a, b, ports), workers), share(&udp4(b, a, back), workers));
            prop_assert_eq!(share(&udp6(c, d, ports), workers), share(&udp6(d, c, back), workers));
        }

        #[test]
        fn any_bytes_have_a_worker(frame in prop::collection::vec(any::<u8>(), 0..100), workers in 1_usize..9) {
            prop_assert!(share(&frame, workers) < workers);
        }
    }

    #[test]
    fn flows_are_spread_evenly() {
        let (a4, b4) = (Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(192, 168, 2, 2));
        let (a6, b6): (Ipv6Addr, Ipv6Addr) =
            ("2001:db8:1::2".parse().unwrap(), "2001:db8:2::2".parse().unwrap());
        for workers in [2, 3, 4] {
            let mut of_ports = vec![0; workers];
            let mut of_addresses = vec![0; workers];
            for number in 0..1000_u16 {
                of_ports[share(&udp4(a4, b4, (1024 + number, 53)), workers)] += 1;
                of_ports[share(&udp6(a6, b6, (1024 + number, 53)), workers)] += 1;
                let [high, low] = number.to_be_bytes();
                of_addresses[share(&udp4(a4, Ipv4Addr::new(10, 0, high, low), (7, 7)), workers)] += 1;
                let host = Ipv6Addr::from_bits(b6.to_bits() + u128::from(number));
                of_addresses[share(&udp6(a6, host, (7, 7)), workers)] += 1;
            }
            let fair = 2000 / workers;
            for share in of_ports.into_iter().chain(of_addresses) {
                assert!(
                    (fair * 3 / 4..fair * 5 / 4).contains(&share),
                    "{share} of {workers}"
                );
            }
        }
    }

    #[test]
    fn fragments_of_a_datagram_stay_together() {
        let fragment = |offset, more, payload: &[u8]| {
            PacketBuilder::ethernet(HERE, THERE)
                .ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
                .fragment(offset, more)
                .payload(Protocol::UDP, payload)
        };
        let first = flow(&fragment(0, true, &[1, 2, 3, 4, 0, 0, 0, 0]));
        assert_eq!(first, flow(&fragment(8, false, &[9, 9, 9, 9])));
        assert!(first.is_some());
    }

    #[test]
    fn a_tag_changes_nothing_and_what_is_no_ip_stays_with_the_owner() {
        let addresses = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let tagged = PacketBuilder::ethernet(HERE, THERE)
            .tag(VlanTag::new(7))
            .ipv4(addresses.0, addresses.1)
            .udp(1, 2, &[]);
        assert_eq!(flow(&tagged), flow(&udp4(addresses.0, addresses.1, (1, 2))));
        let arp = PacketBuilder::ethernet(HERE, THERE).arp(&Arp::request(THERE, addresses.0, addresses.1));
        assert_eq!(share(&arp, 4), 0);
    }
}

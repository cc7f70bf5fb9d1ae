//! Packets in; dispositions and bytes out. A gateway with two interfaces and a route of each kind, in both families.

mod alerts;
mod answers;
mod anycast;
mod balanced;
mod errors;
mod ip4;
mod ip6;
mod kernel;
mod long;
mod multipath;
mod options;
mod redirect;
mod trace;
mod tunnel;
mod usual;
mod vlan;
mod way_out;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, TBL24_ENTRIES, words6};
use ipnet::IpNet;
use packet::MacAddress;
use shm::DropReason;

use super::*;
use crate::adjacency::{AdjacencyWriter, BUCKETS, GROUP_WORDS, WORDS};

const GATEWAY: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
const SENDER: MacAddress = MacAddress([2, 0, 0, 0, 1, 1]);
const NEIGHBOR: MacAddress = MacAddress([2, 0, 0, 0, 2, 1]);
const HOST_A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const HOST_B: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const HOST_A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const HOST_B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Of the second interface.
const MTU: u16 = 1400;

struct Bench {
    path: Stages<Vec<AtomicU32>, Vec<AtomicU64>>,
    adjacencies: AdjacencyWriter<Vec<AtomicU64>>,
    to_b: NextHop,
    /// A group, and the adjacencies that share it.
    shared: NextHop,
    members: [NextHop; 3],
    up: Vec<Arc<AtomicBool>>,
}

impl Bench {
    /// Two kernel interfaces, of MTU 1500 and 1400; a route of each kind.
    fn new() -> Self {
        Self::made(true, false)
    }

    /// The same on kernel interfaces or others.
    fn on(kernel_device: bool) -> Self {
        Self::made(kernel_device, false)
    }

    /// On kernel interfaces, with a tap on the first.
    fn with_tap() -> Self {
        Self::made(true, true)
    }

    fn made(kernel_device: bool, with_tap: bool) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let words = |count| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let mut fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(64 * GROUP_ENTRIES), 100).unwrap();
        let mut fib6 = Fib6Writer::new(words(words6(100)), 100).unwrap();
        let mut adjacencies = AdjacencyWriter::with_groups(words(64 * WORDS + 4 * GROUP_WORDS), 4);
        let mut to_b = NextHop::NONE;
        let forward = Adjacency::Forward {
            interface: 1,
            mac: NEIGHBOR,
        };
        let (none4, none6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        let back = Adjacency::Forward {
            interface: 0,
            mac: NEIGHBOR,
        };
        let point_to_point = Adjacency::Forward {
            interface: 2,
            mac: MacAddress([0; 6]),
        };
        let routes: [(&str, Adjacency, IpAddr); 28] = [
            // No packet may come here: what was dropped before the lookup must not either.
            ("0.0.0.0/8", forward, none4),
            ("192.168.2.2/32", forward, HOST_B.into()),
            ("192.168.1.1/32", Adjacency::Local { interface: 0 }, OWN.into()),
            ("192.168.1.0/24", Adjacency::Glean { interface: 0 }, none4),
            ("192.168.1.255/32", Adjacency::Broadcast, none4),
            (
                "10.1.0.0/16",
                Adjacency::Incomplete { interface: 1 },
                [192, 168, 2, 9].into(),
            ),
            (
                "10.2.0.0/16",
                Adjacency::Failed { interface: 1 },
                [192, 168, 2, 8].into(),
            ),
            ("10.3.0.0/16", Adjacency::Blackhole, none4),
            ("::/8", forward, none6),
            ("2001:db8:2::2/128", forward, HOST_B6.into()),
            (
                "2001:db8:1::1/128",
                Adjacency::Local { interface: 0 },
                OWN6.into(),
            ),
            ("2001:db8:1::/64", Adjacency::Glean { interface: 0 }, none6),
            ("2001:db8:1::/128", Adjacency::Anycast { interface: 0 }, none6),
            (
                "2001:db8:a1::/48",
                Adjacency::Incomplete { interface: 1 },
                "fe80::9".parse().unwrap(),
            ),
            (
                "2001:db8:a2::/48",
                Adjacency::Failed { interface: 1 },
                "fe80::8".parse().unwrap(),
            ),
            ("2001:db8:a3::/48", Adjacency::Blackhole, none6),
            ("10.4.0.0/16", Adjacency::Unreachable, none4),
            ("10.5.0.0/16", Adjacency::Prohibit, none4),
            ("2001:db8:a4::/48", Adjacency::Unreachable, none6),
            ("2001:db8:a5::/48", Adjacency::Prohibit, none6),
            // Back where most packets come from: by a neighbour there, and by ones that their senders do not have there.
            ("192.168.1.80/32", back, [192, 168, 1, 80].into()),
            ("10.80.0.0/16", back, [192, 168, 1, 80].into()),
            ("10.81.0.0/16", back, [192, 168, 8, 1].into()),
            ("2001:db8:1::80/128", back, "2001:db8:1::80".parse().unwrap()),
            ("2001:db8:80::/48", back, "fe80::80".parse().unwrap()),
            ("2001:db8:81::/48", back, "2001:db8:1::80".parse().unwrap()),
            // A tunnel, where there is one.
            ("10.7.0.0/16", point_to_point, none4),
            ("2001:db8:a7::/48", point_to_point, none6),
        ];
        for (prefix, adjacency, next_hop) in routes {
            let index = adjacencies.allocate(adjacency, next_hop).unwrap();
            match prefix.parse().unwrap() {
                IpNet::V4(prefix) => drop(fib4.insert(prefix, index).unwrap()),
                IpNet::V6(prefix) => drop(fib6.insert(prefix, index).unwrap()),
            }
            if next_hop == HOST_B {
                to_b = index;
            }
        }
        let members = [0x11, 0x12, 0x13].map(|last| {
            let mac = MacAddress([2, 0, 0, 0, 2, last]);
            let forward = Adjacency::Forward { interface: 1, mac };
            adjacencies
                .allocate(forward, [192, 168, 2, last + 0x3c].into())
                .unwrap()
        });
        let buckets: Vec<_> = members.into_iter().cycle().take(BUCKETS).collect();
        let shared = adjacencies.allocate_group().unwrap();
        adjacencies.set_group(shared, 5, u16::MAX, &buckets);
        let short = adjacencies.allocate_group().unwrap();
        adjacencies.set_group(short, 5, 1300, &members[..1]);
        for (prefix, prefix6, group) in [
            ("10.9.0.0/16", "2001:db8:b0::/48", shared),
            ("10.8.0.0/16", "2001:db8:b8::/48", short),
        ] {
            fib4.insert(prefix.parse().unwrap(), group).unwrap();
            fib6.insert(prefix6.parse().unwrap(), group).unwrap();
        }
        let up: Vec<_> = (0..2).map(|_| Arc::new(AtomicBool::new(true))).collect();
        let interfaces = (0..2)
            .map(|index| InterfaceView {
                mac: GATEWAY[index],
                mtu: [1500, MTU][index],
                kernel_device,
                tap: index == 0 && with_tap,
                redirects: true,
                options: OptionPolicy::default(),
                up: up[index].clone(),
                sources: Arc::default(),
                any_tpid: false,
                sub: None,
                tunnel: None,
            })
            .collect::<Vec<_>>();
        let own = ["192.168.1.1/24", "2001:db8:1::1/64"].map(|net| net.parse().unwrap());
        interfaces[0]
            .sources
            .set(Some(LINK_LOCAL), own.into_iter(), [LINK_LOCAL, OWN6].into_iter());
        Self {
            path: Stages::new(
                interfaces,
                fib4.reader(),
                fib6.reader(),
                adjacencies.reader(),
                Punts::OFF,
            ),
            adjacencies,
            to_b,
            shared,
            members,
            up,
        }
    }

    /// The same where nobody is told of a better next hop.
    fn without_redirects(mut self) -> Self {
        let view = InterfaceView {
            redirects: false,
            ..self.path.interfaces.get(0).unwrap().clone()
        };
        self.path.interfaces.set(0, view);
        self
    }

    /// What a packet waits for: interface, next hop, its destination.
    fn waits(&self, packet: Vec<u8>) -> (u16, IpAddr, IpAddr) {
        let mut packets = [packet];
        let note = self.run(&mut packets)[0];
        let Disposition::Wait { interface, adjacency } = note.disposition else {
            panic!("does not wait but {:?}", note.disposition);
        };
        let (next_hop, destination) = self.path.awaited(adjacency, &packets[0], &note).unwrap();
        (interface, next_hop, destination)
    }

    /// The interface by which all packets of a burst leave whole, and what is noted of each.
    fn burst(&self, mut packets: Vec<Vec<u8>>) -> (Option<u16>, Vec<Note>) {
        let mut notes = NOTES;
        let packets = packets.as_mut_slice();
        let count = packets.len();
        let burst = &mut Burst {
            packets,
            notes: &mut notes,
        };
        (
            self.path.run(0, burst).map(|together| together.egress),
            notes[..count].to_vec(),
        )
    }

    /// What becomes of each packet of a burst, and its bytes as they would leave.
    fn fates(&self, mut packets: Vec<Vec<u8>>) -> Vec<(Disposition, Vec<u8>)> {
        let notes = self.run(&mut packets);
        let fate = |(packet, note): (Vec<u8>, Note)| {
            let leaving = packet[usize::from(note.trim)..usize::from(note.length)].to_vec();
            (note.disposition, leaving)
        };
        packets.into_iter().zip(notes).map(fate).collect()
    }

    fn run(&self, packets: &mut [Vec<u8>]) -> Vec<Note> {
        let mut notes = NOTES;
        let count = packets.len();
        let mut packets: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
        let together = self.path.run(
            0,
            &mut Burst {
                packets: &mut packets,
                notes: &mut notes,
            },
        );
        if let Some(together) = together {
            return packets
                .iter()
                .map(|packet| Note::usual(together.egress, packet))
                .collect();
        }
        notes[..count].to_vec()
    }

    /// What becomes of one packet that comes in by interface 0, and its bytes as they would leave.
    fn one(&self, packet: Vec<u8>) -> (Disposition, Vec<u8>) {
        let mut packets = [packet];
        let note = self.run(&mut packets)[0];
        let [packet] = packets;
        (
            note.disposition,
            packet[usize::from(note.trim)..usize::from(note.length)].to_vec(),
        )
    }

    fn dropped(&self, packet: Vec<u8>) -> DropReason {
        match self.one(packet).0 {
            Disposition::Drop(reason) => reason,
            other => panic!("not dropped but {other:?}"),
        }
    }
}

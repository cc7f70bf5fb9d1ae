//! Fragments of datagrams for a service, and of its server's answers: joined by whichever worker, and cut again.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dpdk::{Eal, Pool};
use lb::{Config, Fragments};
use packet::ethernet::HEADER_LEN;
use packet::fragment::{FRAGMENT_HEADER_LEN, cut_v4, cut_v6};
use packet::{Ipv4, Ipv6, MacAddress, PacketBuilder, Udp, extension};
use shm::{DropReason, InterfaceCounter};

use super::gateway::{Gateway, LAN, LIP, LIP6, MACS, MTU, SERVER, SERVER_MAC, SERVER6, VIP, VIP6, VLAN, WAN};
use super::{CLIENT, VIA, config, config_of};

const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x48);

const FLOWS: u16 = 16;
/// Bytes of each datagram: of three fragments.
const LONG: usize = 4000;

/// A datagram.
#[derive(Clone, PartialEq, Eq)]
struct Datagram {
    macs: (MacAddress, MacAddress),
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    data: Vec<u8>,
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (macs, from, to) = (self.macs, self.from, self.to);
        write!(f, "{} bytes from {from:?} to {to:?}, {macs:?}", self.data.len())
    }
}

impl Datagram {
    fn of_client(six: bool, port: u16, length: usize) -> Self {
        Self {
            macs: (MACS[0], VIA[0]),
            from: (choose(six, CLIENT, CLIENT6), port),
            to: (choose(six, VIP, VIP6), 53),
            data: (0..length).map(|at| (at % 251) as u8).collect(),
        }
    }

    /// What the server answers, just as long.
    fn answer(&self) -> Self {
        Self {
            macs: (MACS[1], SERVER_MAC),
            from: self.to,
            to: self.from,
            data: self.data.iter().rev().copied().collect(),
        }
    }

    fn frame(&self) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet(self.macs.0, self.macs.1);
        let ports = (self.from.1, self.to.1);
        match (self.from.0, self.to.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from, to).udp(ports.0, ports.1, &self.data),
            (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from, to).udp(ports.0, ports.1, &self.data),
            _ => panic!("{self:?} is of two families"),
        }
    }

    fn fragments(&self, identification: u16, mtu: u16) -> Vec<Vec<u8>> {
        let mut frame = self.frame();
        if self.from.0.is_ipv4() {
            frame[HEADER_LEN + 4..HEADER_LEN + 6].copy_from_slice(&identification.to_be_bytes());
        }
        let (link, packet) = frame.split_at(HEADER_LEN);
        let (cuts, header) = match self.from.0 {
            IpAddr::V4(_) => (cut_v4(packet, mtu), 20),
            IpAddr::V6(_) => (
                cut_v6(packet.first_chunk().unwrap(), mtu, identification.into()),
                40,
            ),
        };
        let fragment = |cut: packet::fragment::Cut| {
            [link, cut.headers(), &packet[header..][cut.payload.clone()]].concat()
        };
        cuts.unwrap().map(fragment).collect()
    }
}

fn choose(six: bool, four: Ipv4Addr, address: Ipv6Addr) -> IpAddr {
    if six { address.into() } else { four.into() }
}

fn service(workers: usize, six: bool) -> Config {
    if six {
        config_of(workers, VIP6.into(), LIP6.into(), SERVER6.into())
    } else {
        config_of(workers, VIP.into(), LIP.into(), SERVER.into())
    }
}

/// The identification, place, payload and end of a fragment, which is no longer than a link takes.
struct Piece {
    identification: u32,
    offset: usize,
    more: bool,
    payload: Vec<u8>,
    ends: (IpAddr, IpAddr),
    ttl: u8,
}

fn piece(frame: &[u8]) -> Piece {
    let packet = &frame[HEADER_LEN..];
    assert!(packet.len() <= usize::from(MTU), "{} bytes", packet.len());
    if packet[0] >> 4 == 4 {
        let ip = Ipv4::parse(packet).unwrap();
        return Piece {
            identification: ip.identification().into(),
            offset: ip.fragment_offset(),
            more: ip.more_fragments(),
            payload: ip.payload().to_vec(),
            ends: (ip.source().into(), ip.destination().into()),
            ttl: ip.ttl(),
        };
    }
    let ip = Ipv6::parse(packet).unwrap();
    let upper = extension::upper_layer(&ip).unwrap();
    let said = upper.fragment.unwrap();
    Piece {
        identification: said.identification,
        offset: said.offset.into(),
        more: said.more,
        payload: upper.payload.to_vec(),
        ends: (ip.source().into(), ip.destination().into()),
        ttl: ip.hop_limit(),
    }
}

/// The next datagram that leaves by an interface, in fragments that are in order, with their identification. `strip` makes of each what it is
/// without tags.
fn datagram(
    gateway: &mut Gateway<'_>,
    interface: u16,
    strip: impl Fn(Vec<u8>) -> Vec<u8>,
) -> (Datagram, u32) {
    let mut whole = Vec::new();
    loop {
        let frame = strip(gateway.sent_by_any(interface));
        let piece = piece(&frame);
        assert_eq!((piece.offset, piece.ttl), (whole.len(), 63));
        whole.extend(piece.payload);
        if piece.more {
            continue;
        }
        let udp = Udp::parse(&whole).unwrap();
        let is_valid = match piece.ends {
            (IpAddr::V4(from), IpAddr::V4(to)) => udp.checksum_is_valid(from, to),
            (IpAddr::V6(from), IpAddr::V6(to)) => udp.checksum_is_valid(from, to),
            _ => false,
        };
        assert!(is_valid, "the checksum of a datagram from {:?}", piece.ends);
        let mac = |at: usize| MacAddress(*frame[at..].first_chunk().unwrap());
        let datagram = Datagram {
            macs: (mac(0), mac(6)),
            from: (piece.ends.0, udp.source_port()),
            to: (piece.ends.1, udp.destination_port()),
            data: udp.payload().to_vec(),
        };
        return (datagram, piece.identification);
    }
}

fn as_it_is(frame: Vec<u8>) -> Vec<u8> {
    frame
}

/// Each fragment comes to another worker, and in any order.
fn receive_all(
    gateway: &mut Gateway<'_>,
    workers: usize,
    interface: u16,
    mut fragments: Vec<Vec<u8>>,
    by: usize,
) {
    fragments.rotate_left(by % 3);
    for (number, fragment) in fragments.iter().enumerate() {
        gateway.receive((by / 3 + number) % workers, interface, fragment);
    }
}

pub(crate) fn req_icmp_34_datagrams_in_fragments_are_translated_whichever_worker_has_what(
    eal: &Eal,
    pool: &Pool,
    workers: usize,
    six: bool,
) {
    let mut gateway = Gateway::new(eal, pool, workers);
    gateway.configure(service(workers, six));
    let (local, server) = (choose(six, LIP, LIP6), choose(six, SERVER, SERVER6));
    let mut identifications = HashSet::new();
    for flow in 0..FLOWS {
        let number = usize::from(flow);
        // A connection that one worker has since a short datagram came to it, or that fragments begin.
        let mut seen = None;
        if flow % 2 == 0 {
            let short = Datagram::of_client(six, 1000 + flow, 10);
            gateway.receive(number / 2 % workers, WAN, &short.frame());
            let frame = gateway.sent(number / 2 % workers, LAN);
            let header = if six { 40 } else { 20 };
            seen = Udp::parse(&frame[HEADER_LEN + header..])
                .ok()
                .map(|udp| udp.source_port());
        }
        for round in 0..2 {
            let asked = Datagram::of_client(six, 1000 + flow, LONG);
            let fragments = asked.fragments(flow * 2 + round, MTU);
            assert_eq!(fragments.len(), 3);
            receive_all(&mut gateway, workers, WAN, fragments, number);
            let (at_server, identification) = datagram(&mut gateway, LAN, as_it_is);
            let port = *seen.get_or_insert(at_server.from.1);
            let expected = Datagram {
                macs: (SERVER_MAC, MACS[1]),
                from: (local, port),
                to: (server, 5353),
                data: asked.data.clone(),
            };
            assert_eq!(
                at_server, expected,
                "{workers} workers, flow {flow}, datagram {round}"
            );
            assert!(identifications.insert(identification), "{identification} twice");

            let answer = at_server.answer();
            receive_all(
                &mut gateway,
                workers,
                LAN,
                answer.fragments(flow * 2 + round, MTU),
                number + 1,
            );
            let (at_client, _) = datagram(&mut gateway, WAN, as_it_is);
            let expected = Datagram {
                macs: (VIA[0], MACS[0]),
                data: answer.data,
                ..asked.answer()
            };
            assert_eq!(
                at_client, expected,
                "{workers} workers, flow {flow}, answer {round}"
            );
        }
    }
    let all: usize = (0..workers).map(|worker| gateway.connections(worker)).sum();
    assert_eq!(all, usize::from(FLOWS), "one connection for each flow");
    let datagrams = u64::from(FLOWS) * 4;
    let counters = [
        InterfaceCounter::Reassembled,
        InterfaceCounter::Fragmented,
        InterfaceCounter::Fragments,
        InterfaceCounter::Delivered,
        InterfaceCounter::Originated,
    ];
    assert_eq!(
        counters.map(|counter| gateway.count(counter)),
        [datagrams, datagrams, 3 * datagrams, 3 * datagrams, 3 * datagrams]
    );
    gateway.stop(0);
}

pub(crate) fn answers_in_fragments_go_by_the_vlan_that_the_question_came_by(eal: &Eal, pool: &Pool) {
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    let tag = [[0x81, 0x00], VLAN.tci.to_be_bytes()].concat();
    let tagged = |frame: Vec<u8>| [&frame[..12], &tag[..], &frame[12..]].concat();
    let untagged = |frame: Vec<u8>| {
        assert_eq!(frame[12..16], tag);
        [&frame[..12], &frame[16..]].concat()
    };
    for round in 0..4 {
        let asked = Datagram::of_client(false, 6000, LONG);
        let fragments = asked.fragments(round, MTU).into_iter().map(tagged).collect();
        receive_all(&mut gateway, 2, WAN, fragments, round.into());
        let (at_server, _) = datagram(&mut gateway, LAN, as_it_is);
        assert_eq!(at_server.data, asked.data);
        let answer = at_server.answer();
        receive_all(&mut gateway, 2, LAN, answer.fragments(round, MTU), round.into());
        let (at_client, _) = datagram(&mut gateway, WAN, untagged);
        assert_eq!((at_client.macs, at_client.data), ((VIA[0], MACS[0]), answer.data));
    }
    let counters = [
        InterfaceCounter::ToSubInterfaces,
        InterfaceCounter::FromSubInterfaces,
    ];
    assert_eq!(counters.map(|counter| gateway.count(counter)), [12, 12]);
    gateway.stop(0);
}

/// Over IPv4 routers cut what is too long for the next link. Over IPv6 a sender that has found out that its path takes no more goes by that,
/// and nobody would tell the gateway.
pub(crate) fn fragments_leave_as_long_as_they_may_but_those_of_ipv6_no_longer_than_they_came(
    eal: &Eal,
    pool: &Pool,
) {
    for (six, came, longest) in [(false, 576, MTU), (true, 1280, 1280)] {
        let mut gateway = Gateway::new(eal, pool, 1);
        gateway.configure(service(1, six));
        let asked = Datagram::of_client(six, 1000, LONG);
        for fragment in asked.fragments(1, came) {
            gateway.receive(0, WAN, &fragment);
        }
        let header = if six { 40 + FRAGMENT_HEADER_LEN } else { 20 };
        let room = (usize::from(longest) - header) & !7;
        let count = (LONG + 8).div_ceil(room);
        for number in 1..=count {
            let left = piece(&gateway.sent(0, LAN));
            let rest = LONG + 8 - (number - 1) * room;
            assert_eq!((left.payload.len(), left.more), (rest.min(room), number < count));
        }
        gateway.stop(0);
    }
}

pub(crate) fn fragments_that_overlap_or_are_not_wanted_are_dropped(eal: &Eal, pool: &Pool) {
    let fragment = |offset: u16, more: bool, length: usize| {
        PacketBuilder::ethernet(MACS[0], VIA[0])
            .ipv4(CLIENT, VIP)
            .identification(7)
            .fragment(offset, more)
            .payload(packet::Protocol::UDP, &vec![1; length])
    };
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    for frame in [fragment(0, true, 16), fragment(8, true, 16)] {
        gateway.receive(0, WAN, &frame);
    }
    gateway.dropped(DropReason::ReassemblyOverlap);
    gateway.stop(2);

    let mut gateway = Gateway::new(eal, pool, 2);
    let mut config = config(2);
    config.policy.fragments = Fragments::Drop;
    gateway.configure(config);
    gateway.receive(1, WAN, &fragment(0, true, 16));
    gateway.dropped(DropReason::ServiceFragment);
    gateway.stop(1);
}

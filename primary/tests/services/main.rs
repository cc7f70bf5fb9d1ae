//! Packets for services through whole workers: what one worker receives and another has the connection of, what leaves by the way that
//! it came, and errors of the gateway itself about what it has translated.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod fragments;
mod gateway;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dpdk::{Eal, NumaNode, Pool};
use lb::{Config, Counts, Kind, Local, Policy, Scheduler, Server, Service, Timeouts};
use packet::ethernet::HEADER_LEN;
use packet::icmp_error::{HEADERS_LEN_V4, Icmpv4Problem, emit_v4};
use packet::{EtherType, Icmpv4, Ipv4, MacAddress, PacketBuilder, Udp};
use shm::{IcmpCounter, InterfaceCounter};

use self::gateway::{Gateway, LAN, LIP, MACS, SERVER, SERVER_MAC, VIP, VLAN, WAN};

/// Two ways to the same client, which both are others than that of the route.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 7, 48);
const VIA: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 1, 1]), MacAddress([2, 0, 0, 0, 1, 2])];
const FLOWS: u16 = 64;

fn main() {
    let (_folder, eal) = common::eal();
    let pool = Pool::new(&eal, "packets", 4095, 0, Pool::HEADROOM + 2048, NumaNode::ANY).unwrap();
    for workers in [1, 2, 4] {
        req_icmp_20_37_44_replies_and_errors_find_their_connections(&eal, &pool, workers);
    }
    req_icmp_41_a_flow_goes_back_the_way_that_its_last_packet_came(&eal, &pool);
    req_icmp_39_answers_and_errors_go_by_the_vlan_that_the_question_came_by(&eal, &pool);
    req_icmp_43_errors_of_the_gateway_are_the_services(&eal, &pool);
    for workers in [1, 2, 4] {
        for six in [false, true] {
            fragments::req_icmp_34_datagrams_in_fragments_are_translated_whichever_worker_has_what(
                &eal, &pool, workers, six,
            );
        }
    }
    fragments::answers_in_fragments_go_by_the_vlan_that_the_question_came_by(&eal, &pool);
    fragments::fragments_leave_as_long_as_they_may_but_those_of_ipv6_no_longer_than_they_came(&eal, &pool);
    fragments::fragments_that_overlap_or_are_not_wanted_are_dropped(&eal, &pool);
    the_longest_round_begins_anew_when_asked(&eal, &pool);
    assert_eq!(pool.in_use(), 0, "every packet was freed");
    drop(pool);
    eal.shutdown().unwrap();
}

fn config(workers: usize) -> Config {
    config_of(workers, VIP.into(), LIP.into(), SERVER.into())
}

/// One service with one server.
fn config_of(workers: usize, vip: IpAddr, local: IpAddr, server: IpAddr) -> Config {
    let counts = || Arc::new(Counts::new(workers));
    let server = Server {
        address: server,
        port: 5353,
        number: 1,
        weight: 1,
        max_connections: 0,
        counts: counts(),
    };
    let local = Local {
        address: local,
        counts: counts(),
    };
    Config {
        services: vec![Arc::new(Service {
            kind: Kind::Udp,
            address: vip,
            port: 53,
            number: 1,
            scheduler: Scheduler::Rr,
            toa: false,
            fast_xmit: true,
            allow: Vec::new(),
            deny: Vec::new(),
            timeout: None,
            servers: vec![Arc::new(server)],
            locals: vec![Arc::new(local)],
            counts: counts(),
        })],
        timeouts: Timeouts::default(),
        policy: Policy::default(),
    }
}

fn request(via: MacAddress, port: u16, ttl: u8) -> Vec<u8> {
    PacketBuilder::ethernet(MACS[0], via)
        .ipv4(CLIENT, VIP)
        .ttl(ttl)
        .udp(port, 53, b"where is it?")
}

/// What the server answers to a datagram as it got it.
fn reply(to: &Seen) -> Vec<u8> {
    PacketBuilder::ethernet(MACS[1], SERVER_MAC)
        .ipv4(to.destination, to.source)
        .udp(to.ports.1, to.ports.0, b"there")
}

/// An error of the router `from` about a packet as it left by an interface.
fn error(about: &[u8], interface: u16, mac: MacAddress, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let quote = &about[HEADER_LEN..HEADER_LEN + 28];
    let mut headers = [0; HEADERS_LEN_V4];
    emit_v4(Icmpv4Problem::HostUnreachable, from, to, 64, quote, &mut headers);
    let packet = [&headers[..], quote].concat();
    PacketBuilder::ethernet(MACS[usize::from(interface)], mac).payload(EtherType::IPV4, &packet)
}

/// A datagram as it left.
struct Seen {
    macs: (MacAddress, MacAddress),
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ports: (u16, u16),
    ttl: u8,
}

fn seen(frame: &[u8]) -> Seen {
    let mac = |at: usize| MacAddress(*frame[at..].first_chunk().unwrap());
    let packet = Ipv4::parse(&frame[HEADER_LEN..]).unwrap();
    let udp = Udp::parse(packet.payload()).unwrap();
    assert!(udp.checksum_is_valid(packet.source(), packet.destination()));
    Seen {
        macs: (mac(0), mac(6)),
        source: packet.source(),
        destination: packet.destination(),
        ports: (udp.source_port(), udp.destination_port()),
        ttl: packet.ttl(),
    }
}

/// Type and code of an ICMP message with a right checksum, where from, where to, and the addresses and ports in what it quotes.
type Told = ((u8, u8), Ipv4Addr, Ipv4Addr, (Ipv4Addr, u16), (Ipv4Addr, u16));

fn told(frame: &[u8]) -> Told {
    let packet = Ipv4::parse(&frame[HEADER_LEN..]).unwrap();
    let message = packet.payload();
    assert!(Icmpv4::parse(message).unwrap().checksum_is_valid());
    let quote = &message[8..];
    let address = |at: usize| Ipv4Addr::from(*quote[at..].first_chunk::<4>().unwrap());
    let port = |at: usize| u16::from_be_bytes(*quote[at..].first_chunk().unwrap());
    (
        (message[0], message[1]),
        packet.source(),
        packet.destination(),
        (address(12), port(20)),
        (address(16), port(22)),
    )
}

fn req_icmp_20_37_44_replies_and_errors_find_their_connections(eal: &Eal, pool: &Pool, workers: usize) {
    let mut gateway = Gateway::new(eal, pool, workers);
    gateway.configure(config(workers));
    let mut redirected = 0;
    for flow in 0..FLOWS {
        // Each worker has some of the flows, and each answer comes to another.
        let owner = usize::from(flow) % workers;
        let other = (owner + 1 + usize::from(flow) / workers) % workers;
        let client_port = 1000 + flow;
        gateway.receive(owner, WAN, &request(VIA[0], client_port, 64));
        let at_server = gateway.sent(owner, LAN);
        let asked = seen(&at_server);
        assert_eq!((asked.source, asked.destination), (LIP, SERVER));
        assert_eq!((asked.ports.1, asked.ttl), (5353, 63));
        assert_eq!(asked.macs, (SERVER_MAC, MACS[1]));

        gateway.receive(other, LAN, &reply(&asked));
        let at_client = gateway.sent(owner, WAN);
        let answered = seen(&at_client);
        assert_eq!((answered.source, answered.destination), (VIP, CLIENT));
        assert_eq!((answered.ports, answered.ttl), ((53, client_port), 63));
        assert_eq!(answered.macs, (VIA[0], MACS[0]), "req_icmp_39");

        gateway.receive(other, LAN, &error(&at_server, LAN, SERVER_MAC, SERVER, LIP));
        let (kind, source, to, from_port, to_port) = told(&gateway.sent(owner, WAN));
        assert_eq!((kind, source, to), ((3, 1), VIP, CLIENT));
        assert_eq!((from_port, to_port), ((CLIENT, client_port), (VIP, 53)));

        // To the one that its port tells of; and from one to the next.
        redirected += usize::from(owner != other) + (owner + workers - other) % workers;
        let router = Ipv4Addr::new(10, 9, 9, 9);
        gateway.receive(other, WAN, &error(&at_client, WAN, VIA[1], router, VIP));
        let (kind, source, to, from_port, to_port) = told(&gateway.sent(owner, LAN));
        assert_eq!((kind, source, to), ((3, 1), LIP, SERVER));
        assert_eq!((from_port, to_port), ((SERVER, 5353), (LIP, asked.ports.0)));
    }
    let all: usize = (0..workers).map(|worker| gateway.connections(worker)).sum();
    assert_eq!(all, usize::from(FLOWS));
    // About a packet of no connection: each worker is asked, and the last drops it.
    let mut stranger = request(VIA[0], 1, 64);
    stranger[HEADER_LEN + 12..HEADER_LEN + 20].copy_from_slice(&[VIP.octets(), CLIENT.octets()].concat());
    stranger[HEADER_LEN + 20..HEADER_LEN + 24].copy_from_slice(&[0, 53, 0, 1]);
    gateway.receive(
        0,
        WAN,
        &error(&stranger, WAN, VIA[1], Ipv4Addr::new(10, 9, 9, 9), VIP),
    );
    gateway.dropped(shm::DropReason::ServiceErrorNoConnection);
    let errors = u64::from(FLOWS);
    gateway.wait_for_icmp(&[
        (IcmpCounter::ErrIn, 2 * errors + 1),
        (IcmpCounter::ErrTranslatedIn, errors),
        (IcmpCounter::ErrTranslatedOut, errors),
        (IcmpCounter::ErrNoConn, 1),
        (IcmpCounter::Redirected, (redirected + workers - 1) as u64),
        (IcmpCounter::SisoHit, 2 * errors),
        (IcmpCounter::SisoMiss, 0),
    ]);
    gateway.stop(1);
}

fn req_icmp_41_a_flow_goes_back_the_way_that_its_last_packet_came(eal: &Eal, pool: &Pool) {
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    for via in [VIA[0], VIA[1], VIA[0]] {
        gateway.receive(1, WAN, &request(via, 4000, 64));
        let asked = seen(&gateway.sent(1, LAN));
        gateway.receive(0, LAN, &reply(&asked));
        assert_eq!(seen(&gateway.sent(1, WAN)).macs, (via, MACS[0]));
    }
    gateway.stop(0);
}

fn req_icmp_39_answers_and_errors_go_by_the_vlan_that_the_question_came_by(eal: &Eal, pool: &Pool) {
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    let tag = [[0x81, 0x00], VLAN.tci.to_be_bytes()].concat();
    let tagged = |frame: &[u8]| [&frame[..12], &tag[..], &frame[12..]].concat();
    let untagged = |frame: &[u8]| {
        assert_eq!(frame[12..16], tag);
        [&frame[..12], &frame[16..]].concat()
    };
    for ttl in [64, 1, 64] {
        gateway.receive(0, WAN, &tagged(&request(VIA[1], 6000, ttl)));
        if ttl == 1 {
            let (kind, source, to, ..) = told(&untagged(&gateway.sent(0, WAN)));
            assert_eq!((kind, source, to), ((11, 0), VIP, CLIENT));
            continue;
        }
        let at_server = gateway.sent(0, LAN);
        let asked = seen(&at_server);
        gateway.receive(1, LAN, &reply(&asked));
        let answered = seen(&untagged(&gateway.sent(0, WAN)));
        assert_eq!((answered.source, answered.destination), (VIP, CLIENT));
        assert_eq!(answered.macs, (VIA[1], MACS[0]));
        gateway.receive(1, LAN, &error(&at_server, LAN, SERVER_MAC, SERVER, LIP));
        let (kind, source, to, ..) = told(&untagged(&gateway.sent(0, WAN)));
        assert_eq!((kind, source, to), ((3, 1), VIP, CLIENT));
    }
    // Those with a tag count on the port and on the sub-interface: as often there as they came.
    let tagged = [
        InterfaceCounter::ToSubInterfaces,
        InterfaceCounter::FromSubInterfaces,
    ];
    assert_eq!(tagged.map(|counter| gateway.count(counter)), [3, 5]);
    gateway.stop(1);
}

fn req_icmp_43_errors_of_the_gateway_are_the_services(eal: &Eal, pool: &Pool) {
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    gateway.receive(0, WAN, &request(VIA[1], 5000, 1));
    let frame = gateway.sent(0, WAN);
    let (kind, source, to, from_port, to_port) = told(&frame);
    assert_eq!((kind, source, to), ((11, 0), VIP, CLIENT));
    assert_eq!((from_port, to_port), ((CLIENT, 5000), (VIP, 53)));
    assert_eq!(frame[..12], [VIA[1].octets(), MACS[0].octets()].concat());
    assert_eq!(gateway.count(InterfaceCounter::IcmpErrors), 1);
    gateway.stop(1);
}

fn the_longest_round_begins_anew_when_asked(eal: &Eal, pool: &Pool) {
    let mut gateway = Gateway::new(eal, pool, 2);
    gateway.configure(config(2));
    gateway.receive(1, WAN, &request(VIA[0], 7000, 64));
    gateway.sent(1, LAN);
    gateway.has_longest(1);
    // Nothing has moved since.
    assert_eq!(gateway.longest_anew(1), 0);
    gateway.receive(1, WAN, &request(VIA[0], 7000, 64));
    gateway.sent(1, LAN);
    gateway.has_longest(1);
    gateway.stop(0);
}

//! Workers without a gateway around them: services, virtual time, and frames whose checksums are looked at.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use lb::view::What;
use lb::{
    Balancer, Carried, Config, Count, Counts, Destination, Kind, Local, Path, Prepared, Row, Scheduler,
    Server, Service, Verdict, look,
};
use packet::tcp::{TcpFlags, TcpHeader};
use packet::transport::{ChecksumState, checksum_state, checksum_state_v6};
use packet::{Ipv4, Ipv6, MacAddress, PacketBuilder};

/// Units of time in a second.
pub(crate) const HZ: u64 = 1_000_000;

/// The interfaces.
pub(crate) const WAN: u16 = 1;
pub(crate) const LAN: u16 = 0;

/// Who sends frames.
pub(crate) const ROUTER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x11]);
pub(crate) const OTHER_ROUTER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x12]);
pub(crate) const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x22]);
pub(crate) const WAN_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 1]);
pub(crate) const LAN_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A service as tests write it: protocol, address, its servers with their weights, and its local addresses.
pub(crate) fn service(
    number: u32,
    kind: Kind,
    address: &str,
    servers: &[(&str, u16)],
    locals: &[&str],
) -> Service {
    let address = at(address);
    let server = |(more, (address, weight)): (usize, &(&str, u16))| {
        Arc::new(Server {
            address: at(address).ip(),
            port: at(address).port(),
            number: number * 1000 + more as u32,
            weight: *weight,
            max_connections: 0,
            counts: Arc::new(Counts::new(4)),
        })
    };
    let local = |address: &&str| {
        Arc::new(Local {
            address: ip(address),
            counts: Arc::new(Counts::new(4)),
        })
    };
    Service {
        kind,
        address: address.ip(),
        port: address.port(),
        number,
        scheduler: Scheduler::Rr,
        toa: false,
        fast_xmit: true,
        allow: Vec::new(),
        deny: Vec::new(),
        timeout: None,
        servers: servers.iter().enumerate().map(server).collect(),
        locals: locals.iter().map(local).collect(),
        counts: Arc::new(Counts::new(4)),
    }
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) verdict: Verdict,
    pub(crate) frame: Vec<u8>,
    /// The workers that were asked, in their order.
    pub(crate) asked: Vec<usize>,
}

impl Sent {
    /// Source and destination of a frame that was translated, and is right.
    pub(crate) fn flow(&self) -> (SocketAddr, SocketAddr) {
        assert!(
            matches!(self.verdict, Verdict::Forward { .. }),
            "{:?}",
            self.verdict
        );
        check(&self.frame);
        flow(&self.frame)
    }

    pub(crate) fn path(&self) -> Option<Path> {
        match self.verdict {
            Verdict::Forward { path } => path,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn flow(frame: &[u8]) -> (SocketAddr, SocketAddr) {
    let flow = look(frame).flow;
    let address = |number| Ipv6Addr::from_bits(number).to_canonical();
    (
        SocketAddr::new(address(flow.source), flow.source_port),
        SocketAddr::new(address(flow.destination), flow.destination_port),
    )
}

/// Panics unless lengths and checksums of a frame are right.
pub(crate) fn check(frame: &[u8]) {
    let packet = &frame[14..];
    let state = match packet[0] >> 4 {
        4 => checksum_state(&Ipv4::parse(packet).expect("IPv4")),
        _ => checksum_state_v6(&Ipv6::parse(packet).expect("IPv6")),
    };
    assert!(matches!(state, None | Some(ChecksumState::Complete)), "{state:?}");
}

/// Workers and what they are set to.
pub(crate) struct Bed {
    pub(crate) config: Config,
    pub(crate) workers: Vec<Balancer>,
    pub(crate) now: u64,
    /// Usual packets are carried the short way, as a worker does it; those that were.
    pub(crate) is_short: bool,
    pub(crate) carried: usize,
}

impl Bed {
    pub(crate) fn new(workers: usize, connections: usize, services: Vec<Service>) -> Self {
        let now = 77 * HZ;
        let mut bed = Self {
            config: Config {
                services: services.into_iter().map(Arc::new).collect(),
                ..Config::default()
            },
            workers: (0..workers)
                .map(|worker| {
                    Balancer::new(worker, workers, connections, HZ, now, 0x1234_5678 + worker as u64)
                })
                .collect(),
            now,
            is_short: true,
            carried: 0,
        };
        bed.configure();
        bed
    }

    /// Hands `self.config` to the workers.
    pub(crate) fn configure(&mut self) {
        let prepared = Prepared::new(Arc::new(self.config.clone()), self.workers.len());
        for worker in &mut self.workers {
            worker.configure(prepared.clone());
        }
    }

    /// Changes a service as `change` says, for the workers too.
    pub(crate) fn change(&mut self, service: usize, change: impl FnOnce(&mut Service)) {
        change(Arc::make_mut(&mut self.config.services[service]));
        self.configure();
    }

    pub(crate) fn counts(&self, service: usize) -> &Counts {
        &self.config.services[service].counts
    }

    /// Has `worker` judge a frame.
    pub(crate) fn judge(&mut self, worker: usize, ingress: u16, mut frame: Vec<u8>) -> (Verdict, Vec<u8>) {
        let balancer = &mut self.workers[worker];
        if self.is_short
            && let Some(mut glance) = balancer.glance(&frame, &mut Destination::default(), |_| {})
        {
            assert_eq!(glance.is_ours(), balancer.look(&frame, |_| {}).is_ours());
            balancer.seek(&mut glance, |_| {});
            if let Some(Carried { destination, path }) =
                balancer.carry_usual(&glance, &mut frame, ingress, self.now)
            {
                balancer.count();
                assert_eq!(destination, u32::from_be_bytes(frame[30..34].try_into().unwrap()));
                self.carried += 1;
                return (Verdict::Forward { path }, frame);
            }
        }
        let look = balancer.look(&frame, |_| {});
        balancer.warm(&look, |_| {});
        let verdict = balancer.judge(&look, &mut frame, ingress, self.now);
        (verdict, frame)
    }

    /// Has a frame judged by `worker`, and by those that it is passed on to.
    pub(crate) fn send(&mut self, worker: usize, ingress: u16, frame: Vec<u8>) -> Sent {
        let mut asked = vec![worker];
        loop {
            let worker = *asked.last().unwrap();
            let (verdict, judged) = self.judge(worker, ingress, frame.clone());
            let next = match verdict {
                Verdict::Elsewhere { worker } => worker,
                Verdict::Next if asked.len() < self.workers.len() => (worker + 1) % self.workers.len(),
                _ => {
                    return Sent {
                        verdict,
                        frame: judged,
                        asked,
                    };
                }
            };
            assert!(!asked.contains(&next), "{next} is asked twice: {asked:?}");
            asked.push(next);
        }
    }

    pub(crate) fn client_sends(&mut self, frame: Vec<u8>) -> Sent {
        self.send(0, WAN, frame)
    }

    pub(crate) fn server_sends(&mut self, frame: Vec<u8>) -> Sent {
        self.send(0, LAN, frame)
    }

    /// Lets time go by in steps in which all that is due is done.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds * HZ / 1000;
        while self.now < end {
            self.now = (self.now + HZ / 10).min(end);
            self.settle();
        }
    }

    /// Has all done that is due now.
    pub(crate) fn settle(&mut self) {
        for worker in &mut self.workers {
            for _ in 0..worker.connections() / 16 + 8 {
                worker.age(self.now);
            }
        }
    }

    /// All connections of all workers.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for worker in &self.workers {
            let mut cursor = 0;
            while !worker.rows(&mut cursor, &mut rows, 16, self.now) {}
        }
        rows
    }

    /// Nothing is left: no connection, no port, nothing that counts as it is now.
    pub(crate) fn assert_idle(&self) {
        assert_eq!(self.workers.iter().map(Balancer::connections).sum::<usize>(), 0);
        for service in &self.config.services {
            let servers = service.servers.iter().map(|server| &server.counts);
            let locals = service.locals.iter().map(|local| &local.counts);
            for counts in servers.chain(locals).chain([&service.counts]) {
                for now in [Count::Active, Count::Inactive, Count::PortsUsed] {
                    assert_eq!(counts.sum(now), 0, "{now:?}");
                }
            }
        }
    }
}

/// The Ethernet header that a packet from an address has in the tests: of clients by the WAN, of servers by the LAN.
fn link(from: SocketAddr) -> (MacAddress, MacAddress) {
    let is_server = match from.ip() {
        IpAddr::V4(address) => address.octets()[0] == 192,
        IpAddr::V6(address) => address.segments()[0] == 0xfd00,
    };
    if is_server {
        (LAN_MAC, SERVER_MAC)
    } else {
        (WAN_MAC, ROUTER)
    }
}

pub(crate) fn udp(from: &str, to: &str) -> Vec<u8> {
    udp_of(at(from), at(to))
}

pub(crate) fn udp_of(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (destination, source) = link(from);
    let ethernet = PacketBuilder::ethernet(destination, source);
    let (from_port, to_port) = (from.port(), to.port());
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from, to).udp(from_port, to_port, b"what is it"),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from, to).udp(from_port, to_port, b"what is it"),
        _ => panic!("two families"),
    }
}

pub(crate) const SYN: TcpFlags = TcpFlags::SYN;
pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
pub(crate) const SYN_ACK: TcpFlags = TcpFlags::SYN.and(TcpFlags::ACK);
pub(crate) const FIN: TcpFlags = TcpFlags::FIN.and(TcpFlags::ACK);
pub(crate) const RST: TcpFlags = TcpFlags::RST;

pub(crate) fn tcp(from: &str, to: &str, flags: TcpFlags) -> Vec<u8> {
    tcp_of(at(from), at(to), flags, 1000, 2000)
}

pub(crate) fn tcp_of(
    from: SocketAddr,
    to: SocketAddr,
    flags: TcpFlags,
    sequence: u32,
    acknowledgment: u32,
) -> Vec<u8> {
    let (destination, source) = link(from);
    let ethernet = PacketBuilder::ethernet(destination, source);
    let header = TcpHeader {
        source_port: from.port(),
        destination_port: to.port(),
        sequence,
        acknowledgment,
        flags,
        window: 100,
    };
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from, to).tcp(&header, b""),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from, to).tcp(&header, b""),
        _ => panic!("two families"),
    }
}

/// An echo request, or a reply.
pub(crate) fn echo(from: &str, to: &str, id: u16, is_reply: bool) -> Vec<u8> {
    let (destination, source) = link(SocketAddr::new(ip(from), 0));
    let ethernet = PacketBuilder::ethernet(destination, source);
    match (ip(from), ip(to), is_reply) {
        (IpAddr::V4(from), IpAddr::V4(to), false) => ethernet.ipv4(from, to).echo_request(id, 1, b"ping"),
        (IpAddr::V4(from), IpAddr::V4(to), true) => ethernet.ipv4(from, to).echo_reply(id, 1, b"ping"),
        (IpAddr::V6(from), IpAddr::V6(to), false) => ethernet.ipv6(from, to).echo_request(id, 1, b"ping"),
        (IpAddr::V6(from), IpAddr::V6(to), true) => ethernet.ipv6(from, to).echo_reply(id, 1, b"ping"),
        _ => panic!("two families"),
    }
}

/// Destination Unreachable of `router` about a translated IPv4 frame, as who sent that gets it: header and 8 bytes quoted.
pub(crate) fn unreachable(router: &str, about: &[u8]) -> Vec<u8> {
    let (to, _) = flow(about);
    let (IpAddr::V4(from), IpAddr::V4(to)) = (ip(router), to.ip()) else {
        panic!("IPv4 is asked for");
    };
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&about[14..14 + 28]);
    let sum = packet::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let (destination, source) = link(SocketAddr::new(from.into(), 0));
    PacketBuilder::ethernet(destination, source)
        .ipv4(from, to)
        .payload(packet::Protocol::ICMP, &message)
}

/// The flow that an error quotes.
pub(crate) fn quoted(frame: &[u8]) -> (SocketAddr, SocketAddr) {
    let What::Error(quoted) = look(frame).what else {
        panic!("no error: {:?}", look(frame));
    };
    let address = |number| Ipv6Addr::from_bits(number).to_canonical();
    (
        SocketAddr::new(address(quoted.flow.source), quoted.flow.source_port),
        SocketAddr::new(address(quoted.flow.destination), quoted.flow.destination_port),
    )
}

//! The short way of usual packets does what the long one does.

use std::net::SocketAddr;

use lb::{Count, Kind, Service, Verdict};
use packet::PacketBuilder;
use packet::tcp::TcpFlags;
use proptest::prelude::*;

use crate::bed::{self, Bed, LAN, OTHER_ROUTER, SYN, SYN_ACK, WAN, at, service, tcp_of, udp, udp_of};

const SERVERS: [(&str, u16); 2] = [("192.168.100.2:80", 1), ("192.168.100.3:8080", 1)];

fn services(toa: bool) -> Vec<Service> {
    let of = |number, kind, vip| service(number, kind, vip, &SERVERS, &["192.168.100.200"]);
    let mut web = of(1, Kind::Tcp, "10.0.0.100:80");
    web.toa = toa;
    vec![
        web,
        of(2, Kind::Udp, "10.0.0.100:80"),
        of(3, Kind::Udp, "10.0.0.101:80"),
    ]
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A frame of a client, with this changed.
    Question(u8, u8, Frame),
    /// One of a server, to whom an earlier one went.
    Answer(usize, Frame),
    /// Services go by the routes, or do not, or let nobody in any more.
    Change(bool, bool),
    /// So many milliseconds go by.
    Pass(u16),
}

/// How a frame is unlike others.
#[derive(Clone, Debug)]
struct Frame {
    flags: u8,
    ttl: u8,
    padding: usize,
    cut: usize,
    options: bool,
    fragment: bool,
    broken: bool,
    moved: bool,
}

impl Frame {
    fn of(&self, kind: Kind, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let usual = match kind {
            Kind::Tcp => tcp_of(from, to, TcpFlags(self.flags), 1000, 2000),
            _ => udp_of(from, to),
        };
        let mut frame = usual;
        if self.options {
            let (destination, source) = (frame[..6].try_into().unwrap(), frame[6..12].try_into().unwrap());
            let link = PacketBuilder::ethernet(packet::MacAddress(destination), packet::MacAddress(source));
            let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else {
                panic!("{from} {to}")
            };
            frame = link.ipv4(*from.ip(), *to.ip()).options(&[1, 1, 1, 0]).udp(
                from.port(),
                to.port(),
                b"what is it",
            );
        }
        let header = usize::from(frame[14] & 0xf) * 4;
        frame[22] = self.ttl;
        frame[20] = if self.fragment { 0x20 } else { frame[20] };
        frame[24..26].fill(0);
        let sum = packet::checksum::Sum::ZERO.bytes(&frame[14..14 + header]).fold();
        let sum = if self.broken { sum } else { !sum };
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        if self.moved {
            frame[6..12].copy_from_slice(&OTHER_ROUTER.octets());
        }
        frame.truncate(frame.len() - self.cut.min(frame.len()));
        frame.resize(frame.len() + self.padding, 0);
        frame
    }
}

fn frames() -> impl Strategy<Value = Frame> {
    let flags = prop_oneof![8 => Just(0x10_u8), 3 => Just(0x02), 2 => Just(0x12), 2 => any::<u8>()];
    let odd = |often: f64| prop::bool::weighted(often);
    let cut = prop_oneof![20 => Just(0_usize), 1 => 0..60_usize];
    let padding = prop_oneof![10 => Just(0_usize), 1 => 0..9_usize];
    let ttl = prop_oneof![10 => Just(64_u8), 1 => 0..3_u8];
    (
        flags,
        ttl,
        padding,
        cut,
        odd(0.05),
        odd(0.05),
        odd(0.05),
        odd(0.3),
    )
        .prop_map(
            |(flags, ttl, padding, cut, options, fragment, broken, moved)| Frame {
                flags,
                ttl,
                padding,
                cut,
                options,
                fragment,
                broken,
                moved,
            },
        )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3_u8, 0..3_u8, frames()).prop_map(|(to, from, frame)| Step::Question(to, from, frame)),
        8 => (any::<usize>(), frames()).prop_map(|(to, frame)| Step::Answer(to, frame)),
        1 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(fast, deny)| Step::Change(fast, deny)),
        1 => (0..40_000_u16).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..80)
}

/// What one bed did in a step.
fn take(
    bed: &mut Bed,
    step: &Step,
    sent: &mut Vec<(Kind, SocketAddr, SocketAddr)>,
) -> Option<(Verdict, Vec<u8>)> {
    let (kind, ingress, frame) = match step {
        Step::Question(to, from, frame) => {
            let (kind, to) = [
                (Kind::Tcp, "10.0.0.100:80"),
                (Kind::Udp, "10.0.0.100:80"),
                (Kind::Udp, "10.0.0.101:80"),
            ][usize::from(*to)];
            let from = SocketAddr::new(bed::ip("10.1.0.1"), 1000 + u16::from(*from));
            (kind, WAN, frame.of(kind, from, at(to)))
        }
        Step::Answer(number, frame) => {
            let (kind, local, server) = *sent.get(number.checked_rem(sent.len())?)?;
            (kind, LAN, frame.of(kind, server, local))
        }
        Step::Change(fast, deny) => {
            bed.change(1, |service| {
                service.fast_xmit = *fast;
                service.deny = if *deny {
                    vec!["10.1.0.0/16".parse().unwrap()]
                } else {
                    Vec::new()
                };
            });
            return None;
        }
        Step::Pass(milliseconds) => {
            bed.pass(u64::from(*milliseconds));
            return None;
        }
    };
    let (verdict, frame) = bed.judge(0, ingress, frame);
    if ingress == WAN && matches!(verdict, Verdict::Forward { .. }) {
        let (local, server) = bed::flow(&frame);
        sent.push((kind, local, server));
    }
    Some((verdict, frame))
}

proptest! {
    #[test]
    fn short_way_does_what_the_long_one_does(toa in any::<bool>(), steps in steps()) {
        let mut short = Bed::new(1, 6, services(toa));
        let mut long = Bed::new(1, 6, services(toa));
        long.is_short = false;
        let (mut by_short, mut by_long) = (Vec::new(), Vec::new());
        for step in &steps {
            prop_assert_eq!(take(&mut short, step, &mut by_short), take(&mut long, step, &mut by_long));
            prop_assert_eq!(short.rows(), long.rows());
        }
        for service in 0..3 {
            for count in Count::ALL {
                prop_assert_eq!(short.counts(service).sum(count), long.counts(service).sum(count));
                for server in 0..2 {
                    let of = |bed: &Bed| bed.config.services[service].servers[server].counts.sum(count);
                    prop_assert_eq!(of(&short), of(&long));
                }
            }
        }
    }
}

/// The first makes the connection, segments of a handshake change its state: these go the long way.
#[test]
fn packets_of_connections_that_are_there_go_the_short_way() {
    let mut bed = Bed::new(1, 8, services(false));
    let question = || udp("10.1.0.1:1", "10.0.0.101:80");
    let (local, server) = bed.client_sends(question()).flow();
    assert_eq!(bed.carried, 0);
    bed.client_sends(question()).flow();
    bed.server_sends(udp_of(server, local)).flow();
    assert_eq!(bed.carried, 2);
    let segment = |flags| bed::tcp("10.1.0.1:1", "10.0.0.100:80", flags);
    let (local, server) = bed.client_sends(segment(SYN)).flow();
    bed.server_sends(tcp_of(server, local, SYN_ACK, 1999, 1)).flow();
    bed.client_sends(segment(bed::ACK)).flow();
    assert_eq!(bed.carried, 2);
    bed.client_sends(segment(bed::ACK)).flow();
    bed.server_sends(tcp_of(server, local, bed::ACK, 2000, 1)).flow();
    assert_eq!(bed.carried, 4);
}

/// Two services, and one connection each, glanced at together.
#[test]
fn packets_of_a_burst_are_counted_for_the_service_of_each() {
    let mut bed = Bed::new(1, 8, services(false));
    let frames: Vec<_> = [100, 101, 101, 100, 101]
        .map(|service| udp("10.1.0.1:1", &format!("10.0.0.{service}:80")))
        .into();
    for frame in &frames {
        bed.client_sends(frame.clone()).flow();
    }
    let now = bed.now;
    let balancer = &mut bed.workers[0];
    let mut last = lb::Destination::default();
    let mut glances: Vec<_> = frames
        .iter()
        .map(|frame| balancer.glance(frame, &mut last, |_| {}).unwrap())
        .collect();
    for glance in &mut glances {
        balancer.seek(glance, |_| {});
    }
    for (frame, glance) in frames.iter().zip(&glances) {
        let carried = balancer.carry_usual(glance, &mut frame.clone(), WAN, now);
        assert!(carried.is_some_and(|carried| carried.path.is_none()));
    }
    balancer.count();
    let len = frames[0].len() as u64 - 14;
    for (service, packets) in [(1, 4), (2, 6)] {
        assert_eq!(bed.counts(service).sum(Count::InPackets), packets);
        assert_eq!(bed.counts(service).sum(Count::InBytes), packets * len);
    }
}

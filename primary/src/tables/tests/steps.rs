//! What may happen in a random history: mostly few, nested prefixes of each family, so that things meet.

use packet::nd::{NeighborAdvertisement, NeighborMessage, NeighborSolicitation};
use proptest::prelude::*;

use super::link6::six;
use super::{LAN, WAN, host_mac};

pub(super) const SUBNETS: [(u16, &str); 17] = [
    (LAN, "10.0.0.1/24"),
    (LAN, "10.0.0.2/24"),
    (LAN, "10.0.0.66/26"),
    (WAN, "10.0.0.193/30"),
    (WAN, "10.0.1.0/31"),
    (WAN, "10.0.2.1/29"),
    (LAN, "10.0.3.3/32"),
    (LAN, "2001:db8::1/64"),
    (LAN, "2001:db8::2/64"),
    (LAN, "2001:db8::42/122"),
    (WAN, "2001:db8::c1/126"),
    (WAN, "2001:db8:0:1::/127"),
    (WAN, "2001:db8:0:2::1/120"),
    (LAN, "2001:db8:0:3::3/128"),
    (LAN, "fe80::1/64"),
    (WAN, "fe80::1/64"),
    (LAN, "fe80::ff:fe00:1/64"),
];
const PREFIXES: [&[&str]; 2] = [
    &[
        "10.0.0.0/9",
        "10.0.0.0/16",
        "10.0.0.0/24",
        "10.0.0.64/26",
        "10.0.0.128/25",
        "10.0.0.7/32",
        "10.0.0.70/32",
        "10.0.2.2/32",
        "10.0.3.0/24",
        "10.0.9.0/30",
    ],
    &[
        "::/0",
        "2001:db8::/33",
        "2001:db8::/48",
        "2001:db8::/64",
        "2001:db8::40/122",
        "2001:db8::80/121",
        "2001:db8::1/128",
        "2001:db8::7/128",
        "2001:db8::46/128",
        "2001:db8:0:2::2/128",
        "2001:db8:0:3::/64",
        "2001:db8:0:9::/126",
        "fe80::/64",
    ],
];
/// Targets of each family, and a next hop of the other one.
const TARGETS: [&[&str]; 2] = [
    &[
        "blackhole",
        "lan",
        "wan",
        "10.0.0.7",
        "10.0.0.70",
        "10.0.1.1",
        "10.0.2.2",
        "10.0.0.194",
        "2001:db8::7",
        "unreachable",
        "prohibit metric 20",
        "10.0.0.7,10.0.2.2",
        "10.0.2.2,10.0.0.7",
        "10.0.0.7*3,10.0.0.70,10.0.1.1",
        "10.0.0.7,10.0.2.2,10.0.0.194 mtu 1300",
        "10.0.0.7 mtu 1300",
        "10.0.2.2 metric 10",
        "10.0.1.1 metric 20 src 10.0.0.1",
        "10.0.0.7,10.0.0.70 metric 10 proto bird",
        "lan metric 10",
        "10.0.0.7 src 10.0.2.1",
        "lan mtu 1300",
    ],
    &[
        "blackhole",
        "lan",
        "wan",
        "2001:db8::7",
        "2001:db8::46",
        "2001:db8:0:1::1",
        "2001:db8:0:2::2",
        "2001:db8::c2",
        "fe80::7%lan",
        "fe80::7%wan",
        "fe80::1%lan",
        "fe80::ff:fe00:1%lan",
        "fe80::7",
        "10.0.0.7",
        "unreachable metric 20",
        "prohibit",
        "2001:db8::7,2001:db8:0:2::2",
        "2001:db8::7*2,fe80::7%lan,fe80::7%wan",
        "fe80::7%wan mtu 1280",
        "2001:db8::46 metric 10 mtu 1400",
        "2001:db8::7,2001:db8:0:1::1 metric 20",
        "fe80::7%lan metric 10",
        "wan metric 10",
        "2001:db8::7 src 2001:db8::1",
    ],
];
/// Hosts that are heard, needed and looked up, own addresses and broadcast addresses among them.
pub(super) const HOSTS4: [&str; 16] = [
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.7",
    "10.0.0.66",
    "10.0.0.70",
    "10.0.0.127",
    "10.0.0.194",
    "10.0.0.200",
    "10.0.0.255",
    "10.0.1.0",
    "10.0.1.1",
    "10.0.2.2",
    "10.0.3.3",
    "10.0.3.9",
    "10.0.9.1",
];
pub(super) const HOSTS6: [&str; 17] = [
    "2001:db8::",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::7",
    "2001:db8::42",
    "2001:db8::46",
    "2001:db8::c1",
    "2001:db8::c2",
    "2001:db8::c8",
    "2001:db8:0:1::1",
    "2001:db8:0:2::2",
    "2001:db8:0:3::3",
    "2001:db8:0:3::9",
    "2001:db8:0:9::1",
    "fe80::1",
    "fe80::7",
    "fe80::ff:fe00:1",
];

pub(super) fn host(index: usize) -> &'static str {
    HOSTS4.iter().chain(&HOSTS6).nth(index).unwrap()
}

/// A prefix and a target of mostly the same family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) prefix: &'static str,
    pub(super) target: &'static str,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    AddressAdd(usize),
    AddressDelete(usize),
    RoutesAdd(Vec<Pair>, bool),
    RoutesDelete(Vec<Pair>),
    Resolve(u16, usize),
    HearArp {
        interface: u16,
        sender: usize,
        mac: u8,
        target: usize,
        reply: bool,
    },
    HearNd {
        interface: u16,
        source: Option<usize>,
        mac: u8,
        message: NeighborMessage,
    },
    NeighborAdd(u16, usize, u8),
    NeighborDelete(u16, usize),
    Use(usize),
    Link(u16, bool),
    Pass(u64),
    Reclaim,
}

fn pair() -> impl Strategy<Value = Pair> {
    (0..2usize).prop_flat_map(|family| {
        (
            prop::sample::select(PREFIXES[family]),
            prop::sample::select(TARGETS[family]),
        )
            .prop_map(|(prefix, target)| Pair { prefix, target })
    })
}

fn message() -> impl Strategy<Value = NeighborMessage> {
    let target = prop::sample::select(&HOSTS6[..]).prop_map(six);
    let link_layer = prop::option::weighted(0.8, (1..4u8).prop_map(host_mac));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    prop_oneof![
        (target.clone(), link_layer.clone()).prop_map(|(target, source_link_layer)| {
            NeighborMessage::Solicitation(NeighborSolicitation {
                target,
                source_link_layer,
            })
        }),
        (target, link_layer, flags).prop_map(
            |(target, target_link_layer, (router, solicited, overrides))| {
                NeighborMessage::Advertisement(NeighborAdvertisement {
                    target,
                    router,
                    solicited,
                    overrides,
                    target_link_layer,
                })
            }
        ),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let (interface, host) = (0..2u16, 0..HOSTS4.len() + HOSTS6.len());
    let (host4, host6) = (0..HOSTS4.len(), prop::option::weighted(0.8, 0..HOSTS6.len()));
    prop_oneof![
        5 => (0..SUBNETS.len()).prop_map(Step::AddressAdd),
        2 => (0..SUBNETS.len()).prop_map(Step::AddressDelete),
        6 => (prop::collection::vec(pair(), 1..4), any::<bool>())
            .prop_map(|(routes, replace)| Step::RoutesAdd(routes, replace)),
        2 => prop::collection::vec(pair(), 1..3).prop_map(Step::RoutesDelete),
        5 => (interface.clone(), host.clone()).prop_map(|(interface, host)| Step::Resolve(interface, host)),
        4 => (interface.clone(), host4.clone(), 1..4u8, host4, any::<bool>()).prop_map(
            |(interface, sender, mac, target, reply)| Step::HearArp { interface, sender, mac, target, reply }),
        6 => (interface.clone(), host6, 1..4u8, message()).prop_map(
            |(interface, source, mac, message)| Step::HearNd { interface, source, mac, message }),
        1 => (interface.clone(), host.clone(), 1..4u8)
            .prop_map(|(interface, host, mac)| Step::NeighborAdd(interface, host, mac)),
        1 => (interface.clone(), host.clone()).prop_map(|(interface, host)| Step::NeighborDelete(interface, host)),
        2 => host.prop_map(Step::Use),
        2 => (interface, any::<bool>()).prop_map(|(interface, up)| Step::Link(interface, up)),
        2 => (0..100u64).prop_map(Step::Pass),
        2 => (0..2u64).prop_map(Step::Pass),
        1 => Just(Step::Reclaim),
    ]
}

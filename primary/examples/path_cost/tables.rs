//! Tables and packets for the stages: 10,000 random routes with a packet to each, and one feature on that no packet uses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, TBL24_ENTRIES, words6};
use packet::{MacAddress, PacketBuilder, Protocol};
use primary::adjacency::{Adjacency, AdjacencyWriter, GROUP_WORDS, WORDS};
use primary::path::punt::{PuntMode, Punts};
use primary::path::{InterfaceView, OptionPolicy, Stages};

const ROUTES: usize = 10_000;
const NEXT_HOPS: u8 = 16;
const OWN: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
/// A packet.
pub(crate) type Frame = [u8; 60];
/// The stages over tables in ordinary memory.
pub(crate) type Path = Stages<Vec<AtomicU32>, Vec<AtomicU64>>;

/// Of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Four,
    Six,
}

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Four => "ipv4",
            Self::Six => "ipv6",
        }
    }
}

/// What is on, and met by no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Nothing.
    None,
    /// Both interfaces have taps.
    Taps,
    /// Tools decide about all classes of packets that they can.
    Punts,
    /// There is a route with two next hops.
    Multipath,
    /// There are four interfaces.
    Interfaces,
    /// Everything.
    All,
}

impl Feature {
    pub(crate) const ALL: [Self; 6] = [
        Self::None,
        Self::Taps,
        Self::Punts,
        Self::Multipath,
        Self::Interfaces,
        Self::All,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Taps => "taps",
            Self::Punts => "punts",
            Self::Multipath => "multipath",
            Self::Interfaces => "interfaces",
            Self::All => "all",
        }
    }

    fn is(self, feature: Self) -> bool {
        self == feature || self == Self::All
    }
}

/// Stages and packets that all of them forward by interface 1.
pub(crate) fn make(family: Family, feature: Feature) -> Option<(Path, Vec<Frame>)> {
    let (mut adjacencies, next_hops) = neighbors()?;
    let group = feature.is(Feature::Multipath).then(|| {
        let group = adjacencies.allocate_group()?;
        adjacencies.set_group(group, 1, u16::MAX, next_hops.get(..2)?);
        Some(group)
    });
    let group = group.unwrap_or(Some(NextHop::NONE))?;
    match family {
        Family::Four => stages4(feature, &adjacencies, &next_hops, group),
        Family::Six => stages6(feature, &adjacencies, &next_hops, group),
    }
}

fn stages4(
    feature: Feature,
    adjacencies: &Adjacencies,
    next_hops: &[NextHop],
    group: NextHop,
) -> Option<(Path, Vec<Frame>)> {
    let mut random = Random(1);
    let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let mut fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(ROUTES * GROUP_ENTRIES), ROUTES + 1).ok()?;
    let fib6 = Fib6Writer::new(words(words6(10)), 10).ok()?;
    let mut frames = Vec::new();
    while frames.len() < ROUTES {
        let bits = random.next() as u32;
        let address = Ipv4Addr::from_bits(bits);
        if !(1..127).contains(&address.octets()[0]) {
            continue;
        }
        let length = 16 + (random.next() % 13) as u8;
        let net = ipnet::Ipv4Net::new(address, length).ok()?.trunc();
        fib4.insert(net, next_hops[(random.next() % u64::from(NEXT_HOPS)) as usize])
            .ok()?;
        let frame = PacketBuilder::ethernet(OWN[0], MacAddress([2, 0, 0, 0, 1, 1]))
            .ipv4(Ipv4Addr::new(198, 18, 0, 2), address)
            .udp(5000, 5001, &[0; 18]);
        frames.push(frame.try_into().ok()?);
    }
    if group != NextHop::NONE {
        let unused = ipnet::Ipv4Net::new(Ipv4Addr::new(198, 19, 128, 0), 24).ok()?;
        fib4.insert(unused, group).ok()?;
    }
    Some((path(feature, &fib4, &fib6, adjacencies), frames))
}

fn stages6(
    feature: Feature,
    adjacencies: &Adjacencies,
    next_hops: &[NextHop],
    group: NextHop,
) -> Option<(Path, Vec<Frame>)> {
    let mut random = Random(1);
    let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(GROUP_ENTRIES), 10).ok()?;
    let mut fib6 = Fib6Writer::new(words(words6(ROUTES + 1)), ROUTES + 1).ok()?;
    let mut frames = Vec::new();
    while frames.len() < ROUTES {
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        let address = Ipv6Addr::from_bits(bits >> 3 | 1 << 125);
        let length = 29 + (random.next() % 36) as u8;
        let net = ipnet::Ipv6Net::new(address, length).ok()?.trunc();
        fib6.insert(net, next_hops[(random.next() % u64::from(NEXT_HOPS)) as usize])
            .ok()?;
        let frame = PacketBuilder::ethernet(OWN[0], MacAddress([2, 0, 0, 0, 1, 1]))
            .ipv6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2), address)
            .payload(Protocol::NO_NEXT_HEADER, &[0; 6]);
        frames.push(frame.try_into().ok()?);
    }
    if group != NextHop::NONE {
        let unused = ipnet::Ipv6Net::new(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 48).ok()?;
        fib6.insert(unused, group).ok()?;
    }
    Some((path(feature, &fib4, &fib6, adjacencies), frames))
}

fn path(
    feature: Feature,
    fib4: &Fib4Writer<Vec<AtomicU32>>,
    fib6: &Fib6Writer<Vec<AtomicU64>>,
    adjacencies: &Adjacencies,
) -> Path {
    let punts = if feature.is(Feature::Punts) {
        Punts::new(|class| {
            if class.is_for_tools() {
                PuntMode::Tool
            } else {
                PuntMode::Off
            }
        })
    } else {
        Punts::OFF
    };
    Stages::new(
        interfaces(feature),
        fib4.reader(),
        fib6.reader(),
        adjacencies.reader(),
        punts,
    )
}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

type Adjacencies = AdjacencyWriter<Vec<AtomicU64>>;

fn neighbors() -> Option<(Adjacencies, Vec<NextHop>)> {
    let mut adjacencies = AdjacencyWriter::with_groups(words(64 * WORDS + GROUP_WORDS), 1);
    let next_hops = (0..NEXT_HOPS).map(|number| {
        let mac = MacAddress([2, 0, 0, 0, 2, number]);
        adjacencies.allocate(
            Adjacency::Forward { interface: 1, mac },
            IpAddr::from([198, 19, 0, number]),
        )
    });
    let next_hops = next_hops.collect::<Option<Vec<_>>>()?;
    Some((adjacencies, next_hops))
}

fn interfaces(feature: Feature) -> Vec<InterfaceView> {
    let interface = |mac| InterfaceView {
        mac,
        mtu: 1500,
        kernel_device: false,
        tap: feature.is(Feature::Taps),
        redirects: true,
        options: OptionPolicy::default(),
        up: Arc::new(AtomicBool::new(true)),
        sources: Arc::default(),
        any_tpid: false,
        sub: None,
        tunnel: None,
    };
    let more = if feature.is(Feature::Interfaces) { 2 } else { 0 };
    let more = (0..more).map(|number| MacAddress([2, 0, 0, 0, 3, number]));
    OWN.into_iter().chain(more).map(interface).collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

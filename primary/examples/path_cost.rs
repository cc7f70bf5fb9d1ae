//! What the stages cost: ticks of the time stamp counter per packet, without devices.
//!
//! `cargo run --release -p primary --example path_cost [4|6] [ROUNDS]` prints the least of ROUNDS (default 200) runs over 10,000 packets to
//! as many routes, each copied into place first as a device would; what that copy alone takes is left out. Under `valgrind --tool=callgrind`,
//! one round counts instructions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, TBL24_ENTRIES, words6};
use packet::{MacAddress, PacketBuilder, Protocol};
use primary::adjacency::{Adjacency, AdjacencyWriter, WORDS};
use primary::path::punt::Punts;
use primary::path::{BURST, Burst, InterfaceView, NOTES, Stages};

const ROUTES: usize = 10_000;
const NEXT_HOPS: u8 = 16;
const OWN: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
/// A packet and the room around it.
type Frame = [u8; 60];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let six = arguments.next().as_deref() == Some("6");
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200);
    match measure(six, rounds) {
        Some((ticks, copy)) => {
            println!("{:.2} ticks per packet, and {copy:.2} for its copy", ticks - copy);
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("path_cost: a packet was not forwarded");
            ExitCode::FAILURE
        }
    }
}

type Path = Stages<Vec<AtomicU32>, Vec<AtomicU64>>;

fn measure(six: bool, rounds: usize) -> Option<(f64, f64)> {
    let (path, frames) = if six { stages6()? } else { stages4()? };
    let mut least = [f64::INFINITY; 2];
    let mut places = vec![[0; 60]; BURST * 8];
    for _ in 0..rounds {
        for (with_stages, least) in [true, false].into_iter().zip(&mut least) {
            let begin = dpdk::tsc();
            for (number, burst) in frames.chunks_exact(BURST).enumerate() {
                let places = &mut places[number % 8 * BURST..][..BURST];
                for (place, frame) in places.iter_mut().zip(burst) {
                    place.copy_from_slice(frame);
                }
                std::hint::black_box(&mut *places);
                if with_stages {
                    let mut notes = NOTES;
                    let together = path.run(
                        0,
                        &mut Burst {
                            packets: places,
                            notes: &mut notes,
                        },
                    );
                    if together.map(|together| together.egress) != Some(1) {
                        return None;
                    }
                }
            }
            let count = frames.len() / BURST * BURST;
            *least = least.min((dpdk::tsc() - begin) as f64 / count as f64);
        }
    }
    Some((least[0], least[1]))
}

fn stages4() -> Option<(Path, Vec<Frame>)> {
    let mut random = Random(1);
    let (adjacencies, next_hops) = neighbors()?;
    let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let mut fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(ROUTES * GROUP_ENTRIES), ROUTES).ok()?;
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
    Some((path(&fib4, &fib6, &adjacencies), frames))
}

fn stages6() -> Option<(Path, Vec<Frame>)> {
    let mut random = Random(1);
    let (adjacencies, next_hops) = neighbors()?;
    let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let fib4 = Fib4Writer::new(zeros(TBL24_ENTRIES), zeros(GROUP_ENTRIES), 10).ok()?;
    let mut fib6 = Fib6Writer::new(words(words6(ROUTES)), ROUTES).ok()?;
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
    Some((path(&fib4, &fib6, &adjacencies), frames))
}

fn path(
    fib4: &Fib4Writer<Vec<AtomicU32>>,
    fib6: &Fib6Writer<Vec<AtomicU64>>,
    adjacencies: &AdjacencyWriter<Vec<AtomicU64>>,
) -> Path {
    Stages::new(
        interfaces(),
        fib4.reader(),
        fib6.reader(),
        adjacencies.reader(),
        Punts::OFF,
    )
}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

type Neighbors = (AdjacencyWriter<Vec<AtomicU64>>, Vec<NextHop>);

fn neighbors() -> Option<Neighbors> {
    let mut adjacencies = AdjacencyWriter::new(words(64 * WORDS));
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

fn interfaces() -> Vec<InterfaceView> {
    let interface = |mac| InterfaceView {
        mac,
        mtu: 1500,
        kernel_device: false,
        tap: false,
        up: Arc::new(AtomicBool::new(true)),
        sources: Arc::default(),
        any_tpid: false,
        sub: None,
    };
    OWN.map(interface).into()
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

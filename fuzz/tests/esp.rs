//! Mutated ESP packets of SAs with real cryptography: one that is as it was sealed is opened, once; each other is refused for the reason
//! that RFC 4303 gives.
//!
//! 100,000 of them; ten million with TOLLGATE_SOAK set. TOLLGATE_SEED takes the seed that a failure printed.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::time::Instant;

use dpdk::{Eal, NumaNode, Pool};
use esp::udp::{self, Datagram};
use esp::{Header, HeaderError, MAX_WINDOW, MIN_WINDOW, Spi, Transform};
use fuzz::gateway::packets;
use fuzz::random::Random;
use fuzz::sealed::{BURST, Sa, Settings, mutate};
use packet::Protocol;
use primary::ipsec::Crypto;

/// SAs at a time: each transform, with extended numbers and without.
const SAS: usize = 2 * Transform::ALL.len();
/// Bytes of a frame before its packet.
const ETHERNET: usize = 14;

/// Says the seed when the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the seed was {0}: TOLLGATE_SEED={0} runs the same packets again",
                self.0
            );
        }
    }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    dpdk::set_runtime_directory(folder.path()).unwrap();
    let options = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "128",
        "-l",
        "0",
    ];
    let eal = Eal::init(&options).unwrap();
    mutated_packets_are_opened_once_if_they_are_as_sealed_and_refused_for_the_right_reason_else(&eal);
    eal.shutdown().unwrap();
}

/// What an SA is like that takes the place of another: a new index, and numbers that begin somewhere, often near an end.
fn settings(number: usize, random: &mut Random) -> Settings {
    let esn = number % 2 == 1;
    let near = random.below(2000) as u64;
    let high = random.below(1000) as u64 + 1;
    let last = match (random.below(4), esn) {
        (0, _) => 0,
        (1, _) => random.below(100_000) as u64,
        (_, false) => u64::from(u32::MAX) - near,
        (_, true) => (high << 32) - near,
    };
    Settings {
        spi: Spi::new(256 + random.bits() as u32 % (u32::MAX - 256)).unwrap(),
        transform: Transform::ALL[number / 2],
        esn,
        window: *random.one_of(&[MIN_WINDOW, 64, 1000, MAX_WINDOW]),
        last,
    }
}

/// The next packet that comes from the sender of an SA: sealed a moment ago or before, as it was or mutated.
fn next(sas: &mut [Sa], number: usize, pool: &Pool, insides: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if !random.one_in(4) {
        let mut payload = match random.below(4) {
            0 => (0..random.below(100)).map(|_| random.byte()).collect(),
            _ => random.one_of(insides).clone(),
        };
        let next_header = match payload.first() {
            _ if random.one_in(16) => *random.one_of(&[4, 41, 6, 17, 50, 59, 0]),
            Some(first) if first >> 4 == 6 => 41,
            _ => 4,
        };
        if random.one_in(8) {
            // What hides the length.
            payload.resize(payload.len() + random.below(64), 0);
        }
        sas[number].seal(pool, &payload, Protocol(next_header), random);
    }
    let packet = sas[number].sent(random).unwrap_or_default();
    let mut packet = packet.to_vec();
    if !random.one_in(4) {
        let other = random.below(SAS);
        let other = sas[other].sent(random).unwrap_or_default();
        let spis: Vec<u32> = sas.iter().map(Sa::spi).collect();
        mutate(random, &mut packet, sas[number].format(), other, &spis);
    }
    packet
}

/// Reads the start of a packet, in UDP or not, beside a reading of its own, and puts it into the burst of its SA.
fn arrives(
    mut packet: Vec<u8>,
    sas: &[Sa],
    bursts: &mut HashMap<u32, Vec<Vec<u8>>>,
    random: &mut Random,
) -> &'static str {
    if random.one_in(2) {
        match random.below(128) {
            0 => packet = udp::KEEPALIVE.to_vec(),
            1 => packet = [&udp::NON_ESP_MARKER, &packet[..]].concat(),
            2 => packet.truncate(random.below(4)),
            _ => {}
        }
        let (expected, what) = match packet[..] {
            [0xff] => (Datagram::Keepalive, "keepalive"),
            [] | [_] | [_, _] | [_, _, _] => (Datagram::Runt, "runt"),
            [0, 0, 0, 0, ..] => (Datagram::Ike, "ike"),
            _ => (Datagram::Esp, "esp"),
        };
        assert_eq!(udp::classify(&packet), expected);
        if expected != Datagram::Esp {
            return what;
        }
    }
    let header = Header::parse(&packet);
    let &[s0, s1, s2, s3, _, _, _, _, ..] = &packet[..] else {
        assert_eq!(header, Err(HeaderError::Truncated));
        return "truncated";
    };
    let spi = u32::from_be_bytes([s0, s1, s2, s3]);
    if spi < 256 {
        assert_eq!(header, Err(HeaderError::Reserved(spi)));
        return "reserved";
    }
    assert_eq!(header.unwrap().spi.get(), spi);
    if !sas.iter().any(|sa| sa.spi() == spi) {
        return "no sa";
    }
    bursts.entry(spi).or_default().push(packet);
    "for an SA"
}

fn mutated_packets_are_opened_once_if_they_are_as_sealed_and_refused_for_the_right_reason_else(eal: &Eal) {
    let soak = env::var_os("TOLLGATE_SOAK").is_some();
    let given = env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(given.unwrap_or(if soak { std::process::id().into() } else { 1 }));
    let count: u64 = if soak { 10_000_000 } else { 100_000 };
    let mut random = Random::new(seed.0);
    let pool = Pool::new(eal, "packets", 511, 0, Pool::DATA_ROOM, NumaNode::ANY).unwrap();
    let devices = ["crypto_aesni_gcm0", "crypto_aesni_mb0"].map(str::to_owned);
    let mut crypto = Crypto::new(eal, NumaNode::ANY, 2 * SAS as u32, &devices);
    let mut sas: Vec<Sa> = Vec::new();
    for number in 0..SAS {
        sas.push(Sa::new(&mut crypto, settings(number, &mut random), &mut random));
    }
    let insides: Vec<Vec<u8>> = packets::frames(0)
        .into_iter()
        .filter(|frame| matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]) && frame.len() < 1500)
        .map(|frame| frame[ETHERNET..].to_vec())
        .collect();
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut done, mut ended, mut crossed) = (0, 0u64, 0u64);
    let start = Instant::now();
    while done < count {
        let number = random.below(SAS);
        let mut bursts: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
        for _ in 0..1 + random.below(BURST) {
            let packet = next(&mut sas, number, &pool, &insides, &mut random);
            let what = arrives(packet, &sas, &mut bursts, &mut random);
            *seen.entry(what).or_default() += 1;
            done += 1;
        }
        let class = random.byte();
        for (spi, packets) in bursts {
            let sa = sas.iter_mut().find(|sa| sa.spi() == spi).unwrap();
            sa.receive(&pool, &packets, class, &mut seen);
        }
        let is_over = sas[number].left() == 0;
        if is_over || random.one_in(200) {
            ended += u64::from(is_over);
            crossed += u64::from(sas[number].has_crossed());
            sas[number] = Sa::new(&mut crypto, settings(number, &mut random), &mut random);
        }
        assert_eq!(pool.in_use(), 0, "a packet was not freed");
    }
    println!(
        "{done} packets in {:.1} s: {seen:?}; {ended} SAs came to the end of their numbers, {crossed} beyond 2^32",
        start.elapsed().as_secs_f64()
    );
    for what in [
        "for an SA",
        "keepalive",
        "runt",
        "ike",
        "reserved",
        "truncated",
        "no sa",
        "opened",
        "dummy",
        "length",
        "too old",
        "replayed",
        "forged",
        "padding",
    ] {
        let least = if ["keepalive", "runt", "ike"].contains(&what) {
            count / 20_000
        } else {
            count / 1000
        };
        let times = seen.get(what).copied().unwrap_or_default();
        assert!(
            times >= least,
            "{what} was seen {times} times in {done}: {seen:?}"
        );
    }
    let received: u64 = [
        "for an SA",
        "keepalive",
        "runt",
        "ike",
        "reserved",
        "truncated",
        "no sa",
    ]
    .iter()
    .filter_map(|what| seen.get(what))
    .sum();
    assert_eq!(received, done);
    let least = count / 100_000;
    assert!(
        ended >= least && crossed >= least,
        "{ended} ended, {crossed} crossed 2^32"
    );
}

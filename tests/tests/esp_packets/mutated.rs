//! Mutated ESP packets through a primary: none ends it or is lost without a name, and what comes out is what was sealed, once and in order.
//!
//! Half of them are changed anywhere, by chance; the others so that it is known what they are refused for, and all counts are as expected.

use std::{collections::BTreeMap, sync::Mutex, time::Instant};

use esp::Transform;
use packet::PacketBuilder;
use tests::{
    Family, Random,
    memory::resident,
    mutate::{mend_checksum, mutate},
};

use crate::gateway::{Gateway, Sa, before_this_hop, dropped, run, six, unprotected};

/// Copies of a packet that are mutated before it comes as it was sealed.
const COPIES: usize = 7;
const WINDOW: u64 = 64;
/// What a primary may grow by, kB: logs, and what it finds neighbours with.
const GROWTH: u64 = 4096;

fn soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

fn mutations() -> u64 {
    if soak() { 10_000_000 } else { 200_000 }
}

/// Whether a frame may be a fragment of a packet: such wait for the others for a minute.
fn is_fragment(frame: &[u8]) -> bool {
    let (is_four, is_six) = (
        frame.get(14).is_some_and(|first| first >> 4 == 4),
        frame.get(20) == Some(&44),
    );
    is_six
        || is_four
            && frame
                .get(20..22)
                .is_some_and(|field| (field[0] & 0x3f, field[1]) != (0, 0))
}

/// SAs of each kind of transform, over both families, raw and in UDP.
fn sas() -> Vec<Sa> {
    let kinds = [
        (Family::Ip4, Transform::Aes128Gcm16, true, false),
        (Family::Ip6, Transform::Aes256Gcm16, false, false),
        (Family::Ip4, Transform::ChaCha20Poly1305, false, true),
        (Family::Ip4, Transform::Aes128Sha256, true, true),
        (Family::Ip6, Transform::NullSha384, true, true),
        (Family::Ip4, Transform::Aes256Sha512, false, false),
    ];
    // Those with even numbers are for what is changed by chance.
    let twice = kinds.iter().flat_map(|kind| [kind, kind]);
    (0..)
        .zip(twice)
        .map(|(number, &(over, transform, esn, udp))| Sa::new(number, over, transform, esn, udp))
        .collect()
}

/// The packet that is inside of a good one.
fn inner(sa: &Sa, number: u64) -> Vec<u8> {
    let length = number as usize * 7 % 100;
    sa.inner(&[&number.to_be_bytes()[..], &vec![number as u8; length]].concat())
}

fn good(sa: &Sa, number: u64) -> Vec<u8> {
    sa.seal(number, &inner(sa, number), 4)
}

/// The numbers that came out by each SA.
struct Opened<'s> {
    sas: &'s [Sa],
    numbers: Vec<Vec<u64>>,
    others: u64,
}

impl Opened<'_> {
    /// Takes what leaves behind the gateway: what was in a good packet, whole, or a packet that was changed into one for others.
    fn take(&mut self, frame: &[u8]) {
        let packet = &frame[14..];
        let from = if frame[12..14] == [0x08, 0x00] {
            packet.get(12..16)
        } else {
            None
        };
        let sa = match from {
            Some(&[10, number, 0, 2]) => self.sas.get(usize::from(number)),
            _ => None,
        };
        let Some(sa) = sa else {
            self.others += 1;
            return;
        };
        let number = u64::from_be_bytes(*packet[28..].first_chunk().unwrap());
        assert_eq!(
            before_this_hop(packet),
            inner(sa, number),
            "SA {} number {number}",
            sa.number
        );
        let numbers = &mut self.numbers[sa.number];
        assert!(
            numbers.last().is_none_or(|last| *last < number),
            "SA {}: {number} again",
            sa.number
        );
        numbers.push(number);
    }
}

#[test]
fn mutated_packets_end_nothing_and_are_all_accounted_for_and_what_comes_out_was_sealed() {
    let count = mutations();
    let sas = sas();
    let mut random = Random::printed("mutated ESP packets");
    let opened = Mutex::new(Opened {
        sas: &sas,
        numbers: vec![Vec::new(); sas.len()],
        others: 0,
    });
    let (mut sent, mut expected) = (vec![0_u64; sas.len()], Exact::new(&sas));
    let began = Instant::now();
    run(
        &sas,
        "",
        |gateway| {
            for sa in &sas {
                let selectors = format!(
                    "window {WINDOW} sel src 10.{}.0.0/16 dst 10.200.0.0/16",
                    sa.number
                );
                gateway.install(sa, &selectors, "");
            }
            by_chance(gateway, &sas, &mut random, count / 2, &mut sent);
            exactly(gateway, &sas, &mut random, count / 2, &mut expected);
        },
        |frame| opened.lock().unwrap().take(frame),
        |_| {},
    );
    let opened = opened.into_inner().unwrap();
    for sa in &sas {
        let numbers = &opened.numbers[sa.number];
        if sa.number % 2 == 0 {
            // Some numbers are taken by copies that are dropped later on, for what was done to their outer header.
            let (came, of) = (numbers.len() as u64, sent[sa.number]);
            assert!(
                came <= of && came >= of * 4 / 5,
                "{}: {came} of {of}",
                sa.transform
            );
        } else {
            assert_eq!(*numbers, expected.good[sa.number], "{}", sa.transform);
        }
    }
    let came: usize = opened.numbers.iter().map(Vec::len).sum();
    println!(
        "{count} mutated ESP packets in {:.1} s: {came} were opened, {} went elsewhere, {:?}",
        began.elapsed().as_secs_f32(),
        opened.others,
        expected.drops
    );
}

/// Packets changed anywhere. Counts those that come as they were sealed, too.
fn by_chance(gateway: &mut Gateway, sas: &[Sa], random: &mut Random, count: u64, sent: &mut [u64]) {
    let before = gateway.settle();
    let (mut done, mut number, mut early) = (0, 0, 0);
    let mut frame = Vec::new();
    while done < count {
        number += 1;
        let sa = &sas[random.below(sas.len() / 2) * 2];
        let whole = sa.frame(gateway.mac, &good(sa, number));
        for _ in 0..COPIES {
            frame.clear();
            frame.extend_from_slice(&whole);
            // As sealed they come at the end.
            while frame == whole || !soak() && is_fragment(&frame) {
                mutate(random, &mut frame);
                if !random.once_in(4) {
                    mend_checksum(&mut frame);
                }
            }
            gateway.send(&frame);
        }
        gateway.send(&whole);
        sent[sa.number] += 1;
        done += COPIES as u64 + 1;
        if early == 0 && done > count / 5 {
            early = resident(gateway.primary.process().pid()).unwrap();
        }
    }
    let after = gateway.settle();
    let late = resident(gateway.primary.process().pid()).unwrap();
    assert!(late <= early + GROWTH, "it grew from {early} to {late} kB");
    let drops = dropped(&before, &after);
    println!("{done} changed by chance, memory {early} kB, then {late} kB: {drops:?}");
    for reason in [
        "esp_icv",
        "esp_malformed",
        "esp_spi",
        "esp_source",
        "esp_replayed",
    ] {
        assert!(drops.contains_key(reason), "{reason} was not seen: {drops:?}");
    }
}

/// What has to come of packets.
struct Exact {
    drops: BTreeMap<String, u64>,
    /// By SA, the drops that count for it.
    of_sas: Vec<BTreeMap<&'static str, u64>>,
    good: Vec<Vec<u64>>,
}

impl Exact {
    fn new(sas: &[Sa]) -> Self {
        Self {
            drops: BTreeMap::new(),
            of_sas: vec![BTreeMap::new(); sas.len()],
            good: vec![Vec::new(); sas.len()],
        }
    }

    /// A packet is refused for this reason, and counts so for its SA, unless that is empty.
    fn refused(&mut self, sa: &Sa, reason: &str, counter: &'static str) {
        *self.drops.entry(reason.to_owned()).or_default() += 1;
        if !counter.is_empty() {
            *self.of_sas[sa.number].entry(counter).or_default() += 1;
        }
    }

    fn forged(&mut self, sa: &Sa) {
        self.refused(sa, "esp_icv", "bad_icv");
    }

    /// A packet of another length.
    fn cut(&mut self, sa: &Sa, len: usize) {
        let around = 8 + sa.transform.iv_len() + sa.transform.icv_len();
        if len > around && (len - around).is_multiple_of(sa.transform.block_len()) {
            self.forged(sa);
        } else {
            self.refused(sa, "esp_malformed", "malformed");
        }
    }
}

/// Packets of which it is known what becomes of them; asserts that it does.
fn exactly(gateway: &mut Gateway, sas: &[Sa], random: &mut Random, count: u64, exact: &mut Exact) {
    let before = gateway.settle();
    let counts = |gateway: &Gateway| -> Vec<BTreeMap<String, u64>> {
        let of = |sa: &Sa| serde_json::from_value(gateway.shown(sa.spi).unwrap()["drops"].take()).unwrap();
        sas.iter().map(of).collect()
    };
    let (first, counted) = (gateway.sent(), counts(gateway));
    let mut numbers = vec![0; sas.len()];
    while gateway.sent() - first < count {
        let sa = &sas[random.below(sas.len() / 2) * 2 + 1];
        let number = &mut numbers[sa.number];
        *number += 1;
        if one(gateway, sa, *number, random, exact) {
            gateway.send(&sa.frame(gateway.mac, &good(sa, *number)));
            exact.good[sa.number].push(*number);
        }
    }
    let after = gateway.settle();
    let mut drops = dropped(&before, &after);
    // Some of those before still waited for neighbours that there are not.
    drops.retain(|reason, _| reason.starts_with("esp_"));
    assert_eq!(drops, exact.drops);
    for (sa, (after, before)) in sas.iter().zip(counts(gateway).iter().zip(&counted)) {
        for (counter, count) in after {
            let expected = exact.of_sas[sa.number].get(counter.as_str());
            let count = count - before[counter];
            assert_eq!(
                count,
                expected.copied().unwrap_or_default(),
                "{counter} of SA {}",
                sa.number
            );
        }
    }
}

/// Sends what is refused; gives whether the number is still to come.
fn one(gateway: &mut Gateway, sa: &Sa, number: u64, random: &mut Random, exact: &mut Exact) -> bool {
    let mac = gateway.mac;
    let mut esp = good(sa, number);
    let len = esp.len();
    match random.below(14) {
        0 => {
            gateway.send(&sa.frame(mac, &esp));
            exact.good[sa.number].push(number);
            gateway.send(&sa.frame(mac, &esp));
            exact.refused(sa, "esp_replayed", "replayed");
            return false;
        }
        1 => {
            esp[8 + random.below(len - 8)] ^= 1 << random.below(8);
            exact.forged(sa);
        }
        2 => {
            let ahead = number as u32 + 1 + random.below(1 << 24) as u32;
            esp[4..8].copy_from_slice(&ahead.to_be_bytes());
            exact.forged(sa);
        }
        3 => {
            // So old that it is whatever the burst is that it comes in.
            let Some(old) = number.checked_sub(WINDOW + 100).filter(|old| *old > 0) else {
                return true;
            };
            esp = good(sa, old);
            if sa.esn {
                exact.forged(sa);
            } else {
                exact.refused(sa, "esp_old", "too_old");
            }
        }
        4 => {
            esp[..4].copy_from_slice(&(0x10_0000 + random.below(1 << 20) as u32).to_be_bytes());
            exact.refused(sa, "esp_spi", "");
        }
        5 => {
            esp[..4].copy_from_slice(&(1 + random.below(255) as u32).to_be_bytes());
            exact.refused(sa, "esp_malformed", "");
        }
        6 => {
            esp.truncate(8 + random.below(len - 8));
            exact.cut(sa, esp.len());
        }
        7 => {
            esp.resize(len + 1 + random.below(40), random.number() as u8);
            exact.cut(sa, esp.len());
        }
        // In UDP that end may move.
        8 if !sa.udp => {
            exact.refused(sa, "esp_source", "source");
            gateway.send(&sa.frame_from(mac, sa.stranger(), &esp));
            return true;
        }
        9 => {
            esp = sa.seal(number, &[0; 30], 59);
            exact.refused(sa, "esp_dummy", "");
            gateway.send(&sa.frame(mac, &esp));
            return false;
        }
        10 => {
            esp = sa.seal(number, &[0; 30], *pick(random, &[6, 17, 41]));
            exact.refused(sa, "esp_malformed", "malformed");
            gateway.send(&sa.frame(mac, &esp));
            return false;
        }
        11 => {
            let other = PacketBuilder::ipv4([10, 99, 0, 2].into(), [10, 200, 0, 9].into()).udp(7, 9, b"");
            let (inside, next_header) = if random.once_in(2) {
                (other, 4)
            } else {
                (six(b""), 41)
            };
            exact.refused(sa, "esp_selector", "selector");
            gateway.send(&sa.frame(mac, &sa.seal(number, &inside, next_header)));
            return false;
        }
        12 if sa.udp => {
            esp = vec![0xff];
            exact.refused(sa, "esp_keepalive", "");
        }
        13 => {
            exact.refused(sa, "esp_clear", "");
            gateway.send(&unprotected(mac, sa));
            return true;
        }
        _ => return true,
    }
    gateway.send(&sa.frame(mac, &esp));
    true
}

fn pick<'c, T>(random: &mut Random, choice: &'c [T]) -> &'c T {
    &choice[random.below(choice.len())]
}

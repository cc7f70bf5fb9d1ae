//! A million random routes: how long they take to come and go, what they need, how fast they are looked up.
//!
//! `cargo run --release -p fib --example million`

use std::hint::black_box;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use fib::{Fib4Writer, FibError, GROUP_ENTRIES, NextHop, Quiescence, TBL24_ENTRIES};
use ipnet::Ipv4Net;

const ROUTES: usize = 1_000_000;
const GROUPS: usize = 1 << 16;
const BURST: usize = 32;

/// Share of prefix lengths, per cent, much as in the Internet's table.
const LENGTHS: [(u8, u32); 10] = [
    (8, 0),
    (12, 1),
    (16, 2),
    (18, 3),
    (20, 6),
    (21, 8),
    (22, 13),
    (23, 11),
    (24, 54),
    (28, 2),
];

/// xorshift64*: the same routes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Dirty, so that the pages are there before memory is measured.
    let memory = |entries: usize| -> Vec<AtomicU32> { (0..entries).map(|_| AtomicU32::new(1)).collect() };
    let mut fib = Fib4Writer::new(memory(TBL24_ENTRIES), memory(GROUPS * GROUP_ENTRIES), ROUTES)?;
    let reader = fib.reader();
    let (quiescence, _) = Quiescence::new(0);
    let tables = (TBL24_ENTRIES + GROUPS * GROUP_ENTRIES) * size_of::<AtomicU32>();
    println!("tables: {:.1} MB ({GROUPS} tbl8 groups)", megabytes(tables));

    let mut random = Random(0x7011_6a7e);
    let mut prefixes = Vec::with_capacity(2 * ROUTES);
    prefixes.resize_with(2 * ROUTES, || prefix(&mut random));
    let before = resident()?;
    let start = Instant::now();
    let (mut refused, mut inserted) = (0, Vec::with_capacity(ROUTES));
    for &prefix in &prefixes {
        let next_hop = NextHop::new(random.next() % 4096).unwrap_or_default();
        match fib.insert(prefix, next_hop) {
            Ok(None) => inserted.push(prefix),
            Ok(Some(_)) => {}
            Err(FibError::RouteLimit { .. }) => break,
            Err(_) => refused += 1,
        }
    }
    report("inserted", inserted.len(), start);
    let rib = resident()?
        .saturating_sub(before)
        .saturating_sub(inserted.len() * size_of::<Ipv4Net>());
    let used = GROUPS - fib.free_groups();
    println!(
        "RIB: {:.1} MB; tbl8 groups in use: {used}; refused for want of one: {refused}",
        megabytes(rib)
    );

    let addresses: Vec<u32> = std::iter::repeat_with(|| random.next()).take(1 << 20).collect();
    let mut found = [NextHop::NONE; BURST];
    let start = Instant::now();
    for _ in 0..16 {
        for burst in addresses.chunks_exact(BURST) {
            reader.lookup_burst(black_box(burst), black_box(&mut found));
        }
    }
    report("looked up in bursts", 16 * addresses.len(), start);
    let start = Instant::now();
    for &address in &addresses {
        black_box(reader.lookup(black_box(address)));
    }
    report("looked up one by one", addresses.len(), start);

    let default = Ipv4Net::default();
    let start = Instant::now();
    fib.remove(*inserted.last().ok_or("nothing was inserted")?);
    fib.insert(default, NextHop::MAX)?;
    report("default route inserted", 1, start);
    let start = Instant::now();
    fib.remove(default);
    report("default route removed", 1, start);

    let start = Instant::now();
    let removed = inserted
        .iter()
        .filter(|prefix| fib.remove(**prefix).is_some())
        .count();
    report("removed", removed, start);
    fib.reclaim(&quiescence);
    println!(
        "left: {} routes, {} groups in use",
        fib.len(),
        GROUPS - fib.free_groups()
    );
    Ok(())
}

fn prefix(random: &mut Random) -> Ipv4Net {
    let mut share = random.next() % 100;
    let length = LENGTHS.iter().find(|(_, of)| {
        let here = share < *of;
        share = share.saturating_sub(*of);
        here
    });
    let length = length.map_or(24, |(length, _)| *length);
    Ipv4Net::new(random.next().into(), length)
        .unwrap_or_default()
        .trunc()
}

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} in {:.1} ms, {:.1} ns each",
        seconds * 1e3,
        seconds * 1e9 / count as f64
    );
}

/// Bytes of memory that this process has in use.
fn resident() -> Result<usize, Box<dyn std::error::Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .ok_or("/proc/self/statm has no second field")?
        .parse()?;
    Ok(pages * 4096)
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

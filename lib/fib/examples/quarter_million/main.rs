//! A quarter of a million IPv6 routes, clustered as in the Internet's table and random: how long they take to come and
//! go, what they need, how fast they are looked up, beside as many IPv4 routes.
//!
//! `cargo run --release -p fib --example quarter_million`

mod routes;

use std::error::Error;
use std::hint::black_box;
use std::ops::{Deref, Range};
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Instant;

use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, NextHop, Quiescence, TBL24_ENTRIES, UNIT_BYTES, words6};
use ipnet::Ipv6Net;
use routes::Random;

const ROUTES: usize = 250_000;
const HOSTS: usize = 4_000;
const GROUPS: usize = 1 << 13;
const ADDRESSES: usize = 1 << 20;
const BURST: usize = 32;

/// Memory that begins at a cache line, as hugepages do.
struct Lines {
    words: Vec<AtomicU64>,
    range: Range<usize>,
}

impl Lines {
    fn new(words: usize) -> Lines {
        // Dirty, so that the pages are there before memory is measured.
        let memory: Vec<AtomicU64> = (0..words + 7).map(|_| AtomicU64::new(1)).collect();
        let start = memory.as_ptr().align_offset(64).min(7);
        Lines {
            words: memory,
            range: start..start + words,
        }
    }
}

impl Deref for Lines {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.words[self.range.clone()]
    }
}

/// Without an argument: each set of routes in a process of its own, so that none finds memory that another has freed.
fn main() -> Result<(), Box<dyn Error>> {
    let Some(set) = std::env::args().nth(1) else {
        for set in ["clustered", "random", "hosts"] {
            Command::new(std::env::current_exe()?).arg(set).status()?;
        }
        return Ok(());
    };
    let mut random = Random(0x7011_6a7e);
    let prefixes = match set.as_str() {
        "clustered" => routes::clustered(ROUTES, &mut random),
        "random" => routes::random_48s(ROUTES, &mut random),
        "hosts" => routes::hosts(HOSTS, &mut random),
        _ => return Err("the sets of routes are clustered, random and hosts".into()),
    };
    println!("IPv6, {set}");
    let ipv6 = measure6(&prefixes, &mut random)?;
    let ipv4 = measure4(&mut random)?;
    println!("a lookup for IPv6 takes {:.1} times one for IPv4\n", ipv6 / ipv4);
    Ok(())
}

/// Gives what a lookup in a burst takes, in nanoseconds.
fn measure6(prefixes: &[Ipv6Net], random: &mut Random) -> Result<f64, Box<dyn Error>> {
    let routes = prefixes.len();
    let memory = Lines::new(words6(routes));
    let given = words6(routes) * size_of::<AtomicU64>();
    let (quiescence, _) = Quiescence::new(0);
    let before = resident()?;
    let mut fib = Fib6Writer::new(memory, routes)?;
    let reader = fib.reader();

    let start = Instant::now();
    for prefix in prefixes {
        fib.insert(*prefix, next_hop(random))?;
        fib.reclaim(&quiescence);
    }
    report("inserted", routes, start);
    let own = resident()?.saturating_sub(before);
    println!(
        "memory: {:.1} MB given, of which the root table 4.2 and nodes {:.1}; RIB and lists {:.1}; {:.1} in all",
        megabytes(given),
        megabytes(fib.units().used * UNIT_BYTES),
        megabytes(own),
        megabytes(given + own)
    );

    let mut inside = || {
        let prefix = prefixes[random.below(routes as u64) as usize];
        prefix.addr().to_bits() | random.address() & prefix.hostmask().to_bits()
    };
    let addresses: Vec<u128> = std::iter::repeat_with(&mut inside).take(ADDRESSES).collect();
    let ipv6 = looked_up(&addresses, |burst, found| reader.lookup_burst(burst, found));
    let start = Instant::now();
    for &address in &addresses {
        black_box(reader.lookup(black_box(address)));
    }
    report("looked up one by one", addresses.len(), start);

    let start = Instant::now();
    for _ in 0..routes {
        let prefix = prefixes[random.below(routes as u64) as usize];
        fib.remove(prefix);
        fib.insert(prefix, next_hop(random))?;
        fib.reclaim(&quiescence);
    }
    report("removed and inserted again", routes, start);
    fib.remove(prefixes[0]);
    let start = Instant::now();
    fib.insert(Ipv6Net::default(), next_hop(random))?;
    report("default route inserted", 1, start);
    let start = Instant::now();
    fib.remove(Ipv6Net::default());
    report("default route removed", 1, start);
    fib.insert(prefixes[0], next_hop(random))?;

    let start = Instant::now();
    let removed = prefixes.iter().filter(|prefix| {
        let next_hop = fib.remove(**prefix);
        fib.reclaim(&quiescence);
        next_hop.is_some()
    });
    report("removed", removed.count(), start);
    let units = fib.units();
    println!(
        "left: {} routes, {} units in use or retired",
        fib.len(),
        units.capacity - units.free()
    );
    Ok(ipv6)
}

/// The same for as many IPv4 routes.
fn measure4(random: &mut Random) -> Result<f64, Box<dyn Error>> {
    println!("IPv4");
    let memory = |entries: usize| -> Vec<AtomicU32> { (0..entries).map(|_| AtomicU32::new(1)).collect() };
    let mut fib = Fib4Writer::new(memory(TBL24_ENTRIES), memory(GROUPS * GROUP_ENTRIES), ROUTES)?;
    let reader = fib.reader();
    let prefixes = routes::ipv4(ROUTES, random);
    let start = Instant::now();
    for prefix in &prefixes {
        fib.insert(*prefix, next_hop(random))?;
    }
    report("inserted", ROUTES, start);
    let mut inside = || {
        let prefix = prefixes[random.below(ROUTES as u64) as usize];
        prefix.addr().to_bits() | random.next() as u32 & prefix.hostmask().to_bits()
    };
    let addresses: Vec<u32> = std::iter::repeat_with(&mut inside).take(ADDRESSES).collect();
    Ok(looked_up(&addresses, |burst, found| {
        reader.lookup_burst(burst, found)
    }))
}

/// All addresses some times over, in bursts; gives the nanoseconds that one takes.
fn looked_up<A>(addresses: &[A], lookup: impl Fn(&[A], &mut [NextHop])) -> f64 {
    let mut found = [NextHop::NONE; BURST];
    let start = Instant::now();
    for _ in 0..16 {
        for burst in addresses.chunks_exact(BURST) {
            lookup(black_box(burst), black_box(&mut found));
        }
    }
    report("looked up in bursts", 16 * addresses.len(), start)
}

fn next_hop(random: &mut Random) -> NextHop {
    NextHop::new(random.below(4096) as u32).unwrap_or_default()
}

/// Gives the nanoseconds that one took.
fn report(what: &str, count: usize, start: Instant) -> f64 {
    let seconds = start.elapsed().as_secs_f64();
    let each = seconds * 1e9 / count as f64;
    println!(
        "{what}: {count} in {:.1} ms, {each:.1} ns each, {:.2} M/s",
        seconds * 1e3,
        1e3 / each
    );
    each
}

/// Bytes of memory that this process has in use.
fn resident() -> Result<usize, Box<dyn Error>> {
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

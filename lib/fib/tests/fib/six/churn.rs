//! Hours of changes in miniature: memory neither leaks nor falls to pieces.

use super::reference::{Random, Writer, around, next_hop, writer_of};
use fib::{Fib6Error, Quiescence};
use ipnet::Ipv6Net;

/// What prefixes come: much as in the Internet's table, clustered under /32s, and now and then a host.
fn prefix(random: &mut Random) -> Ipv6Net {
    let cluster = 0x2001_0000u128 << 96 | (random.below(64) as u128) << 97;
    let within = random.address() >> 32;
    let (address, length) = match random.below(100) {
        0..20 => (random.address(), 32 + random.below(17) as u8),
        20..30 => (cluster | within, 36 + random.below(12) as u8),
        30..85 => (cluster | within, 48),
        85..90 => (cluster | within, 49 + random.below(16) as u8),
        _ => (0x2001_0db8u128 << 96 | u128::from(random.next()), 128),
    };
    around(address, length)
}

struct Churn {
    fib: Writer,
    routes: Vec<Ipv6Net>,
    random: Random,
    quiescence: Quiescence,
}

impl Churn {
    fn new(units: usize, seed: u64) -> Churn {
        Churn {
            fib: writer_of(units, usize::MAX),
            routes: Vec::new(),
            random: Random(seed),
            quiescence: Quiescence::new(0).0,
        }
    }

    fn insert(&mut self, prefix: Ipv6Net) -> Result<(), Fib6Error> {
        if self.fib.insert(prefix, next_hop(1))?.is_none() {
            self.routes.push(prefix);
        }
        self.fib.reclaim(&self.quiescence);
        Ok(())
    }

    fn remove_one(&mut self) {
        let at = self.random.below(self.routes.len());
        let prefix = self.routes.swap_remove(at);
        assert!(self.fib.remove(prefix).is_some());
        self.fib.reclaim(&self.quiescence);
    }
}

#[test]
fn churn_at_nine_tenths_of_the_memory_does_not_run_out() {
    const UNITS: usize = 20_000;
    let mut churn = Churn::new(UNITS, 9);
    let mut turned_over = 0;
    while turned_over < 200_000 {
        if churn.fib.units().used < UNITS * 9 / 10 {
            let prefix = prefix(&mut churn.random);
            churn.insert(prefix).unwrap();
        } else {
            churn.remove_one();
            turned_over += 1;
        }
    }
    while !churn.routes.is_empty() {
        churn.remove_one();
    }
    assert_eq!(churn.fib.units().free(), UNITS);
}

/// The kinds of prefixes change: what one kind left must serve the next.
#[test]
fn memory_left_by_one_kind_of_prefixes_serves_another() {
    const UNITS: usize = 10_000;
    let kinds: [fn(&mut Random) -> Ipv6Net; 4] = [
        |random| around(random.address() >> 3 | 1 << 125, 48),
        |random| around(0x2001_0db8u128 << 96 | u128::from(random.next()), 128),
        // Full nodes, the largest there are.
        |random| around(0x2a00u128 << 112 | (random.next() as u128 & 0xf_ffff) << 74, 54),
        |random| around(random.address(), 128),
    ];
    let mut churn = Churn::new(UNITS, 4);
    for round in 0..12 {
        let kind = kinds[round % 4];
        for _ in 0..UNITS {
            let prefix = kind(&mut churn.random);
            churn.insert(prefix).unwrap();
            while churn.fib.units().used > UNITS * 85 / 100 {
                churn.remove_one();
            }
        }
    }
}

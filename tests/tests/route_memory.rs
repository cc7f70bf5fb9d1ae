//! What many routes take: all memory of the primary that is there for routes, in hugepages and outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tests::{FULL_TABLE4, FULL_TABLE6, Interface, Primary, Privilege, RunId};

const NEXT_HOP4: &str = "198.18.0.2";
const NEXT_HOP6: &str = "2001:2::2";
const MEGABYTE: u64 = 1_000_000;

/// The length of prefix `number`, and how many of this length came before.
fn length(number: u32, shares: &[(u8, u32)]) -> (u8, u32) {
    let (round, mut place) = (number / 100, number % 100);
    for (length, share) in shares {
        if place < *share {
            return (*length, round * share + place);
        }
        place -= share;
    }
    panic!("the shares do not add up to 100");
}

/// Distinct IPv4 prefixes all over the address space.
fn routes4(count: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (length, index) = length(number, &FULL_TABLE4);
        // An odd factor makes a permutation of the prefixes of a length.
        let network = (index.wrapping_mul(0x9e37_79b1) << (32 - length)).to_be_bytes();
        let network = std::net::Ipv4Addr::from(network);
        let _ = writeln!(text, "{network}/{length} via {NEXT_HOP4}");
    }
    text
}

/// Distinct IPv6 prefixes as operators announce them: those beyond /32 lie side by side, sixteen of a length under a /32.
fn bgp_like_routes6(count: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (length, index) = length(number, &FULL_TABLE6);
        // Sixteen to a /32, and all of those under 2000::/3.
        let (index, place, shift) = if length > 32 {
            (index / 16, index % 16, 0)
        } else {
            (index, 0, 32 - length)
        };
        let block = index.wrapping_mul(0x9e37_79b1) << shift & 0x1fff_ffff;
        let bits = u128::from(block) << 96 | u128::from(place) << (128 - length);
        let network = std::net::Ipv6Addr::from_bits(1 << 125 | bits);
        let _ = writeln!(text, "{network}/{length} via {NEXT_HOP6}");
    }
    text
}

/// Distinct /48s, all over 2000::/3.
fn random_routes6(count: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let bits = u128::from(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & ((1 << 45) - 1));
        let network = std::net::Ipv6Addr::from_bits(1 << 125 | bits << 80);
        let _ = writeln!(text, "{network}/48 via {NEXT_HOP6}");
    }
    text
}

/// What is there for routes, in bytes.
struct Memory {
    /// Of the FIB, as far as it is used.
    fib: u64,
    /// Records that tools read.
    records: u64,
    /// What the control thread has beside that.
    private: u64,
}

impl Memory {
    fn sum(&self) -> u64 {
        self.fib + self.records + self.private
    }
}

/// Starts a primary with room for `count` routes of the family, loads them, and tells what they take.
fn load(family: u8, count: u32, text: &str) -> Memory {
    let limits = format!("[limits]\nroutes{family} = {count}\npacket_buffers = 4096\nattachments = 0\n");
    let mut primary = Primary::builder(Privilege::detect(), "routes")
        .interface(
            Interface::device("in", "net_null0,no-rx=1")
                .address("198.18.0.1/30")
                .address("2001:2::1/126"),
        )
        .memory_mb(192)
        .toml(&limits)
        .start()
        .unwrap();
    let folder = tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .tempdir()
        .unwrap();
    let file = folder.path().join("routes.txt");
    std::fs::write(&file, text).unwrap();
    let before = private_bytes(primary.process().pid());
    let began = Instant::now();
    // `route load` leaves out what is not for forwarding, like 224.0.0.0/4.
    let words = ["route", "add", "--file", file.to_str().unwrap()];
    primary.ctl(&words).unwrap().success().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "loading took {took:?}");
    let private = private_bytes(primary.process().pid()) - before;
    let parts = primary.ctl_json(&["memory"]).unwrap();
    let part = |name: &str, key: &str| {
        let parts = parts.as_array().unwrap().iter();
        let found = parts.clone().find(|part| part["part"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {parts:?}"))[key]
            .as_u64()
            .unwrap()
    };
    // Those of the gateway's own address come on top.
    let shown = part(&format!("table_routes{family}"), "used");
    assert!((1..=4).contains(&(shown - u64::from(count))), "{shown} routes");
    let memory = Memory {
        fib: match family {
            4 => part("fib4_tbl24", "bytes") + part("fib4_tbl8", "used") * 1024,
            _ => part("fib6", "used"),
        },
        records: part("tables", "bytes"),
        private,
    };
    println!(
        "{count} IPv{family} routes take {:.0} MB: {:.1} MB in the FIB, {:.1} MB of records, {:.1} MB beside; loaded in {took:.1?}",
        memory.sum() as f64 / MEGABYTE as f64,
        memory.fib as f64 / MEGABYTE as f64,
        memory.records as f64 / MEGABYTE as f64,
        memory.private as f64 / MEGABYTE as f64,
    );
    primary.terminate().unwrap();
    memory
}

/// Anonymous memory of a process outside hugepages, proc(5).
fn private_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: u64 = line.unwrap().trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kilobytes * 1024
}

#[test]
fn a_million_ipv4_routes_take_less_than_250_megabytes() {
    let memory = load(4, 1_000_000, &routes4(1_000_000));
    assert!(memory.sum() < 250 * MEGABYTE, "{} bytes", memory.sum());
}

#[test]
fn a_quarter_of_a_million_ipv6_routes_as_announced_take_less_than_100_megabytes() {
    let memory = load(6, 250_000, &bgp_like_routes6(250_000));
    assert!(memory.sum() < 100 * MEGABYTE, "{} bytes", memory.sum());
}

#[test]
fn a_quarter_of_a_million_random_48s_take_less_than_100_megabytes() {
    let memory = load(6, 250_000, &random_routes6(250_000));
    assert!(memory.sum() < 100 * MEGABYTE, "{} bytes", memory.sum());
}

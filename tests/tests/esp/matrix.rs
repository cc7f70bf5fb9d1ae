//! What scapy's IPsec layer seals is opened here, and what is sealed here it opens: every transform, in tunnel and in transport mode, over
//! both families, with short and long numbers, raw and in UDP.

use std::{collections::BTreeSet, env};

use serde_json::json;
use tests::Family;

use crate::scapy::{Peer, exchange, tunnel};
use crate::site::TRANSFORMS;

/// What a tunnel becomes before each, and what scapy is told of it: ESP in tunnel mode, then what transport mode protects. The key of GRE
/// is the number of the transform.
const KINDS: [(&str, Option<&str>); 4] = [
    ("mode esp", None),
    ("mode gre protected on", Some("gre")),
    ("mode gre protected on key", Some("gre")),
    ("mode ipip protected on key none", Some("ipip")),
];

/// One of all combinations: transform, kind of tunnel, outer family, ESN, UDP.
type Point = [usize; 5];
const LEVELS: Point = [TRANSFORMS.len(), KINDS.len(), 2, 2, 2];

/// Numbers of 64 bits go beyond 32 bits in the middle of an exchange.
const LAST: u64 = (1 << 32) - 17;

/// All combinations.
fn product() -> Vec<Point> {
    let mut all = vec![[0; 5]];
    for (at, levels) in LEVELS.into_iter().enumerate() {
        let each = |point: Point| {
            (0..levels).map(move |level| {
                let mut point = point;
                point[at] = level;
                point
            })
        };
        all = all.into_iter().flat_map(each).collect();
    }
    all
}

/// An eighth of them, in which there is each pair of two things: of the last three the half with an even sum, by turns.
fn slice() -> Vec<Point> {
    const ROWS: [[usize; 3]; 4] = [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]];
    let is_in = |&[transform, kind, rest @ ..]: &Point| rest == ROWS[(transform + kind) % ROWS.len()];
    product().into_iter().filter(is_in).collect()
}

#[test]
fn the_slice_has_every_pair_of_two_things() {
    let slice = slice();
    assert_eq!(slice.len() * 8, product().len());
    for one in 0..LEVELS.len() {
        for other in one + 1..LEVELS.len() {
            let pairs: BTreeSet<_> = slice.iter().map(|point| (point[one], point[other])).collect();
            assert_eq!(pairs.len(), LEVELS[one] * LEVELS[other], "{one} and {other}");
        }
    }
}

#[test]
fn scapy_opens_what_is_sealed_here_and_seals_what_is_opened_here() {
    let points = if env::var_os("TOLLGATE_SOAK").is_some() {
        product()
    } else {
        slice()
    };
    let peer = Peer::create();
    let mut spi = 0x3000;
    // A tunnel is of one kind at a time, and sends by its last SA.
    for (number, (words, inside)) in KINDS.into_iter().enumerate() {
        let mut tunnels = BTreeSet::new();
        for (esn, udp) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut cases = Vec::new();
            for &[transform, kind, over, ..] in points.iter().filter(|point| point[3..] == [esn, udp]) {
                if kind != number {
                    continue;
                }
                let (over, has_esn, in_udp) = (Family::BOTH[over], esn == 1, udp == 1);
                let key = words.ends_with("key").then_some(transform);
                let name = tunnel(over, transform);
                if tunnels.insert(name.clone()) && number > 0 {
                    let key = key.map(|key| key.to_string()).unwrap_or_default();
                    peer.primary.tell(&format!("tunnel set {name} {words} {key}"));
                }
                let mode = if inside.is_some() { "mode transport" } else { "" };
                let numbers = format!("esn seq {LAST}");
                let numbers = if has_esn { numbers.as_str() } else { "" };
                let ports = if in_udp { "udp 4500:4500" } else { "" };
                spi += 2;
                peer.install(over, transform, spi, &format!("{mode} {numbers} {ports}"), "");
                let mut case = exchange(over, transform, spi, has_esn, in_udp);
                case["last"] = if has_esn { LAST } else { 0 }.into();
                if let Some(inside) = inside {
                    case["inside"] = json!(inside);
                    case["gre_key"] = json!(key);
                }
                cases.push(case);
            }
            peer.does(&cases);
        }
        peer.primary.tell("sa flush");
    }
    println!("{} combinations", points.len());
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    counters.assert_no_esp_drops("all that was sent");
}

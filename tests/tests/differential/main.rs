//! The same frames through a Linux router and through Tollgate: what comes out of all links of both is the same, byte for
//! byte, but for what docs/differences-from-linux.md lists. An unlisted difference fails, and so does an entry that has become
//! stale.
//!
//! `TOLLGATE_STIMULI="ip4/ttl arp"` sends those whose key begins so, and looks for no stale entries.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod allowed;
mod comparison;
mod frame;
mod tagged;
mod topology;

use std::{collections::BTreeMap, fmt::Write};

use allowed::Allowed;
use comparison::Exchanged;
use topology::Topology;

const ONLY: &str = "TOLLGATE_STIMULI";

#[test]
fn what_comes_out_is_what_linux_sends_but_for_the_listed_differences() {
    let only: Vec<_> = std::env::var(ONLY)
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let allowed = Allowed::read();
    let topology = Topology::create();
    let buffers = buffers(&topology);
    let captured = topology.exchange(&only);
    let (mut stimuli, mut answered) = (0, 0);
    let mut unlisted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in captured.stdout.lines() {
        let exchanged: Exchanged = serde_json::from_str(line).unwrap();
        stimuli += 1;
        answered += usize::from(exchanged.has_output());
        for difference in exchanged.differences() {
            if !allowed.allows(&exchanged.key, &difference) {
                unlisted
                    .entry(difference)
                    .or_default()
                    .push(exchanged.key.clone());
            }
        }
    }
    println!("{stimuli} stimuli, {answered} with output");
    assert!(
        unlisted.is_empty(),
        "differences that are not listed:\n{}",
        report(&unlisted)
    );
    if only.is_empty() {
        assert!(
            stimuli > 10_000 && answered > stimuli / 2,
            "{answered} of {stimuli}"
        );
        assert_eq!(allowed.stale(), [""; 0], "listed, but not different");
    }
    let counters = topology.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    // Those that wait for next hops that nobody is; fragments wait as well, but are copied.
    let waiting = counters.sum(|interface| interface.waiting);
    let used = self::buffers(&topology);
    assert!(
        (buffers..=buffers + waiting).contains(&used),
        "{used} packet buffers in use after {buffers}, {waiting} packets wait"
    );
}

fn report(unlisted: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::new();
    for (difference, keys) in unlisted {
        let _ = writeln!(text, "{difference}: {} stimuli: {}", keys.len(), keys.join(" "));
    }
    text
}

/// Packet buffers in use.
fn buffers(topology: &Topology) -> u64 {
    let memory = topology.primary.ctl_json(&["memory", "show"]).unwrap();
    let mut parts = memory.as_array().unwrap().iter();
    let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
    pool["used"].as_u64().unwrap()
}

//! The same frames through a Linux router and through Tollgate: what comes out of all links of both is the same, byte for
//! byte, but for what docs/differences-from-linux.md lists. An unlisted difference fails, and so does an entry that has become
//! stale.
//!
//! `TOLLGATE_STIMULI="ip4/ttl arp"` sends those whose key begins so, and looks for no stale entries.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod tagged;

use tests::side_by_side::{Comparison, Topology};

const ONLY: &str = "TOLLGATE_STIMULI";
const DOCUMENT: &str = include_str!("../../../docs/differences-from-linux.md");
const EXCHANGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/differential/stimuli/exchange.py"
);

#[test]
fn what_comes_out_is_what_linux_sends_but_for_the_listed_differences() {
    let only = std::env::var(ONLY).unwrap_or_default();
    let only: Vec<_> = only.split_whitespace().collect();
    let mut comparison = Comparison::new(DOCUMENT, &["RFC ", "IEEE "]);
    let topology = Topology::create();
    let buffers = topology.buffers();
    comparison.exchange(&topology, EXCHANGE, &only);
    let (stimuli, answered) = comparison.assert_listed();
    if only.is_empty() {
        assert!(
            stimuli > 10_000 && answered > stimuli / 2,
            "{answered} of {stimuli}"
        );
        comparison.assert_needed();
    }
    let counters = topology.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    // Those that wait for next hops that nobody is; fragments wait as well, but are copied.
    let waiting = counters.sum(|interface| interface.waiting);
    let used = topology.buffers();
    assert!(
        (buffers..=buffers + waiting).contains(&used),
        "{used} packet buffers in use after {buffers}, {waiting} packets wait"
    );
}

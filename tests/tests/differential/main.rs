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

use tests::side_by_side::{Comparison, Topology, builder_with};
use tests::{Interface, Namespace, PrimaryBuilder, Privilege};

const ONLY: &str = "TOLLGATE_STIMULI";
const DOCUMENT: &str = include_str!("../../../docs/differences-from-linux.md");
const KNOWN_TO_LINUX: &str = "\
| stimuli | difference | why |
|---|---|---|
| `ip6/hop-by-hop/calipso/*` `ip6/hop-by-hop/ioam/*` | `*` | RFC 8200 section 4.2: what is not known fares as its type says |
";
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

/// With `hop_by_hop = "process"` a packet fares as in the kernel, whichever options it has, but for two that only the kernel knows.
#[test]
fn req_ra_10_and_11_hop_by_hop_options_are_judged_as_by_linux_where_they_are_judged() {
    let mut comparison = Comparison::new(KNOWN_TO_LINUX, &["RFC "]);
    let topology = Topology::with(judging);
    let prefixes = [
        "ip6/hop-by-hop/",
        "ip6/malformed/hop-by-hop/",
        "ip6/next-header/0/",
        "ip6/destination/global-group/",
    ];
    comparison.exchange(&topology, EXCHANGE, &prefixes);
    let (stimuli, _) = comparison.assert_listed();
    assert!(stimuli > 150, "{stimuli}");
    comparison.assert_needed();
    let counters = topology.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    for reason in [
        "hop_by_hop_option",
        "hop_by_hop_padding",
        "hop_by_hop_length",
        "hop_by_hop_option_length",
        "jumbo_payload",
        "router_alert_length",
    ] {
        assert!(counters.dropped(reason) > 0, "{reason}");
    }
}

/// A primary that judges hop-by-hop headers, and as strictly as the kernel does it.
fn judging(privilege: Privilege, gateway: &Namespace) -> PrimaryBuilder {
    let builder = builder_with(privilege, gateway, Interface::judging_hop_by_hop);
    builder.toml("[router_alert]\npadding = \"strict\"\nwrong_length = \"silent\"\nduplicates = \"last\"\n")
}

//! DPDK's `l3fwd`, the router among its examples.

use super::examples::Example;

/// Its rules, in the folder of the bench.
pub(super) const RULES4: &str = "l3fwd4.rules";
pub(super) const RULES6: &str = "l3fwd6.rules";
/// It wants a rule for IPv6 as well.
pub(super) const ONE_RULE6: &str = "R2001:db8:0:0:0:0:0:0/32 1\n";

/// With room for 10,000 routes, on devices that check no checksums. Its lookups stay as they are.
pub(super) const L3FWD: Example = Example {
    name: "l3fwd",
    changes: &[
        (
            "l3fwd_lpm.c",
            "IPV4_L3FWD_LPM_MAX_RULES         1024",
            "IPV4_L3FWD_LPM_MAX_RULES 65536",
        ),
        (
            "l3fwd_lpm.c",
            "IPV4_L3FWD_LPM_NUMBER_TBL8S (1 << 8)",
            "IPV4_L3FWD_LPM_NUMBER_TBL8S (1 << 15)",
        ),
        (
            "main.c",
            ".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM",
            ".offloads = 0",
        ),
    ],
};

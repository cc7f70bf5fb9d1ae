//! Two gateways with tunnels of every kind between them.
//!
//! ```text
//!   host-a eth0 ─── a0  west  w0 ─────────── e0  east  b0 ─── eth0 host-b
//!          .1.2    .1.1      10.0.0.1   10.0.0.2      .2.1    .2.2
//! ```
//!
//! The hosts have an address for each kind, and what goes between two of the same kind goes by its tunnel.

use std::time::Duration;

use tests::{Family, Namespace, Primary, Privilege, TwoGateways, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A kind of tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    words: &'static str,
    over: Family,
    /// Bytes of the outer headers.
    pub(crate) overhead: u16,
}

const fn kind(name: &'static str, words: &'static str, over: Family, overhead: u16) -> Kind {
    Kind {
        name,
        words,
        over,
        overhead,
    }
}

/// Each of them carries both families.
pub(crate) const KINDS: [Kind; 6] = [
    kind("ip4", "mode ipip", Family::Ip4, 20),
    kind("ip6", "mode ipip", Family::Ip6, 40),
    kind("gre4", "mode gre", Family::Ip4, 24),
    kind("key4", "mode gre key 4711", Family::Ip4, 28),
    kind("gre6", "mode gre", Family::Ip6, 44),
    kind("key6", "mode gre key 0", Family::Ip6, 48),
];

impl Kind {
    /// Longest packet inside.
    pub(crate) fn mtu(self) -> u16 {
        1500 - self.overhead
    }
}

/// The address of a host, 1 or 2, for a kind.
pub(crate) fn address(family: Family, host: u8, kind: usize) -> String {
    family.choose(
        format!("192.168.{host}.{}", 10 + kind),
        format!("2001:db8:{host}::{}", 10 + kind),
    )
}

pub(crate) struct Site {
    // End before their namespaces do.
    pub(crate) west: Primary,
    pub(crate) east: Primary,
    pub(crate) host_a: Namespace,
    pub(crate) host_b: Namespace,
    _gateways: [Namespace; 2],
}

impl Site {
    /// With tunnels and routes.
    pub(crate) fn create() -> Self {
        Self::with_workers(1)
    }

    /// The same on so many workers each.
    pub(crate) fn with_workers(workers: usize) -> Self {
        let addresses = |family, host| {
            let kinds = 0..KINDS.len();
            kinds.map(|kind| address(family, host, kind)).collect()
        };
        let both = TwoGateways::create(Privilege::detect(), 1500, addresses, |primary| {
            primary.workers(workers)
        });
        let TwoGateways {
            west,
            east,
            host_a,
            host_b,
            gateways,
        } = both.unwrap();
        let site = Self {
            west,
            east,
            host_a,
            host_b,
            _gateways: gateways,
        };
        for (primary, here, there, inside) in [(&site.west, 1, 2, "a0"), (&site.east, 2, 1, "b0")] {
            for (number, kind) in KINDS.iter().enumerate() {
                let Kind {
                    name, words, over, ..
                } = kind;
                let (local, remote) = (
                    TwoGateways::outside(*over, here),
                    TwoGateways::outside(*over, there),
                );
                primary.tell(&format!(
                    "tunnel add {name} {words} local {local} remote {remote} unnumbered {inside}"
                ));
                for family in Family::BOTH {
                    let to = address(family, there, number);
                    let length = family.choose(32, 128);
                    primary.tell(&format!("route add {to}/{length} dev {name}"));
                }
            }
        }
        site
    }

    /// Waits until both gateways are at rest, and each packet is accounted for.
    pub(crate) fn assert_balanced(&self) {
        for primary in [&self.west, &self.east] {
            primary.counters_at_rest().unwrap().assert_balanced();
        }
    }

    /// Whether host-a gets an answer, once neighbours are found.
    pub(crate) fn warm_up(&self, family: Family, kind: usize) {
        let (from, to) = (address(family, 1, kind), address(family, 2, kind));
        wait_until("that pings go through the tunnel", LIMIT, || {
            let pings = self
                .host_a
                .ping(&to, &["-c", "1", "-W", "1", "-I", &from], LIMIT)?;
            Ok(pings.all_answered().then_some(()))
        })
        .unwrap();
    }
}

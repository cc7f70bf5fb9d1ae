//! Two gateways with tunnels between them that ESP protects.
//!
//! ```text
//!   host-a eth0 ─── a0  west  w0 ─────────── e0  east  b0 ─── eth0 host-b
//!          .1.2    .1.1      10.0.0.1   10.0.0.2      .2.1    .2.2
//! ```

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Duration,
};

use tempfile::TempDir;
use tests::{Family, Namespace, Primary, Privilege, Random, TwoGateways, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The tunnel at both ends.
pub(crate) const TUNNEL: &str = "ipsec0";

/// Transforms, and the bytes of their keys.
pub(crate) const TRANSFORMS: [(&str, usize); 13] = [
    ("aes128gcm16", 20),
    ("aes192gcm16", 28),
    ("aes256gcm16", 36),
    ("chacha20poly1305", 36),
    ("aes128-sha256", 48),
    ("aes256-sha256", 64),
    ("aes256-sha384", 80),
    ("aes256-sha512", 96),
    ("aes128-sha384", 64),
    ("aes128-sha512", 80),
    ("null-sha256", 32),
    ("null-sha384", 48),
    ("null-sha512", 64),
];

/// What packets go by.
#[derive(Clone, Copy)]
pub(crate) struct Way<'w> {
    /// Of all links.
    pub(crate) mtu: u16,
    /// More words for the tunnel.
    pub(crate) tunnel: &'w str,
    /// What primaries are started by, if anything.
    pub(crate) under: &'w [&'w str],
}

impl Default for Way<'_> {
    /// As Ethernet is.
    fn default() -> Self {
        Self {
            mtu: 1500,
            tunnel: "",
            under: &[],
        }
    }
}

pub(crate) struct Site {
    // End before their namespaces do.
    pub(crate) west: Primary,
    pub(crate) east: Primary,
    pub(crate) host_a: Namespace,
    pub(crate) host_b: Namespace,
    over: Family,
    keys: TempDir,
    pub(crate) gateways: [Namespace; 2],
}

/// An SA of both ends: one direction.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'w> {
    pub(crate) spi: u32,
    /// From west to east, or back.
    pub(crate) eastward: bool,
    pub(crate) transform: &'w str,
    /// More words, the same at both ends.
    pub(crate) more: &'w str,
}

impl Pair<'_> {
    /// Its keys, as no other SA and nothing else has them.
    pub(crate) fn key(&self) -> Vec<u8> {
        let (_, bytes) = TRANSFORMS
            .iter()
            .find(|(name, _)| *name == self.transform)
            .unwrap();
        let mut random = Random::new(u64::from(self.spi) << 32 | *bytes as u64);
        (0..*bytes).map(|_| random.below(256) as u8).collect()
    }
}

impl Site {
    /// With a tunnel over packets of a family, and routes of both into it; without SAs.
    pub(crate) fn create(over: Family, workers: usize) -> Self {
        Self::create_by(over, workers, Way::default())
    }

    /// The same by other links and with another tunnel.
    pub(crate) fn create_by(over: Family, workers: usize, way: Way<'_>) -> Self {
        let addresses = |family, host| vec![host_address(family, host)];
        let both = TwoGateways::create(Privilege::detect(), way.mtu, addresses, |primary| {
            // Buffers of af_packet are as long as its MTU.
            let memory_mb = if way.mtu > 1500 { 384 } else { 256 };
            primary.workers(workers).memory_mb(memory_mb).under(way.under)
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
            over,
            keys: TempDir::new().unwrap(),
            gateways,
        };
        for (primary, here, there, inside) in [(&site.west, 1, 2, "a0"), (&site.east, 2, 1, "b0")] {
            let (local, remote) = (end(over, here), end(over, there));
            primary.tell(&format!(
                "tunnel add {TUNNEL} mode esp local {local} remote {remote} unnumbered {inside} {}",
                way.tunnel
            ));
            for family in Family::BOTH {
                let prefix = family.choose(format!("192.168.{there}.0/24"), format!("2001:db8:{there}::/64"));
                primary.tell(&format!("route add {prefix} dev {TUNNEL}"));
            }
        }
        site
    }

    /// Installs the SA of a direction at the end that receives, then at the one that sends.
    pub(crate) fn install(&self, pair: Pair<'_>) {
        let (from, to) = if pair.eastward { (1, 2) } else { (2, 1) };
        let ends = [(&self.west, 1), (&self.east, 2)];
        let (receives, sends) = if pair.eastward {
            (ends[1].0, ends[0].0)
        } else {
            (ends[0].0, ends[1].0)
        };
        let keys = self.key_file(pair);
        let (source, destination) = (end(self.over, from), end(self.over, to));
        for (primary, direction) in [(receives, "in"), (sends, "out")] {
            let Pair {
                spi, transform, more, ..
            } = pair;
            primary.tell(&format!(
                    "sa add spi {spi} {direction} src {source} dst {destination} tunnel {TUNNEL} transform {transform} keys {} {more}",
                    keys.display()
                ),
            );
        }
    }

    /// Deletes the SA of a direction, at the end that sends first.
    pub(crate) fn delete(&self, spi: u32, eastward: bool) {
        let (to, first, then) = if eastward {
            (2, &self.west, &self.east)
        } else {
            (1, &self.east, &self.west)
        };
        for primary in [first, then] {
            primary.tell(&format!("sa del spi {spi} dst {}", end(self.over, to)));
        }
    }

    /// Installs SAs for both directions.
    pub(crate) fn protect(&self, transform: &str, more: &str) {
        for (spi, eastward) in [(0x1001, true), (0x1002, false)] {
            self.install(Pair {
                spi,
                eastward,
                transform,
                more,
            });
        }
    }

    fn key_file(&self, pair: Pair<'_>) -> PathBuf {
        let key = pair.key().into_iter().map(|byte| format!("{byte:02x}"));
        let path = self.keys.path().join(format!("{}-{}", pair.spi, pair.transform));
        fs::write(&path, key.collect::<String>()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Waits until host-a gets an answer: neighbours are found then.
    pub(crate) fn warm_up(&self, family: Family) {
        let to = host_address(family, 2);
        wait_until("that pings go through the tunnel", LIMIT, || {
            let pings = self.host_a.ping(&to, &["-c", "1", "-W", "1"], LIMIT)?;
            Ok(pings.all_answered().then_some(()))
        })
        .unwrap();
    }

    /// Pings of this size from host-a until one is answered: each end of IPv6 may have to be told once how much goes through in one piece.
    #[track_caller]
    pub(crate) fn learn_mtu(&self, family: Family, size: &str) {
        let to = host_address(family, 2);
        let words = ["-c", "1", "-W", "1", "-M", "dont", "-s", size];
        let is_answered = |_| self.host_a.ping(&to, &words, LIMIT).unwrap().all_answered();
        assert!((0..family.choose(1, 3)).any(is_answered), "{family} {size}");
    }

    /// Waits until both gateways are at rest, and each packet is accounted for.
    pub(crate) fn assert_balanced(&self) {
        for primary in [&self.west, &self.east] {
            primary.counters_at_rest().unwrap().assert_balanced();
        }
    }
}

/// The address of a host, 1 or 2.
pub(crate) fn host_address(family: Family, host: u8) -> String {
    family.choose(format!("192.168.{host}.2"), format!("2001:db8:{host}::2"))
}

/// An end of the tunnel, 1 or 2.
pub(crate) fn end(over: Family, gateway: u8) -> String {
    TwoGateways::outside(over, gateway)
}

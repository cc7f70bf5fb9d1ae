//! A network that loses, repeats, delays and cuts, and may have a NAT in front of the first end.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ike_engine::Path;

/// Numbers that look random, and are the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Rewrites address and port of what the first end sends.
pub(crate) struct NatBox {
    pub(crate) inside: IpAddr,
    pub(crate) outside: IpAddr,
    next_port: u16,
    ports: BTreeMap<SocketAddr, u16>,
}

impl NatBox {
    pub(crate) fn new(inside: IpAddr, outside: IpAddr) -> NatBox {
        let (next_port, ports) = (20_000, BTreeMap::new());
        NatBox {
            inside,
            outside,
            next_port,
            ports,
        }
    }

    /// Forgets everything: what is sent next has other ports.
    pub(crate) fn rebind(&mut self) {
        self.ports.clear();
    }

    fn out(&mut self, from: SocketAddr) -> SocketAddr {
        let port = self.ports.entry(from).or_insert_with(|| {
            self.next_port += 1;
            self.next_port
        });
        (self.outside, *port).into()
    }

    fn back(&self, to: SocketAddr) -> Option<SocketAddr> {
        let inside = self.ports.iter().find(|(_, port)| **port == to.port());
        inside.map(|(inside, _)| *inside)
    }
}

pub(crate) struct Network {
    pub(crate) dice: Dice,
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    /// Milliseconds that a datagram takes: at least, and at most.
    pub(crate) delay: (u64, u64),
    /// Bytes of an IP packet.
    pub(crate) mtu: usize,
    pub(crate) nat: Option<NatBox>,
    pub(crate) too_big: u64,
}

impl Network {
    pub(crate) fn good(seed: u64) -> Network {
        Network {
            dice: Dice(seed),
            loss: 0,
            duplicates: 0,
            delay: (10, 10),
            mtu: 1500,
            nat: None,
            too_big: 0,
        }
    }

    /// When copies of a datagram arrive, and from where to where they come then.
    pub(crate) fn carry(&mut self, path: Path, len: usize) -> Vec<(u64, Path)> {
        let headers = if path.local.is_ipv4() { 28 } else { 48 };
        if len + headers > self.mtu {
            self.too_big += 1;
            return Vec::new();
        }
        let (mut from, mut to) = (path.local, path.remote);
        if let Some(nat) = &mut self.nat {
            if from.ip() == nat.inside {
                from = nat.out(from);
            } else if to.ip() == nat.outside {
                match nat.back(to) {
                    Some(inside) => to = inside,
                    None => return Vec::new(),
                }
            }
        }
        let copies = 1 + u64::from(self.dice.percent(self.duplicates));
        let arrives = Path {
            local: to,
            remote: from,
        };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if !self.dice.percent(self.loss) {
                let spread = self.delay.1 - self.delay.0;
                arrivals.push((self.delay.0 + self.dice.below(spread + 1), arrives));
            }
        }
        arrivals
    }
}

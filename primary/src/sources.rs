//! The addresses of an interface as workers see them: where ICMP errors come from, what is for the gateway's link-local
//! address, and which solicited-node groups it is in.
//!
//! ```text
//!   word 0        sequence: odd while the control thread writes
//!   word 1        how many of the IPv4 and of the IPv6 addresses below there are, and of the groups
//!   words 2,3     link-local address; zero when there is none
//!   then          IPv4 addresses, a word each:        prefix length (8 bits from bit 32) │ address
//!   then          IPv6 addresses, three words each:   prefix length, address
//!   then          groups, a word each:                the last 24 bits of an IPv6 address, RFC 4291 section 2.7.1
//! ```
//!
//! The first of each family is what to use when no subnet holds the destination. A reader that meets the writer three
//! times in a row goes without: it was to make an error, which may be left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses of one family that workers choose among.
const CHOICE: usize = 4;
const LINK_LOCAL: usize = 2;
const FIRST4: usize = 4;
const FIRST6: usize = FIRST4 + CHOICE;
const FIRST_GROUP: usize = FIRST6 + 3 * CHOICE;
/// Groups that are told apart; an interface that is in more takes what is for any.
const GROUPS: usize = 8;
const WORDS: usize = FIRST_GROUP + GROUPS;
const TRIES: usize = 3;

/// The addresses of one interface. Written by the control thread only.
#[derive(Debug)]
pub struct SourceAddresses {
    words: [AtomicU64; WORDS],
}

impl Default for SourceAddresses {
    fn default() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl SourceAddresses {
    /// Sets what workers see from now on: of the addresses in use the first few of each family, and of all of the interface's
    /// IPv6 addresses, those included that are not in use, the solicited-node groups.
    pub fn set(
        &self,
        link_local: Option<Ipv6Addr>,
        addresses: impl Iterator<Item = IpNet>,
        all: impl Iterator<Item = Ipv6Addr>,
    ) {
        let mut words = [0; WORDS];
        let (mut count4, mut count6) = (0, 0);
        let bits = link_local.map_or(0, Ipv6Addr::to_bits);
        words[LINK_LOCAL] = (bits >> 64) as u64;
        words[LINK_LOCAL + 1] = bits as u64;
        for net in addresses {
            match net {
                IpNet::V4(net) if count4 < CHOICE => {
                    words[FIRST4 + count4] =
                        u64::from(net.prefix_len()) << 32 | u64::from(net.addr().to_bits());
                    count4 += 1;
                }
                IpNet::V6(net) if count6 < CHOICE => {
                    let bits = net.addr().to_bits();
                    let place = FIRST6 + 3 * count6;
                    words[place] = u64::from(net.prefix_len());
                    words[place + 1] = (bits >> 64) as u64;
                    words[place + 2] = bits as u64;
                    count6 += 1;
                }
                _ => {}
            }
        }
        let mut groups = 0;
        for address in all {
            let known = words.get(FIRST_GROUP..FIRST_GROUP + groups);
            if known.is_some_and(|known| known.contains(&group(address))) {
                continue;
            }
            if let Some(word) = words.get_mut(FIRST_GROUP + groups) {
                *word = group(address);
            }
            groups += 1;
        }
        words[1] = (groups.min(GROUPS + 1) << 16 | count4 << 8 | count6) as u64;
        let sequence = self.words[0].load(Ordering::Relaxed);
        self.words[0].store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (cell, word) in self.words.iter().zip(words).skip(1) {
            cell.store(word, Ordering::Relaxed);
        }
        self.words[0].store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// The link-local address, if there is one in use.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        let words = self.read()?;
        let bits = u128::from(words[LINK_LOCAL]) << 64 | u128::from(words[LINK_LOCAL + 1]);
        (bits != 0).then(|| Ipv6Addr::from_bits(bits))
    }

    /// Whether the interface is in this solicited-node group, as far as that is told apart.
    pub fn is_in(&self, solicited_node: Ipv6Addr) -> bool {
        let Some(words) = self.read() else {
            return true;
        };
        let groups = (words[1] >> 16) as usize;
        match words.get(FIRST_GROUP..FIRST_GROUP + groups) {
            Some(mine) => mine.contains(&group(solicited_node)),
            None => true,
        }
    }

    /// The address to answer `destination` from: one of its subnet, otherwise the first one. None for the broadcast address of a
    /// subnet, which is no single host's.
    pub fn towards4(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        let words = self.read()?;
        let nets = nets4(&words);
        let is_broadcast = |net: Ipv4Net| {
            net.prefix_len() < 31 && (destination == net.broadcast() || destination == net.network())
        };
        if nets.clone().any(is_broadcast) {
            return None;
        }
        towards(nets.map(IpNet::V4), destination.into()).and_then(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The address to answer `destination` from: the link-local one for a link-local destination and where there is no
    /// other, one of its subnet, otherwise the first one.
    pub fn towards6(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        if destination.is_unicast_link_local() {
            return self.link_local();
        }
        let words = self.read()?;
        match towards(nets6(&words).map(IpNet::V6), destination.into()) {
            Some(IpAddr::V6(address)) => Some(address),
            _ => self.link_local(),
        }
    }

    /// The address in the subnet that two others share, if they do in one of the first few.
    pub fn shared4(&self, one: Ipv4Addr, other: Ipv4Addr) -> Option<Ipv4Addr> {
        let words = self.read()?;
        let shared = nets4(&words).find(|net| net.contains(&one) && net.contains(&other));
        shared.map(|net| net.addr())
    }

    /// Whether an address is in one of the first few subnets.
    pub fn is_on_link6(&self, address: Ipv6Addr) -> bool {
        self.read()
            .is_some_and(|words| nets6(&words).any(|net| net.contains(&address)))
    }

    fn read(&self) -> Option<[u64; WORDS]> {
        (0..TRIES).find_map(|_| {
            let before = self.words[0].load(Ordering::Acquire);
            let words = std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            let after = self.words[0].load(Ordering::Relaxed);
            (before == after && before.is_multiple_of(2)).then_some(words)
        })
    }
}

fn nets4(words: &[u64; WORDS]) -> impl Iterator<Item = Ipv4Net> + Clone + '_ {
    let places = words.get(FIRST4..FIRST4 + (words[1] >> 8 & 0xff) as usize);
    let net = |word: &u64| Ipv4Net::new(Ipv4Addr::from_bits(*word as u32), (word >> 32) as u8).ok();
    places.unwrap_or_default().iter().filter_map(net)
}

fn nets6(words: &[u64; WORDS]) -> impl Iterator<Item = Ipv6Net> + Clone + '_ {
    let places = words.get(FIRST6..FIRST6 + 3 * (words[1] & 0xff) as usize);
    let net = |[length, high, low]: &[u64; 3]| {
        let bits = u128::from(*high) << 64 | u128::from(*low);
        Ipv6Net::new(Ipv6Addr::from_bits(bits), *length as u8).ok()
    };
    places.unwrap_or_default().as_chunks().0.iter().filter_map(net)
}

/// The part of an address that its solicited-node group has in common with it.
fn group(address: Ipv6Addr) -> u64 {
    address.to_bits() as u64 & 0xff_ffff
}

fn towards(nets: impl Iterator<Item = IpNet> + Clone, destination: IpAddr) -> Option<IpAddr> {
    let in_subnet = nets.clone().find(|net| net.contains(&destination));
    in_subnet.or_else(|| nets.clone().next()).map(|net| net.addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn nets(text: &str) -> Vec<IpNet> {
        text.split(' ').map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn the_address_of_the_destinations_subnet_comes_before_the_first() {
        let sources = SourceAddresses::default();
        assert_eq!(sources.towards4([10, 0, 0, 9].into()), None);
        assert_eq!(sources.link_local(), None);
        let link_local = "fe80::1".parse().unwrap();
        sources.set(
            Some(link_local),
            nets("192.0.2.1/24 10.0.0.1/8 2001:db8:1::1/64 2001:db8:2::1/64").into_iter(),
            std::iter::empty(),
        );
        let six = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        assert_eq!(sources.towards4([10, 9, 9, 9].into()), Some([10, 0, 0, 1].into()));
        assert_eq!(
            sources.towards4([172, 16, 0, 1].into()),
            Some([192, 0, 2, 1].into())
        );
        for broadcast in [[192, 0, 2, 255], [192, 0, 2, 0], [10, 255, 255, 255]] {
            assert_eq!(sources.towards4(broadcast.into()), None);
        }
        assert_eq!(sources.towards6(six("2001:db8:2::9")), Some(six("2001:db8:2::1")));
        assert_eq!(sources.towards6(six("2001:db8:9::9")), Some(six("2001:db8:1::1")));
        assert_eq!(sources.towards6(six("fe80::9")), Some(link_local));
        sources.set(Some(link_local), std::iter::empty(), std::iter::empty());
        assert_eq!(sources.towards6(six("2001:db8:9::9")), Some(link_local));
        assert_eq!(sources.towards4([10, 9, 9, 9].into()), None);
    }

    #[test]
    fn what_is_in_a_subnet_is_told_from_what_is_not() {
        let sources = SourceAddresses::default();
        let (a, b): (Ipv4Addr, Ipv4Addr) = ([192, 0, 2, 9].into(), [192, 0, 2, 8].into());
        assert_eq!(sources.shared4(a, b), None);
        sources.set(
            None,
            nets("10.0.0.1/8 192.0.2.1/24 2001:db8:1::1/64").into_iter(),
            std::iter::empty(),
        );
        assert_eq!(sources.shared4(a, b), Some([192, 0, 2, 1].into()));
        assert_eq!(sources.shared4(a, [10, 0, 0, 9].into()), None);
        assert_eq!(sources.shared4(a, [172, 16, 0, 1].into()), None);
        let on_link = |text: &str| sources.is_on_link6(text.parse().unwrap());
        assert!(on_link("2001:db8:1::9") && !on_link("2001:db8:2::9") && !on_link("fe80::9"));
    }

    #[test]
    fn solicited_node_groups_are_told_apart_up_to_eight() {
        let sources = SourceAddresses::default();
        let address = |number: u32| Ipv6Addr::from_bits(0x2001 << 112 | u128::from(number));
        let solicited = |number| packet::ipv6::solicited_node(address(number));
        assert!(!sources.is_in(solicited(0)));
        sources.set(None, std::iter::empty(), (1..=8).map(address));
        assert!((1..=8).all(|number| sources.is_in(solicited(number))));
        assert!(!sources.is_in(solicited(9)));
        sources.set(None, std::iter::empty(), (1..=8).chain(1..=8).map(address));
        assert!(!sources.is_in(solicited(9)));
        sources.set(None, std::iter::empty(), (1..=9).map(address));
        assert!(sources.is_in(solicited(9)) && sources.is_in(solicited(77)));
    }

    #[test]
    fn a_reader_beside_the_writer_sees_one_set_or_the_other() {
        let sources = SourceAddresses::default();
        let sets = ["2001:db8::1/64", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"].map(nets);
        let addresses = sets.clone().map(|set| set[0].addr());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..100_000 {
                    sources.set(None, sets[round % 2].iter().copied(), std::iter::empty());
                }
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                if let Some(found) = sources.towards6("2001:db8:9::9".parse().unwrap()) {
                    assert!(addresses.contains(&IpAddr::V6(found)), "{found}");
                }
            }
        });
    }
}

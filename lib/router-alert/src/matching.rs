//! Which rule a packet with a router alert belongs to.
//!
//! ```text
//!   family, value ──► which range of values? ──► a bit for each rule ─┐
//!   protocol ───────────────────────────────────► a bit for each rule ─┴─► and ──► the first whose interface and prefixes fit
//! ```
//!
//! The rules stand in the order in which they are asked, so the lowest bit is the rule that goes first. Rules are compiled
//! once; a search in them costs a binary search among the bounds of the values and a look at each rule that has value and
//! protocol.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use packet::Protocol;
use serde::{Deserialize, Serialize};

use crate::Family;
use crate::values::ValueSet;

/// The longest name, bytes.
pub const NAME_MAX: usize = 31;

/// Whether a text can be a name: 1 to [`NAME_MAX`] letters of ASCII, digits, `_`, `.` and `-`.
pub fn is_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_good)
}

/// What packets a rule is for. What is `None` is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What people call it; rules that are in use have one that [`is_name`].
    pub name: String,
    /// Rules with a higher priority are asked before those with a lower one; equal ones in the order in which they are given.
    pub priority: u32,
    /// The family of the packet.
    pub family: Option<Family>,
    /// The values of router alerts.
    pub values: ValueSet,
    /// What follows the header with the router alert: the protocol of IPv4, the next header of IPv6's hop-by-hop header.
    pub protocol: Option<u8>,
    /// The name of the interface by which the packet came.
    pub interface: Option<String>,
    /// Where the packet comes from.
    pub source: Option<IpNet>,
    /// Where the packet goes.
    pub destination: Option<IpNet>,
}

impl Rule {
    /// A rule for all packets with one of these values, of priority 0.
    pub fn new(name: impl Into<String>, values: ValueSet) -> Self {
        Self {
            name: name.into(),
            priority: 0,
            family: None,
            values,
            protocol: None,
            interface: None,
            source: None,
            destination: None,
        }
    }
}

/// What rules look at in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its family.
    pub family: Family,
    /// The value of its router alert.
    pub value: u16,
    /// What follows the header with the router alert, as in [`crate::alert::Alert`].
    pub protocol: Protocol,
    /// The index of the interface by which it came.
    pub interface: u16,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
}

/// Rules, made ready to be searched.
///
/// ```
/// use packet::Protocol;
/// use router_alert::Family;
/// use router_alert::matching::{Key, Rule, Rules};
///
/// let rest = Rule::new("rest", "any".parse()?);
/// let levels = Rule { priority: 10, ..Rule::new("nesting-levels", "4-35".parse()?) };
/// let rules = Rules::new([rest, levels], |_| None);
/// let key = Key {
///     family: Family::Six,
///     value: 5,
///     protocol: Protocol::TCP,
///     interface: 0,
///     source: "2001:db8::1".parse()?,
///     destination: "2001:db8:1::1".parse()?,
/// };
/// assert_eq!(rules.find(&key), Some(1));
/// assert_eq!(rules.find(&Key { value: 3, ..key }), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// In the order in which they are asked.
    rules: Vec<Ranked>,
    four: Values,
    six: Values,
    /// By protocol, the rules that may be meant: `words` each.
    protocols: Vec<u64>,
    /// Words of 64 rules.
    words: usize,
}

/// What is left to look at of a rule that has family, value and protocol.
#[derive(Clone, Debug)]
struct Ranked {
    /// Its number among the rules as they were given.
    index: usize,
    interface: Option<u16>,
    source: Option<IpNet>,
    destination: Option<IpNet>,
}

/// By ranges of values, the rules that may be meant.
#[derive(Clone, Debug)]
struct Values {
    /// Where the ranges begin, in order; the first at 0.
    starts: Vec<u16>,
    /// `words` for each.
    masks: Vec<u64>,
}

impl Rules {
    /// Compiles rules; `index_of` knows the index of an interface by its name. A rule for an interface that is not there fits
    /// nothing.
    pub fn new(rules: impl IntoIterator<Item = Rule>, index_of: impl Fn(&str) -> Option<u16>) -> Self {
        let resolve = |(index, rule): (usize, Rule)| {
            let interface = match &rule.interface {
                None => None,
                Some(name) => Some(index_of(name)?),
            };
            let ranked = Ranked {
                index,
                interface,
                source: rule.source,
                destination: rule.destination,
            };
            Some((ranked, rule))
        };
        let mut ranked: Vec<_> = rules.into_iter().enumerate().filter_map(resolve).collect();
        // Keeps the order of those with equal priority.
        ranked.sort_by_key(|(_, rule)| Reverse(rule.priority));
        let words = ranked.len().div_ceil(64).max(1);
        let mut protocols = Vec::with_capacity(256 * words);
        for protocol in 0..=u8::MAX {
            let fits = |rule: &Rule| rule.protocol.is_none_or(|of_rule| of_rule == protocol);
            protocols.extend(mask(&ranked, words, fits));
        }
        Self {
            four: Values::new(Family::Four, &ranked, words),
            six: Values::new(Family::Six, &ranked, words),
            protocols,
            words,
            rules: ranked.into_iter().map(|(ranked, _)| ranked).collect(),
        }
    }

    /// The rule that a packet belongs to, as a number among the rules that were given: of those that fit it, that of the highest
    /// priority, and among equals the first. `None` if no rule fits.
    pub fn find(&self, key: &Key) -> Option<usize> {
        let values = match key.family {
            Family::Four => &self.four,
            Family::Six => &self.six,
        };
        let range = values.starts.partition_point(|start| *start <= key.value);
        let by_value = values.masks.chunks_exact(self.words).nth(range.checked_sub(1)?)?;
        let by_protocol = self
            .protocols
            .chunks_exact(self.words)
            .nth(key.protocol.0.into())?;
        for (ranked, (value, protocol)) in self.rules.chunks(64).zip(by_value.iter().zip(by_protocol)) {
            let mut left = value & protocol;
            while left != 0 {
                let rule = ranked.get(left.trailing_zeros() as usize)?;
                if rule.fits(key) {
                    return Some(rule.index);
                }
                left &= left - 1;
            }
        }
        None
    }
}

impl Ranked {
    fn fits(&self, key: &Key) -> bool {
        let is_from = |prefix: &IpNet| prefix.contains(&key.source);
        let is_to = |prefix: &IpNet| prefix.contains(&key.destination);
        self.interface.is_none_or(|interface| interface == key.interface)
            && self.source.as_ref().is_none_or(is_from)
            && self.destination.as_ref().is_none_or(is_to)
    }
}

impl Values {
    fn new(family: Family, ranked: &[(Ranked, Rule)], words: usize) -> Self {
        let is_of_family = |rule: &Rule| rule.family.is_none_or(|of_rule| of_rule == family);
        let mut starts = vec![0];
        for (_, rule) in ranked.iter().filter(|(_, rule)| is_of_family(rule)) {
            for range in rule.values.ranges() {
                starts.push(*range.start());
                starts.extend(range.end().checked_add(1));
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let of_range = |start: &u16| {
            mask(ranked, words, |rule| {
                is_of_family(rule) && rule.values.contains(*start)
            })
        };
        let masks = starts.iter().flat_map(of_range).collect();
        Self { starts, masks }
    }
}

/// A bit for each rule, set if it fits: the lowest of the first word for the first.
fn mask(ranked: &[(Ranked, Rule)], words: usize, fits: impl Fn(&Rule) -> bool) -> Vec<u64> {
    let mut mask = vec![0; words];
    for (word, rules) in mask.iter_mut().zip(ranked.chunks(64)) {
        for (bit, (_, rule)) in rules.iter().enumerate() {
            *word |= u64::from(fits(rule)) << bit;
        }
    }
    mask
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, priority {}, ", self.name, self.priority)?;
        if let Some(family) = self.family {
            write!(f, "{family}, ")?;
        }
        write!(f, "values {}", self.values)?;
        if let Some(protocol) = self.protocol {
            write!(f, ", protocol {}", Protocol(protocol))?;
        }
        if let Some(interface) = &self.interface {
            write!(f, ", by {interface}")?;
        }
        if let Some(source) = self.source {
            write!(f, ", from {source}")?;
        }
        if let Some(destination) = self.destination {
            write!(f, ", to {destination}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

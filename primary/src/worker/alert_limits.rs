//! How many router alerts may go to the tool that decides about them: RFC 6398 section 5.
//!
//! ```text
//!   source prefix ─► rule ─► ingress interface ─► all      each may have a token bucket; all is the rate of [[punt]]
//!        └───────────┴───────────────┴─────────────┴─► excess: goes on as if no tool were asked, or is dropped
//! ```
//!
//! All buckets are asked before a token is taken of any, so a packet that one of them refuses costs the others nothing: a flood
//! on one interface leaves the budget of all to the others. It is counted by the first that refuses it, the closest to its cause.
//!
//! The buckets of a worker have its share of each rate.

use control::message::{ALERT_RULES, AlertRate, PuntClass};
use packet::EtherType;
use packet::ethernet::EthernetHeader;
use shm::AlertCounter;

use self::sources::Sources;
use super::Policies;
use super::policer::{Bucket, Policer};
use crate::alerts::RuleSet;

mod sources;

/// What becomes of router alerts that are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// They go on as if no tool were asked.
    Forward,
    /// They are dropped.
    Drop,
}

impl Excess {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Drop];

    /// The name as configuration has it.
    pub fn name(self) -> &'static str {
        ["forward", "drop"][self as usize]
    }
}

/// How many router alerts go to tools, beside the rate of their class and those of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertPolicy {
    /// What becomes of the others.
    pub excess: Excess,
    /// Of each interface that they come in by.
    pub interface: Option<AlertRate>,
    /// Of each source, which is an address of IPv4 or a /64 of IPv6.
    pub source: Option<AlertRate>,
}

impl AlertPolicy {
    /// The policy where nothing is said.
    pub const DEFAULT: Self = Self {
        excess: Excess::Forward,
        interface: None,
        source: None,
    };
}

/// The bucket that refused a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// That of its source.
    Source,
    /// That of its rule.
    Rule,
    /// That of the interface that it came in by.
    Interface,
    /// That of all.
    Global,
}

impl Spent {
    /// Where its packets are counted for their rule.
    pub fn counter(self) -> AlertCounter {
        match self {
            Self::Source => AlertCounter::LimitedSource,
            Self::Rule => AlertCounter::LimitedRule,
            Self::Interface => AlertCounter::LimitedInterface,
            Self::Global => AlertCounter::LimitedGlobal,
        }
    }
}

/// A worker's buckets.
pub struct AlertLimits {
    policy: AlertPolicy,
    global: Bucket,
    interfaces: Option<Policer>,
    /// By rule.
    rules: Vec<Option<(AlertRate, Bucket)>>,
    sources: Sources,
    /// Among how many the rates are shared out.
    workers: u64,
    tsc_hz: u64,
}

impl AlertLimits {
    /// Full buckets at `now`, of one of so many workers.
    pub fn new(policies: &Policies, workers: u64, tsc_hz: u64, now: u64) -> Self {
        let mut limits = Self {
            policy: policies.alerts,
            global: share(of_class(policies), workers, tsc_hz, now),
            interfaces: None,
            rules: vec![None; ALERT_RULES],
            sources: Sources::new(sources::SOURCES),
            workers,
            tsc_hz,
        };
        limits.set(policies, now);
        limits
    }

    /// Other policies from `now` on, with full buckets; rules have the buckets that they had.
    pub fn set(&mut self, policies: &Policies, now: u64) {
        let (workers, hz) = (self.workers, self.tsc_hz);
        self.policy = policies.alerts;
        self.global = share(of_class(policies), workers, hz, now);
        self.interfaces = policies.alerts.interface.map(|limit| {
            let AlertRate { rate, burst } = part(limit, workers);
            Policer::new(hz, (rate.into(), burst.into()), now)
        });
        self.sources.clear();
    }

    /// What each rule lets through from `now` on.
    pub fn set_rules(&mut self, rules: Option<&RuleSet>, now: u64) {
        for rule in 0..ALERT_RULES as u16 {
            let terms = rules.and_then(|rules| rules.rule(rule));
            self.set_rule(rule, terms.and_then(|terms| terms.rate), now);
        }
    }

    /// What a rule lets through from `now` on, if not all. A rule whose limit is the same keeps its bucket.
    fn set_rule(&mut self, rule: u16, limit: Option<AlertRate>, now: u64) {
        let Some(place) = self.rules.get_mut(usize::from(rule)) else {
            return;
        };
        if place.map(|(before, _)| before) != limit {
            *place = limit.map(|limit| (limit, share(limit, self.workers, self.tsc_hz, now)));
        }
    }

    /// What becomes of packets that are refused.
    pub fn excess(&self) -> Excess {
        self.policy.excess
    }

    /// Whether a frame that came in by `ingress` and fits a rule may go to the tool, or which bucket refuses it.
    pub fn admit(&mut self, ingress: u16, rule: Option<u16>, frame: &[u8], now: u64) -> Result<(), Spent> {
        let source = self.policy.source.map(|limit| (source_of(frame), limit));
        let known = source.and_then(|(source, _)| self.sources.find(source));
        if known.is_some_and(|bucket| !bucket.would_admit(now)) {
            return Err(Spent::Source);
        }
        let rule = rule.and_then(|rule| self.rules.get_mut(usize::from(rule))?.as_mut());
        let rule = rule.map(|(_, bucket)| bucket);
        if rule.as_ref().is_some_and(|bucket| !bucket.would_admit(now)) {
            return Err(Spent::Rule);
        }
        let interfaces = self.interfaces.as_mut();
        if interfaces
            .as_ref()
            .is_some_and(|policer| !policer.would_admit(ingress, now))
        {
            return Err(Spent::Interface);
        }
        if !self.global.admit(now) {
            return Err(Spent::Global);
        }
        // None of them refuses now.
        if let Some(policer) = interfaces {
            policer.admit(ingress, now);
        }
        if let Some(bucket) = rule {
            bucket.admit(now);
        }
        if let Some((source, limit)) = source {
            let (workers, hz) = (self.workers, self.tsc_hz);
            let bucket = self
                .sources
                .find_or_insert(source, || share(limit, workers, hz, now));
            bucket.admit(now);
        }
        Ok(())
    }
}

fn of_class(policies: &Policies) -> AlertRate {
    let class = &policies.classes[PuntClass::RouterAlert as usize];
    AlertRate {
        rate: class.rate,
        burst: class.burst,
    }
}

/// What one of so many workers has of a rate.
fn part(limit: AlertRate, workers: u64) -> AlertRate {
    let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
    AlertRate {
        rate: limit.rate.div_ceil(workers),
        burst: limit.burst,
    }
}

/// The full bucket of one of so many workers.
fn share(limit: AlertRate, workers: u64, tsc_hz: u64, now: u64) -> Bucket {
    let AlertRate { rate, burst } = part(limit, workers);
    Bucket::new(tsc_hz, rate.into(), burst.into(), now)
}

/// Before an IPv4 address, where an IPv6 prefix has its first half: it is of a multicast address, which is nobody's source.
const OF_IPV4: u64 = 0xffff_ffff_0000_0000;

/// The IPv4 address or the /64 of IPv6 that a frame comes from, which the stages have checked.
fn source_of(frame: &[u8]) -> u64 {
    let source = EthernetHeader::parse(frame)
        .ok()
        .and_then(|(link, packet)| match link.ethertype {
            EtherType::IPV4 => {
                let address = packet.get(12..)?.first_chunk()?;
                Some(OF_IPV4 | u64::from(u32::from_be_bytes(*address)))
            }
            _ => Some(u64::from_be_bytes(*packet.get(8..)?.first_chunk()?)),
        });
    source.unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! `[load_balancer]`: when connections end that have no packets, and what is done with packets of all services where there is a choice.

use control::message::ServiceOptions;
use document::Section;
use lb::{Fragments, Policy, Timeouts};

use super::words::{Words, name, word};

/// The longest time for which errors about a connection are translated that has ended, seconds: its local port waits as long.
const MAX_GRACE: u32 = 60;

/// `[load_balancer]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    /// When connections end, of services that do not say it.
    pub timeouts: Timeouts,
    /// What is done with packets of all services.
    pub policy: Policy,
}

impl LoadBalancer {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let mut read = Self::default();
        for (key, value) in read.numbers_mut() {
            let most = if key == GRACE {
                0..=MAX_GRACE
            } else {
                1..=ServiceOptions::MAX_TIMEOUT
            };
            *value = section.integer(key, most).map_or(*value, |at| at.value);
        }
        for (key, value) in read.switches_mut() {
            *value = section.boolean(key).map_or(*value, |at| at.value);
        }
        if let Some(fragments) = word(&section, FRAGMENTS, &OF_FRAGMENTS) {
            read.policy.fragments = fragments;
        }
        let is_short = section.boolean(SHORT).is_some_and(|at| at.value);
        let icmp = read.timeouts.icmp;
        if icmp < LEAST_ICMP && !is_short {
            let sentence = format!(
                "icmp = {icmp} in [load_balancer] ends pings that are still answered: use {LEAST_ICMP} or more (RFC 5508 REQ-2), or \
                 write {SHORT} = true as well"
            );
            let place = section
                .integer("icmp", 1..=LEAST_ICMP)
                .map_or(section.place, |at| at.place);
            section.document.report(place, sentence);
        }
        section.finish();
        read
    }

    /// Its keys with their numbers, seconds.
    pub fn numbers(mut self) -> [(&'static str, u32); 10] {
        self.numbers_mut().map(|(key, value)| (key, *value))
    }

    /// The key that is to be true beside its numbers, if there is one.
    pub fn force(&self) -> Option<&'static str> {
        (self.timeouts.icmp < LEAST_ICMP).then_some(SHORT)
    }

    /// Its keys that are true or false.
    pub fn switches(mut self) -> [(&'static str, bool); 3] {
        self.switches_mut().map(|(key, value)| (key, *value))
    }

    /// Its keys that have words.
    pub fn words(&self) -> [(&'static str, &'static str); 1] {
        [(FRAGMENTS, name(&OF_FRAGMENTS, &self.policy.fragments))]
    }

    fn numbers_mut(&mut self) -> [(&'static str, &mut u32); 10] {
        let timeouts = &mut self.timeouts;
        [
            ("tcp_syn_recv", &mut timeouts.tcp_syn_recv),
            ("tcp_established", &mut timeouts.tcp_established),
            ("tcp_fin_wait", &mut timeouts.tcp_fin_wait),
            ("tcp_time_wait", &mut timeouts.tcp_time_wait),
            ("tcp_close", &mut timeouts.tcp_close),
            ("tcp_close_wait", &mut timeouts.tcp_close_wait),
            ("tcp_last_ack", &mut timeouts.tcp_last_ack),
            ("udp", &mut timeouts.udp),
            ("icmp", &mut timeouts.icmp),
            (GRACE, &mut self.policy.err_grace_s),
        ]
    }

    fn switches_mut(&mut self) -> [(&'static str, &mut bool); 3] {
        let policy = &mut self.policy;
        [
            ("fast_xmit", &mut policy.fast_xmit),
            ("source_quench_forward", &mut policy.source_quench_forward),
            ("strict_inner_csum", &mut policy.strict_inner_csum),
        ]
    }
}

const LEAST_ICMP: u32 = ServiceOptions::LEAST_ICMP_TIMEOUT;
/// The key that says that connections of ICMP queries may end sooner.
const SHORT: &str = "icmp_short";
const GRACE: &str = "err_grace";
/// What becomes of fragments for services, and from their servers.
const FRAGMENTS: &str = "fragments";
const OF_FRAGMENTS: Words<Fragments, 2> = [("join", Fragments::Join), ("drop", Fragments::Drop)];

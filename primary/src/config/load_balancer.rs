//! `[load_balancer]`: when connections end that have no packets, and what is done with ICMP where there is a choice.

use control::message::ServiceOptions;
use document::Section;
use lb::{Policy, Timeouts};

/// The longest time for which errors about a connection are translated that has ended, seconds: its local port waits as long.
const MAX_GRACE: u32 = 60;

/// `[load_balancer]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    /// When connections end, of services that do not say it.
    pub timeouts: Timeouts,
    /// What is done with ICMP.
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
        section.finish();
        read
    }

    /// Its keys with their numbers, seconds.
    pub fn numbers(mut self) -> [(&'static str, u32); 10] {
        self.numbers_mut().map(|(key, value)| (key, *value))
    }

    /// Its keys that are true or false.
    pub fn switches(mut self) -> [(&'static str, bool); 2] {
        self.switches_mut().map(|(key, value)| (key, *value))
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

    fn switches_mut(&mut self) -> [(&'static str, &mut bool); 2] {
        let policy = &mut self.policy;
        [
            ("source_quench_forward", &mut policy.source_quench_forward),
            ("strict_inner_csum", &mut policy.strict_inner_csum),
        ]
    }
}

const GRACE: &str = "err_grace";

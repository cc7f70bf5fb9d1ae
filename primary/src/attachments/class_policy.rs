//! What classes of packets are like that are handed to others.

use control::message::{FailMode, PuntClass};

use crate::worker::Bucket;

/// What a class is like on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPolicy {
    /// What becomes of its packets without a tool.
    pub fail: FailMode,
    /// Packets per second that may go to a tool, shared out among the workers.
    pub rate: u32,
    /// Packets that may go to a tool at once.
    pub burst: u32,
    /// How long a tool may take to answer about a packet, milliseconds. Only of classes for tools.
    pub deadline_ms: u32,
}

/// By class: how long a tool may take, ticks.
pub(super) fn deadlines(policies: &[ClassPolicy; PuntClass::COUNT], tsc_hz: u64) -> [u64; PuntClass::COUNT] {
    policies
        .each_ref()
        .map(|policy| u64::from(policy.deadline_ms) * tsc_hz / 1000)
}

/// A worker's share of the rates, in full buckets.
pub(super) fn buckets(
    policies: &[ClassPolicy; PuntClass::COUNT],
    workers: u64,
    tsc_hz: u64,
    now: u64,
) -> [Bucket; PuntClass::COUNT] {
    policies.each_ref().map(|policy| {
        let rate = u64::from(policy.rate).div_ceil(workers.max(1));
        Bucket::new(tsc_hz, rate, u64::from(policy.burst), now)
    })
}

//! Rules that fail open and closed side by side.

use control::message::{AlertRule, FailMode};
use shm::AlertCounter;
use tests::wait_until;

use crate::rules::{alert6, attach, rule};
use crate::{ETHERNET, LIMIT, Stage};

/// A class that fails open, and rules for 10 and 11 that fail open and closed, where a tool has so long.
fn open_and_closed(deadline_ms: u32) -> (Stage, Vec<AlertRule>) {
    let mut stage = Stage::with(&format!(
        "[limits]\nattachment_mb = 2\n[[punt]]\nclass = \"router_alert\"\nrate = 100000\nburst = 10000\ndeadline_ms = {deadline_ms}\n"
    ));
    stage.find_neighbors();
    let rules = [("open", "10", FailMode::Open), ("closed", "11", FailMode::Closed)];
    let rules = rules.map(|(name, values, fail)| rule(name, values, |made| made.fail = Some(fail)));
    (stage, rules.into())
}

impl Stage {
    /// Waits until both rules have seen so many packets in all.
    fn matched(&self, open: u64, closed: u64) {
        let counts = self.counts();
        let both = || {
            let matched = ["open", "closed"].map(|name| counts.of(name, AlertCounter::Matched));
            Ok((matched == [open, closed]).then_some(()))
        };
        wait_until("the packets to be matched", LIMIT, both).unwrap();
    }

    /// How many of value 10 and 11 have arrived.
    fn arrived_by_rule(&self) -> [u64; 2] {
        let frames = self.listener.frames();
        [10, 11].map(|value| {
            let is_it = |frame: &&Vec<u8>| frame.get(ETHERNET + 42..ETHERNET + 46) == Some(&[5, 2, 0, value]);
            frames.iter().filter(is_it).count() as u64
        })
    }
}

#[test]
fn req_ra_33_each_rule_fails_as_it_says_when_its_tool_is_full_dies_and_is_dead() {
    let (stage, rules) = open_and_closed(60_000);
    let punts = attach(&stage, Some(rules));
    let (open, closed) = (alert6(10, 9), alert6(11, 9));
    // Of a tool that takes nothing, and has room for 1,024.
    stage.send_all(&[(&closed, 300)]);
    stage.matched(0, 300);
    for round in 1..=3 {
        stage.send_all(&[(&open, 300)]);
        stage.matched(round * 300, 300);
    }
    stage.send_all(&[(&closed, 50)]);
    stage.matched(900, 350);
    let counts = stage.counts();
    let of = |name, counter| counts.of(name, counter);
    let [held_open, full_open] =
        [AlertCounter::Punted, AlertCounter::BypassFull].map(|counter| of("open", counter));
    assert!(
        full_open > 0 && held_open + full_open == 900,
        "{held_open} {full_open}"
    );
    assert_eq!(of("closed", AlertCounter::ClosedFull), 50);
    let arrived = |open, closed| {
        let both = || Ok((stage.arrived_by_rule() == [open, closed]).then_some(()));
        wait_until("what goes on", LIMIT, both).unwrap();
    };
    // They do not overtake those of their flow that the tool has.
    assert_eq!(stage.arrived_by_rule(), [0, 0]);
    // Those of another flow have none there.
    let elsewhere = open.replace("::200e", "::200f");
    stage.send_all(&[(&elsewhere, 4)]);
    stage.matched(904, 350);
    arrived(4, 0);
    assert_eq!(of("open", AlertCounter::BypassFull), full_open + 4);
    // It dies.
    drop(punts);
    arrived(904, 0);
    assert_eq!(of("open", AlertCounter::BypassDied), held_open);
    assert_eq!(of("closed", AlertCounter::ClosedDied), 300);
    // Its rules are still there, and there is nobody to ask.
    stage.send_all(&[(&open, 5), (&closed, 5)]);
    stage.matched(909, 355);
    arrived(909, 0);
    assert_eq!(of("open", AlertCounter::BypassDead), 5);
    assert_eq!(of("closed", AlertCounter::ClosedDead), 5);
    let counters = stage.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(
        (
            counters.dropped("punt_ring_full"),
            counters.dropped("punt_closed")
        ),
        (50, 305)
    );
    counts.assert_balanced();
}

#[test]
fn req_ra_33_each_rule_fails_as_it_says_when_its_tool_does_not_answer_in_time() {
    let (stage, rules) = open_and_closed(200);
    let _punts = attach(&stage, Some(rules));
    stage.send_all(&[(&alert6(10, 9), 20), (&alert6(11, 9), 30)]);
    stage.matched(20, 30);
    let both = || Ok((stage.arrived_by_rule() == [20, 0]).then_some(()));
    wait_until("what goes on", LIMIT, both).unwrap();
    stage.drops("punt_closed", 30);
    let counts = stage.counts();
    assert_eq!(counts.of("open", AlertCounter::BypassDeadline), 20);
    assert_eq!(counts.of("closed", AlertCounter::ClosedDeadline), 30);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    counts.assert_balanced();
}

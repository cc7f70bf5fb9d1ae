//! The counters of a primary, as `tollgate-ctl --json counter` has them.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{Error, Primary, wait_until};

/// What a primary that nobody sends to needs at most to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(10);
/// Counters that do not change for so long are at rest.
const REST: Duration = Duration::from_millis(200);
/// And for so long, if packets seem to be under way still: the worker that has them may not have had its CPU.
const LONG_REST: Duration = Duration::from_secs(2);

/// The counters of one interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InterfaceCounters {
    /// Name of the interface.
    pub interface: String,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that ended at the control thread.
    pub delivered: u64,
    /// Packets that the gateway made itself.
    pub originated: u64,
    /// Echo requests that became replies.
    pub echo_replies: u64,
    /// ICMP errors that the gateway sent; they count as made here as well.
    pub icmp_errors: u64,
    /// ICMP errors that it did not send, as there were too many.
    pub icmp_errors_policed: u64,
    /// Packets that wait for a neighbour, and fragments that wait for others.
    pub waiting: u64,
    /// Received packets that went on to a sub-interface.
    pub to_sub_interfaces: u64,
    /// Packets to send that came from a sub-interface.
    pub from_sub_interfaces: u64,
    /// Packets of a tunnel that went on inside of others.
    pub encapsulated: u64,
    /// Received packets that were a tunnel's outer ones.
    pub decapsulated: u64,
    /// Packets cut into fragments.
    pub fragmented: u64,
    /// The fragments made of them.
    pub fragments: u64,
    /// Packets put together from fragments.
    pub reassembled: u64,
    /// Dropped packets by reason.
    pub drops: BTreeMap<String, u64>,
}

/// The counters of all interfaces at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Counters(pub Vec<InterfaceCounters>);

impl Counters {
    /// One counter, summed over all interfaces.
    pub fn sum(&self, counter: impl Fn(&InterfaceCounters) -> u64) -> u64 {
        self.0.iter().map(counter).sum()
    }

    /// Packets dropped for `reason`, on all interfaces.
    ///
    /// # Panics
    /// There is no such reason: a test that misspells one must not pass.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.sum(|interface| interface.drops[reason])
    }

    /// Reasons for which packets were dropped, with their numbers.
    pub fn drops(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for (reason, packets) in self.0.iter().flat_map(|interface| &interface.drops) {
            if *packets > 0 {
                *all.entry(reason.as_str()).or_default() += packets;
            }
        }
        all
    }

    /// The counters of one interface.
    pub fn of(&self, name: &str) -> Option<&InterfaceCounters> {
        self.0.iter().find(|interface| interface.interface == name)
    }

    /// Panics unless every packet is accounted for: all that came into being has ended somewhere once, and at no interface has
    /// more ended than came.
    #[track_caller]
    pub fn assert_balanced(&self) {
        assert_eq!(self.came(), self.went(), "{self:?}");
        for interface in &self.0 {
            assert_eq!(interface.contradiction(), None, "{interface:?}");
        }
    }

    /// Panics, and says `what` was done, if a packet was dropped for a reason of ESP.
    #[track_caller]
    pub fn assert_no_esp_drops(&self, what: &str) {
        let drops = self.drops();
        assert!(
            drops.keys().all(|reason| !reason.starts_with("esp_")),
            "{what}: {drops:?}"
        );
    }

    /// Packets that came into being: received or made here.
    pub fn came(&self) -> u64 {
        self.sum(InterfaceCounters::came)
    }

    /// What became of them: sent, delivered, dropped, or still waiting.
    pub fn went(&self) -> u64 {
        self.sum(|interface| interface.tx_packets.wrapping_add(interface.ended_here()))
    }
}

impl InterfaceCounters {
    fn came(&self) -> u64 {
        self.rx_packets + self.originated + self.from_sub_interfaces + self.encapsulated
    }

    /// Packets that came to be at this interface, and ended without leaving by one or are still there. What counts down is added
    /// as it is: taken off the wrong interface it makes up for another one's.
    fn ended_here(&self) -> u64 {
        let parts = [
            self.delivered,
            self.waiting,
            self.to_sub_interfaces,
            self.decapsulated,
        ];
        let ended = parts.into_iter().chain(self.drops.values().copied());
        ended.fold(0, u64::wrapping_add)
    }

    /// What cannot be, in words.
    fn contradiction(&self) -> Option<&'static str> {
        const NEGATIVE: u64 = 1 << 63;
        let cut = self.fragments.checked_sub(self.fragmented);
        let wrong = [
            (self.waiting >= NEGATIVE, "fewer than none wait"),
            (self.delivered >= NEGATIVE, "fewer than none were delivered"),
            (self.ended_here() > self.came(), "more ended here than came"),
            (
                self.to_sub_interfaces > self.rx_packets,
                "more went on than were received",
            ),
            (
                self.encapsulated > self.tx_packets,
                "more went into others than left",
            ),
            (self.icmp_errors > self.originated, "errors that nobody made"),
            (
                self.reassembled > self.originated,
                "whole packets that nobody made",
            ),
            (
                cut.is_none_or(|made| made > self.originated),
                "fragments that nobody made",
            ),
        ];
        wrong.into_iter().find_map(|(is_so, what)| is_so.then_some(what))
    }
}

impl Primary {
    /// The counters now.
    ///
    /// # Errors
    /// `tollgate-ctl` fails, or lacks a counter.
    pub fn counters(&self) -> Result<Counters, Error> {
        let captured = self.ctl(&["--json", "counter", "show"])?.success()?;
        serde_json::from_str(&captured.stdout).map_err(|source| Error::NotJson {
            command: captured.command,
            source,
            output: captured.stdout,
        })
    }

    /// The counters once they have stopped: nothing is under way any more.
    ///
    /// # Errors
    /// Packets keep coming, or `tollgate-ctl` fails.
    pub fn counters_at_rest(&self) -> Result<Counters, Error> {
        let mut before = self.counters()?;
        let mut since = std::time::Instant::now();
        wait_until("that no packet moves any more", REST_LIMIT, || {
            let now = self.counters()?;
            if now != before {
                before = now;
                since = std::time::Instant::now();
                return Ok(None);
            }
            let rest = if now.came() == now.went() { REST } else { LONG_REST };
            Ok((since.elapsed() > rest).then_some(now))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[
      {"interface":"a0","rx_packets":10,"rx_bytes":1,"tx_packets":2,"delivered":1,"originated":1,"echo_replies":1,"icmp_errors":1,"icmp_errors_policed":0,"waiting":3,"to_sub_interfaces":0,"from_sub_interfaces":0,"encapsulated":0,"decapsulated":0,"fragmented":0,"fragments":0,"reassembled":0,"drops":{"no_route":4,"blackhole":0}},
      {"interface":"b0","rx_packets":0,"rx_bytes":0,"tx_packets":1,"delivered":0,"originated":0,"echo_replies":0,"icmp_errors":0,"icmp_errors_policed":0,"waiting":0,"to_sub_interfaces":0,"from_sub_interfaces":0,"encapsulated":0,"decapsulated":0,"fragmented":0,"fragments":0,"reassembled":0,"drops":{"no_route":0}}
    ]"#;

    #[test]
    fn sums_go_over_all_interfaces() {
        let counters: Counters = serde_json::from_str(TEXT).unwrap();
        assert_eq!((counters.came(), counters.went()), (11, 11));
        assert_eq!(counters.dropped("no_route"), 4);
        assert_eq!(counters.drops(), BTreeMap::from([("no_route", 4)]));
    }

    #[test]
    fn a_packet_that_is_taken_off_the_wrong_interface_is_noticed() {
        let mut counters: Counters = serde_json::from_str(TEXT).unwrap();
        counters.assert_balanced();
        // In sum all is well.
        counters.0[0].waiting += 1;
        counters.0[1].waiting = counters.0[1].waiting.wrapping_sub(1);
        assert_eq!(counters.came(), counters.went());
        assert_eq!(counters.0[1].contradiction(), Some("fewer than none wait"));
        counters.0[1].waiting = 0;
        counters.0[1].drops.insert("no_route".to_owned(), 1);
        assert_eq!(counters.0[1].contradiction(), Some("more ended here than came"));
    }

    #[test]
    fn a_counter_that_is_missing_is_an_error() {
        assert!(serde_json::from_str::<Counters>(&TEXT.replace("originated", "made")).is_err());
    }
}

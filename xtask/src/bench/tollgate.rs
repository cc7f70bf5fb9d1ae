//! A turn of `tollgate-primary`, measured by its own counters.

use std::time::{Duration, Instant};

use ::tests::{Interface, Primary};
use serde_json::Value;

use super::traffic::{self, Family};
use super::{Bench, MEASURED, PACKET_BUFFERS, SINK, WARM_UP, pause};
use crate::{error::Error, summary::sum};

/// What a turn gave.
pub(super) struct Turn {
    /// Packets per second.
    pub(super) rate: f64,
    /// Ticks of the time stamp counter per packet, in rounds that moved packets.
    pub(super) cycles: f64,
}

/// A capture of received packets whose filter matches none of them.
const UNMATCHED: &str = "udp dst port 53";

impl Bench {
    /// Lets a primary forward IPv4 and reads its counters before and after: by itself, then with a capture that matches nothing.
    pub(super) fn tollgate(&self) -> Result<[Turn; 2], Error> {
        self.with_primary(Family::Four, |primary| {
            let alone = watch(primary)?;
            Ok([alone, with_capture(primary)?])
        })
    }

    /// The same for IPv6, without a capture.
    pub(super) fn tollgate6(&self) -> Result<Turn, Error> {
        self.with_primary(Family::Six, watch)
    }

    fn with_primary<T>(
        &self,
        family: Family,
        measure: impl FnOnce(&Primary) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let traffic = self.traffic(family);
        let ends = [
            ("in", self.source(family), traffic::IN_ADDRESSES),
            ("out", SINK.to_owned(), traffic::OUT_ADDRESSES),
        ];
        let mut builder = Primary::builder(self.privilege, "bench");
        for (name, device, addresses) in ends {
            let interface = Interface::device(name, &device);
            builder = builder.interface(addresses.into_iter().fold(interface, Interface::address));
        }
        builder = builder
            .busy()
            .memory_mb(256)
            .toml(&format!("[limits]\npacket_buffers = {PACKET_BUFFERS}\n"));
        for (address, mac) in traffic.neighbors() {
            builder = builder.neighbor(&address.to_string(), &mac.to_string(), "out");
        }
        for route in &traffic.table {
            builder = builder.route(&route.prefix.to_string(), &route.via.to_string());
        }
        let mut primary = builder.start()?;
        let measured = measure(&primary);
        let ended = primary.terminate();
        let measured = measured?;
        ended?;
        Ok(measured)
    }
}

fn with_capture(primary: &Primary) -> Result<Turn, Error> {
    let words = [
        "-i",
        "in",
        "--direction",
        "rx",
        "-f",
        UNMATCHED,
        "-w",
        "/dev/null",
    ];
    let mut pdump = primary.pdump(&words)?.start()?;
    pdump.wait_for_stderr("that it captures", WARM_UP * 10, |line| {
        line.starts_with("capturing")
    })?;
    let captured = watch(primary)?;
    pdump.terminate()?;
    Ok(captured)
}

fn watch(primary: &Primary) -> Result<Turn, Error> {
    pause(WARM_UP)?;
    let before = Sample::take(primary)?;
    pause(MEASURED)?;
    Sample::take(primary)?.since(&before)
}

/// The counters at a moment.
struct Sample {
    at: Instant,
    received: u64,
    sent: u64,
    dropped: u64,
    busy_ticks: u64,
    packets: u64,
}

impl Sample {
    fn take(primary: &Primary) -> Result<Self, Error> {
        let asked = Instant::now();
        let counters = primary.ctl_json(&["counter", "show"])?;
        // Somewhere in between, by the same share each time.
        let at = asked + asked.elapsed() / 2;
        let workers = primary.ctl_json(&["worker", "show"])?;
        Ok(Self::read(at, &counters, &workers))
    }

    fn read(at: Instant, counters: &Value, workers: &Value) -> Self {
        let interfaces = counters.as_array().map(Vec::as_slice).unwrap_or_default();
        let drops = interfaces
            .iter()
            .filter_map(|interface| interface["drops"].as_object());
        Self {
            at,
            received: sum(counters, "rx_packets"),
            sent: sum(counters, "tx_packets"),
            dropped: drops
                .flat_map(|reasons| reasons.values())
                .filter_map(Value::as_u64)
                .sum(),
            busy_ticks: sum(workers, "busy_ticks"),
            packets: sum(workers, "packets"),
        }
    }

    /// What happened since `before`; an error unless every packet was forwarded.
    fn since(&self, before: &Self) -> Result<Turn, Error> {
        let time = self.at.duration_since(before.at).max(Duration::from_millis(1));
        let sent = self.sent.saturating_sub(before.sent);
        let received = self.received.saturating_sub(before.received);
        let packets = self.packets.saturating_sub(before.packets);
        // The worker goes on while its counters are read one after the other: hence the hundredth.
        if self.dropped > 0 || sent == 0 || received.abs_diff(sent) > received / 100 {
            return Err(Error::Unexpected(format!(
                "the primary received {received} packets and sent {sent}, and dropped {} since its start: what was measured is not \
                 forwarding; `tollgate-ctl drop show` names the reason",
                self.dropped
            )));
        }
        Ok(Turn {
            rate: sent as f64 / time.as_secs_f64(),
            cycles: self.busy_ticks.saturating_sub(before.busy_ticks) as f64 / packets.max(1) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(at: Instant, received: u64, sent: u64, dropped: u64) -> Sample {
        let counters = json!([
            {"interface": "in", "rx_packets": received, "tx_packets": 0, "drops": {"no_route": dropped, "blackhole": 0}},
            {"interface": "out", "rx_packets": 0, "tx_packets": sent, "drops": {"no_route": 0}},
        ]);
        let workers = json!([{"worker": 0, "packets": received, "busy_ticks": received * 100}]);
        Sample::read(at, &counters, &workers)
    }

    #[test]
    fn a_rate_is_packets_sent_over_time() {
        let began = Instant::now();
        let before = sample(began, 1_000_000, 1_000_000, 0);
        let after = sample(began + Duration::from_secs(2), 41_000_032, 41_000_000, 0);
        let turn = after.since(&before).unwrap();
        assert_eq!((turn.rate, turn.cycles), (20e6, 100.0));
    }

    #[test]
    fn what_was_dropped_or_lost_is_no_forwarding() {
        let began = Instant::now();
        let before = sample(began, 0, 0, 0);
        let later = began + Duration::from_secs(1);
        for wrong in [
            sample(later, 40_000_000, 39_999_999, 1),
            sample(later, 40_000_000, 30_000_000, 0),
            sample(later, 0, 0, 0),
        ] {
            let error = wrong
                .since(&before)
                .map(|turn| turn.rate)
                .unwrap_err()
                .to_string();
            assert!(error.contains("not forwarding"), "{error}");
        }
    }
}

//! A turn of `tollgate-primary`, measured by its own counters.

use std::time::{Duration, Instant};

use ::tests::{Interface, Namespace, Primary, PrimaryBuilder};
use serde_json::Value;

use super::shape::{SINK, Shape};
use super::traffic::{self, Family, Size};
use super::{Bench, pause};
use crate::{error::Error, summary::sum};

/// A primary of the bench, not started yet.
pub(super) struct Setup<'a> {
    pub(super) family: Family,
    pub(super) shape: Shape,
    /// Tables of the configuration besides.
    pub(super) more: String,
    /// Interfaces that receive nothing.
    pub(super) idle_interfaces: u8,
    /// Taps on both interfaces, in this namespace.
    pub(super) taps_in: Option<&'a Namespace>,
    /// `[limits] attachments`.
    pub(super) attachments: u8,
    /// Whether DPDK's own tools may attach.
    pub(super) stock_tools: bool,
}

impl Setup<'_> {
    pub(super) fn new(family: Family, shape: Shape) -> Self {
        Self {
            family,
            shape,
            more: String::new(),
            idle_interfaces: 0,
            taps_in: None,
            attachments: 4,
            stock_tools: false,
        }
    }
}

/// What a turn gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Packets per second.
    pub(super) rate: f64,
    /// Ticks of the time stamp counter per packet, in rounds that moved packets.
    pub(super) cycles: f64,
}

impl Bench {
    /// Lets a primary forward, and measures it.
    pub(super) fn tollgate(&self, setup: &Setup<'_>) -> Result<Turn, Error> {
        self.with_primary(setup, |primary| self.watch(primary))
    }

    /// Starts a primary, gives it its routes, and ends it after `measure`.
    pub(super) fn with_primary<T>(
        &self,
        setup: &Setup<'_>,
        measure: impl FnOnce(&Primary) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut primary = self.builder(setup).start()?;
        let measured = self
            .load(&primary, setup.family, setup.shape.size)
            .and_then(|_| measure(&primary));
        let ended = primary.terminate();
        let measured = measured?;
        ended?;
        Ok(measured)
    }

    /// A primary on the devices, without its routes.
    pub(super) fn builder(&self, setup: &Setup<'_>) -> PrimaryBuilder {
        let Shape {
            size,
            packet_buffers,
            buffer_bytes,
        } = setup.shape;
        let ends = [
            ("in", self.source(setup.family, size), traffic::IN_ADDRESSES),
            ("out", SINK.to_owned(), traffic::OUT_ADDRESSES),
        ];
        let mut builder = Primary::builder(self.privilege, "bench");
        for (name, device, addresses) in ends {
            let mut interface = Interface::device(name, &device);
            if setup.taps_in.is_some() {
                interface = interface.tap(&format!("k-{name}"));
            }
            builder = builder.interface(addresses.into_iter().fold(interface, Interface::address));
        }
        for number in 1..=setup.idle_interfaces {
            let device = format!("net_null{number},no-rx=1");
            builder = builder.interface(Interface::device(&format!("idle{number}"), &device));
        }
        if let Some(namespace) = setup.taps_in {
            builder = builder.netns(namespace);
        }
        if setup.stock_tools {
            builder = builder.stock_tools();
        }
        builder = builder.busy().memory_mb(512).toml(&format!(
            "[limits]\npacket_buffers = {packet_buffers}\npacket_buffer_bytes = {buffer_bytes}\nattachments = {}\nroutes{} = {}\n{}",
            setup.attachments,
            setup.family.number(),
            // With room for what the measurement adds.
            size.routes(setup.family).max(100_000) + 1000,
            setup.more
        ));
        for (address, mac) in traffic::neighbors(setup.family) {
            builder = builder.neighbor(&address.to_string(), &mac.to_string(), "out");
        }
        builder
    }

    /// A primary that receives nothing.
    pub(super) fn idle_primary(&self, family: Family, more: &str) -> Result<Primary, Error> {
        let out = Interface::device("out", SINK);
        let mut builder = Primary::builder(self.privilege, "bench")
            .interface(traffic::OUT_ADDRESSES.into_iter().fold(out, Interface::address))
            .memory_mb(256)
            .toml(more);
        for (address, mac) in traffic::neighbors(family) {
            builder = builder.neighbor(&address.to_string(), &mac.to_string(), "out");
        }
        Ok(builder.start()?)
    }

    /// Gives a primary its routes, and says how long that took.
    pub(super) fn load(&self, primary: &Primary, family: Family, size: Size) -> Result<Duration, Error> {
        let file = self.file("routes", family, size, "txt");
        let began = Instant::now();
        primary
            .ctl(&["route", "add", "--file", &file.to_string_lossy()])?
            .success()?;
        Ok(began.elapsed())
    }

    /// Reads the counters before and after.
    pub(super) fn watch(&self, primary: &Primary) -> Result<Turn, Error> {
        pause(self.times.warm_up)?;
        let before = Sample::take(primary)?;
        pause(self.times.measured)?;
        Sample::take(primary)?.since(&before)
    }
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
        // Tunnels count their packets once more.
        let of_port = |name: &str, key: &str| {
            let ports = interfaces
                .iter()
                .filter(|interface| interface["interface"] == name);
            ports.map(|port| sum(port, key)).sum()
        };
        let drops = interfaces
            .iter()
            .filter_map(|interface| interface["drops"].as_object());
        Self {
            at,
            received: of_port("in", "rx_packets"),
            sent: of_port("out", "tx_packets"),
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
        let dropped = self.dropped.saturating_sub(before.dropped);
        // The worker goes on while its counters are read one after the other: hence the hundredth.
        if dropped > 0 || sent == 0 || received.abs_diff(sent) > received / 100 {
            return Err(Error::Unexpected(format!(
                "the primary received {received} packets, sent {sent} and dropped {dropped}: what was measured is not forwarding; \
                 `tollgate-ctl drop show` names the reason"
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
            // What a tunnel counts is of the same packets.
            {"interface": "t0", "rx_packets": received, "tx_packets": sent / 2, "drops": {"no_route": 0}},
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

//! What was measured: medians and ranges, as a table to read and as JSON to compare.

use std::fmt::Write;

use serde::Serialize;

/// Packets per second of each program in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Round {
    pub(super) tollgate: f64,
    /// With IPv6.
    pub(super) tollgate6: f64,
    pub(super) cycles_per_packet6: f64,
    /// Of the worker, while it moved packets.
    pub(super) cycles_per_packet: f64,
    /// The same while a capture is attached whose filter matches nothing.
    pub(super) cycles_captured: f64,
    /// Of that filter by itself.
    pub(super) cycles_filter: f64,
    pub(super) testpmd_mac: f64,
    pub(super) testpmd_io: f64,
}

/// What the figures hold for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Circumstances {
    /// Of the suite and of DPDK.
    pub(super) version: String,
    pub(super) cpu: String,
    pub(super) devices: String,
    pub(super) routes: usize,
    /// Without frame check sequence.
    pub(super) frame_bytes: usize,
    pub(super) packet_buffers: u32,
}

/// All that was measured; at least one round.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) circumstances: Circumstances,
    pub(super) rounds: Vec<Round>,
    /// Packets of no bytes that an attachment passes between two processes.
    pub(super) slots_per_second: f64,
}

/// Median and range of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let (last, middle) = (values.len().saturating_sub(1), values.len() / 2);
        let median = if values.len() % 2 == 1 {
            at(middle)
        } else {
            at(middle.saturating_sub(1)).midpoint(at(middle))
        };
        Self {
            median,
            min: at(0),
            max: at(last),
        }
    }
}

impl Figures {
    fn spread(&self, value: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    fn rows(&self) -> [(&'static str, Spread); 4] {
        [
            ("testpmd io", self.spread(|round| round.testpmd_io)),
            ("testpmd mac", self.spread(|round| round.testpmd_mac)),
            ("tollgate-primary", self.spread(|round| round.tollgate)),
            ("with IPv6", self.spread(|round| round.tollgate6)),
        ]
    }

    /// The figure for the record: our median by that of testpmd mac.
    fn ratio(&self) -> f64 {
        let mac = self.spread(|round| round.testpmd_mac).median;
        self.spread(|round| round.tollgate).median / mac.max(1.0)
    }

    /// Our median with IPv6 by that with IPv4.
    fn ratio6(&self) -> f64 {
        let four = self.spread(|round| round.tollgate).median;
        self.spread(|round| round.tollgate6).median / four.max(1.0)
    }

    /// What a capture that matches nothing costs, by what its filter takes by itself.
    fn capture_ratio(&self) -> f64 {
        let cost = self.spread(|round| round.cycles_captured - round.cycles_per_packet);
        cost.median / self.spread(|round| round.cycles_filter).median.max(0.1)
    }

    /// What is measured of captures, in sentences.
    fn captures(&self) -> String {
        let captured = self.spread(|round| round.cycles_captured);
        let filter = self.spread(|round| round.cycles_filter);
        format!(
            "with a capture that matches nothing {:.1} cycles per packet: {:.2} times the {:.1} cycles of its filter more\n\
             an attachment passes {:.0} million slots per second between two processes\n",
            captured.median,
            self.capture_ratio(),
            filter.median,
            self.slots_per_second / 1e6
        )
    }

    /// As columns for a terminal.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for (name, Spread { median, min, max }) in self.rows() {
            let (median, min, max) = (median / 1e6, min / 1e6, max / 1e6);
            let _ = writeln!(text, "{name:<18} {median:6.2} Mpps   ({min:.2} .. {max:.2})");
        }
        let cycles = self.spread(|round| round.cycles_per_packet);
        let _ = writeln!(
            text,
            "tollgate-primary / testpmd mac = {:.3}, at {:.1} cycles per packet",
            self.ratio(),
            cycles.median
        );
        let six = self.spread(|round| round.cycles_per_packet6);
        let _ = writeln!(
            text,
            "IPv6 / IPv4 = {:.3}, at {:.1} cycles per packet",
            self.ratio6(),
            six.median
        );
        text + &self.captures() + &self.conditions()
    }

    /// As a Markdown document.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Forwarding of one worker\n\n| program | median Mpps | min | max | of testpmd mac |\n|---|---|---|---|---|\n",
        );
        let mac = self.spread(|round| round.testpmd_mac).median.max(1.0);
        for (name, Spread { median, min, max }) in self.rows() {
            let (share, median, min, max) = (median / mac, median / 1e6, min / 1e6, max / 1e6);
            let _ = writeln!(
                text,
                "| {name} | {median:.2} | {min:.2} | {max:.2} | {share:.3} |"
            );
        }
        let cycles = self.spread(|round| round.cycles_per_packet);
        let _ = writeln!(
            text,
            "\nCycles per packet of the worker: {:.1} ({:.1} .. {:.1}).\n",
            cycles.median, cycles.min, cycles.max
        );
        let six = self.spread(|round| round.cycles_per_packet6);
        let _ = writeln!(
            text,
            "With IPv6 {:.3} of IPv4, at {:.1} cycles per packet ({:.1} .. {:.1}).\n",
            self.ratio6(),
            six.median,
            six.min,
            six.max
        );
        text + &self.captures() + "\n" + &self.conditions()
    }

    fn conditions(&self) -> String {
        let Circumstances {
            version,
            cpu,
            devices,
            routes,
            frame_bytes,
            packet_buffers,
        } = &self.circumstances;
        format!(
            "{devices}, frames of {} bytes with FCS, {routes} routes, {packet_buffers} packet buffers, burst 32, one core, {} rounds\n\
             {version}, {cpu}\n",
            frame_bytes + 4,
            self.rounds.len()
        )
    }

    /// All of it, each round as well.
    pub(super) fn json(&self) -> String {
        let rows = self
            .rows()
            .map(|(name, spread)| (name.to_owned(), serde_json::json!(spread)));
        let text = serde_json::json!({
            "ratio": self.ratio(),
            "ratio_ipv6": self.ratio6(),
            "packets_per_second": serde_json::Map::from_iter(rows),
            "cycles_per_packet": self.spread(|round| round.cycles_per_packet),
            "cycles_per_packet_ipv6": self.spread(|round| round.cycles_per_packet6),
            "cycles_captured": self.spread(|round| round.cycles_captured),
            "cycles_filter": self.spread(|round| round.cycles_filter),
            "capture_ratio": self.capture_ratio(),
            "slots_per_second": self.slots_per_second,
            "circumstances": self.circumstances,
            "rounds": self.rounds,
        });
        format!("{text:#}\n")
    }
}

/// The model in the text of /proc/cpuinfo.
pub(super) fn cpu_model(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let round = |tollgate: f64, testpmd_mac: f64| Round {
            tollgate,
            tollgate6: tollgate / 2.0,
            cycles_per_packet: 80.0,
            cycles_per_packet6: 160.0,
            cycles_captured: 95.0,
            cycles_filter: 12.0,
            testpmd_mac,
            testpmd_io: 50e6,
        };
        Figures {
            circumstances: Circumstances {
                version: "tollgate-primary 0.1.0 (DPDK 22.11.11)".to_owned(),
                cpu: "a CPU".to_owned(),
                devices: "net_pcap to net_null".to_owned(),
                routes: 10_000,
                frame_bytes: 60,
                packet_buffers: 16_383,
            },
            rounds: vec![round(30e6, 40e6), round(10e6, 50e6), round(32e6, 10e6)],
            slots_per_second: 90e6,
        }
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        let odd = Spread::of([3.0, 1.0, 9.0].into_iter());
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 9.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0].into_iter()).median, 3.0);
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        assert_eq!(figures().ratio(), 0.75);
    }

    #[test]
    fn table_and_document_say_what_was_measured_and_on_what() {
        for text in [figures().table(), figures().markdown()] {
            for expected in [
                "30.00",
                "15.00",
                "0.500",
                "40.00",
                "0.750",
                "64 bytes",
                "10000 routes",
                "DPDK 22.11.11",
                "a CPU",
                "1.25 times the 12.0 cycles",
                "90 million slots",
            ] {
                assert!(text.contains(expected), "{expected} in:\n{text}");
            }
        }
    }

    #[test]
    fn the_json_has_the_ratio_and_every_round() {
        let value: serde_json::Value = serde_json::from_str(&figures().json()).unwrap();
        assert_eq!(value["ratio"], 0.75);
        assert_eq!(value["packets_per_second"]["testpmd mac"]["median"], 40e6);
        assert_eq!(value["rounds"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn the_cpu_is_named() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n"),
            Some("A CPU @ 2 GHz")
        );
        assert_eq!(cpu_model(""), None);
    }
}

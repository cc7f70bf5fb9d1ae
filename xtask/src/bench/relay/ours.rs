//! Tollgate's relay: loss-free, and flooded.

use std::{collections::BTreeMap, time::Instant};

use ::tests::{Interface, Primary, PrimaryBuilder, Process, ProcessBuilder, binaries};

use super::super::shape::{SINK, Shape};
use super::super::traffic::{self, Family};
use super::super::{Bench, START_LIMIT, pause, write};
use super::packets::{self, PACKETS, VALUE};
use super::search::highest;
use super::{Error, Probe};

/// Memory for packets on their way to the relay, 16,384 of them. The buffer of the tuned socket keeps about ten thousand.
const ATTACHMENT_MB: u32 = 32;
/// Shares of alerts that are searched, in [`PACKETS`].
const LEAST: f64 = 8.0;
const CLOSENESS: f64 = 1.06;
/// A policer that is not in the way; what finds no room is dropped and counted.
pub(super) const CLASS: &str =
    "[[punt]]\nclass = \"router_alert\"\nfail = \"closed\"\nrate = 10000000\nburst = 1000000\n";

impl Bench {
    /// The rules of the relay.
    pub(super) fn write_alerts(&self) -> Result<(), Error> {
        write(
            &self.folder.join("rules.toml"),
            &format!("[[rule]]\nname = \"bench\"\nvalues = \"{VALUE}\"\nhandler = \"relay\"\n"),
        )
    }

    /// The loss-free rate, and what becomes of a flood.
    pub(super) fn our_relay(&self) -> Result<(f64, Probe), Error> {
        let mut loss_free = 0.0;
        let mut flood = None;
        let found = highest(LEAST, PACKETS as f64, CLOSENESS, |alerts| {
            let probe = self.with_relay(alerts.round() as usize, &[], |primary, alerts| {
                self.probe(primary, alerts)
            })?;
            // All of them are alerts: that is asked first.
            flood.get_or_insert(probe);
            if probe.is_loss_free() {
                loss_free = f64::max(loss_free, probe.offered);
            }
            Ok::<_, Error>(probe.is_loss_free())
        })?;
        match (found, flood) {
            (Some(_), Some(flood)) => Ok((loss_free, flood)),
            _ => Err(Error::Unexpected(format!(
                "the relay loses packets when {LEAST} of {PACKETS} are alerts already: is the host busy with other things?"
            ))),
        }
    }

    /// Measures with a primary that is given `alerts` in [`PACKETS`], and a relay on the other CPU.
    pub(super) fn with_relay<T>(
        &self,
        alerts: usize,
        words: &[&str],
        measure: impl FnOnce(&Primary, usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let source = format!(
            "net_pcap0,rx_pcap={},infinite_rx=1",
            self.mixed(alerts)?.display()
        );
        let builder = Primary::builder(self.privilege, "bench")
            .interface(Interface::device("in", &source).address(traffic::IN_ADDRESSES[1]));
        let mut primary = self.to_far(builder).start()?;
        let mut relay = self.start_relay(&primary, words)?;
        let measured = measure(&primary, alerts);
        let ended = relay.terminate().and(primary.terminate());
        let measured = measured?;
        ended?;
        Ok(measured)
    }

    /// The way out for alerts, and the blackhole for the others.
    pub(super) fn to_far(&self, builder: PrimaryBuilder) -> PrimaryBuilder {
        let mut builder = builder
            .busy()
            .memory_mb(512)
            .toml(&format!(
                "[limits]\npacket_buffers = {}\nattachments = 1\nattachment_mb = {ATTACHMENT_MB}\n",
                Shape::ORDINARY.packet_buffers + ATTACHMENT_MB * 512
            ))
            .toml(CLASS)
            .toml(&format!(
                "[[route]]\nprefix = \"{}\"\nblackhole = true\n",
                packets::NOWHERE_PREFIX
            ))
            .interface(Interface::device("out", SINK).address(traffic::OUT_ADDRESSES[1]));
        if let Some((address, mac)) = traffic::neighbors(Family::Six).next() {
            let address = address.to_string();
            builder = builder
                .neighbor(&address, &mac.to_string(), "out")
                .route(packets::FAR_PREFIX, &address);
        }
        builder
    }

    /// Starts a relay beside the control thread, where the worker is not. One that polls goes before others on that CPU, as the README
    /// says: a scheduler makes who never sleeps wait for all of them.
    pub(super) fn start_relay(&self, primary: &Primary, words: &[&str]) -> Result<Process, Error> {
        let priority = if words.contains(&"--busy") { "-20" } else { "0" };
        let mut relay = ProcessBuilder::new(self.privilege, "relays", "nice")
            .args(["-n", priority, "taskset", "-c", &self.cores.control.to_string()])
            .arg(binaries::find("tollgate-ra-relay")?)
            .arg("--run-dir")
            .arg(primary.run_dir())
            .args(["--instance", primary.instance()])
            .args(words)
            .arg("--config")
            .arg(self.folder.join("rules.toml"))
            .start()?;
        relay.wait_for_stderr("that it relays", START_LIMIT, |line| line.starts_with("relaying"))?;
        Ok(relay)
    }

    fn probe(&self, primary: &Primary, alerts: usize) -> Result<Probe, Error> {
        pause(self.times.warm_up)?;
        let before = Sample::take(primary)?;
        pause(self.times.measured)?;
        Sample::take(primary)?.since(&before, alerts)
    }
}

/// The counters at a moment.
pub(super) struct Sample {
    at: Instant,
    received: u64,
    sent: u64,
    lost: u64,
    /// By reason.
    drops: BTreeMap<String, u64>,
}

impl Sample {
    /// Read in place: a tool that is started for it would take the relay's CPU.
    pub(super) fn take(primary: &Primary) -> Result<Self, Error> {
        let tables = primary.tables()?;
        let asked = Instant::now();
        let counters = tables.counters();
        // Somewhere in between, by the same share each time.
        let at = asked + asked.elapsed() / 2;
        let of = |name: &str| {
            let counters = counters.of(name);
            counters.ok_or_else(|| Error::Unexpected(format!("the primary has no interface {name}")))
        };
        let (entry, exit) = (of("in")?, of("out")?);
        let drops: BTreeMap<String, u64> = counters
            .drops()
            .into_iter()
            .map(|(reason, packets)| (reason.to_owned(), packets))
            .collect();
        Ok(Self {
            at,
            received: entry.rx_packets,
            sent: exit.tx_packets - exit.originated,
            // Found no room, or no answer in time; the blackhole has those that are no alerts.
            lost: drops.values().sum::<u64>() - drops.get("blackhole").unwrap_or(&0),
            drops,
        })
    }

    /// What happened since `before`, where `alerts` in [`PACKETS`] are alerts.
    pub(super) fn since(&self, before: &Self, alerts: usize) -> Result<Probe, Error> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let offered = rate(self.received, before.received) * alerts as f64 / PACKETS as f64;
        let (relayed, lost) = (rate(self.sent, before.sent), rate(self.lost, before.lost));
        // The worker goes on while its counters are read one after the other, and some packets are with the relay.
        if relayed <= 0.0 || (offered - relayed - lost).abs() > offered / 20.0 + 1000.0 {
            return Err(Error::Unexpected(format!(
                "of {offered:.0} alerts a second {relayed:.0} left and {lost:.0} were dropped: what was measured is not relaying; \
                 dropped were since the start {:?}",
                self.drops
            )));
        }
        Ok(Probe {
            offered,
            relayed,
            lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn alerts_are_a_share_of_what_is_received_and_all_are_accounted_for() {
        let began = Instant::now();
        let sample = |seconds, received, sent, lost| Sample {
            at: began + Duration::from_secs(seconds),
            received,
            sent,
            lost,
            drops: BTreeMap::new(),
        };
        let before = sample(0, 0, 0, 0);
        let probe = sample(2, 40_960_000, 900_000, 100_000)
            .since(&before, 100)
            .unwrap();
        assert_eq!(
            (probe.offered, probe.relayed, probe.lost),
            (500_000.0, 450_000.0, 50_000.0)
        );
        for wrong in [sample(2, 40_960_000, 0, 0), sample(2, 40_960_000, 500_000, 0)] {
            let error = wrong.since(&before, 100).unwrap_err().to_string();
            assert!(error.contains("not relaying"), "{error}");
        }
    }
}

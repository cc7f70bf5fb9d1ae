//! The peer: a raw socket of the kernel on veth between namespaces.

use std::time::{Duration, Instant};

use ::tests::{
    Namespace, NamespaceOptions, binaries,
    socket_relay::{SocketRelay, Tuning},
};

use super::super::{Bench, number_of, pause};
use super::packets::{self, VALUE};
use super::search::highest;
use super::{Error, Probe};

/// Rates that are searched.
const LEAST: f64 = 2000.0;
const MOST: f64 = 400_000.0;
const CLOSENESS: f64 = 1.05;
/// How long nothing must come any more, and how long that may take.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// Sender, relay and receiver.
pub(super) struct SocketSite {
    r0: Namespace,
    r1: Namespace,
    r2: Namespace,
    /// In hex.
    frame: String,
}

impl SocketSite {
    pub(super) fn create(bench: &Bench) -> Result<Self, Error> {
        let silent = |label| Namespace::create(bench.privilege, label);
        let (r0, r2) = (silent("r0")?, silent("r2")?);
        let options = NamespaceOptions {
            ipv6: true,
            forwarding: true,
        };
        let r1 = Namespace::create_with(bench.privilege, "r1", options)?;
        r1.set_sysctls(&[("net/ipv6/conf/all/forwarding", "1")])?;
        for (end, port, address) in [(&r0, "a0", "2001:2::1/64"), (&r2, "b0", "2001:2:0:1::1/64")] {
            end.connect("eth0", &r1, port)?;
            r1.add_address(port, address)?;
        }
        let next_hop = "2001:2:0:1::2";
        let mac = r2.mac("eth0")?;
        r1.run(
            "names the next hop",
            &[
                "ip",
                "neigh",
                "replace",
                next_hop,
                "lladdr",
                &mac,
                "dev",
                "b0",
                "nud",
                "permanent",
            ],
        )?;
        r1.add_route(packets::FAR_PREFIX, next_hop)?;
        let mac = r1.mac("a0")?;
        let mac = mac
            .parse()
            .map_err(|_| Error::Unexpected(format!("the kernel gave a link the address {mac}")))?;
        let frame = packets::alert(mac);
        let frame = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { r0, r1, r2, frame })
    }

    /// Offers a rate for some time.
    fn probe(&self, rate: f64, time: Duration) -> Result<Probe, Error> {
        let (before_sent, _) = self.r0.packets("eth0")?;
        let (_, before) = self.r2.packets("eth0")?;
        let program = binaries::find("tg-alerts")?;
        let sent = self.r0.run_within(
            time + Duration::from_secs(30),
            "sends router alerts",
            &[
                &program.to_string_lossy(),
                "send",
                "--link",
                "eth0",
                "--frame",
                &self.frame,
                "--rate",
                &format!("{}", rate as u32),
                "--milliseconds",
                &time.as_millis().to_string(),
            ],
        )?;
        let (_, meanwhile) = self.r2.packets("eth0")?;
        let seconds = number_of(&sent.success()?.stdout)?.max(1e-3);
        let in_the_end = self.drained()?;
        let (after_sent, _) = self.r0.packets("eth0")?;
        let offered = after_sent.saturating_sub(before_sent);
        let lost = offered.saturating_sub(in_the_end.saturating_sub(before));
        Ok(Probe {
            offered: offered as f64 / seconds,
            relayed: meanwhile.saturating_sub(before) as f64 / seconds,
            lost: lost as f64 / seconds,
        })
    }

    /// Packets that have come to the receiver, once no more do.
    fn drained(&self) -> Result<u64, Error> {
        let began = Instant::now();
        let (_, mut before) = self.r2.packets("eth0")?;
        loop {
            pause(QUIET)?;
            let (_, now) = self.r2.packets("eth0")?;
            if now == before || began.elapsed() > QUIET_LIMIT {
                return Ok(now);
            }
            before = now;
        }
    }
}

impl Bench {
    /// The loss-free rate of a raw socket, and what becomes of twice that.
    pub(super) fn socket_relay(&self, site: &SocketSite, tuning: Tuning) -> Result<(f64, Probe), Error> {
        let relay = SocketRelay::start(&site.r1, VALUE, tuning, self.cores.measured)?;
        let time = self.times.measured.min(Duration::from_secs(2));
        let mut loss_free = 0.0;
        let found = highest(LEAST, MOST, CLOSENESS, |rate| {
            let probe = site.probe(rate, time)?;
            // The sender may not reach what it is asked for: what it sent is what counts.
            if probe.is_loss_free() {
                loss_free = f64::max(loss_free, probe.offered);
            }
            Ok::<_, Error>(probe.is_loss_free())
        })?;
        if found.is_none() {
            return Err(Error::Unexpected(format!(
                "a raw socket with {tuning:?} loses packets at {LEAST} a second already: is the host busy with other things?"
            )));
        }
        let overload = site.probe(2.0 * loss_free, time)?;
        relay.end()?;
        Ok((loss_free, overload))
    }
}

//! What ordinary packets of one port get through while another port is flooded with router alerts, all of which are relayed, beside
//! what they get through while that has ordinary packets at the same rate.
//!
//! ```text
//!   good.pcap ─► net_pcap, infinite_rx ─► in ──┐
//!                                              ├── primary, 1 worker ─► out ─► net_null0
//!   paced sender ─► veth ─► af_packet ─► b0 ───┘     relay
//! ```

use std::time::{Duration, Instant};

use ::tests::{Interface, Namespace, Primary, Process, binaries};
use packet::MacAddress;

use super::super::figures::{Bound, Section, Unit};
use super::super::traffic;
use super::super::{Bench, pause};
use super::{Error, packets};

/// Frames per second to the port that is flooded.
const RATE: u32 = 100_000;
/// Of which so many have to arrive, or nothing was measured.
const ARRIVED: f64 = 0.9;
const GOODPUT: Bound = Bound::AtLeast(0.9);
const BESIDE_ORDINARY: &str = "goodput beside ordinary packets";
const BESIDE_ALERTS: &str = "goodput beside router alerts";
const SHARE: &str = "goodput beside router alerts / beside ordinary packets";
/// What starting the sender takes.
const STARTED: Duration = Duration::from_millis(500);

impl Bench {
    /// Both kinds take turns.
    pub(super) fn goodput(&self, section: &mut Section) -> Result<(), Error> {
        let host = Namespace::create(self.privilege, "host")?;
        let gateway = Namespace::create(self.privilege, "gateway")?;
        host.connect("eth0", &gateway, "b0")?;
        let source = format!("net_pcap0,rx_pcap={},infinite_rx=1", self.good()?.display());
        let builder = Primary::builder(self.privilege, "bench")
            .netns(&gateway)
            .interface(Interface::device("in", &source).address(traffic::IN_ADDRESSES[1]))
            .interface(Interface::af_packet("b0").address("2001:2:0:3::1/64"));
        let mut primary = self.to_far(builder).start()?;
        let mut relay = self.start_relay(&primary, &[])?;
        let mac = gateway.mac("b0")?;
        let mac: MacAddress = mac
            .parse()
            .map_err(|_| Error::Unexpected(format!("the kernel gave a link the address {mac}")))?;
        let measured = (|| {
            let ordinary = self.beside(&primary, &host, &packets::ordinary(mac))?;
            let alerts = self.beside(&primary, &host, &packets::alert(mac))?;
            Ok::<_, Error>((ordinary, alerts))
        })();
        relay.terminate()?;
        primary.terminate()?;
        let (ordinary, alerts) = measured?;
        section.record(BESIDE_ORDINARY, Unit::PacketsPerSecond, ordinary);
        section.record(BESIDE_ALERTS, Unit::PacketsPerSecond, alerts);
        section.record(SHARE, Unit::Ratio, alerts / ordinary.max(1.0));
        Ok(())
    }

    /// Packets of the port that is not flooded that leave in a second, while the other one gets a frame over and over.
    fn beside(&self, primary: &Primary, host: &Namespace, frame: &[u8]) -> Result<f64, Error> {
        let time = STARTED + self.times.warm_up + self.times.measured + STARTED;
        let mut sender = send(host, frame, time)?;
        pause(STARTED + self.times.warm_up)?;
        let before = Sample::take(primary)?;
        pause(self.times.measured)?;
        let after = Sample::take(primary)?;
        let status = sender.wait(time + Duration::from_secs(30))?;
        if !status.success() {
            return Err(Error::Unexpected(format!(
                "the sender failed: {}",
                sender.stderr()
            )));
        }
        after.goodput_since(&before)
    }
}

fn send(host: &Namespace, frame: &[u8], time: Duration) -> Result<Process, Error> {
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let sender = host
        .process("sends to a port", binaries::find("tg-alerts")?)
        .args(["send", "--link", "eth0", "--frame", &hex])
        .args(["--rate", &RATE.to_string()])
        .args(["--milliseconds", &time.as_millis().to_string()])
        .start()?;
    Ok(sender)
}

/// The counters at a moment.
struct Sample {
    at: Instant,
    good: u64,
    flooded: u64,
    /// What is flooded leaves by the same interface.
    sent: u64,
}

impl Sample {
    fn take(primary: &Primary) -> Result<Self, Error> {
        let tables = primary.tables()?;
        let asked = Instant::now();
        let counters = tables.counters();
        let at = asked + asked.elapsed() / 2;
        let of = |name: &str| {
            let counters = counters.of(name);
            counters.ok_or_else(|| Error::Unexpected(format!("the primary has no interface {name}")))
        };
        Ok(Self {
            at,
            good: of("in")?.rx_packets,
            flooded: of("b0")?.rx_packets,
            sent: of("out")?.tx_packets,
        })
    }

    /// What happened since `before`; an error unless enough of the flood arrived and nearly all packets left.
    fn goodput_since(&self, before: &Self) -> Result<f64, Error> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let good = rate(self.good, before.good);
        let (flooded, sent) = (rate(self.flooded, before.flooded), rate(self.sent, before.sent));
        if flooded < ARRIVED * f64::from(RATE) || sent < 0.99 * good {
            return Err(Error::Unexpected(format!(
                "{good:.0} and {flooded:.0} packets a second were received, {RATE} of the latter sent, and {sent:.0} left: what was measured \
                 is no flood; `tollgate-ctl drop show` names the reason"
            )));
        }
        Ok(good)
    }
}

/// Asks of the series what is asked.
pub(super) fn judge(section: &mut Section) {
    section.judge(SHARE, GOODPUT);
    section.remarks.push(format!(
        "The port that is flooded gets {RATE} frames a second by af_packet."
    ));
}

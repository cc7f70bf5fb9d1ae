//! How fast router alerts are relayed: by the program that one writes first, a raw socket of the kernel, and by Tollgate's relay.
//!
//! ```text
//!   r0  paced sender ─► veth ─► r1  the kernel, raw socket ─► veth ─► r2     two CPUs: sender, relay
//!
//!   alerts.pcap ─► net_pcap0, infinite_rx ─► tollgate-primary ─► net_null0   two CPUs: worker, relay
//!                                              │        ▲
//!                                              └─ tollgate-ra-relay
//! ```
//!
//! net_pcap gives as many packets as the worker asks for. So the rate of alerts is set by their share of the packets: the others have
//! no use but to take the time that alerts leave, and end in a blackhole. Their number is counted, and so is the rate.

mod goodput;
mod latency;
mod ours;
mod packets;
mod search;
mod socket;

use ::tests::socket_relay::Tuning;

use super::Bench;
use super::figures::{Bound, Section, Unit};
use crate::error::Error;
use socket::SocketSite;

/// Raw sockets, each with what is asked of ours beside its loss-free rate.
const SOCKETS: [(&str, Tuning, Bound); 3] = [
    (
        "raw socket that prints each packet",
        Tuning::PRINTS,
        Bound::AtLeast(10.0),
    ),
    (
        "raw socket that prints nothing",
        Tuning::NONE,
        Bound::AtLeast(10.0),
    ),
    ("raw socket, tuned", Tuning::TUNED, Bound::AtLeast(4.0)),
];
const OURS: &str = "tollgate-ra-relay";
/// What leaves when alerts are all that comes, by the loss-free rate.
const LEAST_OUTPUT: Bound = Bound::AtLeast(0.9);

/// Packets that were to be relayed, and what became of them, per second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Probe {
    offered: f64,
    /// While they were offered.
    relayed: f64,
    /// Never relayed.
    lost: f64,
}

impl Probe {
    /// What may be lost of a rate that is called loss-free.
    const MOST_LOST: f64 = 0.001;

    fn is_loss_free(&self) -> bool {
        self.lost <= self.offered * Self::MOST_LOST
    }
}

impl Bench {
    /// All take turns.
    pub(super) fn relay(&self) -> Result<Section, Error> {
        let mut section = Section::new("Relay of router alerts, IPv6 packets of 170 bytes");
        self.write_alerts()?;
        let site = SocketSite::create(self)?;
        for round in 1..=self.times.rounds {
            self.progress("relay", round);
            for (name, tuning, _) in SOCKETS {
                let measured = self.socket_relay(&site, tuning);
                self.take(&mut section, measured, |section, (loss_free, overload)| {
                    let twice = "offered twice that";
                    record(section, name, twice, loss_free, overload);
                })?;
            }
            let measured = self.our_relay();
            self.take(&mut section, measured, |section, (loss_free, flood)| {
                record(section, OURS, "offered by a flood", loss_free, flood);
            })?;
            let measured = self.latency(&mut section);
            self.take(&mut section, measured, |_, ()| ())?;
            let measured = self.goodput(&mut section);
            self.take(&mut section, measured, |_, ()| ())?;
        }
        let loss_free = format!("{OURS}: loss-free");
        for (name, _, bound) in SOCKETS {
            section.compare(&loss_free, &format!("{name}: loss-free"), Some(bound));
            section.compare(
                &format!("{name}: then relayed"),
                &format!("{name}: loss-free"),
                None,
            );
        }
        section.compare(&format!("{OURS}: then relayed"), &loss_free, Some(LEAST_OUTPUT));
        section.compare(&format!("{OURS}: offered by a flood"), &loss_free, None);
        latency::judge(&mut section);
        goodput::judge(&mut section);
        section.remarks.push(
            "The raw socket that prints is the program that is written first, as it stands in a loop: a packet by a call, in hex to nowhere, \
             and on. The one that prints nothing is the same without that; the tuned one has 64 packets by a call and a buffer of 8 MiB."
                .to_owned(),
        );
        section.remarks.push(
            "Loss-free is a rate of which at most one packet in a thousand is lost. A flood is all that one worker can take in: where that \
             is less than twice the loss-free rate, more cannot be offered."
                .to_owned(),
        );
        Ok(section)
    }

    /// Hands on what was measured. Where nothing could be, that is said, and the other rounds count: a host that is kept busy for a moment
    /// does not end a bench of so long.
    pub(super) fn take<T>(
        &self,
        section: &mut Section,
        measured: Result<T, Error>,
        take: impl FnOnce(&mut Section, T),
    ) -> Result<(), Error> {
        match measured {
            Ok(measured) => take(section, measured),
            Err(error @ Error::Step(::tests::Error::Interrupted(_))) => return Err(error),
            Err(error) => section
                .remarks
                .push(format!("Not measured in one round: {error}")),
        }
        Ok(())
    }
}

/// Records a loss-free rate, and what came of a higher one.
fn record(section: &mut Section, relay: &str, higher: &str, loss_free: f64, probe: Probe) {
    for (what, rate) in [
        ("loss-free", loss_free),
        (higher, probe.offered),
        ("then relayed", probe.relayed),
    ] {
        section.record(&format!("{relay}: {what}"), Unit::PacketsPerSecond, rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_thousand_may_be_lost() {
        let probe = |lost| Probe {
            offered: 1e6,
            relayed: 1e6 - lost,
            lost,
        };
        assert!(probe(1000.0).is_loss_free() && !probe(1001.0).is_loss_free());
    }
}

//! What the demo has seen: read from ping, iperf3 and `tollgate-ctl`, judged, and told.

use std::fmt;

use ::tests::Family;

use serde_json::Value;

use crate::error::Error;

/// What ping says at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pings {
    pub(crate) sent: u32,
    pub(crate) received: u32,
    /// Average round trip, as ping prints it.
    pub(crate) average: String,
}

impl Pings {
    /// Reads the output of iputils-ping.
    pub(crate) fn read(output: &str) -> Option<Self> {
        let counts = output.lines().find(|line| line.contains("packets transmitted"))?;
        let number = |before: &str| {
            let part = counts.split(", ").find_map(|part| part.strip_suffix(before));
            part.and_then(|number| number.trim().parse().ok())
        };
        let average = output
            .lines()
            .find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "))
            .and_then(|figures| {
                let (figures, unit) = figures.split_once(' ')?;
                Some(format!("{} {unit}", figures.split('/').nth(1)?))
            });
        Some(Self {
            sent: number(" packets transmitted")?,
            received: number(" received")?,
            average: average.unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

/// The rate that the receiver of `iperf3 --json` saw, in bits per second.
pub(crate) fn iperf3_rate(report: &Value) -> Option<f64> {
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .filter(|rate| *rate > 0.0)
}

/// The sum of all numbers named `key` in what `tollgate-ctl --json` printed, however they are nested.
pub(crate) fn sum(value: &Value, key: &str) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(|item| sum(item, key)).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| {
                if name == key {
                    field.as_u64().unwrap_or(0)
                } else {
                    sum(field, key)
                }
            })
            .sum(),
        _ => 0,
    }
}

/// What was seen of one address family.
pub(crate) struct Flow {
    pub(crate) family: Family,
    pub(crate) pings: Pings,
    /// TCP, in bits per second.
    pub(crate) rate: f64,
}

/// All that was seen.
pub(crate) struct Summary {
    pub(crate) flows: Vec<Flow>,
    /// Packets in the capture: three pings and their answers, or tshark cannot read it.
    pub(crate) captured: u64,
    /// Packets that the primary's ports sent, but for those that it made itself (ARP, neighbour discovery).
    pub(crate) forwarded: u64,
    /// Packets dropped, as `ctl drop show` has them.
    pub(crate) dropped: u64,
}

impl Summary {
    /// An error if this is not what two hosts and a gateway must show.
    pub(crate) fn judge(&self) -> Result<(), Error> {
        let mut answered = 0;
        for Flow { family, pings, .. } in &self.flows {
            let Pings { sent, received, .. } = pings;
            if received != sent {
                return Err(Error::Unexpected(format!(
                    "{received} of {sent} pings by {family} were answered; all have to be"
                )));
            }
            answered += u64::from(*received);
        }
        if self.captured != 6 {
            return Err(Error::Unexpected(format!(
                "tshark reads {} packets in the capture; three pings and three answers were to be in it",
                self.captured
            )));
        }
        // Each ping and each answer crosses the primary once.
        if self.forwarded < 2 * answered {
            return Err(Error::Unexpected(format!(
                "the primary's counters say {} packets forwarded, fewer than the pings alone; the packets went another way",
                self.forwarded
            )));
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Flow { family, pings, rate } in &self.flows {
            let Pings {
                sent,
                received,
                average,
            } = pings;
            writeln!(
                f,
                "{family}  {received}/{sent} pings answered, {average} on average; iperf3 TCP {:.0} Mbit/s",
                rate / 1e6
            )?;
        }
        writeln!(
            f,
            "captured    {} packets of three pings, read by tshark",
            self.captured
        )?;
        writeln!(
            f,
            "forwarded   {} packets, by the primary's own counters",
            self.forwarded
        )?;
        write!(f, "dropped     {} packets", self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OUTPUT: &str = "PING 192.168.2.2 (192.168.2.2) 56(84) bytes of data.\n\
        64 bytes from 192.168.2.2: icmp_seq=1 ttl=63 time=0.3 ms\n\n\
        --- 192.168.2.2 ping statistics ---\n\
        5 packets transmitted, 5 received, 0% packet loss, time 804ms\n\
        rtt min/avg/max/mdev = 0.120/0.234/0.310/0.071 ms\n";

    fn summary(received: u32, forwarded: u64) -> Summary {
        let pings = Pings {
            sent: 5,
            received,
            average: "0.2 ms".to_owned(),
        };
        let flow = Flow {
            family: Family::Ip6,
            pings,
            rate: 1e9,
        };
        Summary {
            flows: vec![flow],
            captured: 6,
            forwarded,
            dropped: 0,
        }
    }

    #[test]
    fn ping_is_read() {
        let pings = Pings::read(OUTPUT).unwrap();
        assert_eq!(
            pings,
            Pings {
                sent: 5,
                received: 5,
                average: "0.234 ms".to_owned()
            }
        );
    }

    #[test]
    fn lost_pings_are_read_with_their_errors() {
        let output = "5 packets transmitted, 0 received, +5 errors, 100% packet loss, time 4089ms\npipe 4\n";
        let pings = Pings::read(output).unwrap();
        assert_eq!((pings.sent, pings.received), (5, 0));
        assert_eq!(Pings::read("ping: connect: Network is unreachable\n"), None);
    }

    #[test]
    fn no_rate_is_no_success() {
        assert_eq!(
            iperf3_rate(&json!({"end": {"sum_received": {"bits_per_second": 1.5e9}}})),
            Some(1.5e9)
        );
        assert_eq!(
            iperf3_rate(&json!({"end": {"sum_received": {"bits_per_second": 0.0}}})),
            None
        );
        assert_eq!(iperf3_rate(&json!({"error": "unable to connect"})), None);
    }

    #[test]
    fn counters_are_added_over_interfaces() {
        let links = json!([{"name": "a0", "tx_packets": 3}, {"name": "b0", "counters": {"tx_packets": 4}}]);
        assert_eq!(sum(&links, "tx_packets"), 7);
        assert_eq!(sum(&links, "rx_packets"), 0);
    }

    #[test]
    fn a_lost_ping_or_an_idle_primary_fails_the_demo() {
        assert!(summary(5, 10).judge().is_ok());
        assert!(summary(4, 10).judge().unwrap_err().to_string().contains("4 of 5"));
        assert!(
            summary(5, 0)
                .judge()
                .unwrap_err()
                .to_string()
                .contains("another way")
        );
    }
}

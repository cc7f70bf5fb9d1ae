//! Pings and numbered datagrams between namespaces, and what came of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Captured, Error, Family, Namespace, Process, RunId, binaries,
    datagrams::{Report, Sent},
    interrupt,
};

/// What a program that moves traffic needs to start.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer may take that `ping` did not wait for.
const LATE_ANSWERS: Duration = Duration::from_secs(2);

/// What `ping` said at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pings {
    /// Requests sent.
    pub sent: u32,
    /// Requests answered.
    pub answered: u32,
    /// Answers that came twice, or ICMP errors.
    pub odd: u32,
}

impl Pings {
    /// Reads the last lines of `ping`; None when it did not come to its summary.
    pub fn parse(output: &str) -> Option<Self> {
        let line = output
            .lines()
            .find(|line| line.contains(" packets transmitted"))?;
        let number = |what: &str| {
            let part = line.split(", ").find(|part| part.ends_with(what))?;
            let digits = part.trim_start_matches('+').split(' ').next()?;
            digits.parse::<u32>().ok()
        };
        Some(Self {
            sent: number("packets transmitted")?,
            answered: number("received")?,
            odd: number("duplicates").unwrap_or(0) + number("errors").unwrap_or(0),
        })
    }

    /// Whether each request was answered once.
    pub fn all_answered(&self) -> bool {
        self.sent > 0 && self.answered == self.sent && self.odd == 0
    }

    /// Panics with what was answered unless each request was answered once.
    #[track_caller]
    pub fn assert_all_answered(&self) {
        assert!(self.all_answered(), "{self:?}");
    }
}

impl Namespace {
    /// Pings `to` with the words of `ping` that are given besides, to the end. Nobody else may ping from here meanwhile.
    ///
    /// # Errors
    /// `ping` does not come to its summary within `limit`, or a signal came.
    pub fn ping(&self, to: &str, words: &[&str], limit: Duration) -> Result<Pings, Error> {
        Pinger::start(self, to, words)?.finish(limit)
    }

    /// Echo replies of a family that the kernel of this namespace has received.
    fn echo_replies(&self, family: Family) -> Result<u64, Error> {
        let (file, name) = family.choose(
            ("/proc/net/snmp", "InEchoReps"),
            ("/proc/net/snmp6", "Icmp6InEchoReplies"),
        );
        let captured = self.run("reads counters", &["cat", file])?;
        let found = match family {
            // A line of names, a line of values.
            Family::Ip4 => {
                let mut lines = captured.stdout.lines().filter(|line| line.starts_with("Icmp:"));
                let (names, values) = (lines.next(), lines.next());
                names
                    .into_iter()
                    .flat_map(str::split_whitespace)
                    .zip(values.into_iter().flat_map(str::split_whitespace))
                    .find(|(column, _)| *column == name)
            }
            // A name and its value a line.
            Family::Ip6 => captured
                .stdout
                .lines()
                .filter_map(|line| line.split_once(char::is_whitespace))
                .find(|(column, _)| *column == name),
        };
        found
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| failed(captured))
    }
}

/// `ping` at work in a namespace.
///
/// It ends two round trips after its last request, however short those were. An answer that the scheduler held up is
/// counted by the kernel all the same, so that count is taken.
#[derive(Debug)]
pub struct Pinger<'a> {
    namespace: &'a Namespace,
    process: Process,
    family: Family,
    before: u64,
}

impl<'a> Pinger<'a> {
    /// Starts to ping `to` from `namespace`, with the words of `ping` that are given besides.
    ///
    /// # Errors
    /// `ping` is not installed.
    pub fn start(namespace: &'a Namespace, to: &str, words: &[&str]) -> Result<Self, Error> {
        let family = Family::of(to);
        let before = namespace.echo_replies(family)?;
        let process = namespace
            .process("pings", "ping")
            .args(["-n", "-q"])
            .args(words)
            .arg(to)
            .start()?;
        Ok(Self {
            namespace,
            process,
            family,
            before,
        })
    }

    /// Ends it as Ctrl-C does, and waits for answers to what it has sent.
    ///
    /// # Errors
    /// It does not come to its summary within `limit`.
    pub fn interrupt(mut self, limit: Duration) -> Result<Pings, Error> {
        self.process.signal(Signal::SIGINT);
        self.finish(limit)
    }

    /// Waits for its end, and for answers that came too late for it.
    ///
    /// # Errors
    /// It does not come to its summary within `limit`.
    pub fn finish(mut self, limit: Duration) -> Result<Pings, Error> {
        let status = self.process.wait(limit)?;
        let mut pings = Pings::parse(&self.process.stdout()).ok_or_else(|| Error::Failed {
            command: "ping".to_owned(),
            status,
            stderr: self.process.stderr(),
        })?;
        let began = Instant::now();
        // Without any answer ping has waited for as long as it was told.
        while pings.answered > 0 && pings.answered < pings.sent && began.elapsed() < LATE_ANSWERS {
            let replies = self.namespace.echo_replies(self.family)? - self.before;
            pings.answered = u32::try_from(replies).unwrap_or(u32::MAX).min(pings.sent);
            thread::sleep(interrupt::TICK);
        }
        Ok(pings)
    }
}

fn failed(captured: Captured) -> Error {
    Error::Failed {
        command: captured.command,
        status: captured.status,
        stderr: captured.stderr,
    }
}

/// `tg-datagrams receive` in a namespace.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
    address: String,
    flows: u32,
    count: u32,
}

impl Receiver {
    /// Starts to receive at `address` (`IP:PORT`) of `namespace`: `count` datagrams in `flows` flows.
    ///
    /// # Errors
    /// It is not built, or the address cannot be bound.
    pub fn start(namespace: &Namespace, address: &str, flows: u32, count: u32) -> Result<Self, Error> {
        let mut process = namespace
            .process("receives numbered datagrams", binaries::find("tg-datagrams")?)
            .args(["receive", "--bind", address, "--timeout", "5"])
            .args(["--flows", &flows.to_string(), "--expect", &count.to_string()])
            .start()?;
        process.wait_for_stderr("`ready`", START_LIMIT, |line| line == "ready")?;
        Ok(Self {
            process,
            address: address.to_owned(),
            flows,
            count,
        })
    }

    /// Sends all that it waits for, from `namespace`: datagrams of `size` bytes of payload, `rate` per second.
    ///
    /// # Errors
    /// The kernel refuses to send.
    pub fn send_from(&self, namespace: &Namespace, size: usize, rate: u32) -> Result<Sent, Error> {
        let program = binaries::find("tg-datagrams")?;
        let limit = Duration::from_secs(30 + u64::from(self.count / rate) * 2);
        let numbers = [self.flows, self.count, rate].map(|number| number.to_string());
        let [flows, count, rate] = &numbers;
        let (program, size) = (program.to_string_lossy().into_owned(), size.to_string());
        let words = [
            &program,
            "send",
            "--to",
            &self.address,
            "--flows",
            flows,
            "--count",
            count,
            "--rate",
            rate,
            "--size",
            &size,
        ];
        let captured = namespace
            .run_within(limit, "sends numbered datagrams", &words)?
            .success()?;
        serde_json::from_str(&captured.stdout).map_err(|source| Error::NotJson {
            command: captured.command,
            source,
            output: captured.stdout,
        })
    }

    /// Waits for its end, and says what arrived.
    ///
    /// # Errors
    /// It did not end within `limit`, or without a report.
    pub fn report(mut self, limit: Duration) -> Result<Report, Error> {
        self.process.wait(limit)?;
        let output = self.process.stdout();
        serde_json::from_str(&output).map_err(|source| Error::NotJson {
            command: format!("tg-datagrams receive of run {}", RunId::current()),
            source,
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_ping_is_read() {
        let output = "PING 192.0.2.2 (192.0.2.2) 56(84) bytes of data.\n\n--- 192.0.2.2 ping statistics ---\n\
                      10 packets transmitted, 9 received, +2 duplicates, +1 errors, 10% packet loss, time 9ms\n";
        let pings = Pings::parse(output).unwrap();
        assert_eq!(
            pings,
            Pings {
                sent: 10,
                answered: 9,
                odd: 3
            }
        );
        assert!(!pings.all_answered());
        let clean = "3 packets transmitted, 3 received, 0% packet loss, time 2003ms";
        assert!(Pings::parse(clean).unwrap().all_answered());
        assert_eq!(Pings::parse("ping: nosuch: Name or service not known"), None);
    }

    #[test]
    fn nothing_sent_is_not_all_answered() {
        let none = Pings::parse("0 packets transmitted, 0 received").unwrap();
        assert!(!none.all_answered());
    }
}

//! What is said about packets: a line each, at most so many in a second.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use router_alert::decode;
use serde_json::json;

use crate::judge::Sight;

/// A packet that is to be said something about.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// From the link header on.
    pub frame: &'a [u8],
    /// The interface that it came by.
    pub interface: &'a str,
    /// The rule that it fits; empty if there is none.
    pub rule: &'a str,
    /// When it came: nanoseconds since 1970, UTC.
    pub time_ns: u64,
}

/// Writes lines, and counts those that were too many.
pub struct Lines<W> {
    out: W,
    json: bool,
    rate: u32,
    /// Lines that this second still has, and when it began.
    left: u32,
    second: Instant,
    suppressed: u64,
}

impl<W: Write> Lines<W> {
    /// At most `rate` lines a second.
    pub fn new(out: W, json: bool, rate: u32, now: Instant) -> Self {
        Self {
            out,
            json,
            rate,
            left: rate,
            second: now,
            suppressed: 0,
        }
    }

    /// Says what a packet is.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn packet(&mut self, shown: &Shown<'_>, now: Instant) -> io::Result<()> {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.left, self.second) = (self.rate, now);
        }
        if self.left == 0 {
            self.suppressed += 1;
            return Ok(());
        }
        self.left -= 1;
        let Shown {
            frame,
            interface,
            rule,
            time_ns,
        } = *shown;
        let sight = Sight::of(frame);
        let packet = sight.map_or(&[][..], |sight| sight.packet(frame));
        let value = sight.map(|sight| sight.value);
        let line = decode::line(packet);
        let text = decode::text(packet);
        if self.json {
            let said = json!({
                "time_ns": time_ns,
                "interface": interface,
                "rule": Some(rule).filter(|rule| !rule.is_empty()),
                "value": value,
                "packet": line,
                "text": text,
            });
            return writeln!(self.out, "{said}");
        }
        let value = value.unwrap_or_default();
        let rule = if rule.is_empty() {
            "no rule".to_owned()
        } else {
            format!("rule {rule}")
        };
        writeln!(self.out, "{interface}: router alert {value}, {rule}: {line}")?;
        for line in text.iter().flat_map(|text| text.lines()) {
            writeln!(self.out, "    {line}")?;
        }
        Ok(())
    }

    /// Lines that were too many.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Shows what has been written.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use packet::PacketBuilder;

    use super::*;

    fn shown<'a>(frame: &'a [u8], rule: &'a str) -> Shown<'a> {
        Shown {
            frame,
            interface: "lan",
            rule,
            time_ns: 7,
        }
    }

    fn frame() -> Vec<u8> {
        let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
        let packet = PacketBuilder::ipv4(host, peer).options(&[148, 4, 0, 5]).udp(
            1,
            2,
            "zwei\nZeilen\u{1b}[31m".as_bytes(),
        );
        [&[0; 12][..], &[8, 0], &packet, &[0; 9]].concat()
    }

    #[test]
    fn lines_beyond_the_rate_are_counted_and_the_next_second_has_its_own() {
        let start = Instant::now();
        let mut lines = Lines::new(Vec::new(), false, 2, start);
        for milliseconds in [0, 10, 20, 999, 1000, 1001, 1002] {
            let now = start + Duration::from_millis(milliseconds);
            lines.packet(&shown(&frame(), "demo"), now).unwrap();
        }
        assert_eq!(lines.suppressed(), 3);
        let said = String::from_utf8(lines.out).unwrap();
        let heads = said
            .lines()
            .filter(|line| line.starts_with("lan: router alert 5, rule demo: "));
        assert_eq!(heads.count(), 4, "{said}");
        assert!(
            !said.contains('\x1b'),
            "a packet does not drive the terminal: {said:?}"
        );
    }

    #[test]
    fn with_json_each_packet_is_an_object() {
        let now = Instant::now();
        let mut lines = Lines::new(Vec::new(), true, 1, now);
        lines.packet(&shown(&frame(), "demo"), now).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&lines.out).unwrap();
        assert_eq!(
            (&said["time_ns"], &said["value"], &said["rule"]),
            (&json!(7), &json!(5), &json!("demo"))
        );
        assert!(
            said["packet"].as_str().unwrap().contains("198.51.100.1"),
            "{said}"
        );
    }
}

//! Packets for people: a line each, or a JSON object.

mod ip6;
mod summary;
mod upper;

use std::borrow::Cow;
use std::io::Write;
use std::time::{Duration, SystemTime};

use control::message::{CaptureInterface, CapturePoint};
use serde_json::json;

pub use self::summary::summary;
use crate::output::{About, Output, OutputError};
use crate::source::{Counts, Packet};

/// Bytes to gather before they are written.
const GATHER: usize = 64 << 10;

/// Prints packets.
pub struct Lines<W> {
    to: W,
    interfaces: Vec<(u16, String)>,
    json: bool,
    waiting: Vec<u8>,
    packets_waiting: u64,
    written: u64,
}

impl<W: Write> Lines<W> {
    /// Prints to `to`, with `json` as JSON objects.
    pub fn new(to: W, interfaces: &[CaptureInterface], json: bool) -> Self {
        Self {
            to,
            interfaces: names(interfaces),
            json,
            waiting: Vec::new(),
            packets_waiting: 0,
            written: 0,
        }
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        let outcome = self.to.write_all(&self.waiting).and_then(|()| self.to.flush());
        self.waiting.clear();
        let packets = std::mem::take(&mut self.packets_waiting);
        outcome.map_err(|error| OutputError::write("the standard output", self.written, error))?;
        self.written += packets;
        Ok(())
    }

    fn line(&self, packet: &Packet<'_>) -> String {
        let found = self
            .interfaces
            .iter()
            .find(|(index, _)| *index == packet.interface);
        let interface = found.map_or("?", |(_, name)| name);
        let time = timestamp(packet.time_ns);
        let point = CapturePoint::from(packet.way).name();
        let summary = summary(packet.data, packet.wire_length);
        if self.json {
            json!({
                "time": time,
                "interface": interface,
                "point": point,
                "length": packet.wire_length,
                "captured": packet.data.len(),
                "summary": summary,
            })
            .to_string()
        } else {
            format!("{} {interface} {point} {summary}", time_of_day(&time))
        }
    }
}

fn names(interfaces: &[CaptureInterface]) -> Vec<(u16, String)> {
    let name = |interface: &CaptureInterface| (interface.index, interface.name.clone());
    interfaces.iter().map(name).collect()
}

impl<W: Write> Output for Lines<W> {
    fn section(&mut self, about: &About<'_>) -> Result<(), OutputError> {
        self.interfaces = names(about.interfaces);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        let line = self.line(packet);
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
        self.packets_waiting += 1;
        if self.waiting.len() < GATHER {
            return Ok(());
        }
        self.flush()
    }

    /// Somebody reads along: nothing waits longer than its burst.
    fn round(&mut self, _idle: bool) -> Result<(), OutputError> {
        self.flush()
    }

    fn finish(&mut self, _counts: Counts) -> Result<(), OutputError> {
        self.flush()
    }

    fn written(&self) -> u64 {
        self.written
    }
}

/// Nanoseconds since 1970 as RFC 3339 has them, in UTC: `2026-11-21T12:34:56.123456789Z`.
fn timestamp(time_ns: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(time_ns);
    humantime::format_rfc3339_nanos(time).to_string()
}

/// The part of a timestamp between `T` and `Z`.
fn time_of_day(timestamp: &str) -> &str {
    let (_, time) = timestamp.split_once('T').unwrap_or(("", timestamp));
    time.trim_end_matches('Z')
}

/// The longest packet that a length field can speak of.
const LONGEST: usize = 65_575;

/// A packet of `length` bytes of which `captured` are the first. What the snapshot left out is made up as zeros, so that lengths
/// fit; nothing of it is to be shown.
fn whole(captured: &[u8], length: usize) -> Cow<'_, [u8]> {
    let mut whole = Cow::Borrowed(captured);
    if captured.len() < length {
        whole.to_mut().resize(length.min(LONGEST).max(captured.len()), 0);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use packet::{MacAddress, PacketBuilder};
    use proptest::prelude::*;

    use crate::source::Way;

    fn print(packet: &Packet<'_>, json: bool) -> String {
        let wan = CaptureInterface {
            index: 3,
            name: "wan".into(),
            device: "net_null0".into(),
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            speed_mbps: 0,
        };
        let mut printed = Vec::new();
        let mut lines = Lines::new(&mut printed, &[wan], json);
        lines.packet(packet).unwrap();
        lines.round(false).unwrap();
        assert_eq!(lines.written(), 1);
        String::from_utf8(printed).unwrap()
    }

    fn ping() -> Vec<u8> {
        PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]))
            .ipv4([192, 168, 1, 2].into(), [192, 168, 2, 2].into())
            .echo_request(1, 2, &[0; 56])
    }

    const NOON: u64 = 1_795_264_496_123_456_789;

    #[test]
    fn a_line_has_time_interface_point_and_what_it_is() {
        let data = ping();
        let packet = Packet {
            time_ns: NOON,
            interface: 3,
            way: Way::Rx,
            wire_length: 98,
            rule: None,
            id: 0,
            worker: 0,
            queue: None,
            lost_before: 0,
            dropped: None,
            data: &data,
        };
        assert_eq!(
            print(&packet, false),
            "12:34:56.123456789 wan rx 192.168.1.2 > 192.168.2.2: icmp echo request, id 1, seq 2, length 98\n"
        );
        let object: serde_json::Value = serde_json::from_str(&print(&packet, true)).unwrap();
        assert_eq!(
            object,
            json!({
                "time": "2026-11-21T12:34:56.123456789Z",
                "interface": "wan",
                "point": "rx",
                "length": 98,
                "captured": 98,
                "summary": "192.168.1.2 > 192.168.2.2: icmp echo request, id 1, seq 2, length 98",
            })
        );
    }

    proptest! {
        #[test]
        fn any_packet_is_one_line(
            time_ns: u64, interface: u16, wire_length: u32, data in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let packet = Packet {
                time_ns, interface, way: Way::Tx, wire_length, rule: None, id: 0, worker: 0, queue: None, lost_before: 0,
                dropped: None, data: &data
            };
            for json in [false, true] {
                prop_assert_eq!(print(&packet, json).lines().count(), 1);
            }
        }
    }
}

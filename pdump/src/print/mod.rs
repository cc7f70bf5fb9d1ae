//! Packets for people: a line each, or a JSON object.
//!
//! ```text
//!   time  interface  point  what tcpdump says of the packet  (what it does not say)
//! ```
//!
//! Lines are made of numbers and of this tool's own words: nothing of a packet's bytes gets to the terminal but by `-X`, and there
//! only what is printable ASCII.

mod arp;
mod bytes;
mod frame;
mod hex;
mod icmp4;
mod icmp6;
mod ike;
mod ip4;
mod ip6;
mod line;
mod tcp;
mod time;
mod upper;

use std::fmt::Write as _;
use std::io::Write;

use control::capture::{DropReason, Dropped, PathStage};
use control::message::{CaptureInterface, CapturePoint};
use serde_json::json;

use self::bytes::Bytes;
pub use self::frame::summary;
pub use self::hex::Dump;
use self::line::{Line, note};
pub use self::time::TimeStyle;
use self::time::{Times, timestamp};
use crate::output::{About, Output, OutputError};
use crate::source::{Counts, Packet};

/// Bytes to gather before they are written.
const GATHER: usize = 64 << 10;

/// How packets are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// As JSON objects, with the time and what the packet is; else as lines.
    pub json: bool,
    /// What is said of the time.
    pub time: TimeStyle,
    /// MAC addresses, EtherType and length of the frame too.
    pub link: bool,
    /// Its bytes too.
    pub dump: Option<Dump>,
}

/// Prints packets.
pub struct Lines<W> {
    to: W,
    interfaces: Vec<(u16, String)>,
    style: Style,
    times: Times,
    line: Line,
    /// Made, and not written yet.
    waiting: String,
    packets_waiting: u64,
    written: u64,
}

impl<W: Write> Lines<W> {
    /// Prints to `to`.
    pub fn new(to: W, interfaces: &[CaptureInterface], style: Style) -> Self {
        Self {
            to,
            interfaces: names(interfaces),
            style,
            times: Times::new(style.time),
            line: Line::new(style.link),
            waiting: String::new(),
            packets_waiting: 0,
            written: 0,
        }
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        let outcome = self
            .to
            .write_all(self.waiting.as_bytes())
            .and_then(|()| self.to.flush());
        self.waiting.clear();
        let packets = std::mem::take(&mut self.packets_waiting);
        outcome.map_err(|error| OutputError::write("the standard output", self.written, error))?;
        self.written += packets;
        Ok(())
    }

    fn gather(&mut self, packet: &Packet<'_>) -> std::fmt::Result {
        let Self { line, waiting, .. } = self;
        let found = self
            .interfaces
            .iter()
            .find(|(index, _)| *index == packet.interface);
        let interface = found.map_or("?", |(_, name)| name);
        let point = CapturePoint::from(packet.way).name();
        line.clear();
        let dropped = packet.dropped.map(|Dropped { reason, stage }| {
            let reason = DropReason::from_index(reason.into()).map_or("?", DropReason::name);
            let stage = PathStage::from_index(stage.into()).map_or("?", PathStage::name);
            (reason, stage)
        });
        if let Some((reason, stage)) = dropped {
            note!(line, "dropped: {reason} at {stage}");
        }
        let frame = Bytes::new(packet.data, packet.wire_length as usize);
        frame::tell(line, frame, 0);
        if self.style.json {
            let mut object = json!({
                "time": timestamp(packet.time_ns),
                "interface": interface,
                "point": point,
                "length": packet.wire_length,
                "captured": packet.data.len(),
                "packet_id": packet.id,
                "worker": packet.worker,
                "queue": packet.queue,
                "lost_before": packet.lost_before,
                "summary": line.end(),
            });
            if let Some((reason, stage)) = dropped {
                object["reason"] = reason.into();
                object["stage"] = stage.into();
            }
            if self.style.dump.is_some() {
                object["data"] = hex::digits(packet.data).into();
            }
            return writeln!(waiting, "{object}");
        }
        self.times.put(waiting, packet.time_ns)?;
        write!(waiting, "{interface} {point} {}", line.end())?;
        if let Some(dump) = self.style.dump {
            dump.put(waiting, packet.data, frame::header_length(frame))?;
        }
        waiting.push('\n');
        Ok(())
    }
}

/// Names may come from a file: what is no letter, digit or sign of ASCII in them is shown by its number.
fn names(interfaces: &[CaptureInterface]) -> Vec<(u16, String)> {
    let shown = |name: &str| -> String {
        let is_plain = |character: &char| character.is_ascii_graphic() || character.is_alphanumeric();
        name.chars()
            .map(|character| match Some(character).filter(is_plain) {
                Some(plain) => plain.to_string(),
                None => character.escape_unicode().to_string(),
            })
            .collect()
    };
    let name = |interface: &CaptureInterface| (interface.index, shown(&interface.name));
    interfaces.iter().map(name).collect()
}

impl<W: Write> Output for Lines<W> {
    fn section(&mut self, about: &About<'_>) -> Result<(), OutputError> {
        self.interfaces = names(about.interfaces);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        // A string takes everything.
        let _ = self.gather(packet);
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

#[cfg(test)]
mod tests {
    use super::*;
    use packet::{MacAddress, PacketBuilder};
    use proptest::prelude::*;

    use crate::source::Way;

    fn print(packet: &Packet<'_>, style: Style) -> String {
        let wan = CaptureInterface {
            index: 3,
            name: "wan".into(),
            device: "net_null0".into(),
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            speed_mbps: 0,
        };
        let mut printed = Vec::new();
        let mut lines = Lines::new(&mut printed, &[wan], style);
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

    const JSON: Style = Style {
        json: true,
        time: TimeStyle::Day,
        link: false,
        dump: None,
    };

    const NOON: u64 = 1_795_264_496_123_456_789;

    #[test]
    fn a_line_has_time_interface_point_and_what_it_is() {
        let data = ping();
        let mut packet = Packet {
            time_ns: NOON,
            interface: 3,
            way: Way::Rx,
            wire_length: 98,
            rule: None,
            id: 7,
            worker: Some(1),
            queue: None,
            lost_before: 2,
            dropped: None,
            data: &data,
        };
        assert_eq!(
            print(&packet, Style::default()),
            "12:34:56.123456789 wan rx IP 192.168.1.2 > 192.168.2.2: ICMP echo request, id 1, seq 2, length 64\n"
        );
        let object: serde_json::Value = serde_json::from_str(&print(&packet, JSON)).unwrap();
        assert_eq!(
            object,
            json!({
                "time": "2026-11-21T12:34:56.123456789Z",
                "interface": "wan",
                "point": "rx",
                "length": 98,
                "captured": 98,
                "packet_id": 7,
                "worker": 1,
                "queue": null,
                "lost_before": 2,
                "summary": "IP 192.168.1.2 > 192.168.2.2: ICMP echo request, id 1, seq 2, length 64",
            })
        );
        packet.way = Way::Drop;
        packet.dropped = Some(Dropped::new(DropReason::TtlExpired, PathStage::Lookup));
        let line = print(&packet, Style::default());
        assert!(line.contains(" wan drop IP 192.168.1.2 >"), "{line}");
        assert!(
            line.ends_with(", length 64 (dropped: ttl_expired at lookup)\n"),
            "{line}"
        );
        let object: serde_json::Value = serde_json::from_str(&print(&packet, JSON)).unwrap();
        assert_eq!(
            (&object["reason"], &object["stage"]),
            (&json!("ttl_expired"), &json!("lookup"))
        );
    }

    proptest! {
        #[test]
        fn any_packet_is_one_line(
            time_ns: u64, interface: u16, wire_length: u32, data in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let packet = Packet {
                time_ns, interface, way: Way::Tx, wire_length, rule: None, id: 0, worker: None, queue: None, lost_before: 0,
                dropped: None, data: &data
            };
            for style in [Style::default(), JSON] {
                prop_assert_eq!(print(&packet, style).lines().count(), 1);
            }
        }
    }
}

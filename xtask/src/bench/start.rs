//! How long a start takes, and what a million routes take in time and memory.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use ::tests::{Interface, Primary};
use pcap_file::pcap::PcapReader;
use serde_json::Value;

use super::figures::{Bound, Section, Unit};
use super::traffic::{self, Family, Size};
use super::{Bench, pause};
use crate::error::Error;

/// Of a million IPv4 routes: to load them, seconds, and all memory that is there for them, bytes.
const LONGEST_LOAD: Bound = Bound::AtMost(2.0);
const MOST_MEMORY: Bound = Bound::AtMost(250e6);
/// Until a finite pcap has gone through, on a busy host.
const ALL_THROUGH: Duration = Duration::from_millis(500);

impl Bench {
    /// Each round starts a primary for its first packets, and one with full tables of each family.
    pub(super) fn start(&self) -> Result<Section, Error> {
        let mut section = Section::new("Start, load and memory");
        for round in 1..=self.times.rounds {
            self.progress("starts", round);
            self.first_packet(&mut section)?;
            for family in [Family::Four, Family::Six] {
                self.full_table(&mut section, family)?;
            }
        }
        let name = full_name(Family::Four);
        section.judge(&format!("loading {name}"), LONGEST_LOAD);
        section.judge(&format!("memory for {name}"), MOST_MEMORY);
        section.remarks.push(
            "Memory for routes is the lookup tables as far as they are used, all records for tools, and what the control thread keeps beside \
             them. VPP 23.10 takes 8.6 s and 414 MB for a million IPv4 routes."
                .to_owned(),
        );
        Ok(section)
    }

    /// From the start of the process to `ready`, and to the first packet that leaves.
    fn first_packet(&self, section: &mut Section) -> Result<(), Error> {
        let out = self.folder.join("first.pcap");
        let _ = fs::remove_file(&out);
        let pcap = self.file("packets", Family::Four, Size::One, "pcap");
        let [source, sink] = [
            format!("net_pcap0,rx_pcap={}", pcap.display()),
            format!("net_pcap1,tx_pcap={}", out.display()),
        ];
        let (next_hop, mac) = traffic::neighbors(Family::Four)
            .next()
            .ok_or_else(|| Error::Unexpected("the bench has no next hop".to_owned()))?;
        let builder = Primary::builder(self.privilege, "bench")
            .interface(Interface::device("in", &source).address(traffic::IN_ADDRESSES[0]))
            .interface(Interface::device("out", &sink).address(traffic::OUT_ADDRESSES[0]))
            .busy()
            .neighbor(&next_hop.to_string(), &mac.to_string(), "out")
            .route("0.0.0.0/0", &next_hop.to_string());
        let began = SystemTime::now();
        let mut primary = builder.start()?;
        let ready = began.elapsed().unwrap_or_default();
        pause(ALL_THROUGH)?;
        // The file is whole when its process has ended.
        primary.terminate()?;
        section.record("exec to ready", Unit::Seconds, ready.as_secs_f64());
        let since_epoch = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let first = first_time(&out)?.saturating_sub(since_epoch);
        section.record("exec to the first packet", Unit::Seconds, first.as_secs_f64());
        Ok(())
    }

    /// Loads full tables into a primary and looks at what they take.
    fn full_table(&self, section: &mut Section, family: Family) -> Result<(), Error> {
        let name = full_name(family);
        let limit = format!(
            "[limits]\nroutes{} = {}\n",
            family.number(),
            Size::Full.routes(family)
        );
        let mut primary = self.idle_primary(family, &limit)?;
        let pid = primary.process().pid();
        let before = resident(pid, "RssAnon")?;
        let took = self.load(&primary, family, Size::Full)?;
        let beside = resident(pid, "RssAnon")?.saturating_sub(before);
        let memory = Memory::read(&primary.ctl_json(&["memory"])?, family);
        let huge = resident(pid, "HugetlbPages")?;
        primary.terminate()?;
        let mut bytes = |what: &str, bytes: u64| section.record(what, Unit::Bytes, bytes as f64);
        bytes(&format!("lookup tables of {name}"), memory.lookup);
        bytes(&format!("records of {name}"), memory.records);
        bytes(&format!("control thread, {name}"), beside);
        bytes(
            &format!("memory for {name}"),
            memory.lookup + memory.records + beside,
        );
        bytes(&format!("hugepages of the process, {name}"), huge);
        section.record(&format!("loading {name}"), Unit::Seconds, took.as_secs_f64());
        Ok(())
    }
}

fn full_name(family: Family) -> String {
    format!("{} IPv{} routes", Size::Full.routes(family), family.number())
}

/// What there is for routes, in bytes, as `tollgate-ctl memory` says it.
#[derive(Debug, PartialEq, Eq)]
struct Memory {
    /// As far as it is used.
    lookup: u64,
    records: u64,
}

impl Memory {
    fn read(parts: &Value, family: Family) -> Self {
        let part = |name: &str, key: &str| {
            let mut parts = parts.as_array().into_iter().flatten();
            let found = parts.find(|part| part["part"] == name);
            found.and_then(|part| part[key].as_u64()).unwrap_or(0)
        };
        Self {
            lookup: match family {
                // A group is 256 words of four bytes.
                Family::Four => part("fib4_tbl24", "bytes") + part("fib4_tbl8", "used") * 1024,
                Family::Six => part("fib6", "used"),
            },
            records: part("tables", "bytes"),
        }
    }
}

/// A line of /proc/PID/status that counts kilobytes, in bytes.
pub(super) fn resident(pid: u32, key: &str) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|source| Error::File {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(kilobytes(&text, key).unwrap_or(0) * 1024)
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// When the first packet of a pcap was written, since the epoch.
fn first_time(path: &Path) -> Result<Duration, Error> {
    let nothing = |error: &dyn std::fmt::Display| {
        Error::Unexpected(format!("no packet left for {}: {error}", path.display()))
    };
    let file = fs::File::open(path).map_err(|error| nothing(&error))?;
    let mut pcap = PcapReader::new(file).map_err(|error| nothing(&error))?;
    match pcap.next_packet() {
        Some(Ok(packet)) => Ok(packet.timestamp()),
        Some(Err(error)) => Err(nothing(&error)),
        None => Err(nothing(&"the file is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_ctl_and_the_kernel_say() {
        let parts = serde_json::json!([
            {"part": "fib4_tbl24", "bytes": 67_108_864, "used": 5},
            {"part": "fib4_tbl8", "bytes": 1, "used": 3},
            {"part": "fib6", "bytes": 9, "used": 7},
            {"part": "tables", "bytes": 11},
        ]);
        let expected = |lookup| Memory { lookup, records: 11 };
        assert_eq!(Memory::read(&parts, Family::Four), expected(67_108_864 + 3072));
        assert_eq!(Memory::read(&parts, Family::Six), expected(7));
        let status = "Name:\tx\nRssAnon:\t   12 kB\nHugetlbPages:\t 2048 kB\n";
        assert_eq!(kilobytes(status, "HugetlbPages"), Some(2048));
        assert_eq!(kilobytes(status, "VmSwap"), None);
    }
}

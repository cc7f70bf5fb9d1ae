//! What a running primary cannot change: its name, memory, CPUs and devices.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use super::links::is_same;
use crate::config::{Config, Interface, Places, SubInterface};

/// Fails when the configurations differ in what only a restart changes: one sentence, with the line of each key.
pub fn check(running: &Config, wanted: &Config) -> Result<(), String> {
    let mut differences = Differences {
        path: &wanted.path,
        places: &wanted.places,
        written: Vec::new(),
        derived: Vec::new(),
    };
    differences.of_process(running, wanted);
    differences.of_ports(running, wanted);
    differences.of_taps(running, wanted);
    // What follows from other keys differs because those do.
    let found = if differences.written.is_empty() {
        differences.derived
    } else {
        differences.written
    };
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} cannot change while the primary runs: restart it to apply {}, or put back what runs",
        found.join(", "),
        wanted.path.display()
    ))
}

struct Differences<'a> {
    path: &'a Path,
    places: &'a Places,
    /// Keys that are in the file.
    written: Vec<String>,
    /// Keys that are not, and differ.
    derived: Vec<String>,
}

impl Differences<'_> {
    fn note(&mut self, differs: bool, line: Option<usize>, what: impl Display) {
        match (differs, line) {
            (false, _) => {}
            (true, Some(line)) => self
                .written
                .push(format!("{what} ({}:{line})", self.path.display())),
            (true, None) => self
                .derived
                .push(format!("{what} (not in {})", self.path.display())),
        }
    }

    fn key<T: PartialEq>(&mut self, section: &'static str, key: &'static str, old: &T, new: &T) {
        let line = self.places.line(section, key);
        self.note(old != new, line, format_args!("{key} in {section}"));
    }

    fn of_process(&mut self, running: &Config, wanted: &Config) {
        let (old, new) = (&running.instance, &wanted.instance);
        self.key("[instance]", "name", &old.name, &new.name);
        self.key("[instance]", "netns", &old.netns, &new.netns);
        self.key("[instance]", "file_prefix", &old.file_prefix, &new.file_prefix);
        self.key("[instance]", "group", &old.group, &new.group);
        let (old, new) = (&running.eal, &wanted.eal);
        self.key("[eal]", "memory_mb", &old.memory_mb, &new.memory_mb);
        self.key("[eal]", "stock_tools", &old.stock_tools, &new.stock_tools);
        self.key("[eal]", "huge_dir", &old.huge_dir, &new.huge_dir);
        self.key("[eal]", "args", &old.args, &new.args);
        self.key(
            "[crypto]",
            "devices",
            &running.crypto.devices,
            &wanted.crypto.devices,
        );
        for ((key, old), (_, new)) in running.limits.each().into_iter().zip(wanted.limits.each()) {
            self.key("[limits]", key, &old, &new);
        }
        let (old, new) = (&running.workers, &wanted.workers);
        self.key("[workers]", "lcores", &old.lcores, &new.lcores);
        self.key("[workers]", "control_cpus", &old.control_cpus, &new.control_cpus);
        self.key("[workers]", "idle", &old.idle, &new.idle);
        self.key("[workers]", "spread", &old.spread, &new.spread);
    }

    /// Ports are the same in any order of the file.
    fn of_ports(&mut self, running: &Config, wanted: &Config) {
        for old in &running.interfaces {
            match wanted.interfaces.iter().find(|new| new.name == old.name) {
                Some(new) => self.of_port(old, new),
                // Nothing else explains it, so it is said whatever else differs.
                None => self
                    .written
                    .push(format!("the port {} (not in {})", old.name, self.path.display())),
            }
        }
        for new in &wanted.interfaces {
            let is_new = running.interfaces.iter().all(|old| old.name != new.name);
            let line = self.places.interface_line(&new.name, "device");
            self.note(is_new, line, format_args!("the new port {}", new.name));
        }
    }

    /// A sub-interface with a tap stays as it is, and none gets one.
    fn of_taps(&mut self, running: &Config, wanted: &Config) {
        let is_kept = |link: &SubInterface, others: &[SubInterface]| {
            others
                .iter()
                .any(|other| is_same(link, other) && link.tap == other.tap)
        };
        let lost = running
            .sub_interfaces
            .iter()
            .filter(|link| link.tap.is_some() && !is_kept(link, &wanted.sub_interfaces));
        let new = wanted
            .sub_interfaces
            .iter()
            .filter(|link| link.tap.is_some() && !is_kept(link, &running.sub_interfaces));
        let names: BTreeSet<&str> = lost.chain(new).map(|link| link.name.as_str()).collect();
        for name in names {
            let place = match self.places.interface_line(name, "tap") {
                Some(line) => format!("{}:{line}", self.path.display()),
                None => format!("not in {}", self.path.display()),
            };
            self.written.push(format!("tap of {name} ({place})"));
        }
    }

    fn of_port(&mut self, old: &Interface, new: &Interface) {
        let members = |port: &Interface| port.bond.as_ref().map(|bond| bond.members.clone());
        let mode = |port: &Interface| port.bond.as_ref().map(|bond| bond.mode);
        for (key, differs) in [
            ("device", old.device != new.device),
            ("mode", mode(old) != mode(new)),
            ("members", members(old) != members(new)),
            ("mtu", old.mtu != new.mtu),
            ("rx_descriptors", old.rx_descriptors != new.rx_descriptors),
            ("tx_descriptors", old.tx_descriptors != new.tx_descriptors),
            ("tap", old.tap != new.tap),
        ] {
            let line = self.places.interface_line(&new.name, key);
            self.note(differs, line, format_args!("{key} of {}", new.name));
        }
    }
}

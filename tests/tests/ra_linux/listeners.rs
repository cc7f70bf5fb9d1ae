//! Those who take router alerts: relays of Linux, ours, and tools of tests.

use std::{cell::Cell, fs, path::PathBuf, time::Duration};

use tests::{Namespace, Primary, Process, side_by_side::Topology};

pub(crate) const PYTHON: &str = "/usr/bin/python3";
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const RELAY: &str = include_str!("relay.py");

/// Starts them.
pub(crate) struct Listeners<'a> {
    topology: &'a Topology,
    files: Cell<usize>,
}

/// One at work; it ends when this is dropped.
pub(crate) struct Taker(Process);

impl Taker {
    /// Waits until it has said that it took a packet whose hex holds this.
    pub(crate) fn wait_for(&mut self, hex: &str) {
        self.0
            .wait_for_stdout("the packet", LIMIT, |line| line.contains(hex))
            .unwrap();
    }
}

impl<'a> Listeners<'a> {
    pub(crate) fn new(topology: &'a Topology) -> Self {
        Self {
            topology,
            files: Cell::new(0),
        }
    }

    /// A relay of Linux in a namespace, with the words of relay.py.
    pub(crate) fn linux(&self, namespace: &Namespace, words: &[&str]) -> Taker {
        let mut relay = namespace
            .process("relays by raw sockets", PYTHON)
            .args(["-I", "-c", RELAY])
            .args(words)
            .start()
            .unwrap();
        relay
            .wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
            .unwrap();
        Taker(relay)
    }

    /// A tool of tests that takes from the primary of the topology.
    pub(crate) fn consumer(&self, words: &[&str]) -> Taker {
        let primary = &self.topology.primary;
        let builder = primary.tool("takes alerts", "tg-consumer", words).unwrap();
        let mut consumer = builder.start().unwrap();
        consumer
            .wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
            .unwrap();
        Taker(consumer)
    }

    /// Our relay, with rules.
    pub(crate) fn relay(&self, primary: &Primary, rules: &str) -> Taker {
        let mut relay = self.started(primary, rules);
        relay
            .wait_for_stderr("that it relays", LIMIT, |line| line.starts_with("relaying"))
            .unwrap();
        Taker(relay)
    }

    /// Whether our relay may not attach.
    pub(crate) fn is_refused(&self, primary: &Primary, rules: &str) -> bool {
        let mut relay = self.started(primary, rules);
        relay.wait(LIMIT).unwrap().code() == Some(1)
    }

    fn started(&self, primary: &Primary, rules: &str) -> Process {
        let file = self.file(primary);
        fs::write(&file, rules).unwrap();
        let builder = primary
            .tool("relays", "tollgate-ra-relay", &["--config"])
            .unwrap();
        builder.arg(&file).start().unwrap()
    }

    /// One of its own for each relay.
    fn file(&self, primary: &Primary) -> PathBuf {
        let number = self.files.replace(self.files.get() + 1);
        primary.config_path().with_file_name(format!("ra{number}.toml"))
    }
}

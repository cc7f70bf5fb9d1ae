//! The monitor of qemu: QMP, one JSON object a line each way.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use serde_json::{Value, json};

use super::LIMIT;

/// A connection to the monitor.
pub(super) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// Greets the monitor at the other end.
    pub(super) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut monitor = Self(BufReader::new(stream));
        monitor.object();
        monitor.execute("qmp_capabilities", &json!({}));
        monitor
    }

    /// Takes the link of a network device up or down.
    pub(super) fn set_link(&mut self, device: &str, up: bool) {
        self.execute("set_link", &json!({ "name": device, "up": up }));
    }

    fn execute(&mut self, command: &str, arguments: &Value) {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.0.get_mut(), "{request}").unwrap();
        loop {
            let answer = self.object();
            if answer.get("event").is_none() {
                assert!(answer.get("return").is_some(), "{request}: {answer}");
                return;
            }
        }
    }

    fn object(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

//! What rules do with packets with the router alert option, each from the file or the command line to the packet on the link; and the
//! programs of the operator's that decide.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod handlers;
mod helpers;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tests::{Family, Listener, Primary, Privilege, Process, Sent, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a frame before its IP packet.
const ETHERNET: usize = 14;
/// What the packets of most tests say.
const TEXT: &str = "请将网卡的MTU缩小为1300，并且调整下面的内核参数：\nnet.core.rmem_default = 400382\n";

/// Two hosts, a primary between them, and what comes in at the second host. Dropped from top to bottom.
struct Stage {
    primary: Primary,
    listener: Listener,
    hosts: TwoHosts,
    mac: String,
}

impl Stage {
    /// With so long a deadline, milliseconds.
    fn set(deadline_ms: u32) -> Self {
        let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
        let primary = hosts
            .primary("gw")
            .toml(&format!(
                "[[punt]]\nclass = \"router_alert\"\nfail = \"open\"\ndeadline_ms = {deadline_ms}\n"
            ))
            .start()
            .unwrap();
        primary.wait_for_addresses().unwrap();
        let mac = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
        let listener = Listener::start(&hosts.host_b, "eth0").unwrap();
        let stage = Self {
            primary,
            listener,
            hosts,
            mac,
        };
        // The gateway knows the next hop from here on.
        stage
            .hosts
            .host_a
            .run(
                "pings the other host",
                &["ping", "-c5", "-i0.2", "-W5", Family::Ip6.address_b()],
            )
            .unwrap();
        stage
    }

    /// Where the relay's file is.
    fn file(&self) -> PathBuf {
        self.primary.config_path().with_file_name("ra.toml")
    }

    fn write(&self, rules: &str) {
        fs::write(self.file(), rules).unwrap();
    }

    /// A relay with rules, once it is at work.
    fn relay(&self, rules: &str, words: &[&str]) -> Process {
        self.write(rules);
        let mut relay = self
            .primary
            .tool("relays", "tollgate-ra-relay", words)
            .unwrap()
            .arg("--config")
            .arg(self.file())
            .start()
            .unwrap();
        relay
            .wait_for_stderr("that it relays", LIMIT, |line| line.contains("relaying"))
            .unwrap();
        relay
    }

    /// Sends what scapy makes of expressions of IPv6 packets by host-a's link.
    fn send(&self, packets: &[String]) -> Sent {
        let frame = |packet: &String| format!("Ether(dst='{}', src='02:00:00:00:00:0a')/{packet}", self.mac);
        let frames: Vec<_> = packets.iter().map(frame).collect();
        self.hosts.host_a.send_frames("eth0", &frames).unwrap()
    }

    /// What comes out at host-b and ends with some bytes, from the IP header on.
    fn arrives(&mut self, end: &[u8]) -> Vec<u8> {
        let is_it = |frame: &[u8]| frame.ends_with(end);
        let frame = self.listener.wait_for("the packet", LIMIT, is_it).unwrap();
        frame[ETHERNET..].to_vec()
    }

    /// How many packets that end with some bytes have arrived.
    fn arrived(&self, end: &[u8]) -> usize {
        let frames = self.listener.frames();
        frames.iter().filter(|frame| frame.ends_with(end)).count()
    }

    /// Waits until the gateway has dropped so many packets for a reason.
    fn drops(&self, reason: &str, packets: u64) {
        let dropped = || Ok((self.primary.counters()?.dropped(reason) == packets).then_some(()));
        wait_until("the drops", LIMIT, dropped).unwrap();
    }
}

/// An IPv6 packet from host-a to host-b with a router alert, as scapy makes it.
fn alert(value: u16, text: &str) -> String {
    let (source, destination) = (Family::Ip6.address_a(), Family::Ip6.address_b());
    format!(
        "IPv6(src='{source}', dst='{destination}', hlim=9)/IPv6ExtHdrHopByHop(options=[RouterAlert(value={value})])\
         /UDP(sport=5000, dport=5001)/bytes.fromhex('{}')",
        hex(text.as_bytes())
    )
}

fn rule(name: &str, values: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nvalues = \"{values}\"\nhandler = {more}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ends a relay that says JSON as Ctrl-C does, and gives its report.
fn report(mut relay: Process) -> Value {
    assert!(relay.terminate().unwrap().success(), "{}", relay.stderr());
    let said = relay.stderr();
    let mut lines = said.lines().rev();
    let report = lines.find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("report").cloned()
    });
    report.unwrap()
}

/// What a report says about a rule.
fn of_rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rules = report["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["rule"] == name).unwrap()
}

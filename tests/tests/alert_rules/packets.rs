//! What rules that come and go do to packets, in one instance and in another.

use std::time::{Duration, Instant};

use control::punt::{Answer, Punts};
use tests::{Pinger, Primary, TwoHosts, wait_until};

use crate::{LIMIT, directory, hosts, monitor, primary, request, rule, told};

/// A primary between two hosts, with neighbours that are known. Dropped from top to bottom.
struct Site {
    primary: Primary,
    hosts: TwoHosts,
    mac: String,
}

impl Site {
    fn new(hosts: TwoHosts, primary: Primary) -> Self {
        // The next hop is known: packets for one that is not may be too many.
        let known = Pinger::start(&hosts.host_a, TwoHosts::ADDRESS_B, &["-c", "1", "-W", "2"]).unwrap();
        known.finish(LIMIT).unwrap().assert_all_answered();
        let mac = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
        Self { primary, hosts, mac }
    }

    /// Sends so many router alerts with a value from one host to the other.
    fn send(&self, value: u16, packets: usize) {
        let (source, destination) = (TwoHosts::ADDRESS_A, TwoHosts::ADDRESS_B);
        let frames = format!(
            "[Ether(dst='{}', src='02:00:00:00:00:0a', type=0x800)/IP(src='{source}', dst='{destination}', ttl=9, \
             options=[IPOption_Router_Alert(alert={value})])/UDP(sport=9, dport=9)/b'alert'] * {packets}",
            self.mac
        );
        self.hosts.host_a.send_frames("eth0", &[frames]).unwrap();
    }

    /// Waits until `ra show` counts these of a rule, and of the interface that packets come in by.
    fn counts(&self, rule: &str, counts: &[(&str, u64)], seen: u64, unmatched: u64) {
        wait_until("the counts", LIMIT, || {
            let parts = self.primary.ctl_json(&["ra", "show"])?;
            let of = |key: &str, name: &str| {
                let found = parts.as_array().unwrap().iter().find(|part| part[key] == name);
                found.cloned().unwrap_or_default()
            };
            let (rule, interface) = (of("rule", rule), of("interface", TwoHosts::PORT_A));
            let is_so = counts.iter().all(|(counter, packets)| rule[counter] == *packets)
                && interface["alerts_seen"] == seen
                && interface["alerts_unmatched"] == unmatched;
            Ok(is_so.then_some(()))
        })
        .unwrap();
    }
}

/// Sends on what a tool is asked about until there were so many, and gives how many there were in the end.
fn relay(tool: &mut Punts, packets: usize) -> usize {
    let begin = Instant::now();
    let mut seen = 0;
    while seen < packets && begin.elapsed() < LIMIT {
        let mut taken = Vec::new();
        tool.receive(Duration::from_millis(50), &mut |punted, _| taken.push(punted))
            .unwrap();
        seen += taken.len();
        for punted in taken {
            tool.answer(punted, Answer::Forward);
        }
        tool.flush();
    }
    seen
}

/// Whether a tool is asked about nothing for a while.
fn is_idle(tool: &mut Punts) -> bool {
    let received = tool.receive(Duration::from_millis(300), &mut |punted, _| drop(punted));
    received.unwrap() == 0
}

#[test]
fn req_ra_17_a_rule_counts_as_soon_as_it_is_made_and_no_longer_than_it_is_there() {
    let hosts = hosts();
    let primary = primary(&hosts).start().unwrap();
    let site = Site::new(hosts, primary);
    let mut tool = Punts::start(&directory(&site.primary), "test", request(None)).unwrap();
    site.primary.tell("ra rule add demo values 5 handler relay");
    site.send(6, 10);
    site.send(5, 20);
    assert_eq!(relay(&mut tool, 20), 20);
    let relayed = [("matched", 20), ("punted", 20), ("relayed", 20)];
    site.counts("demo", &relayed, 30, 10);
    assert!(is_idle(&mut tool), "what fits no rule goes on");
    let parts = site.primary.ctl_json(&["ra", "show"]).unwrap();
    let latency = parts.as_array().unwrap().last().unwrap();
    assert_eq!(latency["packets"], 20, "req_ra_40: {latency}");
    assert!(latency["p50_ns"].as_u64() <= latency["p99_ns"].as_u64() && latency["p50_ns"].is_u64());

    // Of higher priority, and closed: what it does while there is no tool.
    site.primary
        .tell("ra rule add closed values 5-6 prio 1 fail closed handler relay");
    let mut monitor = monitor(&site.primary);
    drop(tool);
    told(
        &mut monitor,
        &serde_json::json!({ "event": "listener", "tool": "test", "came": false }),
    );
    site.send(5, 4);
    site.counts("closed", &[("matched", 4), ("closed_dead", 4)], 34, 10);
    site.primary.tell("ra rule del closed");
    site.send(5, 3);
    site.counts("demo", &[("matched", 23), ("bypass_dead", 3)], 37, 10);
    site.primary.tell("ra rule del demo");
    // Another of the same name begins at zero.
    site.primary.tell("ra rule add demo values 5 handler relay");
    site.send(5, 1);
    site.counts(
        "demo",
        &[("matched", 1), ("bypass_dead", 1), ("relayed", 0)],
        38,
        10,
    );
    site.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_18_a_tool_is_not_asked_about_packets_of_another_instance() {
    let run_dir = tempfile::tempdir().unwrap();
    let [one, two] = [(), ()].map(|()| {
        let hosts = hosts();
        let primary = primary(&hosts).run_dir(run_dir.path()).start().unwrap();
        Site::new(hosts, primary)
    });
    let any = Some(vec![rule("any", "any")]);
    let mut tool = Punts::start(&directory(&two.primary), "of-two", request(any)).unwrap();
    one.primary.tell("ra rule add demo values 5 handler relay");
    one.send(5, 10);
    one.counts("demo", &[("matched", 10), ("bypass_dead", 10)], 10, 0);
    assert!(is_idle(&mut tool));
    two.send(5, 7);
    assert_eq!(relay(&mut tool, 7), 7);
    two.counts("any", &[("matched", 7), ("relayed", 7)], 7, 0);
    one.counts("demo", &[("matched", 10)], 10, 0);
}

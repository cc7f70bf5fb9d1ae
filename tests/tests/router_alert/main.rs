//! The relay for router alerts: what is in a packet is read on its way, and it goes on, changed or not.
//!
//! The packet of most tests is one of 170 bytes with a TCP segment, whose text asks the routers on its way for something.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod captures;
mod counts;
mod fails;
mod kills;
mod limits;
mod mutated;
mod numbers;
mod observers;
mod order;
mod refuse;
mod rules;
mod tool;

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Family, Listener, Primary, Privilege, Process, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a frame before its IP packet.
const ETHERNET: usize = 14;
/// Where an IPv6 packet has its hop limit.
const HOP_LIMIT: usize = 7;

/// From 2001:db8::214:51ff:fe2f:1556 to 2404:6800:4005:803::200e, router alert 5, TCP.
const HEADERS6: &str = "60000000008200ff20010db800000000021451fffe2f15562404680040050803000000000000200e";
const ALERT6: &str = "0600050200050100";
const TCP6: &str = "0050005000000000000000005002ffff7bba0000";
const TEXT: &str = "请将网卡的MTU缩小为1300，并且调整下面的内核参数：\nnet.core.rmem_default = 400382\n";
/// From 198.51.100.1 to 203.0.113.77, router alert 0, of protocol 46.
const PACKET4: &str = "4600002812340000402e6cedc6336401cb00714d94040000525356502d64656d6f2d646174612121";
const RELAYED4: &str = "46000028123400003f2e6dedc6336401cb00714d94040000525356502d64656d6f2d646174612121";
const REMOVED4: &str = "45000024123400003f2e02f6c6336401cb00714d525356502d64656d6f2d646174612121";
const PADDED4: &str = "46000028123400003f2effefc6336401cb00714d01010101525356502d64656d6f2d646174612121";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().as_chunks::<2>().0.iter();
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn packet6() -> Vec<u8> {
    unhex(&[HEADERS6, ALERT6, TCP6, &hex(TEXT.as_bytes())].concat())
}

/// Two hosts, a primary between them, and what comes in at the second host. Dropped from top to bottom.
struct Stage {
    primary: Primary,
    listener: Listener,
    hosts: TwoHosts,
    mac: String,
}

impl Stage {
    /// With a class that fails so.
    fn set(fail: &str) -> Self {
        Self::set_with(fail, "")
    }

    /// The same with more of the class, and sections behind it.
    fn set_with(fail: &str, more: &str) -> Self {
        Self::with(&format!(
            "[[punt]]\nclass = \"router_alert\"\nfail = \"{fail}\"\n{more}"
        ))
    }

    fn with(configuration: &str) -> Self {
        let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
        let primary = hosts
            .primary("gw")
            .route("2404:6800::/32", Family::Ip6.address_b())
            .route("203.0.113.0/24", TwoHosts::ADDRESS_B)
            .toml(configuration)
            .start()
            .unwrap();
        primary.wait_for_addresses().unwrap();
        let mac = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
        let listener = Listener::start(&hosts.host_b, "eth0").unwrap();
        Self {
            primary,
            listener,
            hosts,
            mac,
        }
    }

    /// A relay with rules, once it is at work.
    fn relay(&self, rules: &str, words: &[&str]) -> Process {
        let file = self.primary.config_path().with_file_name("ra.toml");
        fs::write(&file, rules).unwrap();
        let mut relay = self
            .primary
            .tool("relays", "tollgate-ra-relay", words)
            .unwrap()
            .arg("--config")
            .arg(&file)
            .start()
            .unwrap();
        relay
            .wait_for_stderr("that it relays", LIMIT, |line| line.contains("relaying"))
            .unwrap();
        relay
    }

    /// Sends a packet by host-a's link.
    fn send(&self, packet: &[u8]) {
        self.send_made(&format!("Raw(bytes.fromhex('{}'))", hex(packet)), packet[0] >> 4);
    }

    /// Sends what scapy makes of an expression, of this version of IP.
    fn send_made(&self, packet: &str, version: u8) {
        let ethertype = if version == 4 { "0x800" } else { "0x86dd" };
        let frame = format!(
            "Ether(dst='{}', src='02:00:00:00:00:0a', type={ethertype})/{packet}",
            self.mac
        );
        self.hosts.host_a.send_frames("eth0", &[frame]).unwrap();
    }

    /// Waits until the gateway has dropped so many packets for a reason.
    fn drops(&self, reason: &str, packets: u64) {
        let dropped = || Ok((self.primary.counters()?.dropped(reason) == packets).then_some(()));
        wait_until("the drops", LIMIT, dropped).unwrap();
    }

    /// What comes out of it at host-b, from the IP header on.
    fn arrives(&mut self, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let frame = self
            .listener
            .wait_for("the packet", LIMIT, |frame| {
                frame.get(ETHERNET..).is_some_and(&is_it)
            })
            .unwrap();
        frame[ETHERNET..].to_vec()
    }

    /// How many packets to the far hosts have arrived.
    fn arrived(&self) -> usize {
        let far = |frame: &Vec<u8>| is_far6(&frame[ETHERNET..]) || is_far4(&frame[ETHERNET..]);
        self.listener.frames().iter().filter(|frame| far(frame)).count()
    }
}

fn is_far6(packet: &[u8]) -> bool {
    packet.get(24..28) == Some(&[0x24, 0x04, 0x68, 0x00])
}

fn is_far4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4) && packet.get(16..19) == Some(&[203, 0, 113])
}

fn rule(values: &str, handler: &str) -> String {
    format!("[[rule]]\nname = \"demo\"\nvalues = \"{values}\"\nhandler = {handler}\n")
}

/// Ends a relay as Ctrl-C does; what it printed.
fn ended(mut relay: Process) -> String {
    assert!(relay.terminate().unwrap().success(), "{}", relay.stderr());
    relay.stdout()
}

#[test]
fn req_ra_21_a_packet_is_read_and_arrives_with_one_hop_less() {
    let mut stage = Stage::set("open");
    let relay = stage.relay(&rule("5", "\"log\""), &[]);
    stage.send(&packet6());
    let mut expected = packet6();
    expected[HOP_LIMIT] = 0xfe;
    assert_eq!(hex(&stage.arrives(is_far6)), hex(&expected));
    stage.send(&unhex(PACKET4));
    // Its value is 0, which is of no rule.
    assert_eq!(hex(&stage.arrives(is_far4)), RELAYED4);
    let said = ended(relay);
    for line in TEXT.lines() {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("router alert 5, rule demo"), "{said}");
    assert!(!said.contains("198.51.100.1"), "{said}");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_28_the_option_is_taken_out_or_padded_over() {
    let mut stage = Stage::set("open");
    let removed = ["60000000007a06fe", &HEADERS6[16..], TCP6, &hex(TEXT.as_bytes())].concat();
    let padded = [
        "60000000008200fe",
        &HEADERS6[16..],
        "0600010400000000",
        TCP6,
        &hex(TEXT.as_bytes()),
    ]
    .concat();
    assert_eq!((removed.len() / 2, padded.len() / 2), (162, 170));
    for (how, six, four) in [("remove", removed, REMOVED4), ("pad", padded, PADDED4)] {
        let relay = stage.relay(&rule("0,5", &format!("\"strip\"\nstrip = \"{how}\"")), &[]);
        stage.send(&packet6());
        assert_eq!(hex(&stage.arrives(|packet| hex(packet) == six)), six, "{how}");
        stage.send(&unhex(PACKET4));
        assert_eq!(hex(&stage.arrives(|packet| hex(packet) == four)), four, "{how}");
        ended(relay);
    }
    assert_eq!(stage.arrived(), 4, "each packet once");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_30_what_a_rule_drops_does_not_arrive_and_is_counted() {
    let stage = Stage::set("open");
    let relay = stage.relay(&rule("5", "\"drop\""), &["--json"]);
    stage.send(&packet6());
    stage.drops("punt_dropped", 1);
    assert_eq!(stage.arrived(), 0);
    let mut relay = relay;
    assert!(relay.terminate().unwrap().success());
    let report = relay.stderr();
    let report: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(report["report"]["rules"][0]["dropped"], 1, "{report}");
    assert_eq!(report["report"]["seen"], 1, "{report}");
}

#[test]
fn req_ra_33_without_a_relay_packets_go_on_or_not_as_the_class_says() {
    let mut stage = Stage::set("open");
    stage.send(&packet6());
    stage.arrives(is_far6);
    drop(stage);
    let stage = Stage::set("closed");
    stage.send(&packet6());
    stage.drops("punt_closed", 1);
    assert_eq!(stage.arrived(), 0);
}

#[test]
fn req_ra_33_a_relay_that_does_not_answer_in_time_is_gone_by() {
    for (fail, expected) in [("open", 1), ("closed", 0)] {
        let mut stage = Stage::set(fail);
        let mut relay = stage.relay(&rule("5", "\"log\""), &[]);
        relay.signal(Signal::SIGSTOP);
        stage.send(&packet6());
        if expected == 1 {
            assert_eq!(stage.arrives(is_far6)[HOP_LIMIT], 0xfe);
        } else {
            stage.drops("punt_closed", 1);
        }
        relay.signal(Signal::SIGCONT);
        relay
            .wait_for_stdout("what it was asked about", LIMIT, |line| {
                line.contains("rule demo")
            })
            .unwrap();
        // Its verdict comes too late and changes nothing: the next packet is relayed, and nothing arrives twice.
        stage.send(&unhex(PACKET4));
        stage.arrives(is_far4);
        assert_eq!(stage.arrived(), expected + 1);
        let punts = stage.primary.ctl_json(&["punt", "show"]).unwrap();
        assert_eq!(punts[0]["late"], 1, "{punts}");
        ended(relay);
        stage.primary.counters_at_rest().unwrap().assert_balanced();
    }
}

#[test]
fn req_ra_34_a_killed_relay_is_followed_by_another() {
    let mut stage = Stage::set("open");
    for _ in 0..3 {
        let mut relay = stage.relay(&rule("5", "\"log\""), &[]);
        relay.kill();
        let gone = || {
            let punts = stage.primary.ctl_json(&["punt", "show"])?;
            let nobody = punts.as_array().is_some_and(|classes| {
                classes
                    .iter()
                    .any(|class| class["class"] == "router_alert" && class["tool"].is_null())
            });
            Ok(nobody.then_some(()))
        };
        wait_until("the primary to see its end", LIMIT, gone).unwrap();
    }
    let relay = stage.relay(&rule("5", "\"log\""), &[]);
    stage.send(&packet6());
    stage.arrives(is_far6);
    assert!(ended(relay).contains("router alert 5"));
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

const FAR6: &str = "dst='2404:6800:4005:803::200e'";
const ALERT: &str = "IPv6ExtHdrHopByHop(options=[RouterAlert(value=5)])";

#[test]
fn req_ra_22_what_may_go_no_further_is_answered_and_no_relay_is_asked() {
    let mut stage = Stage::set("open");
    let mut listener = Listener::start(&stage.hosts.host_a, "eth0").unwrap();
    let relay = stage.relay(&rule("any", "\"log\""), &[]);
    for hop_limit in [0, 1] {
        let source = Family::Ip6.address_a();
        stage.send_made(
            &format!("IPv6(src='{source}', {FAR6}, hlim={hop_limit})/{ALERT}/UDP()/b'last hop'"),
            6,
        );
        stage.drops("ttl_expired", hop_limit + 1);
    }
    let exceeded = |frame: &[u8]| frame.get(ETHERNET + 6) == Some(&58) && frame.get(54..56) == Some(&[3, 0]);
    listener.wait_for("Time Exceeded", LIMIT, exceeded).unwrap();
    stage.send_made(
        "IP(src='192.168.1.2', dst='203.0.113.77', ttl=1, options=[IPOption_Router_Alert()])/UDP()/b'last hop'",
        4,
    );
    stage.drops("ttl_expired", 3);
    let exceeded = |frame: &[u8]| frame.get(ETHERNET + 9) == Some(&1) && frame.get(34..36) == Some(&[11, 0]);
    listener.wait_for("Time Exceeded", LIMIT, exceeded).unwrap();
    assert_eq!(stage.arrived(), 0);
    assert_eq!(ended(relay).matches("last hop").count(), 0);
    // Neither 255 nor 0 comes of a hop limit of 0.
    stage.send(&packet6());
    assert_eq!(stage.arrives(is_far6)[HOP_LIMIT], 0xfe);
    assert_eq!(stage.arrived(), 1);
}

#[test]
fn req_ra_20_and_23_what_is_for_the_link_or_from_nobody_is_not_relayed() {
    let mut stage = Stage::set("open");
    let relay = stage.relay(&rule("any", "\"relay\""), &["--json"]);
    for packet in [
        // Multicast listener reports, and their routers' query.
        &format!("IPv6(src='fe80::a', dst='ff02::16', hlim=1)/{ALERT}/ICMPv6MLReport2()"),
        &format!("IPv6(src='fe80::a', dst='ff02::1', hlim=1)/{ALERT}/ICMPv6MLQuery2()"),
        &format!("IPv6(src='::', {FAR6})/{ALERT}/UDP()"),
        &format!("IPv6(src='ff02::1', {FAR6})/{ALERT}/UDP()"),
        &format!("IPv6(src='::1', {FAR6})/{ALERT}/UDP()"),
        &format!("IPv6(src='fe80::a', {FAR6})/{ALERT}/UDP()"),
    ] {
        stage.send_made(packet, 6);
    }
    for source in ["224.0.0.1", "127.0.0.1", "0.0.0.0"] {
        let packet =
            format!("IP(src='{source}', dst='203.0.113.77', options=[IPOption_Router_Alert()])/UDP()");
        stage.send_made(&packet, 4);
    }
    stage.send_made(
        "IP(src='192.168.1.2', dst='224.0.0.22', ttl=1, options=[IPOption_Router_Alert()])/UDP()",
        4,
    );
    // What comes behind them arrives, and nothing before it.
    stage.send(&packet6());
    stage.arrives(is_far6);
    assert_eq!(stage.arrived(), 1);
    stage.drops("ip6_scope", 1);
    ended(relay);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_25_and_26_fragments_are_relayed_each_by_itself() {
    let stage = Stage::set("open");
    let relay = stage.relay(&rule("any", "\"relay\""), &["--json"]);
    let source = Family::Ip6.address_a();
    for fragment in ["offset=0, m=1", "offset=3, m=0"] {
        stage.send_made(
            &format!(
                "IPv6(src='{source}', {FAR6}, hlim=9)/{ALERT}/IPv6ExtHdrFragment(id=7, nh=17, {fragment})/Raw(bytes(24))"
            ),
            6,
        );
    }
    for fragment in ["frag=0, flags='MF'", "frag=3"] {
        stage.send_made(
            &format!(
                "IP(src='192.168.1.2', dst='203.0.113.77', id=7, ttl=9, proto=17, {fragment}, \
                 options=[IPOption_Router_Alert()])/Raw(bytes(24))"
            ),
            4,
        );
    }
    let four = || Ok((stage.arrived() == 4).then_some(()));
    wait_until("four fragments", LIMIT, four).unwrap();
    let frames = stage.listener.frames();
    let fields: Vec<_> = frames
        .iter()
        .map(|frame| &frame[ETHERNET..])
        .filter(|packet| is_far6(packet) || is_far4(packet))
        .map(|packet| {
            if is_far6(packet) {
                // Hop limit, and of the fragment header behind the options its offset.
                (packet[7], hex(&packet[48 + 2..48 + 4]))
            } else {
                (packet[8], hex(&packet[6..8]))
            }
        })
        .collect();
    let expected = [(8, "0001"), (8, "0018"), (8, "2000"), (8, "0003")];
    assert_eq!(fields, expected.map(|(hops, place)| (hops, place.to_owned())));
    let mut relay = relay;
    assert!(relay.terminate().unwrap().success());
    let report: serde_json::Value = serde_json::from_str(relay.stderr().lines().last().unwrap()).unwrap();
    assert_eq!(report["report"]["rules"][0]["relayed"], 4, "{report}");
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_is_asked_of_the_primary() {
    let stage = Stage::set("open");
    let file = stage.primary.config_path().with_file_name("ra.toml");
    fs::write(
        &file,
        "[[rule]]\nname = \"demo\"\nvalues = \"5-4\"\nhandler = \"lgo\"\n",
    )
    .unwrap();
    let mut relay = stage
        .primary
        .tool("is refused", "tollgate-ra-relay", &["--config"])
        .unwrap()
        .arg(&file)
        .start()
        .unwrap();
    assert_eq!(relay.wait(LIMIT).unwrap().code(), Some(2));
    let said = relay.stderr();
    for part in ["ra.toml:3:", "ra.toml:4:", "did you mean 'log'?"] {
        assert!(said.contains(part), "{said}");
    }
}

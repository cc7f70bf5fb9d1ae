//! Rules of the primary: which packets a tool is asked about, and what becomes of them without one.

use std::time::{Duration, Instant};

use control::instance::{InstanceDir, RunDir};
use control::message::{AlertRule, FailMode, PuntClass, PuntRequest};
use control::punt::{Answer, Packet, Punted, Punts, Stage as Place};
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use shm::{AlertCounter, InterfaceCounter};
use tests::{Family, Listener, Primary, TwoHosts, wait_until};

use crate::counts::Counts;
use crate::{ETHERNET, FAR6, HOP_LIMIT, LIMIT, Stage, hex, is_far4, is_far6};

const PYTHON: &str = "/usr/bin/python3";
const SEND: &str = include_str!("../../frames/alerts.py");
const RECEIVE: &str = include_str!("../../frames/numbers.py");

pub(crate) fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

pub(crate) fn rule(name: &str, values: &str, change: impl FnOnce(&mut AlertRule)) -> AlertRule {
    let mut rule = AlertRule::new(Rule::new(name, values.parse().unwrap()), Handler::Relay);
    change(&mut rule);
    rule
}

/// Decides about router alerts by these rules, or watches if there are none.
pub(crate) fn attach(stage: &Stage, rules: Option<Vec<AlertRule>>) -> Punts {
    let request = PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe: rules.is_none(),
        rules,
    };
    Punts::start(&directory(&stage.primary), "test", request).unwrap()
}

/// Takes packets until there are `count`, and sends all on: of each the rule that it fits, and its bytes from the IP header on.
fn take(punts: &mut Punts, count: usize) -> Vec<(Option<u16>, Vec<u8>)> {
    let mut seen = Vec::new();
    look(punts, |punts, punted, rule, frame| {
        punts.answer(punted, Answer::Forward);
        seen.push((rule, frame[ETHERNET..].to_vec()));
        seen.len() >= count
    });
    seen
}

/// The same for one that only watches.
fn watch(punts: &mut Punts, count: usize) -> Vec<(Option<u16>, Vec<u8>)> {
    let mut seen = Vec::new();
    look(punts, |_, punted, rule, frame| {
        drop(punted);
        seen.push((rule, frame[ETHERNET..].to_vec()));
        seen.len() >= count
    });
    seen
}

/// Takes packets, and does `decide` with each and with its rule, until that says that it is enough.
fn look(punts: &mut Punts, mut decide: impl FnMut(&mut Punts, Punted, Option<u16>, &[u8]) -> bool) {
    let begin = Instant::now();
    let mut enough = false;
    while !enough {
        assert!(begin.elapsed() < LIMIT, "there are not as many packets");
        let mut taken = Vec::new();
        let mut take = |punted, packet: &Packet<'_>| taken.push((punted, packet.rule, packet.data.to_vec()));
        punts.receive(Duration::from_millis(50), &mut take).unwrap();
        for (punted, rule, frame) in taken {
            enough |= decide(punts, punted, rule, &frame);
        }
        punts.flush();
    }
}

/// An alert with this value of far destinations, as scapy makes it.
pub(crate) fn alert6(value: u16, hop_limit: u8) -> String {
    let source = Family::Ip6.address_a();
    format!(
        "IPv6(src='{source}', {FAR6}, hlim={hop_limit})/IPv6ExtHdrHopByHop(options=[RouterAlert(value={value})])/UDP()/b'{value}'"
    )
}

fn alert4(value: u16) -> String {
    format!(
        "IP(src='192.168.1.2', dst='203.0.113.77', ttl=9, options=[IPOption_Router_Alert(alert={value})])/UDP()/b'{value}'"
    )
}

impl Stage {
    /// Sends so many packets of each expression, those of an expression together.
    pub(crate) fn send_all(&self, packets: &[(&str, usize)]) {
        let frame = |(packet, count): &(&str, usize)| {
            let ethertype = if packet.starts_with("IPv6") {
                "0x86dd"
            } else {
                "0x800"
            };
            format!(
                "[Ether(dst='{}', src='02:00:00:00:00:0a', type={ethertype})/{packet}] * {count}",
                self.mac
            )
        };
        let frames: Vec<_> = packets.iter().map(frame).collect();
        self.hosts.host_a.send_frames("eth0", &frames).unwrap();
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of_primary(&self.primary)
    }

    /// Makes the next hop known: packets for one that is not may be too many.
    pub(crate) fn find_neighbors(&mut self) {
        for packet in [alert6(65000, 9), alert4(65000)] {
            self.send_all(&[(&packet, 1)]);
        }
        self.arrives(is_far6);
        self.arrives(is_far4);
    }
}

#[test]
fn req_ra_15_the_first_rule_by_priority_that_fits_is_told_to_the_tool() {
    let stage = Stage::set("open");
    let from = |address: &str| Some(address.parse().unwrap());
    let mut punts = attach(
        &stage,
        Some(vec![
            rule("rest", "any", |_| {}),
            rule("other-side", "any", |made| {
                (made.rule.priority, made.rule.interface) = (9, Some(TwoHosts::PORT_B.to_owned()));
            }),
            rule("this-side", "7", |made| {
                (made.rule.priority, made.rule.interface) = (5, Some(TwoHosts::PORT_A.to_owned()));
            }),
            rule("four", "7-8", |made| {
                (made.rule.priority, made.rule.family) = (6, Some(router_alert::Family::Four));
            }),
            rule("udp", "8", |made| {
                (made.rule.priority, made.rule.protocol) = (3, Some(17))
            }),
            rule("tcp", "8-9", |made| {
                (made.rule.priority, made.rule.protocol) = (4, Some(6))
            }),
            rule("from", "9", |made| {
                (made.rule.priority, made.rule.source) =
                    (2, from(&format!("{}/128", Family::Ip6.address_a())));
            }),
            rule("to", "9-10", |made| {
                (made.rule.priority, made.rule.destination) = (1, from("2404:6800::/32"));
            }),
        ]),
    );
    let expected = [
        (alert6(7, 9), "this-side"),
        (alert4(7), "four"),
        (alert6(8, 9), "udp"),
        (alert4(8), "four"),
        (alert6(9, 9), "from"),
        (alert6(10, 9), "to"),
        (alert4(10), "rest"),
    ];
    let packets: Vec<_> = expected.iter().map(|(packet, _)| (packet.as_str(), 1)).collect();
    stage.send_all(&packets);
    let counts = stage.counts();
    let seen = take(&mut punts, expected.len());
    let ids: Vec<_> = seen.into_iter().map(|(rule, _)| rule).collect();
    let names: Vec<_> = expected.iter().map(|(_, name)| Some(counts.id(name))).collect();
    assert_eq!(ids, names);
    let all = || Ok((stage.arrived() == expected.len()).then_some(()));
    wait_until("all packets", LIMIT, all).unwrap();
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    counts.assert_balanced();
    assert_eq!(counts.of("four", AlertCounter::Relayed), 2);
    assert_eq!(counts.of("other-side", AlertCounter::Matched), 0);
    let took: u64 = counts.reader().counters().punt_took().iter().sum();
    assert_eq!(took, expected.len() as u64, "req_ra_40");
}

#[test]
fn req_ra_18_a_rule_for_an_interface_is_for_that_alone_whatever_has_its_place() {
    let stage = Stage::set("open");
    let ctl = |words: &str| {
        let words: Vec<_> = words.split_whitespace().collect();
        stage.primary.ctl(&words).unwrap().success().unwrap();
    };
    let port = TwoHosts::PORT_A;
    ctl(&format!("link add seven link {port} id 7"));
    let by_seven = rule("by-seven", "any", |made| {
        made.rule.interface = Some("seven".to_owned())
    });
    let mut punts = attach(&stage, Some(vec![by_seven]));
    let counts = stage.counts();
    let id = Some(counts.id("by-seven"));
    let send = |vlan: u16| {
        let (mac, packet) = (&stage.mac, alert6(30 + vlan, 9));
        let frame = format!("Ether(dst='{mac}', src='02:00:00:00:00:0a')/Dot1Q(vlan={vlan})/{packet}");
        stage.hosts.host_a.send_frames("eth0", &[frame]).unwrap();
    };
    let unmatched = |packets| {
        let counted = || {
            // The ports, and the two sub-interfaces.
            let index = 0..4;
            let view = counts.reader().counters();
            let of = |index| view.interface(index, InterfaceCounter::AlertsUnmatched);
            Ok((index.map(of).sum::<u64>() == packets).then_some(()))
        };
        wait_until("packets without a rule", LIMIT, counted).unwrap();
    };
    send(7);
    assert_eq!(take(&mut punts, 1)[0].0, id);
    ctl("link del seven");
    // In its place, and of another name.
    ctl(&format!("link add eight link {port} id 8"));
    send(8);
    unmatched(1);
    ctl(&format!("link add seven link {port} id 7"));
    send(8);
    unmatched(2);
    send(7);
    assert_eq!(take(&mut punts, 1)[0].0, id);
    assert_eq!(counts.of("by-seven", AlertCounter::Matched), 2);
}

#[test]
fn req_ra_19_what_fits_no_rule_goes_on_and_no_tool_hears_of_it() {
    let mut stage = Stage::set("closed");
    let punts = attach(&stage, Some(vec![rule("five", "5", |_| {})]));
    let source = Family::Ip6.address_a();
    let packet = format!(
        "IPv6(src='{source}', {FAR6}, hlim=9)/IPv6ExtHdrHopByHop(options=[RouterAlert(value=6)])/UDP()/b'six'"
    );
    for packet in [&packet, &alert4(6)] {
        stage.send_all(&[(packet, 1)]);
    }
    let six = stage.arrives(is_far6);
    assert_eq!((six[HOP_LIMIT], &six[42..46]), (8, &[5, 2, 0, 6][..]));
    assert!(six.ends_with(b"six"));
    let four = stage.arrives(is_far4);
    assert_eq!((four[8], hex(&four[20..24])), (8, "94040006".to_owned()));
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    let counts = stage.counts();
    assert_eq!(counts.interfaces(InterfaceCounter::AlertsUnmatched), 2);
    counts.assert_balanced();
    assert_eq!(punts.counts().matched, 0, "nothing was put into a ring");
    assert_eq!(counts.of("five", AlertCounter::Matched), 0);
}

#[test]
fn req_ra_22_observers_see_what_has_no_hops_left_if_its_rule_says_so() {
    let mut stage = Stage::set("open");
    let mut listener = Listener::start(&stage.hosts.host_a, "eth0").unwrap();
    let mut owner = attach(
        &stage,
        Some(vec![
            rule("seen", "20", |made| made.see_expired = true),
            rule("unseen", "21", |_| {}),
        ]),
    );
    let mut observer = attach(&stage, None);
    stage.send_all(&[(&alert6(21, 1), 1), (&alert6(20, 1), 1), (&alert6(20, 0), 1)]);
    stage.drops("ttl_expired", 3);
    // Behind them, one that the owner is asked about.
    stage.send_all(&[(&alert6(20, 2), 1)]);
    let hops = |seen: Vec<(Option<u16>, Vec<u8>)>| -> Vec<_> {
        seen.into_iter()
            .map(|(rule, packet)| (rule, packet[HOP_LIMIT]))
            .collect()
    };
    let counts = stage.counts();
    let seen = Some(counts.id("seen"));
    assert_eq!(hops(take(&mut owner, 1)), [(seen, 2)]);
    assert_eq!(hops(watch(&mut observer, 3)), [(seen, 1), (seen, 0), (seen, 2)]);
    assert_eq!(stage.arrives(is_far6)[HOP_LIMIT], 1);
    assert_eq!(stage.arrived(), 1);
    let exceeded = |frame: &[u8]| frame.get(ETHERNET + 6) == Some(&58) && frame.get(54..56) == Some(&[3, 0]);
    listener.wait_for("Time Exceeded", LIMIT, exceeded).unwrap();
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    counts.assert_balanced();
    let expired = ["seen", "unseen"].map(|name| counts.of(name, AlertCounter::Expired));
    assert_eq!(expired, [2, 1]);
}

#[test]
fn req_ra_39_after_a_mixed_load_and_a_kill_each_packet_is_counted_once() {
    const COUNT: u64 = 2000;
    let mut stage = Stage::with("[[punt]]\nclass = \"router_alert\"\nrate = 100000\nburst = 10000\n");
    stage.find_neighbors();
    let rules = || {
        Some(vec![
            rule("relays", "20", |made| made.fail = Some(FailMode::Open)),
            rule("drops", "21", |made| made.fail = Some(FailMode::Closed)),
            rule("changes", "22", |_| {}),
        ])
    };
    let mut punts = attach(&stage, rules());
    let counts = stage.counts();
    let ids = ["relays", "drops"].map(|name| Some(counts.id(name)));
    let answer = |punts: &mut Punts, punted, rule, frame: &[u8]| {
        let answer = match ids.iter().position(|id| *id == rule) {
            Some(0) => Answer::Forward,
            Some(_) => Answer::Drop,
            None => Answer::Replace {
                stage: Place::Input,
                interface: 0,
                frame,
            },
        };
        punts.answer(punted, answer);
    };
    let mut receivers = Vec::new();
    for port in [4020, 4022, 4023] {
        let mut receiver = stage
            .hosts
            .host_b
            .process("receives numbers", PYTHON)
            .args(["-I", "-c", RECEIVE, &format!("{port}")])
            .start()
            .unwrap();
        receiver
            .wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
            .unwrap();
        receivers.push(receiver);
    }
    let mut senders = Vec::new();
    for value in [20, 21, 22, 23] {
        let words = [4000 + value, value, COUNT, 500].map(|number: u64| number.to_string());
        let sender = stage
            .hosts
            .host_a
            .process("sends alerts", PYTHON)
            .args(["-I", "-c", SEND, Family::Ip6.address_b()])
            .args(words.iter().map(String::as_str))
            .start()
            .unwrap();
        senders.push(sender);
    }
    let mut seen = 0;
    look(&mut punts, |punts, punted, rule, frame| {
        answer(punts, punted, rule, frame);
        seen += 1;
        seen > COUNT
    });
    let mut in_hand = Vec::new();
    look(&mut punts, |_, punted, _, _| {
        in_hand.push(punted);
        in_hand.len() > 100
    });
    // It dies with packets in its hands.
    drop(punts);
    let missed = || {
        let missed = [
            ("relays", AlertCounter::BypassDead),
            ("drops", AlertCounter::ClosedDead),
        ];
        let enough = |(name, counter): &(&str, _)| counts.of(name, *counter) > 50;
        Ok(missed.iter().all(enough).then_some(()))
    };
    wait_until("packets without a tool", LIMIT, missed).unwrap();
    let mut punts = attach(&stage, rules());
    let all = || ["relays", "drops", "changes"].map(|name| counts.of(name, AlertCounter::Matched));
    look(&mut punts, |punts, punted, rule, frame| {
        answer(punts, punted, rule, frame);
        all() == [COUNT; 3]
    });
    for sender in &mut senders {
        assert!(sender.wait(LIMIT).unwrap().success(), "{}", sender.stderr());
    }
    for receiver in &mut receivers {
        assert!(receiver.wait(LIMIT).unwrap().success(), "{}", receiver.stderr());
        // Of each none is missing, none there twice; their order is another test's.
        let said = receiver.stdout();
        assert!(said.starts_with(&format!("{COUNT} 0 ")), "{said}");
    }
    // What came last may still be on its way.
    let none = || {
        let counters = stage.primary.counters()?;
        Ok((counters.sum(|interface| interface.waiting) == 0).then_some(()))
    };
    punts.flush();
    drop(punts);
    wait_until("no packet to wait", LIMIT, none).unwrap();
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    assert_eq!(all(), [COUNT; 3]);
    counts.assert_balanced();
    for (name, counters) in [
        ("relays", [AlertCounter::Relayed, AlertCounter::BypassDied]),
        ("drops", [AlertCounter::Dropped, AlertCounter::ClosedDied]),
        ("changes", [AlertCounter::Replaced, AlertCounter::BypassDied]),
    ] {
        for counter in counters {
            assert!(counts.of(name, counter) > 0, "{name} {counter}");
        }
    }
    assert!(counts.interfaces(InterfaceCounter::AlertsUnmatched) >= COUNT);
}

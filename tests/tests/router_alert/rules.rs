//! Rules of the primary: which packets a tool is asked about, and what becomes of them without one.

use std::time::{Duration, Instant};

use control::alerts::RuleTable;
use control::instance::{InstanceDir, RunDir};
use control::message::{AlertRule, FailMode, PuntClass, PuntRequest};
use control::punt::{Answer, Packet, Punted, Punts, Stage as Place};
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use shm::{AlertCounter, InterfaceCounter};
use tests::{Family, Listener, Primary, TwoHosts, wait_until};

use crate::{ETHERNET, FAR6, HOP_LIMIT, LIMIT, Stage, hex, is_far4, is_far6};

const PYTHON: &str = "/usr/bin/python3";
const SEND: &str = include_str!("../../frames/alerts.py");
const RECEIVE: &str = include_str!("../../frames/numbers.py");

fn directory(primary: &Primary) -> InstanceDir {
    RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap())
}

fn rule(name: &str, values: &str, change: impl FnOnce(&mut AlertRule)) -> AlertRule {
    let mut rule = AlertRule::new(Rule::new(name, values.parse().unwrap()), Handler::Relay);
    change(&mut rule);
    rule
}

/// Decides about router alerts by these rules, or watches if there are none.
fn attach(stage: &Stage, rules: Option<Vec<AlertRule>>) -> Punts {
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
fn alert6(value: u16, hop_limit: u8) -> String {
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
    fn send_all(&self, packets: &[(&str, usize)]) {
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

    fn counts(&self) -> Counts {
        Counts::of_primary(&self.primary)
    }

    /// Makes the next hop known: packets for one that is not may be too many.
    fn find_neighbors(&mut self) {
        for packet in [alert6(65000, 9), alert4(65000)] {
            self.send_all(&[(&packet, 1)]);
        }
        self.arrives(is_far6);
        self.arrives(is_far4);
    }
}

/// What the primary has counted.
pub(crate) struct Counts(RuleTable);

impl Counts {
    pub(crate) fn of_primary(primary: &Primary) -> Self {
        Self(RuleTable::open(&directory(primary)).unwrap())
    }

    /// What has happened to packets of a rule.
    pub(crate) fn all(&self, name: &str) -> Vec<(&'static str, u64)> {
        let all = AlertCounter::ALL.iter();
        let all = all.map(|counter| (counter.name(), self.of(name, *counter)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    fn id(&self, name: &str) -> u16 {
        let mut rules = self.0.rules().iter();
        rules.find(|listed| listed.rule.rule.name == name).unwrap().id
    }

    fn of(&self, name: &str, counter: AlertCounter) -> u64 {
        self.0.reader().counters().alert(self.id(name), counter)
    }

    fn sum(&self, name: &str, counters: &[AlertCounter]) -> u64 {
        counters.iter().map(|counter| self.of(name, *counter)).sum()
    }

    fn interfaces(&self, counter: InterfaceCounter) -> u64 {
        let view = self.0.reader().counters();
        (0..2).map(|index| view.interface(index, counter)).sum()
    }

    /// Checks that each packet was counted once, nothing being with a tool.
    fn assert_balanced(&self) {
        use AlertCounter::{
            BypassDead, BypassDeadline, BypassDied, BypassFull, ClosedDead, ClosedDeadline, ClosedDied,
            ClosedFull, Dropped, Expired, LimitedGlobal, LimitedInterface, LimitedRule, LimitedSource,
            Matched, Punted, Refused, Relayed, Replaced,
        };
        let mut of_rules = 0;
        for listed in self.0.rules() {
            let name = &listed.rule.rule.name;
            let not_asked = [
                BypassDead,
                ClosedDead,
                BypassFull,
                ClosedFull,
                LimitedGlobal,
                LimitedInterface,
                LimitedRule,
                LimitedSource,
            ];
            let ends = [
                Relayed,
                Replaced,
                Dropped,
                Refused,
                BypassDeadline,
                ClosedDeadline,
                BypassDied,
                ClosedDied,
            ];
            let punted = self.of(name, Punted);
            let all = self.all(name);
            assert_eq!(
                self.of(name, Matched),
                punted + self.sum(name, &not_asked),
                "{name}: {all:?}"
            );
            assert_eq!(punted, self.sum(name, &ends), "{name}: {all:?}");
            of_rules += self.sum(name, &[Matched, Expired]);
        }
        assert_eq!(
            self.interfaces(InterfaceCounter::AlertsSeen),
            self.interfaces(InterfaceCounter::AlertsUnmatched) + of_rules
        );
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
    let took: u64 = counts.0.reader().counters().punt_took().iter().sum();
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
            let view = counts.0.reader().counters();
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

/// A class that fails open, and rules for 10 and 11 that fail open and closed, where a tool has so long.
fn open_and_closed(deadline_ms: u32) -> (Stage, Vec<AlertRule>) {
    let mut stage = Stage::with(&format!(
        "[[punt]]\nclass = \"router_alert\"\nrate = 100000\nburst = 10000\ndeadline_ms = {deadline_ms}\n"
    ));
    stage.find_neighbors();
    let rules = [("open", "10", FailMode::Open), ("closed", "11", FailMode::Closed)];
    let rules = rules.map(|(name, values, fail)| rule(name, values, |made| made.fail = Some(fail)));
    (stage, rules.into())
}

impl Stage {
    /// Waits until both rules have seen so many packets in all.
    fn matched(&self, open: u64, closed: u64) {
        let counts = self.counts();
        let both = || {
            let matched = ["open", "closed"].map(|name| counts.of(name, AlertCounter::Matched));
            Ok((matched == [open, closed]).then_some(()))
        };
        wait_until("the packets to be matched", LIMIT, both).unwrap();
    }

    /// How many of value 10 and 11 have arrived.
    fn arrived_by_rule(&self) -> [u64; 2] {
        let frames = self.listener.frames();
        [10, 11].map(|value| {
            let is_it = |frame: &&Vec<u8>| frame.get(ETHERNET + 42..ETHERNET + 46) == Some(&[5, 2, 0, value]);
            frames.iter().filter(is_it).count() as u64
        })
    }
}

#[test]
fn req_ra_33_each_rule_fails_as_it_says_when_its_tool_is_full_dies_and_is_dead() {
    let (stage, rules) = open_and_closed(60_000);
    let punts = attach(&stage, Some(rules));
    let (open, closed) = (alert6(10, 9), alert6(11, 9));
    // Of a tool that takes nothing.
    stage.send_all(&[(&closed, 300)]);
    stage.matched(0, 300);
    for round in 1..=3 {
        stage.send_all(&[(&open, 300)]);
        stage.matched(round * 300, 300);
    }
    stage.send_all(&[(&closed, 50)]);
    stage.matched(900, 350);
    let counts = stage.counts();
    let of = |name, counter| counts.of(name, counter);
    let [held_open, full_open] =
        [AlertCounter::Punted, AlertCounter::BypassFull].map(|counter| of("open", counter));
    assert!(
        full_open > 0 && held_open + full_open == 900,
        "{held_open} {full_open}"
    );
    assert_eq!(of("closed", AlertCounter::ClosedFull), 50);
    let arrived = |open, closed| {
        let both = || Ok((stage.arrived_by_rule() == [open, closed]).then_some(()));
        wait_until("what goes on", LIMIT, both).unwrap();
    };
    // They do not overtake those of their flow that the tool has.
    assert_eq!(stage.arrived_by_rule(), [0, 0]);
    // What goes by the tool stays behind others of its flow. Those of another flow have none there.
    let elsewhere = open.replace("::200e", "::200f");
    stage.send_all(&[(&elsewhere, 4)]);
    stage.matched(904, 350);
    arrived(4, 0);
    assert_eq!(of("open", AlertCounter::BypassFull), full_open + 4);
    // It dies.
    drop(punts);
    arrived(904, 0);
    assert_eq!(of("open", AlertCounter::BypassDied), held_open);
    assert_eq!(of("closed", AlertCounter::ClosedDied), 300);
    // Its rules are still there, and there is nobody to ask.
    stage.send_all(&[(&open, 5), (&closed, 5)]);
    stage.matched(909, 355);
    arrived(909, 0);
    assert_eq!(of("open", AlertCounter::BypassDead), 5);
    assert_eq!(of("closed", AlertCounter::ClosedDead), 5);
    let counters = stage.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(
        (
            counters.dropped("punt_ring_full"),
            counters.dropped("punt_closed")
        ),
        (50, 305)
    );
    counts.assert_balanced();
}

#[test]
fn req_ra_33_each_rule_fails_as_it_says_when_its_tool_does_not_answer_in_time() {
    let (stage, rules) = open_and_closed(200);
    let _punts = attach(&stage, Some(rules));
    stage.send_all(&[(&alert6(10, 9), 20), (&alert6(11, 9), 30)]);
    stage.matched(20, 30);
    let both = || Ok((stage.arrived_by_rule() == [20, 0]).then_some(()));
    wait_until("what goes on", LIMIT, both).unwrap();
    stage.drops("punt_closed", 30);
    let counts = stage.counts();
    assert_eq!(counts.of("open", AlertCounter::BypassDeadline), 20);
    assert_eq!(counts.of("closed", AlertCounter::ClosedDeadline), 30);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
    counts.assert_balanced();
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

//! Router alerts that a tool is asked about, by rule: each has one end, whatever the tool does and whenever it goes, and the
//! counters of its rule say which: REQ-RA-17, 22, 33, 37, 39 and 40.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod chance;
#[path = "../common/mod.rs"]
mod common;

use std::sync::Arc;

use control::message::{AlertRule, FailMode, PuntClass};
use dpdk::{Mbuf, NumaNode, Pool};
use primary::alerts::RuleSet;
use primary::attachments::{ClassPolicy, Consumer, Consumers, HandedBack, NotTaken, PartControl, parts};
use primary::worker::{AlertPolicy, Policies};
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use shm::attachment::{Answer, Attachment, Clock, PuntEnd, Punted, Reservation, Stage};
use shm::{AlertCounter, Capacity, CounterBlock, TableReader, TableWriter};

/// Of the time stamp counter, so that ticks are nanoseconds.
const HZ: u64 = 1_000_000_000;
const DEADLINE_MS: u32 = 10;
const ALERTS: PuntClass = PuntClass::RouterAlert;
/// The rules that there are, by fail mode, and none.
const OPEN: Option<u16> = Some(3);
const CLOSED: Option<u16> = Some(200);
const RULES: [Option<u16>; 3] = [OPEN, CLOSED, None];

const CAPACITY: Capacity = Capacity {
    interfaces: 1,
    addresses: 1,
    routes4: 1,
    routes6: 1,
    neighbors: 1,
    next_hops: 1,
    workers: 1,
    pools: 1,
    sas: 4,
};

fn rules(fresh: Vec<u16>) -> Arc<RuleSet> {
    let [open, closed] = [FailMode::Open, FailMode::Closed].map(|fail| AlertRule {
        fail: Some(fail),
        see_expired: fail == FailMode::Open,
        ..AlertRule::new(Rule::new(fail.name(), "any".parse().unwrap()), Handler::Relay)
    });
    let rules = [(3, &open), (200, &closed)];
    Arc::new(RuleSet::new(rules, FailMode::Open, |_| None, fresh))
}

/// A worker's tools, and the tools themselves.
struct Bench<'p> {
    pool: &'p Pool,
    consumers: Consumers,
    control: PartControl<Consumer>,
    tool: Option<(u32, PuntEnd)>,
    watcher: PuntEnd,
    /// What the tool has not answered about.
    asked: Vec<Punted>,
    orphans: Vec<HandedBack>,
    counters: CounterBlock,
    reader: TableReader,
    _region: TableWriter,
    _attachments: Vec<Attachment>,
    _folder: tempfile::TempDir,
    now: u64,
    /// How packets have ended that went on, and that were dropped.
    on: u64,
    gone: u64,
}

impl<'p> Bench<'p> {
    fn new(pool: &'p Pool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let region = TableWriter::create(&path, None, &CAPACITY).unwrap();
        region.publish();
        let policy = ClassPolicy {
            fail: FailMode::Open,
            rate: 1_000_000,
            burst: 1_000_000,
            deadline_ms: DEADLINE_MS,
        };
        let policies = Policies {
            classes: [policy; PuntClass::COUNT],
            alerts: AlertPolicy::DEFAULT,
        };
        let now = 1_000 * HZ;
        let (control, parts) = parts(4);
        let mut consumers = Consumers::new(parts, &policies, 1, HZ, now);
        consumers.set_rules(Some(rules(Vec::new())), now);
        let (attachment, lane, watcher) = attach(false);
        control.add(Consumer::new(99, &[ALERTS], true, lane));
        Self {
            pool,
            consumers,
            control,
            tool: None,
            watcher,
            asked: Vec::new(),
            orphans: Vec::new(),
            counters: region.counter_block(1).unwrap(),
            reader: TableReader::open(&path).unwrap(),
            _region: region,
            _attachments: vec![attachment],
            _folder: folder,
            now,
            on: 0,
            gone: 0,
        }
    }

    fn packet(&self) -> Mbuf {
        let mut mbuf = self.pool.alloc().unwrap();
        mbuf.append(&[7; 60]).unwrap();
        mbuf
    }

    fn come(&mut self, id: u32) {
        let (attachment, lane, tool) = attach(true);
        self._attachments.push(attachment);
        self.control.add(Consumer::new(id, &[ALERTS], false, lane));
        self.tool = Some((id, tool));
        self.asked.clear();
    }

    fn go(&mut self) {
        if let Some((id, _)) = self.tool.take() {
            self.control.remove(id);
        }
    }

    /// What the worker does each round.
    fn serve(&mut self) {
        self.consumers.publish();
        self.consumers.serve(&mut self.orphans, &self.counters);
        let mut ended = Vec::new();
        while let Some(handed) = self
            .consumers
            .hand_back(&mut self.orphans, &self.counters, self.now)
        {
            ended.push(handed);
        }
        while let Some(handed) = self.consumers.late(self.now, &self.counters) {
            ended.push(handed);
        }
        ended.append(&mut self.orphans);
        for handed in ended {
            match handed {
                HandedBack::Forward(_) | HandedBack::Rewrite(..) => self.on += 1,
                HandedBack::Send(..) => {}
                _ => self.gone += 1,
            }
        }
    }

    /// Gives a packet to the tool as a worker does that knows of one; what came of it.
    fn punt(&mut self, rule: Option<u16>) -> Result<(), NotTaken> {
        let mbuf = self.packet();
        let taken = self.consumers.take(ALERTS, rule, 0, mbuf, self.now, |_| {});
        taken.map_err(|(_, why)| why)
    }

    /// The tool takes what there is and answers about the `number`th that it has.
    fn answer(&mut self, number: usize, how: u8) {
        let Some((_, tool)) = &mut self.tool else { return };
        let asked = &mut self.asked;
        tool.receive(&mut |punted, _| asked.push(punted)).unwrap();
        if asked.is_empty() {
            return;
        }
        let punted = asked.remove(number % asked.len());
        let answer = match how {
            0 => Answer::Forward,
            1 => Answer::Drop,
            _ => Answer::Replace {
                stage: Stage::Input,
                interface: 0,
                frame: &[1; 60],
            },
        };
        tool.answer(punted, answer);
        tool.flush();
    }

    fn count(&self, rule: Option<u16>, counter: AlertCounter) -> u64 {
        self.reader.counters().alert(rule.unwrap_or(u16::MAX), counter)
    }

    /// The ends of the packets that the tool was asked about by a rule.
    fn ends(&self, rule: Option<u16>) -> u64 {
        [
            AlertCounter::Relayed,
            AlertCounter::Replaced,
            AlertCounter::Dropped,
            AlertCounter::Refused,
            AlertCounter::BypassDeadline,
            AlertCounter::ClosedDeadline,
            AlertCounter::BypassDied,
            AlertCounter::ClosedDied,
        ]
        .into_iter()
        .map(|counter| self.count(rule, counter))
        .sum()
    }
}

fn attach(decides: bool) -> (Attachment, shm::attachment::Lane, PuntEnd) {
    let reservation = Reservation::new(64 * 1024, false).unwrap();
    let made = if decides {
        Attachment::deciding(reservation, 1, 96)
    } else {
        Attachment::new(reservation, 1, 96)
    };
    let (attachment, mut lanes) = made.unwrap().unwrap();
    attachment.set_clock(&Clock::between((0, 0), (1, 1)));
    let [packets, rings] = attachment
        .descriptors()
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let tool = PuntEnd::open(packets, rings).unwrap();
    (attachment, lanes.remove(0), tool)
}

fn main() {
    let (_folder, eal) = common::eal();
    let pool = Pool::new(&eal, "packets", 4095, 8, Pool::HEADROOM + 256, NumaNode::ANY).unwrap();
    fail_modes_are_those_of_the_rules(&pool);
    a_full_tool_takes_no_more(&pool);
    rules_that_change_leave_no_count_behind(&pool);
    watchers_see_what_has_expired_if_the_rule_says_so(&pool);
    how_long_tools_take_is_counted(&pool);
    a_bad_verdict_is_counted_for_the_rule_of_its_packet(&pool);
    chance::whatever_happens_the_sums_are_right(&pool);
    assert_eq!(pool.in_use(), 0, "every packet was freed");
    drop(pool);
    eal.shutdown().unwrap();
}

fn fail_modes_are_those_of_the_rules(pool: &Pool) {
    for late in [false, true] {
        let mut bench = Bench::new(pool);
        bench.come(1);
        bench.serve();
        for rule in RULES {
            assert_eq!(bench.punt(rule), Ok(()), "req_ra_33");
        }
        if late {
            bench.now += u64::from(DEADLINE_MS) * HZ / 1000 - 1;
            bench.serve();
            assert_eq!((bench.on, bench.gone), (0, 0), "req_ra_33: there is time left");
            bench.now += 1;
        } else {
            bench.go();
        }
        bench.serve();
        assert_eq!(
            (bench.on, bench.gone),
            (2, 1),
            "req_ra_33: the class is open, and one rule"
        );
        let [bypass, closed] = if late {
            [AlertCounter::BypassDeadline, AlertCounter::ClosedDeadline]
        } else {
            [AlertCounter::BypassDied, AlertCounter::ClosedDied]
        };
        for (rule, counter) in [(OPEN, bypass), (CLOSED, closed)] {
            assert_eq!(
                (bench.count(rule, counter), bench.ends(rule)),
                (1, 1),
                "{rule:?} {counter}"
            );
        }
        assert!(bench.consumers.fails_open(ALERTS, OPEN));
        assert!(!bench.consumers.fails_open(ALERTS, CLOSED));
        bench.consumers.set_rules(None, bench.now);
        assert!(
            bench.consumers.fails_open(ALERTS, CLOSED),
            "a rule that is gone has none"
        );
    }
}

fn a_full_tool_takes_no_more(pool: &Pool) {
    let mut bench = Bench::new(pool);
    bench.come(1);
    bench.serve();
    let taken = (0..4000).take_while(|_| bench.punt(OPEN).is_ok()).count();
    assert!((1..4000).contains(&taken));
    assert_eq!(bench.punt(CLOSED), Err(NotTaken::Full));
    bench.go();
    bench.serve();
    assert_eq!((bench.on, bench.gone), (taken as u64, 0));
}

fn rules_that_change_leave_no_count_behind(pool: &Pool) {
    let mut bench = Bench::new(pool);
    bench.come(1);
    bench.serve();
    for rule in [OPEN, CLOSED] {
        bench.punt(rule).unwrap();
    }
    // Another rule has the number now, and counters that begin at zero.
    bench.consumers.set_rules(Some(rules(vec![200])), bench.now);
    bench.go();
    bench.serve();
    assert_eq!((bench.ends(OPEN), bench.ends(CLOSED)), (1, 0), "req_ra_17");
    assert_eq!(
        (bench.on, bench.gone),
        (2, 0),
        "what is of no rule any more fares as its class"
    );
}

fn watchers_see_what_has_expired_if_the_rule_says_so(pool: &Pool) {
    let mut bench = Bench::new(pool);
    bench.serve();
    let mbuf = bench.packet();
    for rule in [OPEN, CLOSED] {
        bench.consumers.show_expired(rule.unwrap(), 0, &mbuf, bench.now);
    }
    bench.consumers.publish();
    let mut seen = Vec::new();
    bench
        .watcher
        .receive(&mut |_, packet| seen.push((packet.rule, packet.data.len())))
        .unwrap();
    assert_eq!(seen, [(OPEN, 60)], "req_ra_22");
}

fn how_long_tools_take_is_counted(pool: &Pool) {
    let mut bench = Bench::new(pool);
    bench.come(1);
    bench.serve();
    for how in 0..3 {
        bench.punt(OPEN).unwrap();
        bench.serve();
        bench.answer(0, how);
        bench.now += 1000;
        bench.serve();
    }
    let mut expected = [0; shm::PUNT_BUCKETS];
    // Those that go on, and not what is dropped.
    expected[shm::punt_bucket(1000)] = 2;
    assert_eq!(bench.reader.counters().punt_took(), expected, "req_ra_40");
    let counts = [
        AlertCounter::Relayed,
        AlertCounter::Dropped,
        AlertCounter::Replaced,
    ];
    assert_eq!(counts.map(|counter| bench.count(OPEN, counter)), [1, 1, 1]);
}

fn a_bad_verdict_is_counted_for_the_rule_of_its_packet(pool: &Pool) {
    let mut bench = Bench::new(pool);
    bench.come(1);
    bench.serve();
    for rule in [OPEN, CLOSED] {
        bench.punt(rule).unwrap();
    }
    bench.serve();
    let (_, tool) = bench.tool.as_mut().unwrap();
    let mut asked = Vec::new();
    tool.receive(&mut |punted, packet| asked.push((packet.rule, punted)))
        .unwrap();
    for (rule, punted) in asked {
        if rule == CLOSED {
            tool.answer(punted, Answer::Forward);
        }
    }
    // The only decision that there is: another number in its place means nothing.
    let rings = std::fs::File::from(
        bench._attachments[1].descriptors()[1]
            .try_clone_to_owned()
            .unwrap(),
    );
    write_over_decisions(&rings);
    tool.flush();
    bench.serve();
    assert_eq!(
        [OPEN, CLOSED].map(|rule| bench.count(rule, AlertCounter::BadVerdict)),
        [0, 1],
        "req_ra_37"
    );
    assert_eq!((bench.on, bench.gone), (1, 1), "both go the way of their rules");
}

/// Makes every word that is the decision "forward" another one.
fn write_over_decisions(rings: &std::fs::File) {
    use std::os::unix::fs::FileExt;
    const FORWARD: u32 = 2;
    let mut bytes = vec![0; rings.metadata().unwrap().len() as usize];
    rings.read_exact_at(&mut bytes, 0).unwrap();
    // Behind the rings, where answers lie.
    let forward = [FORWARD.to_le_bytes(), [0; 4]].concat();
    for offset in (4096..bytes.len()).step_by(4) {
        if bytes.get(offset..offset + 8) == Some(&forward[..]) {
            rings.write_all_at(&[0xff], offset as u64).unwrap();
        }
    }
}

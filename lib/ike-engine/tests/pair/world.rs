//! Both ends, the network between them, and the time.

use std::collections::{BTreeMap, BTreeSet};

use ike_engine::{Engine, Event, IkeView, Output, Path, Phase, Profile, Settings, Time};
use ikev2::certificate::Clock;

use crate::network::{Dice, Network};
use crate::plane::Plane;
use crate::profiles;

pub(crate) struct End {
    pub(crate) engine: Engine,
    pub(crate) plane: Plane,
    pub(crate) events: Vec<Event>,
    /// What it has sent.
    pub(crate) sent: Vec<(u64, Path, Vec<u8>)>,
    /// It neither gets nor sends anything, nor sees time pass.
    pub(crate) dead: bool,
    pub(crate) kept: Kept,
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// While it writes down what has happened, after so many bytes of a hundred.
    Writing(u64),
    /// When it has done so much of what is to be done.
    Doing(u64),
}

/// What outlives the process of an end.
#[derive(Default)]
pub(crate) struct Kept {
    /// Whether anything does.
    pub(crate) on: bool,
    pub(crate) bytes: Vec<u8>,
    /// How the process is killed, and when it is there again.
    pub(crate) kill: Option<(Kill, u64)>,
    /// In how many calls it is not yet.
    pub(crate) skip: u64,
    /// When it is there again.
    pub(crate) revive_at: Option<u64>,
    /// So often it was killed.
    pub(crate) kills: u64,
    settings: Settings,
    profile: Option<Profile>,
    clock: Option<Clock>,
}

/// By the SPIs of IKE SAs those of their child SAs.
type Table = BTreeMap<([u8; 8], [u8; 8]), BTreeSet<(u32, u32)>>;

type Tamper = Box<dyn Fn(usize, &mut Vec<u8>)>;

enum Cargo {
    Ike(Vec<u8>),
    /// A packet of ESP: the SPI that its sender has for packets to it, and the one in the packet.
    Esp(u32, u32),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) ends: [End; 2],
    pub(crate) network: Network,
    queue: BTreeMap<(u64, u64), (usize, Path, Cargo)>,
    number: u64,
    pub(crate) packets_lost: u64,
    pub(crate) packets: u64,
    /// Whether packets go through both data planes, every millisecond.
    pub(crate) traffic: bool,
    /// Milliseconds that such a packet takes.
    pub(crate) packet_delay: u64,
    /// Somebody on the way changes what the other end sends.
    pub(crate) tamper: Option<Tamper>,
    /// By IKE SA, end and IV what was sealed with it.
    ivs: BTreeMap<(Vec<u8>, usize, Vec<u8>), Vec<u8>>,
}

/// The SPIs and the IV of a message that an AEAD has sealed.
fn iv(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let message = message.strip_prefix(&[0; 4]).unwrap_or(message);
    let at = match message.get(16)? {
        46 => 32,
        53 => 36,
        _ => return None,
    };
    Some((message.get(..16)?.to_vec(), message.get(at..at + 8)?.to_vec()))
}

/// Two parts of an end.
struct At<'a> {
    engine: &'a mut Engine,
    kept: &'a mut Kept,
}

impl At<'_> {
    fn of(end: &mut End) -> At<'_> {
        let End { engine, kept, .. } = end;
        At { engine, kept }
    }
}

pub(crate) fn engine(now: u64, settings: Settings, profiles: Vec<Profile>, seed: u64) -> Engine {
    let mut dice = Dice(seed);
    let random = move |bytes: &mut [u8]| bytes.fill_with(|| dice.next() as u8);
    Engine::new(Time::from_millis(now), settings, profiles, Box::new(random))
}

impl World {
    pub(crate) fn new(seed: u64, settings: [Settings; 2], profiles: [Profile; 2], network: Network) -> World {
        let mut ends = 0;
        let world = settings.into_iter().zip(profiles).map(|(settings, profile)| {
            ends += 1;
            let kept = profile.clone();
            End {
                engine: engine(
                    0,
                    settings,
                    vec![profile],
                    seed.wrapping_mul(31).wrapping_add(ends),
                ),
                plane: Plane::default(),
                events: Vec::new(),
                sent: Vec::new(),
                dead: false,
                kept: Kept {
                    settings,
                    profile: Some(kept),
                    ..Kept::default()
                },
            }
        });
        let ends: Vec<End> = world.collect();
        World {
            now: 0,
            ends: ends.try_into().ok().unwrap(),
            network,
            queue: BTreeMap::new(),
            number: 0,
            packets_lost: 0,
            packets: 0,
            traffic: false,
            packet_delay: 10,
            tamper: None,
            ivs: BTreeMap::new(),
        }
    }

    /// Both as they are by default, on a good network.
    pub(crate) fn plain() -> World {
        World::of(|_, _| {})
    }

    /// Both with profiles that are changed, each by its number.
    pub(crate) fn of(change: impl Fn(usize, &mut Profile)) -> World {
        World::with([Settings::default(); 2], change)
    }

    pub(crate) fn with(settings: [Settings; 2], change: impl Fn(usize, &mut Profile)) -> World {
        let mut both = [profiles::profile(0), profiles::profile(1)];
        both.iter_mut()
            .enumerate()
            .for_each(|(end, profile)| change(end, profile));
        World::new(7, settings, both, Network::good(7))
    }

    pub(crate) fn time(&self) -> Time {
        Time::from_millis(self.now)
    }

    fn load(&mut self, to: usize, path: Path, cargo: Cargo, delay: u64) {
        self.number += 1;
        self.queue
            .insert((self.now + delay, self.number), (to, path, cargo));
    }

    /// An IV comes twice with the same bytes alone, which is a message that is sent again.
    fn check_iv(&mut self, end: usize, message: &[u8]) {
        if let Some((ike, iv)) = iv(message) {
            let first = self.ivs.entry((ike, end, iv)).or_insert_with(|| message.to_vec());
            assert_eq!(
                first.strip_prefix(&[0; 4]).unwrap_or(first),
                message.strip_prefix(&[0; 4]).unwrap_or(message),
                "an IV comes twice"
            );
        }
    }

    /// Does what an end wants to be done.
    pub(crate) fn drain(&mut self, end: usize) {
        self.drain_some(end, u64::MAX);
    }

    /// Does so much of it.
    fn drain_some(&mut self, end: usize, mut most: u64) {
        while most > 0
            && let Some(output) = self.ends[end].engine.output()
        {
            most -= 1;
            match output {
                Output::Send(datagram) => {
                    self.check_iv(end, &datagram.payload);
                    self.ends[end]
                        .sent
                        .push((self.now, datagram.path, datagram.payload.clone()));
                    let mut payload = datagram.payload;
                    if let Some(tamper) = &self.tamper {
                        tamper(end, &mut payload);
                    }
                    for (delay, path) in self.network.carry(datagram.path, payload.len()) {
                        self.load(1 - end, path, Cargo::Ike(payload.clone()), delay);
                    }
                }
                Output::Sa(command) => self.ends[end].plane.apply(command),
                Output::Event(event) => self.ends[end].events.push(event),
            }
        }
    }

    pub(crate) fn call<T>(&mut self, end: usize, call: impl FnOnce(&mut Engine, Time) -> T) -> T {
        let now = self.time();
        let result = call(&mut self.ends[end].engine, now);
        let At { engine, kept } = At::of(&mut self.ends[end]);
        if !kept.on {
            self.drain(end);
            return result;
        }
        let changes = engine.changes();
        let changes = changes.as_ref().map_or(&[][..], |changes| changes.expose());
        let kill = match kept.skip {
            0 => kept.kill.take(),
            _ => None,
        };
        kept.skip = kept.skip.saturating_sub(1);
        match kill {
            None => {
                kept.bytes.extend(changes);
                self.drain(end);
            }
            Some((Kill::Writing(percent), revive_at)) => {
                kept.bytes
                    .extend(&changes[..changes.len() * percent as usize / 100]);
                self.kill(end, revive_at);
            }
            Some((Kill::Doing(outputs), revive_at)) => {
                kept.bytes.extend(changes);
                self.drain_some(end, outputs);
                self.kill(end, revive_at);
            }
        }
        result
    }

    fn kill(&mut self, end: usize, revive_at: u64) {
        let end = &mut self.ends[end];
        end.dead = true;
        end.kept.kills += 1;
        end.kept.revive_at = Some(revive_at);
    }

    /// Says what time of day it is, now and whenever an end is there again.
    pub(crate) fn tell_time(&mut self, clock: Clock) {
        for end in 0..2 {
            self.ends[end].kept.clock = Some(clock);
            self.call(end, |engine, now| engine.set_time_of_day(now, clock));
        }
    }

    /// Has both ends write down what happens.
    pub(crate) fn keep(mut self) -> World {
        self.ends.iter_mut().for_each(|end| end.kept.on = true);
        self
    }

    /// Starts the process of an end that was killed.
    fn revive(&mut self, end: usize) {
        let now = self.time();
        // Each process has random bytes of its own.
        let seed = self.number.wrapping_mul(97) + end as u64 + self.ends[end].kept.kills * 1_000_003;
        let End { kept, plane, .. } = &mut self.ends[end];
        let profile = kept.profile.clone().expect("kept since the world was made");
        let mut new = engine(self.now, kept.settings, vec![profile], seed);
        if let Some(clock) = kept.clock {
            new.set_time_of_day(now, clock);
        }
        let restored = new.restore(now, &kept.bytes);
        assert_eq!(restored.left_out, []);
        new.reconcile(now, &plane.installed());
        kept.bytes = new.snapshot().expose().to_vec();
        self.ends[end].engine = new;
        self.ends[end].dead = false;
        self.drain(end);
    }

    pub(crate) fn initiate(&mut self, end: usize) {
        self.call(end, |engine, now| engine.initiate(now, "pr1")).unwrap();
    }

    /// Sends a packet by each SA that is used.
    fn packets(&mut self) {
        for end in 0..2 {
            let current: Vec<u32> = self.ends[end].plane.current.values().copied().collect();
            for spi in current {
                self.packets += 1;
                let sa = &self.ends[end].plane.outbound[&spi];
                let (path, outbound) = (sa.path, sa.pair.outbound);
                let delay = self.packet_delay;
                self.load(1 - end, path, Cargo::Esp(spi, outbound), delay);
            }
        }
    }

    /// Both with an IKE SA and its child SAs, and packets on their way.
    pub(crate) fn established(mut self) -> World {
        self.initiate(0);
        self.run(1000);
        self.assert_same();
        assert_eq!(self.ikes(0).len(), 1, "{}", self.show());
        self.traffic = true;
        self
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        let mut rounds = 0;
        loop {
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timers = self
                .ends
                .iter()
                .filter(|end| !end.dead)
                .filter_map(|end| end.engine.deadline());
            let timer = timers.map(Time::as_millis).min();
            let traffic = self.traffic.then_some(self.now + 1);
            let revived = self.ends.iter().filter_map(|end| end.kept.revive_at).min();
            let next = [arrival, timer, traffic, revived].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            rounds = if next > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 10_000, "time stands still at {}", self.now);
            self.now = self.now.max(next);
            self.step();
            if self.traffic {
                self.packets();
            }
        }
        self.now = end;
    }

    fn step(&mut self) {
        for end in 0..2 {
            let due = self.ends[end].kept.revive_at.take_if(|at| *at <= self.now);
            if due.is_some() {
                self.revive(end);
            }
        }
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, path, cargo) = entry.remove();
            match cargo {
                Cargo::Ike(payload) if !self.ends[to].dead => {
                    self.call(to, |engine, now| {
                        engine.handle(now, path.local, path.remote, &payload)
                    });
                }
                Cargo::Ike(_) => {}
                Cargo::Esp(spi, outbound) => {
                    let sent = self.ends[1 - to].plane.outbound.get(&spi);
                    // One whose SA was removed meanwhile is not looked at in detail.
                    let taken = match sent {
                        Some(sent) => self.ends[to].plane.takes(sent),
                        None => self.ends[to].plane.inbound.contains_key(&outbound),
                    };
                    self.packets_lost += u64::from(!taken);
                }
            }
        }
        for end in 0..2 {
            let due = self.ends[end]
                .engine
                .deadline()
                .is_some_and(|at| at <= self.time());
            if due && !self.ends[end].dead {
                self.call(end, |engine, now| engine.timeout(now));
            }
        }
    }

    /// IKE SAs that are there at an end, but for those of strangers and last answers.
    pub(crate) fn ikes(&self, end: usize) -> Vec<IkeView> {
        let there = |view: &IkeView| !matches!(view.phase, Phase::HalfOpen | Phase::Closed);
        self.ends[end].engine.ikes().filter(there).collect()
    }

    /// The SPIs of IKE SAs and of their child SAs, as the first end has them.
    fn table(&self, end: usize) -> Table {
        let spis = |view: &IkeView| {
            let children = view.children.iter().map(|child| match end {
                0 => (child.inbound, child.outbound),
                _ => (child.outbound, child.inbound),
            });
            ((view.spis.initiator.0, view.spis.responder.0), children.collect())
        };
        self.ikes(end).iter().map(spis).collect()
    }

    /// What differs between both ends; `None`: nothing, and nothing is under way.
    pub(crate) fn difference(&self) -> Option<String> {
        if self.ends.iter().any(|end| end.kept.revive_at.is_some()) {
            return Some("the process of an end is not there".to_owned());
        }
        let tables = [self.table(0), self.table(1)];
        if tables[0] != tables[1] {
            return Some(format!("IKE SAs {tables:x?}"));
        }
        for end in 0..2 {
            let ikes = self.ikes(end);
            if let Some(busy) = ikes
                .iter()
                .find(|view| view.busy || view.phase != Phase::Established)
            {
                return Some(format!("end {end} is busy: {busy:?}"));
            }
            let known: BTreeSet<u32> = ikes
                .iter()
                .flat_map(|view| view.children.iter().map(|child| child.inbound))
                .collect();
            let installed: BTreeSet<u32> = self.ends[end].plane.outbound.keys().copied().collect();
            assert_eq!(
                known, installed,
                "the data plane of end {end} has other SAs than its engine"
            );
            for sa in self.ends[end].plane.outbound.values() {
                if !self.ends[1 - end].plane.takes(sa) {
                    return Some(format!("{:?} is not taken", sa.pair));
                }
            }
        }
        None
    }

    /// Fails unless both ends have the same, and nothing is under way.
    pub(crate) fn assert_same(&self) {
        if let Some(difference) = self.difference() {
            panic!("{difference}\n{}", self.show());
        }
    }

    /// How many IKE SAs there are, and child SAs, on both ends.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.assert_same();
        let ikes = self.ikes(0);
        (ikes.len(), ikes.iter().map(|view| view.children.len()).sum())
    }

    /// Everything, for who looks for what went wrong.
    pub(crate) fn show(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("at {} ms\n", self.now);
        for (number, end) in self.ends.iter().enumerate() {
            let _ = writeln!(text, "end {number}: {:?}", end.engine.counters());
            end.engine.ikes().for_each(|view| {
                let _ = writeln!(text, "  {view:?}");
            });
            end.events.iter().rev().take(30).for_each(|event| {
                let _ = writeln!(text, "  {event:?}");
            });
        }
        text
    }

    /// Sentences of what failed at an end.
    pub(crate) fn failures(&self, end: usize) -> Vec<String> {
        let sentence = |event: &Event| match event {
            Event::Failed { reason, .. } | Event::ChildFailed { reason, .. } => Some(reason.to_string()),
            _ => None,
        };
        self.ends[end].events.iter().filter_map(sentence).collect()
    }
}

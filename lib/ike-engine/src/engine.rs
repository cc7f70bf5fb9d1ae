//! The engine: tables of IKE SAs, their timers, and the way of a message to its IKE SA.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use ikev2::certificate::Clock;
use ikev2::crypto::{IkeKeys, Random};
use ikev2::wire::{ExchangeType, Flags, IkeSpi, Message};

use crate::child::Child;
use crate::contacts::Contacts;
use crate::core::{Core, Effect, Randomness};
use crate::established::{Established, Wanted};
use crate::init_sent::InitSent;
use crate::output::Path;
use crate::snapshot::Kept;
use crate::state::State;
use crate::strangers::Strangers;
use crate::view::IkeView;
use crate::{Counters, Failure, Identity, NAT_PORT, Output, Profile, SaCommand, Settings, StartAction, Time};

/// There is no such profile, or nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {0}; give the name of one that is configured")]
pub struct UnknownProfile(pub String);

/// A profile that is to be up.
#[derive(Debug, Default)]
pub(crate) struct Restart {
    pub(crate) at: Option<Time>,
    pub(crate) attempts: u32,
}

/// One end of any number of IKE SAs.
pub struct Engine {
    pub(crate) core: Core,
    pub(crate) sas: BTreeMap<IkeSpi, State>,
    /// When IKE SAs are to be called, and of each the entry that it has there.
    timers: BTreeSet<(Time, IkeSpi)>,
    entries: BTreeMap<IkeSpi, Time>,
    strangers: Strangers,
    pub(crate) restarts: BTreeMap<usize, Restart>,
    pub(crate) kept: Kept,
}

impl Engine {
    /// An engine with these profiles. Those that are to be up are started with the first [`Engine::timeout`].
    pub fn new(
        now: Time,
        settings: Settings,
        profiles: Vec<Profile>,
        random: Box<dyn Random + Send>,
    ) -> Engine {
        let mut restarts = BTreeMap::new();
        for (index, profile) in profiles.iter().enumerate() {
            if profile.start == StartAction::Start {
                let at = Some(now);
                restarts.insert(index, Restart { at, attempts: 0 });
            }
        }
        let core = Core {
            now,
            random: Randomness(random),
            settings,
            profiles: profiles.into_iter().map(Arc::new).collect(),
            outputs: VecDeque::new(),
            effects: Vec::new(),
            spis: BTreeSet::new(),
            lingering: BTreeSet::new(),
            contacts: Contacts::default(),
            counters: Counters::default(),
            clock: None,
            general_changed: false,
        };
        Engine {
            core,
            sas: BTreeMap::new(),
            timers: BTreeSet::new(),
            entries: BTreeMap::new(),
            strangers: Strangers::default(),
            restarts,
            kept: Kept::default(),
        }
    }

    /// Says what time of day it is: without that no certificate can be valid. Said again when the clock has been set.
    pub fn set_time_of_day(&mut self, now: Time, clock: Clock) {
        self.core.clock = Some((now, clock));
    }

    /// What is to be done next; `None`: nothing, until something is handled or a timeout comes.
    pub fn output(&mut self) -> Option<Output> {
        self.core.outputs.pop_front()
    }

    /// When [`Engine::timeout`] is to be called.
    pub fn deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let lingering = self.core.lingering.first().map(|(at, _)| *at);
        let restart = self.restarts.values().filter_map(|restart| restart.at).min();
        [timer, lingering, restart].into_iter().flatten().min()
    }

    /// What has been counted.
    pub fn counters(&self) -> Counters {
        self.core.counters
    }

    /// The IKE SAs.
    pub fn ikes(&self) -> impl Iterator<Item = IkeView> + '_ {
        self.sas.values().map(|state| IkeView::of(&self.core, state))
    }

    /// The keys of an IKE SA, by our SPI of it; `None`: there is none, or it has none yet.
    pub fn keys_of(&self, ike: IkeSpi) -> Option<&IkeKeys> {
        let channel = self.sas.get(&ike)?.channel()?;
        Some(&channel.keys)
    }

    /// Makes an IKE SA with the peer of a profile.
    pub fn initiate(&mut self, now: Time, profile: &str) -> Result<(), UnknownProfile> {
        self.core.now = now;
        let index = self.index(profile)?;
        self.core.general_changed = true;
        // It may have been terminated before, and is to be up again.
        if self
            .core
            .profile(index)
            .is_some_and(|profile| profile.start == StartAction::Start)
        {
            self.restarts.insert(index, Restart::default());
        }
        self.begin(index);
        self.settle();
        Ok(())
    }

    /// Deletes the IKE SAs of a profile, and starts it no more.
    pub fn terminate(&mut self, now: Time, profile: &str) -> Result<(), UnknownProfile> {
        self.core.now = now;
        let index = self.index(profile)?;
        self.restarts.remove(&index);
        self.core.general_changed = true;
        for ike in self.sas_where(|state| state.profile() == Some(index)) {
            self.with(ike, |state, core| match state {
                State::Established(mut sa) => {
                    sa.close(core, Failure::Terminated);
                    sa.proceed(core)
                }
                State::InitSent(sa) => sa.fail(core, Failure::Terminated),
                State::AuthSent(sa) => sa.fail(core, Failure::Terminated),
                other => Some(other),
            });
        }
        self.settle();
        Ok(())
    }

    /// Rekeys the IKE SAs of a profile.
    pub fn rekey_ike(&mut self, now: Time, profile: &str) -> Result<(), UnknownProfile> {
        self.wanted(now, profile, |_| vec![Wanted::RekeyIke { group: None }])
    }

    /// Rekeys the child SAs of a profile: all that are there, by time, by bytes or because an operator wants it.
    pub fn rekey_children(&mut self, now: Time, profile: &str) -> Result<(), UnknownProfile> {
        self.wanted(now, profile, |sa| {
            let active = sa.children.iter().filter(|child| child.is_active());
            active
                .map(|child| Wanted::RekeyChild {
                    inbound: child.inbound,
                    group: None,
                })
                .collect()
        })
    }

    /// Deletes the child SAs of a profile.
    pub fn delete_children(&mut self, now: Time, profile: &str) -> Result<(), UnknownProfile> {
        self.core.now = now;
        let index = self.index(profile)?;
        for ike in self.established_where(|sa| sa.profile == index) {
            self.with(ike, |state, core| match state {
                State::Established(mut sa) => {
                    sa.close_children(core);
                    sa.proceed(core)
                }
                other => Some(other),
            });
        }
        self.settle();
        Ok(())
    }

    fn wanted(
        &mut self,
        now: Time,
        profile: &str,
        wanted: impl Fn(&Established) -> Vec<Wanted>,
    ) -> Result<(), UnknownProfile> {
        self.core.now = now;
        let index = self.index(profile)?;
        for ike in self.established_where(|sa| sa.profile == index) {
            self.proceed(ike, |sa, core| {
                wanted(sa)
                    .into_iter()
                    .for_each(|wanted| sa.want(wanted, core.now));
            });
        }
        self.settle();
        Ok(())
    }

    fn index(&self, profile: &str) -> Result<usize, UnknownProfile> {
        let found = self.core.profiles.iter().position(|known| known.name == profile);
        found.ok_or_else(|| UnknownProfile(profile.to_owned()))
    }

    /// IKE SAs that something is to be done with. Others are not touched: what is touched is written down.
    fn sas_where(&self, is_it: impl Fn(&State) -> bool) -> Vec<IkeSpi> {
        let found = self.sas.iter().filter(|(_, state)| is_it(state));
        found.map(|(ike, _)| *ike).collect()
    }

    fn established_where(&self, is_it: impl Fn(&Established) -> bool) -> Vec<IkeSpi> {
        self.sas_where(|state| matches!(state, State::Established(sa) if is_it(sa)))
    }

    /// Takes a datagram: what follows its UDP header. ESP, which comes to port 4500 as well, is not for here.
    pub fn handle(&mut self, now: Time, local: SocketAddr, remote: SocketAddr, payload: &[u8]) {
        self.core.now = now;
        let path = Path { local, remote };
        let bytes = match payload {
            [0xff] => return,
            [0, 0, 0, 0, bytes @ ..] if local.port() == NAT_PORT => bytes,
            _ if local.port() == NAT_PORT => return,
            bytes => bytes,
        };
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => return self.strangers.malformed(&mut self.core, bytes, error, path),
        };
        let header = &message.header;
        let new = header.exchange == ExchangeType::IKE_SA_INIT
            && header.is_request()
            && header.flags.contains(Flags::INITIATOR)
            && header.responder_spi.is_zero()
            && header.message_id == 0;
        if new && !header.initiator_spi.is_zero() {
            self.init(&message, path);
        } else {
            // Each end is known by its own SPI; the sender says which end it is.
            let ours = match header.flags.contains(Flags::INITIATOR) {
                true => header.responder_spi,
                false => header.initiator_spi,
            };
            match self.sas.get(&ours) {
                Some(state) if state.is_of(&message) => {
                    self.with(ours, |state, core| state.receive(core, &message, path));
                }
                _ => self.strangers.unknown(&mut self.core, &message, path),
            }
        }
        self.settle();
    }

    fn init(&mut self, message: &Message<'_>, path: Path) {
        for ike in self.strangers.known(message, path) {
            if let Some(State::HalfOpen(known)) = self.sas.get_mut(&ike)
                && known.repeat(&mut self.core, message, path)
            {
                return;
            }
        }
        if self.strangers.is_late(&self.core, message, path) {
            // Its sender has the answer already (RFC 7296 §2.1).
            self.core.counters.dropped += 1;
            return;
        }
        if let Some(half_open) = self.strangers.init(&mut self.core, message, path) {
            let ike = half_open.channel.id();
            self.strangers.add(message.header.initiator_spi, path.remote, ike);
            self.put(ike, Some(State::HalfOpen(Box::new(half_open))));
        }
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Time) {
        self.core.now = now;
        while let Some((at, spi)) = self.core.lingering.first().copied()
            && at <= now
        {
            self.core.lingering.pop_first();
            self.core.general_changed = true;
            self.core.remove_inbound(spi);
        }
        let due: Vec<usize> = self
            .restarts
            .iter_mut()
            .filter_map(|(index, restart)| restart.at.take_if(|at| *at <= now).map(|_| *index))
            .collect();
        self.core.general_changed |= !due.is_empty();
        due.into_iter().for_each(|index| self.begin(index));
        let due: Vec<IkeSpi> = self
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, ike)| *ike)
            .collect();
        for ike in due {
            self.with(ike, State::timeout);
        }
        self.settle();
    }

    fn begin(&mut self, index: usize) {
        match InitSent::begin(&mut self.core, index) {
            Ok(sa) => {
                let ike = sa.spi;
                self.put(ike, Some(State::InitSent(Box::new(sa))));
            }
            Err(failure) => {
                let remote = self
                    .core
                    .profile(index)
                    .and_then(|profile| profile.remote_address);
                let remote = (remote.unwrap_or_else(|| [0; 4].into()), crate::IKE_PORT).into();
                self.core.failed(index, remote, failure);
            }
        }
    }

    /// Gives an IKE SA to a handler, and takes what it is then.
    pub(crate) fn with(&mut self, ike: IkeSpi, handler: impl FnOnce(State, &mut Core) -> Option<State>) {
        let Some(state) = self.sas.remove(&ike) else {
            return;
        };
        let stranger = state.stranger();
        let asked = match &state {
            State::HalfOpen(sa) => Some(sa.fingerprint()),
            _ => None,
        };
        let next = handler(state, &mut self.core);
        // One that was refused is counted as long as its refusal is kept.
        if let Some((initiator, remote)) = stranger
            && next.as_ref().and_then(State::stranger).is_none()
        {
            self.strangers.remove(initiator, remote, ike);
        }
        if let Some(asked) = asked
            && matches!(next, Some(State::Established(_) | State::Closed(_)))
        {
            self.strangers.went_on(&self.core, asked);
        }
        self.put(ike, next);
    }

    /// Puts an IKE SA into the tables, or takes it out of them.
    pub(crate) fn put(&mut self, ike: IkeSpi, state: Option<State>) {
        self.kept.touch(ike, state.as_ref());
        let deadline = state.as_ref().and_then(|state| state.deadline(&self.core));
        if let Some(state) = state {
            self.sas.insert(ike, state);
        }
        let before = match deadline {
            Some(at) => self.entries.insert(ike, at),
            None => self.entries.remove(&ike),
        };
        if before != deadline {
            if let Some(before) = before {
                self.timers.remove(&(before, ike));
            }
            if let Some(at) = deadline {
                self.timers.insert((at, ike));
            }
        }
    }

    /// Does what IKE SAs want of others, until they want nothing.
    pub(crate) fn settle(&mut self) {
        while !self.core.effects.is_empty() {
            for effect in std::mem::take(&mut self.core.effects) {
                self.apply(effect);
            }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn(sa) => {
                let ike = sa.channel.id();
                self.put(ike, Some(State::Established(sa)));
                self.proceed(ike, |_, _| {});
            }
            Effect::Adopt {
                to,
                children,
                wanted,
                closing,
            } => match self.sas.get(&to) {
                Some(State::Established(_)) => {
                    self.proceed(to, |sa, core| sa.adopt(core, children, wanted, closing))
                }
                // The peer has deleted it before it had any.
                _ => children.iter().for_each(|child| child.remove(&mut self.core)),
            },
            Effect::Release { ikes } => {
                for ike in ikes {
                    self.proceed(ike, |sa, _| sa.predecessor = None);
                }
            }
            Effect::InitialContact {
                peer,
                profile,
                except,
                since,
            } => {
                let there = self.core.contacts.of_peer(profile, &peer);
                let before: Vec<IkeSpi> = there
                    .filter(|(ike, at)| *ike != except && *at < since)
                    .map(|(ike, _)| ike)
                    .collect();
                for ike in before {
                    self.with(ike, |state, core| match state {
                        State::Established(sa) => sa.end(core, Failure::InitialContact),
                        other => Some(other),
                    });
                }
            }
            Effect::Bare { peer, child } => self.cover(&peer, &child),
            Effect::Lost { profile } => self.restart(profile),
            Effect::Up { profile } => {
                if let Some(restart) = self.restarts.get_mut(&profile) {
                    *restart = Restart::default();
                    self.core.general_changed = true;
                }
            }
        }
    }

    /// Has traffic of a child SA that is gone go out by another.
    fn cover(&mut self, peer: &Identity, gone: &Child) {
        let next = self.sas.values().find_map(|state| match state {
            State::Established(sa) if sa.peer == *peer => {
                let same = |child: &&Child| child.in_use && child.is_for_the_same_as(gone);
                sa.children.iter().find(same).map(Child::pair)
            }
            _ => None,
        });
        if let Some(to) = next {
            self.core.command(SaCommand::Switch { from: None, to });
        }
    }

    pub(crate) fn proceed(&mut self, ike: IkeSpi, change: impl FnOnce(&mut Established, &mut Core)) {
        self.with(ike, |state, core| match state {
            State::Established(mut sa) => {
                change(&mut sa, core);
                sa.proceed(core)
            }
            other => Some(other),
        });
    }

    /// Has a profile started again that is to be up, and is not.
    fn restart(&mut self, profile: usize) {
        let up = self.sas.values().any(|state| match state {
            State::InitSent(sa) => sa.profile == profile,
            State::AuthSent(sa) => sa.profile == profile,
            State::Established(sa) => sa.profile == profile && sa.closing.is_none() && sa.replaced.is_none(),
            State::HalfOpen(_) | State::Closed(_) => false,
        });
        let settings = &self.core.settings;
        if let Some(restart) = self.restarts.get_mut(&profile)
            && restart.at.is_none()
            && !up
        {
            let pause = settings
                .restart_first
                .saturating_mul(1 << restart.attempts.min(16));
            restart.at = Some(self.core.now + pause.min(settings.restart_longest));
            restart.attempts = restart.attempts.saturating_add(1);
            self.core.general_changed = true;
        }
    }
}

//! An IKE SA both of whose ends have shown who they are: its timers, and what it does next.
//!
//! One request is under way at a time; what else is wanted waits. What each request is for has a type of its own in [`Exchange`]:
//! `create_child`, `rekey_ike` and `informational` begin them, take their answers, and answer those of the peer.

use std::net::SocketAddr;
use std::time::Duration;

use ikev2::crypto::{Clear, Group};
use ikev2::wire::{ExchangeType, IkeSpi, Message, NotifyType};

use crate::channel::{Channel, Incoming};
use crate::child::{Child, ChildState};
use crate::closed::Closed;
use crate::core::{Core, Effect};
use crate::create_child::CreateChild;
use crate::output::Path;
use crate::payloads::{Contents, refusal};
use crate::rekey_ike::RekeyIke;
use crate::state::State;
use crate::{Event, Failure, Identity, Profile, SaCommand, Time};

/// After a rekeying that was refused it is tried again so much later.
pub(crate) const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// What is to be done when nothing else is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A child SA of the profile. `group`: the one that the peer wants.
    Child {
        index: usize,
        group: Option<Group>,
    },
    RekeyChild {
        inbound: u32,
        group: Option<Group>,
    },
    DeleteChild {
        inbound: u32,
    },
    /// A child SA that the peer has made, and we have not.
    DeleteUnknown {
        spi: u32,
    },
    RekeyIke {
        group: Option<Group>,
    },
    DeleteIke,
    /// To ask whether the peer is alive.
    Liveness,
}

/// What the request under way is for.
#[derive(Debug)]
pub(crate) enum Exchange {
    Liveness,
    CreateChild(Box<CreateChild>),
    DeleteChild { inbound: u32 },
    DeleteUnknown,
    RekeyIke(Box<RekeyIke>),
    DeleteIke,
}

/// An IKE SA.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) channel: Channel,
    pub(crate) profile: usize,
    pub(crate) peer: Identity,
    pub(crate) children: Vec<Child>,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) wanted: Vec<(Time, Wanted)>,
    pub(crate) since: Time,
    pub(crate) rekey_at: Option<Time>,
    pub(crate) expire_at: Option<Time>,
    pub(crate) liveness: Duration,
    /// The IKE SA that this one replaces: until that is gone nothing is asked for here.
    pub(crate) predecessor: Option<IkeSpi>,
    /// Those made by rekeying this one.
    pub(crate) successors: Vec<IkeSpi>,
    /// Another has taken its place: the peer is to delete it, and after this time that is done here.
    pub(crate) replaced: Option<Time>,
    /// It is being deleted here, and why.
    pub(crate) closing: Option<Failure>,
    /// Whether anybody has been told of it.
    pub(crate) announced: bool,
}

impl Established {
    pub(crate) fn new(core: &mut Core, channel: Channel, profile: usize, peer: Identity) -> Established {
        let found = core.profile(profile);
        core.contacts.add(profile, &peer, channel.id(), core.now);
        Established {
            channel,
            profile,
            peer,
            children: Vec::new(),
            exchange: None,
            wanted: Vec::new(),
            since: core.now,
            rekey_at: found.as_ref().map(|profile| core.soft_end(&profile.lifetime)),
            expire_at: found.as_ref().map(|profile| core.now + profile.lifetime.hard),
            liveness: found.map_or(Duration::MAX, |profile| profile.liveness),
            predecessor: None,
            successors: Vec::new(),
            replaced: None,
            closing: None,
            announced: false,
        }
    }

    /// Says that it is there.
    pub(crate) fn up(&mut self, core: &mut Core, profile: &Profile) {
        self.announced = true;
        core.counters.established += 1;
        core.event(Event::IkeUp {
            ike: self.channel.id(),
            spis: self.channel.spis,
            profile: profile.name.clone(),
            peer: self.peer.clone(),
        });
        core.effects.push(Effect::Up {
            profile: self.profile,
        });
    }

    pub(crate) fn want(&mut self, wanted: Wanted, at: Time) {
        self.wanted.push((at, wanted));
    }

    /// Deletes the IKE SA as soon as nothing else is under way.
    pub(crate) fn close(&mut self, core: &Core, reason: Failure) {
        if self.closing.is_none() {
            self.closing = Some(reason);
            self.want(Wanted::DeleteIke, core.now);
        }
    }

    /// Gives the child SAs, and what was to be done, to the IKE SA that takes the place of this one.
    pub(crate) fn replace(&mut self, core: &mut Core, by: IkeSpi) {
        core.counters.ike_rekeys += 1;
        self.replaced = Some(core.now + core.settings.replaced_timeout);
        self.rekey_at = None;
        self.expire_at = None;
        let (own, given) = std::mem::take(&mut self.wanted)
            .into_iter()
            .partition(|(_, wanted)| {
                matches!(
                    wanted,
                    Wanted::DeleteIke | Wanted::RekeyIke { .. } | Wanted::Liveness
                )
            });
        self.wanted = own;
        self.announced = false;
        core.event(Event::IkeRekeyed {
            old: self.channel.id(),
            new: by,
        });
        core.effects.push(Effect::Adopt {
            to: by,
            children: std::mem::take(&mut self.children),
            wanted: given,
            // What was to be deleted is so by its new SPI, too.
            closing: self.closing.clone(),
        });
    }

    /// Takes the child SAs of the one that this replaces.
    pub(crate) fn adopt(
        &mut self,
        core: &Core,
        children: Vec<Child>,
        wanted: Vec<(Time, Wanted)>,
        closing: Option<Failure>,
    ) {
        self.announced = true;
        self.children.extend(children);
        self.wanted.extend(wanted);
        if let Some(reason) = closing {
            self.close(core, reason);
        }
    }

    fn is_allowed(&self, wanted: &Wanted) -> bool {
        let whole = self.predecessor.is_none() && self.replaced.is_none() && self.closing.is_none();
        whole || *wanted == Wanted::DeleteIke
    }

    pub(crate) fn deadline(&self, core: &Core) -> Option<Time> {
        let next = self
            .wanted
            .iter()
            .filter(|(_, wanted)| self.is_allowed(wanted))
            .map(|(at, _)| *at);
        let next = next.min().filter(|_| self.exchange.is_none());
        let idle = self.exchange.is_none() && self.is_allowed(&Wanted::Liveness);
        let alive = idle.then(|| self.channel.heard + self.liveness);
        let children = self.children.iter().flat_map(|child| {
            let replaced = match child.state {
                ChildState::Replaced { until, .. } => Some(until),
                _ => None,
            };
            [child.rekey_at, child.expire_at, replaced]
        });
        let request = self.channel.under_way.as_ref().map(|request| request.due);
        let replaced = self.replaced.filter(|_| self.closing.is_none());
        let own = [
            next,
            alive,
            request,
            replaced,
            self.rekey_at,
            self.expire_at,
            self.channel.keepalive_due(core),
        ];
        own.into_iter().chain(children).flatten().min()
    }

    pub(crate) fn timeout(mut self, core: &mut Core) -> Option<State> {
        if let Err(failure) = self.channel.timeout(core) {
            return self.end(core, failure);
        }
        self.child_timers(core);
        let due = |at: &mut Option<Time>| at.take_if(|at| *at <= core.now).is_some();
        if due(&mut self.rekey_at) {
            self.want(Wanted::RekeyIke { group: None }, core.now);
        }
        if due(&mut self.expire_at) {
            self.close(core, Failure::Expired);
        }
        if self.replaced.is_some_and(|at| at <= core.now) {
            self.close(core, Failure::Rekeyed);
        }
        self.channel.keepalive(core);
        let idle = self.exchange.is_none() && self.is_allowed(&Wanted::Liveness);
        if idle && core.now.since(self.channel.heard) >= self.liveness {
            self.want(Wanted::Liveness, core.now);
        }
        self.proceed(core)
    }

    /// Begins what is wanted, if nothing is under way.
    pub(crate) fn proceed(mut self, core: &mut Core) -> Option<State> {
        while self.exchange.is_none() {
            let ready = |(at, wanted): &(Time, Wanted)| *at <= core.now && self.is_allowed(wanted);
            let Some(position) = self.wanted.iter().position(ready) else {
                break;
            };
            let (_, wanted) = self.wanted.remove(position);
            let begun = match wanted {
                Wanted::Child { index, group } => self.begin_child(core, index, group, None),
                Wanted::RekeyChild { inbound, group } => self.begin_rekey_child(core, inbound, group),
                Wanted::DeleteChild { inbound } => self.begin_delete_child(core, inbound),
                Wanted::DeleteUnknown { spi } => self.begin_delete_unknown(core, spi),
                Wanted::RekeyIke { group } => self.begin_rekey(core, group),
                Wanted::DeleteIke => self.begin_delete(core),
                Wanted::Liveness => self.begin_liveness(core),
            };
            if let Err(failure) = begun {
                return self.end(core, failure);
            }
        }
        Some(State::Established(Box::new(self)))
    }

    pub(crate) fn receive(mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        let before = self.channel.path;
        let incoming = self.channel.receive(core, message, path);
        if self.channel.path != before {
            self.moved(core, before);
        }
        match incoming {
            Incoming::Nothing => Some(State::Established(Box::new(self))),
            Incoming::Request(exchange, clear) => self.request(core, exchange, &clear),
            Incoming::Response(clear) => self.response(core, &clear),
        }
    }

    /// Goes where a peer behind a NAT is by now.
    pub(crate) fn follow(&mut self, core: &mut Core, remote: SocketAddr) {
        let before = self.channel.path;
        if self.channel.nat.there && before.remote != remote {
            self.channel.path.remote = remote;
            self.moved(core, before);
        }
    }

    /// The peer is somewhere else.
    fn moved(&self, core: &mut Core, before: Path) {
        let path = self.channel.path;
        for child in &self.children {
            let pair = child.pair();
            core.command(SaCommand::Move { pair, path });
        }
        core.event(Event::PeerMoved {
            ike: self.channel.id(),
            from: before.remote,
            to: path.remote,
        });
    }

    fn request(mut self, core: &mut Core, exchange: ExchangeType, clear: &Clear) -> Option<State> {
        let payloads = match clear.payloads() {
            Ok(payloads) => payloads,
            Err(error) => {
                let failure = Failure::from(error);
                let answered = self.channel.answer(core, exchange, &refusal(&failure));
                // A critical payload that is not known is no reason to end it; bad syntax from who knows the keys is (§2.21.3).
                if answered.is_ok() && failure.notify() == NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD {
                    return self.proceed(core);
                }
                return self.end_answered(core, failure);
            }
        };
        let contents = Contents::of(&payloads);
        match exchange {
            ExchangeType::CREATE_CHILD_SA => self.create_child_request(core, &contents),
            ExchangeType::INFORMATIONAL => self.informational_request(core, &contents),
            _ => {
                let failure = Failure::Exchange(exchange);
                let answered = self.channel.answer(core, exchange, &refusal(&failure));
                self.answered(core, answered)
            }
        }
    }

    /// Goes on when a request has been answered.
    pub(crate) fn answered(self, core: &mut Core, answered: Result<(), Failure>) -> Option<State> {
        match answered {
            Ok(()) => self.proceed(core),
            Err(failure) => self.end(core, failure),
        }
    }

    fn response(mut self, core: &mut Core, clear: &Clear) -> Option<State> {
        let Some(exchange) = self.exchange.take() else {
            return self.proceed(core);
        };
        let payloads = match clear.payloads() {
            Ok(payloads) => payloads,
            Err(error) => {
                self.exchange = Some(exchange);
                return self.end(core, error.into());
            }
        };
        let contents = Contents::of(&payloads);
        match exchange {
            Exchange::Liveness | Exchange::DeleteUnknown => {}
            Exchange::CreateChild(exchange) => self.create_child_response(core, *exchange, &contents),
            Exchange::DeleteChild { inbound } => {
                self.drop_child(core, inbound);
            }
            Exchange::RekeyIke(exchange) => self.rekey_response(core, *exchange, &contents),
            Exchange::DeleteIke => return self.end(core, Failure::Terminated),
        }
        self.proceed(core)
    }

    /// Ends it; the peer knows that, or is dead.
    pub(crate) fn end(mut self, core: &mut Core, reason: Failure) -> Option<State> {
        self.take_down(core, reason);
        None
    }

    /// Ends it when the peer has been answered, and may ask again.
    pub(crate) fn end_answered(mut self, core: &mut Core, reason: Failure) -> Option<State> {
        self.take_down(core, reason);
        Some(Closed::begin(core, self.channel))
    }

    fn take_down(&mut self, core: &mut Core, reason: Failure) {
        match self.exchange.take() {
            // The peer has rekeyed it as well, and has that one: the child SAs go there.
            Some(Exchange::RekeyIke(exchange)) if self.replaced.is_none() => {
                if let Some(collision) = exchange.collision {
                    self.replace(core, collision.ike);
                }
            }
            Some(Exchange::CreateChild(exchange)) => core.release(exchange.offer.spi),
            _ => {}
        }
        let reason = self.closing.take().unwrap_or(reason);
        let name = core.profile(self.profile).map_or_else(String::new, |profile| {
            for child in &self.children {
                child.remove(core);
                self.bare(core, child);
                core.event(child.down(&self.channel, &profile));
            }
            profile.name.clone()
        });
        self.children.clear();
        core.contacts.remove(self.profile, &self.peer, self.channel.id());
        if self.announced {
            let wanted = !matches!(
                reason,
                Failure::Terminated | Failure::Rekeyed | Failure::InitialContact
            );
            if wanted {
                core.effects.push(Effect::Lost {
                    profile: self.profile,
                });
            }
            core.event(Event::IkeDown {
                ike: self.channel.id(),
                profile: name,
                reason,
            });
        }
        core.effects.push(Effect::Release {
            ikes: std::mem::take(&mut self.successors),
        });
    }
}

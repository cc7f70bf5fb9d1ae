//! What becomes of a profile that has no IKE SA any more: it is started again, waits for traffic, or stays as it is.
//!
//! ```text
//!   lost ──► restarts ─ pause, longer and longer ─► begun again, for ever
//!   dead ──► dead-peer action ─┬─► restarts
//!                              ├─► traps ─ Engine::acquire ─► begun, or a child SA of the IKE SA that there is
//!                              └─► neither
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::Core;
use crate::engine::Engine;
use crate::established::{Established, Exchange, Wanted};
use crate::state::State;
use crate::{DeadPeerAction, Settings, StartAction, Time};

/// A profile that is to be up.
#[derive(Debug, Default)]
pub(crate) struct Restart {
    pub(crate) at: Option<Time>,
    pub(crate) attempts: u32,
}

/// Profiles that traffic starts.
#[derive(Debug, Default)]
pub(crate) struct Traps {
    pub(crate) profiles: BTreeSet<usize>,
    /// By profile, and by child where there was an IKE SA, when the next may be begun: unless one comes up before, what was begun was refused.
    pauses: BTreeMap<(usize, Option<usize>), Restart>,
}

impl Traps {
    /// Whether traffic may begin something, which it then does.
    fn spring(&mut self, of: (usize, Option<usize>), core: &Core) -> bool {
        let pause = self.pauses.entry(of).or_default();
        let is_due = pause.at.is_none_or(|at| at <= core.now);
        if is_due {
            pause.put_off(core);
        }
        is_due
    }

    /// An IKE SA of the profile is there, or a child SA of it.
    pub(crate) fn up(&mut self, profile: usize, child: Option<usize>) {
        self.pauses.remove(&(profile, child));
    }

    /// Traffic starts the profile no more.
    pub(crate) fn remove(&mut self, profile: usize) {
        self.profiles.remove(&profile);
        self.pauses.retain(|(of, _), _| *of != profile);
    }
}

/// The pause before the next attempt after so many.
fn pause(settings: &Settings, attempts: u32) -> Duration {
    let pause = settings.restart_first.saturating_mul(1 << attempts.min(16));
    pause.min(settings.restart_longest)
}

impl Restart {
    fn put_off(&mut self, core: &Core) {
        self.at = Some(core.now + pause(&core.settings, self.attempts));
        self.attempts = self.attempts.saturating_add(1);
    }
}

impl Engine {
    /// Has a profile be as it says: up from `at` on, or started by traffic.
    pub(crate) fn arm(&mut self, profile: usize, at: Option<Time>) {
        match self.core.profile(profile).map(|profile| profile.start) {
            Some(StartAction::Start) => {
                self.restarts.insert(profile, Restart { at, attempts: 0 });
            }
            Some(StartAction::Trap) => {
                self.traps.profiles.insert(profile);
            }
            Some(StartAction::None) | None => {}
        }
    }

    /// Has a profile started no more, unless by traffic if that is what it says.
    pub(crate) fn disarm(&mut self, profile: usize) {
        self.restarts.remove(&profile);
        self.traps.remove(profile);
        if self
            .core
            .profile(profile)
            .is_some_and(|profile| profile.start == StartAction::Trap)
        {
            self.arm(profile, None);
        }
    }

    /// A packet is to leave by a child SA that there is not. It is made if traffic starts its profile: with an IKE SA, unless there is one.
    /// While it is on its way, and for a while after it was refused, nothing more is begun.
    pub fn acquire(&mut self, now: Time, profile: &str, child: &str) {
        self.core.now = now;
        let Some((index, child)) = self.trapped(profile, child) else {
            return;
        };
        // It is started already, as soon as its pause is over.
        if self
            .restarts
            .get(&index)
            .is_some_and(|restart| restart.at.is_some())
        {
            return;
        }
        let mut there = None;
        for (ike, state) in &self.sas {
            match state {
                State::InitSent(sa) if sa.profile == index => return,
                State::AuthSent(sa) if sa.profile == index => return,
                State::Established(sa)
                    if sa.profile == index && sa.closing.is_none() && sa.replaced.is_none() =>
                {
                    if sa.has_or_makes(child) {
                        return;
                    }
                    there = Some(*ike);
                }
                _ => {}
            }
        }
        match there {
            Some(ike) if self.traps.spring((index, Some(child)), &self.core) => {
                self.proceed(ike, |sa, core| {
                    let wanted = Wanted::Child {
                        index: child,
                        group: None,
                    };
                    sa.want(wanted, core.now);
                });
            }
            None if self.traps.spring((index, None), &self.core) => self.begin(index),
            _ => {}
        }
        self.settle();
    }

    /// The numbers of a profile that traffic starts, and of its child.
    fn trapped(&self, profile: &str, child: &str) -> Option<(usize, usize)> {
        let index = self
            .core
            .profiles
            .iter()
            .position(|known| known.name == profile)?;
        let children = &self.core.profiles.get(index)?.children;
        let child = children.iter().position(|known| known.name == child)?;
        self.traps.profiles.contains(&index).then_some((index, child))
    }

    /// An IKE SA of a profile is lost, or could not be made. `dead`: the peer does not answer any more.
    pub(crate) fn lost(&mut self, profile: usize, dead: bool) {
        let up = self.sas.values().any(|state| match state {
            State::InitSent(sa) => sa.profile == profile,
            State::AuthSent(sa) => sa.profile == profile,
            State::Established(sa) => sa.profile == profile && sa.closing.is_none() && sa.replaced.is_none(),
            State::HalfOpen(_) | State::Closed(_) => false,
        });
        if up {
            return;
        }
        if dead {
            self.dead_peer(profile);
        }
        if let Some(restart) = self.restarts.get_mut(&profile)
            && restart.at.is_none()
        {
            restart.put_off(&self.core);
            self.core.general_changed = true;
        }
    }

    /// Does what a profile says of a peer that is dead.
    fn dead_peer(&mut self, index: usize) {
        let Some(action) = self.core.profile(index).map(|profile| profile.dead_peer()) else {
            return;
        };
        self.core.general_changed = true;
        match action {
            DeadPeerAction::Restart => {
                self.restarts.entry(index).or_default();
            }
            DeadPeerAction::Clear => {
                self.restarts.remove(&index);
            }
            DeadPeerAction::Trap => {
                self.restarts.remove(&index);
                self.traps.profiles.insert(index);
            }
        }
    }

    /// Whether a profile is started again when its peer is dead, or always.
    pub(crate) fn may_restart(&self, index: usize) -> bool {
        self.core.profile(index).is_some_and(|profile| {
            profile.start == StartAction::Start || profile.dead_peer() == DeadPeerAction::Restart
        })
    }

    /// Whether a profile waits for traffic when its peer is dead.
    pub(crate) fn may_trap(&self, index: usize) -> bool {
        self.core
            .profile(index)
            .is_some_and(|profile| profile.dead_peer() == DeadPeerAction::Trap)
    }

    /// An IKE SA of a profile is there: what was done because it was not, is done no more.
    pub(crate) fn up(&mut self, index: usize) {
        self.traps.up(index, None);
        let start = self.core.profile(index).map(|profile| profile.start);
        if start == Some(StartAction::Start) {
            if let Some(restart) = self.restarts.get_mut(&index) {
                *restart = Restart::default();
                self.core.general_changed = true;
            }
        } else if self.restarts.remove(&index).is_some() {
            self.core.general_changed = true;
        }
        if start != Some(StartAction::Trap) && self.traps.profiles.contains(&index) {
            self.traps.remove(index);
            self.core.general_changed = true;
        }
    }
}

impl Established {
    /// Whether there is a child SA of this number that is to stay, or one is on its way.
    fn has_or_makes(&self, index: usize) -> bool {
        let stays = |child: &crate::child::Child| child.index == index && !child.is_closing();
        let makes = match &self.exchange {
            Some(Exchange::CreateChild(own)) => own.offer.index() == index && own.rekeys.is_none(),
            _ => false,
        };
        let is_wanted =
            |(_, wanted): &(Time, Wanted)| matches!(wanted, Wanted::Child { index: of, .. } if *of == index);
        makes || self.children.iter().any(stays) || self.wanted.iter().any(is_wanted)
    }
}

//! What outlives the process: IKE SAs are written down with each change, and taken up again where they were.
//!
//! ```text
//!   handle, timeout, initiate ..      what has happened
//!   Engine::changes ──► bytes         appended to what is kept outside, before anything else
//!   Engine::output  ──► ..            only now datagrams are sent, and the data plane is told
//!
//!   Engine::new, Engine::restore ◄── all bytes, one behind the other      the process after it
//!   Engine::reconcile ◄── the SAs that the data plane has ──► commands that make them those of the engine
//! ```
//!
//! That order is what makes it safe to be killed at any moment. What was not written down has not been sent either, and the peer asks
//! again; what was written down and not sent is sent again by its timer, or answered from memory. A batch that was cut off is as one that
//! was never begun.
//!
//! **IVs.** The next IV of an AEAD is part of the record, so that none comes twice while the order is kept. [`IV_SKIP`] more are left out by
//! every restoring, in case of one who drives it otherwise: a process would have to seal 4,294,967,296 messages after its last record. A
//! restored engine has everything to be written down by the next [`Engine::changes`], so that the next restoring begins behind it; after 4
//! billion of them the IVs are used up, and the IKE SA says so instead of using one again. IVs of CBC are random.
//!
//! **What is kept.** Established IKE SAs with their child SAs, keys, message ids, requests under way, answers, timers; those that are gone,
//! for their last answer; SAs of ESP that linger; profiles that were terminated or wait to be started again. What is not there yet is
//! dropped: the peer of a half-open IKE SA gives up, or finds it dead by liveness. So are cookies, counters, and fragments of messages that
//! are not complete, which the peer sends again.
//!
//! **Cost.** A call marks the IKE SAs that it was about; only they are written down, and only if they have changed. An IKE SA takes some 1
//! to 3 thousand bytes. The bytes hold keys: memory for them is sealed, never on disk, and wiped here.
//!
//! **Time.** Timers are written down as moments of the caller's clock, which has to go on from process to process: one that counts since
//! the machine was started.

mod journal;
mod load;
mod reconcile;
mod record;
mod save;
#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use ikev2::crypto::Secret;
use ikev2::wire::IkeSpi;

use crate::engine::{Engine, Restart};
use crate::state::State;
use crate::{StartAction, Time};

pub use reconcile::{ChildSas, Installed};

/// So many IVs of an AEAD are left out by each restoring.
pub const IV_SKIP: u64 = 1 << 32;

/// Under this name, which no IKE SA has, is what belongs to none.
const GENERAL: IkeSpi = IkeSpi::ZERO;

/// Why something that was written down is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is damaged.
    #[error(
        "the record of an IKE SA cannot be read; it is left out, and its peer finds that out by liveness"
    )]
    Malformed,
    /// Its profile is gone.
    #[error(
        "an IKE SA was of profile {0}, which there is no more; it is left out: terminate a profile before it is removed"
    )]
    NoProfile(String),
    /// A child of its profile is gone.
    #[error(
        "an IKE SA has a child SA {child}, which profile {profile} has no more; it is left out: terminate a profile before it is changed"
    )]
    NoChild {
        /// The profile.
        profile: String,
        /// What it had.
        child: String,
    },
    /// Its times are later than now.
    #[error(
        "the record of an IKE SA is of another clock; it is left out: give a clock that goes on when the process ends"
    )]
    Clock,
}

/// What came of restoring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// IKE SAs that are established again.
    pub ikes: usize,
    /// What was left out, by our SPI.
    pub left_out: Vec<(IkeSpi, RestoreError)>,
    /// Bytes at the end that are no whole batch: the process ended while it wrote them, or another version wrote them.
    pub ignored: usize,
}

/// What is written down outside, and what is to be.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Whether anybody writes anything down. Before that nothing is marked, which would only grow.
    is_asked_for: bool,
    marked: BTreeSet<IkeSpi>,
    /// Of each record outside a hash, so that one that is the same is not written again.
    outside: BTreeMap<IkeSpi, u64>,
}

impl Kept {
    /// Takes note that an IKE SA was dealt with.
    pub(crate) fn touch(&mut self, ike: IkeSpi, state: Option<&State>) {
        if !self.is_asked_for {
            return;
        }
        let is_kept = |state: &State| {
            matches!(state, State::Established(_) | State::Closed(_)) && state.stranger().is_none()
        };
        if state.is_some_and(is_kept) || self.outside.contains_key(&ike) {
            self.marked.insert(ike);
        }
    }
}

fn hash(record: &Secret) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(record.expose());
    hasher.finish()
}

impl Engine {
    /// What has changed since this was last called: one batch, to be appended to those before it as a whole, and before the next
    /// [`Engine::output`] is looked at. `None`: nothing has.
    pub fn changes(&mut self) -> Option<Secret> {
        if !std::mem::replace(&mut self.kept.is_asked_for, true) {
            // All that there is by now.
            self.kept.marked.extend(self.sas.keys());
            self.core.general_changed = true;
        }
        if std::mem::take(&mut self.core.general_changed) {
            self.kept.marked.insert(GENERAL);
        }
        let mut entries = Vec::new();
        for ike in std::mem::take(&mut self.kept.marked) {
            match self.record(ike) {
                Some(record) => {
                    let hash = hash(&record);
                    if self.kept.outside.insert(ike, hash) != Some(hash) {
                        entries.push((ike, Some(record)));
                    }
                }
                None => {
                    if self.kept.outside.remove(&ike).is_some() {
                        entries.push((ike, None));
                    }
                }
            }
        }
        (!entries.is_empty()).then(|| journal::batch(false, &entries))
    }

    /// Everything in one batch, which stands for itself: what was written before it may be thrown away once it is kept. To be called where
    /// [`Engine::changes`] is, in place of it, when the batches have become long.
    pub fn snapshot(&mut self) -> Secret {
        self.core.general_changed = false;
        self.kept = Kept {
            is_asked_for: true,
            ..Kept::default()
        };
        let ikes = self.sas.keys().copied().chain([GENERAL]);
        let mut entries = Vec::new();
        for ike in ikes {
            if let Some(record) = self.record(ike) {
                self.kept.outside.insert(ike, hash(&record));
                entries.push((ike, Some(record)));
            }
        }
        journal::batch(true, &entries)
    }

    fn record(&self, ike: IkeSpi) -> Option<Secret> {
        if ike == GENERAL {
            return save::general(&self.core, &self.restarts);
        }
        save::record(&self.core, self.sas.get(&ike)?)
    }

    /// Takes up what another process has written down, in batches one behind the other. The engine is one that was just made, with the
    /// same clock, and with profiles of the same names. Call [`Engine::reconcile`] next, and [`Engine::snapshot`] before any output.
    pub fn restore(&mut self, now: Time, batches: &[u8]) -> Restored {
        self.kept.is_asked_for = true;
        self.core.now = now;
        self.core.general_changed = true;
        let replay = journal::replay(batches);
        let mut restored = Restored {
            ignored: replay.ignored,
            ..Restored::default()
        };
        for (ike, record) in &replay.records {
            if *ike == GENERAL {
                continue;
            }
            match load::state(&mut self.core, *ike, record) {
                Ok(state) => {
                    restored.ikes += usize::from(matches!(state, State::Established(_)));
                    self.put(*ike, Some(state));
                }
                Err(error) => restored.left_out.push((*ike, error)),
            }
        }
        self.join();
        if let Some(general) = replay.records.get(&GENERAL)
            && load::general(self, general).is_none()
        {
            restored.left_out.push((GENERAL, RestoreError::Malformed));
        }
        self.wake();
        restored
    }

    /// IKE SAs wait for none that is not here.
    fn join(&mut self) {
        let there: BTreeSet<IkeSpi> = self
            .sas
            .iter()
            .filter(|(_, state)| matches!(state, State::Established(_)))
            .map(|(ike, _)| *ike)
            .collect();
        let waits: Vec<IkeSpi> = there
            .iter()
            .copied()
            .filter(|ike| match self.sas.get(ike) {
                Some(State::Established(sa)) => sa.predecessor.is_some_and(|before| !there.contains(&before)),
                _ => false,
            })
            .collect();
        for ike in waits {
            self.with(ike, |state, _| match state {
                State::Established(mut sa) => {
                    sa.predecessor = None;
                    Some(State::Established(sa))
                }
                other => Some(other),
            });
        }
    }

    /// Profiles that are up are not started once more.
    fn wake(&mut self) {
        for state in self.sas.values() {
            if let State::Established(sa) = state
                && sa.closing.is_none()
                && sa.replaced.is_none()
                && let Some(restart) = self.restarts.get_mut(&sa.profile)
            {
                *restart = Restart::default();
            }
        }
    }

    /// The profile of a name, if it is to be up.
    fn startable(&self, name: &str) -> Option<usize> {
        let fits = |profile: &crate::Profile| profile.name == name && profile.start == StartAction::Start;
        self.core.profiles.iter().position(|profile| fits(profile))
    }
}

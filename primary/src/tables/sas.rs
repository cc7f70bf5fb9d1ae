//! SAs: installed, replaced and deleted at run time, all that one request says or nothing of it.
//!
//! ```text
//!   operator, ikev2d ─ SaAdd ─► checks ─┬─► keys: memory that is locked, not dumped, wiped when the SA goes
//!                                       ├─► region: record, selectors; no key
//!                                       ├─► timers: soft and hard lifetime in seconds
//!                                       └─► event, for all that happened during a tenth of a second
//! ```
//!
//! Several SAs may protect a tunnel in each direction, so that a new one is there before the old one goes; of those that go
//! out, packets are to take the one that was installed last.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use control::event::Event;
use control::message::{
    ControlError, ErrorCode, NewSa, SAS_PER_REQUEST, Sa, SaChange, SaChangeKind, SaId, SaState,
};
use control::sas;
use esp::Transform;
use shm::keys::{KeyArena, KeyArenaError, KeyPlace};
use shm::{SaPlace, SaTable};

use super::Tables;
use super::refusal::{list, refuse};
use super::timers::{Timer, Timers};
use crate::adjacency;

/// How long changes are collected before subscribers are told of all of them at once.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// All SAs.
pub(super) struct SaSet {
    sas: HashMap<SaId, Installed>,
    keys: KeyArena,
    published: SaTable,
    /// The number of the last one that was installed.
    last_number: u64,
    /// What subscribers have not been told of yet.
    changes: Vec<SaChange>,
}

/// An SA that is there.
struct Installed {
    sa: Sa,
    number: u64,
    added: Duration,
    place: SaPlace,
    keys: KeyPlace,
}

impl Installed {
    /// When its lifetimes are over.
    fn deadlines(&self) -> impl Iterator<Item = (Duration, Timer)> {
        let id = self.sa.id();
        let of = [(self.sa.soft.seconds, false), (self.sa.hard.seconds, true)];
        let added = self.added;
        of.into_iter().filter_map(move |(seconds, hard)| {
            let at = added.checked_add(Duration::from_secs(seconds?))?;
            Some((at, Timer::Sa { id, hard }))
        })
    }
}

impl SaSet {
    /// None yet; room for so many, and for their keys. The records of the region become its to write.
    pub(super) fn new(published: SaTable, limit: usize) -> Result<Self, KeyArenaError> {
        Ok(Self {
            sas: HashMap::new(),
            keys: KeyArena::new(limit)?,
            published,
            last_number: 0,
            changes: Vec::new(),
        })
    }

    /// Installs an SA for which there is room, in place of one that is known by the same.
    fn install(&mut self, new: NewSa, timers: &mut Timers, now: Duration) {
        let NewSa { sa, keys } = new;
        let id = sa.id();
        let kind = match self.remove(id, timers) {
            Some(_) => SaChangeKind::Replaced,
            None => SaChangeKind::Added,
        };
        self.last_number += 1;
        let number = self.last_number;
        let (record, selectors) = sas::records(&sa, number, now, SaState::Installed);
        // Neither fails: the caller has looked whether there is room, and there is as much for keys as for records.
        let Some(place) = self.published.insert(&record, &selectors) else {
            return;
        };
        let Some(keys) = self.keys.store(keys.bytes()) else {
            self.published.remove(place);
            return;
        };
        self.note(change(kind, &sa), timers, now);
        let installed = Installed {
            sa,
            number,
            added: now,
            place,
            keys,
        };
        for (at, timer) in installed.deadlines() {
            timers.set(at, timer);
        }
        self.sas.insert(id, installed);
    }

    /// Takes an SA out and wipes its keys.
    fn remove(&mut self, id: SaId, timers: &mut Timers) -> Option<Sa> {
        let installed = self.sas.remove(&id)?;
        for (at, timer) in installed.deadlines() {
            timers.cancel(at, timer);
        }
        self.published.remove(installed.place);
        self.keys.wipe(installed.keys);
        Some(installed.sa)
    }

    /// Deletes an SA, for the reason that subscribers are told.
    fn delete(&mut self, id: SaId, kind: SaChangeKind, timers: &mut Timers, now: Duration) {
        if let Some(sa) = self.remove(id, timers) {
            self.note(change(kind, &sa), timers, now);
        }
    }

    /// Shows that another SA should have taken the place of this one by now.
    fn expiring(&mut self, id: SaId, timers: &mut Timers, now: Duration) {
        let Some(installed) = self.sas.get(&id) else {
            return;
        };
        let (record, _) = sas::records(
            &installed.sa,
            installed.number,
            installed.added,
            SaState::Expiring,
        );
        self.published.update(&installed.place, &record);
        let change = change(SaChangeKind::SoftSeconds, &installed.sa);
        self.note(change, timers, now);
    }

    /// Keeps a change until subscribers are told.
    fn note(&mut self, change: SaChange, timers: &mut Timers, now: Duration) {
        if self.changes.is_empty() {
            timers.set(now + TOLD_AFTER, Timer::SaChanges);
        }
        self.changes.push(change);
    }
}

fn change(change: SaChangeKind, sa: &Sa) -> SaChange {
    SaChange {
        change,
        spi: sa.spi,
        destination: sa.destination,
        direction: sa.direction,
        tunnel: sa.tunnel.clone(),
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Installs SAs, all or none of them. With `replace`, those that are known by the same SPI and destination give way, and
    /// their keys are wiped.
    pub fn sas_add(&mut self, new: Vec<NewSa>, replace: bool, now: Duration) -> Result<(), ControlError> {
        check_count(new.len())?;
        let mut ids = HashSet::new();
        for NewSa { sa, keys } in &new {
            self.check_sa(sa, keys.bytes())?;
            let id = sa.id();
            if !ids.insert(id) {
                return Err(refuse(
                    ErrorCode::Invalid,
                    format!("two of the SAs have {id}: give one of them another SPI"),
                ));
            }
            if !replace && self.sas.sas.contains_key(&id) {
                return Err(refuse(
                    ErrorCode::Exists,
                    format!(
                        "there is an SA with {id} already: use another SPI, or 'tollgate-ctl sa replace'"
                    ),
                ));
            }
        }
        self.check_sa_room(&new)?;
        for new in new {
            self.sas.install(new, &mut self.timers, now);
        }
        Ok(())
    }

    /// Deletes SAs, all or none of them, and wipes their keys.
    pub fn sas_delete(&mut self, ids: &[SaId], now: Duration) -> Result<(), ControlError> {
        check_count(ids.len())?;
        if let Some(unknown) = ids.iter().find(|id| !self.sas.sas.contains_key(id)) {
            return Err(refuse(
                ErrorCode::NotFound,
                format!("there is no SA with {unknown}: 'tollgate-ctl sa' lists those that there are"),
            ));
        }
        for id in ids {
            self.sas.delete(*id, SaChangeKind::Deleted, &mut self.timers, now);
        }
        Ok(())
    }

    /// Deletes all SAs, and wipes their keys.
    pub fn sas_flush(&mut self, now: Duration) {
        self.delete_sas(now, |_| true);
    }

    /// Deletes the SAs of a tunnel, and wipes their keys.
    pub(super) fn delete_sas_of(&mut self, tunnel: &str, now: Duration) {
        self.delete_sas(now, |sa| sa.tunnel.as_deref() == Some(tunnel));
    }

    fn delete_sas(&mut self, now: Duration, goes: impl Fn(&Sa) -> bool) {
        let going = self.sas.sas.values().filter(|installed| goes(&installed.sa));
        // In the order in which they came: whoever is told of them sees the same whenever it happens.
        let mut going: Vec<(u64, SaId)> = going.map(|found| (found.number, found.sa.id())).collect();
        going.sort_unstable();
        for (_, id) in going {
            self.sas.delete(id, SaChangeKind::Deleted, &mut self.timers, now);
        }
    }

    /// SAs, how many there can be, and the bytes that their keys lie in.
    pub fn sa_usage(&self) -> (usize, usize, usize) {
        let keys = &self.sas.keys;
        (keys.len(), keys.capacity(), keys.bytes())
    }

    /// Does what is due when a lifetime is over.
    pub(super) fn sa_lifetime_over(&mut self, id: SaId, hard: bool, now: Duration) {
        if hard {
            self.sas
                .delete(id, SaChangeKind::HardSeconds, &mut self.timers, now);
        } else {
            self.sas.expiring(id, &mut self.timers, now);
        }
    }

    /// Tells subscribers what happened since they were told last.
    pub(super) fn tell_sa_changes(&mut self) {
        let changes = std::mem::take(&mut self.sas.changes);
        self.tell(Event::Sas { changes });
    }

    /// Whether there can be such an SA, whatever other SAs there are.
    fn check_sa(&self, sa: &Sa, keys: &[u8]) -> Result<(), ControlError> {
        sas::check(sa)?;
        let invalid = |fault: &dyn std::fmt::Display| {
            refuse(
                ErrorCode::Invalid,
                format!("there can be no SA with {}: {fault}", sa.id()),
            )
        };
        let transform: Transform = sa.transform.parse().map_err(|error| invalid(&error))?;
        transform.split(keys).map_err(|error| invalid(&error))?;
        let Some(name) = &sa.tunnel else {
            return Ok(());
        };
        let tunnels = || {
            let all = self.interfaces.iter();
            all.filter(|interface| interface.tunnel.is_some())
                .map(|interface| &interface.name)
        };
        if tunnels().any(|tunnel| tunnel == name) {
            return Ok(());
        }
        let (id, names) = (sa.id(), list(tunnels()));
        Err(refuse(
            ErrorCode::UnknownInterface,
            format!("there is no tunnel '{name}' for the SA with {id}: there are {names}"),
        ))
    }

    /// Fails if there would be more SAs, or more selectors of them, than there can be.
    fn check_sa_room(&self, new: &[NewSa]) -> Result<(), ControlError> {
        let (sas, selectors) = self.sas.published.room();
        let replaced = new.iter().filter_map(|new| self.sas.sas.get(&new.sa.id()));
        let (gone, freed) = replaced.fold((0, 0), |(gone, freed), installed| {
            (gone + 1, freed + installed.sa.selectors.len())
        });
        if new.len() > sas + gone {
            return Err(refuse(
                ErrorCode::LimitReached,
                format!(
                    "there are {} SAs and {} have room: delete some, or raise sas in [limits]",
                    self.sas.sas.len(),
                    self.sas.keys.capacity()
                ),
            ));
        }
        let needed: usize = new.iter().map(|new| new.sa.selectors.len()).sum();
        if needed > selectors + freed {
            return Err(refuse(
                ErrorCode::LimitReached,
                format!(
                    "there is room for {selectors} more selectors of SAs and {needed} are needed: delete some SAs, or raise sas \
                     in [limits]"
                ),
            ));
        }
        Ok(())
    }
}

fn check_count(count: usize) -> Result<(), ControlError> {
    if count <= SAS_PER_REQUEST {
        return Ok(());
    }
    Err(refuse(
        ErrorCode::BadRequest,
        format!("a request has {count} SAs and {SAS_PER_REQUEST} are taken at a time: make several of it"),
    ))
}

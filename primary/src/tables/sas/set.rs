//! The set of SAs: their records, their keys, and what is to be said of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use control::message::{NewSa, Sa, SaChange, SaChangeKind, SaDirection, SaId, SaState};
use control::sas;
use shm::keys::{KeyArena, KeyArenaError, KeyPlace};
use shm::records::TunnelLack;
use shm::{SaCounter, SaPlace, SaTable};

use super::super::timers::{Timer, Timers};
use super::SaNews;

/// How long changes are collected before subscribers are told of all of them at once.
const TOLD_AFTER: Duration = Duration::from_millis(100);
/// And how long tunnels are that packets wait for.
const ACQUIRED_AFTER: Duration = Duration::from_millis(10);

/// The SAs of a tunnel that ESP protects.
#[derive(Default)]
struct Protection {
    inbound: usize,
    /// The records of those that go out, by their numbers.
    outbound: BTreeMap<u64, u32>,
}

/// All SAs.
pub(in crate::tables) struct SaSet {
    pub(super) sas: HashMap<SaId, Installed>,
    pub(super) keys: KeyArena,
    pub(super) published: SaTable,
    /// The number of the last one that was installed.
    last_number: u64,
    /// What subscribers have not been told of yet.
    pub(super) changes: Vec<SaChange>,
    /// Interfaces of tunnels that packets were for which had no SA to send by, of which subscribers have not been told yet.
    acquired: BTreeSet<u16>,
    /// By the interface of a tunnel.
    protections: HashMap<u16, Protection>,
    /// What workers have not been told of yet.
    pub(super) news: Vec<SaNews>,
}

/// An SA that is there.
pub(super) struct Installed {
    pub(super) sa: Sa,
    pub(super) number: u64,
    added: Duration,
    pub(super) place: SaPlace,
    pub(super) keys: KeyPlace,
    /// The interface of its tunnel, if that is one that ESP protects.
    pub(super) tunnel: Option<u16>,
    /// When it is looked whether it has to send a keepalive.
    keepalive_at: Option<Duration>,
}

impl Installed {
    /// When its lifetimes are over, and when it is looked after.
    fn deadlines(&self) -> impl Iterator<Item = (Duration, Timer)> {
        let id = self.sa.id();
        let of = [(self.sa.soft.seconds, false), (self.sa.hard.seconds, true)];
        let added = self.added;
        let over = of.into_iter().filter_map(move |(seconds, hard)| {
            let at = added.checked_add(Duration::from_secs(seconds?))?;
            Some((at, Timer::Sa { id, hard }))
        });
        over.chain(self.keepalive_at.map(|at| (at, Timer::SaKeepalive(id))))
    }
}

impl SaSet {
    /// None yet; room for so many, and for their keys. The records of the region become its to write.
    pub(in crate::tables) fn new(published: SaTable, limit: usize) -> Result<Self, KeyArenaError> {
        Ok(Self {
            sas: HashMap::new(),
            keys: KeyArena::new(limit)?,
            published,
            last_number: 0,
            changes: Vec::new(),
            acquired: BTreeSet::new(),
            protections: HashMap::new(),
            news: Vec::new(),
        })
    }

    /// What a tunnel that ESP protects lacks of SAs: bits of [`TunnelLack`].
    pub(in crate::tables) fn lacks(&self, tunnel: u16) -> u8 {
        let lack = |is, lack| if is { lack as u8 } else { 0 };
        let protection = self.protections.get(&tunnel);
        lack(
            protection.is_none_or(|its| its.inbound == 0),
            TunnelLack::InboundSa,
        ) | lack(
            protection.is_none_or(|its| its.outbound.is_empty()),
            TunnelLack::OutboundSa,
        )
    }

    /// Notes that an SA of a tunnel came.
    fn protect(&mut self, tunnel: u16, sa: &Sa, number: u64, slot: u32) {
        let id = sa.id();
        self.news.push(SaNews::Installed { id, number });
        let protection = self.protections.entry(tunnel).or_default();
        match sa.direction {
            SaDirection::In => protection.inbound += 1,
            SaDirection::Out => {
                protection.outbound.insert(number, slot);
                let slot = Some(slot);
                self.news.push(SaNews::Current { tunnel, slot });
            }
        }
    }

    /// Notes that an SA of a tunnel goes.
    fn unprotect(&mut self, tunnel: u16, sa: &Sa, number: u64, slot: u32) {
        let (id, direction) = (sa.id(), sa.direction);
        if let Some(protection) = self.protections.get_mut(&tunnel) {
            match direction {
                SaDirection::In => protection.inbound -= 1,
                SaDirection::Out => {
                    protection.outbound.remove(&number);
                    let slot = protection.outbound.last_key_value().map(|(_, slot)| *slot);
                    self.news.push(SaNews::Current { tunnel, slot });
                }
            }
            if protection.inbound == 0 && protection.outbound.is_empty() {
                self.protections.remove(&tunnel);
            }
        }
        self.news.push(SaNews::Removed { id, slot, direction });
    }

    /// Installs an SA for which there is room, in place of one that is known by the same.
    pub(super) fn install(&mut self, new: NewSa, tunnel: Option<u16>, timers: &mut Timers, now: Duration) {
        let NewSa { sa, keys, .. } = new;
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
        if let Some(tunnel) = tunnel {
            self.protect(tunnel, &sa, number, place.slot);
        }
        // What protects no tunnel sends nothing.
        let keepalive = tunnel.and(sa.keepalive());
        let installed = Installed {
            keepalive_at: keepalive.and_then(|after| now.checked_add(after)),
            sa,
            number,
            added: now,
            place,
            keys,
            tunnel,
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
        if let Some(tunnel) = installed.tunnel {
            self.unprotect(tunnel, &installed.sa, installed.number, installed.place.slot);
        }
        self.published.remove(installed.place);
        self.keys.wipe(installed.keys);
        Some(installed.sa)
    }

    /// Deletes an SA, for the reason that subscribers are told.
    pub(super) fn delete(&mut self, id: SaId, kind: SaChangeKind, timers: &mut Timers, now: Duration) {
        if let Some(sa) = self.remove(id, timers) {
            self.note(change(kind, &sa), timers, now);
        }
    }

    /// Shows that another SA should have taken the place of this one by now.
    pub(super) fn expiring(&mut self, id: SaId, kind: SaChangeKind, timers: &mut Timers, now: Duration) {
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
        let change = change(kind, &installed.sa);
        self.note(change, timers, now);
    }

    /// Looks whether an SA has to send a keepalive, and sees to the next one. Of several SAs of a tunnel that by which packets leave does.
    pub(in crate::tables) fn keepalive(&mut self, id: SaId, timers: &mut Timers, now: Duration) {
        let Some(installed) = self.sas.get_mut(&id) else {
            return;
        };
        let Some(after) = installed.sa.keepalive() else {
            return;
        };
        let slot = installed.place.slot;
        let cells = self.published.cells(&installed.place);
        let last_ns = cells.map_or(0, |cells| cells.get(SaCounter::LastUsed));
        let mut from = Duration::from_nanos(last_ns).max(installed.added);
        if from.saturating_add(after) <= now {
            let protection = installed.tunnel.and_then(|tunnel| self.protections.get(&tunnel));
            let current = protection.and_then(|protection| protection.outbound.last_key_value());
            if current.is_some_and(|(_, current)| *current == slot) {
                self.news.push(SaNews::Keepalive { slot });
            }
            from = now;
        }
        let at = from.saturating_add(after);
        installed.keepalive_at = Some(at);
        timers.set(at, Timer::SaKeepalive(id));
    }

    /// Keeps a tunnel that packets were for until subscribers are told.
    pub(super) fn acquire(&mut self, tunnel: u16, timers: &mut Timers, now: Duration) {
        if self.acquired.is_empty() {
            timers.set(now + ACQUIRED_AFTER, Timer::Acquires);
        }
        self.acquired.insert(tunnel);
    }

    /// Takes them, in order.
    pub(super) fn take_acquired(&mut self) -> BTreeSet<u16> {
        std::mem::take(&mut self.acquired)
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

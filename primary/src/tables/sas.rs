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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use control::event::Event;
use control::message::{
    ControlError, ErrorCode, NewSa, SAS_PER_REQUEST, Sa, SaChange, SaChangeKind, SaDirection, SaId, SaMode,
    SaState, TunnelMode,
};
use control::sas;
use esp::Transform;
use shm::keys::{KeyArena, KeyArenaError, KeyPlace};
use shm::{SaCells, SaPlace, SaTable};

use super::Tables;
use super::interfaces::Interface;
use super::refusal::{list, refuse};
use super::timers::{Timer, Timers};
use crate::adjacency;
use crate::ipsec::SaSignal;

/// How long changes are collected before subscribers are told of all of them at once.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// What workers are to be told of the SAs of tunnels that ESP protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaNews {
    /// It was installed: it is what [`Tables::installed_sa`] has by this number, if it is there still.
    Installed {
        /// By which it is known.
        id: SaId,
        /// Never that of an earlier one.
        number: u64,
    },
    /// It is no more.
    Removed {
        /// By which it was known.
        id: SaId,
        /// The number of its record.
        slot: u32,
        /// Whose packets it was for.
        direction: SaDirection,
    },
    /// Packets of a tunnel are to leave by the SA of this record, or by none.
    Current {
        /// The tunnel's interface.
        tunnel: u16,
        /// The number of the record.
        slot: Option<u32>,
    },
}

/// An SA that is there, as sessions are made of it.
pub struct InstalledSa<'t> {
    /// Itself.
    pub sa: &'t Sa,
    /// Its keys.
    pub keys: &'t [u8],
    /// The number of its record.
    pub slot: u32,
    /// The interface of its tunnel.
    pub tunnel: u16,
    /// What is counted of it.
    pub cells: SaCells,
}

/// The SAs of a tunnel that ESP protects.
#[derive(Default)]
struct Protection {
    inbound: usize,
    /// The records of those that go out, by their numbers.
    outbound: BTreeMap<u64, u32>,
}

impl Protection {
    fn is_whole(&self) -> bool {
        self.inbound > 0 && !self.outbound.is_empty()
    }
}

/// All SAs.
pub(super) struct SaSet {
    sas: HashMap<SaId, Installed>,
    keys: KeyArena,
    published: SaTable,
    /// The number of the last one that was installed.
    last_number: u64,
    /// What subscribers have not been told of yet.
    changes: Vec<SaChange>,
    /// By the interface of a tunnel.
    protections: HashMap<u16, Protection>,
    /// What workers have not been told of yet.
    news: Vec<SaNews>,
}

/// An SA that is there.
struct Installed {
    sa: Sa,
    number: u64,
    added: Duration,
    place: SaPlace,
    keys: KeyPlace,
    /// The interface of its tunnel, if that is one that ESP protects.
    tunnel: Option<u16>,
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
            protections: HashMap::new(),
            news: Vec::new(),
        })
    }

    /// Whether a tunnel has SAs for both directions.
    pub(super) fn protects(&self, tunnel: u16) -> bool {
        self.protections.get(&tunnel).is_some_and(Protection::is_whole)
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
    fn install(&mut self, new: NewSa, tunnel: Option<u16>, timers: &mut Timers, now: Duration) {
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
        if let Some(tunnel) = tunnel {
            self.protect(tunnel, &sa, number, place.slot);
        }
        let installed = Installed {
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
    fn delete(&mut self, id: SaId, kind: SaChangeKind, timers: &mut Timers, now: Duration) {
        if let Some(sa) = self.remove(id, timers) {
            self.note(change(kind, &sa), timers, now);
        }
    }

    /// Shows that another SA should have taken the place of this one by now.
    fn expiring(&mut self, id: SaId, kind: SaChangeKind, timers: &mut Timers, now: Duration) {
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
            let tunnel = self.protected_tunnel(&new.sa);
            self.sas.install(new, tunnel, &mut self.timers, now);
        }
        self.sas_changed(now);
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
        self.sas_changed(now);
        Ok(())
    }

    /// Deletes all SAs, and wipes their keys.
    pub fn sas_flush(&mut self, now: Duration) {
        self.delete_sas(now, |_| true);
        self.sas_changed(now);
    }

    /// Deletes an SA that could not be given to the worker whose it is.
    pub fn sa_unfit(&mut self, id: SaId, now: Duration) {
        self.sas.delete(id, SaChangeKind::Deleted, &mut self.timers, now);
        self.sas_changed(now);
    }

    /// Takes what workers are to be told since the last call, in order.
    pub fn take_sa_news(&mut self) -> Vec<SaNews> {
        std::mem::take(&mut self.sas.news)
    }

    /// The SA that is known by this, if it is still the one of that number.
    pub fn installed_sa(&self, id: SaId, number: u64) -> Option<InstalledSa<'_>> {
        let installed = self.sas.sas.get(&id).filter(|found| found.number == number)?;
        Some(InstalledSa {
            sa: &installed.sa,
            keys: self.sas.keys.key(&installed.keys),
            slot: installed.place.slot,
            tunnel: installed.tunnel?,
            cells: self.sas.published.cells(&installed.place)?,
        })
    }

    /// The interface of the tunnel that an SA protects with ESP.
    pub fn protected_tunnel(&self, sa: &Sa) -> Option<u16> {
        let name = sa.tunnel.as_ref()?;
        let named = |(index, interface): (u16, &Interface)| {
            let own = interface.tunnel.as_ref()?;
            let is_it = interface.name == *name && own.tunnel.mode == TunnelMode::Esp;
            is_it.then_some(index)
        };
        self.interfaces.indexed().find_map(named)
    }

    /// Tunnels may be protected now that were not, or the other way round.
    fn sas_changed(&mut self, now: Duration) {
        self.addresses_changed = true;
        self.settle_tunnels(now);
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
            self.addresses_changed = true;
        } else {
            self.sas
                .expiring(id, SaChangeKind::SoftSeconds, &mut self.timers, now);
        }
    }

    /// Does what follows from what a worker says of an SA.
    pub fn sa_signal(&mut self, signal: SaSignal, now: Duration) {
        let timers = &mut self.timers;
        match signal {
            SaSignal::Soft(id) => self.sas.expiring(id, SaChangeKind::SoftTraffic, timers, now),
            SaSignal::SequenceSoon(id) => self.sas.expiring(id, SaChangeKind::SequenceSoon, timers, now),
            SaSignal::Hard(id) => {
                self.sas.delete(id, SaChangeKind::HardTraffic, timers, now);
                self.sas_changed(now);
            }
            SaSignal::Unknown { id, source } => self.tell(Event::UnknownSpi {
                spi: id.spi,
                source,
                destination: id.destination,
            }),
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
            return self.check_protects(sa, name);
        }
        let (id, names) = (sa.id(), list(tunnels()));
        Err(refuse(
            ErrorCode::UnknownInterface,
            format!("there is no tunnel '{name}' for the SA with {id}: there are {names}"),
        ))
    }

    /// Fails if the SA cannot protect the tunnel that it is of.
    fn check_protects(&self, sa: &Sa, name: &str) -> Result<(), ControlError> {
        let Some(tunnel) = self.protected_tunnel(sa).and_then(|index| self.tunnel(index)) else {
            return Ok(());
        };
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let id = sa.id();
        if sa.mode != SaMode::Tunnel {
            return invalid(format!(
                "the SA with {id} is of transport mode, and {name} carries whole packets: give it mode tunnel"
            ));
        }
        let (source, destination) = match sa.direction {
            SaDirection::In => (tunnel.remote, tunnel.local),
            SaDirection::Out => (tunnel.local, tunnel.remote),
        };
        if (sa.source, sa.destination) != (source, destination) {
            return invalid(format!(
                "the SA with {id} comes from {}, and packets of {name} that go {} go from {source} to {destination}: give it these",
                sa.source,
                sa.direction.name()
            ));
        }
        Ok(())
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

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

mod checks;
mod set;

use std::collections::HashSet;
use std::time::Duration;

use control::event::Event;
use control::message::{ControlError, ErrorCode, NewSa, Sa, SaChangeKind, SaDirection, SaId};
use shm::SaCells;
use shm::records::TunnelLack;

use self::checks::check_count;
pub(super) use self::set::SaSet;
use super::Tables;
use super::interfaces::Interface;
use super::refusal::refuse;
use crate::adjacency;
use crate::ipsec::{SaMatter, SaSignal};

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
    /// The SA of this record has sent nothing for so long that it is to send a keepalive.
    Keepalive {
        /// The number of the record.
        slot: u32,
    },
    /// Packets of a tunnel are to leave by the SA of this record, or by none.
    Current {
        /// The tunnel's interface.
        tunnel: u16,
        /// The number of the record.
        slot: Option<u32>,
    },
}

/// Where an SA is that protects a tunnel.
pub struct InstalledSa {
    /// The number of its record.
    pub slot: u32,
    /// The interface of its tunnel, if it protects one.
    pub tunnel: Option<u16>,
    /// Source and destination port of the UDP header before its packets.
    pub ports: Option<(u16, u16)>,
    /// What is counted of it.
    pub cells: SaCells,
}

/// SAs that can all be installed, as the tables are: what [`Tables::sas_check`] gives.
pub struct CheckedSas(Vec<NewSa>);

impl CheckedSas {
    /// They, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = &NewSa> {
        self.0.iter()
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Looks whether SAs can be installed, all of them; nothing changes. With `replace`, those that are known by the same SPI and
    /// destination would give way.
    pub fn sas_check(&self, new: Vec<NewSa>, replace: bool) -> Result<CheckedSas, ControlError> {
        check_count(new.len())?;
        let mut ids = HashSet::new();
        for NewSa { sa, keys, sequence } in &new {
            self.check_sa(sa, keys.bytes())?;
            control::sas::check_sequence(sa, *sequence)?;
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
            self.check_other_keys(id, keys.bytes())?;
        }
        self.check_sa_room(&new)?;
        Ok(CheckedSas(new))
    }

    /// Installs SAs, before anything else changes. Those that are known by the same give way, and their keys are wiped.
    pub fn sas_install(&mut self, new: CheckedSas, now: Duration) {
        for new in new.0 {
            let tunnel = self.protected_tunnel(&new.sa);
            self.sas.install(new, tunnel, &mut self.timers, now);
        }
        self.sas_changed(now);
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

    /// Takes what workers are to be told since the last call, in order.
    pub fn take_sa_news(&mut self) -> Vec<SaNews> {
        std::mem::take(&mut self.sas.news)
    }

    /// Where the SA is that is known by this, if it is still the one of that number.
    pub fn installed_sa(&self, id: SaId, number: u64) -> Option<InstalledSa> {
        let installed = self.sas.sas.get(&id).filter(|found| found.number == number)?;
        Some(InstalledSa {
            slot: installed.place.slot,
            tunnel: installed.tunnel,
            ports: installed.sa.udp,
            cells: self.sas.published.cells(&installed.place)?,
        })
    }

    /// The SAs by which packets of a tunnel go out, with the numbers of their records.
    pub fn outbound_sas(&self, tunnel: u16) -> impl Iterator<Item = (u32, &Sa)> {
        let all = self.sas.sas.values();
        let of_it =
            all.filter(move |found| found.tunnel == Some(tunnel) && found.sa.direction == SaDirection::Out);
        of_it.map(|found| (found.place.slot, &found.sa))
    }

    /// The interface of the tunnel that an SA protects with ESP.
    pub fn protected_tunnel(&self, sa: &Sa) -> Option<u16> {
        let name = sa.tunnel.as_ref()?;
        let named = |(index, interface): (u16, &Interface)| {
            let own = interface.tunnel.as_ref()?;
            let is_it = interface.name == *name && own.tunnel.is_protected();
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
        match signal {
            SaSignal::Of { id, number, matter } => {
                // What was said of one that gave way since is not about the one that took its place.
                if self.installed_sa(id, number).is_some() {
                    self.sa_matter(id, matter, now);
                }
            }
            SaSignal::Moved { id, number, from, to } => {
                let installed = self.sas.sas.get(&id);
                if let Some(installed) = installed.filter(|found| found.number == number) {
                    let tunnel = installed.sa.tunnel.clone();
                    self.tell(Event::SaMoved {
                        spi: id.spi,
                        destination: id.destination,
                        tunnel,
                        from,
                        to,
                    });
                }
            }
            SaSignal::PathMtu { tunnel, mtu } => {
                let Some((name, overhead)) =
                    self.tunnel(tunnel).map(|own| (own.name.clone(), own.overhead()))
                else {
                    return;
                };
                self.tell(Event::PathMtu {
                    tunnel: name,
                    inner: mtu,
                    outer: mtu.saturating_add(overhead),
                });
            }
            SaSignal::Acquire { tunnel } => self.sas.acquire(tunnel, &mut self.timers, now),
            SaSignal::Unknown { id, source } => self.tell(Event::UnknownSpi {
                spi: id.spi,
                source,
                destination: id.destination,
            }),
        }
    }

    fn sa_matter(&mut self, id: SaId, matter: SaMatter, now: Duration) {
        let timers = &mut self.timers;
        match matter {
            SaMatter::Soft => self.sas.expiring(id, SaChangeKind::SoftTraffic, timers, now),
            SaMatter::SequenceSoon => self.sas.expiring(id, SaChangeKind::SequenceSoon, timers, now),
            SaMatter::Hard => {
                self.sas.delete(id, SaChangeKind::HardTraffic, timers, now);
                self.sas_changed(now);
            }
        }
    }

    /// Tells subscribers of the tunnels that packets were for which had no SA to send by, and have none still.
    pub(super) fn tell_acquires(&mut self) {
        let acquired = self.sas.take_acquired();
        let lacks = |index: &u16| {
            self.own_tunnel(*index).is_some_and(|own| own.waits_for_sas())
                && TunnelLack::OutboundSa.is_in(self.sas.lacks(*index))
        };
        let lacking = acquired.into_iter().filter(lacks);
        let tunnels: Vec<String> = lacking
            .filter_map(|index| Some(self.tunnel(index)?.name.clone()))
            .collect();
        if !tunnels.is_empty() {
            self.tell(Event::Acquire { tunnels });
        }
    }

    /// Tells subscribers what happened since they were told last.
    pub(super) fn tell_sa_changes(&mut self) {
        let changes = std::mem::take(&mut self.sas.changes);
        self.tell(Event::Sas { changes });
    }
}

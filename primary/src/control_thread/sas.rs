//! SAs at run time: what they need of crypto devices, and how workers learn of them.

use std::collections::HashMap;
use std::time::Duration;

use control::message::{Answer, ControlError, ErrorCode, NewSa, Reply, SaDirection, SaId};
use dpdk::crypto::Direction;
use esp::{Format, IvMask, Transform};

use super::Control;
use super::workers::settle;
use crate::ipsec::{self, CryptoUnfit, InboundSa, MadeSa, OutboundSa, Parts, owner};
use crate::tables::SaNews;

/// SAs that are about to be installed, by what they are known by.
type Made = HashMap<SaId, MadeSa>;

impl Control<'_> {
    /// Installs SAs. All that can fail is done before the tables change, so that those which would give way are there still when
    /// it does.
    pub(super) fn sa_add(&mut self, new: Vec<NewSa>, replace: bool, now: Duration) -> Answer {
        let new = self.tables.sas_check(new, replace)?;
        let mut made = Made::new();
        for new in new.iter() {
            if let Some(sa) = self.make_sa(new)? {
                made.insert(new.sa.id(), sa);
            }
        }
        self.tables.sas_install(new, now);
        self.settle_sas(made, now);
        Ok(Reply::Done)
    }

    /// Makes what workers need of an SA; `None` for one that protects no tunnel.
    fn make_sa(&mut self, new: &NewSa) -> Result<Option<MadeSa>, ControlError> {
        let NewSa { sa, keys, sequence } = new;
        let Some(tunnel) = self.tables.protected_tunnel(sa) else {
            return Ok(None);
        };
        let failed = |why: &dyn std::fmt::Display| {
            let sentence = format!(
                "the SA with {} cannot be made, and nothing is changed: {why}",
                sa.id()
            );
            ControlError::new(ErrorCode::Failed, sentence)
        };
        let transform: Transform = sa.transform.parse().map_err(|error| failed(&error))?;
        let keys = transform.split(keys.bytes()).map_err(|error| failed(&error))?;
        self.prepare(transform).map_err(|error| failed(&error))?;
        let direction = match sa.direction {
            SaDirection::In => Direction::Open,
            SaDirection::Out => Direction::Seal,
        };
        let session = self
            .crypto
            .session(&keys, Format::new(transform, sa.esn), direction)
            .map_err(|error| failed(&error))?;
        let parts = Parts {
            sa,
            keys,
            sequence: *sequence,
            session,
            tunnel,
        };
        let view = self.interfaces.tunnel(tunnel);
        let made = match sa.direction {
            SaDirection::In => view.and_then(|view| InboundSa::make(parts, view)),
            SaDirection::Out => {
                let mask = random_mask().map_err(|error| failed(&error))?;
                view.and_then(|view| OutboundSa::make(parts, view, mask))
            }
        };
        // The checks before leave no such SA.
        made.map(Some)
            .ok_or_else(|| failed(&"its selectors, window or addresses fit no packet"))
    }

    pub(super) fn sa_delete(&mut self, ids: &[SaId], now: Duration) -> Answer {
        self.tables.sas_delete(ids, now)?;
        self.settle_sas(Made::new(), now);
        Ok(Reply::Done)
    }

    pub(super) fn sa_flush(&mut self, now: Duration) {
        self.tables.sas_flush(now);
        self.settle_sas(Made::new(), now);
    }

    /// Opens the crypto devices before there is an SA, so that no packet waits while workers prepare themselves, which takes a
    /// fraction of a millisecond.
    pub fn open_crypto(&mut self) {
        let (opened, unfit) = self.crypto.open_all();
        for why in unfit {
            tracing::warn!(target: "sa", "{why}");
        }
        for pool in opened {
            for worker in &mut self.sas {
                worker.add(ipsec::SaNews::Prepare(pool.clone()));
            }
        }
        for worker in &mut self.sas {
            worker.serve();
        }
    }

    /// Opens the crypto device that SAs of a transform need, and has workers prepare themselves for it.
    fn prepare(&mut self, transform: Transform) -> Result<(), CryptoUnfit> {
        for pool in self.crypto.prepare(transform)? {
            for worker in &mut self.sas {
                worker.add(ipsec::SaNews::Prepare(pool.clone()));
            }
        }
        Ok(())
    }

    /// Tells workers what happened to SAs, and frees what they have handed back.
    pub(super) fn tell_sas(&mut self, now: Duration) {
        self.tell_made(Made::new(), now);
    }

    fn tell_made(&mut self, mut made: Made, now: Duration) {
        for worker in 0..self.sas.len() {
            while let Some(signal) = self.sas.get(worker).and_then(|worker| worker.take_signal()) {
                self.tables.sa_signal(signal, now);
            }
        }
        for news in self.tables.take_sa_news() {
            match news {
                SaNews::Installed { id, number } => {
                    if let Some(made) = made.remove(&id) {
                        self.tell_installed(id, number, made);
                    }
                }
                SaNews::Removed { id, slot, direction } => {
                    for worker in &mut self.sas {
                        worker.add(match direction {
                            SaDirection::In => ipsec::SaNews::NoInbound {
                                slot,
                                spi: id.spi,
                                destination: id.destination,
                                sa: None,
                            },
                            SaDirection::Out => ipsec::SaNews::NoOutbound { slot, id, sa: None },
                        });
                    }
                }
                SaNews::Keepalive { slot } => {
                    let own = owner(slot, self.sas.len());
                    if let Some(worker) = self.sas.get_mut(own) {
                        worker.add(ipsec::SaNews::Keepalive { slot });
                    }
                }
                SaNews::Current { tunnel, slot } => {
                    for worker in &mut self.sas {
                        worker.add(ipsec::SaNews::Current { tunnel, slot });
                    }
                }
            }
        }
        for worker in &mut self.sas {
            worker.serve();
        }
    }

    /// As [`tell_sas`](Self::tell_sas), and waits until workers have taken it: who is answered may count on it.
    fn settle_sas(&mut self, made: Made, now: Duration) {
        self.tell_made(made, now);
        settle(|| self.sas.iter_mut().fold(true, |all, worker| worker.serve() & all));
    }

    /// Has the SAs by which packets leave a tunnel write the outer headers that it has by now.
    pub(super) fn tell_outer(&mut self, tunnel: u16, now: Duration) {
        if let Some(view) = self.interfaces.tunnel(tunnel) {
            for (slot, sa) in self.tables.outbound_sas(tunnel) {
                let worker = owner(slot, self.sas.len());
                if let (Some(outer), Some(worker)) = (ipsec::outer(sa, view), self.sas.get_mut(worker)) {
                    worker.add(ipsec::SaNews::Outer {
                        slot,
                        outer: Box::new(outer),
                    });
                }
            }
        }
        self.settle_sas(Made::new(), now);
    }

    /// Gives an SA to the worker whose it is, and has the others know which that is.
    fn tell_installed(&mut self, id: SaId, number: u64, made: MadeSa) {
        let Some(place) = self.tables.installed_sa(id, number) else {
            return;
        };
        let slot = place.slot;
        let own = owner(slot, self.sas.len());
        match made {
            MadeSa::Inbound(make) => {
                let mut made = Some(make(number, place.cells));
                for (index, worker) in self.sas.iter_mut().enumerate() {
                    worker.add(ipsec::SaNews::Inbound {
                        slot,
                        spi: id.spi,
                        destination: id.destination,
                        sa: if index == own { made.take() } else { None },
                    });
                }
            }
            MadeSa::Outbound(make) => {
                let (Some(tunnel), ports) = (place.tunnel, place.ports) else {
                    return;
                };
                let mut made = Some(make(number, place.cells));
                for (index, worker) in self.sas.iter_mut().enumerate() {
                    worker.add(ipsec::SaNews::Outbound {
                        slot,
                        id,
                        tunnel,
                        ports,
                        sa: if index == own { made.take() } else { None },
                    });
                }
            }
        }
    }
}

/// A mask for the IVs of one SA.
fn random_mask() -> Result<IvMask, CryptoUnfit> {
    let mut mask = [0; 8];
    getrandom::fill(&mut mask).map_err(|error| CryptoUnfit::Random(error.to_string()))?;
    Ok(IvMask(u64::from_ne_bytes(mask)))
}

//! SAs at run time: what they need of crypto devices, and how workers learn of them.

use std::time::{Duration, Instant};

use control::message::{Answer, ControlError, ErrorCode, NewSa, Reply, SaDirection, SaId};
use dpdk::crypto::Direction;
use esp::{Format, IvMask, Transform};

use super::Control;
use crate::ipsec::{self, CryptoUnfit, InboundSa, OutboundSa, Parts, owner};
use crate::tables::{InstalledSa, SaNews};

/// How long an answer waits for workers to have an SA. They sleep for less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(100);

impl Control<'_> {
    pub(super) fn sa_add(&mut self, new: Vec<NewSa>, replace: bool, now: Duration) -> Answer {
        for NewSa { sa, .. } in &new {
            if self.tables.protected_tunnel(sa).is_none() {
                continue;
            }
            // A name that is none is refused below.
            if let Ok(transform) = sa.transform.parse() {
                self.prepare(transform)?;
            }
        }
        self.tables.sas_add(new, replace, now)?;
        self.settle_sas(now);
        Ok(Reply::Done)
    }

    pub(super) fn sa_delete(&mut self, ids: &[SaId], now: Duration) -> Answer {
        self.tables.sas_delete(ids, now)?;
        self.settle_sas(now);
        Ok(Reply::Done)
    }

    /// Opens the crypto device that SAs of a transform need, and has workers prepare themselves for it.
    fn prepare(&mut self, transform: Transform) -> Result<(), ControlError> {
        let opened = self
            .crypto
            .prepare(transform)
            .map_err(|error| ControlError::new(ErrorCode::Failed, error.to_string()))?;
        for pool in opened {
            for worker in &mut self.sas {
                worker.add(ipsec::SaNews::Prepare(pool.clone()));
            }
        }
        Ok(())
    }

    /// Tells workers what happened to SAs, and frees what they have handed back.
    pub(super) fn tell_sas(&mut self, now: Duration) {
        for worker in 0..self.sas.len() {
            while let Some(signal) = self.sas.get(worker).and_then(|worker| worker.take_signal()) {
                self.tables.sa_signal(signal, now);
            }
        }
        for news in self.tables.take_sa_news() {
            match news {
                SaNews::Installed { id, number } => {
                    if let Err(error) = self.tell_installed(id, number) {
                        tracing::error!(target: "sa", "the SA with {id} is deleted: {error}");
                        self.tables.sa_unfit(id, now);
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
    fn settle_sas(&mut self, now: Duration) {
        self.tell_sas(now);
        let until = Instant::now() + PATIENCE;
        while !self.sas.iter_mut().fold(true, |all, worker| worker.serve() & all) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn tell_installed(&mut self, id: SaId, number: u64) -> Result<(), CryptoUnfit> {
        let Some(InstalledSa {
            sa,
            keys,
            slot,
            tunnel,
            cells,
        }) = self.tables.installed_sa(id, number)
        else {
            return Ok(());
        };
        // What is no transform, and keys that are none of it, are refused before.
        let Ok(Ok(keys)) = sa
            .transform
            .parse()
            .map(|transform: Transform| transform.split(keys))
        else {
            return Ok(());
        };
        let format = Format::new(keys.transform(), sa.esn);
        let direction = match sa.direction {
            SaDirection::In => Direction::Open,
            SaDirection::Out => Direction::Seal,
        };
        let session = self.crypto.session(&keys, format, direction)?;
        let parts = Parts {
            sa,
            keys,
            session,
            cells,
            tunnel,
        };
        let own = owner(slot, self.sas.len());
        let Some(view) = self.interfaces.tunnel(tunnel) else {
            return Ok(());
        };
        match sa.direction {
            SaDirection::In => {
                let mut made = InboundSa::new(parts, view);
                for (number, worker) in self.sas.iter_mut().enumerate() {
                    worker.add(ipsec::SaNews::Inbound {
                        slot,
                        spi: id.spi,
                        destination: id.destination,
                        sa: if number == own { made.take() } else { None },
                    });
                }
            }
            SaDirection::Out => {
                let mut mask = [0; 8];
                getrandom::fill(&mut mask).map_err(|error| CryptoUnfit::Random(error.to_string()))?;
                let mut made = OutboundSa::new(parts, view, IvMask(u64::from_ne_bytes(mask)));
                let ports = sa.udp;
                for (number, worker) in self.sas.iter_mut().enumerate() {
                    let sa = if number == own { made.take() } else { None };
                    worker.add(ipsec::SaNews::Outbound {
                        slot,
                        id,
                        tunnel,
                        ports,
                        sa,
                    });
                }
            }
        }
        Ok(())
    }
}

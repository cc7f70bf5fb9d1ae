//! What SAs are asked before they are taken.

use control::message::{
    ControlError, ErrorCode, NewSa, SAS_PER_REQUEST, Sa, SaDirection, SaId, SaMode, TunnelMode,
};
use control::sas;
use esp::Transform;
use subtle::ConstantTimeEq;

use super::super::Tables;
use super::super::refusal::{list, refuse};
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Whether there can be such an SA, whatever other SAs there are.
    pub(super) fn check_sa(&self, sa: &Sa, keys: &[u8]) -> Result<(), ControlError> {
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
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let id = sa.id();
        let Some(tunnel) = self.protected_tunnel(sa).and_then(|index| self.tunnel(index)) else {
            let more = match sa.mode {
                SaMode::Transport => "",
                SaMode::Tunnel => ", and give it mode transport; or name a tunnel of mode esp",
            };
            return invalid(format!(
                "the SA with {id} is to protect {name}, which is not protected: 'tollgate-ctl tunnel set {name} protected on' first{more}"
            ));
        };
        match (sa.mode, tunnel.mode) {
            (SaMode::Tunnel, TunnelMode::Esp) | (SaMode::Transport, TunnelMode::Gre | TunnelMode::Ipip) => {}
            (SaMode::Transport, TunnelMode::Esp) => {
                return invalid(format!(
                    "the SA with {id} is of transport mode, and {name} carries whole packets: give it mode tunnel"
                ));
            }
            (SaMode::Tunnel, mode) => {
                return invalid(format!(
                    "the SA with {id} is of tunnel mode, and what {name} sends is {} already: give it mode transport",
                    mode.name()
                ));
            }
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

    /// Fails if an SA that gives way has the same keys, whatever sequence number the one in its place begins with: packets go by
    /// the old one until its worker lets go of it. One that sends would use IVs a second time, which must never be under one key
    /// (RFC 4106 section 9, RFC 4303 section 3.3.3), and one that receives would take packets a second time.
    pub(super) fn check_other_keys(&self, id: SaId, keys: &[u8]) -> Result<(), ControlError> {
        let Some(installed) = self.sas.sas.get(&id) else {
            return Ok(());
        };
        if !bool::from(self.sas.keys.key(&installed.keys).ct_eq(keys)) {
            return Ok(());
        }
        Err(refuse(
            ErrorCode::Invalid,
            format!(
                "the SA with {id} has these keys already, and sequence numbers that it uses meanwhile would be used again, which must \
                 never be with the same keys: give it others, or delete it and add it with a 'seq' beyond all that it used"
            ),
        ))
    }

    /// Fails if there would be more SAs, or more selectors of them, than there can be.
    pub(super) fn check_sa_room(&self, new: &[NewSa]) -> Result<(), ControlError> {
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

pub(super) fn check_count(count: usize) -> Result<(), ControlError> {
    if count <= SAS_PER_REQUEST {
        return Ok(());
    }
    Err(refuse(
        ErrorCode::BadRequest,
        format!("a request has {count} SAs and {SAS_PER_REQUEST} are taken at a time: make several of it"),
    ))
}

//! SAs in the primary: what the engine wants done, in as few requests as its order allows.
//!
//! ```text
//!   InstallInbound ──► asked for with others, before the next datagram goes out: the peer may send by it then
//!   InstallOutbound ─► kept
//!   Switch ──────────► asked for: packets of a tunnel leave by what was installed last
//!   Remove… ─────────► asked for with others, after what was to be installed
//! ```

mod adopt;
mod missed;
mod wanted;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use control::message::{
    ControlError, ErrorCode, Reply, Request, SAS_PER_REQUEST, SaDirection, SaId, TunnelChange,
};
use ike_engine::{ChildSa, Path, SaCommand, SpiPair};

use crate::config::{ChildConfig, Config};

use self::wanted::{Wanted, far_beyond, wanted};

pub(crate) use adopt::Before;

/// The primary.
pub(crate) trait Primary {
    /// Asks it for something.
    fn call(&mut self, request: Request) -> Result<Reply, ControlError>;

    /// The last sequence number that an SA has used, if it is there.
    fn sequence(&self, id: &SaId) -> Option<u64>;
}

/// Something that could not be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The profile whose SA it is.
    pub(crate) profile: String,
    /// What, and what to do.
    pub(crate) sentence: String,
}

/// A pair of SAs.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// The tunnel that they protect.
    pub(crate) tunnel: &'a str,
    /// For packets that come in.
    pub(crate) inbound: &'a ChildSa,
    /// For packets that go out.
    pub(crate) outbound: Option<&'a ChildSa>,
}

/// An SA of the engine's.
struct Side {
    sa: Box<ChildSa>,
    tunnel: String,
    /// What it is known by, while the primary has it.
    id: Option<SaId>,
    /// Of one that sends and is not in the primary: the last sequence number that it may have used. `None`: that is not known, so it must
    /// not be installed again.
    used: Option<u64>,
}

impl Side {
    /// One that the primary does not have yet.
    fn new(sa: Box<ChildSa>, tunnel: String) -> Self {
        Self {
            sa,
            tunnel,
            id: None,
            used: Some(0),
        }
    }

    /// It is not in the primary any more, and nobody knows how far it was.
    fn is_lost(&mut self) {
        if self.id.take().is_some() {
            self.used = None;
        }
    }
}

/// All SAs of the engine's.
#[derive(Default)]
pub(crate) struct Plane {
    inbound: HashMap<u32, Side>,
    outbound: HashMap<SpiPair, Side>,
    /// Whose SA is known by this.
    known: HashMap<SaId, (SaDirection, SpiPair)>,
    adds: Vec<Wanted>,
    deletes: Vec<SaId>,
    /// SAs that were deleted here and made again under the same SPI, of whose end the primary is still to tell.
    made_again: HashSet<SaId>,
    /// SAs that another daemon has left, by tunnel: they go when the tunnel has new ones.
    left: HashMap<String, Vec<SaId>>,
    /// Inbound SAs that the daemon before has left, of which the engine knows the SPIs alone.
    lingering: HashMap<u32, SaId>,
    /// Where tunnels lead by now whose peers come from anywhere.
    remotes: HashMap<String, IpAddr>,
    /// Child SAs, by inbound SPI, whose outbound SA is to be used and cannot be installed again: they need others.
    spent: Vec<u32>,
    /// Child SAs, by inbound SPI, whose tunnel leads to another peer now.
    displaced: Vec<u32>,
    problems: Vec<Problem>,
}

impl Plane {
    /// There is another primary, which has none of the SAs but those in `left`, by tunnel.
    pub(crate) fn begin(&mut self, left: HashMap<String, Vec<SaId>>) {
        let sides = self.inbound.values_mut().chain(self.outbound.values_mut());
        sides.for_each(Side::is_lost);
        self.known.clear();
        self.spent.clear();
        self.displaced.clear();
        self.adds.clear();
        self.deletes.clear();
        self.made_again.clear();
        self.remotes.clear();
        self.lingering.clear();
        self.left = left;
    }

    /// The pair of an SA that the primary has, if it is one of these.
    pub(crate) fn owner(&self, id: &SaId) -> Option<SpiPair> {
        self.known.get(id).map(|(_, pair)| *pair)
    }

    /// The primary has deleted an SA: whether it is really gone. One that was made again here is not.
    pub(crate) fn lost(&mut self, id: &SaId) -> bool {
        let is_gone = !self.made_again.remove(id);
        if is_gone {
            self.is_gone(id);
        }
        is_gone
    }

    fn is_gone(&mut self, id: &SaId) {
        let Some((direction, pair)) = self.known.remove(id) else {
            return;
        };
        let side = match direction {
            SaDirection::In => self.inbound.get_mut(&pair.inbound),
            SaDirection::Out => self.outbound.get_mut(&pair),
        };
        if let Some(side) = side {
            side.is_lost();
        }
    }

    /// What there is of a pair, if its inbound SA is there.
    pub(crate) fn shown(&self, pair: SpiPair) -> Option<Shown<'_>> {
        let inbound = self.inbound.get(&pair.inbound)?;
        Some(Shown {
            tunnel: &inbound.tunnel,
            inbound: &inbound.sa,
            outbound: self.outbound.get(&pair).map(|side| &*side.sa),
        })
    }

    /// Child SAs, by inbound SPI, that are to be rekeyed since this was asked last: traffic is to go out by them, and their keys may not
    /// be used again.
    pub(crate) fn take_spent(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.spent)
    }

    /// Child SAs, by inbound SPI, that are to be deleted since this was asked last: another peer has taken their tunnel.
    pub(crate) fn take_displaced(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.displaced)
    }

    /// What could not be done since this was asked last.
    pub(crate) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Does, or puts off until [`Plane::settle`], what the engine wants.
    pub(crate) fn apply(&mut self, command: SaCommand, config: &Config, primary: &mut dyn Primary) {
        match command {
            SaCommand::InstallInbound(sa) => {
                if let Some(child) = self.child(&sa, config) {
                    self.lead(&sa, child, config, primary);
                    self.want(&sa, child, SaDirection::In, 0);
                    let tunnel = child.tunnel.clone();
                    self.inbound.insert(sa.pair.inbound, Side::new(sa, tunnel));
                }
            }
            SaCommand::InstallOutbound(sa) => {
                if let Some(child) = config.child(&sa.profile, &sa.child) {
                    let tunnel = child.tunnel.clone();
                    self.outbound.insert(sa.pair, Side::new(sa, tunnel));
                }
            }
            SaCommand::Switch { from, to } => self.switch(from, to, config, primary),
            SaCommand::RemoveOutbound(pair) => {
                if let Some(side) = self.outbound.remove(&pair) {
                    self.delete(side.id, primary);
                }
            }
            SaCommand::RemoveInbound(spi) => {
                let lingering = self.lingering.remove(&spi);
                if let Some(side) = self.inbound.remove(&spi) {
                    self.delete(side.id, primary);
                } else if lingering.is_some() {
                    self.delete(lingering, primary);
                }
            }
            SaCommand::Move { pair, path } => self.follow(pair, path, config, primary),
        }
    }

    /// Has the primary do all that was put off.
    pub(crate) fn settle(&mut self, primary: &mut dyn Primary) {
        self.settle_adds(primary);
        while !self.deletes.is_empty() {
            let count = self.deletes.len().min(SAS_PER_REQUEST);
            let some: Vec<SaId> = self.deletes.drain(..count).collect();
            if primary.call(Request::SaDelete(some.clone())).is_err() {
                // One of them is gone already: the others go one by one.
                for id in some {
                    let _ = primary.call(Request::SaDelete(vec![id]));
                }
            }
        }
    }

    fn settle_adds(&mut self, primary: &mut dyn Primary) {
        let wanted = std::mem::take(&mut self.adds);
        let mut rest = wanted.into_iter().peekable();
        while rest.peek().is_some() {
            let some: Vec<Wanted> = rest.by_ref().take(SAS_PER_REQUEST).collect();
            let sas = some.iter().map(|wanted| wanted.new.clone()).collect();
            match primary.call(Request::SaAdd { sas, replace: false }) {
                Ok(_) => some.into_iter().for_each(|wanted| self.installed(&wanted)),
                Err(error) if some.len() == 1 => self.refused(some, &error),
                Err(_) => {
                    // All or nothing: which it is that cannot be is found one by one.
                    for wanted in some {
                        let sas = vec![wanted.new.clone()];
                        match primary.call(Request::SaAdd { sas, replace: false }) {
                            Ok(_) => self.installed(&wanted),
                            Err(error) => self.refused(vec![wanted], &error),
                        }
                    }
                }
            }
        }
    }

    fn installed(&mut self, wanted: &Wanted) {
        let (id, direction) = (wanted.new.sa.id(), wanted.new.sa.direction);
        let side = match direction {
            SaDirection::In => self.inbound.get_mut(&wanted.pair.inbound),
            SaDirection::Out => self.outbound.get_mut(&wanted.pair),
        };
        match side {
            Some(side) => {
                side.id = Some(id);
                self.known.insert(id, (direction, wanted.pair));
            }
            // It was removed before it was asked for.
            None => self.deletes.push(id),
        }
        if direction == SaDirection::Out
            && let Some(tunnel) = &wanted.new.sa.tunnel
            && let Some(left) = self.left.remove(tunnel)
        {
            self.deletes.extend(left);
        }
    }

    fn refused(&mut self, wanted: Vec<Wanted>, error: &ControlError) {
        // A primary that is gone is told of in another way, and the next one gets other SAs.
        if error.code == ErrorCode::InstanceDead {
            return;
        }
        let problems = wanted.into_iter().map(|wanted| Problem {
            profile: wanted.profile,
            sentence: format!("the primary takes no SA for it: {error}"),
        });
        self.problems.extend(problems);
    }

    /// The child of the configuration that an SA is for.
    fn child<'c>(&mut self, sa: &ChildSa, config: &'c Config) -> Option<&'c ChildConfig> {
        let child = config.child(&sa.profile, &sa.child);
        if child.is_none() {
            self.problems.push(Problem {
                profile: sa.profile.clone(),
                sentence: format!(
                    "the configuration has no child {} any more: its SA is not installed",
                    sa.child
                ),
            });
        }
        child
    }

    /// Has a tunnel lead to a peer that may come from anywhere.
    fn lead(&mut self, sa: &ChildSa, child: &ChildConfig, config: &Config, primary: &mut dyn Primary) {
        let is_anywhere = config
            .profile(&sa.profile)
            .is_some_and(|profile| profile.remote_address.is_none());
        if is_anywhere {
            let remote = sa.path.remote.ip();
            self.point(&sa.profile, &child.tunnel, remote, primary);
            if self.remotes.get(&child.tunnel) == Some(&remote) {
                self.displace(&sa.profile, &child.tunnel, remote);
            }
        }
    }

    /// Gives up the child SAs with other peers of a tunnel that leads to this one now: the primary has deleted their SAs, and if they were
    /// rekeyed the peers would take the tunnel from each other without end.
    fn displace(&mut self, profile: &str, tunnel: &str, remote: IpAddr) {
        let is_elsewhere = |side: &&Side| side.tunnel == tunnel && side.sa.path.remote.ip() != remote;
        let pairs: Vec<SpiPair> = self
            .inbound
            .values()
            .filter(is_elsewhere)
            .map(|side| side.sa.pair)
            .collect();
        for pair in pairs {
            let sides = [self.inbound.get_mut(&pair.inbound), self.outbound.get_mut(&pair)];
            let mut other = None;
            for side in sides.into_iter().flatten() {
                other = Some(side.sa.path.remote.ip());
                if let Some(id) = side.id {
                    self.known.remove(&id);
                }
                side.is_lost();
            }
            self.displaced.push(pair.inbound);
            if let Some(other) = other {
                self.problems.push(Problem {
                    profile: profile.to_owned(),
                    sentence: format!(
                        "tunnel {tunnel} leads to {remote} now, which came last, so the child SA with {other} is deleted: give each \
                         peer a profile and a tunnel of its own"
                    ),
                });
            }
        }
    }

    /// Has a tunnel end at another address.
    fn point(&mut self, profile: &str, tunnel: &str, remote: IpAddr, primary: &mut dyn Primary) {
        if self.remotes.get(tunnel) == Some(&remote) {
            return;
        }
        let change = TunnelChange {
            remote: Some(remote),
            ..TunnelChange::default()
        };
        let name = tunnel.to_owned();
        let change = Box::new(change);
        match primary.call(Request::TunnelSet { name, change }) {
            Ok(_) => drop(self.remotes.insert(tunnel.to_owned(), remote)),
            Err(error) => self.problems.push(Problem {
                profile: profile.to_owned(),
                sentence: format!("tunnel {tunnel} cannot be made to end at {remote}: {error}"),
            }),
        }
    }

    fn switch(&mut self, from: Option<SpiPair>, to: SpiPair, config: &Config, primary: &dyn Primary) {
        let Some(side) = self.outbound.get(&to) else {
            return;
        };
        if side.id.is_none() {
            let Some(used) = side.used else {
                self.spent.push(to.inbound);
                return;
            };
            let wanted = config
                .child(&side.sa.profile, &side.sa.child)
                .map(|child| wanted(&side.sa, child, SaDirection::Out, used));
            match wanted {
                Some(Ok(wanted)) => self.adds.push(wanted),
                Some(Err(problem)) => self.problems.push(problem),
                None => {}
            }
            return;
        }
        // It was used before. What was installed after it gives way; should it be used again, none of its numbers is.
        if let Some(from) = from.and_then(|from| self.outbound.get_mut(&from))
            && let Some(id) = from.id.take()
        {
            from.used = far_beyond(primary.sequence(&id), &from.sa.suite);
            self.known.remove(&id);
            self.deletes.push(id);
        }
    }

    fn want(&mut self, sa: &ChildSa, child: &ChildConfig, direction: SaDirection, sequence: u64) {
        match wanted(sa, child, direction, sequence) {
            Ok(wanted) => self.adds.push(wanted),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn delete(&mut self, id: Option<SaId>, primary: &mut dyn Primary) {
        if !self.adds.is_empty() {
            // What takes its place comes first.
            self.settle_adds(primary);
        }
        if let Some(id) = id {
            self.known.remove(&id);
            self.deletes.push(id);
        }
    }

    /// Packets of both SAs go another way. One that sends cannot be changed: it is made again with the same keys, and goes on far beyond
    /// all sequence numbers that it has used, since none may be used twice.
    fn follow(&mut self, pair: SpiPair, path: Path, config: &Config, primary: &mut dyn Primary) {
        self.settle(primary);
        for side in [self.inbound.get_mut(&pair.inbound), self.outbound.get_mut(&pair)]
            .into_iter()
            .flatten()
        {
            side.sa.path = path;
        }
        let Some((sa, id, tunnel)) = self
            .outbound
            .get(&pair)
            .and_then(|side| Some((&side.sa, side.id?, side.tunnel.clone())))
        else {
            return;
        };
        let profile = sa.profile.clone();
        if id.destination != path.remote.ip() {
            // The SAs of a tunnel end where it does, so they are made anew, which is for the engine to do.
            self.point(&profile, &tunnel, path.remote.ip(), primary);
            self.problems.push(Problem {
                profile,
                sentence: format!("the peer is at {} now: its SAs are made anew", path.remote.ip()),
            });
            return;
        }
        let Some(child) = config.child(&profile, &sa.child) else {
            return;
        };
        let Some(sequence) = far_beyond(primary.sequence(&id), &sa.suite) else {
            self.spent.push(pair.inbound);
            return;
        };
        match wanted(sa, child, SaDirection::Out, sequence) {
            Ok(wanted) => {
                self.is_gone(&id);
                self.made_again.insert(id);
                self.deletes.push(id);
                self.settle(primary);
                self.adds.push(wanted);
                self.settle(primary);
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

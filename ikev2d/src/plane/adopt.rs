//! The SAs that the daemon before has left in the primary: those of IKE SAs that are taken up again go on as they are.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use control::message::{SaDirection, SaState};
use control::sas::ListedSa;
use ike_engine::{ChildSas, Installed, Path, SpiPair};

use super::{Plane, Side};
use crate::config::Config;

/// What the primary was known to have, when the daemon before had last done all that it had written down.
#[derive(Debug, Default)]
pub(crate) struct Before {
    inbound: HashSet<u32>,
    /// Those that traffic has gone out by.
    outbound: HashSet<SpiPair>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Adopted {
    /// For the engine, so that it has the rest done.
    pub(crate) installed: Vec<Installed>,
    /// Inbound SPIs of children that need others: the primary had their SAs and has them no more, or they near their end.
    pub(crate) rekey: Vec<u32>,
}

impl Before {
    /// What it had, if these were the children.
    pub(crate) fn of(children: &[ChildSas]) -> Self {
        let used = children.iter().filter(|child| child.was_used);
        Self {
            inbound: children.iter().map(|child| child.inbound.pair.inbound).collect(),
            outbound: used.map(|child| child.outbound.pair).collect(),
        }
    }
}

/// Between which addresses an SA that goes out leads; with the ports of `recorded` where it has none.
fn path(found: &ListedSa, recorded: Path) -> Path {
    let (local, remote) = found
        .sa
        .udp
        .unwrap_or((recorded.local.port(), recorded.remote.port()));
    Path {
        local: SocketAddr::new(found.sa.source, local),
        remote: SocketAddr::new(found.sa.destination, remote),
    }
}

impl Plane {
    /// Takes over what the primary has of these children. One of which it had SAs once is not given the same again: their sequence numbers
    /// are not known, and none may be used twice. SAs of their tunnels that nobody knows are deleted, those of other tunnels when these
    /// have new ones.
    pub(crate) fn adopt(
        &mut self,
        listed: &[ListedSa],
        children: Vec<ChildSas>,
        before: &Before,
        config: &Config,
    ) -> Adopted {
        let mut adopted = Adopted::default();
        let mut taken = HashSet::new();
        // By tunnel: whether packets leave by an SA of these.
        let mut tunnels: HashMap<String, bool> = HashMap::new();
        for of in children {
            let Some(child) = config.child(&of.inbound.profile, &of.inbound.child) else {
                continue;
            };
            let (tunnel, pair, recorded) = (&child.tunnel, of.inbound.pair, of.outbound.path);
            let find = |direction, spi| {
                listed.iter().find(|listed| {
                    let sa = &listed.sa;
                    sa.direction == direction && sa.spi == spi && sa.tunnel.as_ref() == Some(tunnel)
                })
            };
            let inbound = find(SaDirection::In, pair.inbound);
            let outbound = find(SaDirection::Out, pair.outbound);
            let has_lost_in = inbound.is_none() && before.inbound.contains(&pair.inbound);
            let has_lost_out = outbound.is_none() && before.outbound.contains(&pair);
            let found = [(SaDirection::In, inbound), (SaDirection::Out, outbound)];
            for (direction, found) in found {
                if let Some(found) = found {
                    taken.insert(found.sa.id());
                    self.known.insert(found.sa.id(), (direction, pair));
                }
            }
            let nears_end = [inbound, outbound]
                .into_iter()
                .flatten()
                .any(|found| found.state == SaState::Expiring);
            if has_lost_in || (has_lost_out && of.in_use) || nears_end {
                adopted.rekey.push(pair.inbound);
            }
            *tunnels.entry(tunnel.clone()).or_default() |= outbound.is_some();
            if outbound.is_some() {
                self.remotes.insert(tunnel.clone(), recorded.remote.ip());
            }
            let side = |sa, found: Option<&ListedSa>| Side {
                id: found.map(|found| found.sa.id()),
                used: None,
                ..Side::new(sa, tunnel.clone())
            };
            let (has_in, has_out) = (
                inbound.is_some() || has_lost_in,
                outbound.is_some() || has_lost_out,
            );
            if has_in {
                self.inbound.insert(pair.inbound, side(of.inbound, inbound));
            }
            if has_out {
                self.outbound.insert(pair, side(of.outbound, outbound));
            }
            adopted.installed.push(Installed {
                pair,
                inbound: has_in,
                outbound: has_out,
                in_use: has_out,
                path: outbound.map_or(recorded, |found| path(found, recorded)),
            });
        }
        let rest = listed.iter().filter(|listed| !taken.contains(&listed.sa.id()));
        self.sort_out(rest, &tunnels, config, &mut adopted);
        adopted
    }

    /// What becomes of SAs of tunnels of the configuration that are of none of the children.
    fn sort_out<'l>(
        &mut self,
        rest: impl Iterator<Item = &'l ListedSa>,
        tunnels: &HashMap<String, bool>,
        config: &Config,
        adopted: &mut Adopted,
    ) {
        self.left.clear();
        for found in rest {
            let id = found.sa.id();
            let Some(tunnel) = &found.sa.tunnel else {
                continue;
            };
            match (tunnels.get(tunnel), found.sa.direction) {
                // The engine knows whether packets that are on their way are to be taken still.
                (Some(_), SaDirection::In) => {
                    self.lingering.insert(id.spi, id);
                    adopted.installed.push(Installed {
                        pair: SpiPair {
                            inbound: id.spi,
                            outbound: 0,
                        },
                        inbound: true,
                        outbound: false,
                        in_use: false,
                        path: Path {
                            local: SocketAddr::new(found.sa.destination, 0),
                            remote: SocketAddr::new(found.sa.source, 0),
                        },
                    });
                }
                (Some(true), SaDirection::Out) => self.deletes.push(id),
                _ if config.has_tunnel(tunnel) => self.left.entry(tunnel.clone()).or_default().push(id),
                _ => {}
            }
        }
    }
}

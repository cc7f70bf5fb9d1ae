//! Which sub-interfaces and tunnels come and go, and which tunnels change.
//!
//! A tunnel changes where it is, with its routes, unless something is in the way that only goes later: then it goes and comes
//! again, as a sub-interface does.

use std::collections::HashSet;

use control::message::Tunnel as Wrapped;

use super::change::Change;
use crate::config::{Config, SubInterface, Tunnel};

/// The shortest MTU of an interface with addresses of IPv6, RFC 8200 section 5.
const MIN_MTU6: u16 = 1280;

/// Which sub-interfaces and tunnels come and go.
pub(super) struct Links<'a> {
    /// Innermost first, and whether before anything new.
    pub(super) removed: Vec<(bool, &'a SubInterface)>,
    /// Each after the one that it is on.
    pub(super) added: Vec<&'a SubInterface>,
    /// And whether before anything new.
    pub(super) tunnels_removed: Vec<(bool, &'a Tunnel)>,
    tunnels_added: Vec<&'a Tunnel>,
    /// What they were and are to be.
    tunnels_changed: Vec<(&'a Tunnel, &'a Tunnel)>,
    /// Names of those that stay, ports included.
    pub(super) stay: HashSet<&'a str>,
}

impl<'a> Links<'a> {
    pub(super) fn of(running: &'a Config, wanted: &'a Config) -> Self {
        let mut stay: HashSet<&str> = running.interfaces.iter().map(|port| port.name.as_str()).collect();
        let mut gone: Vec<&SubInterface> = Vec::new();
        for link in &running.sub_interfaces {
            let stays = stay.contains(link.link.as_str())
                && wanted.sub_interfaces.iter().any(|other| is_same(link, other));
            if stays {
                stay.insert(&link.name);
            } else {
                gone.push(link);
            }
        }
        let added: Vec<&SubInterface> = wanted
            .sub_interfaces
            .iter()
            .filter(|link| !stay.contains(link.name.as_str()))
            .collect();

        let (mut tunnels_changed, mut tunnels_gone) = (Vec::new(), Vec::new());
        for tunnel in &running.tunnels {
            let after = wanted.tunnels.iter().find(|after| name(after) == name(tunnel));
            match after.filter(|after| can_become(tunnel, after, running, &stay)) {
                Some(after) => tunnels_changed.push((tunnel, after)),
                None => tunnels_gone.push(tunnel),
            }
        }
        stay.extend(tunnels_changed.iter().map(|(tunnel, _)| name(tunnel)));
        let new = wanted
            .tunnels
            .iter()
            .filter(|tunnel| !stay.contains(name(tunnel)));
        let tunnels_added: Vec<&Tunnel> = new.collect();

        let there = running.sub_interfaces.len() + running.tunnels.len();
        let full = there + added.len() + tunnels_added.len() > wanted.limits.sub_interfaces as usize;
        let mut early: HashSet<&str> = HashSet::new();
        for link in &gone {
            let clashes = |new: &&SubInterface| new.name == link.name || tag(new) == tag(link);
            let named_again = tunnels_added.iter().any(|new| name(new) == link.name);
            if full || named_again || early.contains(link.link.as_str()) || added.iter().any(clashes) {
                early.insert(&link.name);
            }
        }
        for tunnel in &tunnels_gone {
            let clashes =
                |new: &&Tunnel| name(new) == name(tunnel) || new.tunnel.ends() == tunnel.tunnel.ends();
            let named_again = added.iter().any(|new| new.name == name(tunnel));
            let loses = unnumbered(tunnel).is_some_and(|other| early.contains(other));
            if full || named_again || loses || tunnels_added.iter().any(clashes) {
                early.insert(name(tunnel));
            }
        }
        let removed = gone
            .into_iter()
            .rev()
            .map(|link| (early.contains(link.name.as_str()), link))
            .collect();
        let tunnels_removed = tunnels_gone
            .into_iter()
            .map(|tunnel| (early.contains(name(tunnel)), tunnel))
            .collect();
        Self {
            removed,
            added,
            tunnels_removed,
            tunnels_added,
            tunnels_changed,
            stay,
        }
    }

    /// Tunnels that change, which may make way for new ones, then the new ones.
    pub(super) fn tunnel_changes(&self) -> impl Iterator<Item = Change> {
        let differing = self
            .tunnels_changed
            .iter()
            .filter(|(before, after)| before.tunnel != after.tunnel);
        let changes = differing.map(|(before, after)| Change::TunnelSet {
            before: before.tunnel.clone(),
            after: after.tunnel.clone(),
        });
        let new = self.tunnels_added.iter();
        changes.chain(new.map(|tunnel| Change::TunnelAdd(tunnel.tunnel.clone())))
    }

    /// The names of those that go before anything new comes.
    pub(super) fn removed_early(&self) -> HashSet<&'a str> {
        let links = self
            .removed
            .iter()
            .map(|(early, link)| (early, link.name.as_str()));
        let tunnels = self.tunnels_removed.iter();
        let tunnels = tunnels.map(|(early, tunnel)| (early, name(tunnel)));
        let early = links.chain(tunnels).filter(|(early, _)| **early);
        early.map(|(_, name)| name).collect()
    }
}

fn name(tunnel: &Tunnel) -> &str {
    &tunnel.tunnel.name
}

fn unnumbered(tunnel: &Tunnel) -> Option<&str> {
    tunnel.tunnel.unnumbered.as_deref()
}

/// Whether a tunnel can be changed while all that goes later is still there. `stay` are the interfaces that stay.
fn can_become(before: &Tunnel, after: &Tunnel, running: &Config, stay: &HashSet<&str>) -> bool {
    let (old, new): (&Wrapped, &Wrapped) = (&before.tunnel, &after.tunnel);
    let others = || running.tunnels.iter().filter(|other| name(other) != name(before));
    let has_six = before.addresses.iter().any(|net| net.addr().is_ipv6());
    let keeps_addresses = unnumbered(before).is_none_or(|other| stay.contains(other));
    let is_free = others().all(|other| other.tunnel.ends() != new.ends());
    let may_borrow = new.unnumbered.is_none() || before.addresses.is_empty();
    let is_long_enough = new.mtu() >= MIN_MTU6 || !has_six;
    // The address that it makes itself is another one then.
    let named = |source| running.routes.iter().any(|route| route.source == Some(source));
    let stays_source = old.link_local() == new.link_local() || !named(old.link_local());
    keeps_addresses && is_free && may_borrow && is_long_enough && stays_source
}

fn tag(link: &SubInterface) -> (&str, &str, u16) {
    (&link.link, link.protocol.name(), link.id)
}

/// Whether all is the same that cannot be changed, but for the tap.
pub(super) fn is_same(link: &SubInterface, other: &SubInterface) -> bool {
    (&link.name, tag(link), link.mtu) == (&other.name, tag(other), other.mtu)
}

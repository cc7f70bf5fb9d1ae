//! What interfaces of all kinds are like, by their names.

use super::{Config, HopByHop, SubInterface};

impl Config {
    /// The names of all interfaces, and whether they are set up.
    pub(crate) fn admin_states(&self) -> impl Iterator<Item = (&str, bool)> {
        let ports = self.interfaces.iter().map(|port| (port.name.as_str(), port.up));
        let links = self.sub_interfaces.iter();
        let links = links.map(|link| (link.name.as_str(), link.up));
        let tunnels = self.tunnels.iter();
        ports
            .chain(links)
            .chain(tunnels.map(|tunnel| (tunnel.tunnel.name.as_str(), tunnel.up)))
    }

    /// The names of all interfaces but tunnels, and whether redirects are sent to them.
    pub(crate) fn redirect_states(&self) -> impl Iterator<Item = (&str, bool)> {
        let ports = self.interfaces.iter();
        let links = self.sub_interfaces.iter();
        let links = links.map(|link| (link.name.as_str(), link.redirects));
        ports
            .map(|port| (port.name.as_str(), port.redirects))
            .chain(links)
    }

    /// The names of all interfaces but tunnels, and what becomes of hop-by-hop headers there.
    pub(crate) fn hop_by_hop(&self) -> impl Iterator<Item = (&str, HopByHop)> {
        let ports = self.interfaces.iter();
        let links = self.sub_interfaces.iter();
        let links = links.map(|link| (link.name.as_str(), link.hop_by_hop));
        ports
            .map(|port| (port.name.as_str(), port.hop_by_hop))
            .chain(links)
    }

    /// Number of the interface by whose device the frames of a sub-interface come and go.
    pub fn port_of(&self, sub_interface: &SubInterface) -> Option<usize> {
        let on = |link: &str| self.sub_interfaces.iter().find(|sub| sub.name == *link);
        let chain = std::iter::successors(Some(sub_interface), |sub| on(&sub.link));
        let lowest = chain.last()?;
        self.interfaces
            .iter()
            .position(|interface| interface.name == lowest.link)
    }
}

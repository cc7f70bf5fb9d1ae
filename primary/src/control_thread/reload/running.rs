//! What runs, as a configuration.

use super::super::Control;
use crate::config::{Config, LoadBalancer, SubInterface, Tunnel};
use crate::tables::NewSubInterface;

impl Control<'_> {
    /// What runs, but for routes and neighbours, of which there can be a million.
    pub(in super::super) fn running(&self) -> Config {
        let mut config = self.reload.base.clone();
        config.log = self.log.config();
        for (index, port) in (0..).zip(&mut config.interfaces) {
            port.addresses = self.tables.given_addresses(index).collect();
            port.up = self.tables.link_state(index).is_some_and(|(up, _)| up);
            port.redirects = self.redirects(index);
            port.hop_by_hop = self.hop_by_hop(index);
        }
        let link = |(new, up): (NewSubInterface, bool)| {
            let name = new.name();
            let index = self.tables.interface_index(&name).ok()?;
            // Taps are made at the start.
            let at_start = |sub: &&SubInterface| sub.name == name;
            let tap = self.reload.base.sub_interfaces.iter().find(at_start);
            Some(SubInterface {
                addresses: self.tables.given_addresses(index).collect(),
                tap: tap.and_then(|sub| sub.tap.clone()),
                redirects: self.redirects(index),
                hop_by_hop: self.hop_by_hop(index),
                name,
                link: new.link,
                protocol: new.protocol,
                id: new.id,
                mtu: new.mtu?,
                up,
            })
        };
        config.sub_interfaces = self
            .tables
            .sub_interfaces()
            .into_iter()
            .filter_map(link)
            .collect();
        let tunnel = |(tunnel, up): (control::message::Tunnel, bool)| {
            let index = self.tables.interface_index(&tunnel.name).ok()?;
            Some(Tunnel {
                addresses: self.tables.given_addresses(index).collect(),
                tunnel,
                up,
            })
        };
        config.tunnels = self.tables.tunnels().into_iter().filter_map(tunnel).collect();
        config.services = self.tables.services();
        let (timeouts, policy) = self.tables.balancing();
        config.load_balancer = LoadBalancer { timeouts, policy };
        config
    }
}

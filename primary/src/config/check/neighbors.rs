//! What neighbours say of interfaces and routes.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::Limits;
use super::super::address::is_link_local;
use super::super::network::RawNeighbor;
use super::super::route::RawRoute;
use super::{Network, Scoped, scoped};
use document::{Document, Place};

impl Network<'_> {
    pub(in super::super) fn check_neighbors(
        &self,
        document: &Document<'_>,
        neighbors: &[RawNeighbor],
        routes: &[RawRoute],
        limits: &Limits,
    ) {
        if let Some(address) = neighbors
            .get(limits.neighbors as usize)
            .and_then(|raw| raw.address.as_ref())
        {
            let sentence = format!(
                "there are {} neighbors and [limits] has room for {}: raise neighbors there",
                neighbors.len(),
                limits.neighbors
            );
            document.report(address.place, sentence);
        }
        let mut seen: HashMap<Scoped<'_>, Place> = HashMap::new();
        for raw in neighbors {
            let known = raw
                .interface
                .as_ref()
                .filter(|at| self.check_interface(document, at, false));
            let (Some(address), Some(interface)) = (&raw.address, known) else {
                continue;
            };
            let (place, address) = (address.place, address.value);
            if self.tunnels.contains(interface.value.as_str()) {
                let sentence = format!(
                    "{} is a tunnel, at whose end nobody has a MAC address: remove this neighbor",
                    interface.value
                );
                document.report(interface.place, sentence);
                continue;
            }
            let there = seen.insert(scoped(address, &interface.value), place);
            if let Some(first) = there {
                document.report(
                    place,
                    format!("the neighbor {address} is there already ({first}): remove one"),
                );
            }
            // On no subnet, but on the link all the same where the route to it leads out of the interface.
            let led_there = !is_link_local(address)
                && self.subnet_of(address).is_none()
                && routes_to(routes, address).any(|raw| raw.leads_out_of(&interface.value))
                && routes_to(routes, address).all(|raw| raw.leads_out_of(&interface.value));
            if !led_there && let Some(sentence) = self.host_fault("neighbor", address, Some(&interface.value))
            {
                document.report(place, sentence);
            }
        }
    }
}

/// The routes of the longest prefix that holds an address, whatever their metrics.
fn routes_to(routes: &[RawRoute], address: IpAddr) -> impl Iterator<Item = &RawRoute> {
    let length = move |raw: &RawRoute| {
        let prefix = raw.prefix.as_ref()?.value;
        prefix.contains(&address).then_some(prefix.prefix_len())
    };
    let longest = routes.iter().filter_map(length).max();
    routes
        .iter()
        .filter(move |raw| longest.is_some() && length(raw) == longest)
}

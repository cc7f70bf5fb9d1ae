//! What services say of each other and of interfaces.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use control::message::{SERVICES, ServiceId};
use document::{At, Document, Place};

use super::super::Limits;
use super::super::network::RawNeighbor;
use super::super::route::RawRoute;
use super::super::service::{RawLocal, RawService};
use super::Network;

impl Network<'_> {
    pub(in super::super) fn check_services(
        &self,
        document: &Document<'_>,
        services: &[RawService],
        routes: &[RawRoute],
        neighbors: &[RawNeighbor],
        limits: &Limits,
    ) {
        if let Some(one_more) = services.get(SERVICES).and_then(|raw| raw.id.as_ref()) {
            let sentence = format!(
                "there are {} services, and there may be {SERVICES}",
                services.len()
            );
            document.report(one_more.place, sentence);
        }
        let mut seen: HashMap<ServiceId, Place> = HashMap::new();
        let mut addresses: HashMap<IpAddr, ServiceId> = HashMap::new();
        for raw in services {
            raw.check(document);
            let Some(At { place, value: id }) = &raw.id else {
                continue;
            };
            addresses.entry(id.address).or_insert(*id);
            if let Some(first) = seen.insert(*id, *place) {
                let sentence = format!("there is a service {id} already ({first}): remove one");
                document.report(*place, sentence);
            }
        }
        let next_hops = routes.iter().flat_map(|raw| &raw.next_hops);
        let next_hops = next_hops.map(|next_hop| next_hop.address.value);
        let neighbors = neighbors.iter().filter_map(|raw| raw.address.as_ref());
        let hosts: HashSet<IpAddr> = next_hops.chain(neighbors.map(|at| at.value)).collect();
        let mut locals: HashMap<IpAddr, &RawLocal> = HashMap::new();
        // Those that the gateway does not have anyway.
        let mut more = 0;
        let written = services.iter();
        for (raw, local) in written.flat_map(|raw| raw.locals.iter().map(move |local| (raw, local))) {
            if !self.check_interface(document, &local.interface, false) {
                continue;
            }
            let At {
                place,
                value: address,
            } = local.address;
            let first = *locals.entry(address).or_insert(local);
            if std::ptr::eq(first, local) {
                // Of its own it was said before.
                let is_other = |_: &&ServiceId| raw.id.as_ref().is_some_and(|id| id.value.address != address);
                let service = addresses.get(&address).filter(is_other);
                if let Some(sentence) = self.local_fault(local, service, &hosts) {
                    document.report(place, sentence);
                }
                if self.own.contains_key(&(address, None)) {
                    continue;
                }
                more += 1;
                if self.owned.len() + more == limits.addresses as usize + 1 {
                    let sentence = format!(
                        "{} addresses and local addresses of services are more than [limits] has room for, which is {}: raise \
                         addresses there",
                        self.owned.len() + more,
                        limits.addresses
                    );
                    document.report(place, sentence);
                }
            } else if first.interface.value != local.interface.value {
                let sentence = format!(
                    "the local address {address} is on {} ({}): name that interface, or use another address",
                    first.interface.value, first.interface.place
                );
                document.report(local.interface.place, sentence);
            }
        }
    }

    /// Why the interface cannot have the local address.
    fn local_fault(
        &self,
        local: &RawLocal,
        service: Option<&ServiceId>,
        hosts: &HashSet<IpAddr>,
    ) -> Option<String> {
        let (address, interface) = (local.address.value, local.interface.value.as_str());
        if let Some(id) = service {
            return Some(format!(
                "{address} is the address of the service {id}: use another local address"
            ));
        }
        if hosts.contains(&address) {
            return Some(format!(
                "{address} is a next hop of routes or a neighbor, so another host's: use another local address"
            ));
        }
        if self.tunnels.contains(interface) {
            return Some(format!(
                "{interface} is a tunnel, where nobody asks who has {address}: name the [[interface]] to which servers send replies"
            ));
        }
        if let Some(owner) = self.own.get(&(address, None)) {
            return (*owner != interface).then(|| {
                format!(
                    "{address} is an address of {owner}: name that interface, or use another local address"
                )
            });
        }
        let holds =
            |subnet: &&super::Owned<'_>| subnet.interface != interface && subnet.address.contains(&address);
        let other = self.owned.iter().find(holds)?;
        Some(format!(
            "the local address {address} is in {} of {} ({}), and not on {interface}: name {}",
            other.address.trunc(),
            other.interface,
            other.place,
            other.interface
        ))
    }
}

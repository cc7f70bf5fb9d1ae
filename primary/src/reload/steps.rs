//! Changes made step after step: routes many at a time, everything else one by one. Between steps the control thread does its
//! other work.

use std::time::Duration;

use control::message::{ControlError, ROUTES_PER_REQUEST, Route, RouteKey};
use shm::records::RouteProtocol;

use super::change::Change;
use crate::adjacency;
use crate::tables::Tables;

/// What is done at one time.
#[derive(Debug)]
pub enum Step<'a> {
    /// Routes to set, all or none.
    Routes(Vec<Route>),
    /// Routes to delete, all or none.
    Withdrawals(Vec<RouteKey>),
    /// One change of something else.
    One(&'a Change),
}

/// The next step, and how many of the changes it makes; `None` when there are no more.
pub fn next_step(changes: &[Change]) -> Option<(usize, Step<'_>)> {
    let first = changes.first()?;
    let mut size = 0;
    let mut fits = |route: &Route| {
        size += route.size();
        size <= ROUTES_PER_REQUEST
    };
    let set: Vec<Route> = changes
        .iter()
        .map_while(set_route)
        .take_while(|route| fits(route))
        .cloned()
        .collect();
    if !set.is_empty() {
        return Some((set.len(), Step::Routes(set)));
    }
    let deleted = changes.iter().map_while(|change| match change {
        Change::RouteDelete(route) => Some(RouteKey {
            prefix: route.prefix,
            metric: Some(route.metric()),
            next_hop: None,
        }),
        _ => None,
    });
    let deleted: Vec<RouteKey> = deleted.take(ROUTES_PER_REQUEST).collect();
    if !deleted.is_empty() {
        return Some((deleted.len(), Step::Withdrawals(deleted)));
    }
    Some((1, Step::One(first)))
}

fn set_route(change: &Change) -> Option<&Route> {
    match change {
        Change::RouteAdd(route) | Change::RouteReplace { after: route, .. } => Some(route),
        _ => None,
    }
}

/// Does a step that is of the tables alone; gives whether it was one.
pub fn change_tables<F: fib::Storage, A: adjacency::Storage>(
    tables: &mut Tables<F, A>,
    step: &Step<'_>,
    now: Duration,
) -> Result<bool, ControlError> {
    match step {
        Step::Routes(routes) => tables.routes_add(routes, true, RouteProtocol::STATIC, now)?,
        Step::Withdrawals(keys) => tables.routes_delete(keys)?,
        Step::One(Change::LinkSet { interface, up }) => {
            let index = tables.interface_index(interface)?;
            tables.set_admin(index, *up, now);
        }
        Step::One(Change::AddressAdd { interface, address }) => {
            let index = tables.interface_index(interface)?;
            tables.address_add(index, *address, now)?;
        }
        Step::One(Change::AddressDelete { interface, address }) => {
            let index = tables.interface_index(interface)?;
            tables.address_delete(index, *address, now)?;
        }
        Step::One(Change::NeighborAdd(neighbor) | Change::NeighborReplace(neighbor)) => {
            let index = tables.interface_index(&neighbor.interface)?;
            tables.neighbor_add(index, neighbor.address, neighbor.mac, now)?;
        }
        Step::One(Change::NeighborDelete(neighbor)) => {
            let index = tables.interface_index(&neighbor.interface)?;
            tables.neighbor_delete(index, neighbor.address, now)?;
        }
        Step::One(Change::ServiceAdd(service)) => tables.service_add((**service).clone(), now)?,
        Step::One(Change::ServiceSet { after, .. }) => tables.service_put((**after).clone(), now)?,
        Step::One(Change::ServiceDelete(service)) => tables.service_delete(service.id, now)?,
        Step::One(Change::LoadBalancer { after, .. }) => tables.set_balancing(after.timeouts, after.policy),
        Step::One(_) => return Ok(false),
    }
    Ok(true)
}

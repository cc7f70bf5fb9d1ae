//! Routes as they are compared: what can be said in several ways is said in one.

use control::message::{Route, RouteTarget, WeightedNextHop};
use ipnet::IpNet;
use shm::records::RouteProtocol;

/// What tells a route from others: its prefix and metric.
pub(super) type Key = (IpNet, u32);

/// What tells a route from others.
pub(super) fn key(route: &Route) -> Key {
    (route.prefix, route.metric())
}

/// Whether a route was made by hand, in a file or at run time: a file says all of those that there are to be.
pub fn is_by_hand(route: &Route) -> bool {
    let protocol = route.protocol.map(RouteProtocol);
    protocol.is_none_or(|protocol| protocol == RouteProtocol::STATIC || protocol == RouteProtocol::BOOT)
}

/// The route with all written out that follows from the rest, and left out what does.
pub(super) fn normal(route: &Route) -> Route {
    Route {
        prefix: route.prefix,
        target: match &route.target {
            RouteTarget::Via { next_hop, interface } => via(*next_hop, interface.clone()),
            RouteTarget::Multipath(next_hops) => several(next_hops.clone()),
            other => other.clone(),
        },
        metric: Some(route.metric()),
        source: route.source,
        mtu: route.mtu,
        protocol: Some(route.protocol.unwrap_or(RouteProtocol::STATIC.0)),
    }
}

/// The interface says something for a link-local address only: others have the subnet that they are in.
fn named(next_hop: std::net::IpAddr, interface: Option<String>) -> Option<String> {
    interface.filter(|_| super::reach::is_link_local(next_hop))
}

pub(super) fn via(next_hop: std::net::IpAddr, interface: Option<String>) -> RouteTarget {
    RouteTarget::Via {
        next_hop,
        interface: named(next_hop, interface),
    }
}

/// One of several is all of them, whatever its weight; and they have no order.
pub(super) fn several(mut next_hops: Vec<WeightedNextHop>) -> RouteTarget {
    for each in &mut next_hops {
        each.interface = named(each.next_hop, each.interface.take());
    }
    next_hops.sort_by(|a, b| (a.next_hop, &a.interface).cmp(&(b.next_hop, &b.interface)));
    match <[WeightedNextHop; 1]>::try_from(next_hops) {
        Ok([only]) => via(only.next_hop, only.interface),
        Err(next_hops) => RouteTarget::Multipath(next_hops),
    }
}

/// The next hops of a route, with the interfaces that are named beside them.
pub(super) fn next_hops(route: &Route) -> impl Iterator<Item = (std::net::IpAddr, Option<&str>)> {
    let (one, several): (_, &[WeightedNextHop]) = match &route.target {
        RouteTarget::Via { next_hop, interface } => (Some((*next_hop, interface.as_deref())), &[]),
        RouteTarget::Multipath(next_hops) => (None, next_hops),
        _ => (None, &[]),
    };
    let several = several
        .iter()
        .map(|each| (each.next_hop, each.interface.as_deref()));
    one.into_iter().chain(several)
}

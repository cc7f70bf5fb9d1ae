//! Routes in requests, replies and events.

use std::net::IpAddr;

use ipnet::IpNet;
use packet::MacAddress;
use serde::{Deserialize, Serialize};

/// The most routes that one request may carry, by [`Route::size`]: it must fit into [`crate::client::MAX_FRAME`] bytes.
pub const ROUTES_PER_REQUEST: usize = 1000;
/// The most next hops that a route may have.
pub const MAX_NEXT_HOPS: usize = 32;
/// The largest weight of a next hop.
pub const MAX_WEIGHT: u16 = 256;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Without host bits.
    pub prefix: IpNet,
    /// Where it leads.
    pub target: RouteTarget,
    /// Of the routes to a prefix, the usable one with the lowest counts. `None`: 0 for IPv4 and 1024 for IPv6, as in Linux.
    pub metric: Option<u32>,
    /// Source of the gateway's own packets by this route.
    pub source: Option<IpAddr>,
    /// The longest packet that goes by it, bytes; `None` where only the interface's MTU counts.
    pub mtu: Option<u16>,
    /// Who made it, by its number in rt_protos; `None` leaves that to the primary.
    pub protocol: Option<u8>,
}

impl Route {
    /// A route with nothing said beside where it leads.
    pub fn new(prefix: IpNet, target: RouteTarget) -> Self {
        Self {
            prefix,
            target,
            metric: None,
            source: None,
            mtu: None,
            protocol: None,
        }
    }

    /// Its metric, that of its family where none is set.
    pub fn metric(&self) -> u32 {
        self.metric.unwrap_or(default_metric(self.prefix))
    }

    /// How much of a request it is: 1, and 1 for each of several next hops.
    pub fn size(&self) -> usize {
        match &self.target {
            RouteTarget::Multipath(next_hops) => 1 + next_hops.len(),
            _ => 1,
        }
    }
}

/// The metric of a route to `prefix` for which none is set.
pub fn default_metric(prefix: IpNet) -> u32 {
    match prefix {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1024,
    }
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteTarget {
    /// To a neighbour on a connected subnet.
    Via {
        /// The neighbour's address, of the prefix's family.
        next_hop: IpAddr,
        /// Name of the interface that it is on: needed for link-local addresses, which are on every link.
        interface: Option<String>,
    },
    /// Out of an interface, every destination being a neighbour there.
    Interface(String),
    /// Nowhere.
    Blackhole,
    /// To several neighbours, each flow to one of them; at most [`MAX_NEXT_HOPS`].
    Multipath(Vec<WeightedNextHop>),
    /// Nowhere, and the sender is told that nobody is there.
    Unreachable,
    /// Nowhere, and the sender is told that it is not allowed.
    Prohibit,
}

/// One of several next hops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedNextHop {
    /// As in [`RouteTarget::Via`].
    pub next_hop: IpAddr,
    /// As in [`RouteTarget::Via`].
    pub interface: Option<String>,
    /// Its share of the flows, beside the weights of the others: 1 to [`MAX_WEIGHT`].
    pub weight: u16,
}

/// A route to delete: of those that match, the one with the lowest metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteKey {
    /// Without host bits.
    pub prefix: IpNet,
    /// Its metric; `None` matches any.
    pub metric: Option<u32>,
    /// Its next hop, or one of its next hops; `None` matches any.
    pub next_hop: Option<IpAddr>,
}

impl From<IpNet> for RouteKey {
    fn from(prefix: IpNet) -> Self {
        Self {
            prefix,
            metric: None,
            next_hop: None,
        }
    }
}

/// What tells the packets of one flow from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Where to.
    pub destination: IpAddr,
    /// Where from, of the same family; `None` stands for anywhere.
    pub source: Option<IpAddr>,
    /// Protocol number, of what follows the IP header.
    pub protocol: u8,
    /// Source and destination port of TCP, UDP and the like.
    pub ports: Option<(u16, u16)>,
    /// Flow label of IPv6.
    pub label: u32,
}

impl Flow {
    /// Packets to this address of which nothing else is said.
    pub fn to(destination: IpAddr) -> Self {
        Self {
            destination,
            source: None,
            protocol: 0,
            ports: None,
            label: 0,
        }
    }
}

/// Why a destination goes where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteExplanation {
    /// The destination that was asked for.
    pub destination: IpAddr,
    /// The longest prefix that matches; `None` when there is no route.
    pub prefix: Option<IpNet>,
    /// Kind of the route as `route show` names it.
    pub kind: Option<String>,
    /// The next hop: the gateway, or the destination itself on a connected subnet. Of several, that of the flow.
    pub next_hop: Option<IpAddr>,
    /// The interface it leaves by.
    pub interface: Option<String>,
    /// State of the neighbour that is the next hop, as `neigh show` names it.
    pub neighbor_state: Option<String>,
    /// MAC address that packets are sent to.
    pub mac: Option<MacAddress>,
    /// Who made the route, as `route show` names it.
    pub protocol: Option<String>,
    /// Metric of the route.
    pub metric: Option<u32>,
    /// Source of the gateway's own packets by the route, where one is set.
    pub source: Option<IpAddr>,
    /// The longest packet that goes there unfragmented, bytes: the lower of the interface's MTU and the route's.
    pub mtu: Option<u16>,
    /// How many next hops the route has and how many of them are in service, where there are several.
    pub next_hops: Option<(u16, u16)>,
    /// What becomes of a packet, in a sentence.
    pub outcome: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Request};

    fn fits(route: Route) {
        let count = ROUTES_PER_REQUEST / route.size();
        let request = Request::RouteAdd {
            routes: vec![route; count],
            replace: true,
        };
        let envelope = Envelope {
            id: u32::MAX,
            body: request,
        };
        let frame = postcard::to_stdvec(&envelope).unwrap();
        assert!(frame.len() <= crate::client::MAX_FRAME, "{}", frame.len());
    }

    #[test]
    fn the_largest_requests_fit_into_a_frame() {
        let prefix = IpNet::V6(ipnet::Ipv6Net::new(std::net::Ipv6Addr::from_bits(u128::MAX), 128).unwrap());
        let (next_hop, interface) = (
            std::net::Ipv6Addr::LOCALHOST.into(),
            Some("a-name-of-fifte".to_owned()),
        );
        let several = WeightedNextHop {
            next_hop,
            interface: interface.clone(),
            weight: MAX_WEIGHT,
        };
        for target in [
            RouteTarget::Via { next_hop, interface },
            RouteTarget::Multipath(vec![several.clone(); 2]),
            RouteTarget::Multipath(vec![several; MAX_NEXT_HOPS]),
        ] {
            fits(Route {
                metric: Some(u32::MAX),
                source: Some(next_hop),
                mtu: Some(u16::MAX),
                protocol: Some(u8::MAX),
                ..Route::new(prefix, target)
            });
        }
    }
}

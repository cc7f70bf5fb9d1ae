//! Whether a route can be, before anything is changed for it.

use std::net::IpAddr;

use control::message::{
    ControlError, ErrorCode, MAX_NEXT_HOPS, MAX_WEIGHT, Route, RouteTarget, WeightedNextHop,
};
use ipnet::IpNet;

use super::Tables;
use super::forwarding::is_link_local;
use super::groups::PlannedMember;
use super::refusal::refuse;
use crate::adjacency;

/// Every network forwards packets of so many bytes whole: RFC 791 section 3.2, RFC 8200 section 5.
const MIN_MTU4: u16 = 68;
const MIN_MTU6: u16 = 1280;

/// A checked target. The next hops need not be known as neighbours yet.
pub(super) enum Planned {
    Via(PlannedMember),
    /// With the MTU of the route.
    Group(Vec<PlannedMember>, Option<u16>),
    Glean(u16),
    Blackhole,
    Unreachable,
    Prohibit,
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// What the route asks for, or why it cannot be.
    pub(super) fn plan(&self, route: &Route, replace: bool) -> Result<Planned, ControlError> {
        let prefix = route.prefix;
        check_host_bits(prefix)?;
        check_forwardable(prefix)?;
        if let Some(own) = self.candidates.own(prefix) {
            return Err(refuse(
                ErrorCode::Exists,
                self.own_route_sentence(prefix, own.target),
            ));
        }
        if !replace && self.given_of_metric(prefix, route.metric()).is_some() {
            let sentence = format!("there is a route to {prefix} already: to change it, replace it");
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        self.check_attributes(route)?;
        match &route.target {
            RouteTarget::Via { next_hop, interface } => {
                let member = self.plan_via(prefix, *next_hop, interface.as_deref(), 1)?;
                // The MTU of a route is its group's.
                Ok(match route.mtu {
                    None => Planned::Via(member),
                    mtu => Planned::Group(vec![member], mtu),
                })
            }
            RouteTarget::Multipath(next_hops) => self.plan_multipath(prefix, next_hops, route.mtu),
            RouteTarget::Interface(name) => {
                let interface = self.interface_index(name)?;
                // Neighbours must be asked from an address.
                let family = prefix.addr().is_ipv4();
                if !self.is_tunnel(interface)
                    && !self
                        .addresses
                        .iter()
                        .any(|own| own.interface == interface && own.net.addr().is_ipv4() == family)
                {
                    let sentence = format!(
                        "the route to {prefix} leaves by {name}, which has no {} address: add one first",
                        if family { "IPv4" } else { "IPv6" }
                    );
                    return Err(refuse(ErrorCode::Invalid, sentence));
                }
                Ok(Planned::Glean(interface))
            }
            RouteTarget::Blackhole => Ok(Planned::Blackhole),
            RouteTarget::Unreachable => Ok(Planned::Unreachable),
            RouteTarget::Prohibit => Ok(Planned::Prohibit),
        }
    }

    /// Fails when the route cannot have this source or MTU.
    fn check_attributes(&self, route: &Route) -> Result<(), ControlError> {
        let prefix = route.prefix;
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        if let Some(source) = route.source {
            if source.is_ipv4() != prefix.addr().is_ipv4() {
                return invalid(format!(
                    "the source {source} of {prefix} is of the other address family"
                ));
            }
            if !self.addresses.iter().any(|own| own.net.addr() == source) {
                return invalid(format!(
                    "the source {source} of {prefix} is no address of the gateway: give it one that 'addr show' lists"
                ));
            }
        }
        let Some(mtu) = route.mtu else {
            return Ok(());
        };
        let least = if prefix.addr().is_ipv4() {
            MIN_MTU4
        } else {
            MIN_MTU6
        };
        if mtu < least {
            return invalid(format!(
                "the mtu {mtu} of {prefix} is too low: give it {least} at least"
            ));
        }
        match route.target {
            RouteTarget::Via { .. } | RouteTarget::Multipath(_) => Ok(()),
            RouteTarget::Interface(_) => invalid(format!(
                "the route to {prefix} leads out of an interface, whose MTU counts: leave the route's mtu out, or name a next hop"
            )),
            _ => invalid(format!(
                "the route to {prefix} leads nowhere, so that no packet is too long for it: leave its mtu out"
            )),
        }
    }

    fn plan_multipath(
        &self,
        prefix: IpNet,
        next_hops: &[WeightedNextHop],
        mtu: Option<u16>,
    ) -> Result<Planned, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        if next_hops.is_empty() || next_hops.len() > MAX_NEXT_HOPS {
            return invalid(format!(
                "the route to {prefix} has {} next hops: give it 1 to {MAX_NEXT_HOPS}",
                next_hops.len()
            ));
        }
        let mut members: Vec<PlannedMember> = Vec::with_capacity(next_hops.len());
        for WeightedNextHop {
            next_hop,
            interface,
            weight,
        } in next_hops
        {
            if !(1..=MAX_WEIGHT).contains(weight) {
                return invalid(format!(
                    "the weight {weight} of the next hop {next_hop} of {prefix} is out of range: use 1 to {MAX_WEIGHT}"
                ));
            }
            let member = self.plan_via(prefix, *next_hop, interface.as_deref(), *weight)?;
            let same = |other: &PlannedMember| {
                (other.interface, other.next_hop) == (member.interface, member.next_hop)
            };
            if members.iter().any(same) {
                return invalid(format!(
                    "the next hop {next_hop} of {prefix} is named twice: give it the sum of both weights"
                ));
            }
            members.push(member);
        }
        Ok(match (members.as_slice(), mtu) {
            ([only], None) => Planned::Via(*only),
            _ => Planned::Group(members, mtu),
        })
    }

    fn plan_via(
        &self,
        prefix: IpNet,
        next_hop: IpAddr,
        on: Option<&str>,
        weight: u16,
    ) -> Result<PlannedMember, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        if prefix.addr().is_ipv4() != next_hop.is_ipv4() {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is of the other address family: name one of its own"
            ));
        }
        let on = on.map(|name| self.interface_index(name)).transpose()?;
        if is_link_local(next_hop) {
            return self.plan_via_link_local(prefix, next_hop, on, weight);
        }
        if let Some(own) = self.addresses.iter().find(|own| own.net.addr() == next_hop) {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is the gateway's own address on {}: name the other router's",
                self.interface_name(own.interface)
            ));
        }
        match self.subnet_of(next_hop) {
            None => invalid(format!(
                "the next hop {next_hop} of {prefix} is on no connected subnet: there are {}",
                self.subnets()
            )),
            Some(own) if !own.is_host(next_hop) => invalid(format!(
                "the next hop {next_hop} of {prefix} is the network, anycast or broadcast address of {}: name a host's",
                own.net.trunc()
            )),
            Some(own) if on.is_some_and(|on| on != own.interface) => invalid(format!(
                "the next hop {next_hop} of {prefix} is on {}, by {}: leave the interface out, or name that one",
                self.interface_name(own.interface),
                own.net.trunc()
            )),
            Some(own) => Ok(PlannedMember {
                interface: own.interface,
                next_hop,
                weight,
            }),
        }
    }

    /// Every link has its own fe80::/64, so that only the interface tells which is meant.
    fn plan_via_link_local(
        &self,
        prefix: IpNet,
        next_hop: IpAddr,
        on: Option<u16>,
        weight: u16,
    ) -> Result<PlannedMember, ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let Some(interface) = on else {
            return invalid(format!(
                "the next hop {next_hop} of {prefix} is link-local, which is on every link: name the interface as well"
            ));
        };
        let name = self.interface_name(interface);
        match self.link_local(interface) {
            None => invalid(format!(
                "the next hop {next_hop} of {prefix} is link-local, and {name} has no IPv6 address: add one first"
            )),
            Some(own) if own.net.addr() == next_hop => invalid(format!(
                "the next hop {next_hop} of {prefix} is the gateway's own address on {name}: name the other router's"
            )),
            Some(_) => Ok(PlannedMember {
                interface,
                next_hop,
                weight,
            }),
        }
    }
}

/// Fails when a prefix has bits beyond its length.
pub(super) fn check_host_bits(prefix: IpNet) -> Result<(), ControlError> {
    if prefix == prefix.trunc() {
        return Ok(());
    }
    let sentence = format!("{prefix} has host bits set; did you mean {}?", prefix.trunc());
    Err(refuse(ErrorCode::Invalid, sentence))
}

/// Fails when no packet for the prefix is ever forwarded, whatever the routes.
fn check_forwardable(prefix: IpNet) -> Result<(), ControlError> {
    let IpNet::V6(net) = prefix else {
        return Ok(());
    };
    let reason = if net.addr().is_multicast() {
        "multicast, which is not forwarded"
    } else if net.prefix_len() >= 10 && net.addr().is_unicast_link_local() {
        "link-local, which never leaves its link"
    } else if prefix == IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)) {
        "the loopback address, which never leaves its host"
    } else {
        return Ok(());
    };
    Err(refuse(
        ErrorCode::Invalid,
        format!("{prefix} is {reason}: leave the route out"),
    ))
}

//! One change of what runs, and its line in what `--dry-run` prints.

use std::fmt;

use control::message::{PuntClass, Route, RouteTarget, Service, Tunnel};
use ipnet::IpNet;
use shm::records::RouteProtocol;

use super::services::{Differences, Said};
use crate::attachments::ClassPolicy;
use crate::config::{HopByHop, LoadBalancer, Neighbor, RouterAlert, SubInterface};
use crate::log::LogConfig;

/// What a change does, and the sign that its line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `+`
    Add,
    /// `-`
    Delete,
    /// `~`
    Change,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make a sub-interface. Its addresses are changes of their own.
    LinkAdd(SubInterface),
    /// Delete a sub-interface, on which nothing is left.
    LinkDelete(SubInterface),
    /// Make a tunnel. Its addresses are changes of their own.
    TunnelAdd(Tunnel),
    /// Change a tunnel.
    TunnelSet {
        /// What runs.
        before: Tunnel,
        /// What it is to be.
        after: Tunnel,
    },
    /// Delete a tunnel, on which nothing is left.
    TunnelDelete(Tunnel),
    /// Set an interface up or down.
    LinkSet {
        /// Its name.
        interface: String,
        /// Up or down.
        up: bool,
    },
    /// Send redirects to an interface, or none.
    Redirects {
        /// Its name.
        interface: String,
        /// Whether they are sent.
        on: bool,
    },
    /// Judge the hop-by-hop headers of what comes in by an interface, or not.
    HopByHop {
        /// Its name.
        interface: String,
        /// What becomes of them.
        hop_by_hop: HopByHop,
    },
    /// Give an interface an address.
    AddressAdd {
        /// Name of the interface.
        interface: String,
        /// Address and length of the subnet.
        address: IpNet,
    },
    /// Take an address from an interface.
    AddressDelete {
        /// Name of the interface.
        interface: String,
        /// As it was given.
        address: IpNet,
    },
    /// Add a route.
    RouteAdd(Route),
    /// Put a route in the place of another to the same prefix with the same metric. Both are the same where it goes with the
    /// subnet of its next hop and comes again.
    RouteReplace {
        /// What runs.
        before: Route,
        /// What takes its place.
        after: Route,
    },
    /// Delete a route.
    RouteDelete(Route),
    /// Add a static neighbour.
    NeighborAdd(Neighbor),
    /// Give a static neighbour another MAC address, or the same again where it went with its subnet.
    NeighborReplace(Neighbor),
    /// Delete a static neighbour.
    NeighborDelete(Neighbor),
    /// Change what a class of packets is like that is handed to others.
    Punt {
        /// The class.
        class: PuntClass,
        /// What it is to be like.
        policy: ClassPolicy,
    },
    /// Change what is made of packets with a router alert.
    RouterAlert(RouterAlert),
    /// Add a service.
    ServiceAdd(Box<Service>),
    /// Change a service; its connections stay where what they use stays.
    ServiceSet {
        /// What runs.
        before: Box<Service>,
        /// What it is to be.
        after: Box<Service>,
    },
    /// Delete a service.
    ServiceDelete(Box<Service>),
    /// Change when connections end, and what is done with ICMP.
    LoadBalancer {
        /// What runs.
        before: LoadBalancer,
        /// What it is to be.
        after: LoadBalancer,
    },
    /// Log otherwise.
    Log(LogConfig),
}

impl Change {
    /// What it does.
    pub fn verb(&self) -> Verb {
        match self {
            Self::LinkAdd(_)
            | Self::TunnelAdd(_)
            | Self::AddressAdd { .. }
            | Self::ServiceAdd(_)
            | Self::RouteAdd(_)
            | Self::NeighborAdd(_) => Verb::Add,
            Self::LinkDelete(_)
            | Self::TunnelDelete(_)
            | Self::AddressDelete { .. }
            | Self::ServiceDelete(_)
            | Self::RouteDelete(_)
            | Self::NeighborDelete(_) => Verb::Delete,
            Self::LinkSet { .. }
            | Self::TunnelSet { .. }
            | Self::Redirects { .. }
            | Self::HopByHop { .. }
            | Self::ServiceSet { .. }
            | Self::LoadBalancer { .. }
            | Self::RouteReplace { .. }
            | Self::NeighborReplace(_)
            | Self::Punt { .. }
            | Self::RouterAlert(_)
            | Self::Log(_) => Verb::Change,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Delete => "-",
            Self::Change => "~",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.verb())?;
        match self {
            Self::LinkAdd(link) | Self::LinkDelete(link) => write!(
                f,
                "link {} link {} proto {} id {} mtu {}",
                link.name,
                link.link,
                link.protocol.name(),
                link.id,
                link.mtu
            ),
            Self::TunnelAdd(tunnel) | Self::TunnelDelete(tunnel) => write!(f, "tunnel {tunnel}"),
            Self::TunnelSet { before, after } => write!(f, "tunnel {after} (was {before})"),
            Self::LinkSet { interface, up } => {
                write!(f, "link {interface} admin {}", if *up { "up" } else { "down" })
            }
            Self::Redirects { interface, on } => {
                write!(f, "link {interface} redirects {}", if *on { "on" } else { "off" })
            }
            Self::HopByHop {
                interface,
                hop_by_hop,
            } => write!(f, "link {interface} hop_by_hop {hop_by_hop}"),
            Self::AddressAdd { interface, address } | Self::AddressDelete { interface, address } => {
                write!(f, "address {address} dev {interface}")
            }
            Self::RouteAdd(route) | Self::RouteDelete(route) => write!(f, "route {}", Words(route)),
            Self::RouteReplace { before, after } if before == after => {
                write!(
                    f,
                    "route {} (again, as the subnet of its next hop is)",
                    Words(after)
                )
            }
            Self::RouteReplace { before, after } => {
                write!(f, "route {} (was {})", Words(after), Words(before))
            }
            Self::NeighborAdd(neighbor)
            | Self::NeighborReplace(neighbor)
            | Self::NeighborDelete(neighbor) => write!(
                f,
                "neighbor {} lladdr {} dev {}",
                neighbor.address, neighbor.mac, neighbor.interface
            ),
            Self::Punt { class, policy } => {
                write!(
                    f,
                    "punt {} rate {} burst {}",
                    class.name(),
                    policy.rate,
                    policy.burst
                )?;
                if class.is_for_tools() {
                    let fail = policy.fail.name();
                    write!(f, " fail {fail} deadline_ms {}", policy.deadline_ms)?;
                }
                Ok(())
            }
            Self::RouterAlert(router_alert) => write!(f, "router_alert {router_alert}"),
            Self::ServiceAdd(service) | Self::ServiceDelete(service) => {
                write!(f, "service {}", Said(service))
            }
            Self::ServiceSet { before, after } => write!(f, "service {}", Differences(before, after)),
            Self::LoadBalancer { before, after } => write_load_balancer(f, before, after),
            Self::Log(log) => write!(f, "log level {} target {}", log.levels, log.target),
        }
    }
}

/// What differs.
fn write_load_balancer(
    f: &mut fmt::Formatter<'_>,
    before: &LoadBalancer,
    after: &LoadBalancer,
) -> fmt::Result {
    f.write_str("load_balancer")?;
    for ((key, old), (_, new)) in before.numbers().into_iter().zip(after.numbers()) {
        if old != new {
            write!(f, " {key} {new} (was {old})")?;
        }
    }
    for ((key, old), (_, new)) in before.switches().into_iter().zip(after.switches()) {
        if old != new {
            write!(f, " {key} {new} (was {old})")?;
        }
    }
    for ((key, old), (_, new)) in before.words().into_iter().zip(after.words()) {
        if old != new {
            write!(f, " {key} {new} (was {old})")?;
        }
    }
    Ok(())
}

/// A route in the words of ip-route(8), as `tollgate-ctl route add` takes it.
struct Words<'a>(&'a Route);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = self.0;
        let prefix = |f: &mut fmt::Formatter<'_>| match route.prefix.prefix_len() {
            // The family of "default" cannot be seen where no next hop stands beside it.
            0 if matches!(route.target, RouteTarget::Via { .. } | RouteTarget::Multipath(_)) => {
                f.write_str("default")
            }
            _ => write!(f, "{}", route.prefix),
        };
        let nowhere = match route.target {
            RouteTarget::Blackhole => "blackhole ",
            RouteTarget::Unreachable => "unreachable ",
            RouteTarget::Prohibit => "prohibit ",
            _ => "",
        };
        f.write_str(nowhere)?;
        prefix(f)?;
        let on = |interface: &Option<String>| {
            let name = interface.as_deref();
            name.map_or(String::new(), |name| format!(" dev {name}"))
        };
        match &route.target {
            RouteTarget::Via { next_hop, interface } => write!(f, " via {next_hop}{}", on(interface))?,
            RouteTarget::Interface(interface) => write!(f, " dev {interface}")?,
            RouteTarget::Multipath(next_hops) => {
                for each in next_hops {
                    let on = on(&each.interface);
                    write!(f, " nexthop via {}{on} weight {}", each.next_hop, each.weight)?;
                }
            }
            RouteTarget::Blackhole | RouteTarget::Unreachable | RouteTarget::Prohibit => {}
        }
        if let Some(metric) = route
            .metric
            .filter(|metric| *metric != control::message::default_metric(route.prefix))
        {
            write!(f, " metric {metric}")?;
        }
        if let Some(mtu) = route.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(source) = route.source {
            write!(f, " src {source}")?;
        }
        match route.protocol.map(RouteProtocol) {
            None | Some(RouteProtocol::STATIC) => Ok(()),
            Some(protocol) => write!(f, " proto {protocol}"),
        }
    }
}

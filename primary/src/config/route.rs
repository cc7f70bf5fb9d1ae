//! `[[route]]`, parsed by itself: keys, types, ranges. What it says of other sections is looked at in [`super::check`].

use std::net::IpAddr;

use control::message::{MAX_NEXT_HOPS, MAX_WEIGHT, Route, RouteTarget, WeightedNextHop, default_metric};
use ipnet::IpNet;
use shm::records::RouteProtocol;

use super::address::{NeighborAddress, Prefix};
use document::{At, Section};

/// `[[route]]` as far as it could be read.
pub(super) struct RawRoute {
    pub(super) prefix: Option<At<IpNet>>,
    /// That of `via`, or those of `nexthops`.
    pub(super) next_hops: Vec<RawNextHop>,
    /// What the route leads out of, where there is no next hop.
    pub(super) interface: Option<At<String>>,
    /// Whether that was written as a tunnel.
    pub(super) names_tunnel: bool,
    pub(super) source: Option<At<IpAddr>>,
    pub(super) mtu: Option<At<u16>>,
    metric: Option<u32>,
    protocol: Option<u8>,
    has_several: bool,
    nowhere: RouteTarget,
}

/// A next hop as far as it could be read.
pub(super) struct RawNextHop {
    pub(super) address: At<IpAddr>,
    pub(super) interface: Option<At<String>>,
    weight: u16,
}

impl RawNextHop {
    /// An entry of `nexthops`.
    fn parse(section: Section<'_>) -> Option<Self> {
        let address = section.parsed::<NeighborAddress>("via");
        section.missing("via", "\"192.168.10.2\"");
        let interface = section.string("interface").map(|at| at.map(str::to_owned));
        let weight = section.integer("weight", 1..=MAX_WEIGHT).map_or(1, |at| at.value);
        section.finish();
        Some(Self {
            address: address?.map(|address| address.0),
            interface,
            weight,
        })
    }
}

impl RawRoute {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let document = section.document;
        let prefix = section.parsed::<Prefix>("prefix");
        section.missing("prefix", "\"192.168.3.0/24\"");
        let via_text = section.string("via");
        let via = via_text
            .as_ref()
            .and_then(|text| section.parse::<NeighborAddress>(text))
            .map(|at| at.map(|via| via.0));
        let interface = section.string("interface").map(|at| at.map(str::to_owned));
        let entries = section.tables("nexthops", "[{ via = \"192.168.10.2\", weight = 1 }]");
        let has_several = entries.is_some();
        let entries = entries.unwrap_or_default();
        if has_several && !(1..=MAX_NEXT_HOPS).contains(&entries.len()) {
            let place = entries.first().map_or(section.place, |entry| entry.place);
            let sentence = format!("there are {} nexthops: give 1 to {MAX_NEXT_HOPS}", entries.len());
            document.report(place, sentence);
        }
        if let (true, Some(at)) = (has_several, &interface) {
            let sentence = "interface stands beside nexthops: name it in each of those that needs it";
            document.report(at.place, sentence);
        }
        let mut unread = via_text.is_some() && via.is_none();
        let mut next_hops = Vec::new();
        for entry in entries {
            let next_hop = RawNextHop::parse(entry);
            unread |= next_hop.is_none();
            next_hops.extend(next_hop);
        }
        let family = via
            .as_ref()
            .or(next_hops.first().map(|next_hop| &next_hop.address));
        let family = family.map(|at| at.value);
        // Of which family the default is cannot be said when the next hop cannot be read.
        let prefix = prefix
            .filter(|at| !unread || at.value != Prefix::Default)
            .map(|at| at.map(|prefix| prefix.of_route(family)));

        let tunnel = section.string("tunnel").map(|at| at.map(str::to_owned));
        let nowhere: Vec<_> = [
            ("blackhole", RouteTarget::Blackhole),
            ("unreachable", RouteTarget::Unreachable),
            ("prohibit", RouteTarget::Prohibit),
        ]
        .into_iter()
        .filter_map(|(key, target)| Some((key, target, section.boolean(key)?)))
        .collect();
        for (key, _, at) in nowhere.iter().filter(|(_, _, at)| !at.value) {
            document.report(at.place, format!("{key} = false says nothing: remove it"));
        }
        let named = usize::from(via_text.is_some() || (interface.is_some() && !has_several))
            + usize::from(has_several)
            + nowhere.len()
            + usize::from(tunnel.is_some());
        if named != 1 {
            let which = prefix.as_ref().map_or_else(
                || "this route".to_owned(),
                |at| format!("the route to {}", at.value),
            );
            let sentence = format!(
                "{which} must lead to one thing: give it one of via, nexthops, interface, tunnel, blackhole = true, \
                 unreachable = true, prohibit = true"
            );
            document.report(prefix.as_ref().map_or(section.place, |at| at.place), sentence);
        }
        let source = section
            .parsed::<NeighborAddress>("src")
            .map(|at| at.map(|address| address.0));
        let mtu = section.integer("mtu", 68..=u16::MAX);
        let metric = section.integer("metric", 0..=u32::MAX).map(|at| at.value);
        let protocol = section.parsed::<RouteProtocol>("proto").map(|at| at.value.0);
        section.finish();
        let (interface, of_via) = match via {
            Some(address) => {
                next_hops.push(RawNextHop {
                    address,
                    interface,
                    weight: 1,
                });
                (None, true)
            }
            None => (interface, false),
        };
        let names_tunnel = interface.is_none() && tunnel.is_some();
        let interface = interface.or(tunnel);
        Self {
            prefix,
            next_hops,
            interface,
            names_tunnel,
            source,
            mtu,
            metric,
            protocol,
            has_several: has_several && !of_via,
            nowhere: nowhere
                .into_iter()
                .next()
                .map_or(RouteTarget::Blackhole, |(_, target, _)| target),
        }
    }

    /// What tells it from other routes.
    pub(super) fn key(&self) -> Option<(At<IpNet>, u32)> {
        let prefix = self.prefix.as_ref()?;
        let metric = self.metric.unwrap_or(default_metric(prefix.value));
        let (place, value) = (prefix.place, prefix.value);
        Some((At { place, value }, metric))
    }

    /// Whether packets leave by it.
    pub(super) fn leads_somewhere(&self) -> bool {
        !self.next_hops.is_empty() || self.interface.is_some()
    }

    /// Whether destinations are asked for on the link of the interface itself.
    pub(super) fn leads_out_of(&self, interface: &str) -> bool {
        self.interface.as_ref().is_some_and(|at| at.value == interface)
    }

    /// The route, when nothing was wrong with it.
    pub(super) fn into_route(self) -> Option<Route> {
        let prefix = self.prefix?.value;
        let mut next_hops = self.next_hops.into_iter().map(|next_hop| WeightedNextHop {
            next_hop: next_hop.address.value,
            interface: next_hop.interface.map(|at| at.value),
            weight: next_hop.weight,
        });
        let target = if self.has_several {
            RouteTarget::Multipath(next_hops.collect())
        } else if let Some(WeightedNextHop {
            next_hop, interface, ..
        }) = next_hops.next()
        {
            RouteTarget::Via { next_hop, interface }
        } else if let Some(interface) = self.interface {
            RouteTarget::Interface(interface.value)
        } else {
            self.nowhere
        };
        Some(Route {
            metric: self.metric,
            source: self.source.map(|at| at.value),
            mtu: self.mtu.map(|at| at.value),
            protocol: self.protocol,
            ..Route::new(prefix, target)
        })
    }
}

//! Link-local addresses that interfaces make themselves: no file gives them, and a route may have one as its source.

use std::collections::HashMap;
use std::net::IpAddr;

use packet::{MacAddress, ipv6};

use super::reach::{Reach, is_link_local};
use super::services::all_addresses;
use crate::config::Config;

/// The address that each interface makes itself while it has addresses of IPv6 and is given none of this kind; `macs` are those of
/// the ports.
pub(super) fn made<'a>(config: &'a Config, macs: &[MacAddress]) -> HashMap<&'a str, IpAddr> {
    let of_port = |port: usize| Some(IpAddr::V6(ipv6::link_local(*macs.get(port)?)));
    let ports = config.interfaces.iter().enumerate();
    let ports = ports.map(|(port, of)| (of.name.as_str(), Some(port)));
    let links = config.sub_interfaces.iter();
    let links = links.map(|link| (link.name.as_str(), config.port_of(link)));
    ports
        .chain(links)
        .filter_map(|(name, port)| Some((name, of_port(port?)?)))
        .chain(config.tunnels.iter().map(|tunnel| {
            let tunnel = &tunnel.tunnel;
            (tunnel.name.as_str(), tunnel.link_local())
        }))
        .collect()
}

/// Fails if the source of a route is a link-local address that no interface will have: by itself the file cannot tell.
pub fn check_sources(wanted: &Config, macs: &[MacAddress]) -> Result<(), String> {
    let reach = Reach::of(all_addresses(wanted)).making(&made(wanted, macs));
    for route in &wanted.routes {
        if let Some(source) = route.source.filter(|source| is_link_local(*source))
            && !reach.is_source(source)
        {
            return Err(format!(
                "src = '{source}' of the route to {} is the link-local address of no interface: name one that 'addr show' lists",
                route.prefix
            ));
        }
    }
    Ok(())
}

//! A configuration to start with: one interface, with the addresses, the MTU and the routes that the kernel's has now.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::host_facts::Cpus;
use super::network::{Network, Route};
use super::proposal::{Proposal, Way};
use super::report::comment;

/// What `[[interface]]` takes as mtu.
const MTU: std::ops::RangeInclusive<u32> = 68..=9000;
/// The longest name of an interface.
const NAME: usize = 15;
/// The longest name of an instance.
const INSTANCE: usize = 32;
/// Megabytes of memory for DPDK: the primary's default, which holds the default limits with any MTU.
const MEMORY_MB: u32 = 256;

/// The file, with what could not be taken over as comments.
pub(super) fn configuration(proposal: &Proposal<'_>, cpus: &Cpus, network: &Network) -> String {
    let title = proposal.nic.title();
    let name = interface_name(title);
    let interface = proposal.nic.interface.as_ref();
    let kernel = interface.map(|interface| interface.name.as_str());
    let present = interface.map_or(1500, |interface| interface.mtu);
    let mtu = present.clamp(*MTU.start(), *MTU.end());
    let worker = cpus.worker(proposal.nic.numa_node);

    let mut text = comment(&format!(
        "Tollgate on {title}. 'tollgate-primary --check --config FILE' says what it takes of the host."
    ));
    text.push_str(&format!(
        "\n[instance]\nname = {}\n\n[eal]\nmemory_mb = {MEMORY_MB}\n\n[workers]\nlcores       = [{worker}]\ncontrol_cpus = \
         [{}]\nidle         = \"adaptive\"\n\n[[interface]]\nname      = {}\ndevice    = {}\n",
        quoted(&instance_name(title)),
        cpus.control(worker),
        quoted(&name),
        quoted(&proposal.device().unwrap_or_default()),
    ));
    if proposal.way == Way::Kernel {
        let af_xdp = format!("net_af_xdp0,iface={}", kernel.unwrap_or_default());
        text.push_str(&comment(&format!(
            "device  = {} is faster where the driver has XDP",
            quoted(&af_xdp)
        )));
    }
    let addresses = Addresses::of(network, kernel);
    text.push_str(&addresses.text());
    text.push_str(&format!("mtu       = {mtu}\n"));
    if mtu != present {
        text.push_str(&comment(&format!(
            "The kernel's interface has an MTU of {present}."
        )));
    }
    for route in best_routes(network, kernel) {
        text.push_str(&addresses.route(route, &name));
    }
    text
}

/// The routes out of an interface, of several to one prefix that with the lowest metric.
fn best_routes<'a>(network: &'a Network, kernel: Option<&str>) -> Vec<&'a Route> {
    let mut best: Vec<&Route> = Vec::new();
    for route in &network.routes {
        if Some(route.interface.as_str()) != kernel {
            continue;
        }
        match best.iter_mut().find(|known| known.prefix == route.prefix) {
            Some(known) if route.metric < known.metric => *known = route,
            Some(_) => {}
            None => best.push(route),
        }
    }
    best
}

/// Addresses of an interface, as the primary takes them and those that it does not.
struct Addresses {
    good: Vec<Ipv4Net>,
    refused: Vec<String>,
}

impl Addresses {
    fn of(network: &Network, kernel: Option<&str>) -> Self {
        let mut addresses = Self {
            good: Vec::new(),
            refused: Vec::new(),
        };
        for found in network
            .addresses
            .iter()
            .filter(|found| Some(found.interface.as_str()) == kernel)
        {
            let net = match found.address {
                IpAddr::V4(address) => Ipv4Net::new(address, found.length).ok(),
                IpAddr::V6(_) => None,
            };
            let known = |net: &Ipv4Net| addresses.good.iter().any(|good| good.addr() == net.addr());
            match net {
                Some(net) if known(&net) => {}
                Some(net) if is_for_interface(net) => addresses.good.push(net),
                _ => addresses
                    .refused
                    .push(format!("{}/{}", found.address, found.length)),
            }
        }
        addresses
    }

    fn text(&self) -> String {
        let good: Vec<_> = self.good.iter().map(|net| quoted(&net.to_string())).collect();
        let mut text = format!("addresses = [{}]\n", good.join(", "));
        if self.good.is_empty() {
            text.push_str(&comment(
                "The kernel has no IPv4 address for it: write yours between the brackets, as in \"192.168.10.1/24\".",
            ));
        }
        if !self.refused.is_empty() {
            text.push_str(&comment(&format!(
                "Tollgate has no IPv6 yet, nor addresses that are no single host's: {}",
                self.refused.join(", ")
            )));
        }
        text
    }

    /// A route, as a comment if the primary would refuse it, and not at all if it makes it by itself.
    fn route(&self, route: &Route, name: &str) -> String {
        let connected = self.good.iter().any(|net| net.trunc() == route.prefix);
        let own = route.prefix.prefix_len() == 32 && self.has(route.prefix.addr());
        if connected || own {
            return String::new();
        }
        let prefix = quoted(&route.prefix.to_string());
        match route.via {
            Some(via) if !self.reaches(via) => comment(&format!(
                "The route to {} goes by {via}, which is on no subnet of this interface.",
                route.prefix
            )),
            Some(via) => format!(
                "\n[[route]]\nprefix = {prefix}\nvia    = {}\n",
                quoted(&via.to_string())
            ),
            None => format!(
                "\n[[route]]\nprefix    = {prefix}\ninterface = {}\n",
                quoted(name)
            ),
        }
    }

    fn has(&self, address: Ipv4Addr) -> bool {
        self.good.iter().any(|net| net.addr() == address)
    }

    /// Whether an address can be a next hop: another host's on a connected subnet.
    fn reaches(&self, via: Ipv4Addr) -> bool {
        let of_subnet = self
            .good
            .iter()
            .filter(|net| net.prefix_len() < 32 && net.contains(&via))
            .max_by_key(|net| net.prefix_len());
        !self.has(via) && of_subnet.is_some_and(|net| is_host(*net, via))
    }
}

/// What the primary takes as an address of an interface (RFC 1122 section 3.2.1.3).
fn is_for_interface(net: Ipv4Net) -> bool {
    let [first, ..] = net.addr().octets();
    net.prefix_len() > 0 && (1..224).contains(&first) && first != 127 && is_host(net, net.addr())
}

/// Whether an address is neither the subnet's own nor its broadcast address; a /31 has neither (RFC 3021).
fn is_host(net: Ipv4Net, address: Ipv4Addr) -> bool {
    net.prefix_len() >= 31 || (address != net.network() && address != net.broadcast())
}

/// A name for `[[interface]]`: that of the kernel's, or of the PCI address without its domain.
fn interface_name(title: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    title
        .trim_start_matches("0000:")
        .chars()
        .map(plain)
        .take(NAME)
        .collect()
}

/// A name for the instance: small letters and digits first, then also `-` and `_`.
fn instance_name(title: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = title
        .chars()
        .map(plain)
        .skip_while(|c| matches!(c, '-' | '_'))
        .take(INSTANCE)
        .collect();
    if name.is_empty() {
        "gateway".to_owned()
    } else {
        name
    }
}

/// A basic string, TOML v1.0.0, section "String".
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;

//! A configuration to start with: one interface, with the addresses, the MTU and the routes that the kernel's has now.

use std::net::IpAddr;

use ipnet::IpNet;

use super::host_facts::Cpus;
use super::network::{Network, Route};
use super::proposal::{Proposal, Way};
use super::report::comment;

/// What `[[interface]]` takes as mtu.
const MTU: std::ops::RangeInclusive<u32> = 68..=9000;
/// The MTU that IPv6 needs (RFC 8200 section 5).
const MTU6: u32 = 1280;
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
    let addresses = Addresses::of(network, kernel, mtu);
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
    good: Vec<IpNet>,
    refused: Vec<String>,
}

impl Addresses {
    fn of(network: &Network, kernel: Option<&str>, mtu: u32) -> Self {
        let mut addresses = Self {
            good: Vec::new(),
            refused: Vec::new(),
        };
        for found in network
            .addresses
            .iter()
            .filter(|found| Some(found.interface.as_str()) == kernel)
        {
            // The primary makes its own from the MAC address.
            if is_link_local(found.address) {
                continue;
            }
            match IpNet::new(found.address, found.length) {
                Ok(net) if addresses.has(net.addr()) => {}
                Ok(net) if is_for_interface(net) && (net.addr().is_ipv4() || mtu >= MTU6) => {
                    addresses.good.push(net);
                }
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
                "The kernel has no address for it: write yours between the brackets, as in \"192.168.10.1/24\" or \
                 \"2001:db8:10::1/64\".",
            ));
        }
        if !self.refused.is_empty() {
            text.push_str(&comment(&format!(
                "Addresses of the kernel that Tollgate does not take (they are no single host's, or of IPv6 with an MTU below \
                 {MTU6}): {}",
                self.refused.join(", ")
            )));
        }
        text
    }

    /// A route, as a comment if the primary would refuse it, and not at all if it makes it by itself.
    fn route(&self, route: &Route, name: &str) -> String {
        let prefix = route.prefix;
        let connected = self.good.iter().any(|net| net.trunc() == prefix);
        let own = prefix.prefix_len() == prefix.max_prefix_len() && self.has(prefix.addr());
        if connected || own {
            return String::new();
        }
        let head = format!("\n[[route]]\nprefix    = {}\n", quoted(&prefix.to_string()));
        let interface = format!("interface = {}\n", quoted(name));
        match route.via {
            Some(via) if !self.reaches(via) => comment(&format!(
                "The route to {prefix} goes by {via}, which is on no subnet of this interface."
            )),
            Some(via) => {
                let via = format!("via       = {}\n", quoted(&via.to_string()));
                // Every link may have a link-local address.
                let on = if route.via.is_some_and(is_link_local) {
                    &interface
                } else {
                    ""
                };
                format!("{head}{via}{on}")
            }
            None if !self.speaks(prefix.addr()) => comment(&format!(
                "The route to {prefix} leads out of this interface, which has no address of that family."
            )),
            None => format!("{head}{interface}"),
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.good.iter().any(|net| net.addr() == address)
    }

    /// Whether there is an address of the family of this one, to ask from.
    fn speaks(&self, address: IpAddr) -> bool {
        self.good
            .iter()
            .any(|net| net.addr().is_ipv4() == address.is_ipv4())
    }

    /// Whether an address can be a next hop: another host's on a connected subnet.
    fn reaches(&self, via: IpAddr) -> bool {
        if is_link_local(via) {
            return self.speaks(via);
        }
        let of_subnet = self
            .good
            .iter()
            .filter(|net| net.prefix_len() < net.max_prefix_len() && net.contains(&via))
            .max_by_key(|net| net.prefix_len());
        !self.has(via) && of_subnet.is_some_and(|net| is_host(*net, via))
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// What the primary takes as an address of an interface (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5).
fn is_for_interface(net: IpNet) -> bool {
    let unicast = match net.addr() {
        IpAddr::V4(v4) => (1..224).contains(&v4.octets()[0]) && !v4.is_loopback(),
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.to_ipv4_mapped().is_some())
        }
    };
    net.prefix_len() > 0 && unicast && is_host(net, net.addr())
}

/// Whether an address is a host's: neither the subnet's own, which of IPv6 is its routers', nor its broadcast address. A /31
/// and a /127 have none of these (RFC 3021, RFC 6164).
fn is_host(net: IpNet, address: IpAddr) -> bool {
    let two_or_one = net.max_prefix_len() - net.prefix_len() < 2;
    let broadcast = address.is_ipv4() && address == net.broadcast();
    two_or_one || (address != net.network() && !broadcast)
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

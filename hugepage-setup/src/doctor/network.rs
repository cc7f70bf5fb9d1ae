//! What the host does over its interfaces: addresses, routes, and the connections that it must not lose.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::ifaddrs::getifaddrs;

use crate::host::Host;

/// RTF_UP, RTF_GATEWAY and RTF_REJECT of `linux/route.h`.
const UP: u32 = 0x0001;
const GATEWAY: u32 = 0x0002;
const REJECT: u32 = 0x0200;
/// RTF_ANYCAST, RTF_CACHE and RTF_LOCAL of `linux/ipv6_route.h`: what the host makes for itself.
const MADE: u32 = 0x0010_0000 | 0x0100_0000 | 0x8000_0000;
/// TCP_ESTABLISHED.
const ESTABLISHED: &str = "01";

/// An address of an interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) interface: String,
    pub(super) address: IpAddr,
    /// Bits of the subnet's prefix.
    pub(super) length: u8,
}

/// A route of the kernel: of its main table, and of IPv6 of any table, since it tells those by one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) interface: String,
    pub(super) prefix: IpNet,
    /// The next hop; none for a subnet that the interface is on.
    pub(super) via: Option<IpAddr>,
    pub(super) metric: u32,
}

/// What the host does over an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    interface: String,
    reason: String,
}

/// The network of the host, as this network namespace has it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    needs: Vec<Need>,
}

impl Network {
    /// Reads the kernel's tables; one that is not there is empty.
    pub(super) fn read(host: &Host, addresses: &[Address], ssh_connection: Option<&str>) -> Self {
        let table = |name: &str| fs::read_to_string(host.proc.join("net").join(name)).unwrap_or_default();
        let mut routes = routes4(&table("route"));
        let default4 = routes
            .iter()
            .filter(|route| route.prefix.prefix_len() == 0)
            .map(|route| route.interface.clone());
        let default6 = default_routes6(&table("ipv6_route"));
        let mut needs: Vec<_> = default4
            .chain(default6)
            .map(|interface| Need {
                interface,
                reason: "the host's default route".to_owned(),
            })
            .collect();
        routes.extend(routes6(&table("ipv6_route")));
        let ports = ssh_ports(ssh_connection);
        let locals = [
            connections(&table("tcp"), &ports),
            connections(&table("tcp6"), &ports),
        ]
        .concat();
        let of_ssh = addresses
            .iter()
            .filter(|address| locals.contains(&address.address));
        needs.extend(of_ssh.map(|address| Need {
            interface: address.interface.clone(),
            reason: format!("an ssh connection to {}", address.address),
        }));
        Self {
            addresses: addresses.to_vec(),
            routes,
            needs,
        }
    }

    /// A network that the host itself does nothing over.
    #[cfg(test)]
    pub(super) fn new(addresses: Vec<Address>, routes: Vec<Route>) -> Self {
        Self {
            addresses,
            routes,
            needs: Vec::new(),
        }
    }

    /// Why the host cannot do without an interface: what goes over it, or over a bridge, bond or VLAN upon it.
    pub(super) fn need_of(&self, host: &Host, interface: &str) -> Option<String> {
        let carried = carried(&host.sys.join("class/net"), interface);
        let need = self.needs.iter().find(|need| carried.contains(&need.interface))?;
        let by = if need.interface == interface {
            String::new()
        } else {
            format!(" (by {})", need.interface)
        };
        Some(format!("{}{by}", need.reason))
    }
}

/// The addresses of all interfaces of this network namespace.
pub(super) fn addresses() -> Vec<Address> {
    let listed = getifaddrs().into_iter().flatten();
    let address = |found: nix::ifaddrs::InterfaceAddress| {
        let (address, mask) = (found.address?, found.netmask?);
        let (address, length) = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => (
                IpAddr::V4(v4.ip()),
                mask.as_sockaddr_in()?.ip().to_bits().count_ones(),
            ),
            (_, Some(v6)) => (
                IpAddr::V6(v6.ip()),
                mask.as_sockaddr_in6()?.ip().to_bits().count_ones(),
            ),
            _ => return None,
        };
        Some(Address {
            interface: found.interface_name,
            address,
            length: length as u8,
        })
    };
    listed.filter_map(address).collect()
}

/// The routes in `/proc/net/route` that lead somewhere.
fn routes4(text: &str) -> Vec<Route> {
    let route = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [
            interface,
            destination,
            gateway,
            flags,
            _references,
            _use,
            metric,
            mask,
            ..,
        ] = fields[..]
        else {
            return None;
        };
        let flags = is_used(flags)?;
        let prefix = Ipv4Net::with_netmask(ipv4(destination)?, ipv4(mask)?).ok()?;
        Some(Route {
            interface: interface.to_owned(),
            prefix: prefix.trunc().into(),
            via: (flags & GATEWAY != 0)
                .then(|| ipv4(gateway).map(IpAddr::V4))
                .flatten(),
            metric: metric.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// Interfaces of the default routes in `/proc/net/ipv6_route`, those of some sources only included.
fn default_routes6(text: &str) -> Vec<String> {
    let interface = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [destination, length, .., flags, interface] = fields[..] else {
            return None;
        };
        let default = length == "00" && destination.bytes().all(|byte| byte == b'0');
        (default && is_used(flags).is_some()).then(|| interface.to_owned())
    };
    text.lines().filter_map(interface).collect()
}

/// The routes in `/proc/net/ipv6_route` that lead off their link, for packets of all sources.
fn routes6(text: &str) -> Vec<Route> {
    let route = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [
            destination,
            length,
            _source,
            "00",
            gateway,
            metric,
            _references,
            _use,
            flags,
            interface,
        ] = fields[..]
        else {
            return None;
        };
        let flags = is_used(flags).filter(|flags| flags & MADE == 0)?;
        let address = |text: &str| {
            let bits = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())??;
            Some(Ipv6Addr::from_bits(bits))
        };
        let prefix = Ipv6Net::new(address(destination)?, u8::from_str_radix(length, 16).ok()?).ok()?;
        let on_link = prefix.addr().is_multicast() || prefix.addr().is_unicast_link_local();
        (!on_link).then_some(Route {
            interface: interface.to_owned(),
            prefix: prefix.trunc().into(),
            via: (flags & GATEWAY != 0)
                .then(|| address(gateway).map(IpAddr::V6))
                .flatten(),
            metric: u32::from_str_radix(metric, 16).ok()?,
        })
    };
    text.lines().filter_map(route).collect()
}

/// The flags of a route, unless it is down or refuses packets.
fn is_used(flags: &str) -> Option<u32> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (flags & UP != 0 && flags & REJECT == 0).then_some(flags)
}

/// Local addresses of the established connections in `/proc/net/tcp` or `/proc/net/tcp6` whose local port is one of
/// `ports`.
fn connections(text: &str, ports: &[u16]) -> Vec<IpAddr> {
    let local = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (address, port) = fields.next()?.split_once(':')?;
        let established = fields.nth(1)? == ESTABLISHED;
        let wanted = ports.contains(&u16::from_str_radix(port, 16).ok()?);
        if !established || !wanted {
            return None;
        }
        ipv4(address).map(IpAddr::V4).or_else(|| ipv6(address))
    };
    text.lines().skip(1).filter_map(local).collect()
}

/// An address as these tables have it: words of 32 bits of network order, in the machine's own.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let word = (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok())??;
    Some(Ipv4Addr::from(word.to_ne_bytes()))
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
        chunk.copy_from_slice(&ipv4(text.get(index * 8..index * 8 + 8)?)?.octets());
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// Ports on which ssh connections may come in: the usual one, and that of the connection that this process was started
/// from.
fn ssh_ports(ssh_connection: Option<&str>) -> Vec<u16> {
    let own = ssh_connection.and_then(|text| text.split_ascii_whitespace().nth(3)?.parse().ok());
    [22].into_iter().chain(own).collect()
}

/// The interface and all that lie upon it: its VLANs, its bridge, its bond.
fn carried(net: &Path, interface: &str) -> Vec<String> {
    let mut carried = vec![interface.to_owned()];
    let mut next = 0;
    while let Some(lower) = carried.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(net.join(lower)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let upper = name.to_str().and_then(|name| name.strip_prefix("upper_"));
            if let Some(upper) = upper.filter(|upper| !carried.iter().any(|known| known == upper)) {
                carried.push(upper.to_owned());
            }
        }
    }
    carried
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[cfg(target_endian = "little")]
    const ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t0002A8C0\t00000000\t0001\t0\t0\t7\t00FFFFFF\t0\t0\t0
eth2\t00000000\t0102A8C0\t0002\t0\t0\t100\t00000000\t0\t0\t0
*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
";

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_that_are_up_and_lead_somewhere_are_read() {
        let route = |interface: &str, prefix: &str, via: Option<&str>, metric| Route {
            interface: interface.into(),
            prefix: prefix.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            metric,
        };
        assert_eq!(
            routes4(ROUTE),
            [
                route("eth0", "0.0.0.0/0", Some("192.168.2.1"), 100),
                route("eth1", "192.168.2.0/24", None, 7),
            ]
        );
    }

    #[test]
    fn the_default_route_of_ipv6_is_that_which_does_not_refuse() {
        let zero = "0".repeat(32);
        let line = |length: &str, flags: &str, interface: &str| {
            format!("{zero} {length} {zero} 00 {zero} 00000400 00000001 00000000 {flags} {interface}\n")
        };
        let text = [
            line("00", "00000003", "eth0"),
            line("40", "00000001", "eth1"),
            line("00", "00200200", "lo"),
        ]
        .concat();
        assert_eq!(default_routes6(&text), ["eth0"]);
    }

    #[test]
    fn routes_of_ipv6_are_those_that_are_used_and_leave_their_link() {
        let zero = "0".repeat(32);
        let line = |destination: &str, gateway: &str, metric: &str, flags: &str, interface: &str| {
            let (address, length) = destination.split_once('/').unwrap();
            let hex = |text: &str| format!("{:032x}", text.parse::<Ipv6Addr>().unwrap().to_bits());
            format!(
                "{} {:02x} {zero} 00 {} {metric} 00000001 00000000 {flags} {interface}\n",
                hex(address),
                length.parse::<u8>().unwrap(),
                hex(gateway)
            )
        };
        let text = [
            line("::/0", "fe80::1", "00000400", "00450003", "eth0"),
            line("2001:db8:1::/64", "::", "00000100", "00000001", "eth1"),
            line("2001:db8:1::/128", "::", "00000000", "80300001", "eth1"),
            line("2001:db8:1::7/128", "::", "00000000", "80200001", "eth1"),
            line("fe80::/64", "::", "00000100", "00000001", "eth1"),
            line("ff00::/8", "::", "00000100", "00000001", "eth1"),
            line("2001:db8:2::/48", "2001:db8:1::2", "00000400", "00000002", "eth1"),
            line("::/0", "::", "ffffffff", "00200200", "lo"),
        ]
        .concat();
        let from_source = text.lines().next().unwrap().replace(" 00 ", " 40 ");
        let route = |interface: &str, prefix: &str, via: Option<&str>, metric| Route {
            interface: interface.into(),
            prefix: prefix.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            metric,
        };
        assert_eq!(
            routes6(&format!("{text}{from_source}\n")),
            [
                route("eth0", "::/0", Some("fe80::1"), 1024),
                route("eth1", "2001:db8:1::/64", None, 256),
            ]
        );
    }

    // A listener on 22, a connection to 192.168.2.10 port 22, one from there to somewhere's port 22, a closing one.
    #[cfg(target_endian = "little")]
    #[test]
    fn connections_to_the_ports_asked_for_are_found() {
        let text = "sl local_address rem_address st\n\
            0: 00000000:0016 00000000:0000 0A\n\
            1: 0A02A8C0:0016 0B02A8C0:C350 01\n\
            2: 0A02A8C0:C351 0B02A8C0:0016 01\n\
            3: 0A03A8C0:0016 0B02A8C0:C352 06\n\
            4: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C350 01\n";
        let found: Vec<_> = connections(text, &[22]).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.168.2.10", "2001:db8::1"]);
        assert!(connections(text, &[23]).is_empty());
        assert_eq!(ssh_ports(Some("192.0.2.7 50000 192.0.2.1 2222")), [22, 2222]);
    }

    #[test]
    fn loopback_has_the_address_that_every_host_has() {
        let loopback = addresses()
            .into_iter()
            .find(|address| address.address == IpAddr::V4(Ipv4Addr::LOCALHOST));
        if let Some(address) = loopback {
            assert_eq!((address.interface.as_str(), address.length), ("lo", 8));
        } else {
            eprintln!("NOT TESTED: the loopback interface of this network namespace is down");
        }
    }

    proptest! {
        #[test]
        fn any_text_in_place_of_a_kernel_table_is_survived(text in "[ -~\n\t]{0,200}") {
            let _ = (routes4(&text), routes6(&text), default_routes6(&text), connections(&text, &[22]));
        }
    }
}

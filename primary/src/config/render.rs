//! A configuration as the text of a file, from which the same configuration comes back.
//!
//! Everything is written out, defaults of sections that only a restart changes included, so that the file means the same to
//! a machine with other CPUs.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use control::message::{
    Dscp, PuntClass, Route, RouteTarget, Service, ServiceOptions, WeightedNextHop, default_metric,
};
use ipnet::IpNet;
use shm::records::RouteProtocol;

use super::{BondMode, Config, HopByHop, Interface, Neighbor, Overrides, SpreadPolicy, SubInterface, Tunnel};

/// Text as TOML has it in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Values as a TOML list.
fn list<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("[{}]", values.join(", "))
}

fn quoted_list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    list(values.into_iter().map(Quoted))
}

impl Config {
    /// The text of a file that says this. What the command line said beside the file of this primary is left out where the same
    /// command line would say it again, but for log levels: those that it raised are the ones that run.
    pub fn render(&self, overrides: &Overrides) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, overrides);
        text
    }

    fn write(&self, out: &mut String, overrides: &Overrides) -> fmt::Result {
        let instance = &self.instance;
        writeln!(out, "[instance]\nname = {}", Quoted(instance.name.as_str()))?;
        if let Some(netns) = &instance.netns {
            writeln!(out, "netns = {}", Quoted(netns))?;
        }
        writeln!(out, "file_prefix = {}", Quoted(&instance.file_prefix))?;
        if let Some(group) = &instance.group {
            writeln!(out, "group = {}", Quoted(&group.name))?;
        }
        let (levels, target) = (self.log.levels.to_string(), self.log.target.to_string());
        writeln!(
            out,
            "\n[log]\nlevel = {}\ntarget = {}",
            Quoted(&levels),
            Quoted(&target)
        )?;
        self.write_eal(out, overrides)?;
        let devices = self.crypto.devices.iter().map(String::as_str);
        writeln!(out, "\n[crypto]\ndevices = {}", quoted_list(devices))?;
        writeln!(out, "\n[limits]")?;
        for (key, value) in self.limits.each() {
            writeln!(out, "{key} = {value}")?;
        }
        let spread = match self.workers.spread {
            SpreadPolicy::Auto => "auto",
            SpreadPolicy::Off => "off",
        };
        writeln!(
            out,
            "\n[workers]\nlcores = {}\ncontrol_cpus = {}\nidle = {}\nspread = {}",
            list(&self.workers.lcores),
            list(&self.workers.control_cpus),
            Quoted(self.workers.idle.name()),
            Quoted(spread)
        )?;
        self.interfaces
            .iter()
            .try_for_each(|interface| write_interface(out, interface))?;
        self.sub_interfaces
            .iter()
            .try_for_each(|interface| write_sub_interface(out, interface))?;
        self.tunnels
            .iter()
            .try_for_each(|tunnel| write_tunnel(out, tunnel))?;
        for class in PuntClass::ALL {
            let policy = &self.punts[class as usize];
            writeln!(out, "\n[[punt]]\nclass = {}", Quoted(class.name()))?;
            if class.is_for_tools() {
                let fail = Quoted(policy.fail.name());
                writeln!(out, "fail = {fail}\ndeadline_ms = {}", policy.deadline_ms)?;
            }
            writeln!(out, "rate = {}\nburst = {}", policy.rate, policy.burst)?;
        }
        self.write_router_alert(out)?;
        let is_tunnel = |name: &str| self.tunnels.iter().any(|tunnel| tunnel.tunnel.name == name);
        self.routes
            .iter()
            .try_for_each(|route| write_route(out, route, is_tunnel))?;
        self.neighbors
            .iter()
            .try_for_each(|neighbor| write_neighbor(out, neighbor))?;
        self.write_load_balancer(out)?;
        self.services
            .iter()
            .try_for_each(|service| write_service(out, service))
    }

    fn write_load_balancer(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\n[load_balancer]")?;
        for (key, number) in self.load_balancer.numbers() {
            writeln!(out, "{key} = {number}")?;
        }
        for (key, is_set) in self.load_balancer.switches() {
            writeln!(out, "{key} = {is_set}")?;
        }
        for (key, word) in self.load_balancer.words() {
            writeln!(out, "{key} = {}", Quoted(word))?;
        }
        if let Some(key) = self.load_balancer.force() {
            writeln!(out, "{key} = true")?;
        }
        Ok(())
    }

    fn write_router_alert(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\n[router_alert]")?;
        for (key, word) in self.router_alert.words() {
            writeln!(out, "{key} = {}", Quoted(word))?;
        }
        for (key, number) in self.router_alert.numbers() {
            writeln!(out, "{key} = {number}")?;
        }
        let limits = &self.router_alert.limits;
        writeln!(out, "excess = {}", Quoted(limits.excess.name()))?;
        limits
            .numbers()
            .try_for_each(|(key, number)| writeln!(out, "{key} = {number}"))
    }

    fn write_eal(&self, out: &mut String, overrides: &Overrides) -> fmt::Result {
        let eal = &self.eal;
        writeln!(
            out,
            "\n[eal]\nmemory_mb = {}\nstock_tools = {}",
            eal.memory_mb, eal.stock_tools
        )?;
        if let Some(path) = &eal.huge_dir {
            writeln!(out, "huge_dir = {}", Quoted(&path.display().to_string()))?;
        }
        // Those of the command line stand behind those of the file.
        let of_file = eal.args.len().saturating_sub(overrides.eal_args.len());
        let args = eal.args.iter().take(of_file).map(String::as_str);
        writeln!(out, "args = {}", quoted_list(args))
    }
}

fn write_addresses(out: &mut String, addresses: &[IpNet], up: bool) -> fmt::Result {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "addresses = {}",
        quoted_list(addresses.iter().map(String::as_str))
    )?;
    if up { Ok(()) } else { writeln!(out, "up = false") }
}

fn write_interface(out: &mut String, interface: &Interface) -> fmt::Result {
    writeln!(
        out,
        "\n[[interface]]\nname = {}\ndevice = {}",
        Quoted(&interface.name),
        Quoted(interface.device.devargs())
    )?;
    if let Some(bond) = &interface.bond {
        let mode = match bond.mode {
            BondMode::RoundRobin => 0,
            BondMode::Lacp => 4,
        };
        let members = bond.members.iter().map(super::Device::devargs);
        writeln!(out, "mode = {mode}\nmembers = {}", quoted_list(members))?;
    }
    writeln!(
        out,
        "mtu = {}\nrx_descriptors = {}\ntx_descriptors = {}",
        interface.mtu, interface.rx_descriptors, interface.tx_descriptors
    )?;
    write_tap(out, interface.tap.as_deref())?;
    write_behaviour(out, interface.redirects, interface.hop_by_hop)?;
    write_addresses(out, &interface.addresses, interface.up)
}

fn write_behaviour(out: &mut String, redirects: bool, hop_by_hop: HopByHop) -> fmt::Result {
    writeln!(out, "redirects = {redirects}\nhop_by_hop = \"{hop_by_hop}\"")
}

fn write_tap(out: &mut String, tap: Option<&str>) -> fmt::Result {
    match tap {
        Some(tap) => writeln!(out, "tap = true\ntap_name = {}", Quoted(tap)),
        None => Ok(()),
    }
}

fn write_sub_interface(out: &mut String, interface: &SubInterface) -> fmt::Result {
    writeln!(
        out,
        "\n[[interface]]\nname = {}\nlink = {}\nprotocol = {}\nid = {}\nmtu = {}",
        Quoted(&interface.name),
        Quoted(&interface.link),
        Quoted(interface.protocol.name()),
        interface.id,
        interface.mtu
    )?;
    write_tap(out, interface.tap.as_deref())?;
    write_behaviour(out, interface.redirects, interface.hop_by_hop)?;
    write_addresses(out, &interface.addresses, interface.up)
}

fn write_tunnel(out: &mut String, tunnel: &Tunnel) -> fmt::Result {
    let wrapped = &tunnel.tunnel;
    writeln!(
        out,
        "\n[[tunnel]]\nname = {}\nmode = {}\nlocal = \"{}\"\nremote = \"{}\"",
        Quoted(&wrapped.name),
        Quoted(wrapped.mode.name()),
        wrapped.local,
        wrapped.remote
    )?;
    if let Some(key) = wrapped.key {
        writeln!(out, "key = {key}")?;
    }
    if wrapped.protected {
        writeln!(out, "protected = true")?;
    }
    if let Some(mtu) = wrapped.mtu {
        writeln!(out, "mtu = {mtu}")?;
    }
    writeln!(out, "ttl = {}", wrapped.ttl)?;
    if wrapped.local.is_ipv4() {
        writeln!(out, "df = {}", Quoted(wrapped.df.name()))?;
    }
    match wrapped.dscp {
        Dscp::Copy => writeln!(out, "dscp = \"copy\"")?,
        Dscp::Fixed(dscp) => writeln!(out, "dscp = {dscp}")?,
    }
    match &wrapped.unnumbered {
        None => write_addresses(out, &tunnel.addresses, tunnel.up),
        Some(interface) => {
            writeln!(out, "unnumbered = {}", Quoted(interface))?;
            if tunnel.up {
                Ok(())
            } else {
                writeln!(out, "up = false")
            }
        }
    }
}

fn write_route(out: &mut String, route: &Route, is_tunnel: impl Fn(&str) -> bool) -> fmt::Result {
    writeln!(out, "\n[[route]]\nprefix = \"{}\"", route.prefix)?;
    match &route.target {
        RouteTarget::Via { next_hop, interface } => {
            writeln!(out, "via = \"{next_hop}\"")?;
            if let Some(interface) = interface {
                writeln!(out, "interface = {}", Quoted(interface))?;
            }
        }
        RouteTarget::Interface(name) if is_tunnel(name) => writeln!(out, "tunnel = {}", Quoted(name))?,
        RouteTarget::Interface(interface) => writeln!(out, "interface = {}", Quoted(interface))?,
        RouteTarget::Blackhole => writeln!(out, "blackhole = true")?,
        RouteTarget::Unreachable => writeln!(out, "unreachable = true")?,
        RouteTarget::Prohibit => writeln!(out, "prohibit = true")?,
        RouteTarget::Multipath(next_hops) => {
            writeln!(out, "nexthops = {}", list(next_hops.iter().map(entry)))?;
        }
    }
    if let Some(metric) = route
        .metric
        .filter(|metric| *metric != default_metric(route.prefix))
    {
        writeln!(out, "metric = {metric}")?;
    }
    if let Some(mtu) = route.mtu {
        writeln!(out, "mtu = {mtu}")?;
    }
    if let Some(source) = route.source {
        writeln!(out, "src = \"{source}\"")?;
    }
    match route.protocol.map(RouteProtocol) {
        None | Some(RouteProtocol::STATIC) => Ok(()),
        Some(protocol) => writeln!(out, "proto = \"{protocol}\""),
    }
}

/// A next hop of several.
fn entry(next_hop: &WeightedNextHop) -> String {
    let interface = next_hop.interface.as_deref();
    let interface = interface.map_or(String::new(), |name| format!(", interface = {}", Quoted(name)));
    format!(
        "{{ via = \"{}\"{interface}, weight = {} }}",
        next_hop.next_hop, next_hop.weight
    )
}

fn write_neighbor(out: &mut String, neighbor: &Neighbor) -> fmt::Result {
    writeln!(
        out,
        "\n[[neighbor]]\naddress = \"{}\"\nmac = \"{}\"\ninterface = {}",
        neighbor.address,
        neighbor.mac,
        Quoted(&neighbor.interface)
    )
}

fn write_service(out: &mut String, service: &Service) -> fmt::Result {
    let (id, options) = (&service.id, &service.options);
    let end = |address, port| match id.protocol.is_icmp() {
        true => format!("\"{address}\""),
        false => format!("\"{}\"", SocketAddr::new(address, port)),
    };
    let ServiceOptions {
        scheduler,
        toa,
        fast_xmit,
        ..
    } = options;
    writeln!(
        out,
        "\n[[service]]\nprotocol = \"{}\"\naddress = {}\nscheduler = \"{scheduler}\"\ntoa = {toa}\nfast_xmit = {fast_xmit}",
        id.protocol,
        end(id.address, id.port)
    )?;
    for (key, prefixes) in [("allow", &options.allow), ("deny", &options.deny)] {
        if !prefixes.is_empty() {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            writeln!(
                out,
                "{key} = {}",
                quoted_list(prefixes.iter().map(String::as_str))
            )?;
        }
    }
    if let Some(timeout) = options.timeout {
        writeln!(out, "timeout = {timeout}")?;
    }
    if options.icmp_short {
        writeln!(out, "icmp_short = true")?;
    }
    let servers = service.servers.iter().map(|server| {
        format!(
            "{{ address = {}, weight = {}, max_connections = {} }}",
            end(server.address, server.port),
            server.weight,
            server.max_connections
        )
    });
    writeln!(out, "servers = {}", lines(servers))?;
    let locals = service.locals.iter().map(|local| {
        format!(
            "{{ address = \"{}\", interface = {} }}",
            local.address,
            Quoted(&local.interface)
        )
    });
    writeln!(out, "local_addresses = {}", lines(locals))
}

/// Values as a TOML list, each on a line of its own.
fn lines(values: impl Iterator<Item = String>) -> String {
    let values: String = values.map(|value| format!("    {value},\n")).collect();
    if values.is_empty() {
        "[]".to_owned()
    } else {
        format!("[\n{values}]")
    }
}

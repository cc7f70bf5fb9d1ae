//! The sections of the file, each parsed by itself: keys, types, ranges. What one section says of another is looked at
//! in [`super::check`].

use std::net::Ipv4Addr;
use std::path::PathBuf;

use control::message::{FailMode, PuntClass, Route, RouteTarget};
use ipnet::Ipv4Net;
use nix::unistd;
use packet::MacAddress;
use shm::records::IdlePolicy;

use super::address::{InterfaceAddress, NeighborAddress, Prefix};
use super::document::{At, Document, Section, suggestion};
use super::machine::{Machine, format_list};
use super::problem::Place;
use super::{Device, EalConfig, Group, Interface, Limits, Neighbor, Overrides, Workers, eal_args};
use crate::attachments::ClassPolicy;
use crate::log::{Levels, LogConfig, LogTarget};

/// `[eal]`, and where memory_mb is written.
pub(super) fn eal(section: Section<'_>, overrides: &Overrides) -> (EalConfig, Option<Place>) {
    let memory = section.integer("memory_mb", 1..=1_048_576);
    let stock_tools = section.boolean("stock_tools").is_some_and(|at| at.value);
    let huge_dir = absolute_path(&section, "huge_dir");
    let mut args = Vec::new();
    for argument in section.strings("args").unwrap_or_default() {
        if let Some(refusal) = eal_args::refusal(argument.value) {
            section.document.report(argument.place, refusal);
        }
        args.push(argument.value.to_owned());
    }
    for argument in &overrides.eal_args {
        if let Some(refusal) = eal_args::refusal(argument) {
            section.document.report_command_line(refusal);
        }
        args.push(argument.clone());
    }
    section.finish();
    let place = memory.as_ref().map(|at| at.place);
    let memory_mb = memory.map_or(EalConfig::DEFAULT_MEMORY_MB, |at| at.value);
    (
        EalConfig {
            memory_mb,
            stock_tools,
            huge_dir,
            args,
        },
        place,
    )
}

fn absolute_path(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let text = section.string(key)?;
    if !text.value.starts_with('/') {
        section.document.report(
            text.place,
            format!("{key} = '{}' is not a path that starts with '/'", text.value),
        );
    }
    Some(PathBuf::from(text.value))
}

/// `[log]`.
pub(super) fn log(section: Section<'_>) -> LogConfig {
    let levels = section
        .parsed::<Levels>("level")
        .map(|at| at.value)
        .unwrap_or_default();
    let target = section
        .parsed::<LogTarget>("target")
        .map_or(LogTarget::Stderr, |at| at.value);
    section.finish();
    LogConfig { levels, target }
}

/// The group of `[instance]`, which must be one of this machine's.
pub(super) fn group(section: &Section<'_>) -> Option<Group> {
    let name = section.string("group")?;
    match unistd::Group::from_name(name.value) {
        Ok(Some(group)) => Some(Group {
            name: group.name,
            gid: group.gid.as_raw(),
        }),
        Ok(None) => {
            let sentence = format!(
                "there is no group '{0}': 'groupadd --system {0}' makes it",
                name.value
            );
            section.document.report(name.place, sentence);
            None
        }
        Err(errno) => {
            let sentence = format!("the group '{}' cannot be looked up: {}", name.value, errno.desc());
            section.document.report(name.place, sentence);
            None
        }
    }
}

/// `[limits]`; what is not given follows from the rest.
pub(super) fn limits(section: Section<'_>, packet_buffers: impl FnOnce() -> u32) -> Limits {
    let routes4 = section
        .integer("routes4", 1..=10_000_000)
        .map_or(Limits::DEFAULT_ROUTES4, |at| at.value);
    let limits = Limits {
        routes4,
        tbl8_groups4: section
            .integer("tbl8_groups4", 1..=1_048_576)
            .map_or_else(|| Limits::default_tbl8_groups4(routes4), |at| at.value),
        neighbors: section
            .integer("neighbors", 1..=1_000_000)
            .map_or(Limits::DEFAULT_NEIGHBORS, |at| at.value),
        addresses: section
            .integer("addresses", 1..=65_536)
            .map_or(Limits::DEFAULT_ADDRESSES, |at| at.value),
        packet_buffers: section
            .integer("packet_buffers", Limits::MIN_PACKET_BUFFERS..=16_777_216)
            .map_or_else(packet_buffers, |at| at.value),
        attachments: section
            .integer("attachments", 0..=64)
            .map_or(Limits::DEFAULT_ATTACHMENTS, |at| at.value),
    };
    section.finish();
    limits
}

/// What a class is like that the file does not mention.
const DEFAULT_POLICY: ClassPolicy = ClassPolicy {
    fail: FailMode::Open,
    rate: 1000,
    burst: 256,
};

/// `[[punt]]`, by class.
pub(super) fn punts(document: &Document<'_>, sections: Vec<Section<'_>>) -> [ClassPolicy; PuntClass::COUNT] {
    let mut policies = [None; PuntClass::COUNT];
    for section in sections {
        let class = section.string("class").and_then(|text| {
            let class = PuntClass::ALL
                .into_iter()
                .find(|class| class.name() == text.value);
            if class.is_none() {
                let names = PuntClass::ALL.map(PuntClass::name).join(" or ");
                let sentence = format!(
                    "'{}' is no class of packets that go to tools: use {names}",
                    text.value
                );
                document.report(text.place, sentence);
            }
            class.map(|class| At {
                place: text.place,
                value: class,
            })
        });
        section.missing("class", "\"router_alert\"");
        let fail = section.string("fail").and_then(|text| match text.value {
            "open" => Some(FailMode::Open),
            "closed" => Some(FailMode::Closed),
            other => {
                document.report(
                    text.place,
                    format!("'{other}' is no way to fail: use open or closed"),
                );
                None
            }
        });
        let policy = ClassPolicy {
            fail: fail.unwrap_or(DEFAULT_POLICY.fail),
            rate: section
                .integer("rate", 1..=10_000_000)
                .map_or(DEFAULT_POLICY.rate, |at| at.value),
            burst: section
                .integer("burst", 1..=1_000_000)
                .map_or(DEFAULT_POLICY.burst, |at| at.value),
        };
        section.finish();
        if let Some(At { place, value: class }) = class
            && policies[class as usize].replace(policy).is_some()
        {
            document.report(
                place,
                format!("the class {} is there twice: remove one of them", class.name()),
            );
        }
    }
    policies.map(|policy| policy.unwrap_or(DEFAULT_POLICY))
}

/// `[workers]`.
pub(super) fn workers(section: Section<'_>, machine: &Machine) -> Workers {
    let lcores = cpus(&section, "lcores", machine);
    let control = cpus(&section, "control_cpus", machine);
    let idle = section.string("idle").and_then(|text| {
        let policy = [IdlePolicy::Adaptive, IdlePolicy::Busy]
            .into_iter()
            .find(|policy| policy.name() == text.value);
        if policy.is_none() {
            let sentence = format!(
                "idle = '{}' is not known: use \"adaptive\" or \"busy\"",
                text.value
            );
            section.document.report(text.place, sentence);
        }
        policy
    });
    let idle = idle.unwrap_or(IdlePolicy::Adaptive);
    if let (IdlePolicy::Busy, Some(lcores), Some(control)) = (idle, &lcores, &control)
        && let Some(both) = control
            .iter()
            .find(|cpu| lcores.iter().any(|lcore| lcore.value == cpu.value))
    {
        let sentence = format!(
            "CPU {} is in lcores and in control_cpus, and a busy worker leaves no time for control: give them different CPUs",
            both.value
        );
        section.document.report(both.place, sentence);
    }
    section.finish();
    let values = |list: Vec<At<u32>>| list.into_iter().map(|at| at.value).collect::<Vec<_>>();
    let lcores = lcores.map_or_else(|| machine.allowed.iter().rev().take(1).copied().collect(), values);
    let control_cpus = control.map(values).unwrap_or_else(|| {
        // CPU 0 where it can be had; a machine with one CPU shares it.
        let free = machine.allowed.iter().find(|cpu| !lcores.contains(cpu));
        free.or(machine.allowed.first()).copied().into_iter().collect()
    });
    Workers {
        lcores,
        control_cpus,
        idle,
    }
}

/// A list of CPUs of this machine, each once; `None` when there is none or it is empty.
fn cpus(section: &Section<'_>, key: &'static str, machine: &Machine) -> Option<Vec<At<u32>>> {
    let list = section.integers(key)?;
    let mut cpus: Vec<At<u32>> = Vec::new();
    for item in list {
        let online = u32::try_from(item.value)
            .ok()
            .filter(|cpu| machine.online.contains(cpu));
        match online {
            None => section.document.report(
                item.place,
                format!(
                    "CPU {} in {key} is not online on this machine: use of {}",
                    item.value,
                    format_list(&machine.online)
                ),
            ),
            Some(cpu) if cpus.iter().any(|other| other.value == cpu) => {
                section
                    .document
                    .report(item.place, format!("CPU {cpu} is in {key} twice: remove one"));
            }
            Some(cpu) => cpus.push(At {
                place: item.place,
                value: cpu,
            }),
        }
    }
    (!cpus.is_empty()).then_some(cpus)
}

/// `[[interface]]` as far as it could be read.
pub(super) struct RawInterface {
    pub(super) name: Option<At<String>>,
    pub(super) device: Option<At<Device>>,
    pub(super) addresses: Vec<At<Ipv4Net>>,
    mtu: u16,
    rx_descriptors: u16,
    tx_descriptors: u16,
}

impl RawInterface {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let name = section.string("name").and_then(|text| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let good = (1..=15).contains(&text.value.len()) && text.value.chars().all(plain);
            if !good {
                let sentence = format!(
                    "'{}' is not an interface name: use 1 to 15 letters, digits, '.', '_' and '-'",
                    text.value
                );
                section.document.report(text.place, sentence);
            }
            good.then(|| text.map(str::to_owned))
        });
        section.missing("name", "\"wan\"");
        let device = section.parsed("device");
        section.missing("device", "\"net_af_packet0,iface=eth1\"");
        let addresses = section.strings("addresses").unwrap_or_default();
        let addresses = addresses
            .iter()
            .filter_map(|text| section.parse::<InterfaceAddress>(text))
            .map(|at| at.map(|address| address.0))
            .collect();
        // RFC 791 section 3.2: every network forwards packets of 68 bytes whole.
        let mtu = section.integer("mtu", 68..=9000).map_or(1500, |at| at.value);
        let rx_descriptors = section
            .integer("rx_descriptors", 32..=32_768)
            .map_or(1024, |at| at.value);
        let tx_descriptors = section
            .integer("tx_descriptors", 32..=32_768)
            .map_or(1024, |at| at.value);
        section.finish();
        Self {
            name,
            device,
            addresses,
            mtu,
            rx_descriptors,
            tx_descriptors,
        }
    }

    /// The interface, when nothing was wrong with it.
    pub(super) fn into_interface(self) -> Option<Interface> {
        Some(Interface {
            name: self.name?.value,
            device: self.device?.value,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
            mtu: self.mtu,
            rx_descriptors: self.rx_descriptors,
            tx_descriptors: self.tx_descriptors,
        })
    }

    /// Mbufs that its queues can hold when every worker has one in each direction.
    pub(super) fn descriptors(&self) -> u32 {
        u32::from(self.rx_descriptors) + u32::from(self.tx_descriptors)
    }
}

/// `[[route]]` as far as it could be read.
pub(super) struct RawRoute {
    pub(super) prefix: Option<At<Ipv4Net>>,
    pub(super) target: Option<At<RouteTarget>>,
}

impl RawRoute {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let prefix = section
            .parsed::<Prefix>("prefix")
            .map(|at| at.map(|prefix| prefix.0));
        section.missing("prefix", "\"192.168.3.0/24\"");
        let via_text = section.string("via");
        let via = via_text
            .as_ref()
            .and_then(|text| section.parse::<NeighborAddress>(text));
        let interface = section.string("interface");
        let blackhole = section.boolean("blackhole");
        let tunnel = section.string("tunnel");
        if let Some(tunnel) = &tunnel {
            section.document.report(
                tunnel.place,
                "tunnels are not in this build yet: remove this route",
            );
        }
        if let Some(at) = blackhole.as_ref().filter(|at| !at.value) {
            section
                .document
                .report(at.place, "blackhole = false says nothing: remove it");
        }
        let named = [
            via_text.is_some(),
            interface.is_some(),
            blackhole.is_some(),
            tunnel.is_some(),
        ];
        if named.iter().filter(|there| **there).count() != 1 {
            let which = prefix.as_ref().map_or_else(
                || "this route".to_owned(),
                |at| format!("the route to {}", at.value),
            );
            let sentence =
                format!("{which} must lead to one thing: give it one of via, interface, blackhole = true");
            section
                .document
                .report(prefix.as_ref().map_or(section.place, |at| at.place), sentence);
        }
        let target = via
            .map(|at| at.map(|via| RouteTarget::Via(via.0)))
            .or(interface.map(|at| at.map(|name| RouteTarget::Interface(name.to_owned()))))
            .or(blackhole.map(|at| at.map(|_| RouteTarget::Blackhole)));
        section.finish();
        Self { prefix, target }
    }

    /// The route, when nothing was wrong with it.
    pub(super) fn into_route(self) -> Option<Route> {
        Some(Route {
            prefix: self.prefix?.value,
            target: self.target?.value,
        })
    }
}

/// `[[neighbor]]` as far as it could be read.
pub(super) struct RawNeighbor {
    pub(super) address: Option<At<Ipv4Addr>>,
    mac: Option<At<MacAddress>>,
    pub(super) interface: Option<At<String>>,
}

impl RawNeighbor {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let address = section
            .parsed::<NeighborAddress>("address")
            .map(|at| at.map(|address| address.0));
        section.missing("address", "\"192.168.10.2\"");
        let mac = section.parsed::<MacAddress>("mac");
        if let Some(mac) = mac.as_ref().filter(|mac| !mac.value.is_unicast()) {
            let sentence = format!("{} is no station's MAC address: use a unicast address", mac.value);
            section.document.report(mac.place, sentence);
        }
        section.missing("mac", "\"02:00:00:00:10:02\"");
        let interface = section.string("interface").map(|at| at.map(str::to_owned));
        section.missing("interface", "\"wan\"");
        section.finish();
        Self {
            address,
            mac,
            interface,
        }
    }

    /// The neighbour, when nothing was wrong with it.
    pub(super) fn into_neighbor(self) -> Option<Neighbor> {
        Some(Neighbor {
            address: self.address?.value,
            mac: self.mac?.value,
            interface: self.interface?.value,
        })
    }
}

/// The sentence for a name that is no interface's.
pub(super) fn no_such_interface(name: &str, interfaces: &[&str]) -> String {
    let hint = if interfaces.is_empty() {
        "there is none".to_owned()
    } else {
        suggestion(name, interfaces)
    };
    format!("there is no [[interface]] named '{name}': {hint}")
}

//! `[[tunnel]]`: parsed by itself, and what tunnels say of each other and of interfaces.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

use control::message::{Df, Dscp, Tunnel as Wrapped, TunnelMode};
use ipnet::IpNet;

use super::address::InterfaceAddress;
use super::interfaces::MIN_MTU6;
use super::network::{RawInterface, interface_name, no_such_interface};
use document::Place;
use document::{At, Document, Section};

/// `[[tunnel]]`: an interface whose packets go to another router inside packets of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What it is, its name with it.
    pub tunnel: Wrapped,
    /// Whether it is set up.
    pub up: bool,
    /// Its addresses, as those of [`Interface`](super::Interface); none where it uses another interface's.
    pub addresses: Vec<IpNet>,
}

/// `[[tunnel]]` as far as it could be read.
pub(super) struct RawTunnel {
    pub(super) name: Option<At<String>>,
    mode: Option<At<TunnelMode>>,
    local: Option<At<IpAddr>>,
    remote: Option<At<IpAddr>>,
    key: Option<At<u32>>,
    protected: Option<At<bool>>,
    mtu: Option<At<u16>>,
    ttl: Option<At<u8>>,
    df: Option<At<Df>>,
    dscp: Option<At<Dscp>>,
    unnumbered: Option<At<String>>,
    pub(super) addresses: Vec<At<IpNet>>,
    up: bool,
}

/// An end of a tunnel.
struct End(IpAddr);

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "'{text}' is not an IP address: write it as in 192.0.2.1 or 2001:db8::1, without a length"
            )
        })
    }
}

impl RawTunnel {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let name = interface_name(&section);
        section.missing("name", "\"tun0\"");
        let mode = section.parsed("mode");
        section.missing("mode", "\"ipip\"");
        let end = |key| {
            let at = section.parsed::<End>(key);
            at.map(|at| at.map(|end| end.0))
        };
        let (local, remote) = (end("local"), end("remote"));
        section.missing("local", "\"192.0.2.1\"");
        section.missing("remote", "\"198.51.100.1\"");
        let key = section.integer("key", 0..=u32::MAX);
        let protected = section.boolean("protected");
        let mtu = section.integer("mtu", Wrapped::MIN_MTU..=Wrapped::MAX_MTU);
        let ttl = section.integer("ttl", 1..=u8::MAX);
        let df = section.parsed("df");
        let dscp = dscp(&section);
        let (unnumbered, written) = unnumbered(&section);
        let given = section.strings("addresses");
        if let (Some(at), Some(_)) = (&unnumbered, &given) {
            let sentence = format!(
                "a tunnel has addresses of its own or uses those of another interface: remove {written} or addresses"
            );
            section.document.report(at.place, sentence);
        }
        let addresses = given.unwrap_or_default();
        let addresses = addresses
            .iter()
            .filter_map(|text| section.parse::<InterfaceAddress>(text))
            .map(|at| at.map(|address| address.0))
            .collect();
        let up = section.boolean("up").is_none_or(|at| at.value);
        section.finish();
        Self {
            name,
            mode,
            local,
            remote,
            key,
            protected,
            mtu,
            ttl,
            df,
            dscp,
            unnumbered,
            addresses,
            up,
        }
    }

    /// What messages call it.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().map_or("?", |at| &at.value)
    }

    /// The tunnel, as far as it could be read.
    fn wrapped(&self) -> Option<Wrapped> {
        let new = Wrapped::new(
            self.label(),
            self.mode.as_ref()?.value,
            self.local.as_ref()?.value,
            self.remote.as_ref()?.value,
        );
        Some(Wrapped {
            key: self.key.as_ref().map(|at| at.value),
            protected: self.protected.as_ref().is_some_and(|at| at.value),
            mtu: self.mtu.as_ref().map(|at| at.value),
            ttl: self.ttl.as_ref().map_or(new.ttl, |at| at.value),
            df: self.df.as_ref().map_or(new.df, |at| at.value),
            dscp: self.dscp.as_ref().map_or(new.dscp, |at| at.value),
            unnumbered: self.unnumbered.as_ref().map(|at| at.value.clone()),
            ..new
        })
    }

    /// Where a key is written, or else what it is about.
    fn place(&self, key: &str) -> Option<Place> {
        let of_key = match key {
            "local" => self.local.as_ref().map(|at| at.place),
            "key" => self.key.as_ref().map(|at| at.place),
            "protected" => self.protected.as_ref().map(|at| at.place),
            "mtu" => self.mtu.as_ref().map(|at| at.place),
            "ttl" => self.ttl.as_ref().map(|at| at.place),
            "df" => self.df.as_ref().map(|at| at.place),
            "dscp" => self.dscp.as_ref().map(|at| at.place),
            _ => None,
        };
        of_key.or(self.remote.as_ref().map(|at| at.place))
    }

    /// The tunnel, when nothing was wrong with it.
    pub(super) fn into_tunnel(self) -> Option<Tunnel> {
        self.name.as_ref()?;
        Some(Tunnel {
            tunnel: self.wrapped()?,
            up: self.up,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
        })
    }
}

/// Whose addresses the tunnel uses, and by which key that was said: `unnumbered`, or `dev` as `tollgate-ctl tunnel add` has it too.
fn unnumbered(section: &Section<'_>) -> (Option<At<String>>, &'static str) {
    let named = |key| section.string(key).map(|at| at.map(str::to_owned));
    match (named("unnumbered"), named("dev")) {
        (None, None) => (None, "unnumbered"),
        (None, dev) => (dev, "dev"),
        (unnumbered, None) => (unnumbered, "unnumbered"),
        (Some(unnumbered), Some(dev)) => {
            if unnumbered.value != dev.value {
                let sentence = format!(
                    "dev and unnumbered both say whose addresses the tunnel uses, and unnumbered says '{}' ({}): remove one",
                    unnumbered.value, unnumbered.place
                );
                section.document.report(dev.place, sentence);
            }
            (Some(unnumbered), "unnumbered")
        }
    }
}

/// `dscp`, a number or "copy".
fn dscp(section: &Section<'_>) -> Option<At<Dscp>> {
    if section.is_text("dscp") {
        section.parsed("dscp")
    } else {
        let number = section.integer("dscp", 0..=Dscp::MAX);
        number.map(|at| at.map(Dscp::Fixed))
    }
}

/// What tunnels say of each other and of interfaces; of these and sub-interfaces there may be `limit`.
pub(super) fn check(document: &Document<'_>, tunnels: &[RawTunnel], interfaces: &[RawInterface], limit: u32) {
    let sub_interfaces = interfaces.iter().filter(|raw| raw.vlan.is_some()).count();
    let room = (limit as usize).saturating_sub(sub_interfaces);
    if let Some(place) = tunnels
        .get(room)
        .and_then(|raw| Some(raw.name.as_ref()?.place))
        .filter(|_| sub_interfaces <= limit as usize)
    {
        let sentence = format!(
            "there are {sub_interfaces} sub-interfaces and {} tunnels, and [limits] has room for {limit} of both: raise \
             sub_interfaces there",
            tunnels.len()
        );
        document.report(place, sentence);
    }
    check_names(document, tunnels, interfaces);
    let mut ends: HashMap<_, (&str, Place)> = HashMap::new();
    for raw in tunnels {
        check_unnumbered(document, raw, tunnels, interfaces);
        let Some(wrapped) = raw.wrapped() else { continue };
        if let Err(fault) = wrapped.check() {
            if let Some(place) = raw.place(fault.key) {
                document.report(place, fault.sentence);
            }
            continue;
        }
        check_mtu(document, raw, &wrapped);
        let Some(place) = raw.place("remote") else {
            continue;
        };
        if let Some((other, first)) = ends.insert(wrapped.ends(), (raw.label(), place)) {
            let sentence = format!(
                "'{other}' goes from {} to {} already ({first}), and packets of two such tunnels could not be told apart: give \
                 '{}' another end{}",
                wrapped.local,
                wrapped.remote,
                raw.label(),
                if wrapped.mode == TunnelMode::Gre {
                    " or key"
                } else {
                    ""
                }
            );
            document.report(place, sentence);
        }
    }
}

/// Each name once, among interfaces of all kinds.
fn check_names(document: &Document<'_>, tunnels: &[RawTunnel], interfaces: &[RawInterface]) {
    let named = interfaces.iter().filter_map(|raw| raw.name.as_ref());
    let mut names: HashMap<&str, Place> = named.map(|at| (at.value.as_str(), at.place)).collect();
    for At { place, value: name } in tunnels.iter().filter_map(|raw| raw.name.as_ref()) {
        if let Some(first) = names.insert(name, *place) {
            document.report(
                *place,
                format!("there is an interface '{name}' already ({first}): give this tunnel another name"),
            );
        }
    }
}

fn check_unnumbered(
    document: &Document<'_>,
    raw: &RawTunnel,
    tunnels: &[RawTunnel],
    interfaces: &[RawInterface],
) {
    let Some(At { place, value: other }) = &raw.unnumbered else {
        return;
    };
    let names: Vec<&str> = interfaces
        .iter()
        .filter_map(|raw| Some(raw.name.as_ref()?.value.as_str()))
        .collect();
    if names.contains(&other.as_str()) {
        return;
    }
    let sentence = if tunnels.iter().any(|tunnel| tunnel.label() == other) {
        format!("'{other}' is a tunnel, and a tunnel uses the addresses of an [[interface]] only: name one")
    } else {
        no_such_interface(other, &names)
    };
    document.report(*place, sentence);
}

/// IPv6 needs an MTU of its own.
fn check_mtu(document: &Document<'_>, raw: &RawTunnel, wrapped: &Wrapped) {
    let six = raw.addresses.iter().find(|at| at.value.addr().is_ipv6());
    if let (Some(mtu), Some(first)) = (&raw.mtu, six)
        && wrapped.mtu() < MIN_MTU6
    {
        let sentence = format!(
            "mtu = {} is too short for IPv6, and {} has {} ({}): give it at least {MIN_MTU6}, or remove that address",
            mtu.value,
            raw.label(),
            first.value,
            first.place
        );
        document.report(mtu.place, sentence);
    }
}

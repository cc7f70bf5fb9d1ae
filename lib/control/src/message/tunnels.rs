//! Tunnels in requests and events: interfaces whose packets go to another router inside packets of their own.
//!
//! ```text
//!   ipip   outer IPv4 or IPv6 │ inner IPv4 or IPv6                 RFC 2003, RFC 4213, RFC 2473
//!   gre    outer IPv4 or IPv6 │ GRE, with a key │ IPv4 or IPv6     RFC 2784, RFC 2890
//!   esp    outer IPv4 or IPv6 │ UDP │ ESP │ IPv4 or IPv6 │ ICV     RFC 4303, RFC 3948, as SAs of the tunnel say
//!   protected ipip, gre: what follows the outer header is in ESP      RFC 4303 section 3.1.1, transport mode
//! ```

mod outer;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use self::outer::{Df, Dscp, TunnelMode};

/// A tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Name of its interface, 1 to 15 characters.
    pub name: String,
    /// How packets are wrapped up.
    pub mode: TunnelMode,
    /// Source of outer packets. The tunnel is up while it is an address of the gateway.
    pub local: IpAddr,
    /// Destination of outer packets, of the same family.
    pub remote: IpAddr,
    /// Of GRE: the key that both ends have.
    pub key: Option<u32>,
    /// Of GRE and IP in IP: whether SAs of transport mode protect its outer packets.
    pub protected: bool,
    /// Longest inner packet, bytes; `None`: what 1500 bytes leave, see [`Tunnel::mtu`].
    pub mtu: Option<u16>,
    /// TTL or hop limit of outer packets, from 1 on.
    pub ttl: u8,
    /// DF bit of outer packets, where those are IPv4.
    pub df: Df,
    /// DSCP of outer packets.
    pub dscp: Dscp,
    /// The interface whose addresses it uses, where it has none of its own.
    pub unnumbered: Option<String>,
}

/// What is wrong with a tunnel by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct TunnelFault {
    /// The key of `[[tunnel]]` that is to be written otherwise.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub sentence: String,
}

/// The most that ESP puts around a packet, beside the outer IP header: UDP, its header, an IV of 16 bytes, padding to such a block,
/// its trailer, and an ICV of 32.
const ESP_OVERHEAD: u16 = 8 + 8 + 16 + 15 + 2 + 32;

/// The MTU of the links that outer packets are taken to go by.
const LINK_MTU: u16 = 1500;

impl Tunnel {
    /// TTL of outer packets where nothing is said.
    pub const DEFAULT_TTL: u8 = 64;
    /// The shortest MTU: RFC 791 section 3.2.
    pub const MIN_MTU: u16 = 68;
    /// The longest MTU, which is that of ports.
    pub const MAX_MTU: u16 = 9000;

    /// Between two addresses, with nothing said beside that.
    pub fn new(name: impl Into<String>, mode: TunnelMode, local: IpAddr, remote: IpAddr) -> Self {
        Self {
            name: name.into(),
            mode,
            local,
            remote,
            key: None,
            protected: false,
            mtu: None,
            ttl: Self::DEFAULT_TTL,
            df: Df::default(),
            dscp: Dscp::default(),
            unnumbered: None,
        }
    }

    /// Whether SAs protect its packets, be it in tunnel mode or in transport mode.
    pub fn is_protected(&self) -> bool {
        self.protected || self.mode == TunnelMode::Esp
    }

    /// Bytes that are put around a packet, of ESP the most: how many depends on the SA, and on what fills the last block.
    pub fn overhead(&self) -> u16 {
        let ip = if self.local.is_ipv4() { 20 } else { 40 };
        let gre = match (self.mode, self.key) {
            (TunnelMode::Ipip | TunnelMode::Esp, _) => 0,
            (TunnelMode::Gre, None) => 4,
            (TunnelMode::Gre, Some(_)) => 8,
        };
        let esp = if self.is_protected() { ESP_OVERHEAD } else { 0 };
        ip + gre + esp
    }

    /// Longest inner packet, bytes: what is set, or what 1500 bytes leave.
    pub fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(LINK_MTU - self.overhead())
    }

    /// The link-local address that it makes itself where it has addresses of IPv6: each end has another, RFC 4213 section 3.7.
    pub fn link_local(&self) -> IpAddr {
        let identifier = match self.local {
            IpAddr::V4(local) => u64::from(local.to_bits()),
            // None is zero, which all routers of the link have.
            IpAddr::V6(local) => (local.to_bits() as u64).max(1),
        };
        Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(identifier)).into()
    }

    /// What packets of the other end are told by, from those of other tunnels.
    pub fn ends(&self) -> (TunnelMode, IpAddr, IpAddr, Option<u32>) {
        (self.mode, self.local, self.remote, self.key)
    }

    /// Fails when it cannot be, whatever else there is. The name is not looked at.
    pub fn check(&self) -> Result<(), TunnelFault> {
        let fault = |key, sentence| Err(TunnelFault { key, sentence });
        let (name, local, remote) = (&self.name, self.local, self.remote);
        for (key, address) in [("local", local), ("remote", remote)] {
            if let Some(reason) = no_end(address) {
                return fault(
                    key,
                    format!("{address} cannot be the {key} end of {name}: {reason}"),
                );
            }
        }
        if local.is_ipv4() != remote.is_ipv4() {
            return fault(
                "remote",
                format!("the ends of {name} are of two families, {local} and {remote}: name two of one"),
            );
        }
        if local == remote {
            return fault(
                "remote",
                format!("both ends of {name} are {local}: name the other router's address as remote"),
            );
        }
        if self.key.is_some() && self.mode != TunnelMode::Gre {
            return fault(
                "key",
                format!(
                    "{name} is of mode {}, and only gre has a key: remove it",
                    self.mode.name()
                ),
            );
        }
        if self.protected && self.mode == TunnelMode::Esp {
            return fault(
                "protected",
                format!(
                    "{name} is of mode esp, which is always protected: remove protected, which is for gre and ipip"
                ),
            );
        }
        if self.ttl == 0 {
            return fault(
                "ttl",
                format!("ttl 0 of {name} lets no packet leave: use 1 to 255"),
            );
        }
        if self.df != Df::Copy && local.is_ipv6() {
            return fault(
                "df",
                format!(
                    "df is of outer IPv4 headers, and those of {name} are IPv6, which nobody cuts: remove it"
                ),
            );
        }
        if let Dscp::Fixed(dscp) = self.dscp
            && dscp > Dscp::MAX
        {
            return fault("dscp", format!("{dscp} is no DSCP: use 0 to {}", Dscp::MAX));
        }
        if let Some(mtu) = self.mtu
            && !(Self::MIN_MTU..=Self::MAX_MTU).contains(&mtu)
        {
            let (least, most) = (Self::MIN_MTU, Self::MAX_MTU);
            return fault(
                "mtu",
                format!("the MTU of {name} cannot be {mtu}: use {least} to {most}"),
            );
        }
        Ok(())
    }
}

impl fmt::Display for Tunnel {
    /// In the words of `tollgate-ctl tunnel add`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, local, remote) = (self.mode.name(), self.local, self.remote);
        write!(f, "{} mode {mode} local {local} remote {remote}", self.name)?;
        if let Some(key) = self.key {
            write!(f, " key {key}")?;
        }
        if self.protected {
            f.write_str(" protected")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        write!(f, " ttl {} df {} dscp {}", self.ttl, self.df.name(), self.dscp)?;
        match &self.unnumbered {
            Some(interface) => write!(f, " unnumbered {interface}"),
            None => Ok(()),
        }
    }
}

/// Why no tunnel can end at an address, if so.
fn no_end(address: IpAddr) -> Option<&'static str> {
    const NO_HOST: &str = "it is not a unicast address of a host";
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            (!(1..224).contains(&first) || first == 127).then_some(NO_HOST)
        }
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() => Some(NO_HOST),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Some("it stands for an IPv4 address, which goes over no wire in this form: write that one")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("link-local addresses are on every link: name one that is routed")
        }
        IpAddr::V6(_) => None,
    }
}

/// What is to be different about a tunnel; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelChange {
    /// As in [`Tunnel`].
    pub mode: Option<TunnelMode>,
    /// As in [`Tunnel`].
    pub local: Option<IpAddr>,
    /// As in [`Tunnel`].
    pub remote: Option<IpAddr>,
    /// As in [`Tunnel`].
    pub key: Option<Option<u32>>,
    /// As in [`Tunnel`].
    pub protected: Option<bool>,
    /// As in [`Tunnel`].
    pub mtu: Option<Option<u16>>,
    /// As in [`Tunnel`].
    pub ttl: Option<u8>,
    /// As in [`Tunnel`].
    pub df: Option<Df>,
    /// As in [`Tunnel`].
    pub dscp: Option<Dscp>,
    /// As in [`Tunnel`].
    pub unnumbered: Option<Option<String>>,
}

impl From<&Tunnel> for TunnelChange {
    /// All of it, whatever there was.
    fn from(tunnel: &Tunnel) -> Self {
        Self {
            mode: Some(tunnel.mode),
            local: Some(tunnel.local),
            remote: Some(tunnel.remote),
            key: Some(tunnel.key),
            protected: Some(tunnel.protected),
            mtu: Some(tunnel.mtu),
            ttl: Some(tunnel.ttl),
            df: Some(tunnel.df),
            dscp: Some(tunnel.dscp),
            unnumbered: Some(tunnel.unnumbered.clone()),
        }
    }
}

impl TunnelChange {
    /// The tunnel as it is to be.
    pub fn apply(&self, before: &Tunnel) -> Tunnel {
        Tunnel {
            name: before.name.clone(),
            mode: self.mode.unwrap_or(before.mode),
            local: self.local.unwrap_or(before.local),
            remote: self.remote.unwrap_or(before.remote),
            key: self.key.unwrap_or(before.key),
            protected: self.protected.unwrap_or(before.protected),
            mtu: self.mtu.unwrap_or(before.mtu),
            ttl: self.ttl.unwrap_or(before.ttl),
            df: self.df.unwrap_or(before.df),
            dscp: self.dscp.unwrap_or(before.dscp),
            unnumbered: self
                .unnumbered
                .clone()
                .unwrap_or_else(|| before.unnumbered.clone()),
        }
    }
}

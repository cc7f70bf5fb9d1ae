//! Tunnels: what makes an interface one, and which of them an outer packet belongs to.

use std::net::IpAddr;

use control::message::{Df, Dscp, Tunnel, TunnelMode};

/// What workers know of a tunnel.
#[derive(Debug)]
pub struct TunnelView {
    /// What outer packets of the other end are told by.
    pub outer: Outer,
    /// TTL or hop limit of outer packets.
    pub ttl: u8,
    /// DF bit of outer packets, where those are IPv4.
    pub df: Df,
    /// DSCP of outer packets.
    pub dscp: Dscp,
}

/// What outer packets of a tunnel have in common, no two tunnels the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outer {
    /// How inner packets are wrapped up.
    pub mode: TunnelMode,
    /// The end here: source of what leaves, destination of what comes.
    pub local: IpAddr,
    /// The other end.
    pub remote: IpAddr,
    /// Of GRE: the key, where there is to be one. A packet without one is of the tunnel without one.
    pub key: Option<u32>,
}

impl TunnelView {
    /// As an operator has it.
    pub fn new(tunnel: &Tunnel) -> Self {
        let (mode, local, remote, key) = tunnel.ends();
        Self {
            outer: Outer {
                mode,
                local,
                remote,
                key,
            },
            ttl: tunnel.ttl,
            df: tunnel.df,
            dscp: tunnel.dscp,
        }
    }
}

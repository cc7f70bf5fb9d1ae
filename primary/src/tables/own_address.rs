//! An address of the gateway, and which routes it brings.
//!
//! ```text
//!   10.0.0.1/24       10.0.0.1/32 local       10.0.0.0/24 connected       10.0.0.0/32, 10.0.0.255/32 broadcast
//!   10.0.0.1/31       10.0.0.1/32 local       10.0.0.0/31 connected                                    RFC 3021
//!   10.0.0.1/32       10.0.0.1/32 local
//!   2001:db8::1/64    2001:db8::1/128 local   2001:db8::/64 connected     2001:db8::/128 anycast
//!   fe80::1/64        none: each link has its own fe80::/64, and packets for it never leave theirs
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use shm::records::AddressState;

use super::candidates::Target;
use super::forwarding::is_link_local;

/// The link-local prefix of every link, RFC 4291 section 2.5.6.
pub(super) const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);

/// An address of the gateway.
#[derive(Clone, Debug)]
pub(super) struct OwnAddress {
    pub(super) interface: u16,
    /// The address itself, with the length of its subnet.
    pub(super) net: IpNet,
    pub(super) slot: u32,
    /// IPv4 addresses are preferred at once.
    pub(super) state: AddressState,
    /// Made by the gateway itself: comes and goes with the interface's other IPv6 addresses.
    pub(super) automatic: bool,
    /// A local address of services, and there for nothing else: goes with the last of them.
    pub(super) for_services: bool,
    /// When nobody has spoken up for long enough while it is tentative.
    pub(super) sought_until: Option<Duration>,
    /// When somebody else was last seen to claim it.
    pub(super) disputed: Option<Duration>,
}

impl OwnAddress {
    pub(super) fn is_link_local(&self) -> bool {
        is_link_local(self.net.addr())
    }

    /// Whether packets may come from it.
    pub(super) fn is_preferred(&self) -> bool {
        self.state == AddressState::Preferred
    }

    /// Whether a host of the subnet can have `address`: not that of its network, which in IPv6 is all routers' (RFC 4291 section
    /// 2.6.1), and not its broadcast address.
    pub(super) fn is_host(&self, address: IpAddr) -> bool {
        self.net.contains(&address) && !self.is_broadcast(address) && self.anycast() != Some(address)
    }

    /// The address of all routers of its subnet, RFC 4291 section 2.6.1. Links of two routers have none, RFC 6164 section 5.
    pub(super) fn anycast(&self) -> Option<IpAddr> {
        (self.net.addr().is_ipv6() && self.net.prefix_len() < 127).then(|| self.net.network())
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        self.net.addr().is_ipv4()
            && self.net.prefix_len() < 31
            && (address == self.net.network() || address == self.net.broadcast())
    }

    /// Where the route for `prefix` leads that this address brings.
    pub(super) fn target(&self, prefix: IpNet) -> Option<Target> {
        if self.is_link_local() {
            None
        } else if prefix == IpNet::from(self.net.addr()) {
            match self.state {
                AddressState::Preferred => Some(Target::Local(self.interface)),
                // RFC 4862 section 5.4: packets for it are discarded.
                AddressState::Tentative => Some(Target::Blackhole),
                // It is a host's.
                AddressState::Duplicate => None,
            }
        } else if prefix == self.net.trunc() {
            Some(Target::Glean(self.interface))
        } else if prefix.prefix_len() < prefix.max_prefix_len() {
            None
        } else if self.is_broadcast(prefix.addr()) {
            Some(Target::Broadcast(self.interface))
        } else if self.anycast() == Some(prefix.addr()) {
            match self.state {
                AddressState::Preferred => Some(Target::Anycast(self.interface)),
                AddressState::Tentative => Some(Target::Blackhole),
                AddressState::Duplicate => None,
            }
        } else {
            None
        }
    }

    /// The prefixes that it may bring routes for.
    pub(super) fn prefixes(&self) -> BTreeSet<IpNet> {
        if self.is_link_local() {
            return BTreeSet::new();
        }
        let own = [IpNet::from(self.net.addr()), self.net.trunc()];
        let ends = [self.net.network(), self.net.broadcast()];
        let ends = ends.into_iter().filter(|end| self.is_broadcast(*end));
        let ends = ends.chain(self.anycast());
        own.into_iter().chain(ends.map(IpNet::from)).collect()
    }
}

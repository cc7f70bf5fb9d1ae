//! Which addresses an interface can be given.

use control::message::{ControlError, ErrorCode};
use ipnet::IpNet;
use packet::ipv6;

use super::Tables;
use super::forwarding::is_link_local;
use super::own_address::{LINK_LOCAL, OwnAddress};
use super::refusal::refuse;
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// Fails when the interface cannot be given the address.
    pub(super) fn check_address(&self, interface: u16, name: &str, net: IpNet) -> Result<(), ControlError> {
        let invalid = |sentence| Err(refuse(ErrorCode::Invalid, sentence));
        let host = net.addr();
        if let Some(other) = self.unnumbered(interface) {
            let other = self.interface_name(other);
            return invalid(format!(
                "{name} uses the addresses of {other}: have it do without first, with 'tunnel set {name} numbered'"
            ));
        }
        if let Some(reason) = unfit(net) {
            return invalid(format!("{net} cannot be an address of {name}: {reason}"));
        }
        let mtu = self.known_interface(interface)?.mtu();
        if host.is_ipv6() && usize::from(mtu) < ipv6::MIN_MTU {
            let sentence = format!(
                "{name} has an MTU of {mtu}, and IPv6 needs {}: raise mtu of the interface",
                ipv6::MIN_MTU
            );
            return invalid(sentence);
        }
        let interface_name = |own: &OwnAddress| self.interface_name(own.interface);
        let taken = self.addresses.iter().find(|own| {
            own.net.addr() == host && !own.automatic && (own.interface == interface || !is_link_local(host))
        });
        if let Some(own) = taken {
            let sentence = format!(
                "{} has {} already: delete that first",
                interface_name(own),
                own.net
            );
            return Err(refuse(ErrorCode::Exists, sentence));
        }
        let neighbor = self
            .neighbors
            .find(interface, host)
            .and_then(|id| self.neighbors.get(id));
        if let Some(neighbor) = neighbor.filter(|neighbor| neighbor.routes > 0) {
            let sentence = format!(
                "{host} is the next hop of {} routes: delete those first",
                neighbor.routes
            );
            return invalid(sentence);
        }
        if is_link_local(host) {
            return match self.link_local(interface).filter(|own| !own.automatic) {
                Some(own) => Err(refuse(
                    ErrorCode::Exists,
                    format!(
                        "{name} has the link-local address {} already: delete that first",
                        own.net
                    ),
                )),
                None => self.check_room(),
            };
        }
        let overlaps = |own: &&OwnAddress| own.net.contains(&net.trunc()) || net.contains(&own.net.trunc());
        if let Some(own) = self
            .addresses
            .iter()
            .filter(|own| own.interface != interface)
            .find(overlaps)
        {
            let sentence = format!(
                "{net} on {name} overlaps {} on {}: give them different subnets",
                own.net,
                interface_name(own)
            );
            return invalid(sentence);
        }
        self.check_room()
    }

    /// Those that the gateway makes itself do not count.
    fn check_room(&self) -> Result<(), ControlError> {
        let given = self.addresses.iter().filter(|own| !own.automatic).count();
        if given >= self.limits.addresses {
            return Err(self.addresses_full());
        }
        Ok(())
    }

    pub(super) fn addresses_full(&self) -> ControlError {
        let sentence = format!(
            "there are {} addresses and no room for more: raise addresses in [limits]",
            self.limits.addresses
        );
        refuse(ErrorCode::LimitReached, sentence)
    }
}

/// Why no interface can have the address, if so.
fn unfit(net: IpNet) -> Option<&'static str> {
    let no_host = "it is no address that a host can have, give a unicast address";
    if net.prefix_len() == 0 {
        return Some("it would put every address on the link, give a longer prefix");
    }
    match net {
        IpNet::V4(net) => {
            let host = net.addr();
            let [first, ..] = host.octets();
            if first == 0 || first == 127 || first >= 224 {
                Some(no_host)
            } else if net.prefix_len() < 31 && (host == net.network() || host == net.broadcast()) {
                Some("it is the network or broadcast address of its subnet, give a host's")
            } else {
                None
            }
        }
        IpNet::V6(net) => {
            let host = net.addr();
            if host.is_unspecified()
                || host.is_loopback()
                || host.is_multicast()
                || host.to_ipv4_mapped().is_some()
            {
                Some(no_host)
            } else if net.prefix_len() < 127 && host == net.network() {
                Some("it is the anycast address of all routers of its subnet (RFC 4291), give a host's")
            } else if host.is_unicast_link_local() && net.trunc() != LINK_LOCAL {
                Some("link-local addresses are of fe80::/64 (RFC 4291)")
            } else {
                None
            }
        }
    }
}

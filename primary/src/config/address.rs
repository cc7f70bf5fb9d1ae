//! Addresses and prefixes as the configuration has them, of both families.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Text that is not the address or prefix that is wanted in its place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAddress {
    #[error(
        "'{0}' is not an IP prefix: write address and length, as in 192.168.3.0/24 or 2001:db8:3::/48, or default"
    )]
    NoPrefix(String),
    #[error("'{text}' has bits set beyond its length: the prefix is {right}")]
    HostBits { text: String, right: IpNet },
    #[error("'{0}' cannot be routed: {1}; remove this route")]
    NotRouted(IpNet, &'static str),
    #[error(
        "'{0}' is not an IP address with the length of its subnet's prefix: write it as in 192.168.10.1/24 or \
         2001:db8:10::1/64"
    )]
    NoInterfaceAddress(String),
    #[error("'{0}' has no prefix length: write {0}/{1}, or the length that its subnet has")]
    NoLength(IpAddr, u8),
    #[error("'{0}' cannot be an interface's address: {1}")]
    NotForInterface(IpNet, &'static str),
    #[error("'{0}' is not an IP address: write it as in 192.168.10.2 or 2001:db8:10::2")]
    NoAddress(String),
    #[error("'{0}' cannot be a neighbour's address: {1}")]
    NotForNeighbor(IpAddr, &'static str),
}

/// The destination of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// All addresses of a family, which is that of the next hop.
    Default,
    Net(IpNet),
}

impl Prefix {
    /// The prefix of a route by way of `next_hop`. The family of `default` is IPv4 where nothing else says it.
    pub(super) fn of_route(self, next_hop: Option<IpAddr>) -> IpNet {
        match (self, next_hop) {
            (Self::Net(net), _) => net,
            (Self::Default, Some(IpAddr::V6(_))) => Ipv6Net::default().into(),
            (Self::Default, _) => Ipv4Net::default().into(),
        }
    }
}

impl FromStr for Prefix {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text == "default" {
            return Ok(Self::Default);
        }
        // An address without a length is a host's, as in ip-route(8).
        let prefix = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| BadAddress::NoPrefix(text.to_owned()))?,
        };
        if prefix != prefix.trunc() {
            return Err(BadAddress::HostBits {
                text: text.to_owned(),
                right: prefix.trunc(),
            });
        }
        match unrouted(prefix) {
            Some(reason) => Err(BadAddress::NotRouted(prefix, reason)),
            None => Ok(Self::Net(prefix)),
        }
    }
}

/// Blocks of which no packet is ever forwarded, and why (RFC 4291 sections 2.5.6, 2.7 and 2.5.3).
const UNROUTED: [(Ipv6Net, &str); 3] = [
    (
        Ipv6Net::new_assert(LINK_LOCAL, 10),
        "link-local packets, of fe80::/10, stay on their link",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
        "multicast, of ff00::/8, is not forwarded",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        "loopback packets stay on their host",
    ),
];

fn unrouted(prefix: IpNet) -> Option<&'static str> {
    let IpNet::V6(prefix) = prefix else { return None };
    let block = UNROUTED.iter().find(|(block, _)| block.contains(&prefix));
    block.map(|(_, reason)| *reason)
}

/// An address of an interface with the length of the connected prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress(pub(super) IpNet);

impl FromStr for InterfaceAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Err(BadAddress::NoLength(
                address,
                if address.is_ipv4() { 24 } else { 64 },
            ));
        }
        let net: IpNet = text
            .parse()
            .map_err(|_| BadAddress::NoInterfaceAddress(text.to_owned()))?;
        let reason = if net.prefix_len() == 0 {
            Some("a subnet of length 0 would be the whole Internet")
        } else if is_link_local(net.addr()) && net.prefix_len() != LINK_LOCAL_SUBNET.prefix_len() {
            Some("the link-local subnet is fe80::/64")
        } else {
            not_a_host(net.addr()).or_else(|| not_a_host_of(net, net.addr()))
        };
        match reason {
            Some(reason) => Err(BadAddress::NotForInterface(net, reason)),
            None => Ok(Self(net)),
        }
    }
}

/// The address of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeighborAddress(pub(super) IpAddr);

impl FromStr for NeighborAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let address = text.parse().map_err(|_| BadAddress::NoAddress(text.to_owned()))?;
        match not_a_host(address) {
            Some(reason) => Err(BadAddress::NotForNeighbor(address, reason)),
            None => Ok(Self(address)),
        }
    }
}

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
/// The subnet that every link has.
const LINK_LOCAL_SUBNET: Ipv6Net = Ipv6Net::new_assert(LINK_LOCAL, 64);

/// Whether the address is good on one link only (RFC 4291 section 2.5.6), and so says nothing without an interface.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Why no host on a network can have the address (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5 and 2.7).
fn not_a_host(address: IpAddr) -> Option<&'static str> {
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
            if LINK_LOCAL_SUBNET.contains(&v6) {
                not_a_host_of(LINK_LOCAL_SUBNET.into(), address)
            } else {
                Some("link-local addresses are those of fe80::/64")
            }
        }
        IpAddr::V6(_) => None,
    }
}

/// Why an address of a subnet is none of its hosts'. A /31 and a /127 have two hosts and nothing else (RFC 3021, RFC 6164).
pub(super) fn not_a_host_of(subnet: IpNet, address: IpAddr) -> Option<&'static str> {
    if subnet.max_prefix_len() - subnet.prefix_len() < 2 {
        None
    } else if address == subnet.network() && address.is_ipv6() {
        Some("it is its subnet's router anycast address (RFC 4291 section 2.6.1)")
    } else if address == subnet.network() {
        Some("it is the subnet's own address")
    } else if address == subnet.broadcast() && address.is_ipv4() {
        Some("it is the subnet's broadcast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn host_bits_are_answered_with_the_right_prefix() {
        for (wrong, right) in [
            ("192.168.3.7/24", "192.168.3.0/24"),
            ("2001:DB8:3::7/48", "2001:db8:3::/48"),
        ] {
            let message = wrong.parse::<Prefix>().unwrap_err().to_string();
            assert!(message.contains(right), "{message}");
        }
    }

    #[test]
    fn single_hosts_are_prefixes() {
        let net = |text: &str| Prefix::Net(text.parse().unwrap());
        assert_eq!("10.1.2.3".parse(), Ok(net("10.1.2.3/32")));
        assert_eq!("2001:db8::3".parse(), Ok(net("2001:db8::3/128")));
    }

    #[test]
    fn default_is_of_the_next_hops_family() {
        let default = |next_hop: Option<&str>| {
            let next_hop = next_hop.map(|text| text.parse().unwrap());
            let prefix: Prefix = "default".parse().unwrap();
            prefix.of_route(next_hop).to_string()
        };
        assert_eq!(default(None), "0.0.0.0/0");
        assert_eq!(default(Some("10.0.0.1")), "0.0.0.0/0");
        assert_eq!(default(Some("fe80::1")), "::/0");
        let written: Prefix = "0.0.0.0/0".parse().unwrap();
        assert_eq!(written.of_route("fe80::1".parse().ok()).to_string(), "0.0.0.0/0");
    }

    #[test]
    fn what_stays_on_its_link_is_not_routed() {
        for wrong in ["fe80::/10", "fe80::/64", "febf::1", "ff00::/8", "ff02::1", "::1"] {
            assert!(
                matches!(wrong.parse::<Prefix>(), Err(BadAddress::NotRouted(..))),
                "{wrong}"
            );
        }
        for good in ["::/0", "fe00::/7", "fc00::/7", "::2", "::/64", "fec0::/10"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
    }

    #[test]
    fn an_interface_has_an_address_of_a_host() {
        for good in [
            "192.168.10.1/24",
            "10.0.0.0/31",
            "10.0.0.1/31",
            "10.0.0.1/32",
            "2001:db8::1/64",
            "2001:db8::ffff:ffff:ffff:ffff/64",
            "2001:db8::/127",
            "2001:db8::/128",
            "fd00::1/1",
            "fe80::1/64",
        ] {
            assert!(good.parse::<InterfaceAddress>().is_ok(), "{good}");
        }
        for wrong in [
            "192.168.10.1",
            "192.168.10.0/24",
            "192.168.10.255/24",
            "224.0.0.1/24",
            "127.0.0.1/8",
            "0.0.0.1/8",
            "10.0.0.1/33",
            "10.0.0.1/0",
            "10.0.0/24",
            "255.255.255.255/32",
            "2001:db8::1",
            "2001:db8::/64",
            "2001:db8::/126",
            "2001:db8::1/129",
            "2001:db8::1/0",
            "::/128",
            "::1/128",
            "ff02::1/64",
            "::ffff:192.168.10.1/120",
            "fe80::1/10",
            "fe80::1/128",
            "fe80::/64",
            "fe80:0:0:1::1/64",
            "fe80::1%wan/64",
            "",
            "wan",
        ] {
            assert!(wrong.parse::<InterfaceAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_neighbor_has_an_address_of_a_host() {
        for good in ["192.168.10.2", "2001:db8::2", "fe80::2"] {
            assert!(good.parse::<NeighborAddress>().is_ok(), "{good}");
        }
        for wrong in [
            "224.0.0.1",
            "192.168.10.2/24",
            "::",
            "::1",
            "ff02::2",
            "::ffff:192.168.10.2",
            "fe80::",
            "fe80:1::2",
        ] {
            assert!(wrong.parse::<NeighborAddress>().is_err(), "{wrong}");
        }
    }

    fn any_net() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0..=32u8)
                .prop_map(|(bits, length)| Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().into()),
            (any::<u128>(), 0..=128u8)
                .prop_map(|(bits, length)| Ipv6Net::new(Ipv6Addr::from(bits), length).unwrap().into()),
        ]
    }

    proptest! {
        #[test]
        fn any_prefix_without_host_bits_is_taken_as_it_is(net in any_net()) {
            prop_assume!(unrouted(net.trunc()).is_none() && unrouted(net).is_none());
            prop_assert_eq!(net.trunc().to_string().parse(), Ok(Prefix::Net(net.trunc())));
            prop_assert_eq!(net.to_string().parse::<Prefix>().is_ok(), net == net.trunc());
        }

        #[test]
        fn any_text_is_an_address_or_refused(text in "[0-9a-f.:/]{0,24}") {
            let _ = text.parse::<Prefix>();
            let _ = text.parse::<NeighborAddress>();
            if let Ok(InterfaceAddress(net)) = text.parse::<InterfaceAddress>() {
                prop_assert!(not_a_host(net.addr()).is_none());
            }
        }
    }
}

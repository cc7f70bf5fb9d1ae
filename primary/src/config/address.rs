//! Addresses and prefixes as the configuration has them. IPv6 is recognised, to say that it is not there yet.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Text that is not the address or prefix that is wanted in its place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAddress {
    #[error("IPv6 is not in this build yet: remove '{0}'")]
    Ipv6(String),
    #[error("'{0}' is not an IPv4 prefix: write address and length, as in 192.168.3.0/24, or default")]
    NoPrefix(String),
    #[error("'{text}' has bits set beyond its length: the prefix is {right}")]
    HostBits { text: String, right: Ipv4Net },
    #[error(
        "'{0}' is not an IPv4 address with the length of its subnet's prefix: write it as in 192.168.10.1/24"
    )]
    NoInterfaceAddress(String),
    #[error("'{0}' has no prefix length: write {0}/24, or the length that its subnet has")]
    NoLength(Ipv4Addr),
    #[error("'{0}' cannot be an interface's address: {1}")]
    NotForInterface(Ipv4Net, &'static str),
    #[error("'{0}' is not an IPv4 address: write it as in 192.168.10.2")]
    NoAddress(String),
    #[error("'{0}' cannot be a neighbour's address: use a unicast address")]
    NotUnicast(Ipv4Addr),
}

/// The destination of a route; `default` is 0.0.0.0/0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix(pub(super) Ipv4Net);

impl FromStr for Prefix {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text == "default" {
            return Ok(Self(Ipv4Net::default()));
        }
        // An address without a length is a host's, as in ip-route(8).
        let with_length = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| BadAddress::NoPrefix(text.to_owned()))?,
        };
        let IpNet::V4(prefix) = with_length else {
            return Err(BadAddress::Ipv6(text.to_owned()));
        };
        if prefix != prefix.trunc() {
            return Err(BadAddress::HostBits {
                text: text.to_owned(),
                right: prefix.trunc(),
            });
        }
        Ok(Self(prefix))
    }
}

/// An address of an interface with the length of the connected prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress(pub(super) Ipv4Net);

impl FromStr for InterfaceAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Ok(IpAddr::V4(address)) = text.parse() {
            return Err(BadAddress::NoLength(address));
        }
        if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            return Err(BadAddress::Ipv6(text.to_owned()));
        }
        let net = match text.parse() {
            Ok(IpNet::V4(net)) => net,
            Ok(IpNet::V6(_)) => return Err(BadAddress::Ipv6(text.to_owned())),
            Err(_) => return Err(BadAddress::NoInterfaceAddress(text.to_owned())),
        };
        let address = net.addr();
        let reason = if net.prefix_len() == 0 {
            Some("a subnet of length 0 would be the whole Internet")
        } else if !is_unicast(address) {
            Some("it is not a unicast address of a host")
        } else if net.prefix_len() < 31 && address == net.network() {
            Some("it is the subnet's own address")
        } else if net.prefix_len() < 31 && address == net.broadcast() {
            Some("it is the subnet's broadcast address")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(BadAddress::NotForInterface(net, reason)),
            None => Ok(Self(net)),
        }
    }
}

/// The address of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeighborAddress(pub(super) Ipv4Addr);

impl FromStr for NeighborAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.parse() {
            Ok(IpAddr::V4(address)) if is_unicast(address) => Ok(Self(address)),
            Ok(IpAddr::V4(address)) => Err(BadAddress::NotUnicast(address)),
            Ok(IpAddr::V6(_)) => Err(BadAddress::Ipv6(text.to_owned())),
            Err(_) => Err(BadAddress::NoAddress(text.to_owned())),
        }
    }
}

/// Whether a host on a network can have the address (RFC 1122 section 3.2.1.3).
fn is_unicast(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    (1..224).contains(&first) && first != 127
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_bits_are_answered_with_the_right_prefix() {
        let message = "192.168.3.7/24".parse::<Prefix>().unwrap_err().to_string();
        assert!(message.contains("192.168.3.0/24"), "{message}");
    }

    #[test]
    fn default_and_single_hosts_are_prefixes() {
        assert_eq!("default".parse(), Ok(Prefix("0.0.0.0/0".parse().unwrap())));
        assert_eq!("10.1.2.3".parse(), Ok(Prefix("10.1.2.3/32".parse().unwrap())));
    }

    #[test]
    fn ipv6_is_recognised_everywhere() {
        let ipv6 = |text: &str| BadAddress::Ipv6(text.to_owned());
        assert_eq!("2001:db8::/32".parse::<Prefix>(), Err(ipv6("2001:db8::/32")));
        assert_eq!(
            "2001:db8::1/64".parse::<InterfaceAddress>(),
            Err(ipv6("2001:db8::1/64"))
        );
        assert_eq!(
            "2001:db8::1".parse::<InterfaceAddress>(),
            Err(ipv6("2001:db8::1"))
        );
        assert_eq!("2001:db8::1".parse::<NeighborAddress>(), Err(ipv6("2001:db8::1")));
    }

    #[test]
    fn an_interface_has_an_address_of_a_host() {
        for good in ["192.168.10.1/24", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.1/32"] {
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
            "",
            "wan",
        ] {
            assert!(wrong.parse::<InterfaceAddress>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_prefix_without_host_bits_is_taken_as_it_is(address: u32, length in 0..=32u8) {
            let net = Ipv4Net::new(Ipv4Addr::from(address), length).unwrap();
            prop_assert_eq!(net.trunc().to_string().parse(), Ok(Prefix(net.trunc())));
            prop_assert_eq!(net.to_string().parse::<Prefix>().is_ok(), net == net.trunc());
        }

        #[test]
        fn any_text_is_an_address_or_refused(text in "[0-9a-f.:/]{0,24}") {
            let _ = text.parse::<Prefix>();
            if let Ok(InterfaceAddress(net)) = text.parse::<InterfaceAddress>() {
                prop_assert!(is_unicast(net.addr()));
            }
        }
    }
}

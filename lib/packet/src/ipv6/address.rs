//! Addresses that follow from other addresses: what neighbour discovery and Ethernet make of them (RFC 4291, RFC 2464).

use std::net::Ipv6Addr;

use crate::MacAddress;

/// All nodes of the link (RFC 4291 §2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of the link (RFC 4291 §2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// ff02::1:ff00:0/104, which the solicited-node addresses share.
const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
const LOW_24_BITS: u128 = 0x00ff_ffff;

/// The multicast address on which whoever has `address` listens for solicitations: ff02::1:ff and the low 24 bits of
/// `address` (RFC 4291 §2.7.1).
#[inline]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | address.to_bits() & LOW_24_BITS)
}

/// Is a solicited-node address, whoever's.
#[inline]
pub const fn is_solicited_node(address: Ipv6Addr) -> bool {
    address.to_bits() & !LOW_24_BITS == SOLICITED_NODE
}

/// Where Ethernet sends what is for the multicast address `group`: 33:33 and its low 32 bits (RFC 2464 §7).
#[inline]
pub const fn multicast_mac(group: Ipv6Addr) -> MacAddress {
    let [.., a, b, c, d] = group.octets();
    MacAddress([0x33, 0x33, a, b, c, d])
}

/// The link-local address of the interface with `mac`: fe80:: and the modified EUI-64 (RFC 4291 §2.5.6 and appendix A,
/// RFC 2464 §5).
#[inline]
pub const fn link_local(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.octets();
    Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn examples_of_the_rfcs_come_out() {
        // RFC 4291 §2.7.1.
        assert_eq!(
            solicited_node(address("4037::01:800:200e:8c6c")),
            address("ff02::1:ff0e:8c6c")
        );
        // RFC 2464 §4 and §5.
        let mac: MacAddress = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(link_local(mac), address("fe80::3656:78ff:fe9a:bcde"));
        assert_eq!(ALL_NODES, address("ff02::1"));
        assert_eq!(ALL_ROUTERS, address("ff02::2"));
    }

    #[test]
    fn multicast_goes_to_the_low_32_bits() {
        let group = solicited_node(address("2001:db8::1234:5678"));
        assert_eq!(multicast_mac(group).to_string(), "33:33:ff:34:56:78");
        assert_eq!(multicast_mac(ALL_ROUTERS).to_string(), "33:33:00:00:00:02");
        assert!(multicast_mac(group).is_multicast());
    }

    #[test]
    fn solicited_node_addresses_are_told_from_their_neighbours() {
        for text in ["ff02::1:ff00:0", "ff02::1:ffff:ffff"] {
            assert!(is_solicited_node(address(text)), "{text}");
        }
        for text in [
            "ff02::1:feff:ffff",
            "ff02::2:ff00:0",
            "ff05::1:ff00:0",
            "ff02::1",
            "fe80::1:ff00:0",
        ] {
            assert!(!is_solicited_node(address(text)), "{text}");
        }
    }
}

//! IANA protocol numbers: what an IPv4 or IPv6 header, or an IPv6 extension header, says that follows it.

use std::fmt;

/// The protocol field of an IPv4 header and the next header field of IPv6 (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv6 hop-by-hop options (RFC 8200 §4.3).
    pub const HOP_BY_HOP: Protocol = Protocol(0);
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Protocol = Protocol(1);
    /// IGMP (RFC 3376).
    pub const IGMP: Protocol = Protocol(2);
    /// An IPv4 packet (RFC 2003).
    pub const IPIP: Protocol = Protocol(4);
    /// TCP (RFC 9293).
    pub const TCP: Protocol = Protocol(6);
    /// UDP (RFC 768).
    pub const UDP: Protocol = Protocol(17);
    /// An IPv6 packet (RFC 2473, RFC 4213).
    pub const IPV6: Protocol = Protocol(41);
    /// IPv6 routing header (RFC 8200 §4.4).
    pub const ROUTING: Protocol = Protocol(43);
    /// IPv6 fragment header (RFC 8200 §4.5).
    pub const FRAGMENT: Protocol = Protocol(44);
    /// RSVP (RFC 2205).
    pub const RSVP: Protocol = Protocol(46);
    /// GRE (RFC 2784).
    pub const GRE: Protocol = Protocol(47);
    /// IPsec ESP (RFC 4303).
    pub const ESP: Protocol = Protocol(50);
    /// IPsec AH (RFC 4302).
    pub const AH: Protocol = Protocol(51);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Protocol = Protocol(58);
    /// Nothing follows an IPv6 header (RFC 8200 §4.7).
    pub const NO_NEXT_HEADER: Protocol = Protocol(59);
    /// IPv6 destination options (RFC 8200 §4.6).
    pub const DESTINATION_OPTIONS: Protocol = Protocol(60);
    /// OSPF (RFC 2328, for IPv6 RFC 5340).
    pub const OSPF: Protocol = Protocol(89);
    /// VRRP (RFC 9568).
    pub const VRRP: Protocol = Protocol(112);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Protocol::HOP_BY_HOP => "hopopt",
            Protocol::ICMP => "icmp",
            Protocol::IGMP => "igmp",
            Protocol::IPIP => "ipip",
            Protocol::TCP => "tcp",
            Protocol::UDP => "udp",
            Protocol::IPV6 => "ipv6",
            Protocol::ROUTING => "ipv6-route",
            Protocol::FRAGMENT => "ipv6-frag",
            Protocol::RSVP => "rsvp",
            Protocol::GRE => "gre",
            Protocol::ESP => "esp",
            Protocol::AH => "ah",
            Protocol::ICMPV6 => "ipv6-icmp",
            Protocol::NO_NEXT_HEADER => "ipv6-nonxt",
            Protocol::DESTINATION_OPTIONS => "ipv6-opts",
            Protocol::OSPF => "ospf",
            Protocol::VRRP => "vrrp",
            Protocol(number) => return fmt::Display::fmt(&number, f),
        })
    }
}

//! IANA protocol numbers: what an IPv4 header says it carries.

use std::fmt;

/// The protocol field of an IPv4 header (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Protocol = Protocol(1);
    /// IGMP (RFC 3376).
    pub const IGMP: Protocol = Protocol(2);
    /// TCP (RFC 9293).
    pub const TCP: Protocol = Protocol(6);
    /// UDP (RFC 768).
    pub const UDP: Protocol = Protocol(17);
    /// RSVP (RFC 2205).
    pub const RSVP: Protocol = Protocol(46);
    /// GRE (RFC 2784).
    pub const GRE: Protocol = Protocol(47);
    /// IPsec ESP (RFC 4303).
    pub const ESP: Protocol = Protocol(50);
    /// IPsec AH (RFC 4302).
    pub const AH: Protocol = Protocol(51);
    /// OSPF (RFC 2328).
    pub const OSPF: Protocol = Protocol(89);
    /// VRRP (RFC 9568).
    pub const VRRP: Protocol = Protocol(112);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Protocol::ICMP => "icmp",
            Protocol::IGMP => "igmp",
            Protocol::TCP => "tcp",
            Protocol::UDP => "udp",
            Protocol::RSVP => "rsvp",
            Protocol::GRE => "gre",
            Protocol::ESP => "esp",
            Protocol::AH => "ah",
            Protocol::OSPF => "ospf",
            Protocol::VRRP => "vrrp",
            Protocol(number) => return fmt::Display::fmt(&number, f),
        })
    }
}

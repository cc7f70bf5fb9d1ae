//! Who made a route: the numbers and names of iproute2's rt_protos, of which 0 to 4 are the kernel's, rtnetlink(7).

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Who made a route. Every number is one; not all have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteProtocol(pub u8);

impl RouteProtocol {
    /// The gateway itself, for an address of its own.
    pub const KERNEL: Self = Self(2);
    /// An operator or program, at run time, that has not said more.
    pub const BOOT: Self = Self(3);
    /// The configuration file.
    pub const STATIC: Self = Self(4);

    /// The name, where the number has one.
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(number, _)| *number == self.0)
            .map(|(_, name)| *name)
    }
}

const NAMES: [(u8, &str); 23] = [
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (18, "keepalived"),
    (42, "babel"),
    (84, "ovn"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

/// Neither a name nor a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no routing protocol: use a name such as static, bird, ospf, bgp, or a number from 0 to 255"
)]
pub struct UnknownProtocol(String);

impl FromStr for RouteProtocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        let named = NAMES.iter().find(|(_, name)| *name == text);
        named
            .map(|(number, _)| Ok(Self(*number)))
            .unwrap_or_else(|| text.parse().map(Self))
            .map_err(|_: ParseIntError| UnknownProtocol(text.to_owned()))
    }
}

impl fmt::Display for RouteProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_its_text() {
        for number in 0..=u8::MAX {
            let protocol = RouteProtocol(number);
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!("bird".parse(), Ok(RouteProtocol(12)));
        assert_eq!("256".parse::<RouteProtocol>(), Err(UnknownProtocol("256".into())));
    }
}

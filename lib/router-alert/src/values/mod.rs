//! Values of router alerts: what the registered ones are called, and sets of them.
//!
//! Values mean something else in each family. IPv4: RFC 2113, RFC 5350 §3.1; IPv6: RFC 2711 §2.1, RFC 5350 §3.2, closed for
//! new values by RFC 9805. A value that is not registered is as good as any: only a rule makes it special.

mod set;

pub use set::{ValueSet, ValueSetError};

use crate::Family;

/// A range of values with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The first value.
    pub first: u16,
    /// The last value, not below the first.
    pub last: u16,
    /// What they are for.
    pub name: &'static str,
    /// The document that says so.
    pub reference: &'static str,
}

const fn registered(first: u16, last: u16, name: &'static str, reference: &'static str) -> Registered {
    Registered {
        first,
        last,
        name,
        reference,
    }
}

const EXPERIMENTAL: Registered = registered(65503, 65534, "experimental", "RFC 5350");
const RESERVED: Registered = registered(65535, 65535, "reserved", "RFC 5350");

const FOUR: &[Registered] = &[
    registered(0, 0, "router shall examine packet", "RFC 2113"),
    registered(1, 32, "aggregated reservation nesting level", "RFC 3175"),
    registered(33, 64, "QoS NSLP aggregation level", "RFC 5974"),
    registered(65, 65, "NSIS NATFW NSLP", "RFC 5973"),
    EXPERIMENTAL,
    RESERVED,
];

const SIX: &[Registered] = &[
    registered(0, 0, "Multicast Listener Discovery", "RFC 2710"),
    registered(1, 1, "RSVP", "RFC 2711"),
    registered(2, 2, "Active Networks", "RFC 2711"),
    registered(3, 3, "reserved", "RFC 5350"),
    registered(4, 35, "aggregated reservation nesting level", "RFC 3175"),
    registered(36, 67, "QoS NSLP aggregation level", "RFC 5974"),
    registered(68, 68, "NSIS NATFW NSLP", "RFC 5973"),
    registered(69, 69, "MPLS OAM", "RFC 7506, historic by RFC 9570"),
    EXPERIMENTAL,
    RESERVED,
];

/// The values of a family that mean something, in order.
pub const fn registry(family: Family) -> &'static [Registered] {
    match family {
        Family::Four => FOUR,
        Family::Six => SIX,
    }
}

/// What a value is for; `None` if it is not registered.
///
/// ```
/// use router_alert::{Family, values};
///
/// assert_eq!(values::name(Family::Six, 5), Some("aggregated reservation nesting level"));
/// assert_eq!(values::name(Family::Six, 70), None);
/// ```
pub fn name(family: Family, value: u16) -> Option<&'static str> {
    registry(family)
        .iter()
        .find(|entry| (entry.first..=entry.last).contains(&value))
        .map(|entry| entry.name)
}

#[cfg(test)]
mod tests;

//! Narrowing of traffic selectors (RFC 7296 §2.9).

use std::fmt;

use ikev2::wire::{MAX_SELECTORS, OPAQUE_PORTS, Selector, TrafficSelector, TrafficSelectors};

/// The selectors of a payload that are ranges; others select nothing.
pub(crate) fn ranges(payload: &TrafficSelectors<'_>) -> Vec<TrafficSelector> {
    let range = |selector| match selector {
        Selector::Range(range) => Some(range),
        Selector::Other { .. } => None,
    };
    payload.iter().filter_map(range).collect()
}

/// What both select; `None`: nothing.
fn both(one: &TrafficSelector, other: &TrafficSelector) -> Option<TrafficSelector> {
    let protocol = match (one.protocol, other.protocol) {
        (0, protocol) | (protocol, 0) => protocol,
        (one, other) if one == other => one,
        _ => return None,
    };
    const ANY: (u16, u16) = (0, 0xffff);
    let ports = match (one.ports, other.ports) {
        (ANY, ports) | (ports, ANY) => ports,
        (OPAQUE_PORTS, OPAQUE_PORTS) => OPAQUE_PORTS,
        (OPAQUE_PORTS, _) | (_, OPAQUE_PORTS) => return None,
        // Those that do not meet would be out of order, which may look like opaque ones.
        (one, other) if one.0.max(other.0) > one.1.min(other.1) => return None,
        (one, other) => (one.0.max(other.0), one.1.min(other.1)),
    };
    let (one, other) = (one.addresses(), other.addresses());
    if one.0.is_ipv4() != other.0.is_ipv4() {
        return None;
    }
    // Ranges that do not meet are out of order then, and no selector.
    TrafficSelector::new(protocol, ports, one.0.max(other.0), one.1.min(other.1))
}

/// What is selected by both, in the order of `theirs`. Empty: nothing is.
pub(crate) fn narrow(theirs: &[TrafficSelector], ours: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut narrowed: Vec<TrafficSelector> = Vec::new();
    for their in theirs {
        for common in ours.iter().filter_map(|our| both(their, our)) {
            let known = narrowed.iter().any(|wider| both(wider, &common) == Some(common));
            if !known && narrowed.len() < MAX_SELECTORS {
                narrowed.retain(|narrower| both(narrower, &common) != Some(*narrower));
                narrowed.push(common);
            }
        }
    }
    narrowed
}

/// Whether everything of `inner` is in one of `outer`.
pub(crate) fn is_within(inner: &[TrafficSelector], outer: &[TrafficSelector]) -> bool {
    let within = |one: &TrafficSelector| outer.iter().any(|wider| both(wider, one) == Some(*one));
    inner.iter().all(within)
}

/// Shows selectors, at most 8.
pub(crate) struct Shown<'a>(pub(crate) &'a [TrafficSelector]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (number, selector) in self.0.iter().take(8).enumerate() {
            write!(f, "{}{selector}", if number == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(8) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(protocol: u8, ports: (u16, u16), first: &str, last: &str) -> TrafficSelector {
        TrafficSelector::new(protocol, ports, first.parse().unwrap(), last.parse().unwrap()).unwrap()
    }

    fn any(first: &str, last: &str) -> TrafficSelector {
        selector(0, (0, 0xffff), first, last)
    }

    fn shown(theirs: &[TrafficSelector], ours: &[TrafficSelector]) -> String {
        Shown(&narrow(theirs, ours)).to_string()
    }

    #[test]
    fn what_both_select_is_left() {
        let (wide, inner) = (any("10.0.0.0", "10.255.255.255"), any("10.1.0.0", "10.1.255.255"));
        assert_eq!(shown(&[wide], &[inner]), "10.1.0.0-10.1.255.255");
        assert_eq!(shown(&[inner], &[wide]), "10.1.0.0-10.1.255.255");
        let overlapping = any("10.1.128.0", "10.2.0.255");
        assert_eq!(shown(&[inner], &[overlapping]), "10.1.128.0-10.1.255.255");
        assert_eq!(shown(&[inner], &[any("10.2.0.0", "10.2.0.255")]), "nothing");
        assert_eq!(shown(&[inner], &[any("::", "ffff::")]), "nothing");
        let tcp = selector(6, (80, 443), "10.0.0.0", "10.255.255.255");
        assert_eq!(shown(&[tcp], &[inner]), "10.1.0.0-10.1.255.255[6/80-443]");
        assert_eq!(
            shown(&[tcp], &[selector(6, (443, 500), "10.0.0.1", "10.0.0.1")]),
            "10.0.0.1[6/443]"
        );
        assert_eq!(
            shown(&[tcp], &[selector(17, (80, 443), "10.0.0.1", "10.0.0.1")]),
            "nothing"
        );
        assert_eq!(
            shown(&[tcp], &[selector(6, (1, 79), "10.0.0.1", "10.0.0.1")]),
            "nothing"
        );
    }

    #[test]
    fn ports_that_do_not_meet_are_not_opaque_ones() {
        // 65535 to 0 is how opaque ports are written.
        let last = selector(6, (0xffff, 0xffff), "10.0.0.1", "10.0.0.1");
        let first = selector(6, (0, 0), "10.0.0.1", "10.0.0.1");
        assert_eq!(shown(&[last], &[first]), "nothing");
        let opaque = selector(6, OPAQUE_PORTS, "10.0.0.1", "10.0.0.1");
        assert_eq!(
            shown(&[opaque], &[any("10.0.0.0", "10.0.0.9")]),
            "10.0.0.1[6/opaque]"
        );
        assert_eq!(shown(&[opaque], &[first]), "nothing");
    }

    #[test]
    fn what_is_in_a_wider_one_is_not_said_twice() {
        // A peer sends the packet that made it ask first (RFC 7296 §2.9).
        let packet = selector(6, (80, 80), "10.1.0.1", "10.1.0.1");
        let wide = any("10.1.0.0", "10.1.255.255");
        assert_eq!(shown(&[packet, wide], &[wide]), "10.1.0.0-10.1.255.255");
        assert!(is_within(&[packet, wide], &[wide]) && !is_within(&[wide], &[packet]));
    }
}

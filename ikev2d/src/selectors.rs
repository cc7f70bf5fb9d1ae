//! From traffic selectors of a child SA to what an SA of the data plane may carry.

use control::message::{SA_SELECTORS, SaDirection, Selector};
use ikev2::wire::TrafficSelector;

/// What goes from here to there, as pairs: an SA of the data plane knows source and destination together. `None`: more than it takes.
pub(crate) fn pairs(ours: &[TrafficSelector], theirs: &[TrafficSelector]) -> Option<Vec<Selector>> {
    let mut pairs = Vec::new();
    for our in ours {
        for their in theirs {
            let (source, destination) = (our.addresses(), their.addresses());
            let protocol = match (our.protocol, their.protocol) {
                (0, other) | (other, 0) => other,
                (one, other) if one == other => one,
                _ => continue,
            };
            if source.0.is_ipv4() != destination.0.is_ipv4() {
                continue;
            }
            pairs.push(Selector {
                source,
                destination,
                protocol: Some(protocol).filter(|protocol| *protocol != 0),
                source_ports: our.ports,
                destination_ports: their.ports,
            });
        }
    }
    (pairs.len() <= SA_SELECTORS).then_some(pairs)
}

/// What an SA of one direction may carry. All packets of both families are no selector at all, which costs least.
pub(crate) fn of(
    ours: &[TrafficSelector],
    theirs: &[TrafficSelector],
    direction: SaDirection,
) -> Option<Vec<Selector>> {
    let pairs = match direction {
        SaDirection::Out => pairs(ours, theirs)?,
        SaDirection::In => pairs(theirs, ours)?,
    };
    let is_all = |pair: &Selector, four: bool| {
        let is_whole = |(first, last): (std::net::IpAddr, std::net::IpAddr)| {
            first.is_unspecified()
                && first.is_ipv4() == four
                && match last {
                    std::net::IpAddr::V4(last) => last.to_bits() == u32::MAX,
                    std::net::IpAddr::V6(last) => last.to_bits() == u128::MAX,
                }
        };
        is_whole(pair.source)
            && is_whole(pair.destination)
            && pair.protocol.is_none()
            && pair.source_ports == Selector::ANY_PORT
            && pair.destination_ports == Selector::ANY_PORT
    };
    let has_all = |four| pairs.iter().any(|pair| is_all(pair, four));
    Some(if has_all(true) && has_all(false) {
        Vec::new()
    } else {
        pairs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(protocol: u8, first: &str, last: &str) -> TrafficSelector {
        TrafficSelector::new(
            protocol,
            (0, u16::MAX),
            first.parse().unwrap(),
            last.parse().unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn each_pair_of_a_family_is_a_selector_and_directions_are_turned() {
        let ours = [
            selector(0, "10.1.0.0", "10.1.0.255"),
            selector(17, "fd01::", "fd01::ff"),
        ];
        let theirs = [
            selector(6, "10.2.0.0", "10.2.0.255"),
            selector(0, "fd02::", "fd02::ff"),
        ];
        let out = of(&ours, &theirs, SaDirection::Out).unwrap();
        assert_eq!(out.len(), 2);
        assert_eq!((out[0].protocol, out[1].protocol), (Some(6), Some(17)));
        assert_eq!(out[0].source.0, "10.1.0.0".parse::<std::net::IpAddr>().unwrap());
        let back = of(&ours, &theirs, SaDirection::In).unwrap();
        assert_eq!(
            (back[0].source, back[0].destination),
            (out[0].destination, out[0].source)
        );
        // Two protocols are none, and there is room for no more than the data plane takes.
        assert_eq!(
            pairs(&ours[1..], &[selector(6, "fd02::", "fd02::1")]),
            Some(Vec::new())
        );
        let many = vec![ours[0]; SA_SELECTORS + 1];
        assert_eq!(pairs(&many, &theirs), None);
    }

    #[test]
    fn all_packets_of_both_families_need_no_selector() {
        let all4 = selector(0, "0.0.0.0", "255.255.255.255");
        let all6 = selector(0, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        let both = [all4, all6];
        assert_eq!(of(&both, &both, SaDirection::In), Some(Vec::new()));
        assert_eq!(of(&[all4], &both, SaDirection::In).unwrap().len(), 1);
    }
}

//! GRE and IP in IP, in clear and in ESP of transport mode.

use tests::Family;

use crate::peer::{Peer, end, inside, net};
use crate::sas::{Pair, TRANSFORMS, TUNNEL, USUAL};

/// What a tunnel is called here and by the kernel.
const KINDS: [(Family, &str, &str); 6] = [
    (Family::Ip4, "mode ipip", "sit mode any"),
    (Family::Ip6, "mode ipip", "ip6tnl mode any"),
    (Family::Ip4, "mode gre", "gre"),
    (Family::Ip4, "mode gre key 4711", "gre key 4711"),
    (Family::Ip6, "mode gre", "ip6gre"),
    (Family::Ip6, "mode gre key 7", "ip6gre key 7"),
];

/// What stands behind ESP where the kernel is to seal it: GRE, or packets of either family.
fn protocols(here: &str) -> &'static [u8] {
    if here.starts_with("mode gre") {
        &[47]
    } else {
        &[4, 41]
    }
}

/// Makes a tunnel at both ends, with routes of both families into it.
fn make(peer: &Peer, name: &str, (over, here, there): (Family, &str, &str), more: &str) {
    let (own, other) = (end(over, 1), end(over, 2));
    peer.ctl(&format!(
        "tunnel add {name} {here} local {own} remote {other} unnumbered a0 {more}"
    ));
    peer.routes(name);
    // A limit of encapsulations is an option that this suite's tunnels do not send.
    let limit = match there {
        "ip6tnl mode any" => "encaplimit none",
        _ => "",
    };
    peer.there(&format!(
        "ip link add t0 type {there} local {other} remote {own} {limit} && ip link set t0 up && \
         ip route add {} dev t0 src {} && ip -6 route add {} dev t0 src {}",
        net(Family::Ip4, 1),
        inside(Family::Ip4, 2),
        net(Family::Ip6, 1),
        inside(Family::Ip6, 2)
    ));
}

/// Pings of both families that go through whole.
fn assert_carries(peer: &Peer, what: &str) {
    for family in Family::BOTH {
        peer.warm_up(family, what);
        peer.assert_pings(family, &[13, 1300], what);
        peer.assert_pings_back(family, &[56], what);
    }
}

/// Both families in tunnels over both, whole packets and such as are cut before or behind the outer header.
pub(crate) fn carry_packets(peer: &Peer) {
    for kind in KINDS {
        let (over, here, _) = kind;
        make(peer, "t0", kind, "");
        let what = format!("{here} over {over}");
        assert_carries(peer, &what);
        // Each kernel cuts them as its tunnel takes them.
        peer.assert_pings(Family::Ip4, &[1460, 3000], &what);
        peer.assert_pings_back(Family::Ip4, &[3000], &what);
        peer.ctl("tunnel del t0");
        peer.there("ip link del t0");
    }
}

/// The same tunnels in ESP of transport mode: the kernel's policies seal what its tunnels send, and let nothing else into them.
pub(crate) fn carry_packets_in_transport_mode(peer: &Peer) {
    // One of combined modes, one with integrity apart.
    let transforms = [USUAL, &TRANSFORMS[5]];
    for (number, kind) in KINDS.into_iter().enumerate() {
        let (over, here, _) = kind;
        let (own, other) = (end(over, 1), end(over, 2));
        for (direction, from, to) in [("out", &other, &own), ("in", &own, &other)] {
            for protocol in protocols(here) {
                peer.there(&format!(
                    "ip xfrm policy add src {from} dst {to} proto {protocol} dir {direction} tmpl proto esp mode transport"
                ));
            }
        }
        // It sends of itself as soon as its tunnel is there.
        make(peer, TUNNEL, kind, "protected");
        let transform = transforms[number % transforms.len()];
        let spi = 0x7000 + 2 * number as u32;
        for (spi, to_guest) in [(spi, true), (spi + 1, false)] {
            let pair = Pair {
                esn: number / transforms.len() % 2 == 1,
                mode: "transport",
                ..Pair::new(spi, to_guest, transform)
            };
            peer.install(over, pair);
        }
        let what = format!("protected {here} over {over} by {}", transform.name);
        assert_carries(peer, &what);
        peer.assert_pings(Family::Ip4, &[3000], &what);
        peer.assert_used(spi, spi + 1, &what);
        peer.assert_nothing_refused(&what);
        peer.there("ip link del t0 && ip xfrm state flush && ip xfrm policy flush");
        peer.ctl(&format!("tunnel del {TUNNEL}"));
    }
}

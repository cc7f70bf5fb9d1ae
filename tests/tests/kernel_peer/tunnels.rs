//! GRE and IP in IP.

use tests::Family;

use crate::peer::{Peer, end, inside, net};

/// What a tunnel is called here and by the kernel.
const KINDS: [(Family, &str, &str); 6] = [
    (Family::Ip4, "mode ipip", "sit mode any"),
    (Family::Ip6, "mode ipip", "ip6tnl mode any"),
    (Family::Ip4, "mode gre", "gre"),
    (Family::Ip4, "mode gre key 4711", "gre key 4711"),
    (Family::Ip6, "mode gre", "ip6gre"),
    (Family::Ip6, "mode gre key 7", "ip6gre key 7"),
];

/// Both families in tunnels over both, whole packets and such as are cut before or behind the outer header.
pub(crate) fn carry_packets(peer: &Peer) {
    for (over, here, there) in KINDS {
        let (own, other) = (end(over, 1), end(over, 2));
        peer.ctl(&format!(
            "tunnel add t0 {here} local {own} remote {other} unnumbered a0"
        ));
        peer.routes("t0");
        // A limit of encapsulations is an option that this suite's tunnels do not send.
        let more = match there {
            "ip6tnl mode any" => "encaplimit none",
            _ => "",
        };
        peer.there(&format!(
            "ip link add t0 type {there} local {other} remote {own} {more} && ip link set t0 up && \
             ip route add {} dev t0 src {} && ip -6 route add {} dev t0 src {}",
            net(Family::Ip4, 1),
            inside(Family::Ip4, 2),
            net(Family::Ip6, 1),
            inside(Family::Ip6, 2)
        ));
        let what = format!("{here} over {over}");
        for family in Family::BOTH {
            peer.warm_up(family, &what);
            peer.assert_pings(family, &[13, 1300], &what);
            peer.assert_pings_back(family, &[56], &what);
        }
        // Each kernel cuts them as its tunnel takes them.
        peer.assert_pings(Family::Ip4, &[1460, 3000], &what);
        peer.assert_pings_back(Family::Ip4, &[3000], &what);
        peer.ctl("tunnel del t0");
        peer.there("ip link del t0");
    }
}

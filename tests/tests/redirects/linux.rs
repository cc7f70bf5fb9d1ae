//! The same frames through a router of the kernel: its redirects are compared.

use tests::{Family, Listener, Namespace, NamespaceOptions, Privilege};

use super::{
    BETTER_MAC, HOST_MAC, LIMIT, OneArm, PORT, ROUTER_MAC, ROUTES, frame, is_redirect, port, set_mac,
};

/// Bytes of a frame before its IP packet.
const ETHERNET: usize = 14;

/// A redirect but for what differs between two routers that do it right: the identification, whether it may be cut, and
/// whether the quoted packet was counted down before (RFC 1812 section 4.3.2.3); checksums go with them.
fn comparable(family: Family, mut redirect: Vec<u8>) -> Vec<u8> {
    if family == Family::Ip4 {
        let message = ETHERNET + 20;
        let quote = message + 8;
        for masked in [
            ETHERNET + 4..ETHERNET + 8,
            ETHERNET + 10..ETHERNET + 12,
            message + 2..message + 4,
            quote + 8..quote + 9,
            quote + 10..quote + 12,
        ] {
            redirect[masked].fill(0);
        }
    }
    redirect
}

pub(crate) fn what_is_told_is_what_linux_tells(family: Family) {
    let mut site = OneArm::create(port(PORT));
    let options = NamespaceOptions {
        ipv6: true,
        forwarding: true,
    };
    let linux = Namespace::create_with(Privilege::detect(), "linux", options).unwrap();
    linux
        .set_sysctls(&[
            ("net/ipv4/conf/all/send_redirects", "1"),
            ("net/ipv4/conf/default/send_redirects", "1"),
            ("net/ipv6/auto_flowlabels", "0"),
            ("net/ipv6/conf/all/forwarding", "1"),
        ])
        .unwrap();
    site.host.connect("l0", &linux, "p0").unwrap();
    set_mac(&linux, "p0", ROUTER_MAC);
    let ip = |words: &str| {
        let words: Vec<_> = std::iter::once("ip").chain(words.split(' ')).collect();
        linux.run("sets up the kernel's router", &words).unwrap();
    };
    ip("-6 addr flush dev p0");
    for address in ["192.168.1.1/24", "2001:db8:1::1/64", "fe80::1/64"] {
        linux.add_address("p0", address).unwrap();
    }
    for (prefix, via) in ROUTES {
        ip(&format!("route add {prefix} via {via} dev p0"));
    }
    let (net, host) = family.choose(("192.168.1", "192.168.1.3"), ("2001:db8:1:", "2001:db8:1::3"));
    let separator = family.choose(".", ":");
    let hosts: Vec<_> = (20..26).map(|last| format!("{net}{separator}{last}")).collect();
    let mut known: Vec<_> = hosts.iter().map(|host| (host.as_str(), HOST_MAC)).collect();
    known.extend([("192.168.1.3", BETTER_MAC), ("2001:db8:1::3", BETTER_MAC)]);
    known.extend([("fe80::3", BETTER_MAC), ("fe80::20", HOST_MAC)]);
    for (address, mac) in known {
        ip(&format!(
            "neigh replace {address} lladdr {mac} dev p0 nud permanent"
        ));
    }
    let mut of_linux = Listener::start(&site.host, "l0").unwrap();

    // Each from another host to another destination: the kernel tells each once in a while.
    let (far, behind) = family.choose(("203.0.113.9", "10.80.0."), ("2001:db8:ff::9", "2001:db8:80::"));
    let behind = |last: u8| format!("{behind}{last}");
    let link_local = family.choose(hosts[3].as_str(), "fe80::20");
    let told = [
        frame(family, "", &hosts[0], &behind(1), "b'short'"),
        frame(family, "", &hosts[1], &behind(2), "(b'x' * 1395 + b'longs')"),
        frame(family, "", &hosts[2], host, "b'links'"),
        frame(family, "", link_local, &behind(3), "b'local'"),
    ];
    let not_told = [frame(family, "", far, &behind(4), "b'afars'")];
    for (number, frame) in told.iter().chain(&not_told).enumerate() {
        let sign = ["short", "longs", "links", "local", "afars"][number];
        let ours = site.redirects_after(frame, sign);
        site.host.send_frames("l0", std::slice::from_ref(frame)).unwrap();
        of_linux
            .wait_for("the packet, forwarded by the kernel", LIMIT, |frame| {
                !is_redirect(frame) && frame.ends_with(sign.as_bytes())
            })
            .unwrap();
        let theirs = of_linux.frames().into_iter().filter(|frame| is_redirect(frame));
        let theirs: Vec<_> = theirs.collect();
        let expected = (number + 1).min(told.len());
        assert_eq!((ours.len(), theirs.len()), (expected, expected), "after {sign}");
        let [ours, theirs] = [ours, theirs].map(|mut all| comparable(family, all.pop().unwrap()));
        assert_eq!(ours, theirs, "{sign}");
    }
    let counters = site.primary.counters_at_rest().unwrap();
    let of = counters.of(PORT).unwrap();
    assert_eq!((of.icmp_errors, of.icmp_errors_policed), (told.len() as u64, 0));
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

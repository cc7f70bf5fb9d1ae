//! Redirects: who is told of a better next hop, in which bytes, how often, and that a host goes by it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod linux;

use std::{
    fs,
    time::{Duration, Instant},
};

use tests::{
    Family, Interface, Listener, Namespace, NamespaceOptions, Primary, PrimaryBuilder, Privilege,
    both_families, wait_until,
};

use linux::what_is_told_is_what_linux_tells;

const LIMIT: Duration = Duration::from_secs(30);
/// ICMP errors to one interface, redirects among them: at once, and per second.
const BURST: u64 = 100;
const RATE: f64 = 1000.0;
const ROUTER_MAC: &str = "02:00:00:00:01:00";
const HOST_MAC: &str = "02:00:00:00:0a:02";
/// The better next hop.
const BETTER_MAC: &str = "02:00:00:00:0b:03";
/// Of the gateway's port, which leads to all of them.
const PORT: &str = "t0";

both_families! {
    a_host_learns_a_better_next_hop_and_goes_by_it,
    what_is_told_is_what_linux_tells,
    a_host_that_does_not_listen_is_told_once_a_second,
    redirects_are_limited_in_number,
    redirects_are_switched_while_the_gateway_runs,
    a_redirect_has_the_tag_of_its_vlan,
    a_trace_shows_the_packet_as_it_leaves,
}

/// Address of the host, of the better next hop, and of what is behind that.
fn addresses(family: Family) -> (&'static str, &'static str, &'static str) {
    family.choose(
        ("192.168.1.2", "192.168.1.3", "10.80.0.1"),
        ("2001:db8:1::2", "fe80::3", "2001:db8:80::1"),
    )
}

/// The port of the gateway.
fn port(name: &str) -> Interface {
    Interface::af_packet(name)
        .address("192.168.1.1/24")
        .address("2001:db8:1::1/64")
        .address("fe80::1/64")
}

/// What is behind the better next hop, and the way to it.
const ROUTES: [(&str, &str); 2] = [("10.80.0.0/16", "192.168.1.3"), ("2001:db8:80::/48", "fe80::3")];

/// A gateway with one port, on which the better next hop is known.
fn gateway(namespace: &Namespace, port: Interface, interface: &str) -> PrimaryBuilder {
    let mut builder = Primary::builder(namespace.privilege(), "gw")
        .netns(namespace)
        .interface(port);
    for (prefix, via) in ROUTES {
        builder = builder.toml(&format!(
            "[[route]]\nprefix = \"{prefix}\"\nvia = \"{via}\"\ninterface = \"{interface}\"\n"
        ));
    }
    builder
}

fn with_neighbors(builder: PrimaryBuilder, interface: &str) -> PrimaryBuilder {
    ["192.168.1.3", "2001:db8:1::3", "fe80::3"]
        .into_iter()
        .fold(builder, |builder, address| {
            builder.neighbor(address, BETTER_MAC, interface)
        })
}

/// A link to a silent host that can be anybody, and a gateway that knows the better next hop.
struct OneArm {
    primary: Primary,
    listener: Listener,
    host: Namespace,
    _gateway: Namespace,
}

impl OneArm {
    fn create(port: Interface) -> Self {
        Self::with(|gateway_namespace| with_neighbors(gateway(gateway_namespace, port, PORT), PORT))
    }

    fn with(builder: impl FnOnce(&Namespace) -> PrimaryBuilder) -> Self {
        let privilege = Privilege::detect();
        let host = Namespace::create(privilege, "host").unwrap();
        let namespace = Namespace::create(privilege, "gateway").unwrap();
        host.connect("eth0", &namespace, PORT).unwrap();
        set_mac(&namespace, PORT, ROUTER_MAC);
        let primary = builder(&namespace).start().unwrap();
        primary.wait_for_addresses().unwrap();
        primary.counters_at_rest().unwrap();
        let listener = Listener::start(&host, "eth0").unwrap();
        Self {
            primary,
            listener,
            host,
            _gateway: namespace,
        }
    }

    /// Sends a frame; all redirects that have come once it is forwarded.
    fn redirects_after(&mut self, frame: &str, sign: &str) -> Vec<Vec<u8>> {
        self.host.send_frames("eth0", &[frame.to_owned()]).unwrap();
        self.listener
            .wait_for("the packet, forwarded", LIMIT, |frame| {
                !is_redirect(frame) && frame.ends_with(sign.as_bytes())
            })
            .unwrap();
        self.redirects()
    }

    fn redirects(&self) -> Vec<Vec<u8>> {
        let frames = self.listener.frames().into_iter();
        frames.filter(|frame| is_redirect(frame)).collect()
    }

    fn told(&self) -> u64 {
        self.primary.counters_at_rest().unwrap().sum(|of| of.icmp_errors)
    }
}

fn set_mac(namespace: &Namespace, link: &str, mac: &str) {
    namespace.set_up(link, false).unwrap();
    namespace.set_mac(link, mac).unwrap();
    namespace.set_up(link, true).unwrap();
}

/// A packet in scapy's words, from the host's MAC address to the gateway's.
fn frame(family: Family, tag: &str, source: &str, destination: &str, rest: &str) -> String {
    let fields = format!("src='{source}', dst='{destination}'");
    let ip = family.choose(format!("IP({fields}, id=7)"), format!("IPv6({fields})"));
    format!("Ether(dst='{ROUTER_MAC}', src='{HOST_MAC}'){tag}/{ip}/UDP(sport=1, dport=2)/{rest}")
}

fn is_redirect(frame: &[u8]) -> bool {
    // Behind at most one tag.
    let packet = match frame.get(12..14) {
        Some([0x81, 0x00]) => frame.get(16..),
        _ => frame.get(12..),
    };
    match packet {
        Some([0x08, 0x00, ip @ ..]) => ip.get(9) == Some(&1) && ip.get(20) == Some(&5),
        Some([0x86, 0xdd, ip @ ..]) => ip.get(6) == Some(&58) && ip.get(40) == Some(&137),
        _ => false,
    }
}

/// Two hosts and a gateway on one link.
///
/// ```text
///   host-a ──┐
///   host-b ──┼── switch          behind host-b: 10.80.0.1, 2001:db8:80::1
///   gateway ─┘
/// ```
fn a_host_learns_a_better_next_hop_and_goes_by_it(family: Family) {
    let privilege = Privilege::detect();
    let options = NamespaceOptions {
        ipv6: true,
        ..NamespaceOptions::default()
    };
    let host_a = Namespace::create_with(privilege, "host-a", options).unwrap();
    let host_b = Namespace::create_with(privilege, "host-b", options).unwrap();
    let namespace = Namespace::create(privilege, "gateway").unwrap();
    let switch = Namespace::create(privilege, "switch").unwrap();
    // Some hosts are told not to listen, and new namespaces copy that.
    host_a
        .set_sysctls(&[
            ("net/ipv4/conf/all/accept_redirects", "1"),
            ("net/ipv4/conf/default/accept_redirects", "1"),
            ("net/ipv6/conf/all/accept_redirects", "1"),
            ("net/ipv6/conf/default/accept_redirects", "1"),
        ])
        .unwrap();
    let ip = |namespace: &Namespace, words: &str| {
        let words: Vec<_> = std::iter::once("ip").chain(words.split(' ')).collect();
        namespace.run("sets up a link", &words).unwrap().stdout
    };
    ip(&switch, "link add br0 type bridge");
    ip(&switch, "link set br0 up");
    for (of, link, end) in [
        (&host_a, "eth0", "sa"),
        (&host_b, "eth0", "sb"),
        (&namespace, PORT, "sg"),
    ] {
        of.connect(link, &switch, end).unwrap();
        ip(&switch, &format!("link set {end} master br0"));
    }
    let (address, better, behind) = addresses(family);
    for (host, addresses) in [
        (&host_a, [address, "fe80::2"]),
        (&host_b, [family.choose(better, "2001:db8:1::3"), "fe80::3"]),
    ] {
        for address in addresses {
            let length = if address.contains(':') { 64 } else { 24 };
            host.add_address("eth0", &format!("{address}/{length}")).unwrap();
        }
    }
    host_b.add_address("lo", &family.alone(behind)).unwrap();
    // A host believes the router that it sends to, and nobody else: RFC 4861 section 8.1.
    let (flag, router) = family.choose(("-4", "192.168.1.1"), ("-6", "fe80::1"));
    ip(
        &host_a,
        &format!("{flag} route add default via {router} dev eth0"),
    );
    let primary = gateway(&namespace, port(PORT), PORT).start().unwrap();
    let way = || ip(&host_a, &format!("{flag} route get {behind}"));
    assert!(way().contains(&format!("via {router} ")), "{}", way());
    // Each ping is answered, whichever way it goes.
    wait_until("the host to go by the better next hop", LIMIT, || {
        host_a.ping(behind, &["-c", "1"], LIMIT)?.assert_all_answered();
        Ok(way().contains(&format!("via {better} ")).then_some(()))
    })
    .unwrap();
    let counters = primary.counters_at_rest().unwrap();
    assert!(counters.sum(|of| of.icmp_errors) > 0);
    counters.assert_balanced();
}

fn a_host_that_does_not_listen_is_told_once_a_second(family: Family) {
    let site = OneArm::create(port(PORT));
    let (address, _, behind) = addresses(family);
    let packets = 2000;
    let flood = format!("[{}] * {packets}", frame(family, "", address, behind, "b'deaf'"));
    let began = Instant::now();
    site.host.send_frames("eth0", &[flood]).unwrap();
    let counters = site.primary.counters_at_rest().unwrap();
    let most = began.elapsed().as_secs() + 2;
    let of = counters.of(PORT).unwrap();
    assert!((1..=most).contains(&of.icmp_errors), "{of:?}");
    assert_eq!(of.icmp_errors_policed, 0);
    assert!(of.tx_packets >= packets + of.icmp_errors, "{of:?}");
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

fn redirects_are_limited_in_number(family: Family) {
    let site = OneArm::create(port(PORT));
    let (address, _, _) = addresses(family);
    // More pairs than there is room for are not told apart; they are told in another second.
    let packets = 3000;
    let destination = family.choose("f'10.80.{n // 250}.{n % 250}'", "f'2001:db8:80::{n:x}'");
    let ip = family.choose("IP", "IPv6");
    let flood = format!(
        "[Ether(dst='{ROUTER_MAC}', src='{HOST_MAC}')/{ip}(src='{address}', dst={destination})\
         /UDP(sport=1, dport=2)/b'many' for n in range({packets})]"
    );
    let sent = site.host.send_frames("eth0", &[flood]).unwrap();
    let counters = site.primary.counters_at_rest().unwrap();
    let of = counters.of(PORT).unwrap();
    // A busy gateway takes longer than the sender.
    let most = BURST + (RATE * (sent.seconds + 0.5)) as u64;
    assert!(
        (BURST..=most).contains(&of.icmp_errors),
        "{of:?} in {} s",
        sent.seconds
    );
    assert!(of.icmp_errors + of.icmp_errors_policed <= packets, "{of:?}");
    assert!(of.icmp_errors + of.icmp_errors_policed > packets / 2, "{of:?}");
    wait_until("all redirects", LIMIT, || {
        Ok((site.redirects().len() as u64 == of.icmp_errors).then_some(()))
    })
    .unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

fn redirects_are_switched_while_the_gateway_runs(family: Family) {
    let mut site = OneArm::create(port(PORT).without_redirects());
    let (address, _, behind) = addresses(family);
    let sent = |site: &mut OneArm, sign: &str| {
        let frame = frame(family, "", address, behind, &format!("b'{sign}'"));
        site.redirects_after(&frame, sign).len()
    };
    let shown = |site: &OneArm| {
        let shown = site.primary.ctl(&["config", "show"]).unwrap();
        shown.success().unwrap().stdout
    };
    assert_eq!(sent(&mut site, "off"), 0);
    let off = shown(&site);
    assert!(off.contains("\nredirects = false\n"), "{off}");
    let file = site.primary.config_path().with_file_name("other.toml");
    for (number, on) in [true, false].into_iter().enumerate() {
        let text = off.replace("redirects = false", &format!("redirects = {on}"));
        fs::write(&file, text).unwrap();
        let words = ["config", "apply", file.to_str().unwrap(), "--dry-run"];
        let said = site.primary.ctl(&words).unwrap().success().unwrap().stdout;
        let word = if on { "on" } else { "off" };
        assert_eq!(said, format!("~ link {PORT} redirects {word}\n"));
        site.primary.ctl(&words[..3]).unwrap().success().unwrap();
        assert!(shown(&site).contains(&format!("\nredirects = {on}\n")));
        // The last word is still under way to the workers when a tool has its answer.
        let before = site.told();
        if on {
            wait_until("a redirect", LIMIT, || {
                Ok((sent(&mut site, "now") > 0).then_some(()))
            })
            .unwrap();
        } else {
            assert_eq!(sent(&mut site, &format!("off{number}")) as u64, before);
        }
    }
    let counters = site.primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

fn a_redirect_has_the_tag_of_its_vlan(family: Family) {
    let mut site = OneArm::with(|namespace| {
        let builder = Primary::builder(namespace.privilege(), "gw")
            .netns(namespace)
            .interface(Interface::af_packet(PORT))
            .toml(
                "[[interface]]\nname = \"v7\"\nlink = \"t0\"\nid = 7\n\
                 addresses = [\"192.168.1.1/24\", \"2001:db8:1::1/64\", \"fe80::1/64\"]\n",
            );
        let builder = ROUTES.into_iter().fold(builder, |builder, (prefix, via)| {
            builder.toml(&format!(
                "[[route]]\nprefix = \"{prefix}\"\nvia = \"{via}\"\ninterface = \"v7\"\n"
            ))
        });
        with_neighbors(builder, "v7")
    });
    let (address, better, behind) = addresses(family);
    let tagged = frame(family, "/Dot1Q(vlan=7)", address, behind, "b'tagged'");
    let redirects = site.redirects_after(&tagged, "tagged");
    assert_eq!(redirects.len(), 1);
    let redirect = &redirects[0];
    assert_eq!(redirect[12..16], [0x81, 0, 0, 7]);
    let (at, octets) = match better.parse().unwrap() {
        std::net::IpAddr::V4(better) => (18 + 24, better.octets().to_vec()),
        std::net::IpAddr::V6(better) => (18 + 48, better.octets().to_vec()),
    };
    assert_eq!(redirect[at..at + octets.len()], octets);
    let counters = site.primary.counters_at_rest().unwrap();
    assert_eq!(counters.of("v7").unwrap().icmp_errors, 1);
    counters.assert_balanced();
}

fn a_trace_shows_the_packet_as_it_leaves(family: Family) {
    let mut site = OneArm::create(port(PORT));
    let (address, _, behind) = addresses(family);
    let words = ["trace", "start", "-n", "1", "-f", "udp"];
    site.primary.ctl(&words).unwrap().success().unwrap();
    let traced = frame(family, "", address, behind, "b'traced'");
    assert_eq!(site.redirects_after(&traced, "traced").len(), 1);
    let trace = wait_until("the trace", LIMIT, || {
        Ok(site.primary.ctl_json(&["trace", "show"])?.get(0).cloned())
    })
    .unwrap();
    let stages = trace["stages"].as_array().unwrap();
    let names: Vec<_> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    let input = family.choose("ip4_input", "ip6_input");
    assert_eq!(
        names,
        ["rx", "ethernet", input, "lookup", "rewrite", "redirect", "tx"],
        "{trace}"
    );
    let left = family.choose("ttl", "hop_limit");
    assert_eq!(
        (&stages[2][left], &stages[4][left]),
        (&64.into(), &63.into()),
        "{trace}"
    );
    let counters = site.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
}

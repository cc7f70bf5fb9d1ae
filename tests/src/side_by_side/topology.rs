//! Two routers with the same addresses, MAC addresses, neighbours and routes: the kernel's and a primary. One namespace
//! outside has a link to each port of both.
//!
//! ```text
//!            l0 ─────── p0                          t0 ─────── p0
//!   outside  l1 ─────── p1  Linux          outside  t1 ─────── p1  the primary
//!            l2 ─────── p2  (MTU 1400)              t2 ─────── p2  (MTU 1400)
//! ```

use std::time::Duration;

use super::exchanged::Exchanged;
use crate::{Interface, Namespace, NamespaceOptions, Primary, PrimaryBuilder, Privilege};

/// As many as stimuli/world.py has.
const LINKS: usize = 3;
/// Of the last link.
const SMALL_MTU: u16 = 1400;
/// Some thousand exchanges, and scapy's start.
const LIMIT: Duration = Duration::from_secs(300);

/// What the kernel is told, so that it routes as RFC 1812 has it and says what it drops; docs/differences-from-linux.md has the
/// reasons.
const SYSCTLS: &[(&str, &str)] = &[
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv4/conf/default/accept_source_route", "0"),
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/default/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "2"),
    ("net/ipv4/conf/default/arp_announce", "2"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_ratemask", "0"),
    ("net/ipv4/ipfrag_time", "600"),
    ("net/ipv6/ip6frag_time", "600"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv6/icmp/ratemask", ""),
    ("net/ipv6/auto_flowlabels", "0"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/addr_gen_mode", "0"),
];

/// Both routers and what is outside of them. Dropped from top to bottom.
#[derive(Debug)]
pub struct Topology {
    /// The one that is tested.
    pub primary: Primary,
    /// Where stimuli come from, and all goes to that comes out.
    pub outside: Namespace,
    /// The kernel's router.
    pub linux: Namespace,
    _gateway: Namespace,
}

impl Topology {
    /// Sets both up.
    ///
    /// # Panics
    /// A step fails.
    pub fn create() -> Self {
        Self::with(builder)
    }

    /// As [`Topology::create`], with a primary that is made otherwise.
    ///
    /// # Panics
    /// A step fails.
    pub fn with(primary: impl FnOnce(Privilege, &Namespace) -> PrimaryBuilder) -> Self {
        let privilege = Privilege::detect();
        let outside = Namespace::create(privilege, "outside").unwrap();
        let options = NamespaceOptions {
            ipv6: true,
            forwarding: true,
        };
        let linux = Namespace::create_with(privilege, "linux", options).unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        linux.set_sysctls(SYSCTLS).unwrap();
        connect(&outside, &linux, 'l');
        connect(&outside, &gateway, 't');
        set_up_linux(&linux);
        let primary = primary(privilege, &gateway).start().unwrap();
        Self {
            primary,
            outside,
            linux,
            _gateway: gateway,
        }
    }

    /// What the Python program at `path`, given `words`, says that it has exchanged.
    pub(super) fn exchange(&self, path: &str, words: &[&str]) -> Vec<Exchanged> {
        let words = [&["/usr/bin/python3", "-B", path], words].concat();
        let captured = self
            .outside
            .run_within(LIMIT, "sends stimuli to two routers", &words);
        let captured = captured.unwrap().success().unwrap();
        let lines = captured.stdout.lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Packet buffers that the primary has in use.
    ///
    /// # Panics
    /// It does not say.
    pub fn buffers(&self) -> u64 {
        let memory = self.primary.ctl_json(&["memory", "show"]).unwrap();
        let mut parts = memory.as_array().unwrap().iter();
        let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
        pool["used"].as_u64().unwrap()
    }
}

/// Makes the links of a router to the outside, where their names begin with `side`.
///
/// # Panics
/// The kernel refuses one.
pub fn connect(outside: &Namespace, router: &Namespace, side: char) {
    for link in 0..LINKS {
        let port = format!("p{link}");
        outside.connect(&format!("{side}{link}"), router, &port).unwrap();
        // Addresses made from it are as new as it.
        router.set_up(&port, false).unwrap();
        router.set_mac(&port, &router_mac(link)).unwrap();
        router.set_up(&port, true).unwrap();
    }
    router.set_mtu("p2", SMALL_MTU).unwrap();
}

fn router_mac(link: usize) -> String {
    format!("02:00:00:00:01:0{link}")
}

/// The addresses of a router's port, with their lengths.
fn addresses(link: usize) -> [String; 2] {
    let net = link + 1;
    [format!("192.168.{net}.1/24"), format!("2001:db8:{net}::1/64")]
}

/// Who is on a link: the host, and who sends markers.
fn neighbours(link: usize) -> [(String, String); 4] {
    let net = link + 1;
    let (host, marker) = (
        format!("02:00:00:00:02:0{link}"),
        format!("02:00:00:00:03:0{link}"),
    );
    [
        (format!("192.168.{net}.2"), host.clone()),
        (format!("2001:db8:{net}::2"), host.clone()),
        (format!("fe80::ff:fe00:20{link}"), host),
        (format!("192.168.{net}.9"), marker),
    ]
}

/// The prefixes behind the host of a link, each with the host's address.
fn routes(link: usize) -> [(String, String); 2] {
    let net = link + 1;
    let letter = ['a', 'b', 'c'][link];
    [
        (format!("10.{link}.0.0/16"), format!("192.168.{net}.2")),
        (format!("2001:db8:{letter}::/48"), format!("2001:db8:{net}::2")),
    ]
}

const BLACKHOLES: [&str; 2] = ["10.66.0.0/16", "2001:db8:66::/48"];

fn set_up_linux(linux: &Namespace) {
    let ip = |words: &[&str]| drop(linux.run("sets up the kernel's router", words).unwrap());
    for link in 0..LINKS {
        let port = format!("p{link}");
        for address in addresses(link) {
            linux.add_address(&port, &address).unwrap();
        }
        for (address, mac) in neighbours(link) {
            ip(&[
                "ip",
                "neigh",
                "replace",
                &address,
                "lladdr",
                &mac,
                "dev",
                &port,
                "nud",
                "permanent",
            ]);
        }
    }
    for (prefix, via) in (0..LINKS).flat_map(routes) {
        linux.add_route(&prefix, &via).unwrap();
    }
    for prefix in BLACKHOLES {
        ip(&["ip", "route", "add", "blackhole", prefix]);
    }
}

/// The primary in `gateway`.
pub fn builder(privilege: Privilege, gateway: &Namespace) -> PrimaryBuilder {
    builder_with(privilege, gateway, |interface| interface)
}

/// The same with other interfaces.
pub fn builder_with(
    privilege: Privilege,
    gateway: &Namespace,
    change: impl Fn(Interface) -> Interface,
) -> PrimaryBuilder {
    let mut builder = Primary::builder(privilege, "gw").netns(gateway);
    for link in 0..LINKS {
        let port = format!("p{link}");
        let mut interface = change(Interface::af_packet(&port).without_redirects());
        for address in addresses(link) {
            interface = interface.address(&address);
        }
        if link == LINKS - 1 {
            interface = interface.mtu(SMALL_MTU);
        }
        builder = builder.interface(interface);
        for (address, mac) in neighbours(link) {
            builder = builder.neighbor(&address, &mac, &port);
        }
    }
    for (prefix, via) in (0..LINKS).flat_map(routes) {
        builder = builder.route(&prefix, &via);
    }
    for prefix in BLACKHOLES {
        builder = builder.toml(&format!("[[route]]\nprefix = \"{prefix}\"\nblackhole = true\n"));
    }
    builder
}

//! A gateway here, and a kernel in a virtual machine that is the other gateway and the host behind it.
//!
//! ```text
//!   host  eth0 ─── a0  tollgate-primary  w0 (tap) ─── eth0  the guest
//!         .1.2    .1.1          10.0.0.1             10.0.0.2, and 192.168.2.2 inside of it
//! ```

use std::{fs, path::PathBuf, time::Duration};

use tests::machine::{Card, Debian, Image, Machine, Size};
use tests::{Family, Interface, Namespace, NamespaceOptions, Pings, Primary, Privilege, wait_until};

/// For what takes a packet's way and back, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Tunnels, ESP, and all that its transforms are made of. Random numbers (drbg), which initialization vectors come from, try out what they
/// are made of as they are inserted, and so come after it.
const MODULES: [&str; 21] = [
    "e1000",
    "ip_gre",
    "ip6_gre",
    "ip6_tunnel",
    "sit",
    "esp4",
    "esp6",
    "xfrm_user",
    "ctr",
    "sha512_generic",
    "drbg",
    "seqiv",
    "echainiv",
    "gcm",
    "ghash_generic",
    "chacha_generic",
    "poly1305_generic",
    "chacha20poly1305",
    "authenc",
    "authencesn",
    "crypto_null",
];

/// The shell of busybox takes its own programs for those of that name; it has functions before these.
const PROGRAMS: [&str; 3] = ["ip", "ping", "perl"];

const SIZE: Size = Size {
    cpus: 1,
    memory_mb: 512,
};

const CARD: Card = Card {
    model: "e1000",
    driver: "e1000",
};

/// Both gateways and the host behind the one here.
pub(crate) struct Peer {
    // The primary ends before qemu takes its link away.
    pub(crate) primary: Primary,
    pub(crate) guest: Machine,
    pub(crate) host: Namespace,
    _gateway: Namespace,
    _machine: Namespace,
}

impl Peer {
    /// Boots the guest and starts the primary; without tunnels.
    pub(crate) fn start() -> Self {
        let privilege = Privilege::detect();
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let host = Namespace::create_with(privilege, "host", options).unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        let machine = Namespace::create(privilege, "machine").unwrap();
        host.connect("eth0", &gateway, "a0").unwrap();
        for family in Family::BOTH {
            let own = format!("{}/{}", inside(family, 1), family.choose(24, 64));
            host.add_address("eth0", &own).unwrap();
            host.add_route("default", family.choose("192.168.1.1", "2001:db8:1::1"))
                .unwrap();
        }
        let debian = Debian::unpacked();
        let mut guest = Machine::start(&machine, SIZE, &debian, &image(&debian), &[CARD]);
        guest.show_at_failure(&with_programs("ip address; ip route; ip -6 route; ip -s xfrm state; ip xfrm policy; cat /proc/net/xfrm_stat; dmesg | tail -n 50"));
        let tap = Card::tap_of(0);
        let words = ["ip", "link", "set", &tap, "netns", gateway.name(), "name", "w0"];
        machine.run("gives the gateway its link", &words).unwrap();
        gateway.set_up("w0", true).unwrap();
        guest.succeed(&with_programs(
            "ip link set lo up && sysctl -wq net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.eth0.accept_dad=0 && ip link set eth0 up && \
             ip address add 10.0.0.2/24 dev eth0 && ip address add 2001:db8:f::2/64 dev eth0 nodad && \
             ip address add 192.168.2.2/32 dev lo && ip address add 2001:db8:2::2/128 dev lo nodad",
        ));
        let primary = Primary::builder(privilege, "gateway")
            .netns(&gateway)
            .interface(
                Interface::af_packet("a0")
                    .address("192.168.1.1/24")
                    .address("2001:db8:1::1/64"),
            )
            .interface(
                Interface::af_packet("w0")
                    .address("10.0.0.1/24")
                    .address("2001:db8:f::1/64"),
            )
            .start()
            .unwrap();
        primary.wait_for_addresses().unwrap();
        Self {
            primary,
            guest,
            host,
            _gateway: gateway,
            _machine: machine,
        }
    }

    /// Runs a command in the guest, which must succeed, with the host's `ip` and `ping`.
    #[track_caller]
    pub(crate) fn there(&self, command: &str) -> String {
        self.guest.succeed(&with_programs(command))
    }

    /// What `tollgate-ctl` prints.
    #[track_caller]
    pub(crate) fn ctl(&self, words: &str) -> String {
        let words: Vec<_> = words.split_whitespace().collect();
        self.primary.ctl(&words).unwrap().success().unwrap().stdout
    }

    /// Routes of both families to the guest's inside, into a tunnel.
    pub(crate) fn routes(&self, tunnel: &str) {
        for family in Family::BOTH {
            self.ctl(&format!("route add {} dev {tunnel}", net(family, 2)));
        }
    }

    /// Waits until the guest answers the host: neighbours are found then.
    #[track_caller]
    pub(crate) fn warm_up(&self, family: Family, what: &str) {
        let to = inside(family, 2);
        let answered = wait_until(what, LIMIT, || {
            let pings = self.host.ping(to, &["-c", "1", "-W", "1"], LIMIT)?;
            Ok(pings.all_answered().then_some(()))
        });
        assert!(
            answered.is_ok(),
            "{what} {family}: {:?}",
            self.primary
                .counters()
                .map(|counters| format!("{:?}", counters.drops()))
        );
    }

    /// Pings of these sizes from the host to the guest, which routers may cut: all are answered, so packets go both ways.
    #[track_caller]
    pub(crate) fn assert_pings(&self, family: Family, sizes: &[u16], what: &str) {
        for size in sizes {
            let size = size.to_string();
            let words = ["-c", "3", "-i", "0.01", "-W", "10", "-M", "dont", "-s", &size];
            let pings = self.host.ping(inside(family, 2), &words, LIMIT).unwrap();
            assert!(
                pings.all_answered(),
                "{what} {family} {size} to the guest: {pings:?}"
            );
        }
    }

    /// The same from the guest.
    #[track_caller]
    pub(crate) fn assert_pings_back(&self, family: Family, sizes: &[u16], what: &str) {
        for size in sizes {
            let size = size.to_string();
            let words = ["-c", "3", "-i", "0.01", "-W", "10", "-M", "dont", "-s", &size];
            let pings = self.ping_back(family, &words);
            assert!(
                pings.all_answered(),
                "{what} {family} {size} from the guest: {pings:?}"
            );
        }
    }

    /// Pings from the guest's inside to the host.
    #[track_caller]
    pub(crate) fn ping_back(&self, family: Family, words: &[&str]) -> Pings {
        let (own, to) = (inside(family, 2), inside(family, 1));
        let said = self.guest.run(&with_programs(&format!(
            "ping -n -q -I {own} {} {to}",
            words.join(" ")
        )));
        Pings::parse(&said.stdout)
            .unwrap_or_else(|| panic!("ping in the guest: {}{}", said.stdout, said.stderr))
    }

    /// The primary ends as it should, and the guest switches itself off.
    pub(crate) fn ends_well(mut self) {
        let status = self.primary.terminate().unwrap();
        assert!(status.success(), "{status}");
        self.guest.power_off();
    }
}

/// The addresses behind the gateways, 1 that of the host and 2 that of the guest.
pub(crate) fn inside(family: Family, number: u8) -> &'static str {
    match number {
        1 => family.choose("192.168.1.2", "2001:db8:1::2"),
        _ => family.choose("192.168.2.2", "2001:db8:2::2"),
    }
}

/// What is behind a gateway, 1 or 2.
pub(crate) fn net(family: Family, number: u8) -> String {
    family.choose(
        format!("192.168.{number}.0/24"),
        format!("2001:db8:{number}::/64"),
    )
}

/// The outer address of a gateway, 1 or 2.
pub(crate) fn end(over: Family, number: u8) -> String {
    over.choose(format!("10.0.0.{number}"), format!("2001:db8:f::{number}"))
}

fn image(debian: &Debian) -> Image {
    let mut image = Image::new();
    image.file("/init", 0o755, Machine::INIT);
    image.file("/usr/bin/busybox", 0o755, fs::read(&debian.busybox).unwrap());
    image.file("/etc/devices", 0o644, "");
    debian.add_modules(&MODULES, &mut image);
    // Those of the host: busybox knows nothing of XFRM, and makes no socket that takes ESP.
    for program in PROGRAMS {
        image.program(&program_of_host(program));
    }
    image
}

/// A command of the guest, with the host's programs in place of busybox's.
fn with_programs(command: &str) -> String {
    let functions = PROGRAMS.map(|name| format!("{name}() {{ /usr/bin/{name} \"$@\"; }}; "));
    functions.concat() + command
}

fn program_of_host(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let mut paths = folders.map(|folder| PathBuf::from(folder).join(name)).into_iter();
    paths
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed"))
}

//! A network namespace with its links, addresses and routes; deleted, with what runs in it, when its guard is dropped.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Captured, Error, Family, Privilege, Process, ProcessBuilder, RunId, Wait, run};

/// A command in a namespace that takes longer has hung; long ones are given their bound by the caller.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a namespace does on its own accord.
#[derive(Clone, Copy, Debug, Default)]
pub struct NamespaceOptions {
    /// Keeps IPv6 on, with its link-local addresses. Off by default, since counters that a test adds up would hold packets
    /// that no test sent: a kernel says which groups it is in. It neither solicits routers nor looks for duplicates.
    pub ipv6: bool,
    /// Lets the kernel of this namespace forward IPv4 (and IPv6, if it is on) between its links.
    pub forwarding: bool,
}

/// A network namespace of this run.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    privilege: Privilege,
    /// What makes frames, once some were asked for.
    scapy: Mutex<Option<Process>>,
}

impl Namespace {
    /// Makes a namespace with a name of its own that ends in `label`; loopback is up, IPv6 and forwarding are off.
    ///
    /// # Errors
    /// `ip` is missing, or the kernel refuses; nothing is left behind.
    pub fn create(privilege: Privilege, label: &str) -> Result<Self, Error> {
        Self::create_with(privilege, label, NamespaceOptions::default())
    }

    /// A host of site `number` (1 to 255) behind a gateway, with both families: 192.168.NUMBER.2/24 and 2001:db8:NUMBER::2/64 on eth0, the other
    /// end of which is the gateway's h0; by .1 and ::1 it reaches all else.
    ///
    /// # Errors
    /// As [`Namespace::create`].
    pub fn behind(privilege: Privilege, gateway: &Self, number: u8) -> Result<Self, Error> {
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let host = Self::create_with(privilege, &format!("host{number}"), options)?;
        host.connect("eth0", gateway, "h0")?;
        let subnets = [
            (format!("192.168.{number}."), 24),
            (format!("2001:db8:{number}::"), 64),
        ];
        for (subnet, length) in subnets {
            host.add_address("eth0", &format!("{subnet}2/{length}"))?;
            host.add_route("default", &format!("{subnet}1"))?;
        }
        Ok(host)
    }

    /// As [`Namespace::create`], with options.
    ///
    /// # Errors
    /// `ip` is missing, or the kernel refuses; nothing is left behind.
    pub fn create_with(privilege: Privilege, label: &str, options: NamespaceOptions) -> Result<Self, Error> {
        // The guard comes first: whatever fails from here on is taken down by its drop.
        let namespace = Self {
            name: RunId::current().unique(label),
            privilege,
            scapy: Mutex::default(),
        };
        privilege.run(
            &format!("makes the namespace {label}"),
            &["ip", "netns", "add", &namespace.name],
        )?;
        let off = |on: bool| if on { "0" } else { "1" };
        let on = |on: bool| if on { "1" } else { "0" };
        namespace.set_sysctls(&[
            ("net/ipv6/conf/all/disable_ipv6", off(options.ipv6)),
            ("net/ipv6/conf/default/disable_ipv6", off(options.ipv6)),
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/router_solicitations", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            // Milliseconds: it is said at once, while the topology is built, and not a second later.
            ("net/ipv6/conf/default/mldv1_unsolicited_report_interval", "1"),
            ("net/ipv6/conf/default/mldv2_unsolicited_report_interval", "1"),
            // A new namespace copies these from the host, where a container engine may have set them.
            ("net/ipv4/ip_forward", on(options.forwarding)),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
        ])?;
        namespace.run("brings loopback up", &["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// `program`, to be run inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.privilege.command("nsenter");
        command.arg(self.enter()).arg("--").arg(program);
        command
    }

    /// `program`, to be started inside as a process of its own.
    pub fn process(&self, why: &str, program: impl AsRef<OsStr>) -> ProcessBuilder {
        ProcessBuilder::new(self.privilege, why, "nsenter")
            .arg(self.enter())
            .arg("--")
            .arg(program)
    }

    /// Runs `words` inside, to a successful end within a minute. `why` is for the user whose sudo is used.
    ///
    /// # Errors
    /// The command cannot start, fails or hangs, or a signal came.
    pub fn run(&self, why: &str, words: &[&str]) -> Result<Captured, Error> {
        self.run_within(COMMAND_LIMIT, why, words)?.success()
    }

    /// Runs `words` inside and returns how it went, whatever its status; a signal cuts it short.
    ///
    /// # Errors
    /// The command cannot start or takes longer than `limit`, or a signal came.
    pub fn run_within(&self, limit: Duration, why: &str, words: &[&str]) -> Result<Captured, Error> {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(program);
        command.args(arguments);
        self.privilege.announce(&command, why);
        run(command, Wait::Interruptible(limit))
    }

    /// Writes kernel parameters of this namespace, each a path below /proc/sys. One that this kernel lacks is passed over (IPv6 may be
    /// compiled out).
    ///
    /// # Errors
    /// The kernel refuses a value.
    pub fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let script =
            "while [ $# -gt 0 ]; do [ ! -e /proc/sys/$1 ] || echo $2 >/proc/sys/$1 || exit 1; shift 2; done";
        let mut words = vec!["sh", "-c", script, "sh"];
        words.extend(settings.iter().flat_map(|(key, value)| [*key, *value]));
        self.run("sets kernel parameters of the namespace", &words)
            .map(drop)
    }

    /// Makes a veth pair: `name` here and `peer_name` in `peer`, both up, checksum and segmentation offloads off.
    ///
    /// With them on, veth hands over packets whose checksum is unfinished or that are longer than the MTU; ping works
    /// and TCP hangs, because a primary on af_packet sees the packets as they are.
    ///
    /// # Errors
    /// A name is longer than 15 characters or taken, or `ethtool` is missing.
    pub fn connect(&self, name: &str, peer: &Self, peer_name: &str) -> Result<(), Error> {
        self.run(
            "connects two namespaces",
            &[
                "ip", "link", "add", name, "type", "veth", "peer", "name", peer_name, "netns", &peer.name,
            ],
        )?;
        for (namespace, interface) in [(self, name), (peer, peer_name)] {
            namespace.set_offloads(interface, false)?;
            namespace.set_up(interface, true)?;
        }
        Ok(())
    }

    /// Switches checksum and segmentation offloads of a link.
    ///
    /// # Errors
    /// There is no such link, or `ethtool` is missing.
    pub fn set_offloads(&self, interface: &str, on: bool) -> Result<(), Error> {
        let state = if on { "on" } else { "off" };
        let mut words = vec!["ethtool", "-K", interface];
        words.extend(
            ["tx", "rx", "gso", "gro", "tso"]
                .into_iter()
                .flat_map(|feature| [feature, state]),
        );
        self.run("sets the offloads of a link", &words).map(drop)
    }

    /// Brings a link up or down.
    ///
    /// # Errors
    /// There is no such link.
    pub fn set_up(&self, interface: &str, up: bool) -> Result<(), Error> {
        let state = if up { "up" } else { "down" };
        self.run(
            "sets the state of a link",
            &["ip", "link", "set", interface, state],
        )
        .map(drop)
    }

    /// Sets the MTU of a link, in bytes of IP packet.
    ///
    /// # Errors
    /// There is no such link, or it cannot have that MTU.
    pub fn set_mtu(&self, interface: &str, mtu: u16) -> Result<(), Error> {
        let mtu = mtu.to_string();
        self.run(
            "sets the MTU of a link",
            &["ip", "link", "set", interface, "mtu", &mtu],
        )
        .map(drop)
    }

    /// Sets the MAC address of a link.
    ///
    /// # Errors
    /// There is no such link, or the address is not a unicast address.
    pub fn set_mac(&self, interface: &str, mac: &str) -> Result<(), Error> {
        self.run(
            "sets the MAC address of a link",
            &["ip", "link", "set", interface, "address", mac],
        )
        .map(drop)
    }

    /// The MAC address of a link, as colon-separated lower-case hex.
    ///
    /// # Errors
    /// There is no such link.
    pub fn mac(&self, interface: &str) -> Result<String, Error> {
        let links = self
            .run("reads a MAC address", &["ip", "-json", "link", "show", interface])?
            .json()?;
        Ok(links[0]["address"].as_str().unwrap_or_default().to_owned())
    }

    /// Gives a link an address, as `ADDRESS/LENGTH`. It is not looked for on the link before.
    ///
    /// # Errors
    /// There is no such link, or it has the address.
    pub fn add_address(&self, interface: &str, address: &str) -> Result<(), Error> {
        let mut words = vec!["ip", "address", "add", address, "dev", interface];
        words.extend(Family::of(address).choose(None, Some("nodad")));
        self.run("gives a link its address", &words).map(drop)
    }

    /// Takes an address from a link.
    ///
    /// # Errors
    /// There is no such link, or it does not have the address.
    pub fn delete_address(&self, interface: &str, address: &str) -> Result<(), Error> {
        let words = ["ip", "address", "del", address, "dev", interface];
        self.run("takes an address from a link", &words).map(drop)
    }

    /// Adds a route to `prefix` (or `default`) via the router `via`.
    ///
    /// # Errors
    /// The router is not on a link of this namespace, or there is such a route.
    pub fn add_route(&self, prefix: &str, via: &str) -> Result<(), Error> {
        let family = Family::of(via).choose("-4", "-6");
        let words = ["ip", family, "route", "add", prefix, "via", via];
        self.run("adds a route", &words).map(drop)
    }

    /// Packets that a link has sent and received so far, as its kernel counts them.
    ///
    /// # Errors
    /// There is no such link.
    pub fn packets(&self, interface: &str) -> Result<(u64, u64), Error> {
        let words = ["ip", "-json", "-statistics", "link", "show", interface];
        let links = self.run("reads counters", &words)?.json()?;
        let count = |direction: &str| {
            links[0]["stats64"][direction]["packets"]
                .as_u64()
                .unwrap_or_default()
        };
        Ok((count("tx"), count("rx")))
    }

    pub(crate) fn scapy(&self) -> MutexGuard<'_, Option<Process>> {
        self.scapy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves it there when this process ends; [`crate::sweep()`] deletes it.
    pub fn leave_running(self) {
        self.scapy().take();
        std::mem::forget(self);
    }

    /// How commands of this namespace get their rights.
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    fn enter(&self) -> String {
        format!("--net={}", self.path().display())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.scapy().take();
        // A namespace outlives its name for as long as a process is in it.
        if let Ok(pids) = self.privilege.run_to_undo(
            "finds what still runs in it",
            &["ip", "netns", "pids", &self.name],
        ) {
            let pids = pids.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            if !pids.is_empty() {
                // The shell's own `kill`: a minimal system has no program of that name.
                let script = format!("kill -s KILL {pids}");
                let _ = self
                    .privilege
                    .run_to_undo("ends what still runs in it", &["sh", "-c", &script]);
            }
        }
        // An error means that it was never made, or that somebody else has deleted it.
        let _ = self
            .privilege
            .run_to_undo("deletes a namespace", &["ip", "netns", "del", &self.name]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(pings: &Captured) -> &str {
        pings
            .stdout
            .lines()
            .find(|line| line.contains("packet loss"))
            .unwrap_or_default()
    }

    #[test]
    fn two_connected_namespaces_reach_each_other_and_vanish() {
        let a = Namespace::create(Privilege::detect(), "a").unwrap();
        let b = Namespace::create(Privilege::detect(), "b").unwrap();
        a.connect("eth0", &b, "eth0").unwrap();
        a.add_address("eth0", "192.0.2.1/24").unwrap();
        b.add_address("eth0", "192.0.2.2/24").unwrap();
        a.set_mtu("eth0", 1400).unwrap();
        let pings = a
            .run("test", &["ping", "-c", "2", "-i", "0.1", "-W", "2", "192.0.2.2"])
            .unwrap();
        assert!(loss(&pings).contains(" 0% packet loss"), "{}", pings.stdout);
        assert_eq!(a.mac("eth0").unwrap().len(), 17);
        assert!(
            !a.run("test", &["ip", "addr"]).unwrap().stdout.contains("inet6"),
            "IPv6 is off"
        );
        let paths = [a.path(), b.path()];
        assert!(paths.iter().all(|path| path.exists()));
        drop((a, b));
        assert!(!paths.iter().any(|path| path.exists()));
    }

    #[test]
    fn offloads_are_off_on_both_ends() {
        let a = Namespace::create(Privilege::detect(), "a").unwrap();
        let b = Namespace::create(Privilege::detect(), "b").unwrap();
        a.connect("eth0", &b, "p0").unwrap();
        for (namespace, interface) in [(&a, "eth0"), (&b, "p0")] {
            let features = namespace
                .run("test", &["ethtool", "-k", interface])
                .unwrap()
                .stdout;
            for feature in [
                "tx-checksumming: off",
                "tcp-segmentation-offload: off",
                "generic-segmentation-offload: off",
            ] {
                assert!(
                    features.contains(feature),
                    "{feature} of {interface}:\n{features}"
                );
            }
        }
    }

    #[test]
    fn a_process_left_in_a_namespace_ends_with_it() {
        let namespace = Namespace::create(Privilege::detect(), "a").unwrap();
        let mut left: Process = namespace.process("test", "sleep").arg("60").start().unwrap();
        // nsenter becomes sleep in its own time.
        let comm = format!("/proc/{}/comm", left.pid());
        let began = std::time::Instant::now();
        while std::fs::read_to_string(&comm).unwrap() != "sleep\n" && began.elapsed() < COMMAND_LIMIT {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(namespace);
        assert!(!left.wait(COMMAND_LIMIT).unwrap().success());
    }
}

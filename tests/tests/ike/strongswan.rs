//! strongSwan, with its ESP in user space, as the other end: both roles, algorithms, rekeyings and deletes of either end, a crash.
//!
//! ```text
//!   host-a eth0 ─── a0  west  w0 ───────────── p0  peer, strongSwan
//!          .1.2    .1.1      10.0.0.1     10.0.0.2   192.168.2.1, 2001:db8:2::1
//! ```
//!
//! Its ESP takes part in UDP alone, and has it that there is a NAT: so that is what these tests have too. It has no ESN.

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    Captured, Family, Interface, Namespace, NamespaceOptions, Pinger, Primary, Privilege, Process,
    TwoGateways, wait_until,
};

use crate::killed::{random, rounds};
use crate::site::{Changes, LIMIT, configure, daemon_of, network, tunnel_toml};

const START_PROGRAM: &str = "/usr/sbin/charon-systemd";

/// strongSwan in a namespace.
pub(crate) struct Peer {
    // Ends before its namespace does.
    charon: Option<Process>,
    pub(crate) namespace: Namespace,
    folder: TempDir,
}

/// A primary with a daemon, and strongSwan.
pub(crate) struct Site {
    // End before their namespaces do.
    pub(crate) daemon: Process,
    config: PathBuf,
    pub(crate) west: Primary,
    pub(crate) peer: Peer,
    pub(crate) host_a: Namespace,
    pub(crate) over: Family,
    /// The daemon's: `1.toml` is its configuration.
    pub(crate) files: TempDir,
    pub(crate) gateway: Namespace,
}

/// The address of the peer inside.
pub(crate) fn inside(family: Family) -> &'static str {
    family.choose("192.168.2.1", "2001:db8:2::1")
}

/// How both ends show who they are by a key, and the secrets for that: for [`Peer::connect`].
pub(crate) fn by_psk(over: Family) -> [String; 2] {
    let [local, remote] = [2, 1].map(|number| TwoGateways::outside(over, number));
    let end = |name, id: &str| format!("{name} {{\n auth = psk\n id = {id}\n }}\n");
    [
        end("local", &local) + &end("remote", &remote),
        format!("ike-1 {{\n id-1 = {local}\n id-2 = {remote}\n secret = \"Vpp123\"\n }}\n"),
    ]
}

impl Peer {
    fn create(namespace: Namespace, over: Family, ike: &str, esp: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let vici = folder.path().join("vici").display().to_string();
        let log = folder.path().join("log").display().to_string();
        let strongswan = format!(
            "charon-systemd {{\n load = random nonce openssl pem x509 pkcs1 pkcs8 pubkey constraints kdf kernel-libipsec kernel-netlink socket-default vici\n \
             retransmit_timeout = 0.5\n plugins {{\n vici {{\n socket = unix://{vici}\n }}\n }}\n filelog {{\n log {{\n path = {log}\n default = 1\n \
             flush_line = yes\n }}\n }}\n}}\n"
        );
        fs::write(folder.path().join("strongswan.conf"), strongswan).unwrap();
        let mut peer = Self {
            charon: None,
            namespace,
            folder,
        };
        let [ends, secrets] = by_psk(over);
        peer.write(over, ike, esp, &ends, &secrets);
        peer.start();
        peer
    }

    /// Writes its connection. `ends`: how both ends show who they are; `secrets`: those that it knows.
    fn write(&self, over: Family, ike: &str, esp: &str, ends: &str, secrets: &str) {
        let [local, remote] = [2, 1].map(|number| TwoGateways::outside(over, number));
        let list = |number| Family::BOTH.map(|family| network(family, number)).join(",");
        let connection = format!(
            "connections {{\n pr1 {{\n version = 2\n local_addrs = {local}\n remote_addrs = {remote}\n proposals = {ike}\n {ends} \
             children {{\n net {{\n local_ts = {}\n remote_ts = {}\n esp_proposals = {esp}\n }}\n }}\n }}\n}}\nsecrets {{\n {secrets}}}\n",
            list(2),
            list(1)
        );
        fs::write(self.path("swanctl.conf"), connection).unwrap();
    }

    /// Gives it another connection, as [`Peer::write`] writes it.
    pub(crate) fn connect(&self, over: Family, ike: &str, esp: &str, ends: &str, secrets: &str) {
        self.write(over, ike, esp, ends, secrets);
        let loaded = self.tell(&["--load-all", "--clear", "--noprompt"]);
        assert!(loaded.contains("successfully loaded 1 connections"), "{loaded}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends it, and tells nobody.
    pub(crate) fn crash(&mut self) {
        if let Some(charon) = &mut self.charon {
            charon.kill();
        }
    }

    /// Starts it, and gives it its connection.
    pub(crate) fn start(&mut self) {
        let charon = self
            .namespace
            .process("is the other end", START_PROGRAM)
            .env("STRONGSWAN_CONF", self.path("strongswan.conf"))
            .env("SWANCTL_DIR", self.folder.path());
        self.charon = Some(charon.start().unwrap());
        wait_until("that strongSwan answers", LIMIT, || {
            let loaded = self.swanctl(&["--load-all", "--noprompt"])?;
            Ok(loaded
                .stdout
                .contains("successfully loaded 1 connections")
                .then_some(()))
        })
        .unwrap();
    }

    pub(crate) fn swanctl(&self, words: &[&str]) -> Result<Captured, tests::Error> {
        let (folder, conf) = (self.folder.path().display(), self.path("strongswan.conf"));
        let (set, conf) = (
            format!("SWANCTL_DIR={folder}"),
            format!("STRONGSWAN_CONF={}", conf.display()),
        );
        let uri = format!("unix://{}", self.path("vici").display());
        let all = [&["env", &set, &conf, "swanctl"][..], words, &["--uri", &uri]].concat();
        self.namespace.run_within(LIMIT, "asks strongSwan", &all)
    }

    /// Asks for something that must be done.
    #[track_caller]
    pub(crate) fn tell(&self, words: &[&str]) -> String {
        let told = self.swanctl(words).unwrap();
        assert!(told.status.success(), "{words:?}: {told:?}\n{}", self.log());
        told.stdout
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Site {
    pub(crate) fn create(over: Family, ike: &str, esp: &str) -> Self {
        Self::create_with(over, ike, esp, "", "")
    }

    /// With more lines of the daemon, before all others, and of the primary.
    pub(crate) fn create_with(over: Family, ike: &str, esp: &str, daemon: &str, primary: &str) -> Self {
        let privilege = Privilege::detect();
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let host_a = Namespace::create_with(privilege, "host-a", options).unwrap();
        let namespace = Namespace::create_with(privilege, "peer", options).unwrap();
        let gateway = Namespace::create(privilege, "west").unwrap();
        host_a.connect("eth0", &gateway, "a0").unwrap();
        gateway.connect("w0", &namespace, "p0").unwrap();
        let mut west = Primary::builder(privilege, "west").netns(&gateway);
        let mut ports = [Interface::af_packet("a0"), Interface::af_packet("w0")];
        for family in Family::BOTH {
            let length = family.choose(24, 64);
            let [a0, w0] = ports;
            ports = [
                a0.address(&format!("{}/{length}", TwoGateways::inside(family, 1))),
                w0.address(&format!("{}/{length}", TwoGateways::outside(family, 1))),
            ];
            let host = family.choose("192.168.1.2", "2001:db8:1::2");
            host_a.add_address("eth0", &format!("{host}/{length}")).unwrap();
            host_a
                .add_route("default", &TwoGateways::inside(family, 1))
                .unwrap();
            let outside = TwoGateways::outside(family, 2);
            namespace
                .add_address("p0", &format!("{outside}/{length}"))
                .unwrap();
            // What it protects has to be there.
            let all = family.choose(32, 128);
            namespace
                .add_address("lo", &format!("{}/{all}", inside(family)))
                .unwrap();
        }
        for port in ports {
            west = west.interface(port);
        }
        let toml = tunnel_toml(over, 1) + primary;
        let west = west.toml(&toml).start().unwrap();
        let files = TempDir::new().unwrap();
        let (profile, child) = (
            format!("ike_proposals = [\"{ike}\"]\n"),
            format!("esp_proposals = [\"{esp}\"]\n"),
        );
        let changes = Changes {
            profile: &profile,
            child: &child,
            ike: daemon,
            ..Changes::default()
        };
        let config = configure(files.path(), over, 1, changes);
        let daemon = daemon_of(&west, &config);
        Self {
            daemon,
            config,
            west,
            peer: Peer::create(namespace, over, ike, esp),
            host_a,
            over,
            files,
            gateway,
        }
    }

    /// Has the daemon read its file again, with more lines in its profile.
    pub(crate) fn profile(&self, lines: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        let name = "name = \"pr1\"\n";
        fs::write(&self.config, text.replace(name, &format!("{name}{lines}"))).unwrap();
        self.west.tell("ike reload");
    }

    pub(crate) fn initiate_here(&self) {
        let told = self.west.ctl(&["ike", "initiate", "pr1"]).unwrap();
        assert!(told.status.success(), "{told:?}\n{}", self.peer.log());
    }

    pub(crate) fn initiate_there(&self) {
        self.peer
            .tell(&["--initiate", "--child", "net", "--timeout", "20"]);
    }

    #[track_caller]
    pub(crate) fn ping(&self, words: &[&str]) {
        for family in Family::BOTH {
            let pings = self.host_a.ping(inside(family), words, LIMIT).unwrap();
            assert!(pings.all_answered(), "{family} {pings:?}\n{}", self.peer.log());
        }
    }

    pub(crate) fn established(&self) -> Vec<Value> {
        let all = self.west.ctl_json(&["ike", "show"]).unwrap();
        let all = all.as_array().unwrap().iter();
        all.filter(|sa| sa["state"] == "established").cloned().collect()
    }

    /// Whether both ends have one IKE SA with one child SA, the same.
    pub(crate) fn agrees(&self) -> bool {
        let [sa] = &self.established()[..] else {
            return false;
        };
        let [child] = &sa["children"].as_array().unwrap()[..] else {
            return false;
        };
        let listed = self.peer.tell(&["--list-sas"]);
        let has = |spi: &str| listed.matches(spi).count() == 1;
        let word = |value: &Value| format!("{:08x}", value.as_u64().unwrap());
        has(sa["initiator_spi"].as_str().unwrap())
            && has(sa["responder_spi"].as_str().unwrap())
            && has(&word(&child["inbound_spi"]))
            && has(&word(&child["outbound_spi"]))
            && listed.matches("ESTABLISHED").count() == 1
            && listed.matches("INSTALLED").count() == 1
            && self.spis().len() == 2
    }

    /// SPIs of the SAs here.
    pub(crate) fn spis(&self) -> Vec<u64> {
        let sas = self.west.ctl_json(&["sa", "show"]).unwrap();
        sas.as_array()
            .unwrap()
            .iter()
            .map(|sa| sa["spi"].as_u64().unwrap())
            .collect()
    }

    /// Waits until there are so many SAs here, none of which is among `before`.
    #[track_caller]
    pub(crate) fn wait_for_sas(&self, count: usize, before: &[u64]) {
        wait_until("other SAs", LIMIT, || {
            let now = self.spis();
            Ok((now.len() == count && now.iter().all(|spi| !before.contains(spi))).then_some(()))
        })
        .unwrap();
    }

    /// Waits until nothing goes out by an SA here: what comes in lingers.
    #[track_caller]
    pub(crate) fn wait_for_no_outbound(&self) {
        wait_until("that no SA sends", LIMIT, || {
            let sas = self.west.ctl_json(&["sa", "show"])?;
            let mut sas = sas.as_array().unwrap().iter();
            Ok(sas.all(|sa| sa["direction"] == "in").then_some(()))
        })
        .unwrap();
    }

    /// Waits until neither end has an IKE SA.
    #[track_caller]
    pub(crate) fn wait_for_none(&self) {
        self.wait_for_sas(0, &[]);
        wait_until("that strongSwan has none", LIMIT, || {
            Ok(self
                .peer
                .swanctl(&["--list-sas"])?
                .stdout
                .trim()
                .is_empty()
                .then_some(()))
        })
        .unwrap();
        assert_eq!(self.established().len(), 0);
    }
}

#[test]
fn either_end_begins_and_either_end_ends_it() {
    for over in Family::BOTH {
        let site = Site::create(over, "aes256gcm16-prfsha256-modp2048", "aes256gcm16-noesn");
        for (here, ends_here) in [(true, true), (false, false), (true, false), (false, true)] {
            if here {
                site.initiate_here();
            } else {
                site.initiate_there();
            }
            site.wait_for_sas(2, &[]);
            site.ping(&["-c", "3", "-i", "0.05"]);
            let [sa] = &site.established()[..] else {
                panic!("{}", site.west.tell("ike show --details"));
            };
            assert_eq!(sa["role"], if here { "initiator" } else { "responder" });
            assert_eq!(sa["nat"], "there", "as it has it");
            assert_eq!(sa["children"][0]["udp"], true);
            if ends_here {
                site.west.tell("ike terminate pr1");
            } else {
                site.peer.tell(&["--terminate", "--ike", "pr1"]);
            }
            site.wait_for_none();
        }
        site.west.counters_at_rest().unwrap().assert_balanced();
        assert_eq!(site.over, over);
    }
}

#[test]
fn algorithms_are_those_that_both_ends_have() {
    for (number, (ike, esp)) in [
        ("aes128gcm16-prfsha256-ecp256", "aes128gcm16-noesn"),
        ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384-noesn"),
        (
            "chacha20poly1305-prfsha256-curve25519",
            "chacha20poly1305-curve25519-noesn",
        ),
        ("aes256-sha512-prfsha512-ecp521", "aes256-sha512-noesn"),
        ("aes128-sha256-prfsha256-modp3072", "aes128-sha256-modp2048-noesn"),
    ]
    .into_iter()
    .enumerate()
    {
        let site = Site::create(Family::Ip4, ike, esp);
        if number % 2 == 0 {
            site.initiate_here();
        } else {
            site.initiate_there();
        }
        site.wait_for_sas(2, &[]);
        site.ping(&["-c", "2", "-i", "0.05"]);
        assert_eq!(site.established()[0]["suite"], ike);
        let before = site.spis();
        site.west.tell("ike rekey pr1 --children");
        site.wait_for_sas(2, &before);
        site.ping(&["-c", "2", "-i", "0.05"]);
    }
}

#[test]
fn rekeyings_of_either_end_lose_no_packet() {
    let site = Site::create(
        Family::Ip4,
        "aes256gcm16-prfsha256-curve25519",
        "aes256gcm16-curve25519-noesn",
    );
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    let pinger = Pinger::start(&site.host_a, inside(Family::Ip4), &["-i", "0.02", "-c", "300"]).unwrap();
    for _ in 0..2 {
        let before = site.spis();
        site.west.tell("ike rekey pr1 --children");
        site.wait_for_sas(2, &before);
        let before = site.spis();
        site.peer.tell(&["--rekey", "--child", "net"]);
        site.wait_for_sas(2, &before);
        for here in [true, false] {
            let spi = site.established()[0]["initiator_spi"].clone();
            if here {
                site.west.tell("ike rekey pr1 --ike");
            } else {
                site.peer.tell(&["--rekey", "--ike", "pr1"]);
            }
            wait_until("another IKE SA", LIMIT, || {
                let now = site.established();
                Ok((now.len() == 1 && now[0]["initiator_spi"] != spi).then_some(()))
            })
            .unwrap();
        }
    }
    let pings = pinger.finish(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}\n{}", site.peer.log());
    assert_eq!(site.spis().len(), 2);
}

#[test]
fn a_peer_that_crashed_comes_back() {
    let mut site = Site::create(Family::Ip4, "aes256gcm16-prfsha256-ecp256", "aes256gcm16-noesn");
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    let before = site.spis();
    site.peer.crash();
    site.peer.start();
    site.initiate_there();
    site.wait_for_sas(2, &before);
    site.ping(&["-c", "3", "-i", "0.05"]);
    assert_eq!(site.established().len(), 1);
}

#[test]
fn daemons_that_are_killed_at_any_moment_are_not_noticed() {
    let mut site = Site::create(
        Family::Ip4,
        "aes256gcm16-prfsha256-curve25519",
        "aes256gcm16-curve25519-noesn",
    );
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    let pinger = Pinger::start(&site.host_a, inside(Family::Ip4), &["-i", "0.02"]).unwrap();
    for round in 0..rounds() {
        let words = match random(5) {
            0 => "",
            1 => "ike rekey pr1 --ike",
            2 => "ike rekey pr1 --children",
            3 => "--ike pr1",
            _ => "--child net",
        };
        match words.strip_prefix("--") {
            None if words.is_empty() => {}
            None => drop(site.west.tell(words)),
            Some(_) => {
                let words: Vec<_> = ["--rekey"].into_iter().chain(words.split(' ')).collect();
                site.peer.tell(&words);
            }
        }
        thread::sleep(Duration::from_micros(random(15_000)));
        site.daemon.kill();
        site.daemon = daemon_of(&site.west, &site.config);
        let said = site.daemon.stderr();
        assert!(
            said.contains("takes up") && !said.contains("is left out"),
            "{round}, {words}: {said}"
        );
        let agreed = wait_until("that both ends agree", LIMIT, || Ok(site.agrees().then_some(())));
        agreed.unwrap_or_else(|error| {
            let shown = site.west.ctl_json(&["ike", "show"]);
            panic!("{round}, {words}: {error}\n{shown:?}\n{}", site.peer.log())
        });
    }
    let pings = pinger.interrupt(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}\n{}", site.peer.log());
}

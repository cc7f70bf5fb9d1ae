//! What operators run beside the gateway, on its taps: ssh, OSPF, VRRP.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::{fs, path::Path, time::Duration};

use tests::{Family, Namespace, Primary, Privilege, Process, TwoHosts, both_families, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
/// The tap of port a0.
const TAP: &str = "k-a0";

both_families! {
    ssh_leads_into_the_gateways_namespace,
    ospf_forms_an_adjacency_across_the_port,
    vrrp_gets_through_both_ways,
}

fn hosts() -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap()
}

fn start(hosts: &TwoHosts) -> Primary {
    let [a, b] = hosts.interfaces();
    let builder = hosts.portless("gw").interface(a.tap(TAP)).interface(b);
    builder.start().unwrap()
}

/// The folder that sshd wants, for as long as this is there.
struct FolderOfSshd {
    is_ours: bool,
}

impl FolderOfSshd {
    const PATH: &str = "/run/sshd";

    fn there() -> Self {
        let made = fs::DirBuilder::new().mode(0o755).create(Self::PATH);
        let is_ours = match made {
            Ok(()) => true,
            Err(error) => {
                assert!(
                    error.kind() == ErrorKind::AlreadyExists,
                    "{}: {error}",
                    Self::PATH
                );
                false
            }
        };
        Self { is_ours }
    }
}

impl Drop for FolderOfSshd {
    fn drop(&mut self) {
        if self.is_ours {
            fs::remove_dir(Self::PATH).unwrap();
        }
    }
}

fn ssh_leads_into_the_gateways_namespace(family: Family) {
    let hosts = hosts();
    let primary = start(&hosts);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for key in ["host", "user"] {
        let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path(key)];
        hosts.host_a.run("makes a key", &words).unwrap();
    }
    // What the service of the package does before its start.
    let _folder_of_sshd = FolderOfSshd::there();
    let option = |key: &str, value: &str| format!("-o{key}={value}");
    let mut server = hosts
        .gateway
        .process("serves ssh", "/usr/sbin/sshd")
        .args(["-D", "-e", "-f", "/dev/null", "-p", "2222"])
        .args([
            option("HostKey", &path("host")),
            option("AuthorizedKeysFile", &path("user.pub")),
            option("StrictModes", "no"),
            option("PermitRootLogin", "yes"),
            option("PidFile", "none"),
        ])
        .start()
        .unwrap();
    server
        .wait_for_stderr("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    let destination = format!("root@{}", family.gateway_a());
    let log_in = hosts
        .host_a
        .run_within(
            LIMIT,
            "logs in",
            &[
                "ssh",
                "-F",
                "none",
                "-p",
                "2222",
                "-i",
                &path("user"),
                &option("StrictHostKeyChecking", "no"),
                &option("UserKnownHostsFile", "/dev/null"),
                &option("BatchMode", "yes"),
                &option("ConnectTimeout", "20"),
                &destination,
                "ip -brief link; head -c 3000000 /dev/zero | tr '\\0' x | wc -c",
            ],
        )
        .unwrap();
    let said = log_in.success().unwrap().stdout;
    assert!(said.contains(TAP) && said.contains("3000000"), "{said}");
    primary.counters_at_rest().unwrap().assert_balanced();
}

/// BIRD in a namespace, with OSPF on one link; its control socket is `FOLDER/NAME.ctl`.
fn bird(namespace: &Namespace, folder: &Path, name: &str, link: &str, family: Family) -> Process {
    let config = folder.join(format!("{name}.conf"));
    let text = format!(
        "log stderr all;\nrouter id {};\nprotocol device {{ scan time 1; }}\n\
         protocol ospf {} o {{\n  {} {{ import all; }};\n  area 0 {{ interface \"{link}\" {{ hello 1; dead 4; wait 2; }}; }};\n}}\n",
        if name == "gateway" { "10.0.0.1" } else { "10.0.0.2" },
        family.choose("v2", "v3"),
        family.choose("ipv4", "ipv6"),
    );
    fs::write(&config, text).unwrap();
    let socket = folder.join(format!("{name}.ctl"));
    namespace
        .process("routes", "bird")
        .args(["-f", "-c"])
        .arg(config)
        .arg("-s")
        .arg(socket)
        .start()
        .unwrap()
}

fn ospf_forms_an_adjacency_across_the_port(family: Family) {
    let hosts = hosts();
    let primary = start(&hosts);
    let folder = tempfile::tempdir().unwrap();
    let _routers = [
        bird(&hosts.gateway, folder.path(), "gateway", TAP, family),
        bird(&hosts.host_a, folder.path(), "host", "eth0", family),
    ];
    for (namespace, name) in [(&hosts.gateway, "gateway"), (&hosts.host_a, "host")] {
        let socket = folder.path().join(format!("{name}.ctl")).display().to_string();
        wait_until("a full adjacency", LIMIT, || {
            let words = ["birdc", "-s", &socket, "show", "ospf", "neighbors", "o"];
            let shown = namespace.run_within(LIMIT, "asks BIRD", &words)?;
            Ok(shown.stdout.contains("Full/").then_some(()))
        })
        .unwrap();
    }
    // It stays: that hellos go on both ways is more than that they began.
    std::thread::sleep(Duration::from_secs(6));
    let socket = folder.path().join("host.ctl").display().to_string();
    let words = ["birdc", "-s", &socket, "show", "ospf", "neighbors", "o"];
    let shown = hosts.host_a.run("asks BIRD", &words).unwrap().stdout;
    assert!(shown.contains("Full/"), "{shown}");
    assert_eq!(primary.counters().unwrap().dropped("local_unhandled"), 0);
}

/// Sends one VRRP packet to the group and waits for one of the other side: RFC 9568 section 5.1.1.
const VRRP: &str = "
import socket, struct, sys, time
link, group = sys.argv[1:]
six = ':' in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 112)
index = socket.if_nametoindex(link)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
packed = socket.inet_pton(s.family, group)
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + struct.pack('@I', index))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    to = (group, 0, 0, index)
else:
    join = packed + socket.inet_aton('0.0.0.0') + struct.pack('@i', index)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, join)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, join)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    to = (group, 0)
s.settimeout(0.2)
heard = None
end = time.time() + 20
while time.time() < end:
    s.sendto(b'1' + link.encode(), to)
    try:
        data, sender = s.recvfrom(2000)
    except TimeoutError:
        continue
    if heard is None:
        heard = data
        # The other side may not have been there yet: some more.
        end = min(end, time.time() + 2)
print('heard', heard)
";

fn vrrp_gets_through_both_ways(family: Family) {
    let hosts = hosts();
    let primary = start(&hosts);
    let group = family.choose("224.0.0.18", "ff02::12");
    let router = |namespace: &Namespace, link: &str| {
        namespace
            .process("speaks VRRP", "python3")
            .args(["-c", VRRP, link, group])
            .start()
            .unwrap()
    };
    let mut routers = [
        (router(&hosts.gateway, TAP), "1eth0"),
        (router(&hosts.host_a, "eth0"), "1k-a0"),
    ];
    for (router, other) in &mut routers {
        assert!(router.wait(LIMIT).unwrap().success(), "{}", router.stderr());
        assert!(router.stdout().contains(*other), "{}", router.stdout());
    }
    primary.counters_at_rest().unwrap().assert_balanced();
}

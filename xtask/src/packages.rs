//! The Debian packages that a command needs: found, listed, installed.

use std::{fs, process::Command, time::Duration};

use ::tests::{Privilege, Wait, interrupt, run, run_shown};

use crate::{
    error::Error,
    progress::{say, step},
    session,
};

/// Lists and packages come over the network; a slow mirror takes its time, a dead one does not come back.
const APT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What the bindings to DPDK are generated and built with. bindgen loads libclang and needs the headers that clang itself brings.
const BUILD: &[&str] = &[
    "gcc",
    "libc6-dev",
    "libclang-dev",
    "libdpdk-dev",
    "libpcap-dev",
    "pkg-config",
];
/// What topologies are made of.
const TOPOLOGY: &[&str] = &["ethtool", "iperf3", "iproute2", "iputils-ping"];
/// What the demo shows besides.
const DEMO: &[&str] = &["tshark"];
/// What the demo of the router alert sends with.
const SCAPY: &[&str] = &["python3-scapy"];
/// DPDK's drivers of crypto, such as librte-crypto-ipsec-mb23.
const CRYPTO: &[&str] = &["librte-meta-crypto"];
/// strongSwan, the other end of IKE: its daemon, and ESP without the kernel's help.
const STRONGSWAN: &[&str] = &[
    "charon-systemd",
    "libcharon-extra-plugins",
    "libstrongswan-standard-plugins",
    "strongswan-swanctl",
];
/// What system tests use besides.
const TESTS: &[&str] = &[
    "bird2",
    // A client and servers behind the load balancer.
    "curl",
    // Its tools attach to a primary.
    "dpdk-dev",
    "iputils-arping",
    "nftables",
    "nginx",
    "openssh-client",
    "openssh-server",
    // What scapy's layer of IPsec seals and opens with.
    "python3-cryptography",
    "python3-scapy",
    "tcpdump",
    "traceroute",
    // It and capinfos, which comes with it, read captures.
    "tshark",
    "valgrind",
    "wrk",
    "zstd",
];
/// What the virtual machine of `test --vm` runs on besides; what runs in it is not installed ([`crate::machine`]).
const MACHINE: &[&str] = &["qemu-system-x86", "xz-utils"];
/// What libFuzzer is compiled with.
const FUZZ: &[&str] = &["g++"];
/// What the bench compares with and counts by: dpdk-testpmd, dpdk-dumpcap and dpdk-test-crypto-perf, callgrind, a raw socket in a topology, strongSwan.
const BENCH: &[&str] = &[
    "dpdk-dev", "ethtool", "iproute2", "python3", "tcpdump", "valgrind",
];

/// What a command needs installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// To build the workspace.
    Build,
    /// To build it and to run the demo.
    Demo,
    /// To build it and to run the demo of the router alert.
    DemoOfRouterAlert,
    /// To build it and to run the demo of the IKEv2 daemon.
    DemoOfIke,
    /// To build it and to run the system tests.
    Tests,
    /// As [`Needs::Tests`], and a virtual machine.
    TestsInMachine,
    /// To build it and to measure.
    Bench,
    /// To build it with a fuzzer.
    Fuzz,
}

impl Needs {
    fn packages(self) -> Vec<&'static str> {
        let groups: &[&[&str]] = match self {
            Self::Build => &[BUILD],
            Self::Demo => &[BUILD, TOPOLOGY, DEMO],
            Self::DemoOfRouterAlert => &[BUILD, TOPOLOGY, SCAPY],
            Self::DemoOfIke => &[BUILD, TOPOLOGY, DEMO, CRYPTO],
            Self::Tests => &[BUILD, TOPOLOGY, CRYPTO, STRONGSWAN, TESTS],
            Self::TestsInMachine => &[BUILD, TOPOLOGY, CRYPTO, STRONGSWAN, TESTS, MACHINE],
            Self::Bench => &[BUILD, CRYPTO, STRONGSWAN, BENCH],
            Self::Fuzz => &[BUILD, FUZZ],
        };
        groups.concat()
    }

    /// What to look for where packages have other names: programs, and the library as pkg-config knows it.
    fn programs(self) -> Vec<&'static str> {
        match self {
            Self::Build => vec!["cc", "pkg-config"],
            Self::Demo => vec![
                "cc",
                "pkg-config",
                "ip",
                "nsenter",
                "ethtool",
                "iperf3",
                "ping",
                "tshark",
            ],
            Self::DemoOfIke => vec!["cc", "pkg-config", "ip", "nsenter", "ethtool", "ping", "tshark"],
            Self::DemoOfRouterAlert => vec!["cc", "pkg-config", "ip", "nsenter", "ethtool", "python3"],
            Self::Tests => vec![
                "cc",
                "pkg-config",
                "ip",
                "nsenter",
                "ethtool",
                "iperf3",
                "ping",
                "arping",
                "bird",
                "curl",
                "dpdk-dumpcap",
                "dpdk-pdump",
                "dpdk-proc-info",
                "dpdk-telemetry.py",
                "ssh",
                "/usr/sbin/sshd",
                "/usr/sbin/charon-systemd",
                "/usr/sbin/swanctl",
                "/usr/sbin/nft",
                "/usr/sbin/nginx",
                "python3",
                "capinfos",
                "tcpdump",
                "traceroute",
                "tshark",
                "valgrind",
                "wrk",
                "zstd",
            ],
            Self::TestsInMachine => {
                let machine = ["qemu-system-x86_64", "apt-get", "dpkg-deb", "xz"];
                [Self::Tests.programs(), machine.into()].concat()
            }
            Self::Bench => vec![
                "cc",
                "pkg-config",
                "dpdk-testpmd",
                "dpdk-dumpcap",
                "dpdk-test-crypto-perf",
                "ip",
                "nsenter",
                "taskset",
                "ethtool",
                "python3",
                "valgrind",
                "tcpdump",
                "/usr/sbin/charon-systemd",
                "/usr/sbin/swanctl",
            ],
            Self::Fuzz => vec!["cc", "c++", "pkg-config"],
        }
    }
}

/// Installs what is missing, after listing it. What is there is left alone.
///
/// apt is never cut short: a signal takes effect when it has finished, since a half-configured package is worse than a late Ctrl-C.
pub(crate) fn install(needs: Needs) -> Result<(), Error> {
    let system = System::read();
    if !system.is_supported() {
        return check_by_program(&system, needs);
    }
    let missing = missing(needs)?;
    if missing.is_empty() {
        return Ok(());
    }
    step!("installing {} packages: {}", missing.len(), missing.join(" "));
    let privilege = session::privilege()?;
    read_lists(privilege)?;
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(missing);
    apt(privilege, "installs what the build and the topology need", &words)
}

/// Reads anew which packages there are.
pub(crate) fn read_lists(privilege: Privilege) -> Result<(), Error> {
    apt(privilege, "reads the package lists", &["update"])
}

fn apt(privilege: Privilege, why: &str, words: &[&str]) -> Result<(), Error> {
    interrupt::check()?;
    let mut command = privilege.command("env");
    command
        .args([
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-q",
            "-o",
            "DPkg::Lock::Timeout=300",
        ])
        .args(words);
    privilege.announce(&command, why);
    run_shown(command, Wait::ToTheEnd(APT_LIMIT))?;
    Ok(interrupt::check()?)
}

fn missing(needs: Needs) -> Result<Vec<&'static str>, Error> {
    let packages = needs.packages();
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"])
        .args(&packages);
    // It fails when it knows nothing of one of them, and lists the others all the same.
    let answer = run(query, Wait::Interruptible(Duration::from_secs(60)))?;
    let installed: Vec<_> = installed(&answer.stdout).collect();
    Ok(packages
        .into_iter()
        .filter(|package| !installed.contains(package))
        .collect())
}

/// The packages that the answer of dpkg-query calls installed.
fn installed(answer: &str) -> impl Iterator<Item = &str> {
    answer.lines().filter_map(|line| line.strip_suffix(" installed"))
}

fn check_by_program(system: &System, needs: Needs) -> Result<(), Error> {
    let works = |program: &str, argument: &str| {
        let mut command = Privilege::Direct.command(program);
        command.arg(argument);
        // Whatever it thinks of the argument: it is there.
        run(command, Wait::Interruptible(Duration::from_secs(10)))
    };
    let mut missing: Vec<_> = needs
        .programs()
        .into_iter()
        // Not --version: dpdk-testpmd says it and goes on.
        .filter(|program| works(program, "--help").is_err())
        .map(str::to_owned)
        .collect();
    interrupt::check()?;
    let dpdk = run(
        {
            let mut command = Command::new("pkg-config");
            command.args(["--exists", "libdpdk"]);
            command
        },
        Wait::Interruptible(Duration::from_secs(10)),
    );
    if !dpdk.is_ok_and(|answer| answer.status.success()) {
        missing.push("DPDK 22.11 or 24.11 with its headers (pkg-config libdpdk)".to_owned());
    }
    if missing.is_empty() {
        say!(
            "This is {}: nothing is installed here; what is needed was found (libclang is looked for by the build).",
            system.name
        );
        return Ok(());
    }
    missing.push("libclang with its headers".to_owned());
    Err(Error::UnknownSystem {
        system: system.name.clone(),
        missing: missing.join(", "),
    })
}

/// What /etc/os-release says.
struct System {
    name: String,
    id: String,
    version: String,
}

impl System {
    fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let name = Some(value("PRETTY_NAME")).filter(|name| !name.is_empty());
        Self {
            name: name.unwrap_or_else(|| "an unknown system".to_owned()),
            id: value("ID"),
            version: value("VERSION_ID"),
        }
    }

    fn is_supported(&self) -> bool {
        self.id == "debian" && ["12", "13"].contains(&self.version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_and_13_are_known_and_others_are_named() {
        let bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert!(System::parse(bookworm).is_supported());
        assert!(System::parse(&bookworm.replace("12", "13")).is_supported());
        assert!(!System::parse(&bookworm.replace("12", "11")).is_supported());
        let fedora = System::parse("ID=fedora\nVERSION_ID=43\nPRETTY_NAME='Fedora Linux 43'\n");
        assert!(!fedora.is_supported());
        assert_eq!(fedora.name, "Fedora Linux 43");
        assert_eq!(System::parse("").name, "an unknown system");
    }

    #[test]
    fn a_package_that_was_removed_but_is_still_known_is_missing() {
        let answer = "libdpdk-dev installed\nethtool config-files\niperf3 not-installed\n";
        assert_eq!(installed(answer).collect::<Vec<_>>(), ["libdpdk-dev"]);
    }

    #[test]
    fn each_command_needs_what_the_build_needs_and_names_it_once() {
        for needs in [
            Needs::Build,
            Needs::Demo,
            Needs::DemoOfRouterAlert,
            Needs::DemoOfIke,
            Needs::Tests,
            Needs::TestsInMachine,
            Needs::Bench,
            Needs::Fuzz,
        ] {
            let packages = needs.packages();
            assert!(
                packages.contains(&"libdpdk-dev") && packages.contains(&"libclang-dev"),
                "{needs:?}"
            );
            let mut once = packages.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), packages.len(), "{needs:?}");
        }
    }
}

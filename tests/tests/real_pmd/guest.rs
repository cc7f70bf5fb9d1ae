//! A virtual machine in which a primary drives network cards by itself, one towards each of two hosts.
//!
//! ```text
//!   host-a  eth0 (tap) ── card 0000:00:04.0 ─ tollgate-primary ─ card 0000:00:05.0 ── (tap) eth0  host-b
//! ```
//!
//! qemu computes all of it (TCG): there is no KVM on many a test machine. The guest is an ordinary Debian kernel and an image with busybox,
//! the programs of the suite, and what they load.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tests::machine::{Card, Debian, Image, LIMIT, Machine, Size, libraries};
use tests::{Family, Namespace, NamespaceOptions, Privilege, binaries, wait_until};

/// What the guest has for itself, MB: image, programs, hugepages.
const MEMORY_MB: u32 = 1024;
/// Hugepages of 2 MB: a primary of 256 MB with its attachments and tables.
const PAGES: &str = "176";
/// The drivers of DPDK that the guest has; a driver that is not there is not loaded.
const DRIVERS: [&str; 5] = ["bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_virtio"];
const LOG: &str = "/run/primary.log";
const STATUS: &str = "/run/primary.status";

/// What a guest is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// The cards, towards host-a and towards host-b.
    pub(crate) cards: [Card; 2],
    /// The MTU of both links.
    pub(crate) mtu: u16,
}

/// A running guest and the hosts at its cards.
pub(crate) struct Guest {
    // Dropped from here on, in this order: taps go with qemu, the namespaces are empty then.
    machine: Machine,
    pub(crate) host_a: Namespace,
    pub(crate) host_b: Namespace,
    apart: Namespace,
}

impl Guest {
    /// Starts the machine and a primary in it with two workers, which forwards when this returns.
    pub(crate) fn start(setup: Setup) -> Self {
        let privilege = Privilege::detect();
        let debian = Debian::unpacked();
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let [host_a, host_b] =
            ["host-a", "host-b"].map(|label| Namespace::create_with(privilege, label, options).unwrap());
        let apart = Namespace::create(privilege, "machine").unwrap();
        let size = Size {
            cpus: 3,
            memory_mb: MEMORY_MB,
        };
        let mut guest = Self {
            machine: Machine::start(&apart, size, &debian, &image(&debian, setup), &setup.cards),
            host_a,
            host_b,
            apart,
        };
        guest.machine.show_at_failure(&format!("tail -n 100 {LOG}"));
        guest.connect_hosts(setup.mtu);
        let reserve = format!("tollgate-hugepage-setup reserve --size 2M --pages {PAGES}");
        guest.succeed(&reserve);
        guest.succeed("tollgate-hugepage-setup mount");
        guest.start_primary();
        guest
    }

    /// Taps are qemu's, made where it runs; from there they go to the hosts.
    fn connect_hosts(&self, mtu: u16) {
        for (card, host) in [&self.host_a, &self.host_b].into_iter().enumerate() {
            let tap = Card::tap_of(card);
            let words = ["ip", "link", "set", &tap, "netns", host.name(), "name", "eth0"];
            self.apart.run("gives a host its link", &words).unwrap();
            host.set_mtu("eth0", mtu).unwrap();
            host.set_up("eth0", true).unwrap();
        }
        for family in Family::BOTH {
            for (host, address, gateway) in [
                (&self.host_a, family.address_a(), family.gateway_a()),
                (&self.host_b, family.address_b(), family.gateway_b()),
            ] {
                host.add_address("eth0", &family.in_subnet(address)).unwrap();
                host.add_route("default", gateway).unwrap();
            }
        }
    }

    fn start_primary(&mut self) {
        let start = format!(
            "(tollgate-primary --config /etc/tollgate.toml >{LOG} 2>&1; echo $? >{STATUS}) & \
             until grep -qx ready {LOG} || [ -e {STATUS} ]; do sleep 0.1; done; cat {LOG}; [ ! -e {STATUS} ]"
        );
        self.succeed(&start);
        self.until("no address is tentative", |guest| {
            let addresses = guest.ctl("addr show");
            let addresses = addresses.as_array().unwrap();
            addresses.iter().all(|address| address["state"] == "preferred")
        });
    }

    /// Runs a command in the guest, which must succeed, and returns what it wrote on stdout.
    pub(crate) fn succeed(&mut self, command: &str) -> String {
        self.machine.succeed(command)
    }

    /// Runs a command in the guest, and returns its exit status and what it wrote on stderr.
    pub(crate) fn refusal(&mut self, command: &str) -> (u8, String) {
        let answer = self.machine.run(command);
        (answer.status, answer.stderr)
    }

    /// What `tollgate-ctl` with these words and `--json` prints.
    pub(crate) fn ctl(&mut self, words: &str) -> Value {
        let said = self.succeed(&format!("tollgate-ctl {words} --json"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("`tollgate-ctl {words}`: {error}: {said}"))
    }

    /// Looks until `holds`, which `expected` says in words.
    pub(crate) fn until(&mut self, expected: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        wait_until(expected, LIMIT, || Ok(holds(self).then_some(()))).unwrap();
    }

    /// Takes the link of a card, 0 or 1, up or down.
    pub(crate) fn set_link(&mut self, card: usize, up: bool) {
        self.machine.set_link(card, up);
    }

    /// SIGTERM to the primary; its exit status, and all that it said.
    pub(crate) fn terminate_primary(&mut self) -> (String, String) {
        let end =
            format!("kill -TERM $(pidof tollgate-primary) && until [ -s {STATUS} ]; do sleep 0.1; done");
        self.succeed(&end);
        let status = self.succeed(&format!("cat {STATUS}"));
        let said = self.succeed(&format!("cat {LOG}"));
        (status.trim().to_owned(), said)
    }

    /// Switches the guest off, which ends qemu.
    pub(crate) fn power_off(self) {
        self.machine.power_off();
    }
}

fn image(debian: &Debian, setup: Setup) -> Image {
    let mut image = Image::new();
    image.file("/init", 0o755, Machine::INIT);
    image.file("/usr/bin/busybox", 0o755, fs::read(&debian.busybox).unwrap());
    debian.add_modules(&["uio_pci_generic"], &mut image);
    let devices = [0, 1].map(|card| format!("{} uio_pci_generic\n", Card::address_of(card)));
    image.file("/etc/devices", 0o644, devices.concat());
    for name in [
        "tollgate-primary",
        "tollgate-ctl",
        "tollgate-pdump",
        "tollgate-hugepage-setup",
    ] {
        image.program(&binaries::find(name).unwrap());
    }
    let folder = drivers();
    for driver in DRIVERS {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(&format!("librte_{driver}.so")) {
                image.copy(&path);
            }
        }
    }
    image.file("/etc/tollgate.toml", 0o644, configuration(setup));
    image
}

/// The folder that EAL loads drivers from: `dpdk/pmds-VERSION` beside its own library, of the same version.
fn drivers() -> PathBuf {
    let loaded = libraries(&binaries::find("tollgate-primary").unwrap());
    let eal = loaded
        .iter()
        .find_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((path.parent()?, name.strip_prefix("librte_eal.so.")?))
        })
        .expect("the primary is linked to DPDK's libraries");
    let (folder, version) = eal;
    let folder = folder.join("dpdk").canonicalize().unwrap();
    let of_version = |name: &str| {
        let found = name.strip_prefix("pmds-").unwrap_or_default();
        found == version || found.starts_with(&format!("{version}."))
    };
    fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| of_version(&path.file_name().unwrap().to_string_lossy()))
        .unwrap_or_else(|| panic!("{} has no drivers of version {version}", folder.display()))
}

fn configuration(setup: Setup) -> String {
    let mut text = "[instance]\nname = \"gateway\"\n\n[log]\nlevel = \"info\"\ntarget = \"stderr\"\n\n[eal]\nmemory_mb = 256\n\n\
                    [workers]\nlcores = [1, 2]\ncontrol_cpus = [0]\n"
        .to_owned();
    let gateways: [fn(Family) -> &'static str; 2] = [Family::gateway_a, Family::gateway_b];
    for (card, (name, gateway)) in ["a0", "b0"].into_iter().zip(gateways).enumerate() {
        let addresses = Family::BOTH.map(|family| format!("\"{}\"", family.in_subnet(gateway(family))));
        text += &format!(
            "\n[[interface]]\nname = \"{name}\"\ndevice = \"{}\"\nmtu = {}\naddresses = [{}]\n",
            Card::address_of(card),
            setup.mtu,
            addresses.join(", ")
        );
    }
    text
}

//! A host below a directory of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::super::network::Address;
use super::super::report::Report;
use super::super::{Surroundings, examine};
use crate::error::Error;
use crate::host::Host;
use crate::pool::{Counts, make_pool};

const FLAGS: &str = "sse4_2 avx2 avx512f aes vaes vpclmulqdq constant_tsc nonstop_tsc";
const KERNEL: &str = "6.1.0-1-amd64";

/// A host with Intel CPUs 0 to 3 on the nodes 0 and 1, the last one isolated, and nothing else.
pub(super) struct Place {
    root: tempfile::TempDir,
    host: Host,
    addresses: RefCell<Vec<Address>>,
}

/// A PCI device to put there.
pub(super) struct Pci {
    pub(super) address: &'static str,
    pub(super) class: &'static str,
    pub(super) device: (u16, u16),
    pub(super) driver: Option<&'static str>,
    pub(super) node: i32,
    pub(super) iommu_group: Option<u32>,
    pub(super) interface: Option<&'static str>,
    /// The device between the PCI device and the interface, as virtio has one.
    pub(super) behind: Option<&'static str>,
}

impl Pci {
    /// A NIC without a driver, in an IOMMU group.
    pub(super) fn new(address: &'static str, device: (u16, u16)) -> Self {
        Self {
            address,
            class: "0x020000",
            device,
            driver: None,
            node: -1,
            iommu_group: Some(7),
            interface: None,
            behind: None,
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn link(target: &Path, path: &Path) {
    fs::create_dir_all(target).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

impl Place {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let place = Self {
            root,
            host,
            addresses: RefCell::default(),
        };
        place.proc("meminfo", "Hugepagesize: 2048 kB\n");
        place.proc("mounts", "proc /proc proc rw 0 0\n");
        place.proc(
            "cpuinfo",
            &format!("vendor_id\t: GenuineIntel\nflags\t\t: {FLAGS}\n"),
        );
        place.proc("sys/kernel/osrelease", &format!("{KERNEL}\n"));
        place.proc("self/status", "Cpus_allowed_list:\t0-3\n");
        place.command_line("intel_iommu=on");
        place.sys("devices/system/cpu/online", "0-3\n");
        place.sys("devices/system/cpu/isolated", "3\n");
        place.sys("devices/system/node/node0/cpulist", "0-1\n");
        place.sys("devices/system/node/node1/cpulist", "2-3\n");
        place.proc(
            "net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n",
        );
        place.interface("lo", None);
        place
    }

    fn proc(&self, path: &str, text: &str) {
        write(&self.host.proc.join(path), text);
    }

    fn sys(&self, path: &str, text: &str) {
        write(&self.host.sys.join(path), text);
    }

    pub(super) fn command_line(&self, text: &str) {
        self.proc("cmdline", &format!("{text}\n"));
    }

    pub(super) fn virtual_machine(&self) {
        self.proc(
            "cpuinfo",
            &format!("vendor_id\t: AuthenticAMD\nflags\t\t: {FLAGS} hypervisor\n"),
        );
    }

    /// Pages of 2 MiB, all on node 1 but none on node 0.
    pub(super) fn pages(&self, total: u64, free: u64) {
        let counts = Counts {
            total,
            free,
            reserved: Some(0),
            surplus: 0,
        };
        let size = "2M".parse().unwrap();
        make_pool(&self.host, size, None, counts);
        make_pool(&self.host, size, Some(0), Counts::default());
        make_pool(&self.host, size, Some(1), counts);
    }

    pub(super) fn mount(&self, size: &str) {
        let path = self.root.path().join("huge");
        fs::create_dir_all(&path).unwrap();
        let line = format!("none {} hugetlbfs rw,pagesize={size} 0 0\n", path.display());
        self.proc("mounts", &line);
    }

    /// A module that is loaded.
    pub(super) fn module(&self, name: &str) {
        let directory = self.host.sys.join("module").join(name.replace('-', "_"));
        fs::create_dir_all(directory).unwrap();
    }

    pub(super) fn available_module(&self, name: &str) {
        let list = self.host.lib.join("modules").join(KERNEL).join("modules.dep");
        write(&list, &format!("kernel/drivers/{name}.ko: kernel/a.ko\n"));
    }

    pub(super) fn noiommu(&self) {
        self.sys("module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    }

    /// Drivers of DPDK 22.11, as Debian installs them.
    pub(super) fn pmds(&self, names: &[&str]) {
        let directory = self.host.usr.join("lib/x86_64-linux-gnu/dpdk/pmds-23.0");
        for name in names {
            write(&directory.join(format!("librte_net_{name}.so.23")), "");
        }
    }

    pub(super) fn pci(&self, pci: Pci) {
        let path = self.host.sys.join("devices/pci0000:00").join(pci.address);
        let (vendor, device) = pci.device;
        write(&path.join("class"), &format!("{}\n", pci.class));
        write(&path.join("vendor"), &format!("{vendor:#06x}\n"));
        write(&path.join("device"), &format!("{device:#06x}\n"));
        write(&path.join("numa_node"), &format!("{}\n", pci.node));
        let bus = self.host.sys.join("bus/pci");
        link(&path, &bus.join("devices").join(pci.address));
        if let Some(driver) = pci.driver {
            link(&bus.join("drivers").join(driver), &path.join("driver"));
        }
        if let Some(group) = pci.iommu_group {
            let group = self.host.sys.join(format!("kernel/iommu_groups/{group}"));
            link(&group, &path.join("iommu_group"));
        }
        let parent = pci
            .behind
            .map_or_else(|| path.clone(), |between| path.join(between));
        if let Some(name) = pci.interface {
            self.interface(name, Some(&parent));
        }
    }

    /// An interface without a device.
    pub(super) fn software(&self, name: &str) {
        self.interface(name, None);
    }

    fn interface(&self, name: &str, device: Option<&Path>) {
        let directory = self.host.sys.join("class/net").join(name);
        fs::create_dir_all(&directory).unwrap();
        for (file, text) in [("mtu", "1500"), ("flags", "0x1003"), ("type", "1")] {
            self.interface_file(name, file, text);
        }
        if let Some(device) = device {
            link(device, &directory.join("device"));
        }
    }

    pub(super) fn interface_file(&self, name: &str, file: &str, text: &str) {
        self.sys(&format!("class/net/{name}/{file}"), &format!("{text}\n"));
    }

    /// Makes `upper` lie upon `lower`.
    pub(super) fn upper(&self, lower: &str, upper: &str) {
        let net = self.host.sys.join("class/net");
        link(&net.join(upper), &net.join(lower).join(format!("upper_{upper}")));
    }

    pub(super) fn address(&self, interface: &str, address: &str, length: u8) {
        self.addresses.borrow_mut().push(Address {
            interface: interface.into(),
            address: address.parse().unwrap(),
            length,
        });
    }

    /// A route of the kernel, of either family.
    pub(super) fn route(&self, interface: &str, prefix: &str, via: Option<&str>, metric: u32) {
        let (path, line) = match prefix.parse().unwrap() {
            IpNet::V4(prefix) => {
                let word =
                    |address: std::net::Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
                let gateway = via.map_or_else(|| "00000000".to_owned(), |via| word(via.parse().unwrap()));
                let flags = if via.is_some() { "0003" } else { "0001" };
                let (network, mask) = (word(prefix.network()), word(prefix.netmask()));
                let line =
                    format!("{interface}\t{network}\t{gateway}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n");
                ("net/route", line)
            }
            IpNet::V6(prefix) => {
                let bits = |address: Ipv6Addr| format!("{:032x}", address.to_bits());
                let gateway = bits(via.map_or(Ipv6Addr::UNSPECIFIED, |via| via.parse().unwrap()));
                let flags = if via.is_some() { "00000003" } else { "00000001" };
                let (network, length) = (bits(prefix.network()), prefix.prefix_len());
                let source = format!("{:032x} 00", 0);
                let line = format!(
                    "{network} {length:02x} {source} {gateway} {metric:08x} 00000001 00000000 {flags} {interface}\n"
                );
                ("net/ipv6_route", line)
            }
        };
        let path = self.host.proc.join(path);
        let mut table = fs::read_to_string(&path).unwrap_or_default();
        table.push_str(&line);
        fs::write(path, table).unwrap();
    }

    /// An ssh connection to an address of this host.
    pub(super) fn ssh_to(&self, address: &str) {
        let IpAddr::V4(address) = address.parse().unwrap() else {
            panic!("{address} is not of IPv4");
        };
        let word = u32::from_ne_bytes(address.octets());
        let table = format!("  sl  local_address rem_address   st\n   0: {word:08X}:0016 0B02A8C0:C350 01\n");
        self.proc("net/tcp", &table);
    }

    pub(super) fn try_examine(&self, device: Option<&str>) -> Result<Report, Error> {
        let surroundings = Surroundings {
            addresses: self.addresses.borrow().clone(),
            ssh_connection: None,
            abi: Some(23),
        };
        examine(&self.host, &surroundings, device)
    }

    pub(super) fn examine(&self, device: Option<&str>) -> Report {
        self.try_examine(device).unwrap()
    }

    /// All files with what is in them.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.root.path().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() {
                    files.insert(path, Vec::new());
                } else if path.is_dir() {
                    directories.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

//! Who owns what: a device, or a CPU that a worker keeps busy, belongs to one instance, and not to the host.

mod host;
mod sockets;

use std::path::PathBuf;

use control::instance::{CpuClaim, Description, DeviceClaim, RegistryError, RunDir};
use shm::records::IdlePolicy;

use crate::config::{Config, Device, PciAddress};

pub use self::host::{guard_interfaces, guard_pci, warn_of_kernel_ipv6};

/// Why something cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another instance has the device.
    #[error(
        "the device '{device}' of interface {interface} belongs to instance '{owner}' (pid {pid}), where it is {other}: give this \
         instance another device, or stop that one with 'kill {pid}'"
    )]
    Device {
        /// As configured here.
        device: String,
        /// Name of the interface here.
        interface: String,
        /// The other instance.
        owner: String,
        /// Its primary.
        pid: u32,
        /// Name of the interface there.
        other: String,
    },
    /// Another instance's worker is on the CPU, and one of the two never sleeps.
    #[error(
        "CPU {cpu} is used by instance '{owner}' (pid {pid}) and {busy} is busy: choose another CPU in lcores of [workers], or make \
         both idle = \"adaptive\""
    )]
    Cpu {
        /// The CPU.
        cpu: u32,
        /// The other instance.
        owner: String,
        /// Its primary.
        pid: u32,
        /// Whose worker is busy.
        busy: &'static str,
    },
    /// Another instance's files have the same names.
    #[error(
        "the file prefix '{prefix}' is that of instance '{owner}' (pid {pid}): set file_prefix in [instance] to another"
    )]
    FilePrefix {
        /// The prefix.
        prefix: String,
        /// The other instance.
        owner: String,
        /// Its primary.
        pid: u32,
    },
    /// The other instances cannot be looked at.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The interface of the kernel is not there.
    #[error(
        "interface {interface}: there is no kernel interface '{kernel}' in {namespace} for the device '{device}': 'ip link' lists them"
    )]
    NoInterface {
        /// Name of the interface in the configuration.
        interface: String,
        /// The one that is missing.
        kernel: String,
        /// Where it was looked for.
        namespace: String,
        /// As configured.
        device: String,
    },
    /// The PCI device is not there.
    #[error(
        "interface {interface}: there is no PCI device {address}: 'dpdk-devbind.py --status-dev net' lists them"
    )]
    NoPciDevice {
        /// Name of the interface in the configuration.
        interface: String,
        /// Its address.
        address: PciAddress,
    },
    /// The host itself needs the device.
    #[error(
        "interface {interface}: '{kernel}' carries {reason}, and Tollgate would take its packets: use another device, or insist with \
         --take-over"
    )]
    HostNeedsIt {
        /// Name of the interface in the configuration.
        interface: String,
        /// The kernel's interface.
        kernel: String,
        /// What for.
        reason: String,
    },
    /// The kernel does not tell.
    #[error("cannot read {path}, which says what the host needs: {source}")]
    Host {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

/// What two instances cannot both have, as one text: `pci:0000:01:00.0`, `net:<inode of the namespace>:<interface>`,
/// `memif:<socket>:<id>:<role>`. `None` for a device that exists only inside the process.
pub fn device_key(device: &Device, netns_inode: u64) -> Option<String> {
    if let Some(address) = device.pci() {
        return Some(format!("pci:{address}"));
    }
    if let Some(interface) = device.kernel_interface() {
        return Some(format!("net:{netns_inode}:{interface}"));
    }
    let is = |driver: &str| device.name().trim_start_matches("vdev:").starts_with(driver);
    if is("net_memif") {
        let option = |key: &str, default: &str| device.option(key).unwrap_or(default).to_owned();
        let (socket, id) = (option("socket", "/run/memif.sock"), option("id", "0"));
        // A memif has two ends, and each has one owner.
        let role = if matches!(device.option("role"), Some("server" | "master")) {
            "server"
        } else {
            "client"
        };
        return Some(format!("memif:{socket}:{id}:{role}"));
    }
    // A tap that the driver makes is an interface of the kernel as well.
    device
        .option("iface")
        .filter(|_| is("net_tap") || is("net_tun"))
        .map(|name| format!("net:{netns_inode}:{name}"))
}

/// The devices of a configuration as claims, for the namespace that this process is in.
pub fn devices(config: &Config, netns_inode: u64) -> Vec<DeviceClaim> {
    let mut claims = Vec::new();
    for interface in &config.interfaces {
        claims.extend(interface.devices().map(|device| DeviceClaim {
            interface: interface.name.clone(),
            device: device.devargs().to_owned(),
            key: device_key(device, netns_inode),
        }));
    }
    claims
}

/// The CPUs of a configuration's workers as claims.
pub fn cpus(config: &Config) -> Vec<CpuClaim> {
    let busy = config.workers.idle == IdlePolicy::Busy;
    config
        .workers
        .lcores
        .iter()
        .map(|cpu| CpuClaim { cpu: *cpu, busy })
        .collect()
}

/// Compares what `me` claims with what all other live instances have. The caller holds the guard of
/// [`RunDir::claims`] until it has published its own.
pub fn check(run_dir: &RunDir, me: &Description) -> Result<(), ClaimError> {
    for directory in run_dir.instances()? {
        if *directory.name() == me.name || !directory.is_alive()? {
            continue;
        }
        // Alive without a description: it has not compared its claims yet and will find mine.
        if let Some(other) = directory.description()? {
            compare(me, &other)?;
        }
    }
    Ok(())
}

fn compare(me: &Description, other: &Description) -> Result<(), ClaimError> {
    let owner = other.name.to_string();
    let pid = other.pid;
    if me.file_prefix == other.file_prefix {
        return Err(ClaimError::FilePrefix {
            prefix: me.file_prefix.clone(),
            owner,
            pid,
        });
    }
    for mine in &me.devices {
        let same = |theirs: &&DeviceClaim| mine.key.is_some() && mine.key == theirs.key;
        if let Some(theirs) = other.devices.iter().find(same) {
            let (device, interface) = (mine.device.clone(), mine.interface.clone());
            return Err(ClaimError::Device {
                device,
                interface,
                owner,
                pid,
                other: theirs.interface.clone(),
            });
        }
    }
    for mine in &me.cpus {
        let same = |theirs: &&CpuClaim| mine.cpu == theirs.cpu && (mine.busy || theirs.busy);
        if let Some(theirs) = other.cpus.iter().find(same) {
            let busy = if theirs.busy {
                "its worker"
            } else {
                "the worker of this instance"
            };
            return Err(ClaimError::Cpu {
                cpu: mine.cpu,
                owner,
                pid,
                busy,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(device: &str) -> Option<String> {
        device_key(&device.parse().unwrap(), 7)
    }

    fn description(name: &str, device: &str, cpu: CpuClaim) -> Description {
        Description {
            name: name.parse().unwrap(),
            version: String::new(),
            pid: std::process::id(),
            start_time: 1,
            file_prefix: format!("tg-{name}"),
            netns: None,
            config: PathBuf::new(),
            huge_dir: PathBuf::new(),
            tables: PathBuf::new(),
            segment: String::new(),
            group: None,
            stock_tools: false,
            devices: vec![DeviceClaim {
                interface: "wan".into(),
                device: device.into(),
                key: key(device),
            }],
            cpus: vec![cpu],
        }
    }

    const ADAPTIVE: CpuClaim = CpuClaim { cpu: 1, busy: false };
    const BUSY: CpuClaim = CpuClaim { cpu: 1, busy: true };
    const ELSEWHERE: CpuClaim = CpuClaim { cpu: 2, busy: true };

    #[test]
    fn a_device_has_one_key_however_it_is_written() {
        assert_eq!(key("net_af_packet0,iface=wan0").unwrap(), "net:7:wan0");
        assert_eq!(
            key("net_af_xdp3,iface=wan0,start_queue=0"),
            key("net_af_packet0,iface=wan0")
        );
        assert_eq!(key("net_tap0,remote=wan0"), key("net_af_packet0,iface=wan0"));
        assert_eq!(key("net_tap0,iface=tap9").unwrap(), "net:7:tap9");
        assert_eq!(key("01:00.0,x=1").unwrap(), "pci:0000:01:00.0");
        assert_eq!(
            key("net_memif0,id=3,role=server").unwrap(),
            "memif:/run/memif.sock:3:server"
        );
        assert_ne!(
            key("net_memif0,id=3,role=client"),
            key("net_memif0,id=3,role=server")
        );
        for private in ["net_null0", "net_ring0", "net_pcap0,rx_pcap=x.pcap", "net_tap0"] {
            assert_eq!(key(private), None, "{private}");
        }
        let device: Device = "net_af_packet0,iface=wan0".parse().unwrap();
        assert_ne!(
            device_key(&device, 7),
            device_key(&device, 8),
            "another namespace has another wan0"
        );
    }

    #[test]
    fn a_device_of_a_live_instance_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(directory.path());
        let blue = description("blue", "net_af_packet0,iface=wan0", ELSEWHERE);
        let lock = run_dir.instance(&blue.name).claim().unwrap();
        let red = description("red", "net_af_xdp0,iface=wan0", ADAPTIVE);
        check(&run_dir, &red).expect("blue has not published its claims yet");
        lock.publish(&blue, None).unwrap();
        let message = check(&run_dir, &red).unwrap_err().to_string();
        for part in ["'net_af_xdp0,iface=wan0'", "'blue'", &format!("pid {}", blue.pid)] {
            assert!(message.contains(part), "{message}");
        }
        check(&run_dir, &blue).expect("an instance does not stand in its own way");
        drop(lock);
        check(&run_dir, &red).expect("blue has ended");
    }

    #[test]
    fn a_cpu_is_shared_only_by_workers_that_sleep() {
        let device = ["net_null0", "net_null1"];
        for (mine, theirs, good) in [
            (ADAPTIVE, ADAPTIVE, true),
            (BUSY, ADAPTIVE, false),
            (ADAPTIVE, BUSY, false),
            (BUSY, BUSY, false),
            (BUSY, ELSEWHERE, true),
        ] {
            let result = compare(
                &description("red", device[0], mine),
                &description("blue", device[1], theirs),
            );
            assert_eq!(result.is_ok(), good, "{mine:?} {theirs:?}");
            if let Err(error) = result {
                assert!(
                    error.to_string().contains("CPU 1") && error.to_string().contains("'blue'"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_file_prefix_belongs_to_one_instance() {
        let mut red = description("red", "net_null0", ADAPTIVE);
        red.file_prefix = "tg-blue".into();
        let message = compare(&red, &description("blue", "net_null0", ADAPTIVE))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("'tg-blue'") && message.contains("'blue'"),
            "{message}"
        );
    }
}

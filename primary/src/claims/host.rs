//! The host's own needs: whoever comes in by ssh over a device, or goes out by it, does not want to lose it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;

use super::ClaimError;
use super::sockets::{connections, default_routes4, default_routes6, interfaces6, ssh_ports};
use crate::config::{Config, Device, Interface};

/// Where sysfs has PCI devices and interfaces.
const PCI: &str = "/sys/bus/pci/devices";
const NET: &str = "/sys/class/net";

/// What the host does over an interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    interface: String,
    reason: String,
}

/// Refuses PCI devices that are not there or that the host needs, unless `take_over`. Called before the network
/// namespace is entered: the kernel's interface of such a device is in the host's.
pub fn guard_pci(config: &Config, take_over: bool) -> Result<(), ClaimError> {
    let mut devices = Vec::new();
    let each = config.interfaces.iter().flat_map(|interface| {
        let addresses = interface.devices().filter_map(Device::pci);
        addresses.map(move |address| (interface, address))
    });
    for (interface, address) in each {
        let device = Path::new(PCI).join(address.to_string());
        if !device.exists() {
            return Err(ClaimError::NoPciDevice {
                interface: interface.name.clone(),
                address,
            });
        }
        let interfaces = fs::read_dir(device.join("net")).into_iter().flatten().flatten();
        devices
            .extend(interfaces.filter_map(|entry| Some((interface, entry.file_name().into_string().ok()?))));
    }
    guard(devices, take_over)
}

/// Refuses devices over interfaces of the kernel that are not in the current network namespace, or that are needed there,
/// unless `take_over`. Called after the network namespace is entered.
pub fn guard_interfaces(config: &Config, take_over: bool) -> Result<(), ClaimError> {
    let mut devices = Vec::new();
    let each = config.interfaces.iter().flat_map(|interface| {
        let kernels = interface.kernel_interfaces();
        kernels.map(move |kernel| (interface, kernel))
    });
    for (interface, kernel) in each {
        // An index is asked for in the current namespace, whichever /sys is mounted.
        if nix::net::if_::if_nametoindex(kernel).is_err() {
            let namespace = config.instance.netns.as_ref();
            return Err(ClaimError::NoInterface {
                interface: interface.name.clone(),
                kernel: kernel.to_owned(),
                namespace: namespace.map_or("this network namespace".into(), |name| {
                    format!("network namespace '{name}'")
                }),
                device: interface.device.to_string(),
            });
        }
        devices.push((interface, kernel.to_owned()));
    }
    guard(devices, take_over)
}

fn guard(devices: Vec<(&Interface, String)>, take_over: bool) -> Result<(), ClaimError> {
    if devices.is_empty() {
        return Ok(());
    }
    decide(devices, &needs()?, Path::new(NET), take_over)
}

fn decide(
    devices: Vec<(&Interface, String)>,
    needs: &[Need],
    net: &Path,
    take_over: bool,
) -> Result<(), ClaimError> {
    for (interface, kernel) in devices {
        let carriers = carried(net, &kernel);
        let Some(need) = needs.iter().find(|need| carriers.contains(&need.interface)) else {
            continue;
        };
        let over = if need.interface == kernel {
            String::new()
        } else {
            format!(" (by {})", need.interface)
        };
        let reason = format!("{}{over}", need.reason);
        if !take_over {
            return Err(ClaimError::HostNeedsIt {
                interface: interface.name.clone(),
                kernel,
                reason,
            });
        }
        tracing::warn!(target: "port", "taking over '{kernel}', which carries {reason}");
    }
    Ok(())
}

/// What this network namespace does over its interfaces.
fn needs() -> Result<Vec<Need>, ClaimError> {
    let (route4, route6) = (read("/proc/net/route")?, read("/proc/net/ipv6_route")?);
    let default = default_routes4(&route4)
        .into_iter()
        .chain(default_routes6(&route6));
    let need = |interface: &str, reason: String| Need {
        interface: interface.to_owned(),
        reason,
    };
    let mut needs: Vec<_> = default
        .map(|interface| need(interface, "the host's default route".to_owned()))
        .collect();

    let ports = ssh_ports(std::env::var("SSH_CONNECTION").ok().as_deref());
    let mut locals = connections(&read("/proc/net/tcp")?, &ports);
    locals.extend(connections(&read("/proc/net/tcp6")?, &ports));
    if locals.is_empty() {
        return Ok(needs);
    }
    let addresses = getifaddrs().map_err(|errno| ClaimError::Host {
        path: "the interfaces' addresses".into(),
        source: errno.into(),
    })?;
    for interface in addresses {
        let address: Option<IpAddr> = interface.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or(address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        if let Some(address) = address.filter(|address| locals.contains(address)) {
            needs.push(need(
                &interface.interface_name,
                format!("an ssh connection to {address}"),
            ));
        }
    }
    Ok(needs)
}

/// The text of a kernel table. A kernel without IPv6 has none of that family.
fn read(path: &str) -> Result<String, ClaimError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ClaimError::Host {
            path: PathBuf::from(path),
            source,
        }),
    }
}

/// The interface and all that lie upon it: its VLANs, its bridge, its bond. What they carry, it carries.
fn carried(net: &Path, interface: &str) -> Vec<String> {
    let mut carried = vec![interface.to_owned()];
    let mut next = 0;
    while let Some(lower) = carried.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(net.join(lower)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(upper) = name.to_str().and_then(|name| name.strip_prefix("upper_")) else {
                continue;
            };
            if !carried.iter().any(|known| known == upper) {
                carried.push(upper.to_owned());
            }
        }
    }
    carried
}

/// Says so when the kernel has IPv6 on an interface on which the gateway has it: it would answer for a link-local address of the
/// same MAC address, and errors of its own.
pub fn warn_of_kernel_ipv6(config: &Config) {
    // Not there when the kernel has no IPv6.
    let text = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let with_ipv6 = interfaces6(&text);
    for interface in &config.interfaces {
        let ours = interface.addresses.iter().any(|address| address.addr().is_ipv6());
        for kernel in interface
            .kernel_interfaces()
            // With a tap the kernel is silenced.
            .filter(|kernel| ours && interface.tap.is_none() && with_ipv6.contains(kernel))
        {
            tracing::warn!(
                target: "port",
                "{}: the kernel has IPv6 addresses on {kernel} as well and answers beside this gateway: run 'sysctl -w \
                 net.ipv6.conf.{kernel}.disable_ipv6=1' in its namespace",
                interface.name
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, machine::Machine};

    fn config(device: &str) -> Config {
        let text =
            format!("[instance]\nname = \"blue\"\n[[interface]]\nname = \"wan\"\ndevice = \"{device}\"\n");
        let machine = Machine {
            online: vec![0],
            allowed: vec![0],
            nodes: Vec::new(),
        };
        Config::parse(&text, Path::new("blue.toml"), &Overrides::default(), &machine).unwrap()
    }

    #[test]
    fn a_device_carries_what_its_bridge_and_vlans_carry() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            "eth0/upper_bond0",
            "bond0/upper_br0",
            "bond0/upper_bond0.7",
            "br0/lower_bond0",
            "eth1",
        ] {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        let mut all = carried(directory.path(), "eth0");
        all.sort();
        assert_eq!(all, ["bond0", "bond0.7", "br0", "eth0"]);
        assert_eq!(carried(directory.path(), "eth1"), ["eth1"]);
    }

    #[test]
    fn a_kernel_interface_that_is_not_there_is_refused_before_dpdk_is_asked() {
        let error = guard_interfaces(&config("net_af_packet0,iface=tg-nowhere"), true)
            .unwrap_err()
            .to_string();
        for part in [
            "interface wan",
            "'tg-nowhere'",
            "'net_af_packet0,iface=tg-nowhere'",
            "ip link",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(guard_interfaces(&config("net_null0"), false).is_ok());
    }

    #[test]
    fn a_pci_device_that_is_not_there_is_refused() {
        let error = guard_pci(&config("ffff:ff:1f.7"), false).unwrap_err().to_string();
        assert!(error.contains("ffff:ff:1f.7"), "{error}");
        assert!(guard_pci(&config("net_null0"), false).is_ok());
    }

    #[test]
    fn an_interface_that_the_host_needs_is_taken_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("eth0/upper_br0")).unwrap();
        let need = |interface: &str| Need {
            interface: interface.into(),
            reason: "the host's default route".into(),
        };
        let config = config("net_null0");
        let decide = |need: Need, take_over| {
            decide(
                vec![(&config.interfaces[0], "eth0".into())],
                &[need],
                directory.path(),
                take_over,
            )
        };
        for (carrier, over) in [("eth0", "route, and"), ("br0", "route (by br0), and")] {
            let error = decide(need(carrier), false).unwrap_err().to_string();
            for part in [
                "interface wan",
                "'eth0' carries the host's default ",
                over,
                "--take-over",
            ] {
                assert!(error.contains(part), "{error}");
            }
            assert!(decide(need(carrier), true).is_ok());
        }
        assert!(decide(need("eth1"), false).is_ok());
    }

    #[test]
    fn the_kernel_says_what_it_needs() {
        let loopback = needs()
            .unwrap()
            .into_iter()
            .find(|need| need.reason.contains("default route") && need.interface == "lo");
        assert_eq!(loopback, None, "the reject routes over lo are no default routes");
    }
}

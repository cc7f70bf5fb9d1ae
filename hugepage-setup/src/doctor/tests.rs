//! Hosts as files, and what the doctor says of them.

mod output;
mod place;

use super::report::Finding;
use super::*;
use place::{Pci, Place};

fn problems(report: &Report) -> Vec<(&str, &str)> {
    let mut problems: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Problem)
        .map(|finding| (finding.subject.as_str(), finding.check))
        .collect();
    problems.sort_unstable();
    assert_eq!(problems.len(), report.problems);
    problems
}

fn finding<'a>(report: &'a Report, check: &str) -> &'a Finding {
    let found = report.findings.iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("no {check} in {:#?}", report.findings))
}

fn commands(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .flat_map(|finding| &finding.commands)
        .map(String::as_str)
        .collect()
}

/// The configuration, after a look that it is one and that all of the report above it is comment.
fn config(report: &Report) -> ::toml::Table {
    report.toml().parse().unwrap()
}

fn strings(value: &::toml::Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap())
        .collect()
}

/// Two ports for DPDK on a host of its own: an IOMMU, pages, packages, and ssh over another.
fn ready_host() -> Place {
    let place = Place::new();
    place.pages(512, 512);
    place.mount("2M");
    place.module("vfio-pci");
    place.pmds(&["ixgbe", "e1000", "af_packet"]);
    place.pci(Pci {
        interface: Some("eno1"),
        driver: Some("igb"),
        ..Pci::new("0000:01:00.0", (0x8086, 0x1521))
    });
    place.pci(Pci {
        driver: Some("vfio-pci"),
        ..Pci::new("0000:81:00.0", (0x8086, 0x10fb))
    });
    place.route("eno1", "0.0.0.0/0", Some("198.51.100.1"), 0);
    place
}

#[test]
fn where_all_is_well_nothing_is_a_problem() {
    let place = ready_host();
    let report = place.examine(None);
    assert_eq!(problems(&report), [] as [(&str, &str); 0]);
    assert!(report.config.is_none());
    let chosen = place.examine(Some("81:00.0"));
    assert_eq!(problems(&chosen), []);
    let config = config(&chosen);
    assert_eq!(config["interface"][0]["device"].as_str(), Some("0000:81:00.0"));
    assert_eq!(config["interface"][0]["name"].as_str(), Some("81-00.0"));
    assert!(config["interface"][0]["addresses"].as_array().unwrap().is_empty());
}

#[test]
fn a_bare_host_with_ixgbe_is_told_each_step() {
    let place = Place::new();
    place.pages(0, 0);
    place.available_module("vfio-pci");
    place.command_line("BOOT_IMAGE=/vmlinuz quiet");
    place.pci(Pci {
        interface: Some("ens1"),
        driver: Some("ixgbe"),
        iommu_group: None,
        node: 1,
        ..Pci::new("0000:81:00.0", (0x8086, 0x10fb))
    });
    let report = place.examine(Some("ens1"));
    assert_eq!(
        problems(&report),
        [
            ("ens1", "driver"),
            ("ens1", "pmd"),
            ("host", "hugepages"),
            ("host", "iommu"),
            ("host", "mounts"),
            ("host", "vfio_pci"),
        ]
    );
    let commands = commands(&report);
    for command in [
        "tollgate-hugepage-setup reserve --size 2M --pages 192 --node 1 --persist",
        "tollgate-hugepage-setup mount",
        "modprobe vfio-pci",
        "apt install librte-net-ixgbe23",
        "dpdk-devbind.py --bind=vfio-pci 0000:81:00.0",
    ] {
        assert!(commands.contains(&command), "no '{command}' in {commands:#?}");
    }
    assert!(
        finding(&report, "iommu").commands[0].contains("intel_iommu=on"),
        "{commands:#?}"
    );
    let config = config(&report);
    assert_eq!(config["interface"][0]["device"].as_str(), Some("0000:81:00.0"));
    assert_eq!(
        config["workers"]["lcores"][0].as_integer(),
        Some(3),
        "a CPU of node 1"
    );
}

#[test]
fn a_connectx_stays_with_its_driver() {
    let place = Place::new();
    place.pages(512, 512);
    place.mount("2M");
    place.module("mlx5_core");
    place.pci(Pci {
        interface: Some("enp1s0f0np0"),
        driver: Some("mlx5_core"),
        ..Pci::new("0000:01:00.0", (0x15b3, 0x1017))
    });
    place.address("enp1s0f0np0", "192.0.2.2", 30);
    let report = place.examine(Some("enp1s0f0np0"));
    assert_eq!(
        problems(&report),
        [("enp1s0f0np0", "pmd"), ("enp1s0f0np0", "rdma")]
    );
    assert!(
        finding(&report, "driver")
            .finding
            .contains("must not be bound to vfio-pci")
    );
    assert_eq!(
        commands(&report),
        ["modprobe -a mlx5_ib ib_uverbs", "apt install librte-net-mlx5-23"]
    );
    let config = config(&report);
    assert_eq!(config["interface"][0]["device"].as_str(), Some("0000:01:00.0"));
    assert_eq!(strings(&config["interface"][0]["addresses"]), ["192.0.2.2/30"]);

    place.pmds(&["mlx5"]);
    place.module("mlx5_ib");
    place.module("ib_uverbs");
    assert_eq!(place.examine(Some("01:00.0")).problems, 0);
}

#[test]
fn a_connectx_that_was_bound_goes_back() {
    let place = Place::new();
    place.pages(512, 512);
    place.mount("2M");
    place.pmds(&["mlx5"]);
    place.pci(Pci {
        driver: Some("vfio-pci"),
        ..Pci::new("0000:01:00.0", (0x15b3, 0x1017))
    });
    let report = place.examine(Some("0000:01:00.0"));
    assert_eq!(
        finding(&report, "driver").commands,
        [
            "modprobe mlx5_core",
            "dpdk-devbind.py --bind=mlx5_core 0000:01:00.0"
        ]
    );
}

/// A virtual machine of a cloud with two virtio NICs and no IOMMU; ssh comes in by the first.
fn cloud() -> Place {
    let place = Place::new();
    place.virtual_machine();
    place.pages(512, 512);
    place.mount("2M");
    place.pmds(&["virtio", "af_packet"]);
    for (address, interface) in [("0000:00:05.0", "ens5"), ("0000:00:06.0", "ens6")] {
        place.pci(Pci {
            interface: Some(interface),
            driver: Some("virtio-pci"),
            iommu_group: None,
            behind: Some("virtio2"),
            ..Pci::new(address, (0x1af4, 0x1041))
        });
    }
    place.address("ens5", "10.0.1.20", 24);
    place.address("ens6", "10.0.2.20", 24);
    place.address("ens5", "2001:db8:1::20", 64);
    place.route("ens5", "0.0.0.0/0", Some("10.0.1.1"), 100);
    place.route("ens5", "::/0", Some("fe80::1"), 1024);
    place.route("ens5", "10.0.1.0/24", None, 100);
    place
}

#[test]
fn in_a_cloud_without_iommu_nics_go_through_the_kernel() {
    let place = cloud();
    let report = place.examine(Some("ens6"));
    assert_eq!(problems(&report), []);
    let told = &finding(&report, "no_iommu").finding;
    for part in [
        "net_af_packet0,iface=ens6",
        "net_af_xdp0,iface=ens6",
        "last resort",
        "uio_pci_generic",
        "noiommu",
        "all memory",
    ] {
        assert!(told.contains(part), "no '{part}' in: {told}");
    }
    assert!(
        finding(&report, "offloads").commands[0].starts_with("ethtool -K ens6 "),
        "{report:#?}"
    );
    let config = config(&report);
    assert_eq!(
        config["interface"][0]["device"].as_str(),
        Some("net_af_packet0,iface=ens6")
    );
    assert!(
        !config.contains_key("route"),
        "the default route is the other interface's"
    );
}

#[test]
fn in_a_guest_without_iommu_a_nic_that_uio_hands_on_is_no_problem() {
    let bound_to = |driver| {
        let place = cloud();
        place.pci(Pci {
            driver: Some(driver),
            iommu_group: None,
            ..Pci::new("0000:00:07.0", (0x1af4, 0x1041))
        });
        place
    };
    for device in [None, Some("0000:00:07.0")] {
        let report = bound_to("uio_pci_generic").examine(device);
        assert_eq!(problems(&report), [], "{device:?}");
        let told = finding(&report, "iommu");
        assert!(
            told.level == Level::Note && told.finding.contains("uio_pci_generic"),
            "{told:?}"
        );
    }
    let report = bound_to("uio_pci_generic").examine(Some("0000:00:07.0"));
    assert_eq!(
        config(&report)["interface"][0]["device"].as_str(),
        Some("0000:00:07.0")
    );
    assert!(finding(&report, "driver").finding.contains("has it"));
    let vfio = bound_to("vfio-pci").examine(Some("0000:00:07.0"));
    assert!(
        problems(&vfio).contains(&("host", "iommu")),
        "{:?}",
        problems(&vfio)
    );
}

#[test]
fn the_interface_that_the_host_needs_is_no_candidate_and_a_problem_when_it_is_named() {
    let place = cloud();
    let all = place.examine(None);
    assert_eq!(problems(&all), []);
    let need = finding(&all, "host_traffic");
    assert!(
        need.subject == "ens5" && need.finding.contains("must not be bound"),
        "{need:?}"
    );

    let named = place.examine(Some("ens5"));
    assert_eq!(problems(&named), [("ens5", "host_traffic")]);
    assert_eq!(
        finding(&named, "host_traffic").commands,
        ["tollgate-primary --config ens5.toml --take-over"]
    );
    let config = config(&named);
    assert_eq!(
        strings(&config["interface"][0]["addresses"]),
        ["10.0.1.20/24", "2001:db8:1::20/64"]
    );
    assert_eq!(config["route"][0]["via"].as_str(), Some("10.0.1.1"));
    assert_eq!(config["route"][1]["via"].as_str(), Some("fe80::1"));
    assert_eq!(config["route"][1]["interface"].as_str(), Some("ens5"));
    assert_eq!(config["route"].as_array().unwrap().len(), 2);
}

#[test]
fn an_ssh_connection_by_a_bridge_is_that_of_its_port() {
    let place = cloud();
    place.software("br0");
    place.upper("ens6", "br0");
    place.address("br0", "192.0.2.10", 24);
    place.ssh_to("192.0.2.10");
    let report = place.examine(Some("ens6"));
    let need = finding(&report, "host_traffic");
    assert!(
        need.finding.contains("an ssh connection to 192.0.2.10 (by br0)"),
        "{need:?}"
    );
}

#[test]
fn a_guest_with_an_iommu_or_noiommu_mode_can_have_vfio() {
    let place = cloud();
    place.module("vfio-pci");
    place.noiommu();
    let report = place.examine(Some("ens6"));
    assert_eq!(problems(&report), [("ens6", "driver")]);
    assert_eq!(
        config(&report)["interface"][0]["device"].as_str(),
        Some("0000:00:06.0")
    );
    assert!(finding(&report, "iommu").finding.contains("all memory"));
}

#[test]
fn an_interface_that_is_down_or_no_ethernet_is_a_problem_when_it_is_named() {
    let place = cloud();
    place.software("veth0");
    place.interface_file("veth0", "flags", "0x1002");
    place.software("tun0");
    place.interface_file("tun0", "type", "65534");
    assert_eq!(problems(&place.examine(None)), []);
    let down = place.examine(Some("veth0"));
    assert_eq!(problems(&down), [("veth0", "link")]);
    assert_eq!(finding(&down, "link").commands, ["ip link set dev veth0 up"]);
    let tunnel = place.examine(Some("tun0"));
    assert_eq!(problems(&tunnel), [("tun0", "driver")]);
    assert!(tunnel.config.is_none());
    assert!(tunnel.toml().lines().all(|line| line.starts_with("# ")));
}

#[test]
fn a_nic_that_is_not_there_is_answered_with_those_that_are() {
    let place = cloud();
    for name in ["ens7", "0000:00:07.0", "lo", ""] {
        let error = place.try_examine(Some(name)).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        let message = error.to_string();
        assert!(
            message.contains("ens5 (0000:00:05.0), ens6 (0000:00:06.0)") && !message.contains("lo,"),
            "{message}"
        );
    }
}

#[test]
fn devices_that_are_no_nics_are_left_alone() {
    let place = cloud();
    place.pci(Pci {
        class: "0x010802",
        ..Pci::new("0000:00:07.0", (0x1d0f, 0x8061))
    });
    assert!(place.try_examine(Some("0000:00:07.0")).is_err());
    assert_eq!(place.examine(None).nics.len(), 2);
}

#[test]
fn a_nic_whose_interface_is_in_another_namespace_is_not_judged_from_here() {
    let place = ready_host();
    place.pci(Pci {
        driver: Some("ixgbe"),
        ..Pci::new("0000:82:00.0", (0x8086, 0x10fb))
    });
    assert_eq!(problems(&place.examine(None)), []);
    let report = place.examine(Some("82:00.0"));
    assert_eq!(problems(&report), [("0000:82:00.0", "driver")]);
    assert!(
        finding(&report, "driver")
            .finding
            .contains("another network namespace")
    );
    assert!(report.config.is_none());
}

#[test]
fn a_nic_without_any_driver_is_known_by_its_number() {
    let place = ready_host();
    place.pci(Pci::new("0000:82:00.0", (0x8086, 0x1592)));
    place.pci(Pci::new("0000:83:00.0", (0x10ec, 0x8168)));
    let ice = place.examine(Some("82:00.0"));
    assert_eq!(
        problems(&ice),
        [("0000:82:00.0", "driver"), ("0000:82:00.0", "pmd")]
    );
    let unknown = place.examine(Some("83:00.0"));
    assert_eq!(problems(&unknown), [("0000:83:00.0", "driver")]);
    assert!(unknown.config.is_none());
}

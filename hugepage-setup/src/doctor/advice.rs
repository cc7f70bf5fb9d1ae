//! What is to be said of a NIC: its driver, its node, DPDK's driver, what the host does over it, and how to take it.

use super::host_facts::{HostFacts, Module};
use super::pmd::{Access, Installed};
use super::proposal::{Proposal, Way, bound, elsewhere};
use super::report::{Finding, Level};
use crate::host::{Host, format_cpu_list};

/// The findings about one NIC. One that was `chosen` is about to be used: what it lacks is a problem, and how to take it
/// is told in full.
pub(super) fn findings(
    host: &Host,
    proposal: &Proposal<'_>,
    facts: &HostFacts,
    installed: &Installed,
    chosen: bool,
) -> Vec<Finding> {
    let mut findings = vec![way(host, proposal, facts, chosen)];
    findings.extend(bifurcated_modules(host, proposal, facts));
    findings.extend(no_iommu(proposal));
    findings.extend(need(proposal, chosen));
    findings.extend(package(proposal, installed, chosen));
    findings.extend(numa(proposal, facts));
    if chosen {
        findings.extend(kernel_interface(proposal));
    }
    let title = proposal.nic.title();
    findings.into_iter().map(|finding| finding.on(title)).collect()
}

/// The driver that has it, and the one that should.
fn way(host: &Host, proposal: &Proposal<'_>, facts: &HostFacts, chosen: bool) -> Finding {
    let nic = proposal.nic;
    let driver = nic.driver.as_deref().unwrap_or("no driver");
    let is = match &nic.pci {
        Some(pci) => format!(
            "PCI device {} ({:04x}:{:04x}), driver {driver}",
            pci.address, pci.vendor, pci.device
        ),
        None if nic.driver.is_some() => format!("driver {driver}"),
        None => "an interface of the kernel without a device".to_owned(),
    };
    let level = if chosen { Level::Problem } else { Level::Note };
    let address = nic.pci.as_ref().map_or("", |pci| &pci.address);
    match (proposal.way, proposal.pmd) {
        (Way::Vfio, Some(pmd)) if bound(nic) => {
            Finding::ok("driver", format!("{is}: DPDK's net_{} has it", pmd.name))
        }
        (Way::Vfio, Some(pmd)) => {
            let sentence = format!(
                "{is}: DPDK's net_{} takes it once it is bound to vfio-pci, and the kernel's interface is gone then",
                pmd.name
            );
            Finding::new(level, "driver", sentence).run(format!("dpdk-devbind.py --bind=vfio-pci {address}"))
        }
        (Way::Bifurcated, Some(pmd)) if bound(nic) => {
            let kernel = pmd.kernel_driver();
            let sentence = format!("{is}: DPDK's net_{} needs {kernel} to keep it", pmd.name);
            let bind = format!("dpdk-devbind.py --bind={kernel} {address}");
            let finding = Finding::new(level, "driver", sentence);
            if Module::find(host, &facts.kernel, kernel) == Module::Loaded {
                finding.run(bind)
            } else {
                finding.run(format!("modprobe {kernel}")).run(bind)
            }
        }
        (Way::Bifurcated, Some(pmd)) => {
            let kernel = pmd.kernel_driver();
            let sentence = format!(
                "{is}: must not be bound to vfio-pci, since DPDK's net_{} works beside {kernel}",
                pmd.name
            );
            Finding::note("driver", sentence)
        }
        _ if elsewhere(nic) => {
            let sentence = format!(
                "{is}: its interface is in another network namespace, and only there can more be said of it"
            );
            Finding::new(level, "driver", sentence).run("ip -all netns exec ip -brief link show")
        }
        (Way::Kernel, _) => Finding::ok("driver", format!("{is}: used through the kernel's interface")),
        _ => {
            let reason = match &nic.interface {
                Some(_) => "its frames are not Ethernet's",
                None => {
                    "DPDK has no driver for it that is known here, and there is no interface of the kernel"
                }
            };
            Finding::new(level, "driver", format!("{is}: cannot be used, {reason}"))
        }
    }
}

/// Libraries of a bifurcated driver go by RDMA's modules.
fn bifurcated_modules(host: &Host, proposal: &Proposal<'_>, facts: &HostFacts) -> Option<Finding> {
    let wanted: &[&str] = match proposal.pmd?.name {
        "mlx5" => &["mlx5_ib", "ib_uverbs"],
        "mlx4" => &["mlx4_ib", "ib_uverbs"],
        "mana" => &["mana_ib", "ib_uverbs"],
        _ => return None,
    };
    let missing: Vec<_> = wanted
        .iter()
        .copied()
        .filter(|name| Module::find(host, &facts.kernel, name) != Module::Loaded)
        .collect();
    if missing.is_empty() {
        return Some(Finding::ok(
            "rdma",
            format!("the modules {} are loaded", wanted.join(" and ")),
        ));
    }
    let sentence = format!(
        "DPDK's driver works by RDMA, and these modules are not loaded: {}",
        missing.join(", ")
    );
    Some(Finding::problem("rdma", sentence).run(format!("modprobe -a {}", missing.join(" "))))
}

/// A NIC of a virtual machine that DPDK could drive if there were an IOMMU.
fn no_iommu(proposal: &Proposal<'_>) -> Option<Finding> {
    let interface = proposal.kernel_interface().filter(|_| proposal.lacks_iommu)?;
    let name = &interface.name;
    let pmd = proposal.pmd?.name;
    Some(Finding::note(
        "no_iommu",
        format!(
            "vfio-pci cannot have it without an IOMMU, so leave it with the kernel and use device = \
             \"net_af_packet0,iface={name}\", or net_af_xdp0,iface={name} where its driver has XDP; only as a last resort \
             net_{pmd} with uio_pci_generic, or with vfio's noiommu mode \
             (/sys/module/vfio/parameters/enable_unsafe_noiommu_mode), which taints the kernel: the NIC can write to all \
             memory either way"
        ),
    ))
}

/// The host's own connections over it.
fn need(proposal: &Proposal<'_>, chosen: bool) -> Option<Finding> {
    let need = proposal.need.as_ref()?;
    let sentence = format!("it carries {need}, which ends when Tollgate has it");
    if !chosen {
        return Some(Finding::note(
            "host_traffic",
            format!("must not be bound: {sentence}"),
        ));
    }
    let name = proposal.nic.title();
    Some(
        Finding::problem(
            "host_traffic",
            format!("{sentence}: choose another NIC, or say that it may be taken"),
        )
        .run(format!("tollgate-primary --config {name}.toml --take-over")),
    )
}

/// DPDK's driver on the disk.
fn package(proposal: &Proposal<'_>, installed: &Installed, chosen: bool) -> Option<Finding> {
    let name = proposal.driver()?;
    let package = installed.package(name);
    if installed.has(name) {
        return Some(Finding::ok("pmd", format!("DPDK's net_{name} is installed")));
    }
    // Software interfaces and those that the host needs may well stay with the kernel.
    let meant = chosen || (proposal.nic.pci.is_some() && proposal.need.is_none());
    let level = if meant { Level::Problem } else { Level::Note };
    let sentence = format!("DPDK's net_{name} is not installed: Debian has it in {package}");
    Some(Finding::new(level, "pmd", sentence).run(format!("apt install {package}")))
}

/// Workers on another node than the NIC reach it slowly.
fn numa(proposal: &Proposal<'_>, facts: &HostFacts) -> Option<Finding> {
    let node = proposal.nic.numa_node?;
    let cpus = facts.cpus.of_node(node);
    if cpus.is_empty() {
        let sentence = format!(
            "it is attached to NUMA node {node}, which has no CPU online: every worker is far from it"
        );
        return Some(Finding::note("numa", sentence));
    }
    let isolated = &facts.cpus.isolated;
    let list = format_cpu_list(&cpus);
    if !isolated.is_empty() && !cpus.iter().any(|cpu| isolated.contains(cpu)) {
        let sentence = format!(
            "it is attached to NUMA node {node} with the CPUs {list}, and those isolated are on another: {}",
            format_cpu_list(isolated)
        );
        return Some(Finding::note("numa", sentence));
    }
    Some(Finding::ok(
        "numa",
        format!("it is attached to NUMA node {node}: give workers CPUs of {list}"),
    ))
}

/// What has to be done to an interface that stays with the kernel.
fn kernel_interface(proposal: &Proposal<'_>) -> Vec<Finding> {
    let Some(interface) = proposal.kernel_interface() else {
        return Vec::new();
    };
    let name = &interface.name;
    let mut findings = Vec::new();
    if !interface.up {
        findings.push(
            Finding::problem("link", "the interface is down").run(format!("ip link set dev {name} up")),
        );
    }
    let offloads = "offloads hand over packets that are longer than the MTU or have unfinished checksums: switch them off";
    findings.push(Finding::note("offloads", offloads).run(format!(
        "ethtool -K {name} tx off rx off gso off gro off tso off lro off"
    )));
    let addresses =
        "the kernel answers for its addresses as long as it has them: take them away before Tollgate starts";
    findings.push(Finding::note("addresses", addresses).run(format!("ip address flush dev {name}")));
    if proposal
        .pmd
        .is_some_and(|pmd| pmd.access == Access::KernelInterface)
    {
        findings.push(Finding::note(
            "netvsc",
            "DPDK's net_netvsc would need uio_hv_generic, which takes the interface away from the kernel",
        ));
    }
    findings
}

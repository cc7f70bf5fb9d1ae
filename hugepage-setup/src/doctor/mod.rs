//! `doctor`: looks at the host and at NICs, and says what keeps an instance from running there. It reads only.
//!
//! ```text
//!   /proc /sys /usr/lib ──► memory     huge pages, mounts, limits of the cgroup
//!                           cpu        flags, lcores
//!                           vfio       IOMMU, vfio-pci, lockdown
//!                           nic        PCI devices and interfaces of the kernel
//!   /proc/net, addresses ─► network    what the host itself needs, addresses, routes
//!                              │
//!            pmd ──────────► proposal  by which way DPDK is to have the NIC: vfio-pci, its own driver, the kernel
//!                              │
//!                            advice ─► report: findings        toml: a configuration for the NIC that was named
//! ```

mod advice;
mod cpu;
mod host_facts;
mod memory;
mod network;
mod nic;
mod pmd;
mod proposal;
mod report;
mod toml;
mod vfio;

use crate::error::Error;
use crate::host::Host;
use crate::output::say;
use host_facts::HostFacts;
use network::{Address, Network};
use nic::Nic;
use pmd::Installed;
use proposal::{NicReport, Proposal, Way};
use report::{Level, Report};

/// What does not come from files: given by the caller, so that tests can.
struct Surroundings {
    /// Addresses of the kernel's interfaces.
    addresses: Vec<Address>,
    /// The environment variable of that name, ssh(1).
    ssh_connection: Option<String>,
    /// DPDK's ABI that this suite is built for.
    abi: Option<u32>,
}

/// Prints what is found about the host, and about one NIC or all.
pub(crate) fn run(host: &Host, device: Option<&str>, json: bool) -> Result<(), Error> {
    let surroundings = Surroundings {
        addresses: network::addresses(),
        ssh_connection: std::env::var("SSH_CONNECTION").ok(),
        abi: pmd::abi(control::VERSION),
    };
    let report = examine(host, &surroundings, device)?;
    if json {
        say!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else if device.is_some() {
        say!("{}", report.toml().trim_end());
    } else {
        say!("{}", report.table().trim_end());
    }
    match report.problems {
        0 => Ok(()),
        count => Err(Error::Problems { count }),
    }
}

fn examine(host: &Host, surroundings: &Surroundings, device: Option<&str>) -> Result<Report, Error> {
    let all = nic::all(host)?;
    let chosen = device.map(|name| nic::find(&all, name)).transpose()?;
    let nics: Vec<&Nic> = chosen.map_or_else(|| all.iter().collect(), |nic| vec![nic]);

    let facts = HostFacts::read(host);
    let installed = Installed::look(host, surroundings.abi);
    let network = Network::read(
        host,
        &surroundings.addresses,
        surroundings.ssh_connection.as_deref(),
    );
    let proposals: Vec<Proposal<'_>> = nics
        .iter()
        .map(|nic| Proposal::new(host, nic, &facts, &network))
        .collect();
    let wants_vfio = proposals.iter().any(Proposal::wants_vfio);
    let node = chosen.and_then(|nic| nic.numa_node);

    let mut findings = memory::findings(host, chosen.is_some(), node);
    findings.extend(cpu::findings(&facts));
    findings.extend(vfio::findings(&facts, wants_vfio));
    for proposal in &proposals {
        findings.extend(advice::findings(
            host,
            proposal,
            &facts,
            &installed,
            chosen.is_some(),
        ));
    }
    let config = match (&proposals[..], device) {
        ([proposal], Some(_)) if proposal.way != Way::Unusable => {
            Some(toml::configuration(proposal, &facts.cpus, &network))
        }
        _ => None,
    };
    Ok(Report {
        problems: findings
            .iter()
            .filter(|finding| finding.level == Level::Problem)
            .count(),
        nics: proposals
            .iter()
            .map(|proposal| NicReport::new(proposal, &installed))
            .collect(),
        findings,
        host: facts,
        config,
    })
}

#[cfg(test)]
mod tests;

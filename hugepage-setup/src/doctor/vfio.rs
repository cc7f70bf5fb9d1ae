//! What DPDK needs of the kernel to have a NIC for itself: an IOMMU, the module vfio-pci, and no lockdown against it.

use std::env::consts;

use super::host_facts::{HostFacts, Module};
use super::report::{Finding, Level};

/// The findings; what is missing is a problem when a NIC is `wanted` by this way.
pub(super) fn findings(facts: &HostFacts, wanted: bool) -> Vec<Finding> {
    [iommu(facts, wanted), module(facts, wanted), lockdown(facts)].into()
}

/// Writes options for the kernel, which it takes at the next boot.
pub(super) fn boot_with(options: &str) -> String {
    format!(
        "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{options} /' /etc/default/grub && update-grub && systemctl reboot"
    )
}

fn iommu(facts: &HostFacts, wanted: bool) -> Finding {
    let options: Vec<_> = facts
        .kernel_command_line
        .split_ascii_whitespace()
        .filter(|option| option.contains("iommu"))
        .collect();
    let booted = if options.is_empty() {
        "the kernel command line says nothing of it".to_owned()
    } else {
        format!("the kernel command line has {}", options.join(" "))
    };
    if facts.iommu_groups > 0 {
        let count = facts.iommu_groups;
        return Finding::ok(
            "iommu",
            format!("an IOMMU is in use, with {count} groups; {booted}"),
        );
    }
    if facts.vfio_noiommu {
        return Finding::note(
            "iommu",
            "vfio is in its noiommu mode: a NIC bound to vfio-pci, and so whatever runs its driver, can write to all \
             memory of the host",
        );
    }
    let level = if wanted { Level::Problem } else { Level::Note };
    if facts.virtual_machine {
        let sentence = "this virtual machine has no IOMMU, which vfio-pci needs. What works is the way through the kernel, by \
                        net_af_packet or net_af_xdp; or a NIC bound to uio_pci_generic, or to vfio-pci in its noiommu mode, \
                        which can write to all memory then";
        return Finding::new(level, "iommu", sentence);
    }
    // Kernels that are built so have Intel's off until they are told; AMD's and Arm's are on if the firmware has them.
    let switched_off = facts.cpu_vendor == "GenuineIntel" && !options.contains(&"intel_iommu=on");
    let finding = Finding::new(
        level,
        "iommu",
        format!("no IOMMU is in use, and vfio-pci needs one; {booted}"),
    );
    if switched_off {
        finding.run(boot_with("intel_iommu=on iommu=pt"))
    } else {
        // VT-d or AMD-Vi in the firmware's menus.
        finding.run("systemctl reboot --firmware-setup")
    }
}

fn module(facts: &HostFacts, wanted: bool) -> Finding {
    match facts.vfio_pci {
        Module::Loaded => Finding::ok("vfio_pci", "the kernel has the module vfio-pci"),
        Module::Available if wanted => {
            Finding::problem("vfio_pci", "the module vfio-pci is not loaded").run("modprobe vfio-pci")
        }
        Module::Available => Finding::ok("vfio_pci", "the module vfio-pci can be loaded"),
        Module::Missing if wanted => {
            let sentence = format!(
                "the kernel {} has no module vfio-pci; Debian's full kernel has it, after a reboot",
                facts.kernel
            );
            Finding::problem("vfio_pci", sentence)
                .run(format!("apt install linux-image-{}", debian_architecture()))
        }
        Module::Missing => Finding::note(
            "vfio_pci",
            format!("the kernel {} has no module vfio-pci", facts.kernel),
        ),
    }
}

fn lockdown(facts: &HostFacts) -> Finding {
    match facts.lockdown.as_deref() {
        None => Finding::ok("lockdown", "this kernel shows no lockdown"),
        Some("none") => Finding::ok("lockdown", "the kernel is not locked down"),
        Some(mode) => Finding::note(
            "lockdown",
            format!(
                "the kernel is locked down ({mode}): vfio-pci with an IOMMU works, and modules without a signature, such \
                 as igb_uio, are refused"
            ),
        ),
    }
}

/// Debian's name for this machine's architecture.
fn debian_architecture() -> &'static str {
    match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare_metal(vendor: &str, command_line: &str) -> HostFacts {
        HostFacts {
            cpu_vendor: vendor.into(),
            kernel_command_line: command_line.into(),
            ..HostFacts::default()
        }
    }

    #[test]
    fn an_iommu_that_is_off_is_switched_on_where_it_is_switched_off() {
        for (vendor, command_line, command) in [
            ("GenuineIntel", "quiet", "intel_iommu=on iommu=pt"),
            ("GenuineIntel", "intel_iommu=on", "--firmware-setup"),
            ("AuthenticAMD", "quiet", "--firmware-setup"),
        ] {
            let finding = iommu(&bare_metal(vendor, command_line), true);
            assert_eq!(finding.level, Level::Problem);
            assert!(finding.commands[0].contains(command), "{finding:?}");
        }
    }

    #[test]
    fn without_a_nic_for_vfio_nothing_of_it_is_a_problem() {
        let facts = bare_metal("GenuineIntel", "");
        assert!(
            findings(&facts, false)
                .iter()
                .all(|finding| finding.level != Level::Problem)
        );
        let problems = findings(&facts, true)
            .iter()
            .filter(|finding| finding.level == Level::Problem)
            .count();
        assert_eq!(problems, 2);
    }

    #[test]
    fn a_guest_without_an_iommu_is_told_what_works() {
        let guest = HostFacts {
            virtual_machine: true,
            ..HostFacts::default()
        };
        let finding = iommu(&guest, false);
        assert_eq!(finding.level, Level::Note);
        for part in ["uio_pci_generic", "noiommu", "net_af_packet", "net_af_xdp"] {
            assert!(finding.finding.contains(part), "no '{part}' in: {finding:?}");
        }
        // vfio-pci has a NIC already, and DPDK could not open it.
        assert_eq!(iommu(&guest, true).level, Level::Problem);
    }

    #[test]
    fn noiommu_mode_is_warned_of() {
        let facts = HostFacts {
            vfio_noiommu: true,
            ..HostFacts::default()
        };
        let finding = iommu(&facts, true);
        assert_eq!(finding.level, Level::Note);
        assert!(finding.finding.contains("all memory"), "{finding:?}");
    }

    #[test]
    fn a_lockdown_says_what_it_refuses() {
        let facts = HostFacts {
            lockdown: Some("integrity".into()),
            ..HostFacts::default()
        };
        let finding = lockdown(&facts);
        assert!(
            finding.level == Level::Note && finding.finding.contains("igb_uio"),
            "{finding:?}"
        );
    }
}

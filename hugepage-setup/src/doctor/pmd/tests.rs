//! Drivers are found by what the kernel says of a NIC, and packages by Debian's rules.

use std::process::Command;

use proptest::prelude::*;

use super::*;

const IXGBE_ALIAS: &str = "alias pci:v00008086d000010FBsv*sd*bc*sc*i* ixgbe\n";
const X520: &str = "pci:v00008086d000010FBsv00008086sd00000003bc02sc00i00";

fn host_with_aliases(aliases: &str) -> (tempfile::TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    let host = Host::below(root.path());
    let directory = host.lib.join("modules/6.1");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("modules.alias"), aliases).unwrap();
    (root, host)
}

fn name(pmd: Option<&Pmd>) -> Option<&str> {
    pmd.map(|pmd| pmd.name)
}

#[test]
fn a_driver_of_the_kernel_leads_to_that_of_dpdk() {
    for (driver, expected) in [
        ("ixgbe", Some("ixgbe")),
        ("ixgbevf", Some("ixgbe")),
        ("igb", Some("e1000")),
        ("virtio-pci", Some("virtio")),
        ("mlx5_core", Some("mlx5")),
        ("hv_netvsc", Some("netvsc")),
        ("vfio-pci", None),
        ("r8169", None),
    ] {
        assert_eq!(name(Pmd::for_driver(driver)), expected, "{driver}");
    }
}

#[test]
fn a_nic_without_its_driver_is_known_by_alias_or_number() {
    let (_root, host) = host_with_aliases(&format!("# Aliases\n{IXGBE_ALIAS}"));
    let find = |modalias, device| name(Pmd::for_device(&host, "6.1", modalias, device));
    assert_eq!(find(X520, (0x8086, 0x0001)), Some("ixgbe"), "the alias is enough");
    assert_eq!(find("pci:v00001AF4d00001000", (0x1af4, 0x1000)), Some("virtio"));
    assert_eq!(find("pci:v0000FFFFd0000FFFF", (0xffff, 0xffff)), None);
}

#[test]
fn a_pattern_matches_from_end_to_end() {
    for (pattern, text, expected) in [
        ("pci:v1d*sv*", "pci:v1d2sv3", true),
        ("pci:v1d*sv3", "pci:v1d2sv3", true),
        ("pci:v1d*sv4", "pci:v1d2sv3", false),
        ("pci:v1", "pci:v1d2", false),
        ("*", "", true),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn the_abi_is_that_of_the_long_term_release() {
    assert_eq!(abi("0.1.0 (DPDK 22.11.7)"), Some(23));
    assert_eq!(abi("0.1.0 (DPDK 24.11.2)"), Some(25));
    assert_eq!(abi("0.1.0 (DPDK 25.07.0)"), Some(25));
    assert_eq!(abi("0.1.0"), None);
    assert!(abi(control::VERSION).is_some(), "{}", control::VERSION);
}

#[test]
fn packages_have_debians_names() {
    for (abi, driver, package) in [
        (23, "ixgbe", "librte-net-ixgbe23"),
        (25, "ixgbe", "librte-net-ixgbe25"),
        (23, "mlx5", "librte-net-mlx5-23"),
        (25, "e1000", "librte-net-e1000-25"),
        (23, "af_packet", "librte-net-af-packet23"),
    ] {
        let installed = Installed {
            abi: Some(abi),
            names: Vec::new(),
        };
        assert_eq!(installed.package(driver), package);
    }
}

#[test]
fn drivers_of_another_abi_are_not_installed() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::below(root.path());
    for (directory, file) in [
        ("lib/x86_64-linux-gnu/dpdk/pmds-23.0", "librte_net_ice.so.23"),
        ("lib/x86_64-linux-gnu/dpdk/pmds-25.0", "librte_net_ena.so.25"),
        (
            "local/lib/x86_64-linux-gnu/dpdk/pmds-23.0",
            "librte_net_i40e.so.23.0",
        ),
    ] {
        let directory = host.usr.join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(file), "").unwrap();
    }
    let installed = Installed::look(&host, Some(23));
    assert!(installed.has("ice") && installed.has("i40e") && !installed.has("ena"));
    assert!(Installed::look(&host, Some(25)).has("ena"));
}

/// What is written here of DPDK's drivers is checked against what those on this host say of themselves.
#[test]
fn devices_and_access_are_those_that_installed_drivers_tell() {
    let host = Host::this();
    let Some(abi) = abi(control::VERSION) else {
        panic!("no DPDK in {}", control::VERSION);
    };
    let mut checked = 0;
    for pmd in PMDS.iter().filter(|pmd| !pmd.devices.is_empty()) {
        let Some(told) = pci_info(&host, abi, pmd.name) else {
            continue;
        };
        checked += 1;
        for (vendor, device) in pmd.devices {
            assert!(
                told.contains(&format!("[{vendor}, {device}, ")),
                "net_{} does not know {vendor:04x}:{device:04x}",
                pmd.name
            );
        }
        // One that works beside the kernel's names the module that it reaches that by.
        let bifurcated = told.contains("ib_uverbs");
        assert_eq!(bifurcated, pmd.access == Access::Bifurcated, "net_{}", pmd.name);
    }
    if checked == 0 {
        eprintln!("NOT TESTED: no driver of DPDK is installed on this host");
    }
}

/// The description that each driver carries for DPDK's tools, of all drivers of PCI devices in the file.
fn pci_info(host: &Host, abi: u32, name: &str) -> Option<String> {
    let file = entries(&host.usr.join("lib"))
        .unwrap()
        .iter()
        .map(|place| place.join(format!("dpdk/pmds-{abi}.0/librte_net_{name}.so")))
        .find(|file| file.exists())?;
    let bytes = fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let told: Vec<_> = text
        .split('\0')
        .filter(|part| part.contains("PMD_INFO_STRING") && part.contains("pci_ids"))
        .collect();
    Some(told.join("\n"))
}

#[test]
fn packages_that_are_proposed_can_be_had() {
    let Some(abi) = abi(control::VERSION) else {
        panic!("no DPDK in {}", control::VERSION);
    };
    let Ok(listed) = Command::new("apt-cache")
        .args(["pkgnames", "librte-net-"])
        .output()
    else {
        eprintln!("NOT TESTED: this host has no apt-cache");
        return;
    };
    let listed = String::from_utf8_lossy(&listed.stdout);
    let installed = Installed {
        abi: Some(abi),
        names: Vec::new(),
    };
    if !listed
        .lines()
        .any(|package| package == installed.package("ixgbe"))
    {
        eprintln!("NOT TESTED: the package lists of this host have no DPDK of ABI {abi}");
        return;
    }
    // Debian 12 has no driver for MANA yet, and no NIC of this kind is found by one of its kernels.
    for pmd in PMDS.iter().filter(|pmd| pmd.name != "mana") {
        let package = installed.package(pmd.name);
        assert!(listed.lines().any(|listed| listed == package), "{package}");
    }
}

proptest! {
    #[test]
    fn no_table_of_aliases_makes_the_search_fall(aliases in "[ -~\n]{0,200}", modalias in "[ -~]{0,60}") {
        let (_root, host) = host_with_aliases(&aliases);
        let _ = Pmd::for_device(&host, "6.1", &modalias, (0, 0));
    }

    #[test]
    fn a_pattern_made_from_a_text_matches_it(parts in proptest::collection::vec("[a-z]{0,4}", 1..6)) {
        prop_assert!(matches(&parts.join("*"), &parts.join("--")));
    }
}

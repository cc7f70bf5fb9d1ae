//! What is told, in its three forms, and that telling is all that is done.

use super::super::{Surroundings, examine};
use super::{cloud, commands};
use crate::host::Host;

#[test]
fn json_has_stable_keys_and_the_configuration() {
    let report = cloud().examine(Some("ens6"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["problems"], 0);
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&json), "config findings host nics problems");
    assert_eq!(keys(&json["findings"][0]), "check commands finding level subject");
    assert_eq!(
        keys(&json["nics"][0]),
        "device driver host_needs_it installed interface mtu numa_node package pci pmd way"
    );
    assert_eq!(
        (&json["nics"][0]["way"], &json["nics"][0]["pci"]["vendor"]),
        (&"kernel".into(), &0x1af4.into())
    );
    assert_eq!(json["host"]["vfio_pci"], "missing");
    assert!(
        json["config"]
            .as_str()
            .is_some_and(|config| config.contains("[[interface]]"))
    );
}

#[test]
fn the_table_has_a_line_for_each_finding_and_each_command() {
    let report = cloud().examine(None);
    let table = report.table();
    let lines = 1 + report.findings.len() + commands(&report).len();
    assert_eq!(table.trim_end().lines().count(), lines, "{table}");
    assert!(table.starts_with("LEVEL"), "{table}");
}

#[test]
fn a_host_of_which_nothing_can_be_read_is_no_panic() {
    let root = tempfile::tempdir().unwrap();
    let surroundings = Surroundings {
        addresses: Vec::new(),
        ssh_connection: None,
        abi: None,
    };
    let report = examine(&Host::below(root.path()), &surroundings, None).unwrap();
    assert!(report.problems >= 1);
    assert!(report.nics.is_empty());
}

#[test]
fn nothing_is_written() {
    let place = cloud();
    let before = place.files();
    place.examine(None);
    place.examine(Some("ens6"));
    assert_eq!(place.files(), before);
}

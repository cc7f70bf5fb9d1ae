//! Bonds.

use super::*;

const BOND: &str = r#"
[[interface]]
name = "uplink"
device = "net_bonding0"
mode = 4
members = ["net_af_packet8,iface=m0", "01:00.0"]
"#;

#[test]
fn a_bond_has_a_mode_and_members() {
    let config = parse(&format!("{GOOD}{BOND}")).unwrap();
    let interface = config.interfaces.last().unwrap();
    let bond = interface.bond.as_ref().unwrap();
    assert_eq!((bond.mode, bond.members.len()), (BondMode::Lacp, 2));
    assert_eq!(interface.kernel_interfaces().collect::<Vec<_>>(), ["m0"]);
    assert_eq!(interface.devices().count(), 3);
    assert!(config.interfaces[0].bond.is_none());
}

#[test]
fn what_is_wrong_with_a_bond_is_said() {
    let changed = |from: &str, to: &str| format!("{GOOD}{}", BOND.replacen(from, to, 1));
    for (text, said) in [
        (changed("mode = 4\n", ""), "has no mode"),
        (changed("mode = 4", "mode = 1"), "use 0, round robin, or 4, LACP"),
        (changed("mode = 4", "mode = 7"), "out of range"),
        (changed("members", "member"), "has no members"),
        (
            changed("\"net_af_packet8,iface=m0\", \"01:00.0\"", ""),
            "name 1 to 8",
        ),
        (
            changed("net_af_packet8,iface=m0", "net_af_packet8"),
            "does not say which interface",
        ),
        // Members are devices as others are.
        (
            changed("iface=m0", "iface=wan0"),
            "kernel interface wan0 is 'wan' already",
        ),
        (
            changed("net_bonding0", "net_null0"),
            "mode and members are of a bond",
        ),
    ] {
        let found = problems(&text);
        assert!(
            found.iter().any(|problem| problem.contains(said)),
            "{said}: {found:?}"
        );
    }
}

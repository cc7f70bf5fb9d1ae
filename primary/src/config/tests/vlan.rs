//! Sub-interfaces.

use super::*;

const VLANS: &str = r#"
[[interface]]
name = "wan.200.7"
link = "wan.200"
id = 7
addresses = ["172.16.7.1/24"]

[[interface]]
name = "wan.200"
link = "wan"
protocol = "802.1ad"
id = 200
mtu = 1400
"#;

#[test]
fn each_comes_after_the_one_that_it_is_on_and_has_at_most_its_mtu() {
    let config = parse(&format!("{GOOD}{VLANS}")).unwrap();
    assert_eq!(config.interfaces.len(), 2);
    let [outer, inner] = &config.sub_interfaces[..] else {
        panic!("{:?}", config.sub_interfaces);
    };
    assert_eq!(
        (
            outer.name.as_str(),
            outer.link.as_str(),
            outer.protocol,
            outer.id,
            outer.mtu
        ),
        ("wan.200", "wan", VlanProtocol::Dot1ad, 200, 1400)
    );
    assert_eq!(
        (
            inner.name.as_str(),
            inner.link.as_str(),
            inner.protocol,
            inner.id,
            inner.mtu
        ),
        ("wan.200.7", "wan.200", VlanProtocol::Dot1q, 7, 1400)
    );
    assert_eq!(inner.addresses, ["172.16.7.1/24".parse().unwrap()]);
}

#[test]
fn what_is_wrong_with_a_sub_interface_is_said() {
    let changed = |from: &str, to: &str| format!("{GOOD}{}", VLANS.replacen(from, to, 1));
    let more = |text: &str| format!("{GOOD}{VLANS}[[interface]]\n{text}\n");
    for (text, said) in [
        (
            changed("\"wan.200\"\nid", "\"van\"\nid"),
            "no [[interface]] named 'van'",
        ),
        (changed("\"wan\"", "\"wan.200.7\""), "which leads to no device"),
        (changed("id = 7", "id = 0"), "use 1 to 4094"),
        (changed("id = 7\n", ""), "has no id"),
        (changed("802.1ad", "802.3"), "use 802.1q or 802.1ad"),
        (changed("id = 7", "id = 7\nmtu = 1401"), "at most 1400"),
        (
            changed("id = 7", "id = 7\ndevice = \"net_null0\""),
            "remove link or device",
        ),
        (
            changed("id = 7", "id = 7\nrx_descriptors = 64"),
            "unknown key 'rx_descriptors'",
        ),
        (
            more("name = \"again\"\nlink = \"wan\"\nprotocol = \"802.1ad\"\nid = 200"),
            "is 'wan.200' already",
        ),
        (
            more("name = \"third\"\nlink = \"wan.200.7\"\nid = 8"),
            "two tags already",
        ),
        (
            more("name = \"wan.5\"\nlink = \"wan\"\nid = 5\n[limits]\nsub_interfaces = 2"),
            "raise sub_interfaces",
        ),
        (
            more("name = \"x\"\ndevice = \"net_null0\"\nid = 5"),
            "id is of a sub-interface",
        ),
    ] {
        let found = problems(&text);
        assert!(
            found.iter().any(|problem| problem.contains(said)),
            "{said}: {found:?}"
        );
    }
}

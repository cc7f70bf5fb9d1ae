//! Classes of punts, and taps: what goes to tools and to the kernel.

use super::*;

#[test]
fn classes_of_punts_are_read_and_others_refused() {
    let punts = |text: &str| parse(&format!("{GOOD}\n{text}"));
    let config =
        punts("[[punt]]\nclass = \"ike\"\nfail = \"closed\"\nrate = 5\nburst = 6\ndeadline_ms = 7\n")
            .unwrap();
    let expected = ClassPolicy {
        fail: FailMode::Closed,
        rate: 5,
        burst: 6,
        deadline_ms: 7,
    };
    assert_eq!(config.punts[PuntClass::Ike as usize], expected);
    assert_eq!(config.punts[PuntClass::RouterAlert as usize].fail, FailMode::Open);
    let kernel = config.punts[PuntClass::Kernel as usize];
    assert_eq!((kernel.rate, kernel.burst), (10_000, 1000));
    for (text, part) in [
        (
            "[[punt]]\nclass = \"dns\"",
            "use router_alert or ike or arp or nd or kernel",
        ),
        (
            "[[punt]]\nclass = \"arp\"\nfail = \"closed\"",
            "no tool takes this class",
        ),
        (
            "[[punt]]\nclass = \"nd\"\ndeadline_ms = 5",
            "deadline_ms is how long a tool may take",
        ),
        ("[[punt]]\nclass = \"ike\"\ndeadline_ms = 0", "use 1 to 60000"),
        ("[[punt]]\nfail = \"open\"", "class"),
        ("[[punt]]\nclass = \"ike\"\nfail = \"shut\"", "use open or closed"),
        ("[[punt]]\nclass = \"ike\"\n[[punt]]\nclass = \"ike\"", "twice"),
        ("[[punt]]\nclass = \"ike\"\nrate = 0", "rate"),
    ] {
        let message = punts(text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_tap_has_the_name_of_its_interface_or_another_that_the_kernel_can_have() {
    let with = |keys: &str| {
        parse(&format!(
            "[instance]\nname = \"blue\"\n[[interface]]\nname = \"wan\"\ndevice = \"net_af_packet0,iface=eth1\"\n{keys}\n"
        ))
    };
    for (keys, tap) in [
        ("", None),
        ("tap = false", None),
        ("tap = true", Some("wan")),
        ("tap = true\ntap_name = \"wan-kernel\"", Some("wan-kernel")),
    ] {
        assert_eq!(with(keys).unwrap().interfaces[0].tap.as_deref(), tap, "{keys}");
    }
    for (keys, part) in [
        ("tap_name = \"x\"", "add tap = true"),
        (
            "tap = true\ntap_name = \"a-name-of-16-char\"",
            "at most 15 characters",
        ),
        ("tap = true\ntap_name = \"a/b\"", "not allowed"),
        ("tap = true\ntap_name = \"\"", "not allowed"),
        ("tap = true\ntap_name = \"all\"", "something else"),
        ("tap = true\ntap_name = \"eth1\"", "the device of 'wan'"),
        (
            "tap = true\n[[interface]]\nname = \"lan\"\ndevice = \"net_null0\"\ntap = true\ntap_name = \"wan\"",
            "that of 'wan' has the name",
        ),
    ] {
        let message = with(keys).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_sub_interface_may_have_a_tap_and_belongs_to_a_port() {
    let with = |keys: &str| {
        parse(&format!(
            "[instance]\nname = \"blue\"\n[[interface]]\nname = \"lan\"\ndevice = \"net_null0\"\n\
             [[interface]]\nname = \"wan\"\ndevice = \"net_null1\"\n\
             [[interface]]\nname = \"wan.2\"\nlink = \"wan\"\nid = 2\n\
             [[interface]]\nname = \"inner\"\nlink = \"wan.2\"\nid = 3\n{keys}\n"
        ))
    };
    for (keys, tap) in [
        ("", None),
        ("tap = true", Some("inner")),
        ("tap = true\ntap_name = \"k\"", Some("k")),
    ] {
        let config = with(keys).unwrap();
        assert_eq!(config.sub_interfaces[1].tap.as_deref(), tap, "{keys}");
        for sub_interface in &config.sub_interfaces {
            assert_eq!(config.port_of(sub_interface), Some(1));
        }
    }
    let taken = "tap = true\n[[interface]]\nname = \"other\"\nlink = \"lan\"\nid = 2\ntap = true\ntap_name = \"inner\"";
    let message = with(taken).unwrap_err().to_string();
    assert!(message.contains("that of 'inner' has the name"), "{message}");
}

//! Tagged frames through sub-interfaces: what comes out is what scapy builds, byte for byte. The kernel need not know VLANs, and
//! so has no say here.

use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;
use tests::{Namespace, Privilege, side_by_side};

const TAGGED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/differential/stimuli/tagged.py"
);
const LIMIT: Duration = Duration::from_secs(120);
/// The sub-interfaces, as stimuli/tagged.py has them: name, what it is on, EtherType, VLAN and the number of its subnet, if it has one.
const SUB_INTERFACES: [(&str, &str, &str, u16, Option<u8>); 6] = [
    ("p0.100", "p0", "802.1q", 100, Some(100)),
    ("p0.200", "p0", "802.1ad", 200, None),
    ("p0.200.7", "p0.200", "802.1q", 7, Some(107)),
    ("p1.100", "p1", "802.1q", 100, Some(110)),
    ("p1.300", "p1", "802.1ad", 300, None),
    ("p1.300.9", "p1.300", "802.1q", 9, Some(139)),
];
/// Of those with two tags. The kernel sends no longer frames with them.
const INNER_MTU: u16 = 1400;

/// A stimulus, what scapy makes of it and what the primary made of it: each frame in hex, with its link.
#[derive(Deserialize)]
struct Stimulus {
    key: String,
    expected: Vec<(usize, String)>,
    seen: Vec<(usize, String)>,
}

#[test]
fn tagged_frames_come_out_as_scapy_builds_them() {
    let privilege = Privilege::detect();
    let outside = Namespace::create(privilege, "outside").unwrap();
    let gateway = Namespace::create(privilege, "gateway").unwrap();
    side_by_side::connect(&outside, &gateway, 't');
    let mut builder = side_by_side::builder(privilege, &gateway);
    for (name, link, protocol, id, net) in SUB_INTERFACES {
        let mut text = format!(
            "[[interface]]\nname = \"{name}\"\nlink = \"{link}\"\nprotocol = \"{protocol}\"\nid = {id}\n"
        );
        if link.contains('.') {
            let _ = writeln!(text, "mtu = {INNER_MTU}");
        }
        if let Some(net) = net {
            let _ = writeln!(
                text,
                "addresses = [\"192.168.{net}.1/24\", \"2001:db8:{net}::1/64\"]"
            );
        }
        builder = builder.toml(&text);
        let Some(net) = net else { continue };
        let mac = format!("02:00:00:00:04:{net:02x}");
        builder = builder
            .neighbor(&format!("192.168.{net}.2"), &mac, name)
            .neighbor(&format!("2001:db8:{net}::2"), &mac, name);
    }
    let primary = builder.start().unwrap();
    // Addresses are preferred after a second and announced, and two seconds later once more.
    primary.wait_for_addresses().unwrap();
    std::thread::sleep(Duration::from_secs(3));

    let words = ["/usr/bin/python3", "-B", TAGGED];
    let captured = outside.run_within(LIMIT, "sends tagged frames", &words);
    let captured = captured.unwrap().success().unwrap();
    let mut wrong = String::new();
    let (mut stimuli, mut answered) = (0, 0);
    for line in captured.stdout.lines() {
        let mut stimulus: Stimulus = serde_json::from_str(line).unwrap();
        stimulus.expected.sort();
        stimulus.seen.sort();
        stimuli += 1;
        answered += usize::from(!stimulus.expected.is_empty());
        if stimulus.expected != stimulus.seen {
            let Stimulus { key, expected, seen } = stimulus;
            let _ = writeln!(wrong, "{key}\n  expected {expected:?}\n  seen     {seen:?}");
        }
    }
    println!("{stimuli} stimuli, {answered} with output");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(stimuli > 400 && answered > stimuli / 2, "{answered} of {stimuli}");
    primary.counters_at_rest().unwrap().assert_balanced();
}

//! Packets that a tool refuses.

use control::punt::Answer;
use tests::{Family, Listener};

use crate::tool::{attach, serve_some};
use crate::{ALERT, ETHERNET, FAR6, LIMIT, Stage};

#[test]
fn req_ra_30_a_packet_that_is_refused_is_dropped_and_its_sender_told() {
    let stage = Stage::set_with("open", "deadline_ms = 30000\n");
    let mut listener = Listener::start(&stage.hosts.host_a, "eth0").unwrap();
    let mut punts = attach(&stage.primary, false);
    let source = Family::Ip6.address_a();
    stage.send_made(&format!("IPv6(src='{source}', {FAR6})/{ALERT}/UDP()/b'no'"), 6);
    stage.send_made(
        "IP(src='192.168.1.2', dst='203.0.113.77', options=[IPOption_Router_Alert()])/UDP()/b'no'",
        4,
    );
    serve_some(&mut punts, 2, LIMIT, |_, _| Answer::Refuse);
    let prohibited6 =
        |frame: &[u8]| frame.get(ETHERNET + 6) == Some(&58) && frame.get(54..56) == Some(&[1, 1]);
    listener
        .wait_for("that it is prohibited", LIMIT, prohibited6)
        .unwrap();
    let prohibited4 =
        |frame: &[u8]| frame.get(ETHERNET + 9) == Some(&1) && frame.get(34..36) == Some(&[3, 13]);
    listener
        .wait_for("that it is prohibited", LIMIT, prohibited4)
        .unwrap();
    stage.drops("punt_refused", 2);
    assert_eq!(stage.arrived(), 0);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

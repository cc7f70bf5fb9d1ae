//! Tools that watch.

use std::time::Duration;

use control::punt::{Answer, Punts};
use tests::wait_until;

use crate::numbers;
use crate::tool::{attach, serve_some, take};
use crate::{ALERT, ETHERNET, LIMIT, PACKET4, Stage, hex, is_far4, is_far6, packet6, unhex};

/// What a tool that watches is shown, from the IP header on.
fn shown(punts: &mut Punts, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    serve_some(punts, count, LIMIT, |_, frame| {
        seen.push(hex(&frame[ETHERNET..]));
        // Of a copy nothing is decided.
        Answer::Drop
    });
    seen
}

#[test]
fn req_ra_16_one_decides_two_watch_and_a_packet_leaves_once() {
    let mut stage = Stage::set_with("open", "deadline_ms = 30000\n");
    let mut owner = attach(&stage.primary, false);
    let mut watchers = [attach(&stage.primary, true), attach(&stage.primary, true)];
    for _ in 0..5 {
        stage.send(&packet6());
        stage.send(&unhex(PACKET4));
    }
    serve_some(&mut owner, 10, LIMIT, |_, _| Answer::Forward);
    stage.arrives(is_far6);
    stage.arrives(is_far4);
    let all = || Ok((stage.arrived() == 10).then_some(()));
    wait_until("all packets", LIMIT, all).unwrap();
    let both = [hex(&packet6()), PACKET4.to_owned()];
    for watcher in &mut watchers {
        assert_eq!(shown(watcher, 10), vec![both.clone(); 5].concat(), "as they came");
    }
    // The decision is the owner's alone.
    stage.send(&packet6());
    serve_some(&mut owner, 1, LIMIT, |_, _| Answer::Drop);
    stage.drops("punt_dropped", 1);
    for watcher in &mut watchers {
        assert_eq!(shown(watcher, 1), both[..1]);
    }
    assert_eq!(stage.arrived(), 10);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_16_who_watches_sees_packets_that_no_tool_decides_about_and_they_go_on() {
    for (fail, arrive) in [("open", 2), ("closed", 0)] {
        let mut stage = Stage::set(fail);
        let mut watcher = attach(&stage.primary, true);
        stage.send(&packet6());
        stage.send(&unhex(PACKET4));
        assert_eq!(shown(&mut watcher, 2), [hex(&packet6()), PACKET4.to_owned()]);
        if arrive > 0 {
            assert_eq!(stage.arrives(is_far6)[crate::HOP_LIMIT], 0xfe);
            stage.arrives(is_far4);
        } else {
            stage.drops("punt_closed", 2);
        }
        assert_eq!(stage.arrived(), arrive);
        stage.primary.counters_at_rest().unwrap().assert_balanced();
    }
}

#[test]
fn req_ra_20_who_watches_sees_what_stays_on_its_link_and_nobody_decides_about_it() {
    let mut stage = Stage::set_with("open", "deadline_ms = 30000\n");
    let mut owner = attach(&stage.primary, false);
    let mut watcher = attach(&stage.primary, true);
    stage.send_made(
        &format!("IPv6(src='fe80::a', dst='ff02::16', hlim=1)/{ALERT}/ICMPv6MLReport2()"),
        6,
    );
    stage.send_made(
        "IP(src='192.168.1.2', dst='224.0.0.22', ttl=1, proto=2, options=[IPOption_Router_Alert()])/Raw(bytes(8))",
        4,
    );
    // Without the option it is nobody's business.
    stage.send_made("IPv6(src='fe80::a', dst='ff02::16', hlim=1)/UDP()", 6);
    stage.send(&packet6());
    let seen = shown(&mut watcher, 3);
    let destinations = [&seen[0][48..80], &seen[1][32..40], &seen[2][48..56]];
    assert_eq!(
        destinations,
        ["ff020000000000000000000000000016", "e0000016", "24046800"]
    );
    let mut asked = Vec::new();
    serve_some(&mut owner, 1, LIMIT, |_, frame| {
        asked.push(hex(&frame[ETHERNET..]));
        Answer::Forward
    });
    stage.arrives(is_far6);
    assert_eq!(asked, [hex(&packet6())]);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn req_ra_16_who_watches_slowly_loses_copies_and_holds_nothing_up() {
    let stage = Stage::set_with("open", "rate = 1000000\nburst = 100000\n");
    let mut owner = attach(&stage.primary, false);
    let mut watcher = attach(&stage.primary, true);
    // More than it has room for: 8 MB of slots for frames of 1500 bytes.
    let count = 9000;
    let receiver = numbers::receive(&stage.hosts.host_b);
    let sender = numbers::send(&stage.hosts, count, 3000);
    serve_some(&mut owner, count, LIMIT, |_, _| Answer::Forward);
    numbers::sent(sender);
    assert_eq!(
        numbers::received(receiver),
        [count, 0, 0],
        "packets, twice, out of order"
    );
    let mut seen = 0;
    while take(&mut watcher, Duration::from_millis(200), &mut |_, _| {
        seen += 1;
        Answer::Forward
    }) > 0
    {}
    let counts = watcher.counts();
    assert!(counts.lost > 0, "{counts:?}");
    assert_eq!(
        (counts.matched, counts.matched - counts.lost),
        (count as u64, seen)
    );
    stage.send(&packet6());
    serve_some(&mut owner, 1, LIMIT, |_, _| Answer::Forward);
    assert_eq!(shown(&mut watcher, 1).len(), 1, "it goes on when there is room");
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

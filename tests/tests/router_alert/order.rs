//! The order of packets that partly go by a tool.

use std::time::Duration;

use control::punt::Answer;

use crate::Stage;
use crate::numbers;
use crate::tool::{attach, serve};

/// Router alerts of one flow, offered faster than the tool can or may take them.
fn assert_in_order(class: &str, per_second: usize, pause: Duration) {
    const COUNT: usize = 50_000;
    let stage = Stage::set_with("open", class);
    let mut punts = attach(&stage.primary, false);
    let receiver = numbers::receive(&stage.hosts.host_b);
    let mut sender = numbers::send(&stage.hosts, COUNT, per_second);
    let mut asked = 0;
    serve(
        &mut punts,
        || sender.ended().is_some(),
        |_, _| {
            asked += 1;
            std::thread::sleep(pause);
            Answer::Forward
        },
    );
    numbers::sent(sender);
    // What it still has goes on when it goes.
    drop(punts);
    let received = numbers::received(receiver);
    println!("the tool was asked about {asked} of {COUNT}, {received:?} arrived");
    assert_eq!(received, [COUNT, 0, 0], "packets, twice, out of order");
    assert!(
        (100..COUNT * 3 / 4).contains(&asked),
        "the tool was asked about {asked}"
    );
    let counters = stage.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.sum(|interface| interface.waiting), 0, "{counters:?}");
}

#[test]
fn req_ra_36_order_holds_while_a_tool_is_too_slow() {
    let all = "rate = 10000000\nburst = 1000000\n";
    assert_in_order(all, 8000, Duration::from_micros(200));
}

#[test]
fn req_ra_36_order_holds_while_more_come_than_may_go_to_the_tool() {
    assert_in_order("rate = 2000\nburst = 100\n", 8000, Duration::from_micros(100));
}

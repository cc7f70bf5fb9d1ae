//! The order of packets that partly go by a tool.

use std::time::Duration;

use control::punt::Answer;

use crate::numbers;
use crate::tool::{attach, serve};
use crate::{Stage, is_far6, packet6};

/// Router alerts of one flow, offered faster than the tool can or may take them.
fn assert_in_order(class: &str, per_second: usize, pause: Duration) {
    const COUNT: usize = 30_000;
    let mut stage = Stage::set_with("open", class);
    // The next hop is known from here on.
    stage.send(&packet6());
    stage.arrives(is_far6);
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
    numbers::assert_whole(&stage.primary, received, COUNT);
    assert!(
        (100..COUNT * 3 / 4).contains(&asked),
        "the tool was asked about {asked}"
    );
}

#[test]
fn req_ra_36_order_holds_while_a_tool_is_too_slow() {
    let all = "rate = 10000000\nburst = 1000000\n";
    assert_in_order(all, 5000, Duration::from_micros(400));
}

#[test]
fn req_ra_36_order_holds_while_more_come_than_may_go_to_the_tool() {
    assert_in_order("rate = 2000\nburst = 100\n", 5000, Duration::from_micros(100));
}

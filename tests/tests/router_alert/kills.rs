//! Relays that are killed under load.

use std::fs;
use std::time::Duration;

use tests::{Family, Privilege, TwoHosts, wait_until};

use crate::counts::Counts;
use crate::{LIMIT, rule};

const PYTHON: &str = "/usr/bin/python3";
const SEND: &str = include_str!("../../frames/alerts.py");
const RECEIVE: &str = include_str!("../../frames/numbers.py");

#[test]
fn req_ra_34_and_36_packets_arrive_once_and_in_order_while_relays_are_killed() {
    let soak = std::env::var_os("TOLLGATE_SOAK").is_some();
    let kills = if soak { 100 } else { 10 };
    let rate = 2000;
    // Each relay lives for a fifth of a second.
    let count = kills * rate / 4;
    let hosts = TwoHosts::create_for(Privilege::detect(), &Family::BOTH).unwrap();
    let primary = hosts
        .primary("gw")
        .toml("[[punt]]\nclass = \"router_alert\"\nrate = 100000\nburst = 10000\n")
        .start()
        .unwrap();
    primary.wait_for_addresses().unwrap();
    // Packets that wait for a next hop may be too many.
    let found = hosts.host_a.ping(Family::Ip6.address_b(), &["-c", "1"], LIMIT);
    found.unwrap().assert_all_answered();
    let buffers = || -> u64 {
        let memory = primary.ctl_json(&["memory", "show"]).unwrap();
        let pool = memory
            .as_array()
            .unwrap()
            .iter()
            .find(|part| part["part"] == "pool_packets");
        pool.unwrap()["used"].as_u64().unwrap()
    };
    let before = buffers();
    let file = primary.config_path().with_file_name("ra.toml");
    fs::write(&file, rule("65503", "\"relay\"")).unwrap();
    let mut receiver = hosts
        .host_b
        .process("receives numbers", PYTHON)
        .args(["-I", "-c", RECEIVE, "4000"])
        .start()
        .unwrap();
    receiver
        .wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
        .unwrap();
    let (count_word, rate_word) = (count.to_string(), rate.to_string());
    let words = [
        "-I",
        "-c",
        SEND,
        Family::Ip6.address_b(),
        "4000",
        "65503",
        &count_word,
        &rate_word,
    ];
    let mut sender = hosts
        .host_a
        .process("sends alerts", PYTHON)
        .args(words)
        .start()
        .unwrap();
    let mut killed = 0;
    while killed < kills && sender.ended().is_none() {
        let mut relay = primary
            .tool("relays", "tollgate-ra-relay", &["--config"])
            .unwrap()
            .arg(&file)
            .start()
            .unwrap();
        relay
            .wait_for_stderr("that it relays", LIMIT, |line| line.starts_with("relaying"))
            .unwrap();
        std::thread::sleep(Duration::from_millis(100));
        relay.kill();
        killed += 1;
    }
    assert!(sender.wait(LIMIT * 10).unwrap().success(), "{}", sender.stderr());
    assert!(receiver.wait(LIMIT).unwrap().success(), "{}", receiver.stderr());
    println!("{killed} relays were killed while {count} packets came");
    assert!(
        killed >= kills / 2,
        "{killed} relays in the time of {count} packets"
    );
    assert_eq!(
        receiver.stdout().trim(),
        format!("{count} 0 0"),
        "packets, twice, out of order; dropped {:?}, of the rule {:?}",
        primary.counters_at_rest().unwrap().drops(),
        Counts::of_primary(&primary).all("demo")
    );
    let back = || Ok((buffers() <= before).then_some(()));
    wait_until("all packet buffers to be back", LIMIT, back).unwrap();
    primary.counters_at_rest().unwrap().assert_balanced();
}

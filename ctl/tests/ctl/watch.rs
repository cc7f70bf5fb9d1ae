//! `--watch` on a living primary.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use shm::InterfaceCounter;

use crate::fake_primary::FakePrimary;
use crate::run::tool;

#[test]
fn rates_follow_the_counters_and_the_end_of_the_primary_ends_it() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut command = tool(&primary.run_dir, "--json --watch 0.2 counter show wan");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let listing: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        listing[0].clone()
    };
    let first = next();
    assert_eq!(first["rx_packets"], 1000);
    assert_eq!(first["rx_packets_per_second"], Value::Null);
    primary.worker.add(0, InterfaceCounter::RxPackets, 500);
    let second = next();
    assert_eq!(second["rx_packets"], 1500);
    // 500 in 0.2 s, or in longer on a machine that is busy.
    let rate = second["rx_packets_per_second"].as_f64().unwrap();
    assert!(rate > 0.0 && rate <= 2600.0, "{rate}");
    assert_eq!(second["tx_packets_per_second"], 0.0);
    assert_eq!(second["drops_per_second"]["no_route"], 0.0);
    drop(primary);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(r#""code":"unknown_instance""#), "{said}");
}

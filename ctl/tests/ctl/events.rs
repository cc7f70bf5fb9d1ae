//! `monitor` against a primary that tells of a link every few milliseconds.

use serde_json::{Value, json};

use crate::fake_primary::FakePrimary;
use crate::run::run;

#[test]
fn events_are_lines_that_begin_with_the_subscription() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let lines = run(&primary.run_dir, "monitor --count 3").good();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let link = json!({ "event": "link", "interface": "wan", "admin_up": true, "link_up": false });
    assert_eq!(
        events,
        [
            json!({ "event": "subscribed", "instance": "blue" }),
            link.clone(),
            link
        ]
    );
    let left: Vec<_> = std::fs::read_dir(primary.directory.events()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

//! Two daemons of one instance, of which one waits for its packets, and a daemon without a primary: who answers, and what.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Family, Primary, wait_until};

use crate::site::{Changes, LIMIT, Site};

#[test]
fn a_daemon_that_waits_says_why_and_leaves_tools_to_the_one_that_has_the_packets() {
    let mut site = Site::create(Family::Ip4);
    let config = site.configure(1, Changes::default());
    let mut first = site.daemon_by(1, &config);
    let primary = fs::read_to_string(site.west.config_path()).unwrap();
    site.west.kill();
    first
        .wait_for_stderr("the end of the primary", LIMIT, |line| {
            line.contains("tunnels are set up again")
        })
        .unwrap();
    let shown = site.west.tell("ike show");
    assert!(shown.contains("the primary is gone"), "{shown}");
    let (code, sentence) = site.west.refusal("ike initiate pr1");
    assert_eq!(code, "instance_dead");
    assert!(
        sentence.contains("pr1 waits, since the primary is gone"),
        "{sentence}"
    );
    // It is late, and another has the packets of the next primary.
    first.signal(Signal::SIGSTOP);
    let builder = Primary::builder(site.host_a.privilege(), "west").config(&primary);
    site.west = builder.start_after(site.west).unwrap();
    let mut second = site.daemon_by(1, &config);
    first.signal(Signal::SIGCONT);
    first
        .wait_for_stderr("why it waits", LIMIT, |line| line.starts_with("cannot attach"))
        .unwrap();
    for _ in 0..10 {
        assert_eq!(site.details(1)["attached"], true);
        thread::sleep(Duration::from_millis(200));
    }
    let said = first.stderr();
    assert_eq!(said.matches("cannot attach").count(), 1, "{said}");
    // When that one ends, the first has its place.
    second.terminate().unwrap();
    wait_until("that the first has the packets and answers", LIMIT, || {
        let shown = site.west.ctl_json(&["ike", "show", "--details"]);
        Ok(shown.is_ok_and(|shown| shown["attached"] == true).then_some(()))
    })
    .unwrap();
}

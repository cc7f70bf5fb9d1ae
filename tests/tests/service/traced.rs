//! What is traced of packets for services, and how they are counted by stage.

use std::time::Duration;

use serde_json::Value;
use tests::{Family, both_families, wait_until};

use crate::site::{Arms, LIMIT, Site};

both_families! {
    a_trace_shows_what_a_packet_is_translated_to_and_where_it_leaves,
}

fn stages(trace: &Value) -> Vec<&str> {
    let stages = trace["stages"].as_array().unwrap().iter();
    stages.map(|stage| stage["stage"].as_str().unwrap()).collect()
}

fn a_trace_shows_what_a_packet_is_translated_to_and_where_it_leaves(family: Family) {
    let mut site = Site::create(family, Arms::Two, 1);
    site.serve("tcp", 80, "");
    site.start_web_servers();
    // Both servers are neighbours from now on.
    site.curl(48);
    site.curl(48);
    // The two segments with SYN.
    let first = family.choose("tcp[13] & 2 != 0", "ip6[53] & 2 != 0");
    let words = ["trace", "start", "-n", "2", "-f", first];
    site.balancer.ctl(&words).unwrap().success().unwrap();
    site.curl(48);
    let traces = wait_until("the packets are traced", LIMIT, || {
        let shown = site.balancer.ctl_json(&["trace", "show"])?;
        Ok(shown.as_array().filter(|traces| traces.len() == 2).cloned())
    })
    .unwrap();
    // The first segment of a connection goes where routes lead, and the answer the way that it came.
    let input = family.choose("ip4_input", "ip6_input");
    let routed = ["rx", "service", "ethernet", input, "lookup", "rewrite", "tx"];
    assert_eq!(stages(&traces[0]), routed, "{traces:?}");
    let translated = &traces[0]["stages"][3];
    assert_eq!(translated["source"], site.local(), "{translated}");
    assert_eq!(stages(&traces[1]), ["rx", "service", "tx"], "{traces:?}");
    let [_, service, tx] = traces[1]["stages"].as_array().unwrap().as_slice() else {
        panic!("{traces:?}");
    };
    assert_eq!(service["source"], site.vip());
    assert_eq!(service["destination"], site.client_address(48));
    assert_eq!(tx["interface"], "wan");
    site.assert_balanced();
    // What goes into the stage comes out of it.
    std::thread::sleep(Duration::from_millis(10));
    let shown = site.balancer.ctl_json(&["stage", "show"]).unwrap();
    let shown = shown.as_array().unwrap();
    let service = shown.iter().find(|stage| stage["stage"] == "service").unwrap();
    let onward: u64 = service["next"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(service["packets"].as_u64().unwrap(), onward, "{service}");
    assert!(onward > 10, "{service}");
}

//! Two workers on ports that have one queue each: each port's packets go to both, by flow.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use tests::{Family, Privilege, Receiver, TwoHosts, both_families};

const LIMIT: Duration = Duration::from_secs(60);

both_families! { two_workers_forward_all_and_keep_the_order_of_flows }

fn two_workers_forward_all_and_keep_the_order_of_flows(family: Family) {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
    let primary = hosts.primary("gw").workers(2).start().unwrap();
    let words = ["-i", "0.002", "-c", "500", "-W", "2"];
    let pings = hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}");

    // Both directions at a time: each worker receives from one port and hands over to the other's.
    let there = Receiver::start(
        &hosts.host_b,
        &family.socket(family.address_b(), 4789),
        16,
        40_000,
    )
    .unwrap();
    let back = Receiver::start(
        &hosts.host_a,
        &family.socket(family.address_a(), 4789),
        16,
        40_000,
    )
    .unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| back.send_from(&hosts.host_b, 64, 10_000).unwrap());
        there.send_from(&hosts.host_a, 64, 10_000).unwrap();
        other.join().unwrap();
    });
    for receiver in [there, back] {
        let total = receiver.report(LIMIT).unwrap().total;
        assert_eq!(
            (total.received, total.lost, total.duplicates, total.out_of_order),
            (40_000, 0, 0, 0)
        );
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();

    let workers = primary.ctl_json(&["worker", "show"]).unwrap();
    let workers = workers.as_array().unwrap();
    let available = std::thread::available_parallelism().unwrap().get();
    assert_eq!(workers.len(), available.min(2));
    let rx = counters.sum(|interface| interface.rx_packets);
    let count = |name: &str| {
        workers
            .iter()
            .map(|worker| worker[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        count("packets"),
        rx,
        "a packet that is handed over counts once: {workers:?}"
    );
    if workers.len() == 2 {
        for worker in workers {
            // Of 16 flows each way, and both ways of a flow.
            assert!(worker["packets"].as_u64().unwrap() > rx / 8, "{worker}");
            assert!(worker["handed_over"].as_u64().unwrap() > rx / 16, "{worker}");
        }
    }
}

//! Mutated packets of clients and of servers: none ends the balancer, takes a buffer for good or is lost without a name, and it still serves.

use std::time::{Duration, Instant};

use tests::memory::resident;
use tests::mutate::{mend_checksum, mutate};
use tests::{Family, Random, Wire, both_families, wait_until};

use crate::sides::Sides;
use crate::site::{Arms, SERVERS, Site};

/// Packets between two looks at what connections there are.
const ROUND: u64 = 10_000;
/// Packets at a time; the gateway takes them within so many microseconds.
const AT_A_TIME: u64 = 64;
const PAUSE: Duration = Duration::from_micros(400);
/// RFC 8200 section 4.5: so long fragments wait for others.
const SETTLED: Duration = Duration::from_secs(90);
/// What a primary may grow by, kB: logs, and what it finds neighbours with.
const GROWTH: u64 = 8192;

both_families! {
    mutated_packets_of_both_sides_end_nothing_and_leave_nothing_behind,
}

fn soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

/// Whether a frame may be a fragment whose others do not come: it waits for them for a minute.
fn is_fragment(frame: &[u8]) -> bool {
    let is_tagged = frame.get(12..14) == Some(&[0x81, 0]);
    let packet = frame.get(if is_tagged { 18 } else { 14 }..).unwrap_or_default();
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet
            .get(6..8)
            .is_some_and(|field| (field[0] & 0x3f, field[1]) != (0, 0)),
        // It may be behind another header.
        _ => [6, 40, 48].iter().any(|at| packet.get(*at) == Some(&44)),
    }
}

/// Mutated packets of each family.
fn mutations() -> u64 {
    if soak() { 5_000_000 } else { 60_000 }
}

fn mutated_packets_of_both_sides_end_nothing_and_leave_nothing_behind(family: Family) {
    // Half-open ones stay, so that there are some that answers belong to.
    let tables = "[load_balancer]\ntcp_syn_recv = 60\n";
    let mut site = Site::create_with(family, Arms::Two, 1, tables);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler rr --toa");
    site.serve("udp", 53, "--scheduler rr");
    let icmp = format!("{} {}", family.choose("icmp", "icmpv6"), site.at(site.vip(), 0));
    site.balancer.tell(&format!("service add {icmp} --scheduler rr"));
    for number in SERVERS {
        site.balancer
            .tell(&format!("server add {icmp} {}", site.server(number)));
    }
    site.add_local(&icmp);
    site.curl(48);
    site.curl(48);
    let before = resident(site.balancer.pid()).unwrap();

    let mut random = Random::printed("mutated packets at services");
    let sides = Sides::of(&site, family);
    // What goes through the stages finds the client, too.
    site.balancer.tell(&format!(
        "neigh add {} lladdr {} dev wan",
        sides.client, sides.client_link[1]
    ));
    let wires = [&site.client, &site.servers].map(|side| Wire::open(side, "eth0").unwrap());
    let (count, began) = (mutations(), Instant::now());
    let (mut sent, mut answers) = (0, 0);
    while sent < count {
        // As they are, so that there are connections.
        let whole = sides.of_clients();
        for frame in &whole {
            wires[0].send(frame).unwrap();
        }
        wait_until("connections", SETTLED, || {
            Ok((!sides.connections(&site).is_empty()).then_some(()))
        })
        .unwrap();
        let frames = [whole, sides.of_servers(&sides.connections(&site))];
        answers += frames[1].len();
        for _ in 0..ROUND {
            let side = random.below(2);
            let Some(whole) = frames[side].get(random.below(frames[side].len())) else {
                continue;
            };
            let mut frame = whole.clone();
            mutate(&mut random, &mut frame);
            if !random.once_in(4) {
                mend_checksum(&mut frame);
            }
            // A packet socket takes no shorter and no longer frames.
            frame.truncate(1514);
            let waits = !soak() && is_fragment(&frame);
            if waits || frame.len() < 14 {
                continue;
            }
            wires[side].send(&frame).unwrap();
            sent += 1;
            if sent % AT_A_TIME == 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
    let took = began.elapsed();

    let counters = wait_until("that nothing waits any more", SETTLED, || {
        let counters = site.balancer.counters_at_rest()?;
        Ok((counters.sum(|interface| interface.waiting) == 0).then_some(counters))
    })
    .unwrap();
    counters.assert_balanced();
    println!(
        "{sent} mutated packets in {:.1} s, {} came: {:?}",
        took.as_secs_f32(),
        counters.came(),
        counters.drops()
    );
    assert!(answers > 0 && counters.came() > sent / 2);
    assert!(
        counters.sum(|interface| interface.reassembled) > 0,
        "{:?}",
        counters.drops()
    );
    for reason in ["service_no_connection", "service_malformed"] {
        assert!(counters.dropped(reason) > 0, "{reason}: {:?}", counters.drops());
    }
    wait_until(
        "that as many connections are counted as there are",
        SETTLED,
        || Ok(connections_are_counted(&site).then_some(())),
    )
    .unwrap();
    wait_until("all packet buffers to be back", SETTLED, || {
        Ok((buffers(&site) == 0).then_some(()))
    })
    .unwrap();
    let after = resident(site.balancer.pid()).unwrap();
    assert!(after < before + GROWTH, "{before} kB, then {after} kB");
    site.assert_both_serve();
    let status = site.balancer.terminate().unwrap();
    assert!(status.success(), "{status}: {}", site.balancer.process().stderr());
}

/// Whether the counts of services say how many connections there are.
fn connections_are_counted(site: &Site) -> bool {
    let shown = |words: &[&str]| site.balancer.ctl_json(words).unwrap().as_array().unwrap().clone();
    let counted = shown(&["service", "show"])
        .iter()
        .map(|service| service["active"].as_u64().unwrap() + service["inactive"].as_u64().unwrap())
        .sum::<u64>();
    counted == shown(&["conn", "show"]).len() as u64
}

/// Packet buffers in use.
fn buffers(site: &Site) -> u64 {
    let memory = site.balancer.ctl_json(&["memory", "show"]).unwrap();
    let mut parts = memory.as_array().unwrap().iter();
    let pool = parts.find(|part| part["part"] == "pool_packets").unwrap();
    pool["used"].as_u64().unwrap()
}

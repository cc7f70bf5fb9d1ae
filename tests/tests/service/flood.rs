//! SYNs of senders that there are not: the table fills up, and whoever is connected notices nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use packet::PacketBuilder;
use packet::tcp::{TcpFlags, TcpHeader};
use tests::memory::resident;
use tests::{Family, Random, Wire, both_families, wait_until};

use crate::site::{Arms, LIMIT, Site};

/// Connections that the balancer has room for.
const ROOM: u64 = 4096;
/// Connections that are kept busy.
const KEPT: usize = 16;
/// SYNs a second: what does not come, because a slow host has no time for it, fills no table.
const RATE: u32 = 25_000;
/// SYNs between two looks at the clock.
const AT_A_TIME: u64 = 64;
/// What a primary may grow by, kB: the table is there from the start, but its pages are first used now.
const GROWTH: u64 = 8192;

both_families! {
    flood_of_syns_leaves_connections_alone_and_the_table_recovers,
}

/// SYNs of the flood.
fn syns() -> u64 {
    if std::env::var_os("TOLLGATE_SOAK").is_some() {
        5_000_000
    } else {
        100_000
    }
}

fn flood_of_syns_leaves_connections_alone_and_the_table_recovers(family: Family) {
    let tables = format!("[limits]\nconnections = {ROOM}\n[load_balancer]\ntcp_syn_recv = 3\n");
    let mut site = Site::create_with(family, Arms::Two, 1, &tables);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler rr");
    site.curl(48);
    let url = format!("http://{}/", site.at(site.vip(), 80));
    let kept = KEPT.to_string();
    // Until it is told to end; what waits for longer than that is an error.
    let words = ["-t", "1", "-c", &kept, "-d", "900s", "--timeout", "20s", &url];
    let mut wrk = site.client.process("stays", "wrk").args(words).start().unwrap();
    wait_until("that all are connected", LIMIT, || {
        Ok((established(&site).len() == KEPT).then_some(()))
    })
    .unwrap();
    let before = established(&site);
    let memory = (parts(&site), resident(site.balancer.pid()).unwrap());

    let began = Instant::now();
    let sent = flood(&site, family);
    let took = began.elapsed();
    let (after, refused) = (established(&site), site.drops("service_table_full"));
    let in_flood = (parts(&site), resident(site.balancer.pid()).unwrap());
    let services = site.balancer.ctl_json(&["service", "show"]).unwrap();
    let made = services[0]["connections"].as_u64().unwrap();
    println!(
        "{sent} SYNs in {:.1} s: {made} connections, {refused} refused, at most {} packets of a connection that was there; resident {} kB, \
         then {} kB",
        took.as_secs_f32(),
        after.values().max().unwrap_or(&0),
        memory.1,
        in_flood.1
    );
    assert!(
        made >= ROOM && refused > made,
        "{:?}",
        site.balancer.counters().unwrap().drops()
    );
    assert_eq!(memory.0, in_flood.0);
    assert!(
        in_flood.1 < memory.1 + GROWTH,
        "{} kB, then {} kB",
        memory.1,
        in_flood.1
    );
    // They are the same, and each goes on, if only by what is sent again because a link was full.
    assert_eq!(before.len(), after.len(), "{before:?}, then {after:?}");
    wait_until("that each connection goes on", LIMIT, || {
        let now = established(&site);
        let goes_on = |(port, packets): (&u64, &u64)| now.get(port).is_some_and(|now| now > packets);
        Ok(before.iter().all(goes_on).then_some(()))
    })
    .unwrap();

    wrk.signal(Signal::SIGINT);
    assert!(wrk.wait(LIMIT).unwrap().success());
    let shown = wrk.stdout();
    assert!(
        shown.contains("requests in") && !shown.contains("Non-2xx"),
        "{shown}"
    );
    assert!(!shown.contains("Socket errors"), "{shown}");

    wait_until("that nothing is half open", LIMIT, || {
        let half_open = site
            .balancer
            .ctl_json(&["conn", "show", "--state", "syn_recv", "--limit", "1"])?;
        Ok(half_open.as_array().unwrap().is_empty().then_some(()))
    })
    .unwrap();
    site.assert_both_serve();
    site.assert_balanced();
}

/// Connections that are established: the client's port, and packets of both sides.
fn established(site: &Site) -> BTreeMap<u64, u64> {
    let shown = site
        .balancer
        .ctl_json(&["conn", "show", "--state", "established"])
        .unwrap();
    let rows = shown.as_array().unwrap().iter();
    rows.map(|row| {
        let number = |key: &str| row[key].as_u64().unwrap();
        (
            number("client_port"),
            number("in_packets") + number("out_packets"),
        )
    })
    .collect()
}

/// Bytes of each part of the balancer's memory, where they are known.
fn parts(site: &Site) -> BTreeMap<String, Option<u64>> {
    let shown = site.balancer.ctl_json(&["memory", "show"]).unwrap();
    let rows = shown.as_array().unwrap().iter();
    rows.map(|row| (row["part"].as_str().unwrap().to_owned(), row["bytes"].as_u64()))
        .collect()
}

/// Sends SYNs to the service out of the client's link, each of another sender; gives how many.
fn flood(site: &Site, family: Family) -> u64 {
    let mut random = Random::printed("SYN flood");
    let wire = Wire::open(&site.client, "eth0").unwrap();
    let from = site.client.mac("eth0").unwrap().parse().unwrap();
    let to = site.balancer_mac("wan").parse().unwrap();
    let vip = site.vip();
    let began = Instant::now();
    let count = syns();
    for number in 0..count {
        let chance = random.number();
        let [first, .., a, b, c] = chance.to_be_bytes();
        let header = TcpHeader {
            source_port: (chance >> 32) as u16 | 1024,
            destination_port: 80,
            sequence: random.number() as u32,
            acknowledgment: 0,
            flags: TcpFlags::SYN,
            window: 64_240,
        };
        let frame = PacketBuilder::ethernet(to, from).padded();
        let frame = match family {
            Family::Ip4 => frame
                .ipv4(Ipv4Addr::new(20 + first % 100, a, b, c), vip.parse().unwrap())
                .tcp(&header, &[]),
            Family::Ip6 => {
                let source = 0x2001_0db8_ffff_u128 << 80 | u128::from(chance);
                frame
                    .ipv6(Ipv6Addr::from_bits(source), vip.parse().unwrap())
                    .tcp(&header, &[])
            }
        };
        wire.send(&frame).unwrap();
        if number % AT_A_TIME == 0 {
            let due = Duration::from_secs(number) / RATE;
            sleep(due.saturating_sub(began.elapsed()));
        }
    }
    count
}

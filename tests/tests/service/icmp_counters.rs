//! What is counted of ICMP for services, and how many errors the gateway makes about their packets.

use std::net::IpAddr;
use std::time::Instant;

use packet::PacketBuilder;
use tests::{Family, Wire, both_families, wait_until};

use crate::site::{Arms, LIMIT, SERVERS, Site};

/// ICMP errors that an interface is worth: at once, and in a second.
const LIMITS: (u64, u64) = (100, 1000);
/// Packets between two looks at what became of them.
const ROUND: usize = 1000;

both_families! {
    req_icmp_44_queries_are_counted_by_what_becomes_of_them,
    req_icmp_17_and_44_errors_about_packets_of_services_are_limited,
}

fn req_icmp_44_queries_are_counted_by_what_becomes_of_them(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    let icmp = family.choose("icmp", "icmpv6");
    let ping = |count: &str| {
        let words = ["-c", count, "-i", "0.05", "-W", "2"];
        site.client
            .ping(site.vip(), &words, LIMIT)
            .unwrap()
            .assert_all_answered();
    };
    // The gateway answers itself.
    site.serve("tcp", 80, "");
    ping("3");
    site.wait_for_icmp(&[("query_no_svc_local", 3), ("query_new", 0)]);
    let service = format!("{icmp} {}", site.at(site.vip(), 0));
    site.balancer.tell(&format!("service add {service}"));
    for number in SERVERS {
        let server = site.server(number);
        site.balancer.tell(&format!("server add {service} {server}"));
    }
    site.add_local(&service);
    ping("5");
    site.wait_for_icmp(&[
        ("query_no_svc_local", 3),
        ("query_new", 1),
        ("query_hit_in", 4),
        ("query_hit_out", 5),
        ("redirected", 0),
        // But for the first question, before any server has sent, all know their way.
        ("siso_hit", 9),
        ("siso_miss", 1),
    ]);
    let rows = site.balancer.ctl_json(&["service", "icmp-counters"]).unwrap();
    let (all, one) = (rows[0].as_object().unwrap(), rows[1].as_object().unwrap());
    assert_eq!((all["worker"].as_u64(), one["worker"].as_u64()), (None, Some(0)));
    assert_eq!(
        all.iter().filter(|(key, _)| *key != "worker").collect::<Vec<_>>(),
        one.iter().filter(|(key, _)| *key != "worker").collect::<Vec<_>>()
    );
    let table = site.balancer.tell("service icmp-counters");
    let line = table
        .lines()
        .find(|line| line.starts_with("all") && line.contains(" query_hit_in "));
    assert!(line.is_some_and(|line| line.ends_with(" 4")), "{table}");
    site.assert_balanced();
}

/// A datagram of the client's to the service that goes no further than the gateway.
fn late(site: &Site) -> Vec<u8> {
    let from = site.client.mac("eth0").unwrap().parse().unwrap();
    let to = site.balancer_mac("wan").parse().unwrap();
    let frame = PacketBuilder::ethernet(to, from);
    match (
        site.client_address(48).parse().unwrap(),
        site.vip().parse().unwrap(),
    ) {
        (IpAddr::V4(client), IpAddr::V4(vip)) => frame.ipv4(client, vip).ttl(1).udp(5555, 53, b"late"),
        (IpAddr::V6(client), IpAddr::V6(vip)) => frame.ipv6(client, vip).hop_limit(1).udp(5555, 53, b"late"),
        other => panic!("two families: {other:?}"),
    }
}

fn req_icmp_17_and_44_errors_about_packets_of_services_are_limited(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    site.serve("udp", 53, "");
    let wire = Wire::open(&site.client, "eth0").unwrap();
    let frame = late(&site);
    let counter = |name: &str| {
        let shown = site.balancer.ctl_json(&["counter", "show", "wan"]).unwrap();
        shown[0][name].as_u64().unwrap()
    };
    let began = Instant::now();
    wait_until("that there are too many", LIMIT, || {
        for _ in 0..ROUND {
            wire.send(&frame).unwrap();
        }
        Ok((site.icmp("err_rate_limited") > 0).then_some(()))
    })
    .unwrap();
    site.assert_balanced();
    let (made, policed) = (counter("icmp_errors"), counter("icmp_errors_policed"));
    // What was not made may be of longer ago than the look, never of later.
    let most = LIMITS.0 as f64 + LIMITS.1 as f64 * began.elapsed().as_secs_f64() * 1.01;
    assert!(made > 0 && made as f64 <= most, "{made} errors, {most} at most");
    assert_eq!(site.drops("ttl_expired"), made + policed);
    site.wait_for_icmp(&[
        ("err_rate_limited", policed),
        ("err_in", made),
        ("err_translated_out", made),
        ("err_no_conn", 0),
    ]);
}

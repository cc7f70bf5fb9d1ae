//! Protected tunnels come up with their SAs and go down with them.

use tests::{Family, Primary, Receiver, datagrams::Received, wait_until};

use crate::site::{LIMIT, Pair, Site, TUNNEL, host_address};

const GCM: &str = "aes256gcm16";

fn is_up(site: &Site) -> bool {
    let tunnels: serde_json::Value = serde_json::from_str(&site.west.tell("--json tunnel show")).unwrap();
    let tunnel = &tunnels.as_array().unwrap()[0];
    assert_eq!(
        (tunnel["name"].as_str(), tunnel["mode"].as_str()),
        (Some(TUNNEL), Some("esp"))
    );
    tunnel["link"] == "up"
}

#[test]
fn a_tunnel_is_down_until_it_has_sas_for_both_directions() {
    let site = Site::create(Family::Ip4, 1);
    assert!(!is_up(&site));
    let pair = |spi, eastward| Pair {
        spi,
        eastward,
        transform: GCM,
        more: "",
    };
    site.install(pair(0x1001, true));
    assert!(!is_up(&site));
    site.install(pair(0x1002, false));
    assert!(is_up(&site));
    site.warm_up(Family::Ip4);
    // Of two that come in, one is enough.
    site.install(pair(0x1003, false));
    site.delete(0x1002, false);
    assert!(is_up(&site));
    site.warm_up(Family::Ip4);
    site.west.tell("sa flush");
    assert!(!is_up(&site));
    let pings = site.host_a.ping(
        &host_address(Family::Ip4, 2),
        &["-c", "2", "-i", "0.05", "-W", "0.3"],
        LIMIT,
    );
    assert_eq!(pings.unwrap().answered, 0);
    site.assert_balanced();
}

/// What the tunnel of this gateway lacks to carry packets.
fn lacks(primary: &Primary) -> Vec<String> {
    let tunnels: serde_json::Value = serde_json::from_str(&primary.tell("--json tunnel show")).unwrap();
    let lacks = tunnels[0]["lacks"].as_array().unwrap();
    lacks
        .iter()
        .map(|lack| lack.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_belongs_in_a_tunnel_without_sas_is_dropped_and_takes_no_other_way() {
    let site = Site::create(Family::Ip4, 1);
    site.protect(GCM, "");
    site.warm_up(Family::Ip4);
    assert_eq!(lacks(&site.west), [""; 0]);
    site.west
        .tell("route add 192.168.2.0/24 via 10.0.0.2 metric 5000");
    let ping = || {
        let to = host_address(Family::Ip4, 2);
        let words = ["-c", "4", "-i", "0.05", "-W", "0.3"];
        site.host_a.ping(&to, &words, LIMIT).unwrap()
    };
    for (change, missing, dropped) in [
        ("sa del spi 0x1002 dst 10.0.0.1", &["inbound_sa"][..], 4),
        (
            "sa del spi 0x1001 dst 10.0.0.2",
            &["inbound_sa", "outbound_sa"],
            4,
        ),
        // Who sets it down says that there is another way.
        (
            "link set ipsec0 down",
            &["admin_up", "inbound_sa", "outbound_sa"],
            0,
        ),
        ("link set ipsec0 up", &["inbound_sa", "outbound_sa"], 4),
    ] {
        site.west.tell(change);
        assert_eq!(lacks(&site.west), missing, "{change}");
        let before = site.west.counters_at_rest().unwrap().dropped("tunnel_down");
        ping();
        let counters = site.west.counters_at_rest().unwrap();
        assert_eq!(
            counters.dropped("tunnel_down") - before,
            dropped,
            "{change} {:?}",
            counters.drops()
        );
    }
    site.east.tell("sa flush");
    site.protect(GCM, "soft packets 1000");
    // They have the places of those that are gone, and none of their counts.
    let sas: serde_json::Value = serde_json::from_str(&site.west.tell("--json sa show")).unwrap();
    let counts = sas.as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|sa| sa["packets"].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 0]);
    site.warm_up(Family::Ip4);
    site.assert_balanced();
}

/// Flows of datagrams: ports of a gateway have several workers, and which has one depends on its flow.
const FLOWS: u32 = 8;

#[test]
fn sas_that_belong_to_other_workers_get_their_packets_in_order() {
    let site = Site::create(Family::Ip4, 2);
    let mut spi = 0x1000;
    // Each of these has another pair of workers.
    for transform in [GCM, "aes128-sha256", GCM] {
        for eastward in [true, false] {
            spi += 1;
            site.install(Pair {
                spi,
                eastward,
                transform,
                more: "",
            });
        }
        if spi == 0x1004 {
            site.delete(0x1001, true);
        }
        site.warm_up(Family::Ip4);
        for (from, to, number) in [(&site.host_a, &site.host_b, 2), (&site.host_b, &site.host_a, 1)] {
            let address = format!("{}:4789", host_address(Family::Ip4, number));
            let receiver = Receiver::start(to, &address, FLOWS, 2000).unwrap();
            receiver.send_from(from, 400, 4000).unwrap();
            let report = receiver.report(LIMIT).unwrap();
            let all = Received {
                received: 2000,
                ..Received::default()
            };
            assert_eq!(report.total, all, "{transform} to {address}");
        }
    }
    site.assert_balanced();
    for primary in [&site.west, &site.east] {
        let counters = primary.counters().unwrap();
        counters.assert_no_esp_drops("SAs of other workers");
    }
}

#[test]
fn what_belongs_in_a_protected_tunnel_is_not_taken_in_clear() {
    let site = Site::create(Family::Ip4, 1);
    site.protect(GCM, "");
    site.warm_up(Family::Ip4);
    let [west, east] = &site.gateways;
    let frame = |packet: &str| {
        format!(
            "Ether(dst='{}', src='02:00:00:00:00:09')/{packet}",
            west.mac("w0").unwrap()
        )
    };
    let before = site.west.counters_at_rest().unwrap();
    east.send_frames(
        "e0",
        &[
            frame("IP(src='192.168.2.2', dst='192.168.1.2')/UDP(sport=1, dport=9)/b'clear'"),
            frame("IPv6(src='2001:db8:2::2', dst='2001:db8:1::2')/UDP(sport=1, dport=9)/b'clear'"),
            // Neither is IKE with others than the gateway.
            frame("IP(src='192.168.2.2', dst='192.168.1.2')/UDP(sport=500, dport=500)/b'clear'"),
            // Nobody protects what comes from there.
            frame("IP(src='10.0.0.77', dst='192.168.1.2')/UDP(sport=1, dport=9)/b'clear'"),
        ],
    )
    .unwrap();
    wait_until("that they are refused", LIMIT, || {
        let counters = site.west.counters_at_rest()?;
        Ok((counters.dropped("esp_clear") - before.dropped("esp_clear") == 3).then_some(()))
    })
    .unwrap();
    site.assert_balanced();
}

#[test]
fn lifetimes_in_packets_and_unknown_spis_are_told_and_what_is_over_is_deleted() {
    let site = Site::create(Family::Ip4, 1);
    let mut monitor = site.west.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("that it subscribed", LIMIT, |line| {
            line.contains("\"subscribed\"")
        })
        .unwrap();
    site.install(Pair {
        spi: 0x1001,
        eastward: true,
        transform: GCM,
        more: "soft packets 20 hard packets 40",
    });
    site.install(Pair {
        spi: 0x1002,
        eastward: false,
        transform: GCM,
        more: "",
    });
    site.warm_up(Family::Ip4);
    let to = host_address(Family::Ip4, 2);
    let pings = site
        .host_a
        .ping(&to, &["-c", "60", "-i", "0.01", "-W", "0.5"], LIMIT)
        .unwrap();
    assert!((30..=40).contains(&pings.answered), "{pings:?}");
    for kind in ["soft_traffic", "hard_traffic"] {
        monitor
            .wait_for_stdout(kind, LIMIT, |line| line.contains(kind) && line.contains("4097"))
            .unwrap();
    }
    assert!(!is_up(&site));
    // The other end goes on, and is not known here any more.
    site.west.tell(&format!("sa del spi {} dst 10.0.0.1", 0x1002));
    site.install(Pair {
        spi: 0x1003,
        eastward: true,
        transform: GCM,
        more: "",
    });
    let back = site.host_b.ping(
        &host_address(Family::Ip4, 1),
        &["-c", "3", "-i", "0.05", "-W", "0.3"],
        LIMIT,
    );
    assert_eq!(back.unwrap().answered, 0);
    monitor
        .wait_for_stdout("the unknown SPI", LIMIT, |line| {
            line.contains("unknown_spi") && line.contains("4098")
        })
        .unwrap();
    assert!(site.west.counters_at_rest().unwrap().dropped("esp_spi") >= 3);
    site.assert_balanced();
}

//! Tunnels of mode gre and ipip that SAs of transport mode protect: between two gateways, and with scapy at the other end.

use serde_json::{Value, json};
use tests::{Family, wait_until};

use crate::scapy::{Peer, sends, tunnel};
use crate::site::{LIMIT, Pair, Site, TRANSFORMS, TUNNEL, end, host_address};

const GCM: &str = "aes256gcm16";

/// Makes the tunnel between the gateways one of these.
fn becomes(site: &Site, words: &str) {
    for primary in [&site.west, &site.east] {
        primary.tell(&format!("tunnel set {TUNNEL} {words} protected on"));
    }
}

/// Pings of all sizes from host-a to host-b.
#[track_caller]
fn assert_pings(site: &Site, family: Family, what: &str) {
    site.warm_up(family);
    let to = host_address(family, 2);
    let ping = |size: &str, df: &str| {
        let words = ["-c", "3", "-W", "2", "-i", "0.002", "-s", size, "-M", df];
        let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
        assert!(pings.all_answered(), "{what} {family} {size}: {pings:?}");
    };
    for size in ["0", "1", "64", "700", "1300"] {
        ping(size, "want");
    }
    site.learn_mtu(family, "1400");
    for size in ["1400", "1472", "3000"] {
        ping(size, "dont");
    }
}

#[test]
fn pings_of_all_sizes_go_through_gre_and_ipip_in_transport_mode_over_both_families() {
    for over in Family::BOTH {
        let site = Site::create(over, 1);
        for (number, words) in ["mode gre", "mode gre key 7", "mode ipip key none"]
            .iter()
            .enumerate()
        {
            becomes(&site, words);
            for (spi, eastward) in [(0x1001, true), (0x1002, false)] {
                site.install(Pair {
                    spi: spi + 16 * number as u32,
                    eastward,
                    transform: GCM,
                    more: "mode transport esn",
                });
            }
            for family in Family::BOTH {
                assert_pings(&site, family, &format!("{words} over {over}"));
            }
        }
        site.assert_balanced();
        let counters = site.east.counters().unwrap();
        let tunnel = counters.of(TUNNEL).unwrap();
        assert_eq!(counters.of("e0").unwrap().decapsulated, tunnel.rx_packets);
        assert_eq!(tunnel.encapsulated, tunnel.tx_packets);
        counters.assert_no_esp_drops("all that was sent");
    }
}

#[test]
fn every_transform_carries_gre_in_transport_mode_raw_and_in_udp() {
    let site = Site::create(Family::Ip4, 1);
    becomes(&site, "mode gre key 4294967295");
    let mut spi = 0x2000;
    for (transform, _) in TRANSFORMS {
        for more in ["mode transport", "mode transport esn udp 4500:4500"] {
            for eastward in [true, false] {
                spi += 1;
                site.install(Pair {
                    spi,
                    eastward,
                    transform,
                    more,
                });
            }
            if spi == 0x2002 {
                site.warm_up(Family::Ip4);
            }
            let to = host_address(Family::Ip4, 2);
            for size in ["0", "1", "2", "3", "15", "1000", "1363"] {
                let words = ["-c", "2", "-W", "2", "-i", "0.002", "-s", size];
                let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
                assert!(pings.all_answered(), "{transform} {more} {size}: {pings:?}");
            }
        }
    }
    site.assert_balanced();
}

#[test]
fn what_the_tunnel_would_carry_in_clear_is_dropped_and_counted() {
    let site = Site::create(Family::Ip4, 1);
    becomes(&site, "mode gre key 7");
    site.protect(GCM, "mode transport");
    site.warm_up(Family::Ip4);
    let [west, east] = &site.gateways;
    let outer = format!("IP(src='{}', dst='{}')", end(Family::Ip4, 2), end(Family::Ip4, 1));
    let inside = "IP(src='192.168.2.2', dst='192.168.1.2')/UDP(sport=1, dport=9)/b'clear'";
    let frame = |packet: String| {
        let mac = west.mac("w0").unwrap();
        format!("Ether(dst='{mac}', src='02:00:00:00:00:09')/{packet}")
    };
    let before = site.west.counters_at_rest().unwrap();
    east.send_frames(
        "e0",
        &[
            frame(format!("{outer}/GRE(key_present=1, key=7)/{inside}")),
            // As it would come out of the tunnel.
            frame(inside.to_owned()),
            // Of no tunnel.
            frame(format!("{outer}/GRE()/{inside}")),
        ],
    )
    .unwrap();
    wait_until("that they are refused", LIMIT, || {
        let counters = site.west.counters_at_rest()?;
        let more = |reason| counters.dropped(reason) - before.dropped(reason);
        Ok((more("esp_clear") == 2 && more("tunnel_unknown") == 1).then_some(()))
    })
    .unwrap();
    site.assert_balanced();
}

/// Makes the tunnel to a peer one of these.
fn peer_becomes(peer: &Peer, over: Family, number: usize, words: &str) {
    let name = tunnel(over, number);
    peer.primary
        .tell(&format!("tunnel set {name} {words} protected on"));
}

fn in_transport(mut case: Value, inside: &str, gre_key: Option<u32>) -> Value {
    case["inside"] = json!(inside);
    case["gre_key"] = json!(gre_key);
    case
}

#[test]
fn content_that_is_not_the_tunnels_is_counted_by_its_reason() {
    let peer = Peer::create();
    let number = 2;
    peer_becomes(&peer, Family::Ip4, number, "mode gre key 7");
    peer_becomes(&peer, Family::Ip4, number + 1, "mode gre key 8");
    let selectors = "sel src 192.0.2.0/24 dst 192.0.2.1 proto gre";
    peer.install(Family::Ip4, number, 0x7000, "mode transport", selectors);
    // It fits no packet of the tunnel.
    let none = "sel src 192.0.2.0/24 dst 192.0.2.1 proto udp";
    peer.install(Family::Ip4, number + 1, 0x7100, "mode transport", none);
    let inner = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'inside'";
    let seal = |words: &str| format!("seal({inner}, {words})");
    for (at, reason, packet) in [
        (number, "local_unhandled", seal("1")),
        (number, "esp_selector", seal("2, inside='ipip'")),
        (number, "tunnel_unknown", seal("3, gre_key=8")),
        (number, "tunnel_unknown", seal("4, gre_key=None")),
        (number + 1, "esp_selector", seal("1, gre_key=8")),
    ] {
        let before = peer.primary.counters_at_rest().unwrap().dropped(reason);
        let spi = if at == number { 0x7000 } else { 0x7100 };
        peer.does(&[in_transport(
            sends(at, spi, std::slice::from_ref(&packet)),
            "gre",
            Some(7),
        )]);
        let counters = peer.primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        assert_eq!(
            counters.dropped(reason) - before,
            1,
            "{reason} {packet}: {:?}",
            counters.drops()
        );
    }
}

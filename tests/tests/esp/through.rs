//! What hosts behind two gateways see of the protected tunnel between these.

use tests::Family;

use crate::site::{LIMIT, Pair, Site, TRANSFORMS, TUNNEL, host_address};

/// Pings of these sizes from host-a to host-b, which may be cut (`dont`) or not (`want`).
#[track_caller]
fn assert_pings(site: &Site, family: Family, sizes: &[u16], df: &str, what: &str) {
    let to = host_address(family, 2);
    for size in sizes {
        let size = size.to_string();
        let words = ["-c", "3", "-W", "2", "-i", "0.002", "-M", df, "-s", &size];
        let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
        assert!(pings.all_answered(), "{what} {family} {size}: {pings:?}");
    }
}

#[test]
fn pings_of_all_sizes_go_through_a_protected_tunnel_of_both_families_in_both() {
    for over in Family::BOTH {
        let site = Site::create(over, 1);
        site.protect("aes256gcm16", "esn");
        for family in Family::BOTH {
            site.warm_up(family);
            assert_pings(&site, family, &[0, 1, 64, 700, 1300], "want", "in one piece");
            site.learn_mtu(family, "1400");
            assert_pings(&site, family, &[1400, 1472, 2000, 3000], "dont", "cut");
        }
        site.assert_balanced();
        let counters = site.east.counters().unwrap();
        let tunnel = counters.of(TUNNEL).unwrap();
        assert!(tunnel.rx_packets > 40 && tunnel.tx_packets > 40, "{tunnel:?}");
        assert_eq!(counters.of("e0").unwrap().decapsulated, tunnel.rx_packets);
        assert_eq!(tunnel.encapsulated, tunnel.tx_packets);
    }
}

#[test]
fn every_transform_carries_packets_with_and_without_extended_numbers_raw_and_in_udp() {
    let site = Site::create(Family::Ip4, 1);
    let mut spi = 0x2000;
    for (transform, _) in TRANSFORMS {
        for more in ["", "esn", "udp 4500:4500", "esn udp 4500:4500"] {
            let before = spi;
            for eastward in [true, false] {
                spi += 1;
                site.install(Pair {
                    spi,
                    eastward,
                    transform,
                    more,
                });
            }
            let what = format!("{transform} {more}");
            if before == 0x2000 {
                site.warm_up(Family::Ip4);
            }
            assert_pings(
                &site,
                Family::Ip4,
                &[0, 1, 2, 3, 13, 15, 16, 1000, 1371],
                "want",
                &what,
            );
            let shown = site.east.tell("--json sa show");
            let sas: serde_json::Value = serde_json::from_str(&shown).unwrap();
            for sa in sas.as_array().unwrap() {
                let number = sa["spi"].as_u64().unwrap();
                if number > u64::from(before) {
                    assert!(sa["packets"].as_u64().unwrap() >= 27, "{what}: {sa}");
                }
            }
            for (old, eastward) in [(before + 1, true), (before + 2, false)] {
                if before > 0x2000 {
                    site.delete(old - 2, eastward);
                }
            }
        }
    }
    site.assert_balanced();
    let counters = site.east.counters().unwrap();
    for reason in ["esp_icv", "esp_malformed", "esp_spi", "crypto_busy", "esp_no_sa"] {
        assert_eq!(counters.dropped(reason), 0, "{reason}");
    }
}

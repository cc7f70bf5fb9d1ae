//! TCP and UDP through a protected tunnel, and pings of every size: nothing stalls, whatever is cut on the way.

use serde_json::Value;
use tests::Family;

use crate::site::{LIMIT, Site, Way, host_address};

/// Outer packets over a family, on links of an MTU, with a DF bit that the tunnel sets so; at full length all of them.
const SHORT: [(Family, u16, &str); 3] = [
    (Family::Ip4, 1500, "df set"),
    (Family::Ip4, 9000, "df clear"),
    (Family::Ip6, 1500, ""),
];

fn is_soak() -> bool {
    std::env::var_os("TOLLGATE_SOAK").is_some()
}

fn ways() -> Vec<(Family, u16, &'static str)> {
    if !is_soak() {
        return SHORT.into();
    }
    let mut all = Vec::new();
    for mtu in [1500, 9000] {
        all.extend(["df set", "df clear", "df copy"].map(|df| (Family::Ip4, mtu, df)));
        // There is no DF bit over IPv6.
        all.push((Family::Ip6, mtu, ""));
    }
    all
}

fn site(over: Family, mtu: u16, df: &'static str) -> Site {
    let tunnel_mtu = mtu - over.choose(101, 121);
    let site = Site::create_by(
        over,
        1,
        Way {
            mtu,
            tunnel: &format!("mtu {tunnel_mtu} {df}"),
            ..Way::default()
        },
    );
    site.protect("aes256gcm16", "esn");
    for family in Family::BOTH {
        site.warm_up(family);
    }
    site
}

/// What iperf3 reports of `words`, from host-a to host-b; bytes moved in every half second.
#[track_caller]
fn assert_no_stall(site: &Site, family: Family, words: &[&str], what: &str) -> Value {
    let to = host_address(family, 2);
    let mut server = site
        .host_b
        .process("receives TCP", "iperf3")
        .args(["-s", "-1", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    let seconds = if is_soak() { 10 } else { 2 };
    let duration = seconds.to_string();
    let mut all = vec!["iperf3", "-c", &to, "-t", &duration, "-i", "0.5", "--json"];
    all.extend(words);
    let captured = site.host_a.run_within(LIMIT, "sends", &all).unwrap();
    let report = captured.success().unwrap().json().unwrap();
    let intervals = report["intervals"].as_array().unwrap();
    assert!(intervals.len() >= 2 * seconds - 1, "{what} {family}: {report}");
    for interval in intervals {
        assert!(
            interval["sum"]["bytes"].as_u64() > Some(0),
            "{what} {family}: {report}"
        );
    }
    report
}

#[test]
fn tcp_and_udp_keep_going_through_a_protected_tunnel_whatever_is_cut() {
    for (over, mtu, df) in ways() {
        let what = format!("over {over} {mtu} {df}");
        let site = site(over, mtu, df);
        for family in Family::BOTH {
            let report = assert_no_stall(&site, family, &[], &what);
            let received = report["end"]["sum_received"]["bytes"].as_u64().unwrap();
            assert!(received > 1_000_000, "{what} {family}: {report}");
            // Datagrams longer than the tunnel takes in one piece, which their sender cuts, at a rate that any machine bears.
            let length = (mtu + 500).to_string();
            let report = assert_no_stall(&site, family, &["-u", "-b", "4M", "-l", &length], &what);
            let sum = &report["end"]["sum"];
            let lost = sum["lost_packets"].as_u64().unwrap();
            // The first may be too long for a path that the sender does not know yet.
            assert!(
                lost * 20 <= sum["packets"].as_u64().unwrap(),
                "{what} {family}: {report}"
            );
            println!("{what} {family}: {received} bytes by TCP, {lost} datagrams lost");
        }
        site.assert_balanced();
        for primary in [&site.west, &site.east] {
            primary.counters().unwrap().assert_no_esp_drops(&what);
        }
    }
}

#[test]
fn pings_of_every_size_are_answered_through_a_protected_tunnel() {
    let sizes: Vec<u16> = if is_soak() {
        (1..=3000).collect()
    } else {
        // Around whole blocks, what the tunnel takes in one piece, in one of IPv6, what the link takes, and two pieces.
        [
            1, 15, 16, 17, 1323, 1330, 1331, 1350, 1351, 1370, 1371, 1372, 1451, 1452, 1472, 1473, 2770, 3000,
        ]
        .into()
    };
    for over in Family::BOTH {
        let site = site(over, 1500, "");
        for family in Family::BOTH {
            let to = host_address(family, 2);
            // The sender of IPv6 is told of the MTU first.
            let told = site
                .host_a
                .ping(&to, &["-c", "2", "-W", "0.3", "-s", "3000"], LIMIT);
            told.unwrap();
            for size in &sizes {
                let text = size.to_string();
                let words = ["-c", "1", "-W", "5", "-M", "dont", "-s", &text];
                let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
                assert!(pings.all_answered(), "{family} over {over} {size}: {pings:?}");
                // With DF set where that fits: the tunnel's MTU, less a header of IP and one of ICMP.
                let most = 1500 - over.choose(101, 121) - family.choose(20, 40) - 8;
                if *size <= most {
                    let words = ["-c", "1", "-W", "5", "-M", "do", "-s", &text];
                    let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
                    assert!(pings.all_answered(), "{family} over {over} {size}, DF: {pings:?}");
                }
            }
        }
        site.assert_balanced();
    }
}

/// A tunnel over IPv4 may take more than the links below it: what is sealed leaves in fragments, and is opened when they are together.
#[test]
fn a_tunnel_that_takes_more_than_its_links_sends_in_fragments() {
    let way = Way {
        tunnel: "mtu 1500 df clear",
        ..Way::default()
    };
    let site = Site::create_by(Family::Ip4, 1, way);
    site.protect("aes256gcm16", "esn");
    for family in Family::BOTH {
        site.warm_up(family);
        let to = host_address(family, 2);
        // With 28 or 48 bytes of headers, and 54 around them and more, all of them are longer than 1,500 bytes.
        for size in family.choose(["1420", "1440", "1472"], ["1400", "1420", "1452"]) {
            let words = ["-c", "3", "-i", "0.01", "-W", "5", "-M", "do", "-s", size];
            let pings = site.host_a.ping(&to, &words, LIMIT).unwrap();
            assert!(pings.all_answered(), "{family} {size}: {pings:?}");
        }
    }
    site.assert_balanced();
    let fragments = site.west.counters().unwrap().sum(|counters| counters.fragments);
    // Of each of the packets two.
    assert_eq!(fragments, 2 * 2 * 3 * 3);
}

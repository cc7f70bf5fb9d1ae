//! What hosts behind two gateways see of the tunnels between these.

use tests::{Family, wait_until};

use crate::site::{KINDS, LIMIT, Site, address};

#[test]
fn pings_of_all_sizes_go_through_every_kind_of_tunnel_in_both_families() {
    let site = Site::create();
    for family in Family::BOTH {
        for (number, kind) in KINDS.iter().enumerate() {
            site.warm_up(family, number);
            let (from, to) = (address(family, 1, number), address(family, 2, number));
            let headers = family.choose(28, 48);
            let most = kind.mtu() - headers;
            let ping = |words: &[&str]| {
                let words = [&["-I", &from, "-W", "2", "-i", "0.002"], words].concat();
                site.host_a.ping(&to, &words, LIMIT).unwrap()
            };
            // Those that go in one piece, be they allowed to be cut or not.
            for size in [1, 64, 700, most - 1, most] {
                for df in ["dont", "do"] {
                    let pings = ping(&["-c", "3", "-s", &size.to_string(), "-M", df]);
                    assert!(pings.all_answered(), "{kind:?} {family} {size} {df}: {pings:?}");
                }
            }
            // Cut by the gateway, if it may, or by the hosts once each of them has been told.
            let largest = 1500 - headers;
            let mut lost = 0;
            while ping(&["-c", "1", "-W", "1", "-s", &(most + 1).to_string(), "-M", "dont"]).answered == 0 {
                lost += 1;
                assert!(lost <= family.choose(0, 2), "{kind:?} {family}: nobody learns");
            }
            for size in [most + 1, largest, 2000, 3000] {
                let pings = ping(&["-c", "3", "-s", &size.to_string(), "-M", "dont"]);
                assert!(pings.all_answered(), "{kind:?} {family} {size}: {pings:?}");
            }
            // One byte too many, and the largest that leaves the host in one piece: the sender is told how much it may be.
            for size in [most + 1, largest] {
                let size = size.to_string();
                let words = [
                    "ping", "-I", &from, "-c", "1", "-i", "0.01", "-W", "2", "-M", "do", "-s", &size, &to,
                ];
                let captured = site.host_a.run_within(LIMIT, "pings", &words).unwrap();
                let said = captured.stdout + &captured.stderr;
                let figure = kind.mtu().to_string();
                assert!(said.contains(&figure), "{kind:?} {family} {size}: {said}");
            }
        }
    }
    site.assert_balanced();
    let counters = site.west.counters().unwrap();
    for kind in KINDS {
        let counted = counters.of(kind.name).unwrap();
        assert!(counted.rx_packets > 60 && counted.tx_packets > 60, "{counted:?}");
        assert_eq!(counted.encapsulated, counted.tx_packets);
        assert!(
            counted.fragmented >= 8,
            "IPv4 is cut before it goes in: {counted:?}"
        );
        assert!(counted.icmp_errors == 0, "{counted:?}");
    }
    let inside: u64 = KINDS
        .iter()
        .map(|kind| counters.of(kind.name).unwrap().rx_packets)
        .sum();
    assert_eq!(counters.of("w0").unwrap().decapsulated, inside);
    let told = counters.of("a0").unwrap();
    assert_eq!(told.drops["too_big"], told.icmp_errors, "{told:?}");
}

/// Who has answered the one ping that this was said of.
fn who_answered(stdout: &str) -> Option<String> {
    let said = stdout.lines().skip(1).find_map(|line| {
        let words = line.split_whitespace();
        words.skip_while(|word| !word.eq_ignore_ascii_case("from")).nth(1)
    });
    said.map(|address| address.strip_suffix(':').unwrap_or(address).to_owned())
}

#[test]
fn a_tunnel_is_one_hop_and_what_ends_in_it_is_told_through_it() {
    let site = Site::create();
    for family in Family::BOTH {
        for (number, kind) in KINDS.iter().enumerate() {
            site.warm_up(family, number);
            let (from, to) = (address(family, 1, number), address(family, 2, number));
            // By pings, as traceroute sometimes takes none of the answers that its host has received.
            let hops = ["1", "2", "3"].map(|ttl| {
                let words = ["ping", "-n", "-c", "1", "-W", "5", "-t", ttl, "-I", &from, &to];
                let captured = site.host_a.run_within(LIMIT, "asks for a hop", &words).unwrap();
                who_answered(&captured.stdout)
            });
            let way = family.choose(["192.168.1.1", "192.168.2.1"], ["2001:db8:1::1", "2001:db8:2::1"]);
            let expected = [way[0], way[1], &to].map(|hop| Some(hop.to_owned()));
            assert_eq!(hops, expected, "{family} by {}", kind.name);
            // The other gateway itself, by its address beyond.
            site.west.tell(&format!(
                "route replace {} dev {}",
                family.choose("192.168.2.1/32", "2001:db8:2::1/128"),
                kind.name
            ));
            let answered = (0..2).any(|_| {
                let words = ["-c", "1", "-W", "2", "-I", &from, "-s", "2500"];
                site.host_a.ping(way[1], &words, LIMIT).unwrap().all_answered()
            });
            assert!(answered, "the sender of IPv6 is told of the MTU once");
        }
    }
    site.assert_balanced();
}

#[test]
fn what_a_tunnel_cannot_send_is_counted_and_it_works_again_when_it_can() {
    let site = Site::create();
    site.warm_up(Family::Ip4, 0);
    let (from, to) = (address(Family::Ip4, 1, 0), address(Family::Ip4, 2, 0));
    let ping = |count: &str| {
        let words = ["-c", count, "-W", "0.3", "-i", "0.01", "-I", &from];
        site.host_a.ping(&to, &words, LIMIT).unwrap()
    };
    // One end is down: what comes is refused there, and what it would send has no route.
    let before = site.east.counters_at_rest().unwrap();
    site.east.tell("link set ip4 down");
    assert_eq!(ping("5").answered, 0);
    let counters = site.east.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("tunnel_down") - before.dropped("tunnel_down"), 5);
    site.east.tell("link set ip4 up");
    site.warm_up(Family::Ip4, 0);
    // The counters of what is deleted are, so this is the last time that they balance there.
    site.assert_balanced();
    // It goes: nobody there knows such packets.
    let before = site.east.counters_at_rest().unwrap();
    site.east.tell("tunnel del ip4");
    assert_eq!(ping("5").answered, 0);
    let counters = site.east.counters_at_rest().unwrap();
    assert_eq!(
        counters.dropped("tunnel_unknown") - before.dropped("tunnel_unknown"),
        5
    );
    // The other end hears that the protocol is not known there.
    let west = site.west.counters_at_rest().unwrap();
    assert!(west.dropped("tunnel_error") > 0, "{:?}", west.drops());
    site.east
        .tell("tunnel add ip4 mode ipip local 10.0.0.2 remote 10.0.0.1 unnumbered b0");
    site.east.tell(&format!("route add {from}/32 dev ip4"));
    site.warm_up(Family::Ip4, 0);
    // The sender's end is down.
    site.west.tell("link set ip4 down");
    assert_eq!(ping("3").answered, 0);
    site.west.tell("link set ip4 up");
    site.warm_up(Family::Ip4, 0);
    site.west.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_tunnel_that_leads_into_itself_ends_in_a_drop() {
    let site = Site::create();
    site.warm_up(Family::Ip4, 0);
    site.west.tell("route add 10.0.0.2/32 dev ip4");
    let before = site.west.counters_at_rest().unwrap();
    let (from, to) = (address(Family::Ip4, 1, 0), address(Family::Ip4, 2, 0));
    let pings = site
        .host_a
        .ping(&to, &["-c", "4", "-W", "0.3", "-i", "0.01", "-I", &from], LIMIT);
    assert_eq!(pings.unwrap().answered, 0);
    let counters = site.west.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.dropped("tunnel_loop") - before.dropped("tunnel_loop"), 4);
}

#[test]
fn tunnels_go_through_tunnels_but_not_for_ever() {
    let site = Site::create();
    site.warm_up(Family::Ip4, 0);
    // GRE over IPv6 goes by the tunnel over IPv4.
    let (from, to) = (address(Family::Ip4, 1, 4), address(Family::Ip4, 2, 4));
    site.west.tell("route add 2001:db8:f::2/128 dev ip4");
    site.east.tell("route add 2001:db8:f::1/128 dev ip4");
    let words = ["-c", "5", "-W", "2", "-i", "0.01", "-I", &from];
    wait_until("that pings go through both", LIMIT, || {
        let pings = site.host_a.ping(&to, &words, LIMIT)?;
        Ok(pings.all_answered().then_some(()))
    })
    .unwrap();
    let long = ["-c", "12", "-W", "1", "-i", "0.1", "-I", &from, "-s", "1428"];
    let pings = site.host_a.ping(&to, &long, LIMIT).unwrap();
    assert!(
        pings.answered >= 6,
        "the inner tunnel learns how much the outer one takes: {pings:?}"
    );
    site.assert_balanced();
    let counters = site.west.counters().unwrap();
    assert!(counters.of("ip4").unwrap().tx_packets >= counters.of("gre6").unwrap().tx_packets);
}

#[test]
fn tcp_keeps_going_through_a_tunnel_of_several_workers() {
    let site = Site::with_workers(2);
    for (family, number) in [(Family::Ip4, 0), (Family::Ip6, 5)] {
        site.warm_up(family, number);
        let (from, to) = (address(family, 1, number), address(family, 2, number));
        let mut server = site
            .host_b
            .process("receives TCP", "iperf3")
            .args(["-s", "-1", "--forceflush"])
            .start()
            .unwrap();
        server
            .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
            .unwrap();
        let words = ["iperf3", "-c", &to, "-B", &from, "-t", "3", "-i", "1", "--json"];
        let captured = site.host_a.run_within(LIMIT, "sends TCP", &words).unwrap();
        let report = captured.success().unwrap().json().unwrap();
        let seconds = report["intervals"].as_array().unwrap();
        assert!(seconds.len() >= 3, "{report}");
        for second in &seconds[..3] {
            assert!(second["sum"]["bytes"].as_f64() > Some(100_000.0), "{report}");
        }
    }
    site.assert_balanced();
}

#[test]
fn captures_and_traces_see_what_is_inside_at_the_tunnel_and_the_outer_packets_at_the_port() {
    let site = Site::create();
    site.warm_up(Family::Ip4, 3);
    let (from, to) = (address(Family::Ip4, 1, 3), address(Family::Ip4, 2, 3));
    let capture = |interface: &str, filter: &str| {
        let words = ["-i", interface, "-c", "4", "-f", filter];
        let mut process = site.west.pdump(&words).unwrap().start().unwrap();
        process
            .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
            .unwrap();
        process
    };
    let ping = || {
        let words = ["-c", "2", "-i", "0.1", "-I", &from];
        site.host_a
            .ping(&to, &words, LIMIT)
            .unwrap()
            .assert_all_answered();
    };
    let mut inside = capture("key4", "icmp");
    let mut outside = capture("w0", "proto 47");
    site.west.tell("trace start -n 2 -i key4");
    ping();
    for (process, address) in [(&mut inside, &to), (&mut outside, &"10.0.0.2".to_owned())] {
        assert!(process.wait(LIMIT).unwrap().success());
        let lines = process.stdout();
        let with_it = lines.lines().filter(|line| line.contains(address.as_str()));
        assert_eq!(with_it.count(), 4, "{lines}");
    }
    let traces = site.west.ctl_json(&["trace", "show"]).unwrap();
    let traces = traces.as_array().unwrap();
    assert!(
        traces.len() == 2 && traces.iter().all(|trace| trace["interface"] == "key4"),
        "what came out of it: {traces:?}"
    );
    site.west.tell("trace start -n 1 -i w0 -f ip[9]==47");
    ping();
    let traces = site.west.ctl_json(&["trace", "show"]).unwrap();
    // What was inside is followed on to where it leaves.
    let outer = ["rx", "ethernet", "ip4_input", "lookup", "local4", "decapsulated"];
    let inner = ["rx", "ethernet", "ip4_input", "lookup", "rewrite", "tx"];
    assert_eq!(stages(&traces[0]), [outer, inner].concat(), "{traces}");
    assert_eq!(traces[0]["stages"][5]["tunnel"], "key4");
    assert_eq!(traces[0]["stages"][6]["interface"], "key4");
    assert_eq!(traces[0]["stages"][11]["interface"], "a0");
    // And so is the outer packet of what goes in.
    site.west.tell("trace start -n 1 -i a0 -f icmp");
    ping();
    let traces = site.west.ctl_json(&["trace", "show"]).unwrap();
    let outer = ["encapsulated", "ethernet", "ip4_input", "lookup", "rewrite", "tx"];
    assert_eq!(stages(&traces[0]), [inner, outer].concat(), "{traces}");
    assert_eq!(traces[0]["stages"][6]["tunnel"], "key4");
    assert_eq!(traces[0]["stages"][11]["interface"], "w0");
}

fn stages(trace: &serde_json::Value) -> Vec<&str> {
    let stages = trace["stages"].as_array().unwrap().iter();
    stages.map(|stage| stage["stage"].as_str().unwrap()).collect()
}

//! Traces of packets that go through a protected tunnel: until the outer packet has left, or what was inside of it.

use serde_json::{Value, json};
use tests::{Family, Primary, wait_until};

use crate::scapy::{Peer, sends};
use crate::site::{LIMIT, Site, TUNNEL, host_address};

/// The traces, once there are so many.
fn traces(primary: &Primary, count: usize) -> Vec<Value> {
    wait_until("the packets are traced", LIMIT, || {
        let traces = primary.ctl_json(&["trace", "show"])?;
        Ok(traces.as_array().cloned().filter(|traces| traces.len() >= count))
    })
    .unwrap()
}

fn stages(trace: &Value) -> Vec<&str> {
    let stages = trace["stages"].as_array().unwrap().iter();
    stages.map(|stage| stage["stage"].as_str().unwrap()).collect()
}

/// What a trace says of its first stage of this name, without times.
fn stage(trace: &Value, name: &str) -> Value {
    let mut stages = trace["stages"].as_array().unwrap().iter();
    let mut found = stages.find(|stage| stage["stage"] == name).cloned().unwrap();
    let fields = found.as_object_mut().unwrap();
    fields.retain(|name, _| name != "stage" && name != "offset_ns");
    found
}

fn last(trace: &Value) -> &Value {
    trace["stages"].as_array().unwrap().last().unwrap()
}

/// The last stage of this name.
fn last_of<'t>(trace: &'t Value, name: &str) -> &'t Value {
    let stages = trace["stages"].as_array().unwrap().iter();
    stages.rev().find(|stage| stage["stage"] == name).unwrap()
}

/// The last number of the SA with this SPI.
fn number_of(primary: &Primary, spi: u32) -> u64 {
    let sas = primary.ctl_json(&["sa", "show"]).unwrap();
    let sas = sas.as_array().unwrap();
    let sa = sas.iter().find(|sa| sa["spi"] == spi).unwrap();
    sa["sequence"].as_u64().unwrap()
}

#[test]
fn a_ping_is_followed_into_the_tunnel_and_its_reply_out_of_it() {
    for workers in [1, 2] {
        let site = Site::create(Family::Ip4, workers);
        site.protect("aes256gcm16", "esn");
        site.warm_up(Family::Ip4);
        let [out, back] = [0x1001, 0x1002].map(|spi| number_of(&site.west, spi));
        site.west.tell("trace start -n 20 -f ip[9]==1||ip[9]==50");
        site.east.tell("trace start -n 4 -i e0 -f ip[9]==50");
        let words = ["-c", "4", "-i", "0.02", "-W", "2"];
        let pings = site
            .host_a
            .ping(&host_address(Family::Ip4, 2), &words, LIMIT)
            .unwrap();
        pings.assert_all_answered();
        // What came out of the tunnel is not traced once more, though it matches.
        let traces = self::traces(&site.west, 8);
        assert_eq!(traces.len(), 8, "{traces:?}");
        let (requests, replies): (Vec<_>, Vec<_>) =
            traces.iter().partition(|trace| trace["interface"] == "a0");
        assert_eq!((requests.len(), replies.len()), (4, 4), "{traces:?}");
        for (number, trace) in (1..).zip(requests) {
            let inner = ["rx", "ethernet", "ip4_input", "lookup", "rewrite", "tx"];
            let outer = ["encapsulated", "ethernet", "ip4_input", "lookup", "rewrite", "tx"];
            assert_eq!(stages(trace), [inner, outer].concat(), "{trace}");
            assert_eq!(stage(trace, "tx"), json!({ "interface": TUNNEL }));
            let sealed = stage(trace, "encapsulated");
            // 84 bytes of the ping, 20 of IPv4, 8 of ESP, 8 of IV, 2 of padding and 2 of trailer, 16 of ICV behind 14 of Ethernet.
            let expected = json!({
                "tunnel": TUNNEL, "spi": 0x1001, "sequence": out + number, "transform": "aes256gcm16",
                "outcome": "sealed", "length": 154,
            });
            assert_eq!(sealed, expected, "{trace}");
            assert_eq!(last(trace)["interface"], "w0", "{trace}");
            assert_eq!(last_of(trace, "ip4_input")["protocol"], 50, "{trace}");
            assert_eq!(last_of(trace, "lookup")["next_hop"], "10.0.0.2", "{trace}");
        }
        // With several workers the one that received it has not both SAs: one of them is another's.
        let beyond = self::traces(&site.east, 4);
        for (number, trace) in (1..).zip(&beyond) {
            let released = stage(trace, "released");
            assert_eq!(
                (&released["spi"], &released["sequence"], &released["outcome"]),
                (&json!(0x1001), &json!(out + number), &json!("opened")),
                "{trace}"
            );
            assert_eq!(last(trace)["interface"], "b0", "{trace}");
        }
        for (number, trace) in (1..).zip(replies) {
            let outer = ["rx", "ethernet", "ip4_input", "lookup", "local4", "waiting"];
            let opened = ["released", "decapsulated"];
            let inner = ["rx", "ethernet", "ip4_input", "lookup", "rewrite", "tx"];
            assert_eq!(stages(trace), [&outer[..], &opened, &inner].concat(), "{trace}");
            let expected = json!({
                "tunnel": TUNNEL, "spi": 0x1002, "sequence": back + number, "transform": "aes256gcm16",
                "outcome": "opened", "length": 98,
            });
            assert_eq!(stage(trace, "released"), expected, "{trace}");
            assert_eq!(last_of(trace, "rx")["interface"], TUNNEL, "{trace}");
            assert_eq!(last(trace)["interface"], "a0", "{trace}");
            let offsets = trace["stages"].as_array().unwrap().iter();
            let offsets: Vec<_> = offsets
                .map(|stage| stage["offset_ns"].as_u64().unwrap())
                .collect();
            assert!(offsets.is_sorted(), "{trace}");
        }
        site.assert_balanced();
    }
}

#[test]
fn a_trace_says_which_sa_did_not_open_a_packet_and_why() {
    let peer = Peer::create();
    let number = 2;
    let selectors = "window 64 sel src 10.2.0.0/16 dst 198.51.100.0/24";
    peer.install(Family::Ip4, number, 0x4000, "", selectors);
    let inner = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'inside'";
    let seal = |words: &str| format!("seal({inner}, {words})");
    peer.primary.tell("trace start -n 7 -f ip[9]==50");
    let packets = [
        seal("100"),
        seal("101, flip=-1"),
        seal("100"),
        seal("36"),
        seal("102, cut=20"),
        "seal(IP(src='10.3.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9), 103)".to_owned(),
        seal("104, spi=0x5000"),
    ];
    peer.does(&[sends(number, 0x4000, &packets)]);
    let traces = traces(&peer.primary, packets.len());
    let outcomes = [
        (100, "opened", "local_unhandled"),
        (101, "esp_icv", "esp_icv"),
        (100, "esp_replayed", "esp_replayed"),
        (36, "esp_old", "esp_old"),
        (102, "esp_malformed", "esp_malformed"),
        (103, "esp_selector", "esp_selector"),
    ];
    // Those of one burst whose way ends sooner are over sooner, and traces come in that order.
    let find = |is_it: &dyn Fn(&Value) -> bool| traces.iter().find(|trace| is_it(trace)).unwrap();
    for (sequence, outcome, dropped) in outcomes {
        let is_it = |trace: &Value| {
            stages(trace).contains(&"released") && {
                let released = stage(trace, "released");
                released["sequence"] == sequence && released["outcome"] == outcome
            }
        };
        let trace = find(&is_it);
        let released = stage(trace, "released");
        assert_eq!(
            (&released["tunnel"], &released["spi"]),
            (&json!("four2"), &json!(0x4000)),
            "{trace}"
        );
        assert_eq!(last(trace)["dropped"], dropped, "{trace}");
        let is_shown = stages(trace).contains(&"decapsulated");
        assert_eq!(is_shown, outcome == "opened", "{trace}");
    }
    let unknown = find(&|trace| last(trace)["dropped"] == "esp_spi");
    assert!(!stages(unknown).contains(&"released"), "{unknown}");
    let text = peer.primary.tell("trace");
    let line = "tunnel four2, spi 0x4000, sequence 101, transform aes256gcm16, outcome esp_icv";
    assert!(text.contains(line), "{text}");
    peer.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_trace_says_which_sa_did_not_seal_a_packet_and_why() {
    let site = Site::create(Family::Ip4, 1);
    site.protect("aes256gcm16", "sel src 192.168.7.0/24 dst 192.168.0.0/16");
    site.west.tell("trace start -n 1 -i a0 -f icmp");
    let words = ["-c", "1", "-W", "0.2"];
    let pings = site
        .host_a
        .ping(&host_address(Family::Ip4, 2), &words, LIMIT)
        .unwrap();
    assert_eq!(pings.answered, 0);
    let traced = traces(&site.west, 1);
    let sealed = stage(&traced[0], "encapsulated");
    assert_eq!(
        (&sealed["spi"], &sealed["sequence"], &sealed["outcome"]),
        (&json!(0x1001), &Value::Null, &json!("esp_selector")),
        "{traced:?}"
    );
    assert_eq!(last(&traced[0])["dropped"], "esp_selector", "{traced:?}");
    site.assert_balanced();
}

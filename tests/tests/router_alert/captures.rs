//! Captures where the relay gets packets and where it gives them back, and traces of the way there and back.

use tests::{Process, Recorded, read_pcapng};

use crate::{
    ALERT6, ETHERNET, HEADERS6, HOP_LIMIT, LIMIT, Stage, TCP6, TEXT, ended, hex, is_far6, packet6, rule,
};

const PUNT: &str = "a0:punt";
const REINJECT: &str = "a0:reinject";

impl Stage {
    /// A capture of packets to the far host at these points, once it is at work.
    fn capture(&self, points: &[&str]) -> Process {
        let file = self.primary.config_path().with_file_name("points.pcapng");
        let mut words = vec!["-f", "ip6 dst net 2404:6800::/32"];
        words.extend(points.iter().flat_map(|point| ["--point", *point]));
        let mut process = self
            .primary
            .pdump(&words)
            .unwrap()
            .arg("-w")
            .arg(&file)
            .start()
            .unwrap();
        process
            .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
            .unwrap();
        process
    }

    /// Ends a capture; what it saw.
    fn captured(&self, mut process: Process) -> Vec<Recorded> {
        assert!(process.terminate().unwrap().success(), "{}", process.stderr());
        read_pcapng(&self.primary.config_path().with_file_name("points.pcapng")).unwrap()
    }
}

/// Where each packet was seen, and its bytes from the IP header on.
fn seen(packets: &[Recorded]) -> Vec<(&str, String)> {
    let packets = packets.iter();
    packets
        .map(|packet| (packet.interface.as_str(), hex(&packet.data[ETHERNET..])))
        .collect()
}

#[test]
fn a_packet_is_seen_before_and_behind_the_relay_with_its_hops_not_yet_counted_down() {
    let mut stage = Stage::set("open");
    let relay = stage.relay(&rule("5", "\"strip\"\nstrip = \"remove\""), &[]);
    let capture = stage.capture(&["rx", "tx", "punt", "reinject"]);
    stage.send(&packet6());
    stage.arrives(is_far6);
    // It has no alert, and goes by the relay.
    let plain = ["60000000007a06ff", &HEADERS6[16..], TCP6, &hex(TEXT.as_bytes())].concat();
    stage.send_made(&format!("Raw(bytes.fromhex('{plain}'))"), 6);
    // As what is left of the first one.
    let both = || Ok((stage.arrived() == 2).then_some(()));
    tests::wait_until("both packets", LIMIT, both).unwrap();
    let captured = stage.captured(capture);
    let (came, stripped) = (hex(&packet6()), plain.clone());
    let left = stripped.replacen("06ff", "06fe", 1);
    let expected = [
        ("a0", came.clone()),
        (PUNT, came),
        (REINJECT, stripped),
        ("b0", left.clone()),
        ("a0", plain),
        ("b0", left),
    ];
    assert_eq!(seen(&captured), expected);
    assert!(captured.is_sorted_by_key(|packet| packet.time));
    ended(relay);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn only_what_was_asked_for_is_seen_and_what_goes_by_a_relay_that_is_gone_is_not() {
    let mut stage = Stage::set("open");
    let capture = stage.capture(&["punt", "reinject"]);
    stage.send(&packet6());
    stage.arrives(is_far6);
    let relay = stage.relay(&rule("5", "\"relay\""), &[]);
    stage.send(&packet6());
    let two = || Ok((stage.arrived() == 2).then_some(()));
    tests::wait_until("the other packet", LIMIT, two).unwrap();
    let captured = stage.captured(capture);
    let places: Vec<_> = captured.iter().map(|packet| packet.interface.as_str()).collect();
    assert_eq!(places, [PUNT, REINJECT]);
    for packet in &captured {
        assert_eq!(packet.data[ETHERNET + HOP_LIMIT], 0xff);
        assert!(hex(&packet.data).contains(ALERT6));
    }

    assert!(captured[0].time < captured[1].time);
    ended(relay);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_traced_packet_shows_its_way_to_the_relay_and_back_in_one_record() {
    let mut stage = Stage::set("open");
    let relay = stage.relay(&rule("5", "\"strip\"\nstrip = \"remove\""), &[]);
    let start = ["trace", "start", "-n", "2", "-f", "ip6 dst net 2404:6800::/32"];
    // Its neighbour is known before.
    stage.send(&packet6());
    stage.arrives(is_far6);
    stage.primary.ctl(&start).unwrap().success().unwrap();
    stage.send(&packet6());
    let two = || Ok((stage.arrived() == 2).then_some(()));
    tests::wait_until("the traced packet", LIMIT, two).unwrap();
    ended(relay);
    let relay = stage.relay(&rule("5", "\"drop\""), &[]);
    stage.send(&packet6());
    stage.drops("punt_dropped", 1);
    let traces = || {
        let traces = stage.primary.ctl_json(&["trace", "show"])?;
        Ok((traces.as_array().map(Vec::len) == Some(2)).then_some(traces))
    };
    let traces = tests::wait_until("both traces", LIMIT, traces).unwrap();
    let names = |number: usize| -> Vec<String> {
        let stages = traces[number]["stages"].as_array().unwrap().iter();
        stages
            .map(|stage| stage["stage"].as_str().unwrap().to_owned())
            .collect()
    };
    let there = [
        "rx",
        "ethernet",
        "ip6_input",
        "ip6_options",
        "punt",
        "tool",
        "from_tool",
    ];
    let back = ["ethernet", "ip6_input", "lookup", "rewrite", "tx"];
    assert_eq!(names(0), [&there[..], &back].concat(), "{traces}");
    assert_eq!(names(1), [&there[..], &["drop"]].concat(), "{traces}");
    let (given, came) = (&traces[0]["stages"][5], &traces[0]["stages"][6]);
    assert_eq!(
        (&given["class"], &came["verdict"]),
        (&"router_alert".into(), &"replace".into())
    );
    let offset = |stage: &serde_json::Value| stage["offset_ns"].as_u64().unwrap();
    assert_eq!(
        came["waited_ns"].as_u64(),
        Some(offset(came) - offset(given)),
        "{traces}"
    );
    // The relay has taken the option out.
    let lengths = [2, 8].map(|number| traces[0]["stages"][number]["payload_length"].as_u64());
    assert_eq!(lengths, [Some(130), Some(122)]);
    assert_eq!(traces[0]["stages"][11]["interface"], "b0");
    assert_eq!(traces[1]["stages"][7]["dropped"], "punt_dropped");
    // Behind the link header, with one hop less.
    assert_eq!(&traces[0]["sent"].as_str().unwrap()[28..44], "60000000007a06fe");
    ended(relay);
    stage.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_traced_packet_that_no_relay_answers_about_ends_by_the_deadline_or_goes_on() {
    for (fail, verdict) in [("open", "forward"), ("closed", "drop")] {
        let stage = Stage::set(fail);
        let mut relay = stage.relay(&rule("5", "\"log\""), &[]);
        let start = ["trace", "start", "-n", "1", "-f", "ip6 dst net 2404:6800::/32"];
        stage.primary.ctl(&start).unwrap().success().unwrap();
        relay.signal(nix::sys::signal::Signal::SIGSTOP);
        stage.send(&packet6());
        let trace = || {
            let traces = stage.primary.ctl_json(&["trace", "show"])?;
            Ok(traces.get(0).cloned())
        };
        let trace = tests::wait_until("the trace", LIMIT, trace).unwrap();
        assert_eq!(trace["stages"][6]["verdict"], verdict, "{trace}");
        // Its deadline is a second.
        assert!(
            trace["stages"][6]["waited_ns"].as_u64().unwrap() > 900_000_000,
            "{trace}"
        );
        relay.signal(nix::sys::signal::Signal::SIGCONT);
        ended(relay);
        stage.primary.counters_at_rest().unwrap().assert_balanced();
    }
}

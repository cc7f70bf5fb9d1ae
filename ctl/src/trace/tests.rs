use std::net::Ipv4Addr;

use control::message::{PuntClass, TraceEnd, TraceLookup, TraceStep, TraceTool, TraceVerdict};
use packet::{MacAddress, PacketBuilder};
use shm::PathStage;

use super::*;

const A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const B: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);

fn trace(stages: &[PathStage], end: TraceEnd) -> Trace {
    let frame = |source: u8, ttl| {
        PacketBuilder::ethernet(
            MacAddress([2, 0, 0, 0, 0, source + 1]),
            MacAddress([2, 0, 0, 0, 0, source]),
        )
        .ipv4(A, B)
        .ttl(ttl)
        .identification(7)
        .dont_fragment()
        .echo_request(1, 2, &[0; 8])
    };
    Trace {
        number: 1,
        worker: 0,
        interface: "wan".into(),
        time_ns: 1_795_264_496_123_456_789,
        length: 50,
        received: frame(1, 64),
        sent: frame(3, 63),
        steps: stages
            .iter()
            .zip(0..)
            .map(|(stage, number)| TraceStep {
                stage: *stage as u8,
                offset_ns: number * 100,
            })
            .collect(),
        lookup: Some(TraceLookup {
            adjacency: 5,
            kind: "forward".into(),
            interface: Some("lan".into()),
            next_hop: Some(B.into()),
            mac: Some(MacAddress([2, 0, 0, 0, 0, 4])),
        }),
        tool: None,
        end,
    }
}

const FORWARDED: [PathStage; 6] = [
    PathStage::Rx,
    PathStage::Ethernet,
    PathStage::Ip4Input,
    PathStage::Lookup,
    PathStage::Rewrite,
    PathStage::Tx,
];

#[test]
fn a_forwarded_packet_has_a_line_for_each_stage_and_ends_with_its_interface() {
    let expected = "\
packet 1 at 2026-11-21T12:34:56.123456789Z: 192.168.1.2 > 192.168.2.2: icmp echo request, id 1, seq 2, length 50
         0 ns  rx           interface wan, length 50, worker 0
       100 ns  ethernet     source 02:00:00:00:00:01, destination 02:00:00:00:00:02, ethertype 0x0800
       200 ns  ip4_input    source 192.168.1.2, destination 192.168.2.2, protocol 1, ttl 64, length 36, id 7, traffic class 0, dont fragment
       300 ns  lookup       adjacency 5, kind forward, next hop 192.168.2.2, interface lan, mac 02:00:00:00:00:04
       400 ns  rewrite      source 02:00:00:00:00:03, destination 02:00:00:00:00:04, ttl 63
       500 ns  tx           interface lan

";
    assert_eq!(text(&trace(&FORWARDED, TraceEnd::Sent("lan".into()))), expected);
}

#[test]
fn the_last_line_says_what_became_of_the_packet() {
    let last = |stages: &[PathStage], end| {
        let text = text(&trace(stages, end));
        let line = text.trim_end().lines().last().unwrap_or_default();
        line.split_once("ns  ").map(|(_, rest)| rest.to_owned())
    };
    let looked_up = |last| [PathStage::Rx, PathStage::Ethernet, PathStage::Lookup, last];
    let dropped = |answered| TraceEnd::Dropped {
        reason: "no_route".into(),
        answered,
    };
    let waits = TraceEnd::Waits {
        next_hop: Some(B.into()),
        interface: "lan".into(),
    };
    for (stages, end, expected) in [
        (
            looked_up(PathStage::Drop),
            dropped(false),
            "drop         dropped no_route",
        ),
        (
            looked_up(PathStage::Tx),
            dropped(true),
            "tx           dropped no_route, icmp error sent, interface wan",
        ),
        (
            looked_up(PathStage::Waiting),
            waits,
            "waiting      for 192.168.2.2, on lan",
        ),
    ] {
        assert_eq!(last(&stages, end).as_deref(), Some(expected));
    }
}

#[test]
fn the_json_form_has_the_same_fields() {
    let object = object(&trace(&FORWARDED, TraceEnd::Sent("lan".into())));
    assert_eq!(object["stages"][2]["ttl"], 64);
    assert_eq!(object["stages"][2]["dont_fragment"], true);
    assert_eq!(object["stages"][4]["ttl"], 63);
    assert_eq!(
        object["stages"][5],
        serde_json::json!({"stage": "tx", "offset_ns": 500, "interface": "lan"})
    );
    assert!(
        object["received"]
            .as_str()
            .is_some_and(|hex| hex.starts_with("020000000002"))
    );
}

#[test]
fn whatever_the_bytes_are_there_is_a_line_per_stage() {
    for length in 0..60 {
        let mut trace = trace(&FORWARDED, TraceEnd::Sent("lan".into()));
        trace.received.truncate(length);
        trace.sent.truncate(length);
        assert_eq!(text(&trace).trim_end().lines().count(), 7);
    }
}

#[test]
fn a_wrong_filter_is_wrong_usage_and_pointed_at() {
    let start = StartArguments {
        count: 1,
        filter: "tcp prot 80".into(),
        interface: vec![],
    };
    assert!(matches!(start.request(), Err(Failure::Usage(text)) if text.contains('^')));
}

#[test]
fn a_packet_that_was_with_a_tool_has_its_verdict_its_wait_and_what_came_back() {
    use PathStage::*;
    let stages = [
        &[Rx, Ethernet, Ip4Input, Ip4Options, Punt, Tool, FromTool][..],
        &FORWARDED[1..],
    ];
    let mut trace = trace(&stages.concat(), TraceEnd::Sent("lan".into()));
    trace.tool = Some(TraceTool {
        class: PuntClass::RouterAlert,
        verdict: TraceVerdict::Replace,
        bytes: PacketBuilder::ethernet(MacAddress([2, 0, 0, 0, 0, 2]), MacAddress([2, 0, 0, 0, 0, 1]))
            .ipv4(A, B)
            .ttl(64)
            .echo_request(1, 2, &[0; 4]),
    });
    let object = object(&trace);
    let stage = |number: usize| &object["stages"][number];
    assert_eq!(
        stage(5),
        &json!({ "stage": "tool", "offset_ns": 500, "class": "router_alert" })
    );
    let back = json!({ "stage": "from_tool", "offset_ns": 600, "verdict": "replace", "waited_ns": 100 });
    assert_eq!(stage(6), &back);
    assert_eq!(
        (&stage(2)["length"], &stage(8)["length"]),
        (&36.into(), &32.into())
    );
    let text = text(&trace);
    let line = "       600 ns  from_tool    verdict replace, waited ns 100\n";
    assert!(text.contains(line), "{text}");
}

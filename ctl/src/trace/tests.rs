use std::net::Ipv4Addr;

use control::message::{
    PuntClass, TraceEnd, TraceLeg, TraceLookup, TraceSa, TraceStep, TraceTool, TraceVerdict,
};
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
    let leg = TraceLeg {
        interface: "wan".into(),
        length: 50,
        sa: None,
        received: frame(1, 64),
        sent: frame(3, 63),
        steps: steps(stages, 0),
        lookup: Some(TraceLookup {
            adjacency: 5,
            kind: "forward".into(),
            interface: Some("lan".into()),
            next_hop: Some(B.into()),
            mac: Some(MacAddress([2, 0, 0, 0, 0, 4])),
        }),
        tool: None,
        end,
    };
    Trace {
        number: 1,
        worker: 0,
        time_ns: 1_795_264_496_123_456_789,
        legs: vec![leg],
    }
}

/// Each 100 ns after the one before.
fn steps(stages: &[PathStage], first: u32) -> Vec<TraceStep> {
    let steps = stages.iter().zip(0..).map(|(stage, number)| TraceStep {
        stage: *stage as u8,
        offset_ns: first + number * 100,
    });
    steps.collect()
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
packet 1 at 2026-11-21T12:34:56.123456789Z: IP 192.168.1.2 > 192.168.2.2: ICMP echo request, id 1, seq 2, length 16
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
        trace.legs[0].received.truncate(length);
        trace.legs[0].sent.truncate(length);
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
    trace.legs[0].tool = Some(TraceTool {
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

/// As an SA has made it, out of what the first leg was.
fn protected(interface: &str, stages: &[PathStage], refused: Option<&str>, end: TraceEnd) -> TraceLeg {
    TraceLeg {
        interface: interface.into(),
        length: 134,
        sa: Some(TraceSa {
            spi: 0x1001,
            sequence: Some(7),
            transform: "aes256gcm16".into(),
            refused: refused.map(str::to_owned),
        }),
        steps: steps(stages, 600),
        end,
        ..trace(&[], TraceEnd::Control).legs.remove(0)
    }
}

#[test]
fn a_packet_that_an_sa_seals_is_shown_until_its_outer_packet_has_left() {
    let mut trace = trace(&FORWARDED, TraceEnd::Sent("ipsec0".into()));
    let stages = [PathStage::Encapsulated, PathStage::Lookup, PathStage::Tx];
    let outer = protected("ipsec0", &stages, None, TraceEnd::Sent("wan".into()));
    trace.legs.push(outer);
    let text = text(&trace);
    let expected = "
       500 ns  tx           interface ipsec0
       600 ns  encapsulated  tunnel ipsec0, spi 0x1001, sequence 7, transform aes256gcm16, outcome sealed, length 134
       700 ns  lookup       adjacency 5, kind forward, next hop 192.168.2.2, interface lan, mac 02:00:00:00:00:04
       800 ns  tx           interface wan
";
    assert!(text.contains(expected), "{text}");
    let object = object(&trace);
    assert_eq!(
        object["stages"][6],
        json!({
            "stage": "encapsulated", "offset_ns": 600, "tunnel": "ipsec0", "spi": 0x1001, "sequence": 7,
            "transform": "aes256gcm16", "outcome": "sealed", "length": 134,
        })
    );
}

#[test]
fn a_packet_that_an_sa_does_not_open_says_which_and_why() {
    let mut trace = trace(&[PathStage::Rx, PathStage::Waiting], TraceEnd::WaitsForBurst);
    let dropped = TraceEnd::Dropped {
        reason: "esp_icv".into(),
        answered: false,
    };
    let stages = [PathStage::Released, PathStage::Drop];
    trace
        .legs
        .push(protected("ipsec0", &stages, Some("esp_icv"), dropped));
    let text = text(&trace);
    let expected = "
       100 ns  waiting      for the burst of its SA
       600 ns  released     tunnel ipsec0, spi 0x1001, sequence 7, transform aes256gcm16, outcome esp_icv
       700 ns  drop         dropped esp_icv
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_a_service_has_made_of_a_packet_is_shown_where_it_leaves_at_once() {
    let stages = [PathStage::Rx, PathStage::Service, PathStage::Tx];
    let mut trace = trace(&stages, TraceEnd::Sent("lan".into()));
    let mac = MacAddress([2, 0, 0, 0, 0, 3]);
    trace.legs[0].sent = PacketBuilder::ethernet(mac, mac).ipv4(B, A).udp(1, 2, b"x");
    let text = text(&trace);
    let expected = "
       100 ns  service      source 192.168.2.2, destination 192.168.1.2
       200 ns  tx           interface lan
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_a_service_has_made_of_a_packet_is_followed_through_the_stages() {
    let mut trace = trace(&[PathStage::Rx], TraceEnd::Translated);
    let mac = MacAddress([2, 0, 0, 0, 0, 3]);
    trace.legs.push(TraceLeg {
        received: PacketBuilder::ethernet(mac, mac).ipv4(B, A).udp(1, 2, b"x"),
        sent: Vec::new(),
        steps: steps(&[PathStage::Service, PathStage::Ip4Input, PathStage::Drop], 600),
        end: TraceEnd::Dropped {
            reason: "no_route".into(),
            answered: false,
        },
        ..trace.legs[0].clone()
    });
    let text = text(&trace);
    let expected = "
         0 ns  rx           interface wan, length 50, worker 0
       600 ns  service      source 192.168.2.2, destination 192.168.1.2
       700 ns  ip4_input    source 192.168.2.2, destination 192.168.1.2, protocol 17, ";
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("drop         dropped no_route\n\n"), "{text}");
}

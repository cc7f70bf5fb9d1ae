//! DF, DSCP and ECN around what goes into a protected tunnel, and of what comes out of one: RFC 4301 section 5.1.2, RFC 6040.

use serde_json::{Value, json};
use tests::Family;

use crate::scapy::{Peer, case, inside, tunnel};

/// Behind no tunnel.
const OUTSIDE: [&str; 2] = ["198.51.100.2", "2001:db8:7::2"];
/// DSCP of packets inside, where it stands in a traffic class.
const INNER_DSCP: u8 = 46 << 2;
/// Not-ECT, ECT(1), ECT(0), CE.
const ECN: [u8; 4] = [0, 1, 2, 3];

/// ESP in tunnel mode, and GRE in transport mode: number of the tunnel, what it becomes, and what scapy is told of it.
const KINDS: [(usize, &str, Option<&str>); 2] = [(2, "", None), (3, "mode gre protected on", Some("gre"))];

fn of_kind(mut case: Value, kind: Option<&str>) -> Value {
    if let Some(inside) = kind {
        case["inside"] = json!(inside);
    }
    case
}

/// With SAs in place: SPIs are those that scapy sends by, and the next for what it gets.
fn protect(peer: &Peer, over: Family, (number, words, kind): (usize, &str, Option<&str>), spi: u32) {
    if !words.is_empty() {
        peer.primary
            .tell(&format!("tunnel set {} {words}", tunnel(over, number)));
    }
    peer.install(
        over,
        number,
        spi,
        if kind.is_some() { "mode transport" } else { "" },
        "",
    );
}

/// A packet of either family that routers may cut or not: by the DF bit of IPv4, by length for IPv6, since each link takes 1280 bytes of that.
fn packet([source, destination]: [&str; 2], traffic_class: u8, may_be_cut: bool) -> String {
    let ends = format!("src='{source}', dst='{destination}'");
    let header = if source.contains(':') {
        format!("IPv6({ends}, tc={traffic_class})")
    } else {
        let flags = if may_be_cut { "0" } else { "'DF'" };
        format!("IP({ends}, tos={traffic_class}, flags={flags}, id=7)")
    };
    let bytes = if may_be_cut { 100 } else { 1300 };
    format!("{header}/UDP(sport=1, dport=9)/(b'x' * {bytes})")
}

#[test]
fn outer_df_dscp_and_ecn_are_copied_or_set_as_the_tunnel_has_it() {
    let peer = Peer::create();
    for over in Family::BOTH {
        for (at, kind) in KINDS.into_iter().enumerate() {
            let (number, _, inside_of) = kind;
            let spi = over.choose(0x6000, 0x6100) + 16 * at as u32;
            protect(&peer, over, kind, spi);
            for (df, dscp) in [
                ("copy", "copy"),
                ("set", "10"),
                ("clear", "copy"),
                ("copy", "0"),
                ("set", "copy"),
            ] {
                // There is no such bit in IPv6.
                let df_words = over.choose(format!("df {df}"), String::new());
                let name = tunnel(over, number);
                peer.primary
                    .tell(&format!("tunnel set {name} {df_words} dscp {dscp}"));
                let mut packets = Vec::new();
                for (family, source) in Family::BOTH.into_iter().zip(OUTSIDE) {
                    let target = inside(over, number, family);
                    for (ecn, may_be_cut) in ECN.into_iter().flat_map(|ecn| [(ecn, true), (ecn, false)]) {
                        let class = dscp.parse().map_or(INNER_DSCP, |dscp: u8| dscp << 2) | ecn;
                        let is_set = match df {
                            "copy" => !may_be_cut,
                            _ => df == "set",
                        };
                        let flags = over.choose(Some(if is_set { "DF" } else { "" }), None);
                        let sent = packet([source, &target], INNER_DSCP | ecn, may_be_cut);
                        packets.push(json!([sent, class, flags]));
                    }
                }
                let mut case = of_kind(case(over, number, spi + 1, "carries"), inside_of);
                case["packets"] = json!(packets);
                peer.does(&[case]);
            }
        }
    }
    peer.primary.counters_at_rest().unwrap().assert_balanced();
}

/// What RFC 6040 section 4.2 makes of the ECN of a packet inside and of the one around it; nothing where the packet is dropped.
fn decapsulated(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (0, 3) => None,
        (0, _) => Some(0),
        (_, 3) => Some(3),
        (2, 1) => Some(1),
        _ => Some(inner),
    }
}

#[test]
fn congestion_on_the_way_is_told_inside_or_the_packet_is_dropped_and_dscp_is_the_inner_one() {
    let peer = Peer::create();
    for over in Family::BOTH {
        for (at, kind) in KINDS.into_iter().enumerate() {
            let (number, _, inside_of) = kind;
            let spi = over.choose(0x6000, 0x6100) + 16 * at as u32;
            protect(&peer, over, kind, spi);
            let mut packets = Vec::new();
            for (family, target) in Family::BOTH.into_iter().zip(OUTSIDE) {
                let source = inside(over, number, family);
                for (inner, outer) in ECN.into_iter().flat_map(|inner| ECN.map(|outer| (inner, outer))) {
                    let sent = packet([&source, target], INNER_DSCP | inner, true);
                    let due = decapsulated(inner, outer).map(|ecn| INNER_DSCP | ecn);
                    packets.push(json!([sent, 10 << 2 | outer, due]));
                }
            }
            let mut case = of_kind(case(over, number, spi, "opens"), inside_of);
            case["packets"] = json!(packets);
            let before = peer.primary.counters_at_rest().unwrap().dropped("tunnel_ecn");
            peer.does(&[case]);
            let counters = peer.primary.counters_at_rest().unwrap();
            counters.assert_balanced();
            // Of each family, the one that says nothing of congestion in one that met some.
            assert_eq!(counters.dropped("tunnel_ecn") - before, 2, "{kind:?} over {over}");
        }
    }
}

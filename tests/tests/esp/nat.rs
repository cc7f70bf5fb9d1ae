//! The other end behind an address translation, routers on the path, and sub-interfaces: what is told of them, and what is sent.

use serde_json::{Value, json};
use tests::{Family, Process, wait_until};

use crate::scapy::{Peer, local, remote, sends};
use crate::site::LIMIT;

/// Of the tunnel to scapy: AES-GCM with 256 bits.
const NUMBER: usize = 2;
const SPI: u32 = 0x8000;
const INNER: &str = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'inside'";

/// `monitor`, from where it misses nothing.
pub(crate) fn monitor(peer: &Peer) -> Process {
    let mut monitor = peer.primary.ctl_process(&["monitor"]).unwrap().start().unwrap();
    monitor
        .wait_for_stdout("that it subscribed", LIMIT, |line| {
            line.contains("\"subscribed\"")
        })
        .unwrap();
    monitor
}

/// The events of this name so far.
pub(crate) fn events(monitor: &Process, name: &str) -> Vec<Value> {
    let lines = monitor.stdout();
    let events = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == name).collect()
}

fn sealed(words: &str, udp: bool) -> Value {
    let mut case = sends(NUMBER, SPI, &[format!("seal({INNER}, {words})")]);
    case["udp"] = json!(udp);
    case
}

#[test]
fn an_sa_in_udp_that_sends_nothing_sends_keepalives() {
    let peer = Peer::create();
    let mut cases = Vec::new();
    for (over, port) in [(Family::Ip4, 1024), (Family::Ip6, 1025)] {
        let outbound = format!("udp 4500:{port} keepalive 1");
        peer.install_each(over, NUMBER, SPI, ["udp 1024:4500", &outbound]);
        // These send none.
        peer.install_each(over, NUMBER + 1, SPI + 16, ["", "udp 4500:1026 keepalive 0"]);
        cases.push(json!({
            "do": "keepalives",
            "ports": [4500, port],
            "gateway": local(over),
            "peer": remote(over, NUMBER),
        }));
    }
    peer.does(&cases);
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert!(counters.of("four2").unwrap().originated >= 3, "{counters:?}");
    assert_eq!(counters.of("four3").unwrap().originated, 0);
}

#[test]
fn a_peer_that_moves_is_told_and_followed_once_it_is_authentic() {
    let peer = Peer::create();
    peer.install_each(
        Family::Ip4,
        NUMBER,
        SPI,
        ["udp 4500:4500 window 64", "udp 4500:4500"],
    );
    let monitor = monitor(&peer);
    let dropped = |reason| peer.primary.counters_at_rest().unwrap().dropped(reason);
    peer.does(&[sealed("1", true)]);
    assert_eq!(dropped("local_unhandled"), 1);
    // Anybody can send from anywhere, and in no UDP none may come from elsewhere.
    peer.does(&[
        sealed("2, source='192.0.2.66', sport=66, flip=-1", true),
        sealed("3, source='192.0.2.66'", false),
        // An older packet does not say where the other end is now.
        sealed("10", true),
        sealed("9, sport=77", true),
    ]);
    assert_eq!(
        (
            dropped("esp_icv"),
            dropped("esp_source"),
            dropped("local_unhandled")
        ),
        (1, 1, 3)
    );
    let mut number = 10;
    for (words, from, to) in [
        ("sport=1024", "192.0.2.12:4500", "192.0.2.12:1024"),
        (
            "sport=1025, source='192.0.2.99'",
            "192.0.2.12:1024",
            "192.0.2.99:1025",
        ),
    ] {
        let before = events(&monitor, "sa_moved").len();
        // One that comes too soon after another is told with a later packet.
        wait_until("that it is told", LIMIT, || {
            number += 1;
            peer.does(&[sealed(&format!("{number}, {words}"), true)]);
            Ok((events(&monitor, "sa_moved").len() > before).then_some(()))
        })
        .unwrap();
        let told = events(&monitor, "sa_moved");
        let expected = json!({
            "event": "sa_moved", "spi": SPI, "destination": "192.0.2.1", "tunnel": "four2", "from": from, "to": to,
        });
        assert_eq!(told[before..], [expected]);
    }
    peer.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_router_is_believed_that_quotes_the_spi_of_an_sa() {
    let peer = Peer::create();
    peer.install(Family::Ip4, NUMBER, SPI, "", "");
    peer.install(Family::Ip4, NUMBER + 1, SPI + 16, "udp 4500:1024", "");
    let monitor = monitor(&peer);
    let told = |mtu: u16, quote: &str| {
        let message = format!("IP(src='192.0.2.77', dst='192.0.2.1')/ICMP(type=3, code=4, nexthopmtu={mtu})");
        sends(NUMBER, SPI, &[format!("{message}/{quote}")])
    };
    let sent = |number| format!("IP(src='192.0.2.1', dst='{}')", remote(Family::Ip4, number));
    let (raw, udp) = (sent(NUMBER), sent(NUMBER + 1));
    let esp = |spi| format!("ESP(spi={spi}, seq=1, data=b'12345678')");
    peer.does(&[
        // Of no SA, of the one that comes in, of another end, with other ports.
        told(600, &format!("{raw}/{}", esp(0x9999))),
        told(600, &format!("{raw}/{}", esp(SPI))),
        told(600, &format!("{udp}/{}", esp(SPI + 1))),
        told(
            600,
            &format!("{udp}/UDP(sport=4500, dport=4500)/{}", esp(SPI + 17)),
        ),
        told(600, &format!("{raw}/UDP(sport=4500, dport=1024)")),
        told(1300, &format!("{raw}/{}", esp(SPI + 1))),
        told(
            1200,
            &format!("{udp}/UDP(sport=4500, dport=1024)/{}", esp(SPI + 17)),
        ),
        // As little as RFC 792 asks for.
        told(1100, &format!("{udp}/UDP(sport=4500, dport=1024)")),
    ]);
    wait_until("that it is told", LIMIT, || {
        Ok((events(&monitor, "path_mtu").len() >= 3).then_some(()))
    })
    .unwrap();
    let learned: Vec<_> = events(&monitor, "path_mtu")
        .iter()
        .map(|event| (event["tunnel"].clone(), event["outer"].clone()))
        .collect();
    let expected = [("four2", 1300), ("four3", 1200), ("four3", 1100)];
    assert_eq!(
        learned,
        expected.map(|(tunnel, outer)| (json!(tunnel), json!(outer)))
    );
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.dropped("tunnel_error"), 6, "{:?}", counters.drops());
}

#[test]
fn a_clear_packet_counts_on_the_sub_interface_that_it_came_in_by() {
    let peer = Peer::create();
    peer.install(Family::Ip4, NUMBER, SPI, "", "");
    peer.primary.tell("link add link t0 id 300");
    let clear = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'clear'";
    peer.does(&[sends(
        NUMBER,
        SPI,
        &[format!("Dot1Q(vlan=300)/{clear}"), clear.to_owned()],
    )]);
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    for interface in ["t0", "t0.300"] {
        let drops = &counters.of(interface).unwrap().drops;
        assert_eq!(drops.get("esp_clear"), Some(&1), "{interface}: {drops:?}");
    }
}

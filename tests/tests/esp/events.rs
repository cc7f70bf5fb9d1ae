//! What a primary tells of SAs that packets go by: lifetimes in bytes, numbers that near their end, and SPIs that nobody knows.

use std::time::{Duration, Instant};

use tests::{Family, Process, wait_until};

use crate::nat::{events, monitor};
use crate::scapy::{Peer, case, inside, sends};
use crate::site::LIMIT;

const NUMBER: usize = 2;
const SPI: u32 = 0x9000;
/// Bytes of each packet inside, from its IPv4 header on.
const BYTES: usize = 1000;

/// What happened to an SA, but that it came to be.
fn told_of(monitor: &Process, spi: u32) -> Vec<String> {
    let events = events(monitor, "sas");
    let changes = events
        .iter()
        .flat_map(|event| event["changes"].as_array().unwrap());
    changes
        .filter(|change| change["spi"] == spi && change["change"] != "added")
        .map(|change| change["change"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn wait_until_told(monitor: &Process, spi: u32, expected: &[&str]) {
    wait_until(&format!("that {expected:?} is told"), LIMIT, || {
        let told = told_of(monitor, spi);
        assert!(
            expected.iter().zip(&told).all(|(one, other)| one == other),
            "{told:?}"
        );
        assert!(told.len() <= expected.len(), "{told:?}");
        Ok((told.len() == expected.len()).then_some(()))
    })
    .unwrap();
}

/// So many packets for the tunnel in clear, or, from this number on, sealed for the gateway.
fn send(peer: &Peer, from: Option<usize>, count: usize) {
    let near = ["192.0.2.66", "198.51.100.1"];
    let far = inside(Family::Ip4, NUMBER, Family::Ip4);
    let packet = |ends: [&str; 2]| {
        let [source, destination] = ends;
        format!(
            "IP(src='{source}', dst='{destination}')/UDP(sport=1, dport=9)/(b'x' * {})",
            BYTES - 28
        )
    };
    let packets: Vec<_> = match from {
        None => vec![packet([near[0], &far]); count],
        Some(from) => (from..from + count)
            .map(|number| format!("seal({}, {number})", packet([&far, near[1]])))
            .collect(),
    };
    peer.does(&[sends(NUMBER, SPI, &packets)]);
}

fn dropped(peer: &Peer, reason: &str) -> u64 {
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    counters.dropped(reason)
}

#[test]
fn lifetimes_in_bytes_are_told_at_their_byte_and_what_is_over_carries_nothing() {
    let peer = Peer::create();
    let monitor = monitor(&peer);
    for (from, first_spi, spi) in [(Some(1), SPI, SPI), (None, SPI + 16, SPI + 17)] {
        let life = format!("soft bytes {} hard bytes {}", 5 * BYTES, 8 * BYTES);
        let [inbound, outbound] = match from {
            Some(_) => [life.as_str(), ""],
            None => ["", life.as_str()],
        };
        peer.install_each(Family::Ip4, NUMBER, first_spi, [inbound, outbound]);
        let first = |more: usize| from.map(|from: usize| from + more);
        let before = dropped(&peer, "esp_lifetime");
        let refused = || dropped(&peer, "esp_lifetime") - before;
        send(&peer, first(0), 4);
        assert_eq!(refused(), 0);
        assert_eq!(told_of(&monitor, spi), [""; 0], "a packet too soon");
        send(&peer, first(4), 1);
        wait_until_told(&monitor, spi, &["soft_traffic"]);
        send(&peer, first(5), 3);
        assert_eq!(refused(), 0, "up to its last byte it carries");
        assert_eq!(told_of(&monitor, spi), ["soft_traffic"]);
        let sas = peer.primary.ctl_json(&["sa"]).unwrap();
        let mut sas = sas.as_array().unwrap().iter();
        let bytes = &sas.find(|sa| sa["spi"] == spi).unwrap()["bytes"];
        assert_eq!(*bytes, 8 * BYTES);
        send(&peer, first(8), 1);
        wait_until_told(&monitor, spi, &["soft_traffic", "hard_traffic"]);
        assert_eq!(refused(), 1);
        let sas = peer.primary.ctl_json(&["sa"]).unwrap();
        assert!(sas.as_array().unwrap().iter().all(|sa| sa["spi"] != spi), "{sas}");
        peer.primary.tell("sa flush");
    }
}

#[test]
fn numbers_that_near_their_end_are_told_once_and_the_last_of_them_is_used() {
    const LAST: u64 = u32::MAX as u64;
    /// So many are left when it is said.
    const SOON: u64 = 1 << 28;
    let peer = Peer::create();
    let monitor = monitor(&peer);
    peer.install_each(
        Family::Ip4,
        NUMBER,
        SPI,
        ["", &format!("seq {}", LAST - SOON - 1)],
    );
    let told = || told_of(&monitor, SPI + 1);
    send(&peer, None, 1);
    assert_eq!(dropped(&peer, "esp_sequence"), 0);
    assert_eq!(told(), [""; 0], "one too soon");
    send(&peer, None, 1);
    wait_until_told(&monitor, SPI + 1, &["sequence_soon"]);
    send(&peer, None, 20);
    // With numbers of 64 bits there is time.
    peer.install_each(
        Family::Ip4,
        NUMBER,
        SPI + 16,
        ["", &format!("esn seq {}", LAST - 1)],
    );
    send(&peer, None, 3);
    assert_eq!(dropped(&peer, "esp_sequence"), 0);
    peer.install_each(Family::Ip4, NUMBER, SPI + 32, ["", &format!("seq {}", LAST - 1)]);
    send(&peer, None, 3);
    assert_eq!(dropped(&peer, "esp_sequence"), 2, "one number was left");
    wait_until_told(&monitor, SPI + 33, &["sequence_soon"]);
    assert_eq!(told(), ["sequence_soon"], "once");
    assert_eq!(told_of(&monitor, SPI + 17), [""; 0]);
}

#[test]
fn a_flood_of_unknown_spis_is_told_once_a_second() {
    const AT_A_TIME: u64 = 500;
    let peer = Peer::create();
    peer.install(Family::Ip4, NUMBER, SPI, "", "");
    let monitor = monitor(&peer);
    let flood = format!(
        "[IP(src='192.0.2.12', dst='192.0.2.1')/ESP(spi=0x20000 + n, seq=1, data=b'x' * 40) for n in range({AT_A_TIME})]"
    );
    let mut flood_case = case(Family::Ip4, NUMBER, SPI, "send");
    flood_case["packets"] = vec![flood].into();
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(2500) {
        peer.does(std::slice::from_ref(&flood_case));
        sent += AT_A_TIME;
    }
    let took = began.elapsed();
    assert_eq!(dropped(&peer, "esp_spi"), sent);
    // Whatever there was to be told has been: this is told later.
    peer.primary.tell("sa flush");
    wait_until_told(&monitor, SPI, &["deleted"]);
    let told = events(&monitor, "unknown_spi");
    println!("{sent} packets in {took:?}: {} events", told.len());
    assert!(
        (2..=took.as_secs() as usize + 1).contains(&told.len()),
        "{took:?}: {told:?}"
    );
    for event in told {
        let spi = event["spi"].as_u64().unwrap();
        assert!((0x20000..0x20000 + AT_A_TIME).contains(&spi), "{event}");
        assert_eq!(
            (event["source"].as_str(), event["destination"].as_str()),
            (Some("192.0.2.12"), Some("192.0.2.1"))
        );
    }
}

#[test]
fn packets_for_tunnels_without_an_sa_to_send_by_are_told_once_a_second() {
    const AT_A_TIME: usize = 50;
    let peer = Peer::create();
    let monitor = monitor(&peer);
    let tunnels = || -> Vec<String> {
        let events = events(&monitor, "acquire");
        let tunnels = events
            .iter()
            .flat_map(|event| event["tunnels"].as_array().unwrap());
        tunnels.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(2500) {
        send(&peer, None, AT_A_TIME);
        sent += AT_A_TIME as u64;
    }
    let took = began.elapsed();
    assert_eq!(dropped(&peer, "tunnel_down"), sent);
    // Whatever there was to be told has been: this is told later.
    peer.install(Family::Ip4, NUMBER, SPI, "", "");
    peer.primary.tell(&format!("sa del spi {SPI} dst 192.0.2.1"));
    wait_until_told(&monitor, SPI, &["deleted"]);
    let told = tunnels();
    println!("{sent} packets in {took:?}: {told:?}");
    assert!(
        (2..=took.as_secs() as usize + 1).contains(&told.len()),
        "{took:?}: {told:?}"
    );
    assert!(told.iter().all(|name| *name == told[0]), "{told:?}");
    // It has one to send by; that it has none that comes in is not what is told.
    send(&peer, None, AT_A_TIME);
    peer.primary.tell("sa flush");
    wait_until_told(&monitor, SPI + 1, &["deleted"]);
    assert_eq!(tunnels(), told);
    assert_eq!(dropped(&peer, "tunnel_down"), sent + AT_A_TIME as u64);
}

//! Captures of a protected tunnel, and traces of what comes out of it: what is inside is seen at the tunnel, before it is sealed and after
//! it was opened, and at the port there is ESP alone.

use std::collections::BTreeSet;

use control::capture::Way;
use control::message::{CapturePoint, CaptureRequest};
use tests::watch::Watched;
use tests::{Family, Process};

use crate::site::{LIMIT, Site, TUNNEL, host_address};

const GCM: &str = "aes256gcm16";
/// Pings, each with its answer.
const PINGS: &str = "2";
/// Protocols.
const ICMP: u8 = 1;
const ESP: u8 = 50;

/// A capture of four packets, on both ways, from where it misses none.
fn capture(site: &Site, interface: &str, filter: &str) -> Process {
    let words = ["-i", interface, "-c", "4", "-f", filter];
    let mut process = site.west.pdump(&words).unwrap().start().unwrap();
    process
        .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
        .unwrap();
    process
}

/// The lines of a capture that has all of its packets.
#[track_caller]
fn lines_of(mut capture: Process) -> Vec<String> {
    assert!(capture.wait(LIMIT).unwrap().success(), "{}", capture.stderr());
    capture.stdout().lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_seen_inside_at_the_tunnel_and_sealed_at_the_port(site: &Site, what: &str) {
    let (near, far) = (host_address(Family::Ip4, 1), host_address(Family::Ip4, 2));
    let ping = || {
        let words = ["-c", PINGS, "-i", "0.1", "-W", "2"];
        site.host_a
            .ping(&far, &words, LIMIT)
            .unwrap()
            .assert_all_answered();
    };
    let inside = capture(site, TUNNEL, "icmp");
    // The next hops are known by now: nothing goes by there but what the tunnel sends and gets.
    let outside = capture(site, "w0", "ip");
    site.west.tell(&format!("trace start -n 2 -i {TUNNEL}"));
    ping();
    let inside = lines_of(inside);
    for (way, from, to) in [("tx", &near, &far), ("rx", &far, &near)] {
        let of_this_way = inside
            .iter()
            .filter(|line| line.contains(&format!("{way} IP {from} > {to}: ICMP")));
        assert_eq!(of_this_way.count(), 2, "{what}: {inside:?}");
    }
    let outside = lines_of(outside);
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")] {
        let of_this_way = outside
            .iter()
            .filter(|line| line.contains(&format!("{from} > {to}: ESP(spi=")));
        assert_eq!(of_this_way.count(), 2, "{what}: {outside:?}");
    }
    let traces = site.west.ctl_json(&["trace", "show"]).unwrap();
    let traces = traces.as_array().unwrap();
    assert!(
        traces.len() == 2 && traces.iter().all(|trace| trace["interface"] == TUNNEL),
        "{what}, what came out of it: {traces:?}"
    );
}

#[test]
fn captures_and_traces_see_what_is_inside_at_a_protected_tunnel_and_esp_alone_at_the_port() {
    let site = Site::create(Family::Ip4, 1);
    site.protect(GCM, "");
    site.warm_up(Family::Ip4);
    assert_seen_inside_at_the_tunnel_and_sealed_at_the_port(&site, "mode esp");
    for primary in [&site.west, &site.east] {
        primary.tell("sa flush");
        primary.tell(&format!("tunnel set {TUNNEL} mode gre key 7 protected on"));
    }
    site.protect("aes128-sha256", "mode transport");
    site.warm_up(Family::Ip4);
    assert_seen_inside_at_the_tunnel_and_sealed_at_the_port(&site, "protected gre");
    site.assert_balanced();
}

/// The packets that were seen at a point of an interface, by their numbers.
fn numbers(packets: &[Watched], interface: &str, way: Way, is_it: impl Fn(&[u8]) -> bool) -> BTreeSet<u64> {
    let seen = packets
        .iter()
        .filter(|packet| packet.interface == interface && packet.way == way && is_it(&packet.data));
    seen.map(|packet| packet.id).collect()
}

/// Whether a frame is of IPv4 and of this protocol.
fn is_of(protocol: u8) -> impl Fn(&[u8]) -> bool {
    move |frame| frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&protocol)
}

#[test]
fn what_is_sealed_and_what_was_opened_is_seen_with_the_number_that_it_has_at_the_ports() {
    const COUNT: usize = 20;
    for workers in [1, 2] {
        let site = Site::create(Family::Ip4, workers);
        site.protect(GCM, "");
        site.warm_up(Family::Ip4);
        let watch = site.west.watch(CaptureRequest {
            points: CapturePoint::ALL.to_vec(),
            ..CaptureRequest::default()
        });
        let watch = watch.unwrap();
        let words = ["-c", &COUNT.to_string(), "-i", "0.02", "-W", "2"];
        site.host_a
            .ping(&host_address(Family::Ip4, 2), &words, LIMIT)
            .unwrap()
            .assert_all_answered();
        site.assert_balanced();
        let (packets, counts) = watch.finish().unwrap();
        assert_eq!(counts.lost, 0, "{counts:?}");
        let of = |interface, way, protocol| numbers(&packets, interface, way, is_of(protocol));
        let asked = of("a0", Way::Rx, ICMP);
        assert_eq!(asked.len(), COUNT, "{workers} workers: {packets:?}");
        let answered = of("a0", Way::Tx, ICMP);
        assert_eq!(answered.len(), COUNT);
        for (numbers, interface, way, protocol) in [
            (&asked, TUNNEL, Way::Tx, ICMP),
            (&asked, TUNNEL, Way::PreEncrypt, ICMP),
            (&asked, "w0", Way::Tx, ESP),
            (&answered, "w0", Way::Rx, ESP),
            (&answered, TUNNEL, Way::PostDecrypt, ICMP),
            (&answered, TUNNEL, Way::Rx, ICMP),
        ] {
            assert_eq!(
                *numbers,
                of(interface, way, protocol),
                "{workers} workers, {interface} {way:?}"
            );
        }
        let inside = |interface, way| {
            let mut inside: Vec<_> = packets
                .iter()
                .filter(|packet| packet.interface == interface && packet.way == way)
                .filter(|packet| is_of(ICMP)(&packet.data))
                .map(|packet| (packet.id, packet.data[34..].to_vec()))
                .collect();
            inside.sort();
            inside
        };
        assert_eq!(inside("a0", Way::Rx), inside(TUNNEL, Way::PreEncrypt));
        assert_eq!(inside("a0", Way::Tx), inside(TUNNEL, Way::PostDecrypt));
    }
}

#[test]
fn what_no_sa_seals_or_opens_is_seen_where_it_is_dropped() {
    let site = Site::create(Family::Ip4, 1);
    site.protect(GCM, "");
    site.warm_up(Family::Ip4);
    let drops = || CaptureRequest {
        points: vec![CapturePoint::Drop],
        drop_reasons: vec!["tunnel_down".to_owned(), "esp_spi".to_owned()],
        ..CaptureRequest::default()
    };
    let ping = || {
        let words = ["-c", "5", "-i", "0.05", "-W", "1"];
        site.host_a
            .ping(&host_address(Family::Ip4, 2), &words, LIMIT)
            .unwrap()
    };
    let (west, east) = (
        site.west.watch(drops()).unwrap(),
        site.east.watch(drops()).unwrap(),
    );
    // The other end does not know it any more: its drops are of the port.
    let inbound = format!("sa del spi {} dst {}", 0x1001, crate::site::end(Family::Ip4, 2));
    site.east.tell(&inbound);
    assert_eq!(ping().answered, 0);
    site.west.tell(&inbound);
    assert_eq!(ping().answered, 0);
    site.assert_balanced();
    let (packets, _) = east.finish().unwrap();
    let drops = site.east.counters().unwrap();
    assert_eq!(packets.len(), 5, "{:?}", drops.drops());
    for packet in &packets {
        let (reason, _) = packet.dropped.unwrap();
        assert_eq!((packet.interface.as_str(), reason.name()), ("e0", "esp_spi"));
        assert!(is_of(ESP)(&packet.data), "{packet:?}");
    }
    let (packets, _) = west.finish().unwrap();
    let drops = site.west.counters().unwrap();
    assert_eq!(packets.len(), 5, "{:?}", drops.drops());
    for packet in &packets {
        let (reason, _) = packet.dropped.unwrap();
        assert_eq!((packet.interface.as_str(), reason.name()), ("a0", "tunnel_down"));
        assert!(is_of(ICMP)(&packet.data), "{packet:?}");
    }
}

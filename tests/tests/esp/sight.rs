//! Captures of a protected tunnel, and traces of what comes out of it: what is inside is seen at the tunnel, before it is sealed and after
//! it was opened, and at the port there is ESP alone.

use tests::{Family, Process};

use crate::site::{LIMIT, Site, TUNNEL, host_address};

const GCM: &str = "aes256gcm16";
/// Pings, each with its answer.
const PINGS: &str = "2";

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
            .filter(|line| line.contains(&format!("{way} {from} > {to}")));
        assert_eq!(of_this_way.count(), 2, "{what}: {inside:?}");
    }
    let outside = lines_of(outside);
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")] {
        let of_this_way = outside
            .iter()
            .filter(|line| line.contains(&format!("{from} > {to}: esp")));
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

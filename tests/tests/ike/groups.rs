//! Ends that do not agree on a key exchange for child SAs, which IKE_AUTH does not show: it is said soon, and costs no packet.

use std::fs;

use tests::{Family, Pinger, wait_until};

use crate::site::LIMIT;
use crate::strongswan::{Site, inside};

const IKE: &str = "aes256gcm16-prfsha256-curve25519";
const OURS: &str = "aes256gcm16-curve25519-noesn";

/// A site whose peer has this proposal for ESP, and the daemon [`OURS`].
fn site(theirs: &str) -> Site {
    let site = Site::create(Family::Ip4, IKE, theirs);
    let config = site.files.path().join("1.toml");
    let text = fs::read_to_string(&config).unwrap();
    let quoted = format!("esp_proposals = [\"{theirs}\"]");
    assert!(text.contains(&quoted), "{text}");
    fs::write(
        &config,
        text.replace(&quoted, &format!("esp_proposals = [\"{OURS}\"]")),
    )
    .unwrap();
    site.west.tell("ike reload");
    site
}

#[test]
fn another_group_of_the_peer_is_said_soon_and_the_tunnel_goes_on() {
    for theirs in ["aes256gcm16-modp2048-noesn", "aes256gcm16-noesn"] {
        let mut site = site(theirs);
        site.initiate_here();
        site.wait_for_sas(2, &[]);
        site.ping(&["-c", "2", "-i", "0.05"]);
        let before = site.spis();
        let pinger = Pinger::start(&site.host_a, inside(Family::Ip4), &["-i", "0.02"]).unwrap();
        let sentence = "child net: peer refuses curve25519 when the child SA is rekeyed, and has taken the rest before: it wants no key \
                        exchange, or another group; change proposals of child net of profile pr1 of one end";
        site.daemon
            .wait_for_stderr("what the ends do not agree on", LIMIT, |line| {
                line == format!("pr1: {sentence}")
            })
            .unwrap();
        let shown = site.west.ctl_json(&["ike", "show", "--details"]).unwrap();
        let failures = shown["failures"].as_array().unwrap();
        assert!(
            failures
                .iter()
                .any(|failure| failure["sentence"] == sentence && failure["profile"] == "pr1"),
            "{shown}"
        );
        site.ping(&["-c", "3", "-i", "0.05"]);
        let pings = pinger.interrupt(LIMIT).unwrap();
        assert!(pings.all_answered(), "{pings:?}\n{}", site.peer.log());
        assert_eq!((site.spis(), site.established().len()), (before, 1));
    }
}

#[test]
fn a_group_that_both_have_is_used_soon_and_no_packet_is_lost() {
    let site = site(OURS);
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    let before = site.spis();
    let pinger = Pinger::start(&site.host_a, inside(Family::Ip4), &["-i", "0.02"]).unwrap();
    site.wait_for_sas(2, &before);
    wait_until("that the child SA has a group", LIMIT, || {
        let group = &site.established()[0]["children"][0]["group"];
        Ok((group == "curve25519").then_some(()))
    })
    .unwrap();
    let pings = pinger.interrupt(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}\n{}", site.peer.log());
}

//! Profiles that traffic starts, with another daemon of ours and with strongSwan, and what becomes of those whose peer is dead.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Family, Namespace, Primary, wait_until};

use crate::site::{self, Changes, LIMIT, host_address};
use crate::strongswan::{self, inside};

/// A peer that is silent is dead soon.
const IMPATIENT: &str =
    "[ike]\nretransmit_first = \"100ms\"\nretransmit_attempts = 3\nrestart_longest = \"1s\"\n";

/// Pings a while, and gives how many were lost: the last ones are not.
#[track_caller]
fn lost(from: &Namespace, to: &str, why: &str) -> u32 {
    let pings = from
        .ping(to, &["-c", "40", "-i", "0.05", "-W", "1"], LIMIT)
        .unwrap();
    let lost = pings.sent - pings.answered;
    println!("{why}: {lost} of {} pings are lost", pings.sent);
    assert!((1..=10).contains(&lost), "{why}: {pings:?}");
    lost
}

/// So many IKE_SA_INIT were sent.
fn begun(primary: &Primary) -> u64 {
    let shown = primary.ctl_json(&["ike", "show", "--details"]).unwrap();
    shown["statistics"]["init_sent"].as_u64().unwrap()
}

/// What a profile says of when it is started.
fn says(primary: &Primary) -> [Value; 2] {
    let profiles = primary.ctl_json(&["ike", "profile"]).unwrap();
    ["start", "dpd_action"].map(|key| profiles[0][key].clone())
}

#[test]
fn traffic_starts_a_tunnel_whoever_has_ended_it() {
    let site = site::Site::create(Family::Ip4);
    let trap = Changes {
        profile: "start = \"trap\"\n",
        ..Changes::default()
    };
    let _daemons = [site.daemon(1, trap), site.daemon(2, Changes::default())];
    assert_eq!(says(&site.west), ["trap", "trap"]);
    assert_eq!(says(&site.east), ["none", "clear"]);
    let ping = |why: &str| lost(&site.host_a, &host_address(Family::Ip4, 2), why);
    assert_eq!(begun(&site.west), 0);
    for (number, end) in [
        (0, ""),
        (2, "ike terminate pr1"),
        (1, "ike terminate pr1"),
        (2, "ike terminate pr1 --children"),
    ] {
        if number != 0 {
            site.primary(number).tell(end);
        }
        site.wait_for_none();
        let before = begun(&site.west);
        let dropped = |()| site.west.counters_at_rest().unwrap().dropped("tunnel_down");
        let was = dropped(());
        let lost = ping(&format!("{number} {end}"));
        assert_eq!(dropped(()) - was, u64::from(lost), "what is lost is counted");
        site.wait_for_one_pair();
        site.ping(Family::Ip6, &["-c", "3", "-i", "0.05"]);
        // A child alone comes by the IKE SA that is there.
        let is_whole = !end.ends_with("--children");
        assert_eq!(begun(&site.west) - before, u64::from(is_whole));
        assert_eq!(site.established(1).len(), 1);
    }
    // Nothing of that goes for who does not say so: there is no trap there.
    site.east.tell("ike terminate pr1");
    site.wait_for_none();
    assert_eq!(begun(&site.east), 0);
    site.assert_balanced();
}

#[test]
fn traffic_calls_a_peer_that_was_dead_and_is_back() {
    let site = site::Site::create(Family::Ip4);
    let trap = Changes {
        profile: "start = \"trap\"\ndpd_delay = \"1s\"\n",
        ike: IMPATIENT,
        ..Changes::default()
    };
    let _west = site.daemon(1, trap);
    let mut east = site.daemon(2, Changes::default());
    let ping = |why: &str| lost(&site.host_a, &host_address(Family::Ip4, 2), why);
    ping("the first");
    east.kill();
    wait_until("that the peer is given up", LIMIT, || {
        Ok((site.established(1).is_empty() && site.spis(1).1.is_empty()).then_some(()))
    })
    .unwrap();
    let before = begun(&site.west);
    // Nobody calls a peer that nobody wants.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(begun(&site.west), before);
    // And who is wanted and is not there is called after pauses.
    let to = host_address(Family::Ip4, 2);
    let began = Instant::now();
    let pings = site
        .host_a
        .ping(&to, &["-c", "60", "-i", "0.05", "-W", "1"], LIMIT)
        .unwrap();
    assert_eq!(pings.answered, 0);
    let calls = begun(&site.west) - before;
    assert!((1..=1 + began.elapsed().as_secs()).contains(&calls), "{calls}");
    let _east = site.daemon(2, Changes::default());
    wait_until("that pings go through", LIMIT, || {
        let pings = site.host_a.ping(&to, &["-c", "1", "-W", "1"], LIMIT)?;
        Ok(pings.all_answered().then_some(()))
    })
    .unwrap();
    site.wait_for_one_pair();
}

#[test]
fn a_dead_peer_is_called_again_or_left_alone_as_the_profile_says() {
    for (start, action, comes) in [("none", "restart", true), ("start", "clear", false)] {
        let site = site::Site::create(Family::Ip4);
        let lines = format!("start = \"{start}\"\ndpd_delay = \"1s\"\ndpd_action = \"{action}\"\n");
        let changes = Changes {
            profile: &lines,
            ike: IMPATIENT,
            ..Changes::default()
        };
        let mut east = site.daemon(2, Changes::default());
        let _west = site.daemon(1, changes);
        assert_eq!(says(&site.west), [start, action]);
        if start == "none" {
            site.west.tell("ike initiate pr1");
        }
        site.wait_for_one_pair();
        let before = site.spis(1);
        let calls = begun(&site.west);
        east.kill();
        wait_until("that the peer is given up", LIMIT, || {
            Ok(site.spis(1).1.is_empty().then_some(()))
        })
        .unwrap();
        if comes {
            wait_until("that it is called twice", LIMIT, || {
                Ok((begun(&site.west) >= calls + 2).then_some(()))
            })
            .unwrap();
        } else {
            thread::sleep(Duration::from_secs(3));
            assert_eq!(begun(&site.west), calls);
        }
        let _east = site.daemon(2, Changes::default());
        if comes {
            site.wait_for_one_pair();
            assert_ne!(site.spis(1), before);
            site.warm_up();
            // That was for the peer that was dead: one that ends it is not called.
            site.east.tell("ike terminate pr1");
            site.wait_for_none();
            let calls = begun(&site.west);
            thread::sleep(Duration::from_secs(3));
            assert_eq!(begun(&site.west), calls);
        } else {
            thread::sleep(Duration::from_secs(2));
            assert!(site.established(1).is_empty());
        }
    }
}

const IKE: &str = "aes256gcm16-prfsha256-curve25519";
const ESP: &str = "aes256gcm16-noesn";

#[test]
fn traffic_calls_strongswan_whatever_it_has_done() {
    let mut site = strongswan::Site::create_with(Family::Ip4, IKE, ESP, IMPATIENT, "");
    site.profile("start = \"trap\"\ndpd_delay = \"2s\"\n");
    assert_eq!(says(&site.west), ["trap", "trap"]);
    for what in ["", "--ike pr1", "--child net", "crash"] {
        match what {
            "" => {}
            "crash" => {
                site.peer.crash();
                wait_until("that the peer is given up", LIMIT, || {
                    Ok(site.established().is_empty().then_some(()))
                })
                .unwrap();
                site.peer.start();
            }
            what => {
                let words: Vec<_> = ["--terminate"].into_iter().chain(what.split(' ')).collect();
                site.peer.tell(&words);
            }
        }
        site.wait_for_no_outbound();
        lost(&site.host_a, inside(Family::Ip4), &format!("strongSwan, {what}"));
        site.ping(&["-c", "3", "-i", "0.05"]);
        assert_eq!(site.established().len(), 1, "{what}");
    }
}

#[test]
fn strongswan_that_has_crashed_is_called_until_it_is_back() {
    let mut site = strongswan::Site::create_with(Family::Ip4, IKE, ESP, IMPATIENT, "");
    site.profile("dpd_delay = \"1s\"\ndpd_action = \"restart\"\n");
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    let before = site.spis();
    site.peer.crash();
    let calls = begun(&site.west);
    wait_until("that it is called", LIMIT, || {
        Ok((begun(&site.west) > calls).then_some(()))
    })
    .unwrap();
    site.peer.start();
    wait_until("that it is up again", LIMIT, || {
        Ok((site.established().len() == 1).then_some(()))
    })
    .unwrap();
    site.wait_for_sas(2, &before);
    site.ping(&["-c", "3", "-i", "0.05"]);
}

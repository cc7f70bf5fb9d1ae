//! Two daemons, each at a primary of its own.

use std::fs;
use std::time::{Duration, Instant};

use tests::{Family, wait_until};

use crate::site::{Changes, LIMIT, Site, host_address};

#[test]
fn an_sa_is_made_the_first_ping_goes_through_and_it_is_deleted_on_both_ends() {
    for over in Family::BOTH {
        let site = Site::create(over);
        let _daemons = site.daemons(Changes::default());
        assert_eq!(site.spis(1), (Vec::new(), Vec::new()));
        site.west.tell("ike initiate pr1");
        site.wait_for_one_pair();
        for family in Family::BOTH {
            site.ping(family, &["-c", "5", "-i", "0.05"]);
        }
        for (number, role) in [(1, "initiator"), (2, "responder")] {
            let [sa] = &site.established(number)[..] else {
                panic!("{:?}", site.details(number));
            };
            assert_eq!(sa["role"], role);
            assert_eq!(sa["suite"], "aes256gcm16-prfsha256-modp2048");
            assert_eq!(sa["nat"], "none");
            let child = &sa["children"][0];
            assert_eq!(
                (child["transform"].as_str(), child["esn"].as_bool()),
                (Some("aes256gcm16"), Some(true))
            );
            assert_eq!(
                (child["tunnel"].as_str(), child["in_use"].as_bool()),
                (Some("ipsec0"), Some(true))
            );
            let details = site.details(number);
            assert_eq!(details["statistics"]["authenticated"], 1);
            assert_eq!(details["statistics"]["dropped"], 0);
            assert_eq!(details["failures"].as_array().unwrap().len(), 0);
            assert_eq!(details["sas"][0].get("sk_d"), None);
            // What was for the daemon has arrived, and was not dropped.
            let counters = site.primary(number).counters_at_rest().unwrap();
            assert_eq!(counters.dropped("punt_dropped"), 0);
        }
        let secrets = |number| {
            let shown = site
                .primary(number)
                .ctl_json(&["ike", "show", "--details", "--secrets"])
                .unwrap();
            let keys = &shown["sas"][0];
            assert_eq!(keys["sk_e"]["i"].as_str().unwrap().len(), 2 * 36);
            (keys["sk_e"].clone(), keys["children"][0]["keys"].clone())
        };
        let (west, east) = (secrets(1), secrets(2));
        assert_eq!(west.0, east.0);
        assert_eq!((&west.1["in"], &west.1["out"]), (&east.1["out"], &east.1["in"]));
        site.west.tell("ike terminate pr1");
        site.wait_for_none();
        let pings = site
            .host_a
            .ping(&host_address(over, 2), &["-c", "1", "-W", "1"], LIMIT);
        assert_eq!(pings.unwrap().answered, 0, "nothing leaves in clear");
        site.assert_balanced();
    }
}

#[test]
fn rekeyings_from_both_ends_lose_no_packet() {
    let site = Site::create(Family::Ip4);
    let _daemons = site.daemons(Changes {
        child: "esp_proposals = [\"aes128gcm16-esn-curve25519\"]\n",
        ..Changes::default()
    });
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    site.warm_up();
    let before = site.spis(1);
    let pinger = tests::Pinger::start(
        &site.host_a,
        &host_address(Family::Ip4, 2),
        &["-i", "0.01", "-c", "400"],
    )
    .unwrap();
    for round in 1..=3 {
        for (number, words) in [(1, "--children"), (2, "--children"), (1, "--ike"), (2, "--ike")] {
            site.primary(number).tell(&format!("ike rekey pr1 {words}"));
            wait_until("that the rekeying is done", LIMIT, || {
                let counted = &site.details(1)["statistics"];
                let (ikes, children) = (counted["ike_rekeys"].as_u64(), counted["child_rekeys"].as_u64());
                let done = match (number, words) {
                    (1, "--children") => children >= Some(2 * round - 1),
                    (2, "--children") => children >= Some(2 * round),
                    (1, _) => ikes >= Some(2 * round - 1),
                    _ => ikes >= Some(2 * round),
                };
                Ok(done.then_some(()))
            })
            .unwrap();
        }
    }
    pinger.finish(LIMIT).unwrap().assert_all_answered();
    site.wait_for_one_pair();
    assert_ne!(site.spis(1), before);
    for number in [1, 2] {
        assert_eq!(site.established(number).len(), 1);
        assert_eq!(site.details(number)["failures"].as_array().unwrap().len(), 0);
    }
    site.assert_balanced();
}

#[test]
fn what_an_sa_has_carried_has_it_rekeyed() {
    let site = Site::create(Family::Ip4);
    let daemons = site.daemons(Changes {
        child: "rekey_packets = 20\n",
        ..Changes::default()
    });
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    site.warm_up();
    let before = site.spis(1);
    site.ping(Family::Ip4, &["-c", "30", "-i", "0.01"]);
    wait_until("that other SAs are there", LIMIT, || {
        Ok((site.spis(1) != before).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}\n{}", daemons[0].stderr(), site.west.tell("sa show")));
    site.wait_for_one_pair();
    // One that somebody deletes comes again.
    let before = site.spis(1);
    site.west.tell("sa flush");
    wait_until("that other SAs are there", LIMIT, || {
        let now = site.spis(1);
        Ok((now != before && !now.0.is_empty()).then_some(()))
    })
    .unwrap();
    site.wait_for_one_pair();
    site.ping(Family::Ip6, &["-c", "3", "-i", "0.05"]);
}

#[test]
fn why_a_negotiation_fails_is_said_by_both_ends() {
    let site = Site::create(Family::Ip4);
    let _west = site.daemon(1, Changes::default());
    let mut east = site.daemon(
        2,
        Changes {
            profile: "ike_proposals = [\"aes256gcm16-prfsha256-curve25519\"]\n",
            ..Changes::default()
        },
    );
    let (code, sentence) = site.west.refusal("ike initiate pr1");
    assert_eq!(code, "failed");
    assert!(
        sentence.contains("NO_PROPOSAL_CHOSEN; compare the proposals"),
        "{sentence}"
    );
    let failures = &site.details(2)["failures"];
    let expected = "peer wants modp2048, we allow curve25519: change ike_proposals of profile pr1 of one end";
    assert_eq!(failures[0]["sentence"], expected);
    let shown = site.east.tell("ike show");
    assert!(shown.contains(expected), "{shown}");
    east.wait_for_stderr("why", LIMIT, |line| line.contains(expected))
        .unwrap();
    // The right configuration is read while the daemon runs, a wrong one is not taken.
    let config = site.configure(
        2,
        Changes {
            profile: "ike_proposals = [\"aes256gcm16-prfsha256-modp2048\"]\n",
            psk: Some("else"),
            ..Changes::default()
        },
    );
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, right.replace("local_ts", "lokal_ts")).unwrap();
    let (code, sentence) = site.east.refusal("ike reload");
    assert_eq!(code, "invalid");
    assert!(
        sentence.contains("2.toml:") && sentence.contains("did you mean 'local_ts'?"),
        "{sentence}"
    );
    fs::write(&config, right).unwrap();
    assert!(
        site.east
            .tell("ike reload")
            .contains("was read again: 1 profile, of which 0 as before")
    );
    let (_, sentence) = site.west.refusal("ike initiate pr1");
    assert!(
        sentence.contains("AUTHENTICATION_FAILED; compare identities, keys"),
        "{sentence}"
    );
    let failures = &site.details(2)["failures"];
    assert_eq!(
        failures[0]["sentence"],
        "the AUTH of peer 10.0.0.1 does not fit our key; see that both ends have the same PSK"
    );
    site.configure(2, Changes::default());
    site.east.tell("ike reload");
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    // What stays the same is not touched.
    let before = site.spis(2);
    assert!(site.east.tell("ike reload").contains("of which 1 as before"));
    assert_eq!(site.spis(2), before);
    let (code, sentence) = site.west.refusal("ike initiate pr2");
    assert_eq!(code, "not_found");
    assert!(sentence.contains("there is no profile pr2"), "{sentence}");
}

#[test]
fn only_one_daemon_has_the_packets_and_without_one_tools_are_told() {
    let site = Site::create(Family::Ip4);
    let (code, sentence) = site.west.refusal("ike show");
    assert_eq!(code, "not_found");
    assert!(
        sentence.contains("no tollgate-ikev2d runs for instance"),
        "{sentence}"
    );
    // What does not fit is said.
    let odd = site.configure(1, Changes::default());
    let right = fs::read_to_string(&odd).unwrap();
    fs::write(&odd, right.replace("tunnel = \"ipsec0\"", "tunnel = \"ipsec9\"")).unwrap();
    let daemon = site.daemon_by(1, &odd);
    assert!(
        daemon.stderr().contains("the gateway has no tunnel ipsec9"),
        "{}",
        daemon.stderr()
    );
    drop(daemon);
    let first = site.daemon(1, Changes::default());
    let config = site.configure(1, Changes::default());
    let words = ["--config", config.to_str().unwrap(), "--json"];
    let mut second = site
        .west
        .tool("is refused", "tollgate-ikev2d", &words)
        .unwrap()
        .start()
        .unwrap();
    assert_eq!(second.wait(LIMIT).unwrap().code(), Some(1));
    let said: serde_json::Value = serde_json::from_str(second.stderr().trim()).unwrap();
    assert!(
        said["error"]["message"].as_str().unwrap().contains("ike"),
        "{said}"
    );
    assert_eq!(site.details(1)["attached"], true);
    let profiles = site.west.ctl_json(&["ike", "profile"]).unwrap();
    assert_eq!(profiles[0]["name"], "pr1");
    assert_eq!(profiles[0]["children"][0]["tunnel"], "ipsec0");
    drop(first);
}

#[test]
fn a_worker_sleeps_for_long_while_its_daemon_has_nothing_to_do() {
    let site = Site::create(Family::Ip4);
    let _daemons = site.daemons(Changes::default());
    let sleeps = || {
        let workers = site.west.ctl_json(&["worker", "show"]).unwrap();
        workers[0]["sleeps"].as_u64().unwrap()
    };
    let (before, began) = (sleeps(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let each_second = (sleeps() - before) as f64 / began.elapsed().as_secs_f64();
    // 200 µs each; beside a capture it would be more than twenty thousand.
    assert!(each_second < 8000.0, "{each_second} sleeps a second");
}

//! Primaries and peers that end, and what becomes of tunnels meanwhile.

use tests::{Family, Primary, wait_until};

use crate::site::{Changes, LIMIT, Site, tunnel_toml};

#[test]
fn tunnels_are_set_up_again_at_the_next_primary() {
    let mut site = Site::create(Family::Ip4);
    let mut daemons = [
        site.daemon(1, Changes::default()),
        site.daemon(2, Changes::default()),
    ];
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    site.warm_up();
    let before = site.spis(2);
    let config = std::fs::read_to_string(site.west.config_path()).unwrap();
    assert!(config.contains(&tunnel_toml(Family::Ip4, 1)));
    site.west.kill();
    daemons[0]
        .wait_for_stderr("the end of the primary", LIMIT, |line| {
            line.contains("tunnels are set up again")
        })
        .unwrap();
    let builder = Primary::builder(site.host_a.privilege(), "west").config(&config);
    site.west = builder.start_after(site.west).unwrap();
    wait_until("that other SAs are there", LIMIT, || {
        Ok((site.spis(2) != before).then_some(()))
    })
    .unwrap();
    site.wait_for_one_pair();
    site.warm_up();
    for family in Family::BOTH {
        site.ping(family, &["-c", "5", "-i", "0.05"]);
    }
    assert_eq!(site.details(1)["attached"], true);
    assert_eq!(site.established(1).len(), 1);
}

#[test]
fn a_peer_that_is_gone_is_given_up_and_called_until_it_is_back() {
    let site = Site::create(Family::Ip4);
    let impatient = Changes {
        profile: "start = \"start\"\ndpd_delay = \"1s\"\n",
        ike: "[ike]\nretransmit_first = \"100ms\"\nretransmit_attempts = 3\nrestart_longest = \"1s\"\n",
        ..Changes::default()
    };
    let mut west = site.daemon(1, impatient);
    // Nobody answers yet.
    west.wait_for_stderr("why it is not established", LIMIT, |line| {
        line.contains("has not answered IKE_SA_INIT, which was sent 3 times")
    })
    .unwrap();
    let mut east = site.daemon(2, Changes::default());
    site.wait_for_one_pair();
    east.kill();
    // Its SAs are good still, but nobody is there who would rekey them.
    wait_until("that the peer is given up", LIMIT, || {
        Ok((site.established(1).is_empty() && site.spis(1).1.is_empty()).then_some(()))
    })
    .unwrap();
    let failures = &site.details(1)["failures"];
    let all: Vec<_> = failures.as_array().unwrap().iter().collect();
    let given_up = |failure: &&serde_json::Value| {
        failure["sentence"]
            .as_str()
            .unwrap()
            .contains("has not answered INFORMATIONAL")
    };
    assert!(all.iter().any(given_up), "{failures}");
    let _east = site.daemon(2, Changes::default());
    site.wait_for_one_pair();
    site.warm_up();
    assert_eq!(site.established(1).len(), 1);
}

//! Daemons and primaries that end, and what becomes of tunnels meanwhile.

use tests::{Family, Pinger, Primary, wait_until};

use crate::site::{Changes, LIMIT, Site, host_address, tunnel_toml};

const START: Changes<'_> = Changes {
    psk: None,
    profile: "start = \"start\"\n",
    child: "",
    ike: "",
};

#[test]
fn tunnels_outlive_a_daemon_that_is_killed_and_the_next_one_takes_over() {
    let site = Site::create(Family::Ip4);
    let [mut west, _east] = [site.daemon(1, START), site.daemon(2, Changes::default())];
    site.wait_for_one_pair();
    site.warm_up();
    let before = site.spis(1);
    let pinger = Pinger::start(
        &site.host_a,
        &host_address(Family::Ip4, 2),
        &["-i", "0.01", "-c", "300"],
    )
    .unwrap();
    west.kill();
    assert_eq!(site.spis(1), before);
    let _west = site.daemon(1, START);
    wait_until("that other SAs are there", LIMIT, || {
        Ok((site.spis(1) != before).then_some(()))
    })
    .unwrap();
    site.wait_for_one_pair();
    let pings = pinger.finish(LIMIT).unwrap();
    // A peer that is asked for the first SA may send by it as soon as it answers, before the answer is read.
    assert!(pings.answered + 2 >= pings.sent, "{pings:?}");
    for number in [1, 2] {
        assert_eq!(site.established(number).len(), 1, "{}", site.details(number));
    }
}

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

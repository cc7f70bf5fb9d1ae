//! Primaries and peers that end, and what becomes of tunnels meanwhile.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tests::{Family, Primary, wait_until};

use crate::site::{Changes, LIMIT, Site, tunnel_toml};

/// For so long what is out of date is kept at most, and a little more, since the host may be busy.
const OUT_OF_DATE: Duration = Duration::from_secs(10 + 5);

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

/// The memory that a primary holds for the next daemon. `None`: it is just being given another.
fn held(primary: &Primary) -> Option<Vec<u8>> {
    let folder = format!("/proc/{}/fd", primary.pid());
    let mut descriptors = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let is_journal = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("tollgate-journal"))
    };
    fs::read(descriptors.find(is_journal)?).ok()
}

#[test]
fn keys_that_were_replaced_are_soon_in_no_memory_that_is_held() {
    let site = Site::create(Family::Ip4);
    let _daemons = site.daemons(Changes::default());
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    let is_held = |keys: &[Vec<u8>], expected: usize| {
        let found = held(&site.west).map(|memory| {
            keys.iter()
                .filter(|key| memory.windows(key.len()).any(|bytes| bytes == *key))
                .count()
        });
        (found == Some(expected)).then_some(())
    };
    let keys = || {
        let words = ["ike", "show", "--details", "--secrets"];
        let shown = site.west.ctl_json(&words).unwrap();
        let sa = &shown["sas"][0];
        let child = &sa["children"][0]["keys"];
        [&sa["sk_d"], &child["in"], &child["out"]].map(|key| bytes_of(key.as_str().unwrap()))
    };
    let before = keys();
    wait_until("that the keys are there", LIMIT, || Ok(is_held(&before, 3))).unwrap();
    site.west.tell("ike rekey pr1 --children");
    site.west.tell("ike rekey pr1 --ike");
    wait_until("that both are rekeyed", LIMIT, || {
        let counted = &site.details(1)["statistics"];
        let done = counted["ike_rekeys"] == 1 && counted["child_rekeys"] == 1;
        Ok((done && site.established(1).len() == 1).then_some(()))
    })
    .unwrap();
    wait_until("that the old keys are gone", OUT_OF_DATE, || {
        Ok(is_held(&before, 0))
    })
    .unwrap();
    let after = keys();
    wait_until("that the new ones are there", LIMIT, || Ok(is_held(&after, 3))).unwrap();
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

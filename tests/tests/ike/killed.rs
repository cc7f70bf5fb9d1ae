//! Daemons that are killed at any moment: the next one goes on with the IKE SAs where they were, and the peer notices nothing.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::{Family, Pinger, wait_until};

use crate::site::{Changes, LIMIT, Site, host_address};

/// Peers that are asked often whether they live, which takes part in what is cut off; the first gateway begins.
fn changes(number: u8) -> Changes<'static> {
    Changes {
        profile: match number {
            1 => "start = \"start\"\ndpd_delay = \"1s\"\n",
            _ => "dpd_delay = \"1s\"\n",
        },
        ike: "[ike]\nretransmit_first = \"200ms\"\n",
        ..Changes::default()
    }
}

/// How often a daemon is killed.
pub(crate) fn rounds() -> u32 {
    if env::var_os("TOLLGATE_SOAK").is_some() {
        200
    } else {
        20
    }
}

/// Numbers below a limit, none of which follows from those before.
pub(crate) fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// Both SPIs of the IKE SA of a gateway, and its child SA: inbound, outbound. `None`: there are others beside them.
fn only_one(site: &Site, number: u8) -> Option<(Value, Value, Value, Value)> {
    let all = site
        .primary(number)
        .ctl_json(&["ike", "show"])
        .unwrap_or_default();
    // What is gone is shown while it may be asked for its last answer.
    let there = all.as_array()?.iter().filter(|sa| sa["state"] != "closed");
    let [sa] = &there.collect::<Vec<_>>()[..] else {
        return None;
    };
    let [child] = &sa["children"].as_array()?[..] else {
        return None;
    };
    (sa["state"] == "established" && sa["busy"] == false && child["in_use"] == true).then(|| {
        (
            sa["initiator_spi"].clone(),
            sa["responder_spi"].clone(),
            child["inbound_spi"].clone(),
            child["outbound_spi"].clone(),
        )
    })
}

/// Waits until both ends have one IKE SA with one child SA, the same, whose SAs both primaries have and no others. Gives the SPIs of the
/// initiator's and of what west takes.
#[track_caller]
fn wait_for_agreement(site: &Site, what: &str) -> (Value, Value) {
    let mut last = None;
    let agreed = wait_until("that both ends agree", LIMIT, || {
        let (west, east) = (only_one(site, 1), only_one(site, 2));
        let sas = (site.spis(1), site.spis(2));
        let agreed = match (&west, &east) {
            (Some(west), Some(east)) => {
                let is_same = (&west.0, &west.1, &west.2, &west.3) == (&east.0, &east.1, &east.3, &east.2);
                let numbers = (
                    vec![west.2.as_u64().unwrap_or_default()],
                    vec![west.3.as_u64().unwrap_or_default()],
                );
                let crossed = (numbers.1.clone(), numbers.0.clone());
                (is_same && sas.0 == numbers && sas.1 == crossed).then(|| (west.0.clone(), west.2.clone()))
            }
            _ => None,
        };
        last = Some((west, east, sas));
        Ok(agreed)
    });
    agreed.unwrap_or_else(|error| {
        let shown = [1, 2].map(|number| site.details(number).to_string());
        panic!("{what}: {error}\n{last:?}\n{}", shown.join("\n"))
    })
}

#[test]
fn ike_sas_outlive_a_daemon_that_is_killed() {
    let site = Site::create(Family::Ip4);
    let mut daemons = [1, 2].map(|number| site.daemon(number, changes(number)));
    site.wait_for_one_pair();
    site.warm_up();
    let before = wait_for_agreement(&site, "before");
    let pinger = Pinger::start(&site.host_a, &host_address(Family::Ip4, 2), &["-i", "0.01"]).unwrap();
    for (number, daemon) in (1..).zip(&mut daemons) {
        daemon.kill();
        *daemon = site.daemon(number, changes(number));
        let said = daemon.stderr();
        assert!(said.contains("takes up 1 IKE SA of the daemon before"), "{said}");
        assert_eq!(wait_for_agreement(&site, "afterwards"), before);
    }
    // They are asked whether they live, and answer.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(wait_for_agreement(&site, "after DPD"), before);
    for number in [2, 1] {
        for what in ["--ike", "--children"] {
            let (ike, child) = wait_for_agreement(&site, "before it is rekeyed");
            site.primary(number).tell(&format!("ike rekey pr1 {what}"));
            wait_until("another SA", LIMIT, || {
                let now = only_one(&site, 1);
                Ok(now
                    .is_some_and(|now| {
                        (what == "--ike" && now.0 != ike) || (what != "--ike" && now.2 != child)
                    })
                    .then_some(()))
            })
            .unwrap();
        }
    }
    wait_for_agreement(&site, "in the end");
    let pings = pinger.interrupt(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}");
}

#[test]
fn daemons_that_are_killed_at_any_moment_lose_no_packet_and_agree_afterwards() {
    let site = Site::create(Family::Ip4);
    let mut daemons = [1, 2].map(|number| site.daemon(number, changes(number)));
    site.wait_for_one_pair();
    site.warm_up();
    wait_for_agreement(&site, "before");
    let pinger = Pinger::start(&site.host_a, &host_address(Family::Ip4, 2), &["-i", "0.02"]).unwrap();
    for round in 0..rounds() {
        let victim = 1 + (round % 2) as u8;
        let asked = 1 + random(2) as u8;
        let words = ["", "ike rekey pr1 --ike", "ike rekey pr1 --children"][random(3) as usize];
        if !words.is_empty() {
            site.primary(asked).tell(words);
        }
        let pause = Duration::from_micros(random(15_000));
        thread::sleep(pause);
        let daemon = &mut daemons[usize::from(victim - 1)];
        daemon.kill();
        *daemon = site.daemon(victim, changes(victim));
        let what = format!("round {round}: {victim} was killed {pause:?} after '{words}' at {asked}");
        wait_for_agreement(&site, &what);
        let said = daemon.stderr();
        assert!(
            said.contains("takes up") && !said.contains("is left out"),
            "{what}: {said}"
        );
    }
    for (number, what) in [(1, "--ike"), (2, "--ike"), (1, "--children"), (2, "--children")] {
        let (ike, child) = wait_for_agreement(&site, "before it is rekeyed");
        site.primary(number).tell(&format!("ike rekey pr1 {what}"));
        wait_until("another SA", LIMIT, || {
            let now = only_one(&site, 1);
            Ok(now
                .is_some_and(|now| {
                    if what == "--ike" {
                        now.0 != ike
                    } else {
                        now.2 != child
                    }
                })
                .then_some(()))
        })
        .unwrap();
    }
    let settled = wait_for_agreement(&site, "in the end");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(wait_for_agreement(&site, "after DPD"), settled);
    let pings = pinger.interrupt(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}");
    site.assert_balanced();
}

//! Childless initiation (RFC 6023) with strongSwan, whose `childless` says what it allows: IKE_AUTH makes the IKE SA, and CREATE_CHILD_SA
//! the child SA.

use tests::Family;

use crate::strongswan::{Site, by_psk};

const IKE: &str = "aes256gcm16-prfsha256-curve25519";
const ESP: &str = "aes256gcm16-noesn";

/// Has an end begin; gives whether the child SA was made by an exchange of its own, and not by IKE_AUTH.
fn is_childless(site: &Site, here: bool) -> bool {
    let before = site.peer.log().len();
    if here {
        site.initiate_here();
    } else {
        site.initiate_there();
    }
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    let log = site.peer.log().get(before..).unwrap_or_default().to_owned();
    let auth = log.lines().filter(|line| line.contains(" IKE_AUTH request "));
    let with_child = auth.filter(|line| line.contains(" SA TSi TSr ")).count();
    let made = log.contains(" CREATE_CHILD_SA request ");
    assert_eq!(with_child > 0, !made, "{log}");
    site.west.tell("ike terminate pr1");
    site.wait_for_none();
    made
}

#[test]
fn either_end_begins_without_a_child_sa_where_both_allow_it() {
    let site = Site::create(Family::Ip4, IKE, ESP);
    let [ends, secrets] = by_psk(site.over);
    let allow = |word: &str| {
        let ends = format!("childless = {word}\n {ends}");
        site.peer.connect(site.over, IKE, ESP, &ends, &secrets);
    };
    allow("force");
    // It takes nothing else, and says so.
    let (code, refusal) = site.west.refusal("ike initiate pr1");
    assert_eq!(code, "failed", "{refusal}");
    assert!(
        refusal.contains("the peer refuses IKE_AUTH"),
        "{refusal}\n{}",
        site.peer.log()
    );
    site.wait_for_none();
    assert!(is_childless(&site, false), "it makes no other");
    site.profile("childless = true\n");
    for (word, by_us, by_it) in [
        ("force", true, true),
        ("allow", true, false),
        ("never", false, false),
    ] {
        allow(word);
        assert_eq!(is_childless(&site, true), by_us, "{word}");
        assert_eq!(is_childless(&site, false), by_it, "{word}");
    }
    let shown = site.west.ctl_json(&["ike", "show", "--details"]).unwrap();
    assert_eq!(shown["sas"].as_array().unwrap().len(), 0);
    site.west.counters_at_rest().unwrap().assert_balanced();
}

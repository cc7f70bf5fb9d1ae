//! strongSwan and we want the same at the same time: rekeyings of a child SA, of the IKE SA, of one each, and deletes.
//!
//! To have requests cross, those of one end are held back until the other has sent one as well. Before a rekeying it is strongSwan that is not
//! heard, so that it answers us with a request of its own under way:
//!
//! ```text
//!   west ─ request ───────────────────────► strongSwan     it has sent one of its own by then
//!   west ◄──────────────── X ─ its request, its answer
//!   west ◄─────────────────── both again, one or the other first
//! ```
//!
//! With a delete it is the other way round, since strongSwan forgets what it has deleted, and would not answer again.

use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;
use tests::{Family, Pinger, wait_until};

use crate::site::LIMIT;
use crate::strongswan::{Site, inside};

const ROUNDS: usize = 5;
/// A request is there long before, if it is sent at once.
const CROSSING: Duration = Duration::from_secs(5);

/// Has nothing of IKE leave strongSwan, which on port 4500 begins with four zero bytes: ESP does leave.
const HOLD_ITS: &str = "add table inet hold; add chain inet hold out { type filter hook output priority 0; }; \
                        add rule inet hold out udp sport 4500 @th,64,32 0 drop";
/// Or nothing of it get there.
const HOLD_OURS: &str = "add table inet hold; add chain inet hold in { type filter hook input priority 0; }; \
                         add rule inet hold in udp dport 4500 @th,64,32 0 drop";
const LET_GO: &str = "delete table inet hold";

/// With strongSwan as impatient as we are, so that either end is the first to ask again.
fn site() -> Site {
    let mut site = Site::create(
        Family::Ip4,
        "aes256gcm16-prfsha256-curve25519",
        "aes256gcm16-curve25519-noesn",
    );
    let conf = site.peer.path("strongswan.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let impatient =
        "charon-systemd {\n retransmit_timeout = 0.5\n retransmit_base = 1.4\n retransmit_jitter = 50\n";
    fs::write(&conf, text.replacen("charon-systemd {\n", impatient, 1)).unwrap();
    site.peer.crash();
    site.peer.start();
    site
}

impl Site {
    fn filters(&self, rules: &str) {
        self.peer.namespace.run("holds IKE", &["nft", rules]).unwrap();
    }

    /// What strongSwan has logged since there was so much.
    fn said(&self, since: usize) -> String {
        self.peer.log().get(since..).unwrap_or_default().to_owned()
    }

    fn is_said(&self, since: usize, words: &str, limit: Duration) -> Result<(), tests::Error> {
        wait_until(&format!("that strongSwan says '{words}'"), limit, || {
            Ok(self.said(since).contains(words).then_some(()))
        })
    }

    #[track_caller]
    fn wait_until_said(&self, since: usize, words: &str) {
        self.is_said(since, words, LIMIT).unwrap();
    }

    /// SPIs of the SAs here, and of the IKE SA.
    fn all_spis(&self) -> (Vec<u64>, Value) {
        let established = self.established();
        let ike = established.first().map(|sa| sa["initiator_spi"].clone());
        (self.spis(), ike.unwrap_or_default())
    }

    /// For who looks for what went wrong.
    fn everything(&self, since: usize) -> String {
        let shown = self.west.ctl_json(&["ike", "show", "--details"]);
        format!(
            "{shown:?}\n{}\n{}",
            self.peer.tell(&["--list-sas"]),
            self.said(since)
        )
    }
}

#[test]
fn rekeyings_that_cross_leave_one_of_each_and_lose_no_packet() {
    let site = site();
    site.initiate_here();
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    let pinger = Pinger::start(&site.host_a, inside(Family::Ip4), &["-i", "0.02"]).unwrap();
    let (child, ike) = (["--rekey", "--child", "net"], ["--rekey", "--ike", "pr1"]);
    let (our_child, our_ike) = ("ike rekey pr1 --children", "ike rekey pr1 --ike");
    for (name, theirs, ours, collision) in [
        ("a child SA", child, our_child, "CHILD_REKEY collision"),
        ("the IKE SA", ike, our_ike, "IKE_REKEY collision"),
        ("a child SA there, the IKE SA here", child, our_ike, ""),
        ("the IKE SA there, a child SA here", ike, our_child, ""),
    ] {
        let mut collisions = 0;
        for round in 0..ROUNDS {
            let (before, since) = (site.all_spis(), site.peer.log().len());
            // In the last one they are told so at the same time, and it is left to chance.
            let is_held = round + 1 < ROUNDS;
            thread::scope(|scope| {
                if is_held {
                    site.filters(HOLD_ITS);
                }
                scope.spawn(|| site.peer.tell(&theirs));
                if is_held {
                    site.wait_until_said(since, "generating CREATE_CHILD_SA request");
                }
                site.west.tell(ours);
                if is_held {
                    // Unless a request of ours is under way whose answer is held back, such as the trial of a group: then ours waits for
                    // that, and nothing crosses in this round.
                    drop(site.is_said(since, "parsed CREATE_CHILD_SA request", CROSSING));
                    site.filters(LET_GO);
                }
            });
            let agreed = wait_until("that both ends agree", LIMIT, || {
                Ok((site.all_spis() != before && site.agrees()).then_some(()))
            });
            agreed.unwrap_or_else(|error| panic!("{name}, {round}: {error}\n{}", site.everything(since)));
            collisions += usize::from(site.said(since).contains(collision));
        }
        println!("{name}: strongSwan tells of '{collision}' in {collisions} of {ROUNDS}");
        assert!(collisions > 0, "{name}\n{}", site.peer.log());
    }
    let pings = pinger.interrupt(LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}\n{}", site.peer.log());
}

#[test]
fn deletes_that_cross_leave_nothing_behind() {
    let site = site();
    let (ike, child) = (["--terminate", "--ike", "pr1"], ["--terminate", "--child", "net"]);
    for is_held in [true, false] {
        for (theirs, ours, ikes) in [
            (ike, "ike terminate pr1", 0),
            (child, "ike terminate pr1 --children", 1),
            (ike, "ike rekey pr1 --ike", 0),
            (ike, "ike rekey pr1 --children", 0),
        ] {
            site.initiate_here();
            site.wait_for_sas(2, &[]);
            site.ping(&["-c", "2", "-i", "0.05"]);
            let since = site.peer.log().len();
            thread::scope(|scope| {
                if is_held {
                    site.filters(HOLD_OURS);
                }
                scope.spawn(|| site.west.tell(ours));
                if is_held {
                    wait_until("that we have asked", LIMIT, || {
                        let shown = site.west.ctl_json(&["ike", "show"])?;
                        let mut shown = shown.as_array().unwrap().iter();
                        Ok(shown.any(|sa| sa["busy"] == true).then_some(()))
                    })
                    .unwrap();
                }
                scope.spawn(|| site.peer.swanctl(&theirs).unwrap());
                if is_held {
                    site.wait_until_said(since, "generating INFORMATIONAL request");
                    site.filters(LET_GO);
                }
            });
            wait_until("that nothing is left", LIMIT, || {
                let listed = site.peer.tell(&["--list-sas"]);
                let there = listed.matches("ESTABLISHED").count() == ikes && !listed.contains("INSTALLED");
                let shown = site.established();
                let has_none = |sa: &Value| sa["children"].as_array().is_some_and(Vec::is_empty);
                let here = shown.len() == ikes && shown.iter().all(has_none) && site.spis().is_empty();
                Ok((there && here).then_some(()))
            })
            .unwrap_or_else(|error| panic!("{ours}: {error}\n{}", site.everything(since)));
            if ikes > 0 {
                site.west.tell("ike terminate pr1");
                site.wait_for_none();
            }
        }
    }
    site.initiate_there();
    site.wait_for_sas(2, &[]);
    site.ping(&["-c", "2", "-i", "0.05"]);
    site.west.counters_at_rest().unwrap().assert_balanced();
}

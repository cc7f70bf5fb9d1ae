//! What the primary tells of SAs, and what people are told of IKE SAs.

use std::net::IpAddr;

use control::event;
use control::message::{SaChange, SaChangeKind, SaId};
use control::{sas, tables};
use ike_engine::{Event, Failure, SpiPair};

use super::Daemon;
use super::clock::now;
use crate::failures::short;

impl Daemon {
    /// Takes an event of the primary.
    pub(super) fn hear(&mut self, event: event::Event) {
        match event {
            event::Event::Sas { changes } => changes.iter().for_each(|change| self.hear_of_sa(change)),
            event::Event::Acquire { tunnels } => {
                for (profile, child) in self.config.of_tunnels(&tunnels) {
                    self.engine.acquire(now(), profile, child);
                }
            }
            event::Event::SaMoved {
                spi, destination, to, ..
            } => {
                if let Some(pair) = self.plane.owner(&SaId { destination, spi }) {
                    self.engine.peer_moved(now(), pair.inbound, to);
                }
            }
            _ => {}
        }
    }

    fn hear_of_sa(&mut self, change: &SaChange) {
        let id = SaId {
            destination: change.destination,
            spi: change.spi,
        };
        // Those that were deleted here are not known any more when it is told.
        let Some(SpiPair { inbound, .. }) = self.plane.owner(&id) else {
            return;
        };
        let is_gone = match change.change {
            SaChangeKind::Added | SaChangeKind::Replaced => return,
            SaChangeKind::Deleted | SaChangeKind::HardSeconds | SaChangeKind::HardTraffic => {
                if !self.plane.lost(&id) {
                    return;
                }
                true
            }
            SaChangeKind::SoftSeconds | SaChangeKind::SoftTraffic | SaChangeKind::SequenceSoon => false,
        };
        self.ends(inbound, is_gone);
    }

    /// The SAs of a pair near their end, or are gone.
    fn ends(&mut self, inbound: u32, is_gone: bool) {
        // Both SAs of a pair come to their end at about the same time: it is rekeyed once for that.
        if self.asked.insert((inbound, is_gone)) {
            self.engine.rekey_child(now(), inbound);
        }
    }

    /// Takes from the primary's table what it has told while nobody listened.
    pub(super) fn catch_up(&mut self) {
        let Ok(reader) = tables::open(&self.directory) else {
            // It is gone, which the attachment tells.
            return;
        };
        for (inbound, is_gone) in self.plane.missed(&sas::listed(&reader)) {
            self.ends(inbound, is_gone);
        }
    }

    /// Tells people what has happened.
    pub(super) fn tell(&mut self, event: &Event) {
        let sentence = match event {
            Event::IkeUp {
                profile, peer, spis, ..
            } => format!(
                "{profile}: IKE SA {} {} with {peer} is established",
                spis.initiator, spis.responder
            ),
            Event::IkeRekeyed { old, new } => format!("IKE SA {old} was rekeyed, and is {new} now"),
            Event::IkeDown { ike, profile, reason } => {
                if !is_wanted(reason) {
                    self.failed(profile, None, &reason.to_string());
                }
                format!("{profile}: IKE SA {ike} is gone: {reason}")
            }
            Event::Failed {
                profile,
                remote,
                reason,
            } => {
                if is_wanted(reason) {
                    return;
                }
                return self.fail(profile, Some(remote.ip()), &reason.to_string());
            }
            Event::ChildUp {
                child,
                spis,
                instead_of,
                ..
            } => {
                let what = match instead_of {
                    None => "is installed".to_owned(),
                    Some(old) => format!("takes the place of {old:#010x}"),
                };
                format!(
                    "{child}: child SA {:#010x} in, {:#010x} out {what}",
                    spis.inbound, spis.outbound
                )
            }
            Event::ChildDown { child, spis, .. } => {
                for is_gone in [false, true] {
                    self.asked.remove(&(spis.inbound, is_gone));
                }
                format!(
                    "{child}: child SA {:#010x} in, {:#010x} out is gone",
                    spis.inbound, spis.outbound
                )
            }
            Event::ChildFailed { ike, child, reason } => {
                let profile = self.profile_of(*ike);
                let what = if child.is_empty() {
                    reason.to_string()
                } else {
                    format!("child {child}: {reason}")
                };
                return self.fail(&profile, None, &what);
            }
            Event::RekeyFailed { ike, reason } => {
                let profile = self.profile_of(*ike);
                return self.fail(&profile, None, &format!("the IKE SA was not rekeyed: {reason}"));
            }
            Event::PeerMoved { from, to, .. } => format!("the peer at {from} is at {to} now"),
        };
        self.lines += &self.notices.line(&sentence);
    }

    fn profile_of(&self, ike: ikev2::wire::IkeSpi) -> String {
        let view = self.engine.ike(ike);
        view.map_or_else(String::new, |view| view.profile)
    }

    /// Keeps a failure, and says it unless it was said before.
    fn fail(&mut self, profile: &str, remote: Option<IpAddr>, sentence: &str) {
        let sentence = short(sentence);
        let sentence = sentence.as_ref();
        if self.failed(profile, remote, sentence) {
            let who = match (profile, remote) {
                ("", Some(remote)) => remote.to_string(),
                ("", None) => "a peer".to_owned(),
                (profile, _) => profile.to_owned(),
            };
            let sentence = format!("{who}: {sentence}");
            self.lines += &match profile {
                // Anybody can have these said, and nobody here may be at fault.
                "" => self.notices.line(&sentence),
                _ => self.notices.error_line(&sentence),
            };
        }
    }

    fn failed(&mut self, profile: &str, remote: Option<IpAddr>, sentence: &str) -> bool {
        let now = now();
        self.failures.add(now, profile, remote, sentence)
    }

    /// Tells of SAs that the primary did not take.
    pub(super) fn tell_problems(&mut self) {
        for problem in self.plane.take_problems() {
            self.fail(&problem.profile, None, &problem.sentence);
        }
    }
}

/// Whether an end is as it should be.
fn is_wanted(reason: &Failure) -> bool {
    matches!(
        reason,
        Failure::Terminated | Failure::Deleted | Failure::InitialContact | Failure::Rekeyed
    )
}

//! CREATE_CHILD_SA for child SAs: new ones and rekeyed ones, from both ends, at once too (RFC 7296 §1.3, §2.8, §2.25.1).
//!
//! ```text
//!   HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] TSi, TSr} ──►                ◄── HDR, SK {SA, Nr, [KEr,] TSi, TSr}
//! ```
//!
//! In the order that loses no packet when one is rekeyed:
//!
//! ```text
//!   who asks                                          who answers
//!                           request ──►               takes packets of the new SA, sends by the old one
//!   takes packets of the new SA,            ◄── answer
//!   sends by the new one
//!                           DELETE of the old ──►     sends by the new one; takes packets of the old one for a while yet
//!   takes packets of the old for a while yet  ◄── answer
//! ```

use ikev2::crypto::{Group, Nonces};
use ikev2::wire::{ExchangeType, NotifyType, PayloadWriter, ProtocolId};

use crate::agreement::{Choice, Offer, group_names};
use crate::child::{Child, ChildState};
use crate::core::Core;
use crate::established::{Established, Exchange, Wanted};
use crate::payloads::{Contents, esp_spi, needed, push_child_notify, refusal};
use crate::state::State;
use crate::{Event, Failure, Profile};

const EXCHANGE: ExchangeType = ExchangeType::CREATE_CHILD_SA;

/// We have asked for a child SA.
#[derive(Debug)]
pub(crate) struct CreateChild {
    pub(crate) offer: Offer,
    pub(crate) nonce: Vec<u8>,
    /// The one that it takes the place of.
    pub(crate) rekeys: Option<u32>,
    /// The peer has rekeyed the same meanwhile.
    pub(crate) collision: Option<Collision>,
    /// SPIs of child SAs that are not here, and that the peer has deleted meanwhile: its answer, which may make one of them, has
    /// been overtaken.
    pub(crate) deleted: Vec<u32>,
    /// An operator has all child SAs deleted, and this one too.
    pub(crate) unwanted: bool,
}

/// What the peer has made of the SA that we rekey ourselves.
#[derive(Debug)]
pub(crate) struct Collision {
    pub(crate) inbound: u32,
    pub(crate) lowest: Vec<u8>,
}

/// The lower of two nonces, byte by byte (RFC 7296 §2.8.1).
pub(crate) fn lowest(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.min(other).to_vec()
}

impl Established {
    pub(crate) fn begin_child(
        &mut self,
        core: &mut Core,
        index: usize,
        group: Option<Group>,
        old: Option<&Child>,
    ) -> Result<(), Failure> {
        let Some(profile) = core.profile(self.profile) else {
            return Ok(());
        };
        let Some(child) = profile.children.get(index) else {
            return Ok(());
        };
        let offer = Offer::new(core, index, child, group, old)?;
        let nonce = core.nonce();
        if let Err(failure) = self.send_offer(core, &offer, &nonce, old) {
            core.release(offer.spi);
            return Err(failure);
        }
        self.exchange = Some(Exchange::CreateChild(Box::new(CreateChild {
            offer,
            nonce,
            rekeys: old.map(|old| old.inbound),
            collision: None,
            deleted: Vec::new(),
            unwanted: false,
        })));
        Ok(())
    }

    fn send_offer(
        &mut self,
        core: &mut Core,
        offer: &Offer,
        nonce: &[u8],
        old: Option<&Child>,
    ) -> Result<(), Failure> {
        let mut writer = PayloadWriter::new();
        if let Some(old) = old {
            push_child_notify(&mut writer, NotifyType::REKEY_SA, old.inbound)?;
        }
        offer.write(&mut writer, Some(nonce))?;
        self.channel.request(core, EXCHANGE, &writer)
    }

    pub(crate) fn begin_rekey_child(
        &mut self,
        core: &mut Core,
        inbound: u32,
        group: Option<Group>,
    ) -> Result<(), Failure> {
        // The peer may have rekeyed or deleted it meanwhile.
        match self.child(inbound).filter(|child| child.is_active()).cloned() {
            Some(old) => self.begin_child(core, old.index, group, Some(&old)),
            None => Ok(()),
        }
    }

    pub(crate) fn create_child_request(mut self, core: &mut Core, contents: &Contents<'_>) -> Option<State> {
        let first = contents.sa.and_then(|sa| sa.proposals().next());
        if first.is_some_and(|proposal| proposal.protocol == ProtocolId::IKE) {
            return self.rekey_request(core, contents);
        }
        let answered = match self.answer_child(core, contents) {
            Ok(writer) => self.channel.answer(core, EXCHANGE, &writer),
            Err(failure) => {
                let writer = self.refuse_child_request(core, contents, failure);
                self.channel.answer(core, EXCHANGE, &writer)
            }
        };
        self.answered(core, answered)
    }

    fn refuse_child_request(
        &mut self,
        core: &mut Core,
        contents: &Contents<'_>,
        failure: Failure,
    ) -> PayloadWriter {
        let mut writer = PayloadWriter::new();
        match (
            &failure,
            contents
                .notify(NotifyType::REKEY_SA)
                .and_then(|notify| esp_spi(notify.spi)),
        ) {
            // It says which one (RFC 7296 §2.25).
            (Failure::ChildNotFound, Some(spi)) => {
                let _ = push_child_notify(&mut writer, NotifyType::CHILD_SA_NOT_FOUND, spi);
            }
            _ => writer = refusal(&failure),
        }
        if !matches!(
            failure,
            Failure::ChildNotFound | Failure::Temporary | Failure::Group { .. }
        ) {
            core.event(Event::ChildFailed {
                ike: self.channel.id(),
                child: String::new(),
                reason: failure,
            });
        }
        writer
    }

    /// Makes the child SA that the peer asks for, and its answer.
    fn answer_child(&mut self, core: &mut Core, contents: &Contents<'_>) -> Result<PayloadWriter, Failure> {
        let rekeying = matches!(self.exchange, Some(Exchange::RekeyIke(_)));
        if rekeying || self.closing.is_some() || self.replaced.is_some() {
            return Err(Failure::Temporary);
        }
        let profile = core.profile(self.profile).ok_or(Failure::NoProfile)?;
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce")?;
        let old = match contents.notify(NotifyType::REKEY_SA) {
            None => None,
            Some(notify) => {
                let spi = esp_spi(notify.spi).ok_or(Failure::ChildNotFound)?;
                // What is not here may be made by an answer that has been overtaken.
                let missing = match self.exchange {
                    Some(Exchange::CreateChild(_)) => Failure::Temporary,
                    // What it has to take over is with the one before still.
                    _ if self.predecessor.is_some() => Failure::Temporary,
                    _ => Failure::ChildNotFound,
                };
                let old = self
                    .children
                    .iter()
                    .find(|child| child.outbound == spi)
                    .ok_or(missing)?;
                if !old.is_active() {
                    return Err(Failure::Temporary);
                }
                Some((old.inbound, old.index))
            }
        };
        // One that takes the place of another is no more than there were; but replaced ones have to be deleted at some time.
        let most = core.settings.max_children;
        let active = self.children.iter().filter(|child| child.is_active()).count();
        if old.is_none() && active >= most {
            return Err(Failure::TooManyChildren(most));
        }
        if self.children.len() >= most.saturating_mul(2) {
            return Err(Failure::Temporary);
        }
        let choice = Choice::new(core, &profile, EXCHANGE, contents, old.map(|(_, index)| index))?;
        let ours = core.nonce();
        let mut writer = PayloadWriter::new();
        if let Err(failure) = choice.write(&mut writer, Some(&ours)) {
            core.release(choice.agreed.inbound);
            return Err(failure);
        }
        let nonces = Nonces {
            initiator: nonce,
            responder: &ours,
        };
        let child = Child::install(core, &self.channel, &profile, choice.agreed, nonces, false);
        let inbound = child.inbound;
        let old = old.map(|(old, _)| old);
        self.add_child(core, &profile, child, old);
        if let Some(old) = old {
            match &mut self.exchange {
                Some(Exchange::CreateChild(own)) if own.rekeys == Some(old) => {
                    let lowest = lowest(nonce, &ours);
                    own.collision = Some(Collision { inbound, lowest });
                }
                _ => self.replace_child(core, old, inbound),
            }
        }
        Ok(writer)
    }

    /// The peer is to delete a child SA, because another has its place.
    fn replace_child(&mut self, core: &Core, old: u32, by: u32) {
        let until = core.now + core.settings.replaced_timeout;
        if let Some(child) = self.child(old) {
            child.state = ChildState::Replaced { by, until };
            child.rekey_at = None;
        }
    }

    pub(crate) fn create_child_response(
        &mut self,
        core: &mut Core,
        own: CreateChild,
        contents: &Contents<'_>,
    ) {
        let Some(profile) = core.profile(self.profile) else {
            return;
        };
        if let Some(notify) = contents.error() {
            core.release(own.offer.spi);
            self.child_refused(core, &profile, own, contents, notify);
            return;
        }
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce");
        let agreed = nonce.and_then(|nonce| Ok((nonce, own.offer.accept(EXCHANGE, contents)?)));
        let (nonce, agreed) = match agreed {
            Ok(agreed) => agreed,
            Err(reason) => {
                // The peer has it.
                core.release(own.offer.spi);
                self.want(Wanted::DeleteUnknown { spi: own.offer.spi }, core.now);
                self.child_failed(core, &profile, &own, reason);
                return;
            }
        };
        if own.deleted.contains(&agreed.outbound) {
            core.release(own.offer.spi);
            self.child_failed(core, &profile, &own, Failure::Deleted);
            return;
        }
        let nonces = Nonces {
            initiator: &own.nonce,
            responder: nonce,
        };
        let new = agreed.inbound;
        let child = Child::install(core, &self.channel, &profile, agreed, nonces, true);
        let old = own.rekeys.filter(|old| self.child(*old).is_some());
        self.add_child(
            core,
            &profile,
            child,
            own.rekeys.filter(|_| old.is_some() || own.collision.is_some()),
        );
        if own.unwanted {
            self.close_child(core, new, None);
            return;
        }
        match (old, own.collision) {
            (Some(old), None) => self.close_child(core, old, Some(new)),
            // The SA with the lowest of all four nonces is deleted by who made it (RFC 7296 §2.8.1).
            (Some(old), Some(theirs)) if lowest(&own.nonce, nonce) > theirs.lowest => {
                self.close_child(core, old, Some(new));
                self.replace_child(core, theirs.inbound, new);
            }
            (old, Some(theirs)) => {
                if let Some(old) = old {
                    self.replace_child(core, old, theirs.inbound);
                }
                self.close_child(core, new, None);
            }
            // A new one, or one whose old one the peer has deleted meanwhile.
            (None, None) => {}
        }
    }

    fn child_refused(
        &mut self,
        core: &mut Core,
        profile: &Profile,
        own: CreateChild,
        contents: &Contents<'_>,
        notify: NotifyType,
    ) {
        // An operator has them all deleted meanwhile.
        if own.unwanted {
            return;
        }
        // The peer has rekeyed it, so that there is nothing left to do.
        if let (Some(old), Some(theirs)) = (own.rekeys, &own.collision) {
            self.replace_child(core, old, theirs.inbound);
            return;
        }
        let wanted = |group| match own.rekeys {
            Some(inbound) => Wanted::RekeyChild { inbound, group },
            None => Wanted::Child {
                index: own.offer.index(),
                group,
            },
        };
        match (notify, own.rekeys) {
            (NotifyType::TEMPORARY_FAILURE, _) => {
                let later = core.settings.retry + core.random.up_to(core.settings.retry);
                self.want(wanted(own.offer.group()), core.now + later);
            }
            (NotifyType::CHILD_SA_NOT_FOUND, Some(old)) => {
                self.leave(core, old, None);
                self.drop_child(core, old);
            }
            (NotifyType::INVALID_KE_PAYLOAD, _) => {
                let group = contents.wanted_group();
                let group =
                    group.filter(|group| own.offer.allows(*group) && own.offer.group() != Some(*group));
                match group {
                    Some(group) => self.want(wanted(Some(group)), core.now),
                    None => {
                        let reason = self.refusal_of_child(profile, &own, contents, notify);
                        self.child_failed(core, profile, &own, reason);
                    }
                }
            }
            _ => {
                let reason = self.refusal_of_child(profile, &own, contents, notify);
                self.child_failed(core, profile, &own, reason);
            }
        }
    }

    /// Why the peer refuses a child SA, as far as that can be told.
    fn refusal_of_child(
        &mut self,
        profile: &Profile,
        own: &CreateChild,
        contents: &Contents<'_>,
        notify: NotifyType,
    ) -> Failure {
        // It took the same without a key exchange in IKE_AUTH, so it is that.
        let was_without = own
            .rekeys
            .and_then(|old| self.child(old))
            .is_some_and(|old| old.suite.group().is_none());
        let child = profile.children.get(own.offer.index());
        let wanted = match notify {
            NotifyType::INVALID_KE_PAYLOAD => {
                contents.wanted_group().filter(|group| !own.offer.allows(*group))
            }
            _ => None,
        };
        let is_about_groups = wanted.is_some() || (was_without && notify == NotifyType::NO_PROPOSAL_CHOSEN);
        match child {
            Some(child) if is_about_groups && own.offer.group().is_some() => Failure::RekeyGroup {
                wanted,
                allowed: group_names(&own.offer.proposals),
                place: format!("proposals of child {} of profile {}", child.name, profile.name),
            },
            _ => Failure::Refused {
                exchange: EXCHANGE,
                notify,
            },
        }
    }

    fn child_failed(&mut self, core: &mut Core, profile: &Profile, own: &CreateChild, reason: Failure) {
        let child = profile.children.get(own.offer.index());
        core.event(Event::ChildFailed {
            ike: self.channel.id(),
            child: child.map_or_else(String::new, |child| child.name.clone()),
            reason,
        });
        if let Some(old) = own.rekeys.and_then(|old| self.child(old)) {
            old.rekey_later(core.now);
        }
    }
}

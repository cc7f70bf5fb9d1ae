//! The child SAs of an IKE SA: which is used, which takes the place of which, and when they go.

use crate::child::{Child, ChildState};
use crate::core::{Core, Effect};
use crate::established::{Established, Exchange, Wanted};
use crate::{Event, Profile, SaCommand, StartAction};

impl Established {
    /// Adds a child SA that traffic goes out by from now on, but for one that the peer makes in place of another: that is used
    /// when the peer has deleted the old one, since it has the new one for sure then.
    pub(crate) fn add_child(
        &mut self,
        core: &mut Core,
        profile: &Profile,
        child: Child,
        instead_of: Option<u32>,
    ) {
        core.event(Event::ChildUp {
            ike: self.channel.id(),
            child: child.name(profile),
            spis: child.pair(),
            instead_of,
        });
        let inbound = child.inbound;
        self.children.push(child);
        match instead_of {
            Some(_) => core.counters.child_rekeys += 1,
            None => self.switch(core, inbound, None),
        }
    }

    pub(crate) fn child(&mut self, inbound: u32) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.inbound == inbound)
    }

    /// Has traffic go out by this child SA, and no more by `old` nor by any other for the same traffic: with several rekeyings at
    /// once the one that is used need not be the one that this was made for.
    pub(crate) fn switch(&mut self, core: &mut Core, new: u32, old: Option<u32>) {
        let Some(next) = self.child(new).cloned() else {
            return;
        };
        let mut from = None;
        for child in &mut self.children {
            if child.inbound == new {
                child.in_use = true;
                child.was_used = true;
            } else if child.in_use && (Some(child.inbound) == old || child.is_for_the_same_as(&next)) {
                child.in_use = false;
                from = Some(child.pair());
            }
        }
        if !next.in_use {
            let to = next.pair();
            core.command(SaCommand::Switch { from, to });
        }
    }

    /// Has traffic of a child SA that goes away go out by `by`, or by another for the same traffic.
    pub(crate) fn leave(&mut self, core: &mut Core, inbound: u32, by: Option<u32>) {
        let Some(left) = self.child(inbound).filter(|child| child.in_use).cloned() else {
            return;
        };
        let named = self.children.iter().find(|child| Some(child.inbound) == by);
        let same =
            |child: &&Child| child.inbound != inbound && child.is_active() && child.is_for_the_same_as(&left);
        let next = named.or_else(|| self.children.iter().find(same));
        if let Some(next) = next.map(|child| child.inbound) {
            self.switch(core, next, Some(inbound));
        }
    }

    /// Takes a child SA out, at once or when what is on its way is there.
    pub(crate) fn drop_child(&mut self, core: &mut Core, inbound: u32) -> Option<Child> {
        let at = self.children.iter().position(|child| child.inbound == inbound)?;
        let child = self.children.swap_remove(at);
        child.retire(core);
        self.bare(core, &child);
        // One that it was to replace is there still, and stays.
        let retry = core.now + core.settings.retry + core.random.up_to(core.settings.retry);
        for other in &mut self.children {
            if matches!(other.state, ChildState::Replaced { by, .. } if by == inbound) {
                other.state = ChildState::Active;
                other.rekey_at = Some(retry);
            }
        }
        if let Some(profile) = core.profile(self.profile) {
            core.event(child.down(&self.channel, &profile));
            let again = profile.start == StartAction::Start
                && child.in_use
                && !child.unwanted
                && !self.children.iter().any(|other| other.index == child.index);
            if again && self.closing.is_none() {
                self.want(
                    Wanted::Child {
                        index: child.index,
                        group: None,
                    },
                    retry,
                );
            }
        }
        Some(child)
    }

    /// Has traffic of a child SA that is gone go out by one of another IKE SA, if there is one: both ends may have begun at once.
    pub(crate) fn bare(&self, core: &mut Core, child: &Child) {
        let several = core.contacts.of_profile(self.profile) > 1;
        if child.in_use && several {
            let (peer, child) = (self.peer.clone(), Box::new(child.clone()));
            core.effects.push(Effect::Bare { peer, child });
        }
    }

    /// Deletes a child SA.
    pub(crate) fn close_child(&mut self, core: &mut Core, inbound: u32, by: Option<u32>) {
        if let Some(child) = self.child(inbound) {
            child.state = ChildState::Closing { by };
            child.rekey_at = None;
            child.expire_at = None;
            if let Some(by) = by {
                self.switch(core, by, Some(inbound));
            }
            self.want(Wanted::DeleteChild { inbound }, core.now);
        }
    }

    /// Deletes all child SAs, and what an exchange under way makes.
    pub(crate) fn close_children(&mut self, core: &mut Core) {
        if let Some(Exchange::CreateChild(own)) = &mut self.exchange {
            own.unwanted = true;
        }
        let there = self
            .children
            .iter()
            .filter(|child| !matches!(child.state, ChildState::Closing { .. }));
        let there: Vec<u32> = there.map(|child| child.inbound).collect();
        for inbound in there {
            self.close_child(core, inbound, None);
        }
        self.children.iter_mut().for_each(|child| child.unwanted = true);
        // Nor does one come up that was asked for before.
        self.wanted
            .retain(|(_, wanted)| !matches!(wanted, Wanted::Child { .. }));
    }

    /// Does what is due of child SAs.
    pub(crate) fn child_timers(&mut self, core: &mut Core) {
        let mut expired = Vec::new();
        for child in &mut self.children {
            if child.rekey_at.take_if(|at| *at <= core.now).is_some() && child.is_active() {
                let inbound = child.inbound;
                self.wanted
                    .push((core.now, Wanted::RekeyChild { inbound, group: None }));
            }
            if child.expire_at.take_if(|at| *at <= core.now).is_some() {
                let by = match child.state {
                    ChildState::Replaced { by, .. } => Some(by),
                    _ => None,
                };
                expired.push((child.inbound, by));
            }
            match child.state {
                ChildState::Replaced { by, until } if until <= core.now => {
                    expired.push((child.inbound, Some(by)))
                }
                _ => {}
            }
        }
        for (inbound, by) in expired {
            self.close_child(core, inbound, by);
        }
    }
}

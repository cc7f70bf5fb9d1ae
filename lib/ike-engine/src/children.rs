//! The child SAs of an IKE SA: which is used, which takes the place of which, and when they go.

use crate::child::{Child, ChildState};
use crate::core::Core;
use crate::established::{Established, Wanted};
use crate::{Event, Profile, SaCommand, StartAction};

impl Established {
    /// Adds a child SA that traffic goes out by from now on, but for one that the peer makes in place of another: that is used
    /// when the peer has deleted the old one, since it has the new one for sure then.
    pub(crate) fn add_child(
        &mut self,
        core: &mut Core,
        profile: &Profile,
        mut child: Child,
        instead_of: Option<u32>,
    ) {
        if instead_of.is_none() {
            let (from, to) = (None, child.outbound);
            core.command(SaCommand::Switch { from, to });
            child.in_use = true;
        } else {
            core.counters.child_rekeys += 1;
        }
        core.event(Event::ChildUp {
            ike: self.channel.id(),
            child: child.name(profile),
            spis: (child.inbound, child.outbound),
            instead_of,
        });
        self.children.push(child);
    }

    pub(crate) fn child(&mut self, inbound: u32) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.inbound == inbound)
    }

    /// Has traffic of one child SA go out by another.
    pub(crate) fn switch(&mut self, core: &mut Core, old: u32, new: u32) {
        let Some(to) = self.child(new).map(|child| {
            child.in_use = true;
            child.outbound
        }) else {
            return;
        };
        let from = self.child(old).filter(|child| child.in_use).map(|child| {
            child.in_use = false;
            child.outbound
        });
        core.command(SaCommand::Switch { from, to });
    }

    /// Takes a child SA out, at once or when what is on its way is there.
    pub(crate) fn drop_child(&mut self, core: &mut Core, inbound: u32) -> Option<Child> {
        let at = self.children.iter().position(|child| child.inbound == inbound)?;
        let child = self.children.swap_remove(at);
        child.retire(core);
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

    /// Deletes a child SA.
    pub(crate) fn close_child(&mut self, core: &mut Core, inbound: u32, by: Option<u32>) {
        if let Some(child) = self.child(inbound) {
            child.state = ChildState::Closing { by };
            child.rekey_at = None;
            child.expire_at = None;
            if let Some(by) = by {
                self.switch(core, inbound, by);
            }
            self.want(Wanted::DeleteChild { inbound }, core.now);
        }
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

//! Child SAs: pairs of SAs of ESP (RFC 7296 §2.17).

use std::sync::Arc;
use std::time::Duration;

use ikev2::crypto::{ChildKeys, EspSuite, Nonces, Secret};
use ikev2::wire::TrafficSelector;

use crate::agreement::{Agreed, first_group};
use crate::channel::Channel;
use crate::core::Core;
use crate::established::REFUSED_RETRY;
use crate::output::{ChildSa, SpiPair};
use crate::{Event, Profile, SaCommand, Time};

/// After so long, and up to so much later, a child SA of IKE_AUTH is rekeyed to see whether the ends agree on a group.
const TRIAL: Duration = Duration::from_secs(3);
const TRIAL_JITTER: Duration = Duration::from_secs(2);

/// How far a child SA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// It is there.
    Active,
    /// The peer has rekeyed it and is to delete it.
    Replaced { by: u32, until: Time },
    /// Our DELETE for it is to be sent, or under way; `by`: what takes its place.
    Closing { by: Option<u32> },
}

/// A pair of SAs of ESP.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// Which of the profile's.
    pub(crate) index: usize,
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) ours: Vec<TrafficSelector>,
    pub(crate) theirs: Vec<TrafficSelector>,
    /// When it is rekeyed; `None` once that is to be done.
    pub(crate) rekey_at: Option<Time>,
    pub(crate) expire_at: Option<Time>,
    /// When it is rekeyed otherwise, for one that is rekeyed early to see whether that works.
    pub(crate) after_trial: Option<Time>,
    pub(crate) state: ChildState,
    /// Whether traffic goes out by it.
    pub(crate) in_use: bool,
    /// Whether traffic goes out by it or has done so.
    pub(crate) was_used: bool,
    /// Whether an operator has it deleted, so that it is not to come again.
    pub(crate) unwanted: bool,
    pub(crate) keys: Arc<DirectionKeys>,
}

/// The keys of a pair of SAs: of each direction as [`ChildSa::key`] has them. They are kept for a data plane that has not got them yet when
/// this process ends.
#[derive(Debug)]
pub(crate) struct DirectionKeys {
    pub(crate) inbound: Secret,
    pub(crate) outbound: Secret,
}

impl Child {
    /// Makes both SAs known to the data plane; nothing goes out by them yet. `asked`: whether we sent the request.
    pub(crate) fn install(
        core: &mut Core,
        channel: &Channel,
        profile: &Profile,
        agreed: Agreed,
        nonces: Nonces<'_>,
        asked: bool,
    ) -> Child {
        let Agreed {
            index,
            inbound,
            outbound,
            suite,
            ours,
            theirs,
            shared,
        } = agreed;
        let keys = ChildKeys::derive(
            channel.suite.prf(),
            &channel.keys.sk_d,
            shared.as_ref(),
            nonces,
            suite.key_len(),
        );
        let (out_key, in_key) = match asked {
            true => (keys.initiator, keys.responder),
            false => (keys.responder, keys.initiator),
        };
        let child = profile.children.get(index);
        let made = Child {
            index,
            inbound,
            outbound,
            suite,
            ours,
            theirs,
            rekey_at: child.map(|child| core.soft_end(&child.lifetime)),
            expire_at: child.map(|child| core.now + child.lifetime.hard),
            after_trial: None,
            state: ChildState::Active,
            in_use: false,
            was_used: false,
            unwanted: false,
            keys: Arc::new(DirectionKeys {
                inbound: in_key,
                outbound: out_key,
            }),
        };
        let [inbound, outbound] = made.sas(channel, profile);
        core.command(SaCommand::InstallInbound(inbound));
        core.command(SaCommand::InstallOutbound(outbound));
        made
    }

    /// Has one that IKE_AUTH has made be rekeyed soon, if its profile has a group: IKE_AUTH has no key exchange for it (RFC 7296 §1.2), so
    /// that it would show only in an hour that the ends do not agree on one.
    pub(crate) fn try_group(&mut self, core: &mut Core, profile: &Profile) {
        let child = profile.children.get(self.index);
        let at = core.now + TRIAL + core.random.up_to(TRIAL_JITTER);
        if child.is_some_and(|child| first_group(&child.proposals).is_some())
            && self.rekey_at.is_some_and(|later| at < later)
        {
            self.after_trial = self.rekey_at.replace(at);
        }
    }

    /// Has it rekeyed later, since that was refused.
    pub(crate) fn rekey_later(&mut self, now: Time) {
        let retry = now + REFUSED_RETRY;
        self.rekey_at = Some(self.after_trial.take().map_or(retry, |at| at.max(retry)));
    }

    /// Both SAs as the data plane gets them: the inbound one first.
    pub(crate) fn sas(&self, channel: &Channel, profile: &Profile) -> [Box<ChildSa>; 2] {
        let sa = |key: &Secret| {
            Box::new(ChildSa {
                ike: channel.id(),
                profile: profile.name.clone(),
                child: self.name(profile),
                pair: self.pair(),
                suite: self.suite,
                key: Secret::from(key.expose().to_vec()),
                ours: self.ours.clone(),
                theirs: self.theirs.clone(),
                path: channel.path,
                in_udp: channel.nat.is_there(),
            })
        };
        [sa(&self.keys.inbound), sa(&self.keys.outbound)]
    }

    /// Has it taken out of the data plane at once.
    pub(crate) fn remove(&self, core: &mut Core) {
        core.command(SaCommand::RemoveOutbound(self.pair()));
        core.remove_inbound(self.inbound);
    }

    /// Has it taken out of the data plane; what is on its way is taken still.
    pub(crate) fn retire(&self, core: &mut Core) {
        core.command(SaCommand::RemoveOutbound(self.pair()));
        core.linger(self.inbound);
    }

    pub(crate) fn down(&self, channel: &Channel, profile: &Profile) -> Event {
        Event::ChildDown {
            ike: channel.id(),
            child: self.name(profile),
            spis: self.pair(),
        }
    }

    pub(crate) fn name(&self, profile: &Profile) -> String {
        profile
            .children
            .get(self.index)
            .map_or_else(String::new, |child| child.name.clone())
    }

    pub(crate) fn pair(&self) -> SpiPair {
        SpiPair {
            inbound: self.inbound,
            outbound: self.outbound,
        }
    }

    pub(crate) fn is_for_the_same_as(&self, other: &Child) -> bool {
        (self.index, &self.ours, &self.theirs) == (other.index, &other.ours, &other.theirs)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == ChildState::Active
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state, ChildState::Closing { .. })
    }
}

//! What an engine shows of its IKE SAs.

use std::time::Duration;

use ikev2::crypto::{EspSuite, IkeSpis, IkeSuite};
use ikev2::wire::{IkeSpi, TrafficSelector};

use crate::channel::{Nat, Role};
use crate::core::Core;
use crate::established::Established;
use crate::state::State;
use crate::{Identity, Path};

/// How far an IKE SA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// IKE_SA_INIT was sent.
    InitSent,
    /// IKE_AUTH was sent.
    AuthSent,
    /// IKE_SA_INIT was answered.
    HalfOpen,
    /// Both ends have shown who they are.
    Established,
    /// It was rekeyed, and is to be deleted.
    Replaced,
    /// It is being deleted.
    Closing,
    /// It is gone, but for its last answer.
    Closed,
}

/// A child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildView {
    /// Name of its profile.
    pub name: String,
    /// SPI of packets that come in.
    pub inbound: u32,
    /// SPI of packets that go out.
    pub outbound: u32,
    /// Its algorithms.
    pub suite: EspSuite,
    /// Traffic at our end.
    pub ours: Vec<TrafficSelector>,
    /// Traffic at the other end.
    pub theirs: Vec<TrafficSelector>,
    /// Whether traffic goes out by it.
    pub in_use: bool,
    /// Whether it is to stay: not rekeyed, and not being deleted.
    pub stays: bool,
}

/// An IKE SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeView {
    /// Our SPI.
    pub ike: IkeSpi,
    /// How far it is.
    pub phase: Phase,
    /// Name of the profile; empty where it is not known yet.
    pub profile: String,
    /// Which end we are.
    pub role: Role,
    /// Both SPIs; that of a responder who has not answered is zero.
    pub spis: IkeSpis,
    /// Between which addresses.
    pub path: Path,
    /// Which end is behind a NAT.
    pub nat: Nat,
    /// Who the peer is; `None`: not known yet.
    pub peer: Option<Identity>,
    /// Its algorithms; `None`: not agreed on yet.
    pub suite: Option<IkeSuite>,
    /// Since when it is established.
    pub age: Option<Duration>,
    /// Whether a request is under way.
    pub busy: bool,
    /// Its child SAs.
    pub children: Vec<ChildView>,
}

fn established(core: &Core, sa: &Established, view: &mut IkeView) {
    let profile = core.profile(sa.profile);
    view.phase = match (&sa.closing, sa.replaced) {
        (Some(_), _) => Phase::Closing,
        (None, Some(_)) => Phase::Replaced,
        (None, None) => Phase::Established,
    };
    view.peer = Some(sa.peer.clone());
    view.age = Some(core.now.since(sa.since));
    view.profile = profile
        .as_ref()
        .map_or_else(String::new, |profile| profile.name.clone());
    let shown = sa.children.iter().map(|child| ChildView {
        name: profile
            .as_ref()
            .map_or_else(String::new, |profile| child.name(profile)),
        inbound: child.inbound,
        outbound: child.outbound,
        suite: child.suite,
        ours: child.ours.clone(),
        theirs: child.theirs.clone(),
        in_use: child.in_use,
        stays: child.is_active(),
    });
    view.children = shown.collect();
}

impl IkeView {
    pub(crate) fn of(core: &Core, state: &State) -> IkeView {
        let phase = match state {
            State::InitSent(_) => Phase::InitSent,
            State::AuthSent(_) => Phase::AuthSent,
            State::HalfOpen(_) => Phase::HalfOpen,
            State::Established(_) => Phase::Established,
            State::Closed(_) => Phase::Closed,
        };
        let profile = state.profile().and_then(|profile| core.profile(profile));
        let mut view = IkeView {
            ike: IkeSpi::ZERO,
            phase,
            profile: profile.map_or_else(String::new, |profile| profile.name.clone()),
            role: Role::Initiator,
            spis: IkeSpis {
                initiator: IkeSpi::ZERO,
                responder: IkeSpi::ZERO,
            },
            path: Path {
                local: ([0; 4], 0).into(),
                remote: ([0; 4], 0).into(),
            },
            nat: Nat::default(),
            peer: None,
            suite: None,
            age: None,
            busy: true,
            children: Vec::new(),
        };
        if let Some(channel) = state.channel() {
            view.ike = channel.id();
            view.role = channel.role;
            view.spis = channel.spis;
            view.path = channel.path;
            view.nat = channel.nat;
            view.suite = Some(channel.suite);
            view.busy = channel.under_way.is_some();
        }
        match state {
            State::InitSent(sa) => {
                view.ike = sa.spi;
                view.spis.initiator = sa.spi;
                view.path = sa.path;
            }
            State::Established(sa) => established(core, sa, &mut view),
            _ => {}
        }
        view
    }
}

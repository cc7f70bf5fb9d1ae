//! What tools are shown of IKE SAs and profiles.

use control::ike::{IkeChild, IkeKeys, IkeProfile, IkeProfileChild, IkeReply, IkeSa, IkeStatistics};
use control::message::SaKeys;
use ike_engine::{ChildView, Counters, Engine, IkeView, Phase, Role, SpiPair};
use ikev2::crypto::{Group, Secret};
use ikev2::wire::TrafficSelector;
use zeroize::Zeroizing;

use crate::config::{ChildConfig, Config, ProfileConfig};
use crate::plane::Plane;

/// All IKE SAs, or those of a profile, in pages.
pub(crate) fn sas(
    engine: &Engine,
    plane: &Plane,
    config: &Config,
    profile: Option<&str>,
    secrets: bool,
) -> Vec<IkeReply> {
    let all = profile.is_none().then(|| engine.ikes());
    let some = profile.map(|profile| engine.ikes_of(profile));
    let views = all.into_iter().flatten().chain(some.into_iter().flatten());
    let shown = |view: IkeView| {
        let keys = engine.keys_of(view.ike).filter(|_| secrets).map(|keys| IkeKeys {
            sk_d: copy(&keys.sk_d),
            sk_a: (copy(&keys.sk_ai), copy(&keys.sk_ar)),
            sk_e: (copy(&keys.sk_ei), copy(&keys.sk_er)),
            sk_p: (copy(&keys.sk_pi), copy(&keys.sk_pr)),
        });
        sa(&view, plane, config, keys, secrets)
    };
    IkeReply::pages_of_sas(views.map(shown))
}

fn copy(secret: &Secret) -> SaKeys {
    SaKeys::new(Zeroizing::new(secret.expose().to_vec()))
}

fn sa(view: &IkeView, plane: &Plane, config: &Config, keys: Option<IkeKeys>, secrets: bool) -> IkeSa {
    let profile = config.profile(&view.profile);
    let child = |child: &ChildView| shown(child, plane, secrets);
    IkeSa {
        profile: view.profile.clone(),
        state: state(view.phase).to_owned(),
        initiator: view.role == Role::Initiator,
        initiator_spi: u64::from_be_bytes(view.spis.initiator.0),
        responder_spi: u64::from_be_bytes(view.spis.responder.0),
        local: view.path.local,
        remote: view.path.remote,
        local_id: profile.map(|profile| profile.local_id.to_string()),
        remote_id: view.peer.as_ref().map(ToString::to_string),
        nat_here: view.nat.here,
        nat_there: view.nat.there,
        suite: view.suite.map(|suite| suite.to_string()),
        age_ms: view
            .age
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        busy: view.busy,
        children: view.children.iter().map(child).collect(),
        keys,
    }
}

fn shown(child: &ChildView, plane: &Plane, secrets: bool) -> IkeChild {
    let pair = SpiPair {
        inbound: child.inbound,
        outbound: child.outbound,
    };
    let known = plane.shown(pair);
    let keys = known.and_then(|known| Some((copy(&known.inbound.key), copy(&known.outbound?.key))));
    IkeChild {
        name: child.name.clone(),
        tunnel: known.map(|known| known.tunnel.to_owned()),
        inbound_spi: child.inbound,
        outbound_spi: child.outbound,
        transform: child.suite.to_string(),
        esn: child.suite.has_extended_sequence_numbers(),
        group: child.suite.group().as_ref().map(Group::to_string),
        in_udp: known.is_some_and(|known| known.inbound.in_udp),
        local_ts: words(&child.ours),
        remote_ts: words(&child.theirs),
        in_use: child.in_use,
        stays: child.stays,
        keys: keys.filter(|_| secrets),
    }
}

fn words(selectors: &[TrafficSelector]) -> Vec<String> {
    selectors.iter().map(ToString::to_string).collect()
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::InitSent => "init_sent",
        Phase::AuthSent => "auth_sent",
        Phase::HalfOpen => "half_open",
        Phase::Established => "established",
        Phase::Replaced => "replaced",
        Phase::Closing => "closing",
        Phase::Closed => "closed",
    }
}

/// The profiles, in pages and with an end.
pub(crate) fn profiles(config: &Config) -> Vec<IkeReply> {
    let mut replies = IkeReply::pages_of_profiles(config.profiles.iter().map(profile));
    replies.push(IkeReply::Done);
    replies
}

fn profile(profile: &ProfileConfig) -> IkeProfile {
    let [local_auth, remote_auth] = profile.auth.words().map(str::to_owned);
    IkeProfile {
        name: profile.name.clone(),
        local_address: profile.local_address,
        remote_address: profile.remote_address,
        local_id: profile.local_id.to_string(),
        remote_id: profile.remote_id.as_ref().map(ToString::to_string),
        local_auth,
        remote_auth,
        ike_proposals: profile.proposals.iter().map(ToString::to_string).collect(),
        start: profile.start_word().to_owned(),
        childless: profile.childless,
        rekey_seconds: profile.lifetime.soft.as_secs(),
        life_seconds: profile.lifetime.hard.as_secs(),
        dpd_seconds: profile.dpd_delay.as_secs(),
        dpd_action: profile.dpd_action_word().to_owned(),
        children: profile.children.iter().map(child).collect(),
    }
}

fn child(child: &ChildConfig) -> IkeProfileChild {
    IkeProfileChild {
        name: child.name.clone(),
        tunnel: child.tunnel.clone(),
        esp_proposals: child.proposals.iter().map(ToString::to_string).collect(),
        local_ts: words(&child.local),
        remote_ts: words(&child.remote),
        rekey_seconds: child.lifetime.soft.as_secs(),
        life_seconds: child.lifetime.hard.as_secs(),
    }
}

/// What was counted.
pub(crate) fn statistics(counters: Counters, unsent: u64) -> IkeStatistics {
    IkeStatistics {
        keepalives: counters.keepalives,
        ike_rekeys: counters.ike_rekeys,
        child_rekeys: counters.child_rekeys,
        init_sent: counters.inits.0,
        init_answered: counters.inits.1,
        authenticated: counters.established,
        retransmitted: counters.retransmissions,
        repeated_answers: counters.repeated_answers,
        cookies: counters.cookies,
        dropped: counters.dropped,
        limited: counters.limited,
        unsent,
    }
}

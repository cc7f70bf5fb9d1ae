//! From IKE SAs to records.

use ikev2::crypto::{Group, PrivateKey, Secret};
use ikev2::wire::{IkeSpi, TrafficSelector, Transform};
use serde::Serialize;

use super::record::*;
use crate::again::Restart;
use crate::channel::{Channel, Role};
use crate::child::{Child, ChildState};
use crate::core::Core;
use crate::create_child::CreateChild;
use crate::engine::Engine;
use crate::established::{Established, Exchange, Wanted};
use crate::rekey_ike::RekeyIke;
use crate::state::State;
use crate::{Failure, Profile, StartAction, Time};

/// The bytes of a record, in memory that is taken once.
fn bytes(record: &impl Serialize) -> Option<Secret> {
    let size = postcard::serialize_with_flavor::<_, _, usize>(record, postcard::ser_flavors::Size::default());
    let mut out = vec![0; size.ok()?];
    postcard::to_slice(record, &mut out).ok()?;
    Some(Secret::from(out))
}

fn moment(time: Time) -> Moment {
    time.as_millis()
}

fn transforms(transforms: &[Transform]) -> Vec<TransformRecord> {
    let one = |transform: &Transform| (transform.kind.0, transform.id, transform.key_length);
    transforms.iter().map(one).collect()
}

fn selectors(selectors: &[TrafficSelector]) -> Vec<SelectorRecord> {
    let one = |selector: &TrafficSelector| {
        let (first, last) = selector.addresses();
        (selector.protocol, selector.ports, first, last)
    };
    selectors.iter().map(one).collect()
}

fn key(key: &PrivateKey) -> KeyRecord<'_> {
    (key.group().method().0, key.bytes().expose())
}

fn slices(messages: &[Vec<u8>]) -> Vec<&[u8]> {
    messages.iter().map(Vec::as_slice).collect()
}

/// The record of an IKE SA; `None`: it is none that is kept.
pub(super) fn record(core: &Core, state: &State) -> Option<Secret> {
    match state {
        State::Established(sa) => {
            let profile = core.profile(sa.profile)?;
            bytes(&SaRecord {
                channel: channel(&sa.channel),
                body: BodyRecord::Established(Box::new(established(sa, &profile))),
            })
        }
        // Who has shown no key leaves nothing behind.
        State::Closed(sa) if sa.stranger.is_some() => None,
        State::Closed(sa) => bytes(&SaRecord {
            channel: channel(&sa.channel),
            body: BodyRecord::Closed(moment(sa.until)),
        }),
        State::InitSent(_) | State::AuthSent(_) | State::HalfOpen(_) => None,
    }
}

fn channel(channel: &Channel) -> ChannelRecord<'_> {
    let keys = &channel.keys;
    let all = [
        &keys.sk_d,
        &keys.sk_ai,
        &keys.sk_ar,
        &keys.sk_ei,
        &keys.sk_er,
        &keys.sk_pi,
        &keys.sk_pr,
    ];
    ChannelRecord {
        is_responder: channel.role == Role::Responder,
        spis: (channel.spis.initiator.0, channel.spis.responder.0),
        path: (channel.path.local, channel.path.remote),
        nat: (channel.nat.here, channel.nat.there),
        suite: transforms(&channel.suite.transforms()),
        keys: all.map(Secret::expose),
        fragments: channel.fragments,
        next_iv: channel.sealer.next_iv(),
        next_request: channel.next_request,
        next_expected: channel.next_expected,
        under_way: channel.under_way.as_ref().map(|request| RequestRecord {
            exchange: request.exchange.0,
            messages: slices(&request.messages),
            sent: request.sent,
            due: moment(request.due),
        }),
        answered: slices(&channel.answered),
        heard: moment(channel.heard),
        sent: moment(channel.sent),
    }
}

fn child_name(profile: &Profile, index: usize) -> &str {
    profile.children.get(index).map_or("", |child| &child.name)
}

fn established<'a>(sa: &'a Established, profile: &'a Profile) -> EstablishedRecord<'a> {
    EstablishedRecord {
        profile: &profile.name,
        peer: (sa.peer.kind.0, &sa.peer.data),
        children: sa.children.iter().map(|of| child(of, profile)).collect(),
        exchange: sa.exchange.as_ref().map(|of| exchange(of, profile)),
        wanted: sa
            .wanted
            .iter()
            .map(|(at, of)| (moment(*at), wanted(of, profile)))
            .collect(),
        since: moment(sa.since),
        rekey_at: sa.rekey_at.map(moment),
        expire_at: sa.expire_at.map(moment),
        predecessor: sa.predecessor.map(|ike| ike.0),
        successors: sa.successors.iter().map(|ike| ike.0).collect(),
        replaced: sa.replaced.map(moment),
        closing: sa.closing.as_ref().map(|reason| match reason {
            Failure::Rekeyed => ClosingRecord::Rekeyed,
            Failure::Expired => ClosingRecord::Expired,
            _ => ClosingRecord::Terminated,
        }),
        announced: sa.announced,
    }
}

fn child<'a>(child: &'a Child, profile: &'a Profile) -> ChildRecord<'a> {
    ChildRecord {
        name: child_name(profile, child.index),
        inbound: child.inbound,
        outbound: child.outbound,
        suite: transforms(&child.suite.transforms()),
        ours: selectors(&child.ours),
        theirs: selectors(&child.theirs),
        rekey_at: child.rekey_at.map(moment),
        expire_at: child.expire_at.map(moment),
        after_trial: child.after_trial.map(moment),
        state: match child.state {
            ChildState::Active => ChildStateRecord::Active,
            ChildState::Replaced { by, until } => {
                let until = moment(until);
                ChildStateRecord::Replaced { by, until }
            }
            ChildState::Closing { by } => ChildStateRecord::Closing { by },
        },
        in_use: child.in_use,
        was_used: child.was_used,
        unwanted: child.unwanted,
        inbound_key: child.keys.inbound.expose(),
        outbound_key: child.keys.outbound.expose(),
    }
}

fn exchange<'a>(exchange: &'a Exchange, profile: &'a Profile) -> ExchangeRecord<'a> {
    match exchange {
        Exchange::Liveness => ExchangeRecord::Liveness,
        Exchange::CreateChild(own) => ExchangeRecord::CreateChild(Box::new(create_child(own, profile))),
        Exchange::DeleteChild { inbound } => ExchangeRecord::DeleteChild(*inbound),
        Exchange::DeleteUnknown => ExchangeRecord::DeleteUnknown,
        Exchange::RekeyIke(own) => ExchangeRecord::RekeyIke(rekey_ike(own)),
        Exchange::DeleteIke => ExchangeRecord::DeleteIke,
    }
}

fn create_child<'a>(own: &'a CreateChild, profile: &'a Profile) -> CreateChildRecord<'a> {
    let offer = &own.offer;
    let proposals = offer.proposals.iter();
    CreateChildRecord {
        name: child_name(profile, offer.index),
        spi: offer.spi,
        proposals: proposals
            .map(|proposal| transforms(proposal.transforms()))
            .collect(),
        ours: selectors(&offer.ours),
        theirs: selectors(&offer.theirs),
        key: offer.key.as_ref().map(key),
        nonce: &own.nonce,
        rekeys: own.rekeys,
        collision: own
            .collision
            .as_ref()
            .map(|of| (of.inbound, of.lowest.as_slice())),
        deleted: own.deleted.clone(),
        unwanted: own.unwanted,
    }
}

fn rekey_ike(own: &RekeyIke) -> RekeyIkeRecord<'_> {
    RekeyIkeRecord {
        spi: own.spi.0,
        nonce: &own.nonce,
        key: key(&own.key),
        collision: own.collision.as_ref().map(|of| (of.ike.0, of.lowest.as_slice())),
    }
}

fn wanted<'a>(wanted: &Wanted, profile: &'a Profile) -> WantedRecord<'a> {
    let number = |group: Option<Group>| group.map(|group| group.method().0);
    match *wanted {
        Wanted::Child { index, group } => WantedRecord::Child(child_name(profile, index), number(group)),
        Wanted::RekeyChild { inbound, group } => WantedRecord::RekeyChild(inbound, number(group)),
        Wanted::DeleteChild { inbound } => WantedRecord::DeleteChild(inbound),
        Wanted::DeleteUnknown { spi } => WantedRecord::DeleteUnknown(spi),
        Wanted::RekeyIke { group } => WantedRecord::RekeyIke(number(group)),
        Wanted::DeleteIke => WantedRecord::DeleteIke,
        Wanted::Liveness => WantedRecord::Liveness,
    }
}

/// What belongs to no IKE SA; `None`: nothing does.
pub(super) fn general(engine: &Engine) -> Option<Secret> {
    let core = &engine.core;
    let mut record = GeneralRecord {
        lingering: core
            .lingering
            .iter()
            .map(|(at, spi)| (moment(*at), *spi))
            .collect(),
        stopped: Vec::new(),
        waiting: Vec::new(),
        trapped: Vec::new(),
    };
    for (index, profile) in core.profiles.iter().enumerate() {
        let name = profile.name.as_str();
        if profile.start != StartAction::Trap && engine.traps.profiles.contains(&index) {
            record.trapped.push(name);
        }
        match engine.restarts.get(&index) {
            None if profile.start == StartAction::Start => record.stopped.push(name),
            Some(Restart {
                at: Some(at),
                attempts,
            }) if *attempts > 0 => record.waiting.push((name, moment(*at), *attempts)),
            // What was begun is begun anew: by itself that is done for those that are to be up always.
            Some(Restart { at: None, attempts }) if profile.start != StartAction::Start => {
                record.waiting.push((name, moment(core.now), *attempts));
            }
            _ => {}
        }
    }
    let nothing = record.lingering.is_empty()
        && record.stopped.is_empty()
        && record.waiting.is_empty()
        && record.trapped.is_empty();
    if nothing { None } else { bytes(&record) }
}

/// Our SPI of an IKE SA is the name of its record.
pub(super) const fn spi(record: SpiRecord) -> IkeSpi {
    IkeSpi(record)
}

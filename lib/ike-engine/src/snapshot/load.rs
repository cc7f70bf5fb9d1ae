//! From records to IKE SAs. Records are of a process of our own; what does not fit is left out all the same, and breaks nothing.

use std::sync::Arc;

use ikev2::crypto::{EspSuite, Group, IkeKeys, IkeSpis, IkeSuite, PrivateKey, Secret};
use ikev2::proposal::Proposal;
use ikev2::wire::{
    ExchangeType, IdType, IkeSpi, KeyExchangeMethod, ProtocolId, TrafficSelector, Transform, TransformType,
};
use serde::Deserialize;

use super::record::*;
use super::save::spi;
use super::{IV_SKIP, RestoreError};
use crate::again::Restart;
use crate::agreement::Offer;
use crate::channel::{Channel, Ends, Nat, Retransmission, Role};
use crate::child::{Child, ChildState, DirectionKeys};
use crate::closed::Closed;
use crate::core::Core;
use crate::create_child::{Collision, CreateChild};
use crate::engine::Engine;
use crate::established::{Established, Exchange, Wanted};
use crate::output::Path;
use crate::rekey_ike::{IkeCollision, RekeyIke};
use crate::state::State;
use crate::{Failure, Identity, Profile, Time};

const MALFORMED: RestoreError = RestoreError::Malformed;

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Some(record),
        _ => None,
    }
}

fn time(moment: Moment) -> Time {
    Time::from_millis(moment)
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::from(bytes.to_vec())
}

fn messages(slices: &[&[u8]]) -> Vec<Vec<u8>> {
    slices.iter().map(|message| message.to_vec()).collect()
}

fn transforms(records: &[TransformRecord]) -> Vec<Transform> {
    let one = |(kind, id, key_length): &TransformRecord| Transform {
        kind: TransformType(*kind),
        id: *id,
        key_length: *key_length,
    };
    records.iter().map(one).collect()
}

fn selectors(records: &[SelectorRecord]) -> Option<Vec<TrafficSelector>> {
    let one = |(protocol, ports, first, last): &SelectorRecord| {
        TrafficSelector::new(*protocol, *ports, *first, *last)
    };
    records.iter().map(one).collect()
}

fn group(number: u16) -> Option<Group> {
    Group::of(KeyExchangeMethod(number))
}

fn private_key((number, bytes): KeyRecord<'_>) -> Option<PrivateKey> {
    PrivateKey::from_bytes(group(number)?, secret(bytes)).ok()
}

/// The IKE SA of a record, by the name that the record has. What the engine counts and must not give twice is taken note of.
pub(super) fn state(core: &mut Core, ike: IkeSpi, record: &[u8]) -> Result<State, RestoreError> {
    let record: SaRecord<'_> = read(record).ok_or(MALFORMED)?;
    if time(record.channel.heard) > core.now {
        return Err(RestoreError::Clock);
    }
    let channel = channel(&record.channel).ok_or(MALFORMED)?;
    if channel.id() != ike {
        return Err(MALFORMED);
    }
    match record.body {
        BodyRecord::Closed(until) => Ok(State::Closed(Box::new(Closed {
            channel,
            until: time(until),
            stranger: None,
        }))),
        BodyRecord::Established(record) => {
            let sa = established(core, channel, &record)?;
            let offered = match &sa.exchange {
                Some(Exchange::CreateChild(own)) => Some(own.offer.spi),
                _ => None,
            };
            core.spis
                .extend(sa.children.iter().map(|child| child.inbound).chain(offered));
            core.contacts.add(sa.profile, &sa.peer, sa.channel.id(), sa.since);
            Ok(State::Established(Box::new(sa)))
        }
    }
}

fn channel(record: &ChannelRecord<'_>) -> Option<Channel> {
    let suite = IkeSuite::new(&transforms(&record.suite)).ok()?;
    let [sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr] = record.keys.map(secret);
    let keys = IkeKeys {
        sk_d,
        sk_ai,
        sk_ar,
        sk_ei,
        sk_er,
        sk_pi,
        sk_pr,
    };
    let ends = Ends {
        role: match record.is_responder {
            true => Role::Responder,
            false => Role::Initiator,
        },
        spis: IkeSpis {
            initiator: spi(record.spis.0),
            responder: spi(record.spis.1),
        },
        path: Path {
            local: record.path.0,
            remote: record.path.1,
        },
        nat: Nat {
            here: record.nat.0,
            there: record.nat.1,
        },
        fragments: record.fragments,
    };
    let ids = (record.next_request, record.next_expected);
    // At the end of all IVs none is left, and the next message says so.
    let next_iv = record.next_iv.saturating_add(IV_SKIP);
    let mut channel = Channel::with_keys(time(record.heard), ends, suite, keys, next_iv, ids).ok()?;
    channel.sent = time(record.sent);
    channel.answered = messages(&record.answered);
    channel.under_way = record.under_way.as_ref().map(|request| Retransmission {
        exchange: ExchangeType(request.exchange),
        messages: messages(&request.messages),
        sent: request.sent,
        due: time(request.due),
    });
    Some(channel)
}

fn child_index(profile: &Profile, name: &str) -> Result<usize, RestoreError> {
    let found = profile.children.iter().position(|child| child.name == name);
    found.ok_or_else(|| RestoreError::NoChild {
        profile: profile.name.clone(),
        child: name.to_owned(),
    })
}

fn established(
    core: &Core,
    channel: Channel,
    record: &EstablishedRecord<'_>,
) -> Result<Established, RestoreError> {
    let mut profiles = core.profiles.iter().enumerate();
    let (index, profile) = profiles
        .find(|(_, profile)| profile.name == record.profile)
        .ok_or_else(|| RestoreError::NoProfile(record.profile.to_owned()))?;
    let children = record.children.iter().map(|record| child(profile, record));
    let wanted = record.wanted.iter().map(|(at, record)| {
        let wanted = wanted(profile, record)?;
        Ok((time(*at), wanted))
    });
    Ok(Established {
        channel,
        profile: index,
        peer: Identity {
            kind: IdType(record.peer.0),
            data: record.peer.1.to_vec(),
        },
        children: children.collect::<Result<_, _>>()?,
        exchange: match &record.exchange {
            Some(record) => Some(exchange(profile, record)?),
            None => None,
        },
        wanted: wanted.collect::<Result<_, _>>()?,
        since: time(record.since),
        rekey_at: record.rekey_at.map(time),
        expire_at: record.expire_at.map(time),
        liveness: profile.liveness,
        predecessor: record.predecessor.map(IkeSpi),
        successors: record.successors.iter().copied().map(IkeSpi).collect(),
        replaced: record.replaced.map(time),
        closing: record.closing.map(|reason| match reason {
            ClosingRecord::Terminated => Failure::Terminated,
            ClosingRecord::Rekeyed => Failure::Rekeyed,
            ClosingRecord::Expired => Failure::Expired,
        }),
        announced: record.announced,
    })
}

fn child(profile: &Profile, record: &ChildRecord<'_>) -> Result<Child, RestoreError> {
    Ok(Child {
        index: child_index(profile, record.name)?,
        inbound: record.inbound,
        outbound: record.outbound,
        suite: EspSuite::new(&transforms(&record.suite)).map_err(|_| MALFORMED)?,
        ours: selectors(&record.ours).ok_or(MALFORMED)?,
        theirs: selectors(&record.theirs).ok_or(MALFORMED)?,
        rekey_at: record.rekey_at.map(time),
        expire_at: record.expire_at.map(time),
        after_trial: record.after_trial.map(time),
        state: match record.state {
            ChildStateRecord::Active => ChildState::Active,
            ChildStateRecord::Replaced { by, until } => {
                let until = time(until);
                ChildState::Replaced { by, until }
            }
            ChildStateRecord::Closing { by } => ChildState::Closing { by },
        },
        in_use: record.in_use,
        was_used: record.was_used,
        unwanted: record.unwanted,
        keys: Arc::new(DirectionKeys {
            inbound: secret(record.inbound_key),
            outbound: secret(record.outbound_key),
        }),
    })
}

fn exchange(profile: &Profile, record: &ExchangeRecord<'_>) -> Result<Exchange, RestoreError> {
    Ok(match record {
        ExchangeRecord::Liveness => Exchange::Liveness,
        ExchangeRecord::CreateChild(own) => Exchange::CreateChild(Box::new(create_child(profile, own)?)),
        ExchangeRecord::DeleteChild(inbound) => Exchange::DeleteChild { inbound: *inbound },
        ExchangeRecord::DeleteUnknown => Exchange::DeleteUnknown,
        ExchangeRecord::RekeyIke(own) => Exchange::RekeyIke(Box::new(RekeyIke {
            spi: IkeSpi(own.spi),
            nonce: own.nonce.to_vec(),
            key: private_key(own.key).ok_or(MALFORMED)?,
            collision: own.collision.map(|(ike, lowest)| IkeCollision {
                ike: IkeSpi(ike),
                lowest: lowest.to_vec(),
            }),
        })),
        ExchangeRecord::DeleteIke => Exchange::DeleteIke,
    })
}

fn create_child(profile: &Profile, own: &CreateChildRecord<'_>) -> Result<CreateChild, RestoreError> {
    let proposal = |records: &Vec<TransformRecord>| Proposal::new(ProtocolId::ESP, transforms(records)).ok();
    let proposals: Option<Vec<Proposal>> = own.proposals.iter().map(proposal).collect();
    let key = match own.key {
        Some(record) => Some(private_key(record).ok_or(MALFORMED)?),
        None => None,
    };
    Ok(CreateChild {
        offer: Offer {
            index: child_index(profile, own.name)?,
            spi: own.spi,
            proposals: proposals.ok_or(MALFORMED)?,
            ours: selectors(&own.ours).ok_or(MALFORMED)?,
            theirs: selectors(&own.theirs).ok_or(MALFORMED)?,
            key,
        },
        nonce: own.nonce.to_vec(),
        rekeys: own.rekeys,
        collision: own.collision.map(|(inbound, lowest)| Collision {
            inbound,
            lowest: lowest.to_vec(),
        }),
        deleted: own.deleted.clone(),
        unwanted: own.unwanted,
    })
}

fn wanted(profile: &Profile, record: &WantedRecord<'_>) -> Result<Wanted, RestoreError> {
    let of = |number: Option<u16>| number.and_then(group);
    Ok(match *record {
        WantedRecord::Child(name, number) => Wanted::Child {
            index: child_index(profile, name)?,
            group: of(number),
        },
        WantedRecord::RekeyChild(inbound, number) => Wanted::RekeyChild {
            inbound,
            group: of(number),
        },
        WantedRecord::DeleteChild(inbound) => Wanted::DeleteChild { inbound },
        WantedRecord::DeleteUnknown(spi) => Wanted::DeleteUnknown { spi },
        WantedRecord::RekeyIke(number) => Wanted::RekeyIke { group: of(number) },
        WantedRecord::DeleteIke => Wanted::DeleteIke,
        WantedRecord::Liveness => Wanted::Liveness,
    })
}

/// Takes up what belongs to no IKE SA; `None`: it cannot be read.
pub(super) fn general(engine: &mut Engine, record: &[u8]) -> Option<()> {
    let record: GeneralRecord<'_> = read(record)?;
    for (at, inbound) in record.lingering {
        engine.core.spis.insert(inbound);
        engine.core.lingering.insert((time(at), inbound));
    }
    for name in record.stopped {
        if let Some(index) = engine.named(name) {
            engine.restarts.remove(&index);
        }
    }
    for (name, at, attempts) in record.waiting {
        if let Some(index) = engine.named(name)
            && engine.may_restart(index)
        {
            let at = Some(time(at));
            engine.restarts.insert(index, Restart { at, attempts });
        }
    }
    for name in record.trapped {
        if let Some(index) = engine.named(name)
            && engine.may_trap(index)
        {
            engine.traps.profiles.insert(index);
        }
    }
    Some(())
}

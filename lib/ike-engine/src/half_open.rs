//! The responder has answered IKE_SA_INIT and waits for IKE_AUTH (RFC 7296 §1.2).

use ikev2::crypto::{Hashes, IkeSpis, IkeSuite, Nonces, SignedOctets, Skeyseed};
use ikev2::proposal::{Prefer, Proposal, choose};
use ikev2::wire::{
    Body, ExchangeType, Flags, Header, KeyExchange, Message, Notify, NotifyType, PayloadWriter, Transform,
};

use crate::agreement::{Choice, KeyShare, respond, write_chosen};
use crate::authentication::{Signatures, asked, offered, write_init};
use crate::channel::{Channel, Ends, Incoming, MAX_REPEATS, Nat, Role};
use crate::child::Child;
use crate::closed::Closed;
use crate::core::{Core, Effect};
use crate::established::Established;
use crate::output::Path;
use crate::payloads::{Contents, needed, push_notify, refusal};
use crate::state::State;
use crate::strangers::fingerprint;
use crate::{Event, Failure, Identity, Profile, Time};

/// Waits for IKE_AUTH.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) channel: Channel,
    /// The initiator's message of IKE_SA_INIT, which its AUTH covers, and by which it is known when it comes again.
    request: Vec<u8>,
    response: Vec<u8>,
    /// How often it was sent again.
    repeats: u32,
    nonces: (Vec<u8>, Vec<u8>),
    /// What was chosen: the profile that the peer turns out to be of has to allow it.
    transforms: Vec<Transform>,
    /// The hashes that the initiator takes in signatures; `None`: it does not know RFC 7427.
    hashes: Option<Hashes>,
    pub(crate) since: Time,
    /// Where IKE_SA_INIT came from.
    pub(crate) asked_from: std::net::SocketAddr,
}

impl HalfOpen {
    /// Answers IKE_SA_INIT. An error is what its sender is told.
    pub(crate) fn begin(core: &mut Core, message: &Message<'_>, path: Path) -> Result<HalfOpen, Failure> {
        const EXCHANGE: ExchangeType = ExchangeType::IKE_SA_INIT;
        let contents = Contents::of(&message.payloads);
        let sa = needed(contents.sa, EXCHANGE, "SA")?;
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce")?;
        let (local, remote) = (path.local.ip(), path.remote.ip());
        // Who the peer is it says later: the first profile for these addresses with which something can be chosen does for now.
        let mut refused = Failure::NoProfile;
        let mut chosen = None;
        for profile in core
            .profiles
            .iter()
            .filter(|profile| profile.is_between(local, remote))
        {
            match choose(&profile.proposals, &sa, Prefer::Ours) {
                Ok(found) => {
                    chosen = Some(found);
                    break;
                }
                Err(refusal) if refused == Failure::NoProfile => {
                    let place = format!("ike_proposals of profile {}", profile.name);
                    refused = Failure::Proposals { refusal, place };
                }
                Err(_) => {}
            }
        }
        let chosen = chosen.ok_or(refused)?;
        let suite = IkeSuite::new(&chosen.transforms)?;
        let missing = Failure::Missing {
            exchange: EXCHANGE,
            payload: "KE",
        };
        let KeyShare {
            group,
            public,
            shared,
        } = respond(core, EXCHANGE, Some(suite.group()), &contents)?.ok_or(missing)?;
        let spis = IkeSpis {
            initiator: message.header.initiator_spi,
            responder: core.new_ike_spi(),
        };
        let ours = core.nonce();
        let nonces = Nonces {
            initiator: nonce,
            responder: &ours,
        };
        let asked = IkeSpis {
            initiator: spis.initiator,
            responder: message.header.responder_spi,
        };
        let fragments = contents.has(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED);
        let ends = Ends {
            role: Role::Responder,
            spis,
            path,
            nat: Nat::detect(&contents, asked, path),
            fragments,
        };
        let seed = Skeyseed::initial(suite.prf(), &shared, nonces);
        let channel = Channel::new(core, ends, suite, &seed, nonces, (0, 1))?;

        let mut writer = PayloadWriter::new();
        write_chosen(&mut writer, &chosen, &[])?;
        writer.push(&Body::KeyExchange(KeyExchange::new(group.method(), &public)))?;
        writer.push(&Body::Nonce(&ours))?;
        Nat::write(&mut writer, spis, path)?;
        if fragments {
            push_notify(&mut writer, NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])?;
        }
        push_notify(&mut writer, NotifyType::CHILDLESS_IKEV2_SUPPORTED, &[])?;
        let possible = core.profiles.iter().map(std::sync::Arc::as_ref);
        let possible = possible.filter(|profile| profile.is_between(local, remote));
        write_init(&mut writer, possible, true)?;
        let header = Header::new(spis.initiator, spis.responder, EXCHANGE, Flags::RESPONSE, 0);
        let response = writer.message(&header);
        core.send(path, &response);
        core.counters.inits.1 += 1;
        Ok(HalfOpen {
            channel,
            request: message.bytes().to_vec(),
            response,
            repeats: 0,
            nonces: (nonce.to_vec(), ours),
            transforms: chosen.transforms,
            hashes: offered(&contents),
            since: core.now,
            asked_from: path.remote,
        })
    }

    /// What its IKE_SA_INIT is known by when it comes again.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(&self.request, self.asked_from)
    }

    /// Answers IKE_SA_INIT again, but not for ever, if this is the request that was answered; says whether it is.
    pub(crate) fn repeat(&mut self, core: &mut Core, message: &Message<'_>, path: Path) -> bool {
        let same = message.bytes() == self.request;
        if same && self.repeats >= MAX_REPEATS {
            core.counters.limited += 1;
        } else if same {
            self.repeats += 1;
            core.counters.repeated_answers += 1;
            core.send(path, &self.response);
        }
        same
    }

    pub(crate) fn deadline(&self, core: &Core) -> Time {
        self.since + core.settings.half_open_timeout
    }

    pub(crate) fn timeout(self, core: &mut Core) -> Option<State> {
        if core.now < self.deadline(core) {
            return Some(State::HalfOpen(Box::new(self)));
        }
        core.event(Event::Failed {
            profile: String::new(),
            remote: self.channel.path.remote,
            reason: Failure::HalfOpen,
        });
        None
    }

    pub(crate) fn receive(mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        if message.header.exchange != ExchangeType::IKE_AUTH {
            core.counters.dropped += 1;
            return Some(State::HalfOpen(Box::new(self)));
        }
        let Incoming::Request(_, clear) = self.channel.receive(core, message, path) else {
            return Some(State::HalfOpen(Box::new(self)));
        };
        // The initiator has moved to port 4500 if there is a NAT, and both ends stay there.
        self.channel.path = path;
        let payloads = match clear.payloads() {
            Ok(payloads) => payloads,
            Err(error) => return self.refuse(core, error.into()),
        };
        let contents = Contents::of(&payloads);
        match self.authenticate(core, &contents) {
            Ok((index, profile, peer)) => self.established(core, index, &profile, &contents, peer),
            Err(failure) => self.refuse(core, failure),
        }
    }

    /// Finds the profile of the peer, and checks that the peer is who it says to be.
    fn authenticate(
        &self,
        core: &Core,
        contents: &Contents<'_>,
    ) -> Result<(usize, std::sync::Arc<Profile>, Identity), Failure> {
        const EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;
        let id = needed(contents.id_initiator, EXCHANGE, "IDi")?;
        let auth = needed(contents.auth, EXCHANGE, "AUTH")?;
        let peer = Identity::of(&id);
        let wanted = contents.id_responder.as_ref().map(Identity::of);
        let (local, remote) = (self.channel.path.local.ip(), self.channel.path.remote.ip());
        let fits = |profile: &Profile| {
            profile.is_between(local, remote)
                && profile
                    .remote_id
                    .as_ref()
                    .is_none_or(|expected| expected.is(&peer))
                && wanted.as_ref().is_none_or(|wanted| wanted.is(&profile.local_id))
        };
        let prf = self.channel.suite.prf();
        let signed = SignedOctets {
            message: &self.request,
            nonce: &self.nonces.1,
            id,
        };
        let octets = signed.octets(prf, &self.channel.keys.sk_pi);
        let mut failure = Failure::Identity {
            id: peer.to_string(),
            wanted: wanted
                .as_ref()
                .map_or_else(|| "anybody".to_owned(), Identity::to_string),
        };
        // Those that name the peer come before those that take anybody.
        let mut candidates: Vec<(usize, &std::sync::Arc<Profile>)> = core
            .profiles
            .iter()
            .enumerate()
            .filter(|(_, profile)| fits(profile))
            .collect();
        candidates.sort_by_key(|(_, profile)| profile.remote_id.is_none());
        for (index, profile) in candidates {
            if !profile
                .proposals
                .iter()
                .any(|proposal| allows(proposal, &self.transforms))
            {
                failure = Failure::OtherProposals {
                    peer: peer.to_string(),
                    profile: profile.name.clone(),
                };
                continue;
            }
            let checked = profile
                .remote_auth
                .check(prf, &octets, &id, &auth, contents, core.time_of_day());
            match checked {
                Ok(()) => return Ok((index, profile.clone(), peer)),
                // Of a profile that is for another way to authenticate there is nothing to say, if there is something of another.
                Err(Failure::Method { .. }) if !matches!(failure, Failure::Identity { .. }) => {}
                Err(refused) => failure = refused,
            }
        }
        Err(failure)
    }

    /// Whether the peer may have one more IKE SA. Those that it takes away with this one do not count.
    fn has_room(
        &self,
        core: &Core,
        index: usize,
        profile: &Profile,
        contents: &Contents<'_>,
        peer: &Identity,
    ) -> Result<(), Failure> {
        let only = contents.has(NotifyType::INITIAL_CONTACT);
        let stay = core.contacts.of_peer(index, peer);
        let stay = stay.filter(|(_, since)| !only || *since >= self.since).count();
        let most = core.settings.max_ike_per_peer;
        if stay < most {
            return Ok(());
        }
        Err(Failure::TooManyIkes {
            peer: peer.to_string(),
            most,
            profile: profile.name.clone(),
        })
    }

    fn established(
        mut self,
        core: &mut Core,
        index: usize,
        profile: &Profile,
        contents: &Contents<'_>,
        peer: Identity,
    ) -> Option<State> {
        const EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;
        if let Err(failure) = self.has_room(core, index, profile, contents, &peer) {
            return self.refuse(core, failure);
        }
        let nonces = Nonces {
            initiator: &self.nonces.0,
            responder: &self.nonces.1,
        };
        let id = profile.local_id.payload();
        let prf = self.channel.suite.prf();
        let signed = SignedOctets {
            message: &self.response,
            nonce: nonces.initiator,
            id,
        };
        let octets = signed.octets(prf, &self.channel.keys.sk_pr);
        let signatures = Signatures {
            hashes: self.hashes,
            asked: asked(contents),
        };
        let mut writer = PayloadWriter::new();
        let written = writer.push(&Body::IdResponder(id)).map_err(Failure::from);
        let written = written.and_then(|()| {
            let auth = &profile.local_auth;
            auth.write(&mut writer, prf, &octets, &signatures)
        });
        if let Err(failure) = written {
            return self.refuse(core, failure);
        }
        let childless =
            contents.sa.is_none() && contents.ts_initiator.is_none() && contents.ts_responder.is_none();
        let child = if childless {
            None
        } else {
            let choice = Choice::new(core, profile, EXCHANGE, contents, None);
            Some(choice.and_then(|choice| {
                let mut with = writer.clone();
                match choice.write(&mut with, None) {
                    Ok(()) => {
                        writer = with;
                        Ok(choice.agreed)
                    }
                    Err(failure) => {
                        core.release(choice.agreed.inbound);
                        Err(failure)
                    }
                }
            }))
        };
        if let Some(Err(failure)) = &child {
            let _ = writer.push(&Body::Notify(Notify::new(failure.notify(), &failure.data())));
        }
        let since = self.since;
        let mut child_sa = None;
        if let Some(Ok(agreed)) = child {
            child_sa = Some(Ok(Child::install(
                core,
                &self.channel,
                profile,
                agreed,
                nonces,
                false,
            )));
        } else if let Some(Err(failure)) = child {
            child_sa = Some(Err(failure));
        }
        if let Err(failure) = self.channel.answer(core, EXCHANGE, &writer) {
            if let Some(Ok(child)) = &child_sa {
                child.remove(core);
            }
            return self.refuse(core, failure);
        }
        let mut sa = Established::new(core, self.channel, index, peer.clone());
        sa.up(core, profile);
        match child_sa {
            Some(Ok(child)) => sa.add_child(core, profile, child, None),
            Some(Err(reason)) => core.event(Event::ChildFailed {
                ike: sa.channel.id(),
                child: String::new(),
                reason,
            }),
            None => {}
        }
        if contents.has(NotifyType::INITIAL_CONTACT) {
            core.effects.push(Effect::InitialContact {
                peer,
                profile: index,
                except: sa.channel.id(),
                since,
            });
        }
        sa.proceed(core)
    }

    /// Says what is wrong, and keeps the answer for a while.
    fn refuse(mut self, core: &mut Core, failure: Failure) -> Option<State> {
        core.event(Event::Failed {
            profile: String::new(),
            remote: self.channel.path.remote,
            reason: failure.clone(),
        });
        match self
            .channel
            .answer(core, ExchangeType::IKE_AUTH, &refusal(&failure))
        {
            Ok(()) => Some(Closed::refused(core, self.channel, self.asked_from)),
            Err(_) => None,
        }
    }
}

/// Whether a proposal allows what was chosen.
fn allows(proposal: &Proposal, transforms: &[Transform]) -> bool {
    transforms
        .iter()
        .all(|transform| proposal.of(transform.kind).any(|allowed| allowed == *transform))
}

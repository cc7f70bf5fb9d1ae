//! The initiator has sent IKE_AUTH (RFC 7296 §1.2).
//!
//! ```text
//!   HDR, SK {IDi, [N(INITIAL_CONTACT),] [IDr,] [CERTREQ,] [CERT, ..,] AUTH [, SAi2, TSi, TSr]} ──►
//!                                             ◄── HDR, SK {IDr, [CERT, ..,] AUTH [, SAr2, TSi, TSr]}
//! ```

use ikev2::crypto::{Nonces, SignedOctets};
use ikev2::wire::{Body, ExchangeType, Message, NotifyType, PayloadWriter};

use crate::agreement::Offer;
use crate::authentication::Signatures;
use crate::channel::{Channel, Incoming};
use crate::child::Child;
use crate::core::Core;
use crate::established::{Established, Wanted};
use crate::output::Path;
use crate::payloads::{Contents, needed, push_notify};
use crate::state::State;
use crate::{Event, Failure, Identity, Profile, Time};

const EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;

/// Waits for the answer to IKE_AUTH.
#[derive(Debug)]
pub(crate) struct AuthSent {
    pub(crate) profile: usize,
    pub(crate) channel: Channel,
    /// The responder's message of IKE_SA_INIT, which its AUTH covers.
    response: Vec<u8>,
    nonces: (Vec<u8>, Vec<u8>),
    offer: Option<Offer>,
}

/// Whether the peer has no IKE SA any more when it says this.
fn is_end(notify: NotifyType) -> bool {
    matches!(
        notify,
        NotifyType::AUTHENTICATION_FAILED | NotifyType::INVALID_SYNTAX
    )
}

impl AuthSent {
    /// Sends IKE_AUTH. `messages`: ours of IKE_SA_INIT, and the responder's.
    pub(crate) fn begin(
        core: &mut Core,
        index: usize,
        mut channel: Channel,
        messages: (&[u8], &[u8]),
        nonces: Nonces<'_>,
        peer: &Signatures,
        childless: bool,
    ) -> Result<AuthSent, Failure> {
        let profile = core.profile(index).ok_or(Failure::NoProfile)?;
        let id = profile.local_id.payload();
        let prf = channel.suite.prf();
        let signed = SignedOctets {
            message: messages.0,
            nonce: nonces.responder,
            id,
        };
        let octets = signed.octets(prf, &channel.keys.sk_pi);
        let mut writer = PayloadWriter::new();
        writer.push(&Body::IdInitiator(id))?;
        if core.is_first_contact(index) {
            push_notify(&mut writer, NotifyType::INITIAL_CONTACT, &[])?;
        }
        if let Some(remote) = &profile.remote_id {
            writer.push(&Body::IdResponder(remote.payload()))?;
        }
        profile.remote_auth.write_request(&mut writer)?;
        profile.local_auth.write(&mut writer, prf, &octets, peer)?;
        let first = profile.children.first().filter(|_| !childless);
        let offer = first.map(|child| Offer::first(core, 0, child));
        let sent = match &offer {
            Some(offer) => offer.write(&mut writer, None),
            None => Ok(()),
        };
        let sent = sent.and_then(|()| channel.request(core, EXCHANGE, &writer));
        if let (Err(_), Some(offer)) = (&sent, &offer) {
            core.release(offer.spi);
        }
        sent?;
        Ok(AuthSent {
            profile: index,
            channel,
            response: messages.1.to_vec(),
            nonces: (nonces.initiator.to_vec(), nonces.responder.to_vec()),
            offer,
        })
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.channel.under_way.as_ref().map(|request| request.due)
    }

    pub(crate) fn timeout(mut self, core: &mut Core) -> Option<State> {
        match self.channel.timeout(core) {
            Ok(()) => Some(State::AuthSent(Box::new(self))),
            Err(failure) => self.fail(core, failure),
        }
    }

    pub(crate) fn receive(mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        // Before it has shown who it is the peer asks for nothing; what it asks for too early it asks for again.
        if message.header.is_request() {
            core.counters.dropped += 1;
            return Some(State::AuthSent(Box::new(self)));
        }
        let Incoming::Response(clear) = self.channel.receive(core, message, path) else {
            return Some(State::AuthSent(Box::new(self)));
        };
        let payloads = match clear.payloads() {
            Ok(payloads) => payloads,
            Err(error) => return self.give_up(core, error.into()),
        };
        let contents = Contents::of(&payloads);
        let Some(profile) = core.profile(self.profile) else {
            return self.fail(core, Failure::NoProfile);
        };
        // Without AUTH a refusal is the end; with it the IKE SA is there, and the child SA alone is refused (RFC 7296 §1.2), but for what ends an
        // IKE SA without a DELETE (§2.21.2).
        if let Some(notify) = contents.error()
            && (contents.auth.is_none() || is_end(notify))
        {
            let exchange = EXCHANGE;
            return self.fail(core, Failure::Refused { exchange, notify });
        }
        match self.peer(core, &profile, &contents) {
            Ok(peer) => self.established(core, &profile, &contents, peer),
            Err(failure) => self.give_up(core, failure),
        }
    }

    /// Who the peer is, if it has shown that.
    fn peer(&self, core: &Core, profile: &Profile, contents: &Contents<'_>) -> Result<Identity, Failure> {
        let id = needed(contents.id_responder, EXCHANGE, "IDr")?;
        let auth = needed(contents.auth, EXCHANGE, "AUTH")?;
        let prf = self.channel.suite.prf();
        let signed = SignedOctets {
            message: &self.response,
            nonce: &self.nonces.0,
            id,
        };
        let octets = signed.octets(prf, &self.channel.keys.sk_pr);
        profile
            .remote_auth
            .check(prf, &octets, &id, &auth, contents, core.time_of_day())?;
        let peer = Identity::of(&id);
        match &profile.remote_id {
            Some(expected) if !expected.is(&peer) => Err(Failure::OtherPeer {
                id: peer.to_string(),
                profile: profile.name.clone(),
                expected: expected.to_string(),
            }),
            _ => Ok(peer),
        }
    }

    fn established(
        self,
        core: &mut Core,
        profile: &Profile,
        contents: &Contents<'_>,
        peer: Identity,
    ) -> Option<State> {
        let mut sa = Established::new(core, self.channel, self.profile, peer);
        sa.up(core, profile);
        let nonces = Nonces {
            initiator: &self.nonces.0,
            responder: &self.nonces.1,
        };
        let asked = self.offer.is_some();
        if let Some(offer) = self.offer {
            let agreed = match contents.error() {
                Some(notify) => Err(Failure::Refused {
                    exchange: EXCHANGE,
                    notify,
                }),
                None => offer.accept(EXCHANGE, contents),
            };
            match agreed {
                Ok(agreed) => {
                    let mut child = Child::install(core, &sa.channel, profile, agreed, nonces, true);
                    child.try_group(core, profile);
                    sa.add_child(core, profile, child, None);
                }
                Err(reason) => {
                    // What the peer has made and we refuse it is told to delete: its SPI is in its answer.
                    let unwanted = if contents.error().is_none() {
                        contents.sa
                    } else {
                        None
                    };
                    sa.refuse_child(core, profile, &offer, unwanted, reason);
                }
            }
        }
        // The first child SA is that of IKE_AUTH; the others are asked for now.
        for index in usize::from(asked)..profile.children.len() {
            sa.want(Wanted::Child { index, group: None }, core.now);
        }
        sa.proceed(core)
    }

    /// The peer is established, and we refuse it: it is told so.
    fn give_up(self, core: &mut Core, failure: Failure) -> Option<State> {
        let peer = Identity::key_id(&[]);
        if let Some(offer) = &self.offer {
            core.release(offer.spi);
        }
        core.failed(self.profile, self.channel.path.remote, failure);
        let mut sa = Established::new(core, self.channel, self.profile, peer);
        sa.close(core, Failure::Terminated);
        sa.proceed(core)
    }

    pub(crate) fn fail(self, core: &mut Core, reason: Failure) -> Option<State> {
        if let Some(offer) = &self.offer {
            core.release(offer.spi);
        }
        core.failed(self.profile, self.channel.path.remote, reason);
        None
    }
}

impl Established {
    /// Says that the child SA that the peer has made in IKE_AUTH is not taken, and has it deleted there.
    fn refuse_child(
        &mut self,
        core: &mut Core,
        profile: &Profile,
        offer: &Offer,
        unwanted: Option<ikev2::wire::Sa<'_>>,
        reason: Failure,
    ) {
        core.release(offer.spi);
        core.event(Event::ChildFailed {
            ike: self.channel.id(),
            child: profile
                .children
                .get(offer.index())
                .map_or_else(String::new, |child| child.name.clone()),
            reason,
        });
        if unwanted.is_some() {
            self.want(Wanted::DeleteUnknown { spi: offer.spi }, core.now);
        }
    }
}

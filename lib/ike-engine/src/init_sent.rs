//! The initiator has sent IKE_SA_INIT (RFC 7296 §1.2, §2.6).
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, N(NAT..), N(FRAG) ──►          ◄── N(COOKIE), or N(INVALID_KE_PAYLOAD), or what was asked for
//!   HDR, N(COOKIE), SAi1, KEi, Ni, .. ──►              the cookie stays when the group changes
//! ```

use ikev2::crypto::{IkeSpis, IkeSuite, Nonces, PrivateKey, Skeyseed};
use ikev2::proposal::accept;
use ikev2::wire::{
    Body, ExchangeType, Flags, Header, IkeSpi, KeyExchange, Message, NotifyType, PayloadWriter, SaBuilder,
};

use crate::agreement::{first_group, has_group};
use crate::auth_sent::AuthSent;
use crate::authentication::{Signatures, write_init};
use crate::channel::{Channel, Ends, Nat, Retransmission, Role};
use crate::core::Core;
use crate::output::Path;
use crate::payloads::{Contents, needed, push_notify};
use crate::state::State;
use crate::{Event, Failure, IKE_PORT, NAT_PORT, Time};

/// So often the first request is changed for a peer that asks for a cookie or another group.
const MAX_CHANGES: u8 = 8;

const EXCHANGE: ExchangeType = ExchangeType::IKE_SA_INIT;

/// Waits for the answer to IKE_SA_INIT.
#[derive(Debug)]
pub(crate) struct InitSent {
    pub(crate) profile: usize,
    pub(crate) spi: IkeSpi,
    pub(crate) path: Path,
    nonce: Vec<u8>,
    key: PrivateKey,
    cookie: Vec<u8>,
    changes: u8,
    request: Retransmission,
    /// What an answer was that is no good. Anybody can send one (RFC 7296 §2.21.1): it is believed when the pause is over and no better
    /// one has come.
    refused: Option<Failure>,
}

/// What comes of an answer.
enum Answer {
    /// It is none.
    Ignored,
    /// The request is to be sent in another way.
    Changed,
    /// It has all that is needed.
    Accepted(Box<AuthSent>),
}

impl InitSent {
    /// Sends the first request.
    pub(crate) fn begin(core: &mut Core, index: usize) -> Result<InitSent, Failure> {
        let profile = core.profile(index).ok_or(Failure::NoProfile)?;
        let refused = || Failure::NotInitiable(profile.name.clone());
        let remote = profile.remote_address.ok_or_else(refused)?;
        let group = first_group(&profile.proposals).ok_or_else(refused)?;
        let path = Path {
            local: (profile.local_address, IKE_PORT).into(),
            remote: (remote, IKE_PORT).into(),
        };
        let key = PrivateKey::generate(group, &mut core.random)?;
        let (spi, nonce) = (core.new_ike_spi(), core.nonce());
        let message = write(core, index, spi, path, &nonce, &key, &[])?;
        core.counters.inits.0 += 1;
        Ok(InitSent {
            profile: index,
            spi,
            path,
            nonce,
            key,
            cookie: Vec::new(),
            changes: 0,
            request: Retransmission::begin(core, path, EXCHANGE, vec![message]),
            refused: None,
        })
    }

    pub(crate) fn deadline(&self) -> Time {
        self.request.due
    }

    pub(crate) fn timeout(mut self, core: &mut Core) -> Option<State> {
        if let Some(failure) = self.refused.take_if(|_| core.now >= self.request.due) {
            return self.fail(core, failure);
        }
        match self.request.timeout(core, self.path) {
            Ok(()) => Some(State::InitSent(Box::new(self))),
            Err(failure) => self.fail(core, failure),
        }
    }

    /// Takes an answer.
    pub(crate) fn receive(mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        if message.header.is_request()
            || message.header.exchange != EXCHANGE
            || message.header.message_id != 0
        {
            core.counters.dropped += 1;
            return Some(State::InitSent(Box::new(self)));
        }
        match self.answer(core, message, path) {
            Ok(Answer::Ignored) => {
                core.counters.dropped += 1;
                Some(State::InitSent(Box::new(self)))
            }
            Ok(Answer::Changed) => match self.again(core) {
                Ok(()) => Some(State::InitSent(Box::new(self))),
                Err(failure) => self.fail(core, failure),
            },
            Ok(Answer::Accepted(next)) => Some(State::AuthSent(next)),
            Err(failure) => {
                self.refused = Some(failure);
                Some(State::InitSent(Box::new(self)))
            }
        }
    }

    fn answer(&mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Result<Answer, Failure> {
        let contents = Contents::of(&message.payloads);
        if let Some(cookie) = contents.notify(NotifyType::COOKIE) {
            // One that is known is the answer to a request that was sent twice.
            let fits = (1..=64).contains(&cookie.data.len()) && cookie.data != self.cookie;
            if !fits || self.changes >= MAX_CHANGES {
                return Ok(Answer::Ignored);
            }
            self.cookie = cookie.data.to_vec();
            return Ok(Answer::Changed);
        }
        if contents.has(NotifyType::INVALID_KE_PAYLOAD) {
            let profile = core.profile(self.profile).ok_or(Failure::NoProfile)?;
            let wanted = contents
                .wanted_group()
                .filter(|group| has_group(&profile.proposals, *group));
            let Some(wanted) = wanted else {
                return Err(Failure::Refused {
                    exchange: EXCHANGE,
                    notify: NotifyType::INVALID_KE_PAYLOAD,
                });
            };
            if wanted == self.key.group() || self.changes >= MAX_CHANGES {
                return Ok(Answer::Ignored);
            }
            self.key = PrivateKey::generate(wanted, &mut core.random)?;
            return Ok(Answer::Changed);
        }
        if let Some(notify) = contents.error() {
            return Err(Failure::Refused {
                exchange: EXCHANGE,
                notify,
            });
        }
        if message.header.responder_spi.is_zero() {
            return Ok(Answer::Ignored);
        }
        self.accept(core, message, &contents, path)
    }

    /// Sends the request as it is to be now.
    fn again(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.changes += 1;
        self.refused = None;
        let message = write(
            core,
            self.profile,
            self.spi,
            self.path,
            &self.nonce,
            &self.key,
            &self.cookie,
        )?;
        self.request = Retransmission::begin(core, self.path, EXCHANGE, vec![message]);
        Ok(())
    }

    fn accept(
        &mut self,
        core: &mut Core,
        message: &Message<'_>,
        contents: &Contents<'_>,
        path: Path,
    ) -> Result<Answer, Failure> {
        let profile = core.profile(self.profile).ok_or(Failure::NoProfile)?;
        let chosen = accept(&profile.proposals, &needed(contents.sa, EXCHANGE, "SA")?)?;
        let ke = needed(contents.ke, EXCHANGE, "KE")?;
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce")?;
        let suite = IkeSuite::new(&chosen.transforms)?;
        if ke.method != self.key.group().method() || suite.group() != self.key.group() {
            // Of an earlier request, before the peer asked for another group.
            return Ok(Answer::Ignored);
        }
        let spis = IkeSpis {
            initiator: self.spi,
            responder: message.header.responder_spi,
        };
        let shared = self.key.agree(ke.data)?;
        let nonces = Nonces {
            initiator: &self.nonce,
            responder: nonce,
        };
        let nat = Nat::detect(contents, spis, path);
        let mut path = self.path;
        if nat.is_there() {
            path.local.set_port(NAT_PORT);
            path.remote.set_port(NAT_PORT);
        }
        let ends = Ends {
            role: Role::Initiator,
            spis,
            path,
            nat,
            fragments: contents.has(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED),
        };
        let seed = Skeyseed::initial(suite.prf(), &shared, nonces);
        let channel = Channel::new(core, ends, suite, &seed, nonces, (1, 0))?;
        let own = self.request.messages.first().map_or(&[][..], Vec::as_slice);
        let childless = profile.childless && contents.has(NotifyType::CHILDLESS_IKEV2_SUPPORTED);
        let next = AuthSent::begin(
            core,
            self.profile,
            channel,
            (own, message.bytes()),
            nonces,
            &Signatures::of(contents),
            childless,
        )?;
        Ok(Answer::Accepted(Box::new(next)))
    }

    pub(crate) fn fail(self, core: &mut Core, reason: Failure) -> Option<State> {
        core.failed(self.profile, self.path.remote, reason);
        None
    }
}

impl Core {
    /// Says that no IKE SA was made, and has it tried again if the profile is to be up.
    pub(crate) fn failed(&mut self, index: usize, remote: std::net::SocketAddr, reason: Failure) {
        let profile = self
            .profile(index)
            .map_or_else(String::new, |profile| profile.name.clone());
        self.event(Event::Failed {
            profile,
            remote,
            reason,
        });
        self.effects.push(crate::core::Effect::Lost { profile: index });
    }
}

fn write(
    core: &Core,
    profile: usize,
    spi: IkeSpi,
    path: Path,
    nonce: &[u8],
    key: &PrivateKey,
    cookie: &[u8],
) -> Result<Vec<u8>, Failure> {
    let profile = core.profile(profile).ok_or(Failure::NoProfile)?;
    let spis = IkeSpis {
        initiator: spi,
        responder: IkeSpi::ZERO,
    };
    let mut writer = PayloadWriter::new();
    if !cookie.is_empty() {
        push_notify(&mut writer, NotifyType::COOKIE, cookie)?;
    }
    let mut sa = SaBuilder::new();
    for (proposal, number) in profile.proposals.iter().zip(1..) {
        proposal.write(number, &[], &mut sa)?;
    }
    writer.push(&Body::Sa(sa.view()))?;
    writer.push(&Body::KeyExchange(KeyExchange::new(
        key.group().method(),
        key.public(),
    )))?;
    writer.push(&Body::Nonce(nonce))?;
    Nat::write(&mut writer, spis, path)?;
    push_notify(&mut writer, NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])?;
    write_init(&mut writer, std::iter::once(&*profile), false)?;
    let header = Header::new(spi, IkeSpi::ZERO, EXCHANGE, Flags::INITIATOR, 0);
    Ok(writer.message(&header))
}

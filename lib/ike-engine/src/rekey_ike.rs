//! CREATE_CHILD_SA for the IKE SA itself (RFC 7296 §1.3.2, §2.18, §2.8.2, §2.25.2).
//!
//! ```text
//!   HDR, SK {SA, Ni, KEi} ──►      ◄── HDR, SK {SA, Nr, KEr}      then, by who asked: DELETE of the old IKE SA
//! ```
//!
//! Child SAs go over to the new IKE SA. It asks for nothing until the old one is gone, so that both ends agree on where they are.

use ikev2::crypto::{Group, IkeSpis, IkeSuite, Nonces, PrivateKey, Secret, Skeyseed};
use ikev2::proposal::{Prefer, accept, choose};
use ikev2::wire::{Body, ExchangeType, IkeSpi, KeyExchange, NotifyType, PayloadWriter, SaBuilder};

use crate::agreement::{KeyShare, first_group, has_group, respond, write_chosen};
use crate::channel::{Channel, Ends, Role};
use crate::core::{Core, Effect};
use crate::create_child::lowest;
use crate::established::{Established, Exchange, REFUSED_RETRY, Wanted};
use crate::payloads::{Contents, needed, refusal};
use crate::state::State;
use crate::{Event, Failure};

const EXCHANGE: ExchangeType = ExchangeType::CREATE_CHILD_SA;

/// We have asked for another IKE SA.
#[derive(Debug)]
pub(crate) struct RekeyIke {
    pub(crate) spi: IkeSpi,
    pub(crate) nonce: Vec<u8>,
    pub(crate) key: PrivateKey,
    /// The peer has asked for one meanwhile.
    pub(crate) collision: Option<IkeCollision>,
}

/// The IKE SA that the peer has made meanwhile.
#[derive(Debug)]
pub(crate) struct IkeCollision {
    pub(crate) ike: IkeSpi,
    pub(crate) lowest: Vec<u8>,
}

fn ike_spi(spi: &[u8]) -> Result<IkeSpi, Failure> {
    let spi = spi.try_into().map(IkeSpi).ok().filter(|spi| !spi.is_zero());
    needed(spi, EXCHANGE, "SA, with an SPI,")
}

impl Established {
    pub(crate) fn begin_rekey(&mut self, core: &mut Core, group: Option<Group>) -> Result<(), Failure> {
        let Some(profile) = core.profile(self.profile) else {
            return Ok(());
        };
        let current = Some(self.channel.suite.group()).filter(|group| has_group(&profile.proposals, *group));
        let Some(group) = group.or(current).or_else(|| first_group(&profile.proposals)) else {
            return Ok(());
        };
        let key = PrivateKey::generate(group, &mut core.random)?;
        let (spi, nonce) = (core.new_ike_spi(), core.nonce());
        let mut sa = SaBuilder::new();
        for (proposal, number) in profile.proposals.iter().zip(1..) {
            proposal.write(number, &spi.0, &mut sa)?;
        }
        let mut writer = PayloadWriter::new();
        writer.push(&Body::Sa(sa.view()))?;
        writer.push(&Body::Nonce(&nonce))?;
        writer.push(&Body::KeyExchange(KeyExchange::new(group.method(), key.public())))?;
        self.channel.request(core, EXCHANGE, &writer)?;
        self.exchange = Some(Exchange::RekeyIke(Box::new(RekeyIke {
            spi,
            nonce,
            key,
            collision: None,
        })));
        Ok(())
    }

    pub(crate) fn rekey_request(mut self, core: &mut Core, contents: &Contents<'_>) -> Option<State> {
        let answered = match self.answer_rekey(core, contents) {
            Ok((writer, new, lowest)) => {
                let answered = self.channel.answer(core, EXCHANGE, &writer);
                let ike = new.channel.id();
                self.successors.push(ike);
                core.effects.push(Effect::Spawn(Box::new(new)));
                match &mut self.exchange {
                    Some(Exchange::RekeyIke(own)) => own.collision = Some(IkeCollision { ike, lowest }),
                    _ => self.replace(core, ike),
                }
                answered
            }
            Err(failure) => {
                let answered = self.channel.answer(core, EXCHANGE, &refusal(&failure));
                // It is the peer's rekeying that failed: when ours is due stays as it is.
                if !matches!(failure, Failure::Temporary | Failure::Group { .. }) {
                    let ike = self.channel.id();
                    core.event(Event::RekeyFailed { ike, reason: failure });
                }
                answered
            }
        };
        self.answered(core, answered)
    }

    /// The answer, the new IKE SA, and the lower nonce of the exchange.
    fn answer_rekey(
        &mut self,
        core: &mut Core,
        contents: &Contents<'_>,
    ) -> Result<(PayloadWriter, Established, Vec<u8>), Failure> {
        let busy = match &self.exchange {
            Some(Exchange::CreateChild(_) | Exchange::DeleteChild { .. } | Exchange::DeleteUnknown) => true,
            // The peer asks for two.
            Some(Exchange::RekeyIke(own)) => own.collision.is_some(),
            Some(Exchange::DeleteIke) => true,
            Some(Exchange::Liveness) | None => false,
        };
        // One after the other, so that there are never more than both ends made at once.
        let whole = self.closing.is_none() && self.replaced.is_none() && self.predecessor.is_none();
        if busy || !whole {
            return Err(Failure::Temporary);
        }
        let profile = core.profile(self.profile).ok_or(Failure::NoProfile)?;
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce")?;
        let sa = needed(contents.sa, EXCHANGE, "SA")?;
        let chosen = choose(&profile.proposals, &sa, Prefer::Ours).map_err(|refusal| Failure::Proposals {
            refusal,
            place: format!("ike_proposals of profile {}", profile.name),
        })?;
        let suite = IkeSuite::new(&chosen.transforms)?;
        let spis = IkeSpis {
            initiator: ike_spi(&chosen.spi)?,
            responder: core.new_ike_spi(),
        };
        let missing = Failure::Missing {
            exchange: EXCHANGE,
            payload: "KE",
        };
        let KeyShare {
            group,
            public,
            shared,
        } = respond(core, EXCHANGE, Some(suite.group()), contents)?.ok_or(missing)?;
        let ours = core.nonce();
        let mut writer = PayloadWriter::new();
        write_chosen(&mut writer, &chosen, &spis.responder.0)?;
        writer.push(&Body::Nonce(&ours))?;
        writer.push(&Body::KeyExchange(KeyExchange::new(group.method(), &public)))?;
        let nonces = Nonces {
            initiator: nonce,
            responder: &ours,
        };
        let new = self.next(core, Role::Responder, spis, suite, &shared, nonces)?;
        Ok((writer, new, lowest(nonce, &ours)))
    }

    /// The IKE SA that comes after this one.
    fn next(
        &self,
        core: &mut Core,
        role: Role,
        spis: IkeSpis,
        suite: IkeSuite,
        shared: &Secret,
        nonces: Nonces<'_>,
    ) -> Result<Established, Failure> {
        let Channel {
            keys,
            path,
            nat,
            fragments,
            ..
        } = &self.channel;
        let seed = Skeyseed::following(self.channel.suite.prf(), &keys.sk_d, shared, nonces);
        let ends = Ends {
            role,
            spis,
            path: *path,
            nat: *nat,
            fragments: *fragments,
        };
        let channel = Channel::new(core, ends, suite, &seed, nonces, (0, 0))?;
        let mut new = Established::new(core, channel, self.profile, self.peer.clone());
        new.predecessor = Some(self.channel.id());
        Ok(new)
    }

    pub(crate) fn rekey_response(&mut self, core: &mut Core, own: RekeyIke, contents: &Contents<'_>) {
        if let Some(notify) = contents.error() {
            let retry = core.settings.retry + core.random.up_to(core.settings.retry);
            let refused = Failure::Refused {
                exchange: EXCHANGE,
                notify,
            };
            match (own.collision, notify) {
                (Some(theirs), _) => self.replace(core, theirs.ike),
                (None, NotifyType::TEMPORARY_FAILURE) => {
                    self.want(
                        Wanted::RekeyIke {
                            group: Some(own.key.group()),
                        },
                        core.now + retry,
                    );
                }
                (None, NotifyType::INVALID_KE_PAYLOAD) => {
                    let profile = core.profile(self.profile);
                    let allows =
                        |group: &Group| profile.is_some_and(|profile| has_group(&profile.proposals, *group));
                    let group = contents.wanted_group().filter(|group| *group != own.key.group());
                    match group.filter(allows) {
                        Some(group) => self.want(Wanted::RekeyIke { group: Some(group) }, core.now),
                        None => self.rekey_failed(core, refused),
                    }
                }
                _ => self.rekey_failed(core, refused),
            }
            return;
        }
        let (mut new, ours) = match self.accept_rekey(core, &own, contents) {
            Ok(new) => new,
            Err(failure) => {
                match own.collision {
                    Some(theirs) => self.replace(core, theirs.ike),
                    None => self.rekey_failed(core, failure),
                }
                return;
            }
        };
        let ike = new.channel.id();
        self.successors.push(ike);
        match own.collision {
            // The one with the lowest of all four nonces is deleted by who made it (RFC 7296 §2.8.2).
            Some(theirs) if ours <= theirs.lowest => {
                new.close(core, Failure::Rekeyed);
                core.effects.push(Effect::Spawn(Box::new(new)));
                self.replace(core, theirs.ike);
            }
            _ => {
                core.effects.push(Effect::Spawn(Box::new(new)));
                self.replace(core, ike);
                self.close(core, Failure::Rekeyed);
            }
        }
    }

    fn accept_rekey(
        &self,
        core: &mut Core,
        own: &RekeyIke,
        contents: &Contents<'_>,
    ) -> Result<(Established, Vec<u8>), Failure> {
        let profile = core.profile(self.profile).ok_or(Failure::NoProfile)?;
        let chosen = accept(&profile.proposals, &needed(contents.sa, EXCHANGE, "SA")?)?;
        let nonce = needed(contents.nonce, EXCHANGE, "Nonce")?;
        let ke = needed(contents.ke, EXCHANGE, "KE")?;
        let suite = IkeSuite::new(&chosen.transforms)?;
        if ke.method != own.key.group().method() || suite.group() != own.key.group() {
            return Err(Failure::Group {
                given: ke.method,
                wanted: suite.group().method(),
            });
        }
        let shared = own.key.agree(ke.data)?;
        let nonces = Nonces {
            initiator: &own.nonce,
            responder: nonce,
        };
        let spis = IkeSpis {
            initiator: own.spi,
            responder: ike_spi(&chosen.spi)?,
        };
        let new = self.next(core, Role::Initiator, spis, suite, &shared, nonces)?;
        Ok((new, lowest(&own.nonce, nonce)))
    }

    fn rekey_failed(&mut self, core: &mut Core, reason: Failure) {
        self.rekey_at = Some(core.now + REFUSED_RETRY);
        core.event(Event::RekeyFailed {
            ike: self.channel.id(),
            reason,
        });
    }
}

//! How both ends agree on a child SA: algorithms, selectors, a key exchange (RFC 7296 §2.7, §2.9, §1.3).

use ikev2::crypto::{EspSuite, Group, KeyExchangeError, PrivateKey, Secret};
use ikev2::proposal::{Chosen, Prefer, Proposal, accept, choose};
use ikev2::wire::{
    Body, ExchangeType, KeyExchange, KeyExchangeMethod, PayloadWriter, SaBuilder, TrafficSelector,
    TrafficSelectorsBuilder, TransformType,
};

use crate::child::Child;
use crate::core::Core;
use crate::payloads::{Contents, esp_spi, needed};
use crate::selectors::{Shown, is_within, narrow, ranges};
use crate::{ChildProfile, Failure, Profile};

/// What we ask the peer for.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) index: usize,
    pub(crate) spi: u32,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) ours: Vec<TrafficSelector>,
    pub(crate) theirs: Vec<TrafficSelector>,
    pub(crate) key: Option<PrivateKey>,
}

/// What both ends agree on.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) index: usize,
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) ours: Vec<TrafficSelector>,
    pub(crate) theirs: Vec<TrafficSelector>,
    pub(crate) shared: Option<Secret>,
}

/// The group that a list of proposals begins with.
pub(crate) fn first_group(proposals: &[Proposal]) -> Option<Group> {
    let mut groups = proposals
        .iter()
        .flat_map(|proposal| proposal.of(TransformType::KE));
    groups.find_map(|transform| Group::of(KeyExchangeMethod(transform.id)))
}

/// The groups of a list of proposals, for people: each once, with "or" between.
pub(crate) fn group_names(proposals: &[Proposal]) -> String {
    let mut names: Vec<String> = Vec::new();
    for transform in proposals
        .iter()
        .flat_map(|proposal| proposal.of(TransformType::KE))
    {
        let name = KeyExchangeMethod(transform.id).to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

/// Whether proposals have a group.
pub(crate) fn has_group(proposals: &[Proposal], group: Group) -> bool {
    let mut groups = proposals
        .iter()
        .flat_map(|proposal| proposal.of(TransformType::KE));
    groups.any(|transform| transform.id == group.method().0)
}

fn write_selectors(
    writer: &mut PayloadWriter,
    initiators: &[TrafficSelector],
    responders: &[TrafficSelector],
) -> Result<(), Failure> {
    let full = ikev2::wire::WriteError::Full("traffic selector");
    let initiators = TrafficSelectorsBuilder::of(initiators).ok_or(full)?;
    let responders = TrafficSelectorsBuilder::of(responders).ok_or(full)?;
    writer.push(&Body::TsInitiator(initiators.view()))?;
    writer.push(&Body::TsResponder(responders.view()))?;
    Ok(())
}

/// The SPI that the peer has chosen: none that is reserved (RFC 4303 §2.1).
fn outbound_spi(exchange: ExchangeType, chosen: &Chosen) -> Result<u32, Failure> {
    let spi = needed(esp_spi(&chosen.spi), exchange, "SA, with an SPI,")?;
    if spi < Core::FIRST_SPI {
        return Err(Failure::ReservedSpi(spi));
    }
    Ok(spi)
}

impl Offer {
    /// For the child SA of IKE_AUTH, which has no key exchange of its own.
    pub(crate) fn first(core: &mut Core, index: usize, child: &ChildProfile) -> Offer {
        Offer {
            index,
            spi: core.new_spi(),
            proposals: child
                .proposals
                .iter()
                .map(Proposal::without_key_exchange)
                .collect(),
            ours: child.local.clone(),
            theirs: child.remote.clone(),
            key: None,
        }
    }

    /// For CREATE_CHILD_SA. `group`: the one that the peer wants, if it has refused another; `old`: what is rekeyed.
    pub(crate) fn new(
        core: &mut Core,
        index: usize,
        child: &ChildProfile,
        group: Option<Group>,
        old: Option<&Child>,
    ) -> Result<Offer, Failure> {
        let group = group.or_else(|| first_group(&child.proposals));
        let key = group
            .map(|group| PrivateKey::generate(group, &mut core.random))
            .transpose()?;
        Ok(Offer {
            index,
            spi: core.new_spi(),
            proposals: child.proposals.clone(),
            ours: old.map_or(&child.local, |old| &old.ours).clone(),
            theirs: old.map_or(&child.remote, |old| &old.theirs).clone(),
            key,
        })
    }

    /// The group of its key exchange.
    pub(crate) fn group(&self) -> Option<Group> {
        self.key.as_ref().map(PrivateKey::group)
    }

    /// Whether the peer may have this group, too.
    pub(crate) fn allows(&self, group: Group) -> bool {
        has_group(&self.proposals, group)
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Writes SA, the nonce if there is one, KE, TSi and TSr.
    pub(crate) fn write(&self, writer: &mut PayloadWriter, nonce: Option<&[u8]>) -> Result<(), Failure> {
        let mut sa = SaBuilder::new();
        for (proposal, number) in self.proposals.iter().zip(1..) {
            proposal.write(number, &self.spi.to_be_bytes(), &mut sa)?;
        }
        writer.push(&Body::Sa(sa.view()))?;
        if let Some(nonce) = nonce {
            writer.push(&Body::Nonce(nonce))?;
        }
        if let Some(key) = &self.key {
            writer.push(&Body::KeyExchange(KeyExchange::new(
                key.group().method(),
                key.public(),
            )))?;
        }
        write_selectors(writer, &self.ours, &self.theirs)
    }

    /// Checks what the peer has chosen.
    pub(crate) fn accept(&self, exchange: ExchangeType, contents: &Contents<'_>) -> Result<Agreed, Failure> {
        let chosen = accept(&self.proposals, &needed(contents.sa, exchange, "SA")?)?;
        let outbound = outbound_spi(exchange, &chosen)?;
        let suite = EspSuite::new(&chosen.transforms)?;
        let shared = match (suite.group(), &self.key) {
            (None, _) => None,
            (Some(group), Some(key)) if key.group() == group => {
                let ke = needed(contents.ke, exchange, "KE")?;
                if ke.method != group.method() {
                    return Err(Failure::Group {
                        given: ke.method,
                        wanted: group.method(),
                    });
                }
                Some(key.agree(ke.data)?)
            }
            (Some(group), _) => {
                return Err(Failure::Group {
                    given: self.group().map_or(KeyExchangeMethod(0), Group::method),
                    wanted: group.method(),
                });
            }
        };
        let ours = ranges(&needed(contents.ts_initiator, exchange, "TSi")?);
        let theirs = ranges(&needed(contents.ts_responder, exchange, "TSr")?);
        let fits = is_within(&ours, &self.ours) && is_within(&theirs, &self.theirs);
        if !fits || ours.is_empty() || theirs.is_empty() {
            return Err(Failure::OtherTraffic {
                given: format!("{} with {}", Shown(&theirs), Shown(&ours)),
                asked: format!("{} with {}", Shown(&self.theirs), Shown(&self.ours)),
            });
        }
        Ok(Agreed {
            index: self.index,
            inbound: self.spi,
            outbound,
            suite,
            ours,
            theirs,
            shared,
        })
    }
}

/// What the responder has chosen, and its part of a key exchange.
pub(crate) struct Choice {
    pub(crate) agreed: Agreed,
    chosen: Chosen,
    public: Option<(Group, Vec<u8>)>,
}

impl Choice {
    /// Chooses from what the peer asks for. `index`: the child SA of the profile that is rekeyed; any other if there is none.
    pub(crate) fn new(
        core: &mut Core,
        profile: &Profile,
        exchange: ExchangeType,
        contents: &Contents<'_>,
        index: Option<usize>,
    ) -> Result<Choice, Failure> {
        let sa = needed(contents.sa, exchange, "SA")?;
        let initiators = ranges(&needed(contents.ts_initiator, exchange, "TSi")?);
        let responders = ranges(&needed(contents.ts_responder, exchange, "TSr")?);
        let candidates = profile.children.iter().enumerate();
        let mut selected = candidates
            .filter(|(at, _)| index.is_none_or(|index| index == *at))
            .map(|(at, child)| {
                let theirs = narrow(&initiators, &child.remote);
                (at, child, narrow(&responders, &child.local), theirs)
            })
            .filter(|(_, _, ours, theirs)| !ours.is_empty() && !theirs.is_empty())
            .peekable();
        if selected.peek().is_none() {
            let allowed =
                |child: &ChildProfile| format!("{} with {}", Shown(&child.remote), Shown(&child.local));
            let all: Vec<String> = profile.children.iter().map(allowed).collect();
            return Err(Failure::Selectors {
                wanted: format!("{} with {}", Shown(&initiators), Shown(&responders)),
                allowed: if all.is_empty() {
                    "none".to_owned()
                } else {
                    all.join(" or ")
                },
                profile: profile.name.clone(),
            });
        }
        let mut refused = None;
        for (index, child, ours, theirs) in selected {
            let first: Vec<Proposal>;
            let proposals = if exchange == ExchangeType::IKE_AUTH {
                first = child
                    .proposals
                    .iter()
                    .map(Proposal::without_key_exchange)
                    .collect();
                &first
            } else {
                &child.proposals
            };
            let chosen = match choose(proposals, &sa, Prefer::Ours) {
                Ok(chosen) => chosen,
                Err(refusal) => {
                    refused.get_or_insert(Failure::Proposals {
                        refusal,
                        place: format!("proposals of child {} of profile {}", child.name, profile.name),
                    });
                    continue;
                }
            };
            let outbound = outbound_spi(exchange, &chosen)?;
            let suite = EspSuite::new(&chosen.transforms)?;
            let share = respond(core, exchange, suite.group(), contents)?;
            let (public, shared) = share
                .map(|share| ((share.group, share.public), share.shared))
                .unzip();
            let agreed = Agreed {
                index,
                inbound: core.new_spi(),
                outbound,
                suite,
                ours,
                theirs,
                shared,
            };
            return Ok(Choice {
                agreed,
                chosen,
                public,
            });
        }
        Err(refused.unwrap_or(Failure::Temporary))
    }

    /// Writes SA, the nonce if there is one, KE, TSi and TSr.
    pub(crate) fn write(&self, writer: &mut PayloadWriter, nonce: Option<&[u8]>) -> Result<(), Failure> {
        write_chosen(writer, &self.chosen, &self.agreed.inbound.to_be_bytes())?;
        if let Some(nonce) = nonce {
            writer.push(&Body::Nonce(nonce))?;
        }
        if let Some((group, public)) = &self.public {
            writer.push(&Body::KeyExchange(KeyExchange::new(group.method(), public)))?;
        }
        write_selectors(writer, &self.agreed.theirs, &self.agreed.ours)
    }
}

/// Writes an SA payload with what was chosen.
pub(crate) fn write_chosen(writer: &mut PayloadWriter, chosen: &Chosen, spi: &[u8]) -> Result<(), Failure> {
    let mut sa = SaBuilder::new();
    sa.proposal(chosen.number, chosen.protocol, spi)?;
    for transform in &chosen.transforms {
        sa.transform(*transform)?;
    }
    writer.push(&Body::Sa(sa.view()))?;
    Ok(())
}

/// The responder's part of a key exchange.
pub(crate) struct KeyShare {
    pub(crate) group: Group,
    /// Our public value.
    pub(crate) public: Vec<u8>,
    /// What both ends share.
    pub(crate) shared: Secret,
}

/// Answers the peer's key exchange; `None`: no group was chosen.
pub(crate) fn respond(
    core: &mut Core,
    exchange: ExchangeType,
    group: Option<Group>,
    contents: &Contents<'_>,
) -> Result<Option<KeyShare>, Failure> {
    let Some(group) = group else {
        return Ok(None);
    };
    let ke = needed(contents.ke, exchange, "KE")?;
    if ke.method != group.method() {
        return Err(Failure::Group {
            given: ke.method,
            wanted: group.method(),
        });
    }
    let key = PrivateKey::generate(group, &mut core.random)?;
    let shared: Result<Secret, KeyExchangeError> = key.agree(ke.data);
    Ok(Some(KeyShare {
        group,
        public: key.public().to_vec(),
        shared: shared?,
    }))
}

#[cfg(test)]
mod tests {
    use ikev2::wire::{Flags, Header, IkeSpi, Message, ProtocolId};

    use super::*;

    #[test]
    fn an_answer_with_more_traffic_than_was_asked_for_is_said_to_be_wrong() {
        const EXCHANGE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
        let range = |last: u8| {
            let [first, last] = [[10, 0, 0, 0], [10, 0, 0, last]].map(Into::into);
            vec![TrafficSelector::new(0, (0, 0xffff), first, last).unwrap()]
        };
        let offer = |last: u8| Offer {
            index: 0,
            spi: 0x1000,
            proposals: vec![Proposal::parse(ProtocolId::ESP, "aes256gcm16-esn").unwrap()],
            ours: range(last),
            theirs: range(255),
            key: None,
        };
        let answer = |last: u8| {
            let mut writer = PayloadWriter::new();
            offer(last).write(&mut writer, None).unwrap();
            let header = Header::new(IkeSpi([1; 8]), IkeSpi([2; 8]), EXCHANGE, Flags::RESPONSE, 7);
            let message = writer.message(&header);
            let message = Message::parse(&message).unwrap();
            offer(127).accept(EXCHANGE, &Contents::of(&message.payloads))
        };
        assert_eq!(answer(63).unwrap().ours, range(63));
        assert_eq!(
            answer(255).unwrap_err().to_string(),
            "peer answers with traffic 10.0.0.0-10.0.0.255 with 10.0.0.0-10.0.0.255, and was asked for 10.0.0.0-10.0.0.255 with \
             10.0.0.0-10.0.0.127; the peer is wrong"
        );
    }
}

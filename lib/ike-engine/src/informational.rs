//! INFORMATIONAL: liveness, and what is deleted (RFC 7296 §1.4, §2.4).

use ikev2::wire::{Body, Delete, ExchangeType, NotifyType, PayloadWriter, ProtocolId};

use crate::Failure;
use crate::child::ChildState;
use crate::core::Core;
use crate::established::{Established, Exchange};
use crate::payloads::{Contents, esp_spi};
use crate::state::State;

const EXCHANGE: ExchangeType = ExchangeType::INFORMATIONAL;

/// So many child SAs that are not here may be deleted during an exchange.
const MAX_OVERTAKEN: usize = 16;

fn push_deletes(writer: &mut PayloadWriter, spis: &[u32]) -> Result<(), Failure> {
    let spis: Vec<u8> = spis.iter().flat_map(|spi| spi.to_be_bytes()).collect();
    if let Some(delete) = Delete::new(ProtocolId::ESP, &spis) {
        writer.push(&Body::Delete(delete))?;
    }
    Ok(())
}

impl Established {
    pub(crate) fn begin_liveness(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.exchange = Some(Exchange::Liveness);
        self.channel.request(core, EXCHANGE, &PayloadWriter::new())
    }

    pub(crate) fn begin_delete(&mut self, core: &mut Core) -> Result<(), Failure> {
        let mut writer = PayloadWriter::new();
        writer.push(&Body::Delete(Delete::IKE))?;
        self.exchange = Some(Exchange::DeleteIke);
        self.channel.request(core, EXCHANGE, &writer)
    }

    pub(crate) fn begin_delete_child(&mut self, core: &mut Core, inbound: u32) -> Result<(), Failure> {
        // The peer may have deleted it meanwhile.
        if self.child(inbound).is_none() {
            return Ok(());
        }
        let mut writer = PayloadWriter::new();
        push_deletes(&mut writer, &[inbound])?;
        self.exchange = Some(Exchange::DeleteChild { inbound });
        self.channel.request(core, EXCHANGE, &writer)
    }

    pub(crate) fn begin_delete_unknown(&mut self, core: &mut Core, spi: u32) -> Result<(), Failure> {
        let mut writer = PayloadWriter::new();
        push_deletes(&mut writer, &[spi])?;
        self.exchange = Some(Exchange::DeleteUnknown);
        self.channel.request(core, EXCHANGE, &writer)
    }

    pub(crate) fn informational_request(mut self, core: &mut Core, contents: &Contents<'_>) -> Option<State> {
        let ends = contents
            .deletes
            .iter()
            .any(|delete| delete.protocol == ProtocolId::IKE);
        if ends || contents.has(NotifyType::AUTHENTICATION_FAILED) {
            let reason = match (ends, self.replaced) {
                (true, Some(_)) => Failure::Rekeyed,
                (true, None) => Failure::Deleted,
                (false, _) => Failure::Refused {
                    exchange: ExchangeType::IKE_AUTH,
                    notify: NotifyType::AUTHENTICATION_FAILED,
                },
            };
            return match self.channel.answer(core, EXCHANGE, &PayloadWriter::new()) {
                Ok(()) => self.end_answered(core, reason),
                Err(_) => self.end(core, reason),
            };
        }
        let mut deleted = Vec::new();
        for delete in contents
            .deletes
            .iter()
            .filter(|delete| delete.protocol == ProtocolId::ESP)
        {
            for spi in delete.spis().filter_map(esp_spi) {
                deleted.extend(self.peer_deletes(core, spi));
            }
        }
        let mut writer = PayloadWriter::new();
        let answered = match push_deletes(&mut writer, &deleted) {
            Ok(()) => self.channel.answer(core, EXCHANGE, &writer),
            Err(failure) => Err(failure),
        };
        self.answered(core, answered)
    }

    /// The peer deletes a child SA, by the SPI of packets to it. Gives the SPI of ours to be deleted there.
    fn peer_deletes(&mut self, core: &mut Core, outbound: u32) -> Option<u32> {
        let Some(child) = self.children.iter().find(|child| child.outbound == outbound) else {
            // As many as there can be of the peer's that are not here yet, and no more.
            if let Some(Exchange::CreateChild(own)) = &mut self.exchange
                && own.deleted.len() < MAX_OVERTAKEN
            {
                own.deleted.push(outbound);
            }
            return None;
        };
        let inbound = child.inbound;
        let by = match (child.state, &self.exchange) {
            (ChildState::Replaced { by, .. }, _) => Some(by),
            (ChildState::Closing { by }, _) => by,
            // The peer's rekeying of what we rekey as well.
            (ChildState::Active, Some(Exchange::CreateChild(own))) if own.rekeys == Some(inbound) => {
                own.collision.as_ref().map(|theirs| theirs.inbound)
            }
            (ChildState::Active, _) => None,
        };
        self.leave(core, inbound, by);
        self.drop_child(core, inbound);
        // When both delete it at once, the answers are empty (RFC 7296 §1.4.1).
        let both = matches!(self.exchange, Some(Exchange::DeleteChild { inbound: ours }) if ours == inbound);
        (!both).then_some(inbound)
    }
}

//! What a message says, by what it is for instead of by its order (which may be any).

use ikev2::crypto::Group;
use ikev2::wire::{
    Authentication, Body, Certificate, Delete, ExchangeType, Identification, KeyExchange, KeyExchangeMethod,
    Notify, NotifyType, PayloadWriter, Payloads, ProtocolId, Sa, TrafficSelectors, WriteError,
};

use crate::Failure;

/// The payloads of a message; of those that come once the first.
#[derive(Default)]
pub(crate) struct Contents<'a> {
    pub(crate) sa: Option<Sa<'a>>,
    pub(crate) ke: Option<KeyExchange<'a>>,
    pub(crate) nonce: Option<&'a [u8]>,
    pub(crate) id_initiator: Option<Identification<'a>>,
    pub(crate) id_responder: Option<Identification<'a>>,
    pub(crate) auth: Option<Authentication<'a>>,
    pub(crate) certificates: Vec<Certificate<'a>>,
    pub(crate) certificate_requests: Vec<Certificate<'a>>,
    pub(crate) ts_initiator: Option<TrafficSelectors<'a>>,
    pub(crate) ts_responder: Option<TrafficSelectors<'a>>,
    pub(crate) notifies: Vec<Notify<'a>>,
    pub(crate) deletes: Vec<Delete<'a>>,
}

impl<'a> Contents<'a> {
    pub(crate) fn of(payloads: &Payloads<'a>) -> Contents<'a> {
        let mut contents = Contents::default();
        for payload in payloads.iter() {
            match payload.body {
                Body::Sa(sa) => contents.sa = contents.sa.or(Some(sa)),
                Body::KeyExchange(ke) => contents.ke = contents.ke.or(Some(ke)),
                Body::Nonce(nonce) => contents.nonce = contents.nonce.or(Some(nonce)),
                Body::IdInitiator(id) => contents.id_initiator = contents.id_initiator.or(Some(id)),
                Body::IdResponder(id) => contents.id_responder = contents.id_responder.or(Some(id)),
                Body::Authentication(auth) => contents.auth = contents.auth.or(Some(auth)),
                Body::Certificate(certificate) => contents.certificates.push(certificate),
                Body::CertificateRequest(request) => contents.certificate_requests.push(request),
                Body::TsInitiator(ts) => contents.ts_initiator = contents.ts_initiator.or(Some(ts)),
                Body::TsResponder(ts) => contents.ts_responder = contents.ts_responder.or(Some(ts)),
                Body::Notify(notify) => contents.notifies.push(notify),
                Body::Delete(delete) => contents.deletes.push(delete),
                _ => {}
            }
        }
        contents
    }

    pub(crate) fn notify(&self, kind: NotifyType) -> Option<Notify<'a>> {
        self.notifies.iter().copied().find(|notify| notify.kind == kind)
    }

    pub(crate) fn has(&self, kind: NotifyType) -> bool {
        self.notify(kind).is_some()
    }

    /// The first notify that says that something failed.
    pub(crate) fn error(&self) -> Option<NotifyType> {
        self.notifies
            .iter()
            .map(|notify| notify.kind)
            .find(|kind| kind.is_error())
    }

    /// The group that INVALID_KE_PAYLOAD asks for, if it is here.
    pub(crate) fn wanted_group(&self) -> Option<Group> {
        let data = self.notify(NotifyType::INVALID_KE_PAYLOAD)?.data;
        Group::of(KeyExchangeMethod(u16::from_be_bytes(data.try_into().ok()?)))
    }
}

/// A payload that has to be there.
pub(crate) fn needed<T>(
    payload: Option<T>,
    exchange: ExchangeType,
    name: &'static str,
) -> Result<T, Failure> {
    payload.ok_or(Failure::Missing {
        exchange,
        payload: name,
    })
}

/// An SPI of ESP; `None`: it has not four bytes.
pub(crate) fn esp_spi(spi: &[u8]) -> Option<u32> {
    spi.try_into().ok().map(u32::from_be_bytes)
}

pub(crate) fn push_notify(
    writer: &mut PayloadWriter,
    kind: NotifyType,
    data: &[u8],
) -> Result<(), WriteError> {
    writer.push(&Body::Notify(Notify::new(kind, data)))
}

/// A notify about a child SA.
pub(crate) fn push_child_notify(
    writer: &mut PayloadWriter,
    kind: NotifyType,
    spi: u32,
) -> Result<(), WriteError> {
    writer.push(&Body::Notify(Notify {
        protocol: ProtocolId::ESP,
        spi: &spi.to_be_bytes(),
        kind,
        data: &[],
    }))
}

/// Payloads of an answer that says what failed.
pub(crate) fn refusal(failure: &Failure) -> PayloadWriter {
    let mut writer = PayloadWriter::new();
    // Two bytes of data at most fit into a payload.
    let _ = push_notify(&mut writer, failure.notify(), &failure.data());
    writer
}

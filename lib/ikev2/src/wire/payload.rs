//! Payloads, and chains of them (RFC 7296 §3.2).
//!
//! ```text
//!   │ what the next is │ critical, reserved │ length, 2 │ body │ what the next is │ ...
//! ```

use std::fmt;

use super::reader::Reader;
use super::{
    Authentication, Certificate, Configuration, Delete, Eap, Encrypted, EncryptedFragment, Fault,
    Identification, KeyExchange, Notify, ParseError, PayloadType, Sa, TrafficSelectors, plain,
};

/// As many payloads are taken in a message, those inside of an encrypted one counted by themselves.
pub const MAX_PAYLOADS: usize = 128;
/// Bytes in front of the body of a payload.
pub const PAYLOAD_HEADER_LEN: usize = 4;

/// What a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// SA: proposals.
    Sa(Sa<'a>),
    /// KE: a public value.
    KeyExchange(KeyExchange<'a>),
    /// IDi: who the initiator is.
    IdInitiator(Identification<'a>),
    /// IDr: who the responder is, or is to be.
    IdResponder(Identification<'a>),
    /// CERT: a certificate.
    Certificate(Certificate<'a>),
    /// CERTREQ: whose certificates are asked for.
    CertificateRequest(Certificate<'a>),
    /// AUTH: what proves an identity.
    Authentication(Authentication<'a>),
    /// Nonce: 16 to 256 random bytes.
    Nonce(&'a [u8]),
    /// Notify.
    Notify(Notify<'a>),
    /// Delete.
    Delete(Delete<'a>),
    /// Vendor ID: any bytes.
    VendorId(&'a [u8]),
    /// TSi: what the initiator's end of a child SA is for.
    TsInitiator(TrafficSelectors<'a>),
    /// TSr: what the responder's end of a child SA is for.
    TsResponder(TrafficSelectors<'a>),
    /// SK: all further payloads, encrypted.
    Encrypted(Encrypted<'a>),
    /// CP: configuration.
    Configuration(Configuration<'a>),
    /// EAP.
    Eap(Eap<'a>),
    /// SKF: a part of an encrypted payload.
    EncryptedFragment(EncryptedFragment<'a>),
    /// Any other that is not critical.
    Unknown(PayloadType, &'a [u8]),
}

impl<'a> Body<'a> {
    fn parse(kind: PayloadType, next: PayloadType, reader: Reader<'a>) -> Result<Body<'a>, ParseError> {
        Ok(match kind {
            PayloadType::SA => Body::Sa(Sa::parse(reader)?),
            PayloadType::KE => Body::KeyExchange(KeyExchange::parse(reader)?),
            PayloadType::ID_INITIATOR => Body::IdInitiator(Identification::parse(reader)?),
            PayloadType::ID_RESPONDER => Body::IdResponder(Identification::parse(reader)?),
            PayloadType::CERT => Body::Certificate(Certificate::parse(reader)?),
            PayloadType::CERTREQ => Body::CertificateRequest(Certificate::parse(reader)?),
            PayloadType::AUTH => Body::Authentication(Authentication::parse(reader)?),
            PayloadType::NONCE => Body::Nonce(plain::nonce(reader)?),
            PayloadType::NOTIFY => Body::Notify(Notify::parse(reader)?),
            PayloadType::DELETE => Body::Delete(Delete::parse(reader)?),
            PayloadType::VENDOR_ID => Body::VendorId(reader.rest()),
            PayloadType::TS_INITIATOR => Body::TsInitiator(TrafficSelectors::parse(reader)?),
            PayloadType::TS_RESPONDER => Body::TsResponder(TrafficSelectors::parse(reader)?),
            PayloadType::ENCRYPTED => Body::Encrypted(Encrypted::parse(next, reader)),
            PayloadType::CONFIGURATION => Body::Configuration(Configuration::parse(reader)?),
            PayloadType::EAP => Body::Eap(Eap::parse(reader)?),
            PayloadType::ENCRYPTED_FRAGMENT => {
                Body::EncryptedFragment(EncryptedFragment::parse(next, reader)?)
            }
            other => Body::Unknown(other, reader.rest()),
        })
    }

    /// What it is on the wire.
    pub fn kind(&self) -> PayloadType {
        match self {
            Body::Sa(_) => PayloadType::SA,
            Body::KeyExchange(_) => PayloadType::KE,
            Body::IdInitiator(_) => PayloadType::ID_INITIATOR,
            Body::IdResponder(_) => PayloadType::ID_RESPONDER,
            Body::Certificate(_) => PayloadType::CERT,
            Body::CertificateRequest(_) => PayloadType::CERTREQ,
            Body::Authentication(_) => PayloadType::AUTH,
            Body::Nonce(_) => PayloadType::NONCE,
            Body::Notify(_) => PayloadType::NOTIFY,
            Body::Delete(_) => PayloadType::DELETE,
            Body::VendorId(_) => PayloadType::VENDOR_ID,
            Body::TsInitiator(_) => PayloadType::TS_INITIATOR,
            Body::TsResponder(_) => PayloadType::TS_RESPONDER,
            Body::Encrypted(_) => PayloadType::ENCRYPTED,
            Body::Configuration(_) => PayloadType::CONFIGURATION,
            Body::Eap(_) => PayloadType::EAP,
            Body::EncryptedFragment(_) => PayloadType::ENCRYPTED_FRAGMENT,
            Body::Unknown(kind, _) => *kind,
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Body::Sa(sa) => out.extend(sa.bytes()),
            Body::KeyExchange(body) => body.emit(out),
            Body::IdInitiator(body) | Body::IdResponder(body) => body.emit(out),
            Body::Certificate(body) | Body::CertificateRequest(body) => body.emit(out),
            Body::Authentication(body) => body.emit(out),
            Body::Notify(body) => body.emit(out),
            Body::Delete(body) => body.emit(out),
            Body::TsInitiator(body) | Body::TsResponder(body) => out.extend(body.bytes()),
            Body::Encrypted(body) => out.extend(body.content),
            Body::Configuration(body) => body.emit(out),
            Body::Eap(body) => body.emit(out),
            Body::EncryptedFragment(body) => body.emit(out),
            Body::Nonce(bytes) | Body::VendorId(bytes) | Body::Unknown(_, bytes) => out.extend(*bytes),
        }
    }

    /// What the payload's header names as the next, where that is not the payload that follows.
    pub(super) fn inner(&self) -> Option<PayloadType> {
        match self {
            Body::Encrypted(body) => Some(body.first),
            Body::EncryptedFragment(body) => Some(body.first),
            _ => None,
        }
    }
}

/// The bits behind the type of the next payload.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadFlags(pub u8);

impl PayloadFlags {
    /// Whoever does not know the payload's type has to refuse the message.
    pub const CRITICAL: PayloadFlags = PayloadFlags(0x80);

    /// Whether the payload is critical.
    pub const fn is_critical(self) -> bool {
        self.0 & PayloadFlags::CRITICAL.0 != 0
    }
}

impl fmt::Debug for PayloadFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// A payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The critical bit, and the reserved ones as they were.
    pub flags: PayloadFlags,
    /// Byte of the message at which its header begins.
    pub offset: usize,
    /// What it says.
    pub body: Body<'a>,
}

/// Reads the payload of type `kind`; gives what the next is, too.
fn payload<'a>(kind: PayloadType, reader: &mut Reader<'a>) -> Result<(PayloadType, Payload<'a>), ParseError> {
    let start = *reader;
    let [next, flags, length0, length1] = reader.array("the header of a payload")?;
    let (next, flags) = (PayloadType(next), PayloadFlags(flags));
    let length = u16::from_be_bytes([length0, length1]);
    let Some(length) = usize::from(length).checked_sub(PAYLOAD_HEADER_LEN) else {
        return Err(start.field("the length of the payload", length.into(), "4 or more"));
    };
    let inside = reader.inside("the payload", length)?;
    let body = Body::parse(kind, next, inside)?;
    if matches!(body, Body::Unknown(..)) && flags.is_critical() {
        return Err(start.fault(Fault::UnsupportedCritical(kind)));
    }
    Ok((
        next,
        Payload {
            flags,
            offset: start.offset(),
            body,
        },
    ))
}

/// A checked chain of payloads: those of a message, or those that were encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payloads<'a> {
    first: PayloadType,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Payloads<'a> {
    /// Reads what was encrypted. `first`: what the encrypted payload's header names; `offset`: where in the message `bytes`
    /// were, so that errors can say it.
    pub fn parse(first: PayloadType, bytes: &'a [u8], offset: usize) -> Result<Payloads<'a>, ParseError> {
        let payloads = Payloads::parse_clear(first, bytes, offset)?;
        match payloads.encrypted() {
            None => Ok(payloads),
            Some(Payload { body, offset, .. }) => {
                let (payload, fault) = (Some(body.kind()), Fault::NestedEncryption);
                Err(ParseError {
                    payload,
                    offset,
                    fault,
                })
            }
        }
    }

    /// Reads the payloads of a message.
    pub(super) fn parse_clear(
        first: PayloadType,
        bytes: &'a [u8],
        offset: usize,
    ) -> Result<Payloads<'a>, ParseError> {
        let mut walk = Walk::new(first, bytes, offset);
        // Once more than there may be payloads: that is where the end is found.
        for _ in 0..=MAX_PAYLOADS {
            if walk.next()?.is_none() {
                walk.reader().end("the last payload")?;
                return Ok(Payloads { first, bytes, offset });
            }
        }
        Err(walk.reader().fault(Fault::TooMany {
            what: "payloads",
            limit: MAX_PAYLOADS,
        }))
    }

    /// What the first is; [`PayloadType::NONE`] if there is none.
    pub fn first(&self) -> PayloadType {
        self.first
    }

    /// The payloads in their order, at most [`MAX_PAYLOADS`].
    pub fn iter(&self) -> impl Iterator<Item = Payload<'a>> + 'a {
        let mut walk = Walk::new(self.first, self.bytes, self.offset);
        std::iter::from_fn(move || walk.next().ok().flatten())
    }

    /// The encrypted payload, SK or SKF, which can only be the last.
    pub fn encrypted(&self) -> Option<Payload<'a>> {
        self.iter().find(|payload| payload.body.inner().is_some())
    }
}

impl fmt::Debug for Payloads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A way through a chain that may be wrong.
struct Walk<'a> {
    kind: PayloadType,
    bytes: Reader<'a>,
}

impl<'a> Walk<'a> {
    fn new(first: PayloadType, bytes: &'a [u8], offset: usize) -> Walk<'a> {
        let bytes = Reader::new(bytes, offset, None);
        Walk { kind: first, bytes }
    }

    /// What follows, read as the payload that it would belong to.
    fn reader(&self) -> Reader<'a> {
        let payload = (self.kind != PayloadType::NONE).then_some(self.kind);
        Reader::new(self.bytes.rest(), self.bytes.offset(), payload)
    }

    fn next(&mut self) -> Result<Option<Payload<'a>>, ParseError> {
        if self.kind == PayloadType::NONE {
            return Ok(None);
        }
        let mut reader = self.reader();
        let (next, payload) = payload(self.kind, &mut reader)?;
        self.bytes = reader;
        // The header of an encrypted payload names the first that is inside, and none follows (RFC 7296 §3.14).
        self.kind = if payload.body.inner().is_some() {
            PayloadType::NONE
        } else {
            next
        };
        Ok(Some(payload))
    }
}

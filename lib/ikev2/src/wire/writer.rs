//! Writes chains of payloads, messages and SA payloads.

use super::{
    Attribute, AttributeType, AttributeValue, Body, HEADER_LEN, Header, PayloadFlags, PayloadType,
    ProtocolId, Sa, Transform,
};

/// What does not fit, or does not belong, where it was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A payload above 65,535 bytes.
    #[error(
        "the {kind} payload would have {len} bytes, and there is no length above 65,535; make it shorter"
    )]
    TooLong {
        /// What it is.
        kind: PayloadType,
        /// Bytes with its header.
        len: usize,
    },
    /// A payload behind an encrypted one.
    #[error("an encrypted payload is the last of its message; write the {0} payload before")]
    BehindEncrypted(PayloadType),
    /// A proposal or a transform that does not fit into an SA payload.
    #[error("an SA payload has no room for another {0}; give fewer or shorter ones")]
    Full(&'static str),
}

/// Writes payloads one behind the other, for a message or to be encrypted.
///
/// ```
/// use ikev2::wire::{Body, ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, PayloadWriter};
///
/// let mut payloads = PayloadWriter::new();
/// payloads.push(&Body::Nonce(&[7; 32]))?;
/// payloads.push(&Body::Notify(Notify::new(NotifyType::COOKIE, b"abc")))?;
/// let header = Header::new(IkeSpi([1; 8]), IkeSpi::ZERO, ExchangeType::IKE_SA_INIT, Flags::INITIATOR, 0);
/// let bytes = payloads.message(&header);
///
/// let message = Message::parse(&bytes)?;
/// assert_eq!(message.payloads.iter().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PayloadWriter {
    first: Option<PayloadType>,
    bytes: Vec<u8>,
    /// Where the type of the next payload goes: the start of the last one's header.
    last: Option<usize>,
    closed: bool,
}

impl PayloadWriter {
    /// No payload yet.
    pub fn new() -> PayloadWriter {
        PayloadWriter::default()
    }

    /// Appends a payload that is not critical, as all of RFC 7296 (§2.5).
    pub fn push(&mut self, body: &Body<'_>) -> Result<(), WriteError> {
        self.push_with_flags(body, PayloadFlags::default())
    }

    /// Appends a payload with the critical and the reserved bits as given.
    pub fn push_with_flags(&mut self, body: &Body<'_>, flags: PayloadFlags) -> Result<(), WriteError> {
        let kind = body.kind();
        if self.closed {
            return Err(WriteError::BehindEncrypted(kind));
        }
        let start = self.bytes.len();
        let next = body.inner().unwrap_or(PayloadType::NONE);
        self.bytes.extend([next.0, flags.0, 0, 0]);
        body.emit(&mut self.bytes);
        let len = self.bytes.len() - start;
        let Ok(length) = u16::try_from(len) else {
            self.bytes.truncate(start);
            return Err(WriteError::TooLong { kind, len });
        };
        set(&mut self.bytes, start + 2, length.to_be_bytes());
        match self.last {
            Some(last) => set(&mut self.bytes, last, [kind.0]),
            None => self.first = Some(kind),
        }
        self.last = Some(start);
        self.closed = body.inner().is_some();
        Ok(())
    }

    /// What the first payload is; [`PayloadType::NONE`] if there is none.
    pub fn first(&self) -> PayloadType {
        self.first.unwrap_or(PayloadType::NONE)
    }

    /// The payloads.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The message with these payloads in clear: `header` with its length and first payload filled in.
    pub fn message(&self, header: &Header) -> Vec<u8> {
        // One above 65,507 bytes cannot be sent by UDP, so that none has as many as its length may say.
        let length = u32::try_from(HEADER_LEN + self.bytes.len()).unwrap_or(u32::MAX);
        let header = Header {
            next_payload: self.first(),
            length,
            ..*header
        };
        let mut message = Vec::with_capacity(HEADER_LEN + self.bytes.len());
        message.extend(header.to_bytes());
        message.extend(&self.bytes);
        message
    }
}

/// Overwrites what has been written at `at`.
fn set<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = from;
    }
}

/// Writes an SA payload, proposal by proposal.
///
/// ```
/// use ikev2::wire::{ProtocolId, SaBuilder};
///
/// let mut sa = SaBuilder::new();
/// sa.proposal(1, ProtocolId::ESP, &[0xc0, 0, 0, 1])?;
/// sa.transform("aes128gcm16".parse()?)?;
/// sa.transform("esn".parse()?)?;
/// assert_eq!(sa.view().proposals().next().unwrap().transforms().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SaBuilder {
    bytes: Vec<u8>,
    proposals: usize,
    /// Where the last proposal begins, and its last transform.
    proposal: Option<usize>,
    transform: Option<usize>,
}

impl SaBuilder {
    /// No proposal yet: such a payload is not to be sent.
    pub fn new() -> SaBuilder {
        SaBuilder::default()
    }

    /// Begins a proposal.
    pub fn proposal(&mut self, number: u8, protocol: ProtocolId, spi: &[u8]) -> Result<(), WriteError> {
        self.proposal_with_reserved(number, protocol, spi, 0)
    }

    /// Begins a proposal whose reserved byte is as given.
    pub fn proposal_with_reserved(
        &mut self,
        number: u8,
        protocol: ProtocolId,
        spi: &[u8],
        reserved: u8,
    ) -> Result<(), WriteError> {
        let Ok(spi_size) = u8::try_from(spi.len()) else {
            return Err(WriteError::Full("proposal"));
        };
        if self.proposals == super::MAX_PROPOSALS {
            return Err(WriteError::Full("proposal"));
        }
        if let Some(last) = self.proposal {
            set(&mut self.bytes, last, [2]);
        }
        let start = self.bytes.len();
        self.bytes
            .extend([0, reserved, 0, 0, number, protocol.0, spi_size, 0]);
        self.bytes.extend(spi);
        self.proposals += 1;
        self.proposal = Some(start);
        self.transform = None;
        self.set_length(start, "proposal")
    }

    /// Appends a transform to the last proposal.
    pub fn transform(&mut self, transform: Transform) -> Result<(), WriteError> {
        let key_length = transform.key_length.map(|bits| Attribute {
            kind: AttributeType::KEY_LENGTH,
            value: AttributeValue::Short(bits),
        });
        self.transform_with(
            Transform {
                key_length: None,
                ..transform
            },
            [0; 2],
            key_length,
        )
    }

    /// Appends a transform with any attributes and reserved bytes to the last proposal; its key length is one of the attributes.
    pub fn transform_with<'a>(
        &mut self,
        transform: Transform,
        reserved: [u8; 2],
        attributes: impl IntoIterator<Item = Attribute<'a>>,
    ) -> Result<(), WriteError> {
        const FULL: WriteError = WriteError::Full("transform");
        let proposal = self.proposal.ok_or(FULL)?;
        let count = self
            .bytes
            .get(proposal + 7)
            .and_then(|count| count.checked_add(1))
            .ok_or(FULL)?;
        let start = self.bytes.len();
        self.bytes
            .extend([0, reserved[0], 0, 0, transform.kind.0, reserved[1]]);
        self.bytes.extend(transform.id.to_be_bytes());
        for attribute in attributes {
            match attribute.value {
                AttributeValue::Short(value) => {
                    self.bytes.extend((attribute.kind.0 | 0x8000).to_be_bytes());
                    self.bytes.extend(value.to_be_bytes());
                }
                AttributeValue::Long(value) => {
                    // What is longer has the whole transform refused below.
                    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                    self.bytes.extend(attribute.kind.0.to_be_bytes());
                    self.bytes.extend(length.to_be_bytes());
                    self.bytes.extend(value);
                }
            }
        }
        if self.set_length(start, "transform").is_err() || self.set_length(proposal, "transform").is_err() {
            self.bytes.truncate(start);
            self.set_length(proposal, "transform")?;
            return Err(FULL);
        }
        if let Some(last) = self.transform {
            set(&mut self.bytes, last, [3]);
        }
        set(&mut self.bytes, proposal + 7, [count]);
        self.transform = Some(start);
        Ok(())
    }

    /// Writes how long that is which began at `start`, and has its length behind two bytes.
    fn set_length(&mut self, start: usize, what: &'static str) -> Result<(), WriteError> {
        let length = u16::try_from(self.bytes.len() - start).map_err(|_| WriteError::Full(what))?;
        set(&mut self.bytes, start + 2, length.to_be_bytes());
        Ok(())
    }

    /// What has been written.
    pub fn view(&self) -> Sa<'_> {
        Sa::written(&self.bytes)
    }
}

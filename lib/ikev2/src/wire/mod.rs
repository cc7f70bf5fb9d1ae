//! The wire format (RFC 7296 §3, RFC 7383 §2.5): messages read with checks, and written.
//!
//! A view borrows from the datagram. `parse` does every check that its accessors rely on, in one pass; nothing is copied, and no
//! memory is taken. What is read and written again has the same bytes: reserved bits, critical bits, unknown payloads, transforms,
//! attributes, selectors and notifies are kept. Limits, so that no input is expensive:
//!
//! ```text
//!   payloads per message            128   MAX_PAYLOADS
//!   proposals per SA                 64   MAX_PROPOSALS          transforms per proposal   255   (their count is a byte)
//!   attributes per transform          8   MAX_ATTRIBUTES         selectors per payload     255   MAX_SELECTORS
//!   attributes per configuration    256   MAX_CONFIGURATION_ATTRIBUTES
//! ```
//!
//! ```text
//!   registry                                       numbers of IANA as types
//!   numbers, notify_type, algorithm_numbers        those of messages, of notifies, of transforms
//!   transform                                      one algorithm of a proposal, and the word for it
//!   header, payload, message                       the way from a datagram to payloads
//!   sa, plain, selectors, configuration, encrypted what payloads say
//!   writer                                         payloads, messages and SA payloads to be sent
//!   error                                          what is wrong, where, and what the sender is told
//! ```

mod algorithm_numbers;
mod configuration;
mod encrypted;
mod error;
mod header;
mod message;
mod notify_type;
mod numbers;
mod payload;
mod plain;
mod reader;
mod registry;
mod sa;
mod selectors;
mod transform;
mod writer;

pub use algorithm_numbers::{
    AttributeType, EncryptionId, IntegrityId, KeyExchangeMethod, PrfId, SequenceNumbers, TransformType,
};
pub use configuration::{
    Configuration, ConfigurationAttribute, ConfigurationBuilder, ConfigurationFull,
    MAX_CONFIGURATION_ATTRIBUTES,
};
pub use encrypted::{Encrypted, EncryptedFragment};
pub use error::{Fault, ParseError};
pub use header::{Flags, HEADER_LEN, Header, IkeSpi, Version};
pub use message::Message;
pub use notify_type::NotifyType;
pub use numbers::{
    AuthMethod, CertificateEncoding, ConfigurationAttributeType, ConfigurationType, EapCode, ExchangeType,
    HashAlgorithm, IdType, PayloadType, ProtocolId, TsType,
};
pub use payload::{Body, MAX_PAYLOADS, PAYLOAD_HEADER_LEN, Payload, PayloadFlags, Payloads};
pub use plain::{
    Authentication, Certificate, Delete, Eap, Identification, KeyExchange, NONCE_LENGTHS, Notify,
};
pub use sa::{Attribute, AttributeValue, MAX_ATTRIBUTES, MAX_PROPOSALS, ProposalView, Sa, TransformView};
pub use selectors::{
    MAX_SELECTORS, OPAQUE_PORTS, Selector, TooManySelectors, TrafficSelector, TrafficSelectors,
    TrafficSelectorsBuilder,
};
pub use transform::{Transform, UnknownKeyword};
pub use writer::{PayloadWriter, SaBuilder, WriteError};

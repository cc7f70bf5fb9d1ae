//! Payloads with a few fields and bytes behind them: KE, IDi and IDr, CERT, CERTREQ, AUTH, Nonce, Notify, Delete, EAP.
//!
//! ```text
//!   KE             │ method, 2 bytes │ reserved, 2 │ public value                  RFC 7296 §3.4
//!   IDi, IDr       │ type │ reserved, 3 │ identity                                 §3.5
//!   CERT, CERTREQ  │ encoding │ certificate, or hashes of authorities              §3.6, §3.7
//!   AUTH           │ method │ reserved, 3 │ data                                   §3.8
//!   Notify         │ protocol │ SPI size │ type, 2 │ SPI │ data                    §3.10
//!   Delete         │ protocol │ SPI size │ number, 2 │ SPIs                        §3.11
//!   EAP            │ code │ identifier │ length, 2 │ type and data                 §3.16
//! ```

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::certificate::show_name;

use super::reader::Reader;
use super::{
    AuthMethod, CertificateEncoding, EapCode, IdType, KeyExchangeMethod, NotifyType, ParseError, ProtocolId,
};

/// Bytes that a nonce has (RFC 7296 §3.9).
pub const NONCE_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// A public value of a key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyExchange<'a> {
    /// Of which method.
    pub method: KeyExchangeMethod,
    /// Reserved; 0 when sent.
    pub reserved: [u8; 2],
    /// The public value.
    pub data: &'a [u8],
}

impl<'a> KeyExchange<'a> {
    /// One to be sent.
    pub const fn new(method: KeyExchangeMethod, data: &'a [u8]) -> KeyExchange<'a> {
        KeyExchange {
            method,
            reserved: [0; 2],
            data,
        }
    }

    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [method0, method1, reserved0, reserved1] = reader.array("the header of a key exchange")?;
        let method = KeyExchangeMethod(u16::from_be_bytes([method0, method1]));
        Ok(KeyExchange {
            method,
            reserved: [reserved0, reserved1],
            data: reader.rest(),
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.method.0.to_be_bytes());
        out.extend(self.reserved);
        out.extend(self.data);
    }
}

/// Who somebody says to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identification<'a> {
    /// What the data are.
    pub kind: IdType,
    /// Reserved, but part of what AUTH covers; 0 when sent.
    pub reserved: [u8; 3],
    /// The identity.
    pub data: &'a [u8],
}

impl<'a> Identification<'a> {
    /// One to be sent.
    pub const fn new(kind: IdType, data: &'a [u8]) -> Identification<'a> {
        Identification {
            kind,
            reserved: [0; 3],
            data,
        }
    }

    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [kind, reserved @ ..] = reader.array::<4>("the header of an identity")?;
        let (kind, data) = (IdType(kind), reader.rest());
        let fits = match kind {
            IdType::IPV4_ADDR => data.len() == 4,
            IdType::IPV6_ADDR => data.len() == 16,
            _ => true,
        };
        if !fits {
            return Err(reader.field(
                "the length of an address",
                data.len() as u32,
                "that of its family",
            ));
        }
        Ok(Identification { kind, reserved, data })
    }

    /// Writes the body of the payload: what AUTH covers of it (RFC 7296 §2.15).
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.kind.0);
        out.extend(self.reserved);
        out.extend(self.data);
    }
}

/// Bytes of an identity that are shown. The wire takes 65,527 from anybody, who would fill logs and answers to tools with them.
const SHOWN: usize = 255;

/// As people write it: an address, a name, a distinguished name, or bytes in hex. At most 255 bytes of that, and `...` for the others.
impl fmt::Display for Identification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut short = Short { f, left: SHOWN };
        match self.show(&mut short) {
            // What has come to its end there is cut, not failed.
            Err(_) if short.left == 0 => f.write_str("..."),
            shown => shown,
        }
    }
}

impl Identification<'_> {
    fn show(&self, f: &mut Short<'_, '_>) -> fmt::Result {
        if let (IdType::IPV4_ADDR, Ok(address)) = (self.kind, <[u8; 4]>::try_from(self.data)) {
            return write!(f, "{}", Ipv4Addr::from(address));
        }
        if let (IdType::IPV6_ADDR, Ok(address)) = (self.kind, <[u8; 16]>::try_from(self.data)) {
            return write!(f, "{}", Ipv6Addr::from(address));
        }
        if self.kind == IdType::DER_ASN1_DN
            && let Some(name) = show_name(self.data)
        {
            return f.write_str(&name);
        }
        match (self.kind, std::str::from_utf8(self.data)) {
            // Escaped: it may come from anybody, and be shown on a terminal.
            (IdType::FQDN | IdType::RFC822_ADDR, Ok(name)) => write!(f, "{}", name.escape_debug()),
            _ => {
                write!(f, "{} ", self.kind)?;
                self.data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Takes so many bytes, and an error is all that it gives from then on: who writes ends there.
struct Short<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl fmt::Write for Short<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = text.get(..text.floor_char_boundary(self.left)).unwrap_or(text);
        self.f.write_str(kept)?;
        if kept.len() < text.len() {
            self.left = 0;
            return Err(fmt::Error);
        }
        self.left -= kept.len();
        Ok(())
    }
}

impl fmt::Debug for Identification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identification({}, {self})", self.kind)
    }
}

/// A certificate, or the authorities whose certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// What the data are.
    pub encoding: CertificateEncoding,
    /// The certificate; in CERTREQ for X.509 SHA-1 hashes of the authorities' keys, 20 bytes each.
    pub data: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [encoding] = reader.array("a certificate encoding")?;
        Ok(Certificate {
            encoding: CertificateEncoding(encoding),
            data: reader.rest(),
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend(self.data);
    }
}

/// What proves an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication<'a> {
    /// How.
    pub method: AuthMethod,
    /// Reserved; 0 when sent.
    pub reserved: [u8; 3],
    /// A MAC or a signature.
    pub data: &'a [u8],
}

impl<'a> Authentication<'a> {
    /// One to be sent.
    pub const fn new(method: AuthMethod, data: &'a [u8]) -> Authentication<'a> {
        Authentication {
            method,
            reserved: [0; 3],
            data,
        }
    }

    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [method, reserved @ ..] = reader.array::<4>("the header of an AUTH payload")?;
        Ok(Authentication {
            method: AuthMethod(method),
            reserved,
            data: reader.rest(),
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.method.0);
        out.extend(self.reserved);
        out.extend(self.data);
    }

    /// Of method 14: the algorithm, an AlgorithmIdentifier in DER, and the signature (RFC 7427 §3).
    pub fn digital_signature(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (len, rest) = self.data.split_first()?;
        let (algorithm, signature) = rest.split_at_checked(usize::from(*len))?;
        (self.method == AuthMethod::DIGITAL_SIGNATURE && !algorithm.is_empty())
            .then_some((algorithm, signature))
    }
}

/// Checks a nonce, which has no fields.
pub(super) fn nonce(reader: Reader<'_>) -> Result<&[u8], ParseError> {
    let data = reader.rest();
    if NONCE_LENGTHS.contains(&data.len()) {
        Ok(data)
    } else {
        Err(reader.field("the length of a nonce", data.len() as u32, "16 to 256"))
    }
}

/// What one end tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// What the SPI belongs to.
    pub protocol: ProtocolId,
    /// The SPI that it is about; empty where it is about the IKE SA of the message, or none.
    pub spi: &'a [u8],
    /// What it says.
    pub kind: NotifyType,
    /// More about that, as its RFC has it.
    pub data: &'a [u8],
}

impl<'a> Notify<'a> {
    /// One that is about no SPI.
    pub const fn new(kind: NotifyType, data: &'a [u8]) -> Notify<'a> {
        Notify {
            protocol: ProtocolId::NONE,
            spi: &[],
            kind,
            data,
        }
    }

    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let [protocol, spi_size, kind0, kind1] = reader.array("the header of a notify")?;
        Ok(Notify {
            protocol: ProtocolId(protocol),
            spi: reader.take("the SPI of a notify", spi_size.into())?,
            kind: NotifyType(u16::from_be_bytes([kind0, kind1])),
            data: reader.rest(),
        })
    }

    /// An SPI above 255 bytes has no size on the wire and is cut.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let spi = self.spi.get(..255).unwrap_or(self.spi);
        out.extend([self.protocol.0, spi.len() as u8]);
        out.extend(self.kind.0.to_be_bytes());
        out.extend(spi);
        out.extend(self.data);
    }
}

/// SAs that their owner has deleted, by the SPIs of packets to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    /// What they belong to. IKE: the IKE SA of the message, with no SPI.
    pub protocol: ProtocolId,
    /// Bytes of each SPI.
    pub spi_size: u8,
    spis: &'a [u8],
    count: u16,
}

impl<'a> Delete<'a> {
    /// The IKE SA of the message.
    pub const IKE: Delete<'static> = Delete {
        protocol: ProtocolId::IKE,
        spi_size: 0,
        spis: &[],
        count: 0,
    };

    /// SAs of ESP or AH, SPIs of 4 bytes one behind the other. `None`: no such SPIs, or more than 16,383.
    pub fn new(protocol: ProtocolId, spis: &'a [u8]) -> Option<Delete<'a>> {
        let count = u16::try_from(spis.len() / 4)
            .ok()
            .filter(|count| *count < 16_384)?;
        let fits = spis.len().is_multiple_of(4) && matches!(protocol, ProtocolId::ESP | ProtocolId::AH);
        fits.then_some(Delete {
            protocol,
            spi_size: 4,
            spis,
            count,
        })
    }

    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let start = reader;
        let [protocol, spi_size, count0, count1] = reader.array("the header of a delete")?;
        let (protocol, count) = (ProtocolId(protocol), u16::from_be_bytes([count0, count1]));
        let fits = match protocol {
            ProtocolId::IKE => spi_size == 0 && count == 0,
            ProtocolId::AH | ProtocolId::ESP => spi_size == 4,
            // Nothing to count them by.
            _ => spi_size != 0 || count == 0,
        };
        if !fits {
            return Err(start.field(
                "the SPI size of a delete",
                spi_size.into(),
                "that of its protocol",
            ));
        }
        let spis = reader.take("the SPIs of a delete", usize::from(spi_size) * usize::from(count))?;
        reader.end("the last SPI")?;
        Ok(Delete {
            protocol,
            spi_size,
            spis,
            count,
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.protocol.0, self.spi_size]);
        out.extend(self.count.to_be_bytes());
        out.extend(self.spis);
    }

    /// The SPIs.
    pub fn spis(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.spis.chunks_exact(usize::from(self.spi_size).max(1))
    }
}

/// An EAP packet (RFC 3748 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eap<'a> {
    /// What it is.
    pub code: EapCode,
    /// Pairs requests and responses.
    pub identifier: u8,
    /// The method and its data; empty for success and failure.
    pub data: &'a [u8],
}

impl<'a> Eap<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        let start = reader;
        let [code, identifier, length0, length1] = reader.array("the header of an EAP packet")?;
        let (code, length) = (EapCode(code), u16::from_be_bytes([length0, length1]));
        let data = reader.rest();
        if usize::from(length) != data.len() + 4 {
            return Err(start.field(
                "the length of the EAP packet",
                length.into(),
                "that of its payload",
            ));
        }
        let fits = match code {
            EapCode::REQUEST | EapCode::RESPONSE => !data.is_empty(),
            EapCode::SUCCESS | EapCode::FAILURE => data.is_empty(),
            _ => return Err(start.field("the code of the EAP packet", code.0.into(), "1 to 4")),
        };
        if !fits {
            return Err(start.field("the length of the EAP packet", length.into(), "that of its code"));
        }
        Ok(Eap {
            code,
            identifier,
            data,
        })
    }

    /// Data above 65,531 bytes have no length on the wire; the payload around them is refused.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.data.len() + 4).unwrap_or(u16::MAX);
        out.extend([self.code.0, self.identifier]);
        out.extend(length.to_be_bytes());
        out.extend(self.data);
    }
}

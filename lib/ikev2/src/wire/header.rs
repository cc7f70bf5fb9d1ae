//! The header of a message (RFC 7296 §3.1).
//!
//! ```text
//!    0                       8                      16  17  18 19 20         24        28
//!   +-----------------------+----------------------+---+---+---+--+-----------+---------+
//!   | SPI of the initiator  | SPI of the responder | np|ver|exch|fl| message id | length |
//!   +-----------------------+----------------------+---+---+---+--+-----------+---------+
//! ```

use std::fmt;

use super::reader::Reader;
use super::{ExchangeType, Fault, ParseError, PayloadType};

/// Bytes of the header.
pub const HEADER_LEN: usize = 28;

/// The SPI that one end of an IKE SA chose; all zero where it has not chosen yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IkeSpi(pub [u8; 8]);

impl IkeSpi {
    /// None yet: the responder's in the first request.
    pub const ZERO: IkeSpi = IkeSpi([0; 8]);

    /// Whether it stands for none.
    pub fn is_zero(self) -> bool {
        self == IkeSpi::ZERO
    }
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Major and minor version, four bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u8);

impl Version {
    /// What is spoken here.
    pub const IKEV2: Version = Version(0x20);

    /// The major version.
    pub const fn major(self) -> u8 {
        self.0 >> 4
    }

    /// The minor version, which is ignored (RFC 7296 §2.5).
    pub const fn minor(self) -> u8 {
        self.0 & 0x0f
    }
}

/// The flags of a message; reserved bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Sent by who initiated the IKE SA.
    pub const INITIATOR: Flags = Flags(0x08);
    /// The sender speaks a higher major version.
    pub const VERSION: Flags = Flags(0x10);
    /// Answers a request with the same message id.
    pub const RESPONSE: Flags = Flags(0x20);

    /// Whether all of those are set.
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#04x})", self.0)
    }
}

/// The header of a message. `next_payload` and `length` are what was received; whoever writes a message has them filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// SPI of who initiated the IKE SA.
    pub initiator_spi: IkeSpi,
    /// SPI of the other end.
    pub responder_spi: IkeSpi,
    /// What the first payload is.
    pub next_payload: PayloadType,
    /// The version.
    pub version: Version,
    /// The exchange.
    pub exchange: ExchangeType,
    /// The flags.
    pub flags: Flags,
    /// Number of the request, or of that which is answered.
    pub message_id: u32,
    /// Bytes of the whole message.
    pub length: u32,
}

impl Header {
    /// One of a message that is to be written.
    pub const fn new(
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
        exchange: ExchangeType,
        flags: Flags,
        message_id: u32,
    ) -> Header {
        Header {
            initiator_spi,
            responder_spi,
            next_payload: PayloadType::NONE,
            version: Version::IKEV2,
            exchange,
            flags,
            message_id,
            length: HEADER_LEN as u32,
        }
    }

    /// Reads the header of a message. Only what is needed to find its SA is checked: the major version and that it is whole.
    pub fn parse(message: &[u8]) -> Result<Header, ParseError> {
        let received = message.len();
        let header = Header::of_any_version(message)?;
        // First of all: what follows may be laid out in another way.
        let version = header.version;
        if version.major() != Version::IKEV2.major() {
            let (major, minor) = (version.major(), version.minor());
            let fault = Fault::MajorVersion { major, minor };
            return Err(ParseError {
                payload: None,
                offset: 17,
                fault,
            });
        }
        let length = header.length;
        if usize::try_from(length) != Ok(received) {
            let fault = Fault::MessageLength {
                said: length,
                received,
            };
            return Err(ParseError {
                payload: None,
                offset: 24,
                fault,
            });
        }
        Ok(header)
    }

    /// Reads the fields where version 2 has them, whatever the version is, to tell the sender of another one which is spoken here
    /// (RFC 7296 §2.5). Nothing of them is checked.
    pub fn of_any_version(message: &[u8]) -> Result<Header, ParseError> {
        let mut reader = Reader::new(message, 0, None);
        let header: [u8; HEADER_LEN] = reader.array("the header")?;
        let [
            i0,
            i1,
            i2,
            i3,
            i4,
            i5,
            i6,
            i7,
            r0,
            r1,
            r2,
            r3,
            r4,
            r5,
            r6,
            r7,
            next_payload,
            version,
            exchange,
            flags,
            m0,
            m1,
            m2,
            m3,
            l0,
            l1,
            l2,
            l3,
        ] = header;
        Ok(Header {
            initiator_spi: IkeSpi([i0, i1, i2, i3, i4, i5, i6, i7]),
            responder_spi: IkeSpi([r0, r1, r2, r3, r4, r5, r6, r7]),
            next_payload: PayloadType(next_payload),
            version: Version(version),
            exchange: ExchangeType(exchange),
            flags: Flags(flags),
            message_id: u32::from_be_bytes([m0, m1, m2, m3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// The bytes of it.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let fields = [
            &self.initiator_spi.0[..],
            &self.responder_spi.0,
            &[self.next_payload.0, self.version.0, self.exchange.0, self.flags.0],
            &self.message_id.to_be_bytes(),
            &self.length.to_be_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Whether it is a request.
    pub const fn is_request(&self) -> bool {
        !self.flags.contains(Flags::RESPONSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let spis = [IkeSpi([1, 2, 3, 4, 5, 6, 7, 8]), IkeSpi::ZERO];
        Header::new(
            spis[0],
            spis[1],
            ExchangeType::IKE_SA_INIT,
            Flags::INITIATOR,
            0x0102_0304,
        )
    }

    #[test]
    fn fields_come_back_reserved_flags_and_minor_versions_too() {
        let header = Header {
            flags: Flags(0xcf),
            version: Version(0x2e),
            ..header()
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes[17..20], [0x2e, 34, 0xcf]);
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert!(header.is_request() && header.flags.contains(Flags::INITIATOR));
        assert!(
            !Header {
                flags: Flags::RESPONSE.with(Flags::INITIATOR),
                ..header
            }
            .is_request()
        );
        assert_eq!(header.initiator_spi.to_string(), "0102030405060708");
    }

    #[test]
    fn other_versions_are_told_before_other_lengths() {
        for (version, told) in [(0x10, None), (0x30, Some(5)), (0x1f, None), (0xf0, Some(5))] {
            let bytes = Header {
                version: Version(version),
                length: 1,
                ..header()
            }
            .to_bytes();
            let error = Header::parse(&bytes).unwrap_err();
            assert_eq!(error.notify().map(|notify| notify.kind.0), told, "{error}");
            assert_eq!(error.offset, 17);
        }
    }

    #[test]
    fn lengths_that_are_not_those_received_are_refused() {
        let bytes = header().to_bytes();
        for length in [0, 27, 29, u32::MAX] {
            let mut wrong = bytes;
            wrong[24..].copy_from_slice(&u32::to_be_bytes(length));
            let fault = Fault::MessageLength {
                said: length,
                received: 28,
            };
            assert_eq!(Header::parse(&wrong).unwrap_err().fault, fault);
        }
        for cut in 0..HEADER_LEN {
            let fault = Header::parse(&bytes[..cut]).unwrap_err().fault;
            assert_eq!(
                fault,
                Fault::Truncated {
                    what: "the header",
                    needed: 28,
                    available: cut
                }
            );
        }
    }
}

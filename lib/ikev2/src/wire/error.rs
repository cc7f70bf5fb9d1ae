//! Why bytes are no IKEv2 message, and what their sender is told.

use super::{Notify, NotifyType, PayloadType, ProtocolId};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something does not fit into what is around it.
    #[error("{what} takes {needed} bytes where {available} are left")]
    Truncated {
        /// What was to be read.
        what: &'static str,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that there are.
        available: usize,
    },
    /// Bytes behind the last of what is expected.
    #[error("{count} bytes follow {what}")]
    Trailing {
        /// What should have been the end.
        what: &'static str,
        /// Bytes behind it.
        count: usize,
    },
    /// The message says another length than it has.
    #[error("the header says that the message has {said} bytes, and {received} were received")]
    MessageLength {
        /// Length in the header.
        said: u32,
        /// Bytes received.
        received: usize,
    },
    /// Another major version than 2.
    #[error("the message is of IKE version {major}.{minor}, and only 2.x is spoken here")]
    MajorVersion {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// A payload of a type that is not known here, and that its sender marks as critical.
    #[error("the payload is critical and its type is not known here")]
    UnsupportedCritical(PayloadType),
    /// More of something than is ever looked at.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// As many are taken.
        limit: usize,
    },
    /// A field with a value that it cannot have there.
    #[error("{field} is {value}, which is not {expected}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What it has.
        value: u32,
        /// What it may have.
        expected: &'static str,
    },
    /// The numbers of an encrypted fragment make no sense (RFC 7383 §2.6).
    #[error("the fragment is number {number} of {total}")]
    FragmentNumber {
        /// Its number.
        number: u16,
        /// Of how many.
        total: u16,
    },
    /// An encrypted payload inside of another.
    #[error("an encrypted payload is inside of another")]
    NestedEncryption,
}

/// A message that cannot be read: what is wrong, in which payload, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, byte {offset}: {fault}", Place(*payload))]
pub struct ParseError {
    /// In which payload; `None` for the header of the message.
    pub payload: Option<PayloadType>,
    /// Byte of the message, from 0, at which that was to be read which is wrong.
    pub offset: usize,
    /// What is wrong.
    pub fault: Fault,
}

struct Place(Option<PayloadType>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("IKE header"),
            Some(kind) if kind.name().is_some() => write!(f, "{kind} payload"),
            Some(kind) => write!(f, "payload of type {}", kind.0),
        }
    }
}

/// The number of a payload as data of a notify, without memory of its own.
static NUMBERS: [u8; 256] = {
    let mut numbers = [0; 256];
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

impl ParseError {
    /// What the sender is told, if that is allowed at all where the message came (RFC 7296 §2.21). `None`: the message is
    /// dropped in silence, since it is of a version before 2 (which has no such notify) or no valid fragment (RFC 7383 §2.6).
    ///
    /// ```
    /// use ikev2::wire::{Message, NotifyType};
    ///
    /// let error = Message::parse(&[0; 27]).unwrap_err();
    /// assert_eq!(error.to_string(), "IKE header, byte 0: the header takes 28 bytes where 27 are left");
    /// assert_eq!(error.notify().unwrap().kind, NotifyType::INVALID_SYNTAX);
    /// ```
    pub fn notify(&self) -> Option<Notify<'static>> {
        let (kind, data): (_, &[u8]) = match self.fault {
            Fault::MajorVersion { major, .. } if major < 2 => return None,
            // The highest version that is spoken here; its notify has no data, the header of the answer says it.
            Fault::MajorVersion { .. } => (NotifyType::INVALID_MAJOR_VERSION, &[]),
            Fault::FragmentNumber { .. } => return None,
            Fault::UnsupportedCritical(kind) => {
                let at = usize::from(kind.0);
                (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, NUMBERS.get(at..=at)?)
            }
            _ => (NotifyType::INVALID_SYNTAX, &[]),
        };
        Some(Notify {
            protocol: ProtocolId::NONE,
            spi: &[],
            kind,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifies_are_those_of_rfc_7296() {
        let error = |fault| ParseError {
            payload: Some(PayloadType(200)),
            offset: 28,
            fault,
        };
        let notify = error(Fault::UnsupportedCritical(PayloadType(200)))
            .notify()
            .unwrap();
        assert_eq!((notify.kind.0, notify.data), (1, &[200][..]));
        let version = |major| error(Fault::MajorVersion { major, minor: 1 }).notify();
        assert_eq!(version(3).unwrap().kind.0, 5);
        assert_eq!(version(1), None);
        let syntax = error(Fault::NestedEncryption).notify().unwrap();
        assert_eq!((syntax.kind.0, syntax.data), (7, &[][..]));
        assert_eq!(
            error(Fault::FragmentNumber { number: 0, total: 1 }).notify(),
            None
        );
    }

    #[test]
    fn sentences_say_where_and_what() {
        let error = ParseError {
            payload: Some(PayloadType::SA),
            offset: 40,
            fault: Fault::TooMany {
                what: "proposals",
                limit: 2,
            },
        };
        assert_eq!(
            error.to_string(),
            "SA payload, byte 40: there are more than 2 proposals"
        );
        let error = ParseError {
            payload: Some(PayloadType(99)),
            ..error
        };
        assert!(error.to_string().starts_with("payload of type 99, byte 40: "));
    }
}

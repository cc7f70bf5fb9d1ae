//! What is done with the packets of a rule.
//!
//! ```text
//!   relay            sent on                              drop             dropped
//!   log              printed and sent on                  drop prohibited  dropped, and the sender is told
//!   strip remove     sent on without the option           mirror IFACE     sent on, and a copy leaves by IFACE
//!   strip pad        sent on with padding in its place    hold MS          sent on, so many milliseconds later
//!   dscp N           sent on with another DSCP            helper NAME      a program decides
//! ```

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::matching::is_name;
use crate::strip::How;

/// The longest that packets are held, milliseconds.
pub const HOLD_MAX: u16 = 10_000;
/// The highest differentiated services codepoint, RFC 2474 section 3.
pub const DSCP_MAX: u8 = 63;

/// What is done with the packets of a rule. As text it is what configurations and command lines have: `strip pad`, `hold 100`.
///
/// ```
/// use router_alert::handler::Handler;
/// use router_alert::strip::How;
///
/// assert_eq!("strip pad".parse(), Ok(Handler::Strip(How::Pad)));
/// assert_eq!("strip".parse::<Handler>()?.to_string(), "strip remove");
/// # Ok::<(), router_alert::handler::HandlerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Sent on.
    Relay,
    /// Printed and sent on.
    Log,
    /// Sent on without the option.
    Strip(How),
    /// Sent on with this differentiated services codepoint, RFC 2474; at most [`DSCP_MAX`].
    Dscp(u8),
    /// Dropped.
    Drop,
    /// Dropped, and the sender is told that it is not allowed: ICMP 3/13 (RFC 1812 section 5.2.7.1), ICMPv6 1/1 (RFC 4443
    /// section 3.1).
    DropProhibited,
    /// Sent on, and a copy as it came leaves by the interface of this name.
    Mirror(String),
    /// Sent on after so many milliseconds, 1 to [`HOLD_MAX`].
    Hold(u16),
    /// A program or socket decides, which the relay's own file defines under this name.
    Helper(String),
}

/// Why a text is no handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// No handler begins so.
    #[error(
        "'{0}' is no handler: use relay, log, strip remove, strip pad, dscp N, drop, drop prohibited, mirror IFACE, hold MS \
         or helper NAME"
    )]
    Unknown(String),
    /// How to strip is not known.
    #[error("'strip {0}' is not known: write strip remove or strip pad")]
    Strip(String),
    /// How to drop is not known.
    #[error("'drop {0}' is not known: write drop or drop prohibited")]
    Drop(String),
    /// No differentiated services codepoint.
    #[error("'dscp {0}' is not known: write dscp and a number from 0 to {DSCP_MAX}, such as dscp 46")]
    Dscp(String),
    /// No time.
    #[error("'hold {0}' is not known: write hold and 1 to {HOLD_MAX} milliseconds, such as hold 100")]
    Hold(String),
    /// No interface.
    #[error(
        "the handler mirror needs to know where copies leave: write mirror and an interface, such as mirror wan"
    )]
    Mirror,
    /// No name of a helper.
    #[error(
        "'helper {0}' is not known: write helper and the name that the relay's file gives one, of 1 to 31 letters, digits, \
         '_', '.' and '-'"
    )]
    Helper(String),
    /// Something behind a handler that is complete.
    #[error("'{word}' is one word too many behind '{handler}': leave it out")]
    TooMany {
        /// The handler.
        handler: String,
        /// The word.
        word: String,
    },
}

impl Handler {
    /// The first words of all handlers.
    pub const NAMES: [&'static str; 8] = [
        "relay", "log", "strip", "dscp", "drop", "mirror", "hold", "helper",
    ];

    /// Its first word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Log => "log",
            Self::Strip(_) => "strip",
            Self::Dscp(_) => "dscp",
            Self::Drop | Self::DropProhibited => "drop",
            Self::Mirror(_) => "mirror",
            Self::Hold(_) => "hold",
            Self::Helper(_) => "helper",
        }
    }
}

impl FromStr for Handler {
    type Err = HandlerError;

    fn from_str(text: &str) -> Result<Self, HandlerError> {
        let mut words = text.split_whitespace();
        let (name, argument) = (words.next().unwrap_or_default(), words.next());
        let given = || argument.unwrap_or_default().to_owned();
        let handler = match (name, argument) {
            ("relay", None) => Self::Relay,
            ("log", None) => Self::Log,
            ("relay" | "log", Some(word)) => return Err(too_many(name, word)),
            ("strip", None | Some("remove")) => Self::Strip(How::Remove),
            ("strip", Some("pad")) => Self::Strip(How::Pad),
            ("strip", Some(_)) => return Err(HandlerError::Strip(given())),
            ("drop", None) => Self::Drop,
            ("drop", Some("prohibited")) => Self::DropProhibited,
            ("drop", Some(_)) => return Err(HandlerError::Drop(given())),
            ("dscp", _) => {
                let dscp = argument.and_then(number).filter(|dscp| *dscp <= DSCP_MAX);
                Self::Dscp(dscp.ok_or_else(|| HandlerError::Dscp(given()))?)
            }
            ("hold", _) => {
                let held = argument
                    .and_then(number)
                    .filter(|held| (1..=HOLD_MAX).contains(held));
                Self::Hold(held.ok_or_else(|| HandlerError::Hold(given()))?)
            }
            ("mirror", Some(interface)) => Self::Mirror(interface.to_owned()),
            ("mirror", None) => return Err(HandlerError::Mirror),
            ("helper", Some(helper)) if is_name(helper) => Self::Helper(helper.to_owned()),
            ("helper", _) => return Err(HandlerError::Helper(given())),
            _ => return Err(HandlerError::Unknown(name.to_owned())),
        };
        match words.next() {
            None => Ok(handler),
            Some(word) => Err(too_many(&handler.to_string(), word)),
        }
    }
}

fn too_many(handler: &str, word: &str) -> HandlerError {
    HandlerError::TooMany {
        handler: handler.to_owned(),
        word: word.to_owned(),
    }
}

/// A number in digits: a sign is none, though a number may have one.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay | Self::Log | Self::Drop => f.write_str(self.name()),
            Self::Strip(How::Remove) => f.write_str("strip remove"),
            Self::Strip(How::Pad) => f.write_str("strip pad"),
            Self::Dscp(dscp) => write!(f, "dscp {dscp}"),
            Self::DropProhibited => f.write_str("drop prohibited"),
            Self::Mirror(interface) => write!(f, "mirror {interface}"),
            Self::Hold(milliseconds) => write!(f, "hold {milliseconds}"),
            Self::Helper(helper) => write!(f, "helper {helper}"),
        }
    }
}

impl Serialize for Handler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Handler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Handler, String> {
        text.parse().map_err(|error: HandlerError| error.to_string())
    }

    #[test]
    fn req_ra_30_handlers_are_read_and_written_as_text() {
        for (text, handler, written) in [
            ("relay", Handler::Relay, "relay"),
            (" log ", Handler::Log, "log"),
            ("strip", Handler::Strip(How::Remove), "strip remove"),
            ("strip remove", Handler::Strip(How::Remove), "strip remove"),
            ("strip  pad", Handler::Strip(How::Pad), "strip pad"),
            ("dscp 0", Handler::Dscp(0), "dscp 0"),
            ("dscp 63", Handler::Dscp(63), "dscp 63"),
            ("drop", Handler::Drop, "drop"),
            ("drop prohibited", Handler::DropProhibited, "drop prohibited"),
            ("mirror wan.7", Handler::Mirror("wan.7".into()), "mirror wan.7"),
            ("hold 1", Handler::Hold(1), "hold 1"),
            ("hold 10000", Handler::Hold(10_000), "hold 10000"),
            ("helper policy", Handler::Helper("policy".into()), "helper policy"),
        ] {
            assert_eq!(read(text), Ok(handler.clone()), "{text:?}");
            assert_eq!(handler.to_string(), written);
            assert!(Handler::NAMES.contains(&handler.name()), "{handler}");
            let json = serde_json::to_string(&handler).unwrap();
            assert_eq!(json, format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<Handler>(&json).unwrap(), handler);
        }
    }

    #[test]
    fn req_ra_30_what_is_no_handler_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("", "'' is no handler: use relay, log, strip remove, strip pad"),
            ("Relay", "'Relay' is no handler"),
            ("relay on", "'on' is one word too many behind 'relay'"),
            ("drop it", "'drop it' is not known: write drop or drop prohibited"),
            (
                "strip all",
                "'strip all' is not known: write strip remove or strip pad",
            ),
            ("strip pad now", "'now' is one word too many behind 'strip pad'"),
            (
                "dscp",
                "'dscp ' is not known: write dscp and a number from 0 to 63",
            ),
            ("dscp 64", "'dscp 64' is not known"),
            ("dscp +1", "'dscp +1' is not known"),
            (
                "hold 0",
                "'hold 0' is not known: write hold and 1 to 10000 milliseconds",
            ),
            ("hold 10001", "'hold 10001' is not known"),
            ("hold", "'hold ' is not known"),
            ("mirror", "the handler mirror needs to know where copies leave"),
            ("mirror a b", "'b' is one word too many behind 'mirror a'"),
            ("helper", "'helper ' is not known: write helper and the name"),
            ("helper a/b", "'helper a/b' is not known"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(said), "{text:?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn req_ra_30_no_text_upsets_the_parser(
            text in "(relay|log|strip|dscp|drop|mirror|hold|helper|\\PC{0,4})( (remove|pad|prohibited|[0-9+-]{1,6}|\\PC{0,8})){0,3}",
        ) {
            if let Ok(handler) = text.parse::<Handler>() {
                prop_assert_eq!(handler.to_string().parse(), Ok(handler));
            }
        }
    }
}

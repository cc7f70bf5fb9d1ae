//! RSVP messages (RFC 2205 §3.1).
//!
//! ```text
//!    0       1       2               4       5       6               8
//!   +-------+-------+---------------+-------+-------+---------------+
//!   |ver|flg| type  | checksum      |SendTTL| 0     | length        |
//!   +-------+-------+-------+-------+-------+-------+---------------+
//!   | length, with this     | class | c-type| contents                 objects, one behind the other
//!   +---------------+-------+-------+-------+- - - -
//! ```

use std::fmt::{self, Display, Formatter};

use super::{cut_short, names, payload};

/// The version that there is.
const VERSION: u8 = 1;

/// Writes the type of a message and the classes of its objects.
pub(super) fn write(f: &mut Formatter<'_>, message: &[u8]) -> fmt::Result {
    let Some((&[version, message_type, _, _, send_ttl, _, len0, len1], rest)) = message.split_first_chunk()
    else {
        return cut_short(f, "rsvp", message);
    };
    if version >> 4 != VERSION {
        write!(f, "rsvp of version {}, ", version >> 4)?;
        return payload(f, message);
    }
    let length = u16::from_be_bytes([len0, len1]);
    match type_name(message_type) {
        Some(name) => write!(f, "rsvp {name}")?,
        None => write!(f, "rsvp type {message_type}")?,
    }
    write!(f, ", Send_TTL {send_ttl}, length {length}")?;
    let here = usize::from(length).saturating_sub(8).min(rest.len());
    names(f, Objects(rest.get(..here).unwrap_or_default()))
}

/// RFC 2205 §3.1.1; RFC 2961 from 12 on, RFC 3209 20, RFC 3473 21, RFC 2747 from 25 on.
fn type_name(message_type: u8) -> Option<&'static str> {
    Some(match message_type {
        1 => "Path",
        2 => "Resv",
        3 => "PathErr",
        4 => "ResvErr",
        5 => "PathTear",
        6 => "ResvTear",
        7 => "ResvConf",
        12 => "Bundle",
        13 => "Ack",
        15 => "Srefresh",
        20 => "Hello",
        21 => "Notify",
        25 => "Integrity Challenge",
        26 => "Integrity Response",
        _ => return None,
    })
}

/// RFC 2205 appendix A; RFC 3209 from 16 on, RFC 2961 from 23 on, RFC 3473 and RFC 4090 for the others.
fn class_name(class: u8) -> Option<&'static str> {
    Some(match class {
        0 => "NULL",
        1 => "SESSION",
        3 => "RSVP_HOP",
        4 => "INTEGRITY",
        5 => "TIME_VALUES",
        6 => "ERROR_SPEC",
        7 => "SCOPE",
        8 => "STYLE",
        9 => "FLOWSPEC",
        10 => "FILTER_SPEC",
        11 => "SENDER_TEMPLATE",
        12 => "SENDER_TSPEC",
        13 => "ADSPEC",
        14 => "POLICY_DATA",
        15 => "RESV_CONFIRM",
        16 => "LABEL",
        19 => "LABEL_REQUEST",
        20 => "EXPLICIT_ROUTE",
        21 => "RECORD_ROUTE",
        22 => "HELLO",
        23 => "MESSAGE_ID",
        24 => "MESSAGE_ID_ACK",
        25 => "MESSAGE_ID_LIST",
        34 => "RECOVERY_LABEL",
        35 => "UPSTREAM_LABEL",
        36 => "LABEL_SET",
        37 => "PROTECTION",
        63 => "DETOUR",
        205 => "FAST_REROUTE",
        207 => "SESSION_ATTRIBUTE",
        _ => return None,
    })
}

/// Objects that are ahead. Ends after one that is broken.
struct Objects<'a>(&'a [u8]);

enum Object {
    Class(u8),
    Broken,
}

impl Iterator for Objects<'_> {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.0.is_empty() {
            return None;
        }
        let object = self.0.first_chunk().and_then(|&[len0, len1, class, _]| {
            let length = usize::from(u16::from_be_bytes([len0, len1]));
            let (_, rest) = self.0.split_at_checked(length).filter(|_| length >= 4)?;
            Some((Object::Class(class), rest))
        });
        let (object, rest) = object.unwrap_or((Object::Broken, &[]));
        self.0 = rest;
        Some(object)
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Object::Class(class) => match class_name(class) {
                Some(name) => f.write_str(name),
                None => write!(f, "class {class}"),
            },
            Object::Broken => f.write_str("a broken object"),
        }
    }
}

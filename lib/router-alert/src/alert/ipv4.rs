//! The router alert among the options of IPv4 (RFC 2113).

use packet::Ipv4;
use packet::ipv4::HEADER_LEN;
use packet::ipv4_options::{Ipv4Options, option_kind};

use super::{Alert, Fault, Settings, join};
use crate::Family;

/// As [`super::find`] for an IPv4 packet that was checked, be it only the start of it.
///
/// # Errors
///
/// As [`super::find`].
#[inline]
pub fn find_v4(packet: &Ipv4<'_>, settings: &Settings) -> Result<Option<Alert>, Fault> {
    if packet.options().is_empty() {
        return Ok(None);
    }
    let mut found = None;
    for option in Ipv4Options::new(packet.options()) {
        let option = option.map_err(|error| Fault::Ipv4OptionLength {
            pointer: HEADER_LEN + error.pointer,
        })?;
        if option.kind != option_kind::ROUTER_ALERT {
            continue;
        }
        let offset = HEADER_LEN + option.offset;
        let [_, _, high, low] = *option.bytes else {
            return Err(Fault::AlertLength { pointer: offset + 1 });
        };
        let next = Alert {
            family: Family::Four,
            value: u16::from_be_bytes([high, low]),
            protocol: packet.protocol(),
            offset,
            duplicate: false,
            misaligned: false,
            irregular_padding: false,
        };
        join(&mut found, next, settings.duplicates)?;
    }
    Ok(found)
}

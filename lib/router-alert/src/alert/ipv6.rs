//! The router alert in the hop-by-hop header of IPv6 (RFC 2711).

use packet::extension::{self, HeaderOption, OptionError, UnrecognizedAction, option_type};
use packet::ipv6::HEADER_LEN;
use packet::{Ipv6, Protocol};

use super::{Alert, Beyond, Fault, Padding, Settings, Unrecognized, join};
use crate::Family;

/// Offsets of the next header field in the IPv6 header, and of the length in the hop-by-hop header.
const NEXT_HEADER: usize = 6;
const HEADER_LENGTH: usize = 41;
/// Most bytes of padding at a place (RFC 8504 §5.3): more aligns nothing.
const MOST_PADDING: usize = 7;
/// Below this many bytes there is no need for a jumbo payload (RFC 2675 §2).
const JUMBO: u32 = 65_536;

/// As [`super::find`] for an IPv6 packet that was checked, be it only the start of it. A hop-by-hop header that is not all there
/// counts as one beyond the limits.
///
/// # Errors
///
/// As [`super::find`].
#[inline]
pub fn find_v6(packet: &Ipv6<'_>, settings: &Settings) -> Result<Option<Alert>, Fault> {
    if packet.next_header() != Protocol::HOP_BY_HOP {
        return Ok(None);
    }
    in_hop_by_hop(packet, settings)
}

fn in_hop_by_hop(packet: &Ipv6<'_>, settings: &Settings) -> Result<Option<Alert>, Fault> {
    let payload_len = usize::from(packet.payload_len());
    let too_big = Fault::HeaderTooBig { pointer: HEADER_LEN };
    let Some(&[_, units]) = packet.payload().first_chunk() else {
        return if payload_len < 2 {
            Err(Fault::HeaderLength { pointer: NEXT_HEADER })
        } else {
            beyond(settings, too_big)
        };
    };
    let header_len = (usize::from(units) + 1) * 8;
    if header_len > payload_len {
        let pointer = HEADER_LENGTH;
        return Err(Fault::HeaderLength { pointer });
    }
    if header_len > settings.most_bytes {
        return beyond(settings, too_big);
    }
    let Some(Ok(header)) = extension::walk(packet).next() else {
        // It goes on where nobody looks.
        return beyond(settings, too_big);
    };
    let protocol = Protocol(header.bytes.first().copied().unwrap_or_default());
    let mut found = None;
    let mut irregular_padding = false;
    let (mut options, mut padding) = (0, 0);
    for option in header.options().into_iter().flatten() {
        let option =
            option.map_err(|OptionError::Overrun { offset }| Fault::OptionLength { pointer: offset })?;
        let pointer = option.offset;
        if option.is_padding() {
            padding += length(&option);
            if padding > MOST_PADDING || option.data.iter().any(|byte| *byte != 0) {
                irregular_padding = true;
                if settings.padding == Padding::Strict {
                    return Err(Fault::Padding { pointer });
                }
            }
            continue;
        }
        padding = 0;
        options += 1;
        if options > settings.most_options {
            return beyond(settings, Fault::TooManyOptions { pointer });
        }
        match option.option_type {
            option_type::ROUTER_ALERT => {
                let next = alert(&option, protocol)?;
                join(&mut found, next, settings.duplicates)?;
            }
            option_type::JUMBO => return Err(jumbo(&option)),
            _ => judge(&option, settings)?,
        }
    }
    Ok(found.map(|found: Alert| Alert {
        irregular_padding,
        ..found
    }))
}

/// Bytes of an option.
fn length(option: &HeaderOption<'_>) -> usize {
    if option.option_type == option_type::PAD1 {
        1
    } else {
        2 + option.data.len()
    }
}

fn alert(option: &HeaderOption<'_>, protocol: Protocol) -> Result<Alert, Fault> {
    let &[high, low] = option.data else {
        let pointer = option.offset + 1;
        return Err(Fault::AlertLength { pointer });
    };
    Ok(Alert {
        family: Family::Six,
        value: u16::from_be_bytes([high, low]),
        protocol,
        offset: option.offset,
        duplicate: false,
        misaligned: !option.offset.is_multiple_of(2),
        irregular_padding: false,
    })
}

/// What is wrong with a jumbo payload option: always something, since it stands in a packet with a payload length.
fn jumbo(option: &HeaderOption<'_>) -> Fault {
    let pointer = match option.data.try_into().map(u32::from_be_bytes) {
        Err(_) => option.offset + 1,
        Ok(0..JUMBO) => option.offset + 2,
        Ok(_) => option.offset,
    };
    Fault::Jumbo { pointer }
}

/// Whether an option that is not known may be skipped.
fn judge(option: &HeaderOption<'_>, settings: &Settings) -> Result<(), Fault> {
    let action = option.unrecognized_action();
    if settings.unrecognized == Unrecognized::Skip || action == UnrecognizedAction::Skip {
        return Ok(());
    }
    let pointer = option.offset;
    Err(Fault::Unrecognized { pointer, action })
}

fn beyond(settings: &Settings, fault: Fault) -> Result<Option<Alert>, Fault> {
    match settings.beyond {
        Beyond::Ignore => Ok(None),
        Beyond::Refuse => Err(fault),
    }
}

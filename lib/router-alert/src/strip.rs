//! Takes the router alert out of a packet, so that the next router does not look at it.
//!
//! ```text
//!   Remove   IPv4: the option's four bytes go, or all options if nothing else is among them
//!            IPv6: the hop-by-hop header goes, or is cut to what its other options need
//!   Pad      IPv4: four times "no operation"; IPv6: padding; the packet is as long as it was
//! ```
//!
//! Fragments are stripped like whole packets: each has the option, since it is copied, or stands before the fragment header.
//! What the upper layer computed stays right: no pseudo-header has options or the length of the IP packet.

use packet::extension::{self, ExtensionError, ExtensionHeader, option_type};
use packet::ipv4_options::{Ipv4Options, option_kind};
use packet::{Ipv4, Ipv6, ipv4, ipv6};

use crate::Family;
use crate::alert::{self, Beyond, Duplicates, Fault, Padding, Settings, Unrecognized};
use crate::upper::Upper;

/// What comes in place of a router alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing: the packet becomes shorter.
    Remove,
    /// Padding: the packet keeps its length.
    Pad,
}

/// Why a packet is not stripped. It is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its headers or options are malformed.
    #[error("the packet cannot be stripped: {0}")]
    Malformed(#[from] Fault),
    /// Its extension headers cannot be followed, so that an authentication header could be among them.
    #[error("the packet cannot be stripped: {0}")]
    Chain(#[from] ExtensionError),
    /// It has no router alert.
    #[error("the packet has no router alert that could be stripped; forward it as it is")]
    NoAlert,
    /// An authentication header covers the option (RFC 4302 §3.3.3, appendix A).
    #[error("an authentication header covers the router alert; forward the packet as it is, or drop it")]
    Authenticated,
    /// More than 7 bytes of padding would stand together, and hosts drop such packets.
    #[error("padding in place of the router alert would be longer than 7 bytes; remove it instead")]
    PaddingTooLong,
}

/// What is malformed here is what cannot be read, and no more: whoever strips has judged the packet before.
const READABLE: Settings = Settings {
    padding: Padding::Lenient,
    duplicates: Duplicates::First,
    unrecognized: Unrecognized::Skip,
    beyond: Beyond::Refuse,
    most_bytes: usize::MAX,
    most_options: usize::MAX,
};

/// Takes every router alert out of `packet`, which is exactly an IP packet. Lengths and the header checksum of IPv4 are made
/// right; other options keep their order and, in IPv6, their place within eight bytes, which is their alignment.
///
/// ```
/// use packet::PacketBuilder;
/// use router_alert::strip::{How, strip};
///
/// let (host, peer) = ("2001:db8::1".parse()?, "2001:db8:1::1".parse()?);
/// let mut packet = PacketBuilder::ipv6(host, peer).router_alert(5).udp(5000, 500, b"hello");
/// strip(&mut packet, How::Remove)?;
/// assert_eq!(packet, PacketBuilder::ipv6(host, peer).udp(5000, 500, b"hello"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Why not; the packet is as it was then.
pub fn strip(packet: &mut Vec<u8>, how: How) -> Result<(), Refused> {
    let alert = alert::find(packet, &READABLE)?.ok_or(Refused::NoAlert)?;
    match alert.family {
        Family::Four => strip_v4(packet, how),
        Family::Six => strip_v6(packet, how),
    }
}

fn strip_v4(packet: &mut Vec<u8>, how: How) -> Result<(), Refused> {
    let header = Ipv4::parse(packet).map_err(Fault::from)?;
    if Upper::of_v4(&header).is_authenticated {
        return Err(Refused::Authenticated);
    }
    let total = header.total_len();
    let behind = header.header_len();
    let mut options = header.options().to_vec();
    let alerts: Vec<_> = Ipv4Options::new(header.options())
        .flatten()
        .filter(|option| option.kind == option_kind::ROUTER_ALERT)
        .map(|option| option.offset..option.offset + option.bytes.len())
        .collect();
    // From the last on, so that those before stay where they are.
    for alert in alerts.into_iter().rev() {
        match how {
            How::Remove => drop(options.drain(alert)),
            How::Pad => options
                .get_mut(alert)
                .unwrap_or_default()
                .fill(option_kind::NO_OPERATION),
        }
    }
    if how == How::Remove && Ipv4Options::new(&options).next().is_none() {
        options.clear();
    }
    let header_len = ipv4::HEADER_LEN + options.len();
    // What was removed was part of the total length.
    let total = total - (behind - header_len) as u16;
    packet.splice(ipv4::HEADER_LEN..behind, options);
    if let Some([version, _, total0, total1, ..]) = packet.get_mut(..header_len) {
        *version = 0x40 | (header_len / 4) as u8;
        [*total0, *total1] = total.to_be_bytes();
    }
    ipv4::fill_checksum(packet.get_mut(..header_len).unwrap_or_default());
    Ok(())
}

fn strip_v6(packet: &mut Vec<u8>, how: How) -> Result<(), Refused> {
    let header = Ipv6::parse(packet).map_err(Fault::from)?;
    if Upper::of_v6(&header)?.is_authenticated {
        return Err(Refused::Authenticated);
    }
    let options = extension::walk(&header).next().ok_or(Refused::NoAlert)??;
    let (next, before) = (options.bytes.first().copied(), options.bytes.len());
    let mut left = without_alerts(&options);
    match how {
        How::Remove if left.is_empty => left.bytes.clear(),
        How::Remove => {}
        How::Pad if left.bytes.len() < before => return Err(Refused::PaddingTooLong),
        How::Pad => {}
    }
    // What was removed was part of the payload.
    let payload_len = header.payload_len() - (before - left.bytes.len()) as u16;
    let is_gone = left.bytes.is_empty();
    packet.splice(ipv6::HEADER_LEN..ipv6::HEADER_LEN + before, left.bytes);
    if let Some([_, _, _, _, len0, len1, next_header, ..]) = packet.get_mut(..ipv6::HEADER_LEN) {
        [*len0, *len1] = payload_len.to_be_bytes();
        if let Some(next) = next.filter(|_| is_gone) {
            *next_header = next;
        }
    }
    Ok(())
}

/// A header of options.
struct Left {
    bytes: Vec<u8>,
    /// It has nothing but padding.
    is_empty: bool,
}

/// The shortest header with the other options of `header`, each as far behind a multiple of eight bytes as it was: that is
/// their alignment, whatever they ask for. So each stands where it stood or before, and the header is not longer than it was.
fn without_alerts(header: &ExtensionHeader<'_>) -> Left {
    let mut bytes = vec![header.bytes.first().copied().unwrap_or_default(), 0];
    let options = header.options().into_iter().flatten().flatten();
    for option in options.filter(|option| !option.is_padding()) {
        if option.option_type == option_type::ROUTER_ALERT {
            continue;
        }
        let gap = (option.offset - header.offset - bytes.len()) % 8;
        pad(&mut bytes, gap);
        bytes.push(option.option_type);
        // It was read from one byte.
        bytes.push(option.data.len() as u8);
        bytes.extend_from_slice(option.data);
    }
    let is_empty = bytes.len() == 2;
    let gap = bytes.len().next_multiple_of(8) - bytes.len();
    pad(&mut bytes, gap);
    let units = bytes.len() / 8 - 1;
    if let Some(length) = bytes.get_mut(1) {
        // Not above that of the header there was.
        *length = units as u8;
    }
    Left { bytes, is_empty }
}

/// Puts in `gap` bytes of padding, 7 at most.
fn pad(bytes: &mut Vec<u8>, gap: usize) {
    match gap {
        0 => {}
        1 => bytes.push(option_type::PAD1),
        _ => {
            bytes.extend([option_type::PADN, (gap - 2) as u8]);
            bytes.resize(bytes.len() + gap - 2, 0);
        }
    }
}

#[cfg(test)]
mod tests;

//! Packets that somebody else has changed as a whole: what they left wrong is made right.

use packet::checksum::Sum;
use packet::{Protocol, Tcp, ipv4, ipv6, udp};

use super::{MOST_LENGTH, Refused, View, checksum};
use crate::upper::Upper;

/// Where UDP has its length.
const UDP_LENGTH: usize = 4;

/// Makes lengths and checksums of `changed` right, which somebody has made of `original`; both are IP packets from their first byte to
/// their last. The hop limit is that of the original: whoever forwards the packet counts it down, and once. A checksum of the upper
/// layer that was wrong stays wrong, and one that a sender of UDP left out stays out, see [`super::replace_payload`].
///
/// ```
/// use packet::PacketBuilder;
/// use router_alert::rewrite::correct;
///
/// let (host, peer, other) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into(), [203, 0, 113, 78].into());
/// let original = PacketBuilder::ipv4(host, peer).udp(5000, 500, b"hello");
/// let wanted = PacketBuilder::ipv4(host, other).udp(5000, 500, b"hello world");
/// // Another destination and a longer text, and neither lengths nor checksums.
/// let mut changed = [&original[..], b" world"].concat();
/// changed[19] = 78;
/// correct(&original, &mut changed)?;
/// assert_eq!(changed, wanted);
/// # Ok::<(), router_alert::rewrite::Refused>(())
/// ```
///
/// # Errors
///
/// Why it is not to be sent; then `changed` is good for nothing.
pub fn correct(original: &[u8], changed: &mut [u8]) -> Result<(), Refused> {
    if original == changed {
        return Ok(());
    }
    let before = View::of(original)?;
    headers(&before, original, changed)?;
    let old = before.upper()?;
    let new = View::of(changed)?;
    let new = new.upper()?;
    if old.is_authenticated || new.is_authenticated {
        return Err(Refused::Protected(Protocol::AH));
    }
    if old.protocol != new.protocol {
        return Err(Refused::OtherProtocol(old.protocol, new.protocol));
    }
    let place = |upper: &Upper<'_>| upper.part.map(|part| (part.offset, part.identification));
    if place(&old) != place(&new) || old.part.is_some() && old.bytes != new.bytes {
        return Err(Refused::Fragment);
    }
    if old.protocol == Protocol::ESP && old.bytes != new.bytes {
        return Err(Refused::Protected(Protocol::ESP));
    }
    let Some(field) = checksum::field(old.protocol).filter(|_| old.part.is_none()) else {
        return Ok(());
    };
    let (protocol, start) = (old.protocol, new.offset);
    let is_whole = match protocol {
        Protocol::UDP => new.bytes.len() >= udp::HEADER_LEN,
        Protocol::TCP => Tcp::parse(new.bytes).is_ok(),
        _ => new.payload().is_some(),
    };
    if !is_whole || old.payload().is_none() {
        return Err(Refused::UpperLayer(protocol));
    }
    // Right, it adds up to 0xffff; by how much it does not is by how much it is wrong.
    let was = summed(&before, &old).fold();
    // What its sender put behind the datagram (RFC 9868) stays there unless that was changed.
    if protocol == Protocol::UDP && old.bytes != new.bytes {
        let length = new.bytes.len();
        let length = u16::try_from(length).map_err(|_| Refused::TooLong {
            beyond: length - MOST_LENGTH,
        })?;
        checksum::set(changed, start + UDP_LENGTH, length);
    }
    checksum::set(changed, start + field, 0);
    if protocol == Protocol::UDP && checksum::word(original, old.offset + field) == 0 {
        // The sender made none.
        return Ok(());
    }
    let after = View::of(changed)?;
    let sum = !summed(&after, &after.upper()?).fold();
    let sum = match was {
        0xffff => sum,
        wrong => Sum::ZERO.word(wrong).word(sum).fold(),
    };
    let sum = match sum {
        // Zero would say that there is none.
        0 if protocol == Protocol::UDP => 0xffff,
        sum => sum,
    };
    checksum::set(changed, start + field, sum);
    Ok(())
}

/// Makes the IP header right: version, lengths, hop limit, and the checksum of IPv4.
fn headers(before: &View<'_>, original: &[u8], changed: &mut [u8]) -> Result<(), Refused> {
    let is_four = before.is_four();
    let version = if is_four { 4 } else { 6 };
    if changed.first().map(|byte| byte >> 4) != Some(version) {
        return Err(Refused::OtherFamily);
    }
    let length = changed.len()
        - if is_four {
            0
        } else {
            ipv6::HEADER_LEN.min(changed.len())
        };
    let length = u16::try_from(length).map_err(|_| Refused::TooLong {
        beyond: length - MOST_LENGTH,
    })?;
    let (length_at, hops_at) = if is_four { (2, 8) } else { (4, 7) };
    checksum::set(changed, length_at, length);
    if let (Some(hops), Some(place)) = (original.get(hops_at), changed.get_mut(hops_at)) {
        *place = *hops;
    }
    if is_four {
        let header_len = changed.first().map_or(0, |byte| usize::from(byte & 15) * 4);
        let header = changed.get_mut(..header_len.max(ipv4::HEADER_LEN));
        ipv4::fill_checksum(header.unwrap_or_default());
    }
    Ok(())
}

/// What is under the checksum of the upper layer, itself among it, and its pseudo-header.
fn summed(view: &View<'_>, upper: &Upper<'_>) -> Sum {
    let bytes = match upper.protocol {
        // What is behind the datagram is not under its checksum.
        Protocol::UDP => {
            let length = usize::from(checksum::word(upper.bytes, UDP_LENGTH));
            upper.bytes.get(..length).unwrap_or(upper.bytes)
        }
        _ => upper.bytes,
    };
    // A length field has 16 bits.
    let length = bytes.len() as u16;
    let (protocol, sum) = (upper.protocol, Sum::ZERO);
    let sum = match view {
        View::Four(_) if protocol == Protocol::ICMP => sum,
        View::Four(ip) => sum.pseudo_header(ip.source(), ip.destination(), protocol, length),
        View::Six(ip) => sum.pseudo_header(ip.source(), ip.destination(), protocol, length),
    };
    sum.bytes(bytes)
}

#[cfg(test)]
mod tests;

//! ICMP messages of either family, and what errors quote.
//!
//! ```text
//!    0      1      2               4                               8
//!   +------+------+---------------+---------------+---------------+- - - - - - - - -
//!   | type | code | checksum      | identifier    | sequence      | data              queries and replies
//!   +------+------+---------------+---------------+---------------+- - - - - - - - -
//!   | type | code | checksum      | by type: MTU, pointer, length | IP header, 8 bytes and more of what it carries │ extensions
//!   +------+------+---------------+---------------+---------------+- - - - - - - - -
//! ```

use std::net::Ipv6Addr;

use packet::checksum::Sum;
use packet::{Ipv6, Protocol, ipv4, ipv6};

use super::{Flow, Quoted, View, What, mapped, network};
use crate::{Kind, Refused};

/// Bytes of a message's header, and fewest of a transport header that a quote is to have (RFC 792).
pub(crate) const HEADER_LEN: usize = 8;

/// What a type of message is.
enum Class {
    Query,
    Reply,
    Error,
    /// Of IPv6's neighbour discovery and the like.
    Link,
    Unknown,
}

fn class(six: bool, message_type: u8) -> Class {
    match (six, message_type) {
        (false, 8 | 13 | 15 | 17) | (true, 128) => Class::Query,
        (false, 0 | 14 | 16 | 18) | (true, 129) => Class::Reply,
        (false, 3 | 4 | 11 | 12) | (true, 1..=4) => Class::Error,
        (true, 130..) => Class::Link,
        _ => Class::Unknown,
    }
}

/// The type of the query that a type of reply answers.
fn query_type(reply_type: u8) -> u8 {
    match reply_type {
        0 => 8,
        // Of all others the reply's is the next one.
        _ => reply_type.wrapping_sub(1),
    }
}

/// Looks at the message at `view.transport`, of a packet that is none of several fragments.
#[cold]
pub(super) fn look(view: &mut View, frame: &[u8], behind: usize) {
    let message = frame.get(usize::from(view.transport)..usize::from(view.end));
    let message = message.unwrap_or_default();
    let Some(&[message_type, _, _, _, id0, id1, ..]) = message.first_chunk::<HEADER_LEN>() else {
        view.what = What::Bad(Refused::IcmpShort);
        return;
    };
    let id = u16::from_be_bytes([id0, id1]);
    view.what = match class(view.six, message_type) {
        Class::Query => {
            view.flow.source_port = id;
            view.flow.destination_port = message_type.into();
            What::Query { id, message_type }
        }
        Class::Reply => {
            view.flow.source_port = query_type(message_type).into();
            view.flow.destination_port = id;
            What::Reply { id, message_type }
        }
        Class::Error if behind > 0 => What::Bad(Refused::IcmpShort),
        Class::Error if !checksum_is_valid(view, message) => What::Bad(Refused::BadChecksum),
        Class::Error => quoted(view, message),
        Class::Link => What::Other,
        Class::Unknown => What::Bad(Refused::Unsolicited),
    };
}

fn checksum_is_valid(view: &View, message: &[u8]) -> bool {
    pseudo_header(view.six, &view.flow, message.len())
        .bytes(message)
        .is_valid()
}

/// What is summed up before a message of so many bytes: of IPv6 alone there is such a thing.
pub(crate) fn pseudo_header(six: bool, flow: &Flow, len: usize) -> Sum {
    if !six {
        return Sum::ZERO;
    }
    let (source, destination) = (Ipv6Addr::from(flow.source), Ipv6Addr::from(flow.destination));
    Sum::ZERO.pseudo_header(source, destination, Protocol::ICMPV6, len as u16)
}

/// What an error is about.
fn quoted(view: &View, message: &[u8]) -> What {
    let Some((header, quote)) = message.split_first_chunk::<HEADER_LEN>() else {
        return What::Bad(Refused::IcmpShort);
    };
    // Extensions are no part of the quote.
    let quote = length_field(view.six, header)
        .and_then(|len| quote.get(..len))
        .unwrap_or(quote);
    let inner = if view.six {
        inner_v6(quote)
    } else {
        inner_v4(quote)
    };
    let inner = match inner {
        Ok(inner) => inner,
        Err(what) => return what,
    };
    let (Some(header_bytes), Some(carried)) = (
        quote.get(..inner.transport),
        quote.get(inner.transport..inner.end.min(quote.len())),
    ) else {
        return What::Bad(Refused::IcmpShort);
    };
    let Some(start) = carried.first_chunk::<HEADER_LEN>() else {
        return What::Bad(Refused::IcmpShort);
    };
    let is_reply = matches!(
        (inner.protocol, class(view.six, start[0])),
        (Protocol::ICMP | Protocol::ICMPV6, Class::Reply)
    );
    let Some((kind, source_port, destination_port)) = ports(view.six, inner.protocol, start) else {
        // An error about an error, which nobody sends (RFC 1122 section 3.2.2); or something that the gateway itself sent.
        return match inner.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => What::Bad(Refused::ErrorNoConnection),
            _ => What::Other,
        };
    };
    let flow = Flow {
        source_port,
        destination_port,
        ..inner.flow
    };
    // Errors go to whoever sent the packet.
    let misled = flow.source != view.flow.destination;
    if misled || view.six && network::is_nobodys(flow.destination) {
        return What::Bad(Refused::ErrorNoConnection);
    }
    let network = usize::from(view.transport) + HEADER_LEN;
    What::Error(Quoted {
        flow,
        kind,
        network: network as u16,
        transport: (network + inner.transport) as u16,
        end: (network + inner.transport + carried.len()) as u16,
        is_reply,
        sound: view.six || Sum::ZERO.bytes(header_bytes).is_valid(),
        message_type: header[0],
        code: header[1],
    })
}

/// Bytes of the quote if extensions follow it (RFC 4884 section 3): in words of 32 bits over IPv4, of 64 bits over IPv6.
fn length_field(six: bool, header: &[u8; HEADER_LEN]) -> Option<usize> {
    let len = match (six, header) {
        (false, &[3 | 11 | 12, _, _, _, _, words, ..]) => usize::from(words) * 4,
        (true, &[1 | 3, _, _, _, words, ..]) => usize::from(words) * 8,
        _ => 0,
    };
    (len > 0).then_some(len)
}

/// A quoted packet; offsets are the quote's.
struct Inner {
    flow: Flow,
    protocol: Protocol,
    transport: usize,
    end: usize,
}

/// An IPv4 packet of which only the start is there, and whose checksum and length are not to be trusted: routers have quoted
/// packets with their TTL counted down and fields turned round.
fn inner_v4(quote: &[u8]) -> Result<Inner, What> {
    let header = quote
        .first_chunk::<{ ipv4::HEADER_LEN }>()
        .ok_or(What::Bad(Refused::IcmpShort))?;
    let &[
        start,
        _,
        l0,
        l1,
        _,
        _,
        f0,
        f1,
        _,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = header;
    let transport = usize::from(start & 0x0f) * 4;
    let is_later_fragment = u16::from_be_bytes([f0, f1]) & 0x1fff != 0;
    if start >> 4 != 4 || transport < ipv4::HEADER_LEN || is_later_fragment {
        return Err(What::Bad(Refused::ErrorNoConnection));
    }
    let total_len = usize::from(u16::from_be_bytes([l0, l1]));
    let is_likely = total_len >= transport + HEADER_LEN;
    Ok(Inner {
        flow: Flow {
            source: mapped([s0, s1, s2, s3].into()),
            destination: mapped([d0, d1, d2, d3].into()),
            ..Flow::default()
        },
        protocol: Protocol(protocol),
        transport,
        end: if is_likely { total_len } else { quote.len() },
    })
}

/// An IPv6 packet of which only the start is there.
fn inner_v6(quote: &[u8]) -> Result<Inner, What> {
    let ip = Ipv6::parse_start(quote, usize::from(u16::MAX)).map_err(|error| match error {
        ipv6::Ipv6Error::Version => What::Bad(Refused::ErrorNoConnection),
        _ => What::Bad(Refused::IcmpShort),
    })?;
    let upper = network::upper_layer(&ip).ok_or(What::Bad(Refused::IcmpShort))?;
    if upper.is_later_fragment() {
        return Err(What::Bad(Refused::ErrorNoConnection));
    }
    Ok(Inner {
        flow: Flow {
            source: ip.source().into(),
            destination: ip.destination().into(),
            ..Flow::default()
        },
        protocol: upper.protocol,
        transport: upper.offset,
        end: ipv6::HEADER_LEN + ip.payload().len(),
    })
}

/// What the first bytes of a transport header say of its flow; `None` if the balancer has no such flows.
fn ports(six: bool, protocol: Protocol, start: &[u8; HEADER_LEN]) -> Option<(Kind, u16, u16)> {
    let &[a, b, c, d, id0, id1, ..] = start;
    let id = u16::from_be_bytes([id0, id1]);
    match protocol {
        Protocol::TCP => Some((Kind::Tcp, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
        Protocol::UDP => Some((Kind::Udp, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
        Protocol::ICMP | Protocol::ICMPV6 if six == (protocol == Protocol::ICMPV6) => match class(six, a) {
            Class::Query => Some((Kind::Icmp, id, a.into())),
            Class::Reply => Some((Kind::Icmp, query_type(a).into(), id)),
            _ => None,
        },
        _ => None,
    }
}

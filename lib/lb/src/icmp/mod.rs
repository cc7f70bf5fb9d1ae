//! ICMP errors about translated packets: whoever gets one finds quoted in it the packet that it sent itself.
//!
//! ```text
//!   router ─► local   { local:port ─► server:port, S }      error_to_client ─►   service ─► client  { client:port ─► service:port, S - delta }
//!   router ─► service { service:port ─► client:port, A }    error_to_server ─►   local ─► server    { server:port ─► local:port, ack A + delta }
//! ```
//!
//! Eight bytes of the quoted transport header are enough (RFC 792); what more of it is there is translated too, its checksum by
//! the difference and never looked at. What follows the quote (RFC 4884) stays as it is.

mod count;

use packet::checksum::Sum;
use packet::ipv4;
use packet::tcp::{HEADER_LEN as TCP_HEADER_LEN, TcpFlags};

use crate::rewrite::{Difference, Ends, Sequence, add, set_addresses, shift_sack};
use crate::view::{Flow, Quoted, View, pseudo_header};
use crate::{Kind, What};

pub use count::IcmpCount;
pub(crate) use count::IcmpCounts;

/// Smallest MTU of IPv4 (RFC 791).
const LEAST_MTU_V4: u32 = 68;
/// Smallest MTU of IPv6 (RFC 8200 section 5).
const LEAST_MTU_V6: u32 = 1280;

/// What the quoted packet was when its sender sent it.
#[derive(Clone, Copy)]
struct Sent {
    source: u128,
    destination: u128,
    source_port: u16,
    destination_port: u16,
    /// Of a query or reply.
    id: u16,
    numbers: Numbers,
}

/// What became of the numbers of a TCP segment.
#[derive(Clone, Copy)]
enum Numbers {
    /// The sender's own number had this added.
    Sequence(u32),
    /// What it acknowledges had this taken away.
    Acknowledgment(u32),
}

/// Translates an error from the server's side about a packet to the server (RFC 5508 REQ-5). The MTU of a "too big" is lowered by
/// `added`, the bytes that the gateway adds to the client's packets, but not below the least that there is. `false`, and nothing is
/// changed, if the bytes are not those looked at.
pub fn error_to_client(bytes: &mut [u8], view: &View, ends: &Ends, sequence: &Sequence, added: u16) -> bool {
    let outer = (ends.service, ends.client);
    let sent = Sent {
        source: ends.client,
        destination: ends.service,
        source_port: ends.client_port,
        destination_port: ends.service_port,
        id: ends.client_port,
        numbers: Numbers::Sequence(sequence.in_delta),
    };
    translate(bytes, view, outer, &sent, added)
}

/// Translates an error from the client's side about a packet to the client (RFC 5508 REQ-4). `false`, and nothing is changed, if the
/// bytes are not those looked at.
pub fn error_to_server(bytes: &mut [u8], view: &View, ends: &Ends, sequence: &Sequence) -> bool {
    let outer = (ends.local, ends.server);
    let sent = Sent {
        source: ends.server,
        destination: ends.local,
        source_port: ends.server_port,
        destination_port: ends.local_port,
        id: ends.local_port,
        numbers: Numbers::Acknowledgment(sequence.in_delta),
    };
    translate(bytes, view, outer, &sent, 0)
}

fn translate(bytes: &mut [u8], view: &View, outer: (u128, u128), sent: &Sent, added: u16) -> bool {
    let What::Error(quoted) = view.what else {
        return false;
    };
    let bytes = bytes.get_mut(..usize::from(view.end)).unwrap_or_default();
    let Some((head, message)) = bytes.split_at_mut_checked(view.transport.into()) else {
        return false;
    };
    let head = head.get_mut(usize::from(view.network)..).unwrap_or_default();
    let within = |offset: u16| usize::from(offset.saturating_sub(view.transport));
    let (quote, end) = (within(quoted.network), within(quoted.end));
    let network_len = usize::from(quoted.transport.saturating_sub(quoted.network));
    let carried_len = usize::from(quoted.end.saturating_sub(quoted.transport));
    let quote = message.get_mut(quote..end).unwrap_or_default();
    let Some((network, carried)) = quote.split_at_mut_checked(network_len) else {
        return false;
    };
    let least = if view.six { 40 } else { 20 };
    if carried.len() < 8 || carried.len() != carried_len || network.len() < least || head.len() < least {
        return false;
    }
    let _ = set_addresses(head, view.six, outer.0, outer.1);
    quoted_packet(network, carried, view.six, &quoted, sent);
    if added > 0 {
        lower_mtu(message, view.six, added);
    }
    set_checksum(message, view.six, outer);
    true
}

/// Gives the quoted packet its ends.
fn quoted_packet(network: &mut [u8], carried: &mut [u8], six: bool, quoted: &Quoted, sent: &Sent) {
    let Some(mut difference) = set_addresses(network, six, sent.source, sent.destination) else {
        return;
    };
    if !quoted.sound {
        ipv4::fill_checksum(network);
    }
    match quoted.kind {
        Kind::Tcp => {
            set_ports(carried, sent, &mut difference);
            set_numbers(carried, sent.numbers, &mut difference);
            if let Some(field) = carried.get_mut(16..).and_then(|bytes| bytes.first_chunk_mut()) {
                difference.apply_to(field);
            }
        }
        Kind::Udp => {
            set_ports(carried, sent, &mut difference);
            if let Some(field) = carried.get_mut(6..).and_then(|bytes| bytes.first_chunk_mut()) {
                difference.apply_to_udp(field);
            }
        }
        Kind::Icmp => {
            if let Some([_, _, c0, c1, i0, i1, ..]) = carried.first_chunk_mut::<8>() {
                let mut difference = if six { difference } else { Difference::default() };
                difference.word(u16::from_be_bytes([*i0, *i1]), sent.id);
                [*i0, *i1] = sent.id.to_be_bytes();
                let mut field = [*c0, *c1];
                difference.apply_to(&mut field);
                [*c0, *c1] = field;
            }
        }
    }
}

fn set_ports(carried: &mut [u8], sent: &Sent, difference: &mut Difference) {
    if let Some(ports) = carried.first_chunk_mut::<4>() {
        let new = u32::from(sent.source_port) << 16 | u32::from(sent.destination_port);
        difference.long(u32::from_be_bytes(*ports), new);
        *ports = new.to_be_bytes();
    }
}

/// Gives a quoted segment the numbers that its sender gave it, as far as they are there.
fn set_numbers(carried: &mut [u8], numbers: Numbers, difference: &mut Difference) {
    match numbers {
        Numbers::Sequence(added) => {
            if let Some([_, _, _, _, a, b, c, d]) = carried.first_chunk_mut::<8>() {
                add(difference, [a, b, c, d], added.wrapping_neg());
            }
        }
        Numbers::Acknowledgment(taken) => {
            // Whether there is an acknowledgment only the flags say, which are behind it.
            let Some(&[.., offset, flags]) = carried.first_chunk::<14>() else {
                return;
            };
            if TcpFlags(flags).has(TcpFlags::ACK)
                && let Some([_, _, _, _, _, _, _, _, a, b, c, d]) = carried.first_chunk_mut::<12>()
            {
                add(difference, [a, b, c, d], taken);
            }
            let header = carried.get_mut(TCP_HEADER_LEN..usize::from(offset >> 4) * 4);
            shift_sack(header.unwrap_or_default(), taken, difference);
        }
    }
}

/// Lowers the MTU of a "too big", if this is one that has an MTU (RFC 1191, RFC 4443 section 3.2).
fn lower_mtu(message: &mut [u8], six: bool, by: u16) {
    let Some([kind, code, _, _, a, b, c, d]) = message.first_chunk_mut::<8>() else {
        return;
    };
    let least = match (six, *kind, *code) {
        (false, 3, 4) => LEAST_MTU_V4,
        (true, 2, _) => LEAST_MTU_V6,
        _ => return,
    };
    // Over IPv4 the first two bytes are not the MTU's.
    let old = if six {
        u32::from_be_bytes([*a, *b, *c, *d])
    } else {
        u32::from_be_bytes([0, 0, *c, *d])
    };
    let new = old
        .saturating_sub(u32::from(by))
        .max(old.min(least))
        .to_be_bytes();
    if six {
        [*a, *b, *c, *d] = new;
    } else {
        let [_, _, high, low] = new;
        [*c, *d] = [high, low];
    }
}

/// Writes the checksum anew: it was right before, and most of the message's start is another.
fn set_checksum(message: &mut [u8], six: bool, (source, destination): (u128, u128)) {
    let flow = Flow {
        source,
        destination,
        ..Flow::default()
    };
    let sum: Sum = pseudo_header(six, &flow, message.len());
    let Some([_, _, c0, c1, ..]) = message.first_chunk_mut::<8>() else {
        return;
    };
    [*c0, *c1] = [0, 0];
    let checksum = sum.bytes(message).checksum().to_be_bytes();
    if let Some([_, _, c0, c1, ..]) = message.first_chunk_mut::<8>() {
        [*c0, *c1] = checksum;
    }
}

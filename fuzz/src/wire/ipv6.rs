//! IPv6, its extension headers and options, ICMPv6 and neighbour discovery.

use packet::extension::{self, ExtensionHeader, MAX_HEADERS, option_type};
use packet::nd::{self, NeighborMessage};
use packet::transport::{ChecksumState, checksum_is_partial_v6, checksum_state_v6};
use packet::{Icmpv6, Ipv6, MacAddress, icmpv6, ipv6};

use super::{sums_up, u16_at};

/// Reads a packet and all that is in it.
pub fn body(packet: &[u8]) {
    let Ok(ip) = Ipv6::parse(packet) else {
        return;
    };
    let total = 40 + usize::from(u16_at(packet, 4));
    assert_eq!(packet[0] >> 4, 6);
    assert_eq!((ip.total_len(), ip.payload()), (total, &packet[40..total]));
    assert_eq!(ip.source().octets(), packet[8..24]);
    assert_eq!(ip.destination().octets(), packet[24..40]);
    let first = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
    assert_eq!(
        6 << 28 | u32::from(ip.traffic_class()) << 20 | ip.flow_label(),
        first
    );
    let is_partial = checksum_state_v6(&ip) == Some(ChecksumState::Partial);
    assert_eq!(checksum_is_partial_v6(&ip), is_partial);
    chain(&ip, &packet[..total]);
    neighbors(&ip);
    in_place(packet);
}

fn in_place(packet: &[u8]) {
    let mut copy = packet.to_vec();
    if let Some(header) = copy.first_chunk_mut() {
        let hops = ipv6::decrement_hop_limit(header);
        assert_eq!(hops, packet[7].checked_sub(1).filter(|hops| *hops > 0));
        ipv6::set_hop_limit(header, 9);
        ipv6::swap_addresses(header);
    }
    assert_eq!(
        (copy[7], &copy[8..24], &copy[24..40]),
        (9, &packet[24..40], &packet[8..24])
    );
    assert_eq!(copy[40..], packet[40..]);
}

/// Each header follows the one before it, and names it rightly.
fn chain(ip: &Ipv6<'_>, packet: &[u8]) {
    let upper = extension::upper_layer(ip);
    let (mut at, mut named_at, mut count) = (40, 6, 0);
    for header in extension::walk(ip) {
        let Ok(header) = header else {
            assert!(upper.is_err());
            return;
        };
        assert_eq!(
            (header.offset, header.named_at, header.protocol.0),
            (at, named_at, packet[named_at])
        );
        assert_eq!(header.bytes, &packet[at..at + header.bytes.len()]);
        assert!(header.bytes.len() >= 8);
        named_at = at;
        at += header.bytes.len();
        count += 1;
        options(&header);
    }
    assert!(count <= MAX_HEADERS);
    let Ok(upper) = upper else {
        panic!("all headers can be read, and not what follows");
    };
    assert_eq!(
        (upper.offset, upper.named_at, upper.protocol.0),
        (at, named_at, packet[named_at])
    );
    assert_eq!(upper.payload, &packet[at..]);
    if upper.protocol.0 == 58 {
        icmp(ip, upper.payload);
    }
}

/// The options of a header lie one behind the other and end where it ends.
fn options(header: &ExtensionHeader<'_>) {
    let mut at = header.offset + 2;
    let end = header.offset + header.bytes.len();
    for option in header.options().into_iter().flatten() {
        let Ok(option) = option else {
            return;
        };
        assert_eq!(option.offset, at);
        let is_pad1 = option.option_type == option_type::PAD1;
        at += if is_pad1 { 1 } else { 2 + option.data.len() };
        assert!(at <= end);
    }
    assert!(header.options().is_none() || at == end);
}

fn icmp(ip: &Ipv6<'_>, message: &[u8]) {
    let Ok(icmp) = Icmpv6::parse(message) else {
        assert!(message.len() < 8);
        return;
    };
    let (source, destination) = (ip.source(), ip.destination());
    let addresses = [source.octets(), destination.octets()].concat();
    let pseudo = |addresses: &[u8]| {
        let words = addresses.chunks(2).map(|word| u64::from(u16_at(word, 0)));
        words.sum::<u64>() + 58 + message.len() as u64
    };
    let valid = sums_up(pseudo(&addresses), message);
    assert_eq!(icmp.checksum_is_valid(source, destination), valid);
    let mut copy = message.to_vec();
    if icmpv6::request_into_reply(&mut copy).is_ok() {
        assert_eq!((message[0], copy[0]), (128, 129));
        assert_eq!(sums_up(pseudo(&addresses), &copy), valid);
        let other = ipv6::ALL_NODES;
        assert!(icmpv6::update_address(&mut copy, destination, other).is_ok());
        let addresses = [source.octets(), other.octets()].concat();
        assert_eq!(sums_up(pseudo(&addresses), &copy), valid);
    }
}

/// What is believed is what RFC 4861 section 7.1 allows, and is read again as it was written.
fn neighbors(ip: &Ipv6<'_>) {
    let Ok(message) = NeighborMessage::parse(ip) else {
        return;
    };
    assert_eq!(ip.hop_limit(), 255);
    let mut buffer = [0; nd::MAX_FRAME_LEN];
    let (one, other) = (MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));
    let length = message.emit_frame(one, other, ip.source(), ip.destination(), &mut buffer);
    let again = length
        .ok()
        .and_then(|length| buffer.get(14..length))
        .map(Ipv6::parse);
    let Some(Ok(again)) = again else {
        panic!("what was read cannot be written");
    };
    assert_eq!(NeighborMessage::parse(&again), Ok(message));
}

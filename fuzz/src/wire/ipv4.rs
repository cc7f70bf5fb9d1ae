//! IPv4 and what it carries.

use packet::transport::{ChecksumState, checksum_is_partial, checksum_state};
use packet::{Icmpv4, Ipv4, Tcp, Udp, icmpv4, ipv4};

use super::{sums_up, u16_at};

/// Reads a packet, and its payload as each protocol.
pub fn body(packet: &[u8]) {
    transport(packet);
    let Ok(ip) = Ipv4::parse(packet) else {
        return;
    };
    let (header_len, total) = (usize::from(packet[0] & 15) * 4, usize::from(u16_at(packet, 2)));
    assert_eq!(packet[0] >> 4, 4);
    assert_eq!(
        (ip.header_len(), usize::from(ip.total_len())),
        (header_len, total)
    );
    assert!(sums_up(0, &packet[..header_len]));
    assert_eq!(ip.options(), &packet[20..header_len]);
    assert_eq!(ip.payload(), &packet[header_len..total]);
    assert_eq!(ip.source().octets(), packet[12..16]);
    assert_eq!(ip.destination().octets(), packet[16..20]);
    assert_eq!(ip.is_fragment(), u16_at(packet, 6) & 0x3fff != 0);
    let is_partial = checksum_state(&ip) == Some(ChecksumState::Partial);
    assert_eq!(checksum_is_partial(&ip), is_partial);
    transport(ip.payload());
    in_place(packet, header_len);
}

/// Changes that keep a valid header valid.
fn in_place(packet: &[u8], header_len: usize) {
    let mut copy = packet.to_vec();
    if let Some(header) = copy.first_chunk_mut() {
        let ttl = ipv4::decrement_ttl(header);
        assert_eq!(ttl, packet[8].checked_sub(1).filter(|ttl| *ttl > 0));
    }
    assert!(sums_up(0, &copy[..header_len]));
    if let Some(header) = copy.first_chunk_mut() {
        ipv4::set_ttl(header, 64);
        ipv4::swap_addresses(header);
    }
    assert!(sums_up(0, &copy[..header_len]));
    assert_eq!(
        (copy[8], &copy[12..16], &copy[16..20]),
        (64, &packet[16..20], &packet[12..16])
    );
}

fn transport(bytes: &[u8]) {
    if let Ok(icmp) = Icmpv4::parse(bytes) {
        let valid = sums_up(0, bytes);
        assert_eq!(icmp.checksum_is_valid(), valid);
        let mut copy = bytes.to_vec();
        if icmpv4::request_into_reply(&mut copy).is_ok() {
            assert_eq!((bytes[0], copy[0]), (8, 0));
            assert_eq!(copy[4..], bytes[4..]);
            // All zeros have no wrong checksum but zero.
            assert_eq!(sums_up(0, &copy), valid);
        }
    }
    if let Ok(udp) = Udp::parse(bytes) {
        assert_eq!(usize::from(udp.len()), udp.payload().len() + 8);
        assert_eq!(
            (udp.source_port(), udp.destination_port()),
            (u16_at(bytes, 0), u16_at(bytes, 2))
        );
    }
    if let Ok(tcp) = Tcp::parse(bytes) {
        let header_len = usize::from(bytes[12] >> 4) * 4;
        assert_eq!(20 + tcp.options().len(), header_len);
        assert_eq!(tcp.payload(), &bytes[header_len..]);
        let _ = (tcp.flags(), tcp.window(), tcp.sequence(), tcp.acknowledgment());
    }
}

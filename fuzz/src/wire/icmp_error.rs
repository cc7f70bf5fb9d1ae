//! ICMP errors for any packet: who may be answered, and whether what is sent is well-formed.

use packet::icmp_error::{
    HEADERS_LEN_V4, HEADERS_LEN_V6, Icmpv4Problem, Icmpv6Problem, emit_v4, emit_v6, may_answer_v4,
    may_answer_v6, quote_len_v4, quote_len_v6,
};
use packet::{Icmpv4, Icmpv6, Ipv4, Ipv6};

/// A byte for the problem, then a packet.
pub fn seeds() -> Vec<Vec<u8>> {
    let packets = crate::network_packets(0x08, 0x00)
        .into_iter()
        .chain(crate::network_packets(0x86, 0xdd));
    packets
        .enumerate()
        .map(|(number, packet)| [&[number as u8][..], &packet].concat())
        .collect()
}

/// Makes an error for a packet.
pub fn body(bytes: &[u8]) {
    let Some((kind, packet)) = bytes.split_first() else {
        return;
    };
    if let Ok(ip) = Ipv4::parse(packet) {
        four(*kind, &ip, &packet[..usize::from(ip.total_len())]);
    }
    if let Ok(ip) = Ipv6::parse(packet) {
        six(*kind, &ip, &packet[..ip.total_len()]);
    }
}

fn four(kind: u8, ip: &Ipv4<'_>, packet: &[u8]) {
    let problem = match kind % 6 {
        0 => Icmpv4Problem::NetUnreachable,
        1 => Icmpv4Problem::HostUnreachable,
        2 => Icmpv4Problem::PortUnreachable,
        3 => Icmpv4Problem::FragmentationNeeded { mtu: 1300 },
        4 => Icmpv4Problem::TimeExceeded,
        _ => Icmpv4Problem::ParameterProblem { pointer: kind },
    };
    if may_answer_v4(ip) {
        assert!(!ip.source().is_multicast() && !ip.source().is_loopback() && !ip.source().is_unspecified());
        assert!(!ip.destination().is_multicast() && !ip.destination().is_broadcast());
        assert_eq!(ip.fragment_offset(), 0);
    }
    let quote = &packet[..quote_len_v4(packet.len())];
    let mut headers = [0; HEADERS_LEN_V4];
    emit_v4(
        problem,
        [192, 168, 1, 1].into(),
        ip.source(),
        64,
        quote,
        &mut headers,
    );
    let error = [&headers[..], quote].concat();
    assert!(error.len() <= 576);
    let Ok(sent) = Ipv4::parse(&error) else {
        panic!("the error is no IPv4 packet");
    };
    assert_eq!(
        (usize::from(sent.total_len()), sent.destination()),
        (error.len(), ip.source())
    );
    assert!(Icmpv4::parse(sent.payload()).is_ok_and(|message| message.checksum_is_valid()));
    assert!(!may_answer_v4(&sent), "errors beget no errors");
}

fn six(kind: u8, ip: &Ipv6<'_>, packet: &[u8]) {
    let problem = match kind % 6 {
        0 => Icmpv6Problem::NoRoute,
        1 => Icmpv6Problem::AddressUnreachable,
        2 => Icmpv6Problem::HopLimitExceeded,
        3 => Icmpv6Problem::PacketTooBig { mtu: 1280 },
        4 => Icmpv6Problem::BeyondScope,
        _ => Icmpv6Problem::ParameterProblem {
            code: kind % 3,
            pointer: u32::from(kind) * 7,
        },
    };
    if may_answer_v6(ip, problem) {
        assert!(!ip.source().is_multicast() && !ip.source().is_unspecified() && !ip.source().is_loopback());
    }
    let quote = &packet[..quote_len_v6(packet.len())];
    let mut headers = [0; HEADERS_LEN_V6];
    let own = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into();
    emit_v6(problem, own, ip.source(), 64, quote, &mut headers);
    let error = [&headers[..], quote].concat();
    assert!(error.len() <= 1280);
    let Ok(sent) = Ipv6::parse(&error) else {
        panic!("the error is no IPv6 packet");
    };
    assert_eq!((sent.total_len(), sent.destination()), (error.len(), ip.source()));
    let message = Icmpv6::parse(sent.payload());
    assert!(message.is_ok_and(|message| message.checksum_is_valid(own, ip.source())));
    assert!(!may_answer_v6(&sent, problem), "errors beget no errors");
}

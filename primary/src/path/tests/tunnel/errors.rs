//! ICMP errors about outer packets, and what senders are told once there was one.

use super::*;

/// An error about an outer packet that was sent, from a router on its way.
pub(super) fn error4(problem: Icmpv4Problem, sent: &[u8]) -> Vec<u8> {
    let mut headers = [0; 28];
    let quote = &sent[..sent.len().min(68)];
    emit_v4(problem, HOST_A, OWN, 64, quote, &mut headers);
    let link = PacketBuilder::ethernet(GATEWAY[0], SENDER).payload(EtherType::IPV4, &[]);
    [&link[..HEADER_LEN], &headers, quote].concat()
}

pub(super) fn error6(problem: Icmpv6Problem, sent: &[u8]) -> Vec<u8> {
    let mut headers = [0; 48];
    let quote = &sent[..sent.len().min(200)];
    emit_v6(problem, HOST_A6, OWN6, 64, quote, &mut headers);
    let link = PacketBuilder::ethernet(GATEWAY[0], SENDER).payload(EtherType::IPV6, &[]);
    [&link[..HEADER_LEN], &headers, quote].concat()
}

fn sent(bench: &Bench, tunnel: u16) -> Vec<u8> {
    wrapped(bench, tunnel, &four()).unwrap()[HEADER_LEN..].to_vec()
}

#[test]
fn an_error_about_an_outer_packet_is_the_tunnels() {
    let bench = bench();
    let too_big4 = |mtu| Icmpv4Problem::FragmentationNeeded { mtu };
    let too_big6 = |mtu| Icmpv6Problem::PacketTooBig { mtu };
    let fate = |packet: Vec<u8>| {
        let note = bench.run(&mut [packet])[0];
        (note.disposition, note.detail)
    };
    for (packet, tunnel, mtu) in [
        (error4(too_big4(1300), &sent(&bench, FOUR)), FOUR, 1300 - 20),
        (error4(too_big4(1300), &sent(&bench, GRE)), GRE, 1300 - 24),
        (error4(too_big4(1300), &sent(&bench, KEYED)), KEYED, 1300 - 28),
        (error4(too_big4(0), &sent(&bench, FOUR)), FOUR, 552 - 20),
        (error6(too_big6(1300), &sent(&bench, SIX)), SIX, 1300 - 40),
        (
            error6(too_big6(70_000), &sent(&bench, GRE_SIX)),
            GRE_SIX,
            65_535 - 44,
        ),
    ] {
        assert_eq!(fate(packet), (Disposition::TunnelMtu(tunnel), mtu));
    }
    for packet in [
        error4(Icmpv4Problem::HostUnreachable, &sent(&bench, KEYED)),
        error4(Icmpv4Problem::TimeExceeded, &sent(&bench, FOUR)),
        error6(Icmpv6Problem::AddressUnreachable, &sent(&bench, SIX)),
        error6(too_big6(1279), &sent(&bench, SIX)),
    ] {
        assert_eq!(bench.dropped(packet), DropReason::TunnelError);
    }
}

#[test]
fn an_error_about_anything_else_is_not() {
    let bench = bench();
    let too_big = Icmpv4Problem::FragmentationNeeded { mtu: 1300 };
    let mut other_end = sent(&bench, FOUR);
    other_end[19] ^= 1;
    let not_ours = PacketBuilder::ipv4(HOST_A, HOST_B).payload(Protocol::IPIP, &four());
    let udp = PacketBuilder::ipv4(OWN, HOST_B).udp(1, 2, b"");
    for quote in [&other_end, &not_ours, &udp, &udp[..20].to_vec(), &vec![0x45; 19]] {
        let packet = error4(too_big, quote);
        assert_eq!(bench.dropped(packet), DropReason::LocalUnhandled, "{quote:02x?}");
    }
}

#[test]
fn who_sends_too_much_for_the_path_is_told_what_was_learned() {
    let bench = bench();
    let from_a = || PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, INNER[1]);
    let from_a6 = || PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, inner6()[1]);
    let data = [0; 1172];
    let long4 = || from_a().dont_fragment().udp(1, 2, &data);
    assert_eq!(bench.one(long4()).0, Disposition::Transmit(FOUR));
    let learn = |mtu| {
        let tunnel = bench.path.interfaces.tunnel(FOUR).unwrap();
        tunnel.path_mtu.learn(mtu, 0, u64::MAX);
    };
    learn(1199);
    assert_eq!(bench.error4(long4()), Some((3, 4, 1199)));
    assert_eq!(
        bench.one(from_a().dont_fragment().udp(1, 2, &data[1..])).0,
        Disposition::Transmit(FOUR)
    );
    let mut cut = [from_a().udp(1, 2, &data)];
    let note = bench.run(&mut cut)[0];
    assert_eq!(
        (note.disposition, note.detail),
        (Disposition::Fragment(FOUR), 1199)
    );
    // RFC 4213 section 3.2.2: a link that carries 1280 bytes is what it has to look like.
    let long6 = |len: usize| from_a6().udp(1, 2, &vec![0; len - 48]);
    assert_eq!(bench.one(long6(1280)).0, Disposition::Transmit(FOUR));
    assert_eq!(bench.error6(long6(1281)), Some((2, 0, 1280)));
    let frame = wrapped(&bench, FOUR, &six()).unwrap();
    assert!(!Ipv4::parse(&frame[HEADER_LEN..]).unwrap().dont_fragment());
}

//! ESP for the gateway itself, and ICMP errors about ESP that it has sent.

use super::errors::{error4, error6};
use super::*;
use crate::path::{SentEsp, esp_error};

/// Index of the tunnel.
const ESP: u16 = 7;
const SPI: [u8; 8] = [0xc0, 0, 0, 1, 0, 0, 0, 1];

/// With a tunnel that ESP protects, over each family.
fn protected() -> Bench {
    let mut bench = bench();
    let four = Tunnel::new("esp", TunnelMode::Esp, OWN.into(), HOST_B.into());
    let six = Tunnel {
        protected: true,
        ..Tunnel::new("gre", TunnelMode::Gre, OWN6.into(), HOST_B6.into())
    };
    set(&mut bench, ESP, &four);
    set(&mut bench, GRE_SIX, &six);
    bench
}

/// A datagram to the port of ESP in UDP, whose header says that it has so many bytes.
fn datagram(said: u16, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = said.to_be_bytes();
    let header = [0x04, 0, 0x11, 0x94, l0, l1, 0, 0];
    let bytes = [&header[..], payload].concat();
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_B, OWN)
        .payload(Protocol::UDP, &bytes)
}

/// What becomes of a packet, where its ESP header begins, and how long it is.
fn fate(bench: &Bench, packet: Vec<u8>) -> (Disposition, u16, u16) {
    let note = bench.run(&mut [packet])[0];
    (note.disposition, note.detail, note.length)
}

#[test]
fn esp_is_told_from_what_else_comes_to_its_port() {
    let bench = protected();
    let raw = to_own4().payload(Protocol::ESP, &SPI);
    assert_eq!(fate(&bench, raw), (Disposition::Esp, 34, 42));
    let raw = to_own6().payload(Protocol::ESP, &SPI);
    assert_eq!(fate(&bench, raw), (Disposition::Esp, 54, 62));
    assert_eq!(fate(&bench, datagram(16, &SPI)), (Disposition::Esp, 42, 50));
    for (packet, reason) in [
        (datagram(9, &[0xff]), DropReason::EspKeepalive),
        (datagram(16, &[0; 8]), DropReason::LocalUnhandled),
        (datagram(10, &[0xff, 0xff]), DropReason::LocalUnhandled),
    ] {
        assert_eq!(bench.dropped(packet.clone()), reason, "{packet:02x?}");
    }
}

#[test]
fn a_datagram_is_as_long_as_its_header_says() {
    let bench = protected();
    let longer = [&SPI[..], b"rest"].concat();
    assert_eq!(fate(&bench, datagram(16, &longer)), (Disposition::Esp, 42, 50));
    // So is a keepalive.
    assert_eq!(bench.dropped(datagram(9, &[0xff; 8])), DropReason::EspKeepalive);
    for said in [0, 7, 17, u16::MAX] {
        assert_eq!(
            bench.dropped(datagram(said, &SPI)),
            DropReason::UdpMalformed,
            "{said}"
        );
    }
    let link_len = HEADER_LEN;
    let mut frame = datagram(16, &longer);
    let delivered = bench
        .path
        .deliver(0, &Punts::OFF, &mut frame, link_len, Family::Four);
    assert_eq!(
        (delivered.disposition, delivered.detail, delivered.end),
        (Disposition::Esp, 42, 50)
    );
}

/// An ESP packet, as an error quotes it.
fn sent4(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv4(OWN, HOST_B).payload(protocol, payload)
}

#[test]
fn an_error_about_esp_goes_to_whoever_knows_its_sas() {
    let bench = protected();
    let too_big = Icmpv4Problem::FragmentationNeeded { mtu: 1300 };
    let in_udp = [&[0x11, 0x94, 0x04, 0, 0, 16, 0, 0][..], &SPI].concat();
    let ike = [&in_udp[..8], &[0; 8]].concat();
    let sent = |ports, spi| SentEsp {
        source: OWN.into(),
        destination: HOST_B.into(),
        ports,
        spi,
    };
    let spi = Some(0xc000_0001);
    for (quote, expected) in [
        (sent4(Protocol::ESP, &SPI), sent(None, spi)),
        (sent4(Protocol::UDP, &in_udp), sent(Some((4500, 1024)), spi)),
        // As little as RFC 792 asks for.
        (sent4(Protocol::UDP, &in_udp[..8]), sent(Some((4500, 1024)), None)),
    ] {
        for (problem, mtu) in [(too_big, Some(1300)), (Icmpv4Problem::HostUnreachable, None)] {
            let frame = error4(problem, &quote);
            assert_eq!(
                fate(&bench, frame.clone()).0,
                Disposition::EspError,
                "{quote:02x?}"
            );
            assert_eq!(fate(&bench, frame.clone()).1, 34);
            assert_eq!(esp_error(Family::Four, &frame[34..]), Some((expected, mtu)));
        }
    }
    let quote = PacketBuilder::ipv6(OWN6, HOST_B6).payload(Protocol::ESP, &SPI);
    let frame = error6(Icmpv6Problem::PacketTooBig { mtu: 1300 }, &quote);
    assert_eq!(
        fate(&bench, frame.clone()),
        (Disposition::EspError, 54, frame.len() as u16)
    );
    let (sent, mtu) = esp_error(Family::Six, &frame[54..]).unwrap();
    assert_eq!(
        (sent.destination, sent.spi, mtu),
        (HOST_B6.into(), spi, Some(1300))
    );

    let elsewhere = PacketBuilder::ipv4(OWN, HOST_A).payload(Protocol::ESP, &SPI);
    for quote in [
        sent4(Protocol::UDP, &ike),
        sent4(Protocol::ESP, &SPI[..3]),
        elsewhere,
    ] {
        let dropped = bench.dropped(error4(too_big, &quote));
        assert_eq!(dropped, DropReason::LocalUnhandled, "{quote:02x?}");
    }
}

#[test]
fn an_error_about_what_a_protected_tunnel_never_sends_in_clear_is_not_believed() {
    let bench = protected();
    let clear =
        PacketBuilder::ipv6(OWN6, HOST_B6).payload(Protocol::GRE, &in_gre(None, EtherType::IPV4, &four()));
    let frame = error6(Icmpv6Problem::PacketTooBig { mtu: 1300 }, &clear);
    assert_eq!(bench.dropped(frame), DropReason::LocalUnhandled);
}

#[test]
fn protected_tunnels_are_found_by_their_ends() {
    let bench = protected();
    let between = |local: IpAddr, remote: IpAddr| -> Vec<u16> {
        bench.path.interfaces.esp_between(local, remote).collect()
    };
    assert_eq!(between(OWN.into(), HOST_B.into()), [ESP]);
    assert_eq!(between(OWN6.into(), HOST_B6.into()), [GRE_SIX]);
    assert_eq!(between(HOST_B.into(), OWN.into()), [0; 0]);
    assert_eq!(between(OWN.into(), HOST_A.into()), [0; 0]);
}

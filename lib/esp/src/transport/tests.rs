use std::net::Ipv6Addr;

use packet::PacketBuilder;

use super::*;
use crate::format::Span;
use crate::header::Spi;
use crate::keys::Keys;
use crate::outbound::{IvMask, Outbound};
use crate::sequence::Sequence;
use crate::transform::Transform;

fn four() -> packet::builder::Ipv4Builder {
    PacketBuilder::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
}

fn six() -> packet::builder::Ipv6Builder {
    PacketBuilder::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
}

/// For `payload_len` bytes with AES-GCM: 16 bytes in front.
fn sealing(payload_len: usize) -> Sealing {
    let keys = Keys::new(Transform::Aes128Gcm16, vec![0; 20].into()).unwrap();
    let mut outbound = Outbound::new(Spi::MIN, &keys.parts(), Sequence::new(false), IvMask(0));
    outbound.seal(payload_len, Protocol::UDP).unwrap()
}

#[test]
fn esp_comes_behind_options_of_ipv4() {
    for options in [0, 4, 40] {
        let packet = four().options(&vec![1; options]).udp(1, 2, b"text");
        let headers = Headers::to_protect(&packet).unwrap();
        assert_eq!((headers.len(), headers.protocol()), (20 + options, Protocol::UDP));
        assert_eq!(headers.carried_len(), 12);
    }
}

#[test]
fn esp_comes_behind_what_nodes_on_the_way_read() {
    let options: &[u8] = &[1, 4, 0, 0, 0, 0];
    let mut ah = [0; 24];
    ah[1] = 4;
    // What stands in front of ESP, and what is protected.
    for (packet, len, protocol) in [
        (six().udp(1, 2, b""), 40, Protocol::UDP),
        (six().router_alert(0).udp(1, 2, b""), 48, Protocol::UDP),
        (
            six().destination_options(options).udp(1, 2, b""),
            40,
            Protocol::DESTINATION_OPTIONS,
        ),
        (
            six().router_alert(0).destination_options(options).udp(1, 2, b""),
            48,
            Protocol::DESTINATION_OPTIONS,
        ),
        (
            six()
                .router_alert(0)
                .destination_options(options)
                .routing(0, 0)
                .destination_options(options)
                .udp(1, 2, b""),
            64,
            Protocol::DESTINATION_OPTIONS,
        ),
        (
            six().routing(0, 1).fragment(0, false, 7).udp(1, 2, b""),
            56,
            Protocol::UDP,
        ),
        // What AH protects is not looked into.
        (
            six().extension(Protocol::AH, &ah).routing(0, 0).udp(1, 2, b""),
            40,
            Protocol::AH,
        ),
        (
            six().payload(Protocol::NO_NEXT_HEADER, &[]),
            40,
            Protocol::NO_NEXT_HEADER,
        ),
    ] {
        let headers = Headers::to_protect(&packet).unwrap();
        assert_eq!((headers.len(), headers.protocol()), (len, protocol));
        assert_eq!(headers.len() + headers.carried_len(), packet.len());
    }
}

#[test]
fn fragments_and_what_cannot_be_followed_are_refused() {
    for packet in [
        four().fragment(0, true).payload(Protocol::UDP, &[0; 8]),
        four().fragment(8, false).payload(Protocol::UDP, &[0; 8]),
        six().fragment(0, true, 7).payload(Protocol::UDP, &[0; 8]),
        six().fragment(8, false, 7).payload(Protocol::UDP, &[0; 8]),
        six()
            .destination_options(&[])
            .fragment(8, false, 7)
            .payload(Protocol::ESP, &[0; 8]),
    ] {
        assert_eq!(Headers::to_protect(&packet), Err(TransportError::Fragment));
        assert_eq!(Headers::received(&packet), Err(TransportError::Fragment));
    }
    let whole = six().router_alert(0).udp(1, 2, b"");
    for packet in [
        &[][..],
        &[0x45; 10],
        &[0x95; 60],
        &whole[..50],
        &six().payload(Protocol::ROUTING, &[6, 9, 0, 0]),
    ] {
        assert_eq!(Headers::to_protect(packet), Err(TransportError::Malformed));
        assert_eq!(Headers::received(packet), Err(TransportError::Malformed));
    }
    for packet in [
        four().payload(Protocol::TCP, &[0; 20]),
        six().payload(Protocol::GRE, &[0; 8]),
    ] {
        assert!(matches!(
            Headers::received(&packet),
            Err(TransportError::NoEsp(_))
        ));
    }
}

#[test]
fn headers_say_what_they_carry_and_how_long_it_is() {
    let ports = Ports {
        source: 4500,
        destination: 4500,
    };
    for packet in [
        four().options(&[1; 8]).udp(1, 2, b"text"),
        six().router_alert(0).destination_options(&[]).udp(1, 2, b"text"),
    ] {
        for udp in [None, Some(ports)] {
            let headers = Headers::to_protect(&packet).unwrap();
            let sealing = sealing(headers.carried_len());
            let front = sealing.head_len() + if udp.is_some() { 8 } else { 0 };
            let mut buffer = [&vec![0xee; front][..], &packet, &vec![0xee; sealing.tail_len()]].concat();
            let at = headers.enclose(&mut buffer, &sealing, udp).unwrap();
            assert_eq!(at + sealing.sealed_len(), buffer.len());
            let received = Headers::received(&buffer).unwrap();
            let expected = if udp.is_some() {
                Protocol::UDP
            } else {
                Protocol::ESP
            };
            assert_eq!((received.len(), received.protocol()), (headers.len(), expected));
            assert_eq!(received.len() + received.carried_len(), buffer.len());
            // And the payload is where it was.
            let payload = headers.len() + front;
            assert_eq!(
                buffer[payload..payload + headers.carried_len()],
                packet[headers.len()..]
            );
        }
    }
}

#[test]
fn what_becomes_too_long_and_what_has_no_room_is_refused() {
    let packet = four().payload(Protocol::UDP, &[0; 65_480]);
    let headers = Headers::to_protect(&packet).unwrap();
    let large = sealing(65_474);
    let mut buffer = vec![0; 70_000];
    let refused = headers.enclose(
        &mut buffer,
        &large,
        Some(Ports {
            source: 1,
            destination: 2,
        }),
    );
    assert_eq!(refused, Err(TransportError::TooLong));

    let small = sealing(10);
    for available in 0..small.head_len() + headers.len() {
        let refused = headers.enclose(&mut vec![0; available], &small, None);
        assert!(matches!(refused, Err(TransportError::NoRoom(_))), "{available}");
    }
    let packet = four().payload(Protocol::ESP, &[0; 60]);
    let received = Headers::received(&packet).unwrap();
    let payload = Payload {
        next_header: Protocol::UDP,
        span: Span::new(16, 20),
    };
    for available in 0..36 {
        let refused = received.disclose(&mut vec![0; available], &payload);
        assert!(matches!(refused, Err(TransportError::NoRoom(_))), "{available}");
    }
}

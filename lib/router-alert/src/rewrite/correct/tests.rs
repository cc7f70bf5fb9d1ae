use std::net::{Ipv4Addr, Ipv6Addr};

use packet::tcp::{TcpFlags, TcpHeader};
use packet::{Ipv6, PacketBuilder};
use proptest::prelude::*;

use super::*;
use crate::strip::{How, strip};
use crate::vectors::syn_with_text;

const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

const TCP: TcpHeader = TcpHeader {
    source_port: 80,
    destination_port: 80,
    sequence: 1,
    acknowledgment: 2,
    flags: TcpFlags::ACK,
    window: 1000,
};

fn four() -> packet::builder::Ipv4Builder {
    PacketBuilder::ipv4(HOST4, PEER4).options(&[148, 4, 0, 0])
}

fn six() -> packet::builder::Ipv6Builder {
    PacketBuilder::ipv6(HOST6, PEER6).router_alert(5)
}

/// What a helper makes of a packet that only puts another text at its end.
fn with_text(packet: &[u8], old: usize, text: &[u8]) -> Vec<u8> {
    [&packet[..packet.len() - old], text].concat()
}

#[test]
fn req_ra_29_another_payload_gets_its_lengths_and_checksums() {
    let long = [0x5a; 1201];
    for text in [&b""[..], b"odd", b"even", &long] {
        for build in [
            |payload: &[u8]| four().udp(5000, 500, payload),
            |payload: &[u8]| six().udp(5000, 500, payload),
            |payload: &[u8]| four().tcp(&TCP, payload),
            |payload: &[u8]| six().tcp(&TCP, payload),
            |payload: &[u8]| six().icmp(200, 1, payload),
            |payload: &[u8]| four().echo_request(1, 2, payload),
            |payload: &[u8]| four().payload(Protocol::RSVP, payload),
            |payload: &[u8]| six().payload(Protocol::RSVP, payload),
            |payload: &[u8]| four().no_udp_checksum().udp(5000, 500, payload),
        ] {
            let original = build(b"some payload.");
            let mut changed = with_text(&original, 13, text);
            assert_eq!(correct(&original, &mut changed), Ok(()));
            assert_eq!(changed, build(text));
        }
    }
}

#[test]
fn req_ra_21_a_helper_that_counts_the_hop_limit_down_itself_does_so_for_nothing() {
    let original = syn_with_text();
    let mut changed = original.clone();
    changed[7] -= 1;
    assert_eq!(correct(&original, &mut changed), Ok(()));
    assert_eq!(changed, original);
    let original = four().ttl(9).udp(5000, 500, b"hello");
    let mut changed = original.clone();
    changed[8] = 255;
    assert_eq!(correct(&original, &mut changed), Ok(()));
    assert_eq!(changed, original);
}

#[test]
fn req_ra_24_a_packet_may_be_sent_elsewhere() {
    let other = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
    let original = six().udp(5000, 500, b"hello");
    let mut changed = original.clone();
    changed[24..40].copy_from_slice(&other.octets());
    assert_eq!(correct(&original, &mut changed), Ok(()));
    let wanted = PacketBuilder::ipv6(HOST6, other).router_alert(5);
    assert_eq!(changed, wanted.udp(5000, 500, b"hello"));
}

#[test]
fn a_packet_that_a_helper_stripped_is_right_already() {
    for original in [six().udp(5000, 500, b"hello"), four().tcp(&TCP, b"hello")] {
        let mut stripped = original.clone();
        strip(&mut stripped, How::Remove).unwrap();
        let mut changed = stripped.clone();
        assert_eq!(correct(&original, &mut changed), Ok(()));
        assert_eq!(changed, stripped);
    }
}

#[test]
fn a_checksum_that_was_wrong_stays_wrong() {
    let mut original = six().tcp(&TCP, b"damaged");
    let last = original.len() - 1;
    original[last] ^= 1;
    let mut changed = with_text(&original, 7, b"repaired");
    assert_eq!(correct(&original, &mut changed), Ok(()));
    assert_ne!(changed, six().tcp(&TCP, b"repaired"));
    let ip = Ipv6::parse(&changed).unwrap();
    let upper = Upper::of_v6(&ip).unwrap();
    assert!(!summed(&View::Six(ip), &upper).is_valid());
}

#[test]
fn req_ra_25_the_payload_of_a_fragment_is_not_changed_and_its_header_may_be() {
    for original in [
        six().fragment(0, true, 7).payload(Protocol::UDP, &[1; 24]),
        six().fragment(24, false, 7).payload(Protocol::UDP, &[1; 24]),
        four().fragment(0, true).payload(Protocol::UDP, &[1; 24]),
        four().fragment(24, false).payload(Protocol::UDP, &[1; 24]),
    ] {
        for text in [&[2; 24][..], &[1; 16]] {
            let mut changed = with_text(&original, 24, text);
            assert_eq!(correct(&original, &mut changed), Err(Refused::Fragment));
        }
        let mut wanted = original.clone();
        super::super::set_dscp(&mut wanted, 46).unwrap();
        let mut changed = original.clone();
        changed[0] = wanted[0];
        changed[1] = wanted[1];
        assert_eq!(correct(&original, &mut changed), Ok(()));
        assert_eq!(changed, wanted);
    }
}

#[test]
fn req_ra_29_what_is_protected_or_another_thing_is_refused() {
    let refused = |original: &[u8], changed: &[u8]| correct(original, &mut changed.to_vec()).unwrap_err();
    let esp = |text: &[u8]| six().payload(Protocol::ESP, text);
    assert_eq!(
        refused(&esp(&[1; 20]), &esp(&[2; 20])),
        Refused::Protected(Protocol::ESP)
    );
    let ah = [&[17, 4][..], &[0; 22], b"text"].concat();
    let original = six().payload(Protocol::AH, &ah);
    assert_eq!(
        refused(&original, &with_text(&original, 4, b"TEXT")),
        Refused::Protected(Protocol::AH)
    );
    let udp = six().udp(5000, 500, b"hello");
    assert_eq!(
        refused(&udp, &six().tcp(&TCP, b"hello")),
        Refused::OtherProtocol(Protocol::UDP, Protocol::TCP)
    );
    assert_eq!(
        refused(&udp, &four().udp(5000, 500, b"hello")),
        Refused::OtherFamily
    );
    assert_eq!(refused(&udp, &[]), Refused::OtherFamily);
    assert_eq!(
        refused(&udp, &udp[..udp.len() - 6]),
        Refused::UpperLayer(Protocol::UDP)
    );
    let long = [&four().udp(5000, 500, &[])[..], &[0; 65536]].concat();
    assert_eq!(
        refused(&four().udp(5000, 500, &[]), &long),
        Refused::TooLong { beyond: 33 }
    );
    assert!(matches!(refused(&udp, &udp[..20]), Refused::Ipv6(_)));
}

proptest! {
    #[test]
    fn whatever_a_helper_sends_is_refused_or_right(
        mut bytes in prop::collection::vec(any::<u8>(), 0..100),
        start in 0..90usize,
        (from_six, keeps) in any::<(bool, bool)>(),
    ) {
        let original = if from_six { six().udp(5000, 500, b"hello") } else { four().udp(5000, 500, b"hello") };
        if keeps {
            // A packet that is changed somewhere, and not just any bytes.
            let behind: Vec<u8> = original.iter().copied().skip(start + bytes.len()).collect();
            bytes = [&original[..start.min(original.len())], &bytes, &behind].concat();
        }
        let sent = bytes.clone();
        if correct(&original, &mut bytes).is_ok() {
            prop_assert_eq!(bytes.len(), sent.len());
            let view = View::of(&bytes).unwrap();
            let upper = view.upper().unwrap();
            prop_assert!(upper.protocol == Protocol::UDP && upper.part.is_none());
            prop_assert!(summed(&view, &upper).is_valid());
        }
    }
}

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::{PacketBuilder, Protocol};
use proptest::prelude::*;

use super::*;
use crate::alert::tests::any_options;
use crate::vectors::{alert_v4, syn_with_text, unhex};

const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

fn stripped(mut packet: Vec<u8>, how: How) -> Result<Vec<u8>, Refused> {
    let before = packet.clone();
    match strip(&mut packet, how) {
        Ok(()) => Ok(packet),
        Err(refused) => {
            assert_eq!(packet, before, "a packet that is refused stays as it was");
            Err(refused)
        }
    }
}

/// A packet whose hop-by-hop header has exactly these options.
fn six(options: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 8, 6);
    PacketBuilder::ipv6(HOST6, PEER6)
        .hop_by_hop(options)
        .udp(5000, 500, b"hello")
}

fn four(options: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv4(HOST4, PEER4)
        .options(options)
        .udp(5000, 500, b"hello")
}

#[test]
fn req_ra_28_strip_removes_an_empty_header() {
    let before = syn_with_text();
    let after = stripped(before.clone(), How::Remove).unwrap();
    assert_eq!((before.len(), after.len()), (170, 162));
    // Payload length 130 - 8 and next header TCP; the hop limit stays, and all from the TCP header on.
    assert_eq!(after[..8], [0x60, 0, 0, 0, 0, 0x7a, 6, 0xff]);
    assert_eq!(after[8..40], before[8..40]);
    assert_eq!(after[40..], before[48..]);
    assert_eq!(after[56..58], [0x7b, 0xba]);
}

#[test]
fn req_ra_28_pad_keeps_the_length() {
    let mut expected = syn_with_text();
    expected[40..48].copy_from_slice(&[6, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(stripped(syn_with_text(), How::Pad), Ok(expected));
}

#[test]
fn req_ra_28_the_packets_of_ipv4_are_stripped_to_the_byte() {
    // On their way out their TTL is 63.
    let mut relayed = alert_v4();
    ipv4::decrement_ttl(relayed.first_chunk_mut().unwrap()).unwrap();
    assert_eq!(
        relayed,
        unhex("4600002812340000 3f2e6ded c6336401 cb00714d 94040000 525356502d64656d6f2d646174612121")
    );
    assert_eq!(
        stripped(relayed.clone(), How::Remove).unwrap(),
        unhex("4500002412340000 3f2e02f6 c6336401 cb00714d 525356502d64656d6f2d646174612121")
    );
    assert_eq!(
        stripped(relayed, How::Pad).unwrap(),
        unhex("4600002812340000 3f2effef c6336401 cb00714d 01010101 525356502d64656d6f2d646174612121")
    );
}

#[test]
fn req_ra_28_other_options_of_ipv4_stay() {
    let timestamp = [68, 8, 5, 0, 0, 0, 0, 0];
    let alert = [148, 4, 0, 0];
    for (before, removed, padded) in [
        (
            [&timestamp[..], &alert].concat(),
            timestamp.to_vec(),
            [&timestamp[..], &[1; 4]].concat(),
        ),
        (
            [&alert[..], &timestamp, &alert].concat(),
            timestamp.to_vec(),
            [&[1; 4][..], &timestamp, &[1; 4]].concat(),
        ),
        // Nothing but padding is left, in one way and in another.
        ([&[1, 1][..], &alert, &[1, 1]].concat(), vec![], vec![1; 8]),
        (
            [&alert[..], &[0, 148, 4, 9]].concat(),
            vec![],
            vec![1, 1, 1, 1, 0, 148, 4, 9],
        ),
    ] {
        assert_eq!(
            stripped(four(&before), How::Remove),
            Ok(four(&removed)),
            "{before:?}"
        );
        assert_eq!(stripped(four(&before), How::Pad), Ok(four(&padded)), "{before:?}");
    }
}

#[test]
fn req_ra_28_a_header_with_other_options_shrinks_to_what_they_need() {
    let alert = [5, 2, 0, 5];
    // Ten bytes that stand at 2 behind a multiple of 8, and at 6.
    let option = [0x1e, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    for (before, removed, padded) in [
        // The alert and what padded it make room for less than eight bytes: the length stays.
        (
            [&alert[..], &option].concat(),
            [&[1, 2, 0, 0][..], &option].concat(),
            Some([&[1, 2, 0, 0][..], &option].concat()),
        ),
        (
            [&option[..], &alert].concat(),
            [&option[..], &[1, 2, 0, 0]].concat(),
            Some([&option[..], &[1, 2, 0, 0]].concat()),
        ),
        // Eight bytes can go, and the option stands where it stood within eight.
        (
            [&alert[..], &[1, 2, 0, 0], &option, &[1, 2, 0, 0]].concat(),
            [&option[..], &[1, 2, 0, 0]].concat(),
            None,
        ),
        (
            [&option[..], &alert, &alert, &[1, 2, 0, 0]].concat(),
            [&option[..], &[1, 2, 0, 0]].concat(),
            None,
        ),
        // Two options that have to keep their distance.
        (
            [&[0x1e, 0][..], &alert, &[0x3e, 2, 1, 2, 0x1e, 0, 0, 0]].concat(),
            [&[0x1e, 0, 1, 2, 0, 0][..], &[0x3e, 2, 1, 2, 0x1e, 0, 1, 0]].concat(),
            Some([&[0x1e, 0, 1, 2, 0, 0][..], &[0x3e, 2, 1, 2, 0x1e, 0, 1, 0]].concat()),
        ),
    ] {
        assert_eq!(
            stripped(six(&before), How::Remove),
            Ok(six(&removed)),
            "{before:?}"
        );
        let padded = padded.map(|options| six(&options)).ok_or(Refused::PaddingTooLong);
        assert_eq!(stripped(six(&before), How::Pad), padded, "{before:?}");
    }
}

#[test]
fn req_ra_25_fragments_of_ipv6_are_stripped_each_alike() {
    for (offset, more) in [(0, true), (1232, true), (2464, false)] {
        let fragment = |builder: packet::builder::Ipv6Builder| {
            builder
                .fragment(offset, more, 7)
                .payload(Protocol::UDP, &[9; 1232])
        };
        let before = fragment(PacketBuilder::ipv6(HOST6, PEER6).router_alert(5));
        let removed = fragment(PacketBuilder::ipv6(HOST6, PEER6));
        let padded = fragment(PacketBuilder::ipv6(HOST6, PEER6).hop_by_hop(&[1, 4, 0, 0, 0, 0]));
        assert_eq!(stripped(before.clone(), How::Remove), Ok(removed));
        assert_eq!(stripped(before, How::Pad), Ok(padded));
    }
}

#[test]
fn req_ra_26_fragments_of_ipv4_are_stripped_each_alike() {
    for (offset, more) in [(0, true), (1480, true), (2960, false)] {
        let fragment = |options: &[u8]| {
            PacketBuilder::ipv4(HOST4, PEER4)
                .identification(0x1234)
                .fragment(offset, more)
                .options(options)
                .payload(Protocol::UDP, &[9; 1480])
        };
        let before = fragment(&[148, 4, 0, 0]);
        assert_eq!(stripped(before.clone(), How::Remove), Ok(fragment(&[])));
        assert_eq!(stripped(before, How::Pad), Ok(fragment(&[1; 4])));
    }
}

#[test]
fn req_ra_28_what_an_authentication_header_covers_is_not_stripped() {
    let ah = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let six = || PacketBuilder::ipv6(HOST6, PEER6).router_alert(5);
    for packet in [
        PacketBuilder::ipv4(HOST4, PEER4)
            .options(&[148, 4, 0, 0])
            .payload(Protocol::AH, &ah),
        six().extension(Protocol::AH, &ah).udp(1, 2, b""),
        six()
            .destination_options(&[])
            .extension(Protocol::AH, &ah)
            .udp(1, 2, b""),
        six()
            .fragment(0, true, 7)
            .extension(Protocol::AH, &ah)
            .udp(1, 2, b""),
        six().fragment(64, false, 7).payload(Protocol::AH, &ah),
    ] {
        for how in [How::Remove, How::Pad] {
            assert_eq!(stripped(packet.clone(), how), Err(Refused::Authenticated));
        }
    }
}

#[test]
fn what_has_no_alert_or_is_malformed_is_refused() {
    let six = || PacketBuilder::ipv6(HOST6, PEER6);
    for (packet, refused) in [
        (four(&[]), Refused::NoAlert),
        (six().udp(1, 2, b""), Refused::NoAlert),
        (six().hop_by_hop(&[]).udp(1, 2, b""), Refused::NoAlert),
        (
            six().destination_options(&[5, 2, 0, 5]).udp(1, 2, b""),
            Refused::NoAlert,
        ),
        (
            four(&[148, 3, 0]),
            Refused::Malformed(Fault::AlertLength { pointer: 21 }),
        ),
        (vec![], Refused::Malformed(Fault::Version)),
        // Without the first hop-by-hop header the second would be the first.
        (
            six().router_alert(4).router_alert(5).udp(1, 2, b""),
            Refused::Chain(ExtensionError::HopByHopNotFirst { pointer: 40 }),
        ),
    ] {
        assert_eq!(stripped(packet, How::Remove), Err(refused));
    }
}

#[test]
fn whatever_the_settings_let_pass_is_stripped() {
    // Longer, with more options, and with some that may not be skipped.
    let options = [&[5, 2, 0, 5][..], &[0x5e, 8, 0, 0, 0, 0, 0, 0, 0, 0].repeat(34)].concat();
    let packet = PacketBuilder::ipv6(HOST6, PEER6)
        .hop_by_hop(&options)
        .udp(1, 2, b"");
    let after = stripped(packet, How::Remove).unwrap();
    assert_eq!(alert::find(&after, &READABLE), Ok(None));
}

proptest! {
    #[test]
    fn req_ra_28_what_is_stripped_has_no_alert_and_all_else(
        options in any_options(), payload in prop::collection::vec(any::<u8>(), 0..40), remove: bool,
    ) {
        let how = if remove { How::Remove } else { How::Pad };
        let packets = [
            PacketBuilder::ipv4(HOST4, PEER4).options(&options).udp(5000, 500, &payload),
            PacketBuilder::ipv6(HOST6, PEER6).hop_by_hop(&options).udp(5000, 500, &payload),
        ];
        for before in packets {
            let Ok(after) = stripped(before.clone(), how) else { continue };
            prop_assert_eq!(alert::find(&after, &READABLE), Ok(None));
            if how == How::Pad {
                prop_assert_eq!(after.len(), before.len());
            }
            // Parsing checks lengths and the header checksum.
            let (upper, others, irregular) = read(&after);
            let (upper_before, mut others_before, irregular_before) = read(&before);
            prop_assert_eq!(upper, upper_before);
            let alert = if before[0] >> 4 == 4 { 148 } else { 5 };
            others_before.retain(|(kind, ..)| *kind != alert);
            prop_assert_eq!(others, others_before);
            prop_assert!(irregular_before || !irregular);
        }
    }
}

/// An option: its type, its place, what is in it.
type Other = (u8, usize, Vec<u8>);

/// The upper layer of a valid packet; its options, each with its place within eight bytes in IPv6 and within four in IPv4; whether
/// there is irregular padding.
fn read(packet: &[u8]) -> (Vec<u8>, Vec<Other>, bool) {
    if packet[0] >> 4 == 4 {
        let ip = Ipv4::parse(packet).unwrap();
        assert_eq!(usize::from(ip.total_len()), packet.len());
        let options = Ipv4Options::new(ip.options())
            .map(Result::unwrap)
            .map(|option| (option.kind, option.offset % 4, option.bytes.to_vec()))
            .collect();
        return (ip.payload().to_vec(), options, false);
    }
    let ip = Ipv6::parse(packet).unwrap();
    assert_eq!(ip.total_len(), packet.len());
    let mut options = Vec::new();
    let (mut run, mut irregular) = (0, false);
    let header = extension::walk(&ip).next().map(Result::unwrap);
    for option in header.into_iter().flat_map(|header| header.options().unwrap()) {
        let option = option.unwrap();
        if option.is_padding() {
            run += if option.option_type == 0 {
                1
            } else {
                2 + option.data.len()
            };
            irregular |= run > 7 || option.data.iter().any(|byte| *byte != 0);
        } else {
            run = 0;
            options.push((option.option_type, option.offset % 8, option.data.to_vec()));
        }
    }
    let upper = extension::upper_layer(&ip).unwrap();
    (upper.payload.to_vec(), options, irregular)
}

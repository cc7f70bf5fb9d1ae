use std::net::{Ipv4Addr, Ipv6Addr};

use packet::extension::UnrecognizedAction;
use packet::ipv4::Ipv4Error;
use packet::ipv6::Ipv6Error;
use packet::{PacketBuilder, Protocol};
use proptest::prelude::*;

use super::*;

const HOST4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

fn four(options: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv4(HOST4, PEER4)
        .options(options)
        .payload(Protocol::RSVP, b"sixteen bytes...")
}

fn six(options: &[u8]) -> Vec<u8> {
    PacketBuilder::ipv6(HOST6, PEER6)
        .hop_by_hop(options)
        .udp(5000, 500, b"hello")
}

/// As `six`, with nothing but these options.
fn six_exactly(options: &[u8]) -> Vec<u8> {
    let header = [&[0, (options.len() / 8) as u8][..], options].concat();
    PacketBuilder::ipv6(HOST6, PEER6)
        .extension(Protocol::HOP_BY_HOP, &header)
        .udp(5000, 500, b"hello")
}

fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn found(packet: &[u8]) -> Result<Option<(u16, usize)>, Fault> {
    found_with(packet, &Settings::default())
}

fn found_with(packet: &[u8], settings: &Settings) -> Result<Option<(u16, usize)>, Fault> {
    find(packet, settings).map(|alert| alert.map(|alert| (alert.value, alert.offset)))
}

#[test]
fn req_ra_1_it_is_found_wherever_it_stands_among_the_options_of_ipv4() {
    for (options, expected) in [
        (&[148, 4, 0, 0][..], Some((0, 20))),
        (&[148, 4, 0x12, 0x34], Some((0x1234, 20))),
        (&[1, 1, 1, 148, 4, 0, 5], Some((5, 23))),
        (&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 5], Some((5, 27))),
        (&[148, 4, 0, 5, 7, 7, 4, 0, 0, 0, 0], Some((5, 20))),
        // Behind the end of the list there is nothing, and the data of an option is no option.
        (&[0, 148, 4, 0, 0], None),
        (&[9, 6, 148, 4, 0, 0], None),
        (&[20, 4, 0, 0], None),
        (&[], None),
    ] {
        assert_eq!(found(&four(options)), Ok(expected), "{options:?}");
    }
    let alert = find(&four(&[148, 4, 0, 0]), &Settings::default())
        .unwrap()
        .unwrap();
    assert_eq!((alert.family, alert.protocol), (Family::Four, Protocol::RSVP));
    assert!(!alert.duplicate && !alert.misaligned && !alert.irregular_padding);
}

#[test]
fn req_ra_2_malformed_options_of_ipv4_are_pointed_at_and_answered() {
    for (options, fault) in [
        (&[148, 3, 0, 0][..], Fault::AlertLength { pointer: 21 }),
        (&[1, 148, 5, 0, 0, 0], Fault::AlertLength { pointer: 22 }),
        (&[148, 4, 0, 0, 7, 0], Fault::Ipv4OptionLength { pointer: 25 }),
        (&[7, 1, 148, 4, 0, 0], Fault::Ipv4OptionLength { pointer: 21 }),
        (&[148, 5, 0, 0], Fault::Ipv4OptionLength { pointer: 21 }),
        (&[1, 1, 1, 148], Fault::Ipv4OptionLength { pointer: 23 }),
    ] {
        let refused = found(&four(options)).unwrap_err();
        assert_eq!(refused, fault, "{options:?}");
        let problem = refused.problem(false).unwrap();
        assert_eq!((problem.code, Some(problem.pointer)), (0, fault.pointer()));
    }
}

#[test]
fn req_ra_3_it_is_found_in_the_hop_by_hop_header_with_its_value_and_the_next_header() {
    assert_eq!(found(&six(&[5, 2, 0, 5])), Ok(Some((5, 42))));
    assert_eq!(found(&six(&[5, 2, 0x12, 0x34])), Ok(Some((0x1234, 42))));
    assert_eq!(found(&six(&[0, 0, 5, 2, 0, 5])), Ok(Some((5, 44))));
    assert_eq!(found(&six(&[1, 0, 5, 2, 0, 5])), Ok(Some((5, 44))));
    // The data of another option looks like one.
    assert_eq!(found(&six(&[0x1e, 4, 5, 2, 0, 5])), Ok(None));
    assert_eq!(found(&PacketBuilder::ipv6(HOST6, PEER6).udp(1, 2, b"")), Ok(None));
    let alert = find(&six(&[5, 2, 0, 5]), &Settings::default()).unwrap().unwrap();
    assert_eq!((alert.family, alert.protocol), (Family::Six, Protocol::UDP));
}

#[test]
fn req_ra_4_what_goes_beyond_its_bounds_is_refused_and_not_answered() {
    let mut long = six(&[5, 2, 0, 5]);
    long[41] = 200;
    for (packet, fault) in [
        (long, Fault::HeaderLength { pointer: 41 }),
        (
            PacketBuilder::ipv6(HOST6, PEER6).payload(Protocol::HOP_BY_HOP, &[59]),
            Fault::HeaderLength { pointer: 6 },
        ),
        (
            PacketBuilder::ipv6(HOST6, PEER6).payload(Protocol::HOP_BY_HOP, &[]),
            Fault::HeaderLength { pointer: 6 },
        ),
        (
            six_exactly(&[5, 2, 0, 5, 1, 1]),
            Fault::OptionLength { pointer: 46 },
        ),
        (
            six_exactly(&[1, 3, 0, 0, 0, 5]),
            Fault::OptionLength { pointer: 47 },
        ),
        (
            six_exactly(&[1, 2, 0, 0, 5, 2]),
            Fault::OptionLength { pointer: 46 },
        ),
    ] {
        let refused = found(&packet).unwrap_err();
        assert_eq!(refused, fault);
        assert_eq!(refused.problem(false), None);
    }
}

#[test]
fn req_ra_5_another_length_than_two_is_pointed_at() {
    for options in [
        &[5, 0, 0, 0, 0, 0][..],
        &[5, 1, 0, 0, 0, 0],
        &[5, 3, 0, 5, 0, 0],
        &[5, 4, 0, 5, 0, 0],
    ] {
        let refused = found(&six_exactly(options)).unwrap_err();
        assert_eq!(refused, Fault::AlertLength { pointer: 43 });
        let expected = ParameterProblem { code: 0, pointer: 43 };
        assert_eq!(refused.problem(true), Some(expected));
    }
}

#[test]
fn req_ra_6_irregular_padding_is_told_or_refused_by_the_settings() {
    let strict = with(|settings| settings.padding = Padding::Strict);
    for (options, pointer) in [
        // Not zero; more than 7 bytes in one option and in several; eight times Pad1.
        (&[5, 2, 0, 5, 1, 0, 1, 4, 0, 0, 9, 0, 0x1e, 0][..], 48),
        (&[5, 2, 0, 5, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0], 46),
        (&[5, 2, 0, 5, 1, 3, 0, 0, 0, 1, 3, 0, 0, 0], 51),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 5, 1, 0], 49),
    ] {
        let packet = six_exactly(options);
        let alert = find(&packet, &Settings::default()).unwrap().unwrap();
        assert!(alert.irregular_padding, "{options:?}");
        let refused = found_with(&packet, &strict).unwrap_err();
        assert_eq!(refused, Fault::Padding { pointer }, "{options:?}");
        assert_eq!(refused.problem(false), None);
    }
    for options in [
        &[5, 2, 0, 5, 1, 0][..],
        &[0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 5, 1, 1, 0],
        &[1, 5, 0, 0, 0, 0, 0, 5, 2, 0, 5, 1, 1, 0],
        // Seven on each side.
        &[
            1, 5, 0, 0, 0, 0, 0, 0x1e, 0, 5, 2, 0, 5, 1, 5, 0, 0, 0, 0, 0, 0x1e, 0,
        ],
    ] {
        let alert = find(&six_exactly(options), &strict).unwrap().unwrap();
        assert!(!alert.irregular_padding, "{options:?}");
    }
}

#[test]
fn req_ra_7_a_misaligned_alert_is_told_and_still_found() {
    let packet = six(&[0, 5, 2, 0, 5, 0]);
    let alert = find(&packet, &Settings::default()).unwrap().unwrap();
    assert_eq!((alert.value, alert.offset, alert.misaligned), (5, 43, true));
}

#[test]
fn req_ra_8_equal_duplicates_are_one_and_others_are_as_the_settings_say() {
    let packets = |one, other| {
        [
            (six(&[5, 2, 0, one, 5, 2, 0, other]), 42, 46),
            (four(&[148, 4, 0, one, 148, 4, 0, other]), 20, 24),
        ]
    };
    for (packet, first, second) in packets(5, 6) {
        let of = |duplicates| {
            let settings = with(|settings| settings.duplicates = duplicates);
            found_with(&packet, &settings)
        };
        let refused = Fault::Duplicate { pointer: second };
        assert_eq!(found(&packet), Err(refused));
        assert_eq!(refused.problem(false), None);
        assert_eq!(of(Duplicates::Refuse), Err(refused));
        assert_eq!(of(Duplicates::First), Ok(Some((5, first))));
        assert_eq!(of(Duplicates::Last), Ok(Some((6, second))));
    }
    for (packet, first, _) in packets(5, 5) {
        let alert = find(&packet, &Settings::default()).unwrap().unwrap();
        assert_eq!((alert.value, alert.offset, alert.duplicate), (5, first, true));
    }
}

#[test]
fn req_ra_9_the_order_of_options_changes_nothing() {
    let unknown = [0x1e, 4, 1, 2, 3, 4];
    let alert = [5, 2, 0, 5];
    let padding = [1, 2, 0, 0];
    for (options, offset) in [
        ([&alert[..], &padding, &unknown].concat(), 42),
        ([&unknown[..], &alert, &padding].concat(), 48),
        ([&padding[..], &unknown, &alert].concat(), 52),
    ] {
        assert_eq!(found(&six_exactly(&options)), Ok(Some((5, offset))));
    }
    // An option that may not be skipped is judged on either side.
    for (options, pointer) in [([0x5e, 0, 5, 2, 0, 5], 42), ([5, 2, 0, 5, 0x5e, 0], 46)] {
        let action = UnrecognizedAction::Discard;
        let refused = Fault::Unrecognized { pointer, action };
        assert_eq!(found(&six_exactly(&options)), Err(refused));
    }
}

#[test]
fn req_ra_10_unknown_options_are_judged_by_their_type_if_the_settings_say_so() {
    let skip = with(|settings| settings.unrecognized = Unrecognized::Skip);
    for (option_type, unicast, multicast) in [
        (0x5e, None, None),
        (0x9e, Some(2), Some(2)),
        (0xde, Some(2), None),
    ] {
        let packet = six(&[5, 2, 0, 5, 1, 0, option_type, 0]);
        let refused = found(&packet).unwrap_err();
        assert_eq!(refused.pointer(), Some(48), "{option_type:#x}");
        let code = |to_multicast| refused.problem(to_multicast).map(|problem| problem.code);
        assert_eq!(
            (code(false), code(true)),
            (unicast, multicast),
            "{option_type:#x}"
        );
        assert_eq!(found_with(&packet, &skip), Ok(Some((5, 42))));
    }
    assert_eq!(found(&six(&[5, 2, 0, 5, 1, 0, 0x1e, 0])), Ok(Some((5, 42))));
}

#[test]
fn req_ra_11_a_jumbo_payload_is_refused_with_what_is_wrong_about_it() {
    for (option, pointer) in [
        ([0xc2, 4, 0, 1, 0, 0], 42),
        ([0xc2, 4, 0, 0, 0xff, 0xff], 44),
        ([0xc2, 3, 0, 0, 0, 0], 43),
    ] {
        let refused = found(&six_exactly(&option)).unwrap_err();
        assert_eq!(refused, Fault::Jumbo { pointer });
        let expected = ParameterProblem { code: 0, pointer };
        assert_eq!(refused.problem(false), Some(expected));
    }
}

#[test]
fn req_ra_12_options_of_other_headers_are_no_alert() {
    let builder = || PacketBuilder::ipv6(HOST6, PEER6);
    let destination = builder().destination_options(&[5, 2, 0, 5]).udp(1, 2, b"");
    assert_eq!(found(&destination), Ok(None));
    let behind = builder()
        .destination_options(&[])
        .hop_by_hop(&[5, 2, 0, 5])
        .udp(1, 2, b"");
    assert_eq!(found(&behind), Ok(None));
    let second = builder().hop_by_hop(&[]).router_alert(5).udp(1, 2, b"");
    assert_eq!(found(&second), Ok(None));
    let both = builder().router_alert(4).router_alert(5).udp(1, 2, b"");
    let alert = find(&both, &Settings::default()).unwrap().unwrap();
    assert_eq!(
        (alert.value, alert.protocol, alert.duplicate),
        (4, Protocol::HOP_BY_HOP, false)
    );
}

#[test]
fn req_ra_13_a_header_beyond_the_limits_has_no_alert_or_is_refused() {
    let refuse = with(|settings| settings.beyond = Beyond::Refuse);
    let long = |units: usize| {
        let mut options = vec![5, 2, 0, 5];
        options.resize(units * 8 - 2, 0);
        six_exactly(&options)
    };
    assert_eq!(found(&long(32)), Ok(Some((5, 42))));
    assert_eq!(found(&long(33)), Ok(None));
    let refused = found_with(&long(33), &refuse).unwrap_err();
    assert_eq!(refused, Fault::HeaderTooBig { pointer: 40 });
    assert_eq!(refused.problem(false).map(|problem| problem.code), Some(6));

    let many = |count| six(&[&[5, 2, 0, 5][..], &[0x1e, 0].repeat(count)].concat());
    assert_eq!(found(&many(7)), Ok(Some((5, 42))));
    assert_eq!(found(&many(8)), Ok(None));
    let refused = found_with(&many(8), &refuse).unwrap_err();
    assert_eq!(refused, Fault::TooManyOptions { pointer: 60 });
    assert_eq!(refused.problem(false).map(|problem| problem.code), Some(9));
    let more = with(|settings| (settings.most_options, settings.most_bytes) = (9, 264));
    assert_eq!(found_with(&many(8), &more), Ok(Some((5, 42))));
    assert_eq!(found_with(&long(33), &more), Ok(Some((5, 42))));
}

#[test]
fn req_ra_25_26_each_fragment_has_it() {
    let fragment = PacketBuilder::ipv6(HOST6, PEER6)
        .router_alert(5)
        .fragment(1232, true, 7)
        .payload(Protocol::UDP, &[9; 16]);
    assert_eq!(found(&fragment), Ok(Some((5, 42))));
    let fragment = PacketBuilder::ipv4(HOST4, PEER4)
        .fragment(1480, false)
        .options(&[148, 4, 0, 0])
        .payload(Protocol::UDP, &[9; 16]);
    assert_eq!(found(&fragment), Ok(Some((0, 20))));
}

#[test]
fn what_is_no_packet_is_refused_and_padding_of_the_link_is_left_out() {
    assert_eq!(found(&[]), Err(Fault::Version));
    assert_eq!(found(&[0x50; 60]), Err(Fault::Version));
    assert_eq!(found(&[0x45; 19]), Err(Fault::Ipv4(Ipv4Error::Truncated)));
    assert_eq!(found(&[0x60; 39]), Err(Fault::Ipv6(Ipv6Error::Truncated)));
    assert_eq!(Fault::Ipv4(Ipv4Error::Truncated).problem(false), None);
    let mut padded = six(&[5, 2, 0, 5]);
    padded.resize(padded.len() + 20, 0);
    assert_eq!(found(&padded), Ok(Some((5, 42))));
}

#[test]
fn the_start_of_a_packet_is_enough() {
    let packet = four(&[148, 4, 0, 7]);
    let (start, rest) = packet.split_at(24);
    let view = Ipv4::parse_start(start, rest.len()).unwrap();
    let alert = find_v4(&view, &Settings::default()).unwrap().unwrap();
    assert_eq!(alert.value, 7);
    let packet = six(&[5, 2, 0, 5]);
    let (start, rest) = packet.split_at(48);
    let view = Ipv6::parse_start(start, rest.len()).unwrap();
    let alert = find_v6(&view, &Settings::default()).unwrap().unwrap();
    assert_eq!(alert.value, 5);
}

#[test]
fn req_ra_4_a_header_that_goes_on_elsewhere_is_beyond_the_limits_and_one_beyond_the_packet_is_wrong() {
    let refuse = with(|settings| settings.beyond = Beyond::Refuse);
    let packet = six(&[5, 2, 0, 5]);
    for length in 40..48 {
        let (start, rest) = packet.split_at(length);
        let view = Ipv6::parse_start(start, rest.len()).unwrap();
        assert_eq!(find_v6(&view, &Settings::default()), Ok(None), "{length}");
        let refused = find_v6(&view, &refuse);
        assert_eq!(refused, Err(Fault::HeaderTooBig { pointer: 40 }), "{length}");
    }
    let mut long = packet;
    long[41] = 200;
    let (start, rest) = long.split_at(48);
    let view = Ipv6::parse_start(start, rest.len()).unwrap();
    assert_eq!(find_v6(&view, &refuse), Err(Fault::HeaderLength { pointer: 41 }));
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any::<[bool; 4]>(), 0..400usize, 0..12usize).prop_map(|(choices, most_bytes, most_options)| {
        let [strict, last, skip, refuse] = choices;
        Settings {
            padding: if strict { Padding::Strict } else { Padding::Lenient },
            duplicates: if last { Duplicates::Last } else { Duplicates::First },
            unrecognized: if skip {
                Unrecognized::Skip
            } else {
                Unrecognized::Judge
            },
            beyond: if refuse { Beyond::Refuse } else { Beyond::Ignore },
            most_bytes,
            most_options,
        }
    })
}

/// Options that often are right, and bytes that are none.
pub(crate) fn any_options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        4 => any::<u8>().prop_map(|value| vec![5, 2, 0, value]),
        4 => any::<u8>().prop_map(|value| vec![148, 4, 0, value]),
        2 => Just(vec![0]),
        2 => (0..6usize).prop_map(|len| [&[1, len as u8][..], &vec![0; len]].concat()),
        2 => (0..9usize).prop_map(|len| [&[0x1e, len as u8][..], &vec![7; len]].concat()),
        1 => (2..9usize).prop_map(|len| [&[7, len as u8][..], &vec![7; len - 2]].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(option, 0..8).prop_map(|options| options.concat())
}

proptest! {
    #[test]
    fn what_is_found_or_pointed_at_lies_in_the_packet(options in any_options(), settings in any_settings()) {
        for packet in [four(&options), six(&options)] {
            match find(&packet, &settings) {
                Ok(None) => {}
                Ok(Some(alert)) => {
                    let option = &packet[alert.offset..alert.offset + 4];
                    let kind = if alert.family == Family::Four { [148, 4] } else { [5, 2] };
                    prop_assert_eq!(&option[..2], &kind);
                    prop_assert_eq!(&option[2..], &alert.value.to_be_bytes());
                }
                Err(fault) => prop_assert!(fault.pointer().is_some_and(|pointer| pointer < packet.len()), "{}", fault),
            }
        }
    }

    #[test]
    fn no_bytes_upset_it(version in prop_oneof![Just(0x46u8), Just(0x60)], bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let packet = [&[version][..], &bytes].concat();
        let _ = find(&packet, &Settings::default());
    }
}

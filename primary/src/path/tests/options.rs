//! Options in: what is judged of them, by which settings, and what their senders are told.

use std::cell::RefCell;

use control::message::PuntClass;
use packet::{Ipv6, PacketBuilder, Protocol};
use proptest::prelude::*;
use router_alert::alert::{Beyond, Duplicates, Padding};
use shm::DropReason::{self, *};

use super::long::Split;
use super::*;
use crate::path::punt::PuntMode;

/// A router alert with value 5, and what one of IPv4 is.
const ALERT6: [u8; 4] = [5, 2, 0, 5];
const ALERT4: [u8; 4] = [148, 4, 0, 5];
const PUNTED: Disposition = Disposition::Punt(PuntClass::RouterAlert);
const FORWARDED: Disposition = Disposition::Transmit(1);

fn to(destination: &str) -> packet::builder::Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, destination.parse().unwrap())
}

/// On its way through, with these hop-by-hop options and what padding they need.
fn six(options: &[u8]) -> Vec<u8> {
    to("2001:db8:2::2").hop_by_hop(options).udp(1, 2, b"hello")
}

/// With nothing but these options.
fn exactly(options: &[u8]) -> Vec<u8> {
    let header = [&[0, (options.len() / 8) as u8][..], options].concat();
    to("2001:db8:2::2")
        .extension(Protocol::HOP_BY_HOP, &header)
        .udp(1, 2, b"hello")
}

fn four(options: &[u8]) -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .options(options)
        .payload(Protocol::RSVP, b"rsvp")
}

impl Bench {
    /// With another policy for what comes in by interface 0.
    fn set_options(&mut self, change: impl FnOnce(OptionPolicy) -> OptionPolicy) {
        let view = self.path.interfaces.get(0).unwrap().clone();
        let options = change(view.options);
        self.path.interfaces.set(0, InterfaceView { options, ..view });
    }
}

/// Where a tool decides about router alerts.
fn with_tool(change: impl FnOnce(&mut OptionPolicy)) -> Bench {
    let mut bench = Bench::new();
    bench.path.punts = Punts::new(|_| PuntMode::Tool);
    bench.set_options(|mut policy| {
        change(&mut policy);
        policy
    });
    bench
}

/// Where nobody wants router alerts and each hop-by-hop header is judged.
fn judging() -> Bench {
    let mut bench = Bench::new();
    bench.set_options(|policy| policy.with_hop_by_hop(true));
    bench
}

fn fate(bench: &Bench, frame: &[u8]) -> Disposition {
    bench.one(frame.to_vec()).0
}

#[test]
fn req_ra_1_an_alert_of_ipv4_is_seen_wherever_it_stands_among_the_options() {
    let bench = with_tool(|_| {});
    for (options, expected) in [
        (&ALERT4[..], PUNTED),
        (&[1, 1, 1, 148, 4, 0, 5, 0], PUNTED),
        (&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 5, 0], PUNTED),
        // Behind the end of the options, and in another one.
        (&[0, 148, 4, 0], FORWARDED),
        (&[9, 6, 148, 4, 0, 5, 0, 0], FORWARDED),
    ] {
        assert_eq!(fate(&bench, &four(options)), expected, "{options:?}");
    }
}

#[test]
fn req_ra_2_malformed_options_of_ipv4_go_to_no_tool_and_are_told_of() {
    let bench = with_tool(|_| {});
    for (options, pointer) in [
        (&[148, 3, 0, 0][..], 21),
        (&[148, 5, 0, 5, 0, 0, 0, 0], 21),
        (&[148, 4, 0, 5, 7, 0, 0, 0], 25),
        (&[148, 4, 0, 5, 7, 1, 0, 0], 25),
        (&[148, 4, 0, 5, 7, 9, 0, 0], 25),
        (&[1, 1, 1, 148], 23),
    ] {
        assert_eq!(bench.dropped(four(options)), Ip4Options, "{options:?}");
        assert_eq!(
            bench.error4(four(options)),
            Some((12, 0, pointer << 24)),
            "{options:?}"
        );
    }
}

#[test]
fn req_ra_3_and_12_an_alert_of_ipv6_is_one_of_the_first_header_alone() {
    let bench = with_tool(|_| {});
    assert_eq!(fate(&bench, &six(&ALERT6)), PUNTED);
    let builder = || to("2001:db8:2::2");
    for other in [
        builder().destination_options(&ALERT6).udp(1, 2, b""),
        builder()
            .destination_options(&[])
            .hop_by_hop(&ALERT6)
            .udp(1, 2, b""),
        builder()
            .hop_by_hop(&[])
            .extension(Protocol::HOP_BY_HOP, &[0, 0, 5, 2, 0, 5, 1, 0])
            .udp(1, 2, b""),
        builder().hop_by_hop(&[0x1e, 4, 5, 2, 0, 5]).udp(1, 2, b""),
    ] {
        assert_eq!(fate(&bench, &other), FORWARDED, "{other:02x?}");
    }
}

#[test]
fn req_ra_4_what_goes_beyond_its_bounds_is_dropped_and_not_told_of() {
    for bench in [with_tool(|_| {}), judging()] {
        let mut long = six(&ALERT6);
        long[14 + 41] = 200;
        let no_header = to("2001:db8:2::2").payload(Protocol::HOP_BY_HOP, &[59]);
        for (frame, reason) in [
            (long, HopByHopLength),
            (no_header, HopByHopLength),
            (exactly(&[5, 2, 0, 5, 1, 1]), HopByHopOptionLength),
            (exactly(&[1, 3, 0, 0, 0, 5]), HopByHopOptionLength),
            (exactly(&[1, 2, 0, 0, 5, 2]), HopByHopOptionLength),
        ] {
            assert_eq!(bench.dropped(frame.clone()), reason, "{frame:02x?}");
            assert_eq!(bench.error(frame), None);
        }
    }
}

#[test]
fn req_ra_4_a_header_that_goes_on_in_another_segment_is_not_read_there() {
    let frame = six(&ALERT6);
    let mut lying = frame.clone();
    lying[14 + 41] = 200;
    let noted = |bench: &Bench, bytes: &[u8], first: usize| {
        let mut notes = NOTES;
        let packets = &mut [Split(bytes.to_vec(), first)];
        let burst = &mut Burst {
            packets,
            notes: &mut notes,
        };
        assert_eq!(bench.path.run(0, burst), None);
        (notes[0].disposition, notes[0].detail)
    };
    let bench = with_tool(|_| {});
    let refusing = with_tool(|policy| policy.settings.beyond = Beyond::Refuse);
    for first in 14 + 40..14 + 48 {
        assert_eq!(noted(&bench, &frame, first), (FORWARDED, 0), "{first}");
        let refused = (Disposition::Drop(HopByHopTooBig), 40);
        assert_eq!(noted(&refusing, &frame, first), refused, "{first}");
        if first >= 14 + 42 {
            let wrong = Disposition::Drop(HopByHopLength);
            assert_eq!(noted(&bench, &lying, first).0, wrong, "{first}");
        }
    }
    assert_eq!(noted(&bench, &frame, 14 + 48).0, PUNTED);
}

#[test]
fn req_ra_5_the_sender_of_an_alert_of_a_wrong_length_is_told_unless_that_is_off() {
    let silent = with_tool(|policy| policy.tells_length = false);
    for bench in [with_tool(|_| {}), judging()] {
        for options in [&[5, 0, 0, 0, 0, 0], &[5, 1, 0, 0, 0, 0], &[5, 4, 0, 5, 0, 0]] {
            let frame = exactly(options);
            assert_eq!(bench.dropped(frame.clone()), RouterAlertLength);
            assert_eq!(bench.error6(frame.clone()), Some((4, 0, 43)));
            assert_eq!(silent.dropped(frame.clone()), RouterAlertLength);
            assert_eq!(silent.error(frame), None);
        }
    }
}

/// What is noted of an alert that goes to a tool.
fn remarks(bench: &Bench, frame: Vec<u8>) -> Remarks {
    let note = bench.run(&mut [frame])[0];
    assert_eq!(note.disposition, PUNTED);
    note.remarks
}

#[test]
fn req_ra_6_irregular_padding_is_noted_or_refused() {
    let lenient = with_tool(|_| {});
    let strict = with_tool(|policy| policy.settings.padding = Padding::Strict);
    for options in [
        &[5, 2, 0, 5, 1, 0, 1, 4, 0, 0, 9, 0, 0x1e, 0][..],
        &[5, 2, 0, 5, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 5, 1, 0],
    ] {
        let frame = exactly(options);
        assert_eq!(remarks(&lenient, frame.clone()), Remarks::PADDING);
        assert_eq!(strict.dropped(frame.clone()), HopByHopPadding);
        assert_eq!(strict.error(frame), None);
    }
    assert_eq!(remarks(&strict, six(&ALERT6)), Remarks::NONE);
}

#[test]
fn req_ra_7_a_misaligned_alert_is_noted_and_goes_to_the_tool() {
    let bench = with_tool(|_| {});
    assert_eq!(remarks(&bench, exactly(&[0, 5, 2, 0, 5, 0])), Remarks::MISALIGNED);
}

#[test]
fn req_ra_8_differing_duplicates_are_dropped_or_one_of_them_counts() {
    let (refuse, off) = (with_tool(|_| {}), Bench::new());
    let choices = [Duplicates::First, Duplicates::Last]
        .map(|choice| with_tool(|policy| policy.settings.duplicates = choice));
    for (equal, different) in [
        (
            exactly(&[5, 2, 0, 5, 5, 2, 0, 5, 1, 4, 0, 0, 0, 0]),
            exactly(&[5, 2, 0, 5, 5, 2, 0, 6, 1, 4, 0, 0, 0, 0]),
        ),
        (
            four(&[148, 4, 0, 5, 148, 4, 0, 5]),
            four(&[148, 4, 0, 5, 148, 4, 0, 6]),
        ),
    ] {
        assert_eq!(remarks(&refuse, equal), Remarks::DUPLICATE);
        assert_eq!(refuse.dropped(different.clone()), RouterAlertDuplicate);
        assert_eq!(refuse.error(different.clone()), None);
        for bench in &choices {
            assert_eq!(remarks(bench, different.clone()), Remarks::DUPLICATE);
        }
        // Without anybody who wants router alerts it is nobody's business.
        assert_eq!(fate(&off, &different), FORWARDED);
    }
}

#[test]
fn req_ra_9_an_unknown_option_is_judged_before_the_alert_and_behind_it() {
    let mut bench = with_tool(|_| {});
    for options in [[0x5e, 0, 5, 2, 0, 5], [5, 2, 0, 5, 0x5e, 0]] {
        assert_eq!(fate(&bench, &exactly(&options)), PUNTED, "skipped");
    }
    for options in [
        [0x1e, 0, 5, 2, 0, 5],
        [5, 2, 0, 5, 0x1e, 0],
        [1, 0, 5, 2, 0, 5],
        [5, 2, 0, 5, 1, 0],
    ] {
        assert_eq!(fate(&bench, &exactly(&options)), PUNTED);
    }
    bench.set_options(|policy| policy.with_hop_by_hop(true));
    for options in [[0x5e, 0, 5, 2, 0, 5], [5, 2, 0, 5, 0x5e, 0]] {
        assert_eq!(bench.dropped(exactly(&options)), HopByHopOption);
    }
    assert_eq!(fate(&bench, &exactly(&[0x1e, 0, 5, 2, 0, 5])), PUNTED);
}

#[test]
fn req_ra_10_unknown_options_are_judged_by_their_type_where_headers_are_processed() {
    let (bench, off) = (judging(), Bench::new());
    let options = |kind: u8| [5, 2, 0, 5, 1, 0, kind, 0];
    let to_group = |kind: u8| {
        let group = "ff0e::1234".parse().unwrap();
        PacketBuilder::ethernet(packet::ipv6::multicast_mac(group), SENDER)
            .ipv6(HOST_A6, group)
            .hop_by_hop(&options(kind))
            .udp(1, 2, b"hello")
    };
    assert_eq!(fate(&bench, &six(&options(0x1e))), FORWARDED);
    assert_eq!(bench.dropped(to_group(0x1e)), Ip6Multicast);
    for (kind, unicast, group) in [
        (0x5e, None, None),
        (0x9e, Some((4, 2, 48)), Some((4, 2, 48))),
        (0xde, Some((4, 2, 48)), None),
    ] {
        assert_eq!(bench.dropped(six(&options(kind))), HopByHopOption, "{kind:#x}");
        assert_eq!(bench.error6(six(&options(kind))), unicast, "{kind:#x}");
        assert_eq!(bench.dropped(to_group(kind)), HopByHopOption, "{kind:#x}");
        assert_eq!(bench.error6(to_group(kind)), group, "{kind:#x}");
        // Nobody looks where that is not asked for.
        assert_eq!(fate(&off, &six(&options(kind))), FORWARDED);
        assert_eq!(off.dropped(to_group(kind)), Ip6Multicast);
    }
    // Who asked the gateway itself is answered from the address that was asked, by whichever stage looks first.
    for bench in [bench, off] {
        for own in [OWN6, LINK_LOCAL] {
            let frame = to(&own.to_string()).hop_by_hop(&options(0xde)).udp(1, 2, b"");
            let error = bench.error(frame).unwrap();
            assert_eq!(Ipv6::parse(&error[14..]).unwrap().source(), own);
            assert_eq!(error[14 + 40..][..8], [4, 2, error[56], error[57], 0, 0, 0, 48]);
        }
    }
}

#[test]
fn req_ra_11_a_jumbo_payload_is_never_relayed() {
    for bench in [with_tool(|_| {}), judging()] {
        for (options, pointer) in [
            (&[0xc2, 4, 0, 1, 0, 0, 5, 2, 0, 5, 1, 2, 0, 0][..], 42),
            (&[0xc2, 4, 0, 0, 255, 255], 44),
            (&[0xc2, 3, 0, 0, 0, 0], 43),
            (&[5, 2, 0, 5, 0xc2, 4, 0, 1, 0, 0, 1, 2, 0, 0], 46),
        ] {
            let frame = exactly(options);
            assert_eq!(bench.dropped(frame.clone()), JumboPayload, "{options:?}");
            assert_eq!(bench.error6(frame), Some((4, 0, pointer)), "{options:?}");
        }
        // One whose payload length is zero, as it should be, is longer than any link carries.
        let mut real = exactly(&[0xc2, 4, 0, 1, 0, 0]);
        real[14 + 4..14 + 6].fill(0);
        assert_eq!(bench.dropped(real.clone()), HopByHopLength);
        assert_eq!(bench.error(real), None);
    }
}

#[test]
fn req_ra_13_a_header_beyond_the_limits_goes_on_without_alert_or_is_told_of() {
    let long = || {
        let mut options = ALERT6.to_vec();
        options.resize(33 * 8 - 2, 0);
        exactly(&options)
    };
    let many = || six(&[&ALERT6[..], &[0x1e, 0].repeat(8)].concat());
    let forward = with_tool(|_| {});
    assert_eq!(fate(&forward, &long()), FORWARDED);
    assert_eq!(fate(&forward, &many()), FORWARDED);
    let drop = with_tool(|policy| policy.settings.beyond = Beyond::Refuse);
    assert_eq!(drop.dropped(long()), HopByHopTooBig);
    assert_eq!(drop.error6(long()), Some((4, 6, 40)));
    assert_eq!(drop.dropped(many()), HopByHopTooMany);
    assert_eq!(drop.error6(many()), Some((4, 9, 60)));
    let more = with_tool(|policy| {
        let settings = &mut policy.settings;
        (settings.most_bytes, settings.most_options) = (264, 9);
    });
    assert_eq!(fate(&more, &long()), PUNTED);
    assert_eq!(fate(&more, &many()), PUNTED);
}

#[test]
fn req_ra_19_nothing_is_looked_at_while_router_alerts_concern_nobody() {
    let bench = Bench::new();
    let mut overrun = six(&ALERT6);
    overrun[14 + 41] = 200;
    for frame in [
        overrun,
        exactly(&[5, 4, 0, 5, 0, 0]),
        exactly(&[0xc2, 4, 0, 1, 0, 0]),
        exactly(&[1, 4, 9, 9, 9, 9]),
        exactly(&[5, 2, 0, 5, 1, 9]),
        exactly(&[5, 2, 0, 5, 5, 2, 0, 6, 1, 4, 0, 0, 0, 0]),
    ] {
        let (disposition, sent) = bench.one(frame.clone());
        assert_eq!(disposition, FORWARDED);
        assert_eq!(sent[22..], frame[22..], "but for the hop limit it stays");
    }
}

#[test]
fn req_ra_20_no_tool_is_asked_about_what_stays_on_its_link_and_what_is_wrong_with_it_is_dropped() {
    let mut bench = with_tool(|_| {});
    let report = |options: &[u8]| {
        PacketBuilder::ethernet(packet::ipv6::multicast_mac(packet::ipv6::ALL_NODES), SENDER)
            .ipv6(HOST_A6, packet::ipv6::ALL_NODES)
            .hop_limit(1)
            .hop_by_hop(options)
            .icmp(131, 0, &[0; 20])
    };
    for process in [false, true] {
        bench.set_options(|policy| policy.with_hop_by_hop(process));
        assert_eq!(bench.dropped(report(&[5, 2, 0, 0])), Ip6Multicast);
    }
    assert_eq!(bench.dropped(report(&[5, 1, 0])), RouterAlertLength);
    bench.set_options(|policy| policy.with_hop_by_hop(false));
    assert_eq!(bench.dropped(report(&[5, 1, 0])), Ip6Multicast);
}

proptest! {
    #[test]
    fn req_ra_4_any_options_are_judged_in_bounds_whatever_the_settings(
        options in prop::collection::vec(any::<u8>(), 0..70),
        units in prop_oneof![4 => 0..9u8, 1 => any::<u8>()],
        first in 54..140usize,
        strict: bool, process: bool, refuse: bool
    ) {
        thread_local!(static BENCH: RefCell<Bench> = RefCell::new(with_tool(|_| {})));
        let header = [&[0, units][..], &options].concat();
        let frame = to("2001:db8:2::2").extension(Protocol::HOP_BY_HOP, &header).udp(1, 2, b"hello");
        let length = frame.len();
        let mut notes = NOTES;
        let packets = &mut [Split(frame, first.min(length))];
        BENCH.with_borrow_mut(|bench| {
            bench.set_options(|mut policy| {
                policy.settings.padding = if strict { Padding::Strict } else { Padding::Lenient };
                policy.settings.beyond = if refuse { Beyond::Refuse } else { Beyond::Ignore };
                policy.with_hop_by_hop(process)
            });
            bench.path.run(0, &mut Burst { packets, notes: &mut notes });
        });
        prop_assert!(usize::from(notes[0].detail) < length);
        let is_right = match notes[0].disposition {
            PUNTED | FORWARDED => true,
            Disposition::Drop(reason) => DropReason::ALL[HopByHopLength as usize..].contains(&reason),
            _ => false,
        };
        prop_assert!(is_right, "{:?}", notes[0]);
    }
}

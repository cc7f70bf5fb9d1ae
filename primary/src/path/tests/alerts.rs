//! Router alerts and the rules that say which of them a tool is asked about.

use control::message::{AlertRule, FailMode, PuntClass};
use packet::builder::{Ipv4Builder, Ipv6Builder};
use shm::DropReason;

use super::ip4::from_a;
use super::ip6::from_a as from_a6;
use super::{Bench, HOST_B, HOST_B6, OWN, OWN6};
use crate::alerts::tests::{rule, set};
use crate::path::punt::{Alerted, NO_RULE, PuntMode, Punts};
use crate::path::{Disposition, Note};

/// Rules for the values 1 to 3: of the class's fail mode, open, and closed.
const ANY: u16 = 9;
const OPEN: u16 = 0;
const CLOSED: u16 = 255;

fn rules() -> [(u16, AlertRule); 3] {
    let of = |name, values, fail| AlertRule {
        fail,
        ..rule(name, values)
    };
    [
        (ANY, of("any", "1", None)),
        (OPEN, of("open", "2", Some(FailMode::Open))),
        (CLOSED, of("closed", "3", Some(FailMode::Closed))),
    ]
}

/// Whether there is a tool for router alerts.
fn bench(mode: PuntMode) -> Bench {
    let mut bench = Bench::new();
    let of_class = |class| match class {
        PuntClass::RouterAlert => mode,
        _ => PuntMode::Off,
    };
    bench.path.punts = Punts::new(of_class).with_rules(Some(set(&rules())));
    bench
}

fn four(value: u8) -> Ipv4Builder {
    from_a(HOST_B).options(&[148, 4, 0, value])
}

fn six(value: u16) -> Ipv6Builder {
    from_a6(HOST_B6).router_alert(value)
}

/// What becomes of a packet of each family with this value.
fn fates(bench: &Bench, value: u8) -> [(Disposition, u16, Alerted); 2] {
    let packets = [
        four(value).udp(1, 2, b"rsvp"),
        six(value.into()).udp(1, 2, b"rsvp"),
    ];
    packets.map(|packet| fate(bench, packet))
}

fn fate(bench: &Bench, packet: Vec<u8>) -> (Disposition, u16, Alerted) {
    let Note {
        disposition,
        detail,
        alert,
        ..
    } = bench.run(&mut [packet])[0];
    (disposition, detail, alert)
}

const GOES_ON: Disposition = Disposition::Transmit(1);
const ASKED: Disposition = Disposition::Punt(PuntClass::RouterAlert);

#[test]
fn req_ra_15_a_tool_is_asked_with_the_rule_that_fits() {
    let bench = bench(PuntMode::Tool);
    for (value, id) in [(1, ANY), (2, OPEN), (3, CLOSED)] {
        assert_eq!(fates(&bench, value), [(ASKED, id, Alerted::Asked); 2], "{value}");
    }
}

#[test]
fn req_ra_19_without_a_rule_a_packet_leaves_as_any_other() {
    for mode in [PuntMode::Off, PuntMode::Tool, PuntMode::Closed] {
        let bench = bench(mode);
        for value in [0, 4, 255] {
            let unmatched = (GOES_ON, 0, Alerted::Unmatched);
            assert_eq!(fates(&bench, value), [unmatched; 2], "{mode:?} {value}");
        }
        let original = four(7).ttl(9).udp(1, 2, b"rsvp");
        let (_, sent) = bench.one(original.clone());
        assert_eq!((sent[22], &sent[26..]), (8, &original[26..]));
        let original = six(7).hop_limit(9).udp(1, 2, b"rsvp");
        let (_, sent) = bench.one(original.clone());
        assert_eq!(
            (&sent[14..21], sent[21], &sent[22..]),
            (&original[14..21], 8, &original[22..])
        );
        let none = fate(&bench, from_a(HOST_B).udp(1, 2, b""));
        assert_eq!(none, (GOES_ON, 0, Alerted::No));
    }
}

#[test]
fn req_ra_33_without_a_tool_each_rule_fails_as_it_says() {
    for mode in [PuntMode::Off, PuntMode::Closed] {
        let bench = bench(mode);
        // The class that these rules were compiled in fails open.
        for (value, id) in [(1, ANY), (2, OPEN)] {
            assert_eq!(fates(&bench, value), [(GOES_ON, 0, Alerted::Bypass(id)); 2]);
        }
        let dropped = Disposition::Drop(DropReason::PuntClosed);
        assert_eq!(fates(&bench, 3), [(dropped, 0, Alerted::Closed(CLOSED)); 2]);
    }
}

#[test]
fn req_ra_22_no_tool_is_asked_about_what_has_no_hops_left() {
    for mode in [PuntMode::Off, PuntMode::Tool] {
        let bench = bench(mode);
        for hops in [0, 1] {
            let expired = Disposition::Drop(DropReason::TtlExpired);
            for (value, alert) in [(3, Alerted::Expired(CLOSED)), (7, Alerted::Unmatched)] {
                let packet = four(value).ttl(hops).udp(1, 2, b"");
                assert_eq!(fate(&bench, packet), (expired, 0, alert));
                let packet = six(value.into()).hop_limit(hops).udp(1, 2, b"");
                assert_eq!(fate(&bench, packet), (expired, 0, alert));
            }
        }
        // For the gateway itself, one hop is enough.
        let here = Disposition::Drop(DropReason::LocalUnhandled);
        let packet = from_a(OWN).options(&[148, 4, 0, 3]).ttl(1).udp(1, 2, b"");
        assert_eq!(fate(&bench, packet).0, here);
        let packet = from_a6(OWN6).router_alert(3).hop_limit(1).udp(1, 2, b"");
        assert_eq!(fate(&bench, packet).0, here);
    }
}

#[test]
fn req_ra_24_what_comes_back_from_a_tool_is_not_asked_about_again() {
    let bench = bench(PuntMode::Tool);
    for mut packet in [four(1).udp(1, 2, b""), six(1).udp(1, 2, b"")] {
        let note = bench.path.run_one(0, &mut packet);
        assert_eq!((note.disposition, note.alert), (GOES_ON, Alerted::No));
    }
}

#[test]
fn without_rules_the_class_decides_about_all() {
    let mut bench = Bench::new();
    assert_eq!(fates(&bench, 1), [(GOES_ON, 0, Alerted::No); 2]);
    bench.path.punts = Punts::new(|_| PuntMode::Tool);
    assert_eq!(fates(&bench, 1), [(ASKED, NO_RULE, Alerted::Unmatched); 2]);
    bench.path.punts = Punts::new(|_| PuntMode::Closed);
    let dropped = Disposition::Drop(DropReason::PuntClosed);
    assert_eq!(fates(&bench, 1), [(dropped, 0, Alerted::Unmatched); 2]);
}

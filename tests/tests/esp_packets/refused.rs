//! Refusals: each is counted by its reason and for its SA, moves no window, and the next good packet comes through.

use std::collections::BTreeMap;

use esp::Transform;
use packet::{PacketBuilder, Udp};
use tests::{Family, wait_until};

use crate::gateway::{
    BEFORE, Gateway, LIMIT, Sa, clear_frame, dropped, run_and_collect, run_and_collect_with, six, unprotected,
};

/// Where a packet was in the stream: what it carries says which.
fn numbers(frames: &[Vec<u8>]) -> Vec<u64> {
    let number = |frame: &Vec<u8>| {
        let datagram = Udp::parse(&frame[BEFORE..]).unwrap();
        u64::from_be_bytes(*datagram.payload().first_chunk().unwrap())
    };
    frames.iter().map(number).collect()
}

/// Sends frames; asserts that as many were dropped for this reason, and none for others.
#[track_caller]
fn refused(gateway: &mut Gateway, what: &str, frames: &[Vec<u8>], reason: &str) {
    let before = gateway.settle();
    for frame in frames {
        gateway.send(frame);
    }
    let after = gateway.settle();
    let expected = BTreeMap::from([(reason.to_owned(), frames.len() as u64)]);
    assert_eq!(dropped(&before, &after), expected, "{what}");
}

const CASES: [(Family, Transform, bool, bool); 5] = [
    (Family::Ip4, Transform::Aes256Gcm16, false, false),
    (Family::Ip4, Transform::Aes128Sha256, true, true),
    (Family::Ip6, Transform::ChaCha20Poly1305, true, false),
    (Family::Ip6, Transform::NullSha512, false, true),
    (Family::Ip4, Transform::Aes256Sha384, false, false),
];

#[test]
fn each_refusal_counts_for_its_reason_and_its_sa_and_good_packets_pass_afterwards() {
    let sas: Vec<Sa> = (0..)
        .zip(CASES)
        .map(|(number, (over, transform, esn, udp))| Sa::new(number, over, transform, esn, udp))
        .collect();
    let mut passed = Vec::new();
    let [out, _] = run_and_collect(&sas, |gateway| {
        for sa in &sas {
            let selectors = format!("window 64 sel src 10.{}.0.0/16 dst 10.200.0.0/16", sa.number);
            gateway.install(sa, &selectors, "");
            refusals(gateway, sa, &mut passed);
        }
    });
    assert_eq!(numbers(&out), passed);
}

fn refusals(gateway: &mut Gateway, sa: &Sa, passed: &mut Vec<u64>) {
    let mac = gateway.mac;
    let frame = |esp: &[u8]| sa.frame(mac, esp);
    let changed = |number: u64, at: usize| {
        let mut esp = sa.good(number);
        let at = at.min(esp.len() - 1);
        esp[at] ^= 1;
        frame(&esp)
    };
    let cut = |len: usize| frame(&sa.good(300)[..len]);
    let good = |number: u64| frame(&sa.good(number));
    let short = 8 + sa.transform.iv_len() + sa.transform.icv_len();
    let spi = |spi: u32| {
        let mut esp = sa.good(300);
        esp[..4].copy_from_slice(&spi.to_be_bytes());
        frame(&esp)
    };
    let mut cases: Vec<(&str, Vec<Vec<u8>>, &str, &str)> = vec![
        (
            "forged",
            vec![
                changed(300, 0xffff),
                changed(301, 9),
                changed(9000, 7),
                changed(302, 20),
            ],
            "esp_icv",
            "bad_icv",
        ),
        ("repeated", vec![good(200), good(199)], "esp_replayed", "replayed"),
        (
            "too short",
            vec![cut(8), cut(short - 1), cut(short)],
            "esp_malformed",
            "malformed",
        ),
        ("not a header", vec![cut(7)], "esp_malformed", ""),
        // In UDP it is a datagram for nobody.
        (
            "empty",
            vec![cut(0)],
            if sa.udp {
                "local_unhandled"
            } else {
                "esp_malformed"
            },
            "",
        ),
        ("of no SA", vec![spi(0x9999), spi(u32::MAX)], "esp_spi", ""),
        ("of a reserved SPI", vec![spi(1), spi(255)], "esp_malformed", ""),
        (
            "from elsewhere",
            vec![sa.frame_from(mac, sa.stranger(), &sa.good(300))],
            "esp_source",
            "source",
        ),
        (
            "of an upper layer",
            vec![frame(&sa.seal(211, &[0; 20], 17))],
            "esp_malformed",
            "malformed",
        ),
        (
            "a dummy",
            vec![frame(&sa.seal(212, &[0; 20], 59))],
            "esp_dummy",
            "",
        ),
        (
            "with others inside",
            vec![
                frame(&sa.seal(213, &other_source(), 4)),
                frame(&sa.seal(214, &six(b"six"), 41)),
            ],
            "esp_selector",
            "selector",
        ),
        ("in clear", vec![unprotected(mac, sa)], "esp_clear", ""),
    ];
    let mut passes = |gateway: &mut Gateway, number: u64, frame: &[u8]| {
        let before = gateway.settle();
        gateway.send(frame);
        let after = gateway.settle();
        assert_eq!(dropped(&before, &after), BTreeMap::new(), "{number}");
        passed.push(number);
    };
    passes(gateway, 199, &good(199));
    passes(gateway, 200, &good(200));
    let mut next = 215;
    if sa.udp {
        // That end may move, and is believed once it is authentic.
        cases.retain(|(what, ..)| *what != "from elsewhere");
        passes(gateway, next, &sa.frame_from(mac, sa.stranger(), &sa.good(next)));
        next += 1;
    }
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, frames, reason, counter) in cases {
        refused(gateway, what, &frames, reason);
        if !counter.is_empty() {
            *expected.entry(counter).or_default() += frames.len() as u64;
        }
        passes(gateway, next, &good(next));
        next += 1;
    }
    // Without ESN an old number is told by itself; with it, its high half is another one, and the ICV wrong.
    let (reason, counter) = if sa.esn {
        ("esp_icv", "bad_icv")
    } else {
        ("esp_old", "too_old")
    };
    refused(gateway, "old", &[good(2), good(next - 1 - 64)], reason);
    *expected.entry(counter).or_default() += 2;
    // The last that is not too old.
    passes(gateway, next - 64, &good(next - 64));
    passes(gateway, next, &good(next));
    let shown = gateway.shown(sa.spi).unwrap();
    assert_eq!(shown["sequence"], next, "{shown}");
    for (counter, count) in shown["drops"].as_object().unwrap() {
        let expected = expected.get(counter.as_str()).copied().unwrap_or_default();
        assert_eq!(*count, expected, "{counter}: {shown}");
    }
}

/// A packet from where no tunnel leads.
fn other_source() -> Vec<u8> {
    PacketBuilder::ipv4([10, 99, 0, 2].into(), [10, 200, 0, 9].into()).udp(7, 9, b"other")
}

/// The ESP packets among frames of an SA's tunnel over IPv4.
fn opened(sa: &Sa, frames: &[Vec<u8>], first: u64) -> Vec<u64> {
    let out = Sa {
        spi: sa.spi + 1,
        ..sa.clone()
    };
    let numbers = (first..).zip(frames).map(|(number, frame)| {
        let (inner, next_header) = out.peer().open(number, &frame[BEFORE..]).expect("authentic");
        assert_eq!(next_header, 4);
        let datagram = Udp::parse(&inner[20..]).unwrap();
        u64::from_be_bytes(*datagram.payload().first_chunk().unwrap())
    });
    numbers.collect()
}

#[test]
fn extended_numbers_go_on_beyond_2_to_the_32_where_packets_come_in_and_where_they_go_out() {
    const END: u64 = 1 << 32;
    let transforms = [
        Transform::Aes128Gcm16,
        Transform::ChaCha20Poly1305,
        Transform::Aes256Sha512,
        Transform::NullSha256,
    ];
    let sas: Vec<Sa> = (0..)
        .zip(transforms)
        .map(|(number, transform)| Sa::new(number, Family::Ip4, transform, true, false))
        .collect();
    let start = format!("seq {}", END - 6);
    let [out, back] = run_and_collect(&sas, |gateway| {
        for sa in &sas {
            gateway.install(sa, &start, &start);
            let mac = gateway.mac;
            let frame = |number| sa.frame(mac, &sa.good(number));
            let before = gateway.settle();
            // A little out of order, over the edge too.
            for number in [END - 5, END - 3, END - 4, END - 2, END + 1, END - 1, END, END + 2] {
                gateway.send(&frame(number));
            }
            assert_eq!(dropped(&before, &gateway.settle()), BTreeMap::new());
            refused(
                gateway,
                "repeated",
                &[END - 3, END - 1, END, END + 2].map(frame),
                "esp_replayed",
            );
            // Their low halves are ahead, their high ones are not what the window says.
            refused(gateway, "wrapped", &[END * 2 + 3, 3].map(frame), "esp_icv");
            gateway.send(&frame(END + 3));
            for number in 0..12_u64 {
                gateway.send(&clear_frame(mac, sa, &number.to_be_bytes()));
            }
            assert_eq!(gateway.settle().drops().get("esp_sequence"), None);
            for spi in [sa.spi, sa.spi + 1] {
                let last = if spi == sa.spi { END + 3 } else { END + 6 };
                assert_eq!(gateway.shown(spi).unwrap()["sequence"], last, "{}", sa.transform);
            }
        }
    });
    let came = [-5, -3, -4, -2, 1, -1, 0, 2, 3].map(|from: i64| END.wrapping_add_signed(from));
    assert_eq!(numbers(&out), came.repeat(sas.len()));
    for (sa, frames) in sas.iter().zip(back.chunks(12)) {
        assert_eq!(opened(sa, frames, END - 5), (0..12).collect::<Vec<_>>());
    }
    assert_eq!(back.len(), 12 * sas.len());
}

#[test]
fn without_extended_numbers_an_sa_ends_with_them_in_either_direction() {
    const LAST: u64 = u32::MAX as u64;
    let sa = Sa::new(0, Family::Ip4, Transform::Aes256Gcm16, false, false);
    let [out, back] = run_and_collect(std::slice::from_ref(&sa), |gateway| {
        gateway.install(
            &sa,
            &format!("window 64 seq {}", LAST - 3),
            &format!("seq {}", LAST - 2),
        );
        let mac = gateway.mac;
        let frame = |number| sa.frame(mac, &sa.good(number));
        let before = gateway.settle();
        for number in [LAST - 1, LAST, LAST - 2] {
            gateway.send(&frame(number));
        }
        assert_eq!(dropped(&before, &gateway.settle()), BTreeMap::new());
        refused(
            gateway,
            "round again",
            &[LAST + 1, LAST + 2, LAST + 9].map(frame),
            "esp_old",
        );
        let before = gateway.settle();
        for number in 0..5_u64 {
            gateway.send(&clear_frame(mac, &sa, &number.to_be_bytes()));
        }
        let after = gateway.settle();
        let ended = BTreeMap::from([("esp_sequence".to_owned(), 3)]);
        assert_eq!(dropped(&before, &after), ended);
        let shown = gateway.shown(sa.spi + 1).unwrap();
        assert_eq!(
            (&shown["sequence"], &shown["drops"]["exhausted"]),
            (&LAST.into(), &3.into())
        );
        wait_until("that it is said to be over soon", LIMIT, || {
            let shown = gateway.shown(sa.spi + 1).unwrap();
            Ok((shown["state"] == "expiring").then_some(()))
        })
        .unwrap();
        assert_eq!(gateway.shown(sa.spi).unwrap()["drops"]["too_old"], 3);
    });
    assert_eq!(numbers(&out), [LAST - 1, LAST, LAST - 2]);
    assert_eq!(opened(&sa, &back, LAST - 1), [0, 1]);
}

#[test]
fn an_sa_carries_as_many_packets_as_its_hard_lifetime_says_and_is_deleted_then() {
    let sas: Vec<Sa> = (0..2)
        .map(|number| Sa::new(number, Family::Ip4, Transform::Aes128Gcm16, true, false))
        .collect();
    let [out, back] = run_and_collect(&sas, |gateway| {
        let mac = gateway.mac;
        gateway.install(&sas[0], "hard packets 3", "");
        gateway.install(&sas[1], "", "hard packets 3");
        let before = gateway.settle();
        for number in 1..=7 {
            gateway.send(&sas[0].frame(mac, &sas[0].good(number)));
            gateway.send(&clear_frame(mac, &sas[1], &u64::to_be_bytes(number)));
        }
        let over = BTreeMap::from([("esp_lifetime".to_owned(), 8)]);
        assert_eq!(dropped(&before, &gateway.settle()), over);
        wait_until("that they are deleted", LIMIT, || {
            gateway.settle();
            let gone = [sas[0].spi, sas[1].spi + 1].map(|spi| gateway.shown(spi).is_none());
            Ok((gone == [true, true]).then_some(()))
        })
        .unwrap();
        gateway.settle();
        refused(
            gateway,
            "of an SA that is over",
            &[sas[0].frame(mac, &sas[0].good(8))],
            "esp_spi",
        );
    });
    assert_eq!(numbers(&out), [1, 2, 3]);
    assert_eq!(opened(&sas[1], &back, 1), [1, 2, 3]);
}

#[test]
fn what_is_refused_is_no_use_of_an_sa() {
    let sa = Sa::new(0, Family::Ip4, Transform::Aes256Gcm16, false, false);
    run_and_collect(std::slice::from_ref(&sa), |gateway| {
        gateway.install(&sa, "", "sel src 0.0.0.0/0 dst 10.77.0.0/16");
        let mac = gateway.mac;
        let idle = |gateway: &Gateway, spi| gateway.shown(spi).unwrap()["idle_ms"].clone();
        let mut forged = sa.good(1);
        forged[20] ^= 1;
        refused(gateway, "forged", &[sa.frame(mac, &forged)], "esp_icv");
        refused(
            gateway,
            "outbound",
            &[clear_frame(mac, &sa, &[0; 8])],
            "esp_selector",
        );
        for spi in [sa.spi, sa.spi + 1] {
            assert!(idle(gateway, spi).is_null(), "{spi:#x} was never used");
        }
        gateway.send(&sa.frame(mac, &sa.good(1)));
        gateway.settle();
        assert!(idle(gateway, sa.spi).is_u64());
    });
}

#[test]
fn packets_of_every_length_around_that_of_a_buffer_are_sealed_and_opened() {
    let sas = [
        Sa::new(0, Family::Ip4, Transform::Aes256Gcm16, false, false),
        Sa::new(1, Family::Ip4, Transform::Aes128Sha256, true, true),
    ];
    const LENGTHS: std::ops::RangeInclusive<usize> = 330..=560;
    let small = "[limits]\npacket_buffer_bytes = 512";
    let [out, back] = run_and_collect_with(&sas, small, |gateway| {
        for sa in &sas {
            gateway.install(sa, "", "");
            let before = gateway.settle();
            let mac = gateway.mac;
            for (number, len) in (1..).zip(LENGTHS) {
                gateway.send(&sa.frame(mac, &sa.seal(number, &sa.inner(&vec![7; len]), 4)));
                gateway.send(&clear_frame(mac, sa, &vec![7; len]));
            }
            assert_eq!(dropped(&before, &gateway.settle()), BTreeMap::new());
        }
    });
    let expected = sas.len() * LENGTHS.count();
    assert_eq!((out.len(), back.len()), (expected, expected));
}

#[test]
fn packets_of_an_sa_keep_their_order_wherever_they_come_from() {
    let sa = Sa::new(0, Family::Ip4, Transform::Aes256Gcm16, false, true);
    let numbers_sent: Vec<u64> = (1..=200).collect();
    let [out, _] = run_and_collect(std::slice::from_ref(&sa), |gateway| {
        gateway.install(&sa, "window 512", "");
        let mac = gateway.mac;
        let before = gateway.settle();
        for number in &numbers_sent {
            let good = sa.good(*number);
            // A NAT before the peer changes its mind now and then.
            let frame = match number % 7 {
                3 => sa.frame_from(mac, sa.stranger(), &good),
                _ => sa.frame(mac, &good),
            };
            gateway.send(&frame);
        }
        assert_eq!(dropped(&before, &gateway.settle()), BTreeMap::new());
    });
    assert_eq!(numbers(&out), numbers_sent);
}

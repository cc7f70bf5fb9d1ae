//! ESP in tunnel mode with XFRM.

use std::{
    env,
    time::{Duration, Instant},
};

use tests::{Family, Pinger, wait_until};

use crate::peer::{LIMIT, Peer, inside};
use crate::sas::{Pair, TRANSFORMS, USUAL};

/// Around what a tunnel takes in one piece, and in several.
const SIZES: [u16; 6] = [1330, 1371, 1440, 1472, 2000, 8000];

fn is_soak() -> bool {
    env::var_os("TOLLGATE_SOAK").is_some()
}

/// Both families in tunnels over both, with short and long sequence numbers by turns; with each of them at full length.
pub(crate) fn every_transform(peer: &Peer) {
    let mut spi = 0x1000;
    for (turn, over) in Family::BOTH.into_iter().enumerate() {
        peer.protect(over);
        for (number, transform) in TRANSFORMS.iter().enumerate() {
            let usual = (number + turn) % 2 == 1;
            for esn in [usual, !usual].into_iter().take(if is_soak() { 2 } else { 1 }) {
                for to_guest in [true, false] {
                    spi += 1;
                    peer.install(
                        over,
                        Pair {
                            esn,
                            ..Pair::new(spi, to_guest, transform)
                        },
                    );
                }
                let what = format!("{} esn {esn} over {over}", transform.name);
                for family in Family::BOTH {
                    peer.warm_up(family, &what);
                    peer.assert_pings(family, &[13, 1300], &what);
                }
                peer.assert_used(spi - 1, spi, &what);
                peer.delete(over, spi - 1, spi);
            }
        }
        peer.assert_nothing_refused(&format!("over {over}"));
        peer.unprotect();
    }
}

/// RFC 3948: over either family, with and without a checksum.
pub(crate) fn in_udp(peer: &Peer) {
    for over in Family::BOTH {
        // A socket that says that what comes is ESP (SOL_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP); one of IPv6 for that alone (IPV6_V6ONLY).
        let (family, alone, address) = over.choose(
            (2, "1", "S n a4 x8"),
            (10, "setsockopt(S, 41, 26, pack(\"i\", 1))", "S n x4 a16 x4"),
        );
        peer.there(&format!(
            "perl -e 'socket(S, {family}, 2, 17) && {alone} && setsockopt(S, 17, 100, pack(\"i\", 2)) && \
             bind(S, pack(\"{address}\", {family}, 4500, \"\\0\" x 16)) or die $!; fork and exit; sleep' >/dev/null 2>&1"
        ));
        peer.protect(over);
        for (transform, spi) in [(USUAL, 0x2000), (&TRANSFORMS[5], 0x2010)] {
            for (spi, to_guest) in [(spi, true), (spi + 1, false)] {
                let pair = Pair {
                    udp: true,
                    esn: true,
                    ..Pair::new(spi, to_guest, transform)
                };
                peer.install(over, pair);
            }
            let what = format!("{} in UDP over {over}", transform.name);
            for family in Family::BOTH {
                peer.warm_up(family, &what);
                peer.assert_pings(family, &[13, 1300], &what);
            }
            peer.assert_used(spi, spi + 1, &what);
            peer.delete(over, spi, spi + 1);
        }
        peer.assert_nothing_refused(&format!("in UDP over {over}"));
        peer.unprotect();
    }
}

/// What either cuts, before or after it is sealed, the other puts together.
pub(crate) fn packets_of_many_sizes(peer: &Peer) {
    for over in Family::BOTH {
        peer.protect(over);
        for (spi, to_guest) in [(0x3000, true), (0x3001, false)] {
            peer.install(over, Pair::new(spi, to_guest, USUAL));
        }
        let what = format!("many sizes over {over}");
        peer.warm_up(Family::Ip4, &what);
        peer.assert_pings(Family::Ip4, &SIZES, &what);
        peer.assert_pings_back(Family::Ip4, &[1472, 3000], &what);
        peer.warm_up(Family::Ip6, &what);
        // The host is told first of what the tunnel takes.
        let words = ["-c", "2", "-W", "2", "-s", "3000"];
        peer.host.ping(inside(Family::Ip6, 2), &words, LIMIT).unwrap();
        peer.assert_pings(Family::Ip6, &SIZES, &what);
        peer.assert_pings_back(Family::Ip6, &[1452, 3000], &what);
        peer.assert_nothing_refused(&what);
        peer.unprotect();
    }
}

/// The kernel begins shortly before 2^32: what comes behind it is known by the numbers before.
pub(crate) fn numbers_go_beyond_32_bits(peer: &Peer) {
    for (transform, spi) in [(USUAL, 0x4000), (&TRANSFORMS[5], 0x4010)] {
        peer.protect(Family::Ip4);
        peer.install(
            Family::Ip4,
            Pair {
                esn: true,
                ..Pair::new(spi, true, transform)
            },
        );
        peer.install(
            Family::Ip4,
            Pair {
                esn: true,
                // What is ahead by less than a window of 2^32 could as well be behind (RFC 4303, appendix A2.1).
                here: "window 64",
                there: "replay-oseq 0xffffff00",
                ..Pair::new(spi + 1, false, transform)
            },
        );
        peer.warm_up(Family::Ip4, transform.name);
        let words = ["-c", "300", "-i", "0.01", "-W", "10"];
        let pings = peer.host.ping(inside(Family::Ip4, 2), &words, LIMIT).unwrap();
        assert!(pings.all_answered(), "{}: {pings:?}", transform.name);
        let said = peer.there("ip -s xfrm state");
        assert!(said.contains("oseq-hi 0x1"), "{said}");
        peer.assert_nothing_refused(transform.name);
        peer.unprotect();
    }
}

/// Both ends get new SAs again and again, and lose the old ones, while packets go both ways.
pub(crate) fn sas_take_each_others_place(peer: &Peer) {
    let over = Family::Ip4;
    let (duration, least) = if is_soak() { (30, 60) } else { (4, 8) };
    peer.protect(over);
    let mut spi = 0x5001;
    for to_guest in [true, false] {
        spi += 1;
        peer.install(over, Pair::new(spi, to_guest, USUAL));
    }
    peer.warm_up(over, "the first SAs");
    let to = inside(over, 2);
    let pinger = Pinger::start(&peer.host, to, &["-i", "0.02", "-s", "400"]).unwrap();
    let (began, mut rolls) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(duration) || rolls < least {
        for to_guest in [true, false] {
            spi += 1;
            peer.install(over, Pair::new(spi, to_guest, USUAL));
        }
        peer.delete(over, spi - 3, spi - 2);
        rolls += 1;
    }
    let pings = pinger.interrupt(LIMIT).unwrap();
    println!("{rolls} times, {pings:?}");
    assert!(pings.all_answered());
    peer.assert_nothing_refused("new SAs");
    peer.unprotect();
}

/// A kernel that has no policy any more sends in clear what this gateway takes from a tunnel only.
pub(crate) fn what_comes_in_clear_is_dropped(peer: &Peer) {
    let over = Family::Ip4;
    peer.protect(over);
    for (spi, to_guest) in [(0x6000, true), (0x6001, false)] {
        peer.install(over, Pair::new(spi, to_guest, USUAL));
    }
    peer.warm_up(over, "before it sends in clear");
    peer.there("ip xfrm policy flush");
    let before = peer.primary.counters_at_rest().unwrap().dropped("esp_clear");
    let pings = peer.ping_back(over, &["-c", "3", "-i", "0.02", "-W", "1"]);
    assert_eq!(pings.answered, 0);
    wait_until("that they are refused", LIMIT, || {
        let counters = peer.primary.counters_at_rest()?;
        Ok((counters.dropped("esp_clear") - before == 3).then_some(()))
    })
    .unwrap();
    peer.unprotect();
}

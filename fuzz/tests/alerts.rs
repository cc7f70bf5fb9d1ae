//! Mutated router alerts through the stages of the primary, in one segment and in several, and through what a relay does with them.
//!
//! 100,000 of them; ten million with TOLLGATE_SOAK set. TOLLGATE_SEED takes the seed that a failure printed.

use std::env;
use std::time::Instant;

use fuzz::gateway::topology::INGRESSES;
use fuzz::gateway::{Gateway, MOST, Seen, alerts};
use fuzz::mutate::mutate;
use fuzz::random::Random;
use fuzz::wire::router_alert;
use primary::path::punt::PuntMode;

/// The interface that no kernel feeds: what is wrong with checksums there is nobody's business on the way.
const INGRESS: u16 = INGRESSES[1];
/// Bytes of a frame before its packet.
const ETHERNET: usize = 14;

/// Says the seed when the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the seed was {0}: TOLLGATE_SEED={0} runs the same packets again",
                self.0
            );
        }
    }
}

#[test]
fn req_ra_1_to_13_every_mutated_alert_fares_as_it_may_and_a_relay_can_do_with_it_what_it_may() {
    let soak = env::var_os("TOLLGATE_SOAK").is_some();
    let seed = env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(seed.unwrap_or(if soak { std::process::id().into() } else { 1 }));
    let count = if soak { 10_000_000 } else { 100_000 };
    let mut random = Random::new(seed.0);
    let gateway = Gateway::new().unwrap();
    let valid = INGRESSES.map(alerts::frames);
    let (mut punted, mut forwarded, mut dropped) = (0u64, 0u64, 0u64);
    let mut frames = vec![Vec::new(); MOST];
    let start = Instant::now();
    let mut done = 0;
    while done < count {
        let ingress = random.below(INGRESSES.len());
        let punts = *random.one_of(&[PuntMode::Off, PuntMode::Tool, PuntMode::Tool, PuntMode::Closed]);
        let burst = 1 + random.below(MOST);
        let valid = &valid[ingress];
        for frame in &mut frames[..burst] {
            frame.clear();
            let whole: &Vec<u8> = random.one_of(valid);
            frame.extend_from_slice(whole);
            mutate(&mut random, frame, &valid[done % valid.len()]);
        }
        let originals = frames[..burst].to_vec();
        gateway.run(
            INGRESSES[ingress],
            punts,
            &mut frames[..burst],
            &originals,
            |seen| match seen {
                Seen::Punted => punted += 1,
                Seen::Forwarded => forwarded += 1,
                Seen::Dropped(_) | Seen::DroppedForOneOfSeveral | Seen::Answered(_) => dropped += 1,
                _ => {}
            },
        );
        for original in &originals {
            router_alert::body(original.get(ETHERNET..).unwrap_or_default());
            let first = random.below(original.len() + 1);
            gateway.run_split(INGRESS, punts, original, first);
        }
        done += burst;
    }
    println!(
        "{done} packets in {:.1} s: {punted} for a tool, {forwarded} forwarded, {dropped} dropped",
        start.elapsed().as_secs_f64()
    );
    for (what, seen) in [
        ("for a tool", punted),
        ("forwarded", forwarded),
        ("dropped", dropped),
    ] {
        assert!(seen > count as u64 / 50, "{seen} of {done} were {what}");
    }
}

#[test]
fn req_ra_4_alerts_cut_at_every_byte_into_two_segments_are_never_read_beyond_them() {
    let gateway = Gateway::new().unwrap();
    for original in alerts::frames(INGRESS).iter().filter(|frame| frame.len() < 400) {
        for first in 0..=original.len() {
            for punts in [PuntMode::Off, PuntMode::Tool, PuntMode::Closed] {
                gateway.run_split(INGRESS, punts, original, first);
            }
        }
    }
}

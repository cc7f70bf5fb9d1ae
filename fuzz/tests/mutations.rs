//! Mutated packets through the stages of the primary: each is forwarded as a router should, or dropped under the reason
//! that the oracle names.
//!
//! 200,000 of them; ten million with TOLLGATE_SOAK set. TOLLGATE_SEED takes the seed that a failure printed.

use std::collections::BTreeMap;
use std::env;
use std::time::Instant;

use fuzz::gateway::topology::INGRESSES;
use fuzz::gateway::{Gateway, MOST, Seen, packets};
use fuzz::mutate::mutate;
use fuzz::random::Random;
use primary::path::punt::PuntMode;
use shm::DropReason;

/// Drops for which one reason alone was right, or an answer, must have been seen of these.
const REASONS: &[DropReason] = &[
    DropReason::EthernetTruncated,
    DropReason::OtherHost,
    DropReason::EthernetSource,
    DropReason::UnknownVlan,
    DropReason::VlanDepth,
    DropReason::UnknownEthertype,
    DropReason::InterfaceDown,
    DropReason::PuntClosed,
    DropReason::Ip4Truncated,
    DropReason::Ip4Version,
    DropReason::Ip4HeaderLength,
    DropReason::Ip4TotalLength,
    DropReason::Ip4Checksum,
    DropReason::Ip4Options,
    DropReason::Ip4SourceRoute,
    DropReason::Ip4MartianSource,
    DropReason::Ip4MartianDestination,
    DropReason::Ip4Multicast,
    DropReason::Ip4DirectedBroadcast,
    DropReason::Ip4LinkBroadcast,
    DropReason::Ip6Truncated,
    DropReason::Ip6Version,
    DropReason::Ip6PayloadLength,
    DropReason::Ip6MartianSource,
    DropReason::Ip6MartianDestination,
    DropReason::Ip6Multicast,
    DropReason::Ip6LinkMulticast,
    DropReason::Ip6LinkLocal,
    DropReason::Ip6Scope,
    DropReason::Ip6ExtensionHeader,
    DropReason::Ip6Option,
    DropReason::Ip6RoutingHeader,
    DropReason::TtlExpired,
    DropReason::NoRoute,
    DropReason::Blackhole,
    DropReason::TooBig,
    DropReason::Oversize,
    DropReason::PartialChecksum,
    DropReason::NeighborFailed,
    DropReason::LocalUnhandled,
    DropReason::IcmpMalformed,
];

/// Reasons for which the sender must have been told.
const TOLD: &[DropReason] = &[
    DropReason::NoRoute,
    DropReason::TtlExpired,
    DropReason::TooBig,
    DropReason::NeighborFailed,
    DropReason::LocalUnhandled,
    DropReason::Ip4Options,
    DropReason::Ip4MartianDestination,
    DropReason::Ip6MartianDestination,
    DropReason::Ip6Scope,
    DropReason::Ip6Option,
    DropReason::Ip6ExtensionHeader,
    DropReason::Ip6RoutingHeader,
];

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
fn every_mutated_packet_is_forwarded_as_a_router_should_or_dropped_for_the_reason_that_it_is() {
    let soak = env::var_os("TOLLGATE_SOAK").is_some();
    let seed = env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(seed.unwrap_or(if soak { std::process::id().into() } else { 1 }));
    let count = if soak { 10_000_000 } else { 200_000 };
    let mut random = Random::new(seed.0);
    let gateway = Gateway::new().unwrap();
    let valid = INGRESSES.map(packets::frames);
    let mut tally = Tally::default();
    let mut frames = vec![Vec::new(); MOST];
    let mut originals = frames.clone();
    let start = Instant::now();
    let mut done = 0;
    while done < count {
        let ingress = random.below(INGRESSES.len());
        let punts = *random.one_of(&[PuntMode::Off, PuntMode::Off, PuntMode::Tool, PuntMode::Closed]);
        let burst = 1 + random.below(MOST);
        for (frame, original) in frames.iter_mut().zip(&mut originals).take(burst) {
            original.clear();
            let valid = &valid[ingress];
            original.extend_from_slice(&valid[random.below(valid.len())]);
            mutate(&mut random, original, &valid[done % valid.len()]);
            frame.clear();
            frame.extend_from_slice(original);
        }
        gateway.run(
            INGRESSES[ingress],
            punts,
            &mut frames[..burst],
            &originals[..burst],
            |seen| tally.add(seen),
        );
        done += burst;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{done} packets in {seconds:.1} s, {:.2} million a second; {tally:?}",
        done as f64 / seconds / 1e6
    );
    tally.must_be_complete();
}

#[test]
fn packets_cut_short_at_every_byte_are_dropped_for_the_reason_that_it_is() {
    let gateway = Gateway::new().unwrap();
    for ingress in INGRESSES {
        for original in packets::frames(ingress).iter().filter(|frame| frame.len() < 200) {
            let cut: Vec<_> = (0..=original.len())
                .map(|length| original[..length].to_vec())
                .collect();
            for originals in cut.chunks(MOST) {
                gateway.run(ingress, PuntMode::Off, &mut originals.to_vec(), originals, |_| ());
            }
        }
    }
}

#[test]
fn packets_with_every_value_in_every_byte_of_their_headers_fare_as_they_may() {
    let gateway = Gateway::new().unwrap();
    let frames = packets::frames(0);
    for original in frames.iter().step_by(17).filter(|frame| frame.len() < 200) {
        for at in 0..original.len().min(70) {
            let with = |value| {
                let mut frame = original.clone();
                frame[at] = value;
                frame
            };
            let originals: Vec<_> = (0..=u8::MAX).map(with).collect();
            for originals in originals.chunks(MOST) {
                gateway.run(0, PuntMode::Off, &mut originals.to_vec(), originals, |_| ());
            }
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    forwarded: u64,
    fragmented: u64,
    reassembled: u64,
    replies: u64,
    control: u64,
    waits: u64,
    punted: u64,
    several: u64,
    dropped: BTreeMap<DropReason, u64>,
    answered: BTreeMap<DropReason, u64>,
}

impl Tally {
    fn add(&mut self, seen: Seen) {
        *match seen {
            Seen::Forwarded => &mut self.forwarded,
            Seen::Fragmented => &mut self.fragmented,
            Seen::Reassembled => &mut self.reassembled,
            Seen::EchoReply => &mut self.replies,
            Seen::Control => &mut self.control,
            Seen::Waits => &mut self.waits,
            Seen::Punted => &mut self.punted,
            Seen::DroppedForOneOfSeveral => &mut self.several,
            Seen::Dropped(reason) => self.dropped.entry(reason).or_default(),
            Seen::Answered(reason) => self.answered.entry(reason).or_default(),
        } += 1;
    }

    /// Otherwise the packets were not what they should be.
    fn must_be_complete(&self) {
        for (what, count) in [
            ("forwarded", self.forwarded),
            ("cut", self.fragmented),
            ("kept for reassembly", self.reassembled),
            ("answered as echo", self.replies),
            ("given to the control thread", self.control),
            ("kept waiting", self.waits),
            ("given to a tool", self.punted),
            ("dropped for one of several reasons", self.several),
        ] {
            assert!(count > 0, "no packet was {what}");
        }
        let of = |tally: &BTreeMap<_, u64>, reason| tally.get(reason).copied().unwrap_or(0);
        for reason in REASONS {
            let count = of(&self.dropped, reason) + of(&self.answered, reason);
            assert!(count > 0, "no packet was dropped as {reason}");
        }
        for reason in TOLD {
            assert!(of(&self.answered, reason) > 0, "nobody was told of {reason}");
        }
    }
}

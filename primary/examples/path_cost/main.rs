//! What the stages cost, without devices.
//!
//! `cargo run --release -p primary --example path_cost [4|6] [ROUNDS]` prints the least of ROUNDS (default 200) runs over 10,000 packets to
//! as many routes in ticks of the time stamp counter per packet, each packet copied into place first as a device would; what that copy alone
//! takes is left out.
//!
//! `path_cost count` takes the same packets through the stages once, for both families and with each [`Feature`] on, and prints the names in
//! this order. It is for callgrind, which counts what happens in [`forward`] and writes a figure after each [`setting`]; so `cargo xtask
//! instructions` has instructions per packet.

mod tables;

use std::process::ExitCode;

use primary::path::{BURST, Burst, NOTES};

use tables::{Family, Feature, Frame, Path};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("count") {
        return count();
    }
    let family = if first.as_deref() == Some("6") {
        Family::Six
    } else {
        Family::Four
    };
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200);
    match measure(family, rounds) {
        Some((ticks, copy)) => {
            println!("{:.2} ticks per packet, and {copy:.2} for its copy", ticks - copy);
            ExitCode::SUCCESS
        }
        None => failed(),
    }
}

fn failed() -> ExitCode {
    eprintln!("path_cost: a packet was not forwarded");
    ExitCode::FAILURE
}

fn count() -> ExitCode {
    for family in [Family::Four, Family::Six] {
        for feature in Feature::ALL {
            let Some((path, frames)) = tables::make(family, feature) else {
                return failed();
            };
            if setting(&path, &frames).is_none() {
                return failed();
            }
            println!("{} {}", family.name(), feature.name());
        }
    }
    ExitCode::SUCCESS
}

/// All packets once. Not inlined, and a name of its own: callgrind goes by it.
#[inline(never)]
fn setting(path: &Path, frames: &[Frame]) -> Option<()> {
    let mut places = [[0; 60]; BURST];
    for burst in frames.chunks_exact(BURST) {
        places.copy_from_slice(burst);
        forward(path, &mut places)?;
    }
    Some(())
}

/// A burst through the stages. Not inlined, for the same reason.
#[inline(never)]
fn forward(path: &Path, packets: &mut [Frame]) -> Option<()> {
    let mut notes = NOTES;
    let together = path.run(
        0,
        &mut Burst {
            packets,
            notes: &mut notes,
        },
    );
    (together?.egress == 1).then_some(())
}

fn measure(family: Family, rounds: usize) -> Option<(f64, f64)> {
    let (path, frames) = tables::make(family, Feature::None)?;
    let mut least = [f64::INFINITY; 2];
    let mut places = vec![[0; 60]; BURST * 8];
    for _ in 0..rounds {
        for (with_stages, least) in [true, false].into_iter().zip(&mut least) {
            let begin = dpdk::tsc();
            for (number, burst) in frames.chunks_exact(BURST).enumerate() {
                let places = &mut places[number % 8 * BURST..][..BURST];
                for (place, frame) in places.iter_mut().zip(burst) {
                    place.copy_from_slice(frame);
                }
                std::hint::black_box(&mut *places);
                if with_stages {
                    forward(&path, places)?;
                }
            }
            let count = frames.len() / BURST * BURST;
            *least = least.min((dpdk::tsc() - begin) as f64 / count as f64);
        }
    }
    Some((least[0], least[1]))
}

//! What an engine of IKEv2 has written down, and another takes up: records of IKE SAs in a batch that is whole, since in no other they are
//! looked at.
//!
//! ```text
//!   input: entries of a batch:  │ SPI, 8 │ length, 4 │ record │ ..
//! ```

use std::sync::OnceLock;

use ike_engine::{Engine, Phase, Time};

use super::{ike_engine as exchanges, sure};

/// Magic, version, that it stands alone.
const BEFORE_LENGTH: usize = 6;
const HEADER: usize = BEFORE_LENGTH + 4;
const CHECK: usize = 8;
/// When the next process begins.
const NOW: u64 = 1000;

/// A batch with these entries: header and check are as they have to be.
fn batch(entries: &[u8]) -> Vec<u8> {
    // Whatever the version is.
    static BEGIN: OnceLock<Vec<u8>> = OnceLock::new();
    let begin = BEGIN.get_or_init(|| exchanges::ours().snapshot().expose()[..BEFORE_LENGTH].to_vec());
    let length = sure(u32::try_from(entries.len()));
    let mut batch = [begin, &length.to_be_bytes()[..], entries].concat();
    // FNV-1a.
    let sum = batch.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    batch.extend(sum.to_be_bytes());
    batch
}

/// What negotiations have left, at each of their ends and in the midst of a rekeying.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for negotiation in exchanges::seeds() {
        let Some((mut engine, now)) = exchanges::replay(&negotiation) else {
            continue;
        };
        let now = Time::from_millis(now);
        for step in 0..3 {
            match step {
                0 => {}
                1 => sure(engine.rekey_children(now, "pr1")),
                _ => sure(engine.terminate(now, "pr1")),
            }
            let snapshot = engine.snapshot();
            let whole = snapshot.expose();
            seeds.push(whole[HEADER..whole.len() - CHECK].to_vec());
        }
    }
    seeds
}

fn drain(engine: &mut Engine) {
    while engine.output().is_some() {}
}

/// Timers come to an end, also where moments make no sense.
fn pass(engine: &mut Engine, from: u64, millis: u64) {
    let (mut now, mut rounds) = (from, 0);
    while let Some(at) = engine
        .deadline()
        .map(Time::as_millis)
        .filter(|at| *at <= from + millis)
    {
        rounds = if at > now { 0 } else { rounds + 1 };
        assert!(rounds < 1000, "time stands still");
        now = at.max(now);
        engine.timeout(Time::from_millis(now));
        drain(engine);
    }
}

/// Takes it up: what is taken is written down and taken up again, and goes when its profile is terminated.
pub fn body(input: &[u8]) {
    let now = Time::from_millis(NOW);
    let mut engine = exchanges::ours();
    let restored = engine.restore(now, &batch(input));
    assert_eq!(restored.ignored, 0, "the batch is whole");
    let established = |engine: &Engine| {
        let there = |phase: Phase| !matches!(phase, Phase::Closed);
        engine.ikes().filter(|view| there(view.phase)).count()
    };
    assert_eq!(established(&engine), restored.ikes);
    engine.reconcile(now, &[]);
    drain(&mut engine);
    let again = engine.snapshot();
    let mut next = exchanges::ours();
    let second = next.restore(now, again.expose());
    assert_eq!((second.ikes, second.left_out), (restored.ikes, Vec::new()));
    pass(&mut next, NOW, 100_000);
    sure(next.terminate(Time::from_millis(NOW + 100_000), "pr1"));
    drain(&mut next);
    pass(&mut next, NOW + 100_000, 100_000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_is_taken_up() {
        let seeds = seeds();
        assert_eq!(seeds.len(), 18);
        for seed in seeds {
            let restored = exchanges::ours().restore(Time::from_millis(NOW), &batch(&seed));
            assert!(restored.ikes > 0 && restored.left_out.is_empty(), "{restored:?}");
        }
    }
}

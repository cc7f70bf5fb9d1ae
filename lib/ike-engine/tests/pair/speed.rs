//! What a handshake costs, and what an IKE SA takes: figures are those of a release build, with `TOLLGATE_SOAK` set.

use std::time::{Duration, Instant};

use ike_engine::{Engine, Output, Path, Settings, Time};

use crate::is_soak;
use crate::profiles::{ike, profile};
use crate::world::engine;

/// Datagrams that an end has to send.
fn sent(engine: &mut Engine) -> Vec<(Path, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(output) = engine.output() {
        if let Output::Send(datagram) = output {
            sent.push((datagram.path, datagram.payload));
        }
    }
    sent
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}

fn handshakes(group: &str, count: u32) {
    let profiles = [0, 1].map(|end| {
        let mut profile = profile(end);
        profile.proposals = ike(&[&format!("aes128gcm16-prfsha256-{group}")]);
        profile
    });
    let [left, right] = profiles;
    let mut ends =
        [(left, 1), (right, 2)].map(|(profile, seed)| engine(0, Settings::default(), vec![profile], seed));
    let before = resident();
    let (begun, mut responder) = (Instant::now(), Duration::ZERO);
    for _ in 0..count {
        let now = Time::from_millis(1);
        ends[0].initiate(now, "pr1").unwrap();
        for to in [1, 0, 1, 0] {
            for (path, payload) in sent(&mut ends[1 - to]) {
                let at = Instant::now();
                ends[to].handle(now, path.remote, path.local, &payload);
                responder += if to == 1 { at.elapsed() } else { Duration::ZERO };
            }
        }
    }
    let whole = begun.elapsed();
    assert_eq!(ends[1].counters().established, u64::from(count));
    let kib = resident().saturating_sub(before) as f64 / f64::from(count);
    let rate = f64::from(count) / whole.as_secs_f64();
    println!(
        "{group}: {rate:.0} handshakes with a child SA per second, both ends on one core; {:.0} us of the responder; {kib:.1} KiB per \
         IKE SA of both ends",
        responder.as_secs_f64() * 1e6 / f64::from(count)
    );
    // 10,000 of one end in 200 MB.
    assert!(!is_soak() || kib / 2.0 < 20.0, "{kib}");
}

#[test]
fn handshakes_per_second_and_memory_per_ike_sa() {
    let count = if is_soak() { 10_000 } else { 50 };
    for group in ["ecp256", "curve25519"] {
        handshakes(group, count);
    }
}

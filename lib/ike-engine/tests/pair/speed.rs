//! What a handshake costs, and what an IKE SA takes: figures are those of a release build, with `TOLLGATE_SOAK` set.

use std::time::{Duration, Instant};

use ike_engine::{Engine, Identity, Output, Path, Settings, Time};

use crate::certificates;
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

fn handshakes(group: &str, certificate: Option<&str>, count: u32) {
    let profiles = [0, 1].map(|end| {
        let mut profile = profile(end);
        if let Some(kind) = certificate {
            certificates::set(end.into(), &mut profile, kind);
        }
        profile.proposals = ike(&[&format!("aes128gcm16-prfsha256-{group}")]);
        profile
    });
    let [left, right] = profiles;
    let settings = Settings {
        max_ike_per_peer: usize::MAX,
        ..Settings::default()
    };
    let mut ends = [(left, 1), (right, 2)].map(|(profile, seed)| engine(0, settings, vec![profile], seed));
    let zero = Time::from_millis(0);
    ends.iter_mut()
        .for_each(|end| end.set_time_of_day(zero, certificates::NOW));
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
        "{group}, {}: {rate:.0} handshakes with a child SA per second, both ends on one core; {:.0} us of the responder; {kib:.1} KiB per \
         IKE SA of both ends",
        certificate.unwrap_or("a shared key"),
        responder.as_secs_f64() * 1e6 / f64::from(count)
    );
    let at = Instant::now();
    let snapshot = ends[1].snapshot();
    let (whole, len) = (at.elapsed(), snapshot.len());
    let at = Instant::now();
    assert!(ends[1].changes().is_none());
    let nothing = at.elapsed();
    ends[1].rekey_children(Time::from_millis(2), "pr1").unwrap();
    let at = Instant::now();
    let all = ends[1].changes().unwrap().len();
    println!(
        "{count} IKE SAs are written down in {whole:?} ({} bytes each), a rekeying of all in {:?} ({all} bytes); that nothing has changed is \
         known in {nothing:?}",
        len / count as usize,
        at.elapsed()
    );
    // 10,000 of one end in 200 MB.
    assert!(!is_soak() || kib / 2.0 < 20.0, "{kib}");
}

#[test]
fn handshakes_per_second_and_memory_per_ike_sa() {
    let count = if is_soak() { 10_000 } else { 50 };
    for group in ["ecp256", "curve25519"] {
        handshakes(group, None, count);
    }
    for kind in ["ecdsa256", "rsa", "ed25519"] {
        handshakes("ecp256", Some(kind), count / 5);
    }
}

/// Peers that were started anew say so with INITIAL_CONTACT: what there is of others makes it no dearer.
#[test]
fn initial_contacts_per_second_beside_ike_sas_of_others() {
    let count: u32 = if is_soak() { 10_000 } else { 50 };
    let anybody = {
        let mut profile = profile(1);
        profile.remote_id = None;
        profile
    };
    let mut responder = engine(0, Settings::default(), vec![anybody], 2);
    responder.changes();
    let mut rates = Vec::new();
    for round in 0..2 {
        let (now, mut time) = (Time::from_millis(round), Duration::ZERO);
        for number in 0..count {
            let mut profile = profile(0);
            profile.local_id = Identity::fqdn(&format!("left-{number}.example.org"));
            let seed = u64::from(number) + 1 + round * 1_000_003;
            let mut peer = engine(0, Settings::default(), vec![profile], seed);
            peer.initiate(now, "pr1").unwrap();
            for _ in 0..2 {
                for (path, payload) in sent(&mut peer) {
                    let at = Instant::now();
                    responder.handle(now, path.remote, path.local, &payload);
                    // Each call is followed by this.
                    responder.changes();
                    time += at.elapsed();
                }
                for (path, payload) in sent(&mut responder) {
                    peer.handle(now, path.remote, path.local, &payload);
                }
            }
        }
        // Those of the first round are gone in the second.
        assert_eq!(responder.ikes().count(), count as usize);
        rates.push(f64::from(count) / time.as_secs_f64());
    }
    println!(
        "{count} peers: {:.0} handshakes per second of the responder alone, which writes each down; {:.0} when each takes one away",
        rates[0], rates[1]
    );
}

//! How many handshakes two engines make in a second of one core, without I/O: pre-shared keys, ecp256, AES-GCM-128, with a child SA.
//!
//! `cargo run --release -p ike-engine --example handshakes` takes two seconds.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ike_engine::{
    ChildProfile, Engine, Identity, Lifetime, LocalAuth, Output, Path, Profile, RemoteAuth, Settings,
    StartAction, Time,
};
use ikev2::crypto::Secret;
use ikev2::proposal::Proposal;
use ikev2::wire::{ProtocolId, TrafficSelector};

const TIME: Duration = Duration::from_secs(2);
/// Between two looks at the clock; then both begin anew, so that memory is not what is measured.
const ROUND: u64 = 500;
const ENDS: [[u8; 4]; 2] = [[192, 0, 2, 1], [198, 51, 100, 2]];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (mut made, mut took) = (0, Duration::ZERO);
    // Of the CPU, so that it does not hang on who else has it.
    while took < TIME {
        let mut ends = [engine(0, 1)?, engine(1, 0)?];
        let began = spent()?;
        for _ in 0..ROUND {
            handshake(&mut ends)?;
        }
        took += spent()? - began;
        if ends.iter().any(|end| end.counters().established != ROUND) {
            return Err("a handshake came to nothing".into());
        }
        made += ROUND;
    }
    println!("{:.0} handshakes per second", made as f64 / took.as_secs_f64());
    Ok(())
}

/// Time on a CPU so far.
fn spent() -> Outcome<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text
        .split(' ')
        .next()
        .ok_or("the kernel says nothing of schedules")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn engine(own: usize, other: usize) -> Outcome<Engine> {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap_or_else(|_| std::process::abort());
    let profiles = vec![profile(own, other)?];
    let zero = Time::from_millis(0);
    // One peer makes them all.
    let settings = Settings {
        max_ike_per_peer: ROUND as usize,
        ..Settings::default()
    };
    Ok(Engine::new(zero, settings, profiles, Box::new(random)))
}

fn profile(own: usize, other: usize) -> Outcome<Profile> {
    let ends = ENDS.map(IpAddr::from);
    let network = |end: usize| {
        let [first, last] = [0, 255].map(|host| IpAddr::from([10, end as u8, 0, host]));
        TrafficSelector::new(0, (0, u16::MAX), first, last).ok_or("the traffic selector is none")
    };
    let lifetime = Lifetime {
        soft: Duration::from_secs(3600),
        jitter: Duration::from_secs(360),
        hard: Duration::from_secs(4000),
    };
    let key = Arc::new(Secret::from(b"a key that both have".to_vec()));
    Ok(Profile {
        name: "peer".to_owned(),
        local_address: ends[own],
        remote_address: Some(ends[other]),
        local_id: Identity::address(ends[own]),
        remote_id: Some(Identity::address(ends[other])),
        local_auth: LocalAuth::Psk(key.clone()),
        remote_auth: RemoteAuth::Psk(key),
        proposals: vec![Proposal::parse(ProtocolId::IKE, "aes128gcm16-prfsha256-ecp256")?],
        children: vec![ChildProfile {
            name: "net".to_owned(),
            proposals: vec![Proposal::parse(ProtocolId::ESP, "aes128gcm16-noesn")?],
            local: vec![network(own)?],
            remote: vec![network(other)?],
            lifetime,
        }],
        childless: false,
        lifetime,
        liveness: Duration::from_secs(30),
        start: StartAction::None,
        dead_peer: None,
    })
}

/// IKE_SA_INIT and IKE_AUTH. What is to be written down for the next process is so, as the daemon does it.
fn handshake(ends: &mut [Engine; 2]) -> Outcome<()> {
    let now = Time::from_millis(1);
    ends[0].initiate(now, "peer")?;
    for to in [1, 0, 1, 0] {
        for (path, payload) in sent(&mut ends[1 - to]) {
            ends[to].handle(now, path.remote, path.local, &payload);
        }
    }
    Ok(())
}

/// Datagrams that an end has to send.
fn sent(engine: &mut Engine) -> Vec<(Path, Vec<u8>)> {
    drop(engine.changes());
    let mut sent = Vec::new();
    while let Some(output) = engine.output() {
        if let Output::Send(datagram) = output {
            sent.push((datagram.path, datagram.payload));
        }
    }
    sent
}

//! Exchanges of IKEv2: datagrams to an engine, whose clock and random numbers are the same each time, so that seeds are whole
//! negotiations that work.
//!
//! ```text
//!   input: │ 1: it begins, 0: the other │ what it is given, any number of times │
//!   each:  │ seconds that pass before, 4 bits │ 0 │ another source │ port 4500 │ length, 2 │ datagram │
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ike_engine::{
    ChildProfile, Datagram, Engine, IKE_PORT, Identity, Lifetime, LocalAuth, NAT_PORT, Output, Phase,
    Profile, RemoteAuth, Settings, StartAction, Time,
};
use ikev2::crypto::Secret;
use ikev2::proposal::Proposal;
use ikev2::wire::{Message, ProtocolId, TrafficSelector};

use super::sure;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));

const NAT: u8 = 1;
const OTHER: u8 = 2;

const SETTINGS: fn() -> Settings = || Settings {
    cookie_threshold: 3,
    max_half_open: 5,
    ..Settings::default()
};

fn engine(here: IpAddr, there: Option<IpAddr>, seed: u64) -> Engine {
    let proposal = |protocol, words| vec![sure(Proposal::parse(protocol, words))];
    let lifetime = Lifetime {
        soft: Duration::from_secs(60),
        jitter: Duration::from_secs(10),
        hard: Duration::from_secs(120),
    };
    let all = |address| sure(TrafficSelector::new(0, (0, 0xffff), address, address).ok_or(()));
    let name = |address: IpAddr| Identity::address(address);
    let end = if here == HERE {
        (HERE, THERE)
    } else {
        (THERE, HERE)
    };
    let key = Arc::new(Secret::from(b"of both".to_vec()));
    let profile = Profile {
        name: "pr1".to_owned(),
        local_address: here,
        remote_address: there,
        local_id: name(end.0),
        remote_id: Some(name(end.1)),
        local_auth: LocalAuth::Psk(key.clone()),
        remote_auth: RemoteAuth::Psk(key),
        proposals: proposal(ProtocolId::IKE, "aes256gcm16-prfsha256-curve25519"),
        children: vec![ChildProfile {
            name: "net".to_owned(),
            proposals: proposal(ProtocolId::ESP, "aes256gcm16-esn"),
            local: vec![all(end.0)],
            remote: vec![all(end.1)],
            lifetime,
        }],
        childless: false,
        lifetime,
        liveness: Duration::from_secs(20),
        start: StartAction::None,
        dead_peer: None,
    };
    let mut random = crate::random::Random::new(seed);
    let random = move |bytes: &mut [u8]| bytes.fill_with(|| random.byte());
    Engine::new(Time::from_millis(0), SETTINGS(), vec![profile], Box::new(random))
}

/// The one that is given inputs.
pub(super) fn ours() -> Engine {
    engine(HERE, Some(THERE), 1)
}

fn sent(engine: &mut Engine) -> Vec<Datagram> {
    let mut sent = Vec::new();
    while let Some(output) = engine.output() {
        if let Output::Send(datagram) = output {
            let path = datagram.path;
            let message = match path.local.port() {
                NAT_PORT => datagram.payload.get(4..),
                _ => Some(&datagram.payload[..]),
            };
            // A keepalive is one byte.
            if let Some(message) = message.filter(|_| datagram.payload.len() > 1) {
                sure(Message::parse(message));
            }
            sent.push(datagram);
        }
    }
    sent
}

/// Lets time pass, timer by timer.
fn pass(engine: &mut Engine, now: &mut u64, millis: u64) {
    let end = *now + millis;
    let mut rounds = 0;
    while let Some(at) = engine.deadline().map(Time::as_millis).filter(|at| *at <= end) {
        rounds = if at > *now { 0 } else { rounds + 1 };
        assert!(rounds < 1000, "time stands still");
        *now = at.max(*now);
        engine.timeout(Time::from_millis(*now));
        sent(engine);
    }
    *now = end;
}

/// What a negotiation gives to the one that is given inputs, with the rekeyings that follow.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for begins in [0, 1] {
        // Who has no address for its peer cannot begin, and answers anybody.
        let (mut left, mut right) = (ours(), engine(THERE, (begins == 0).then_some(HERE), 2));
        let mut seed = vec![begins];
        let now = Time::from_millis(0);
        let first = if begins == 1 { &mut left } else { &mut right };
        sure(first.initiate(now, "pr1"));
        for round in 0..3 {
            loop {
                let (to_right, to_left) = (sent(&mut left), sent(&mut right));
                if to_right.is_empty() && to_left.is_empty() {
                    break;
                }
                for datagram in to_right {
                    right.handle(now, datagram.path.remote, datagram.path.local, &datagram.payload);
                }
                for datagram in to_left {
                    left.handle(now, datagram.path.remote, datagram.path.local, &datagram.payload);
                    let port = if datagram.path.remote.port() == NAT_PORT {
                        NAT
                    } else {
                        0
                    };
                    seed.push(port);
                    seed.extend(sure(u16::try_from(datagram.payload.len())).to_be_bytes());
                    seed.extend(datagram.payload);
                }
            }
            assert!(
                left.ikes().any(|view| view.phase == Phase::Established),
                "a seed makes an IKE SA"
            );
            seeds.push(seed.clone());
            match round {
                0 => sure(right.rekey_children(now, "pr1")),
                _ => sure(right.rekey_ike(now, "pr1")),
            }
        }
    }
    seeds
}

/// Whatever comes, an engine stays within its limits, and has nothing left when nothing comes any more.
pub fn body(input: &[u8]) {
    let Some((mut engine, mut now)) = replay(input) else {
        return;
    };
    pass(&mut engine, &mut now, 600_000);
    assert_eq!(engine.ikes().count(), 0, "IKE SAs are left");
    assert_eq!(engine.deadline(), None);
}

/// An engine that was given an input, and when that was over; `None`: there is nothing in it.
pub(super) fn replay(input: &[u8]) -> Option<(Engine, u64)> {
    let (begins, mut rest) = input.split_first()?;
    let mut engine = ours();
    let mut now = 0;
    if begins & 1 == 1 {
        sure(engine.initiate(Time::from_millis(now), "pr1"));
        sent(&mut engine);
    }
    while let [flags, length0, length1, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*length0, *length1])).min(behind.len());
        let (datagram, behind) = behind.split_at(length);
        rest = behind;
        pass(&mut engine, &mut now, u64::from(flags >> 4) * 1000);
        let port = if flags & NAT != 0 { NAT_PORT } else { IKE_PORT };
        let source = if flags & OTHER != 0 { ELSEWHERE } else { THERE };
        let [local, remote]: [SocketAddr; 2] = [(HERE, port).into(), (source, port).into()];
        engine.handle(Time::from_millis(now), local, remote, datagram);
        assert!(sent(&mut engine).len() <= 4, "one datagram is answered by few");
        let half_open = engine.ikes().filter(|view| view.phase == Phase::HalfOpen).count();
        assert!(
            half_open <= SETTINGS().max_half_open,
            "{half_open} half-open IKE SAs"
        );
    }
    Some((engine, now))
}

#[cfg(test)]
mod tests {
    use ike_engine::IkeView;

    use super::*;

    /// Otherwise the target would be about strangers alone, and nobody would see that.
    #[test]
    fn each_seed_makes_an_ike_sa_with_a_child_sa_again() {
        let seeds = seeds();
        assert_eq!(seeds.len(), 6);
        for seed in seeds {
            let (engine, _) = replay(&seed).unwrap();
            let there = |view: IkeView| view.phase == Phase::Established && view.children.len() == 1;
            assert!(engine.ikes().any(there));
        }
    }
}

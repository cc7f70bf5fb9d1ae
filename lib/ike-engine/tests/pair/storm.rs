//! A network as bad as it gets, and both ends busy: afterwards they agree.

use ike_engine::{Identity, Settings, StartAction};

use crate::certificates;
use crate::is_soak;
use crate::network::{Dice, NatBox, Network};
use crate::profiles::{self, LEFT, OUTSIDE, child, esp, ike, ip, lifetime, seconds};
use crate::world::{Kill, World};

/// The world of a seed.
fn world(seed: u64, dice: &mut Dice) -> World {
    let mut both = [profiles::profile(0), profiles::profile(1)];
    let suites = [
        "aes256gcm16-prfsha256-curve25519-ecp256",
        "aes256gcm16-prfsha256-ecp256-curve25519",
        "aes128-sha256-curve25519-ecp256",
        "aes128gcm16-aes256gcm16-prfsha256-curve25519",
    ];
    let children = [
        "aes256gcm16-esn",
        "aes256gcm16-curve25519-ecp256-esn",
        "aes256gcm16-ecp256-curve25519-esn",
    ];
    let (suite, esp_suite, several) = (dice.below(4) as usize, dice.below(3), dice.percent(30));
    let (soft, ike_soft) = (20 + dice.below(60), 40 + dice.below(120));
    let (nat, big, childless) = (dice.percent(40), dice.percent(30), dice.percent(20));
    let start = dice.percent(50);
    let certificates = dice.percent(25);
    for (end, profile) in both.iter_mut().enumerate() {
        let suite = if suite < 2 {
            (suite + end * dice.below(2) as usize) % 2
        } else {
            suite
        };
        profile.proposals = ike(&[suites[suite]]);
        if several {
            profile.children.push(child(end as u8, 1));
        }
        for child in &mut profile.children {
            let pick = if esp_suite == 0 {
                0
            } else {
                1 + dice.below(2) as usize
            };
            child.proposals = esp(&[children[pick]]);
            child.lifetime = lifetime(soft);
            child.lifetime.hard = seconds(soft * 4);
        }
        profile.lifetime = lifetime(ike_soft);
        profile.lifetime.hard = seconds(ike_soft * 4);
        profile.childless = childless;
        if certificates {
            certificates::set(end, profile, ["ecdsa256", "rsa"][end]);
        } else if big {
            let name = vec![b'a' + end as u8; 2000];
            profile.local_id = Identity::key_id(&name);
            profile.remote_id = Some(Identity::key_id(&vec![b'b' - end as u8; 2000]));
        }
    }
    if start {
        both[0].start = StartAction::Start;
        if !nat && dice.percent(30) {
            both[1].start = StartAction::Start;
        }
    }
    let mut network = Network::good(dice.next());
    network.loss = dice.below(31);
    network.duplicates = dice.below(21);
    network.delay = (5, [10, 100, 1500][dice.below(3) as usize]);
    network.mtu = 1280;
    if nat {
        network.nat = Some(NatBox::new(ip(LEFT), ip(OUTSIDE)));
        both[1].remote_address = None;
    }
    let settings = Settings {
        cookie_threshold: [0, 64][dice.below(2) as usize],
        ..Settings::default()
    };
    let mut world = World::new(seed, [settings; 2], both, network);
    certificates::tell_time(&mut world);
    world
}

/// What an operator, or the world, does.
fn disturb(world: &mut World, dice: &mut Dice) {
    let end = dice.below(2) as usize;
    let both = dice.percent(50);
    let what = dice.below(100);
    // Nobody can ask an end whose process is not there.
    let ends: Vec<usize> = (0..2)
        .filter(|of| (both || *of == end) && !world.ends[*of].dead)
        .collect();
    for end in ends {
        let _ = world.call(end, |engine, now| match what {
            0..35 => engine.rekey_children(now, "pr1"),
            35..65 => engine.rekey_ike(now, "pr1"),
            65..70 => engine.delete_children(now, "pr1"),
            _ => Ok(()),
        });
    }
    match what {
        70..85 => {
            if let Some(nat) = &mut world.network.nat {
                nat.rebind();
            }
        }
        85..90 if world.ikes(0).is_empty() && !world.ends[0].dead => world.initiate(0),
        90..92 if !world.ends[end].dead => world
            .call(end, |engine, now| engine.terminate(now, "pr1"))
            .unwrap(),
        _ => {}
    }
}

/// Has the process of an end killed in its next call, and there again later.
fn kill(world: &mut World, dice: &mut Dice) {
    let end = dice.below(2) as usize;
    if world.ends[end].dead || dice.percent(60) {
        return;
    }
    let how = match dice.percent(50) {
        true => Kill::Writing(dice.below(101)),
        false => Kill::Doing(dice.below(6)),
    };
    let later = [0, 50, 3000][dice.below(3) as usize];
    world.ends[end].kept.kill = Some((how, world.now + dice.below(later + 1)));
}

fn run(seed: u64, kills: bool) -> Outcome {
    let mut dice = Dice(seed ^ 0x5eed);
    let mut world = world(seed, &mut dice);
    if kills {
        world = world.keep();
    }
    world.initiate(0);
    for _ in 0..40 {
        if kills {
            kill(&mut world, &mut dice);
        }
        world.run(dice.below(4000));
        disturb(&mut world, &mut dice);
    }
    world.ends.iter_mut().for_each(|end| end.kept.kill = None);
    // What is left on one side only goes when timers have run out: liveness, then all attempts, more than once.
    for _ in 0..600 {
        if world.difference().is_none() {
            return Outcome {
                established: !world.ikes(0).is_empty(),
                rekeys: world.ends[0].engine.counters().ike_rekeys,
                kills: world.ends.iter().map(|end| end.kept.kills).sum(),
            };
        }
        world.run(1000);
    }
    panic!("seed {seed}: {}\n{}", world.difference().unwrap(), world.show());
}

/// What has come of a seed.
struct Outcome {
    established: bool,
    rekeys: u64,
    kills: u64,
}

fn storm(seeds: std::ops::Range<u64>, with_kills: bool) {
    let count = seeds.end - seeds.start;
    let (mut up, mut rekeys, mut kills) = (0, 0, 0);
    for seed in seeds {
        let outcome = run(seed, with_kills);
        up += u64::from(outcome.established);
        rekeys += outcome.rekeys;
        kills += outcome.kills;
    }
    println!(
        "{count} seeds: {up} established at the end, {} failed cleanly, {rekeys} IKE SAs rekeyed, {kills} processes killed",
        count - up
    );
    if with_kills {
        assert!(
            up > count / 3 && kills > count * 5,
            "{up} of {count} established, {kills} kills"
        );
        return;
    }
    // Otherwise nothing has been shown.
    assert!(
        up > count / 3 && up < count && rekeys > count,
        "{up} of {count} established, {rekeys} rekeys"
    );
}

#[test]
fn both_ends_agree_after_any_storm() {
    storm(0..if is_soak() { 10_000 } else { 300 }, false);
}

#[test]
fn both_ends_agree_after_any_storm_in_which_they_are_killed() {
    storm(0..if is_soak() { 10_000 } else { 300 }, true);
}

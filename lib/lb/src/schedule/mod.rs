//! Choosing the server of a new connection.

mod maglev;
mod ring;

use std::sync::Arc;

use maglev::Maglev;
use ring::Ring;

use crate::config::Scheduler;
use crate::counts::{Count, Counts};
use crate::verdict::Refused;

/// What choosing goes by of a server.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) address: u128,
    pub(crate) port: u16,
    pub(crate) weight: u16,
    pub(crate) max_connections: u32,
    pub(crate) counts: Arc<Counts>,
}

impl Candidate {
    /// It is to get new connections.
    fn is_open(&self) -> bool {
        self.weight > 0
    }

    /// It has as many as it may.
    fn is_full(&self) -> bool {
        self.max_connections > 0
            && self
                .counts
                .sum(Count::Active)
                .wrapping_add(self.counts.sum(Count::Inactive))
                >= u64::from(self.max_connections)
    }

    /// What it has to do for this worker.
    fn load(&self, worker: usize) -> u64 {
        let active = self.counts.of(worker, Count::Active);
        let inactive = self.counts.of(worker, Count::Inactive);
        active.wrapping_mul(256).wrapping_add(inactive)
    }
}

/// How one service chooses for one worker. Tables are shared by clones; whose turn it is, is not.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// The one whose turn is next.
    Rr(usize),
    /// What each has waited for.
    Wrr(Vec<i64>),
    Wlc,
    Conhash(Arc<Ring>),
    Mh(Arc<Maglev>),
}

impl Choice {
    pub(crate) fn new(scheduler: Scheduler, servers: &[Candidate]) -> Self {
        match scheduler {
            Scheduler::Rr => Choice::Rr(0),
            Scheduler::Wrr => Choice::Wrr(vec![0; servers.len()]),
            Scheduler::Wlc => Choice::Wlc,
            Scheduler::Conhash => Choice::Conhash(Arc::new(Ring::new(servers))),
            Scheduler::Mh => Choice::Mh(Arc::new(Maglev::new(servers))),
        }
    }

    /// The number of a server that is open and not full.
    pub(crate) fn choose(
        &mut self,
        servers: &[Candidate],
        worker: usize,
        client: u128,
    ) -> Result<usize, Refused> {
        let may = |at: &usize| {
            servers
                .get(*at)
                .is_some_and(|server| server.is_open() && !server.is_full())
        };
        let chosen = match self {
            Choice::Rr(next) => by_turns(next, servers.len(), may),
            Choice::Wrr(waited) => weighted(waited, servers, may),
            Choice::Wlc => least(servers, worker),
            Choice::Conhash(ring) => ring.from(client).find(may),
            Choice::Mh(maglev) => maglev.from(client).find(may),
        };
        chosen.ok_or_else(|| {
            let any_open = servers.iter().any(Candidate::is_open);
            if any_open {
                Refused::ServerFull
            } else {
                Refused::NoServer
            }
        })
    }
}

fn by_turns(next: &mut usize, servers: usize, may: impl Fn(&usize) -> bool) -> Option<usize> {
    let mut turns = (*next..servers).chain(0..(*next).min(servers));
    let chosen = turns.find(may)?;
    *next = chosen + 1;
    Some(chosen)
}

/// Each waits for its weight; who has waited most has his turn, and has all that was waited for taken off.
fn weighted(waited: &mut [i64], servers: &[Candidate], may: impl Fn(&usize) -> bool) -> Option<usize> {
    let mut best: Option<(usize, i64)> = None;
    let mut total = 0;
    for (at, (waited, server)) in waited.iter_mut().zip(servers).enumerate() {
        if !may(&at) {
            continue;
        }
        let weight = i64::from(server.weight);
        *waited += weight;
        total += weight;
        if best.is_none_or(|(_, most)| *waited > most) {
            best = Some((at, *waited));
        }
    }
    let (chosen, _) = best?;
    if let Some(waited) = waited.get_mut(chosen) {
        *waited -= total;
    }
    Some(chosen)
}

fn least(servers: &[Candidate], worker: usize) -> Option<usize> {
    let mut best: Option<(usize, u64, u64)> = None;
    for (at, server) in servers.iter().enumerate() {
        if !server.is_open() || server.is_full() {
            continue;
        }
        let (load, weight) = (server.load(worker), u64::from(server.weight));
        // load / weight < least / its weight, without a division.
        if best.is_none_or(|(_, least, of)| load.wrapping_mul(of) < least.wrapping_mul(weight)) {
            best = Some((at, load, weight));
        }
    }
    best.map(|(at, ..)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(weights: &[u16]) -> Vec<Candidate> {
        let server = |(at, weight): (usize, &u16)| Candidate {
            address: 0xffff_c0a8_6400 + at as u128,
            port: 80,
            weight: *weight,
            max_connections: 0,
            counts: Arc::new(Counts::new(2)),
        };
        weights.iter().enumerate().map(server).collect()
    }

    /// How many of `clients` each server gets.
    fn shares(scheduler: Scheduler, servers: &[Candidate], clients: u128) -> Vec<u32> {
        let mut choice = Choice::new(scheduler, servers);
        let mut shares = vec![0; servers.len()];
        for client in 0..clients {
            let chosen = choice.choose(servers, 0, client << 7).unwrap();
            servers[chosen].counts.add(0, Count::Active, 1);
            shares[chosen] += 1;
        }
        shares
    }

    const ALL: [Scheduler; 5] = [
        Scheduler::Rr,
        Scheduler::Wrr,
        Scheduler::Wlc,
        Scheduler::Conhash,
        Scheduler::Mh,
    ];

    #[test]
    fn rr_takes_turns_whatever_the_weights() {
        assert_eq!(shares(Scheduler::Rr, &servers(&[1, 5, 3]), 300), [100, 100, 100]);
        let servers = servers(&[1, 1]);
        let mut choice = Choice::new(Scheduler::Rr, &servers);
        let turns: Vec<_> = (0..4).map(|_| choice.choose(&servers, 0, 1).unwrap()).collect();
        assert_eq!(turns, [0, 1, 0, 1]);
    }

    #[test]
    fn wrr_and_wlc_keep_the_weights_exactly() {
        for scheduler in [Scheduler::Wrr, Scheduler::Wlc] {
            assert_eq!(
                shares(scheduler, &servers(&[1, 5, 2]), 800),
                [100, 500, 200],
                "{scheduler:?}"
            );
        }
    }

    #[test]
    fn wrr_spreads_the_turns_of_a_heavy_one() {
        let servers = servers(&[5, 1, 1]);
        let mut choice = Choice::new(Scheduler::Wrr, &servers);
        let turns: Vec<_> = (0..7).map(|_| choice.choose(&servers, 0, 1).unwrap()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn wlc_fills_up_the_one_with_fewest_and_goes_by_this_workers_own() {
        let servers = servers(&[1, 1]);
        servers[0].counts.add(0, Count::Active, 3);
        servers[1].counts.add(1, Count::Active, 100);
        servers[1].counts.add(0, Count::Inactive, 256 * 3 - 1);
        let mut choice = Choice::new(Scheduler::Wlc, &servers);
        assert_eq!(choice.choose(&servers, 0, 1), Ok(1));
        servers[1].counts.add(0, Count::Inactive, 2);
        assert_eq!(choice.choose(&servers, 0, 1), Ok(0));
    }

    #[test]
    fn conhash_and_mh_come_near_the_weights() {
        for (scheduler, off) in [(Scheduler::Conhash, 0.25), (Scheduler::Mh, 0.05)] {
            let shares = shares(scheduler, &servers(&[1, 1, 2, 4]), 80_000);
            for (share, weight) in shares.iter().zip([1.0, 1.0, 2.0, 4.0]) {
                let wanted = weight * 10_000.0;
                assert!(
                    (f64::from(*share) - wanted).abs() < wanted * off,
                    "{scheduler:?}: {shares:?}"
                );
            }
        }
    }

    #[test]
    fn conhash_and_mh_give_a_client_the_same_server_and_move_few_when_one_goes() {
        let before = servers(&[1; 10]);
        let mut after = before.clone();
        after[3].weight = 0;
        for (scheduler, most) in [(Scheduler::Conhash, 0), (Scheduler::Mh, 500)] {
            let (mut first, mut second) = (Choice::new(scheduler, &before), Choice::new(scheduler, &after));
            let mut moved = 0;
            for client in 0..10_000 {
                let was = first.choose(&before, 0, client).unwrap();
                assert_eq!(first.choose(&before, 1, client), Ok(was));
                let is = second.choose(&after, 0, client).unwrap();
                assert_ne!(is, 3);
                moved += i32::from(was != 3 && was != is);
            }
            assert!(
                moved <= most,
                "{scheduler:?}: {moved} of 10,000 moved without need"
            );
        }
    }

    #[test]
    fn quiesced_get_nothing_and_none_is_refused() {
        for scheduler in ALL {
            assert_eq!(
                shares(scheduler, &servers(&[0, 1, 0]), 50),
                [0, 50, 0],
                "{scheduler:?}"
            );
            for none in [&[0, 0][..], &[]] {
                let servers = servers(none);
                let chosen = Choice::new(scheduler, &servers).choose(&servers, 0, 1);
                assert_eq!(chosen, Err(Refused::NoServer), "{scheduler:?}");
            }
        }
    }

    #[test]
    fn full_ones_get_nothing_whoever_filled_them() {
        for scheduler in ALL {
            let mut servers = servers(&[1, 1]);
            servers[0].max_connections = 10;
            servers[1].max_connections = 5;
            servers[0].counts.add(1, Count::Inactive, 4);
            let mut choice = Choice::new(scheduler, &servers);
            for client in 0..11 {
                let chosen = choice.choose(&servers, 0, client * 977).unwrap();
                servers[chosen].counts.add(0, Count::Active, 1);
            }
            assert_eq!(
                choice.choose(&servers, 0, 5),
                Err(Refused::ServerFull),
                "{scheduler:?}"
            );
            servers[1].counts.subtract(0, Count::Active, 1);
            assert_eq!(choice.choose(&servers, 0, 5), Ok(1), "{scheduler:?}");
        }
    }
}

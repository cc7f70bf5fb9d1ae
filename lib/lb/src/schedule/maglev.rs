//! Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): a table in which servers take places by turns, each in an order of its
//! own. Clients are spread as evenly as the places are, and a server that comes or goes moves few of the others' places.

use super::Candidate;
use crate::hash::fixed;

/// Places of the table: a prime, so that each server's steps come by all of them.
const PLACES: u64 = 65_537;
/// Nobody has the place.
const FREE: u16 = u16::MAX;

/// The table.
#[derive(Debug)]
pub(crate) struct Maglev {
    /// Empty when there is no server.
    places: Vec<u16>,
}

/// A server while the table is filled.
struct Turn {
    server: u16,
    weight: u64,
    waited: u64,
    /// Its next place, and what the one behind is further on.
    place: u64,
    step: u64,
}

impl Maglev {
    pub(super) fn new(servers: &[Candidate]) -> Self {
        let turn = |(at, server): (usize, &Candidate)| Turn {
            server: at as u16,
            weight: u64::from(server.weight),
            waited: 0,
            place: fixed(server.address, u64::from(server.port)) % PLACES,
            step: fixed(server.address, u64::from(server.port) | 1 << 32) % (PLACES - 1) + 1,
        };
        let open = servers.iter().enumerate().filter(|(_, server)| server.weight > 0);
        let mut turns: Vec<Turn> = open.take(usize::from(FREE)).map(turn).collect();
        let Some(heaviest) = turns.iter().map(|turn| turn.weight).max() else {
            return Self { places: Vec::new() };
        };
        let mut places = vec![FREE; PLACES as usize];
        let mut left = places.len();
        while left > 0 {
            for turn in &mut turns {
                turn.waited += turn.weight;
                if turn.waited >= heaviest && left > 0 {
                    turn.waited -= heaviest;
                    turn.take(&mut places);
                    left -= 1;
                }
            }
        }
        Self { places }
    }

    /// Servers in the order in which they are asked for this client.
    pub(super) fn from(&self, client: u128) -> impl Iterator<Item = usize> {
        let first = (fixed(client, 0) % PLACES) as usize;
        let (before, behind) = self.places.split_at(first.min(self.places.len()));
        behind.iter().chain(before).map(|server| usize::from(*server))
    }
}

impl Turn {
    /// Takes the next place in its order that is free. There must be one.
    fn take(&mut self, places: &mut [u16]) {
        for _ in 0..PLACES {
            let place = self.place;
            self.place = (self.place + self.step) % PLACES;
            if let Some(free) = places.get_mut(place as usize).filter(|server| **server == FREE) {
                *free = self.server;
                return;
            }
        }
    }
}

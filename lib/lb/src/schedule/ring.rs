//! Consistent hashing: each server has points on a ring, as many as its weight says, and a client goes to the next point. When a
//! server goes, only its clients do.

use super::Candidate;
use crate::hash::fixed;

/// Points of a server for each 1 of its weight.
const POINTS: u64 = 160;
/// The most points of a ring, nearly: above, heavy servers get fewer for each 1 of their weight.
const MOST: u64 = 1 << 16;

/// The ring.
#[derive(Debug)]
pub(crate) struct Ring {
    /// By their place.
    points: Vec<(u64, u32)>,
}

impl Ring {
    pub(super) fn new(servers: &[Candidate]) -> Self {
        let total = servers
            .iter()
            .map(|server| u64::from(server.weight))
            .sum::<u64>()
            .max(1);
        let mut points = Vec::new();
        for (at, server) in servers.iter().enumerate().filter(|(_, server)| server.weight > 0) {
            let weight = u64::from(server.weight);
            let own = (weight * POINTS).min(weight * MOST / total).max(1);
            points.extend((0..own).map(|point| {
                let more = u64::from(server.port) << 32 | point;
                (fixed(server.address, more), at as u32)
            }));
        }
        points.sort_unstable();
        Self { points }
    }

    /// Servers in the order in which they are asked for this client, each as often as it has points.
    pub(super) fn from(&self, client: u128) -> impl Iterator<Item = usize> {
        let place = fixed(client, 0);
        let first = self.points.partition_point(|(point, _)| *point < place);
        let (before, behind) = self.points.split_at(first);
        behind.iter().chain(before).map(|(_, server)| *server as usize)
    }
}

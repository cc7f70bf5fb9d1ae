//! One worker's connections: a slab of fixed size, an index by the flows of both directions, and lists by the time at which each is
//! looked at again.
//!
//! ```text
//!   flow ─► hash ─► index: number of the connection and direction ─► slab
//!                                                                     ▲
//!   time ─► wheel: list of those that may be over ────────────────────┘
//! ```
//!
//! A connection is found by two cache misses, which [`Table::prefetch`], and [`Table::seek`] or [`Table::warm`] begin ahead. A packet that
//! keeps it alive counts and writes a deadline there, and nothing else.

mod connection;
mod index;
mod ways;
mod wheel;

use index::Index;
use wheel::Wheel;

pub(crate) use connection::{Belongs, Cold, Connection, Direction, Hot, Phase, There, ThereMut};
pub(crate) use ways::{Ways, came_by};

use crate::config::Kind;
use crate::hash::Keys;
use crate::view::Flow;

/// The connections of a worker.
#[derive(Debug)]
pub(crate) struct Table {
    keys: Keys,
    index: Index,
    /// Both parts of a connection are at the same place.
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    /// Places below `fresh` without a connection; the others were never used.
    free: Vec<u32>,
    fresh: u32,
    wheel: Wheel,
}

/// What the index has for the connection at `at`.
#[inline]
fn value(at: u32, direction: Direction) -> u32 {
    at << 1 | direction as u32
}

#[inline]
fn unpacked(value: u32) -> (u32, Direction) {
    let direction = if value & 1 == 0 {
        Direction::In
    } else {
        Direction::Out
    };
    (value >> 1, direction)
}

impl Table {
    /// With room for `connections`, at most 2^31: all memory is taken here.
    pub(crate) fn new(connections: usize, hz: u64, now: u64, secret: u64) -> Self {
        let connections = connections.min(1 << 31);
        Self {
            keys: Keys::new(secret),
            index: Index::new(connections * 2),
            hot: vec![Hot::FREE; connections],
            cold: vec![Cold::FREE; connections],
            free: Vec::with_capacity(connections),
            fresh: 0,
            wheel: Wheel::new(connections, hz, now),
        }
    }

    /// Bytes that [`Table::new`] takes.
    pub(crate) fn bytes_for(connections: usize) -> usize {
        connections * (size_of::<Hot>() + size_of::<Cold>() + size_of::<u32>())
            + Index::bytes_for(connections * 2)
            + Wheel::bytes_for(connections)
    }

    /// Shows `each` where its pieces are that packets are looked up in, and how many bytes each has.
    pub(crate) fn memory(&self, mut each: impl FnMut(*const u8, usize)) {
        each(self.hot.as_ptr().cast(), size_of_val(self.hot.as_slice()));
        each(self.cold.as_ptr().cast(), size_of_val(self.cold.as_slice()));
        self.index.memory(&mut each);
        self.wheel.memory(&mut each);
    }

    /// Connections that there are, those that have ended and are kept for errors among them.
    #[inline]
    pub(crate) fn used(&self) -> usize {
        self.fresh as usize - self.free.len()
    }

    /// The hash that flows are looked up by.
    #[inline]
    pub(crate) fn hash(&self, flow: &Flow, kind: Kind) -> u64 {
        self.keys.flow(flow, kind)
    }

    /// The same of a flow of IPv4, with its ports in a row.
    #[inline]
    pub(crate) fn hash4(&self, source: u32, destination: u32, ports: u32, kind: Kind) -> u64 {
        self.keys.flow4(source, destination, ports, kind)
    }

    /// Has `prefetch` fetch the line of the index for `hash`.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64, prefetch: impl Fn(*const u8)) {
        self.index.prefetch(hash, prefetch);
    }

    /// Has `prefetch` fetch the connection that `hash` seems to be of, as far as a packet of its family needs it.
    #[inline]
    pub(crate) fn warm(&self, hash: u64, six: bool, prefetch: impl Fn(*const u8)) {
        let first = self.index.first(hash);
        if let Some(there) = first.and_then(|value| self.place(unpacked(value).0)) {
            prefetch(std::ptr::from_ref(there.hot).cast());
            let rest: *const u8 = std::ptr::from_ref(there.cold).cast();
            prefetch(rest);
            if six {
                prefetch(rest.wrapping_add(64));
            }
        }
    }

    /// The connection that a packet with `hash` seems to be of, and its way, in one number for [`Table::sought`]; `prefetch` is to
    /// fetch what it needs of it.
    #[inline]
    pub(crate) fn seek(&self, hash: u64, prefetch: impl Fn(*const u8)) -> Option<u32> {
        let value = self.index.first(hash)?;
        if let Some(hot) = self.hot.get(unpacked(value).0 as usize) {
            prefetch(std::ptr::from_ref(hot).cast());
        }
        Some(value)
    }

    /// The connection that [`Table::seek`] found, whatever became of it, and the way.
    #[inline]
    pub(crate) fn sought(&mut self, value: u32) -> Option<(ThereMut<'_>, Direction)> {
        let (at, direction) = unpacked(value);
        Some((self.place_mut(at)?, direction))
    }

    /// A place, whatever there is.
    #[inline]
    fn place(&self, at: u32) -> Option<There<'_>> {
        Some(Connection {
            hot: self.hot.get(at as usize)?,
            cold: self.cold.get(at as usize)?,
        })
    }

    #[inline]
    fn place_mut(&mut self, at: u32) -> Option<ThereMut<'_>> {
        Some(Connection {
            hot: self.hot.get_mut(at as usize)?,
            cold: self.cold.get_mut(at as usize)?,
        })
    }

    /// The connection of a flow, and which of its ways that is.
    #[inline]
    pub(crate) fn find(&self, hash: u64, flow: &Flow, kind: Kind) -> Option<(u32, Direction)> {
        let is = |value| {
            let (at, direction) = unpacked(value);
            self.place(at)
                .is_some_and(|there| there.hot.kind == kind && there.flow(direction) == *flow)
        };
        self.index.find(hash, is).map(unpacked)
    }

    /// The connection at a place, if there is one.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<There<'_>> {
        self.place(at).filter(|there| there.hot.phase != Phase::Free)
    }

    /// The same, to be changed. Its ends and its kind stay as they are.
    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<ThereMut<'_>> {
        self.place_mut(at).filter(|there| there.hot.phase != Phase::Free)
    }

    /// Places that have had a connection: 0 up to here.
    #[inline]
    pub(crate) fn places(&self) -> u32 {
        self.fresh
    }

    /// Whether there is room for one more.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty() || (self.fresh as usize) < self.hot.len()
    }

    /// Puts in a connection. `None`: there is no room.
    pub(crate) fn insert(&mut self, connection: Connection) -> Option<u32> {
        let at = match self.free.pop() {
            Some(at) => at,
            None if (self.fresh as usize) < self.hot.len() => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return None,
        };
        let there = self.place_mut(at)?;
        *there.hot = connection.hot;
        *there.cold = connection.cold;
        for direction in [Direction::In, Direction::Out] {
            let hash = self.hash(&connection.flow(direction), connection.hot.kind);
            self.index.insert(hash, value(at, direction));
        }
        self.wheel.wait(at, connection.hot.deadline);
        Some(at)
    }

    /// Sees to it that a connection is looked at when its deadline is over, which has come nearer.
    pub(crate) fn hasten(&mut self, at: u32) {
        if let Some(there) = self.hot.get(at as usize) {
            self.wheel.hasten(at, there.deadline);
        }
    }

    /// Has a live connection end: it is kept until `when`.
    pub(crate) fn end(&mut self, at: u32, when: u64) {
        if let Some(there) = self.hot.get_mut(at as usize) {
            there.phase = Phase::Ended;
            self.wheel.remove(at);
            self.wheel.put_ended(at, when);
        }
    }

    /// Takes out a connection, as it was.
    pub(crate) fn remove(&mut self, at: u32) -> Option<Connection> {
        let was = self.get(at)?.copied();
        self.hot.get_mut(at as usize)?.phase = Phase::Free;
        self.wheel.remove(at);
        for direction in [Direction::In, Direction::Out] {
            let hash = self.hash(&was.flow(direction), was.hot.kind);
            self.index.remove(hash, value(at, direction));
        }
        self.free.push(at);
        Some(was)
    }

    /// Whether anything may be due; what it costs to ask in each round.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.wheel.is_due(now)
    }

    /// The next live connection whose deadline is over. At most `most` are looked at, and counted off.
    pub(crate) fn over(&mut self, now: u64, most: &mut u32) -> Option<u32> {
        while *most > 0 {
            *most -= 1;
            let at = self.wheel.take_due(now)?;
            match self.hot.get(at as usize) {
                Some(there) if there.deadline > now => self.wheel.wait(at, there.deadline),
                Some(_) => {
                    // In a list again, as all that have an end before them.
                    self.wheel.wait(at, now);
                    return Some(at);
                }
                None => {}
            }
        }
        None
    }

    /// The next connection that has ended and whose time of grace is over.
    #[inline]
    pub(crate) fn ended_due(&self, now: u64) -> Option<u32> {
        self.wheel.ended_due(now)
    }

    /// The connection that ended first of those that are kept.
    pub(crate) fn first_ended(&self) -> Option<u32> {
        self.wheel.first_ended()
    }
}

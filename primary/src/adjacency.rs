//! Adjacencies: what a FIB lookup leads to, and how the packet leaves from there.
//!
//! ```text
//!   word 0   kind (4 bits) │ interface (12 bits) │ destination MAC (48 bits, its first octet lowest)
//!            one store changes all of it
//!   word 1   used: set by workers, taken by the control thread, which asks only neighbours in use again
//!   word 2,3 next hop, IPv4-mapped; written before the adjacency is published and never after
//! ```
//!
//! Index 0 is "no route". Behind the adjacencies lie the groups of those that share a route: [`groups`]. Slots are reused only after every worker has passed a quiescent point.

mod groups;
mod word;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fib::{NextHop, Quiescence, Retired};
use packet::MacAddress;

use self::groups::GroupSlots;
pub use self::groups::{BUCKETS, GROUP_WORDS, Group, any_group};
pub use self::word::{Adjacency, in_frame};
use self::word::{FORWARD, from_frame};

/// Words per adjacency.
pub const WORDS: usize = 4;
/// The most interfaces that an adjacency can name.
pub const MAX_INTERFACES: usize = 1 << 12;

/// Memory for adjacencies: hugepages in production, a `Vec` in tests.
pub trait Storage: std::ops::Deref<Target = [AtomicU64]> + Send + Sync + 'static {}
impl<T: std::ops::Deref<Target = [AtomicU64]> + Send + Sync + 'static> Storage for T {}

/// The workers' view.
pub struct AdjacencyReader<S> {
    words: Arc<S>,
    /// The first word of the groups.
    groups: usize,
}

impl<S> Clone for AdjacencyReader<S> {
    fn clone(&self) -> Self {
        Self {
            words: self.words.clone(),
            groups: self.groups,
        }
    }
}

/// The adjacencies borrowed for a burst.
#[derive(Clone, Copy)]
pub struct View<'a> {
    adjacencies: &'a [[AtomicU64; WORDS]],
}

impl View<'_> {
    /// The interface of a neighbour; `None` for all other kinds of adjacency.
    #[inline]
    pub fn egress(self, index: NextHop) -> Option<u16> {
        let [word, ..] = self.adjacencies.get(index.index())?;
        // Acquire, as in `load`.
        let word = word.load(Ordering::Acquire);
        (word >> 60 == FORWARD).then_some((word >> 48 & 0xfff) as u16)
    }

    /// The MAC address of a neighbour on interface `egress`, and the note that packets go there; `None` for all else.
    #[inline]
    pub fn by(self, egress: u16, index: NextHop) -> Option<MacAddress> {
        self.frame_by(egress, index).map(from_frame)
    }

    /// The same as it is at the start of a frame: see [`in_frame`].
    #[inline(always)]
    pub fn frame_by(self, egress: u16, index: NextHop) -> Option<u64> {
        let [word, used, ..] = self.adjacencies.get(index.index())?;
        let mac = word.load(Ordering::Acquire) ^ (FORWARD << 12 | u64::from(egress)) << 48;
        if mac >> 48 != 0 {
            return None;
        }
        mark(used);
        Some(mac)
    }
}

/// Notes that packets go there. A load first: the line stays shared among workers while the mark is set.
#[inline]
fn mark(used: &AtomicU64) {
    if used.load(Ordering::Relaxed) == 0 {
        used.store(1, Ordering::Relaxed);
    }
}

impl<S: Storage> AdjacencyReader<S> {
    /// All of them, for a burst.
    #[inline]
    pub fn view(&self) -> View<'_> {
        let words = self.words.get(..self.groups).unwrap_or_default();
        View {
            adjacencies: words.as_chunks().0,
        }
    }

    /// What the next hop stands for now.
    #[inline]
    pub fn load(&self, index: NextHop) -> Adjacency {
        // Acquire: what is written before a change is published is seen with it.
        self.words
            .get(index.index() * WORDS)
            .map_or(Adjacency::NoRoute, |word| {
                Adjacency::from_word(word.load(Ordering::Acquire))
            })
    }

    /// The group that the next hop names, unless it is an adjacency.
    #[inline]
    pub fn group(&self, next_hop: NextHop) -> Option<Group<'_>> {
        Group::of(&self.words, self.groups, next_hop)
    }

    /// Notes that packets go there.
    #[inline]
    pub fn mark_used(&self, index: NextHop) {
        if let Some(used) = self.words.get(index.index() * WORDS + 1) {
            mark(used);
        }
    }

    /// The next hop's address; unspecified where there is none.
    pub fn next_hop(&self, index: NextHop) -> IpAddr {
        let first = index.index() * WORDS + 2;
        let word = |index: usize| {
            self.words
                .get(index)
                .map_or(0, |word| word.load(Ordering::Relaxed))
        };
        let address = Ipv6Addr::from_bits(u128::from(word(first)) << 64 | u128::from(word(first + 1)));
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
    }
}

/// The control thread's side.
pub struct AdjacencyWriter<S> {
    words: Arc<S>,
    free: Vec<NextHop>,
    next: u32,
    retired: Retired<NextHop>,
    groups: GroupSlots,
}

impl<S: Storage> AdjacencyWriter<S> {
    /// Adjacencies in `storage`, [`WORDS`] words each, and none of it for groups. All of it must be zero.
    pub fn new(storage: S) -> Self {
        Self::with_groups(storage, 0)
    }

    /// The same with the last words for so many groups, [`GROUP_WORDS`] each.
    pub fn with_groups(storage: S, groups: usize) -> Self {
        let words = storage.len();
        let first = words.saturating_sub(groups * GROUP_WORDS);
        Self {
            groups: GroupSlots::new(first..words),
            words: Arc::new(storage),
            free: Vec::new(),
            next: 1,
            retired: Retired::new(),
        }
    }

    /// A view for a worker.
    pub fn reader(&self) -> AdjacencyReader<S> {
        AdjacencyReader {
            words: self.words.clone(),
            groups: self.groups.first_word(),
        }
    }

    /// A new adjacency, or `None` when all are in use.
    pub fn allocate(&mut self, adjacency: Adjacency, next_hop: IpAddr) -> Option<NextHop> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if (self.next as usize) < self.capacity() => {
                self.next += 1;
                NextHop::new(self.next - 1)?
            }
            None => return None,
        };
        let mapped: Ipv6Addr = match next_hop {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let bits = mapped.to_bits();
        let first = index.index() * WORDS;
        self.words.get(first + 1)?.store(0, Ordering::Relaxed);
        self.words
            .get(first + 2)?
            .store((bits >> 64) as u64, Ordering::Relaxed);
        self.words.get(first + 3)?.store(bits as u64, Ordering::Relaxed);
        self.set(index, adjacency);
        Some(index)
    }

    /// Changes what an adjacency stands for; packets see all of the change or none.
    pub fn set(&self, index: NextHop, adjacency: Adjacency) {
        if let Some(word) = self.words.get(index.index() * WORDS) {
            word.store(adjacency.to_word(), Ordering::Release);
        }
    }

    /// What an adjacency stands for.
    pub fn get(&self, index: NextHop) -> Adjacency {
        self.reader().load(index)
    }

    /// Whether packets went there since the last call.
    pub fn take_used(&self, index: NextHop) -> bool {
        self.words
            .get(index.index() * WORDS + 1)
            .is_some_and(|used| used.swap(0, Ordering::Relaxed) != 0)
    }

    /// Gives an adjacency back that no route leads to any more. It becomes free once workers have passed.
    pub fn retire(&mut self, index: NextHop) {
        self.retired.push(index);
    }

    /// Frees what was retired before all workers passed.
    pub fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        let free = &mut self.free;
        let adjacencies = self.retired.reclaim(quiescence, |index| free.push(index));
        adjacencies + self.groups.reclaim(quiescence)
    }

    /// A new group that leads nowhere yet, or `None` when all are in use.
    pub fn allocate_group(&mut self) -> Option<NextHop> {
        self.groups.allocate()
    }

    /// Sets the adjacencies of a group by bucket, a power of two of them and always the same, the MTU of its routes, and
    /// the seed of its flows' hash. Each flow finds where it led before, or where it leads now.
    pub fn set_group(&self, group: NextHop, seed: u32, mtu: u16, buckets: &[NextHop]) {
        self.groups.set(&self.words, group, seed, mtu, buckets);
    }

    /// Gives a group back that no route leads to any more. It becomes free once workers have passed.
    pub fn retire_group(&mut self, group: NextHop) {
        self.groups.retire(group);
    }

    /// Groups in use, retired ones included.
    pub fn groups_in_use(&self) -> usize {
        self.groups.in_use()
    }

    /// Adjacencies in use, retired ones included.
    pub fn in_use(&self) -> usize {
        self.next as usize - 1 - self.free.len()
    }

    /// How many there can be.
    pub fn capacity(&self) -> usize {
        self.groups.first_word() / WORDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(capacity: usize) -> AdjacencyWriter<Vec<AtomicU64>> {
        AdjacencyWriter::new((0..capacity * WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    #[test]
    fn every_kind_comes_back_from_its_word() {
        let interface = 0xfff;
        for adjacency in [
            Adjacency::NoRoute,
            Adjacency::Blackhole,
            Adjacency::Local { interface },
            Adjacency::Broadcast,
            Adjacency::Anycast { interface },
            Adjacency::Glean { interface },
            Adjacency::Incomplete { interface },
            Adjacency::Failed { interface },
            Adjacency::Forward {
                interface,
                mac: MacAddress([0xfe, 0xff, 0, 1, 2, 3]),
            },
            Adjacency::Unreachable,
            Adjacency::Prohibit,
        ] {
            assert_eq!(Adjacency::from_word(adjacency.to_word()), adjacency);
        }
    }

    #[test]
    fn a_retired_slot_is_reused_only_after_workers_passed() {
        let (quiescence, mut checkpoints) = Quiescence::new(1);
        let mut writer = writer(3);
        let next_hop = IpAddr::from([10, 0, 0, 1]);
        let first = writer.allocate(Adjacency::Blackhole, next_hop).unwrap();
        let _second = writer.allocate(Adjacency::Blackhole, next_hop).unwrap();
        assert_eq!(writer.allocate(Adjacency::Blackhole, next_hop), None);
        writer.retire(first);
        writer.reclaim(&quiescence);
        writer.reclaim(&quiescence);
        assert_eq!(writer.allocate(Adjacency::Blackhole, next_hop), None);
        checkpoints[0].pass();
        writer.reclaim(&quiescence);
        assert_eq!(writer.allocate(Adjacency::Blackhole, next_hop), Some(first));
        assert_eq!(writer.reader().next_hop(first), next_hop);
    }

    #[test]
    fn a_group_leads_each_hash_to_the_adjacency_of_its_bucket() {
        let storage: Vec<_> = (0..4 * WORDS + 2 * GROUP_WORDS)
            .map(|_| AtomicU64::new(0))
            .collect();
        let mut writer = AdjacencyWriter::with_groups(storage, 2);
        assert_eq!(writer.capacity(), 4);
        let adjacencies = [1, 2, 3].map(|index| NextHop::new(index).unwrap());
        let (alone, shared) = (writer.allocate_group().unwrap(), writer.allocate_group().unwrap());
        assert_eq!(writer.allocate_group(), None);
        let buckets: Vec<_> = adjacencies.iter().copied().cycle().take(BUCKETS).collect();
        writer.set_group(alone, 7, 1300, &adjacencies[..1]);
        writer.set_group(shared, 9, u16::MAX, &buckets);
        let reader = writer.reader();
        let group = reader.group(alone).unwrap();
        assert_eq!((group.adjacency(|_| 55), group.mtu()), (adjacencies[0], 1300));
        let group = reader.group(shared).unwrap();
        assert!(group.buckets().eq(buckets.iter().copied()));
        for (bucket, adjacency) in buckets.iter().enumerate() {
            let found = group.adjacency(|seed| {
                assert_eq!(seed, 9);
                bucket as u32 + 0x5600
            });
            assert_eq!(found, *adjacency);
        }
        assert!(any_group(&[adjacencies[0], shared]) && !any_group(&adjacencies));
        assert!(reader.group(adjacencies[0]).is_none());
        // A group is no adjacency, whoever takes it for one.
        assert_eq!(reader.load(shared), Adjacency::NoRoute);
        assert_eq!(reader.view().egress(shared), None);
    }

    #[test]
    fn a_retired_group_is_reused_only_after_workers_passed() {
        let (quiescence, mut checkpoints) = Quiescence::new(1);
        let storage: Vec<_> = (0..GROUP_WORDS).map(|_| AtomicU64::new(0)).collect();
        let mut writer = AdjacencyWriter::with_groups(storage, 1);
        let group = writer.allocate_group().unwrap();
        writer.retire_group(group);
        writer.reclaim(&quiescence);
        writer.reclaim(&quiescence);
        assert_eq!((writer.allocate_group(), writer.groups_in_use()), (None, 1));
        checkpoints[0].pass();
        writer.reclaim(&quiescence);
        assert_eq!(writer.allocate_group(), Some(group));
    }

    #[test]
    fn next_hops_of_both_families_come_back() {
        let mut writer = writer(4);
        for address in ["192.0.2.1", "0.0.0.0", "2001:db8::1"] {
            let address = address.parse().unwrap();
            let index = writer.allocate(Adjacency::Blackhole, address).unwrap();
            assert_eq!(writer.reader().next_hop(index), address);
        }
    }
}

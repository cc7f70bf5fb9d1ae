//! The groups of next hops that routes share: made when a first route has one, changed as next hops come into service and
//! leave it, gone with the last route. A route with one next hop and an MTU of its own has a group as well.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use control::message::{ControlError, ErrorCode};
use fib::NextHop;
use shm::records::{self, ip_field};

use super::Tables;
use super::buckets;
use super::neighbor_set::NeighborId;
use super::refusal::refuse;
use crate::adjacency;

/// Number of a group. It may name another one once the group is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(u32);

/// One of the next hops of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) id: NeighborId,
    pub(super) weight: u16,
    /// Of its record.
    slot: Option<u32>,
}

/// Next hops that share the flows of routes.
pub(super) struct Group {
    pub(super) members: Vec<Member>,
    /// The longest packet that goes by its routes.
    mtu: Option<u16>,
    /// What the FIB says for its routes.
    pub(super) next_hop: NextHop,
    /// What tools know it by.
    pub(super) number: u32,
    routes: usize,
    /// By bucket, the place of the member whose it is.
    homes: Vec<u8>,
}

/// A next hop as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedMember {
    pub(super) interface: u16,
    pub(super) next_hop: IpAddr,
    pub(super) weight: u16,
}

type Key = (Vec<(NeighborId, u16)>, Option<u16>);

/// All groups.
pub(super) struct GroupSet {
    slots: Vec<Option<Group>>,
    free: Vec<GroupId>,
    by_key: HashMap<Key, GroupId>,
    /// The number of the last one made.
    last_number: u32,
}

impl GroupSet {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            last_number: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(number, group)| Some((GroupId(number), group.as_ref()?)))
    }

    fn insert(&mut self, group: Group) -> GroupId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Fewer than 2^23: each has a place among the adjacencies.
            GroupId((self.slots.len() - 1) as u32)
        });
        self.by_key.insert(group.key(), id);
        self.slots[id.0 as usize] = Some(group);
        id
    }

    fn remove(&mut self, id: GroupId) -> Option<Group> {
        let group = self.slots.get_mut(id.0 as usize)?.take()?;
        self.by_key.remove(&group.key());
        self.free.push(id);
        Some(group)
    }
}

impl Group {
    fn key(&self) -> Key {
        let members = self.members.iter().map(|member| (member.id, member.weight));
        (members.collect(), self.mtu)
    }

    pub(super) fn has(&self, id: NeighborId) -> bool {
        self.members.iter().any(|member| member.id == id)
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// The group of these next hops and this MTU, which is made if there is none. One more route has it.
    pub(super) fn hold_group(
        &mut self,
        planned: &[PlannedMember],
        mtu: Option<u16>,
        now: Duration,
    ) -> Result<GroupId, ControlError> {
        let mut members: Vec<Member> = Vec::with_capacity(planned.len());
        for member in planned {
            match self.find_or_create(member.interface, member.next_hop, now) {
                Ok(id) => {
                    // Held at once: none of them may go to make room for the next.
                    self.hold(id);
                    members.push(Member {
                        id,
                        weight: member.weight,
                        slot: None,
                    });
                }
                Err(error) => {
                    self.release_members(&members);
                    return Err(error.into());
                }
            }
        }
        members.sort_unstable_by_key(|member| member.id);
        let key = (
            members.iter().map(|member| (member.id, member.weight)).collect(),
            mtu,
        );
        if let Some(id) = self.groups.by_key.get(&key).copied() {
            if let Some(group) = self.groups.get_mut(id) {
                group.routes += 1;
            }
            self.release_members(&members);
            return Ok(id);
        }
        self.make_group(members, mtu)
    }

    /// Makes a group of next hops that are held.
    fn make_group(&mut self, mut members: Vec<Member>, mtu: Option<u16>) -> Result<GroupId, ControlError> {
        let limit = self.limits.groups;
        let next_hop = (self.groups.len() < limit)
            .then(|| self.adjacencies.allocate_group())
            .flatten();
        let Some(next_hop) = next_hop else {
            self.release_members(&members);
            let sentence = format!(
                "there are {limit} groups of next hops, or as many wait for workers: raise groups in [limits], or try again \
                 in a moment"
            );
            return Err(refuse(ErrorCode::LimitReached, sentence));
        };
        self.groups.last_number += 1;
        let number = self.groups.last_number;
        if members.len() > 1 {
            for index in 0..members.len() {
                let record = self.member_record(number, &members, index, 0);
                members[index].slot = self.published.next_hops.insert(&record);
                if members[index].slot.is_none() {
                    self.forget_records(&members);
                    self.adjacencies.retire_group(next_hop);
                    self.release_members(&members);
                    let sentence =
                        "the table of next hops that routes share is full: raise groups in [limits]";
                    return Err(refuse(ErrorCode::LimitReached, sentence));
                }
            }
        }
        let told_by = members.iter().map(|member| {
            let neighbor = self.neighbors.get(member.id);
            let (address, interface) = neighbor.map_or(([0; 16], 0), |neighbor| {
                (ip_field(neighbor.address), neighbor.interface)
            });
            let bits = u128::from_be_bytes(address);
            (
                (bits >> 64) as u64 ^ bits as u64 ^ u64::from(interface) << 48,
                member.weight,
            )
        });
        let homes = buckets::homes(&told_by.collect::<Vec<_>>());
        let group = Group {
            members,
            mtu,
            next_hop,
            number,
            routes: 1,
            homes,
        };
        let id = self.groups.insert(group);
        self.regroup(id);
        Ok(id)
    }

    /// One route less has the group. The last one takes it along.
    pub(super) fn release_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.routes -= 1;
        if group.routes > 0 {
            return;
        }
        if let Some(group) = self.groups.remove(id) {
            self.adjacencies.retire_group(group.next_hop);
            self.forget_records(&group.members);
            self.release_members(&group.members);
        }
    }

    /// Brings where the flows of a group go in line with which of its next hops are in service.
    pub(super) fn regroup(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id) else {
            return;
        };
        let serving: Vec<bool> = group
            .members
            .iter()
            .map(|member| self.in_service(member.id))
            .collect();
        let live = buckets::live(&group.homes, |place| {
            serving.get(usize::from(place)).is_some_and(|serves| *serves)
        });
        let adjacencies: Vec<NextHop> = live
            .iter()
            .map(|place| {
                let member = group.members.get(usize::from(*place));
                let neighbor = member.and_then(|member| self.neighbors.get(member.id));
                neighbor.map_or(NextHop::NONE, |neighbor| neighbor.adjacency)
            })
            .collect();
        let mtu = group.mtu.unwrap_or(u16::MAX);
        self.adjacencies
            .set_group(group.next_hop, self.seed, mtu, &adjacencies);
        for (place, member) in (0..).zip(&group.members) {
            if let Some(slot) = member.slot {
                let buckets = live.iter().filter(|found| usize::from(**found) == place).count();
                let record = self.member_record(group.number, &group.members, place, buckets as u16);
                self.published.next_hops.update(slot, &record);
            }
        }
    }

    fn member_record(&self, group: u32, members: &[Member], place: usize, buckets: u16) -> records::NextHop {
        let member = members.get(place);
        let neighbor = member.and_then(|member| self.neighbors.get(member.id));
        records::NextHop {
            address: neighbor.map_or([0; 16], |neighbor| ip_field(neighbor.address)),
            group,
            interface: neighbor.map_or(records::NO_INTERFACE, |neighbor| neighbor.interface),
            weight: member.map_or(0, |member| member.weight),
            in_service: u8::from(member.is_some_and(|member| self.in_service(member.id))),
            place: place as u8,
            buckets,
            reserved: [0; 4],
        }
    }

    fn forget_records(&mut self, members: &[Member]) {
        for slot in members.iter().filter_map(|member| member.slot) {
            self.published.next_hops.remove(slot);
        }
    }

    fn release_members(&mut self, members: &[Member]) {
        for member in members {
            self.release(member.id);
        }
    }
}

//! The usual burst: packets of one family without options or extension headers, for us and from stations, untagged, whole, and
//! on to neighbours by one interface.
//!
//! What [`ethernet`](super::ethernet), the input stages and [`rewrite`](super::rewrite) do one after the other and with a note, is
//! done here for a whole burst of such packets with few branches and no notes. Whatever is not usual in the least goes
//! through those stages, which alone say why a packet is dropped; nothing is changed before all of a burst is known to be
//! usual. So what leaves is the same either way.

use fib::NextHop;
use packet::checksum::Sum;
use packet::ethernet::HEADER_LEN;
use packet::{Protocol, ipv4, ipv6};

use super::ip4_input::is_special;
use super::{BURST, InterfaceView, Note, Packet, Stages, Together};
use crate::adjacency::{self, View, in_frame};

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Makes a burst ready to leave if it is a usual one.
    #[inline(always)]
    pub(super) fn usual<P: Packet>(
        &self,
        interface: &InterfaceView,
        packets: &mut [P],
        notes: &mut [Note],
    ) -> Leaving {
        self.usual_of_either(interface, packets, notes)
            .unwrap_or(Leaving::Otherwise)
    }

    #[inline(always)]
    fn usual_of_either<P: Packet>(
        &self,
        interface: &InterfaceView,
        packets: &mut [P],
        notes: &mut [Note],
    ) -> Option<Leaving> {
        let mut next_hops = [NextHop::NONE; BURST];
        let count = packets.len();
        // What a lookup wants from memory is asked for when its packet is read, and comes while the next ones are.
        if packets.first_mut()?.first().get(12) == Some(&0x08) {
            let mut lookups = self.fib4.begin()?;
            let longest = input::<Four, _, _>(interface, packets, |lane, destination| {
                lookups.add(lane, destination, dpdk::prefetch);
            })?;
            lookups.finish(count, &mut next_hops, dpdk::prefetch);
            self.leave::<Four, HEAD4, _>(interface, longest, packets, next_hops.get(..count)?, notes, 0)
        } else {
            let mut lookups = self.fib6.begin();
            let longest = input::<Six, _, _>(interface, packets, |lane, destination| {
                lookups.add(lane, destination, dpdk::prefetch);
            })?;
            lookups.finish(count, &mut next_hops, dpdk::prefetch);
            let six = count as u16;
            self.leave::<Six, HEAD6, _>(interface, longest, packets, next_hops.get(..count)?, notes, six)
        }
    }

    /// Makes a burst ready to leave of which [`input`] would find nothing that is not usual, but maybe a destination.
    pub(super) fn carried<P: Packet>(
        &self,
        ingress: u16,
        packets: &mut [P],
        notes: &mut [Note],
        destinations: &[u32; BURST],
    ) -> Leaving {
        self.carried_on(ingress, packets, notes, destinations)
            .unwrap_or(Leaving::Otherwise)
    }

    #[inline(always)]
    fn carried_on<P: Packet>(
        &self,
        ingress: u16,
        packets: &mut [P],
        notes: &mut [Note],
        destinations: &[u32; BURST],
    ) -> Option<Leaving> {
        let interface = self.up(ingress)?;
        let mut next_hops = [NextHop::NONE; BURST];
        let count = packets.len();
        let mut lookups = self.fib4.begin()?;
        let (mut longest, mut special) = (0, interface.kernel_device);
        for (lane, (packet, destination)) in packets.iter_mut().zip(destinations).enumerate() {
            let [first, ..] = destination.to_be_bytes();
            special |= SPECIAL[usize::from(first)];
            longest = longest.max(packet.first().len());
            lookups.add(lane, *destination, dpdk::prefetch);
        }
        if special {
            return None;
        }
        lookups.finish(count, &mut next_hops, dpdk::prefetch);
        self.leave::<Four, HEAD4, _>(interface, longest, packets, next_hops.get(..count)?, notes, 0)
    }

    #[inline(always)]
    fn leave<U: Usual<HEAD>, const HEAD: usize, P: Packet>(
        &self,
        interface: &InterfaceView,
        longest: usize,
        packets: &mut [P],
        next_hops: &[NextHop],
        notes: &mut [Note],
        six: u16,
    ) -> Option<Leaving> {
        // What leaves by a sub-interface is still to be tagged, by a tunnel to be wrapped up; the sender of what goes back where it came
        // from may be told so. What ESP protects is wrapped up by the burst, and gets its link header there.
        let way = |egress| {
            let view = self.up(egress)?;
            let longest = match self.interfaces.esp_path(egress) {
                Some(path) => view.mtu.min(path.least()),
                None => view.is_port().then_some(view.mtu)?,
            };
            let longest = HEADER_LEN + usize::from(longest);
            let is_told = std::ptr::eq(view, interface) && view.redirects;
            (!is_told).then_some(Way { view, longest })
        };
        let adjacencies = self.adjacencies.view();
        let egress = output::<U, HEAD, _>(longest, adjacencies, way, packets, next_hops);
        let Some(egress) = egress else {
            let ask = |egress| self.interfaces.prefetch(egress);
            return apart::<U, HEAD, _>(adjacencies, ask, way, packets, next_hops, notes);
        };
        Some(Leaving::Together(Together { egress, six }))
    }
}

/// An interface that usual packets may leave by.
#[derive(Clone, Copy)]
pub(super) struct Way<'i> {
    view: &'i InterfaceView,
    /// The longest frame.
    longest: usize,
}

/// How a burst leaves.
pub(super) enum Leaving {
    /// By one interface.
    Together(Together),
    /// By several: the notes say by which.
    Apart,
    /// It is not a usual one, and nothing was done.
    Otherwise,
}

/// Shifts all out of the first eight bytes of a frame but the destination and the group bit of the source.
pub(super) const ADDRESSED: u32 = 15;

/// What is usual in a family, by the bytes at the start of a frame.
pub(super) trait Usual<const HEAD: usize> {
    /// A destination as the lookup wants it.
    type Destination: Copy;

    /// Where a frame of `length` bytes goes that starts with `head`, if nothing about it is out of the ordinary but maybe its link
    /// addresses.
    fn destination(head: &[u8; HEAD], length: usize) -> Option<Self::Destination>;

    /// Counts the TTL or hop limit down, which is above 1.
    fn hop(head: &mut [u8; HEAD]);
}

/// [`is_special`] of each octet: two loads take less than its comparisons.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut octet = 0;
    while octet < special.len() {
        special[octet] = is_special(octet as u8);
        octet += 1;
    }
    special
};

/// IPv4, with the checks of RFC 1812 section 5.2.2.
pub(super) struct Four;

/// Bytes of Ethernet and IPv4 header.
pub(crate) const HEAD4: usize = HEADER_LEN + ipv4::HEADER_LEN;

impl Usual<HEAD4> for Four {
    type Destination = u32;

    #[inline(always)]
    fn destination(head: &[u8; HEAD4], length: usize) -> Option<u32> {
        // EtherType, version 4 and a header of five words; what is shifted out is the type of service.
        const IPV4: u32 = u32::from_le_bytes([0x08, 0x00, 0x45, 0x00]) << 8;
        let total_len = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let usual = (word(head, 12) << 8 == IPV4)
            & (total_len + HEADER_LEN == length)
            & (head[22] > 1)
            & !(SPECIAL[usize::from(head[26])] | SPECIAL[usize::from(head[30])])
            & Sum::ZERO.ipv4_header(header(head)).is_valid();
        usual.then(|| u32::from_be(word(head, 30)))
    }

    #[inline(always)]
    fn hop(head: &mut [u8; HEAD4]) {
        if let Some(header) = head.last_chunk_mut() {
            ipv4::decrement_ttl_above_zero(header);
        }
    }
}

/// IPv6, between addresses of 2000::/3.
pub(super) struct Six;

/// Bytes of Ethernet and IPv6 header.
pub(crate) const HEAD6: usize = HEADER_LEN + ipv6::HEADER_LEN;

impl Usual<HEAD6> for Six {
    type Destination = u128;

    #[inline(always)]
    fn destination(head: &[u8; HEAD6], length: usize) -> Option<u128> {
        // EtherType and version 6.
        const IPV6: u32 = u32::from_le_bytes([0x86, 0xdd, 0x60, 0x00]);
        let payload_len = usize::from(u16::from_be_bytes([head[18], head[19]]));
        let usual = (word(head, 12) & 0x00f0_ffff == IPV6)
            & (payload_len + HEAD6 == length)
            & (head[20] != Protocol::HOP_BY_HOP.0)
            & (head[21] > 1)
            & (head[22] >> 5 == 1)
            & (head[38] >> 5 == 1);
        let destination = || head.last_chunk().map(|bytes| u128::from_be_bytes(*bytes));
        usual.then(destination).flatten()
    }

    #[inline(always)]
    fn hop(head: &mut [u8; HEAD6]) {
        head[21] -= 1;
    }
}

/// Gives `take`, by number, where the packets of a burst go that `interface` received, if all are usual; the length of the longest frame.
// Not inlined, as `output`: each loop has the registers to itself.
#[inline(never)]
pub(super) fn input<U: Usual<HEAD>, const HEAD: usize, P: Packet>(
    interface: &InterfaceView,
    packets: &mut [P],
    mut take: impl FnMut(usize, U::Destination),
) -> Option<usize> {
    if interface.kernel_device {
        // What a kernel left to hardware must be looked for.
        return None;
    }
    let own = in_frame(interface.mac) << ADDRESSED;
    let mut longest = 0;
    for (number, packet) in packets.iter_mut().enumerate() {
        let packet = packet.first();
        let length = packet.len();
        let head = packet.first_chunk()?;
        if addresses(head) << ADDRESSED != own {
            return None;
        }
        take(number, U::destination(head, length)?);
        longest = longest.max(length);
    }
    Some(longest)
}

/// Makes a burst of usual packets ready to leave, if all do by one interface; that interface.
#[inline(never)]
pub(super) fn output<'i, U: Usual<HEAD>, const HEAD: usize, P: Packet>(
    longest: usize,
    adjacencies: View<'_>,
    way: impl Fn(u16) -> Option<Way<'i>>,
    packets: &mut [P],
    next_hops: &[NextHop],
) -> Option<u16> {
    let egress = adjacencies.egress(*next_hops.first()?)?;
    let way = way(egress).filter(|way| longest <= way.longest)?;
    let mut macs = [0; BURST];
    for (next_hop, mac) in next_hops.iter().zip(&mut macs) {
        *mac = adjacencies.frame_by(egress, *next_hop)?;
    }
    let source = in_frame(way.view.mac);
    let (first, second) = (source << 48, (source >> 16) as u32);
    for (packet, mac) in packets.iter_mut().zip(&macs) {
        if let Some(head) = packet.first().first_chunk_mut::<HEAD>() {
            head[..8].copy_from_slice(&(mac | first).to_le_bytes());
            head[8..12].copy_from_slice(&second.to_le_bytes());
            U::hop(head);
        }
    }
    Some(egress)
}

/// Makes a burst of usual packets ready to leave by several interfaces, and notes by which.
#[inline(never)]
fn apart<'i, U: Usual<HEAD>, const HEAD: usize, P: Packet>(
    adjacencies: View<'_>,
    ask: impl Fn(u16),
    way: impl Fn(u16) -> Option<Way<'i>>,
    packets: &mut [P],
    next_hops: &[NextHop],
    notes: &mut [Note],
) -> Option<Leaving> {
    let mut ways = [(0, [0; 12]); BURST];
    for (next_hop, (egress, _)) in next_hops.iter().zip(&mut ways) {
        *egress = adjacencies.egress(*next_hop)?;
        ask(*egress);
    }
    for ((packet, next_hop), (egress, addresses)) in packets.iter_mut().zip(next_hops).zip(&mut ways) {
        let way = way(*egress).filter(|way| packet.first().len() <= way.longest)?;
        let mac = adjacencies.frame_by(*egress, *next_hop)?;
        *addresses = link_addresses(mac, way.view);
    }
    for ((packet, (egress, addresses)), note) in packets.iter_mut().zip(&ways).zip(notes) {
        let frame = packet.first();
        if let Some(head) = frame.first_chunk_mut::<HEAD>() {
            head[..12].copy_from_slice(addresses);
            U::hop(head);
        }
        *note = Note::usual(*egress, frame);
    }
    Some(Leaving::Apart)
}

/// The MAC addresses of a frame to a neighbour, whose own is as [`View::frame_by`] gives it, that leaves by `out`.
#[inline(always)]
pub(super) fn link_addresses(neighbor: u64, out: &InterfaceView) -> [u8; 12] {
    let source = in_frame(out.mac);
    let whole = u128::from(neighbor) | u128::from(source) << 48;
    whole.to_le_bytes().first_chunk().copied().unwrap_or_default()
}

/// The first eight bytes of a head, little-endian.
#[inline(always)]
fn addresses<const HEAD: usize>(head: &[u8; HEAD]) -> u64 {
    head.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Four bytes of a head, little-endian.
#[inline(always)]
fn word<const HEAD: usize>(head: &[u8; HEAD], at: usize) -> u32 {
    // Constant at every call and within the head, so that no check is left.
    head.get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The IPv4 header of a head.
#[inline(always)]
fn header(head: &[u8; HEAD4]) -> &[u8; ipv4::HEADER_LEN] {
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, header @ ..] = head;
    header
}

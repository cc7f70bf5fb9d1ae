//! What the stages note of a packet.

use std::num::NonZeroU16;

use control::message::PuntClass;
use fib::NextHop;
use shm::{DropReason, Passed, PathStage};

use super::BURST;
use super::punt::Alerted;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leaves by this interface, its link header written.
    Transmit(u16),
    /// Leaves by this interface cut into fragments, its link header written: it is longer than the MTU, which is the detail of
    /// its note.
    Fragment(u16),
    /// Is for the gateway itself and in several segments: its bytes are copied together first.
    Gather,
    /// Is a fragment for the gateway itself: it waits for the others.
    Reassemble,
    /// Leaves by the interface that it came in by, whole, or cut into fragments if the detail of its note says an MTU. Its sender
    /// may be told of the next hop before, and what that needs to know still stands in its headers.
    Redirect {
        /// The interface.
        interface: u16,
        /// Names the next hop.
        adjacency: NextHop,
    },
    /// Ends here.
    Drop(DropReason),
    /// Goes to the control thread: ARP.
    Arp,
    /// Goes to the control thread: a neighbour solicitation or advertisement.
    Nd,
    /// Goes to the tool that decides about its class.
    Punt(PuntClass),
    /// Goes to the kernel, by the tap of this interface.
    Kernel(u16),
    /// Stays until the next hop on this interface has answered.
    Wait {
        /// The interface.
        interface: u16,
        /// Names the next hop; one without an address stands for the packet's own destination.
        adjacency: NextHop,
    },
    /// Is an outer packet for the gateway itself, and of the tunnel that this interface is: what is inside goes on as received by
    /// it. The detail of its note says where its link header begins.
    Tunnelled(u16),
    /// Says that outer packets of the tunnel that this interface is are too big for their path; the longest inner one is the detail
    /// of its note. It ends here.
    TunnelMtu(u16),
    /// Is an ICMP error about an ESP packet that a tunnel may have sent: the detail of its note says where its ICMP header begins. It ends
    /// here.
    EspError,
    /// Is an ESP packet for the gateway itself: the detail of its note says where its ESP header begins.
    Esp,
}

/// The family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

/// What the stages note of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// What becomes of it.
    pub disposition: Disposition,
    /// Bytes to take from its front before it leaves: a tag that it came with.
    pub trim: u8,
    /// Its length before that: what lies behind is link-layer padding.
    pub length: u16,
    /// Whether the gateway made it from an echo request.
    pub echo_reply: bool,
    /// For a dropped packet, what its sender is told beside the reason: the MTU that it is too big for, or where in it the trouble
    /// is, in bytes from its IP header on; 0 where there is nothing to tell. For one that was to leave by a tunnel that is down, that, while
    /// 0 is none. For one to be cut, the MTU. For those of tunnels, what their dispositions say. For a router alert that a
    /// tool decides about, the rule that it fits, or [`NO_RULE`](super::punt::NO_RULE).
    pub detail: u16,
    /// What the rules for router alerts say of it.
    pub alert: Alerted,
    /// The stages that it passed. Begins as the usual way of its family; whoever leads it off that way says so here.
    pub passed: Passed,
    /// Where its network header begins.
    pub(super) network: u8,
    /// Which header that is.
    pub(super) family: Family,
    /// Whether its frame was for everybody or a group.
    pub(super) group_frame: bool,
    /// Whether its way out takes a second look. An IPv6 packet with a link-local source may not leave its link; into an IPv4
    /// packet the gateway has to write, as its options ask.
    pub(super) careful: bool,
    /// The sub-interface that it came in by: 0 is always a port's interface.
    pub(super) sub: Option<NonZeroU16>,
    /// What is odd about its router alert, to be counted.
    pub remarks: Remarks,
}

/// What is odd about a router alert that was taken all the same, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remarks(u8);

impl Remarks {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// It stands at an odd offset.
    pub const MISALIGNED: Self = Self(1);
    /// There are several.
    pub const DUPLICATE: Self = Self(2);
    /// There is padding that is longer than it need be, or not zero.
    pub const PADDING: Self = Self(4);

    /// The remarks of both.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have all of `other`.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Note {
    pub(super) const NEW: Self = Self {
        disposition: Disposition::Drop(DropReason::EthernetTruncated),
        trim: 0,
        length: 0,
        echo_reply: false,
        detail: 0,
        alert: Alerted::No,
        passed: Passed::NONE.with(PathStage::Ethernet),
        network: 0,
        family: Family::Four,
        group_frame: false,
        careful: false,
        sub: None,
        remarks: Remarks::NONE,
    };

    /// For a packet of `length` bytes that is not to be changed.
    pub fn of(disposition: Disposition, length: usize) -> Self {
        Self {
            disposition,
            length: length as u16,
            passed: Passed::NONE,
            ..Self::NEW
        }
    }

    /// The same for a packet whose network header begins there.
    #[must_use]
    pub fn behind_link(self, link_len: usize, family: Family) -> Self {
        Self {
            network: link_len as u8,
            family,
            ..self
        }
    }

    /// The interface that it came in by, if that is not the interface of its port.
    #[inline]
    pub fn sub_interface(&self) -> Option<u16> {
        self.sub.map(NonZeroU16::get)
    }

    /// The interface that it came in by, if it did so by the port of interface `port`.
    #[inline]
    pub(super) fn ingress(&self, port: u16) -> u16 {
        self.sub_interface().unwrap_or(port)
    }

    /// Whether the packet may not leave the link that it came by.
    #[inline]
    pub(super) fn stays_on_link(&self) -> bool {
        self.careful && self.family == Family::Six
    }

    /// Bytes of the link header that it came with.
    pub fn link_len(&self) -> usize {
        self.network.into()
    }

    /// Which family it is of.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Bytes of the packet that are in other segments than the first, which has `first` bytes.
    #[inline]
    pub(super) fn behind(&self, first: usize) -> usize {
        usize::from(self.length).saturating_sub(first)
    }

    /// For a frame that leaves by an interface after the usual way, whose link header is what it was or will be.
    pub fn usual(egress: u16, frame: &[u8]) -> Self {
        let (family, passed) = match frame.get(12) {
            Some(0x08) => (Family::Four, Passed::USUAL4),
            _ => (Family::Six, Passed::USUAL6),
        };
        Self {
            family,
            passed,
            ..Self::of(Disposition::Transmit(egress), frame.len())
        }
    }

    /// The packet does not get as far as the lookup.
    pub(super) fn stays_before_lookup(&mut self) {
        self.passed = self.passed.without(PathStage::Lookup).without(PathStage::Rewrite);
    }

    pub(super) fn drop(&mut self, reason: DropReason) {
        self.disposition = Disposition::Drop(reason);
    }

    /// Whether the packet leaves with all of the `length` bytes that it came with, and went the usual way.
    #[inline]
    pub(super) fn leaves_whole(&self, length: usize) -> bool {
        matches!(self.disposition, Disposition::Transmit(_))
            && self.trim == 0
            && (self.passed == Passed::USUAL4 || self.passed == Passed::USUAL6)
            && usize::from(self.length) == length
    }
}

/// What is known of a burst that leaves by one interface, none of it to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// The interface.
    pub egress: u16,
    /// How many of its packets are IPv6.
    pub six: u16,
}

/// Notes for a burst that has not begun.
pub const NOTES: [Note; BURST] = [Note::NEW; BURST];

/// The numbers of the packets in a burst that go on to the next stage.
#[derive(Clone, Copy)]
pub(super) struct Alive(u32);

impl Alive {
    pub(super) const NONE: Self = Self(0);

    #[inline]
    pub(super) fn insert(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.0 &= !(1 << number);
    }

    #[inline]
    pub(super) fn contains(self, number: usize) -> bool {
        self.0 & 1 << number != 0
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn count(self) -> u16 {
        self.0.count_ones() as u16
    }

    #[inline]
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Makes the next hops of all other packets none. They were looked up as well, which costs less than to sort them out.
    #[inline]
    pub(super) fn clear_others(self, next_hops: &mut [NextHop]) {
        if self.0.count_ones() as usize == next_hops.len() {
            return;
        }
        for (number, next_hop) in next_hops.iter_mut().enumerate() {
            if !self.contains(number) {
                *next_hop = NextHop::NONE;
            }
        }
    }
}

const _: () = assert!(
    BURST == u32::BITS as usize,
    "a burst has a bit of `Alive` for each packet"
);

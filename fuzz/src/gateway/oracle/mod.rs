//! What may become of a packet, by the RFCs and by plain arithmetic: nothing here is shared with what is tested.
//!
//! A packet may have several faults. Those of one layer are gathered, since no RFC says which is to be named; what comes
//! behind is not looked at. So where there is one fault, the drop has one reason that is right, and where there is none,
//! one fate.

mod hop_by_hop;
pub(super) mod ipv4;
pub(super) mod ipv6;

use std::net::IpAddr;

use control::message::PuntClass;
use primary::path::punt::PuntMode;
use shm::DropReason;

use self::ipv6::options as options6;
pub(super) use self::ipv6::{Chain, Ending};
use super::topology::{INTERFACES, Interface, Target};

/// Reasons for a drop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u128);

const _: () = assert!(DropReason::COUNT <= 128, "a reason is a bit");

impl Reasons {
    fn of(reason: DropReason) -> Self {
        Self(1 << reason as u32)
    }

    fn add(&mut self, reason: DropReason) {
        self.0 |= 1 << reason as u32;
    }

    fn add_if(&mut self, fault: bool, reason: DropReason) {
        if fault {
            self.add(reason);
        }
    }

    /// Whether it is among them.
    pub fn contains(self, reason: DropReason) -> bool {
        self.0 & 1 << reason as u32 != 0
    }

    /// Whether there is no choice.
    pub fn is_certain(self) -> bool {
        self.0.count_ones() == 1
    }

    fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn found(self) -> Option<Expected> {
        (self.0 != 0).then_some(Expected::Drop(self))
    }

    fn names(self) -> Vec<&'static str> {
        let all = DropReason::ALL.iter();
        all.filter(|reason| self.contains(**reason))
            .map(|reason| reason.name())
            .collect()
    }
}

/// What may become of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is dropped for one of these.
    Drop(Reasons),
    /// It leaves by this interface for its neighbour there.
    Forward(u16),
    /// It leaves so in fragments.
    Fragment(u16),
    /// It is a fragment for the gateway itself.
    Reassemble,
    /// It comes back as an echo reply.
    EchoReply,
    /// It goes to the control thread: ARP.
    Arp,
    /// It goes to the control thread: neighbour discovery.
    Nd,
    /// It waits for this next hop on this interface.
    Wait(u16, IpAddr),
    /// A tool decides.
    Punt(PuntClass),
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drop(reasons) => write!(f, "dropped: {}", reasons.names().join(" or ")),
            Self::Forward(interface) => write!(f, "forwarded by {interface}"),
            Self::Fragment(interface) => write!(f, "cut for {interface}"),
            Self::Reassemble => f.write_str("kept for reassembly"),
            Self::EchoReply => f.write_str("echo reply"),
            Self::Arp => f.write_str("ARP"),
            Self::Nd => f.write_str("neighbour discovery"),
            Self::Wait(interface, next_hop) => write!(f, "waits for {next_hop} on {interface}"),
            Self::Punt(class) => write!(f, "{class:?} for a tool"),
        }
    }
}

/// What the oracle makes of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Opinion {
    /// What may become of it.
    pub expected: Expected,
    /// Where its IP header begins; 0 if it has none that is looked at.
    pub network: usize,
    /// Its length up to the end of the IP packet; 0 if that is not known.
    pub end: usize,
    /// Whether it is IPv6.
    pub six: bool,
}

impl Opinion {
    fn link(expected: Expected) -> Self {
        Self {
            expected,
            network: 0,
            end: 0,
            six: false,
        }
    }
}

/// What may become of a frame that came in by `ingress`.
pub fn opinion(ingress: u16, frame: &[u8], punts: PuntMode) -> Opinion {
    let interface = &INTERFACES[usize::from(ingress)];
    let mut faults = Reasons::default();
    if frame.len() < 14 {
        return Opinion::link(Expected::Drop(Reasons::of(DropReason::EthernetTruncated)));
    }
    let group = frame[0] & 1 == 1;
    faults.add_if(!group && frame[..6] != interface.mac, DropReason::OtherHost);
    faults.add_if(frame[6] & 1 == 1, DropReason::EthernetSource);
    let mut at = 12;
    let mut tags = 0;
    let is_tag = |at| matches!(u16_at(frame, at), 0x8100 | 0x88a8);
    while tags < 2 && is_tag(at) {
        if frame.len() < at + 6 {
            faults.add(DropReason::EthernetTruncated);
            return Opinion::link(Expected::Drop(faults));
        }
        faults.add_if(u16_at(frame, at + 2) & 0xfff != 0, DropReason::UnknownVlan);
        at += 4;
        tags += 1;
    }
    faults.add_if(is_tag(at), DropReason::VlanDepth);
    let ethertype = u16_at(frame, at);
    let known = matches!(ethertype, 0x0800 | 0x0806 | 0x86dd);
    faults.add_if(!known && !is_tag(at), DropReason::UnknownEthertype);
    if let Some(dropped) = faults.found() {
        return Opinion::link(dropped);
    }
    let network = at + 2;
    let packet = Packet {
        ingress: interface,
        bytes: &frame[network..],
        group,
        punts,
    };
    let (expected, length) = match ethertype {
        0x0800 => ipv4::expected(&packet),
        0x86dd => ipv6::expected(&packet),
        _ => return Opinion::link(Expected::Arp),
    };
    Opinion {
        expected,
        network,
        end: if length == 0 { 0 } else { network + length },
        six: ethertype == 0x86dd,
    }
}

/// An IP packet, or what claims to be one.
struct Packet<'a> {
    ingress: &'a Interface,
    bytes: &'a [u8],
    /// Its frame was for a group.
    group: bool,
    punts: PuntMode,
}

impl Packet<'_> {
    /// What becomes of a packet of this class, if that changes anything.
    fn punted(&self, class: PuntClass) -> Option<Expected> {
        match self.punts {
            PuntMode::Off => None,
            PuntMode::Tool => Some(Expected::Punt(class)),
            PuntMode::Closed => Some(Expected::Drop(Reasons::of(DropReason::PuntClosed))),
        }
    }
}

/// What a route makes of a packet that is not for the gateway itself. The order is that of RFC 1812 section 5.2.1.2: a route
/// is found, then the TTL is counted down, then it is seen whether the packet fits, and at last who the neighbour is.
fn routed(
    target: Option<Target>,
    (length, may_be_cut): (usize, bool),
    ttl: u8,
    next_hop: IpAddr,
    unknown: IpAddr,
) -> Expected {
    let dropped = |reason| Expected::Drop(Reasons::of(reason));
    let on_link = match target {
        None => return dropped(DropReason::NoRoute),
        Some(Target::Blackhole) => return dropped(DropReason::Blackhole),
        Some(Target::Broadcast) => return dropped(DropReason::Ip4DirectedBroadcast),
        Some(target) => target,
    };
    let expired = ttl <= 1;
    match on_link {
        Target::Forward(interface) => {
            let out = &INTERFACES[usize::from(interface)];
            let mut faults = Reasons::default();
            faults.add_if(!out.up, DropReason::InterfaceDown);
            faults.add_if(expired, DropReason::TtlExpired);
            let too_big = !expired && length > usize::from(out.mtu);
            faults.add_if(too_big && !may_be_cut, DropReason::TooBig);
            faults.found().unwrap_or(if too_big {
                Expected::Fragment(interface)
            } else {
                Expected::Forward(interface)
            })
        }
        _ if expired => dropped(DropReason::TtlExpired),
        Target::Glean(interface) => Expected::Wait(interface, next_hop),
        Target::Incomplete(interface) => Expected::Wait(interface, unknown),
        _ => dropped(DropReason::NeighborFailed),
    }
}

/// Two bytes, the most significant first.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from(bytes[at]) << 8 | u16::from(bytes[at + 1])
}

/// The sum of RFC 1071 over 16-bit words, added to `start`.
pub(super) fn sum(start: u64, bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks::<2>();
    let words: u64 = words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum();
    start + words + odd.first().map_or(0, |byte| u64::from(*byte) << 8)
}

/// The sum with its carries added in.
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum over a pseudo-header.
pub(super) fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> u64 {
    sum(u64::from(protocol) + length as u64, addresses)
}

/// Whether a TCP segment or UDP datagram has the sum over the pseudo-header where its checksum should be.
fn is_unfinished(addresses: &[u8], protocol: u8, payload: &[u8]) -> bool {
    let (field, segment) = match protocol {
        6 if payload.len() >= 20 => (16, payload),
        17 if payload.len() >= 8 => {
            let length = usize::from(u16_at(payload, 4));
            if length < 8 || length > payload.len() {
                return false;
            }
            (6, &payload[..length])
        }
        _ => return false,
    };
    let pseudo = pseudo(addresses, protocol, segment.len());
    u16_at(segment, field) == fold(pseudo) && fold(sum(pseudo, segment)) != 0xffff
}

/// RFC 1122 section 4.1.3.4 and RFC 8200 section 8.1: a length that fits and a checksum that is right, or none where it is `optional`.
fn is_udp(addresses: &[u8], payload: &[u8], optional: bool) -> bool {
    if payload.len() < 8 {
        return false;
    }
    let length = usize::from(u16_at(payload, 4));
    (8..=payload.len()).contains(&length)
        && if u16_at(payload, 6) == 0 {
            optional
        } else {
            fold(sum(pseudo(addresses, 17, length), &payload[..length])) == 0xffff
        }
}

/// Whether this is a UDP datagram for a port of IKE, RFC 7296.
fn is_ike(protocol: u8, payload: &[u8]) -> bool {
    if protocol != 17 || payload.len() < 8 {
        return false;
    }
    let length = usize::from(u16_at(payload, 4));
    (8..=payload.len()).contains(&length) && matches!(u16_at(payload, 2), 500 | 4500)
}

//! What the load balancer needs to know of a frame before the stages, and what is left to be done to one that it has translated and
//! that leaves by the way that its connection has learned, without the stages. What comes out is what [`rewrite`](super::rewrite)
//! makes; whatever that would refuse, cut or tell somebody of is left to it.

use fib::NextHop;
use lb::Path;
use packet::ethernet::{EthernetHeader, HEADER_LEN};
use packet::transport::{checksum_is_partial, checksum_is_partial_v6};
use packet::{EtherType, Ipv4, Ipv6, Protocol, ipv4, ipv6};

use super::usual::ADDRESSED;
use super::vlan::move_addresses;
use super::{Family, InterfaceView, Stages};
use crate::adjacency::{self, Adjacency, in_frame};

/// The part of a buffer that is the frame now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it begins.
    pub begin: usize,
    /// Where it ends.
    pub end: usize,
}

/// What is done to the TTL or hop limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// It is counted down: the packet is forwarded.
    Counted,
    /// It stays: the gateway sends the packet.
    Kept,
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// The interface of this index, if it is up and receives.
    #[inline]
    pub fn receiver(&self, ingress: u16) -> Option<&InterfaceView> {
        self.up(ingress)
    }

    /// The interface that a frame came in by which `receiver`, of index `ingress`, has received: itself, or a sub-interface. `None` where the
    /// stages are to say what becomes of it: it is for another station or for many, from none, or its sub-interface is none or down.
    #[inline]
    pub fn came_by(&self, ingress: u16, receiver: &InterfaceView, frame: &[u8]) -> Option<u16> {
        let &[d0, d1, d2, d3, d4, d5, source, .., type0, type1] = frame.first_chunk::<HEADER_LEN>()?;
        if [d0, d1, d2, d3, d4, d5] != receiver.mac.octets() || source & 1 != 0 {
            return None;
        }
        match [type0, type1] {
            [0x08, 0x00] | [0x86, 0xdd] => Some(ingress),
            _ => self.came_tagged(ingress, frame),
        }
    }

    #[cold]
    fn came_tagged(&self, ingress: u16, frame: &[u8]) -> Option<u16> {
        let (header, _) = EthernetHeader::parse(frame).ok()?;
        let is_ip = matches!(header.ethertype, EtherType::IPV4 | EtherType::IPV6);
        let interface = self.interfaces.by_tags(ingress, &header.tags)?;
        (is_ip && self.is_up(interface)).then_some(interface)
    }

    /// The longest IP packet that leaves by `path`, bytes; `None` where [`leave_by`](Self::leave_by) would be none for each.
    pub fn longest_by(&self, path: &Path) -> Option<u16> {
        let out = self.up(path.interface).filter(|out| out.tunnel.is_none())?;
        Some(out.mtu)
    }

    /// The longest IP packet that leaves for where a frame without tags goes by the routes, bytes; the longest of all where no route leads out.
    /// Next hops need not be known yet.
    pub fn longest_towards(&self, frame: &[u8]) -> u16 {
        let packet = frame.get(HEADER_LEN..).unwrap_or_default();
        let (destination, family) = match packet.first().map(|first| first >> 4) {
            Some(4) => match Ipv4::parse_start(packet, usize::from(u16::MAX)) {
                Ok(header) => (header.destination().into(), Family::Four),
                Err(_) => return u16::MAX,
            },
            _ => match Ipv6::parse_start(packet, usize::from(u16::MAX)) {
                Ok(header) => (header.destination().into(), Family::Six),
                Err(_) => return u16::MAX,
            },
        };
        let next_hop = self.next_hop_of(destination);
        match self.adjacencies.group(next_hop) {
            // Which of them it goes by hangs on what it is cut into.
            Some(group) => group
                .buckets()
                .map(|member| self.longest_to(member, family))
                .fold(group.mtu(), u16::min),
            None => self.longest_to(next_hop, family),
        }
    }

    /// The longest IP packet that leaves for a next hop.
    fn longest_to(&self, next_hop: NextHop, family: Family) -> u16 {
        let egress = match self.adjacencies.load(next_hop) {
            Adjacency::Forward { interface, .. }
            | Adjacency::Glean { interface }
            | Adjacency::Incomplete { interface } => self.up(interface),
            _ => None,
        };
        let Some(out) = egress else {
            return u16::MAX;
        };
        let tunnel = out.tunnel.as_ref();
        tunnel.map_or(out.mtu, |tunnel| out.mtu.min(tunnel.path_mtu.of(family)))
    }

    /// Makes a frame ready that leaves by `path`: takes its tags off, counts its TTL down and writes its link header; `behind` bytes of it are
    /// in other segments. `None`, and nothing is done, where the stages must see to it: the interface is down or a tunnel, the packet too long for it, at the end of its TTL, or
    /// with options that routers look at.
    #[inline]
    pub fn leave_by(&self, path: &Path, hop: Hop, frame: &mut [u8], behind: usize) -> Option<Ready> {
        let out = self.up(path.interface).filter(|out| out.tunnel.is_none())?;
        let network = match frame.get(12..14)? {
            [0x08, 0x00] | [0x86, 0xdd] => HEADER_LEN,
            _ => EthernetHeader::parse(frame).ok()?.0.len(),
        };
        let packet = frame.get_mut(network..)?;
        let room = (packet.len() + behind).min(usize::from(out.mtu));
        let length = match packet.first()? {
            0x45 => {
                let header = packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                if length > room || header[8] <= 1 {
                    return None;
                }
                if hop == Hop::Counted {
                    ipv4::decrement_ttl_above_zero(header);
                }
                length
            }
            first if first >> 4 == 6 => {
                let header = packet.first_chunk_mut::<{ ipv6::HEADER_LEN }>()?;
                let length = ipv6::HEADER_LEN + usize::from(u16::from_be_bytes([header[4], header[5]]));
                if length > room || header[7] <= 1 || header[6] == Protocol::HOP_BY_HOP.0 {
                    return None;
                }
                if hop == Hop::Counted {
                    header[7] -= 1;
                }
                length
            }
            _ => return None,
        };
        let begin = if network == HEADER_LEN {
            0
        } else {
            move_addresses(frame, network)
        };
        let link = frame.get_mut(begin..)?.first_chunk_mut::<HEADER_LEN>()?;
        link[..6].copy_from_slice(&path.destination.octets());
        link[6..12].copy_from_slice(&out.mac.octets());
        let end = network + length;
        Some(Ready { begin, end })
    }
}

impl InterfaceView {
    /// Whether a frame that it has received is for it, and from a single station.
    #[inline(always)]
    pub fn is_for(&self, frame: &[u8]) -> bool {
        let head = frame.first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
        head << ADDRESSED == in_frame(self.mac) << ADDRESSED
    }

    /// Whether a frame came with what a kernel left to hardware that is not there: an unfinished checksum, or a length that no link takes. The
    /// stages drop such. `behind` bytes of it are in other segments.
    #[inline]
    pub fn has_left_work(&self, frame: &[u8], behind: usize) -> bool {
        self.kernel_device && self.left_work(frame, behind)
    }

    #[cold]
    fn left_work(&self, frame: &[u8], behind: usize) -> bool {
        let Ok((_, packet)) = EthernetHeader::parse(frame) else {
            return true;
        };
        let mtu = usize::from(self.mtu);
        let (length, is_partial) = match packet.first().map(|first| first >> 4) {
            Some(4) => match Ipv4::parse_start(packet, behind) {
                Ok(packet) => (
                    usize::from(packet.total_len()),
                    behind == 0 && checksum_is_partial(&packet),
                ),
                Err(_) => return true,
            },
            _ => match Ipv6::parse_start(packet, behind) {
                Ok(packet) => (packet.total_len(), behind == 0 && checksum_is_partial_v6(&packet)),
                Err(_) => return true,
            },
        };
        length > mtu || is_partial
    }
}

//! What a packet gets that leaves by a tunnel: outer headers, in front of which stands a link header that nobody looks at but the
//! stages.
//!
//! ```text
//!   given by the stages        │ link │ inner packet …
//!   goes through them anew     │ link │ outer headers │ inner packet …
//! ```
//!
//! The outer packet is looked up as any other. That takes one off its TTL, so it gets one more than the tunnel's.

use control::message::{Df, Dscp, TunnelMode};
use packet::ethernet::{EthernetHeader, HEADER_LEN, VlanTags};
use packet::tunnel::{Ends, Outer, ecn};
use packet::{EtherType, MacAddress, ipv6};
use shm::DropReason;

use super::{Stages, TunnelView};
use crate::adjacency;
use crate::flow;

/// Tells flows in outer headers apart from what routes with several next hops choose by.
const FLOW_LABELS: u32 = 0x6437;

/// The headers that a packet gets.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping {
    outer: Outer,
    /// What the inner packet is.
    inner: EtherType,
    inner_len: usize,
    /// Of the tunnel's interface, which the outer packet is taken to come by.
    mac: MacAddress,
    /// The longest outer packet that the path takes, where this one is of IPv6 and longer: then it is to be cut here, as nobody on
    /// the way may.
    pub path_limit: Option<u16>,
}

impl Wrapping {
    /// Bytes that are to be put in front of the frame.
    pub fn overhead(&self) -> usize {
        self.outer.len()
    }

    /// Writes headers over the first bytes of a frame: as many as were put in front of it, and its link header.
    pub fn write(&self, frame: &mut [u8]) -> Result<(), DropReason> {
        let ethernet = link_header(self.mac, ethertype_of(&self.outer.ends));
        ethernet.emit(frame).map_err(|_| DropReason::TunnelMalformed)?;
        let rest = frame.get_mut(HEADER_LEN..).unwrap_or_default();
        self.outer
            .emit(self.inner, self.inner_len, rest)
            .map_err(|_| DropReason::Oversize)?;
        Ok(())
    }
}

impl TunnelView {
    /// Bytes of the headers that packets get.
    pub fn overhead(&self) -> u16 {
        self.overhead
    }

    fn ends(&self) -> Option<Ends> {
        Ends::new(self.outer.local, self.outer.remote)
    }

    fn gre(&self) -> Option<Option<u32>> {
        match self.outer.mode {
            TunnelMode::Ipip | TunnelMode::Esp => None,
            TunnelMode::Gre => Some(self.outer.key),
        }
    }

    /// The outer headers of a packet.
    fn outer(&self, packet: &[u8], identification: u16, now: u64) -> Option<(Outer, EtherType)> {
        let &[first, second, _, _, _, _, flags] = packet.first_chunk()?;
        let (inner, traffic_class, may_not_be_cut, flow) = match first >> 4 {
            4 => {
                let flow = || flow::hash4(FLOW_LABELS, packet);
                (EtherType::IPV4, second, flags & 0x40 != 0, flow())
            }
            6 => {
                let class = first << 4 | second >> 4;
                // RFC 4213 section 3.2.2: while the path takes what every link of IPv6 does, nobody need cut.
                let fits = usize::from(self.path_mtu.at(now)) >= ipv6::MIN_MTU;
                (EtherType::IPV6, class, fits, flow::hash6(FLOW_LABELS, packet))
            }
            _ => return None,
        };
        let dscp = match self.dscp {
            Dscp::Copy => None,
            Dscp::Fixed(dscp) => Some(dscp),
        };
        let outer = Outer {
            ends: self.ends()?,
            gre: self.gre(),
            traffic_class: ecn::outer_traffic_class(traffic_class, dscp),
            ttl: self.ttl.saturating_add(1),
            dont_fragment: match self.df {
                Df::Copy => may_not_be_cut,
                Df::Set => true,
                Df::Clear => false,
            },
            identification,
            // Zero says that there is none: RFC 6437 section 2.
            flow_label: (flow & 0xf_ffff).max(1),
        };
        Some((outer, inner))
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// What is to be put in front of a frame of `length` bytes that leaves by a tunnel and begins with these.
    pub fn wrapping(
        &self,
        tunnel: u16,
        frame: &[u8],
        length: usize,
        identification: u16,
        now: u64,
    ) -> Result<Wrapping, DropReason> {
        let interface = self.up(tunnel).ok_or(DropReason::TunnelDown)?;
        let view = interface.tunnel.as_ref().ok_or(DropReason::TunnelDown)?;
        let packet = frame.get(HEADER_LEN..).ok_or(DropReason::TunnelMalformed)?;
        let (outer, inner) = view
            .outer(packet, identification, now)
            .ok_or(DropReason::TunnelMalformed)?;
        let inner_len = length.saturating_sub(HEADER_LEN);
        let learned = view.path_mtu.at(now);
        let is_too_long = matches!(outer.ends, Ends::V6(..)) && inner_len > usize::from(learned);
        Ok(Wrapping {
            outer,
            inner,
            inner_len,
            mac: interface.mac,
            path_limit: is_too_long.then(|| learned.saturating_add(outer.len() as u16)),
        })
    }
}

/// The link header of what is taken to come by a tunnel.
pub fn link_header(tunnel: MacAddress, ethertype: EtherType) -> EthernetHeader {
    EthernetHeader {
        destination: tunnel,
        source: MacAddress([0; 6]),
        tags: VlanTags::NONE,
        ethertype,
    }
}

/// The bytes of that header.
#[inline]
pub fn link_bytes(tunnel: MacAddress, ethertype: EtherType) -> [u8; HEADER_LEN] {
    let [a, b, c, d, e, f] = tunnel.0;
    let [high, low] = ethertype.0.to_be_bytes();
    [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, high, low]
}

fn ethertype_of(ends: &Ends) -> EtherType {
    match ends {
        Ends::V4(..) => EtherType::IPV4,
        Ends::V6(..) => EtherType::IPV6,
    }
}

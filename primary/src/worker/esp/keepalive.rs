//! NAT keepalives of SAs that have sent nothing for a while: RFC 3948 section 4. The control thread says when.

use dpdk::{Mbuf, PortId};
use esp::outer::Ends;
use packet::EtherType;
use packet::ethernet::HEADER_LEN;
use shm::InterfaceCounter;

use super::super::Engine;
use super::super::tunnels::Step;
use crate::adjacency;
use crate::ipsec::OutboundSa;
use crate::path::link_header;

/// More than a keepalive has, with its link header.
const LONGEST: usize = 64;

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Sends the keepalives that are due. Gives how many.
    #[inline]
    pub(in crate::worker) fn send_keepalives(&mut self, now: u64) -> usize {
        if self.esp.keepalives.is_empty() {
            0
        } else {
            self.send_all_keepalives(now)
        }
    }

    #[cold]
    fn send_all_keepalives(&mut self, now: u64) -> usize {
        let mut sent = 0;
        while let Some(slot) = self.esp.keepalives.pop() {
            let Some(sa) = self.esp.sas.outbound.get_mut(slot) else {
                continue;
            };
            let tunnel = sa.tunnel;
            // Without a buffer, or with its tunnel down, the next one does as well.
            let Some(mut mbuf) = self.pool.alloc().and_then(|mbuf| keepalive(sa, mbuf)) else {
                continue;
            };
            if !self.stages.is_up(tunnel) {
                continue;
            }
            self.counters.add(tunnel, InterfaceCounter::Originated, 1);
            mbuf.set_port(PortId::beyond_ports(tunnel));
            let before = self.tunnels.serve(Some((Step::Encapsulate, 0)));
            self.send_outer(tunnel, mbuf, now);
            self.tunnels.serve(before);
            sent += 1;
        }
        sent
    }
}

/// A keepalive of an SA, behind a link header.
fn keepalive(sa: &OutboundSa, mut mbuf: Mbuf) -> Option<Mbuf> {
    let mut frame = [0; LONGEST];
    let (link, packet) = frame.split_at_mut_checked(HEADER_LEN)?;
    let ethertype = match sa.outer.ends() {
        Ends::V4 { .. } => EtherType::IPV4,
        Ends::V6 { .. } => EtherType::IPV6,
    };
    link_header(packet::MacAddress::ZERO, ethertype).emit(link).ok()?;
    let len = sa.outer.keepalive(packet)?;
    mbuf.append(frame.get(..HEADER_LEN + len)?).ok()?;
    Some(mbuf)
}

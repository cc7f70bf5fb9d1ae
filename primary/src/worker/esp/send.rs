//! Sealed packets on their way out.

use dpdk::{Mbuf, MbufBatch, PortId};
use packet::ethernet::HEADER_LEN;
use packet::{EtherType, MacAddress, ipv4};
use shm::{DropReason, PathStage};

use super::super::Engine;
use super::super::tunnels::Step;
use crate::adjacency;
use crate::ipsec::OutboundSa;
use crate::path::{BURST, WayOut, link_bytes};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// How sealed packets of an SA leave by a port as they are; `None`: they go through the stages.
    #[inline]
    pub(super) fn way_of_sealed(&self, sa: &OutboundSa) -> Option<WayOut> {
        // Nobody would look on.
        self.following
            .is_empty()
            .then(|| self.stages.way_out(sa.destination))
            .flatten()
    }

    /// Sends sealed packets of an SA: together, where all leave by a port as they are. `are_written`: so that they can, by `way`.
    pub(super) fn send_sealed(
        &mut self,
        sa: &OutboundSa,
        batch: &mut MbufBatch<BURST>,
        way: Option<WayOut>,
        are_written: bool,
        level: u8,
        now: u64,
    ) {
        let limit = self.limit(sa, now);
        let (mut longest, mut bytes) = (0, 0);
        for mbuf in batch.iter() {
            longest = longest.max(mbuf.len());
            bytes += mbuf.len();
        }
        let way = way.filter(|way| longest <= way.longest.min(limit));
        let Some(way) = way else {
            if are_written {
                batch.iter_mut().for_each(take_back);
            }
            return self.send_one_by_one(sa, batch, level, limit, now);
        };
        if !self.waiting.is_empty() {
            // A next hop may have been resolved for which others wait: they leave first.
            self.serve_waiting(now);
        }
        let port = PortId::beyond_ports(sa.tunnel);
        for mbuf in batch.iter_mut() {
            mbuf.set_port(port);
            if !are_written {
                way.write(mbuf.data_mut());
            }
        }
        let count = batch.len();
        self.transmit.append(way.egress, batch, bytes, &self.counters);
        let [four, six] = &mut self.esp.sent;
        *if sa.destination.is_ipv6() { six } else { four } += (count - batch.len()) as u64;
        if !batch.is_empty() {
            self.drop_outers(sa.tunnel, DropReason::TxFull, batch);
            batch.clear();
        }
    }

    /// The longest frame that is not cut here: IPv6 packets are, when they are longer than their path takes, as nobody on the way may.
    fn limit(&self, sa: &OutboundSa, now: u64) -> usize {
        match self.stages.interfaces.tunnel(sa.tunnel) {
            Some(view) if sa.destination.is_ipv6() => {
                HEADER_LEN + usize::from(view.path_mtu.at(now).saturating_add(view.overhead()))
            }
            _ => usize::MAX,
        }
    }

    /// Sends sealed packets by the stages.
    #[inline(never)]
    fn send_one_by_one(
        &mut self,
        sa: &OutboundSa,
        batch: &mut MbufBatch<BURST>,
        level: u8,
        limit: usize,
        now: u64,
    ) {
        let before = self.tunnels.serve(Some((Step::Encapsulate, level)));
        let port = PortId::beyond_ports(sa.tunnel);
        let view = self.stages.interfaces.get(usize::from(sa.tunnel));
        let mac = view.map_or(MacAddress::ZERO, |view| view.mac);
        let link = link_bytes(mac, ethertype_of(sa));
        for mut mbuf in batch.drain() {
            mbuf.set_port(port);
            if let Some(place) = mbuf.data_mut().first_chunk_mut() {
                *place = link;
            }
            if mbuf.len() <= limit {
                self.send_outer(sa.tunnel, mbuf, now);
                continue;
            }
            match self.outer_fragments(sa.tunnel, &mbuf, (limit - HEADER_LEN) as u16) {
                Ok(mut fragments) => {
                    self.follow_first(&mbuf, &fragments);
                    for mbuf in fragments.drain() {
                        self.send_outer(sa.tunnel, mbuf, now);
                    }
                }
                Err(reason) => {
                    self.lose(&mbuf, sa.tunnel, PathStage::Encapsulated, reason);
                    self.not_sealed(sa, reason, &mut mbuf);
                }
            }
        }
        self.tunnels.serve(before);
    }
}

/// Makes a frame that was written to leave by a port one that the stages take: as if it had not passed the hop here yet.
#[cold]
pub(super) fn take_back(mbuf: &mut Mbuf) {
    let Some((link, packet)) = mbuf.data_mut().split_first_chunk_mut() else {
        return;
    };
    *link = link_bytes(MacAddress::ZERO, EtherType::IPV4);
    if let Some(header) = packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>() {
        ipv4::set_ttl(header, header[8].saturating_add(1));
    }
}

pub(super) fn ethertype_of(sa: &OutboundSa) -> EtherType {
    if sa.destination.is_ipv6() {
        EtherType::IPV6
    } else {
        EtherType::IPV4
    }
}

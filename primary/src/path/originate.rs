//! Packets that a tool sends as the gateway itself, such as those of IKE.
//!
//! They go through the stages as outer packets of tunnels do, as if received by an interface: then they are looked up, cut, and kept for
//! a neighbour as any. That takes one off the hop limit, so one is added before.

use packet::ethernet::{self, HEADER_LEN};
use packet::{MacAddress, ipv4};
use shm::DropReason;

use super::{Interfaces, Stages};
use crate::adjacency;

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// Makes a frame of the gateway's own one that the stages take. Gives the interface that it is to be received by: that of the port of
    /// `interface`, or the first that is up.
    ///
    /// # Errors
    ///
    /// No interface is up, or there is no packet in the frame.
    pub fn originate(&self, interface: u16, frame: &mut [u8]) -> Result<u16, DropReason> {
        let port = self.interfaces.port_of(interface);
        let port = [port].into_iter().chain(self.interfaces.indices());
        let (port, mac) = port
            .filter_map(|port| Some((port, self.up(port).filter(|view| view.is_port())?.mac)))
            .next()
            .ok_or(DropReason::InterfaceDown)?;
        ethernet::rewrite(frame, mac, MacAddress([0; 6])).map_err(|_| DropReason::EthernetTruncated)?;
        let packet = frame.get_mut(HEADER_LEN..).unwrap_or_default();
        match packet.first().map(|first| first >> 4) {
            Some(4) => {
                let header = packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>();
                let header = header.ok_or(DropReason::Ip4Truncated)?;
                ipv4::set_ttl(header, header[8].saturating_add(1));
            }
            _ => {
                let hop_limit = packet.get_mut(HOP_LIMIT).ok_or(DropReason::Ip6Truncated)?;
                *hop_limit = hop_limit.saturating_add(1);
            }
        }
        Ok(port)
    }
}

/// Where an IPv6 header has it.
const HOP_LIMIT: usize = 7;

impl Interfaces {
    /// The index of each interface that there is, or was.
    fn indices(&self) -> impl Iterator<Item = u16> {
        (0..).take_while(|index| self.get(usize::from(*index)).is_some())
    }
}

//! How packets leave that the gateway itself wrote a moment ago, such as the outer packets of an SA: one lookup for all to the same
//! destination.

use std::net::IpAddr;

use packet::EtherType;
use packet::ethernet::HEADER_LEN;

use super::usual::{Four, HEAD4, HEAD6, Six, Usual, link_addresses};
use super::{InterfaceView, Stages};
use crate::adjacency;

/// How packets to one destination leave.
#[derive(Clone, Copy, Debug)]
pub struct WayOut {
    /// The interface of a port.
    pub egress: u16,
    /// The longest frame that may leave by it.
    pub longest: usize,
    /// The first bytes of a frame: two MAC addresses.
    addresses: [u8; 12],
    is_six: bool,
}

impl<F: fib::Storage, A: adjacency::Storage> Stages<F, A> {
    /// How packets to a destination leave; `None` where that hangs on more than the destination, or they do not leave at once by
    /// a port as they are: then they go through the stages.
    #[inline]
    pub fn way_out(&self, destination: IpAddr) -> Option<WayOut> {
        let next_hop = self.next_hop_of(destination);
        let view = self.adjacencies.view();
        // `None` for a group as well.
        let egress = view.egress(next_hop)?;
        let out = self.up(egress).filter(|out| InterfaceView::is_port(out))?;
        let mac = view.frame_by(egress, next_hop)?;
        Some(WayOut {
            egress,
            longest: usize::from(out.mtu) + HEADER_LEN,
            addresses: link_addresses(mac, out),
            is_six: destination.is_ipv6(),
        })
    }
}

impl WayOut {
    /// The link header of a frame that is ready to leave, over IPv4.
    #[inline]
    pub fn link4(&self) -> [u8; HEADER_LEN] {
        let mut link = [0; HEADER_LEN];
        let (addresses, ethertype) = link.split_at_mut(self.addresses.len());
        addresses.copy_from_slice(&self.addresses);
        ethertype.copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        link
    }

    /// Makes a frame ready that is no longer than [`longest`](Self::longest): its TTL or hop limit, above 1 so far, is counted down.
    #[inline]
    pub fn write(&self, frame: &mut [u8]) {
        if let Some((addresses, _)) = frame.split_first_chunk_mut() {
            *addresses = self.addresses;
        }
        if self.is_six {
            if let Some(head) = frame.first_chunk_mut::<HEAD6>() {
                Six::hop(head);
            }
        } else if let Some(head) = frame.first_chunk_mut::<HEAD4>() {
            Four::hop(head);
        }
    }
}

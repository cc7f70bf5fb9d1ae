//! ARP packets in and out of the control thread.

use std::time::Duration;

use dpdk::MbufBatch;
use packet::MacAddress;
use packet::arp::{self, Arp, Operation};
use packet::ethernet::{EthernetHeader, MIN_FRAME_LEN, VlanTags};
use shm::{DropReason, InterfaceCounter};

use super::Control;
use crate::tables::ArpVerdict;

/// Packets that are taken from one worker before the others have their turn.
const TURN: usize = 8;

impl Control<'_> {
    /// Takes what workers punted; returns whether there may be more.
    pub(super) fn take_packets(&mut self, now: Duration) -> bool {
        let mut more = false;
        let mut batch = MbufBatch::<32>::new();
        for worker in 0..self.punts.len() {
            for _ in 0..TURN {
                if self.punts[worker].arp.dequeue(&mut batch) == 0 {
                    break;
                }
                more = true;
                for mbuf in batch.drain() {
                    let port = mbuf.port().map(|port| usize::from(port.number()));
                    if let Some(&interface) = port.and_then(|port| self.interface_of_port.get(port)) {
                        self.take_arp(interface, mbuf.data(), now);
                    }
                }
            }
            let mut requests = [Default::default(); 32];
            let count = self.punts[worker].resolve.dequeue(&mut requests);
            for request in &requests[..count] {
                more = true;
                // The worker's interface index, which is 16 bits there.
                self.tables
                    .resolve(request.interface as u16, request.next_hop.into(), now);
            }
        }
        more
    }

    fn take_arp(&mut self, interface: u16, frame: &[u8], now: Duration) {
        let parsed = EthernetHeader::parse(frame)
            .ok()
            .and_then(|(link, payload)| Arp::parse(payload).ok().map(|message| (link, message)));
        let name = self.tables.interface_name(interface);
        match &parsed {
            Some((_, arp)) => tracing::debug!(target: "arp", "{name}: received {}", describe(arp)),
            None => tracing::debug!(target: "arp", "{name}: received what is no ARP for IPv4 over Ethernet"),
        }
        let verdict = match parsed {
            Some((link, message)) => self.tables.arp_received(interface, link.source, &message, now),
            None => ArpVerdict::Malformed,
        };
        if verdict == ArpVerdict::Malformed {
            // It was counted as delivered when the worker handed it over.
            self.counters.sub(interface, InterfaceCounter::Delivered, 1);
            self.counters.drop(interface, DropReason::ArpMalformed, 1);
        }
    }

    /// Hands an ARP packet to the worker that sends for the interface.
    pub(super) fn send_arp(&mut self, interface: u16, destination: MacAddress, message: &Arp) {
        let Some(ring) = self.send.get_mut(usize::from(interface)) else {
            return;
        };
        tracing::debug!(target: "arp", "{}: sends {}", self.tables.interface_name(interface), describe(message));
        self.counters.add(interface, InterfaceCounter::Originated, 1);
        let mut frame = [0; MIN_FRAME_LEN];
        let mut batch = MbufBatch::<1>::new();
        let filled = message
            .emit_frame(destination, VlanTags::NONE, arp::Padding::Minimum, &mut frame)
            .ok()
            .and_then(|length| {
                let mut mbuf = self.pool.alloc()?;
                mbuf.append(&frame[..length]).ok()?;
                batch.push(mbuf).ok()
            });
        let reason = match filled {
            None => DropReason::NoBuffer,
            Some(()) if ring.enqueue(&mut batch) == 1 => return,
            Some(()) => DropReason::TxFull,
        };
        self.counters.drop(interface, reason, 1);
    }
}

/// An ARP message as a line of the log has it.
fn describe(message: &Arp) -> String {
    let Arp {
        operation,
        sender_mac,
        sender_address,
        target_address,
        ..
    } = message;
    match operation {
        Operation::Request => {
            format!("a request: who has {target_address}, asks {sender_address} at {sender_mac}")
        }
        Operation::Reply => format!("a reply: {sender_address} is at {sender_mac}"),
    }
}

//! ARP and neighbour discovery packets in and out of the control thread.

use std::net::Ipv6Addr;
use std::time::Duration;

use dpdk::{Mbuf, MbufBatch};
use packet::arp::{self, Arp, Operation};
use packet::ethernet::{EthernetHeader, MIN_FRAME_LEN, VlanTags};
use packet::nd::{self, NeighborMessage};
use packet::{EtherType, Ipv6, MacAddress};
use shm::records::from_ip_field;
use shm::{DropReason, InterfaceCounter, PathStage};

use super::Control;
use crate::tables::ArpVerdict;
use crate::worker::{count_sent, tag};

/// Packets that are taken from one worker before the others have their turn.
const TURN: usize = 8;

impl Control<'_> {
    /// Takes what workers punted; returns whether there may be more.
    pub(super) fn take_packets(&mut self, now: Duration) -> bool {
        let mut more = false;
        let mut batch = MbufBatch::<32>::new();
        for worker in 0..self.punts.len() {
            for _ in 0..TURN {
                if self.punts[worker].discovery.dequeue(&mut batch) == 0 {
                    break;
                }
                more = true;
                for mut mbuf in batch.drain() {
                    let port = mbuf.port().map(|port| usize::from(port.number()));
                    if let Some(&interface) = port.and_then(|port| self.interface_of_port.get(port))
                        && let Err(reason) = self.take_frame(interface, mbuf.data(), now)
                    {
                        self.refuse(interface, reason, &mut mbuf);
                    }
                }
            }
            let mut requests = [Default::default(); 32];
            let count = self.punts[worker].resolve.dequeue(&mut requests);
            for request in &requests[..count] {
                more = true;
                // The worker's interface index, which is 16 bits there.
                self.tables
                    .resolve(request.interface as u16, from_ip_field(request.next_hop), now);
            }
        }
        more
    }

    /// What workers punted: taken, or to be dropped.
    fn take_frame(&mut self, interface: u16, frame: &[u8], now: Duration) -> Result<(), DropReason> {
        let (link, payload) = EthernetHeader::parse(frame).map_err(|_| DropReason::EthernetTruncated)?;
        match link.ethertype {
            EtherType::IPV6 => self.take_nd(interface, link.source, payload, frame, now),
            _ => self.take_arp(interface, payload, frame, now),
        }
    }

    fn take_arp(
        &mut self,
        interface: u16,
        payload: &[u8],
        frame: &[u8],
        now: Duration,
    ) -> Result<(), DropReason> {
        let name = self.tables.interface_name(interface);
        let verdict = match Arp::parse(payload) {
            Ok(message) => {
                tracing::debug!(target: "arp", "{name}: received {}", describe(&message));
                // The kernel asks by the tap, and the answer comes here. Questions it would answer a second time.
                if message.operation == Operation::Reply {
                    self.kernel.copy(interface, frame);
                }
                self.tables.arp_received(interface, &message, now)
            }
            Err(error) => {
                tracing::debug!(target: "arp", "{name}: received what is no ARP for IPv4 over Ethernet: {error}");
                ArpVerdict::Malformed
            }
        };
        match verdict {
            ArpVerdict::Malformed => Err(DropReason::ArpMalformed),
            _ => Ok(()),
        }
    }

    fn take_nd(
        &mut self,
        interface: u16,
        source: MacAddress,
        payload: &[u8],
        frame: &[u8],
        now: Duration,
    ) -> Result<(), DropReason> {
        let name = self.tables.interface_name(interface);
        let parsed = Ipv6::parse(payload)
            .map_err(|error| error.to_string())
            .and_then(|packet| {
                let message = NeighborMessage::parse(&packet).map_err(|error| error.to_string())?;
                Ok((packet.source(), message))
            });
        match parsed {
            Ok((address, message)) => {
                tracing::debug!(target: "nd", "{name}: received {} from {address}", describe_nd(&message));
                // As with ARP.
                if matches!(message, NeighborMessage::Advertisement(_)) {
                    self.kernel.copy(interface, frame);
                }
                let to_group = frame.first().is_some_and(|first| first & 1 != 0);
                self.tables
                    .nd_received(interface, source, address, &message, to_group, now);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(target: "nd", "{name}: received what is not to be believed: {error}");
                Err(DropReason::NdMalformed)
            }
        }
    }

    /// A packet that was counted as delivered when the worker handed it over is dropped instead.
    fn refuse(&self, interface: u16, reason: DropReason, mbuf: &mut Mbuf) {
        self.counters.sub(interface, InterfaceCounter::Delivered, 1);
        let captures = self.attachments.beside();
        captures.drop_one(&self.counters, interface, reason, PathStage::Control, mbuf);
    }

    /// Hands an ARP packet to the worker that sends for the interface.
    pub(super) fn send_arp(&mut self, interface: u16, destination: MacAddress, message: &Arp) {
        tracing::debug!(target: "arp", "{}: sends {}", self.tables.interface_name(interface), describe(message));
        let mut frame = [0; MIN_FRAME_LEN];
        let emitted = message.emit_frame(destination, VlanTags::NONE, arp::Padding::Minimum, &mut frame);
        self.send(interface, emitted.ok().and_then(|length| frame.get(..length)));
    }

    /// The same for a neighbour discovery packet.
    pub(super) fn send_nd(
        &mut self,
        interface: u16,
        mac: MacAddress,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: &NeighborMessage,
    ) {
        let name = self.tables.interface_name(interface);
        tracing::debug!(target: "nd", "{name}: sends {} to {destination}", describe_nd(message));
        let Some(own) = self.tables.interface_mac(interface) else {
            return;
        };
        let mut frame = [0; nd::MAX_FRAME_LEN];
        let emitted = message.emit_frame(own, mac, source, destination, &mut frame);
        self.send(interface, emitted.ok().and_then(|length| frame.get(..length)));
    }

    fn send(&mut self, interface: u16, frame: Option<&[u8]>) {
        let port = self.interfaces.port_of(interface);
        let Some(ring) = self.send.get_mut(usize::from(port)) else {
            return;
        };
        self.counters.add(interface, InterfaceCounter::Originated, 1);
        let mut batch = MbufBatch::<1>::new();
        let filled = frame.and_then(|frame| {
            let mut mbuf = self.pool.alloc()?;
            mbuf.append(frame).ok()?;
            if port != interface {
                tag(&self.interfaces, interface, &mut mbuf)?;
            }
            Some(mbuf)
        });
        let frame = frame.unwrap_or_default();
        let (captures, counters, stage) = (self.attachments.beside(), &self.counters, PathStage::Tx);
        let Some(mbuf) = filled else {
            return captures.drop_frame(counters, interface, DropReason::NoBuffer, stage, frame);
        };
        let refused = match batch.push(mbuf) {
            Ok(()) => {
                ring.enqueue(&mut batch);
                batch.drain().next()
            }
            Err(mbuf) => Some(mbuf),
        };
        match refused {
            None => count_sent(&self.interfaces, interface, frame.len(), counters),
            Some(mut mbuf) => captures.drop_one(counters, interface, DropReason::TxFull, stage, &mut mbuf),
        }
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

/// A neighbour discovery message as a line of the log has it.
fn describe_nd(message: &NeighborMessage) -> String {
    let at = |mac: Option<MacAddress>| mac.map_or_else(String::new, |mac| format!(" at {mac}"));
    match message {
        NeighborMessage::Solicitation(solicitation) => format!(
            "a solicitation: who has {}?{}",
            solicitation.target,
            at(solicitation.source_link_layer)
        ),
        NeighborMessage::Advertisement(advertisement) => format!(
            "an advertisement: {} is there{}",
            advertisement.target,
            at(advertisement.target_link_layer)
        ),
    }
}

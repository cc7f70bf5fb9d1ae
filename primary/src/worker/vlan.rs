//! Packets of sub-interfaces: they come and go by a port, in frames with tags.
//!
//! They count on the port and on the sub-interface: `to_sub_interfaces` and `from_sub_interfaces` say how many of the
//! port's went on to one or came from one, so that what came and what went still balance.

use dpdk::{Mbuf, PortId};
use shm::{CounterBlock, InterfaceCounter};

use super::Engine;
use super::tunnels::Step;
use crate::adjacency;
use crate::path::{Interfaces, write_tags};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Takes a packet for an interface, or gives it back when its device is behind or there is no such interface.
    #[inline]
    pub(super) fn send(&mut self, interface: u16, mbuf: Mbuf) -> Result<(), Mbuf> {
        if self.transmit.has(interface) {
            self.transmit.push(interface, mbuf, &self.counters)
        } else if self.stages.interfaces.is_esp(interface) {
            self.seal_soon(interface, mbuf)
        } else {
            self.send_tagged(interface, mbuf)
        }
    }

    #[cold]
    fn send_tagged(&mut self, interface: u16, mut mbuf: Mbuf) -> Result<(), Mbuf> {
        if self.stages.interfaces.tunnel(interface).is_some() {
            return self.tunnels.put(Step::Encapsulate, interface, mbuf);
        }
        let bytes = mbuf.len();
        let Some(port) = tag(&self.stages.interfaces, interface, &mut mbuf) else {
            return Err(mbuf);
        };
        self.transmit.push(port, mbuf, &self.counters)?;
        count_sent(&self.stages.interfaces, interface, bytes, &self.counters);
        Ok(())
    }

    /// Which interface a packet came in by.
    pub(super) fn interface_of(&self, mbuf: &Mbuf) -> Option<u16> {
        ingress_of(&self.interface_of_port, mbuf)
    }

    /// What a packet says that came in by an interface: its port, or the number that stands for a sub-interface or a tunnel.
    pub(super) fn port_of(&self, interface: u16) -> Option<PortId> {
        match self.ports.get(usize::from(interface)) {
            Some(port) => Some(*port),
            None => self
                .stages
                .interfaces
                .get(usize::from(interface))
                .map(|_| PortId::beyond_ports(interface)),
        }
    }

    /// Notes that a received packet is one of a sub-interface.
    #[cold]
    pub(super) fn received_tagged(&mut self, interface: u16, mbuf: &mut Mbuf) {
        mbuf.set_port(PortId::beyond_ports(interface));
        for (index, sub) in self.stages.interfaces.chain(interface) {
            self.counters.add(index, InterfaceCounter::RxPackets, 1);
            self.counters
                .add(index, InterfaceCounter::RxBytes, mbuf.len() as u64);
            self.counters
                .add(sub.parent, InterfaceCounter::ToSubInterfaces, 1);
        }
    }
}

/// Which interface a packet came in by, by what its mbuf says.
pub(super) fn ingress_of(interface_of_port: &[u16], mbuf: &Mbuf) -> Option<u16> {
    let port = mbuf.port()?;
    interface_of_port.get(usize::from(port.number())).copied()
}

/// Puts the tags of a sub-interface into a frame that has none; gives the interface of the port that it leaves by.
/// `None`, and the frame as it was, where there is no such sub-interface or no room in front of the frame.
pub fn tag(interfaces: &Interfaces, interface: u16, mbuf: &mut Mbuf) -> Option<u16> {
    let sub = interfaces.sub_interface(interface)?;
    mbuf.prepend(sub.tags.count() * packet::ethernet::TAG_LEN).ok()?;
    write_tags(mbuf.data_mut(), &sub.tags);
    Some(sub.port)
}

/// Counts a packet of `bytes`, without its tags, that left by a sub-interface.
pub fn count_sent(interfaces: &Interfaces, interface: u16, bytes: usize, counters: &CounterBlock) {
    for (index, sub) in interfaces.chain(interface) {
        counters.add(index, InterfaceCounter::TxPackets, 1);
        counters.add(index, InterfaceCounter::TxBytes, bytes as u64);
        counters.add(sub.parent, InterfaceCounter::FromSubInterfaces, 1);
    }
}

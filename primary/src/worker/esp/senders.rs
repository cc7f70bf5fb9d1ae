//! ICMP errors about ESP packets that were sent: which SA has sent them, RFC 4301 section 8.2.1.
//!
//! Of an error that is believed the SPI is that of an SA between these ends, and so are the ports of a UDP header. A quote in UDP may end
//! before the SPI: then the ports are to be those of the SA that a tunnel between these ends sends by.

use shm::DropReason;

use super::super::Engine;
use crate::adjacency;
use crate::path::{Family, SentEsp, esp_error};

/// What is known of an SA that goes out, whoever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// Its tunnel.
    pub(super) tunnel: u16,
    /// Of its UDP header.
    pub(super) ports: Option<(u16, u16)>,
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Learns what there is to be learned of an ICMP message about ESP, which begins `at` bytes into a frame; gives what it is to be counted
    /// as.
    #[cold]
    pub(in crate::worker) fn esp_error(
        &mut self,
        frame: &[u8],
        family: Family,
        at: u16,
        now: u64,
    ) -> DropReason {
        let message = frame.get(usize::from(at)..).unwrap_or_default();
        let Some((sent, mtu)) = esp_error(family, message) else {
            return DropReason::LocalUnhandled;
        };
        let Some(tunnel) = self.sender_of(&sent) else {
            // What else comes from these ports is not ESP's to judge.
            return match sent.ports {
                Some(_) => DropReason::LocalUnhandled,
                None => DropReason::TunnelError,
            };
        };
        if let (Some(mtu), Some(view)) = (mtu, self.stages.interfaces.tunnel(tunnel)) {
            self.learn_mtu(tunnel, mtu.saturating_sub(view.overhead()), now);
        }
        DropReason::TunnelError
    }

    /// The tunnel that has sent a packet.
    fn sender_of(&self, sent: &SentEsp) -> Option<u16> {
        let interfaces = &self.stages.interfaces;
        let fits = |sender: &&Sender| {
            let view = interfaces.tunnel(sender.tunnel);
            sender.ports == sent.ports && view.is_some_and(|view| view.outer.local == sent.source)
        };
        let sas = &self.esp.sas;
        let sender = match sent.spi {
            Some(spi) => sas.sender(sas.by_spi.find(spi, sent.destination)?).filter(fits),
            None => interfaces
                .esp_between(sent.source, sent.destination)
                .filter_map(|tunnel| sas.sender(sas.current(tunnel)?))
                .find(fits),
        };
        sender.map(|sender| sender.tunnel)
    }
}

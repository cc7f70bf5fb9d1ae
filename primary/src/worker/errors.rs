//! ICMP errors instead of dropped packets.

use dpdk::Mbuf;
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use crate::adjacency;
use crate::path::errors::{self, IcmpError};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Drops a packet that came in by `ingress`, counted, and tells its sender where that is due. Gives what it passed last.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        ingress: u16,
        mbuf: Mbuf,
        reason: DropReason,
        detail: u16,
        now: u64,
    ) -> Passed {
        self.counters.drop(ingress, reason, 1);
        if !errors::is_told(reason) || mbuf.segment_count() != 1 {
            return Passed::NONE.with(PathStage::Drop);
        }
        let end = if self.answer(ingress, mbuf, reason, detail, now) {
            PathStage::Tx
        } else {
            PathStage::Drop
        };
        Passed::NONE.with(PathStage::Errors).with(end)
    }

    /// Whether an error goes back.
    fn answer(&mut self, ingress: u16, mbuf: Mbuf, reason: DropReason, detail: u16, now: u64) -> bool {
        let Some(error) = self.stages.error_for(ingress, mbuf.data(), reason, detail) else {
            return false;
        };
        if !self.policers.errors.admit(ingress, now) {
            self.counters.add(ingress, InterfaceCounter::IcmpErrorsPoliced, 1);
            return false;
        }
        self.counters.add(ingress, InterfaceCounter::IcmpErrors, 1);
        self.counters.add(ingress, InterfaceCounter::Originated, 1);
        let reason = match in_front(mbuf, &error) {
            None => DropReason::NoBuffer,
            Some(mbuf) => match self.transmit.push(ingress, mbuf, &self.counters) {
                Ok(()) => return true,
                Err(_mbuf) => DropReason::TxFull,
            },
        };
        self.counters.drop(ingress, reason, 1);
        false
    }
}

/// The error in the buffer of what it quotes.
fn in_front(mut mbuf: Mbuf, error: &IcmpError) -> Option<Mbuf> {
    mbuf.trim_front(error.quote_at).ok()?;
    mbuf.truncate(error.quote_len);
    let headers = error.headers();
    mbuf.prepend(headers.len()).ok()?.copy_from_slice(headers);
    Some(mbuf)
}

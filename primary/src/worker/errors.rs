//! ICMP errors instead of dropped packets, and redirects beside those that go on.

use dpdk::Mbuf;
use shm::{DropReason, InterfaceCounter, Passed, PathStage};

use super::Engine;
use crate::adjacency;
use crate::attachments::Loose;
use crate::path::Stages;
use crate::path::errors::{self, IcmpError};

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Drops a packet that came in by `ingress` and had come to stage `at`, counted, and tells its sender where that is due. Gives what it
    /// passed last.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        ingress: u16,
        mut mbuf: Mbuf,
        reason: DropReason,
        detail: u16,
        at: PathStage,
        now: u64,
    ) -> Passed {
        self.drop_one(ingress, reason, at, &mut mbuf);
        if !errors::is_told(reason) {
            return Passed::NONE.with(PathStage::Drop);
        }
        let told = if mbuf.segment_count() != 1 {
            // What is quoted may lie in several.
            let mut buffer = std::mem::take(&mut self.buffer);
            let length = mbuf.copy_to(&mut buffer);
            drop(mbuf);
            let frame = buffer.get(..length).unwrap_or_default();
            let told = self.tell_of(ingress, frame, reason, detail, now);
            self.buffer = buffer;
            told
        } else if let Some(error) = self.error_for(ingress, mbuf.data(), reason, detail, now) {
            if put_in_front(&mut mbuf, &error) {
                self.send_error(ingress, mbuf, error.about_own)
            } else {
                self.send_copy(ingress, mbuf.data(), &error)
            }
        } else {
            false
        };
        passed(told)
    }

    /// Tells the sender of a frame that is in no buffer of its own and was dropped, where that is due. Gives what it passed last.
    #[cold]
    pub(super) fn tell(
        &mut self,
        ingress: u16,
        frame: &[u8],
        reason: DropReason,
        detail: u16,
        now: u64,
    ) -> Passed {
        if !errors::is_told(reason) {
            return Passed::NONE.with(PathStage::Drop);
        }
        passed(self.tell_of(ingress, frame, reason, detail, now))
    }

    /// Whether an error goes back.
    fn tell_of(&mut self, ingress: u16, frame: &[u8], reason: DropReason, detail: u16, now: u64) -> bool {
        match self.error_for(ingress, frame, reason, detail, now) {
            Some(error) => self.send_copy(ingress, frame, &error),
            None => false,
        }
    }

    /// Sends an error about a frame that stays as it is; whether it goes back.
    pub(super) fn send_copy(&mut self, ingress: u16, frame: &[u8], error: &IcmpError) -> bool {
        let quote = frame.get(error.quote_at..error.quote_at + error.quote_len);
        let quote = quote.unwrap_or_default();
        let parts = [error.headers(), quote];
        if let Ok(mbuf) = self.filled(ingress, &parts) {
            return self.send_error(ingress, mbuf, error.about_own);
        }
        let loose = Loose {
            parts: &parts,
            mark: None,
        };
        self.drop_loose(ingress, DropReason::NoBuffer, PathStage::Errors, &loose);
        false
    }

    /// The error that is due, counted, unless there have been too many.
    fn error_for(
        &mut self,
        ingress: u16,
        frame: &[u8],
        reason: DropReason,
        detail: u16,
        now: u64,
    ) -> Option<IcmpError> {
        let translates = self.services.are_on();
        let error = self.policed(ingress, now, |stages| {
            if translates {
                stages.error_about(ingress, frame, reason, detail)
            } else {
                stages.error_for(ingress, frame, reason, detail)
            }
        });
        // One that is not due leaves the bucket as it was.
        if error.is_none() && translates && !self.policers.errors.would_admit(ingress, now) {
            self.services.count_limited(frame);
        }
        error
    }

    /// What `make` gives, counted, unless there have been too many.
    pub(super) fn policed(
        &mut self,
        ingress: u16,
        now: u64,
        make: impl FnOnce(&Stages<F, A>) -> Option<IcmpError>,
    ) -> Option<IcmpError> {
        if !self.policers.errors.would_admit(ingress, now) {
            // Whether it is due is not looked into: that costs as much as to make it.
            self.counters.add(ingress, InterfaceCounter::IcmpErrorsPoliced, 1);
            return None;
        }
        let error = make(&self.stages)?;
        self.policers.errors.admit(ingress, now);
        self.counters.add(ingress, InterfaceCounter::IcmpErrors, 1);
        self.counters.add(ingress, InterfaceCounter::Originated, 1);
        Some(error)
    }

    /// Whether it goes back. What it is about may come from the gateway itself (`about_own`): then it does as the load balancer says, whose
    /// translation that was.
    fn send_error(&mut self, ingress: u16, mbuf: Mbuf, about_own: bool) -> bool {
        if about_own {
            return self.send_translated(ingress, mbuf);
        }
        match self.leave(ingress, mbuf) {
            Ok(()) => true,
            Err((mut mbuf, reason)) => {
                self.drop_one(ingress, reason, PathStage::Errors, &mut mbuf);
                false
            }
        }
    }
}

/// What a dropped packet passed last whose sender was told, or might have been.
fn passed(told: bool) -> Passed {
    let end = if told { PathStage::Tx } else { PathStage::Drop };
    Passed::NONE.with(PathStage::Errors).with(end)
}

/// Makes the error in the buffer of what it quotes; where that has no room for it, it stays as it is.
fn put_in_front(mbuf: &mut Mbuf, error: &IcmpError) -> bool {
    let headers = error.headers();
    if mbuf.headroom() + error.quote_at < headers.len() || mbuf.trim_front(error.quote_at).is_err() {
        return false;
    }
    // A packet of its own.
    mbuf.clear_mark();
    mbuf.truncate(error.quote_len);
    match mbuf.prepend(headers.len()) {
        Ok(place) => {
            place.copy_from_slice(headers);
            true
        }
        // There is room, as was seen above.
        Err(_) => false,
    }
}

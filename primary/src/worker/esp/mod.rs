//! ESP: packets that SAs protect, in bursts of one SA.
//!
//! ```text
//!   in    dispatch ─ SPI, destination ─┬─► burst of the SA ─► opened ─► as received by its tunnel
//!   out   packets of a tunnel ─────────┤   burst of the SA ─► sealed ─► the stages, as other tunnels' outer packets
//!                                      └─► ring to the worker whose SA it is, and there the same
//! ```
//!
//! A burst is done when it is full, and at the end of the round. The packets of an SA keep their order.

mod acquire;
mod arrive;
mod clear;
mod found;
mod handed;
mod keepalive;
mod looked_on;
mod open;
mod opening;
mod room;
mod seal;
mod sealing;
mod send;
mod senders;
mod survey;
mod table;

use std::collections::VecDeque;
use std::time::Duration;

use control::message::SaId;
use dpdk::Pool;
use dpdk::crypto::Job;
use esp::lifetime::Life;
use esp::{Opening, Sealing};
use nix::time::{ClockId, clock_gettime};
use shm::{DropReason, SaCounter};

use self::acquire::Acquires;
pub use self::handed::{HANDED, Handover, handovers};
pub use self::room::{LONG_BUFFERS, long_room};
use self::senders::Sender;
use self::table::Sas;
use super::Engine;
use crate::adjacency;
use crate::ipsec::{EspNews, SaMatter, SaNews, SaSignal, Told, owner};
use crate::path::BURST;

/// A worker's part in ESP.
pub(super) struct Esp {
    sas: Sas,
    news: EspNews,
    handover: Handover,
    /// For packets that are longer than others' buffers; none where there can be no SA.
    long: Option<Pool>,
    /// Whether a packet was in one of those: bursts are looked at for such from then on.
    has_lent: bool,
    /// What the control thread was too far behind for, and would not be said again.
    unsaid: VecDeque<SaSignal>,
    /// When packets without an SA may be told of again, ticks.
    quiet_until: u64,
    second: u64,
    acquires: Acquires,
    /// SAs that are to send a NAT keepalive.
    keepalives: Vec<u32>,
    /// The round at which was looked at the clock of the machine, ticks, and what it said.
    clock: Option<(u64, u64)>,
    /// Sealed packets whose ways are not counted yet, of IPv4 and of IPv6.
    sent: [u64; 2],
    /// `None` while it is in use.
    bench: Option<Box<Bench>>,
}

/// What is kept that could not be said.
const UNSAID: usize = 64;

/// What is known of the burst that is being sealed or opened. Kept, so that it need not be cleared each time.
struct Bench {
    jobs: [Job; BURST],
    /// By packet.
    sealings: [Option<Sealing>; BURST],
    /// By packet.
    openings: [Option<Opening>; BURST],
    /// By packet: why it goes no further.
    refused: [Option<DropReason>; BURST],
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            jobs: [Job::default(); BURST],
            sealings: [None; BURST],
            openings: [None; BURST],
            refused: [None; BURST],
        }
    }
}

impl Esp {
    /// No SA yet; room for so many, on so many interfaces.
    pub(super) fn new(
        news: EspNews,
        handover: Handover,
        long: Option<Pool>,
        sas: usize,
        interfaces: usize,
    ) -> Self {
        Self {
            sas: Sas::new(sas, interfaces),
            news,
            handover,
            long,
            has_lent: false,
            unsaid: VecDeque::with_capacity(UNSAID),
            quiet_until: 0,
            second: dpdk::tsc_hz(),
            acquires: Acquires::new(interfaces, dpdk::tsc_hz()),
            keepalives: Vec::with_capacity(sas),
            clock: None,
            sent: [0; 2],
            bench: Some(Box::default()),
        }
    }

    /// Nanoseconds of `CLOCK_BOOTTIME`, which records carry, up to a millisecond ago: they are shown in milliseconds. Asking is no system call
    /// on the machines that there are, but takes as long as a few packets.
    #[inline]
    fn boottime_ns(&mut self, now: u64) -> u64 {
        match self.clock {
            Some((then, said)) if now.wrapping_sub(then) < self.second / 1000 => said,
            _ => {
                let said = boottime_ns();
                self.clock = Some((now, said));
                said
            }
        }
    }

    /// Whether no SA has packets in its burst, or a keepalive to send.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.sas.inbound.is_idle() && self.sas.outbound.is_idle() && self.keepalives.is_empty()
    }

    /// Takes what happened to SAs. No burst has packets then.
    #[inline]
    pub(super) fn take_news(&mut self) {
        let Self {
            sas,
            news,
            keepalives,
            bench,
            unsaid,
            ..
        } = self;
        while let Some(signal) = unsaid.front()
            && news.say(*signal)
        {
            unsaid.pop_front();
        }
        let mut is_one_gone = false;
        news.take(|news| {
            take(sas, keepalives, news);
            is_one_gone |= matches!(news, SaNews::NoInbound { .. } | SaNews::NoOutbound { .. });
        });
        if is_one_gone && let Some(bench) = bench {
            // Nonces of it have its salt.
            **bench = Bench::default();
        }
    }

    /// The worker that an SA belongs to, if that is another.
    fn elsewhere(&self, slot: u32) -> Option<usize> {
        let worker = owner(slot, self.handover.workers());
        (worker != self.handover.number()).then_some(worker)
    }
}

fn take(sas: &mut Sas, keepalives: &mut Vec<u32>, news: &mut SaNews) {
    match news {
        SaNews::Prepare(pool) => {
            // It only makes the first packet faster.
            drop(pool.prepare_thread());
        }
        SaNews::Inbound {
            slot,
            spi,
            destination,
            sa,
        } => {
            sas.inbound.swap(*slot, sa);
            sas.by_spi.insert(*spi, *destination, *slot);
            if let Some(own) = sas.inbound.get_mut(*slot) {
                own.cells.set(SaCounter::Sequence, own.esp.window().highest());
            }
        }
        SaNews::Outbound {
            slot,
            id,
            tunnel,
            ports,
            sa,
        } => {
            sas.outbound.swap(*slot, sa);
            sas.by_spi.insert(id.spi, id.destination, *slot);
            let (tunnel, ports) = (*tunnel, *ports);
            sas.set_sender(*slot, Some(Sender { tunnel, ports }));
            if let Some(own) = sas.outbound.get_mut(*slot) {
                own.cells.set(SaCounter::Sequence, own.esp.sequence().last());
            }
        }
        SaNews::Outer { slot, outer } => {
            if let Some(sa) = sas.outbound.get_mut(*slot) {
                sa.outer = **outer;
            }
        }
        SaNews::Current { tunnel, slot } => sas.set_current(*tunnel, *slot),
        SaNews::NoInbound {
            slot,
            spi,
            destination,
            sa,
        } => {
            sas.inbound.swap(*slot, sa);
            sas.by_spi.remove(*spi, *destination, *slot);
            if let Some(gone) = sa {
                // It counted until now, and another may have the slot by now.
                gone.cells.reset();
            }
        }
        SaNews::NoOutbound { slot, id, sa } => {
            sas.outbound.swap(*slot, sa);
            sas.by_spi.remove(id.spi, id.destination, *slot);
            sas.set_sender(*slot, None);
            if let Some(gone) = sa {
                gone.cells.reset();
            }
        }
        SaNews::Keepalive { slot } => {
            // No more than there can be SAs, so that nothing is allocated.
            if keepalives.len() < keepalives.capacity() {
                keepalives.push(*slot);
            }
        }
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Engine<F, A> {
    /// Says what there is to be said of an SA after a burst.
    #[inline]
    fn tell_matters(&self, id: SaId, number: u64, told: &mut Told) {
        if told.is_due() {
            told.tell(|matter| self.tell_of_sa(SaSignal::Of { id, number, matter }));
        }
    }

    /// Says something that is not said again: when the control thread is too far behind, once it is not.
    #[cold]
    pub(super) fn tell_once(&mut self, signal: SaSignal) {
        let unsaid = &mut self.esp.unsaid;
        let is_said = unsaid.is_empty() && self.esp.news.say(signal);
        // Nothing is allocated: what is beyond, after so many, is lost.
        if !is_said && unsaid.len() < UNSAID {
            unsaid.push_back(signal);
        }
        self.doorbell.ring();
    }

    /// Says something; `false` when the control thread is too far behind.
    #[cold]
    pub(super) fn tell_of_sa(&self, signal: SaSignal) -> bool {
        let said = self.esp.news.say(signal);
        if said {
            self.doorbell.ring();
        }
        said
    }
}

/// Notes what a packet means for its SA, if it means something.
#[inline]
fn note_life(told: &mut Told, life: Life) {
    match life {
        Life::Lasts => {}
        Life::Soft => told.note(SaMatter::Soft),
        Life::Ended => told.note(SaMatter::Hard),
    }
}

fn boottime_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| Duration::from(now).as_nanos() as u64)
}

//! How workers learn of SAs. All that happened at a time goes over at once; what a worker has no use for any more it hands back in its
//! place, and the control thread frees it, with the keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dpdk::crypto::SessionPool;

use super::{InboundSa, OutboundSa};

/// Batches that a worker has not taken yet, at most.
const DEPTH: usize = 64;

/// What happened to an SA. `slot` is the number of its record.
pub enum SaNews {
    /// Sessions of this pool will come: the worker prepares itself.
    Prepare(SessionPool),
    /// One more by which packets come in, with itself for the worker whose it is.
    Inbound {
        /// Its number.
        slot: u32,
        /// Its SPI.
        spi: u32,
        /// Where its packets go.
        destination: IpAddr,
        /// Itself.
        sa: Option<Box<InboundSa>>,
    },
    /// One more by which packets can leave, with itself for the worker whose it is.
    Outbound {
        /// Its number.
        slot: u32,
        /// Itself.
        sa: Option<Box<OutboundSa>>,
    },
    /// Packets of a tunnel leave by this SA, or by none.
    Current {
        /// The tunnel's interface.
        tunnel: u16,
        /// The SA's number.
        slot: Option<u32>,
    },
    /// One that came in is no more.
    NoInbound {
        /// Its number.
        slot: u32,
        /// Its SPI.
        spi: u32,
        /// Where its packets went.
        destination: IpAddr,
        /// Filled in by the worker.
        sa: Option<Box<InboundSa>>,
    },
    /// One that went out is no more.
    NoOutbound {
        /// Its number.
        slot: u32,
        /// Filled in by the worker.
        sa: Option<Box<OutboundSa>>,
    },
}

/// A worker's end.
pub struct EspNews {
    told: Receiver<Vec<SaNews>>,
    mail: Arc<AtomicBool>,
    taken: SyncSender<Vec<SaNews>>,
}

/// The control thread's end.
pub struct EspControl {
    tell: SyncSender<Vec<SaNews>>,
    mail: Arc<AtomicBool>,
    taken: Receiver<Vec<SaNews>>,
    /// What the worker is still to be told.
    waiting: Vec<SaNews>,
    /// Batches that were not handed back yet.
    under_way: usize,
}

/// Both ends.
pub fn news() -> (EspControl, EspNews) {
    let (tell, told) = sync_channel(DEPTH);
    let (hand_back, taken) = sync_channel(DEPTH);
    let mail = Arc::new(AtomicBool::new(false));
    let worker = EspNews {
        told,
        mail: mail.clone(),
        taken: hand_back,
    };
    let control = EspControl {
        tell,
        mail,
        taken,
        waiting: Vec::new(),
        under_way: 0,
    };
    (control, worker)
}

impl EspControl {
    /// Adds to what the worker is to be told.
    pub fn add(&mut self, news: SaNews) {
        self.waiting.push(news);
    }

    /// Tells the worker, and frees what it has handed back. Gives whether it has taken all by now.
    pub fn serve(&mut self) -> bool {
        self.under_way -= self.taken.try_iter().count().min(self.under_way);
        if !self.waiting.is_empty() && self.under_way < DEPTH {
            let batch = std::mem::take(&mut self.waiting);
            if self.tell.try_send(batch).is_ok() {
                self.under_way += 1;
                self.mail.store(true, Ordering::Release);
            }
        }
        self.under_way == 0 && self.waiting.is_empty()
    }
}

impl EspNews {
    /// Takes what there is to be told, each by `take`, which puts what is to be freed in its place.
    #[inline]
    pub(crate) fn take(&mut self, take: impl FnMut(&mut SaNews)) {
        if self.mail.load(Ordering::Relaxed) {
            self.take_all(take);
        }
    }

    #[cold]
    fn take_all(&mut self, mut take: impl FnMut(&mut SaNews)) {
        self.mail.store(false, Ordering::Relaxed);
        // What was sent before the mark is seen with it; what comes later brings a mark of its own.
        std::sync::atomic::fence(Ordering::SeqCst);
        while let Ok(mut batch) = self.told.try_recv() {
            batch.iter_mut().for_each(&mut take);
            // There is room for as many as can be under way.
            let _ = self.taken.try_send(batch);
        }
    }
}

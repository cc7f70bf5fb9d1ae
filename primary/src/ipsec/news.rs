//! How workers learn of SAs. All that happened at a time goes over at once; what a worker has no use for any more it hands back in its
//! place, and the control thread frees it, with the keys.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use control::message::SaId;
use dpdk::crypto::SessionPool;
use esp::outer::Outer;

use super::{InboundSa, OutboundSa};

/// Batches that a worker has not taken yet, at most.
const DEPTH: usize = 64;
/// Signals that the control thread has not taken yet, at most.
const SIGNALS: usize = 1024;

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
    /// One more by which packets can leave.
    Outbound {
        /// Its number.
        slot: u32,
        /// By which its packets are known.
        id: SaId,
        /// The tunnel's interface.
        tunnel: u16,
        /// Source and destination port of the UDP header before its packets.
        ports: Option<(u16, u16)>,
        /// Itself, for the worker whose it is.
        sa: Option<Box<OutboundSa>>,
    },
    /// The tunnel of one by which packets leave was changed, and so its outer headers are.
    Outer {
        /// Its number.
        slot: u32,
        /// They.
        outer: Box<Outer>,
    },
    /// Packets of a tunnel leave by this SA, or by none.
    Current {
        /// The tunnel's interface.
        tunnel: u16,
        /// The SA's number.
        slot: Option<u32>,
    },
    /// An SA that goes out has sent nothing for a while: its worker sends a NAT keepalive, RFC 3948 section 4.
    Keepalive {
        /// Its number.
        slot: u32,
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
        /// By which its packets were known.
        id: SaId,
        /// Filled in by the worker.
        sa: Option<Box<OutboundSa>>,
    },
}

/// What happens to an SA by its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SaMatter {
    /// Its soft lifetime is over.
    Soft = 1,
    /// Its hard lifetime is over.
    Hard = 2,
    /// Few sequence numbers are left.
    SequenceSoon = 4,
}

impl SaMatter {
    /// All there are, in the order in which they are said.
    pub const ALL: [Self; 3] = [Self::Soft, Self::SequenceSoon, Self::Hard];
}

/// What a worker has to say of an SA, of a packet without one, or of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaSignal {
    /// Something happened to an SA, which may be another by now.
    Of {
        /// By which it was known.
        id: SaId,
        /// Its own, and never that of another.
        number: u64,
        /// What happened.
        matter: SaMatter,
    },
    /// Its packets come from another place now, in UDP.
    Moved {
        /// By which it is known.
        id: SaId,
        /// Its own, and never that of another.
        number: u64,
        /// Where they came from before.
        from: SocketAddr,
        /// Where they come from.
        to: SocketAddr,
    },
    /// The path of a tunnel takes no longer packets inside than this, which was learned.
    PathMtu {
        /// The tunnel's interface.
        tunnel: u16,
        /// Bytes of the packet inside.
        mtu: u16,
    },
    /// Packets of a tunnel were dropped because it has no SA to send by.
    Acquire {
        /// The tunnel's interface.
        tunnel: u16,
    },
    /// There is none of this name.
    Unknown {
        /// What it would be known by.
        id: SaId,
        /// Where the packet came from.
        source: IpAddr,
    },
}

/// A worker's end.
pub struct EspNews {
    signals: SyncSender<SaSignal>,
    told: Receiver<Vec<SaNews>>,
    mail: Arc<AtomicBool>,
    taken: SyncSender<Vec<SaNews>>,
}

/// The control thread's end.
pub struct EspControl {
    signals: Receiver<SaSignal>,
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
    let (say, signals) = sync_channel(SIGNALS);
    let mail = Arc::new(AtomicBool::new(false));
    let worker = EspNews {
        signals: say,
        told,
        mail: mail.clone(),
        taken: hand_back,
    };
    let control = EspControl {
        signals,
        tell,
        mail,
        taken,
        waiting: Vec::new(),
        under_way: 0,
    };
    (control, worker)
}

impl EspControl {
    /// Something that the worker has said.
    pub fn take_signal(&self) -> Option<SaSignal> {
        self.signals.try_recv().ok()
    }

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
    /// Says something; `false` when the control thread is too far behind.
    pub(crate) fn say(&self, signal: SaSignal) -> bool {
        self.signals.try_send(signal).is_ok()
    }

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

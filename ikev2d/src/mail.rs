//! What other threads have for the one that does all the work, and how they wake it.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::event::Event;
use control::ike::{IkeAnswer, IkePeer, IkeRequest};
use control::punt::Waker;

/// Something to be done.
pub(crate) enum Mail {
    /// A tool asks.
    Request {
        /// What.
        request: IkeRequest,
        /// Who.
        peer: IkePeer,
        /// Where the replies go.
        replies: SyncSender<Vec<IkeAnswer>>,
    },
    /// The primary tells.
    Event(Event),
    /// The subscription of this number has ended: the primary is gone, or has cut it off.
    EventsEnded(u64),
}

/// Where threads put their mail.
#[derive(Clone)]
pub(crate) struct Postbox {
    sender: Sender<Mail>,
    waker: Arc<Mutex<Option<Waker>>>,
}

/// Where mail arrives.
pub(crate) struct Mailbox {
    receiver: Receiver<Mail>,
    waker: Arc<Mutex<Option<Waker>>>,
}

/// Both ends.
pub(crate) fn mailbox() -> (Postbox, Mailbox) {
    let (sender, receiver) = channel();
    let waker = Arc::new(Mutex::new(None));
    let mailbox = Mailbox {
        receiver,
        waker: Arc::clone(&waker),
    };
    (Postbox { sender, waker }, mailbox)
}

impl Postbox {
    /// Puts something in; `false` when nobody takes it any more.
    pub(crate) fn put(&self, mail: Mail) -> bool {
        let taken = self.sender.send(mail).is_ok();
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = waker.as_ref() {
            waker.wake();
        }
        taken
    }
}

impl Mailbox {
    /// Says how the reader is woken while it waits for packets; `None`: it waits here.
    pub(crate) fn wake_by(&self, waker: Option<Waker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }

    /// The next, if there is one.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.receiver.try_recv().ok()
    }

    /// The next, when it comes within `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Mail> {
        self.receiver.recv_timeout(timeout).ok()
    }
}

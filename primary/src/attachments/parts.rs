//! What a worker has of attachments: given to it by the control thread, and handed back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use shm::attachment::BadVerdict;

/// One worker's part of one attachment.
pub trait Part {
    /// Number of the attachment.
    fn id(&self) -> u32;
    /// Shows the tool that the worker takes no part any more.
    fn end(&mut self);
}

/// What a worker is told.
enum Command<P> {
    Add(P),
    Remove(u32),
}

/// A part that its worker has done with.
pub struct Ended<P> {
    /// It, to be freed by who is not in a hurry.
    pub part: P,
    /// Why, when the worker ended it.
    pub bad: Option<BadVerdict>,
}

impl<P: Part> Ended<P> {
    /// Number of the attachment.
    pub fn id(&self) -> u32 {
        self.part.id()
    }
}

/// A worker's end: its parts.
pub struct Parts<P> {
    commands: Receiver<Command<P>>,
    mail: Arc<AtomicBool>,
    ended: SyncSender<Ended<P>>,
    parts: Vec<P>,
    /// Whether a part was handed back since the last look.
    news: bool,
    bad_verdicts: u64,
}

/// The control thread's end.
pub struct PartControl<P> {
    commands: SyncSender<Command<P>>,
    mail: Arc<AtomicBool>,
    ended: Receiver<Ended<P>>,
}

/// Both ends, for at most `most` parts at a time.
pub fn parts<P: Part>(most: usize) -> (PartControl<P>, Parts<P>) {
    // Each part is added once, removed once and handed back once.
    let (commands, told) = sync_channel(2 * most + 1);
    let (hand_back, ended) = sync_channel(most + 1);
    let mail = Arc::new(AtomicBool::new(false));
    let worker = Parts {
        commands: told,
        mail: mail.clone(),
        ended: hand_back,
        parts: Vec::with_capacity(most),
        news: false,
        bad_verdicts: 0,
    };
    (
        PartControl {
            commands,
            mail,
            ended,
        },
        worker,
    )
}

impl<P> PartControl<P> {
    /// Gives the worker a part; `false` when it has more to do than it can have.
    pub fn add(&self, part: P) -> bool {
        self.tell(Command::Add(part))
    }

    /// Has the worker end a part and hand it back.
    pub fn remove(&self, id: u32) -> bool {
        self.tell(Command::Remove(id))
    }

    fn tell(&self, command: Command<P>) -> bool {
        let told = !matches!(self.commands.try_send(command), Err(TrySendError::Full(_)));
        self.mail.store(true, Ordering::Release);
        told
    }

    /// A part that the worker handed back.
    pub fn take_ended(&self) -> Option<Ended<P>> {
        self.ended.try_recv().ok()
    }
}

impl<P: Part> Parts<P> {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A part by its place, which changes only in [`Parts::read_mail`] and [`Parts::hand_back`].
    #[inline]
    pub fn get_mut(&mut self, place: usize) -> Option<&mut P> {
        self.parts.get_mut(place)
    }

    /// All parts, by their places.
    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.parts.iter()
    }

    /// Parts that ended because of what their tools handed back.
    pub fn bad_verdicts(&self) -> u64 {
        self.bad_verdicts
    }

    /// Whether the control thread has told something since the last [`Parts::read_mail`].
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed)
    }

    /// Whether parts were handed back since the last call.
    #[inline]
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Does what the control thread has told. `leaving` sees each part that is removed.
    #[cold]
    pub fn read_mail(&mut self, mut leaving: impl FnMut(&mut P)) {
        self.mail.swap(false, Ordering::Acquire);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Add(part)) => self.parts.push(part),
                Ok(Command::Remove(id)) => {
                    if let Some(place) = self.parts.iter().position(|part| part.id() == id) {
                        leaving(&mut self.parts[place]);
                        self.hand_back(place, None);
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Ends a part and hands it back.
    pub fn hand_back(&mut self, place: usize, bad: Option<BadVerdict>) {
        let mut part = self.parts.swap_remove(place);
        part.end();
        self.bad_verdicts += u64::from(bad.is_some());
        // There is room for all parts that there can be.
        drop(self.ended.try_send(Ended { part, bad }));
        self.news = true;
    }

    /// Ends all parts: the worker ends.
    pub fn stop(&mut self, mut leaving: impl FnMut(&mut P)) {
        self.read_mail(&mut leaving);
        while let Some(part) = self.parts.first_mut() {
            leaving(part);
            self.hand_back(0, None);
        }
    }
}

//! What has been taken out of use and waits until no worker can hold on to it.

use crate::quiescence::{Quiescence, Ticket};

/// Items that readers may still be using, kept until all of them have passed a quiescent point.
///
/// Items are kept in two batches: those under a ticket, and those that came since. So their number does not matter to
/// the cost of a grace period, and a worker that hangs holds up no more than one ticket.
///
/// ```
/// # use fib::{Quiescence, Retired};
/// let (quiescence, mut workers) = Quiescence::new(1);
/// let mut slots = Retired::new();
/// slots.push(7); // unlinked before
/// assert_eq!(slots.reclaim(&quiescence, |_| ()), 0);
/// workers[0].pass();
/// assert_eq!(slots.reclaim(&quiescence, |slot| assert_eq!(slot, 7)), 1);
/// ```
pub struct Retired<T> {
    /// Came since the last ticket.
    open: Vec<T>,
    /// Are free once the ticket has passed.
    sealed: Vec<T>,
    ticket: Option<Ticket>,
}

impl<T> Retired<T> {
    /// Nothing.
    pub const fn new() -> Retired<T> {
        Retired {
            open: Vec::new(),
            sealed: Vec::new(),
            ticket: None,
        }
    }

    /// Takes an item that no reader can find any more: whatever led to it has been stored over.
    pub fn push(&mut self, item: T) {
        self.open.push(item);
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.open.len() + self.sealed.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands every item that no worker can hold any more to `release`, in the order they came; gives their number.
    /// Never waits: call it now and then, always with the same `quiescence`. The first call after an item came takes
    /// its ticket; a later one releases it (the first does both if all workers are offline).
    pub fn reclaim(&mut self, quiescence: &Quiescence, mut release: impl FnMut(T)) -> usize {
        let mut released = 0;
        // Twice: once the sealed batch is gone, the open one is sealed, and passes at once if nobody is online.
        for _ in 0..2 {
            if self.ticket.is_none() && !self.open.is_empty() {
                std::mem::swap(&mut self.open, &mut self.sealed);
                self.ticket = Some(quiescence.ticket());
            }
            match &self.ticket {
                Some(ticket) if quiescence.passed(ticket) => {}
                _ => break,
            }
            self.ticket = None;
            released += self.sealed.len();
            self.sealed.drain(..).for_each(&mut release);
        }
        released
    }
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Retired::new()
    }
}

//! IPsec: SAs as workers use them, and the crypto devices behind them.
//!
//! ```text
//!   control thread ─ key, device ─► Session ─┐
//!                    Sa ─► esp::Inbound ─────┴─► InboundSa, OutboundSa ─ news ─► the worker whose it is
//! ```
//!
//! An SA belongs to one worker, which has its sequence numbers or its window to itself: that of the number of its record, by turns.

mod carries;
mod crypto;
mod moved;
mod news;
mod sa;
mod told;

pub(crate) use carries::{Behind, Fronts};
pub use crypto::{Crypto, CryptoUnfit, SPARE_SESSIONS};
pub(crate) use moved::{Peer, source_port};
pub use news::{EspControl, EspNews, SaMatter, SaNews, SaSignal, news};
pub(crate) use sa::{Arrived, publish};
pub use sa::{InboundSa, MadeSa, OutboundSa, Parts, Prefetch, fill_in, outer};
pub(crate) use told::Told;

/// The worker that an SA belongs to.
pub fn owner(slot: u32, workers: usize) -> usize {
    slot as usize % workers.max(1)
}

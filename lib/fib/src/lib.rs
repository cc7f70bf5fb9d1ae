//! Forwarding information base: longest-prefix match for IPv4 with one writer and many lock-free readers.
//!
//! DIR-24-8 (Gupta, Lin, McKeown 1998): the first 24 bits of an address index `tbl24`; where prefixes longer than 24
//! bits exist, the entry there names a group of 256 entries in `tbl8`, indexed by the last 8 bits. A lookup is one
//! memory access, seldom two.
//!
//! ```text
//!   10.1.2.3 ──► tbl24[10.1.2] ─┬─ next hop
//!                               └─ group g ──► tbl8[g][3] ── next hop
//! ```
//!
//! * [`Fib4Writer`] is the control thread's: routes in and out, exact and by address.
//! * [`Fib4Reader`] is a worker's: addresses in, [`NextHop`]s out, alone or by the burst.
//! * [`quiescence`] tells the writer when no worker can hold on to something any more; [`Retired`] keeps what waits
//!   for that.
//!
//! What a reader is promised: at every moment of a change it gets, for any address, the answer from before or the
//! answer from after, never a third. Each address changes its answer by one atomic store.
#![forbid(unsafe_code)]

mod entry;
pub mod quiescence;
mod reader;
mod retired;
mod rib;
mod tables;
mod writer;

pub use entry::NextHop;
pub use quiescence::{Checkpoint, Quiescence, Ticket};
pub use reader::Fib4Reader;
pub use retired::Retired;
pub use tables::{GROUP_ENTRIES, Storage, TBL24_ENTRIES};
pub use writer::{Fib4Writer, FibError};

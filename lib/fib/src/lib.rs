//! Forwarding information base: longest-prefix match for IPv4 and IPv6 with one writer and many lock-free readers.
//!
//! IPv4 is DIR-24-8 (Gupta, Lin, McKeown 1998) with its first table in pieces: the first 16 bits of an address index a root. Where
//! one prefix longer than 16 bits exists, the entry there names that one; where several do, it names a chunk of 256 entries, indexed
//! by the next 8 bits; where prefixes longer than 24 bits exist, the entry in the chunk names a group of 256 entries in `tbl8`,
//! indexed by the last 8 bits.
//!
//! ```text
//!   10.1.2.3 ──► root[10.1] ─┬─ next hop
//!                            ├─ lone prefix l ── in it or not ── next hop
//!                            └─ chunk c ──► chunks[c][2] ─┬─ next hop
//!                                                         └─ group g ──► tbl8[g][3] ── next hop
//! ```
//!
//! A table of all values of 24 bits in one saves the root's memory access, but is spread over 16,384 pages of 4 KB, where that is
//! what memory is made of, as below many hypervisors. Measured, 10,000 entries took 3.8 ticks each there, and 0.9 side by side.
//!
//! IPv6 is a trie: a table on the first 20 bits, then nodes of 64 ways, with the bits in which prefixes do not differ
//! skipped. A lone /48 is found with two memory accesses, one among a quarter of a million with a few more.
//!
//! ```text
//!   2001:db8:1::1 ──► root[2001:0] ──► node: skip 24 bits, then way 0..63 ─┬─ next hop
//!                                                                          └─ node ──► ···
//! ```
//!
//! * [`Fib4Writer`] and [`Fib6Writer`] are the control thread's: routes in and out, exact and by address.
//! * [`Fib4Reader`] and [`Fib6Reader`] are a worker's: addresses in, [`NextHop`]s out, alone or by the burst.
//! * [`quiescence`] tells the writer when no worker can hold on to something any more; [`Retired`] keeps what waits
//!   for that.
//!
//! What a reader is promised: at every moment of a change it gets, for any address, the answer from before or the
//! answer from after, never a third. Each address changes its answer by one atomic store.
#![forbid(unsafe_code)]

mod change;
mod entry;
mod places;
pub mod quiescence;
mod reader;
mod retired;
mod rib;
mod six;
mod tables;
mod writer;

pub use entry::NextHop;
pub use quiescence::{Checkpoint, Quiescence, Ticket};
pub use reader::{Fib4Reader, Lookups4};
pub use retired::Retired;
pub use six::{Fib6Error, Fib6Reader, Fib6Writer, Lookups6, Storage6, UNIT_BYTES, Units, words6};
pub use tables::{GROUP_ENTRIES, Storage, TBL24_ENTRIES};
pub use writer::{Fib4Writer, FibError};

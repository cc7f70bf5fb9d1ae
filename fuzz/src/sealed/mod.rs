//! ESP packets of SAs with real cryptography, on the way to a receiver that loses, delays, repeats and changes them.
//!
//! ```text
//!   Sa::seal ──► Sa::sent ──► mutate ──► SPI ──► Sa::receive ──► window ──► session ──► window, padding
//!                   │                               │                                      │ the same?
//!                   └───────── Oracle ──────────────┴──► what the RFCs say of these bytes ─┘
//! ```
//!
//! The oracle knows what was sealed, byte by byte, and which numbers were taken. So it needs no cryptography to say whether a packet is
//! authentic: it is if it is the one that was sealed under its number.

mod mutate;
mod oracle;
mod sa;

pub use mutate::mutate;
pub use sa::{BURST, Sa, Settings};

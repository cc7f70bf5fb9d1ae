//! IKEv2 exchanges (RFC 7296) without I/O, clock or randomness of their own.
//!
//! ```text
//!   datagrams ──► Engine::handle ─────┐                         ┌──► Output::Send    datagrams
//!   time ───────► Engine::timeout ────┼──► IKE SAs ── outputs ──┼──► Output::Sa      what the data plane is to do
//!   operators ──► Engine::initiate .. ┘      in their order     └──► Output::Event   what has happened
//!                 Engine::deadline ──► when to call timeout
//! ```
//!
//! Who drives an engine calls it with the time, does what [`Engine::output`] gives until there is no more, and waits for a datagram
//! or for [`Engine::deadline`]. Two engines and a bad network make a test that can be run again.
//!
//! ```text
//!   engine, strangers        the tables; requests of who has no IKE SA: cookies, limits
//!   contacts                 which IKE SAs there are with whom
//!   state                    the states of an IKE SA, each a type in a file of its name:
//!   init_sent, auth_sent, half_open, established, closed
//!   create_child, rekey_ike, informational     exchanges of an established one
//!   channel                  message ids, retransmission, answers from memory, fragments, NATs
//!   child, children          child SAs, and those of an IKE SA: used, replaced, deleted
//!   agreement, selectors     how both ends agree on them
//!   authentication           keys that both know, signatures and certificates
//!   profile, settings        what the operator wants; reload: wants anew
//!   told                     what the data plane tells of child SAs
//!   output, failure          what comes out, and why something failed
//!   snapshot                 what outlives the process
//! ```
//!
//! What an engine knows can be written down as it changes, and a daemon that starts again takes it up: see [`Engine::changes`].

#![forbid(unsafe_code)]

mod agreement;
mod auth_sent;
mod authentication;
mod channel;
mod child;
mod children;
mod closed;
mod contacts;
mod cookie;
mod core;
mod create_child;
mod engine;
mod established;
mod failure;
mod half_open;
mod informational;
mod init_sent;
mod output;
mod payloads;
mod profile;
mod rekey_ike;
mod reload;
mod selectors;
mod settings;
mod snapshot;
mod state;
mod strangers;
#[cfg(test)]
mod tests;
mod time;
mod told;
mod view;

pub use authentication::{LocalAuth, RemoteAuth};
pub use channel::{Nat, Role};
pub use engine::{Engine, UnknownProfile};
pub use failure::Failure;
pub use output::{ChildSa, Counters, Datagram, Event, Output, Path, SaCommand, SpiPair};
pub use profile::{ChildProfile, Identity, Lifetime, Profile, StartAction};
pub use settings::{RetransmissionPolicy, Settings};
pub use snapshot::{ChildSas, IV_SKIP, Installed, RestoreError, Restored};
pub use time::Time;
pub use view::{ChildView, IkeView, Phase};

/// The port of IKE.
pub const IKE_PORT: u16 = 500;
/// The port of IKE and ESP where there is a NAT (RFC 3948): IKE has four zero bytes in front there.
pub const NAT_PORT: u16 = 4500;

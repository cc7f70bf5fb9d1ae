//! The IKEv2 daemon: with another one, and with strongSwan.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod attack;
mod between_two;
mod certificates;
mod childless;
mod collisions;
mod confined;
mod groups;
mod killed;
mod nat;
mod site;
mod strongswan;
mod survival;
mod trap;
mod two_daemons;

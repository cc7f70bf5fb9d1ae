//! The states of an IKE SA, one type for each.
//!
//! ```text
//!   initiate ──► InitSent ──► AuthSent ──┐
//!                                        ├──► Established ──► Closed ──► nothing
//!   IKE_SA_INIT of a peer ──► HalfOpen ──┘         │ rekeyed: another Established
//! ```

use std::net::SocketAddr;

use ikev2::wire::{IkeSpi, Message};

use crate::Time;
use crate::auth_sent::AuthSent;
use crate::channel::Channel;
use crate::closed::Closed;
use crate::core::Core;
use crate::established::Established;
use crate::half_open::HalfOpen;
use crate::init_sent::InitSent;
use crate::output::Path;

/// An IKE SA. A handler consumes it and gives what it is then; `None`: nothing.
#[derive(Debug)]
pub(crate) enum State {
    InitSent(Box<InitSent>),
    AuthSent(Box<AuthSent>),
    HalfOpen(Box<HalfOpen>),
    Established(Box<Established>),
    Closed(Box<Closed>),
}

impl State {
    /// When it is to be called for `timeout`.
    pub(crate) fn deadline(&self, core: &Core) -> Option<Time> {
        match self {
            State::InitSent(sa) => Some(sa.deadline()),
            State::AuthSent(sa) => sa.deadline(),
            State::HalfOpen(sa) => Some(sa.deadline(core)),
            State::Established(sa) => sa.deadline(core),
            State::Closed(sa) => Some(sa.until),
        }
    }

    pub(crate) fn timeout(self, core: &mut Core) -> Option<State> {
        match self {
            State::InitSent(sa) => sa.timeout(core),
            State::AuthSent(sa) => sa.timeout(core),
            State::HalfOpen(sa) => sa.timeout(core),
            State::Established(sa) => sa.timeout(core),
            State::Closed(sa) => sa.timeout(core),
        }
    }

    pub(crate) fn receive(self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        match self {
            State::InitSent(sa) => sa.receive(core, message, path),
            State::AuthSent(sa) => sa.receive(core, message, path),
            State::HalfOpen(sa) => sa.receive(core, message, path),
            State::Established(sa) => sa.receive(core, message, path),
            State::Closed(sa) => sa.receive(core, message, path),
        }
    }

    /// The profile that it is of; `None`: the peer has not said who it is, or it is gone.
    pub(crate) fn profile(&self) -> Option<usize> {
        match self {
            State::InitSent(sa) => Some(sa.profile),
            State::AuthSent(sa) => Some(sa.profile),
            State::Established(sa) => Some(sa.profile),
            State::HalfOpen(_) | State::Closed(_) => None,
        }
    }

    /// Of one whose peer has not shown who it is: the peer's SPI, and where it asked from.
    pub(crate) fn stranger(&self) -> Option<(IkeSpi, SocketAddr)> {
        match self {
            State::HalfOpen(sa) => Some((sa.channel.spis.initiator, sa.asked_from)),
            State::Closed(sa) => sa.stranger.map(|from| (sa.channel.spis.initiator, from)),
            State::InitSent(_) | State::AuthSent(_) | State::Established(_) => None,
        }
    }

    /// The way of its messages, once it has one.
    pub(crate) fn channel(&self) -> Option<&Channel> {
        match self {
            State::InitSent(_) => None,
            State::AuthSent(sa) => Some(&sa.channel),
            State::HalfOpen(sa) => Some(&sa.channel),
            State::Established(sa) => Some(&sa.channel),
            State::Closed(sa) => Some(&sa.channel),
        }
    }

    /// Whether a message with these SPIs may be for it.
    pub(crate) fn is_of(&self, message: &Message<'_>) -> bool {
        let (initiator, responder): (IkeSpi, IkeSpi) =
            (message.header.initiator_spi, message.header.responder_spi);
        match (self, self.channel()) {
            (State::InitSent(sa), _) => sa.spi == initiator,
            (_, Some(channel)) => channel.spis.initiator == initiator && channel.spis.responder == responder,
            (_, None) => false,
        }
    }
}

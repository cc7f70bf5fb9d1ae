//! An IKE SA that is gone, whose last answer is kept for a peer that has not got it (RFC 7296 §2.1).

use std::net::SocketAddr;

use ikev2::crypto::Secret;
use ikev2::wire::Message;

use crate::Time;
use crate::channel::{Channel, Incoming};
use crate::core::Core;
use crate::output::Path;
use crate::state::State;

/// Repeats the last answer, and nothing else.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) channel: Channel,
    pub(crate) until: Time,
    /// Where IKE_SA_INIT came from, of one that was never established: whoever that was has shown no key, and what is kept for it counts as
    /// half-open.
    pub(crate) stranger: Option<SocketAddr>,
}

impl Closed {
    /// Keeps the answer as long as the peer may ask.
    pub(crate) fn begin(core: &Core, channel: Channel) -> State {
        Closed::keep(core, channel, None)
    }

    /// Keeps the refusal of who asked from there, and has not shown who it is.
    pub(crate) fn refused(core: &Core, channel: Channel, asked_from: SocketAddr) -> State {
        Closed::keep(core, channel, Some(asked_from))
    }

    fn keep(core: &Core, mut channel: Channel, stranger: Option<SocketAddr>) -> State {
        channel.under_way = None;
        // Nothing comes from it any more: who finds what is left cannot derive keys of its child SAs.
        channel.keys.sk_d = Secret::from(Vec::new());
        let until = core.now + core.settings.retransmission.total();
        State::Closed(Box::new(Closed {
            channel,
            until,
            stranger,
        }))
    }

    pub(crate) fn timeout(self, core: &Core) -> Option<State> {
        (core.now < self.until).then(|| State::Closed(Box::new(self)))
    }

    pub(crate) fn receive(mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<State> {
        // A new request is opened and left without an answer: the peer has forgotten this IKE SA, or will.
        match self.channel.receive(core, message, path) {
            Incoming::Nothing => Some(State::Closed(Box::new(self))),
            Incoming::Request(..) | Incoming::Response(_) => None,
        }
    }
}

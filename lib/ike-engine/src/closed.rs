//! An IKE SA that is gone, whose last answer is kept for a peer that has not got it (RFC 7296 §2.1).

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
}

impl Closed {
    /// Keeps the answer as long as the peer may ask.
    pub(crate) fn begin(core: &Core, mut channel: Channel) -> State {
        channel.under_way = None;
        // Nothing comes from it any more: who finds what is left cannot derive keys of its child SAs.
        channel.keys.sk_d = Secret::from(Vec::new());
        let until = core.now + core.settings.retransmission.total();
        State::Closed(Box::new(Closed { channel, until }))
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

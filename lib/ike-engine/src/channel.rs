//! One end of an IKE SA as a way for messages: message ids, a window of one, retransmission, answers from memory, fragments.
//!
//! ```text
//!   request ──► sealed, kept ──► sent, again after each pause ──► answer, or the peer is dead
//!   request of the peer ──► opened once ──► answered, the answer kept ──► repeated byte for byte when asked again
//! ```

use ikev2::crypto::{
    Clear, Fragments, IkeKeys, IkeSpis, IkeSuite, Nonces, Opened, Opener, Sealer, Skeyseed, WrongKeys,
    nat_detection_hash,
};
use ikev2::wire::{ExchangeType, Flags, Header, IkeSpi, Message, NotifyType, PayloadWriter};

use crate::core::Core;
use crate::output::Path;
use crate::payloads::{Contents, push_notify};
use crate::{Failure, NAT_PORT, Time};

/// A request that comes again is answered so often. That is more than any honest peer needs, and the answer may be longer than the request,
/// which anybody who has seen it can send again in another's name.
pub(crate) const MAX_REPEATS: u32 = 16;

/// Which end of an IKE SA this is: who sent the request that made it is its initiator, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sent that.
    Initiator,
    /// It answered that.
    Responder,
}

/// Which end is behind a NAT (RFC 7296 §2.23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// We are.
    pub here: bool,
    /// The peer is.
    pub there: bool,
}

impl Nat {
    /// Whether there is one between both.
    pub fn is_there(self) -> bool {
        self.here || self.there
    }

    /// What the notifies of a message of IKE_SA_INIT say. An end that sends none does not know of NATs.
    pub(crate) fn detect(contents: &Contents<'_>, spis: IkeSpis, path: Path) -> Nat {
        let none_is = |kind, end| {
            let hash = nat_detection_hash(spis, end);
            let mut hashes = contents
                .notifies
                .iter()
                .filter(|notify| notify.kind == kind)
                .peekable();
            hashes.peek().is_some() && !hashes.any(|notify| notify.data == hash)
        };
        Nat {
            here: none_is(NotifyType::NAT_DETECTION_DESTINATION_IP, path.local),
            there: none_is(NotifyType::NAT_DETECTION_SOURCE_IP, path.remote),
        }
    }

    /// Writes the notifies by which the other end finds NATs.
    pub(crate) fn write(writer: &mut PayloadWriter, spis: IkeSpis, path: Path) -> Result<(), Failure> {
        let (source, destination) = (
            nat_detection_hash(spis, path.local),
            nat_detection_hash(spis, path.remote),
        );
        push_notify(writer, NotifyType::NAT_DETECTION_SOURCE_IP, &source)?;
        push_notify(writer, NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)?;
        Ok(())
    }
}

/// A request that is sent until it is answered.
#[derive(Debug)]
pub(crate) struct Retransmission {
    pub(crate) exchange: ExchangeType,
    /// The request, whole or in fragments.
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) sent: u32,
    /// When it is sent again, or given up.
    pub(crate) due: Time,
}

impl Retransmission {
    /// Sends it for the first time.
    pub(crate) fn begin(
        core: &mut Core,
        path: Path,
        exchange: ExchangeType,
        messages: Vec<Vec<u8>>,
    ) -> Retransmission {
        messages.iter().for_each(|message| core.send(path, message));
        let due = core.now + core.settings.retransmission.pause(1);
        Retransmission {
            exchange,
            messages,
            sent: 1,
            due,
        }
    }

    /// Sends it again if it is time for that; an error when it has been sent often enough.
    pub(crate) fn timeout(&mut self, core: &mut Core, path: Path) -> Result<(), Failure> {
        if core.now < self.due {
            return Ok(());
        }
        if self.sent >= core.settings.retransmission.attempts {
            return Err(Failure::NoAnswer {
                exchange: self.exchange,
                attempts: self.sent,
            });
        }
        self.sent += 1;
        core.counters.retransmissions += 1;
        self.due = core.now + core.settings.retransmission.pause(self.sent);
        self.messages.iter().for_each(|message| core.send(path, message));
        Ok(())
    }
}

/// What a message that was received is.
pub(crate) enum Incoming {
    /// Nothing to be looked at: forged, old, a part, or answered from memory.
    Nothing,
    /// A new request.
    Request(ExchangeType, Clear),
    /// The answer to the request that is under way, which is that no more.
    Response(Clear),
}

/// What a channel is made of.
pub(crate) struct Ends {
    pub(crate) role: Role,
    pub(crate) spis: IkeSpis,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    pub(crate) fragments: bool,
}

/// One end of an IKE SA. Sealer and opener can be made again of suite, keys and the sealer's next IV; all else is plain data.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) role: Role,
    pub(crate) spis: IkeSpis,
    pub(crate) path: Path,
    pub(crate) nat: Nat,
    pub(crate) suite: IkeSuite,
    pub(crate) keys: IkeKeys,
    /// Whether both ends take fragments.
    pub(crate) fragments: bool,
    pub(crate) sealer: Sealer,
    opener: Opener,
    pub(crate) next_request: u32,
    pub(crate) under_way: Option<Retransmission>,
    pub(crate) next_expected: u32,
    pub(crate) answered: Vec<Vec<u8>>,
    /// From where to where the request came that is answered, or was last.
    asked: Path,
    /// How often that answer was sent again.
    repeats: u32,
    request_parts: Fragments,
    response_parts: Fragments,
    /// When the last authentic message came that was new.
    pub(crate) heard: Time,
    /// When something was last sent, which holds a NAT open.
    pub(crate) sent: Time,
}

impl Channel {
    /// `ids`: what the first request of ours has, and that of the peer.
    pub(crate) fn new(
        core: &Core,
        ends: Ends,
        suite: IkeSuite,
        seed: &Skeyseed,
        nonces: Nonces<'_>,
        ids: (u32, u32),
    ) -> Result<Channel, Failure> {
        let spis = ends.spis;
        let keys = IkeKeys::derive(&suite, seed, nonces, spis);
        Ok(Channel::with_keys(core.now, ends, suite, keys, 0, ids)?)
    }

    /// With keys that there are. `next_iv`: the first that has not been used with them.
    pub(crate) fn with_keys(
        now: Time,
        ends: Ends,
        suite: IkeSuite,
        keys: IkeKeys,
        next_iv: u64,
        ids: (u32, u32),
    ) -> Result<Channel, WrongKeys> {
        let Ends {
            role,
            spis,
            path,
            nat,
            fragments,
        } = ends;
        let initiators = (&keys.sk_ei, &keys.sk_ai);
        let responders = (&keys.sk_er, &keys.sk_ar);
        let (ours, theirs) = match role {
            Role::Initiator => (initiators, responders),
            Role::Responder => (responders, initiators),
        };
        let sealer = Sealer::new(&suite, ours.0, ours.1, next_iv)?;
        let opener = Opener::new(&suite, theirs.0, theirs.1)?;
        Ok(Channel {
            role,
            spis,
            path,
            nat,
            suite,
            keys,
            fragments,
            sealer,
            opener,
            next_request: ids.0,
            under_way: None,
            next_expected: ids.1,
            answered: Vec::new(),
            asked: path,
            repeats: 0,
            request_parts: Fragments::new(),
            response_parts: Fragments::new(),
            heard: now,
            sent: now,
        })
    }

    /// Our SPI: what the IKE SA is known by here.
    pub(crate) fn id(&self) -> IkeSpi {
        match self.role {
            Role::Initiator => self.spis.initiator,
            Role::Responder => self.spis.responder,
        }
    }

    fn seal(
        &mut self,
        core: &mut Core,
        exchange: ExchangeType,
        flags: Flags,
        (id, path): (u32, Path),
        payloads: &PayloadWriter,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let role = match self.role {
            Role::Initiator => Flags::INITIATOR,
            Role::Responder => Flags::default(),
        };
        let header = Header::new(
            self.spis.initiator,
            self.spis.responder,
            exchange,
            flags.with(role),
            id,
        );
        let marker = if path.local.port() == NAT_PORT { 4 } else { 0 };
        let room = core.settings.fragment_len.saturating_sub(marker);
        // What an SK payload adds is below 64 bytes with every suite.
        let around = ikev2::wire::HEADER_LEN + 64;
        self.sent = core.now;
        if self.fragments && payloads.bytes().len() + around > room {
            return Ok(self
                .sealer
                .seal_fragments(&header, payloads, room, &mut core.random)?);
        }
        Ok(vec![self.sealer.seal(&header, payloads, &mut core.random)?])
    }

    /// Sends a request. There is none under way: the window is one.
    pub(crate) fn request(
        &mut self,
        core: &mut Core,
        exchange: ExchangeType,
        payloads: &PayloadWriter,
    ) -> Result<(), Failure> {
        let to = (self.next_request, self.path);
        let messages = self.seal(core, exchange, Flags::default(), to, payloads)?;
        self.response_parts = Fragments::new();
        self.under_way = Some(Retransmission::begin(core, self.path, exchange, messages));
        Ok(())
    }

    /// Answers the request that was received last, to where it came from (RFC 7296 §2.11).
    pub(crate) fn answer(
        &mut self,
        core: &mut Core,
        exchange: ExchangeType,
        payloads: &PayloadWriter,
    ) -> Result<(), Failure> {
        let id = self.next_expected.wrapping_sub(1);
        let messages = self.seal(core, exchange, Flags::RESPONSE, (id, self.asked), payloads)?;
        messages.iter().for_each(|message| core.send(self.asked, message));
        self.answered = messages;
        Ok(())
    }

    /// Takes a message that has both SPIs.
    pub(crate) fn receive(&mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Incoming {
        let incoming = match message.header.is_request() {
            true => self.receive_request(core, message, path),
            false => self.receive_response(core, message),
        };
        match incoming {
            Incoming::Nothing => {}
            _ => {
                self.heard = core.now;
                // Who is behind a NAT may come from somewhere else any time (RFC 7296 §2.23); whoever knows the keys and says
                // something new says where it is.
                if self.nat.there {
                    self.path = path;
                }
            }
        }
        incoming
    }

    fn receive_request(&mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Incoming {
        let header = &message.header;
        if header.message_id == self.next_expected {
            let clear = match self.opener.open(message) {
                Ok(Opened::Whole(clear)) => Some(clear),
                Ok(Opened::Fragment(part)) if self.fragments => self.request_parts.add(part).ok().flatten(),
                _ => {
                    core.counters.dropped += 1;
                    None
                }
            };
            let Some(clear) = clear else {
                return Incoming::Nothing;
            };
            self.request_parts = Fragments::new();
            self.next_expected = self.next_expected.wrapping_add(1);
            self.answered.clear();
            (self.asked, self.repeats) = (path, 0);
            return Incoming::Request(header.exchange, clear);
        }
        let repeated = header.message_id.wrapping_add(1) == self.next_expected && !self.answered.is_empty();
        // Of fragments the first alone is answered again (RFC 7383 §2.6.1).
        let first = |opened| match opened {
            Ok(Opened::Whole(_)) => true,
            Ok(Opened::Fragment(part)) => part.number == 1,
            Err(_) => false,
        };
        if repeated && self.repeats >= MAX_REPEATS {
            core.counters.limited += 1;
        } else if repeated && first(self.opener.open(message)) {
            self.repeats += 1;
            core.counters.repeated_answers += 1;
            // To where the request came from, which may be somewhere else by now (RFC 7296 §2.11).
            self.answered.iter().for_each(|answer| core.send(path, answer));
        } else {
            core.counters.dropped += 1;
        }
        Incoming::Nothing
    }

    fn receive_response(&mut self, core: &mut Core, message: &Message<'_>) -> Incoming {
        let header = &message.header;
        let expected = self.under_way.as_ref().is_some_and(|request| {
            request.exchange == header.exchange && self.next_request == header.message_id
        });
        if !expected {
            core.counters.dropped += 1;
            return Incoming::Nothing;
        }
        let clear = match self.opener.open(message) {
            Ok(Opened::Whole(clear)) => Some(clear),
            Ok(Opened::Fragment(part)) if self.fragments => self.response_parts.add(part).ok().flatten(),
            _ => {
                core.counters.dropped += 1;
                None
            }
        };
        let Some(clear) = clear else {
            return Incoming::Nothing;
        };
        self.response_parts = Fragments::new();
        self.under_way = None;
        self.next_request = self.next_request.wrapping_add(1);
        Incoming::Response(clear)
    }

    /// Sends the request under way again when its pause is over.
    pub(crate) fn timeout(&mut self, core: &mut Core) -> Result<(), Failure> {
        match &mut self.under_way {
            Some(request) => {
                if core.now >= request.due {
                    self.sent = core.now;
                }
                request.timeout(core, self.path)
            }
            None => Ok(()),
        }
    }

    /// When the NAT in front of us is to be kept open again.
    pub(crate) fn keepalive_due(&self, core: &Core) -> Option<Time> {
        self.nat.here.then(|| self.sent + core.settings.keepalive)
    }

    /// Keeps the NAT in front of us open.
    pub(crate) fn keepalive(&mut self, core: &mut Core) {
        if self.keepalive_due(core).is_some_and(|due| due <= core.now) {
            core.keepalive(self.path);
            self.sent = core.now;
        }
    }
}

//! Requests of who has no IKE SA: bounded memory and few answers (RFC 7296 §2.6, §2.21.4, §1.5).

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ikev2::wire::{ExchangeType, Flags, Header, IkeSpi, Message, NotifyType, ParseError, PayloadWriter};

use crate::cookie::Cookies;
use crate::core::Core;
use crate::half_open::HalfOpen;
use crate::output::Path;
use crate::payloads::{Contents, push_notify, refusal};
use crate::{Event, Failure, Time};

/// So many answers are given at once of a kind that is given rarely.
const RARE_BURST: u32 = 16;
/// And one more in so much time.
const RARE_PAUSE: Duration = Duration::from_millis(100);

/// Answers of one kind, which anybody can ask for in another's name.
#[derive(Debug, Default)]
struct Rare {
    /// Those that may be given still, and since when.
    left: Option<(u32, Time)>,
}

impl Rare {
    fn may_answer(&mut self, core: &mut Core) -> bool {
        let (left, since) = self.left.unwrap_or((RARE_BURST, core.now));
        let pauses = core.now.since(since).as_millis() / RARE_PAUSE.as_millis();
        let more = u32::try_from(pauses).unwrap_or(u32::MAX);
        let (left, since) = match more {
            0 => (left, since),
            more => (left.saturating_add(more).min(RARE_BURST), core.now),
        };
        self.left = Some((left.saturating_sub(1), since));
        if left == 0 {
            core.counters.limited += 1;
        }
        left > 0
    }
}

/// What a request that comes again is known by.
pub(crate) fn fingerprint(request: &[u8], from: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (request, from).hash(&mut hasher);
    hasher.finish()
}

/// Whose half-open IKE SAs are counted together: an address, or of IPv6 the 64 bits of its network, since who has one address there has all
/// of them.
fn source(remote: SocketAddr) -> IpAddr {
    match remote.ip() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// Half-open IKE SAs, and what is known of who has none.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    cookies: Cookies,
    /// Half-open IKE SAs, and those that were refused: SPI and address of their initiators, and our SPI. Who takes the same SPI for several
    /// has several.
    half_open: BTreeSet<(IkeSpi, SocketAddr, IkeSpi)>,
    per_source: BTreeMap<IpAddr, usize>,
    /// Requests whose sender has gone on to IKE_AUTH, the first of them first: copies of them are late.
    gone_on: VecDeque<(Time, u64)>,
    late: BTreeSet<u64>,
    /// Refusals of IKE_SA_INIT, and answers to who speaks of IKE SAs that are not here: who uses up one kind has not used up the other.
    refusals: Rare,
    unknown: Rare,
}

impl Strangers {
    /// The half-open IKE SAs of who sends this, by our SPIs.
    pub(crate) fn known(&self, message: &Message<'_>, path: Path) -> impl Iterator<Item = IkeSpi> {
        let (initiator, remote) = (message.header.initiator_spi, path.remote);
        let all = (initiator, remote, IkeSpi::ZERO)..=(initiator, remote, IkeSpi([0xff; 8]));
        self.half_open.range(all).map(|(_, _, ours)| *ours)
    }

    /// Takes note of a half-open IKE SA.
    pub(crate) fn add(&mut self, initiator: IkeSpi, remote: SocketAddr, ours: IkeSpi) {
        if self.half_open.insert((initiator, remote, ours)) {
            *self.per_source.entry(source(remote)).or_default() += 1;
        }
    }

    /// Forgets a half-open IKE SA: it is none any more.
    pub(crate) fn remove(&mut self, initiator: IkeSpi, remote: SocketAddr, ours: IkeSpi) {
        if !self.half_open.remove(&(initiator, remote, ours)) {
            return;
        }
        if let Some(count) = self.per_source.get_mut(&source(remote)) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_source.remove(&source(remote));
            }
        }
    }

    /// Takes note that the sender of a request has gone on to IKE_AUTH.
    pub(crate) fn went_on(&mut self, core: &Core, request: u64) {
        while self.gone_on.len() >= core.settings.max_half_open.max(1) {
            self.forget_first();
        }
        if self.late.insert(request) {
            self.gone_on.push_back((core.now, request));
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, request)) = self.gone_on.pop_front() {
            self.late.remove(&request);
        }
    }

    /// Whether this is a copy of a request whose sender has gone on to IKE_AUTH, not long ago.
    pub(crate) fn is_late(&mut self, core: &Core, message: &Message<'_>, path: Path) -> bool {
        let old = |at: Time| core.now.since(at) >= core.settings.half_open_timeout;
        while self.gone_on.front().is_some_and(|(at, _)| old(*at)) {
            self.forget_first();
        }
        !self.late.is_empty() && self.late.contains(&fingerprint(message.bytes(), path.remote))
    }

    /// Answers IKE_SA_INIT of who has no half-open IKE SA; gives one, if there is to be one.
    pub(crate) fn init(&mut self, core: &mut Core, message: &Message<'_>, path: Path) -> Option<HalfOpen> {
        let spi = message.header.initiator_spi;
        let contents = Contents::of(&message.payloads);
        let from = path.remote.ip();
        let of_source = self
            .per_source
            .get(&source(path.remote))
            .copied()
            .unwrap_or_default();
        // Half of what an address may have is kept for who is really there: it cannot be used up in another's name.
        let crowded = self.half_open.len() >= core.settings.cookie_threshold
            || of_source >= core.settings.max_half_open_per_source / 2;
        if crowded {
            let nonce = contents.nonce.unwrap_or_default();
            let shown = contents.notify(NotifyType::COOKIE);
            let valid =
                shown.is_some_and(|cookie| self.cookies.is_valid(core.now, cookie.data, nonce, from, spi));
            if !valid {
                core.counters.cookies += 1;
                let cookie = self.cookies.make(core.now, &mut core.random, nonce, from, spi);
                let mut writer = PayloadWriter::new();
                let _ = push_notify(&mut writer, NotifyType::COOKIE, &cookie);
                answer(core, &message.header, message.bytes().len(), path, &writer);
                return None;
            }
        }
        if self.half_open.len() >= core.settings.max_half_open
            || of_source >= core.settings.max_half_open_per_source
        {
            core.counters.limited += 1;
            return None;
        }
        match HalfOpen::begin(core, message, path) {
            Ok(half_open) => Some(half_open),
            Err(failure) => {
                // An honest peer cannot begin without being told the group, and the answer is never longer than what was asked.
                let is_group = matches!(failure, Failure::Group { .. });
                if is_group || self.refusals.may_answer(core) {
                    let asked = message.bytes().len();
                    answer(core, &message.header, asked, path, &refusal(&failure));
                    if !is_group {
                        let (profile, remote) = (String::new(), path.remote);
                        core.event(Event::Failed {
                            profile,
                            remote,
                            reason: failure,
                        });
                    }
                }
                None
            }
        }
    }

    /// Tells who begins with a message that cannot be read what is wrong with it, but rarely; and who asks in a later version than 2 which
    /// one is spoken here (RFC 7296 §2.5). Others are dropped: within an IKE SA only what is authentic is answered (§2.21).
    pub(crate) fn malformed(&mut self, core: &mut Core, bytes: &[u8], error: ParseError, path: Path) {
        core.counters.dropped += 1;
        let (Ok(header), Some(notify)) = (Header::of_any_version(bytes), error.notify()) else {
            return;
        };
        let is_of_version_2 = Header::parse(bytes).is_ok();
        let first = header.exchange == ExchangeType::IKE_SA_INIT && header.responder_spi.is_zero();
        let may_answer = match notify.kind {
            NotifyType::INVALID_MAJOR_VERSION => header.is_request() && self.unknown.may_answer(core),
            _ => is_of_version_2 && first && header.is_request() && self.refusals.may_answer(core),
        };
        if may_answer {
            let mut writer = PayloadWriter::new();
            let _ = push_notify(&mut writer, notify.kind, notify.data);
            answer(core, &header, bytes.len(), path, &writer);
        }
    }

    /// Tells who speaks of an IKE SA that is not here, but rarely: it may be another who is answered (RFC 7296 §2.21.4).
    pub(crate) fn unknown(&mut self, core: &mut Core, message: &Message<'_>, path: Path) {
        core.counters.dropped += 1;
        if message.header.is_request() && self.unknown.may_answer(core) {
            let mut writer = PayloadWriter::new();
            let _ = push_notify(&mut writer, NotifyType::INVALID_IKE_SPI, &[]);
            answer(core, &message.header, message.bytes().len(), path, &writer);
        }
    }
}

/// Answers in clear, with the SPIs and the message id of the request, which has `asked` bytes: an answer that were longer is not given, so
/// that nobody is flooded in another's name.
fn answer(core: &mut Core, header: &Header, asked: usize, path: Path, payloads: &PayloadWriter) {
    let Header {
        initiator_spi,
        responder_spi,
        exchange,
        message_id,
        flags,
        ..
    } = *header;
    let ours = match flags.contains(Flags::INITIATOR) || exchange == ExchangeType::IKE_SA_INIT {
        true => Flags::RESPONSE,
        false => Flags::RESPONSE.with(Flags::INITIATOR),
    };
    let header = Header::new(initiator_spi, responder_spi, exchange, ours, message_id);
    let message = payloads.message(&header);
    if message.len() > asked {
        core.counters.limited += 1;
        return;
    }
    core.send(path, &message);
}

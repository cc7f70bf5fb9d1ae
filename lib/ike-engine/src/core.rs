//! What all IKE SAs of an engine share.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ikev2::certificate::Clock;
use ikev2::crypto::Random;
use ikev2::wire::IkeSpi;

use crate::child::Child;
use crate::contacts::Contacts;
use crate::established::{Established, Wanted};
use crate::output::{Datagram, Path};
use crate::{Counters, Event, Failure, Identity, Output, Profile, SaCommand, Settings, Time};

/// Random bytes, as the caller gives them.
pub(crate) struct Randomness(pub(crate) Box<dyn Random + Send>);

impl Random for Randomness {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

impl Randomness {
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Up to `most`, in milliseconds.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(u64::from_be_bytes(self.bytes()) % most.saturating_add(1).max(1))
    }
}

/// What one IKE SA wants of others: done when it is at rest again.
pub(crate) enum Effect {
    /// An IKE SA that was made by rekeying.
    Spawn(Box<Established>),
    /// The child SAs of one go to another, and what it had to do.
    Adopt {
        to: IkeSpi,
        children: Vec<Child>,
        wanted: Vec<(Time, Wanted)>,
        closing: Option<Failure>,
    },
    /// The IKE SA that these replace is gone.
    Release { ikes: Vec<IkeSpi> },
    /// A peer says that this is its only IKE SA: those that were there before `since` go.
    InitialContact {
        peer: Identity,
        profile: usize,
        except: IkeSpi,
        since: Time,
    },
    /// Traffic went out by a child SA that is gone: another IKE SA with the same peer may have one for it.
    Bare { peer: Identity, child: Box<Child> },
    /// An IKE SA that a profile started is lost, or could not be made.
    Lost { profile: usize },
    /// One is there.
    Up { profile: usize },
}

/// What handlers of messages and timeouts work with.
pub(crate) struct Core {
    pub(crate) now: Time,
    pub(crate) random: Randomness,
    pub(crate) settings: Settings,
    pub(crate) profiles: Vec<Arc<Profile>>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) effects: Vec<Effect>,
    /// SPIs of ESP that were chosen here, those of SAs that linger with them.
    pub(crate) spis: BTreeSet<u32>,
    /// Inbound SAs whose peer sends by others now, and when they go.
    pub(crate) lingering: BTreeSet<(Time, u32)>,
    pub(crate) contacts: Contacts,
    pub(crate) counters: Counters,
    /// A moment, and the time of day then.
    pub(crate) clock: Option<(Time, Clock)>,
    /// Whether something that belongs to no IKE SA is to be written down.
    pub(crate) general_changed: bool,
}

impl Core {
    /// The lowest SPI of ESP that is not reserved (RFC 4303 §2.1).
    pub(crate) const FIRST_SPI: u32 = 256;

    /// The time of day, if somebody has told it.
    pub(crate) fn time_of_day(&self) -> Option<Clock> {
        self.clock.map(|(at, clock)| clock + self.now.since(at))
    }

    pub(crate) fn profile(&self, index: usize) -> Option<Arc<Profile>> {
        self.profiles.get(index).cloned()
    }

    /// Whether a profile has no IKE SA, so that its next is the only one (RFC 7296 §2.4).
    pub(crate) fn is_first_contact(&self, profile: usize) -> bool {
        self.contacts.of_profile(profile) == 0
    }

    pub(crate) fn send(&mut self, path: Path, message: &[u8]) {
        let marker: &[u8] = if path.local.port() == crate::NAT_PORT {
            &[0; 4]
        } else {
            &[]
        };
        let payload = [marker, message].concat();
        self.outputs.push_back(Output::Send(Datagram { path, payload }));
    }

    pub(crate) fn keepalive(&mut self, path: Path) {
        self.counters.keepalives += 1;
        let payload = vec![0xff];
        self.outputs.push_back(Output::Send(Datagram { path, payload }));
    }

    pub(crate) fn command(&mut self, command: SaCommand) {
        self.outputs.push_back(Output::Sa(command));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// An SPI of ESP that is not used.
    pub(crate) fn new_spi(&mut self) -> u32 {
        loop {
            let spi = u32::from_be_bytes(self.random.bytes());
            if spi >= Core::FIRST_SPI && self.spis.insert(spi) {
                return spi;
            }
        }
    }

    /// An SPI of ESP that nothing was made with.
    pub(crate) fn release(&mut self, spi: u32) {
        self.spis.remove(&spi);
    }

    /// Takes packets of an inbound SA for a while yet.
    pub(crate) fn linger(&mut self, spi: u32) {
        self.general_changed = true;
        self.lingering.insert((self.now + self.settings.linger, spi));
    }

    /// Takes packets of an inbound SA no more.
    pub(crate) fn remove_inbound(&mut self, spi: u32) {
        self.release(spi);
        self.command(SaCommand::RemoveInbound(spi));
    }

    /// An SPI of an IKE SA.
    pub(crate) fn new_ike_spi(&mut self) -> IkeSpi {
        loop {
            let spi = IkeSpi(self.random.bytes());
            if !spi.is_zero() {
                return spi;
            }
        }
    }

    /// A nonce: 32 bytes are half of what the longest PRF here gives, which is the least (RFC 7296 §2.10).
    pub(crate) fn nonce(&mut self) -> Vec<u8> {
        self.random.bytes::<32>().to_vec()
    }

    /// When to rekey what lives as long as `lifetime` says.
    pub(crate) fn soft_end(&mut self, lifetime: &crate::Lifetime) -> Time {
        let early = self.random.up_to(lifetime.jitter);
        self.now + lifetime.soft.saturating_sub(early)
    }
}

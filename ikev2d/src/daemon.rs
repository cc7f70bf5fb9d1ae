//! The daemon: attaches, and goes round between packets, mail and the engine until it is told to end.

mod clock;
mod requests;
mod survival;
mod told;
mod unattached;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode, PuntClass, PuntRequest, Reply, Request, SaId};
use control::punt::{Answer, AttachmentError, Punts, Stage};
use control::{sas, tables, tool};
use ike_engine::{Datagram, Engine, Output, Time};
use shm::SaCounter;
use shm::journal::Journal;

use self::clock::now;
use self::unattached::Refusal;
use crate::config::Config;
use crate::datagram::{self, Received};
use crate::failure::Failure;
use crate::failures::Failures;
use crate::fits::Gateway;
use crate::listener::{self, Attachment};
use crate::mail::{Mail, Mailbox, Postbox, mailbox};
use crate::notice::Notices;
use crate::plane::{Plane, Primary};
use crate::{TOOL, events};

/// How often signals are looked at, at least.
const LOOK: Duration = Duration::from_millis(100);
/// Datagrams that are dealt with together: SAs that come of them are installed by one request, and what is answered is written down at once.
/// More would have the first wait for the last.
const AT_A_TIME: usize = 32;
/// Pause before the next attempt to attach.
const PAUSE: Duration = Duration::from_millis(200);

/// The daemon of one instance.
pub struct Daemon {
    directory: InstanceDir,
    file: PathBuf,
    config: Config,
    engine: Engine,
    plane: Plane,
    failures: Failures,
    notices: Notices,
    postbox: Postbox,
    mailbox: Mailbox,
    /// Where IKE SAs are written down.
    journal: Option<Journal>,
    /// When something was first added to it after all was written down.
    written: Option<Time>,
    /// Whether it was told that it may get into swap.
    swap_told: bool,
    stopped: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    /// The attachment to begin with, and whether there is one now.
    first: Option<Punts>,
    attachment: Attachment,
    /// How often it was attached.
    attachments: u64,
    /// Why it does not attach.
    refusal: Refusal,
    /// Number of the last subscription to events.
    subscription: u64,
    /// Child SAs, by inbound SPI, that were rekeyed because of what the primary told, and whether since it has lost them.
    asked: HashSet<(u32, bool)>,
    /// Tells IPv4 packets apart.
    identification: u16,
    /// The interface by which a packet came last: what is sent is counted there.
    interface: u16,
    /// Lines that are written with others.
    lines: String,
    /// Datagrams that the primary did not take.
    unsent: u64,
    received: Vec<Received>,
}

/// The primary of an attachment.
struct Attached<'a> {
    punts: &'a mut Punts,
    directory: &'a InstanceDir,
}

impl Primary for Attached<'_> {
    fn call(&mut self, request: Request) -> Result<Reply, ControlError> {
        self.punts.call(request)
    }

    fn sequence(&self, id: &SaId) -> Option<u64> {
        let reader = tables::open(self.directory).ok()?;
        let listed = sas::listed(&reader);
        let found = listed.iter().find(|listed| listed.sa.id() == *id)?;
        Some(found.counts.get(SaCounter::Sequence))
    }
}

fn attach(directory: &InstanceDir) -> Result<Punts, ControlError> {
    let request = PuntRequest {
        classes: vec![PuntClass::Ike],
        observe: false,
        rules: None,
    };
    let mut punts = Punts::start(directory, TOOL, request)?;
    // A handshake takes longer than to wake us, and few of our packets come in a row.
    punts.sleep_at_once();
    Ok(punts)
}

/// Random bytes of the kernel. It gave some at the start, and keys that are not random must not be.
fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        std::process::abort();
    }
}

impl Daemon {
    /// Attaches to the primary of an instance, and listens for tools.
    ///
    /// # Errors
    ///
    /// The primary refuses, is not there, or another daemon has its IKE packets.
    pub fn attach(
        directory: InstanceDir,
        file: &Path,
        config: Config,
        notices: Notices,
    ) -> Result<Self, Failure> {
        getrandom::fill(&mut [0; 32]).map_err(Failure::Random)?;
        let stopped = tool::stop_flag().map_err(Failure::Signals)?;
        let reload = tool::reload_flag().map_err(Failure::Signals)?;
        let punts = attach(&directory)?;
        let (postbox, mailbox) = mailbox();
        let attachment = Attachment::default();
        listener::listen(&directory, postbox.clone(), attachment.clone(), notices)
            .map_err(Failure::Listen)?;
        let engine = Engine::new(now(), config.settings, config.engine_profiles(), Box::new(random));
        Ok(Self {
            directory,
            file: file.to_owned(),
            config,
            engine,
            plane: Plane::default(),
            failures: Failures::default(),
            notices,
            postbox,
            mailbox,
            journal: None,
            written: None,
            swap_told: false,
            stopped,
            reload,
            first: Some(punts),
            attachment,
            attachments: 0,
            refusal: Refusal::default(),
            subscription: 0,
            asked: HashSet::new(),
            identification: 0,
            interface: 0,
            lines: String::new(),
            unsent: 0,
            received: Vec::new(),
        })
    }

    /// Negotiates until a signal ends it.
    pub fn run(&mut self) {
        let mut again = false;
        while !self.is_stopped() {
            let punts = match self.first.take() {
                Some(punts) => Ok(punts),
                None => attach(&self.directory),
            };
            match punts {
                Ok(mut punts) => {
                    let ended = self.session(&mut punts, again);
                    self.mailbox.wake_by(None);
                    self.attachment.clear();
                    again = true;
                    if let Err(error) = ended {
                        self.notices.error(&format!(
                            "{error}; tunnels are set up again when there is one to attach to"
                        ));
                    }
                }
                Err(error) => {
                    if let Some(sentence) = self.refusal.note(&error) {
                        self.notices
                            .error(&format!("cannot attach, and tries it further: {sentence}"));
                    }
                    if let Some(mail) = self.mailbox.wait(PAUSE) {
                        self.open(mail, None);
                    }
                    self.look_at_signals();
                }
            }
        }
        self.notices.say("ended; SAs and peers are as they were");
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Certificates are valid by the time of day, which may be set while we run.
    fn tell_time(&mut self, now: Time) {
        // Before 1970 nothing is valid.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.engine.set_time_of_day(now, since.unwrap_or_default());
    }

    /// Works with one attachment until that ends, or a signal comes.
    fn session(&mut self, punts: &mut Punts, again: bool) -> Result<(), AttachmentError> {
        self.begin(punts, again);
        while !self.is_stopped() {
            let began = now();
            self.tell_time(began);
            let patience = match self.engine.deadline() {
                Some(at) => at.since(began).min(LOOK),
                None => LOOK,
            };
            let mut received = std::mem::take(&mut self.received);
            let mut taken = Vec::new();
            let outcome = punts.receive(patience, &mut |punted, packet| {
                self.interface = packet.interface;
                received.extend(datagram::parse(packet.data));
                taken.push(punted);
            });
            for punted in taken {
                punts.answer(punted, Answer::Take);
            }
            for some in received.chunks(AT_A_TIME) {
                for Received { path, payload } in some {
                    self.engine.handle(now(), path.local, path.remote, payload);
                }
                self.carry_out(punts);
                punts.flush();
            }
            received.clear();
            self.received = received;
            punts.flush();
            outcome?;
            while let Some(mail) = self.mailbox.take() {
                self.open(mail, Some(punts));
                self.carry_out(punts);
            }
            self.look_at_signals();
            let now = now();
            if self.engine.deadline().is_some_and(|at| at <= now) {
                self.engine.timeout(now);
            }
            self.carry_out(punts);
            punts.flush();
        }
        Ok(())
    }

    /// Makes itself at home at a primary.
    fn begin(&mut self, punts: &mut Punts, again: bool) {
        self.mailbox.wake_by(Some(punts.waker()));
        self.attachments += 1;
        self.attachment.set(self.attachments);
        self.refusal = Refusal::default();
        self.subscribe(punts);
        self.plane.begin(self.left());
        if again {
            // What this process has is newer than all that a primary could hold.
            self.begin_journal(punts, None);
        } else {
            self.take_up(punts);
        }
        self.say_unfit();
        let (instance, count) = (self.directory.name(), self.config.profiles.len());
        let plural = if count == 1 { "" } else { "s" };
        self.notices.say(&format!(
            "attached to instance {instance} with {count} profile{plural}"
        ));
        if again {
            // The SAs were in the primary that is gone. Their keys may not be used by another one, which does not know how far their
            // sequence numbers are; but what both ends have agreed on is good for others.
            let now = now();
            for profile in &self.config.profiles {
                // Of those that there are, it is known that they are.
                drop(self.engine.rekey_children(now, &profile.name));
            }
        }
        self.carry_out(punts);
    }

    /// Says what of the configuration does not fit the gateway.
    fn say_unfit(&self) {
        if let Ok(reader) = tables::open(&self.directory) {
            let unfit = Gateway::read(&reader).unfit(&self.config);
            unfit.iter().for_each(|sentence| self.notices.error(sentence));
        }
    }

    fn subscribe(&mut self, punts: &mut Punts) {
        self.subscription += 1;
        let postbox = self.postbox.clone();
        if let Err(error) = events::subscribe(&self.directory, punts, postbox, self.subscription)
            // One that is gone is seen by the attachment.
            && error.code != ErrorCode::InstanceDead
        {
            self.notices.error(&format!(
                "SAs are not rekeyed by traffic, since the primary does not tell of them: {error}"
            ));
        }
    }

    /// SAs of the tunnels of this configuration that another daemon has left.
    fn left(&self) -> HashMap<String, Vec<SaId>> {
        let mut left: HashMap<String, Vec<SaId>> = HashMap::new();
        let Ok(reader) = tables::open(&self.directory) else {
            return left;
        };
        for listed in sas::listed(&reader) {
            if let Some(tunnel) = &listed.sa.tunnel
                && self.config.has_tunnel(tunnel)
            {
                left.entry(tunnel.clone()).or_default().push(listed.sa.id());
            }
        }
        left
    }

    /// Does what the engine wants, until it wants nothing.
    fn carry_out(&mut self, punts: &mut Punts) {
        self.write_down(punts);
        let mut sending = Vec::new();
        loop {
            match self.engine.output() {
                Some(Output::Send(datagram)) => sending.push(datagram),
                Some(Output::Sa(command)) => {
                    let primary = &mut Attached {
                        punts,
                        directory: &self.directory,
                    };
                    self.plane.apply(command, &self.config, primary);
                }
                Some(Output::Event(event)) => self.tell(&event),
                None => {
                    if !self.ask_for_plane() {
                        break;
                    }
                    self.write_down(punts);
                }
            }
        }
        self.plane.settle(&mut Attached {
            punts,
            directory: &self.directory,
        });
        // As soon as the peer has this it may send by what was installed.
        sending.iter().for_each(|datagram| self.send(datagram, punts));
        self.carried_out(punts);
        self.tell_problems();
        self.notices.write(&std::mem::take(&mut self.lines));
    }

    fn send(&mut self, datagram: &Datagram, punts: &mut Punts) {
        self.identification = self.identification.wrapping_add(1);
        let frame = datagram::build(datagram, self.identification);
        let is_sent = frame.is_some_and(|frame| punts.send(Stage::Own, self.interface, &frame));
        if !is_sent {
            self.unsent += 1;
        }
    }

    /// Asks the engine for what its commands have led to in the primary; whether there was anything.
    fn ask_for_plane(&mut self) -> bool {
        let (spent, displaced) = (self.plane.take_spent(), self.plane.take_displaced());
        let is_any = !spent.is_empty() || !displaced.is_empty();
        for inbound in spent {
            self.engine.rekey_child(now(), inbound);
        }
        for inbound in displaced {
            self.engine.delete_child(now(), inbound);
        }
        is_any
    }

    fn look_at_signals(&mut self) {
        if self.reload.swap(false, Ordering::Relaxed) {
            match self.read_again() {
                Ok(sentence) => self.notices.say(&sentence),
                Err(error) => self.notices.error(&format!("nothing has changed: {error}")),
            }
        }
    }

    /// Reads the file again: all of it counts from now on, or nothing.
    fn read_again(&mut self) -> Result<String, ControlError> {
        let invalid = |text: String| ControlError::new(ErrorCode::Invalid, text);
        let config = self.config.load_again(&self.file);
        let config = config.map_err(|errors| invalid(errors.to_string()))?;
        if config.settings != self.config.settings {
            return Err(invalid(format!(
                "{}: what is in [ike] holds for all peers from the start on: put it back, or start the daemon anew",
                self.file.display()
            )));
        }
        let same: Vec<&str> = config
            .profiles
            .iter()
            .filter(|profile| self.config.profile(&profile.name) == Some(profile))
            .map(|profile| profile.name.as_str())
            .collect();
        self.engine.set_profiles(now(), config.engine_profiles(), &same);
        let (all, same) = (config.profiles.len(), same.len());
        let plural = if all == 1 { "" } else { "s" };
        let sentence = format!(
            "{} was read again: {all} profile{plural}, of which {same} as before",
            self.file.display()
        );
        self.config = config;
        self.say_unfit();
        Ok(sentence)
    }

    fn open(&mut self, mail: Mail, punts: Option<&mut Punts>) {
        match mail {
            Mail::Request {
                request,
                peer,
                replies,
            } => {
                // Whoever has asked may have gone.
                drop(replies.try_send(self.answer(request, peer)));
            }
            Mail::Event(event) => self.hear(event),
            Mail::EventsEnded(number) => {
                if let Some(punts) = punts
                    && number == self.subscription
                {
                    self.subscribe(punts);
                    self.catch_up();
                }
            }
        }
    }
}

//! The loop: takes packets from the primary, has done what their rules say, and gives the verdicts back.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use control::alerts::RuleTable;
use control::instance::InstanceDir;
use control::message::{ControlError, Request};
use control::punt::{AttachmentError, Punts};
use shm::{DiscoveryReader, LastReload};

use crate::class::Class;
use crate::config::Config;
use crate::failure::Failure;
use crate::helpers::Helpers;
use crate::lines::Lines;
use crate::notice::Notices;
use crate::report::Report;
use crate::work::Work;

/// How long it sleeps at most before it looks whether it is to end.
pub const LOOK: Duration = Duration::from_millis(100);
/// How often it looks whether the primary has another configuration.
const CLASS_LOOK: Duration = Duration::from_secs(1);

/// A relay that is attached.
pub struct Relay<W> {
    directory: InstanceDir,
    punts: Punts,
    work: Work<W>,
    /// The file that SIGHUP has read again.
    file: Option<PathBuf>,
    notices: Notices,
    /// How long it sleeps at most.
    patience: Duration,
    looked: Instant,
    /// What was last applied to the primary.
    applied: Option<LastReload>,
}

/// What signals ask for.
pub struct Signals<'a> {
    /// Whether to end.
    pub stopped: &'a dyn Fn() -> bool,
    /// Whether to read the file again; asked once for each signal.
    pub reload: &'a dyn Fn() -> bool,
}

impl<W: Write> Relay<W> {
    /// A relay by an attachment that was made with the rules of `config`.
    ///
    /// # Errors
    ///
    /// The rules cannot be looked at, or a helper cannot begin.
    pub fn new(
        directory: InstanceDir,
        punts: Punts,
        (config, file): (Config, Option<PathBuf>),
        class: Class,
        lines: Lines<W>,
        notices: Notices,
    ) -> Result<Self, Failure> {
        let waker = punts.waker();
        let mut helpers = Helpers::new(move || waker.wake());
        let prepared = helpers.prepare(&config.helpers)?;
        helpers.set(config.helpers, prepared, class.deadline);
        let table = RuleTable::open(&directory)?;
        let names = config.rules.into_iter().map(|rule| rule.rule.name);
        let report = Report::new(names);
        let interfaces = punts.interfaces().to_vec();
        let work = Work::new((table, interfaces), helpers, class, lines, report);
        let mut relay = Self {
            applied: None,
            directory,
            punts,
            work,
            file,
            notices,
            patience: LOOK,
            looked: Instant::now(),
        };
        relay.applied = relay.last_applied();
        relay.work.resolve();
        relay.say_faults();
        Ok(relay)
    }

    /// Sleeps for at most `patience` at a time, [`LOOK`] if nothing is said; not at all if that is zero.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Relays until a signal says to end, or the primary ends.
    ///
    /// # Errors
    ///
    /// The primary ended, or the lines could not be written.
    pub fn run(&mut self, signals: &Signals<'_>) -> Result<(), Failure> {
        while !(signals.stopped)() {
            if (signals.reload)() {
                self.reload();
            }
            let patience = self.work.patience(Instant::now()).min(self.patience);
            let work = &mut self.work;
            let received = self
                .punts
                .receive(patience, &mut |punted, packet| work.take(punted, packet));
            let now = Instant::now();
            // Verdicts first: packets do not wait for lines.
            self.work.carry_out(&mut self.punts, now);
            self.punts.flush();
            ended(received)?;
            self.work.print()?;
            self.say_faults();
            if now.duration_since(self.looked) >= CLASS_LOOK {
                self.looked = now;
                self.look_at_class();
            }
        }
        self.work.give_up_all(&mut self.punts);
        self.punts.flush();
        Ok(())
    }

    /// What was counted.
    pub fn report(&mut self) -> &Report {
        self.work.report()
    }

    /// Reads the file again: all of it counts from now on, or nothing.
    fn reload(&mut self) {
        let sentence = match self.try_reload() {
            Ok(sentence) => sentence,
            Err(problem) => format!("nothing has changed: {problem}"),
        };
        self.notices.say(&sentence);
    }

    fn try_reload(&mut self) -> Result<String, String> {
        let file = self
            .file
            .as_deref()
            .ok_or("this relay was started without --config, and has no file to read again")?;
        let config = Config::load(file).map_err(|errors| errors.to_string())?;
        config.fits(self.work.class().deadline)?;
        let helpers = self.work.helpers();
        let prepared = helpers
            .prepare(&config.helpers)
            .map_err(|error| error.to_string())?;
        let rules = config.rules.len();
        self.punts
            .call(Request::AlertRules(config.rules))
            .map_err(|error| error.message)?;
        let deadline = self.work.class().deadline;
        self.work.helpers().set(config.helpers, prepared, deadline);
        self.work.resolve();
        Ok(format!("{} was read again: {rules} rules", file.display()))
    }

    /// Learns what the class is like if the primary has been given another configuration.
    fn look_at_class(&mut self) {
        let applied = self.last_applied();
        if applied == self.applied {
            return;
        }
        // Where it cannot say, it is asked again in a second.
        let asked: Result<_, ControlError> = self.punts.call(Request::PuntShow).and_then(Class::of);
        if let Ok(class) = asked {
            self.applied = applied;
            self.work.set_class(class);
            self.say_faults();
        }
    }

    fn last_applied(&self) -> Option<LastReload> {
        DiscoveryReader::read(&self.directory.segment())?.last_reload
    }

    fn say_faults(&mut self) {
        for sentence in self.work.take_notices() {
            self.notices.say(&sentence);
        }
    }
}

fn ended(received: Result<usize, AttachmentError>) -> Result<(), Failure> {
    received.map(drop).map_err(Failure::from)
}

//! Configurations: read and compared by a thread of their own, applied by this one, a step each round.
//!
//! ```text
//!   SIGHUP ─┐    thread           thread                 rounds of the control thread
//!   apply ──┴─► read, check ───► tables ─► plan ──┬────► step ─► step ─► done
//!                                                 │        │ one is refused
//!   show ──────────────────────► tables ─► text   │        ▼
//!                                                 └──── plan back to what ran
//! ```
//!
//! From the moment that the tables are read other changes have to wait, as the plan would not be true any more. Everything else
//! goes on.

mod jobs;
mod running;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use control::instance::Description;
use control::message::{Answer, ConfigProgress, ControlError, ErrorCode, Reply};
use control::server::{Peer, Response};
use ipnet::IpNet;
use packet::MacAddress;

use self::jobs::{Asker, Goal, Job, Source, Stage};
use super::Control;
use crate::config::{Config, Overrides};
use crate::log::{PreparedLog, notice};
use crate::reload::{self, Change, Step};
use crate::tables::NewSubInterface;
use crate::worker::Policies;
use crate::worker::doorbell::Doorbell;

/// How long a step waits for workers to let go of what earlier ones took out of use.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is under way, and what came of what tools asked for.
pub struct Reload {
    /// What only a restart changes, and the policers that run.
    base: Config,
    overrides: Overrides,
    /// The file that was named at the start, wherever the process is by now.
    file: PathBuf,
    /// Of the region.
    tables: PathBuf,
    doorbell: Doorbell,
    /// Routes of the last configuration that name the protocol of somebody else.
    named: HashSet<(IpNet, u32)>,
    job: Option<Job>,
    /// By connection.
    finished: HashMap<u64, Result<(u64, OwnedFd), ControlError>>,
}

impl Reload {
    /// Nothing is under way, and `config` is what runs.
    pub fn new(
        config: &Config,
        overrides: &Overrides,
        description: &Description,
        doorbell: Doorbell,
    ) -> Self {
        Self {
            base: config.without_tables(),
            overrides: overrides.clone(),
            file: description.config.clone(),
            tables: description.tables.clone(),
            doorbell,
            named: named(config),
            job: None,
            finished: HashMap::new(),
        }
    }

    /// Forgets what connections asked for that have closed. A configuration that is being applied is applied all the same.
    pub(super) fn closed(&mut self, connections: &[u64]) {
        self.finished
            .retain(|connection, _| !connections.contains(connection));
        if let Some(job) = &mut self.job
            && matches!(job.asker, Asker::Tool(connection) if connections.contains(&connection))
        {
            job.asker = Asker::Nobody;
        }
    }

    /// Fails while a change would not be seen by the configuration that is being applied.
    pub(super) fn check_changes(&self) -> Result<(), ControlError> {
        match &self.job {
            Some(job) if job.holds_changes_up() => Err(busy(job)),
            _ => Ok(()),
        }
    }

    fn check_free(&self) -> Result<(), ControlError> {
        self.job.as_ref().map_or(Ok(()), |job| Err(busy(job)))
    }
}

fn busy(job: &Job) -> ControlError {
    let sentence = format!("{} is being read or applied: try again in a moment", job.file);
    ControlError::new(ErrorCode::Busy, sentence)
}

/// Routes that a file names though their protocol is somebody else's.
fn named(config: &Config) -> HashSet<(IpNet, u32)> {
    let others = config.routes.iter().filter(|route| !reload::is_by_hand(route));
    others.map(|route| (route.prefix, route.metric())).collect()
}

impl Control<'_> {
    pub(super) fn apply_config(
        &mut self,
        peer: &Peer,
        file: String,
        dry_run: bool,
        descriptors: Vec<OwnedFd>,
    ) -> Answer {
        self.reload.check_free()?;
        let Some(text) = descriptors.into_iter().next() else {
            let sentence = "no text came with the request: use tools of the primary's build";
            return Err(ControlError::new(ErrorCode::BadRequest, sentence));
        };
        let goal = if dry_run { Goal::DryRun } else { Goal::Apply };
        let source = Source::Text(text, PathBuf::from(&file));
        self.begin(Asker::Tool(peer.connection), file, goal, source)?;
        Ok(Reply::ConfigStarted)
    }

    pub(super) fn show_config(&mut self, peer: &Peer) -> Answer {
        self.reload.check_free()?;
        let (running, tables) = (self.running(), self.reload.tables.clone());
        let stage = jobs::show(
            running,
            self.reload.named.clone(),
            tables,
            self.reload.overrides.clone(),
            self.reload.doorbell.clone(),
        )?;
        self.reload.finished.remove(&peer.connection);
        self.reload.job = Some(Job {
            asker: Asker::Tool(peer.connection),
            file: "the configuration that runs".to_owned(),
            goal: Goal::Show,
            stage,
        });
        Ok(Reply::ConfigStarted)
    }

    pub(super) fn config_result(&mut self, peer: &Peer) -> Response {
        if let Some(finished) = self.reload.finished.remove(&peer.connection) {
            return match finished {
                Ok((changes, text)) => Response {
                    answer: Ok(Reply::Config(ConfigProgress::Done { changes })),
                    descriptors: vec![text],
                },
                Err(error) => Err(error).into(),
            };
        }
        match &self.reload.job {
            Some(job) if job.asker == Asker::Tool(peer.connection) => {
                Ok::<_, ControlError>(Reply::Config(job.progress())).into()
            }
            _ => {
                let sentence = "this connection has asked for nothing: apply or show a configuration first";
                Err(ControlError::new(ErrorCode::NotFound, sentence)).into()
            }
        }
    }

    /// Goes on with what is under way; gives whether there is more to do at once.
    pub(super) fn reload(&mut self, now: Duration) -> bool {
        if self.reload.job.is_none() {
            if !self.signals.take_reload() {
                return false;
            }
            self.begin_by_signal();
        }
        let Some(mut job) = self.reload.job.take() else {
            return false;
        };
        let stage = std::mem::replace(&mut job.stage, Stage::Nothing);
        match self.go_on(&job, stage, now) {
            Ok(Some((stage, more))) => {
                job.stage = stage;
                self.reload.job = Some(job);
                more
            }
            Ok(None) => false,
            Err(error) => {
                self.finish(&job, Err(error));
                false
            }
        }
    }

    fn begin_by_signal(&mut self) {
        // Without systemd there is nobody to tell.
        if let Ok(moment) = sd_notify::NotifyState::monotonic_usec_now() {
            drop(sd_notify::notify(&[sd_notify::NotifyState::Reloading, moment]));
        }
        let file = self.reload.file.clone();
        let name = file.display().to_string();
        if let Err(error) = self.begin(Asker::Signal, name, Goal::Apply, Source::File(file)) {
            tracing::error!(target: "config", "not reloaded, nothing is changed: {error}");
            drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
        }
    }

    fn begin(&mut self, asker: Asker, file: String, goal: Goal, source: Source) -> Result<(), ControlError> {
        if let Asker::Tool(connection) = asker {
            self.reload.finished.remove(&connection);
        }
        let stage = jobs::read(
            source,
            self.reload.overrides.clone(),
            self.reload.doorbell.clone(),
        )?;
        self.reload.job = Some(Job {
            asker,
            file,
            goal,
            stage,
        });
        Ok(())
    }

    /// The next stage of a job and whether it can go on at once, or nothing when the job is done.
    fn go_on(
        &mut self,
        job: &Job,
        stage: Stage,
        now: Duration,
    ) -> Result<Option<(Stage, bool)>, ControlError> {
        Ok(match stage {
            Stage::Reading(news) => match news.try_recv() {
                Err(TryRecvError::Empty) => Some((Stage::Reading(news), false)),
                Err(TryRecvError::Disconnected) => return Err(jobs::lost()),
                Ok(read) => {
                    let (running, wanted) = (self.running(), read?);
                    let macs = self.port_macs();
                    reload::check_restart(&running, &wanted)
                        .and_then(|()| reload::check_sources(&wanted, &macs))
                        .map_err(|sentence| ControlError::new(ErrorCode::Invalid, sentence))?;
                    let named = self.reload.named.clone();
                    let (tables, doorbell) = (self.reload.tables.clone(), self.reload.doorbell.clone());
                    Some((
                        jobs::plan(running, wanted, macs, Some(named), None, tables, doorbell)?,
                        false,
                    ))
                }
            },
            Stage::Showing(news) => match news.try_recv() {
                Err(TryRecvError::Empty) => Some((Stage::Showing(news), false)),
                Err(TryRecvError::Disconnected) => return Err(jobs::lost()),
                Ok(text) => {
                    let text = text?;
                    self.finish(job, Ok((0, text)));
                    None
                }
            },
            Stage::Planning(news) => match news.try_recv() {
                Err(TryRecvError::Empty) => Some((Stage::Planning(news), false)),
                Err(TryRecvError::Disconnected) => return Err(jobs::lost()),
                Ok(planned) => {
                    let planned = planned?;
                    if job.goal == Goal::DryRun {
                        let changes = planned.changes.len() as u64;
                        self.finish(job, Ok((changes, planned.text)));
                        return Ok(None);
                    }
                    // The one thing that can fail without a look at the tables, and cannot be undone: before all others.
                    let log =
                        match &planned.undoes {
                            Some(_) => None,
                            None => {
                                let log = PreparedLog::open(&planned.wanted.log);
                                Some(log.map_err(|error| {
                                    ControlError::new(ErrorCode::Invalid, error.to_string())
                                })?)
                            }
                        };
                    Some((Stage::Applying(Box::new(jobs::Applying::new(planned, log))), true))
                }
            },
            Stage::Applying(applying) => self.apply(job, applying, now)?,
            Stage::Nothing => None,
        })
    }

    fn apply(
        &mut self,
        job: &Job,
        mut applying: Box<jobs::Applying>,
        now: Duration,
    ) -> Result<Option<(Stage, bool)>, ControlError> {
        let Some((count, step)) = reload::next_step(applying.left()) else {
            return self.applied(job, *applying).map(|()| None);
        };
        match self.make(&step, now) {
            Ok(()) => {
                for change in &applying.left()[..count] {
                    tracing::debug!(target: "config", "{change}");
                }
                applying.done += count;
                applying.patience_until = None;
                Ok(Some((Stage::Applying(applying), true)))
            }
            // What was taken out of use by earlier steps is free once all workers have passed.
            Err(error)
                if error.code == ErrorCode::LimitReached
                    && now < *applying.patience_until.get_or_insert(now + PATIENCE) =>
            {
                Ok(Some((Stage::Applying(applying), false)))
            }
            Err(error) => match applying.planned.undoes {
                Some(first) => Err(ControlError::new(
                    first.code,
                    format!(
                        "{}; what had been changed could not all be undone ({error}): apply a configuration that fits",
                        first.message
                    ),
                )),
                None => {
                    let (before, running) = (applying.planned.before, self.running());
                    let (tables, doorbell) = (self.reload.tables.clone(), self.reload.doorbell.clone());
                    let macs = self.port_macs();
                    let undo = jobs::plan(running, before, macs, None, Some(error), tables, doorbell)?;
                    Ok(Some((undo, false)))
                }
            },
        }
    }

    fn port_macs(&self) -> Vec<MacAddress> {
        let macs = (0..).map_while(|port| self.tables.interface_mac(port));
        macs.take(self.ports.len()).collect()
    }

    /// All changes are made.
    fn applied(&mut self, job: &Job, applying: jobs::Applying) -> Result<(), ControlError> {
        let planned = applying.planned;
        if let Some(error) = planned.undoes {
            let sentence = format!("{}; what had been changed is undone", error.message);
            return Err(ControlError::new(error.code, sentence));
        }
        if let Some(log) = applying.log {
            self.log.apply(log);
        }
        self.reload.named = named(&planned.wanted);
        self.finish(job, Ok((planned.changes.len() as u64, planned.text)));
        Ok(())
    }

    /// Does one step.
    fn make(&mut self, step: &Step<'_>, now: Duration) -> Result<(), ControlError> {
        self.tables.reclaim(&self.quiescence);
        if reload::change_tables(&mut self.tables, step, now)? {
            if let Step::One(Change::ServiceAdd(service)) = step {
                self.warn_of_service(service.id);
            }
            return Ok(());
        }
        match step {
            Step::One(Change::LinkAdd(link)) => self
                .link_add(&NewSubInterface {
                    name: Some(link.name.clone()),
                    link: link.link.clone(),
                    protocol: link.protocol,
                    id: link.id,
                    mtu: Some(link.mtu),
                })
                .map(drop),
            Step::One(Change::TunnelAdd(tunnel)) => self.tunnel_add(tunnel).map(drop),
            Step::One(Change::TunnelSet { after, .. }) => {
                self.tunnel_set(&after.name, &after.into(), now).map(drop)
            }
            Step::One(Change::TunnelDelete(tunnel)) => self.tunnel_delete(&tunnel.name, now).map(drop),
            Step::One(Change::LinkDelete(link)) => self.link_delete(&link.name, now).map(drop),
            Step::One(Change::Redirects { interface, on }) => self.set_redirects(interface, *on),
            Step::One(Change::HopByHop {
                interface,
                hop_by_hop,
            }) => {
                let options = self.reload.base.router_alert.on(*hop_by_hop);
                self.set_options(interface, options)
            }
            Step::One(Change::RouterAlert(router_alert)) => {
                self.set_router_alert(router_alert)?;
                self.reload.base.router_alert = *router_alert;
                self.tell_policies();
                Ok(())
            }
            Step::One(Change::Punt { class, policy }) => {
                self.let_go()?;
                self.reload.base.punts[*class as usize] = *policy;
                self.attachments.set_policies(self.reload.base.punts);
                self.tell_policies();
                self.alert_rules.change([]);
                Ok(())
            }
            // The log is prepared, and changed in the end.
            _ => Ok(()),
        }
    }

    /// Gives all workers the policers and fail modes that run.
    fn tell_policies(&mut self) {
        let policies = Policies {
            classes: self.reload.base.punts,
            alerts: self.reload.base.router_alert.limits,
        };
        for worker in &mut self.links {
            worker.tell_policies(policies);
        }
    }

    /// Says what came of it, to whom it may concern.
    fn finish(&mut self, job: &Job, outcome: Result<(u64, OwnedFd), ControlError>) {
        if job.goal == Goal::Apply {
            let (ok, said) = match &outcome {
                Ok((0, _)) => (true, format!("{} is applied, nothing differed", job.file)),
                Ok((1, _)) => (true, format!("{} is applied, 1 change", job.file)),
                Ok((changes, _)) => (true, format!("{} is applied, {changes} changes", job.file)),
                Err(error) => {
                    let message = error.message.replace('\n', "; ");
                    (false, format!("{} is not applied: {message}", job.file))
                }
            };
            if ok {
                notice!(target: "config", "{said}");
            } else {
                tracing::error!(target: "config", "{said}");
            }
            self.page.set_last_reload(ok, &said);
        }
        match job.asker {
            Asker::Signal => drop(sd_notify::notify(&[sd_notify::NotifyState::Ready])),
            Asker::Tool(connection) => drop(self.reload.finished.insert(connection, outcome)),
            Asker::Nobody => {}
        }
    }
}

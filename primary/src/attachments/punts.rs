//! Tools that decide about packets, or watch them: attached and shown.

use std::time::Duration;

use control::event::Event;
use control::message::{
    CaptureStarted, ControlError, ErrorCode, FailMode, Observer, PuntClass, PuntInfo, PuntRequest, Reply,
};
use control::server::{Peer, Response};
use shm::attachment::Attachment;

use super::{Attached, Attachments, ClassPolicy, Consumer, Kind, longest};

/// What a tool is asked about.
pub(super) struct Punt {
    classes: Vec<PuntClass>,
    observes: bool,
}

impl Attachments<'_> {
    /// Gives the packets of some classes to the tool at the other end of a connection, or copies of them.
    pub fn start_punt(
        &mut self,
        peer: &Peer,
        request: PuntRequest,
        now: Duration,
    ) -> Result<Response, ControlError> {
        self.check_new(peer)?;
        if request.classes.is_empty() {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                "no class of packets is named: name one that 'tollgate-ctl punt show' lists",
            ));
        }
        if let Some(class) = request.classes.iter().find(|class| !class.is_for_tools()) {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "the class {} is not for tools: 'tollgate-ctl punt show' says who takes it",
                    class.name()
                ),
            ));
        }
        let taken = request
            .classes
            .iter()
            .find_map(|class| Some((class, self.deciding(*class)?)));
        if let (Some((class, tool)), false) = (taken, request.observe) {
            return Err(ControlError::new(
                ErrorCode::Exists,
                format!(
                    "{} (pid {}) decides about {} already: end it first",
                    tool.tool,
                    tool.pid,
                    class.name()
                ),
            ));
        }
        let ports = || self.interfaces.iter().filter(|interface| interface.is_port);
        let longest = longest(ports());
        let interfaces = ports().map(|port| port.interface.clone()).collect();
        let reservation = self.reserve()?;
        let workers = self.workers.len();
        let made = if request.observe {
            Attachment::new(reservation, workers, longest)
        } else {
            Attachment::deciding(reservation, workers, longest)
        };
        let (attachment, lanes) = self.made(made, longest)?;
        let descriptors = self.hand_over(&attachment)?;
        let id = self.take_id();
        let names: Vec<_> = request.classes.iter().map(|class| class.name()).collect();
        tracing::info!(
            target: "punt",
            "{} (pid {}) {} {}",
            peer.tool,
            peer.pid,
            if request.observe { "watches" } else { "decides about" },
            names.join(", ")
        );
        let workers = self.workers.iter().zip(lanes);
        let parts = workers
            .map(|(worker, lane)| {
                worker
                    .consumers
                    .add(Consumer::new(id, &request.classes, request.observe, lane))
            })
            .filter(|added| *added)
            .count();
        let punt = Punt {
            classes: request.classes,
            observes: request.observe,
        };
        self.add(id, peer, Kind::Punt(punt), attachment, parts, now);
        self.events
            .extend(self.attached.last().and_then(|attached| attached.listener(true)));
        Ok(Response {
            answer: Ok(Reply::PuntStarted(CaptureStarted { id, interfaces })),
            descriptors,
        })
    }

    /// What each class is like from now on. Workers are told by [`crate::worker::LinkControl`].
    pub fn set_policies(&mut self, policies: [ClassPolicy; PuntClass::COUNT]) {
        self.policies = policies;
    }

    /// What becomes of the packets of a class without a tool.
    pub fn fail_mode(&self, class: PuntClass) -> FailMode {
        self.policies[class as usize].fail
    }

    /// The tool that decides about a class.
    fn deciding(&self, class: PuntClass) -> Option<&Attached> {
        self.attached.iter().find(|attached| {
            let is_it = |punt: &Punt| !punt.observes && punt.classes.contains(&class);
            !attached.abandoned && matches!(&attached.kind, Kind::Punt(punt) if is_it(punt))
        })
    }

    /// Whether the tool at the other end of a connection decides about a class.
    pub fn decides(&self, connection: u64, class: PuntClass) -> bool {
        self.deciding(class)
            .is_some_and(|attached| attached.connection == connection)
    }

    /// Who came and went since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// All classes, to be shown.
    pub fn punts(&self) -> Vec<PuntInfo> {
        let info = |class: PuntClass| {
            let policy = &self.policies[class as usize];
            let tool = self.deciding(class);
            let counts = tool.map_or_else(Default::default, |tool| tool.attachment.counts());
            let observers = self.attached.iter().filter(|attached| {
                matches!(&attached.kind, Kind::Punt(punt) if punt.observes && punt.classes.contains(&class))
            });
            PuntInfo {
                class,
                fail: class.is_for_tools().then_some(policy.fail),
                rate: policy.rate,
                burst: policy.burst,
                deadline_ms: class.is_for_tools().then_some(policy.deadline_ms),
                tool: tool.map_or_else(String::new, |tool| tool.tool.clone()),
                pid: tool.map_or(0, |tool| tool.pid),
                seen: counts.seen,
                lost: counts.lost,
                late: counts.late,
                observers: observers
                    .map(|attached| Observer {
                        tool: attached.tool.clone(),
                        pid: attached.pid,
                    })
                    .collect(),
            }
        };
        PuntClass::ALL.map(info).into()
    }
}

impl Attached {
    /// The event of its coming or going, if it decides about packets or watches them.
    pub(super) fn listener(&self, came: bool) -> Option<Event> {
        match &self.kind {
            Kind::Capture(_) => None,
            Kind::Punt(punt) => Some(Event::Listener {
                tool: self.tool.clone(),
                pid: self.pid,
                classes: punt.classes.clone(),
                observes: punt.observes,
                came,
            }),
        }
    }
}

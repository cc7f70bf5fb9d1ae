//! What all tools have of an attachment: the connection that it lives with, and how to tell why it ended.

use std::os::fd::OwnedFd;
use std::time::Duration;

use shm::{DiscoveryReader, InstanceState};

use crate::client::Client;
use crate::instance::InstanceDir;
use crate::message::{CaptureInterface, CaptureStarted, ControlError, ErrorCode, Reply, Request};

/// How often a tool that sleeps looks whether its primary still lives.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// The connection of an attachment.
pub(crate) struct Attached {
    client: Client,
    interfaces: Vec<CaptureInterface>,
    directory: InstanceDir,
}

/// Why an attachment ended without having been told to. What was in it has been handed out before.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// The primary is gone, or goes.
    #[error("the primary of '{0}' ended")]
    PrimaryEnded(String),
    /// The primary lives and has ended the attachment.
    #[error("the primary of '{0}' ended this attachment: its log says why")]
    CutOff(String),
    /// The shared memory says what cannot be.
    #[error("the memory shared with the primary of '{instance}' is damaged: {problem}")]
    Damaged {
        /// Name of the instance.
        instance: String,
        /// What was found.
        problem: String,
    },
}

impl Attached {
    /// Connects as `tool` and sends the request; gives the connection, and the memory of the packets and that of the rings.
    pub(crate) fn start(
        directory: &InstanceDir,
        tool: &str,
        request: Request,
        started: impl FnOnce(Reply) -> Result<CaptureStarted, Reply>,
    ) -> Result<(Self, [OwnedFd; 2]), ControlError> {
        let mut client = Client::connect(directory, tool)?;
        let mut descriptors = Vec::new();
        let reply = client.call_with(request, &mut descriptors)?;
        let started = started(reply).map_err(|other| unexpected(&format!("{other:?}")))?;
        let memory =
            <[_; 2]>::try_from(descriptors).map_err(|_| unexpected("an attachment without its memory"))?;
        let attached = Self {
            client,
            interfaces: started.interfaces,
            directory: directory.clone(),
        };
        Ok((attached, memory))
    }

    /// The interfaces that packets come from.
    pub(crate) fn interfaces(&self) -> &[CaptureInterface] {
        &self.interfaces
    }

    /// Whether the primary has hung up.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks the primary for something that changes the attachment.
    pub(crate) fn call(&mut self, request: Request) -> Result<Reply, ControlError> {
        self.client.call(request)
    }

    /// Asks the primary for something, and hands it a descriptor.
    pub(crate) fn call_handing(
        &mut self,
        request: Request,
        descriptor: OwnedFd,
    ) -> Result<Reply, ControlError> {
        self.client.call_handing(request, descriptor)
    }

    /// Asks the primary for something, and gives what descriptors come with the answer.
    pub(crate) fn call_with(
        &mut self,
        request: Request,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Reply, ControlError> {
        self.client.call_with(request, descriptors)
    }

    /// Why it ended.
    pub(crate) fn ended(&self) -> AttachmentError {
        let name = self.directory.name().to_string();
        // A primary says that it ends before its workers do; a dead one has lost its lock.
        let forwards = DiscoveryReader::read(&self.directory.segment())
            .is_some_and(|page| page.state == Some(InstanceState::Ready));
        if forwards && self.directory.is_alive().unwrap_or(false) {
            AttachmentError::CutOff(name)
        } else {
            AttachmentError::PrimaryEnded(name)
        }
    }

    /// That its memory says what cannot be.
    pub(crate) fn damaged(&self, problem: &str) -> AttachmentError {
        AttachmentError::Damaged {
            instance: self.directory.name().to_string(),
            problem: problem.to_owned(),
        }
    }
}

pub(crate) fn unexpected(what: &str) -> ControlError {
    ControlError::new(
        ErrorCode::VersionMismatch,
        format!(
            "the primary answered what this tool does not expect ({what}): use tools of the primary's build"
        ),
    )
}

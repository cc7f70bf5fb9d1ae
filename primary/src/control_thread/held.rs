//! Memory of the daemon of IKE that its successor takes up, held while it is away, as a service manager does for its services. What is in
//! it is for that daemon alone: it is never mapped or read here. It is gone with the primary, and with the SAs, without which it says
//! nothing.

use std::os::fd::{AsFd, OwnedFd};

use control::message::{Answer, ControlError, ErrorCode, PuntClass, Reply};
use control::server::{Peer, Response};
use shm::journal;

use super::Control;

/// The memory that is held, and the user that left it.
#[derive(Default)]
pub struct Held {
    memory: Option<(OwnedFd, u32)>,
}

impl Held {
    /// Holds what came with a request of a user; what was held before is let go of.
    fn hold(&mut self, descriptors: Vec<OwnedFd>, uid: u32) -> Result<(), ControlError> {
        let Ok([memory]) = <[OwnedFd; 1]>::try_from(descriptors) else {
            return Err(ControlError::new(
                ErrorCode::BadRequest,
                "the memory to hold did not come with the request: send one descriptor with it",
            ));
        };
        if !journal::is_sealed(memory.as_fd()) {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                "only a memfd is held, and one that cannot become shorter: seal it with F_SEAL_SHRINK",
            ));
        }
        self.memory = Some((memory, uid));
        Ok(())
    }

    /// A descriptor of what is held, for a tool of this user.
    fn give(&self, uid: u32) -> Result<Option<OwnedFd>, ControlError> {
        let Some((memory, owner)) = &self.memory else {
            return Ok(None);
        };
        // Not root either: it would believe what another has written.
        if uid != *owner {
            return Err(ControlError::new(
                ErrorCode::PermissionDenied,
                format!(
                    "the memory that is held was left by user {owner}, and is for that one alone: run as that user"
                ),
            ));
        }
        let copy = memory.try_clone().map_err(|error| {
            ControlError::new(
                ErrorCode::Failed,
                format!("the primary has no descriptor left for the memory that it holds ({error}): raise RLIMIT_NOFILE"),
            )
        })?;
        Ok(Some(copy))
    }
}

impl Control<'_> {
    /// Holds what the tool that decides about IKE packets hands over.
    pub(super) fn hold_memory(&mut self, peer: &Peer, descriptors: Vec<OwnedFd>) -> Answer {
        self.check_has_ike(peer)?;
        self.held.hold(descriptors, peer.uid)?;
        Ok(Reply::Done)
    }

    /// Gives that tool what is held.
    pub(super) fn held_memory(&mut self, peer: &Peer) -> Result<Response, ControlError> {
        self.check_has_ike(peer)?;
        let memory = self.held.give(peer.uid)?;
        Ok(Response {
            answer: Ok(Reply::Held(memory.is_some())),
            descriptors: memory.into_iter().collect(),
        })
    }

    fn check_has_ike(&self, peer: &Peer) -> Result<(), ControlError> {
        if self.attachments.decides(peer.connection, PuntClass::Ike) {
            return Ok(());
        }
        Err(ControlError::new(
            ErrorCode::Invalid,
            "memory is held for the tool that decides about IKE packets: attach for them before",
        ))
    }
}

#[cfg(test)]
mod tests {
    use shm::journal::{Journal, Left};

    use super::*;

    fn memory(text: &[u8]) -> OwnedFd {
        let mut journal = Journal::new(100).unwrap();
        assert!(journal.append(text));
        journal.descriptor().unwrap()
    }

    fn given(held: &Held, uid: u32) -> Vec<u8> {
        let memory = held.give(uid).unwrap().unwrap();
        Left::read(memory).unwrap().batches.to_vec()
    }

    #[test]
    fn the_last_memory_is_held_for_its_user_alone() {
        let mut held = Held::default();
        assert!(held.give(7).unwrap().is_none());
        held.hold(vec![memory(b"first")], 7).unwrap();
        held.hold(vec![memory(b"second")], 7).unwrap();
        assert_eq!(given(&held, 7), b"second");
        for other in [8, 0] {
            let refused = held.give(other).unwrap_err();
            assert_eq!(refused.code, ErrorCode::PermissionDenied);
            assert!(refused.message.contains("left by user 7"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_sealed_memory_is_refused_and_changes_nothing() {
        let mut held = Held::default();
        held.hold(vec![memory(b"kept")], 7).unwrap();
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        for (descriptors, code) in [
            (vec![file], ErrorCode::Invalid),
            (Vec::new(), ErrorCode::BadRequest),
            (vec![memory(b"a"), memory(b"b")], ErrorCode::BadRequest),
        ] {
            assert_eq!(held.hold(descriptors, 7).unwrap_err().code, code);
        }
        assert_eq!(given(&held, 7), b"kept");
    }
}

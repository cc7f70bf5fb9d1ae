//! What tools and the IKEv2 daemon of an instance say to each other, by a socket of the daemon's in the instance's directory.
//!
//! ```text
//!   tollgate-ctl ike ... ─ IkeRequest ─► ikev2d.sock ─► tollgate-ikev2d
//!                        ◄─ IkeReply ───                one, or as many as there are pages of IKE SAs and a summary
//! ```
//!
//! Frames are those of the primary's socket, and so is who may connect: the owner and the group of that. Keys go to root alone.

mod client;
mod message;
mod server;

pub use self::client::IkeClient;
pub use self::message::{
    IkeChild, IkeFailure, IkeKeys, IkeProfile, IkeProfileChild, IkeRekey, IkeReply, IkeRequest, IkeSa,
    IkeStatistics, IkeSummary, SAS_PER_REPLY,
};
pub use self::server::{IkeConnection, IkeListener, IkePeer};

use std::path::PathBuf;

use crate::instance::InstanceDir;
use crate::message::ControlError;

/// What the daemon answers.
pub type IkeAnswer = Result<IkeReply, ControlError>;

/// The daemon's socket: where members of the instance's group may make one, so that the daemon need not be root.
pub fn socket_path(directory: &InstanceDir) -> PathBuf {
    directory.events().join("ikev2d.sock")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::instance::RunDir;
    use crate::message::ErrorCode;

    fn directory(place: &tempfile::TempDir) -> InstanceDir {
        let directory = RunDir::new(place.path()).instance(&"blue".parse().unwrap());
        std::fs::create_dir_all(directory.events()).unwrap();
        directory
    }

    #[test]
    fn a_request_is_answered_by_as_many_replies_as_there_are() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let refused = IkeClient::connect(&directory).err().unwrap();
        assert_eq!(refused.code, ErrorCode::NotFound);
        assert!(refused.message.contains("tollgate-ikev2d"), "{}", refused.message);

        let mut listener = IkeListener::bind(&directory).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = listener.accept().unwrap().unwrap();
                assert!(connection.peer().pid > 0);
                let (id, request) = connection.receive().unwrap();
                assert_eq!(request, IkeRequest::Profiles);
                let replies = vec![Ok(IkeReply::Profiles(Vec::new())), Ok(IkeReply::Done)];
                assert!(connection.reply(id, replies));
                let (id, _) = connection.receive().unwrap();
                let error = ControlError::new(ErrorCode::NotFound, "there is none");
                assert!(connection.reply(id, vec![Err(error)]));
                assert!(connection.receive().is_none());
            });
            let mut client = IkeClient::connect(&directory).unwrap();
            let replies = client.call(IkeRequest::Profiles).unwrap();
            assert_eq!(replies, [IkeReply::Profiles(Vec::new()), IkeReply::Done]);
            let refused = client.call(IkeRequest::Reload).unwrap_err();
            assert_eq!(refused.message, "there is none");
            drop(client);
        });
    }

    #[test]
    fn a_socket_that_was_removed_is_made_again() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let mut listener = IkeListener::bind(&directory).unwrap();
        std::fs::remove_file(socket_path(&directory)).unwrap();
        assert!(listener.accept().unwrap().is_none());
        assert!(socket_path(&directory).exists());
    }
}

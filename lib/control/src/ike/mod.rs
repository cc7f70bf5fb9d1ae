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
mod pages;
mod server;

pub use self::client::IkeClient;
pub use self::message::{
    IkeChild, IkeFailure, IkeKeys, IkeProfile, IkeProfileChild, IkeRekey, IkeReply, IkeRequest, IkeSa,
    IkeStatistics, IkeSummary,
};
pub use self::server::{IkeConnection, IkeListener, IkePeer};

use std::path::PathBuf;

use crate::instance::InstanceDir;
use crate::message::ControlError;

/// What the daemon answers.
pub type IkeAnswer = Result<IkeReply, ControlError>;

/// The number of a reply that is to no request: why the daemon hangs up.
const ABOUT_THE_CONNECTION: u32 = 0;

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

        let listener = IkeListener::bind(&directory).unwrap();
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
    fn an_answer_that_fits_into_no_frame_is_refused_in_a_sentence() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let listener = IkeListener::bind(&directory).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = listener.accept().unwrap().unwrap();
                while let Some((id, request)) = connection.receive() {
                    let sentence = match request {
                        IkeRequest::Reload => "x".repeat(crate::frame::MAX_FRAME),
                        _ => "x".to_owned(),
                    };
                    assert!(connection.reply(id, vec![Ok(IkeReply::Reloaded { sentence })]));
                }
            });
            let mut client = IkeClient::connect(&directory).unwrap();
            let refused = client.call(IkeRequest::Reload).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Failed);
            assert!(refused.message.contains("longer than a frame"), "{refused}");
            // And the connection goes on.
            client.call(IkeRequest::Profiles).unwrap();
            drop(client);
        });
    }

    #[test]
    fn who_is_hung_up_on_is_told_why() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let listener = IkeListener::bind(&directory).unwrap();
        for is_asked_first in [false, true] {
            let mut client = IkeClient::connect(&directory).unwrap();
            let connection = listener.accept().unwrap().unwrap();
            let full = ControlError::new(ErrorCode::Busy, "too many ask");
            let refused = thread::scope(|scope| {
                let asked = scope.spawn(|| client.call(IkeRequest::Profiles).unwrap_err());
                if is_asked_first {
                    connection.wait_for_request();
                }
                connection.refuse(full);
                asked.join().unwrap()
            });
            assert_eq!(refused.message, "too many ask", "{is_asked_first}");
        }
    }

    #[test]
    fn a_socket_that_another_daemon_has_bound_is_taken_from_it_by_claiming_it_alone() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let mut listener = IkeListener::bind(&directory).unwrap();
        assert!(!listener.is_gone());
        std::fs::remove_file(socket_path(&directory)).unwrap();
        assert!(listener.is_gone());
        listener.claim().unwrap();
        assert!(!listener.is_gone());

        let other = IkeListener::bind(&directory).unwrap();
        assert!(!listener.is_gone());
        assert!(listener.accept().unwrap().is_none());
        let client = IkeClient::connect(&directory).unwrap();
        assert!(other.accept().unwrap().is_some());
        drop(client);

        listener.claim().unwrap();
        let _client = IkeClient::connect(&directory).unwrap();
        assert!(listener.accept().unwrap().is_some());
        // And the other leaves it alone when it ends.
        drop(other);
        IkeClient::connect(&directory).unwrap();
        // What is its own is left as it is, with who has connected.
        listener.claim().unwrap();
        assert!(listener.accept().unwrap().is_some());
    }
}

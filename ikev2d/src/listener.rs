//! Tools that ask: a thread that accepts, and one for each that is connected.
//!
//! The socket is bound by the daemon that has the instance's IKE packets. One that waits for a primary listens to those that find it, and
//! leaves the place to another that has attached before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use control::ike::{IkeConnection, IkeListener};
use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode};

use crate::mail::{Mail, Postbox};
use crate::notice::Notices;

/// Tools at a time. One more is told so.
const CONNECTIONS: usize = 16;
/// How long the daemon may take: it may be busy with thousands of peers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Number of the attachment that there is; 0: none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attachment(Arc<AtomicU64>);

impl Attachment {
    /// Says that there is one.
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Says that there is none.
    pub(crate) fn clear(&self) {
        self.set(0);
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// Begins to listen.
pub(crate) fn listen(
    directory: &InstanceDir,
    postbox: Postbox,
    attachment: Attachment,
    notices: Notices,
) -> io::Result<()> {
    let mut listener = IkeListener::bind(directory)?;
    let connections = Arc::new(AtomicUsize::new(0));
    let body = move || {
        let mut claimed = 0;
        loop {
            claim(&mut listener, &attachment, &mut claimed);
            match listener.accept() {
                Ok(Some(connection)) => begin(connection, &connections, postbox.clone()),
                Ok(None) => {}
                Err(error) => {
                    notices.error(&format!("tollgate-ctl cannot be listened for any more: {error}"));
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("tools".into()).spawn(body).map(drop)
}

/// Sees that the socket is there, and the daemon's own since the attachment that there is.
fn claim(listener: &mut IkeListener, attachment: &Attachment, claimed: &mut u64) {
    let number = attachment.0.load(Ordering::Relaxed);
    // Without a directory there is no primary: later.
    if number != 0 && (number != *claimed || listener.is_gone()) && listener.claim().is_ok() {
        *claimed = number;
    }
}

fn begin(connection: IkeConnection, connections: &Arc<AtomicUsize>, postbox: Postbox) {
    if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
        connections.fetch_sub(1, Ordering::Relaxed);
        let sentence = format!("{CONNECTIONS} tools ask tollgate-ikev2d already: end one, or try again");
        return connection.refuse(ControlError::new(ErrorCode::LimitReached, sentence));
    }
    let ended = Arc::clone(connections);
    let body = move || {
        serve(connection, &postbox);
        ended.fetch_sub(1, Ordering::Relaxed);
    };
    if thread::Builder::new().name("tool".into()).spawn(body).is_err() {
        connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(mut connection: IkeConnection, postbox: &Postbox) {
    let peer = connection.peer();
    while let Some((id, request)) = connection.receive() {
        let (replies, answered) = sync_channel(1);
        let asked = postbox.put(Mail::Request {
            request,
            peer,
            replies,
        });
        let answers = if asked {
            answered.recv_timeout(PATIENCE).ok()
        } else {
            None
        };
        let answers = answers.unwrap_or_else(|| {
            let sentence = "the daemon is busy or ends: try again";
            vec![Err(ControlError::new(ErrorCode::NoAnswer, sentence))]
        });
        if !connection.reply(id, answers) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use control::ike::{IkeClient, IkeRequest};
    use control::instance::RunDir;

    use super::*;
    use crate::mail::mailbox;

    fn directory(place: &tempfile::TempDir) -> InstanceDir {
        let directory = RunDir::new(place.path()).instance(&"blue".parse().unwrap());
        std::fs::create_dir_all(directory.events()).unwrap();
        directory
    }

    #[test]
    fn one_tool_more_than_may_ask_is_told_so() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let (postbox, _mailbox) = mailbox();
        let notices = Notices {
            json: false,
            quiet: true,
        };
        listen(&directory, postbox, Attachment::default(), notices).unwrap();
        let connect = || IkeClient::connect(&directory).unwrap();
        let _all: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
        let refused = connect().call(IkeRequest::Profiles).unwrap_err();
        assert_eq!(refused.code, ErrorCode::LimitReached);
        assert!(refused.message.contains("16 tools ask"), "{refused}");
    }

    #[test]
    fn of_two_daemons_the_one_that_has_attached_has_the_socket() {
        let place = tempfile::tempdir().unwrap();
        let directory = directory(&place);
        let mut first = (IkeListener::bind(&directory).unwrap(), Attachment::default(), 0);
        let mut second = (IkeListener::bind(&directory).unwrap(), Attachment::default(), 0);
        let at_first = first.1.clone();
        // Which of both is asked.
        let mut turn = || {
            for (listener, attachment, claimed) in [&mut first, &mut second] {
                claim(listener, attachment, claimed);
            }
            let _client = IkeClient::connect(&directory);
            [&first, &second].map(|(listener, ..)| listener.accept().unwrap().is_some())
        };
        // Without a primary it is left where it is.
        assert_eq!(turn(), [false, true]);
        at_first.set(1);
        assert_eq!(turn(), [true, false]);
        // Another makes the directory anew, and the second waits still.
        std::fs::remove_dir_all(directory.path()).unwrap();
        assert_eq!(turn(), [false, false]);
        std::fs::create_dir_all(directory.events()).unwrap();
        assert_eq!(turn(), [true, false]);
        at_first.clear();
        std::fs::remove_file(directory.events().join("ikev2d.sock")).unwrap();
        assert_eq!(turn(), [false, false]);
    }
}

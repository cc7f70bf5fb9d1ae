//! Tools that ask: a thread that accepts, and one for each that is connected.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use control::ike::{IkeConnection, IkeListener};
use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode};

use crate::mail::{Mail, Postbox};
use crate::notice::Notices;

/// Tools at a time. One more is hung up on.
const CONNECTIONS: usize = 16;
/// How long the daemon may take: it may be busy with thousands of peers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Begins to listen.
pub(crate) fn listen(directory: &InstanceDir, postbox: Postbox, notices: Notices) -> io::Result<()> {
    let mut listener = IkeListener::bind(directory)?;
    let connections = Arc::new(AtomicUsize::new(0));
    let body = move || {
        loop {
            match listener.accept() {
                Ok(Some(connection)) => begin(connection, &connections, postbox.clone()),
                Ok(None) => {}
                Err(error) => {
                    notices.say(&format!("tollgate-ctl cannot be listened for any more: {error}"));
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("tools".into()).spawn(body).map(drop)
}

fn begin(connection: IkeConnection, connections: &Arc<AtomicUsize>, postbox: Postbox) {
    if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
        connections.fetch_sub(1, Ordering::Relaxed);
        return;
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

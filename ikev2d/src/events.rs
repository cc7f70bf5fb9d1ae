//! What the primary tells of SAs, on a thread of its own.

use std::thread;

use control::event::Subscription;
use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode, Reply, Request};
use control::punt::Punts;

use crate::mail::{Mail, Postbox};

/// Subscribes by the connection of an attachment. `number` tells this subscription from others.
pub(crate) fn subscribe(
    directory: &InstanceDir,
    punts: &mut Punts,
    postbox: Postbox,
    number: u64,
) -> Result<(), ControlError> {
    let failed = |error: std::io::Error| {
        ControlError::new(
            ErrorCode::Failed,
            format!(
                "the events of '{}' cannot be listened to: {error}",
                directory.name()
            ),
        )
    };
    let subscription = Subscription::new(directory).map_err(failed)?;
    let server = subscription.server().to_owned();
    match punts.call(Request::Subscribe { server })? {
        Reply::Done => {}
        other => {
            let sentence =
                format!("the primary answered another question ({other:?}): use tools of its build");
            return Err(ControlError::new(ErrorCode::VersionMismatch, sentence));
        }
    }
    let (receiver, _subscribed) = subscription.accept().map_err(failed)?;
    let body = move || {
        while let Ok(event) = receiver.recv() {
            if !postbox.put(Mail::Event(event)) {
                return;
            }
        }
        postbox.put(Mail::EventsEnded(number));
    };
    thread::Builder::new()
        .name("events".into())
        .spawn(body)
        .map(drop)
        .map_err(failed)
}

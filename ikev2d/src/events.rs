//! What the primary tells of SAs, on a thread of its own.

use std::thread;

use control::event::{Event, Subscription};
use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode, Reply, Request, SaChangeKind};
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
            if concerns(&event) && !postbox.put(Mail::Event(event)) {
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

/// Whether the daemon has anything to do because of it. That SAs were installed it knows best, and it is not woken for what it knows.
fn concerns(event: &Event) -> bool {
    match event {
        Event::Sas { changes } => changes
            .iter()
            .any(|change| !matches!(change.change, SaChangeKind::Added | SaChangeKind::Replaced)),
        Event::SaMoved { .. } | Event::Acquire { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use control::message::SaChange;

    use super::*;

    #[test]
    fn nobody_is_woken_for_sas_that_were_installed() {
        let sas = |kinds: &[SaChangeKind]| Event::Sas {
            changes: kinds
                .iter()
                .map(|change| SaChange {
                    spi: 300,
                    direction: control::message::SaDirection::In,
                    destination: [192, 0, 2, 1].into(),
                    tunnel: None,
                    change: *change,
                })
                .collect(),
        };
        assert!(!concerns(&sas(&[SaChangeKind::Added, SaChangeKind::Replaced])));
        assert!(concerns(&sas(&[SaChangeKind::Added, SaChangeKind::Deleted])));
        let tunnels = vec!["ipsec0".to_owned()];
        assert!(concerns(&Event::Acquire { tunnels }));
        let instance = "blue".to_owned();
        assert!(!concerns(&Event::Subscribed { instance }));
    }
}

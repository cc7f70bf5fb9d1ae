//! Events reach those who listen, in a process of its own: a subscription sets where the process keeps temporary files.

use control::event::{Event, SubscribeError, Subscribers, Subscription};
use control::instance::RunDir;

#[test]
fn subscribers_hear_and_a_stopped_one_holds_nobody_up() {
    let place = tempfile::tempdir().unwrap();
    let directory = RunDir::new(place.path()).instance(&"blue".parse().unwrap());
    std::fs::create_dir_all(directory.events()).unwrap();
    let mut subscribers = Subscribers::default();

    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let refused = subscribers.add(&directory, elsewhere.path().display().to_string());
    assert!(matches!(refused, Err(SubscribeError::Elsewhere { .. })));

    let listening = Subscription::new(&directory).unwrap();
    let stopped = Subscription::new(&directory).unwrap();
    subscribers
        .add(&directory, listening.server().to_owned())
        .unwrap();
    subscribers.add(&directory, stopped.server().to_owned()).unwrap();
    let (receiver, first) = listening.accept().unwrap();
    assert_eq!(
        first,
        Event::Subscribed {
            instance: "blue".into()
        }
    );
    // The second one never reads: a socket's worth of events later it is gone, and this loop ended.
    for round in 0..100_000 {
        let event = Event::Link {
            interface: format!("port-{round}"),
            admin_up: true,
            link_up: true,
        };
        subscribers.tell(&event);
        assert_eq!(receiver.recv().unwrap(), event);
        if subscribers.count() == 1 {
            return;
        }
    }
    panic!("the stopped subscriber was never cut off");
}

//! A packet through the stages of the primary, and again as one that has been through them.

use primary::path::punt::PuntMode;

use crate::gateway::topology::INGRESSES;
use crate::gateway::{Gateway, packets};

/// A byte for the interface and for what tools decide about, then a frame.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |ingress: u16, head: u8| {
        let frames = packets::frames(ingress).into_iter();
        frames.map(move |frame| [&[head][..], &frame].concat())
    };
    with(0, 0).chain(with(1, 3)).collect()
}

/// Panics where a packet fares as it may not.
pub fn body(bytes: &[u8]) {
    thread_local!(static GATEWAY: Gateway = Gateway::new().unwrap_or_else(|error| panic!("{error}")));
    let Some((head, frame)) = bytes.split_first() else {
        return;
    };
    let ingress = INGRESSES[usize::from(head & 1)];
    let punts = match head >> 1 & 3 {
        0 | 1 => PuntMode::Off,
        2 => PuntMode::Tool,
        _ => PuntMode::Closed,
    };
    GATEWAY.with(|gateway| {
        let original = [frame.to_vec()];
        gateway.run(ingress, punts, &mut original.clone(), &original, |_| ());
        gateway.run_again(ingress, frame);
    });
}

//! A tool of the test's own: what is asked of it, and what it answers.

use std::time::{Duration, Instant};

use control::instance::RunDir;
use control::message::{PuntClass, PuntRequest};
use control::punt::{Answer, Punts};
use tests::Primary;

/// Decides about router alerts, or watches them.
pub(crate) fn attach(primary: &Primary, observe: bool) -> Punts {
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    let request = PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe,
        rules: None,
    };
    Punts::start(&directory, "test", request).unwrap()
}

/// Takes packets until `over` says so, with interface and frame each, and answers as `decide` says.
pub(crate) fn serve(
    punts: &mut Punts,
    mut over: impl FnMut() -> bool,
    mut decide: impl FnMut(u16, &[u8]) -> Answer<'static>,
) {
    while !over() {
        take(punts, Duration::from_millis(20), &mut decide);
    }
}

/// Takes packets until `count` have come; fails after `limit`.
pub(crate) fn serve_some(
    punts: &mut Punts,
    count: usize,
    limit: Duration,
    mut decide: impl FnMut(u16, &[u8]) -> Answer<'static>,
) {
    let (begin, mut taken) = (Instant::now(), 0);
    while taken < count {
        assert!(begin.elapsed() < limit, "{taken} of {count} packets came");
        taken += take(punts, Duration::from_millis(20), &mut decide);
    }
}

/// Takes what comes within `patience`.
pub(crate) fn take(
    punts: &mut Punts,
    patience: Duration,
    decide: &mut dyn FnMut(u16, &[u8]) -> Answer<'static>,
) -> usize {
    let mut taken = Vec::new();
    punts
        .receive(patience, &mut |punted, packet| {
            taken.push((punted, packet.interface, packet.data.to_vec()));
        })
        .unwrap();
    let count = taken.len();
    for (punted, interface, frame) in taken {
        let answer = decide(interface, &frame);
        punts.answer(punted, answer);
        punts.flush();
    }
    count
}

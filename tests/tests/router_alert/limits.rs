//! How many router alerts go to a tool.

use std::fs;
use std::time::{Duration, Instant};

use control::punt::Answer;

use crate::numbers;
use crate::tool::{attach, serve, serve_some, take};
use crate::{LIMIT, Stage, is_far6, packet6};

const MUCH: &str = "rate = 1000000\nburst = 100000\n";

#[test]
fn req_ra_31_what_is_too_much_goes_on_and_is_dropped_once_the_configuration_says_so() {
    const RATE: usize = 200;
    let limits = format!("[router_alert]\nsource_rate = {RATE}\nsource_burst = 100\n");
    let mut stage = Stage::set_with("closed", &format!("{MUCH}{limits}"));
    let mut punts = attach(&stage.primary, false);
    // The next hop is known from here on.
    stage.send(&packet6());
    serve_some(&mut punts, 1, LIMIT, |_, _| Answer::Forward);
    stage.arrives(is_far6);
    let (seconds, count) = (5, 5 * 1000);
    let mut asked_of = |excess: &str| {
        let receiver = numbers::receive(&stage.hosts.host_b);
        let begin = Instant::now();
        let mut sender = numbers::send(&stage.hosts, count, count / seconds);
        let mut asked = 0;
        serve(
            &mut punts,
            || sender.ended().is_some(),
            |_, _| {
                asked += 1;
                Answer::Forward
            },
        );
        // Before Python has begun, nothing comes.
        let took = begin.elapsed().as_secs_f64();
        while take(&mut punts, Duration::from_millis(50), &mut |_, _| Answer::Forward) > 0 {}
        let most = RATE as f64 * took * 1.05 + 100.0;
        let least = RATE as f64 * seconds as f64 * 0.95;
        assert!(
            (least..=most).contains(&f64::from(asked)),
            "{excess}: asked about {asked} in {took} seconds"
        );
        numbers::sent(sender);
        (asked as usize, numbers::received(receiver))
    };
    let (_, received) = asked_of("forward");
    numbers::assert_whole(&stage.primary, received, count);
    let path = stage.primary.config_path();
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("[router_alert]\n", "[router_alert]\nexcess = \"drop\"\n");
    fs::write(&path, text).unwrap();
    stage
        .primary
        .ctl(&["config", "apply", path.to_str().unwrap()])
        .unwrap()
        .success()
        .unwrap();
    let (asked, received) = asked_of("drop");
    assert_eq!(received, [asked, 0, 0], "packets, twice, out of order");
    let counters = stage.primary.counters_at_rest().unwrap();
    let policed = counters.dropped("punt_policed") as usize;
    assert!(
        (count / 2..=count - asked).contains(&policed),
        "{policed} policed, {asked} asked about"
    );
    counters.assert_balanced();
    let shown = stage.primary.ctl(&["config", "show"]).unwrap().success().unwrap();
    for line in ["excess = \"drop\"", "source_rate = 200", "source_burst = 100"] {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
}

#[test]
fn req_ra_31_a_flood_by_one_interface_takes_nothing_from_another() {
    let limits = "rate = 400\nburst = 100\n[router_alert]\ninterface_rate = 200\ninterface_burst = 20\n";
    let mut stage = Stage::set_with("open", limits);
    stage.send(&packet6());
    stage.arrives(is_far6);
    let mut punts = attach(&stage.primary, false);
    let receivers = [&stage.hosts.host_b, &stage.hosts.host_a].map(numbers::receive);
    let (flood, other) = (15_000, 300);
    let mut senders = [
        numbers::send(&stage.hosts, flood, 3000),
        numbers::send_back(&stage.hosts, other, 60),
    ];
    let mut asked = [0; 2];
    let begin = Instant::now();
    let mut ended = None;
    serve(
        &mut punts,
        || {
            if ended.is_none() && senders.iter_mut().all(|sender| sender.ended().is_some()) {
                ended = Some(Instant::now());
            }
            assert!(begin.elapsed() < LIMIT, "it takes too long");
            ended.is_some_and(|at| at.elapsed() > Duration::from_millis(200))
        },
        |interface, _| {
            asked[usize::from(interface)] += 1;
            Answer::Forward
        },
    );
    assert_eq!(asked[1], other, "none of the other interface is too many");
    assert!(asked[0] < flood / 4, "{asked:?}");
    let received = receivers.map(numbers::received);
    numbers::assert_whole(&stage.primary, received[0], flood);
    numbers::assert_whole(&stage.primary, received[1], other);
}

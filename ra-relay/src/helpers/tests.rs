use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use ra_helper::{Family, Helper as Client};
use tempfile::TempDir;

use super::*;
use crate::config::Transport;

const SECOND: Duration = Duration::from_secs(1);
/// Long after what should come has come.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(name: &str, transport: Transport, timeout: Duration, queue: u16) -> HelperConfig {
    HelperConfig {
        name: name.to_owned(),
        transport,
        timeout: Some(timeout),
        queue,
    }
}

fn exec(script: &str) -> Transport {
    Transport::Exec {
        words: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        user: None,
    }
}

/// Helpers, and what came of asking them.
struct Stage {
    helpers: Helpers<u64>,
    notices: Vec<String>,
    settled: Vec<(u64, Result<Decision, Undecided>)>,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self {
            helpers: Helpers::new(|| {}),
            notices: Vec::new(),
            settled: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("policy.sock")
    }

    fn set(&mut self, configs: Vec<HelperConfig>) {
        let prepared = self.helpers.prepare(&configs).unwrap();
        self.helpers.set(configs, prepared, 10 * SECOND);
    }

    /// Has one helper, `policy`, which connects to the socket that this gives.
    fn policy(&mut self, timeout: Duration, queue: u16) -> PathBuf {
        let path = self.socket();
        let transport = Transport::Socket(path.clone());
        self.set(vec![config("policy", transport, timeout, queue)]);
        path
    }

    /// About a packet that is a flow by itself.
    fn ask(&mut self, name: &str, number: u64) -> Result<(), u64> {
        self.ask_of(name, number, number)
    }

    fn ask_of(&mut self, name: &str, flow: Flow, number: u64) -> Result<(), u64> {
        let key = self.helpers.key(name);
        let question = |id, number: &u64| {
            let packet = number.to_be_bytes();
            let (interface, rule) = ("lan", "demo");
            ra_helper::frame::Question {
                id,
                time_ns: 0,
                value: 5,
                family: Family::Six,
                interface,
                rule,
                packet: &packet,
            }
            .encode()
        };
        let asked = self.helpers.ask(key, flow, Instant::now(), number, question);
        self.helpers.flush();
        asked
    }

    fn look(&mut self) {
        let (notices, settled) = (&mut self.notices, &mut self.settled);
        self.helpers.settle(Instant::now(), &mut |outcome| match outcome {
            Outcome::Notice(sentence) => notices.push(sentence),
            Outcome::Settled(number, decided) => settled.push((number, decided)),
        });
    }

    fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(
                began.elapsed() < PATIENCE,
                "{what}: {:?} {:?}",
                self.notices,
                self.settled
            );
            thread::sleep(Duration::from_millis(1));
            self.look();
        }
    }

    fn said(&self, part: &str) -> usize {
        self.notices
            .iter()
            .filter(|sentence| sentence.contains(part))
            .count()
    }

    fn counts(&self) -> HelperCounts {
        self.helpers.counts().next().unwrap().1
    }
}

/// A helper in a thread, which answers as `decide` says until it gives `None`.
fn client(path: &Path, decide: impl Fn(u64) -> Option<Decision> + Send + 'static) -> thread::JoinHandle<()> {
    let mut client = Client::connect(path).unwrap();
    thread::spawn(move || {
        while let Some(Ok(packet)) = client.next() {
            let number = u64::from_be_bytes(packet.data[..8].try_into().unwrap());
            let Some(decision) = decide(number) else {
                return;
            };
            let verdict = match &decision {
                Decision::Forward => Verdict::Forward,
                Decision::Changed(packet) => Verdict::Changed(packet),
                Decision::Drop => Verdict::Drop,
                Decision::Prohibit => Verdict::Prohibited,
                Decision::Hold(time) => Verdict::Hold(time.as_millis() as u32),
            };
            if client.answer(packet.id, verdict).is_err() {
                return;
            }
        }
    })
}

#[test]
fn req_ra_36_what_a_helper_is_not_asked_about_stays_behind_those_of_its_flow() {
    let mut stage = Stage::new();
    let path = stage.policy(PATIENCE, 2);
    let (go, wait) = mpsc::channel::<()>();
    let helper = client(&path, move |_| wait.recv().ok().map(|()| Decision::Forward));
    stage.wait_until("the helper", |stage| stage.said("is there") == 1);
    let flow = 1000;
    assert_eq!(stage.ask_of("policy", flow, 1), Ok(()));
    assert_eq!(stage.ask_of("policy", flow, 2), Ok(()));
    assert_eq!(
        stage.ask_of("policy", flow, 3),
        Ok(()),
        "behind the two that it has"
    );
    assert_eq!(
        stage.ask("policy", 4),
        Err(4),
        "it is before nobody of its own flow"
    );
    go.send(()).unwrap();
    stage.wait_until("the first answer", |stage| stage.settled.len() == 1);
    assert_eq!(
        stage.ask_of("policy", flow, 5),
        Ok(()),
        "there is room, but one is behind already"
    );
    assert_eq!(
        stage.ask("policy", 6),
        Ok(()),
        "of another flow, it is asked about"
    );
    go.send(()).unwrap();
    go.send(()).unwrap();
    stage.wait_until("all", |stage| stage.settled.len() == 5);
    let forward = || Ok(Decision::Forward);
    let gone_by = || Err(Undecided::Dropped);
    assert_eq!(
        stage.settled,
        [
            (1, forward()),
            (2, forward()),
            (3, gone_by()),
            (5, gone_by()),
            (6, forward())
        ]
    );
    let HelperCounts { asked, dropped, .. } = stage.counts();
    assert_eq!((asked, dropped), (3, 3));
    drop(go);
    stage.set(Vec::new());
    helper.join().unwrap();
}

#[test]
fn req_ra_38_a_helper_that_connects_decides() {
    let mut stage = Stage::new();
    let path = stage.policy(PATIENCE, 16);
    assert_eq!(stage.ask("policy", 0), Err(0), "nobody is connected");
    assert_eq!(stage.ask("other", 0), Err(0), "there is none");
    let decisions = || {
        [
            Decision::Forward,
            Decision::Changed(vec![7; 65_535]),
            Decision::Drop,
            Decision::Prohibit,
            Decision::Hold(Duration::from_millis(9)),
        ]
    };
    let helper = client(&path, move |number| Some(decisions()[number as usize].clone()));
    stage.wait_until("it connects", |stage| stage.said("is there") == 1);
    for number in 0..5 {
        assert_eq!(stage.ask("policy", number), Ok(()));
    }
    stage.wait_until("its answers", |stage| stage.settled.len() == 5);
    let expected: Vec<_> = (0..5).zip(decisions().map(Ok)).collect();
    assert_eq!(stage.settled, expected);
    let counts = stage.counts();
    assert_eq!((counts.asked, counts.answered, counts.dropped), (5, 5, 1));
    drop(stage);
    helper.join().unwrap();
    assert!(!path.exists(), "the socket goes with its relay");
}

#[test]
fn req_ra_38_a_helper_that_does_not_answer_is_late_and_its_queue_is_bounded() {
    let mut stage = Stage::new();
    let path = stage.policy(SECOND / 5, 8);
    let silent = Client::connect(&path).unwrap();
    stage.wait_until("it connects", |stage| stage.said("is there") == 1);
    let began = Instant::now();
    let taken = (0..20).filter(|number| stage.ask("policy", *number).is_ok());
    assert_eq!(taken.collect::<Vec<_>>().len(), 8);
    let wait = stage.helpers.next_deadline().unwrap().duration_since(began);
    assert!(wait <= SECOND / 5 + Duration::from_millis(100), "{wait:?}");
    stage.wait_until("the deadline", |stage| stage.settled.len() == 8);
    assert!(began.elapsed() >= SECOND / 5);
    for (place, (number, decided)) in stage.settled.iter().enumerate() {
        assert_eq!((place as u64, &Err(Undecided::Late)), (*number, decided));
    }
    assert_eq!((stage.counts().late, stage.counts().dropped), (8, 12));
    assert_eq!(stage.helpers.next_deadline(), None);
    assert_eq!(stage.ask("policy", 20), Ok(()), "there is room again");
    drop(silent);
}

#[test]
fn req_ra_38_what_a_helper_has_when_it_goes_is_given_up_at_once() {
    let mut stage = Stage::new();
    let path = stage.policy(PATIENCE * 2, 16);
    let silent = Client::connect(&path).unwrap();
    stage.wait_until("it connects", |stage| stage.said("is there") == 1);
    for number in 0..5 {
        stage.ask("policy", number).unwrap();
    }
    drop(silent);
    stage.wait_until("its end", |stage| stage.settled.len() == 5);
    let dropped: Vec<_> = (0..5).map(|number| (number, Err(Undecided::Dropped))).collect();
    assert_eq!(stage.settled, dropped);
    assert_eq!(stage.said("it hung up; another may connect"), 1);
    assert_eq!(stage.ask("policy", 5), Err(5));
    // Another takes its place, and answers to what the one before was asked do not count.
    let helper = client(&path, |_| Some(Decision::Drop));
    stage.wait_until("another", |stage| stage.said("is there") == 2);
    stage.ask("policy", 6).unwrap();
    stage.wait_until("its answer", |stage| {
        stage.settled.last() == Some(&(6, Ok(Decision::Drop)))
    });
    assert_eq!(stage.counts().ended, 1);
    drop(stage);
    helper.join().unwrap();
}

#[test]
fn req_ra_38_a_slow_helper_decides_about_as_many_packets_as_it_can() {
    let mut stage = Stage::new();
    let path = stage.policy(SECOND / 10, 256);
    let helper = client(&path, |_| {
        thread::sleep(Duration::from_millis(10));
        Some(Decision::Forward)
    });
    stage.wait_until("it connects", |stage| stage.said("is there") == 1);
    // Ten times as many as it can, for two seconds; all of those that a pipe holds would be too late for it.
    for number in 0..2000 {
        let _ = stage.ask("policy", number);
        thread::sleep(Duration::from_millis(1));
        stage.look();
    }
    let answered = stage.counts().answered;
    println!("{:?}", stage.counts());
    assert!(answered >= 40, "{:?}", stage.counts());
    stage.wait_until("the rest", |stage| stage.helpers.waiting.is_empty());
    let counts = stage.counts();
    assert_eq!(counts.asked, counts.answered + counts.late);
    assert_eq!(counts.asked + counts.dropped, 2000);
    drop(stage);
    helper.join().unwrap();
}

#[test]
fn req_ra_38_garbage_ends_a_helper_which_is_started_again() {
    for (script, why) in [
        (
            "echo hello, world",
            "it was cut off, since it sent a message of version 104",
        ),
        // Questions are no answers.
        ("exec cat", "it was cut off, since it sent a message of kind 1"),
        (
            "printf '\\1\\2\\0\\0\\0\\0\\0\\30\\0\\0\\0\\0\\0\\0\\0\\7\\1\\0\\0\\0\\0\\0\\0\\0'; exec sleep 60",
            "it answered question 7, which was not asked",
        ),
        ("exit 3", "it ended, exit status: 3; it is started again in"),
        ("kill -9 $$", "it ended, signal: 9"),
    ] {
        let mut stage = Stage::new();
        stage.set(vec![config("policy", exec(script), PATIENCE, 16)]);
        let began = Instant::now();
        while stage.said(why) < 2 {
            let _ = stage.ask("policy", 0);
            thread::sleep(Duration::from_millis(5));
            stage.look();
            assert!(began.elapsed() < PATIENCE, "{why}: {:?}", stage.notices);
        }
        assert!(
            stage.said("is there: /bin/sh, process") >= 2,
            "{:?}",
            stage.notices
        );
        let decided = |(_, decided): &(u64, _)| *decided != Err(Undecided::Dropped);
        assert!(!stage.settled.iter().any(decided), "{:?}", stage.settled);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_tried_again_and_does_not_hold_the_end_up() {
    let mut stage = Stage::new();
    let transport = Transport::Exec {
        words: vec!["/nonexistent/policy".to_owned()],
        user: None,
    };
    stage.set(vec![config("policy", transport, PATIENCE, 16)]);
    stage.wait_until("two attempts", |stage| {
        stage.said("cannot start /nonexistent/policy") == 2
    });
    let began = Instant::now();
    drop(stage);
    assert!(began.elapsed() < 5 * SECOND);
}

#[test]
fn a_helper_that_stays_in_the_configuration_is_not_disturbed_and_others_go() {
    let mut stage = Stage::new();
    let path = stage.socket();
    let stays = || config("stays", Transport::Socket(path.clone()), PATIENCE, 16);
    stage.set(vec![stays(), config("goes", exec("exec sleep 60"), PATIENCE, 16)]);
    let helper = client(&path, |_| Some(Decision::Forward));
    stage.wait_until("both", |stage| stage.said("is there") == 2);
    stage.ask("goes", 1).unwrap();
    let key = stage.helpers.key("stays");
    stage.set(vec![
        config("comes", exec("exec sleep 60"), PATIENCE, 16),
        stays(),
    ]);
    assert_eq!(stage.helpers.key("stays"), key);
    assert_eq!(stage.helpers.key("goes"), None);
    stage.wait_until("what the one that goes had", |stage| {
        stage.settled == [(1, Err(Undecided::Dropped))]
    });
    stage.ask("stays", 2).unwrap();
    stage.wait_until("its answer", |stage| {
        stage.settled.last() == Some(&(2, Ok(Decision::Forward)))
    });
    stage.wait_until("the one that comes", |stage| stage.said("'comes' is there") == 1);
    stage.set(Vec::new());
    helper.join().unwrap();
}

#[test]
fn a_dead_relays_socket_is_replaced_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.sock");
    let socket = listener::Socket::bind(&path).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let refused = listener::Socket::bind(&path).map(drop).unwrap_err();
    assert!(matches!(refused, SocketError::InUse(_)), "{refused}");
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    drop(socket);
    std::fs::rename(folder.path().join("moved"), &path).unwrap();
    drop(listener::Socket::bind(&path).unwrap());
    std::fs::write(&path, "mine").unwrap();
    let refused = listener::Socket::bind(&path).map(drop).unwrap_err();
    assert!(matches!(refused, SocketError::Taken(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

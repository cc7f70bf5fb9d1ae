//! Ten instances that start, end and die in any order.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use tests::{HostState, Namespace, Pings, Primary, Privilege, Random, RunId, wait_until};

use crate::{
    LIMIT,
    site::{SMALL, SMALL_MB, Site, settle},
};

const INSTANCES: usize = 10;

fn rounds() -> usize {
    let soak = std::env::var_os("TOLLGATE_SOAK").is_some();
    if soak { 20 } else { 2 }
}

/// A place for an instance, which is there or not.
struct Seat {
    // Before the namespaces: it has to end first.
    primary: Option<Primary>,
    site: Site,
    gateway: Namespace,
}

impl Seat {
    fn new() -> Self {
        let gateway = Namespace::create(Privilege::detect(), "gateway").unwrap();
        Self {
            primary: None,
            site: Site::new(&gateway, ["a0", "b0"]),
            gateway,
        }
    }

    fn start(&mut self, run_dir: &Path) {
        let builder = self.site.primary(&self.gateway, "gw").toml(SMALL);
        let primary = builder.memory_mb(SMALL_MB).run_dir(run_dir).start();
        self.primary = Some(primary.unwrap());
    }

    /// Pings through the instance, by IPv4 at once, or by both families once its addresses are in use.
    fn assert_forwards(&self, both: bool) {
        let words = ["-c", "2", "-i", "0.01", "-W", "5"];
        if both {
            settle(self.primary.as_ref().unwrap());
        }
        for pinger in self.site.pingers(&words).into_iter().take(1 + usize::from(both)) {
            let pings: Pings = pinger.finish(LIMIT).unwrap();
            pings.assert_all_answered();
        }
    }
}

/// Hugepages that nobody has.
fn free_hugepages() -> u64 {
    let text = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.unwrap().trim().parse().unwrap()
}

/// Whether another run of tests uses the host now.
fn is_shared() -> bool {
    let run = RunId::current();
    let folders = ["/run/netns", "/dev/hugepages", "/dev/shm"];
    let names = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    names
        .map(|entry| entry.path().display().to_string())
        .any(|path| run.is_of_another_live_run(&path))
}

fn left_behind(before: &HostState) -> BTreeSet<String> {
    let differences = before.differences(&HostState::take(), &RunId::current());
    differences.into_iter().collect()
}

/// What there is of an instance: files anywhere, and its folder in the run directory.
fn remains(before: &HostState, run_dir: &Path, instance: &str) -> Vec<String> {
    let files = left_behind(before);
    let mut remains: Vec<_> = files.into_iter().filter(|line| line.contains(instance)).collect();
    let folder = run_dir.join(instance);
    remains.extend(folder.exists().then(|| folder.display().to_string()));
    remains
}

/// Ends an instance, gently or not, and asserts that nothing is left of it.
fn stop(seat: &mut Seat, before: &HostState, run_dir: &Path, kill: bool) {
    let mut primary = seat.primary.take().unwrap();
    let instance = primary.instance().to_owned();
    let there = remains(before, run_dir, &instance);
    assert!(there.len() >= 3, "a running instance has files: {there:?}");
    if kill {
        primary.kill();
        assert_ne!(remains(before, run_dir, &instance), Vec::<String>::new());
        let cleaned = primary.hugepage_setup(&["clean"]).unwrap().success().unwrap();
        assert!(cleaned.stdout.contains(&instance), "{}", cleaned.stdout);
    } else {
        let status = primary.terminate().unwrap();
        assert!(status.success(), "{status}: {}", primary.process().stderr());
    }
    assert_eq!(remains(before, run_dir, &instance), Vec::<String>::new());
}

#[test]
fn ten_instances_that_come_and_go_in_any_order_leave_nothing() {
    let mut random = Random::printed("ten instances");
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let mut seats: Vec<_> = (0..INSTANCES).map(|_| Seat::new()).collect();
    let (before, pages, shared) = (HostState::take(), free_hugepages(), is_shared());
    for round in 0..rounds() {
        let began = Instant::now();
        // Each twice: it starts the first time and ends the second.
        let mut turns: Vec<_> = (0..INSTANCES).chain(0..INSTANCES).collect();
        if round % 2 == 0 {
            // All ten at a time.
            let (starts, ends) = turns.split_at_mut(INSTANCES);
            random.shuffle(starts);
            random.shuffle(ends);
        } else {
            random.shuffle(&mut turns);
        }
        let (mut killed, mut most) = (0, 0);
        for turn in turns {
            let seat = &mut seats[turn];
            if seat.primary.is_none() {
                seat.start(&run_dir);
                seat.assert_forwards(random.once_in(3));
            } else {
                let kill = random.once_in(2);
                stop(seat, &before, &run_dir, kill);
                killed += u32::from(kill);
            }
            let running: Vec<_> = seats.iter().filter(|seat| seat.primary.is_some()).collect();
            most = most.max(running.len());
            // The others do not mind.
            if !running.is_empty() {
                running[random.below(running.len())].assert_forwards(false);
            }
        }
        println!(
            "round {round}: up to {most} at a time, {killed} of {INSTANCES} killed, {:.1} s",
            began.elapsed().as_secs_f32()
        );
        assert_eq!(left_behind(&before), BTreeSet::new(), "round {round}");
        assert!(!run_dir.exists(), "the last one takes the run directory away");
    }
    if shared || is_shared() {
        println!("other tests run on this host: free hugepages are not compared");
    } else {
        wait_until(
            "as many free hugepages as before",
            Duration::from_secs(10),
            || Ok((free_hugepages() == pages).then_some(())),
        )
        .unwrap();
    }
}

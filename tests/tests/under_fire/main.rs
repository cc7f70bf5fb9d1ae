//! One port under fire, and what another one still gets through: at least nine tenths of what it gets through while the first has
//! ordinary packets at the same rate.
//!
//! Ordinary and bad packets take turns, so that whatever else the host does hits both alike, and the medians count. Bad packets
//! of one turn are over before the next ordinary one begins: what they left behind is not held against the ordinary ones.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

mod floods;
mod limits;
mod site;

use std::{fs, time::Duration};

use floods::Flood;
use limits::Usage;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};
use site::{Site, Turn};
use tests::{Process, wait_until};

/// What is left at least of what port a gets through. In a build without optimisations each of the thousand ICMP errors a second that
/// are made costs as much as a thousand of port a's packets, and each packet that a tool is asked about as much as a hundred.
fn least_goodput(flood: Flood) -> f64 {
    match flood {
        _ if !cfg!(debug_assertions) => 0.9,
        Flood::Alerts => 0.6,
        _ => 0.75,
    }
}
/// One packet of port b to so many of port a, when that is alone. On a CPU of 2025 that is 100,000 a second.
const SHARE: f64 = 1.0 / 500.0;
/// Bad packets that arrive at least, to so many ordinary ones, and packets of either kind to so many that were to come.
const ARRIVED: f64 = 0.9;
/// How long next hops that do not answer are waited for, at most.
const SETTLED: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(30);

/// How often each kind of packets has its turn, and for how long.
fn turns(flood: Flood) -> (usize, Duration) {
    if std::env::var_os("TOLLGATE_SOAK").is_some() {
        (15, Duration::from_secs(2))
    } else if flood == Flood::Alerts {
        // The relay may share a core with the worker, and so what the host does with it counts for more.
        (21, Duration::from_millis(300))
    } else {
        (9, Duration::from_millis(150))
    }
}

/// Floods port b and gives what ended everything: nothing may be lost then.
fn fire(flood: Flood) {
    let mut site = Site::start(flood);
    let tool = match flood {
        Flood::Punts => Some(stopped_tool(&site)),
        Flood::Alerts => Some(relay(&site)),
        _ => None,
    };
    let (ordinary, bad) = (floods::ordinary(site.mac), flood.frames(site.mac));
    let (count, time) = turns(flood);
    let rate = (site.alone(time) * SHARE) as u32;
    let before = Usage::now(&mut site);
    let (mut ordinary_turns, mut bad_turns) = (Vec::new(), Vec::new());
    for _ in 0..count {
        ordinary_turns.push(site.turn(&ordinary, rate, time, |_| ()));
        bad_turns.push(site.turn(&bad, rate, time, Site::assert_answers));
        before.assert_bounded(&Usage::now(&mut site), flood);
        assert!(site.resolved(), "{:?}", site.primary.ctl(&["neigh", "show"]));
        settle(&site, flood);
    }
    let goodput = [&ordinary_turns, &bad_turns].map(|turns| median(turns, |turn| turn.goodput));
    let received = [&ordinary_turns, &bad_turns].map(|turns| median(turns, |turn| turn.received));
    let ratio = goodput[1] / goodput[0];
    println!(
        "{flood:?}: {ratio:.3} of {:.2} million a second, at {rate}; {:?}",
        goodput[0] / 1e6,
        site.tables.counters().drops()
    );
    assert!(
        received[1] >= ARRIVED * received[0] && received[1] >= ARRIVED * f64::from(rate),
        "{received:?} of {rate} a second arrived"
    );
    assert!(
        ratio >= least_goodput(flood),
        "{ratio:.3}: {ordinary_turns:?}, {bad_turns:?}"
    );
    if let Some(mut tool) = tool {
        tool.signal(Signal::SIGCONT);
        wait_until("that the tool decides", LIMIT, || {
            Ok((site.waiting() == 0).then_some(()))
        })
        .unwrap();
        if flood == Flood::Alerts {
            // In all turns, and before and after each as well.
            let received: f64 = bad_turns.iter().map(|turn| turn.received).sum();
            assert_relayed(&site, received * time.as_secs_f64());
        }
    }
    before.assert_freed(&Usage::now(&mut site), flood);
    site.end();
}

/// A tool that takes packets and does nothing with them.
fn stopped_tool(site: &Site) -> Process {
    let mut tool = site
        .primary
        .tool("takes packets", "tg-consumer", &[])
        .unwrap()
        .start()
        .unwrap();
    tool.wait_for_stderr("`ready`", LIMIT, |line| line == "ready")
        .unwrap();
    tool.signal(Signal::SIGSTOP);
    tool
}

/// A relay that sends all alerts on, on the CPU that is not the worker's.
fn relay(site: &Site) -> Process {
    let file = site.primary.config_path().with_file_name("ra.toml");
    fs::write(
        &file,
        "[[rule]]\nname = \"all\"\nvalues = \"any\"\nhandler = \"relay\"\n",
    )
    .unwrap();
    let words = ["--quiet", "--config"];
    let relay = site.primary.tool("relays", "tollgate-ra-relay", &words).unwrap();
    let relay = relay.arg(&file).start().unwrap();
    let mut first = CpuSet::new();
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpu = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap());
    first.set(cpu.unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(relay.pid().cast_signed()), &first).unwrap();
    wait_until("that it decides", LIMIT, || {
        Ok(site.router_alerts()["tool"].is_string().then_some(()))
    })
    .unwrap();
    relay
}

/// Panics unless the relay was asked about nearly all alerts, which are `received` at least, and had room for them.
fn assert_relayed(site: &Site, received: f64) {
    let class = site.router_alerts();
    let [seen, lost] = ["seen", "lost"].map(|count| class[count].as_u64().unwrap());
    println!("of {seen} alerts {lost} found no room at the relay");
    assert!(
        seen as f64 >= ARRIVED * received && lost as f64 <= (1.0 - ARRIVED) * seen as f64,
        "{class}, {received} received"
    );
}

/// Waits until nothing waits any more, but for what waits for fragments or a tool: those have no time of their own.
fn settle(site: &Site, flood: Flood) {
    if matches!(flood, Flood::Fragments | Flood::Punts) {
        return;
    }
    wait_until("that nothing waits", SETTLED, || {
        Ok((site.waiting() == 0).then_some(()))
    })
    .unwrap();
}

fn median(turns: &[Turn], of: impl Fn(&Turn) -> f64) -> f64 {
    let mut values: Vec<_> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn arp() {
    fire(Flood::Arp);
}

#[test]
fn neighbor_discovery() {
    fire(Flood::Nd);
}

#[test]
fn packets_whose_ttl_ends() {
    fire(Flood::Expired);
}

#[test]
fn packets_with_options() {
    fire(Flood::Options);
}

#[test]
fn packets_for_hosts_that_are_not_there() {
    fire(Flood::Unresolvable);
}

#[test]
fn fragments_that_are_never_whole() {
    fire(Flood::Fragments);
}

#[test]
fn packets_for_a_tool_that_is_stopped() {
    fire(Flood::Punts);
}

#[test]
fn req_ra_32_alerts_for_a_relay_at_work() {
    fire(Flood::Alerts);
}

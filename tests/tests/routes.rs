//! Routes change while packets flow; routes are explained, loaded in bulk, and read without the primary.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use control::{
    client::Client,
    instance::RunDir,
    message::{Request, Route, RouteTarget},
};
use nix::sys::signal::Signal;
use tests::{Interface, Namespace, Pinger, Primary, PrimaryBuilder, Privilege, RunId, TwoHosts};

const LIMIT: Duration = Duration::from_secs(60);
/// A host behind host-b that pings go to.
const BEHIND_B: &str = "10.9.9.9";
/// Host-b's second address, as another next hop to the same host.
const SECOND_B: &str = "192.168.2.3";
/// The third host: nothing is ever for it.
const ADDRESS_C: &str = "192.168.3.2";

/// [`TwoHosts`], and a third whose link nothing should be sent to.
struct ThreeHosts {
    hosts: TwoHosts,
    host_c: Namespace,
}

impl ThreeHosts {
    fn create() -> Self {
        let hosts = TwoHosts::create(Privilege::detect()).unwrap();
        let host_c = Namespace::create(Privilege::detect(), "host-c").unwrap();
        host_c.connect("eth0", &hosts.gateway, "c0").unwrap();
        host_c.add_address("eth0", &format!("{ADDRESS_C}/24")).unwrap();
        hosts
            .host_b
            .add_address("eth0", &format!("{SECOND_B}/24"))
            .unwrap();
        hosts.host_b.add_address("lo", &format!("{BEHIND_B}/32")).unwrap();
        Self { hosts, host_c }
    }

    fn primary(&self) -> PrimaryBuilder {
        self.hosts
            .primary("gw")
            .interface(Interface::af_packet("c0").address("192.168.3.1/24"))
            .route("10.9.0.0/16", TwoHosts::ADDRESS_B)
    }

    /// IPv4 packets that host-c has received.
    fn strayed(&self) -> u64 {
        let text = self
            .host_c
            .run("reads counters", &["cat", "/proc/net/snmp"])
            .unwrap()
            .stdout;
        let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let mut columns = names.split_whitespace().zip(values.split_whitespace());
        let (_, received) = columns.find(|(name, _)| *name == "InReceives").unwrap();
        received.parse().unwrap()
    }
}

fn client(primary: &Primary) -> Client {
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    Client::connect(&directory, "tests").unwrap()
}

fn route(prefix: &str, via: &str) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        target: RouteTarget::Via(via.parse().unwrap()),
    }
}

#[test]
fn no_ping_is_lost_or_misrouted_while_routes_come_and_go() {
    let seconds = if std::env::var_os("TOLLGATE_SOAK").is_some() {
        30
    } else {
        10
    };
    let three = ThreeHosts::create();
    let primary = three.primary().start().unwrap();
    // The neighbours around are known before: what is lost later is lost to the routes.
    let quick = ["-c", "2", "-i", "0.1"];
    for (host, to) in [
        (&three.hosts.host_a, TwoHosts::ADDRESS_B),
        (&three.hosts.host_a, SECOND_B),
        (&three.host_c, "192.168.3.1"),
    ] {
        assert!(host.ping(to, &quick, LIMIT).unwrap().all_answered(), "{to}");
    }
    let strayed = three.strayed();
    let count = seconds * 500;
    let words = ["-i", "0.002", "-W", "2", "-c", &count.to_string()];
    let pings = Pinger::start(&three.hosts.host_a, BEHIND_B, &words).unwrap();
    // Around the host that is pinged, by way of host-c, and over it, by way of host-b's addresses.
    let around = [
        route("10.9.9.8/32", ADDRESS_C),
        route("10.9.9.9/32", SECOND_B),
        route("10.9.8.0/24", ADDRESS_C),
        route("10.9.9.0/24", TwoHosts::ADDRESS_B),
        route("10.9.9.10/31", ADDRESS_C),
        route("10.9.9.8/29", SECOND_B),
        route("10.9.9.0/29", ADDRESS_C),
        route("10.8.0.0/15", ADDRESS_C),
        route("0.0.0.0/0", ADDRESS_C),
        route("10.9.9.8/31", TwoHosts::ADDRESS_B),
        route("10.9.128.0/17", ADDRESS_C),
        route("10.9.0.0/17", SECOND_B),
    ];
    let mut client = client(&primary);
    let began = Instant::now();
    let rounds = seconds * 20;
    for round in 0..rounds {
        let route = &around[round % around.len()];
        let add = Request::RouteAdd {
            routes: vec![route.clone()],
            replace: false,
        };
        client.call(add).unwrap();
        let half = Duration::from_millis(25);
        thread::sleep((began + half * (2 * round as u32 + 1)).saturating_duration_since(Instant::now()));
        let delete = Request::RouteDelete {
            prefixes: vec![route.prefix],
        };
        client.call(delete).unwrap();
        thread::sleep((began + half * (2 * round as u32 + 2)).saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed().as_secs_f64();
    assert!(
        took < seconds as f64 * 1.2,
        "20 routes per second were not kept up: {rounds} in {took} s"
    );
    let pings = pings.finish(LIMIT).unwrap();
    let counters = primary.counters_at_rest().unwrap();
    assert!(
        pings.all_answered() && pings.sent as usize == count,
        "{pings:?}; {:?}",
        counters.drops()
    );
    assert_eq!(three.strayed() - strayed, 0, "packets went to host-c");
    assert_eq!(counters.drops(), [].into());
}

#[test]
fn a_route_is_followed_from_the_packet_after_its_answer() {
    let three = ThreeHosts::create();
    let primary = three.primary().start().unwrap();
    let one = ["-c", "1", "-W", "1"];
    let ping = || {
        three
            .hosts
            .host_a
            .ping(BEHIND_B, &one, LIMIT)
            .unwrap()
            .all_answered()
    };
    assert!(ping());
    for (words, answered) in [
        (vec!["route", "add", "10.9.9.9/32", "blackhole"], false),
        (
            vec![
                "route",
                "add",
                "10.9.9.9/32",
                "via",
                TwoHosts::ADDRESS_B,
                "--replace",
            ],
            true,
        ),
        (
            vec!["route", "add", "10.9.9.9/32", "via", ADDRESS_C, "--replace"],
            false,
        ),
        (vec!["route", "del", "10.9.9.9/32"], true),
        (vec!["route", "del", "10.9.0.0/16"], false),
        (vec!["route", "add", "default", "via", SECOND_B], true),
    ] {
        primary.ctl(&words).unwrap().success().unwrap();
        assert_eq!(ping(), answered, "after {words:?}");
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("blackhole"), 1);
    assert_eq!(counters.dropped("no_route"), 1);
    assert_eq!(three.strayed(), 1);
}

#[test]
fn route_get_explains_what_becomes_of_a_packet() {
    let three = ThreeHosts::create();
    let primary = three.primary().start().unwrap();
    let add = ["route", "add", "10.3.0.0/16", "blackhole"];
    primary.ctl(&add).unwrap().success().unwrap();
    let pings = three.hosts.host_a.ping(BEHIND_B, &["-c", "1", "-W", "2"], LIMIT);
    assert!(pings.unwrap().all_answered());
    let get = |address: &str| primary.ctl_json(&["route", "get", address]).unwrap()[0].clone();

    let via = get(BEHIND_B);
    assert_eq!(
        (&via["prefix"], &via["kind"], &via["next_hop"], &via["interface"]),
        (
            &"10.9.0.0/16".into(),
            &"via".into(),
            &TwoHosts::ADDRESS_B.into(),
            &"b0".into()
        )
    );
    assert_eq!(via["neighbor_state"], "reachable");
    assert_eq!(via["mac"], three.hosts.host_b.mac("eth0").unwrap());
    assert_eq!(get(TwoHosts::ADDRESS_A)["kind"], "connected");
    assert_eq!(get(TwoHosts::GATEWAY_B)["kind"], "local");
    assert_eq!(get("10.3.1.2")["kind"], "blackhole");
    let none = get("203.0.113.1");
    assert!(none["prefix"].is_null() && none["kind"].is_null(), "{none}");
    for (explained, word) in [(&via, "b0"), (&none, "route")] {
        let outcome = explained["outcome"].as_str().unwrap();
        assert!(outcome.contains(word), "{outcome}");
    }
}

/// 100,000 different prefixes, one in a hundred longer than /24.
fn many_routes() -> String {
    let mut text = String::from("# all by way of host-b\n");
    for number in 0..100_000_u32 {
        let [_, high, middle, low] = number.to_be_bytes();
        let (first, length) = if number % 100 == 0 { (60, 28) } else { (20, 24) };
        let _ = writeln!(
            text,
            "{}.{middle}.{low}.0/{length} via {}",
            first + high,
            TwoHosts::ADDRESS_B
        );
    }
    text
}

/// The middle one of several times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(primary: &Primary, words: &[&str]) -> (Duration, tests::Captured) {
    let began = Instant::now();
    let captured = primary.ctl(words).unwrap();
    (began.elapsed(), captured.success().unwrap())
}

#[test]
fn a_hundred_thousand_routes_are_read_without_the_primary() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let folder = tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .tempdir()
        .unwrap();
    let file = folder.path().join("routes.txt");
    std::fs::write(&file, many_routes()).unwrap();
    let (took, _) = timed(&primary, &["route", "add", "--file", file.to_str().unwrap()]);
    assert!(took < Duration::from_secs(20), "loading took {took:?}");
    let first = primary.ctl_json(&["route", "get", "20.0.1.77"]).unwrap();
    assert_eq!(first[0]["prefix"], "20.0.1.0/24");

    primary.process().signal(Signal::SIGSTOP);
    let (mut times, mut shown) = (Vec::new(), None);
    for _ in 0..3 {
        let (took, captured) = timed(&primary, &["--json", "route", "show"]);
        times.push(took);
        shown = Some(captured);
    }
    primary.process().signal(Signal::SIGCONT);

    let routes = shown.unwrap().json().unwrap();
    let learnt = routes.as_array().unwrap().iter();
    let learnt = learnt.filter(|route| route["protocol"] == "control").count();
    assert_eq!(learnt, 100_000);
    let took = median(times);
    assert!(
        took < Duration::from_millis(500),
        "100,000 routes took {took:?} to show"
    );

    // The table is full: the next one is refused, and the host still answers.
    let words = [
        "--json",
        "route",
        "add",
        "198.51.100.0/24",
        "via",
        TwoHosts::ADDRESS_B,
    ];
    let refused = primary.ctl(&words).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "limit_reached", "{error}");
    let pings = hosts
        .host_a
        .ping(TwoHosts::ADDRESS_B, &["-c", "3", "-i", "0.1", "-W", "2"], LIMIT);
    assert!(pings.unwrap().all_answered());
}

#[test]
fn a_small_question_is_answered_in_under_twenty_milliseconds() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    for words in [["link", "show"], ["log", "show"]] {
        let times = (0..11).map(|_| timed(&primary, &words).0).collect();
        let took = median(times);
        assert!(took < Duration::from_millis(20), "{words:?} took {took:?}");
    }
}

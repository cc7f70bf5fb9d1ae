//! Routes change while packets flow; routes are explained, loaded in bulk, and read without the primary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
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
    message::{Request, Route, RouteTarget, WeightedNextHop},
};
use nix::sys::signal::Signal;
use tests::{
    Family, Interface, Listener, Namespace, NamespaceOptions, Pinger, Primary, PrimaryBuilder, Privilege,
    RunId, TwoHosts, both_families,
};

const LIMIT: Duration = Duration::from_secs(60);
/// [`TwoHosts`], and a third whose link nothing should be sent to.
struct ThreeHosts {
    hosts: TwoHosts,
    host_c: Namespace,
    families: Vec<Family>,
}

/// The addresses of [`ThreeHosts`] besides those of [`TwoHosts`].
#[derive(Clone, Copy)]
struct Addresses {
    /// A host behind host-b that pings go to.
    behind_b: &'static str,
    /// The route to it.
    far: &'static str,
    /// Host-b's second address, as another next hop to the same host.
    second_b: &'static str,
    /// The third host: nothing is ever for it.
    c: &'static str,
    /// The gateway's address towards it.
    gateway_c: &'static str,
}

impl Addresses {
    fn of(family: Family) -> Self {
        family.choose(
            Self {
                behind_b: "10.9.9.9",
                far: "10.9.0.0/16",
                second_b: "192.168.2.3",
                c: "192.168.3.2",
                gateway_c: "192.168.3.1",
            },
            Self {
                behind_b: "2001:db8:9:9::9",
                far: "2001:db8:9::/48",
                second_b: "2001:db8:2::3",
                c: "2001:db8:3::2",
                gateway_c: "2001:db8:3::1",
            },
        )
    }
}

impl ThreeHosts {
    fn create(families: &[Family]) -> Self {
        let hosts = TwoHosts::create_for(Privilege::detect(), families).unwrap();
        let options = NamespaceOptions {
            ipv6: families.contains(&Family::Ip6),
            ..NamespaceOptions::default()
        };
        let host_c = Namespace::create_with(Privilege::detect(), "host-c", options).unwrap();
        host_c.connect("eth0", &hosts.gateway, "c0").unwrap();
        for family in families {
            let addresses = Addresses::of(*family);
            for (host, link, address) in [
                (&host_c, "eth0", family.in_subnet(addresses.c)),
                (&hosts.host_b, "eth0", family.in_subnet(addresses.second_b)),
                (&hosts.host_b, "lo", family.alone(addresses.behind_b)),
            ] {
                host.add_address(link, &address).unwrap();
            }
        }
        Self {
            hosts,
            host_c,
            families: families.to_vec(),
        }
    }

    fn primary(&self) -> PrimaryBuilder {
        let mut interface = Interface::af_packet("c0");
        let mut primary = self.hosts.primary("gw");
        for family in &self.families {
            let addresses = Addresses::of(*family);
            interface = interface.address(&family.in_subnet(addresses.gateway_c));
            primary = primary.route(addresses.far, family.address_b());
        }
        primary.interface(interface)
    }

    /// What comes in at host-c from now on.
    fn stray(&self) -> Listener {
        Listener::start(&self.host_c, "eth0").unwrap()
    }
}

/// How many of the frames hold an echo request.
fn echo_requests(listener: &Listener) -> usize {
    let is_one = |frame: &[u8]| match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&1) && frame.get(34) == Some(&8),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && frame.get(54) == Some(&128),
        _ => false,
    };
    listener.frames().iter().filter(|frame| is_one(frame)).count()
}

fn client(primary: &Primary) -> Client {
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    Client::connect(&directory, "tests").unwrap()
}

fn route(prefix: &str, via: &str) -> Route {
    let target = RouteTarget::Via {
        next_hop: via.parse().unwrap(),
        interface: None,
    };
    Route::new(prefix.parse().unwrap(), target)
}

/// The same with a second next hop.
fn shared(route: &Route, second: &str) -> Route {
    let one = |next_hop, weight| WeightedNextHop {
        next_hop,
        interface: None,
        weight,
    };
    let RouteTarget::Via { next_hop, .. } = route.target else {
        panic!("{route:?} has no next hop to share with");
    };
    let target = RouteTarget::Multipath(vec![one(next_hop, 1), one(second.parse().unwrap(), 2)]);
    Route::new(route.prefix, target)
}

/// Routes around the host behind host-b, by way of host-c, and over it, by way of host-b's addresses; every other one has
/// several next hops, of host-b alone where it is over the host.
fn around(family: Family) -> Vec<Route> {
    let Addresses { second_b, c, .. } = Addresses::of(family);
    let b = family.address_b();
    let ip4 = [
        ("10.9.9.8/32", c),
        ("10.9.9.9/32", second_b),
        ("10.9.8.0/24", c),
        ("10.9.9.0/24", b),
        ("10.9.9.10/31", c),
        ("10.9.9.8/29", second_b),
        ("10.9.9.0/29", c),
        ("10.8.0.0/15", c),
        ("0.0.0.0/0", c),
        ("10.9.9.8/31", b),
        ("10.9.128.0/17", c),
        ("10.9.0.0/17", second_b),
    ];
    let ip6 = [
        ("2001:db8:9:9::8/128", c),
        ("2001:db8:9:9::9/128", second_b),
        ("2001:db8:9:8::/64", c),
        ("2001:db8:9:9::/64", b),
        ("2001:db8:9:9::a/127", c),
        ("2001:db8:9:9::8/125", second_b),
        ("2001:db8:9:9::/125", c),
        ("2001:db8:8::/47", c),
        ("::/0", c),
        ("2001:db8:9:9::8/127", b),
        ("2001:db8:9:8000::/49", c),
        ("2001:db8:9::/49", second_b),
    ];
    let routes = family.choose(ip4, ip6);
    let alone = routes.into_iter().map(|(prefix, via)| (route(prefix, via), via));
    alone
        .flat_map(|(alone, via)| {
            let second = if via == b { second_b } else { b };
            let shared = shared(&alone, second);
            [alone, shared]
        })
        .collect()
}

both_families! {
    a_route_is_followed_from_the_packet_after_its_answer,
    route_get_explains_what_becomes_of_a_packet,
    a_full_table_of_routes_is_read_without_the_primary,
}

#[test]
fn no_ping_is_lost_or_misrouted_while_routes_come_and_go() {
    let seconds = if std::env::var_os("TOLLGATE_SOAK").is_some() {
        30
    } else {
        10
    };
    let three = ThreeHosts::create(&Family::BOTH);
    let primary = three.primary().start().unwrap();
    // The neighbours around are known before: what is lost later is lost to the routes.
    let quick = ["-c", "2", "-i", "0.1"];
    for family in Family::BOTH {
        let Addresses {
            second_b, gateway_c, ..
        } = Addresses::of(family);
        for (host, to) in [
            (&three.hosts.host_a, family.address_b()),
            (&three.hosts.host_a, second_b),
            (&three.host_c, gateway_c),
        ] {
            assert!(host.ping(to, &quick, LIMIT).unwrap().all_answered(), "{to}");
        }
    }
    let stray = three.stray();
    let count = seconds * 500;
    let words = ["-i", "0.002", "-W", "2", "-c", &count.to_string()];
    let pings = Family::BOTH
        .map(|family| Pinger::start(&three.hosts.host_a, Addresses::of(family).behind_b, &words).unwrap());
    let around = Family::BOTH.map(around);
    let mut client = client(&primary);
    let began = Instant::now();
    let rounds = seconds * 20;
    for round in 0..rounds {
        let routes: Vec<_> = around
            .iter()
            .map(|around| around[round % around.len()].clone())
            .collect();
        let keys = routes.iter().map(|route| route.prefix.into()).collect();
        let add = Request::RouteAdd {
            routes,
            replace: false,
        };
        client.call(add).unwrap();
        let half = Duration::from_millis(25);
        thread::sleep((began + half * (2 * round as u32 + 1)).saturating_duration_since(Instant::now()));
        client.call(Request::RouteDelete { routes: keys }).unwrap();
        thread::sleep((began + half * (2 * round as u32 + 2)).saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed().as_secs_f64();
    assert!(
        took < seconds as f64 * 1.2,
        "20 routes per second were not kept up: {rounds} in {took} s"
    );
    let pings = pings.map(|pings| pings.finish(LIMIT).unwrap());
    let counters = primary.counters_at_rest().unwrap();
    for pings in pings {
        assert!(
            pings.all_answered() && pings.sent as usize == count,
            "{pings:?}; {:?}",
            counters.drops()
        );
    }
    assert_eq!(echo_requests(&stray), 0, "packets went to host-c");
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

fn a_route_is_followed_from_the_packet_after_its_answer(family: Family) {
    let three = ThreeHosts::create(&[family]);
    let primary = three.primary().start().unwrap();
    let Addresses {
        behind_b,
        far,
        second_b,
        c,
        ..
    } = Addresses::of(family);
    let host = family.alone(behind_b);
    let default = family.choose("0.0.0.0/0", "::/0");
    let stray = three.stray();
    let one = ["-c", "1", "-W", "1"];
    let ping = || {
        three
            .hosts
            .host_a
            .ping(behind_b, &one, LIMIT)
            .unwrap()
            .all_answered()
    };
    assert!(ping());
    for (words, answered) in [
        (vec!["route", "add", &host, "blackhole"], false),
        (
            vec!["route", "add", &host, "via", family.address_b(), "--replace"],
            true,
        ),
        (vec!["route", "add", &host, "via", c, "--replace"], false),
        (vec!["route", "del", &host], true),
        (vec!["route", "del", far], false),
        (vec!["route", "add", default, "via", second_b], true),
    ] {
        primary.ctl(&words).unwrap().success().unwrap();
        assert_eq!(ping(), answered, "after {words:?}");
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("blackhole"), 1);
    assert_eq!(counters.dropped("no_route"), 1);
    assert_eq!(echo_requests(&stray), 1);
    counters.assert_balanced();
}

fn route_get_explains_what_becomes_of_a_packet(family: Family) {
    let three = ThreeHosts::create(&[family]);
    let primary = three.primary().start().unwrap();
    let Addresses { behind_b, far, .. } = Addresses::of(family);
    let (hole, in_hole) = family.choose(
        ("10.3.0.0/16", "10.3.1.2"),
        ("2001:db8:a::/48", "2001:db8:a:1::2"),
    );
    let add = ["route", "add", hole, "blackhole"];
    primary.ctl(&add).unwrap().success().unwrap();
    let pings = three.hosts.host_a.ping(behind_b, &["-c", "1", "-W", "2"], LIMIT);
    assert!(pings.unwrap().all_answered());
    let get = |address: &str| primary.ctl_json(&["route", "get", address]).unwrap()[0].clone();

    let via = get(behind_b);
    assert_eq!(
        (&via["prefix"], &via["kind"], &via["next_hop"], &via["interface"]),
        (
            &far.into(),
            &"via".into(),
            &family.address_b().into(),
            &"b0".into()
        )
    );
    assert_eq!(via["neighbor_state"], "reachable");
    assert_eq!(via["mac"], three.hosts.host_b.mac("eth0").unwrap());
    assert_eq!(get(family.address_a())["kind"], "connected");
    assert_eq!(get(family.gateway_b())["kind"], "local");
    assert_eq!(get(in_hole)["kind"], "blackhole");
    let none = get(family.nowhere());
    assert!(none["prefix"].is_null() && none["kind"].is_null(), "{none}");
    for (explained, word) in [(&via, "b0"), (&none, "route")] {
        let outcome = explained["outcome"].as_str().unwrap();
        assert!(outcome.contains(word), "{outcome}");
    }
}

/// Different prefixes, one in a hundred longer than the others.
fn many_routes(family: Family, count: u32) -> String {
    let mut text = String::from("# all by way of host-b\n");
    for number in 0..count {
        let [_, high, middle, low] = number.to_be_bytes();
        let is_long = number.is_multiple_of(100);
        let prefix = match family {
            Family::Ip4 => {
                let (first, length) = if is_long { (60, 28) } else { (20, 24) };
                format!("{}.{middle}.{low}.0/{length}", first + high)
            }
            Family::Ip6 => {
                let (first, length) = if is_long { (0x2a60, 64) } else { (0x2a20, 48) };
                format!("{:x}:{high:x}:{middle:x}{low:02x}::/{length}", first)
            }
        };
        let _ = writeln!(text, "{prefix} via {}", family.address_b());
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

fn a_full_table_of_routes_is_read_without_the_primary(family: Family) {
    // As many as there may be unless the configuration says more.
    let most = family.choose(100_000, 50_000);
    let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    let folder = tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .tempdir()
        .unwrap();
    let file = folder.path().join("routes.txt");
    std::fs::write(&file, many_routes(family, most)).unwrap();
    let (took, _) = timed(&primary, &["route", "load", file.to_str().unwrap()]);
    assert!(took < Duration::from_secs(20), "loading took {took:?}");
    let (address, prefix) = family.choose(("20.0.1.77", "20.0.1.0/24"), ("2a20:0:1::77", "2a20:0:1::/48"));
    let first = primary.ctl_json(&["route", "get", address]).unwrap();
    assert_eq!(first[0]["prefix"], prefix);

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
    let learnt = learnt.filter(|route| route["protocol"] == "boot").count();
    assert_eq!(learnt, most as usize);
    let took = median(times);
    assert!(
        took < Duration::from_millis(500),
        "{most} routes took {took:?} to show"
    );

    // The table is full: the next one is refused, and the host still answers.
    let words = [
        "--json",
        "route",
        "add",
        family.choose("198.51.100.0/24", "2001:db8:b::/48"),
        "via",
        family.address_b(),
    ];
    let refused = primary.ctl(&words).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "limit_reached", "{error}");
    let pings = hosts
        .host_a
        .ping(family.address_b(), &["-c", "3", "-i", "0.1", "-W", "2"], LIMIT);
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

//! What the verbs that change something ask of the primary.

use std::fs;

use control::message::{
    LogLevel, ROUTES_PER_REQUEST, Request, Route, RouteKey, RouteTarget, WeightedNextHop,
};

use crate::fake_primary::FakePrimary;
use crate::run::{run, run_with_input};

fn route(prefix: &str, target: RouteTarget) -> Route {
    Route::new(prefix.parse().unwrap(), target)
}

fn key(prefix: &str) -> RouteKey {
    prefix.parse::<ipnet::IpNet>().unwrap().into()
}

fn via(next_hop: &str, interface: Option<&str>) -> RouteTarget {
    RouteTarget::Via {
        next_hop: next_hop.parse().unwrap(),
        interface: interface.map(str::to_owned),
    }
}

#[test]
fn each_change_is_one_request() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let add = |route, replace| Request::RouteAdd {
        routes: vec![route],
        replace,
    };
    let (wan, host) = (|| "wan".to_owned(), [192, 168, 10, 2].into());
    let address = "192.168.1.1/24".parse().unwrap();
    for (words, request) in [
        (
            "link set wan down",
            Request::LinkSet {
                interface: wan(),
                up: false,
            },
        ),
        (
            "addr add 192.168.1.1/24 dev wan",
            Request::AddressAdd {
                interface: wan(),
                address,
            },
        ),
        (
            "addr del 192.168.1.1/24 interface wan",
            Request::AddressDelete {
                interface: wan(),
                address,
            },
        ),
        (
            "route add 10.9.0.0/16 via 192.168.10.2",
            add(route("10.9.0.0/16", via("192.168.10.2", None)), false),
        ),
        (
            "route add default via 192.168.10.2 --replace",
            add(route("0.0.0.0/0", via("192.168.10.2", None)), true),
        ),
        (
            "route add 10.9.0.0/16 blackhole",
            add(route("10.9.0.0/16", RouteTarget::Blackhole), false),
        ),
        (
            "route del default",
            Request::RouteDelete {
                routes: vec![key("0.0.0.0/0")],
            },
        ),
        (
            "addr add 2001:db8::1/64 dev wan",
            Request::AddressAdd {
                interface: wan(),
                address: "2001:db8::1/64".parse().unwrap(),
            },
        ),
        (
            "route replace 10.9.0.0/16 via 192.168.10.2 metric 7 mtu 1400 src 192.168.10.1 proto bird",
            add(
                Route {
                    metric: Some(7),
                    source: Some([192, 168, 10, 1].into()),
                    mtu: Some(1400),
                    protocol: Some(12),
                    ..route("10.9.0.0/16", via("192.168.10.2", None))
                },
                true,
            ),
        ),
        (
            "route add default nexthop via 192.168.10.2 weight 3 nexthop via 192.168.10.3 dev wan",
            add(
                route(
                    "0.0.0.0/0",
                    RouteTarget::Multipath(vec![
                        WeightedNextHop {
                            next_hop: [192, 168, 10, 2].into(),
                            interface: None,
                            weight: 3,
                        },
                        WeightedNextHop {
                            next_hop: [192, 168, 10, 3].into(),
                            interface: Some("wan".into()),
                            weight: 1,
                        },
                    ]),
                ),
                false,
            ),
        ),
        (
            "route add -6 default unreachable",
            add(route("::/0", RouteTarget::Unreachable), false),
        ),
        (
            "route del default via 192.168.10.2 metric 7",
            Request::RouteDelete {
                routes: vec![RouteKey {
                    metric: Some(7),
                    next_hop: Some([192, 168, 10, 2].into()),
                    ..key("0.0.0.0/0")
                }],
            },
        ),
        (
            "route add 2001:db8:1::/48 via 2001:db8::2",
            add(route("2001:db8:1::/48", via("2001:db8::2", None)), false),
        ),
        (
            "route add default via fe80::2 dev wan",
            add(route("::/0", via("fe80::2", Some("wan"))), false),
        ),
        (
            "route del -6 default",
            Request::RouteDelete {
                routes: vec![key("::/0")],
            },
        ),
        (
            "route del 2001:db8:1::7",
            Request::RouteDelete {
                routes: vec![key("2001:db8:1::7/128")],
            },
        ),
        (
            "neigh del fe80::2 dev wan",
            Request::NeighborDelete {
                interface: wan(),
                address: "fe80::2".parse().unwrap(),
            },
        ),
        (
            "neigh add 192.168.10.2 lladdr 02:00:00:00:10:02 dev wan",
            Request::NeighborAdd {
                interface: wan(),
                address: host,
                mac: [2, 0, 0, 0, 0x10, 2].into(),
            },
        ),
        (
            "neigh del 192.168.10.2 dev wan",
            Request::NeighborDelete {
                interface: wan(),
                address: host,
            },
        ),
        (
            "log set arp debug",
            Request::LogSet {
                module: Some("arp".into()),
                level: LogLevel::Debug,
            },
        ),
        (
            "log set notice",
            Request::LogSet {
                module: None,
                level: LogLevel::Notice,
            },
        ),
    ] {
        assert_eq!(run(&primary.run_dir, words).good(), "", "{words}");
        assert_eq!(primary.asked(), [request], "{words}");
    }
}

#[test]
fn many_routes_go_in_batches() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let count = 2 * ROUTES_PER_REQUEST + 1;
    let lines: String = (0..count)
        .map(|index| format!("20.{}.{}.0/24 via 192.168.10.2\n", index >> 8, index & 255))
        .collect();
    let file = place.path().join("routes.txt");
    fs::write(&file, &lines).unwrap();
    let words = format!("route add --file {}", file.display());
    for (words, input) in [(words.as_str(), ""), ("route add --file -", &lines)] {
        run_with_input(&primary.run_dir, words, input).good();
        let batches: Vec<_> = primary
            .asked()
            .iter()
            .map(|request| match request {
                Request::RouteAdd {
                    routes,
                    replace: false,
                } => routes.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(batches, [ROUTES_PER_REQUEST, ROUTES_PER_REQUEST, 1]);
    }
}

#[test]
fn a_bad_line_is_named_before_anything_is_sent() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let lines = "10.9.0.0/16 blackhole\n10.9.0.0/44 blackhole\n";
    let (status, code, message) =
        run_with_input(&primary.run_dir, "--json route add --file -", lines).error();
    assert_eq!((status, code.as_str()), (1, "invalid"));
    assert!(
        message.starts_with("stdin:2:1: '10.9.0.0/44' is not a prefix"),
        "{message}"
    );
    assert_eq!(primary.asked(), []);
}

#[test]
fn a_refused_batch_says_how_many_were_added() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let mut lines = "10.9.0.0/16 blackhole\n".repeat(ROUTES_PER_REQUEST);
    lines += "10.66.0.0/16 blackhole\n";
    let (status, code, message) =
        run_with_input(&primary.run_dir, "--json route add --file -", &lines).error();
    assert_eq!((status, code.as_str()), (1, "exists"));
    assert_eq!(
        message,
        "10.66.0.0/16 exists (the first 1000 of 1001 routes were added)"
    );
}

#[test]
fn what_ip_route_shows_is_loaded_by_the_names_of_the_kernel_interfaces() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    let shown = "default proto static metric 20 \n\tnexthop via 192.168.10.2 dev wan weight 1 \n\tnexthop via 192.168.10.3 dev wan \
                 weight 2 linkdown \n10.9.0.0/16 via 192.168.10.2 dev wan proto bird scope link onlink \n192.168.10.0/24 dev wan \
                 proto kernel scope link src 192.168.10.1 \n";
    let said = run_with_input(&primary.run_dir, "--json route load -", shown).good();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["loaded"], &said["ignored"], &said["skipped"]),
        (&2.into(), &1.into(), &0.into())
    );
    let asked = primary.asked();
    let [
        Request::RouteAdd {
            routes,
            replace: true,
        },
    ] = asked.as_slice()
    else {
        panic!("{asked:?}");
    };
    assert_eq!(routes[0].size(), 3);
    assert_eq!(routes[1].protocol, Some(12));
    assert_eq!(routes[1].target, via("192.168.10.2", Some("wan")));
}

#[test]
fn what_cannot_be_loaded_ends_the_load_or_is_skipped() {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    // 10.67.0.0/16 is refused by the primary, the interface is not there, and the other line is no route.
    let lines = "10.9.0.0/16 blackhole\n10.1.0.0/16 dev eth7\n10.67.0.0/16 blackhole\n10.2.0.0/16 upon wan\n10.3.0.0/16 blackhole\n";
    let (status, code, message) = run_with_input(&primary.run_dir, "--json route load -", lines).error();
    assert_eq!((status, code.as_str()), (1, "invalid"));
    assert!(
        message.starts_with("stdin:2:17: there is no interface 'eth7'"),
        "{message}"
    );
    assert_eq!(primary.asked(), []);
    let ran = run_with_input(&primary.run_dir, "route load --skip-invalid -", lines);
    assert_eq!(ran.status, 0, "{ran:?}");
    let said = ran.stdout;
    assert!(
        ran.stderr.contains("skipped: line 3: 10.67.0.0/16 cannot be"),
        "{}",
        ran.stderr
    );
    assert!(said.starts_with("2 routes loaded in"), "{said}");
    assert!(said.ends_with("3 skipped\n"), "{said}");
}

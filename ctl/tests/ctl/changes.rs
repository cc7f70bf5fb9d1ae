//! What the verbs that change something ask of the primary.

use std::fs;

use control::message::{LogLevel, ROUTES_PER_REQUEST, Request, Route, RouteTarget};

use crate::fake_primary::FakePrimary;
use crate::run::{run, run_with_input};

fn route(prefix: &str, target: RouteTarget) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        target,
    }
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
                prefixes: vec!["0.0.0.0/0".parse().unwrap()],
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
                prefixes: vec!["::/0".parse().unwrap()],
            },
        ),
        (
            "route del 2001:db8:1::7",
            Request::RouteDelete {
                prefixes: vec!["2001:db8:1::7/128".parse().unwrap()],
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
        message.starts_with("stdin:2: '10.9.0.0/44' is not a prefix"),
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

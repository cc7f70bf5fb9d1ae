//! `conn show` against a primary that has twenty thousand of them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use control::message::{ConnectionFilter, Request, ServiceProtocol};
use serde_json::{Value, json};

use crate::fake_primary::FakePrimary;
use crate::fake_services::{MANY, any};
use crate::run::{run, tool};

fn with_primary(test: impl FnOnce(&FakePrimary)) {
    let place = tempfile::tempdir().unwrap();
    test(&FakePrimary::start(place.path(), "blue", 0));
}

/// What the primary was asked to collect.
fn filter(primary: &FakePrimary) -> ConnectionFilter {
    let asked = primary.asked();
    match asked
        .iter()
        .find(|request| matches!(request, Request::ConnectionShow(_)))
    {
        Some(Request::ConnectionShow(filter)) => (**filter).clone(),
        _ => panic!("{asked:?}"),
    }
}

#[test]
fn all_connections_come_once_another_tool_has_its_own() {
    with_primary(|primary| {
        let connections = run(&primary.run_dir, "--json conn").json();
        assert_eq!(connections.len(), 3 + MANY as usize);
        assert_eq!(connections[0]["client_address"], "10.0.0.48");
        assert_eq!(connections[0]["local_port"], 1025);
        assert_eq!(
            (&connections[1]["icmp_id"], &connections[1]["client_port"]),
            (&json!(7), &Value::Null)
        );
        let asked = primary.asked();
        let show = Request::ConnectionShow(Box::new(any()));
        assert_eq!(
            asked,
            [
                show.clone(),
                show,
                Request::ConnectionResult,
                Request::ConnectionResult
            ]
        );
        let table = run(&primary.run_dir, "conn show").good();
        assert_eq!(table.lines().count(), 4 + MANY as usize);
        let icmp = table.lines().nth(2).unwrap();
        let words: Vec<_> = icmp.split_whitespace().collect();
        let expected = "1 icmp normal 57 s 10.0.0.48 id 7 10.0.0.100 type 8 192.168.100.200 id 4711 192.168.100.2 5 4 8000 0";
        assert_eq!(words.join(" "), expected);
    });
}

#[test]
fn filters_are_the_primarys_work() {
    with_primary(|primary| {
        let words = "conn show --protocol tcp --client 10.0.0.0/16 --service 10.0.0.100:80 --server 192.168.100.2 --state ESTABLISHED \
                     --limit 5";
        run(&primary.run_dir, words).good();
        let expected = ConnectionFilter {
            protocol: Some(ServiceProtocol::Tcp),
            client: Some("10.0.0.0/16".parse().unwrap()),
            service: Some([10, 0, 0, 100].into()),
            service_port: Some(80),
            server: Some("192.168.100.2/32".parse().unwrap()),
            state: Some("established".into()),
            limit: Some(5),
        };
        assert_eq!(filter(primary), expected);
        for wrong in [
            "conn --client 10.0.0.1/8",
            "conn --limit 0",
            "conn --top weight",
            "conn --dpvs-format --json",
        ] {
            assert_eq!(run(&primary.run_dir, wrong).status, 2, "{wrong}");
        }
        assert_eq!(primary.asked(), []);
    });
}

#[test]
fn the_top_is_of_all_however_few_are_shown() {
    with_primary(|primary| {
        let top = run(&primary.run_dir, "--json conn show --top bytes --limit 3").json();
        let bytes: Vec<_> = top
            .iter()
            .map(|found| found["in_bytes"].as_u64().unwrap())
            .collect();
        assert_eq!(bytes, [9_000, 8_000, 7_000]);
        assert_eq!(filter(primary).limit, None);
        assert_eq!(
            run(&primary.run_dir, "conn --top packets").good().lines().count(),
            11
        );
    });
}

#[test]
fn the_format_of_dpvs_has_a_line_each() {
    with_primary(|primary| {
        let shown = run(&primary.run_dir, "conn show --dpvs-format").good();
        let first = "[1]tcp 57s    ESTABLISHED 10.0.0.48:37177    10.0.0.100:80      192.168.100.200:1025 192.168.100.2:80";
        assert_eq!(shown.lines().next(), Some(first));
        assert_eq!(shown.lines().count(), 3 + MANY as usize);
    });
}

#[test]
fn watching_gives_rates() {
    with_primary(|primary| {
        let mut child = tool(&primary.run_dir, "--json --watch 0.1 conn --top bytes --limit 1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || -> Value {
            let listing: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            listing[0].clone()
        };
        assert_eq!(next()["in_bytes_per_second"], Value::Null);
        let second = next();
        assert_eq!(
            (&second["in_bytes"], &second["in_bytes_per_second"]),
            (&json!(9000), &json!(0.0))
        );
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

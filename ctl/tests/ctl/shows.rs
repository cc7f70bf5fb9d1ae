//! What the shows say of an instance that runs.

use serde_json::{Value, json};

use crate::fake_primary::FakePrimary;
use crate::run::run;

fn with_primary(test: impl FnOnce(&FakePrimary, &dyn Fn(&str) -> Vec<Value>)) {
    let place = tempfile::tempdir().unwrap();
    let primary = FakePrimary::start(place.path(), "blue", 0);
    test(&primary, &|words| {
        run(&primary.run_dir, &format!("--json {words}")).json()
    });
}

#[test]
fn the_only_instance_that_runs_is_taken() {
    with_primary(|primary, show| {
        let named = run(&primary.run_dir, "--instance blue --json addr").json();
        assert_eq!(named, show("addr"));
    });
}

#[test]
fn addresses_say_whether_they_are_in_use() {
    with_primary(|primary, show| {
        let address =
            |address: &str, state: &str| json!({ "address": address, "interface": "wan", "state": state });
        assert_eq!(
            show("addr"),
            [
                address("192.168.10.1/24", "preferred"),
                address("2001:db8:10::1/64", "preferred"),
                address("fe80::1/64", "tentative"),
            ]
        );
        let expected = "\
ADDRESS            DEV  STATE
192.168.10.1/24    wan  preferred
2001:db8:10::1/64  wan  preferred
fe80::1/64         wan  tentative
";
        assert_eq!(run(&primary.run_dir, "addr show").good(), expected);
    });
}

#[test]
fn an_instance_says_who_it_is() {
    with_primary(|primary, show| {
        let instances = show("instance show");
        let instance = &instances[0];
        assert_eq!(instances.len(), 1);
        assert_eq!(instance["name"], "blue");
        assert_eq!(instance["state"], "ready");
        assert_eq!(instance["pid"], std::process::id());
        assert_eq!(instance["dead_since"], Value::Null);
        assert!(instance["heartbeat_age_ms"].as_u64().unwrap() < 2000);
        assert_eq!(instance["tables"], primary.description.tables.to_str().unwrap());
        assert_eq!(instance["devices"][0]["device"], "net_null0");
        assert_eq!(instance["cpus"], json!([{ "cpu": 1, "busy": false }]));
        assert_eq!(show("instance show blue").len(), 1);
    });
}

#[test]
fn links_have_packets_and_name_the_ethtool_command() {
    with_primary(|primary, show| {
        let links = show("link");
        let names: Vec<_> = links.iter().map(|link| link["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["wan", "lan"]);
        assert_eq!(links[0]["rx_packets"], 1000);
        assert_eq!(links[0]["drops"], 9);
        assert_eq!(links[0]["offload_hint"], Value::Null);
        assert_eq!(links[1]["offload_hint"], "partial_checksum");
        assert_eq!(show("link show lan"), links[1..]);
        let table = run(&primary.run_dir, "link").good();
        assert!(
            table.contains("'ethtool -K lan0 tx off rx off gso off gro off tso off'"),
            "{table}"
        );
        assert!(!table.contains("-K wan0"), "{table}");
    });
}

#[test]
fn routes_are_sorted_and_none_is_hidden() {
    with_primary(|primary, show| {
        let route = |prefix: &str, kind: &str, via: Option<&str>, interface: Option<&str>, protocol: &str| json!({ "prefix": prefix, "kind": kind, "via": via, "interface": interface, "protocol": protocol, "metric": 0, "active": true });
        let routes = [
            route("10.0.0.0/8", "blackhole", None, None, "static"),
            route("10.1.0.0/16", "via", Some("192.168.10.2"), Some("wan"), "static"),
            route("192.168.10.0/24", "connected", None, Some("wan"), "kernel"),
            route("192.168.10.1/32", "local", None, Some("wan"), "kernel"),
            route("::/0", "via", Some("fe80::2"), Some("wan"), "static"),
            route("2001:db8:10::/64", "connected", None, Some("wan"), "kernel"),
            route("2001:db8:10::1/128", "local", None, Some("wan"), "kernel"),
        ];
        assert_eq!(show("route"), routes);
        assert_eq!(show("route -4"), routes[..4]);
        assert_eq!(show("route show --ipv6"), routes[4..]);
        assert_eq!(show("route show 10.1.0.0/16"), routes[1..2]);
        assert_eq!(show("route show -6 default"), routes[4..5]);
        assert_eq!(show("route show 2001:DB8:10:0::1"), routes[6..]);
        let expected = "\
PREFIX              KIND       VIA           DEV  PROTO   METRIC  REMARKS
10.0.0.0/8          blackhole  -             -    static       0  -
10.1.0.0/16         via        192.168.10.2  wan  static       0  -
192.168.10.0/24     connected  -             wan  kernel       0  -
192.168.10.1/32     local      -             wan  kernel       0  -
::/0                via        fe80::2       wan  static       0  -
2001:db8:10::/64    connected  -             wan  kernel       0  -
2001:db8:10::1/128  local      -             wan  kernel       0  -
";
        assert_eq!(run(&primary.run_dir, "route show").good(), expected);
    });
}

#[test]
fn tables_are_read_without_a_word_to_the_primary() {
    with_primary(|primary, show| {
        for object in [
            "instance", "link", "addr", "route", "neigh", "worker", "counter", "drop",
        ] {
            assert_ne!(show(object), [Value::Null; 0], "{object}");
        }
        assert_eq!(primary.asked(), []);
    });
}

#[test]
fn neighbours_have_state_and_age() {
    with_primary(|_, show| {
        let neighbors = show("neigh show 192.168.10.2");
        assert_eq!(neighbors[0]["mac"], "02:00:00:00:10:02");
        assert_eq!(neighbors[0]["interface"], "wan");
        assert_eq!(neighbors[0]["state"], "permanent");
        assert!(neighbors[0]["age_ms"].as_u64().unwrap() > 0);
        let all = show("neigh");
        assert_eq!(
            (&all[0]["address"], &all[1]["address"]),
            (&json!("192.168.10.2"), &json!("fe80::2"))
        );
        assert_eq!(show("neigh show FE80:0::2")[0]["address"], "fe80::2");
        assert_eq!(all[1]["state"], "stale");
    });
}

#[test]
fn workers_say_how_busy_they_are() {
    with_primary(|_, show| {
        let workers = show("worker");
        assert_eq!(workers[0]["queues"], json!(["wan:0", "lan:0"]));
        assert_eq!(workers[0]["busy_percent"], 25.0);
        assert_eq!(workers[0]["packets_per_busy_loop"], 10.0);
        assert_eq!(workers[0]["cycles_per_packet"], 250.0);
        assert_eq!(workers[0]["longest_loop_us"], 5.0);
    });
}

#[test]
fn counters_and_drops_agree() {
    with_primary(|_, show| {
        let counters = show("counter show wan");
        assert_eq!(counters[0]["rx_bytes"], 64_000);
        assert_eq!(counters[0]["drops"]["no_route"], 7);
        assert_eq!(counters[0]["drops"]["blackhole"], 0);
        let expected = [
            json!({ "interface": "wan", "reason": "ttl_expired", "packets": 2 }),
            json!({ "interface": "wan", "reason": "no_route", "packets": 7 }),
        ];
        assert_eq!(show("drop"), expected);
        assert_eq!(show("drop --all").len(), 2 * shm::DropReason::COUNT);
        assert_eq!(show("drop show lan"), [Value::Null; 0]);
    });
}

#[test]
fn the_primary_tells_of_memory_and_log_levels() {
    with_primary(|_, show| {
        let memory = show("memory");
        assert_eq!(memory[0]["part"], "eal_heap");
        for (part, used) in [("table_routes4", 4), ("table_routes6", 3)] {
            let routes = memory.iter().find(|found| found["part"] == part).unwrap();
            assert_eq!((&routes["used"], &routes["capacity"]), (&json!(used), &json!(8)));
        }
        let levels = [
            json!({ "module": "arp", "level": "debug" }),
            json!({ "module": "default", "level": "info" }),
        ];
        assert_eq!(show("log"), levels);
    });
}

#[test]
fn captures_are_shown_with_their_owner_and_counts() {
    with_primary(|primary, show| {
        let captures = show("capture");
        assert_eq!(captures[0]["interfaces"], json!(["wan", "lan"]));
        assert_eq!(
            (&captures[0]["pid"], &captures[0]["lost"]),
            (&json!(77), &json!(1))
        );
        let table = run(&primary.run_dir, "capture show").good();
        assert!(
            table.contains("wan,lan") && table.contains("udp port 53"),
            "{table}"
        );
    });
}

#[test]
fn a_lookup_is_explained() {
    with_primary(|primary, show| {
        let explained = show("route get 10.1.2.3");
        assert_eq!(explained[0]["destination"], "10.1.2.3");
        assert_eq!(explained[0]["outcome"], "packets leave by wan");
        assert_eq!(show("route get 2001:DB8:1::3")[0]["destination"], "2001:db8:1::3");
        let table = run(&primary.run_dir, "route get 10.1.2.3").good();
        let note = "\npackets leave by wan; the route has 2 next hops, 1 of them in service, and this is the flow's\n";
        assert!(table.ends_with(note), "{table}");
    });
}

#[test]
fn verbose_says_on_stderr_what_is_read_and_asked() {
    with_primary(|primary, _| {
        let said = run(&primary.run_dir, "-vv memory").stderr;
        for part in ["instance blue at ", "tables of ", "MemoryShow was answered in "] {
            assert!(said.contains(part), "{said}");
        }
    });
}

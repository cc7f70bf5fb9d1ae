use super::*;
use control::message::{LocalAddress, LocalInfo, RealServer, Scheduler, ServiceOptions, ServiceProtocol};

fn info() -> ServiceInfo {
    let counts = |connections| TrafficCounts {
        connections,
        in_packets: 10,
        out_packets: 9,
        in_bytes: 1000,
        out_bytes: 900,
        errors_in: 4,
        errors_out: 5,
    };
    let server = |last, weight| ServerInfo {
        server: RealServer {
            weight,
            max_connections: 2,
            ..RealServer::new([192, 168, 100, last].into(), 80)
        },
        active: 1,
        inactive: 2 - u64::from(weight),
        counts: counts(3),
    };
    ServiceInfo {
        id: ServiceId {
            protocol: ServiceProtocol::Tcp,
            address: [10, 0, 0, 100].into(),
            port: 80,
        },
        options: ServiceOptions {
            toa: true,
            deny: vec![
                "192.0.2.0/24".parse().unwrap(),
                "198.51.100.0/24".parse().unwrap(),
            ],
            timeout: Some(60),
            ..ServiceOptions::new(Scheduler::Rr)
        },
        servers: vec![server(2, 2), server(3, 0)],
        locals: vec![LocalInfo {
            local: LocalAddress {
                address: [192, 168, 100, 200].into(),
                interface: "lan".into(),
            },
            connections: 2,
            ports_used: 2,
            ports_free: 64_509,
            misses: 0,
        }],
        counts: counts(7),
        drops: vec![("service_no_server".into(), 4), ("service_no_port".into(), 0)],
    }
}

fn none(_: &str) -> PerSecond {
    PerSecond::default()
}

#[test]
fn the_json_form_is_stable() {
    let json = serde_json::to_string(&Listed::<false>(Service::new(info(), false, &none))).unwrap();
    let traffic = |connections: u64| {
        format!(
            r#""connections":{connections},"in_packets":10,"out_packets":9,"in_bytes":1000,"out_bytes":900,"errors_in":4,"errors_out":5"#
        )
    };
    let server = |last: u8, weight: u16, inactive: u64| {
        format!(
            r#"{{"address":"192.168.100.{last}","port":80,"forwarding":"fullnat","weight":{weight},"max_connections":2,"active":1,"inactive":{inactive},{}}}"#,
            traffic(3)
        )
    };
    let expected = format!(
        r#"{{"protocol":"tcp","address":"10.0.0.100","port":80,"scheduler":"rr","toa":true,"fast_xmit":true,"allow":[],"deny":["192.0.2.0/24","198.51.100.0/24"],"timeout":60,"active":2,"inactive":2,{},"drops":{{"service_no_port":0,"service_no_server":4}},"servers":[{},{}],"local_addresses":[{{"address":"192.168.100.200","interface":"lan"}}]}}"#,
        traffic(7),
        server(2, 2, 0),
        server(3, 0, 2)
    );
    assert_eq!(json, expected);
}

fn table<const RATED: bool>(service: Service) -> String {
    let mut table = Table::new(Listed::<RATED>::COLUMNS.to_vec());
    Listed::<RATED>(service).lines(&mut table, None);
    let mut out = Vec::new();
    table.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn servers_and_reasons_stand_below_their_service() {
    let shown = table::<false>(Service::new(info(), true, &none));
    let lines: Vec<Vec<_>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let service =
        "tcp 10.0.0.100:80 rr - - 2 2 7 10 9 1000 900 4 toa, deny 192.0.2.0/24 and 1 more, timeout 60 s";
    assert_eq!(lines[1].join(" "), service);
    assert_eq!(
        lines[2].join(" "),
        "-> 192.168.100.2:80 - fullnat 2 1 0 3 10 9 1000 900 - max 2"
    );
    assert_eq!(
        lines[3].join(" "),
        "-> 192.168.100.3:80 - fullnat 0 1 2 3 10 9 1000 900 - quiesced, max 2, full"
    );
    assert_eq!(
        lines[4].join(" "),
        "icmp errors - - - - - - 4 5 - - - -",
        "REQ-ICMP-44"
    );
    assert_eq!(
        lines[5].join(" "),
        "drop service_no_server - - - - - - - - - - 4 -"
    );
    assert_eq!(lines.len(), 6, "{shown}");
}

#[test]
fn rates_are_of_services_and_servers() {
    let before = look_at(&[info()]);
    let mut later = info();
    later.counts.connections += 10;
    later.servers[0].counts.in_packets += 20;
    thread::sleep(Duration::from_millis(10));
    let now = look_at(std::slice::from_ref(&later));
    let rates = |key: &str| PerSecond::new(Some(now.rates(key, Some(&before))));
    let service = Service::new(later, false, &rates);
    let rate = |rates: Option<&Rates>, name| rates.unwrap().of(name).unwrap();
    assert!(rate(service.rates.get(), "connections") > 0.0);
    assert_eq!(rate(service.rates.get(), "in_packets"), 0.0);
    assert!(rate(service.servers[0].rates(), "in_packets") > 0.0);
    assert_eq!(rate(service.servers[1].rates(), "in_packets"), 0.0);
    let json = serde_json::to_value(Listed::<true>(service)).unwrap();
    assert_eq!(json["servers"][1]["in_packets_per_second"], 0.0);
    assert!(json["connections_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_keeps_a_service_from_working_is_said() {
    let note = |change: &dyn Fn(&mut ServiceInfo)| {
        let mut info = info();
        change(&mut info);
        Listed::<false>(Service::new(info, false, &none)).note()
    };
    assert_eq!(note(&|_| {}), None);
    for (change, said) in [
        (
            (&|info: &mut ServiceInfo| info.servers.clear()) as &dyn Fn(&mut ServiceInfo),
            "has no server",
        ),
        (&|info| info.locals.clear(), "has no local address"),
        (
            &|info| info.servers.iter_mut().for_each(|info| info.server.weight = 0),
            "takes no new connections",
        ),
    ] {
        let note = note(change).unwrap();
        assert!(
            note.contains(said) && note.contains("tcp 10.0.0.100:80"),
            "{note}"
        );
    }
}

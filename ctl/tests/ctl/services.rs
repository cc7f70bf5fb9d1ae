//! Services of the load balancer: what is asked of the primary, and what is shown.

use std::fs;

use control::message::{
    LocalAddress, RealServer, Request, Scheduler, ServerChange, Service, ServiceChange, ServiceId,
    ServiceOptions, ServiceProtocol,
};
use serde_json::json;

use crate::fake_primary::FakePrimary;
use crate::run::{run, run_with_input};

fn with_primary(test: impl FnOnce(&FakePrimary)) {
    let place = tempfile::tempdir().unwrap();
    test(&FakePrimary::start(place.path(), "blue", 0));
}

fn id(protocol: ServiceProtocol, address: &str, port: u16) -> ServiceId {
    ServiceId {
        protocol,
        address: address.parse().unwrap(),
        port,
    }
}

fn new(id: ServiceId, options: ServiceOptions) -> Request {
    Request::ServiceAdd(vec![Service {
        id,
        options,
        servers: Vec::new(),
        locals: Vec::new(),
    }])
}

/// The requests that change something.
fn changes(primary: &FakePrimary) -> Vec<Request> {
    let mut asked = primary.asked();
    asked.retain(|request| !matches!(request, Request::ServiceShow { .. }));
    asked
}

#[test]
fn each_change_is_one_request() {
    let tcp = id(ServiceProtocol::Tcp, "10.0.0.100", 80);
    let six = id(ServiceProtocol::Tcp, "2001:db8::100", 80);
    let icmp = id(ServiceProtocol::Icmp, "10.0.0.100", 0);
    let rs = |text: &str, port| RealServer::new(text.parse().unwrap(), port);
    let rr = || ServiceOptions::new(Scheduler::Rr);
    let local = |id, address: &str, interface: &str| Request::LocalAdd {
        id,
        local: LocalAddress {
            address: address.parse().unwrap(),
            interface: interface.into(),
        },
    };
    let set = |change| Request::ServiceSet {
        id: tcp,
        change: Box::new(change),
    };
    with_primary(|primary| {
        for (words, request) in [
            ("service add tcp 10.0.0.100:80 --scheduler rr", new(tcp, rr())),
            ("service add icmp 10.0.0.100", new(icmp, rr())),
            ("service add icmp 10.0.0.100:0 -s rr", new(icmp, rr())),
            (
                "service add tcp [2001:db8::100]:80 --scheduler mh --toa --no-fast-xmit --allow 2001:db8::/32 --deny \
                 2001:db8:1::/48,2001:db8:2::1 --timeout 60",
                new(
                    six,
                    ServiceOptions {
                        toa: true,
                        fast_xmit: false,
                        allow: vec!["2001:db8::/32".parse().unwrap()],
                        deny: vec![
                            "2001:db8:1::/48".parse().unwrap(),
                            "2001:db8:2::1/128".parse().unwrap(),
                        ],
                        timeout: Some(60),
                        ..ServiceOptions::new(Scheduler::Mh)
                    },
                ),
            ),
            (
                "service set tcp 10.0.0.100:80 --scheduler wlc --toa off --fast-xmit on --allow none --timeout 0",
                set(ServiceChange {
                    scheduler: Some(Scheduler::Wlc),
                    toa: Some(false),
                    fast_xmit: Some(true),
                    allow: Some(Vec::new()),
                    deny: None,
                    timeout: Some(0),
                    icmp_short: None,
                }),
            ),
            (
                "service set icmp 10.0.0.100 --timeout 5 --force",
                Request::ServiceSet {
                    id: icmp,
                    change: Box::new(ServiceChange {
                        timeout: Some(5),
                        icmp_short: Some(true),
                        ..ServiceChange::default()
                    }),
                },
            ),
            (
                "service set tcp 10.0.0.100:80 --toa",
                set(ServiceChange {
                    toa: Some(true),
                    ..ServiceChange::default()
                }),
            ),
            (
                "service del tcp [2001:db8::100]:80",
                Request::ServiceDelete(vec![six]),
            ),
            ("service zero tcp 10.0.0.100:80", Request::ServiceZero(Some(tcp))),
            ("service zero", Request::ServiceZero(None)),
            ("service flush", Request::ServiceFlush),
            (
                "server add tcp 10.0.0.100:80 192.168.100.2",
                Request::ServerAdd {
                    id: tcp,
                    server: rs("192.168.100.2", 80),
                },
            ),
            (
                "server add tcp [2001:db8::100]:80 [2001:db8:1::2]:8080 --weight 3 --max-connections 9",
                Request::ServerAdd {
                    id: six,
                    server: RealServer {
                        weight: 3,
                        max_connections: 9,
                        ..rs("2001:db8:1::2", 8080)
                    },
                },
            ),
            (
                "server set tcp 10.0.0.100:80 192.168.100.2:80 --weight 0",
                Request::ServerSet {
                    id: tcp,
                    server: "192.168.100.2:80".parse().unwrap(),
                    change: ServerChange {
                        weight: Some(0),
                        max_connections: None,
                    },
                },
            ),
            (
                "server del icmp 10.0.0.100 192.168.100.2",
                Request::ServerDelete {
                    id: icmp,
                    server: "192.168.100.2:0".parse().unwrap(),
                },
            ),
            (
                "laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan",
                local(tcp, "192.168.100.200", "lan"),
            ),
            // The subnet of wan.
            (
                "laddr add tcp 10.0.0.100:80 192.168.10.200",
                local(tcp, "192.168.10.200", "wan"),
            ),
            (
                "laddr add tcp [2001:db8::100]:80 2001:db8:10::7",
                local(six, "2001:db8:10::7", "wan"),
            ),
            (
                "laddr del tcp 10.0.0.100:80 192.168.100.200",
                Request::LocalDelete {
                    id: tcp,
                    address: [192, 168, 100, 200].into(),
                },
            ),
        ] {
            assert_eq!(run(&primary.run_dir, words).good(), "", "{words}");
            assert_eq!(primary.asked(), [request], "{words}");
        }
    });
}

#[test]
fn wrong_words_are_a_sentence_and_nothing_is_asked() {
    with_primary(|primary| {
        for (words, said) in [
            ("service add tcp 10.0.0.100", "needs a port"),
            ("service add icmp 10.0.0.100:80", "has no port"),
            ("service add icmp 2001:db8::1", "use icmpv6"),
            ("service add sctp 10.0.0.100:80", "invalid value 'sctp'"),
            (
                "service add tcp 10.0.0.100:80 --scheduler fo",
                "invalid value 'fo'",
            ),
            (
                "service add tcp 10.0.0.100:80 --deny 10.0.0.1/8",
                "has bits set behind its length",
            ),
            (
                "service set tcp 10.0.0.100:80",
                "nothing is said of what is to be different",
            ),
            ("service show 10.0.0.100:80", "invalid value '10.0.0.100:80'"),
            ("service zero tcp", "required arguments were not provided"),
            ("service --ipvsadm --json", "two forms"),
            ("service --ipvsadm --watch 1", "printed once"),
            ("service flush --watch 1", "--watch goes with show"),
            (
                "server add tcp 10.0.0.100:80",
                "required arguments were not provided",
            ),
            ("server add tcp 10.0.0.100:80 192.168.100.2:0", "cannot be 0"),
            (
                "server set tcp 10.0.0.100:80 192.168.100.2",
                "nothing is said of what is to be different",
            ),
            ("laddr add tcp 10.0.0.100:80 172.16.0.1", "write --dev IFACE"),
            ("laddr --ipvsadm --json", "two forms"),
        ] {
            let ran = run(&primary.run_dir, words);
            assert_eq!(ran.status, 2, "{words}: {}", ran.stderr);
            assert!(ran.stderr.contains(said), "{words}: {}", ran.stderr);
        }
        assert_eq!(primary.asked(), []);
    });
}

#[test]
fn services_are_shown_as_the_tutorial_of_dpvs_has_them() {
    with_primary(|primary| {
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "\
IP Virtual Server version {version} (size=0)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 rr
  -> 192.168.100.2:80             FullNat 1      0          0
  -> 192.168.100.3:80             FullNat 1      0          0
TCP  [2001:db8::100]:80 rr
  -> [2001:db8:1::2]:80           FullNat 0      0          0
ICMP  10.0.0.100:0 rr
  -> 192.168.100.2:0              FullNat 1      0          0
"
        );
        assert_eq!(run(&primary.run_dir, "service show --ipvsadm").good(), expected);
        let one = run(&primary.run_dir, "service tcp 10.0.0.100:80 --ipvsadm").good();
        assert_eq!(
            one.lines().collect::<Vec<_>>(),
            expected.lines().take(6).collect::<Vec<_>>()
        );
        let stats = format!(
            "\
IP Virtual Server version {version} (size=0)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.100:80                      12      120      108  999999K     1080
  -> 192.168.100.2:80                    0        0        0        0        0
  -> 192.168.100.3:80                    0        0        0        0        0
"
        );
        let shown = run(
            &primary.run_dir,
            "service show tcp 10.0.0.100:80 --ipvsadm --stats",
        )
        .good();
        assert_eq!(shown, stats);
        let locals = "\
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS
10.0.0.100:80        1
                              192.168.100.200      0          0
";
        assert_eq!(
            run(&primary.run_dir, "laddr show tcp 10.0.0.100:80 --ipvsadm").good(),
            locals
        );
    });
}

#[test]
fn shows_have_all_pages_and_only_what_is_asked_for() {
    with_primary(|primary| {
        let show = |words: &str| run(&primary.run_dir, &format!("--json {words}")).json();
        let services = show("service");
        assert_eq!(services.len(), 3);
        assert_eq!(services[0]["servers"][1]["address"], "192.168.100.2");
        assert_eq!(services[0]["drops"], json!({ "service_no_server": 3 }));
        assert_eq!(services[0]["connections"], 12);
        assert_eq!(services[0].get("connections_per_second"), None);
        assert_eq!(show("service show tcp"), services[..2]);
        assert_eq!(show("service icmp 10.0.0.100"), services[2..]);
        assert_eq!(show("service tcp 2001:db8::100"), services[1..2]);
        assert_eq!(show("service udp").len(), 0);
        let icmp = show("service icmp-counters");
        assert_eq!(
            (&icmp[0]["worker"], &icmp[1]["worker"]),
            (&json!(null), &json!(0))
        );
        assert_eq!(
            (&icmp[0]["query_new"], &icmp[1]["query_new"]),
            (&json!(12), &json!(12))
        );
        let servers = show("server");
        assert_eq!(servers.len(), 4);
        assert_eq!(servers[3]["protocol"], "icmp");
        assert_eq!(servers[3]["service_address"], "10.0.0.100");
        assert_eq!(servers[2]["weight"], 0);
        let locals = show("laddr");
        assert_eq!((locals.len(), &locals[0]["ports_free"]), (3, &json!(64_511)));
        let (status, code, _) = run(&primary.run_dir, "--json service tcp 10.0.0.100:81").error();
        assert_eq!((status, code.as_str()), (1, "not_found"));
        let table = run(&primary.run_dir, "service").good();
        let note = "tcp [2001:db8::100]:80 takes no new connections";
        assert!(
            table.contains("  ->   192.168.100.2:80") && table.contains(note),
            "{table}"
        );
        let table = run(&primary.run_dir, "service --stats").good();
        assert_eq!(table.matches("service_no_server").count(), 3, "{table}");
        let rated = show("service --rate tcp 10.0.0.100:80");
        assert_eq!(rated[0]["connections_per_second"], 0.0);
        assert_eq!(rated[0]["servers"][0]["in_bytes_per_second"], 0.0);
    });
}

/// REQ-ICMP-24.
#[test]
fn what_is_saved_is_restored() {
    with_primary(|primary| {
        let saved = run(&primary.run_dir, "service save").good();
        let lines = "\
service add tcp 10.0.0.100:80 --scheduler rr
server add tcp 10.0.0.100:80 192.168.100.3:80 --weight 1
server add tcp 10.0.0.100:80 192.168.100.2:80 --weight 1
laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan
service add tcp [2001:db8::100]:80 --scheduler rr
server add tcp [2001:db8::100]:80 [2001:db8:1::2]:80 --weight 0
laddr add tcp [2001:db8::100]:80 2001:db8:1::200 --dev lan
service add icmp 10.0.0.100 --scheduler rr
server add icmp 10.0.0.100 192.168.100.2 --weight 1
laddr add icmp 10.0.0.100 192.168.100.200 --dev lan
";
        assert_eq!(saved, lines);
        // What is there already is in the way of all.
        let (status, code, message) =
            run_with_input(&primary.run_dir, "--json service restore -", lines).error();
        assert_eq!((status, code.as_str()), (1, "exists"));
        assert!(
            message
                .starts_with("stdin:1: there is a service tcp 10.0.0.100:80 already, and nothing was added")
        );
        primary.asked();
        let other = lines
            .replace("10.0.0.100", "10.0.0.101")
            .replace("2001:db8::100", "2001:db8::101");
        let said = run_with_input(&primary.run_dir, "service restore -", &other).good();
        assert_eq!(said, "3 services restored\n");
        let added = changes(primary);
        let [Request::ServiceAdd(added)] = added.as_slice() else {
            panic!("{added:?}");
        };
        let [tcp, six, icmp] = added.as_slice() else {
            panic!("{added:?}");
        };
        assert_eq!(
            (tcp.servers.len(), six.servers[0].weight, icmp.id.port),
            (2, 0, 0)
        );
        assert_eq!(icmp.locals[0].interface, "lan");
    });
}

#[test]
fn what_ipvsadm_saved_is_restored() {
    with_primary(|primary| {
        let file = primary.run_dir.join("services.ipvs");
        let lines = "-A -t 10.0.0.7:80 -s rr\n-a -t 10.0.0.7:80 -r 192.168.100.2:80 -b -w 1\n--add-laddr -z 192.168.10.200 -t \
                     10.0.0.7:80\n";
        fs::write(&file, lines).unwrap();
        let words = format!("--json service restore {}", file.display());
        assert_eq!(run(&primary.run_dir, &words).good(), "{\"services\":1}\n");
        let service = Service {
            id: id(ServiceProtocol::Tcp, "10.0.0.7", 80),
            options: ServiceOptions::new(Scheduler::Rr),
            servers: vec![RealServer::new([192, 168, 100, 2].into(), 80)],
            locals: vec![LocalAddress {
                address: [192, 168, 10, 200].into(),
                interface: "wan".into(),
            }],
        };
        assert_eq!(changes(primary), [Request::ServiceAdd(vec![service])]);
    });
}

#[test]
fn a_thousand_services_are_restored_by_few_requests() {
    with_primary(|primary| {
        let mut lines = String::new();
        for number in 0..1000 {
            let service = format!("tcp 10.1.{}.{}:80", number / 250, number % 250 + 1);
            lines += &format!("service add {service}\n");
            for server in 2..34 {
                lines += &format!("server add {service} 192.168.100.{server}\n");
            }
            lines += &format!("laddr add {service} 192.168.100.200 --dev lan\n");
        }
        let said = run_with_input(&primary.run_dir, "service restore -", &lines).good();
        assert_eq!(said, "1000 services restored\n");
        let added = changes(primary);
        let counts: Vec<_> = added
            .iter()
            .map(|request| match request {
                Request::ServiceAdd(services) => services.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), 1000);
        assert!(counts.len() > 1 && counts.len() < 10, "{counts:?}");
    });
}

#[test]
fn one_wrong_line_or_a_refusal_leaves_nothing_behind() {
    with_primary(|primary| {
        let restore =
            |lines: &str| run_with_input(&primary.run_dir, "--json service restore -", lines).error();
        let (status, code, message) =
            restore("service add tcp 10.0.0.1:80\nserver add tcp 10.0.0.1:80 2001:db8::2\n");
        assert_eq!((status, code.as_str()), (1, "invalid"));
        assert!(message.starts_with("stdin:2: "), "{message}");
        assert_eq!(primary.asked(), []);
        let (_, code, message) = restore("service add tcp 10.0.0.1:80\n-P -t 10.0.0.1:80 -z 172.16.0.1\n");
        assert!(
            code == "invalid" && message.starts_with("stdin:2: 172.16.0.1 is in no subnet"),
            "{message}"
        );
        assert_eq!(primary.asked(), []);
        let refused =
            "service add tcp 10.0.0.1:80\nservice add udp 10.0.0.1:80\n\nservice add tcp 10.66.0.1:80\n";
        let (_, code, message) = restore(refused);
        assert_eq!(code, "limit_reached");
        assert_eq!(message, "stdin:4: no room for 10.66.0.1 (nothing was added)");
        let asked = changes(primary);
        let Some(Request::ServiceDelete(deleted)) = asked.last() else {
            panic!("{asked:?}");
        };
        let deleted: Vec<_> = deleted.iter().map(|id| id.protocol).collect();
        assert_eq!(deleted, [ServiceProtocol::Tcp, ServiceProtocol::Udp]);
        let alone =
            |request: &Request| matches!(request, Request::ServiceAdd(services) if services.len() == 1);
        assert!(
            alone(&asked[asked.len() - 2]),
            "the refused one was found: {asked:?}"
        );
        let (_, code, _) = run(&primary.run_dir, "--json service restore /nonexistent").error();
        assert_eq!(code, "not_found");
    });
}

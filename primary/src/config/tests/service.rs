//! `[[service]]` and `[load_balancer]`.

use control::message::{LocalAddress, RealServer, Scheduler, ServiceId, ServiceOptions, ServiceProtocol};
use lb::Fragments;

use super::*;

const TCP: &str = "[[service]]\nprotocol = \"tcp\"\naddress = \"192.0.2.100:80\"\n";
const ICMP: &str = "[[service]]\nprotocol = \"icmp\"\naddress = \"192.0.2.100\"\n";
const SERVERS: &str = "servers = [{ address = \"192.168.10.2:8080\", weight = 0, max_connections = 9 }, { address = \"192.168.10.3\" }]\n";
const LOCALS: &str = "local_addresses = [{ address = \"10.0.0.200\", interface = \"lan\" }]\n";

#[test]
fn services_are_taken_as_written_and_what_is_not_has_its_default() {
    let text = format!(
        "{GOOD}{TCP}scheduler = \"mh\"\ntoa = true\nfast_xmit = false\nallow = [\"198.51.100.7/24\"]\ndeny = [\"198.51.100.9\"]\ntimeout = 7\n{SERVERS}{LOCALS}\n\
         {ICMP}servers = [{{ address = \"192.168.10.2\" }}]\n\
         [[service]]\nprotocol = \"icmpv6\"\naddress = \"[2001:db8::9]\"\n"
    );
    let services = parse(&text).unwrap().services;
    let [tcp, icmp, six] = &services[..] else { panic!() };
    let id = ServiceId {
        protocol: ServiceProtocol::Tcp,
        address: "192.0.2.100".parse().unwrap(),
        port: 80,
    };
    assert_eq!(tcp.id, id);
    let options = ServiceOptions {
        toa: true,
        fast_xmit: false,
        allow: vec!["198.51.100.0/24".parse().unwrap()],
        deny: vec!["198.51.100.9/32".parse().unwrap()],
        timeout: Some(7),
        ..ServiceOptions::new(Scheduler::Mh)
    };
    assert_eq!(tcp.options, options);
    let first = RealServer {
        weight: 0,
        max_connections: 9,
        ..RealServer::new([192, 168, 10, 2].into(), 8080)
    };
    assert_eq!(
        tcp.servers,
        [first, RealServer::new([192, 168, 10, 3].into(), 80)]
    );
    let lip = LocalAddress {
        address: [10, 0, 0, 200].into(),
        interface: "lan".to_owned(),
    };
    assert_eq!(tcp.locals, [lip]);
    assert_eq!((icmp.id.port, icmp.servers[0].port), (0, 0));
    assert_eq!(icmp.options, ServiceOptions::new(Scheduler::Rr));
    assert_eq!((six.id.port, six.id.address.is_ipv6()), (0, true));
}

#[test]
fn what_a_service_cannot_be_is_said_where_it_is_written() {
    let tcp = |more: &str| format!("{TCP}{more}");
    for (more, needle, part) in [
        (tcp("toa = 1"), "1", "true or false"),
        (tcp("timeout = 0"), "0", "out of range"),
        (tcp("scheduler = \"lc\""), "\"lc\"", "use one of rr, wrr"),
        (tcp("deny = [\"2001:db8::/32\"]"), "\"2001", "no prefix of IPv4"),
        (tcp("allow = [\"x\"]"), "\"x\"", "'x' is not an IP prefix"),
        (
            tcp("servers = [{ address = \"2001:db8::2\" }]"),
            "\"2001",
            "not of IPv4",
        ),
        (
            tcp("servers = [{ address = \"10.1.1.1:0\" }]"),
            "\"10.1.1.1:0",
            "needs a port",
        ),
        (
            tcp("servers = [{ address = \"10.1.1.1\", wieght = 1 }]"),
            "wieght",
            "'weight'",
        ),
        (tcp("servers = [{ weight = 1 }]"), "{ weight", "has no address"),
        (
            tcp("servers = [{ address = \"10.1.1.1\" }, { address = \"10.1.1.1:80\" }]"),
            "\"10.1.1.1:80",
            "10.1.1.1:80 is there twice",
        ),
        (
            tcp("local_addresses = [{ address = \"10.0.0.9\", interface = \"lna\" }]"),
            "\"lna\"",
            "did you mean 'lan'?",
        ),
        (
            tcp("local_addresses = [{ address = \"10.0.0.9\", interface = \"wan\" }]"),
            "\"10.0.0.9",
            "is in 10.0.0.0/16 of lan",
        ),
        (
            tcp("local_addresses = [{ address = \"10.0.0.1\", interface = \"wan\" }]"),
            "\"10.0.0.1\"",
            "10.0.0.1 is an address of lan",
        ),
        (
            tcp("local_addresses = [{ address = \"192.0.2.100\", interface = \"wan\" }]"),
            "\"192.0.2.100\"",
            "cannot be a local address as well",
        ),
        (
            "[[service]]\nprotocol = \"udp\"\naddress = \"192.0.2.100:53\"\ntoa = true".to_owned(),
            "true",
            "toa is an option of TCP",
        ),
        (
            "[[service]]\nprotocol = \"tcp\"\naddress = \"192.0.2.100\"".to_owned(),
            "\"192.0.2.100\"",
            "needs a port",
        ),
        (
            "[[service]]\nprotocol = \"icmp\"\naddress = \"192.0.2.100:8\"".to_owned(),
            "\"192.0.2.100:8\"",
            "has no port",
        ),
        (
            "[[service]]\nprotocol = \"sctp\"\naddress = \"192.0.2.100:8\"".to_owned(),
            "\"sctp\"",
            "use one of tcp, udp, icmp, icmpv6",
        ),
        (
            "[[service]]\nprotocol = \"tcp\"\naddress = \"here:80\"".to_owned(),
            "\"here:80\"",
            "'here:80' is not an address and port",
        ),
        (
            "[[service]]\nprotocol = \"tcp\"".to_owned(),
            "[[service]]",
            "has no address",
        ),
        (
            format!("{TCP}{TCP}"),
            "\"192.0.2.100:80",
            "tcp 192.0.2.100:80 already",
        ),
    ] {
        assert_added(&more, needle, &[part]);
    }
}

#[test]
fn an_address_is_a_service_or_a_local_address_on_one_interface() {
    let other = "[[service]]\nprotocol = \"tcp\"\naddress = \"10.0.0.200:80\"\n";
    assert_added(
        &format!("{TCP}{LOCALS}{other}"),
        "\"10.0.0.200\"",
        &["is the address of the service tcp 10.0.0.200:80"],
    );
    let on = |interface: &str| {
        format!("local_addresses = [{{ address = \"10.77.0.1\", interface = \"{interface}\" }}]\n")
    };
    let (lan, wan) = (on("lan"), on("wan"));
    assert_added(
        &format!("{TCP}{lan}{ICMP}{wan}"),
        "\"wan\"",
        &["the local address 10.77.0.1 is on lan (line"],
    );
    assert!(parse(&format!("{GOOD}{TCP}{lan}{ICMP}{lan}")).is_ok());
}

#[test]
fn local_addresses_count_among_addresses() {
    let text = |limit: u32| format!("{GOOD}[limits]\naddresses = {limit}\n{TCP}{LOCALS}{ICMP}{LOCALS}");
    assert!(parse(&text(4)).is_ok());
    let [problem] = &problems(&text(3))[..] else {
        panic!()
    };
    assert!(problem.contains("4 addresses and local addresses"), "{problem}");
}

#[test]
fn timeouts_have_their_defaults_or_are_set() {
    let read = |more: &str| parse(&format!("{GOOD}{more}")).unwrap();
    assert_eq!(read("").load_balancer, LoadBalancer::default());
    assert_eq!(read("").limits.connections, 65_536);
    let set = read(
        "[limits]\nconnections = 2000000\n[load_balancer]\ntcp_established = 900\nicmp = 61\nerr_grace = 0\nstrict_inner_csum = true\n",
    );
    assert_eq!(set.limits.connections, 2_000_000);
    let (timeouts, policy) = (set.load_balancer.timeouts, set.load_balancer.policy);
    assert_eq!(
        (timeouts.tcp_established, timeouts.icmp, timeouts.udp),
        (900, 61, 300)
    );
    assert_eq!(
        (
            policy.err_grace_s,
            policy.strict_inner_csum,
            policy.source_quench_forward
        ),
        (0, true, true)
    );
    assert_added("[load_balancer]\nudp = 0", "0", &["udp = 0", "out of range"]);
    assert_added("[load_balancer]\nerr_grace = 61", "61", &["use 0 to 60"]);
    assert_added(
        "[load_balancer]\ntcp_establish = 6",
        "tcp_establish",
        &["'tcp_established'"],
    );
}

#[test]
fn req_icmp_31_pings_end_after_a_minute_or_more_unless_it_is_said_that_they_may_sooner() {
    assert_added(
        "[load_balancer]\nicmp = 59\n",
        "59",
        &["icmp = 59", "use 60 or more", "icmp_short = true"],
    );
    assert_added(
        "[load_balancer]\nicmp_short = false\nicmp = 1\n",
        "1",
        &["icmp = 1"],
    );
    let read = |more: &str| {
        parse(&format!("{GOOD}[load_balancer]\n{more}"))
            .unwrap()
            .load_balancer
    };
    assert_eq!(read("icmp = 60").timeouts.icmp, 60);
    assert_eq!(read("icmp_short = true").timeouts.icmp, 60);
    let short = parse(&format!("{GOOD}[load_balancer]\nicmp = 5\nicmp_short = true\n")).unwrap();
    assert_eq!(short.load_balancer.timeouts.icmp, 5);
    let again = parse(&short.render(&Overrides::default())).unwrap();
    assert_eq!(again.load_balancer, short.load_balancer);
}

#[test]
fn req_icmp_31_a_service_s_own_timeout_is_a_minute_or_more_unless_it_is_said_that_it_may_be_less() {
    assert_added(
        &format!("{ICMP}timeout = 59\n"),
        "59",
        &["59 seconds", "use 60 or more", "icmp_short = true"],
    );
    assert_added(
        &format!("{TCP}timeout = 7\nicmp_short = true\n"),
        "true",
        &["leave icmp_short"],
    );
    let read = |more: &str| parse(&format!("{GOOD}{ICMP}{more}")).unwrap();
    assert!(
        !read("timeout = 60\nicmp_short = true\n").services[0]
            .options
            .icmp_short
    );
    let short = read("timeout = 5\nicmp_short = true\n");
    assert_eq!(short.services[0].options.timeout, Some(5));
    let again = parse(&short.render(&Overrides::default())).unwrap();
    assert_eq!(again.services, short.services);
}

#[test]
fn req_icmp_40_one_key_turns_fast_xmit_off_for_all_services() {
    let text = format!("{GOOD}{TCP}[load_balancer]\nfast_xmit = false\n");
    let read = parse(&text).unwrap();
    assert!(!read.load_balancer.policy.fast_xmit);
    assert!(
        read.services[0].options.fast_xmit,
        "what the service says is kept"
    );
    let again = parse(&read.render(&Overrides::default())).unwrap();
    assert_eq!(again.load_balancer, read.load_balancer);
    assert!(parse(GOOD).unwrap().load_balancer.policy.fast_xmit);
}

#[test]
fn req_icmp_34_one_key_says_what_becomes_of_fragments() {
    let read = |more: &str| parse(&format!("{GOOD}{more}")).unwrap();
    assert_eq!(read("").load_balancer.policy.fragments, Fragments::Join);
    for (word, fragments) in [("join", Fragments::Join), ("drop", Fragments::Drop)] {
        let read = read(&format!("[load_balancer]\nfragments = \"{word}\"\n"));
        assert_eq!(read.load_balancer.policy.fragments, fragments);
        let again = parse(&read.render(&Overrides::default())).unwrap();
        assert_eq!(again.load_balancer, read.load_balancer);
    }
    assert_added(
        "[load_balancer]\nfragments = \"forward\"",
        "\"forward\"",
        &["fragments = 'forward' is not known", "\"join\" or \"drop\""],
    );
}

#[test]
fn services_are_rendered_as_they_are_read() {
    let text = format!(
        "{GOOD}{TCP}scheduler = \"wlc\"\ntoa = true\nallow = [\"198.51.100.0/24\"]\ntimeout = 7\n{SERVERS}{LOCALS}\n{ICMP}\
         [[service]]\nprotocol = \"udp\"\naddress = \"[2001:db8::9]:53\"\nservers = [{{ address = \"[2001:db8:1::2]:53\" }}]\n\
         [load_balancer]\nudp = 12\nsource_quench_forward = false\n"
    );
    let read = parse(&text).unwrap();
    let rendered = read.render(&Overrides::default());
    let again = parse(&rendered).unwrap();
    assert_eq!(again.services, read.services);
    assert_eq!(again.services.len(), 3);
    assert_eq!(again.load_balancer, read.load_balancer);
    assert_eq!(again.limits, read.limits);
}

//! ICMP errors: who is told what, how often, from which address and by which way.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tests::{Family, Listener, Namespace, Primary, Privilege, TwoHosts, both_families, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// Errors to one interface: at once, and per second.
const BURST: u64 = 100;
const RATE: f64 = 1000.0;
/// Bytes of a frame before its IP packet.
const ETHERNET: usize = 14;

fn hosts(family: Family) -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[family]).unwrap()
}

both_families! {
    traceroute_shows_the_gateway_as_a_hop_and_as_the_destination,
    the_sender_is_told_of_a_dead_next_hop_and_of_a_missing_route,
    the_mtu_of_a_path_is_discovered_and_used,
    errors_are_limited_in_number,
    errors_go_back_where_the_packet_came_from,
    an_error_quotes_as_much_as_may_be,
    nobody_is_told_of_what_must_not_be_answered,
}

/// The hops that traceroute shows.
fn hops(host: &Namespace, mode: &[&str], to: &str) -> Vec<String> {
    let mut words = vec!["traceroute", "-n", "-q", "1", "-w", "2", "-m", "5"];
    words.extend(mode);
    words.push(to);
    let shown = host.run_within(LIMIT, "looks for hops", &words).unwrap();
    let shown = shown.success().unwrap().stdout;
    let hop = |line: &str| {
        let mut columns = line.split_whitespace();
        columns.next()?.parse::<u32>().ok()?;
        columns.next().map(str::to_owned)
    };
    shown.lines().filter_map(hop).collect()
}

fn traceroute_shows_the_gateway_as_a_hop_and_as_the_destination(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    for mode in [&[][..], &["-I"]] {
        let hops = |to| hops(&hosts.host_a, mode, to);
        assert_eq!(
            hops(family.address_b()),
            [family.gateway_a(), family.address_b()],
            "{mode:?}"
        );
        assert_eq!(hops(family.gateway_a()), [family.gateway_a()], "{mode:?}");
        // RFC 1812 section 4.3.2.4: from an address of the interface that an error leaves by. RFC 4443 section 2.2 (a): from
        // the address that was asked.
        let is_error = mode.is_empty();
        let from = match family {
            Family::Ip4 if is_error => family.gateway_a(),
            _ => family.gateway_b(),
        };
        assert_eq!(hops(family.gateway_b()), [from], "{mode:?}");
    }
    primary.counters_at_rest().unwrap().assert_balanced();
}

/// What `ping` shows, and how long it took.
fn ping(host: &Namespace, to: &str, words: &[&str]) -> (String, Duration) {
    let mut all = vec!["ping", "-n", "-W", "8"];
    all.extend(words);
    all.push(to);
    let began = Instant::now();
    let shown = host.run_within(LIMIT, "pings", &all).unwrap().stdout;
    (shown, began.elapsed())
}

/// Whether `ping` shows that `gateway` said `what` of its request `number`.
fn is_told(shown: &str, gateway: &str, number: u32, what: &str) -> bool {
    let from = format!("From {gateway} icmp_seq={number} ");
    shown
        .lines()
        .any(|line| line.starts_with(&from) && line.ends_with(what))
}

fn the_sender_is_told_of_a_dead_next_hop_and_of_a_missing_route(family: Family) {
    let hosts = hosts(family);
    let (prefix, behind) = family.choose(("10.9.0.0/16", "10.9.9.9"), ("2001:db8:9::/48", "2001:db8:9::9"));
    let primary = hosts
        .primary("gw")
        .route(prefix, family.nobody())
        .start()
        .unwrap();
    let gateway = family.gateway_a();
    let (unreachable, no_route) = family.choose(
        ("Destination Host Unreachable", "Destination Net Unreachable"),
        (
            "Destination unreachable: Address unreachable",
            "Destination unreachable: No route",
        ),
    );

    // A packet that waits: three requests, a second for each.
    let (shown, took) = ping(&hosts.host_a, behind, &["-c", "1"]);
    assert!(is_told(&shown, gateway, 1, unreachable), "{shown}");
    let (least, most) = (Duration::from_millis(2500), Duration::from_secs(5));
    assert!(least < took && took < most, "told after {took:?}");

    // Packets while nobody is asked: at once. On a busy host that time may be over when they come, and longer the next time.
    wait_until("errors at once", LIMIT, || {
        let (shown, took) = ping(&hosts.host_a, family.nobody(), &["-c", "3", "-i", "0.01"]);
        for number in 1..=3 {
            assert!(is_told(&shown, gateway, number, unreachable), "{shown}");
        }
        Ok((took < Duration::from_secs(1)).then_some(()))
    })
    .unwrap();

    let (shown, took) = ping(&hosts.host_a, family.nowhere(), &["-c", "1"]);
    assert!(is_told(&shown, gateway, 1, no_route), "{shown}");
    assert!(took < Duration::from_secs(1), "told after {took:?}");
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("no_route"), 1);
    let told = counters.of(TwoHosts::PORT_A).unwrap().icmp_errors;
    assert_eq!(told, counters.dropped("neighbor_failed") + 1);
    counters.assert_balanced();
}

/// Bytes and packets that the gateway has sent by a port.
fn sent(primary: &Primary, port: &str) -> (f64, f64) {
    let link = primary.ctl_json(&["link", "show", port]).unwrap()[0].clone();
    let number = |key: &str| link[key].as_f64().unwrap();
    (number("tx_bytes"), number("tx_packets"))
}

fn the_mtu_of_a_path_is_discovered_and_used(family: Family) {
    let hosts = hosts(family);
    let [a, b] = hosts.interfaces();
    let primary = hosts
        .portless("gw")
        .interface(a)
        .interface(b.mtu(1400))
        .start()
        .unwrap();
    let (host, to) = (&hosts.host_a, family.address_b());
    let ip = family.choose("-4", "-6");
    let knows_mtu = || {
        let words = ["ip", ip, "route", "get", to];
        let shown = host.run("asks for a route", &words).unwrap().stdout;
        shown.contains("mtu 1400")
    };
    assert!(!knows_mtu());
    // As long as the host's own link takes: 1500.
    let size = family.choose("1472", "1452");
    let (shown, _) = ping(host, to, &["-c", "1", "-M", "do", "-s", size]);
    let what = family.choose("Frag needed and DF set (mtu = 1400)", "Packet too big: mtu=1400");
    assert!(is_told(&shown, family.gateway_a(), 1, what), "{shown}");
    assert!(knows_mtu());
    let size = family.choose("1372", "1352");
    let (shown, _) = ping(host, to, &["-c", "1", "-M", "do", "-s", size]);
    assert!(shown.contains(" 0% packet loss"), "{shown}");

    // TCP finds out by itself. Host-b's own link takes 1500, so that it asks for segments of that size.
    host.run("forgets it", &["ip", ip, "route", "flush", "cache"])
        .unwrap();
    assert!(!knows_mtu());
    let mut server = hosts
        .host_b
        .process("receives TCP", "iperf3")
        .args(["-s", "-1", "--forceflush"])
        .start()
        .unwrap();
    server
        .wait_for_stdout("that it listens", LIMIT, |line| line.contains("listening"))
        .unwrap();
    let too_big = primary.counters_at_rest().unwrap().dropped("too_big");
    let before = sent(&primary, TwoHosts::PORT_B);
    let words = ["iperf3", "-c", to, "-n", "20M", "--json"];
    let report = host.run_within(LIMIT, "sends TCP", &words).unwrap();
    let report = report.success().unwrap().json().unwrap();
    // It sends whole blocks, and may have begun one more.
    let bytes = report["end"]["sum_sent"]["bytes"].as_u64().unwrap();
    assert!(bytes >= 20 << 20, "{report}");
    assert!(knows_mtu());
    let counters = primary.counters_at_rest().unwrap();
    assert!(counters.dropped("too_big") > too_big, "{:?}", counters.drops());
    counters.assert_balanced();
    let after = sent(&primary, TwoHosts::PORT_B);
    let mean = (after.0 - before.0) / (after.1 - before.1);
    let full = (1400 + ETHERNET) as f64;
    assert!(
        mean > full - 50.0 && mean <= full,
        "packets of {mean} bytes on average"
    );
}

/// What a test says in scapy's words.
struct Words {
    family: Family,
    ethernet: String,
}

impl Words {
    /// Of frames from host-a to the gateway.
    fn new(hosts: &TwoHosts, primary: &Primary, family: Family) -> Self {
        Self::from_mac(&hosts.host_a.mac("eth0").unwrap(), primary, family)
    }

    /// Of frames from another MAC address of that link.
    fn from_mac(source: &str, primary: &Primary, family: Family) -> Self {
        let link = primary.ctl_json(&["link", "show", TwoHosts::PORT_A]).unwrap();
        let gateway = link[0]["mac"].as_str().unwrap();
        Self {
            family,
            ethernet: format!("Ether(src='{source}', dst='{gateway}')"),
        }
    }

    /// A packet that lives no longer than to the gateway.
    fn dying(&self, source: &str, destination: &str) -> String {
        format!("{}/{}", self.ethernet, self.dying_packet(source, destination))
    }

    fn dying_packet(&self, source: &str, destination: &str) -> String {
        let fields = format!("src='{source}', dst='{destination}'");
        self.family
            .choose(format!("IP({fields}, ttl=1)"), format!("IPv6({fields}, hlim=1)"))
    }
}

/// Whether a frame holds an ICMP error.
fn is_error(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&1) && matches!(frame.get(34), Some(3 | 4 | 5 | 11 | 12)),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && matches!(frame.get(54), Some(0..128)),
        _ => false,
    }
}

/// What an ICMP error quotes.
fn quote(family: Family, frame: &[u8]) -> &[u8] {
    &frame[ETHERNET + family.choose(28, 48)..]
}

fn errors_are_limited_in_number(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();
    let words = Words::new(&hosts, &primary, family);
    let packets = 3000;
    let flood = format!(
        "[{}/UDP(dport=9)] * {packets}",
        words.dying(family.address_a(), family.address_b())
    );
    let sent = hosts.host_a.send_frames("eth0", &[flood]).unwrap();
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [("ttl_expired", packets)].into());
    let of_a = counters.of(TwoHosts::PORT_A).unwrap();
    assert_eq!(of_a.icmp_errors + of_a.icmp_errors_policed, packets);
    // A busy gateway takes longer than the sender.
    let most = BURST + (RATE * (sent.seconds + 0.5)) as u64;
    assert!(
        (BURST..=most).contains(&of_a.icmp_errors),
        "{} errors for {packets} packets in {} s",
        of_a.icmp_errors,
        sent.seconds
    );
    counters.assert_balanced();

    // What is sent is received, and soon there is room for more.
    let last = format!(
        "{}/UDP(dport=9)/b'last'",
        words.dying(family.address_a(), family.address_b())
    );
    wait_until("room for another error", LIMIT, || {
        let before = primary.counters()?.of(TwoHosts::PORT_A).unwrap().icmp_errors;
        hosts.host_a.send_frames("eth0", std::slice::from_ref(&last))?;
        let now = primary
            .counters_at_rest()?
            .of(TwoHosts::PORT_A)
            .unwrap()
            .icmp_errors;
        Ok((now > before).then_some(()))
    })
    .unwrap();
    listener
        .wait_for("the last error", LIMIT, |frame| {
            is_error(frame) && frame.ends_with(b"last")
        })
        .unwrap();
    let received = listener.frames().iter().filter(|frame| is_error(frame)).count();
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(received as u64, counters.sum(|interface| interface.icmp_errors));
}

fn errors_go_back_where_the_packet_came_from(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();
    let other = Listener::start(&hosts.host_b, "eth0").unwrap();
    // Somebody on host-a's link, whom no route leads to, or one by another port.
    let mac = [2, 0, 0, 0, 1, 0x77];
    let words = Words::from_mac("02:00:00:00:01:77", &primary, family);
    for (number, source) in [family.nowhere(), family.nobody()].into_iter().enumerate() {
        let frame = format!(
            "{}/UDP(dport=9)/b'sign{number}'",
            words.dying(source, family.address_b())
        );
        hosts.host_a.send_frames("eth0", &[frame]).unwrap();
        let sign = format!("sign{number}");
        let error = listener
            .wait_for("an error", LIMIT, |frame| {
                is_error(frame) && frame.ends_with(sign.as_bytes())
            })
            .unwrap();
        let (from, to) = family.choose((26..30, 30..34), (22..38, 38..54));
        assert_eq!(error[..6], mac);
        assert_eq!(error[from], octets(family.gateway_a()));
        assert_eq!(error[to], octets(source));
    }
    assert!(!other.frames().iter().any(|frame| is_error(frame)));
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [("ttl_expired", 2)].into());
    counters.assert_balanced();
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn an_error_quotes_as_much_as_may_be(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();
    let words = Words::new(&hosts, &primary, family);
    // RFC 1812 section 4.3.2.3: 576 bytes in all; RFC 4443 section 2.4 (c): 1280.
    let most = family.choose(548, 1232);
    for size in [0, 100, 1400] {
        let frame = format!(
            "{}/UDP(sport={}, dport=9)/Raw(bytes(n % 251 for n in range({size})))",
            words.dying(family.address_a(), family.address_b()),
            1000 + size
        );
        let sent = hosts.host_a.send_frames("eth0", &[frame]).unwrap();
        let packet = &sent.frames[0][ETHERNET..];
        let port = family.choose(20..22, 40..42);
        let error = listener
            .wait_for("an error", LIMIT, |frame| {
                is_error(frame) && quote(family, frame).get(port.clone()) == Some(&packet[port.clone()])
            })
            .unwrap();
        assert_eq!(quote(family, &error), &packet[..packet.len().min(most)]);
    }
    primary.counters_at_rest().unwrap().assert_balanced();
}

/// Frames that no ICMP error may be sent for, with the reason that each is counted under: RFC 1812 section 4.3.2.7, RFC 4443
/// section 2.4 (e).
fn unanswerable(words: &Words) -> Vec<(String, &'static str)> {
    let family = words.family;
    let (a, b) = (family.address_a(), family.address_b());
    let dying = |payload: &str| format!("{}/{payload}", words.dying(a, b));
    let from = |source: &str| format!("{}/UDP(dport=9)", words.dying(source, b));
    let to = |destination: &str| format!("{}/UDP(dport=9)", words.dying(a, destination));
    let to_group = |mac: &str| {
        let ethernet = format!("Ether(src='02:00:00:00:01:77', dst='{mac}')");
        format!("{ethernet}/{}/UDP(dport=9)", words.dying_packet(a, b))
    };
    match family {
        Family::Ip4 => {
            let mut frames: Vec<_> = [3, 4, 5, 11, 12]
                .map(|icmp_type| {
                    (
                        dying(&format!("ICMP(type={icmp_type})/Raw(bytes(28))")),
                        "ttl_expired",
                    )
                })
                .into();
            // A fragment other than the first.
            let later = format!(
                "{}/IP(src='{a}', dst='{b}', ttl=1, frag=10)/Raw(bytes(32))",
                words.ethernet
            );
            let homeless = format!(
                "{}/IP(src='{a}', dst='{}', ttl=9, frag=10)/Raw(bytes(32))",
                words.ethernet,
                family.nowhere()
            );
            frames.extend([(later, "ttl_expired"), (homeless, "no_route")]);
            frames.extend(
                [
                    "0.0.0.0",
                    "127.0.0.1",
                    "224.0.0.1",
                    "240.0.0.1",
                    "255.255.255.255",
                ]
                .map(|source| (from(source), "ip4_martian_source")),
            );
            // The broadcast address of host-a's own subnet.
            frames.push((from("192.168.1.255"), "ttl_expired"));
            frames.extend([
                (to("239.1.1.1"), "ip4_multicast"),
                (to("255.255.255.255"), "ip4_multicast"),
                (to("192.168.2.255"), "ip4_directed_broadcast"),
                (to_group("ff:ff:ff:ff:ff:ff"), "ip4_link_broadcast"),
                (to_group("01:00:5e:00:00:01"), "ip4_link_broadcast"),
            ]);
            frames
        }
        Family::Ip6 => {
            let error = "ICMPv6DestUnreach(code=1)/Raw(bytes(48))";
            let mut frames: Vec<_> = [
                error,
                "ICMPv6PacketTooBig(mtu=1300)/Raw(bytes(48))",
                "ICMPv6TimeExceeded()/Raw(bytes(48))",
                "ICMPv6ParamProblem()/Raw(bytes(48))",
                "ICMPv6Unknown(type=127, msgbody=bytes(8))",
                "ICMPv6ND_Redirect()",
                &format!("IPv6ExtHdrDestOpt()/{error}"),
                &format!("IPv6ExtHdrFragment(offset=0, m=1, id=7)/{error}"),
            ]
            .map(|payload| (dying(payload), "ttl_expired"))
            .into();
            frames.extend(["::", "::1", "ff02::1"].map(|source| (from(source), "ip6_martian_source")));
            frames.extend([
                (to("ff0e::1"), "ip6_multicast"),
                (to("ff02::77"), "ip6_multicast"),
                (to_group("33:33:00:00:00:01"), "ip6_link_multicast"),
            ]);
            frames
        }
    }
}

fn nobody_is_told_of_what_must_not_be_answered(family: Family) {
    let hosts = hosts(family);
    let primary = hosts.primary("gw").start().unwrap();
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();
    let words = Words::new(&hosts, &primary, family);
    let (mut frames, reasons): (Vec<_>, Vec<_>) = unanswerable(&words).into_iter().unzip();
    // One that is answered, and shows that the others were not.
    frames.push(format!(
        "{}/UDP(dport=9)/b'answered'",
        words.dying(family.address_a(), family.address_b())
    ));
    hosts.host_a.send_frames("eth0", &frames).unwrap();
    listener
        .wait_for("the one error", LIMIT, |frame| {
            is_error(frame) && frame.ends_with(b"answered")
        })
        .unwrap();
    let errors: Vec<_> = listener
        .frames()
        .into_iter()
        .filter(|frame| is_error(frame))
        .collect();
    assert_eq!(errors.len(), 1, "{errors:02x?}");
    let counters = primary.counters_at_rest().unwrap();
    let mut expected = std::collections::BTreeMap::from([("ttl_expired", 1)]);
    for reason in reasons {
        *expected.entry(reason).or_default() += 1;
    }
    assert_eq!(counters.drops(), expected);
    let sent = counters.sum(|interface| interface.icmp_errors + interface.icmp_errors_policed);
    assert_eq!(sent, 1);
    counters.assert_balanced();
}

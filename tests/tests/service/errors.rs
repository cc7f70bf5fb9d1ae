//! ICMP errors about packets of connections: each receiver sees the packet that it sent itself.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use tests::{Family, Listener, both_families};

use crate::site::{Arms, LIMIT, Site};

const SERVICE: u16 = 53;
const CLIENT: u16 = 5555;

both_families! {
    req_icmp_3_and_44_a_client_is_told_by_the_service_of_its_own_packet,
    req_icmp_4_and_44_a_server_is_told_by_the_local_address_of_its_own_packet,
    req_icmp_17_no_error_is_about_an_error_or_what_is_for_all,
    req_icmp_46_a_capture_of_a_service_takes_the_errors_that_quote_its_packets,
    req_icmp_14_and_15_what_fits_no_connection_shows_nobody_the_addresses_of_the_servers,
    req_icmp_43_the_gateway_s_own_errors_are_the_services,
}

/// A site with a service of UDP whose servers have nobody at that port, and but one server.
fn site(family: Family) -> Site {
    let site = Site::create(family, Arms::Two, 1);
    site.serve("udp", SERVICE, "");
    let service = format!("udp {}", site.at(site.vip(), SERVICE));
    let server = site.at(&site.server(3), SERVICE);
    site.balancer.tell(&format!("server del {service} {server}"));
    site
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A packet: addresses, and the ports behind its header.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    source: Vec<u8>,
    destination: Vec<u8>,
    ports: [u16; 2],
}

/// The packet at a place of a frame, without options.
fn packet(family: Family, frame: &[u8], at: usize) -> Option<Seen> {
    let (addresses, length, header) = family.choose((at + 12, 4, 20), (at + 8, 16, 40));
    let ports = frame.get(at + header..at + header + 4)?;
    Some(Seen {
        source: frame.get(addresses..addresses + length)?.to_vec(),
        destination: frame.get(addresses + length..addresses + 2 * length)?.to_vec(),
        ports: [
            u16::from_be_bytes([ports[0], ports[1]]),
            u16::from_be_bytes([ports[2], ports[3]]),
        ],
    })
}

/// Source, destination and quote of an error that says that nobody is at a port.
fn port_unreachable(family: Family, frame: &[u8]) -> Option<(Seen, Seen)> {
    error(family, frame, family.choose([3, 3], [1, 4]))
}

/// Source, destination and quote of an error with this type and code.
fn error(family: Family, frame: &[u8], kind: [u8; 2]) -> Option<(Seen, Seen)> {
    let (protocol, icmp) = family.choose((23, 34), (20, 54));
    let is_error =
        frame.get(protocol) == Some(&family.choose(1, 58)) && frame.get(icmp..icmp + 2) == Some(&kind[..]);
    if !is_error {
        return None;
    }
    Some((packet(family, frame, 14)?, packet(family, frame, icmp + 8)?))
}

/// A datagram of the client's to the service, as scapy makes it.
fn datagram(site: &Site, family: Family) -> String {
    format!(
        "Ether(src='{}',dst='{}')/{}(src='{}',dst='{}')/UDP(sport={CLIENT},dport={SERVICE})/Raw(b'question')",
        site.client.mac("eth0").unwrap(),
        site.balancer_mac("wan"),
        family.choose("IP", "IPv6"),
        site.client_address(48),
        site.vip(),
    )
}

/// Has the client send a datagram, which begins a connection: the port of the local address that it has.
fn begin(site: &Site, family: Family, servers: &mut Listener) -> u16 {
    site.client
        .send_frames("eth0", &[datagram(site, family)])
        .unwrap();
    let server = octets(&site.server(2));
    let is_question = |frame: &[u8]| {
        let seen = packet(family, frame, 14);
        seen.is_some_and(|seen| seen.destination == server && seen.ports[1] == SERVICE)
    };
    let question = servers.wait_for("the datagram", LIMIT, is_question).unwrap();
    packet(family, &question, 14).unwrap().ports[0]
}

/// ICMP errors of the service that went to servers, and those that went to clients, as JSON and table have them.
fn translated(site: &Site) -> (u64, u64) {
    let shown = site.balancer.ctl_json(&["service", "show"]).unwrap();
    let [to_servers, to_clients] = ["errors_in", "errors_out"].map(|key| shown[0][key].as_u64().unwrap());
    let table = site.balancer.tell("service show --stats");
    let mut lines = table.lines();
    let line = lines.find(|line| line.trim_start().starts_with("icmp ")).unwrap();
    let numbers = line.split_whitespace().filter_map(|cell| cell.parse().ok());
    assert_eq!(numbers.collect::<Vec<u64>>(), [to_servers, to_clients], "{table}");
    (to_servers, to_clients)
}

/// Whether a frame says that a packet had been under way for too long.
fn is_late(family: Family, frame: &[u8]) -> bool {
    match family {
        Family::Ip4 => frame.get(23) == Some(&1) && frame.get(34) == Some(&11),
        Family::Ip6 => frame.get(20) == Some(&58) && frame.get(54) == Some(&3),
    }
}

fn req_icmp_17_no_error_is_about_an_error_or_what_is_for_all(family: Family) {
    let site = site(family);
    let mut servers = Listener::start(&site.servers, "eth0").unwrap();
    let mut client = Listener::start(&site.client, "eth0").unwrap();
    let local_port = begin(&site, family, &mut servers);
    // There is a connection, and nobody at its server's port.
    client
        .wait_for("an error", LIMIT, |frame| {
            port_unreachable(family, frame).is_some()
        })
        .unwrap();
    let last_hop = family.choose(",ttl=1", ",hlim=1");
    let ip = family.choose("IP", "IPv6");
    let unreachable = family.choose("ICMP(type=3,code=3)", "ICMPv6DestUnreach(code=4)");
    let (own, vip) = (site.client_address(48), site.vip());
    let (server, local) = (site.server(2), site.local());
    let link = |from: &str, to: &str| format!("Ether(src='{from}',dst='{to}')");
    let wan = link(&site.client.mac("eth0").unwrap(), &site.balancer_mac("wan"));
    let lan = link(&site.servers.mac("eth0").unwrap(), &site.balancer_mac("lan"));
    let of_client = format!("{ip}(src='{own}',dst='{vip}'{last_hop})");
    let of_server = format!("{ip}(src='{server}',dst='{local}'{last_hop})");
    let answer = format!("UDP(sport={SERVICE},dport={local_port})/Raw(b'answer')");
    let question = format!("UDP(sport={CLIENT},dport={SERVICE})/Raw(b'question')");
    // None of these is told of, and whoever sends a datagram that is as late, by itself, is: it comes last.
    let all = link(&site.client.mac("eth0").unwrap(), "ff:ff:ff:ff:ff:ff");
    let about_answer =
        format!("{ip}(src='{vip}',dst='{own}')/UDP(sport={SERVICE},dport={CLIENT})/Raw(b'answer')");
    site.client
        .send_frames(
            "eth0",
            &[
                format!("{wan}/{of_client}/{unreachable}/{about_answer}"),
                format!("{all}/{of_client}/{question}"),
                format!("{wan}/{of_client}/{question}"),
            ],
        )
        .unwrap();
    let about_question = format!(
        "{ip}(src='{local}',dst='{server}')/UDP(sport={local_port},dport={SERVICE})/Raw(b'question')"
    );
    site.servers
        .send_frames(
            "eth0",
            &[
                format!("{lan}/{of_server}/{unreachable}/{about_question}"),
                format!("{lan}/{of_server}/{answer}"),
            ],
        )
        .unwrap();
    for side in [&mut client, &mut servers] {
        side.wait_for("time exceeded", LIMIT, |frame| is_late(family, frame))
            .unwrap();
    }
    site.assert_balanced();
    assert_eq!(site.drops("ttl_expired"), 4);
    assert_eq!(
        site.drops(family.choose("ip4_link_broadcast", "ip6_link_multicast")),
        1
    );
    for side in [&client, &servers] {
        let told = side
            .frames()
            .iter()
            .filter(|frame| is_late(family, frame))
            .count();
        assert_eq!(told, 1);
    }
    // The server's own, two that were too late, and two about datagrams that were.
    site.wait_for_icmp(&[
        ("err_in", 5),
        ("err_translated_in", 2),
        ("err_translated_out", 3),
        ("err_no_conn", 0),
        ("err_rate_limited", 0),
    ]);
}

fn req_icmp_46_a_capture_of_a_service_takes_the_errors_that_quote_its_packets(family: Family) {
    let site = site(family);
    let mut client = Listener::start(&site.client, "eth0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let captures = [("alone.pcapng", false), ("related.pcapng", true)].map(|(name, related)| {
        let file = folder.path().join(name);
        let mut words = vec!["-i", "wan", "-f", "udp port 53"];
        words.extend(related.then_some("--related"));
        let pdump = site.balancer.pdump(&words).unwrap();
        let mut process = pdump.arg("-w").arg(&file).start().unwrap();
        process
            .wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))
            .unwrap();
        (process, file)
    });
    site.client
        .send_frames("eth0", &[datagram(&site, family)])
        .unwrap();
    client
        .wait_for("an error", LIMIT, |frame| {
            port_unreachable(family, frame).is_some()
        })
        .unwrap();
    site.assert_balanced();
    let [alone, related] = captures.map(|(mut process, file)| {
        assert!(process.terminate().unwrap().success(), "{}", process.stderr());
        let packets = tests::read_pcapng(&file).unwrap();
        let errors = packets
            .iter()
            .filter_map(|packet| port_unreachable(family, &packet.data));
        (packets.len(), errors.collect::<Vec<_>>())
    });
    assert_eq!((alone.0, alone.1.len()), (1, 0));
    assert_eq!((related.0, related.1.len()), (2, 1));
    let sent = Seen {
        source: octets(&site.client_address(48)),
        destination: octets(site.vip()),
        ports: [CLIENT, SERVICE],
    };
    assert_eq!(related.1[0].1, sent);
}

fn req_icmp_3_and_44_a_client_is_told_by_the_service_of_its_own_packet(family: Family) {
    let site = site(family);
    let mut client = Listener::start(&site.client, "eth0").unwrap();
    site.client
        .send_frames("eth0", &[datagram(&site, family)])
        .unwrap();
    let frame = client
        .wait_for("an error", LIMIT, |frame| {
            port_unreachable(family, frame).is_some()
        })
        .unwrap();
    let (outer, quoted) = port_unreachable(family, &frame).unwrap();
    let (own, vip) = (octets(&site.client_address(48)), octets(site.vip()));
    assert_eq!((&outer.source, &outer.destination), (&vip, &own));
    let sent = Seen {
        source: own,
        destination: vip,
        ports: [CLIENT, SERVICE],
    };
    assert_eq!(quoted, sent);
    for hidden in [site.server(2), site.local().to_owned()] {
        let hidden = octets(&hidden);
        let shown = client
            .frames()
            .iter()
            .any(|frame| frame.windows(hidden.len()).any(|part| part == hidden));
        assert!(!shown, "the client was shown {hidden:?}");
    }
    site.assert_balanced();
    assert_eq!(translated(&site), (0, 1));
    site.wait_for_icmp(&[("err_in", 1), ("err_translated_out", 1)]);
}

fn req_icmp_4_and_44_a_server_is_told_by_the_local_address_of_its_own_packet(family: Family) {
    let site = site(family);
    let mut servers = Listener::start(&site.servers, "eth0").unwrap();
    let server = octets(&site.server(2));
    let local_port = begin(&site, family, &mut servers);
    let answer = format!(
        "Ether(src='{}',dst='{}')/{}(src='{}',dst='{}')/UDP(sport={SERVICE},dport={local_port})/Raw(b'answer')",
        site.servers.mac("eth0").unwrap(),
        site.balancer_mac("lan"),
        family.choose("IP", "IPv6"),
        site.server(2),
        site.local(),
    );
    // Nobody at the client waits for it.
    site.servers.send_frames("eth0", &[answer]).unwrap();
    let frame = servers
        .wait_for("an error", LIMIT, |frame| {
            port_unreachable(family, frame).is_some()
        })
        .unwrap();
    let (outer, quoted) = port_unreachable(family, &frame).unwrap();
    let local = octets(site.local());
    assert_eq!((&outer.source, &outer.destination), (&local, &server));
    let sent = Seen {
        source: server,
        destination: local,
        ports: [SERVICE, local_port],
    };
    assert_eq!(quoted, sent);
    site.assert_balanced();
    // The question found nobody either.
    assert_eq!(translated(&site), (1, 1));
    site.wait_for_icmp(&[("err_in", 2), ("err_translated_in", 1), ("err_translated_out", 1)]);
}

fn req_icmp_14_and_15_what_fits_no_connection_shows_nobody_the_addresses_of_the_servers(family: Family) {
    let site = site(family);
    let mut servers = Listener::start(&site.servers, "eth0").unwrap();
    let client = Listener::start(&site.client, "eth0").unwrap();
    let local_port = begin(&site, family, &mut servers);
    let service = format!("udp {}", site.at(site.vip(), SERVICE));
    let gone = site.at(&site.server(2), SERVICE);
    site.balancer.tell(&format!("server del {service} {gone}"));
    // Longer than a connection that has ended is still found for errors.
    sleep(Duration::from_secs(5));
    let errors = || {
        let frames = client.frames();
        let errors = frames
            .iter()
            .filter(|frame| port_unreachable(family, frame).is_some());
        errors.count()
    };
    let before = errors();
    let error = format!(
        "Ether(src='{}',dst='{}')/{ip}(src='{}',dst='{}')/{}/{ip}(src='{}',dst='{}')/UDP(sport={local_port},dport={SERVICE})/Raw(b'question')",
        site.servers.mac("eth0").unwrap(),
        site.balancer_mac("lan"),
        site.server(2),
        site.local(),
        family.choose("ICMP(type=3,code=3)", "ICMPv6DestUnreach(code=4)"),
        site.local(),
        site.server(2),
        ip = family.choose("IP", "IPv6"),
    );
    site.servers.send_frames("eth0", &[error]).unwrap();
    tests::wait_until("that it is dropped", LIMIT, || {
        Ok((site.drops("service_error_no_connection") == 1).then_some(()))
    })
    .unwrap();
    site.assert_balanced();
    assert_eq!(errors(), before);
    site.wait_for_icmp(&[("err_no_conn", 1)]);
}

fn req_icmp_43_the_gateway_s_own_errors_are_the_services(family: Family) {
    let site = site(family);
    // Not where the route leads back to.
    let way = "02:00:00:00:77:01";
    let limit = family.choose("ttl", "hlim");
    let frame = datagram(&site, family)
        .replace(&site.client.mac("eth0").unwrap(), way)
        .replace("',dst='", &format!("',{limit}=1,dst='"))
        .replacen(&format!(",{limit}=1"), "", 1);
    let mut client = Listener::start(&site.client, "eth0").unwrap();
    site.client.send_frames("eth0", &[frame]).unwrap();
    let exceeded = |frame: &[u8]| error(family, frame, family.choose([11, 0], [3, 0]));
    let frame = client
        .wait_for("an error", LIMIT, |frame| exceeded(frame).is_some())
        .unwrap();
    assert_eq!(frame[..6], [2, 0, 0, 0, 0x77, 1], "the way that the packet came");
    let (outer, quoted) = exceeded(&frame).unwrap();
    let (own, vip) = (octets(&site.client_address(48)), octets(site.vip()));
    assert_eq!((&outer.source, &outer.destination), (&vip, &own));
    let sent = Seen {
        source: own,
        destination: vip,
        ports: [CLIENT, SERVICE],
    };
    assert_eq!(quoted, sent);
    site.assert_balanced();
}

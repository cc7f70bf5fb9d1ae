//! Packets for services that come in fragments, and answers that do.

use tests::{Family, Process, both_families};

use crate::pings::serve;
use crate::site::{Arms, LIMIT, SERVERS, Site};

both_families! {
    req_icmp_34_long_pings_are_answered_by_a_server,
    req_icmp_34_long_datagrams_go_both_ways,
    req_icmp_34_segments_in_fragments_are_of_their_connection,
    req_icmp_34_fragments_are_dropped_where_that_is_set,
    fragments_that_no_service_takes_are_answered_by_the_gateway,
}

/// Answers each datagram with its own bytes, the last first.
const ECHOES: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print('ready', file=sys.stderr, flush=True)
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(data[::-1], peer)
";

/// Sends a datagram of each length, all by one socket, until it is answered; prints the lengths of those that were.
const ASKS: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(2)
for length in map(int, sys.argv[3:]):
    data = bytes(at % 251 for at in range(length))
    for attempt in range(8):
        s.send(data)
        try:
            if s.recv(65536) == data[::-1]:
                print(length)
                break
        except TimeoutError:
            pass
";

fn echo_servers(site: &Site) -> Vec<Process> {
    let start = |number: &u8| {
        let words = ["-c", ECHOES, &site.server(*number), "53"];
        let mut process = site
            .servers
            .process("echoes", "python3")
            .args(words)
            .start()
            .unwrap();
        process
            .wait_for_stderr("that it is ready", LIMIT, |line| line == "ready")
            .unwrap();
        process
    };
    SERVERS.iter().map(start).collect()
}

fn connections(site: &Site) -> Vec<serde_json::Value> {
    let shown = site.balancer.ctl_json(&["conn", "show"]).unwrap();
    shown.as_array().unwrap().clone()
}

fn req_icmp_34_long_pings_are_answered_by_a_server(family: Family) {
    for (arms, workers) in [(Arms::Two, 1), (Arms::Two, 2), (Arms::One, 1)] {
        let site = Site::create(family, arms, workers);
        serve(&site, family);
        for size in ["4000", family.choose("65507", "65527")] {
            let words = ["-s", size, "-c", "5", "-i", "0.05", "-W", "10"];
            let pings = site.client.ping(site.vip(), &words, LIMIT).unwrap();
            pings.assert_all_answered();
        }
        let connections = connections(&site);
        assert_eq!(connections.len(), 2, "{connections:?}");
        for connection in connections {
            assert_eq!(connection["in_packets"], 5, "{connection}");
            assert_eq!(connection["out_packets"], 5, "{connection}");
        }
        let counters = site.balancer.counters_at_rest().unwrap();
        assert_eq!(counters.sum(|interface| interface.reassembled), 20);
        assert_eq!(counters.sum(|interface| interface.fragmented), 20);
        assert_eq!(counters.sum(|interface| interface.waiting), 0);
        site.assert_balanced();
    }
}

fn req_icmp_34_long_datagrams_go_both_ways(family: Family) {
    for workers in [1, 2] {
        let site = Site::create(family, Arms::Two, workers);
        site.serve("udp", 53, "--scheduler rr");
        let _servers = echo_servers(&site);
        let lengths = ["4000", "10", "4000", "1472", "1473", "60000", "10"];
        let words = [&["python3", "-c", ASKS, site.vip(), "53"], &lengths[..]].concat();
        let asked = site
            .client
            .run_within(LIMIT, "asks with long datagrams", &words)
            .unwrap();
        let answered: Vec<_> = asked.stdout.lines().collect();
        assert_eq!(answered, lengths, "{workers} workers: {asked:?}");
        let connections = connections(&site);
        assert_eq!(connections.len(), 1, "{workers} workers: {connections:?}");
        let counters = site.balancer.counters_at_rest().unwrap();
        assert!(
            counters.sum(|interface| interface.reassembled) >= 8,
            "{counters:?}"
        );
        site.assert_balanced();
    }
}

/// Segments that scapy has cut: of a connection that was begun by one that came whole, with two workers.
fn req_icmp_34_segments_in_fragments_are_of_their_connection(family: Family) {
    // Half-open for longer than all of this takes.
    let tables = "[load_balancer]\ntcp_syn_recv = 600\n";
    let mut site = Site::create_with(family, Arms::Two, 2, tables);
    site.serve("tcp", 80, "--scheduler rr");
    site.start_web_servers();
    let (mac, wan) = (site.client.mac("eth0").unwrap(), site.balancer_mac("wan"));
    // Nobody's, who would reset what he knows nothing of: so a SYN that comes again is of the connection that the first one began.
    let (source, vip) = (site.client_address(60), site.vip());
    let ether = format!("Ether(src='{mac}',dst='{wan}')");
    let ip = family.choose("IP", "IPv6");
    let mut listener = tests::Listener::start(&site.servers, "eth0").unwrap();
    let at = family.choose(23, 20);
    // A SYN with data, as long as it may be, in two fragments.
    let syn = |id: u16| {
        let ports = "sport=7000,dport=80,flags='S',seq=1";
        family.choose(
            format!("[{ether}/f for f in fragment(IP(src='{source}',dst='{vip}',id={id})/TCP({ports})/(b'x'*1000), 800)]"),
            format!(
                "[{ether}/f for f in fragment6(IPv6(src='{source}',dst='{vip}')/IPv6ExtHdrFragment(id={id})/TCP({ports})/(b'x'*1000), 880)]"
            ),
        )
    };
    let whole = format!("{ether}/{ip}(src='{source}',dst='{vip}')/TCP(sport=7000,dport=80,flags='S',seq=1)");
    let ports = family.choose(34, 54);
    let next_port = |listener: &mut tests::Listener| {
        let frame = listener
            .wait_for("a segment at a server", LIMIT, |frame| {
                frame.get(at) == Some(&6) && frame.get(ports + 2..ports + 4) == Some(&[0, 80])
            })
            .unwrap();
        u16::from_be_bytes([frame[ports], frame[ports + 1]])
    };
    site.client.send_frames("eth0", &[whole]).unwrap();
    let first = next_port(&mut listener);
    // Of several, each worker puts some together.
    for id in 1..=6 {
        let before = listener.frames().len();
        site.client.send_frames("eth0", &[syn(id)]).unwrap();
        tests::wait_until("the segment at the server", LIMIT, || {
            let frames = listener.frames();
            let new = frames.get(before..).unwrap_or_default();
            let is_it = |frame: &&Vec<u8>| {
                frame.get(at) == Some(&6)
                    && frame.len() > 1000
                    && frame.get(ports..ports + 2) == Some(&first.to_be_bytes()[..])
            };
            Ok(new.iter().any(|frame| is_it(&frame)).then_some(()))
        })
        .unwrap();
    }
    site.assert_balanced();
}

fn req_icmp_34_fragments_are_dropped_where_that_is_set(family: Family) {
    let tables = "[load_balancer]\nfragments = \"drop\"\n";
    let site = Site::create_with(family, Arms::Two, 1, tables);
    serve(&site, family);
    let ping = |size: &str, wait: &str| {
        let words = ["-s", size, "-c", "3", "-i", "0.05", "-W", wait];
        site.client.ping(site.vip(), &words, LIMIT).unwrap()
    };
    // Each is the other's neighbour by then.
    ping("56", "10").assert_all_answered();
    assert_eq!(ping("4000", "1").answered, 0);
    tests::wait_until("that all fragments are dropped", LIMIT, || {
        Ok((site.drops("service_fragment") == 9).then_some(()))
    })
    .unwrap();
    ping("56", "10").assert_all_answered();
    // And joined from now on.
    let shown = site.balancer.tell("config show");
    let file = site.balancer.config_path().with_file_name("joins.toml");
    let changed = shown.replace("fragments = \"drop\"", "fragments = \"join\"");
    assert_ne!(changed, shown);
    std::fs::write(&file, changed).unwrap();
    site.balancer.tell(&format!("config apply {}", file.display()));
    ping("4000", "10").assert_all_answered();
    assert_eq!(site.drops("service_fragment"), 9);
    site.assert_balanced();
}

fn fragments_that_no_service_takes_are_answered_by_the_gateway(family: Family) {
    let site = Site::create(family, Arms::Two, 2);
    site.serve("udp", 53, "");
    site.wait_for_addresses();
    let words = ["-s", "4000", "-c", "5", "-i", "0.05", "-W", "10"];
    site.client
        .ping(site.vip(), &words, LIMIT)
        .unwrap()
        .assert_all_answered();
    let counters = site.balancer.counters_at_rest().unwrap();
    assert_eq!(counters.sum(|interface| interface.echo_replies), 5);
    assert!(connections(&site).is_empty());
    site.assert_balanced();
}

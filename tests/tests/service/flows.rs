//! Many flows and several workers: each reply finds the connection.

use tests::{Family, both_families};

use crate::site::{Arms, LIMIT, Site};

/// Flows of each run.
const FLOWS: usize = 1000;

both_families! {
    req_icmp_20_each_error_about_one_of_many_flows_reaches_its_client,
    req_icmp_39_and_41_flows_of_udp_and_tcp_go_back_by_the_gateway_that_they_came_from,
}

/// Replies are errors here: nobody is at the server's port. Each comes from a worker that may not be the connection's.
fn req_icmp_20_each_error_about_one_of_many_flows_reaches_its_client(family: Family) {
    for workers in [1, 2] {
        let site = Site::create(family, Arms::Two, workers);
        site.serve("udp", 53, "--scheduler rr");
        // A kernel tells one sender of errors once a second, as it comes.
        let limit = family.choose("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit");
        let script = format!("echo 0 > /proc/sys/net/{limit}");
        site.servers
            .run("lets errors out", &["sh", "-c", &script])
            .unwrap();
        let listener = tests::Listener::start(&site.client, "eth0").unwrap();
        let (mac, to_mac) = (site.client.mac("eth0").unwrap(), site.balancer_mac("wan"));
        let ip = family.choose("IP", "IPv6");
        let (source, vip) = (site.client_address(48), site.vip());
        // The neighbours first.
        let one = |ports: &str| {
            format!(
                "[Ether(src='{mac}',dst='{to_mac}')/{ip}(src='{source}',dst='{vip}')/UDP(sport=port,dport=53)/Raw(b'question') for port in {ports}]"
            )
        };
        site.client
            .send_frames("eth0", &[one("range(9000, 9004)")])
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        // And so many in a while, whomever it tells.
        const AT_ONCE: usize = 20;
        for first in (10_000..10_000 + FLOWS).step_by(AT_ONCE) {
            let ports = format!("range({first}, {})", first + AT_ONCE);
            site.client.send_frames("eth0", &[one(&ports)]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        let at = family.choose(62, 102);
        let told = || {
            let mut ports: Vec<u16> = listener
                .frames()
                .iter()
                .filter(|frame| frame.get(family.choose(23, 20)) == Some(&family.choose(1, 58)))
                .filter_map(|frame| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])))
                .filter(|port| (10_000..11_000).contains(port))
                .collect();
            ports.sort_unstable();
            ports.dedup();
            ports.len()
        };
        let all = tests::wait_until("an error for each", LIMIT, || Ok((told() == FLOWS).then_some(())));
        assert!(
            all.is_ok(),
            "{workers} workers: {} of {FLOWS}; {:?}",
            told(),
            site.balancer.counters().unwrap().drops()
        );
        site.assert_balanced();
    }
}

/// Two gateways are between the client and the load balancer, whose routes know of neither.
fn req_icmp_39_and_41_flows_of_udp_and_tcp_go_back_by_the_gateway_that_they_came_from(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    site.serve("udp", 53, "");
    site.serve("tcp", 80, "");
    let mut client = tests::Listener::start(&site.client, "eth0").unwrap();
    let ip = family.choose("IP", "IPv6");
    let (source, vip, wan) = (site.client_address(48), site.vip(), site.balancer_mac("wan"));
    let (protocol, ports) = family.choose((23, 34), (20, 54));
    let gateways = [[2, 0, 0, 0, 0, 0x12], [2, 0, 0, 0, 0, 0x13]];
    let text = |mac: [u8; 6]| mac.map(|octet| format!("{octet:02x}")).join(":");
    let back = |frame: &[u8], kind: u8, port: u16| {
        frame.get(protocol) == Some(&kind) && frame.get(ports + 2..ports + 4) == Some(&port.to_be_bytes()[..])
    };
    for (number, gateway) in gateways.into_iter().enumerate() {
        let head = format!(
            "Ether(src='{}',dst='{wan}')/{ip}(src='{source}',dst='{vip}')",
            text(gateway)
        );
        // Nobody is at the server's port: it resets each connection.
        let port = 6000 + number as u16;
        let syn = format!("{head}/TCP(sport={port},dport=80,flags='S')");
        site.client.send_frames("eth0", &[syn]).unwrap();
        let reset = client
            .wait_for("a reset", LIMIT, |frame| back(frame, 6, port))
            .unwrap();
        assert_eq!(reset[..6], gateway, "TCP by gateway {number}");
        // One flow of UDP, which comes by one gateway and then by the other.
        let question = format!("{head}/UDP(sport=5353,dport=53)/Raw(b'question')");
        site.client.send_frames("eth0", &[question]).unwrap();
        let flow = tests::wait_until("the connection", LIMIT, || {
            let shown = site.balancer.ctl_json(&["conn", "show", "--protocol", "udp"])?;
            Ok((shown[0]["in_packets"] == number as u64 + 1).then(|| shown[0].clone()))
        })
        .unwrap();
        let answer = format!(
            "Ether(src='{}',dst='{}')/{ip}(src={},dst='{}')/UDP(sport=53,dport={})/Raw(b'answer {number}')",
            site.servers.mac("eth0").unwrap(),
            site.balancer_mac("lan"),
            flow["server_address"].to_string().replace('"', "'"),
            site.local(),
            flow["local_port"],
        );
        site.servers.send_frames("eth0", &[answer]).unwrap();
        let said = format!("answer {number}");
        let answer = client
            .wait_for("the answer", LIMIT, |frame| {
                back(frame, 17, 5353) && frame.windows(said.len()).any(|part| part == said.as_bytes())
            })
            .unwrap();
        assert_eq!(answer[..6], gateway, "UDP by gateway {number}");
    }
    site.assert_balanced();
}

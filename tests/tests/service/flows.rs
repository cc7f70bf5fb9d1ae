//! Many flows and several workers: each reply finds the connection.

use tests::{Family, both_families};

use crate::site::{Arms, LIMIT, Site};

/// Flows of each run.
const FLOWS: usize = 1000;

both_families! {
    req_icmp_20_each_error_about_one_of_many_flows_reaches_its_client,
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

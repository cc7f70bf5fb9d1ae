//! Queries of ICMP: forwarded where there is a service for them, answered by the gateway otherwise.

use std::time::Duration;

use tests::{Family, Listener, both_families};

use crate::site::{Arms, LIMIT, SERVERS, Site};

both_families! {
    req_icmp_25_without_a_service_the_gateway_answers,
    req_icmp_26_and_28_a_ping_is_one_connection_counted_both_ways,
    req_icmp_29_two_clients_with_one_identifier_do_not_mix,
    req_icmp_27_without_a_server_nobody_answers,
    req_icmp_38_and_39_answers_go_the_way_the_question_came,
}

pub(crate) fn icmp(family: Family) -> &'static str {
    family.choose("icmp", "icmpv6")
}

/// Has both servers serve the pings of clients.
pub(crate) fn serve(site: &Site, family: Family) {
    let service = format!("{} {}", icmp(family), site.at(site.vip(), 0));
    site.balancer
        .tell(&format!("service add {service} --scheduler rr"));
    for number in SERVERS {
        let server = site.server(number);
        site.balancer.tell(&format!("server add {service} {server}"));
    }
    site.add_local(&service);
}

fn ping(site: &Site, words: &[&str]) -> tests::Pings {
    site.client.ping(site.vip(), words, LIMIT).unwrap()
}

fn req_icmp_25_without_a_service_the_gateway_answers(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    site.serve("tcp", 80, "");
    site.wait_for_addresses();
    ping(&site, &["-c", "5", "-i", "0.05", "-W", "2"]).assert_all_answered();
    let connections = site.balancer.ctl_json(&["conn", "show"]).unwrap();
    assert_eq!(connections.as_array().unwrap().len(), 0, "{connections}");
    site.assert_balanced();
}

fn req_icmp_26_and_28_a_ping_is_one_connection_counted_both_ways(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    serve(&site, family);
    ping(&site, &["-c", "10", "-i", "0.05", "-W", "2"]).assert_all_answered();
    let connections = site.balancer.ctl_json(&["conn", "show"]).unwrap();
    let connections = connections.as_array().unwrap();
    assert_eq!(connections.len(), 1, "{connections:?}");
    assert_eq!(connections[0]["in_packets"], 10, "{connections:?}");
    assert_eq!(connections[0]["out_packets"], 10, "{connections:?}");
    site.assert_balanced();
}

/// An echo request of a client, as scapy makes it.
fn request(site: &Site, family: Family, client: u8, from_mac: &str, text: &str) -> String {
    let to_mac = site.balancer_mac("wan");
    let (source, vip) = (site.client_address(client), site.vip());
    let question = family.choose("ICMP(id=7,seq=1)", "ICMPv6EchoRequest(id=7,seq=1)");
    let ip = family.choose("IP", "IPv6");
    let data = family.choose(format!("/Raw(b'{text}')"), String::new());
    let question = family.choose(
        question.to_owned(),
        format!("ICMPv6EchoRequest(id=7,seq=1,data=b'{text}')"),
    );
    format!("Ether(src='{from_mac}',dst='{to_mac}')/{ip}(src='{source}',dst='{vip}')/{question}{data}")
}

/// Whether a frame holds a text, is an echo reply and goes to an address.
fn is_reply(family: Family, frame: &[u8], to: &str, text: &str) -> bool {
    let (kind, destination) = match family {
        Family::Ip4 => (frame.get(34) == Some(&0), frame.get(30..34)),
        Family::Ip6 => (frame.get(54) == Some(&129), frame.get(38..54)),
    };
    let to: std::net::IpAddr = to.parse().unwrap();
    let to = match to {
        std::net::IpAddr::V4(to) => to.octets().to_vec(),
        std::net::IpAddr::V6(to) => to.octets().to_vec(),
    };
    kind && destination == Some(&to[..]) && frame.windows(text.len()).any(|part| part == text.as_bytes())
}

fn identifier(family: Family, frame: &[u8]) -> u16 {
    let at = family.choose(38, 58);
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn req_icmp_29_two_clients_with_one_identifier_do_not_mix(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    serve(&site, family);
    // Both to one server.
    let service = format!("{} {}", icmp(family), site.at(site.vip(), 0));
    site.balancer
        .tell(&format!("server set {service} {} --weight 0", site.server(3)));
    let mut listener = Listener::start(&site.client, "eth0").unwrap();
    let mac = site.client.mac("eth0").unwrap();
    for (client, text) in [(48, "of forty-eight"), (49, "of forty-nine!")] {
        site.client
            .send_frames("eth0", &[request(&site, family, client, &mac, text)])
            .unwrap();
    }
    for (client, text) in [(48, "of forty-eight"), (49, "of forty-nine!")] {
        let to = site.client_address(client);
        let reply = listener
            .wait_for("its reply", LIMIT, |frame| is_reply(family, frame, &to, text))
            .unwrap();
        assert_eq!(identifier(family, &reply), 7);
    }
    let connections = site.balancer.ctl_json(&["conn", "show"]).unwrap();
    let connections = connections.as_array().unwrap();
    assert_eq!(connections.len(), 2, "{connections:?}");
    assert_ne!(
        connections[0]["local_icmp_id"], connections[1]["local_icmp_id"],
        "{connections:?}"
    );
    site.assert_balanced();
}

fn req_icmp_27_without_a_server_nobody_answers(family: Family) {
    let site = Site::create(family, Arms::Two, 1);
    serve(&site, family);
    let service = format!("{} {}", icmp(family), site.at(site.vip(), 0));
    for number in SERVERS {
        site.balancer
            .tell(&format!("server del {service} {}", site.server(number)));
    }
    let pings = ping(&site, &["-c", "3", "-i", "0.05", "-W", "1"]);
    assert_eq!(pings.answered, 0);
    assert_eq!(site.drops("service_no_server"), 3);
    site.assert_balanced();
}

fn req_icmp_38_and_39_answers_go_the_way_the_question_came(family: Family) {
    let with_service = Site::create(family, Arms::Two, 1);
    serve(&with_service, family);
    let without = Site::create(family, Arms::Two, 1);
    without.wait_for_addresses();
    for site in [&with_service, &without] {
        // The routes say that the client is a neighbour, whose MAC address is another.
        let mut listener = Listener::start(&site.client, "eth0").unwrap();
        let to = site.client_address(48);
        for (router, text) in [
            ("02:00:00:00:00:12", "by the first"),
            ("02:00:00:00:00:13", "by the other"),
        ] {
            site.client
                .send_frames("eth0", &[request(site, family, 48, router, text)])
                .unwrap();
            let reply = listener
                .wait_for("its reply", LIMIT, |frame| is_reply(family, frame, &to, text))
                .unwrap();
            let mac: Vec<u8> = router
                .split(':')
                .map(|octet| u8::from_str_radix(octet, 16).unwrap())
                .collect();
            assert_eq!(reply[..6], mac, "{router}");
        }
        std::thread::sleep(Duration::from_millis(10));
        site.assert_balanced();
    }
}

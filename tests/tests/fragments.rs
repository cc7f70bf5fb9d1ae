//! Packets longer than the usual frame: forwarded whole where they fit, in fragments where they do not and may be cut, put
//! together where they are for the gateway itself.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use tests::{Counters, Family, Interface, Listener, Pings, Primary, Privilege, TwoHosts, both_families};

const LIMIT: Duration = Duration::from_secs(60);
const JUMBO: u16 = 9000;
/// Bytes of a frame before its IP packet.
const ETHERNET: usize = 14;
/// The drivers under test: one takes a frame into one buffer, the other into as many as it takes.
const DEVICES: [fn(usize, &str) -> String; 2] = [
    |number, link| format!("net_af_packet{number},iface={link}"),
    |number, link| format!("net_pcap{number},rx_iface_in={link},tx_iface={link}"),
];

both_families! {
    jumbo_packets_are_forwarded_whole,
    jumbo_pings_to_the_gateway_are_answered,
    pings_in_fragments_to_the_gateway_are_answered,
    packets_for_a_narrower_link_get_there,
}

fn hosts(family: Family) -> TwoHosts {
    TwoHosts::create_for(Privilege::detect(), &[family]).unwrap()
}

/// A gateway over one kind of device, its links and the hosts with these MTUs.
fn start(hosts: &TwoHosts, family: Family, device: fn(usize, &str) -> String, mtus: [u16; 2]) -> Primary {
    let mut builder = hosts.portless("gw").memory_mb(384);
    for (number, (host, port)) in hosts.ends().into_iter().enumerate() {
        host.set_mtu("eth0", mtus[number]).unwrap();
        let address = [family.gateway_a(), family.gateway_b()][number];
        builder = builder.interface(
            Interface::device(port, &device(number, port))
                .address(&family.in_subnet(address))
                .mtu(mtus[number]),
        );
    }
    builder.start().unwrap()
}

fn ping(hosts: &TwoHosts, to: &str, words: &[&str]) -> Pings {
    let mut all = vec!["-i", "0.01", "-c", "20", "-W", "2"];
    all.extend(words);
    hosts.host_a.ping(to, &all, LIMIT).unwrap()
}

fn at_rest(primary: &Primary) -> Counters {
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    counters
}

fn jumbo_packets_are_forwarded_whole(family: Family) {
    for device in DEVICES {
        let hosts = hosts(family);
        let mut primary = start(&hosts, family, device, [JUMBO; 2]);
        for size in ["8000", "8952", "2100", "56"] {
            ping(&hosts, family.address_b(), &["-M", "do", "-s", size]).assert_all_answered();
        }
        let counters = at_rest(&primary);
        assert_eq!(counters.sum(|interface| interface.fragmented), 0);
        assert_eq!(counters.drops(), [].into(), "{counters:?}");
        assert!(primary.terminate().unwrap().success());
    }
}

fn jumbo_pings_to_the_gateway_are_answered(family: Family) {
    for device in DEVICES {
        let hosts = hosts(family);
        let mut primary = start(&hosts, family, device, [JUMBO; 2]);
        for address in [family.gateway_a(), family.gateway_b()] {
            ping(&hosts, address, &["-M", "do", "-s", "8000"]).assert_all_answered();
            // In fragments that are jumbo packets themselves.
            ping(&hosts, address, &["-s", "20000"]).assert_all_answered();
        }
        // What is dropped is quoted, whatever it lies in.
        let far = ping(&hosts, family.nowhere(), &["-s", "8000"]);
        assert_eq!(far.answered, 0);
        let counters = at_rest(&primary);
        assert_eq!(counters.sum(|interface| interface.echo_replies), 80);
        assert_eq!(counters.sum(|interface| interface.reassembled), 40);
        assert_eq!(counters.drops(), [("no_route", 20)].into(), "{counters:?}");
        assert_eq!(counters.sum(|interface| interface.icmp_errors), 20);
        assert!(primary.terminate().unwrap().success());
    }
}

fn pings_in_fragments_to_the_gateway_are_answered(family: Family) {
    let hosts = hosts(family);
    let mut primary = hosts.primary("gw").start().unwrap();
    let longest = family.choose("65507", "65527");
    for size in ["1473", "4000", longest] {
        for address in [family.gateway_a(), family.gateway_b()] {
            ping(&hosts, address, &["-s", size]).assert_all_answered();
        }
    }
    let counters = at_rest(&primary);
    assert_eq!(counters.sum(|interface| interface.echo_replies), 120);
    assert_eq!(counters.sum(|interface| interface.reassembled), 120);
    assert_eq!(counters.sum(|interface| interface.fragmented), 120);
    assert_eq!(counters.drops(), [].into(), "{counters:?}");
    assert!(primary.terminate().unwrap().success());
}

fn packets_for_a_narrower_link_get_there(family: Family) {
    for device in DEVICES {
        let hosts = hosts(family);
        let mut primary = start(&hosts, family, device, [JUMBO, 1500]);
        // IPv4 is cut on its way, the sender of IPv6 is told of the first and cuts the others itself.
        let told = family.choose(0, 1);
        let long = |count| {
            ping(
                &hosts,
                family.address_b(),
                &["-M", "dont", "-s", "8000", "-c", count],
            )
        };
        let first = long("1");
        assert_eq!(first.answered, 1 - told, "{first:?}");
        long("19").assert_all_answered();
        let counters = at_rest(&primary);
        let cut = family.choose(20, 0);
        assert_eq!(counters.sum(|interface| interface.fragmented), cut);
        assert_eq!(counters.sum(|interface| interface.fragments), 6 * cut);
        assert_eq!(counters.dropped("too_big"), u64::from(told), "{counters:?}");
        if family == Family::Ip4 {
            let pings = ping(&hosts, family.address_b(), &["-M", "do", "-s", "8000"]);
            assert_eq!(pings.answered, 0);
            let counters = at_rest(&primary);
            // Once told, the sender's kernel knows by itself.
            assert!(counters.dropped("too_big") >= 1, "{counters:?}");
            assert_eq!(
                counters.dropped("too_big"),
                counters.sum(|interface| interface.icmp_errors)
            );
        }
        assert!(primary.terminate().unwrap().success());
    }
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// The one's complement sum of RFC 1071, which is all ones over a right header.
fn sum(bytes: &[u8]) -> u32 {
    let total: u32 = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    (total & 0xffff) + (total >> 16)
}

#[test]
fn fragments_are_byte_for_byte_the_packet_that_was_cut() {
    let hosts = hosts(Family::Ip4);
    let primary = start(&hosts, Family::Ip4, DEVICES[0], [JUMBO, 1500]);
    ping(&hosts, TwoHosts::ADDRESS_B, &[]).assert_all_answered();
    let mut listener = Listener::start(&hosts.host_b, "eth0").unwrap();
    let gateway = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
    let data = "bytes(n * 7 % 251 for n in range(5000))";
    // Record route, which only the first has, and router alert, which all have; and a fragment from the middle of a packet.
    let options = "IPOption(bytes([7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0]))";
    let expressions = [
        format!(
            "Ether(dst='{gateway}')/IP(src='192.168.1.2', dst='192.168.2.2', id=77, options=[{options}])/UDP(sport=9, dport=9)/Raw({data})"
        ),
        format!(
            "Ether(dst='{gateway}')/IP(src='192.168.1.2', dst='192.168.2.2', id=78, flags='MF', frag=100, proto=17)/Raw({data})"
        ),
    ];
    let sent = hosts.host_a.send_frames("eth0", &expressions).unwrap().frames;
    for (number, sent) in sent.iter().enumerate() {
        let id = 77 + number;
        let is_last = |frame: &[u8]| u16_at(frame, 12) == 0x0800 && u16_at(frame, 18) == id;
        let end = |frame: &[u8]| {
            let header = usize::from(frame[14] & 15) * 4;
            (u16_at(frame, 20) & 0x1fff) * 8 + u16_at(frame, 16) - header
        };
        let header_len = usize::from(sent[14] & 15) * 4;
        let payload = &sent[ETHERNET + header_len..];
        let first_at = (u16_at(sent, 20) & 0x1fff) * 8;
        let complete = |frame: &[u8]| is_last(frame) && end(frame) == first_at + payload.len();
        listener.wait_for("the last fragment", LIMIT, complete).unwrap();
        let fragments: Vec<_> = listener
            .frames()
            .into_iter()
            .filter(|frame| is_last(frame))
            .collect();
        assert_eq!(fragments.len(), 4);
        let mut found = Vec::new();
        for (at, fragment) in fragments.iter().enumerate() {
            let (packet, header) = (&fragment[ETHERNET..], usize::from(fragment[14] & 15) * 4);
            assert!(packet.len() <= 1500);
            assert_eq!(u16_at(packet, 2), packet.len());
            assert_eq!(sum(&packet[..header]), 0xffff);
            assert_eq!((packet[8], packet[9]), (sent[22] - 1, sent[23]));
            assert_eq!(packet[12..20], sent[26..34]);
            let options: &[u8] = match (number, at) {
                // The gateway has written itself in before it cut.
                (0, 0) => &[7, 7, 8, 192, 168, 2, 1, 1, 148, 4, 0, 0],
                (0, _) => &[148, 4, 0, 0],
                _ => &[],
            };
            assert_eq!(&packet[20..header], options);
            assert_eq!((u16_at(packet, 6) & 0x1fff) * 8, first_at + found.len());
            found.extend_from_slice(&packet[header..]);
            let more = number == 1 || found.len() < payload.len();
            assert_eq!(packet[6] & 0x20 != 0, more);
        }
        assert_eq!(found, payload);
    }
    at_rest(&primary);
}

#[test]
fn fragments_that_overlap_are_dropped_and_copies_are_not_needed() {
    let hosts = hosts(Family::Ip4);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts, TwoHosts::GATEWAY_A, &[]).assert_all_answered();
    let gateway = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
    let fragments = |id: u32, order: &str| {
        format!(
            "(lambda f: [f[n] for n in {order}])(fragment(Ether(dst='{gateway}')/IP(src='192.168.1.2', dst='192.168.1.1', \
             id={id})/ICMP()/Raw(b'x' * 3000), fragsize=1000))"
        )
    };
    let overlap = format!(
        "[Ether(dst='{gateway}')/IP(src='192.168.1.2', dst='192.168.1.1', id=3, flags=1, frag=at, proto=1)/Raw(b'y' * 64) \
         for at in (0, 4, 12)]"
    );
    let six_copies = fragments(1, "(3, 1, 1, 0, 3, 2)");
    let backwards = fragments(2, "(3, 2, 1, 0)");
    let before = at_rest(&primary).sum(|interface| interface.echo_replies);
    hosts
        .host_a
        .send_frames("eth0", &[six_copies, backwards, overlap])
        .unwrap();
    let counters = at_rest(&primary);
    assert_eq!(counters.sum(|interface| interface.echo_replies) - before, 2);
    assert_eq!(counters.sum(|interface| interface.reassembled), 2);
    let expected = [("fragment_copy", 2), ("reassembly_overlap", 3)];
    assert_eq!(counters.drops(), expected.into(), "{counters:?}");
}

#[test]
fn a_flood_of_fragments_without_an_end_takes_no_more_than_there_is_and_is_forgotten() {
    const MOST: u64 = 64;
    let hosts = hosts(Family::Ip4);
    let primary = hosts.primary("gw").start().unwrap();
    ping(&hosts, TwoHosts::GATEWAY_A, &["-s", "4000"]).assert_all_answered();
    let used = |primary: &Primary| {
        let parts = primary.ctl_json(&["memory", "show"]).unwrap();
        let parts = parts.as_array().unwrap().clone();
        let pool = parts.into_iter().find(|part| part["part"] == "pool_packets");
        pool.unwrap()["used"].as_u64().unwrap()
    };
    let before = used(&primary);
    let gateway = hosts.gateway.mac(TwoHosts::PORT_A).unwrap();
    let flood = format!(
        "[Ether(dst='{gateway}')/IP(src='192.168.1.2', dst='192.168.1.1', id=n, flags=1, proto=17)/Raw(b'y' * 1400) \
         for n in range(2000)]"
    );
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();
    hosts.host_a.send_frames("eth0", &[flood]).unwrap();
    let counters = at_rest(&primary);
    assert_eq!(counters.sum(|interface| interface.waiting), MOST);
    assert_eq!(counters.dropped("reassembly_full"), 2000 - MOST);
    // Fragments are copied, so no buffer of the path is kept.
    assert!(used(&primary) < before + 512, "{} after {before}", used(&primary));
    // Who completes his packets is served still.
    ping(&hosts, TwoHosts::GATEWAY_A, &["-s", "4000"]).assert_all_answered();
    let time_exceeded = |frame: &[u8]| {
        frame.len() > 36 && u16_at(frame, 12) == 0x0800 && frame[23] == 1 && frame[34..36] == [11, 1]
    };
    let error = listener
        .wait_for("that fragments were given up", LIMIT, time_exceeded)
        .unwrap();
    // The fragment as it came.
    assert_eq!(error[ETHERNET + 28 + 6], 0x20);
    let counters = at_rest(&primary);
    assert_eq!(counters.sum(|interface| interface.waiting), 0);
    let given_up = counters.dropped("reassembly_timeout") + counters.dropped("reassembly_full");
    assert_eq!(given_up, 2000, "{counters:?}");
}

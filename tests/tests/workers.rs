//! Two workers on ports that have one queue each: each port's packets go to both, by flow, and those that belong together to one.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use packet::ethernet::EthernetHeader;
use packet::{EtherType, MacAddress};
use tests::{
    Family, Interface, Listener, Namespace, Primary, Privilege, Receiver, TwoHosts, both_families, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

both_families! {
    two_workers_forward_all_and_keep_the_order_of_flows,
    fragments_that_come_by_two_ports_are_joined_and_answered_where_the_first_came,
}

fn two_workers_forward_all_and_keep_the_order_of_flows(family: Family) {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
    let primary = hosts.primary("gw").workers(2).start().unwrap();
    let words = ["-i", "0.002", "-c", "500", "-W", "2"];
    let pings = hosts.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
    assert!(pings.all_answered(), "{pings:?}");

    // Both directions at a time: each worker receives from one port and hands over to the other's.
    let there = Receiver::start(
        &hosts.host_b,
        &family.socket(family.address_b(), 4789),
        16,
        40_000,
    )
    .unwrap();
    let back = Receiver::start(
        &hosts.host_a,
        &family.socket(family.address_a(), 4789),
        16,
        40_000,
    )
    .unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| back.send_from(&hosts.host_b, 64, 10_000).unwrap());
        there.send_from(&hosts.host_a, 64, 10_000).unwrap();
        other.join().unwrap();
    });
    for receiver in [there, back] {
        let total = receiver.report(LIMIT).unwrap().total;
        assert_eq!(
            (total.received, total.lost, total.duplicates, total.out_of_order),
            (40_000, 0, 0, 0)
        );
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();

    let workers = primary.ctl_json(&["worker", "show"]).unwrap();
    let workers = workers.as_array().unwrap();
    let available = std::thread::available_parallelism().unwrap().get();
    assert_eq!(workers.len(), available.min(2));
    let rx = counters.sum(|interface| interface.rx_packets);
    let count = |name: &str| {
        workers
            .iter()
            .map(|worker| worker[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        count("packets"),
        rx,
        "a packet that is handed over counts once: {workers:?}"
    );
    if workers.len() == 2 {
        for worker in workers {
            // Of 16 flows each way, and both ways of a flow.
            assert!(worker["packets"].as_u64().unwrap() > rx / 8, "{worker}");
            assert!(worker["handed_over"].as_u64().unwrap() > rx / 16, "{worker}");
        }
    }
}

/// A silent host on two links: of each echo request one fragment comes by the one and one by the other, now this first, now that.
fn fragments_that_come_by_two_ports_are_joined_and_answered_where_the_first_came(family: Family) {
    const REQUESTS: u64 = 40;
    const MACS: [&str; 2] = ["02:00:00:00:0a:02", "02:00:00:00:0b:02"];
    let privilege = Privilege::detect();
    let host = Namespace::create(privilege, "host").unwrap();
    let gateway = Namespace::create(privilege, "gateway").unwrap();
    let mut builder = Primary::builder(privilege, "gw").netns(&gateway).workers(2);
    for (number, port) in ["t0", "t1"].into_iter().enumerate() {
        host.connect(&format!("eth{number}"), &gateway, port).unwrap();
        let port = Interface::af_packet(port)
            .address(&format!("192.168.{number}.1/24"))
            .address(&format!("2001:db8:{number}::1/64"));
        builder = builder.interface(port);
    }
    let primary = builder.start().unwrap();
    primary.wait_for_addresses().unwrap();
    let answers = ["eth0", "eth1"].map(|link| Listener::start(&host, link).unwrap());
    let macs = ["t0", "t1"].map(|port| gateway.mac(port).unwrap());

    let whole = |id: u64| match family {
        Family::Ip4 => format!(
            "fragment(IP(src='192.168.0.2', dst='192.168.0.1', id={id})/ICMP(id={id}, seq=1)/(b'x' * 1000), 800)"
        ),
        Family::Ip6 => format!(
            "fragment6(IPv6(src='2001:db8::2', dst='2001:db8::1')/IPv6ExtHdrFragment(id={id})/\
             ICMPv6EchoRequest(id={id}, seq=1, data=b'x' * 1000), 880)"
        ),
    };
    // The first fragments of all by eth0 and the others by eth1, and then the other way round.
    for (round, (first, later)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let first_id = 100 * (round as u64 + 1);
        let frames = |link: usize, part: usize| {
            let ids = first_id..first_id + REQUESTS;
            let ether = format!("Ether(dst='{}', src='{}')", macs[link], MACS[link]);
            let frames: Vec<_> = ids.map(|id| format!("{ether}/{}[{part}]", whole(id))).collect();
            host.send_frames(&format!("eth{link}"), &frames).unwrap();
        };
        // Those that come last complete the packets, be they the first or not.
        if round == 0 {
            frames(first, 0);
            frames(later, 1);
        } else {
            frames(later, 1);
            frames(first, 0);
        }
    }
    for (link, listener) in answers.iter().enumerate() {
        let mac: MacAddress = MACS[link].parse().unwrap();
        let replies = |listener: &Listener| {
            let frames = listener.frames().into_iter();
            frames
                .filter(|frame| {
                    let (link, payload) = EthernetHeader::parse(frame).unwrap();
                    let is_reply = match link.ethertype {
                        EtherType::IPV4 => payload[9] == 1 && payload[20] == 0,
                        EtherType::IPV6 => payload[6] == 58 && payload[40] == 129,
                        _ => false,
                    };
                    is_reply && link.destination == mac
                })
                .count() as u64
        };
        wait_until("a reply to each request", LIMIT, || {
            Ok((replies(listener) >= REQUESTS).then_some(()))
        })
        .unwrap();
        assert_eq!(replies(listener), REQUESTS);
    }
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.sum(|interface| interface.waiting), 0);
    for port in ["t0", "t1"] {
        let of = counters.of(port).unwrap();
        assert_eq!((of.reassembled, of.echo_replies), (REQUESTS, REQUESTS), "{of:?}");
    }
}

//! The address of all routers of a subnet, RFC 4291 section 2.6.1, as a host on the link finds and asks it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::net::Ipv6Addr;
use std::time::Duration;

use packet::ethernet::EthernetHeader;
use packet::{EtherType, Ipv6, Protocol};
use tests::{Family, Listener, Privilege, TwoHosts};

const LIMIT: Duration = Duration::from_secs(30);
const ROUTERS: &str = "2001:db8:1::";
const OWN: &str = "2001:db8:1::1";

/// Whether a frame is an ICMPv6 message of this type from `source`; the message is looked at as well.
fn is_icmp6(frame: &[u8], source: &str, kind: u8, is_it: impl Fn(&[u8]) -> bool) -> bool {
    EthernetHeader::parse(frame).is_ok_and(|(link, payload)| {
        link.ethertype == EtherType::IPV6
            && Ipv6::parse(payload).is_ok_and(|ip| {
                ip.next_header() == Protocol::ICMPV6
                    && ip.source() == source.parse::<Ipv6Addr>().unwrap()
                    && ip.payload()[0] == kind
                    && is_it(ip.payload())
            })
    })
}

#[test]
fn a_host_finds_the_routers_of_its_link_and_is_answered_by_this_one() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[Family::Ip6]).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    primary.wait_for_addresses().unwrap();
    let mut listener = Listener::start(&hosts.host_a, "eth0").unwrap();

    // The host's own kernel asks the group for the address; the answer takes a second at most, and has no override flag.
    let routers: Ipv6Addr = ROUTERS.parse().unwrap();
    hosts
        .host_a
        .ping(ROUTERS, &["-c", "3", "-W", "3"], LIMIT)
        .unwrap();
    listener
        .wait_for("an advertisement of the anycast address", LIMIT, |frame| {
            is_icmp6(frame, OWN, 136, |message| {
                message[8..24] == routers.octets() && message[4] == 0xc0
            })
        })
        .unwrap();
    listener
        .wait_for("an echo reply from the gateway's own address", LIMIT, |frame| {
            is_icmp6(frame, OWN, 129, |_| true)
        })
        .unwrap();

    // From beyond the link as well; errors are the gateway's own, too.
    let frame = format!(
        "Ether(src='{}', dst='{}')/IPv6(src='2001:db8:1::2', dst='2001:db8:2::')/UDP(dport=9)/b'x'",
        hosts.host_a.mac("eth0").unwrap(),
        hosts.gateway.mac(TwoHosts::PORT_A).unwrap()
    );
    hosts.host_a.send_frames("eth0", &[frame]).unwrap();
    listener
        .wait_for(
            "port unreachable from the gateway's own address",
            LIMIT,
            |frame| is_icmp6(frame, OWN, 1, |message| message[1] == 4),
        )
        .unwrap();
    let routes = primary.ctl_json(&["route", "show"]).unwrap();
    let mut routes = routes.as_array().unwrap().iter();
    let route = routes.find(|route| route["prefix"] == format!("{ROUTERS}/128"));
    assert_eq!(route.unwrap()["kind"], "anycast");
    let explained = primary.ctl_json(&["route", "get", ROUTERS]).unwrap();
    let outcome = explained[0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("anycast"), "{outcome}");
    primary.counters_at_rest().unwrap().assert_balanced();
}

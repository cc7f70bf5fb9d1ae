//! Routes with several next hops, over real links: flows are shared, a next hop that goes takes none along, and comes back.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use tests::{
    Family, Interface, Listener, Namespace, NamespaceOptions, Primary, Privilege, TwoHosts, both_families,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);
/// Destinations that both routers have.
const SERVED: u32 = 24;

/// Host-a, and two routers behind which are the same destinations.
struct TwoRouters {
    hosts: TwoHosts,
    router_c: Namespace,
    family: Family,
}

impl TwoRouters {
    fn create(family: Family) -> Self {
        let hosts = TwoHosts::create_for(Privilege::detect(), &[family]).unwrap();
        let options = NamespaceOptions {
            ipv6: family == Family::Ip6,
            ..NamespaceOptions::default()
        };
        let router_c = Namespace::create_with(Privilege::detect(), "router-c", options).unwrap();
        router_c.connect("eth0", &hosts.gateway, "c0").unwrap();
        let two = Self {
            hosts,
            router_c,
            family,
        };
        two.router_c
            .add_address("eth0", &family.in_subnet(two.c()))
            .unwrap();
        let default = family.choose("0.0.0.0/0", "::/0");
        two.router_c.add_route(default, two.gateway_c()).unwrap();
        for number in 1..=SERVED {
            for router in [&two.hosts.host_b, &two.router_c] {
                router
                    .add_address("lo", &family.alone(&two.served(number)))
                    .unwrap();
            }
        }
        two
    }

    fn c(&self) -> &'static str {
        self.family.choose("192.168.3.2", "2001:db8:3::2")
    }

    fn gateway_c(&self) -> &'static str {
        self.family.choose("192.168.3.1", "2001:db8:3::1")
    }

    fn served(&self, number: u32) -> String {
        match self.family {
            Family::Ip4 => format!("10.9.9.{number}"),
            Family::Ip6 => format!("2001:db8:9:9::{number:x}"),
        }
    }

    fn start(&self) -> Primary {
        let interface = Interface::af_packet("c0").address(&self.family.in_subnet(self.gateway_c()));
        let prefix = self.family.choose("10.9.0.0/16", "2001:db8:9::/48");
        let route = format!(
            "[[route]]\nprefix = \"{prefix}\"\nnexthops = [{{ via = \"{}\" }}, {{ via = \"{}\" }}]\n",
            self.family.address_b(),
            self.c()
        );
        let primary = self.hosts.primary("gw").interface(interface).toml(&route);
        let primary = primary.start().unwrap();
        primary.wait_for_addresses().unwrap();
        primary
    }

    /// Pings every destination; how many answered.
    fn answered(&self) -> usize {
        let words = ["-c", "1", "-W", "5"];
        (1..=SERVED)
            .filter(|number| {
                let pings = self.hosts.host_a.ping(&self.served(*number), &words, LIMIT);
                pings.unwrap().all_answered()
            })
            .count()
    }

    /// Whether the second router is in service, as `route show` has it.
    fn c_serves(&self, primary: &Primary) -> bool {
        let routes = primary.ctl_json(&["route", "show"]).unwrap();
        let next_hops = routes
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|route| route["nexthops"].as_array())
            .flatten();
        next_hops
            .filter(|next_hop| next_hop["via"] == self.c())
            .any(|next_hop| next_hop["in_service"] == true)
    }
}

both_families! {
    a_next_hop_that_does_not_answer_leaves_service_and_comes_back,
}

fn a_next_hop_that_does_not_answer_leaves_service_and_comes_back(family: Family) {
    let two = TwoRouters::create(family);
    let primary = two.start();
    let at_c = Listener::start(&two.router_c, "eth0").unwrap();
    assert_eq!(two.answered(), SERVED as usize);
    let requests = |listener: &Listener| {
        let frames = listener.frames();
        let is_request = |frame: &&Vec<u8>| match frame.get(12..14) {
            Some([0x08, 0x00]) => frame.get(23) == Some(&1) && frame.get(34) == Some(&8),
            Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && frame.get(54) == Some(&128),
            _ => false,
        };
        frames.iter().filter(is_request).count()
    };
    let by_c = requests(&at_c);
    assert!(
        (1..SERVED as usize).contains(&by_c),
        "{by_c} of {SERVED} went by router-c"
    );

    // Router-c loses its address and so answers no more; the gateway is made to ask.
    let address = family.in_subnet(two.c());
    two.router_c.delete_address("eth0", &address).unwrap();
    let forget = ["neigh", "del", two.c(), "dev", "c0"];
    primary.ctl(&forget).unwrap().success().unwrap();
    let ping = ["-c", "1", "-W", "1"];
    wait_until("router-c is out of service", LIMIT, || {
        for number in 1..=SERVED {
            two.hosts.host_a.ping(&two.served(number), &ping, LIMIT)?;
            if !two.c_serves(&primary) {
                return Ok(Some(()));
            }
        }
        Ok(None)
    })
    .unwrap();
    assert_eq!(two.answered(), SERVED as usize, "all go by host-b");

    // It is asked by itself, without a packet for it.
    two.router_c.add_address("eth0", &address).unwrap();
    let default = family.choose("0.0.0.0/0", "::/0");
    // Linux took the route away with the address.
    drop(two.router_c.add_route(default, two.gateway_c()));
    wait_until("router-c is back in service", LIMIT, || {
        Ok(two.c_serves(&primary).then_some(()))
    })
    .unwrap();
    let before = requests(&at_c);
    assert_eq!(two.answered(), SERVED as usize);
    assert_eq!(
        requests(&at_c) - before,
        by_c,
        "its flows have come back, and no others"
    );
    primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn a_link_that_goes_down_takes_its_next_hops_out_of_service_at_once() {
    let two = TwoRouters::create(Family::Ip4);
    let primary = two.start();
    assert_eq!(two.answered(), SERVED as usize);
    primary
        .ctl(&["link", "set", "c0", "down"])
        .unwrap()
        .success()
        .unwrap();
    assert!(!two.c_serves(&primary));
    assert_eq!(two.answered(), SERVED as usize);
    primary
        .ctl(&["link", "set", "c0", "up"])
        .unwrap()
        .success()
        .unwrap();
    assert!(two.c_serves(&primary));
    assert_eq!(two.answered(), SERVED as usize);
}

#[test]
fn the_mtu_of_a_route_is_told_to_those_who_send_more() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    hosts.host_b.add_address("lo", "10.9.9.9/32").unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let add = ["route", "add", "10.9.0.0/16", "via", "192.168.2.2", "mtu", "1300"];
    primary.ctl(&add).unwrap().success().unwrap();
    let ping = |size: &str| {
        let words = ["-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", size];
        hosts
            .host_a
            .ping("10.9.9.9", &words, LIMIT)
            .unwrap()
            .all_answered()
    };
    assert!(ping("1272"));
    assert!(!ping("1273"));
    let learnt = hosts
        .host_a
        .run("which MTU host-a learnt", &["ip", "route", "get", "10.9.9.9"])
        .unwrap();
    assert!(learnt.stdout.contains("mtu 1300"), "{}", learnt.stdout);
    assert!(primary.counters_at_rest().unwrap().dropped("too_big") >= 1);
}

#[test]
fn senders_are_told_of_unreachable_and_prohibited_destinations() {
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    for (kind, prefix, address, says, counter) in [
        (
            "unreachable",
            "10.4.0.0/16",
            "10.4.1.1",
            "Destination Host Unreachable",
            "unreachable",
        ),
        (
            "prohibit",
            "10.5.0.0/16",
            "10.5.1.1",
            "Packet filtered",
            "prohibited",
        ),
    ] {
        primary
            .ctl(&["route", "add", kind, prefix])
            .unwrap()
            .success()
            .unwrap();
        let mut ping = hosts.host_a.command("ping");
        let output = ping.args(["-n", "-c", "1", "-W", "2", address]).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.contains(says), "{output}");
        assert_eq!(primary.counters_at_rest().unwrap().dropped(counter), 1);
    }
}

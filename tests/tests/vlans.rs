//! VLANs, and packets that leave by the port that they came in by, against scapy's frames. This kernel need not know VLANs.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use packet::ethernet::{EthernetHeader, VlanTags};
use packet::{EtherType, Ipv4, Ipv6, VlanTag};
use serde_json::Value;
use tests::{Interface, Listener, Namespace, Primary, PrimaryBuilder, Privilege};

const LIMIT: Duration = Duration::from_secs(20);
const MAC_A: &str = "02:00:00:00:0a:02";
const MAC_B: &str = "02:00:00:00:0b:02";

/// A gateway whose one port leads to a silent host that can be anybody.
struct OneArm {
    host: Namespace,
    gateway: Namespace,
}

impl OneArm {
    fn create() -> Self {
        let privilege = Privilege::detect();
        let host = Namespace::create(privilege, "host").unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        host.connect("eth0", &gateway, "t0").unwrap();
        Self { host, gateway }
    }

    fn primary(&self, port: Interface) -> PrimaryBuilder {
        Primary::builder(self.gateway.privilege(), "gw")
            .netns(&self.gateway)
            .interface(port)
    }

    fn mac(&self) -> String {
        self.gateway.mac("t0").unwrap()
    }

    /// Sends frames; gives what came back, as many, but for what went to everybody.
    fn exchange(&self, listener: &mut Listener, frames: &[String]) -> Vec<Vec<u8>> {
        let answers = |listener: &Listener| -> Vec<Vec<u8>> {
            let all = listener.frames().into_iter();
            all.filter(|frame| frame[0] & 1 == 0).collect()
        };
        let before = answers(listener).len();
        self.host.send_frames("eth0", frames).unwrap();
        tests::wait_until("as many frames as were sent", LIMIT, || {
            let all = answers(listener);
            Ok((all.len() >= before + frames.len()).then(|| all[before..].to_vec()))
        })
        .unwrap()
    }
}

fn tag(tpid: EtherType, vid: u16) -> VlanTag {
    VlanTag { tpid, tci: vid }
}

/// The tags, and what they lead to, of a frame from the gateway to `mac`.
fn parts(frame: &[u8], mac: &str) -> (VlanTags, EtherType, Vec<u8>) {
    let (link, payload) = EthernetHeader::parse(frame).unwrap();
    assert_eq!(link.destination.to_string(), mac);
    (link.tags, link.ethertype, payload.to_vec())
}

fn link_show(primary: &Primary, name: &str) -> Value {
    let shown = primary
        .ctl(&["--json", "link", "show", name])
        .unwrap()
        .success()
        .unwrap();
    serde_json::from_str::<Vec<Value>>(&shown.stdout)
        .unwrap()
        .remove(0)
}

#[test]
fn packets_go_from_one_vlan_of_a_port_to_another_with_one_tag_and_with_two() {
    let site = OneArm::create();
    let primary = site
        .primary(Interface::af_packet("t0"))
        .toml(
            "[[interface]]\nname = \"t0.100\"\nlink = \"t0\"\nid = 100\n\
             addresses = [\"192.168.1.1/24\", \"2001:db8:1::1/64\"]",
        )
        .neighbor("192.168.1.2", MAC_A, "t0.100")
        .neighbor("2001:db8:1::2", MAC_A, "t0.100")
        .start()
        .unwrap();
    // Two tags, made at run time.
    for words in [
        "link add link t0 proto 802.1ad id 200",
        "link add inner link t0.200 proto 802.1q id 7",
        "addr add 192.168.2.1/24 dev inner",
        "addr add 2001:db8:2::1/64 dev inner",
        &format!("neigh add 192.168.2.2 mac {MAC_B} dev inner"),
        &format!("neigh add 2001:db8:2::2 mac {MAC_B} dev inner"),
    ] {
        let words: Vec<_> = words.split_whitespace().collect();
        primary.ctl(&words).unwrap().success().unwrap();
    }
    let shown = link_show(&primary, "inner");
    assert_eq!(
        (
            &shown["parent"],
            &shown["vlan_protocol"],
            &shown["vlan_id"],
            &shown["mac"],
            &shown["link"]
        ),
        (
            &"t0.200".into(),
            &"802.1q".into(),
            &7.into(),
            &site.mac().into(),
            &"up".into()
        )
    );
    // Addresses are preferred after a second and announced, and two seconds later once more.
    primary.wait_for_addresses().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    primary.counters_at_rest().unwrap();

    let mac = site.mac();
    let mut listener = Listener::start(&site.host, "eth0").unwrap();
    let one = format!("Ether(dst='{mac}', src='{MAC_A}')/Dot1Q(vlan=100)");
    let two = format!("Ether(dst='{mac}', src='{MAC_B}')/Dot1AD(vlan=200)/Dot1Q(vlan=7)");
    let (q100, both) = (
        VlanTags::one(tag(EtherType::VLAN, 100)),
        VlanTags::two(tag(EtherType::SERVICE_VLAN, 200), tag(EtherType::VLAN, 7)),
    );
    let before = primary.counters().unwrap();
    let back = site.exchange(
        &mut listener,
        &[
            format!("{one}/IP(src='192.168.1.2', dst='192.168.2.2', ttl=9)/UDP(sport=1, dport=2)/b'q to ad'"),
            format!("{one}/IPv6(src='2001:db8:1::2', dst='2001:db8:2::2', hlim=9)/UDP(sport=1, dport=2)/b'q to ad'"),
            format!("{two}/IP(src='192.168.2.2', dst='192.168.1.2', ttl=9)/UDP(sport=1, dport=2)/b'ad to q'"),
            format!("{two}/IPv6(src='2001:db8:2::2', dst='2001:db8:1::2', hlim=9)/UDP(sport=1, dport=2)/b'ad to q'"),
        ],
    );
    for (frame, (mac, tags, ethertype, ending)) in back.iter().zip([
        (MAC_B, both, EtherType::IPV4, "q to ad"),
        (MAC_B, both, EtherType::IPV6, "q to ad"),
        (MAC_A, q100, EtherType::IPV4, "ad to q"),
        (MAC_A, q100, EtherType::IPV6, "ad to q"),
    ]) {
        let (found, kind, payload) = parts(frame, mac);
        assert_eq!((found, kind), (tags, ethertype));
        let hops = match kind {
            EtherType::IPV4 => Ipv4::parse(&payload).unwrap().ttl(),
            _ => Ipv6::parse(&payload).unwrap().hop_limit(),
        };
        assert_eq!(hops, 8);
        assert!(payload.ends_with(ending.as_bytes()), "{payload:02x?}");
    }
    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    let grown = |name: &str, counter: fn(&tests::InterfaceCounters) -> u64| {
        counter(counters.of(name).unwrap()) - counter(before.of(name).unwrap())
    };
    for (name, packets, passed_on) in [("t0", 4, 4), ("t0.100", 2, 0), ("t0.200", 2, 2), ("inner", 2, 0)] {
        assert_eq!(grown(name, |counted| counted.rx_packets), packets, "{name}");
        assert_eq!(grown(name, |counted| counted.tx_packets), packets, "{name}");
        assert_eq!(
            grown(name, |counted| counted.to_sub_interfaces),
            passed_on,
            "{name}"
        );
        assert_eq!(
            grown(name, |counted| counted.from_sub_interfaces),
            passed_on,
            "{name}"
        );
    }

    // What the gateway says itself has the tags as well: echo replies, errors, ARP and neighbour discovery.
    let back = site.exchange(
        &mut listener,
        &[
            format!("{two}/IP(src='192.168.2.2', dst='192.168.2.1')/ICMP(id=1, seq=2)/b'echo'"),
            format!("{two}/IPv6(src='2001:db8:2::2', dst='2001:db8:2::1')/ICMPv6EchoRequest(id=1, seq=2, data=b'echo')"),
            format!("{two}/IP(src='192.168.2.2', dst='192.168.1.2', ttl=1)/UDP(sport=1, dport=2)/b'late'"),
            format!("{two}/IPv6(src='2001:db8:2::2', dst='2001:db8:1::2', hlim=1)/UDP(sport=1, dport=2)/b'late'"),
            format!("{two}/ARP(op=1, hwsrc='{MAC_B}', psrc='192.168.2.2', pdst='192.168.2.1')"),
            format!(
                "{two}/IPv6(src='2001:db8:2::2', dst='2001:db8:2::1', hlim=255)/ICMPv6ND_NS(tgt='2001:db8:2::1')/\
                 ICMPv6NDOptSrcLLAddr(lladdr='{MAC_B}')"
            ),
        ],
    );
    let mut kinds: Vec<_> = back
        .iter()
        .map(|frame| {
            let (tags, kind, payload) = parts(frame, MAC_B);
            assert_eq!(tags, both);
            match kind {
                EtherType::IPV4 => format!("ICMP {}", payload[20]),
                EtherType::IPV6 => format!("ICMPv6 {}", payload[40]),
                _ => format!("ARP {}", payload[7]),
            }
        })
        .collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "ARP 2",
            "ICMP 0",
            "ICMP 11",
            "ICMPv6 129",
            "ICMPv6 136",
            "ICMPv6 3"
        ]
    );
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.of("inner").unwrap().echo_replies, 2);
    assert_eq!(counters.of("inner").unwrap().drops["ttl_expired"], 2);
    counters.assert_balanced();

    // Deleted, its VLAN is unknown; the other is as it was.
    primary
        .ctl(&["link", "del", "t0.200"])
        .unwrap()
        .success()
        .unwrap();
    let refused = primary.ctl(&["link", "del", "inner"]).unwrap();
    assert!(
        refused.stderr.contains("there is no interface 'inner'"),
        "{refused:?}"
    );
    let back = site.exchange(
        &mut listener,
        &[format!(
            "{one}/IP(src='192.168.1.2', dst='192.168.1.1')/ICMP(id=1, seq=2)/b'echo'"
        )],
    );
    assert_eq!(parts(&back[0], MAC_A).0, q100);
    site.host
        .send_frames(
            "eth0",
            &[format!(
                "{two}/IP(src='192.168.2.2', dst='192.168.1.2')/UDP()/b'x'"
            )],
        )
        .unwrap();
    let unknown = tests::wait_until("that the frame was dropped", LIMIT, || {
        let counters = primary.counters()?;
        Ok((counters.dropped("unknown_vlan") > 0).then_some(counters))
    });
    assert_eq!(unknown.unwrap().of("t0").unwrap().drops["unknown_vlan"], 1);
}

/// A silent host asks what nobody here answers: the kernel does, by the tap of the sub-interface, which knows of no tag.
#[test]
fn the_tap_of_a_sub_interface_is_untagged_for_the_kernel_and_tagged_on_the_wire() {
    let site = OneArm::create();
    let primary = site
        .primary(Interface::af_packet("t0"))
        .toml(
            "[[interface]]\nname = \"t0.100\"\nlink = \"t0\"\nid = 100\nmtu = 1400\n\
             addresses = [\"192.168.1.1/24\", \"2001:db8:1::1/64\"]\ntap = true",
        )
        .start()
        .unwrap();
    primary.wait_for_addresses().unwrap();
    let link = ["ip", "-json", "address", "show", "t0.100"];
    let link = site.gateway.run("looks at the tap", &link).unwrap();
    let tap = &link.json().unwrap()[0];
    assert_eq!((&tap["address"], &tap["mtu"]), (&site.mac().into(), &1400.into()));
    let addresses = tap["addr_info"].as_array().unwrap().iter();
    let addresses: Vec<_> = addresses.map(|info| info["local"].as_str().unwrap()).collect();
    assert!(
        ["192.168.1.1", "2001:db8:1::1"]
            .iter()
            .all(|own| addresses.contains(own)),
        "{addresses:?}"
    );
    assert_eq!(link_show(&primary, "t0.100")["tap"], "t0.100");
    assert_eq!(link_show(&primary, "t0")["tap"], Value::Null);

    let mac = site.mac();
    let mut listener = Listener::start(&site.host, "eth0").unwrap();
    let tagged = format!("Ether(dst='{mac}', src='{MAC_A}')/Dot1Q(vlan=100)");
    let q100 = VlanTags::one(tag(EtherType::VLAN, 100));
    let send = |frame: String| site.host.send_frames("eth0", &[frame]).unwrap();
    let mut heard = |expected: &str, is_it: &dyn Fn(EtherType, &[u8]) -> bool| {
        let is_so = |frame: &[u8]| {
            EthernetHeader::parse(frame)
                .is_ok_and(|(link, payload)| link.tags == q100 && is_it(link.ethertype, payload))
        };
        listener.wait_for(expected, LIMIT, is_so).unwrap();
    };
    // The kernel looks for whom to answer by itself, and gets to hear what it is answered.
    send(format!(
        "{tagged}/IP(src='192.168.1.2', dst='192.168.1.1')/UDP(sport=1, dport=9)/b'x'"
    ));
    heard("a question of the kernel", &|kind, payload| {
        kind == EtherType::ARP && payload[24..28] == [192, 168, 1, 2]
    });
    send(format!(
        "{tagged}/ARP(op=2, hwsrc='{MAC_A}', psrc='192.168.1.2', hwdst='{mac}', pdst='192.168.1.1')"
    ));
    heard("port unreachable, ICMP", &|kind, payload| {
        kind == EtherType::IPV4 && payload[9] == 1 && payload[20..22] == [3, 3]
    });
    send(format!(
        "{tagged}/IPv6(src='2001:db8:1::2', dst='2001:db8:1::1')/UDP(sport=1, dport=9)/b'x'"
    ));
    heard("a question of the kernel, ICMPv6", &|kind, payload| {
        kind == EtherType::IPV6 && payload[40] == 135 && payload[62..64] == [0, 2]
    });
    send(format!(
        "{tagged}/IPv6(src='2001:db8:1::2', dst='2001:db8:1::1', hlim=255)/ICMPv6ND_NA(R=0, S=1, O=1, tgt='2001:db8:1::2')/\
         ICMPv6NDOptDstLLAddr(lladdr='{MAC_A}')"
    ));
    heard("port unreachable, ICMPv6", &|kind, payload| {
        kind == EtherType::IPV6 && payload[40..42] == [1, 4]
    });
    // In fragments, of which none is the whole.
    send(format!(
        "[{tagged}/fragment for fragment in fragment(IP(src='192.168.1.2', dst='192.168.1.1', id=7)/UDP(sport=1, dport=8)/\
         (b'x' * 2000), 1000)]"
    ));
    heard("port unreachable for what came in fragments", &|kind, payload| {
        kind == EtherType::IPV4 && payload[20..22] == [3, 3] && payload[50..52] == [0, 8]
    });

    let counters = primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.of("t0").unwrap().drops["unknown_vlan"], 0);
    let shown = primary.ctl_json(&["counter", "show", "t0.100"]).unwrap();
    assert_eq!(shown[0]["tap_rx_packets"], 3, "{shown}");
    assert!(shown[0]["tap_tx_packets"].as_u64().unwrap() >= 5, "{shown}");
    let refused = primary.ctl(&["link", "del", "t0.100"]).unwrap();
    assert!(refused.stderr.contains("t0.100 has a tap"), "{refused:?}");
}

#[test]
fn packets_leave_by_the_port_that_they_came_in_by() {
    let site = OneArm::create();
    let port = Interface::af_packet("t0")
        .address("192.168.1.1/24")
        .address("2001:db8:1::1/64")
        .without_redirects();
    let primary = site
        .primary(port)
        .neighbor("192.168.1.3", MAC_B, "t0")
        .neighbor("2001:db8:1::3", MAC_B, "t0")
        .route("10.0.0.0/8", "192.168.1.3")
        .route("2001:db8:ffff::/48", "2001:db8:1::3")
        .start()
        .unwrap();
    primary.counters_at_rest().unwrap();
    let mac = site.mac();
    let mut listener = Listener::start(&site.host, "eth0").unwrap();
    let from = format!("Ether(dst='{mac}', src='{MAC_A}')");
    let sent = [
        format!("{from}/IP(src='192.168.1.2', dst='10.1.2.3', ttl=9)/UDP(sport=1, dport=2)/b'hairpin'"),
        format!(
            "{from}/IPv6(src='2001:db8:1::2', dst='2001:db8:ffff::1', hlim=9)/UDP(sport=1, dport=2)/b'hairpin'"
        ),
    ];
    for (frame, kind) in site
        .exchange(&mut listener, &sent)
        .iter()
        .zip([EtherType::IPV4, EtherType::IPV6])
    {
        let (tags, found, payload) = parts(frame, MAC_B);
        assert_eq!((tags, found), (VlanTags::NONE, kind));
        assert!(payload.ends_with(b"hairpin"), "{payload:02x?}");
    }
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

/// Two gateways with a trunk between them; a host behind each. What they need to know of each other they find out by ARP and
/// neighbour discovery in their VLANs.
#[test]
fn hosts_reach_each_other_over_a_trunk_of_two_gateways() {
    let privilege = Privilege::detect();
    let near = Namespace::create(privilege, "near").unwrap();
    let far = Namespace::create(privilege, "far").unwrap();
    near.connect("t0", &far, "t0").unwrap();
    let mut sites = Vec::new();
    for (number, other, gateway) in [(1, 2, &near), (2, 1, &far)] {
        let host = Namespace::behind(privilege, gateway, number).unwrap();
        let primary = Primary::builder(privilege, &format!("gw{number}"))
            .netns(gateway)
            .interface(Interface::af_packet("t0"))
            .interface(
                Interface::af_packet("h0")
                    .address(&format!("192.168.{number}.1/24"))
                    .address(&format!("2001:db8:{number}::1/64")),
            )
            .toml(&format!(
                "[[interface]]\nname = \"four\"\nlink = \"t0\"\nid = 4\nmtu = 1496\naddresses = [\"10.0.4.{number}/30\"]\n\
                 [[interface]]\nname = \"s\"\nlink = \"t0\"\nprotocol = \"802.1ad\"\nid = 66\nmtu = 1492\n\
                 [[interface]]\nname = \"six\"\nlink = \"s\"\nid = 6\naddresses = [\"2001:db8:6::{number}/64\"]"
            ))
            .route(&format!("192.168.{other}.0/24"), &format!("10.0.4.{other}"))
            .route(&format!("2001:db8:{other}::/64"), &format!("2001:db8:6::{other}"))
            .start()
            .unwrap();
        sites.push((host, primary));
    }
    for (_, primary) in &sites {
        primary.wait_for_addresses().unwrap();
    }
    for address in ["192.168.2.2", "2001:db8:2::2"] {
        for size in ["56", "1400"] {
            let words = ["-c", "20", "-i", "0.02", "-s", size, "-W", "2"];
            let pings = sites[0].0.ping(address, &words, LIMIT).unwrap();
            assert_eq!((pings.sent, pings.answered), (20, 20), "{address}, {size} bytes");
        }
    }
    // Put together by the far gateway, which answers in fragments, with the tags of the VLAN. Those of IPv4 were cut smaller on
    // their way; the sender of IPv6 is told once.
    for (address, told) in [("10.0.4.2", 0), ("2001:db8:6::2", 1)] {
        let words = ["-c", "20", "-i", "0.02", "-s", "4000", "-W", "2"];
        let pings = sites[0].0.ping(address, &words, LIMIT).unwrap();
        assert!(pings.answered >= pings.sent - told, "{address}: {pings:?}");
    }
    for (name, most) in [("four", 20), ("six", 19)] {
        let counters = sites[1].1.counters_at_rest().unwrap();
        assert!(counters.of(name).unwrap().reassembled >= most, "{counters:?}");
        assert!(counters.of(name).unwrap().fragmented >= most, "{counters:?}");
    }
    for (_, primary) in &sites {
        let counters = primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        for name in ["four", "six"] {
            assert!(counters.of(name).unwrap().rx_packets >= 40, "{counters:?}");
        }
        assert_eq!(counters.of("t0").unwrap().drops["unknown_vlan"], 0);
    }
}

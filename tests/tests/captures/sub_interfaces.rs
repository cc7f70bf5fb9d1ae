//! Sub-interfaces as captures and traces see them: as tcpdump sees VLAN devices.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use control::message::{CapturePoint, CaptureRequest};
use packet::EtherType;
use packet::ethernet::{EthernetHeader, VlanTags};
use tests::watch::Watched;
use tests::{Interface, Listener, Namespace, Primary, Privilege, Process, Recorded, wait_until};

use crate::{LIMIT, capture, finish};

const MAC: &str = "02:00:00:00:0a:02";

struct Site {
    // Ends before its namespaces do.
    primary: Primary,
    host: Namespace,
    gateway: Namespace,
}

impl Site {
    fn create() -> Self {
        let privilege = Privilege::detect();
        let host = Namespace::create(privilege, "host").unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        host.connect("eth0", &gateway, "t0").unwrap();
        let primary = Primary::builder(privilege, "gw")
            .netns(&gateway)
            .interface(Interface::af_packet("t0").address("192.168.0.1/24"))
            .toml(
                "[[interface]]\nname = \"t0.100\"\nlink = \"t0\"\nid = 100\naddresses = [\"192.168.1.1/24\"]",
            )
            .neighbor("192.168.0.2", MAC, "t0")
            .neighbor("192.168.1.2", MAC, "t0.100")
            .start()
            .unwrap();
        // Two tags, made at run time.
        for words in [
            "link add link t0 proto 802.1ad id 200",
            "link add inner link t0.200 proto 802.1q id 7",
            "addr add 192.168.2.1/24 dev inner",
            &format!("neigh add 192.168.2.2 mac {MAC} dev inner"),
        ] {
            let words: Vec<_> = words.split_whitespace().collect();
            primary.ctl(&words).unwrap().success().unwrap();
        }
        // Link-local addresses are preferred after a second and announced, and two seconds later once more.
        primary.wait_for_addresses().unwrap();
        thread::sleep(Duration::from_secs(3));
        primary.counters_at_rest().unwrap();
        Self {
            host,
            gateway,
            primary,
        }
    }

    /// An echo request on each interface, and an ARP request on t0.100; until all are answered.
    fn ask(&self) {
        let listener = Listener::start(&self.host, "eth0").unwrap();
        let mac = self.gateway.mac("t0").unwrap();
        let ether = format!("Ether(dst='{mac}', src='{MAC}')");
        let echo =
            |net: u8| format!("IP(src='192.168.{net}.2', dst='192.168.{net}.1')/ICMP(id=1, seq=2)/b'echo'");
        let frames = [
            format!("{ether}/{}", echo(0)),
            format!("{ether}/Dot1Q(vlan=100)/{}", echo(1)),
            format!(
                "{ether}/Dot1Q(vlan=100)/ARP(op=1, hwsrc='{MAC}', psrc='192.168.1.2', pdst='192.168.1.1')"
            ),
            format!("{ether}/Dot1AD(vlan=200)/Dot1Q(vlan=7)/{}", echo(2)),
        ];
        self.host.send_frames("eth0", &frames).unwrap();
        wait_until("all are answered", LIMIT, || {
            Ok((listener.frames().len() >= frames.len()).then_some(()))
        })
        .unwrap();
        // What left has been captured.
        self.primary.counters_at_rest().unwrap();
    }
}

/// Each packet's interface, the VLANs of its tags, and what it is, sorted.
fn told(packets: &[Recorded]) -> Vec<(&str, Vec<u16>, EtherType)> {
    let vlans = |tags: VlanTags| tags.iter().map(|tag| tag.vid()).collect::<Vec<_>>();
    let mut all: Vec<_> = packets
        .iter()
        .map(|packet| {
            let (header, _) = EthernetHeader::parse(&packet.data).unwrap();
            (packet.interface.as_str(), vlans(header.tags), header.ethertype)
        })
        .collect();
    all.sort_by_key(|(interface, vlans, kind)| (*interface, vlans.clone(), kind.0));
    all
}

#[test]
fn a_capture_on_a_sub_interface_sees_its_packets_without_the_tag() {
    let site = Site::create();
    let folder = tempfile::tempdir().unwrap();
    let start = |file: &str, words: &[&str]| capture(&site.primary, folder.path(), file, words);
    let (ip, arp) = (EtherType::IPV4, EtherType::ARP);
    let on = |name, vlans: &[u16], kind| (name, vlans.to_vec(), kind);
    let twice = |all: &[(&'static str, Vec<u16>, EtherType)]| -> Vec<_> {
        all.iter().flat_map(|one| [one.clone(), one.clone()]).collect()
    };
    let check = |(process, file): (Process, PathBuf), expected: Vec<_>| {
        assert_eq!(told(&finish(process, &file)), expected, "{}", file.display());
    };

    // There can be four captures at a time.
    let one = start("one", &["-i", "t0.100"]);
    let reply = "icmp[icmptype] == icmp-echoreply";
    let filtered = start("filtered", &["-i", "t0.100", "-f", reply]);
    let sent = start("sent", &["-i", "inner", "--direction", "tx"]);
    let service = start("service", &["-i", "t0.200"]);
    site.ask();
    check(one, twice(&[on("t0.100", &[], ip), on("t0.100", &[], arp)]));
    check(filtered, vec![on("t0.100", &[], ip)]);
    check(sent, vec![on("inner", &[], ip)]);
    check(service, twice(&[on("t0.200", &[7], ip)]));

    let port = start("port", &["-i", "t0"]);
    let both = start(
        "both",
        &["-i", "t0", "-i", "t0.100", "-f", "arp or (vlan and arp)"],
    );
    let any = start("any", &["-i", "any"]);
    let all = start("all", &[]);
    site.ask();
    check(
        port,
        twice(&[
            on("t0", &[], ip),
            on("t0", &[100], ip),
            on("t0", &[100], arp),
            on("t0", &[200, 7], ip),
        ]),
    );
    check(both, twice(&[on("t0", &[100], arp), on("t0.100", &[], arp)]));
    let once = twice(&[
        on("inner", &[], ip),
        on("t0", &[], ip),
        on("t0.100", &[], ip),
        on("t0.100", &[], arp),
    ]);
    check(any, once.clone());
    check(all, once);
    let counters = site.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.drops(), [].into());
}

#[test]
fn a_trace_on_a_sub_interface_takes_what_comes_in_by_it() {
    let site = Site::create();
    let start = ["trace", "start", "-i", "inner", "-f", "icmp"];
    site.primary.ctl(&start).unwrap().success().unwrap();
    site.ask();
    let shown = site.primary.ctl_json(&["trace", "show"]).unwrap();
    let interfaces: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| &trace["interface"])
        .collect();
    assert_eq!(interfaces, ["inner"], "{shown}");

    // One that is gone is refused by name.
    let delete = ["link", "del", "inner"];
    site.primary.ctl(&delete).unwrap().success().unwrap();
    let refused = site.primary.ctl(&start).unwrap();
    assert!(
        refused.stderr.contains("there is no interface 'inner'"),
        "{refused:?}"
    );
    let mut refused = site.primary.pdump(&["-i", "inner"]).unwrap().start().unwrap();
    assert_eq!(refused.wait(LIMIT).unwrap().code(), Some(1));
    let said = refused.stderr();
    assert!(said.contains("there is no interface 'inner'"), "{said}");
}

#[test]
fn a_drop_is_seen_without_the_tag_on_the_sub_interface_that_counts_it() {
    let site = Site::create();
    let drops = |names: &[&str]| {
        let watch = site.primary.watch(CaptureRequest {
            interfaces: names.iter().map(|&name| name.to_owned()).collect(),
            points: vec![CapturePoint::Drop],
            drop_reasons: vec!["no_route".to_owned()],
            ..CaptureRequest::default()
        });
        watch.unwrap()
    };
    let (own, all) = (drops(&["t0.100"]), drops(&[]));
    let ether = format!("Ether(dst='{}', src='{MAC}')", site.gateway.mac("t0").unwrap());
    let packet = |net: u8| format!("IP(src='192.168.{net}.2', dst='203.0.113.9')/UDP(dport=7)/b'lost'");
    let tagged = format!("{ether}/Dot1Q(vlan=100)/{}", packet(1));
    let plain = format!("{ether}/{}", packet(0));
    let frames = [&tagged, &plain, &tagged, &plain, &tagged].map(String::clone);
    site.host.send_frames("eth0", &frames).unwrap();
    site.primary.counters_at_rest().unwrap();
    let of = |packets: &[Watched]| -> Vec<(String, usize)> {
        let seen = packets.iter().filter(|packet| packet.data.ends_with(b"lost"));
        // Of IPv4 right behind the addresses, so there is no tag.
        seen.filter(|packet| packet.data[12..14] == [8, 0])
            .map(|packet| (packet.interface.clone(), packet.data.len()))
            .collect()
    };
    let length = 14 + 20 + 8 + 4;
    let (sub, port) = (("t0.100".to_owned(), length), ("t0".to_owned(), length));
    assert_eq!(of(&own.finish().unwrap().0), vec![sub.clone(); 3]);
    let expected = [&sub, &port, &sub, &port, &sub].map(Clone::clone);
    assert_eq!(of(&all.finish().unwrap().0), expected);
}

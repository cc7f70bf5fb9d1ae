//! Outer packets, byte for byte as scapy builds them, and taken apart as scapy built them.

use packet::ethernet::EthernetHeader;
use tests::{Interface, Listener, Namespace, Primary, Privilege};

use crate::site::LIMIT;

pub(crate) const MAC_A: &str = "02:00:00:00:0a:02";

/// A gateway whose one port leads to a silent host that is everybody: the other ends of tunnels, and those who send into them.
pub(crate) struct OneArm {
    // Ends before its namespaces do.
    pub(crate) primary: Primary,
    host: Namespace,
    _gateway: Namespace,
    listener: Listener,
    mac: String,
}

impl OneArm {
    /// With tunnels over both families to one other end, GRE with a key, and routes by each.
    pub(crate) fn create() -> Self {
        let privilege = Privilege::detect();
        let host = Namespace::create(privilege, "host").unwrap();
        let gateway = Namespace::create(privilege, "gateway").unwrap();
        host.connect("eth0", &gateway, "t0").unwrap();
        let mut builder = Primary::builder(privilege, "gw").netns(&gateway).interface(
            Interface::af_packet("t0")
                .address("192.0.2.1/24")
                .address("198.51.100.1/24")
                .address("2001:db8:9::1/64")
                .address("2001:db8:7::1/64")
                .without_redirects(),
        );
        for address in [
            "192.0.2.2",
            "192.0.2.3",
            "192.0.2.9",
            "198.51.100.2",
            "2001:db8:9::2",
            "2001:db8:9::9",
            "2001:db8:7::2",
        ] {
            builder = builder.neighbor(address, MAC_A, "t0");
        }
        let four = "local = \"192.0.2.1\"\nremote = \"192.0.2.2\"\nunnumbered = \"t0\"";
        let six = "local = \"2001:db8:9::1\"\nremote = \"2001:db8:9::2\"\nunnumbered = \"t0\"";
        let tunnels = [
            format!("[[tunnel]]\nname = \"four\"\nmode = \"ipip\"\n{four}"),
            format!("[[tunnel]]\nname = \"six\"\nmode = \"ipip\"\n{six}"),
            format!("[[tunnel]]\nname = \"gre\"\nmode = \"gre\"\n{four}"),
            format!("[[tunnel]]\nname = \"key\"\nmode = \"gre\"\nkey = 7\n{four}"),
            format!(
                "[[tunnel]]\nname = \"set\"\nmode = \"gre\"\nkey = 9\nttl = 255\ndf = \"set\"\ndscp = 10\n{four}"
            ),
            format!("[[tunnel]]\nname = \"gresix\"\nmode = \"gre\"\n{six}"),
        ];
        let routes = [
            ("9", "four"),
            ("8", "six"),
            ("7", "gre"),
            ("6", "key"),
            ("5", "set"),
            ("4", "gresix"),
        ];
        let routes = routes.map(|(number, tunnel)| {
            format!(
                "[[route]]\nprefix = \"10.{number}.0.0/16\"\ntunnel = \"{tunnel}\"\n\
                 [[route]]\nprefix = \"2001:db8:a{number}::/48\"\ntunnel = \"{tunnel}\""
            )
        });
        let text: Vec<_> = tunnels.into_iter().chain(routes).collect();
        let primary = builder.toml(&text.join("\n")).start().unwrap();
        primary.wait_for_addresses().unwrap();
        primary.counters_at_rest().unwrap();
        let listener = Listener::start(&host, "eth0").unwrap();
        let mac = gateway.mac("t0").unwrap();
        Self {
            primary,
            host,
            _gateway: gateway,
            listener,
            mac,
        }
    }

    /// Sends packets to the gateway, each an expression for what follows the link header.
    pub(crate) fn send(&self, packets: &[String]) {
        let frame = |packet| format!("Ether(dst='{}', src='{MAC_A}')/{packet}", self.mac);
        let frames: Vec<_> = packets.iter().map(frame).collect();
        self.host.send_frames("eth0", &frames).unwrap();
    }

    /// The packet that came from the gateway, is IP, and ends with this text.
    pub(crate) fn hears(&mut self, text: &str) -> Vec<u8> {
        self.heard(|packet| packet.ends_with(text.as_bytes()))
    }

    /// The first packet from the gateway of which this is so.
    pub(crate) fn heard(&mut self, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let payload = |frame: &[u8]| EthernetHeader::parse(frame).map(|(_, packet)| packet.to_vec());
        let found = self
            .listener
            .wait_for("a packet of the gateway", LIMIT, |frame| {
                payload(frame).is_ok_and(|packet| is_it(&packet))
            })
            .unwrap();
        payload(&found).unwrap()
    }

    /// The bytes of an expression.
    pub(crate) fn bytes(&self, packet: &str) -> Vec<u8> {
        let mut made = self.host.make_packets(&[packet.to_owned()]).unwrap();
        made.pop().unwrap()
    }
}

/// What differs by chance: identification of IPv4, flow label of IPv6.
fn leave_out_chance(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    } else {
        packet[1] &= 0xf0;
        packet[2..4].fill(0);
    }
}

#[test]
fn outer_packets_are_those_that_scapy_builds() {
    let mut site = OneArm::create();
    let v4 = "src='192.0.2.1', dst='192.0.2.2'";
    let v6 = "src='2001:db8:9::1', dst='2001:db8:9::2'";
    for (number, four, six) in [
        ("9", format!("IP({v4}, FLAGS, ttl=64, tos=CLASS)"), ""),
        ("8", format!("IPv6({v6}, hlim=64, tc=CLASS)"), ""),
        ("7", format!("IP({v4}, FLAGS, ttl=64, tos=CLASS)"), "GRE()/"),
        (
            "6",
            format!("IP({v4}, FLAGS, ttl=64, tos=CLASS)"),
            "GRE(key_present=1, key=7)/",
        ),
        (
            "5",
            format!("IP({v4}, flags='DF', ttl=254, tos=42)"),
            "GRE(key_present=1, key=9)/",
        ),
        ("4", format!("IPv6({v6}, hlim=64, tc=CLASS)"), "GRE()/"),
    ] {
        for (text, flags, class) in [("may be cut", "0", 0x02_u8), ("may not be", "'DF'", 0xba)] {
            let text = format!("{text} {number}");
            let inner = |ttl: u8| {
                format!(
                    "IP(src='198.51.100.2', dst='10.{number}.0.2', flags={flags}, tos={class}, ttl={ttl})/UDP(sport=1, dport=2)/b'{text}'"
                )
            };
            site.send(&[inner(9)]);
            let mut came = site.hears(&text);
            let outer = four
                .replace("FLAGS", &format!("flags={flags}"))
                .replace("CLASS", &class.to_string());
            let mut expected = site.bytes(&format!("{outer}/{six}{}", inner(8)));
            leave_out_chance(&mut came);
            leave_out_chance(&mut expected);
            assert_eq!(came, expected, "{text}");
        }
        let text = format!("six {number}");
        let inner = |hops: u8| {
            format!(
                "IPv6(src='2001:db8:7::2', dst='2001:db8:a{number}::2', tc=2, hlim={hops})/UDP(sport=1, dport=2)/b'{text}'"
            )
        };
        site.send(&[inner(9)]);
        let mut came = site.hears(&text);
        let outer = four.replace("FLAGS", "flags='DF'").replace("CLASS", "2");
        let mut expected = site.bytes(&format!("{outer}/{six}{}", inner(8)));
        leave_out_chance(&mut came);
        leave_out_chance(&mut expected);
        assert_eq!(came, expected, "{text}");
    }
    site.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn what_scapy_puts_in_comes_out() {
    let mut site = OneArm::create();
    let four = "IP(src='192.0.2.2', dst='192.0.2.1')";
    let six = "IPv6(src='2001:db8:9::2', dst='2001:db8:9::1')";
    let limit = "IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=b'\\x04')])";
    for (number, outer) in [
        four.to_owned(),
        six.to_owned(),
        format!("{four}/GRE()"),
        format!("{four}/GRE(key_present=1, key=7)"),
        format!("{four}/GRE(chksum_present=1, seqnum_present=1, sequence_number=5)"),
        format!("{four}/GRE(chksum_present=1, key_present=1, key=7, seqnum_present=1)"),
        format!("{six}/GRE()"),
        format!("{six}/{limit}"),
        "IP(src='192.0.2.2', dst='192.0.2.1', options=[IPOption_NOP()])".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let text = format!("number {number}");
        let inner = |ttl: u8| {
            format!("IP(src='10.9.0.2', dst='198.51.100.2', ttl={ttl})/UDP(sport=1, dport=2)/b'{text}'")
        };
        site.send(&[format!("{outer}/{}", inner(9))]);
        assert_eq!(site.hears(&text), site.bytes(&inner(8)), "{outer}");
        let text = format!("{text} of six");
        let inner = |hops: u8| {
            format!(
                "IPv6(src='2001:db8:a9::2', dst='2001:db8:7::2', hlim={hops})/UDP(sport=1, dport=2)/b'{text}'"
            )
        };
        site.send(&[format!("{outer}/{}", inner(9))]);
        assert_eq!(site.hears(&text), site.bytes(&inner(8)), "{outer}");
    }
    // In fragments, both families: the outer packet is whole before it is opened.
    for (outer, cut) in [
        (four, "fragment"),
        (
            "IPv6(src='2001:db8:9::2', dst='2001:db8:9::1')/IPv6ExtHdrFragment(id=5)",
            "fragment6",
        ),
    ] {
        let text = format!("whole by {cut}");
        let inner = |ttl: u8| {
            format!(
                "IP(src='10.9.0.2', dst='198.51.100.2', ttl={ttl})/UDP(sport=1, dport=2)/(b'y' * 1500 + b'{text}')"
            )
        };
        let size = if cut == "fragment" { 800 } else { 1280 };
        let frames = format!(
            "[Ether(dst='{}', src='{MAC_A}')/f for f in {cut}({outer}/{}, {size})]",
            site.mac,
            inner(9)
        );
        site.host.send_frames("eth0", &[frames]).unwrap();
        let came = site.heard(|packet| packet.ends_with(text.as_bytes()) && packet[0] == 0x45);
        assert!(came.ends_with(text.as_bytes()));
    }
    let counters = site.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.of("t0").unwrap().reassembled, 2);
    assert_eq!(counters.of("t0").unwrap().decapsulated, 20);
    let shown = site.primary.tell("stage show");
    assert!(shown.contains("decapsulated"), "{shown}");
}

//! What scapy's IPsec layer seals is opened here, and what is sealed here it opens; and what is refused is counted by its reason.

use std::{
    cell::RefCell,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Family, Interface, Namespace, Primary, Privilege, Process};

use crate::site::TRANSFORMS;

const LIMIT: Duration = Duration::from_secs(120);
const MAC: &str = "02:00:00:00:0a:02";
const GCM256: &str = "aes256gcm16";
const PEER: &str = include_str!("peer.py");

/// A gateway whose one port leads to the other ends of all its tunnels.
pub(crate) struct Peer {
    // Ends before its namespaces do.
    pub(crate) primary: Primary,
    scapy: RefCell<Process>,
    _host: Namespace,
    keys: TempDir,
    _gateway: Namespace,
}

/// What scapy sends by an SA over IPv4 without ESN.
pub(crate) fn sends(number: usize, spi: u32, packets: &[String]) -> Value {
    let mut case = case(Family::Ip4, number, spi, "send");
    case["packets"] = json!(packets);
    case
}

/// What scapy is to do by an SA without ESN and UDP.
pub(crate) fn case(over: Family, number: usize, spi: u32, what: &str) -> Value {
    json!({
        "do": what,
        "transform": TRANSFORMS[number].0,
        "key": key(number),
        "esn": false,
        "udp": false,
        "spi": spi,
        "peer": remote(over, number),
        "gateway": local(over),
    })
}

/// The end of a tunnel that is scapy's.
pub(crate) fn remote(over: Family, number: usize) -> String {
    over.choose(
        format!("192.0.2.{}", 10 + number),
        format!("2001:db8:9::{}", 10 + number),
    )
}

pub(crate) fn local(over: Family) -> &'static str {
    over.choose("192.0.2.1", "2001:db8:9::1")
}

fn key(number: usize) -> String {
    let (_, bytes) = TRANSFORMS[number];
    (0..bytes)
        .map(|at| format!("{:02x}", (at * 11 + number) as u8))
        .collect()
}

impl Peer {
    /// With a tunnel for each transform over each family.
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
                .address("2001:db8:7::1/64"),
        );
        // Behind no tunnel, and scapy's as well.
        for address in ["198.51.100.2", "2001:db8:7::2"] {
            builder = builder.neighbor(address, MAC, "t0");
        }
        let mut text = String::new();
        for over in Family::BOTH {
            for number in 0..TRANSFORMS.len() {
                let remote = remote(over, number);
                builder = builder.neighbor(&remote, MAC, "t0");
                let name = tunnel(over, number);
                let net = over.choose(number, 100 + number);
                text += &format!(
                    "[[tunnel]]\nname = \"{name}\"\nmode = \"esp\"\nlocal = \"{}\"\nremote = \"{remote}\"\nunnumbered = \"t0\"\n\
                     [[route]]\nprefix = \"10.{net}.0.0/16\"\ntunnel = \"{name}\"\n\
                     [[route]]\nprefix = \"2001:db8:a{net}::/48\"\ntunnel = \"{name}\"\n",
                    local(over)
                );
            }
        }
        let primary = builder.toml(&text).start().unwrap();
        primary.wait_for_addresses().unwrap();
        let mac = gateway.mac("t0").unwrap();
        let scapy = host
            .process("seals and opens", "/usr/bin/python3")
            .args(["-I", "-c", PEER, "eth0", &mac, MAC])
            .with_stdin()
            .start()
            .unwrap();
        Self {
            primary,
            scapy: RefCell::new(scapy),
            _host: host,
            keys: TempDir::new().unwrap(),
            _gateway: gateway,
        }
    }

    /// Installs SAs for both directions, the one that comes in with this SPI and the one that goes out with the next.
    pub(crate) fn install(&self, over: Family, number: usize, spi: u32, more: &str, inbound: &str) {
        self.install_each(over, number, spi, [&format!("{more} {inbound}"), more]);
    }

    /// The same, with more words for the one that comes in and for the one that goes out.
    pub(crate) fn install_each(&self, over: Family, number: usize, spi: u32, [inbound, outbound]: [&str; 2]) {
        let path = self.keys.path().join(format!("{number}"));
        fs::write(&path, key(number)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let (here, there) = (local(over), remote(over, number));
        let name = tunnel(over, number);
        let (transform, _) = TRANSFORMS[number];
        for (spi, ends, direction, more) in [
            (spi, format!("src {there} dst {here}"), "in", inbound),
            (spi + 1, format!("src {here} dst {there}"), "out", outbound),
        ] {
            self.primary.tell(&format!(
                "sa add spi {spi} {direction} {ends} tunnel {name} transform {transform} keys {} {more}",
                path.display()
            ));
        }
    }

    /// Has scapy do these.
    #[track_caller]
    pub(crate) fn does(&self, cases: &[Value]) {
        for case in cases {
            let answer = self
                .scapy
                .borrow_mut()
                .ask(&case.to_string(), "that it is done", LIMIT);
            let drops = || {
                self.primary
                    .counters()
                    .map(|counters| format!("{:?}", counters.drops()))
            };
            assert!(answer.is_ok(), "{answer:?} {:?}", drops());
        }
    }
}

fn number_of(transform: &str) -> usize {
    TRANSFORMS
        .iter()
        .position(|(name, _)| *name == transform)
        .unwrap()
}

/// An address of a family behind the other end of a tunnel.
pub(crate) fn inside(over: Family, number: usize, family: Family) -> String {
    let net = over.choose(number, 100 + number);
    family.choose(format!("10.{net}.0.2"), format!("2001:db8:a{net}::2"))
}

pub(crate) fn tunnel(over: Family, number: usize) -> String {
    format!("{}{number}", over.choose("four", "six"))
}

pub(crate) fn exchange(over: Family, number: usize, spi: u32, esn: bool, udp: bool) -> Value {
    let mut case = case(over, number, spi, "exchange");
    case["esn"] = esn.into();
    case["udp"] = udp.into();
    let [four, six] = Family::BOTH.map(|family| inside(over, number, family));
    case["inner"] = json!([[four, "198.51.100.1"], [six, "2001:db8:7::1"]]);
    case
}

#[test]
fn outer_headers_are_what_a_tunnel_says_by_now() {
    let peer = Peer::create();
    let mut cases = Vec::new();
    for over in Family::BOTH {
        let spi = over.choose(0x6000, 0x6100);
        peer.install(over, 2, spi, "", "");
        let name = tunnel(over, 2);
        peer.primary.tell(&format!("tunnel set {name} ttl 9 dscp 46"));
        let mut case = exchange(over, 2, spi, false, false);
        case["outer"] = json!([9, 46 << 2]);
        cases.push(case);
    }
    peer.does(&cases);
    peer.primary.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn each_refusal_is_counted_by_its_reason_and_the_window_is_still_right() {
    let peer = Peer::create();
    let selectors = "window 64 sel src 10.2.0.0/16 dst 198.51.100.0/24";
    let number = number_of(GCM256);
    assert_eq!(number, 2);
    peer.install(Family::Ip4, number, 0x4000, "", selectors);
    let inner = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'inside'";
    let seal = |words: &str| format!("seal({inner}, {words})");
    // Forged ones move no window: what is authentic comes through afterwards.
    for (reason, packets, count) in [
        ("esp_icv", vec![seal("1000, flip=-1"), seal("1001, flip=20")], 2),
        ("local_unhandled", vec![seal("100")], 1),
        ("esp_replayed", vec![seal("100"), seal("100")], 2),
        ("esp_old", vec![seal("36"), seal("1")], 2),
        ("local_unhandled", vec![seal("37"), seal("99"), seal("101")], 3),
        ("esp_spi", vec![seal("102, spi=0x5000")], 1),
        ("esp_source", vec![seal("103, source='192.0.2.99'")], 1),
        (
            "esp_malformed",
            vec![seal("104, cut=20"), seal("105, cut=23"), seal("106, cut=0")],
            3,
        ),
        (
            "esp_selector",
            vec![
                "seal(IP(src='10.3.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9), 107)".to_owned(),
                "seal(IPv6(src='2001:db8:a2::2', dst='2001:db8:7::1')/UDP(sport=1, dport=9), 108)".to_owned(),
            ],
            2,
        ),
    ] {
        let before = peer.primary.counters_at_rest().unwrap().dropped(reason);
        peer.does(&[sends(number, 0x4000, &packets)]);
        let counters = peer.primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        assert_eq!(
            counters.dropped(reason) - before,
            count,
            "{reason} {packets:?}: {:?}",
            counters.drops()
        );
    }
}

#[test]
fn without_a_window_authentic_packets_are_taken_as_often_as_they_come() {
    let peer = Peer::create();
    let number = number_of(GCM256);
    peer.install(Family::Ip4, number, 0x4000, "", "window 0");
    let seal = |words: &str| {
        let inner = "IP(src='10.2.0.2', dst='198.51.100.1')/UDP(sport=1, dport=9)/b'inside'";
        format!("seal({inner}, {words})")
    };
    let taken = ["100", "100", "1", "9000", "100", "1"].map(seal);
    let forged = ["100, flip=-1", "20000, flip=-1"].map(seal);
    peer.does(&[sends(number, 0x4000, &taken), sends(number, 0x4000, &forged)]);
    let counters = peer.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(
        ["local_unhandled", "esp_icv", "esp_replayed", "esp_old"].map(|reason| counters.dropped(reason)),
        [6, 2, 0, 0]
    );
    let sas = peer.primary.ctl_json(&["sa"]).unwrap();
    let inbound = sas.as_array().unwrap().iter().find(|sa| sa["direction"] == "in");
    let inbound = inbound.unwrap();
    assert_eq!(
        (&inbound["sequence"], &inbound["window"]),
        (&json!(9000), &json!(0))
    );
}

#[test]
fn what_is_longer_than_a_buffer_and_came_in_fragments_is_opened() {
    let peer = Peer::create();
    let number = 2;
    for over in Family::BOTH {
        let spi = over.choose(0x6000, 0x6010);
        peer.install(over, number, spi, "", "");
        let net = over.choose(number, 100 + number);
        let inner = format!("IP(src='10.{net}.0.2', dst='198.51.100.1', id=7)/UDP(sport=1, dport=9)");
        let lengths = [1900, 2000, 2100, 3000, 9000, 16_000];
        let packets: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| {
                let sealed = format!(
                    "association.encrypt({inner}/(b'x' * {length}), seq_num={})",
                    at + 1
                );
                match over {
                    Family::Ip4 => format!("IP(raw({sealed})).fragment(1400)"),
                    Family::Ip6 => format!("fragments6({sealed}, {at})"),
                }
            })
            .collect();
        let before = peer.primary.counters_at_rest().unwrap();
        let mut case = case(over, number, spi, "send");
        case["packets"] = json!(packets);
        peer.does(&[case]);
        let after = peer.primary.counters_at_rest().unwrap();
        after.assert_balanced();
        let unhandled = after.dropped("local_unhandled") - before.dropped("local_unhandled");
        assert_eq!(unhandled, lengths.len() as u64, "{over}: {:?}", after.drops());
        assert_eq!(after.dropped("esp_room"), 0);
    }
}

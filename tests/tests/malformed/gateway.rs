//! A primary between two silent hosts, and what it makes of one frame after the other.
//!
//! The hosts have no addresses: each frame that arrives was sent by a test, and the primary knows by its configuration where
//! they are.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use packet::{
    MacAddress, PacketBuilder,
    builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder},
    ipv6,
};
use serde_json::Value;
use tests::{Counters, Interface, Namespace, Primary, Privilege, Wire, wait_until};

use crate::{
    LIMIT,
    router::{ETHERNET, Router, sum, sum6, without_times},
};

pub(crate) const HOST_A_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x0a, 2]);
const HOST_B_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0x0b, 2]);
pub(crate) const HOST_A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
pub(crate) const GATEWAY_A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub(crate) const GATEWAY_B: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 1);
pub(crate) const HOST_B: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
pub(crate) const HOST_A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
pub(crate) const GATEWAY_A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
pub(crate) const HOST_B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
/// Behind host-b.
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 3);
/// Of the interface to host-b.
pub(crate) const MTU_B: u16 = 1400;

/// What is to become of a frame.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It leaves for host-b as a router has to send it on.
    Forwarded,
    /// It is dropped for this reason, and nobody is told.
    Dropped(&'static str),
    /// It is dropped for this reason, and its sender is told by an ICMP error of this type and code, with these four bytes.
    Told(&'static str, [u8; 2], [u8; 4]),
    /// An echo reply comes back from this address.
    Echo4(Ipv4Addr),
    Echo6(Ipv6Addr),
    /// An ARP reply comes back.
    ArpReply,
    /// A solicited neighbour advertisement comes back.
    Advertisement,
    /// The control thread has it, and there is nothing to be done.
    Taken,
}

/// A frame and what is to become of it.
pub(crate) struct Case {
    name: String,
    frame: Vec<u8>,
    outcome: Outcome,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, frame: Vec<u8>, outcome: Outcome) -> Self {
        Self {
            name: name.into(),
            frame,
            outcome,
        }
    }
}

/// The gateway.
pub(crate) struct Gateway {
    pub(crate) primary: Primary,
    wires: [Wire; 2],
    router: Router,
    /// Its MAC address towards host-a.
    pub(crate) mac: MacAddress,
    /// Its link-local address there.
    pub(crate) link_local: Ipv6Addr,
    _namespaces: [Namespace; 3],
}

impl Gateway {
    pub(crate) fn start() -> Self {
        let privilege = Privilege::detect();
        let namespaces =
            ["host-a", "host-b", "gateway"].map(|label| Namespace::create(privilege, label).unwrap());
        let [a, b, gateway] = &namespaces;
        a.connect("eth0", gateway, "a0").unwrap();
        b.connect("eth0", gateway, "b0").unwrap();
        let blackholes = "[[route]]\nprefix = \"10.66.0.0/16\"\nblackhole = true\n\
                          [[route]]\nprefix = \"2001:db8:66::/48\"\nblackhole = true\n";
        let mut builder = Primary::builder(privilege, "gw")
            .netns(gateway)
            .interface(
                Interface::af_packet("a0")
                    .address("192.168.1.1/24")
                    .address("2001:db8:1::1/64"),
            )
            .interface(
                Interface::af_packet("b0")
                    .address("192.168.2.1/24")
                    .address("2001:db8:2::1/64")
                    .mtu(MTU_B),
            )
            .route("10.1.0.0/16", &HOST_B.to_string())
            .route("2001:db8:b::/48", &HOST_B6.to_string())
            .toml(blackholes);
        for (address, mac, interface) in [
            (HOST_A.to_string(), HOST_A_MAC, "a0"),
            (HOST_A6.to_string(), HOST_A_MAC, "a0"),
            (HOST_B.to_string(), HOST_B_MAC, "b0"),
            (HOST_B6.to_string(), HOST_B_MAC, "b0"),
        ] {
            builder = builder.neighbor(&address, &mac.to_string(), interface);
        }
        let wires = [a, b].map(|host| Wire::open(host, "eth0").unwrap());
        let primary = builder.start().unwrap();
        let [mac, mac_out] =
            ["a0", "b0"].map(|port| gateway.mac(port).unwrap().parse::<MacAddress>().unwrap());
        let router = Router {
            mac_in: mac,
            mac_out,
            next: HOST_B_MAC,
            mtu: usize::from(MTU_B),
            address4: [GATEWAY_B, GATEWAY_A],
            leads4: |address| address == HOST_B || address.octets()[..2] == [10, 1],
            leads6: |address| address == HOST_B6 || address.segments()[..3] == [0x2001, 0xdb8, 0xb],
        };
        let link_local = settle(&primary);
        Self {
            primary,
            wires,
            router,
            mac,
            link_local,
            _namespaces: namespaces,
        }
    }

    /// A frame from host-a to the gateway.
    pub(crate) fn frame(&self) -> EthernetBuilder {
        PacketBuilder::ethernet(self.mac, HOST_A_MAC)
    }

    /// A frame from host-a to a group of the link.
    pub(crate) fn group(&self, group: Ipv6Addr) -> EthernetBuilder {
        PacketBuilder::ethernet(ipv6::multicast_mac(group), HOST_A_MAC)
    }

    /// An IPv4 packet that is forwarded.
    pub(crate) fn through4(&self) -> Ipv4Builder {
        self.frame().ipv4(HOST_A, FAR)
    }

    /// An IPv6 packet that is forwarded.
    pub(crate) fn through6(&self) -> Ipv6Builder {
        self.frame().ipv6(HOST_A6, FAR6)
    }

    /// An IPv4 packet for the gateway itself.
    pub(crate) fn to4(&self) -> Ipv4Builder {
        self.frame().ipv4(HOST_A, GATEWAY_A)
    }

    /// An IPv6 packet for the gateway itself.
    pub(crate) fn to6(&self) -> Ipv6Builder {
        self.frame().ipv6(HOST_A6, GATEWAY_A6)
    }

    /// Sends frame after frame, each once it is known what became of the one before.
    pub(crate) fn assert_all(&self, cases: &[Case]) {
        let mut before = self.primary.counters_at_rest().unwrap();
        let at_first = before.clone();
        let mut expected = BTreeMap::new();
        self.assert_silent("before the first frame");
        for case in cases {
            self.wires[0].send(&case.frame).unwrap();
            let after = self.settled(case, &before);
            let reason = match case.outcome {
                Outcome::Dropped(reason) | Outcome::Told(reason, ..) => Some(reason),
                _ => None,
            };
            if let Some(reason) = reason {
                *expected.entry(reason).or_insert(0) += 1;
            }
            let drops = drops_since(&before, &after);
            assert_eq!(
                drops,
                reason.map(|reason| (reason, 1)).into_iter().collect(),
                "{}",
                case.name
            );
            self.assert_seen(case);
            self.assert_silent(&case.name);
            before = after;
        }
        let at_last = self.primary.counters_at_rest().unwrap();
        assert_eq!(drops_since(&at_first, &at_last), expected);
        at_last.assert_balanced();
        println!("{} frames, dropped for {} reasons", cases.len(), expected.len());
    }

    /// The counters once the frame has come to its end.
    fn settled(&self, case: &Case, before: &Counters) -> Counters {
        let began = Instant::now();
        let is_dropped = matches!(case.outcome, Outcome::Dropped(_) | Outcome::Told(..));
        loop {
            let now = self.primary.counters().unwrap();
            let came = now.0[0].rx_packets - before.0[0].rx_packets;
            assert!(came <= 1, "{}: {came} frames came", case.name);
            let ended = came == 1 && now.came() == now.went();
            let is_late = began.elapsed() > Duration::from_secs(2);
            // What is malformed to the control thread was delivered to it before.
            if ended && (!is_dropped || !drops_since(before, &now).is_empty()) || is_late {
                assert!(ended, "{}: not at its end: {now:?}", case.name);
                return now;
            }
        }
    }

    /// Looks at what came out.
    fn assert_seen(&self, case: &Case) {
        let name = &case.name;
        let next = |wire: usize| {
            let began = Instant::now();
            while let Some(frame) = self.wires[wire].receive(Duration::from_secs(2)).unwrap() {
                if !is_chatter(&frame) {
                    return frame;
                }
                assert!(began.elapsed() < LIMIT, "{name}: only chatter");
            }
            panic!("{name}: nothing came out");
        };
        match case.outcome {
            Outcome::Forwarded => {
                let expected = self.router.forward(&case.frame);
                assert_eq!(Some(without_times(&next(1))), expected, "{name}");
            }
            Outcome::Dropped(_) | Outcome::Taken => {}
            Outcome::Told(_, kind, field) => self.assert_tells(case, &next(0), kind, field),
            Outcome::Echo4(from) => self.assert_echo(case, &next(0), from.into()),
            Outcome::Echo6(from) => self.assert_echo(case, &next(0), from.into()),
            Outcome::ArpReply => {
                let reply = next(0);
                assert_eq!(reply[..14], self.link_header([0x08, 0x06]), "{name}");
                assert_eq!(reply[20..22], [0, 2], "{name}: a reply");
                assert_eq!(
                    (&reply[22..28], &reply[28..32]),
                    (&self.mac.octets()[..], &GATEWAY_A.octets()[..]),
                    "{name}"
                );
            }
            Outcome::Advertisement => {
                let reply = next(0);
                assert_eq!(reply[..14], self.link_header([0x86, 0xdd]), "{name}");
                let (packet, message) = (&reply[14..], &reply[54..]);
                assert_eq!(
                    (packet[6], packet[7], message[0], message[4]),
                    (58, 255, 136, 0xe0),
                    "{name}"
                );
                assert_eq!(sum6(packet), 0xffff, "{name}");
                assert_eq!(
                    message[24..],
                    [&[2, 1], &self.mac.octets()[..]].concat(),
                    "{name}"
                );
            }
        }
    }

    fn link_header(&self, ethertype: [u8; 2]) -> Vec<u8> {
        [&HOST_A_MAC.octets(), &self.mac.octets(), &ethertype[..]].concat()
    }

    /// An ICMP error about the frame, valid and to its sender.
    fn assert_tells(&self, case: &Case, error: &[u8], kind: [u8; 2], field: [u8; 4]) {
        let name = &case.name;
        // No frame with a tag is answered by an error in these tests.
        let (frame, ethertype) = (&case.frame, [case.frame[12], case.frame[13]]);
        assert_eq!(error[..14], self.link_header(ethertype), "{name}");
        let (offended, packet) = (&frame[ETHERNET..], &error[ETHERNET..]);
        let message = if ethertype == [0x08, 0x00] {
            assert_eq!(
                (packet[0], packet[9], sum(&packet[..20])),
                (0x45, 1, 0xffff),
                "{name}"
            );
            assert_eq!(packet[12..16], GATEWAY_A.octets(), "{name}");
            assert_eq!(packet[16..20], offended[12..16], "{name}: to its sender");
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            assert_eq!(sum(&packet[20..total]), 0xffff, "{name}");
            assert!(total <= 576, "{name}: {total} bytes");
            &packet[20..total]
        } else {
            let total = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            assert_eq!(
                (packet[0] >> 4, packet[6], sum6(packet)),
                (6, 58, 0xffff),
                "{name}"
            );
            let from: [u8; 16] = packet[8..24].try_into().unwrap();
            assert!(
                [GATEWAY_A6, self.link_local].contains(&Ipv6Addr::from(from)),
                "{name}"
            );
            assert_eq!(packet[24..40], offended[8..24], "{name}: to its sender");
            assert!(total <= 1280, "{name}: {total} bytes");
            &packet[40..total]
        };
        assert_eq!((&message[..2], &message[4..8]), (&kind[..], &field[..]), "{name}");
        let quote = &message[8..];
        assert!(
            quote.len() >= 28.min(offended.len()) && offended.starts_with(quote),
            "{name}"
        );
    }

    /// The reply to the echo request in the frame, with the same data.
    fn assert_echo(&self, case: &Case, reply: &[u8], from: std::net::IpAddr) {
        let name = &case.name;
        let packet = &reply[ETHERNET..];
        match from {
            std::net::IpAddr::V4(from) => {
                assert_eq!(reply[..14], self.link_header([0x08, 0x00]), "{name}");
                let header = usize::from(packet[0] & 15) * 4;
                assert_eq!(
                    (sum(&packet[..header]), sum(&packet[header..])),
                    (0xffff, 0xffff),
                    "{name}"
                );
                assert_eq!(
                    (&packet[12..16], packet[header]),
                    (&from.octets()[..], 0),
                    "{name}"
                );
                assert!(case.frame.ends_with(&packet[header + 4..]), "{name}");
            }
            std::net::IpAddr::V6(from) => {
                assert_eq!(reply[..14], self.link_header([0x86, 0xdd]), "{name}");
                assert_eq!((sum6(packet), packet[6], packet[40]), (0xffff, 58, 129), "{name}");
                assert_eq!(packet[8..24], from.octets(), "{name}");
                assert!(case.frame.ends_with(&packet[44..]), "{name}");
            }
        }
    }

    /// Asserts that nothing came out but what a gateway says of its own accord.
    fn assert_silent(&self, after: &str) {
        for (number, wire) in self.wires.iter().enumerate() {
            while let Some(frame) = wire.receive(Duration::ZERO).unwrap() {
                assert!(
                    is_chatter(&frame),
                    "{after}: not looked for on link {number}: {frame:02x?}"
                );
            }
        }
    }
}

/// Requests and announcements of the gateway: ARP requests, neighbour solicitations, advertisements to all nodes.
pub(crate) fn is_chatter(frame: &[u8]) -> bool {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x06, rest @ ..] => rest.get(6..8) == Some(&[0, 1]),
        [0x33, 0x33, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, rest @ ..] => {
            matches!(rest.get(40), Some(135 | 136))
        }
        _ => false,
    }
}

fn drops_since<'a>(before: &Counters, after: &'a Counters) -> BTreeMap<&'a str, u64> {
    let before = before.drops();
    let drops = after.drops().into_iter();
    let since = drops.map(|(reason, packets)| (reason, packets - before.get(reason).copied().unwrap_or(0)));
    since.filter(|(_, packets)| *packets > 0).collect()
}

/// Waits until the gateway uses its IPv6 addresses; its link-local one towards host-a.
fn settle(primary: &Primary) -> Ipv6Addr {
    let addresses = wait_until("addresses in use", LIMIT, || {
        let addresses = primary.ctl_json(&["addr", "show"])?;
        let mut all = addresses.as_array().unwrap().iter();
        Ok(all
            .all(|address| address["state"] == "preferred")
            .then_some(addresses.clone()))
    })
    .unwrap();
    let mut all = addresses.as_array().unwrap().iter();
    all.find_map(|address| link_local(address, "a0")).unwrap()
}

/// The address of a row of `addr show`, if it is the link-local one of `interface`.
fn link_local(address: &Value, interface: &str) -> Option<Ipv6Addr> {
    let (address, _) = address["address"]
        .as_str()?
        .split_once('/')
        .filter(|_| address["interface"] == interface)?;
    address
        .parse()
        .ok()
        .filter(|address: &Ipv6Addr| address.is_unicast_link_local())
}

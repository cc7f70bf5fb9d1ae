//! Whole packets of clients and of servers, of each protocol and in each form, and errors about those of the others.

use std::net::IpAddr;

use packet::builder::{EthernetBuilder, Ipv4Builder, Ipv6Builder};
use packet::checksum::Sum;
use packet::tcp::TcpFlags;
use packet::{MacAddress, PacketBuilder, Protocol};
use tests::Family;

use crate::site::Site;

/// Ports, and identifiers, of each kind of connections that packets are about.
const FLOWS: u16 = 8;
const FIRST: u16 = 20_000;

/// A connection as the servers see it.
pub(crate) struct Seen {
    protocol: Protocol,
    local_port: u16,
    server: IpAddr,
}

/// Who talks to whom.
pub(crate) struct Sides {
    family: Family,
    pub(crate) client_link: [MacAddress; 2],
    server_link: [MacAddress; 2],
    pub(crate) client: IpAddr,
    vip: IpAddr,
    local: IpAddr,
}

impl Sides {
    pub(crate) fn of(site: &Site, family: Family) -> Self {
        let mac = |text: String| text.parse().unwrap();
        Self {
            family,
            client_link: [
                mac(site.balancer_mac("wan")),
                mac(site.client.mac("eth0").unwrap()),
            ],
            server_link: [
                mac(site.balancer_mac("lan")),
                mac(site.servers.mac("eth0").unwrap()),
            ],
            // Nobody who would end connections that he knows nothing of.
            client: site.client_address(60).parse().unwrap(),
            vip: site.vip().parse().unwrap(),
            local: site.local().parse().unwrap(),
        }
    }

    /// The connections of these packets.
    pub(crate) fn connections(&self, site: &Site) -> Vec<Seen> {
        let client = format!("{}/{}", self.client, self.family.choose(32, 128));
        let shown = site
            .balancer
            .ctl_json(&["conn", "show", "--client", &client, "--limit", "200"])
            .unwrap();
        let rows = shown.as_array().unwrap().iter();
        rows.map(|row| {
            let protocol = match row["protocol"].as_str().unwrap() {
                "tcp" => Protocol::TCP,
                "udp" => Protocol::UDP,
                _ => self.family.choose(Protocol::ICMP, Protocol::ICMPV6),
            };
            let port = row["local_port"].as_u64().or(row["local_icmp_id"].as_u64());
            Seen {
                protocol,
                local_port: port.unwrap() as u16,
                server: row["server_address"].as_str().unwrap().parse().unwrap(),
            }
        })
        .collect()
    }

    /// Whole packets of the client: of each protocol, and errors about what the service sent.
    pub(crate) fn of_clients(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let (client, vip) = (self.client, self.vip);
        for port in FIRST..FIRST + FLOWS {
            let segments = [(TcpFlags::SYN, 0), (TcpFlags::ACK, 40), (TcpFlags::ACK, 0)];
            for (flags, data) in segments {
                let body = segment(client, vip, (port, 80), flags, &[7; 40][..data]);
                frames.extend(self.each_way(self.client_link, client, vip, Protocol::TCP, &body));
            }
            let body = datagram(client, vip, (port, 53), b"a question");
            frames.extend(self.each_way(self.client_link, client, vip, Protocol::UDP, &body));
            let body = self.echo(client, vip, true, port);
            frames.extend(self.each_way(self.client_link, client, vip, self.icmp(), &body));
            let quoted = [
                (
                    Protocol::TCP,
                    segment(vip, client, (80, port), TcpFlags::ACK, b"page"),
                ),
                (Protocol::UDP, datagram(vip, client, (53, port), b"an answer")),
                (self.icmp(), self.echo(vip, client, false, port)),
            ];
            for (protocol, body) in quoted {
                let error = self.error(client, vip, &packet(vip, client, protocol, &body));
                frames.extend(self.each_way(self.client_link, client, vip, self.icmp(), &error));
            }
        }
        frames
    }

    /// Whole packets of servers: answers on these connections, and errors about what they were sent.
    pub(crate) fn of_servers(&self, connections: &[Seen]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for seen in connections {
            let (server, local, port) = (seen.server, self.local, seen.local_port);
            let (answer, question) = match seen.protocol {
                Protocol::TCP => (
                    segment(server, local, (80, port), TcpFlags::SYN.and(TcpFlags::ACK), &[]),
                    segment(local, server, (port, 80), TcpFlags::ACK, b"get"),
                ),
                Protocol::UDP => (
                    datagram(server, local, (53, port), b"an answer"),
                    datagram(local, server, (port, 53), b"a question"),
                ),
                _ => (
                    self.echo(server, local, false, port),
                    self.echo(local, server, true, port),
                ),
            };
            frames.extend(self.each_way(self.server_link, server, local, seen.protocol, &answer));
            let error = self.error(server, local, &packet(local, server, seen.protocol, &question));
            frames.extend(self.each_way(self.server_link, server, local, self.icmp(), &error));
        }
        frames
    }

    fn icmp(&self) -> Protocol {
        self.family.choose(Protocol::ICMP, Protocol::ICMPV6)
    }

    fn echo(&self, source: IpAddr, destination: IpAddr, asks: bool, identifier: u16) -> Vec<u8> {
        let kind = match (self.family, asks) {
            (Family::Ip4, true) => 8,
            (Family::Ip4, false) => 0,
            (Family::Ip6, true) => 128,
            (Family::Ip6, false) => 129,
        };
        let [high, low] = identifier.to_be_bytes();
        let message = [&[kind, 0, 0, 0, high, low, 0, 1], &b"some data"[..]].concat();
        self.summed(source, destination, message)
    }

    /// Says that nobody is at a port.
    fn error(&self, source: IpAddr, destination: IpAddr, quote: &[u8]) -> Vec<u8> {
        let start = self.family.choose([3, 3, 0, 0], [1, 4, 0, 0]);
        self.summed(source, destination, [&start, &[0; 4][..], quote].concat())
    }

    fn summed(&self, source: IpAddr, destination: IpAddr, mut message: Vec<u8>) -> Vec<u8> {
        let sum = match self.family {
            Family::Ip4 => Sum::ZERO,
            Family::Ip6 => pseudo(source, destination, Protocol::ICMPV6, message.len()),
        };
        let sum = sum.bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    /// A packet plain, with options, in two fragments and with tags.
    fn each_way(
        &self,
        [to, from]: [MacAddress; 2],
        source: IpAddr,
        destination: IpAddr,
        protocol: Protocol,
        body: &[u8],
    ) -> Vec<Vec<u8>> {
        let plain = || PacketBuilder::ethernet(to, from);
        let four = |frame: EthernetBuilder| match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(frame.ipv4(source, destination)),
            _ => None,
        };
        let six = |frame: EthernetBuilder| match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(frame.ipv6(source, destination)),
            _ => None,
        };
        let (first, second) = body.split_at(16.min(body.len()));
        let fours = [
            (four(plain()), body),
            (four(plain()), body),
            (
                four(plain()).map(|packet| packet.options(&[7, 7, 4, 0, 0, 0, 0, 0])),
                body,
            ),
            (
                four(plain()).map(|packet| packet.identification(9).fragment(0, true)),
                first,
            ),
            (
                four(plain()).map(|packet| packet.identification(9).fragment(16, false)),
                second,
            ),
            (four(plain().vlan(0)), body),
        ];
        let sixes = [
            (six(plain()), body),
            (six(plain()), body),
            (
                six(plain()).map(|packet| packet.destination_options(&[1, 2, 0, 0])),
                body,
            ),
            (six(plain()).map(|packet| packet.hop_by_hop(&[1, 2, 0, 0])), body),
            (six(plain()).map(|packet| packet.fragment(0, true, 9)), first),
            (six(plain()).map(|packet| packet.fragment(16, false, 9)), second),
            (six(plain().vlan(0)), body),
        ];
        let end4 = |(packet, body): (Option<Ipv4Builder>, &[u8])| Some(packet?.payload(protocol, body));
        let end6 = |(packet, body): (Option<Ipv6Builder>, &[u8])| Some(packet?.payload(protocol, body));
        let fours = fours.into_iter().filter_map(end4);
        fours.chain(sixes.into_iter().filter_map(end6)).collect()
    }
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: Protocol, length: usize) -> Sum {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::ZERO.pseudo_header(source, destination, protocol, length as u16)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::ZERO.pseudo_header(source, destination, protocol, length as u16)
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
}

/// A packet without a link header.
fn packet(source: IpAddr, destination: IpAddr, protocol: Protocol, body: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source, destination).payload(protocol, body)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source, destination).payload(protocol, body)
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
}

fn datagram(source: IpAddr, destination: IpAddr, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let mut body = [ports.0, ports.1, length, 0].map(u16::to_be_bytes).concat();
    body.extend_from_slice(data);
    let sum = pseudo(source, destination, Protocol::UDP, body.len());
    let sum = sum.bytes(&body).checksum();
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    body
}

/// A segment; one that synchronises has the options that hosts send, others a time stamp.
fn segment(source: IpAddr, destination: IpAddr, ports: (u16, u16), flags: TcpFlags, data: &[u8]) -> Vec<u8> {
    let options: &[u8] = if flags.has(TcpFlags::SYN) {
        &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7]
    } else {
        &[1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8]
    };
    let (sequence, acknowledged, window) = (1000_u32, 2000_u32, 64_240_u16);
    let mut body = [ports.0, ports.1].map(u16::to_be_bytes).concat();
    body.extend([sequence, acknowledged].map(u32::to_be_bytes).concat());
    body.extend([(20 + options.len()) as u8 / 4 * 16, flags.0]);
    body.extend([window, 0, 0].map(u16::to_be_bytes).concat());
    body.extend_from_slice(options);
    body.extend_from_slice(data);
    let sum = pseudo(source, destination, Protocol::TCP, body.len());
    let sum = sum.bytes(&body).checksum();
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    body
}

//! What a packet is, in a line's worth of words.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::Ipv6Addr;

use packet::arp::Operation;
use packet::icmpv4::EchoKind;
use packet::ipv4::Ipv4Error;
use packet::tcp::TcpFlags;
use packet::{Arp, EtherType, EthernetHeader, Icmpv4, Ipv4, Protocol, Tcp, Udp, icmpv4, ipv4, tcp, udp};

/// Bytes of an IPv6 header (RFC 8200 section 3).
const IPV6_HEADER_LEN: usize = 40;

/// The longest packet that a length field of IPv4 can speak of.
const LONGEST: usize = 65_535;

/// What becomes of a header that is not all there.
const CUT: &str = "cut short";

/// Describes a frame of which `frame` are the first bytes and that had `wire_length` bytes.
pub fn summary(frame: &[u8], wire_length: u32) -> String {
    let Ok((header, payload)) = EthernetHeader::parse(frame) else {
        return format!("ethernet header {CUT}, length {wire_length}");
    };
    let tags: String = header
        .tags
        .iter()
        .map(|tag| format!("vlan {}, ", tag.vid()))
        .collect();
    let payload_length = (wire_length as usize).saturating_sub(header.len());
    let told = match header.ethertype {
        EtherType::IPV4 => ipv4(payload, payload_length).map_err(|why| format!("ipv4 ({why})")),
        EtherType::IPV6 => ipv6(payload).map_err(|why| format!("ipv6 ({why})")),
        EtherType::ARP => arp(payload).map_err(|why| format!("arp ({why})")),
        EtherType::LLDP => Err("lldp".to_owned()),
        // Below 0x0600 it is a length (IEEE 802.3 section 3.2.6).
        EtherType(length @ ..0x0600) => Err(format!("802.3 frame of {length} bytes")),
        other => Err(format!("ethertype {other}")),
    };
    let told = told.unwrap_or_else(|what| format!("{} > {}: {what}", header.source, header.destination));
    format!("{tags}{told}, length {wire_length}")
}

fn arp(payload: &[u8]) -> Result<String, String> {
    let arp = Arp::parse(payload).map_err(sentence)?;
    Ok(match arp.operation {
        Operation::Request => format!("arp who-has {} tell {}", arp.target_address, arp.sender_address),
        Operation::Reply => format!("arp reply {} is-at {}", arp.sender_address, arp.sender_mac),
    })
}

fn ipv6(payload: &[u8]) -> Result<String, String> {
    let header = payload.first_chunk::<IPV6_HEADER_LEN>().ok_or(CUT)?;
    if header[0] >> 4 != 6 {
        return Err("the version of the header is not 6".to_owned());
    }
    let (_, addresses) = header.split_at(8);
    let address = |bytes: &[u8]| bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
    let (source, destination) = addresses.split_at(16);
    let (source, destination) = address(source).zip(address(destination)).ok_or(CUT)?;
    Ok(format!("{source} > {destination}: {}", next_header(header[6])))
}

/// What follows an IPv6 header: as for IPv4, or what exists for IPv6 alone (RFC 8200 section 4).
fn next_header(number: u8) -> Cow<'static, str> {
    match number {
        0 => "hop-by-hop options".into(),
        43 => "routing header".into(),
        44 => "fragment".into(),
        58 => "icmp6".into(),
        59 => "no next header".into(),
        60 => "destination options".into(),
        other => protocol(Protocol(other)).into(),
    }
}

/// Describes a packet of which `captured` are the first bytes, and that had `length` bytes with padding.
fn ipv4(captured: &[u8], length: usize) -> Result<String, String> {
    let header_length = captured.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if captured.len() < header_length.max(ipv4::HEADER_LEN) {
        return Err(CUT.to_owned());
    }
    // What the snapshot left out is made up as zeros, so that lengths fit. Nothing of it is shown.
    let mut whole = Cow::Borrowed(captured);
    if captured.len() < length {
        whole.to_mut().resize(length.min(LONGEST).max(captured.len()), 0);
    }
    let packet = Ipv4::parse(&whole).map_err(|error| match error {
        Ipv4Error::Checksum => "header checksum wrong".to_owned(),
        other => sentence(other),
    })?;
    let addresses = (packet.source(), packet.destination());
    let plain = |what: String| format!("{} > {}: {what}", addresses.0, addresses.1);
    let name = protocol(packet.protocol());
    if packet.is_fragment() {
        let more = if packet.more_fragments() { "+" } else { "" };
        return Ok(plain(format!(
            "{name} fragment, id {}, offset {}{more}",
            packet.identification(),
            packet.fragment_offset()
        )));
    }
    let there = captured.len() - packet.header_len();
    let ports = |from: u16, to: u16, what: String| {
        let (source, destination) = addresses;
        format!("{source}.{from} > {destination}.{to}: {what}")
    };
    let needed = match packet.protocol() {
        Protocol::ICMP => icmpv4::HEADER_LEN,
        Protocol::UDP => udp::HEADER_LEN,
        Protocol::TCP => tcp::HEADER_LEN,
        _ => return Ok(plain(name)),
    };
    if there < needed {
        return Ok(plain(format!("{name} ({CUT})")));
    }
    Ok(match packet.protocol() {
        Protocol::ICMP => match Icmpv4::parse(packet.payload()) {
            Ok(message) => plain(icmp(&message)),
            Err(error) => plain(format!("{name} ({})", sentence(error))),
        },
        Protocol::UDP => match Udp::parse(packet.payload()) {
            Ok(datagram) => ports(datagram.source_port(), datagram.destination_port(), name),
            Err(error) => plain(format!("{name} ({})", sentence(error))),
        },
        _ => match Tcp::parse(packet.payload()) {
            Ok(segment) => ports(
                segment.source_port(),
                segment.destination_port(),
                format!(
                    "{name} {}, seq {}, ack {}, win {}",
                    flags(segment.flags()),
                    segment.sequence(),
                    segment.acknowledgment(),
                    segment.window()
                ),
            ),
            Err(error) => plain(format!("{name} ({})", sentence(error))),
        },
    })
}

fn icmp(message: &Icmpv4<'_>) -> String {
    if let Some(echo) = message.echo() {
        let kind = match echo.kind {
            EchoKind::Request => "request",
            EchoKind::Reply => "reply",
        };
        return format!("icmp echo {kind}, id {}, seq {}", echo.identifier, echo.sequence);
    }
    // RFC 792; the codes detail these.
    let kind = match message.message_type() {
        3 => "destination unreachable",
        5 => "redirect",
        11 => "time exceeded",
        12 => "parameter problem",
        other => return format!("icmp type {other}, code {}", message.code()),
    };
    format!("icmp {kind}, code {}", message.code())
}

/// Flags as tcpdump writes them: `[S.]`.
fn flags(flags: TcpFlags) -> String {
    let letters = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
    ];
    let set = letters.into_iter().filter(|(flag, _)| flags.has(*flag));
    let set: String = set.map(|(_, letter)| letter).collect();
    format!("[{set}]")
}

/// The name of a protocol, or its number.
fn protocol(protocol: Protocol) -> String {
    let name = protocol.to_string();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("protocol {name}")
    } else {
        name
    }
}

fn sentence(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use packet::builder::{EthernetBuilder, Ipv4Builder};
    use packet::tcp::TcpHeader;
    use packet::{MacAddress, PacketBuilder, VlanTag};
    use proptest::prelude::*;

    const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn ethernet() -> EthernetBuilder {
        PacketBuilder::ethernet(HERE, THERE)
    }

    fn ip() -> Ipv4Builder {
        ethernet().ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
    }

    fn told(frame: &[u8]) -> String {
        summary(frame, u32::try_from(frame.len()).unwrap())
    }

    fn segment() -> Vec<u8> {
        let header = TcpHeader {
            source_port: 1024,
            destination_port: 80,
            sequence: 7,
            acknowledgment: 9,
            flags: TcpFlags::SYN.and(TcpFlags::ACK),
            window: 512,
        };
        ip().tcp(&header, b"hello")
    }

    #[test]
    fn each_protocol_shows_what_one_looks_for() {
        let request = Arp::request(THERE, [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for (frame, expected) in [
            (
                ip().echo_reply(5, 6, b"x"),
                "10.0.0.1 > 10.0.0.2: icmp echo reply, id 5, seq 6, length 43",
            ),
            (
                ip().udp(500, 4500, b"ike"),
                "10.0.0.1.500 > 10.0.0.2.4500: udp, length 45",
            ),
            (
                segment(),
                "10.0.0.1.1024 > 10.0.0.2.80: tcp [S.], seq 7, ack 9, win 512, length 59",
            ),
            (
                ip().payload(Protocol::ESP, &[0; 8]),
                "10.0.0.1 > 10.0.0.2: esp, length 42",
            ),
            (
                ip().payload(Protocol(200), &[]),
                "10.0.0.1 > 10.0.0.2: protocol 200, length 34",
            ),
            (
                ip().payload(Protocol::ICMP, &[3, 1, 0, 0, 0, 0, 0, 0]),
                "10.0.0.1 > 10.0.0.2: icmp destination unreachable, code 1, length 42",
            ),
            (
                ethernet().arp(&request),
                "arp who-has 10.0.0.2 tell 10.0.0.1, length 42",
            ),
            (
                ethernet().arp(&request.reply(HERE)),
                "arp reply 10.0.0.2 is-at 02:00:00:00:00:01, length 42",
            ),
            (
                ethernet().payload(EtherType(0x88b5), b"abc"),
                "02:00:00:00:00:02 > 02:00:00:00:00:01: ethertype 0x88b5, length 17",
            ),
            (
                ethernet().payload(EtherType(3), b"abc"),
                "02:00:00:00:00:02 > 02:00:00:00:00:01: 802.3 frame of 3 bytes, length 17",
            ),
        ] {
            assert_eq!(told(&frame), expected);
        }
    }

    #[test]
    fn tags_come_first() {
        let tagged = ethernet().tag(VlanTag::new(100)).tag(VlanTag::new(7));
        let frame = tagged
            .ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
            .udp(1, 2, b"");
        assert_eq!(
            told(&frame),
            "vlan 100, vlan 7, 10.0.0.1.1 > 10.0.0.2.2: udp, length 50"
        );
    }

    #[test]
    fn ipv6_shows_addresses_and_what_follows() {
        let mut header = [0; IPV6_HEADER_LEN];
        header[0] = 0x60;
        header[6] = 58;
        header[8..24].copy_from_slice(&"fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        header[24..].copy_from_slice(&"ff02::1".parse::<Ipv6Addr>().unwrap().octets());
        let frame = ethernet().payload(EtherType::IPV6, &header);
        assert_eq!(told(&frame), "fe80::1 > ff02::1: icmp6, length 54");
        let cut = ethernet().payload(EtherType::IPV6, &header[..39]);
        assert!(
            told(&cut).ends_with("ipv6 (cut short), length 53"),
            "{}",
            told(&cut)
        );
    }

    #[test]
    fn fragments_are_not_taken_for_datagrams() {
        let last = ip()
            .identification(77)
            .fragment(1480, false)
            .payload(Protocol::UDP, &[0; 8]);
        assert_eq!(
            told(&last),
            "10.0.0.1 > 10.0.0.2: udp fragment, id 77, offset 1480, length 42"
        );
        let first = ip().identification(77).fragment(0, true).udp(1, 2, &[0; 8]);
        assert!(told(&first).contains("offset 0+"), "{}", told(&first));
    }

    #[test]
    fn a_short_snapshot_shows_what_it_has_and_makes_nothing_up() {
        let frame = segment();
        let length = u32::try_from(frame.len()).unwrap();
        assert_eq!(summary(&frame[..54], length), summary(&frame, length));
        assert_eq!(
            summary(&frame[..53], length),
            "10.0.0.1 > 10.0.0.2: tcp (cut short), length 59"
        );
        assert!(summary(&frame[..33], length).ends_with("ipv4 (cut short), length 59"));
        assert_eq!(
            summary(&frame[..13], length),
            "ethernet header cut short, length 59"
        );
        let datagram = ip().udp(500, 4500, &[0; 200]);
        assert_eq!(
            summary(&datagram[..42], 242),
            "10.0.0.1.500 > 10.0.0.2.4500: udp, length 242"
        );
    }

    #[test]
    fn a_wrong_checksum_is_said() {
        let mut frame = ip().udp(1, 2, b"");
        frame[22] ^= 1;
        assert!(
            told(&frame).contains("ipv4 (header checksum wrong)"),
            "{}",
            told(&frame)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(frame in proptest::collection::vec(any::<u8>(), 0..200), wire_length: u32) {
            let line = summary(&frame, wire_length);
            let ending = format!("length {wire_length}");
            prop_assert!(line.ends_with(&ending));
        }

        #[test]
        fn no_change_to_a_good_packet_makes_it_panic(
            place in 0..59_usize, byte: u8, cut in 0..60_usize, wire_length in 0..2000_u32
        ) {
            let mut frame = segment();
            frame[place] = byte;
            frame.truncate(cut);
            prop_assert_eq!(summary(&frame, wire_length).lines().count(), 1);
        }
    }
}

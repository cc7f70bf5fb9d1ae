//! What a packet is, in a line's worth of words.

use packet::arp::Operation;
use packet::ipv4::Ipv4Error;
use packet::{Arp, EtherType, EthernetHeader, Icmpv4, Ipv4, Protocol, icmpv4, ipv4};

use super::upper::{self, CUT, sentence};
use super::{ip6, whole};

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
        EtherType::IPV6 => ip6::told(payload, payload_length).map_err(|why| format!("ipv6 ({why})")),
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

/// Describes a packet of which `captured` are the first bytes, and that had `length` bytes with padding.
fn ipv4(captured: &[u8], length: usize) -> Result<String, String> {
    let header_length = captured.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if captured.len() < header_length.max(ipv4::HEADER_LEN) {
        return Err(CUT.to_owned());
    }
    let whole = whole(captured, length);
    let packet = Ipv4::parse(&whole).map_err(|error| match error {
        Ipv4Error::Checksum => "header checksum wrong".to_owned(),
        other => sentence(other),
    })?;
    let addresses = (packet.source(), packet.destination());
    let plain = |what: String| format!("{} > {}: {what}", addresses.0, addresses.1);
    let name = upper::name(packet.protocol());
    if packet.is_fragment() {
        let more = if packet.more_fragments() { "+" } else { "" };
        return Ok(plain(format!(
            "{name} fragment, id {}, offset {}{more}",
            packet.identification(),
            packet.fragment_offset()
        )));
    }
    let there = captured.len() - packet.header_len();
    if packet.protocol() == Protocol::ICMP {
        return Ok(plain(match Icmpv4::parse(packet.payload()) {
            _ if there < icmpv4::HEADER_LEN => format!("{name} ({CUT})"),
            Ok(message) => icmp(&message),
            Err(error) => format!("{name} ({})", sentence(error)),
        }));
    }
    Ok(upper::told(packet.protocol(), packet.payload(), there, addresses))
}

fn icmp(message: &Icmpv4<'_>) -> String {
    if let Some(echo) = message.echo() {
        return format!("icmp {}", upper::echo(&echo));
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

#[cfg(test)]
mod tests {
    use super::*;
    use packet::builder::{EthernetBuilder, Ipv4Builder};
    use packet::tcp::{TcpFlags, TcpHeader};
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

//! What an IPv6 packet is, in words.

use packet::extension::{self, ExtensionError};
use packet::nd::NeighborMessage;
use packet::{Icmpv6, Ipv6, Protocol, icmpv6, ipv6};

use super::upper::{self, CUT, sentence};
use super::whole;

/// Describes a packet of which `captured` are the first bytes, and that had `length` bytes with padding.
pub(super) fn told(captured: &[u8], length: usize) -> Result<String, String> {
    if captured.len() < ipv6::HEADER_LEN {
        return Err(CUT.to_owned());
    }
    let whole = whole(captured, length);
    let packet = Ipv6::parse(&whole).map_err(sentence)?;
    let ends = (packet.source(), packet.destination());
    let plain = |what: String| format!("{} > {}: {what}", ends.0, ends.1);
    let upper = match extension::upper_layer(&packet) {
        Ok(upper) if upper.offset > captured.len() => return Ok(plain(format!("extension headers ({CUT})"))),
        Ok(upper) => upper,
        Err(ExtensionError::Truncated { .. }) if captured.len() < length => {
            return Ok(plain(format!("extension headers ({CUT})")));
        }
        Err(error) => return Ok(plain(sentence(error))),
    };
    let name = upper::name(upper.protocol);
    if let Some(fragment) = upper.fragment.filter(|_| upper.is_fragment()) {
        let more = if fragment.more { "+" } else { "" };
        return Ok(plain(format!(
            "{name} fragment, id {}, offset {}{more}",
            fragment.identification, fragment.offset
        )));
    }
    let there = captured.len() - upper.offset;
    if upper.protocol == Protocol::ICMPV6 {
        return Ok(plain(match Icmpv6::parse(upper.payload) {
            _ if there < icmpv6::HEADER_LEN => format!("icmp6 ({CUT})"),
            Ok(message) => icmp6(&message, &packet, captured.len() >= packet.total_len()),
            Err(error) => format!("icmp6 ({})", sentence(error)),
        }));
    }
    Ok(upper::told(upper.protocol, upper.payload, there, ends))
}

fn icmp6(message: &Icmpv6<'_>, packet: &Ipv6<'_>, is_whole: bool) -> String {
    if let Some(echo) = message.echo() {
        return format!("icmp6 {}", upper::echo(&echo));
    }
    if is_whole && let Ok(neighbor) = NeighborMessage::parse(packet) {
        return match neighbor {
            NeighborMessage::Solicitation(message) => {
                format!("icmp6 neighbor solicitation, who has {}", message.target)
            }
            NeighborMessage::Advertisement(message) => match message.target_link_layer {
                Some(mac) => format!("icmp6 neighbor advertisement, {} is at {mac}", message.target),
                None => format!("icmp6 neighbor advertisement, {} is there", message.target),
            },
        };
    }
    // RFC 4443, RFC 4861, RFC 2710, RFC 9777; the codes detail these.
    let kind = match message.message_type() {
        icmpv6::DESTINATION_UNREACHABLE => "destination unreachable",
        icmpv6::PACKET_TOO_BIG => "packet too big",
        icmpv6::TIME_EXCEEDED => "time exceeded",
        icmpv6::PARAMETER_PROBLEM => "parameter problem",
        icmpv6::ROUTER_SOLICITATION => "router solicitation",
        icmpv6::ROUTER_ADVERTISEMENT => "router advertisement",
        icmpv6::NEIGHBOR_SOLICITATION => "neighbor solicitation",
        icmpv6::NEIGHBOR_ADVERTISEMENT => "neighbor advertisement",
        icmpv6::REDIRECT => "redirect",
        icmpv6::MULTICAST_LISTENER_QUERY => "multicast listener query",
        icmpv6::MULTICAST_LISTENER_REPORT | icmpv6::MULTICAST_LISTENER_REPORT_V2 => {
            "multicast listener report"
        }
        icmpv6::MULTICAST_LISTENER_DONE => "multicast listener done",
        other => return format!("icmp6 type {other}, code {}", message.code()),
    };
    format!("icmp6 {kind}, code {}", message.code())
}

#[cfg(test)]
mod tests {
    use packet::builder::Ipv6Builder;
    use packet::nd::{MAX_FRAME_LEN, NeighborSolicitation};
    use packet::{EtherType, MacAddress, PacketBuilder};
    use proptest::prelude::*;

    use super::super::summary;

    const HERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THERE: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn ip() -> Ipv6Builder {
        PacketBuilder::ethernet(HERE, THERE)
            .ipv6("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
    }

    fn told(frame: &[u8]) -> String {
        summary(frame, u32::try_from(frame.len()).unwrap())
    }

    #[test]
    fn each_protocol_shows_what_one_looks_for() {
        let solicitation = NeighborSolicitation {
            target: "fe80::9".parse().unwrap(),
            source_link_layer: Some(HERE),
        };
        let mut neighbor = vec![0; MAX_FRAME_LEN];
        let (source, group) = ("fe80::1".parse().unwrap(), "ff02::1:ff00:9".parse().unwrap());
        let length = solicitation
            .emit_frame(HERE, THERE, source, group, &mut neighbor)
            .unwrap();
        neighbor.truncate(length);
        for (frame, expected) in [
            (
                ip().echo_request(5, 6, b"x"),
                "2001:db8::1 > 2001:db8::2: icmp6 echo request, id 5, seq 6, length 63",
            ),
            (
                ip().router_alert(0).udp(500, 4500, b"ike"),
                "2001:db8::1.500 > 2001:db8::2.4500: udp, length 73",
            ),
            (
                ip().icmp(2, 0, &[0, 0, 5, 0]),
                "2001:db8::1 > 2001:db8::2: icmp6 packet too big, code 0, length 62",
            ),
            (
                neighbor,
                "fe80::1 > ff02::1:ff00:9: icmp6 neighbor solicitation, who has fe80::9, length 86",
            ),
        ] {
            assert_eq!(told(&frame), expected);
        }
        let fragment = ip()
            .fragment(1480, false, 7)
            .payload(packet::Protocol::UDP, &[0; 8]);
        assert!(
            told(&fragment).contains("udp fragment, id 7, offset 1480"),
            "{}",
            told(&fragment)
        );
    }

    #[test]
    fn what_is_not_all_there_is_said() {
        let frame = ip().router_alert(0).udp(1, 2, b"payload");
        let length = u32::try_from(frame.len()).unwrap();
        for (there, expected) in [
            (53, "ipv6 (cut short)"),
            (60, "extension headers (cut short)"),
            (65, "udp (cut short)"),
        ] {
            let line = summary(&frame[..there], length);
            assert!(line.contains(expected), "{there}: {line}");
        }
        assert_eq!(summary(&frame[..70], length), summary(&frame, length));
    }

    proptest! {
        #[test]
        fn no_change_to_a_good_packet_makes_it_panic(
            place in 14..80_usize, byte: u8, cut in 0..80_usize, wire_length in 0..2000_u32
        ) {
            let mut frame = ip().router_alert(0).destination_options(&[1, 2, 0, 0]).echo_request(1, 2, b"payload");
            frame[place] = byte;
            frame.truncate(cut);
            prop_assert_eq!(summary(&frame, wire_length).lines().count(), 1);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), wire_length: u32) {
            let frame = PacketBuilder::ethernet(HERE, THERE).payload(EtherType::IPV6, &bytes);
            prop_assert_eq!(summary(&frame, wire_length).lines().count(), 1);
        }
    }
}

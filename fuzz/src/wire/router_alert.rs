//! Router alerts of any packet: found beside a reading of its own, stripped, rewritten, and said in words.

use std::net::Ipv6Addr;

use packet::transport::{ChecksumState, checksum_state, checksum_state_v6};
use packet::{Ipv4, Ipv6, PacketBuilder, Protocol};
use router_alert::alert::{self, Beyond, Duplicates, Padding, Settings, Unrecognized};
use router_alert::strip::{How, strip};
use router_alert::{decode, rewrite};

use super::{sums_up, u16_at};

/// Finds whatever can be read.
const READABLE: Settings = Settings {
    padding: Padding::Lenient,
    duplicates: Duplicates::First,
    unrecognized: Unrecognized::Skip,
    beyond: Beyond::Refuse,
    most_bytes: usize::MAX,
    most_options: usize::MAX,
};

/// Finds as little as can be.
const STRICT: Settings = Settings {
    padding: Padding::Strict,
    duplicates: Duplicates::Refuse,
    unrecognized: Unrecognized::Judge,
    beyond: Beyond::Refuse,
    most_bytes: 64,
    most_options: 3,
};

/// Packets of both families, and some with alerts in every place.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::network_packets(0x08, 0x00);
    seeds.extend(crate::network_packets(0x86, 0xdd));
    let (host4, peer4) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
    let (host6, peer6) = (Ipv6Addr::LOCALHOST, Ipv6Addr::from_bits(0x2404_6800 << 96 | 1));
    for options in [
        &[148, 4, 0, 0][..],
        &[1, 148, 4, 0, 5, 68, 8, 5, 0, 0, 0, 0, 0],
        &[148, 4, 0, 0, 148, 4, 0, 1],
    ] {
        let packet = || PacketBuilder::ipv4(host4, peer4).options(options);
        seeds.push(packet().udp(5000, 500, b"hello"));
        seeds.push(packet().fragment(1480, true).payload(Protocol::UDP, &[7; 16]));
        // A Path message with a SESSION; an IGMP report of version 3.
        let path = [
            0x10, 1, 0, 0, 63, 0, 0, 20, 0, 12, 1, 1, 10, 0, 0, 1, 17, 0, 0, 80,
        ];
        seeds.push(packet().payload(Protocol::RSVP, &path));
        let report = [0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3];
        seeds.push(packet().payload(Protocol::IGMP, &report));
    }
    for options in [
        &[5, 2, 0, 5][..],
        &[0x1e, 4, 1, 2, 3, 4, 5, 2, 0, 5, 0x5e, 2, 1, 2],
        &[0, 5, 2, 0, 5, 0, 1, 6, 0, 0, 0, 0, 0, 0],
        &[0xc2, 4, 0, 1, 0, 0],
    ] {
        let packet = || PacketBuilder::ipv6(host6, peer6).hop_by_hop(options);
        seeds.push(packet().udp(5000, 500, "请".as_bytes()));
        seeds.push(packet().icmp(143, 0, &[[0, 0, 0, 1], [2, 0, 0, 0]].concat()));
        seeds.push(packet().fragment(0, true, 7).payload(Protocol::UDP, &[7; 16]));
        seeds.push(packet().destination_options(&[]).payload(Protocol(113), &[1; 24]));
    }
    seeds
}

/// Does with a packet what a relay may do.
pub fn body(packet: &[u8]) {
    let line = decode::line(packet);
    assert!(
        line.chars()
            .all(|character| character == ' ' || character.is_ascii_graphic())
    );
    let text = decode::text(packet).unwrap_or_default();
    assert!(
        text.chars()
            .all(|character| matches!(character, '\n' | '\t') || !character.is_control())
    );

    if let Err(fault) = alert::find(packet, &STRICT) {
        assert!(fault.pointer().is_none_or(|pointer| pointer < packet.len()));
    }
    let found = alert::find(packet, &READABLE);
    let total = match (Ipv4::parse(packet), Ipv6::parse(packet)) {
        (Ok(ip), _) => usize::from(ip.total_len()),
        (_, Ok(ip)) => ip.total_len(),
        _ => {
            assert!(found.is_err());
            return;
        }
    };
    let packet = &packet[..total];
    let reading = read(packet);
    let expected = reading.as_ref().map(|reading| reading.alerts.first().copied());
    let found = found.map(|alert| alert.map(|alert| (alert.offset, alert.value)));
    assert_eq!(found.ok(), expected);

    stripped(packet, reading.as_ref(), How::Remove);
    stripped(packet, reading.as_ref(), How::Pad);
    rewritten(packet);
}

/// Options as they are read here.
struct Reading {
    /// Offset and value of each alert.
    alerts: Vec<(usize, u16)>,
    /// Where the options end.
    behind: usize,
}

/// Reads the options of a valid packet; `None` if they are malformed.
fn read(packet: &[u8]) -> Option<Reading> {
    let is_four = packet[0] >> 4 == 4;
    let (mut at, behind) = match (is_four, packet[6]) {
        (true, _) => (20, usize::from(packet[0] & 15) * 4),
        (false, 0) => (42, 48 + usize::from(*packet.get(41)?) * 8),
        (false, _) => (40, 40),
    };
    let options = packet.get(..behind)?;
    let mut alerts = Vec::new();
    while at < behind {
        let kind = options[at];
        if is_four && kind == 0 {
            break;
        }
        if kind == u8::from(is_four) {
            at += 1;
            continue;
        }
        let length = usize::from(*options.get(at + 1)?);
        let length = if is_four { length } else { length + 2 };
        let option = options.get(at..at + length).filter(|option| option.len() >= 2)?;
        match (is_four, kind) {
            (true, 148) | (false, 5) => {
                if length != 4 {
                    return None;
                }
                alerts.push((at, u16_at(option, 2)));
            }
            (false, 0xc2) => return None,
            _ => {}
        }
        at += length;
    }
    Some(Reading { alerts, behind })
}

/// What is stripped has no alert, and behind its options what it had.
fn stripped(packet: &[u8], reading: Option<&Reading>, how: How) {
    let mut after = packet.to_vec();
    if strip(&mut after, how).is_err() {
        assert_eq!(after, packet);
        return;
    }
    let Some(before) = reading else {
        panic!("stripped although it is malformed");
    };
    assert!(!before.alerts.is_empty());
    let Some(left) = read(&after) else {
        panic!("malformed after it was stripped");
    };
    assert_eq!(left.alerts, []);
    assert_eq!(after[left.behind..], packet[before.behind..]);
    assert!(how == How::Remove || after.len() == packet.len());
    assert!(after.len() <= packet.len());
    let length = if packet[0] >> 4 == 4 {
        assert!(sums_up(0, &after[..left.behind]));
        usize::from(u16_at(&after, 2))
    } else {
        40 + usize::from(u16_at(&after, 4))
    };
    assert_eq!(length, after.len());
}

/// What is rewritten has the new payload, and checksums as right as they were.
fn rewritten(packet: &[u8]) {
    let mut after = packet.to_vec();
    let dscp = packet[1] ^ 0x2e;
    let is_set = rewrite::set_dscp(&mut after, dscp);
    assert_eq!(is_set.is_ok(), dscp < 64);
    if rewrite::replace_payload(&mut after, b"another payload").is_err() {
        return;
    }
    assert_eq!(decode::text(&after).as_deref(), Some("another payload"));
    let before = state(packet);
    if matches!(before, Some(ChecksumState::Complete | ChecksumState::Absent)) {
        assert_eq!(state(&after), before);
    }
}

/// How the checksum of TCP or UDP is in a valid packet.
fn state(packet: &[u8]) -> Option<ChecksumState> {
    match (Ipv4::parse(packet), Ipv6::parse(packet)) {
        (Ok(ip), _) => checksum_state(&ip),
        (_, Ok(ip)) => checksum_state_v6(&ip),
        (Err(error), Err(_)) => panic!("no longer a packet: {error}"),
    }
}

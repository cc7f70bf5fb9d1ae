//! Ethernet, VLAN tags and ARP.

use packet::arp::Operation;
use packet::{Arp, EthernetHeader, MacAddress, arp, ethernet};

use super::u16_at;
use crate::gateway::packets;

/// Frames with and without tags.
pub fn seeds() -> Vec<Vec<u8>> {
    packets::frames(0)
}

/// Reads a frame.
pub fn body(frame: &[u8]) {
    let Ok((header, payload)) = EthernetHeader::parse(frame) else {
        let tags = frame.get(12..).map_or(0, |rest| {
            rest.chunks(4).take_while(|tag| is_tag(tag)).count().min(2)
        });
        assert!(frame.len() < 14 + 4 * tags, "a whole header was refused");
        return;
    };
    assert_eq!(header.len() + payload.len(), frame.len());
    assert_eq!(header.len(), 14 + 4 * header.tags.count());
    assert_eq!(header.ethertype.0, u16_at(frame, header.len() - 2));
    let mut written = vec![0xee; header.len()];
    assert_eq!(header.emit(&mut written), Ok(header.len()));
    assert_eq!(
        written,
        frame[..header.len()],
        "what was read is not what is written"
    );
    assert!(header.emit(&mut written[1..]).is_err());
    let (destination, source) = (MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));
    let mut copy = frame.to_vec();
    assert!(ethernet::rewrite(&mut copy, destination, source).is_ok());
    assert_eq!(copy[..12], [destination.octets(), source.octets()].concat());
    assert_eq!(copy[12..], frame[12..]);
    check_arp(payload);
}

fn is_tag(tag: &[u8]) -> bool {
    matches!(tag, [0x81, 0x00, ..] | [0x88, 0xa8, ..])
}

fn check_arp(payload: &[u8]) {
    let Ok(message) = Arp::parse(payload) else {
        return;
    };
    // RFC 826 over Ethernet.
    assert_eq!(payload[..6], [0, 1, 8, 0, 6, 4]);
    let operation = match message.operation {
        Operation::Request => 1,
        Operation::Reply => 2,
    };
    assert_eq!(u16_at(payload, 6), operation);
    assert_eq!(message.sender_address.octets(), payload[14..18]);
    assert_eq!(message.target_address.octets(), payload[24..28]);
    let mut written = [0; arp::LEN];
    assert_eq!(message.emit(&mut written), Ok(arp::LEN));
    assert_eq!(Arp::parse(&written), Ok(message));
}

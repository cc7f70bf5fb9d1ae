//! What a helper sends to the relay for router alerts: messages however a pipe cuts them, and what it makes of packets.

use packet::transport::{ChecksumState, checksum_state, checksum_state_v6};
use packet::{Ipv4, Ipv6, PacketBuilder};
use ra_helper::Verdict;
use ra_helper::frame::{Answer, Messages, Question};
use router_alert::rewrite::correct;

/// Where a packet has its hop limit, by the version of IP.
const HOPS: [(u8, usize); 2] = [(4, 8), (6, 7)];

/// The packets that the helper was asked about.
fn originals() -> [Vec<u8>; 2] {
    let (host4, peer4) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
    let (host6, peer6) = ("2001:db8::1".parse(), "2001:db8:1::1".parse());
    let four = PacketBuilder::ipv4(host4, peer4).options(&[148, 4, 0, 0]).ttl(9);
    let (Ok(host6), Ok(peer6)) = (host6, peer6) else {
        panic!("no addresses");
    };
    let six = PacketBuilder::ipv6(host6, peer6).router_alert(5).hop_limit(9);
    [four.udp(5000, 500, b"hello"), six.udp(5000, 500, b"hello")]
}

/// Answers of all kinds, one and several; the first byte says how a pipe cuts them.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut all = vec![7];
    for packet in &originals() {
        let longer = [&packet[..], b", world"].concat();
        for verdict in [
            Verdict::Forward,
            Verdict::Changed(packet),
            Verdict::Changed(&longer),
            Verdict::Drop,
            Verdict::Prohibited,
            Verdict::Hold(300),
        ] {
            let message = Answer { id: 1, verdict }.encode();
            all.extend(&message);
            seeds.push([&[31][..], &message].concat());
        }
    }
    seeds.push(all);
    seeds
}

/// Reads what a helper has written, whole and in parts; what it has made of a packet is refused or right.
pub fn body(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let mut whole = Messages::default();
    whole.push(bytes);
    let mut cuts = bytes.chunks(usize::from(*cut).max(1));
    let mut parts = Messages::default();
    loop {
        let expected = whole.take().map(|message| message.map(<[u8]>::to_vec));
        let mut found = parts.take().map(|message| message.map(<[u8]>::to_vec));
        while let Ok(None) = found {
            let Some(part) = cuts.next() else {
                break;
            };
            parts.push(part);
            found = parts.take().map(|message| message.map(<[u8]>::to_vec));
        }
        assert_eq!(found, expected, "it depends on how a pipe cuts messages");
        let Ok(Some(message)) = expected else {
            return;
        };
        // Nothing is both.
        let answer = Answer::decode(&message);
        assert!(answer.is_err() || Question::decode(&message).is_err());
        if let Ok(answer) = answer {
            let written = answer.encode();
            assert_eq!(Answer::decode(&written), Ok(answer));
            if let Verdict::Changed(packet) = answer.verdict {
                originals().iter().for_each(|original| changed(original, packet));
            }
        }
    }
}

fn changed(original: &[u8], packet: &[u8]) {
    let mut packet = packet.to_vec();
    if correct(original, &mut packet).is_err() {
        return;
    }
    let (length, state) = match (Ipv4::parse(&packet), Ipv6::parse(&packet)) {
        (Ok(ip), _) => (usize::from(ip.total_len()), checksum_state(&ip)),
        (_, Ok(ip)) => (ip.total_len(), checksum_state_v6(&ip)),
        (Err(error), Err(_)) => panic!("no packet: {error}"),
    };
    assert_eq!(length, packet.len());
    // Behind a routing header with segments left it is over an address that nobody knows here.
    assert!(matches!(state, Some(ChecksumState::Complete) | None));
    for (version, place) in HOPS {
        if packet[0] >> 4 == version {
            assert_eq!(packet[place], original[place]);
        }
    }
}

//! Fragments in any order, and what is made of them.
//!
//! ```text
//!   input: │ length, 1 byte │ fragment │ length │ fragment │ …     IPv4 or IPv6 by its first four bits
//! ```

use packet::{Ipv4, Ipv6, PacketBuilder, Protocol};
use reassembly::{Fragment, Inserted, Reassembler};

/// Takes fragments one after another, and packets as they become whole.
pub fn body(mut input: &[u8]) {
    let mut table = Reassembler::new(2, 1);
    let (mut held, mut now) = (0, 0);
    while let Some((length, rest)) = input.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        now += 1;
        while let Some(expired) = table.expire(now) {
            held -= expired.lost.fragments;
        }
        let fragment = match packet.first().map(|byte| byte >> 4) {
            Some(6) => Fragment::parse_v6(packet, 0),
            _ => Fragment::parse_v4(packet),
        };
        let Ok(fragment) = fragment else { continue };
        match table.insert(&fragment, &[0; 14], 0, now) {
            Inserted::Held { evicted, .. } => {
                held += 1;
                held -= evicted.map_or(0, |lost| lost.fragments);
            }
            Inserted::Copy | Inserted::Refused => {}
            Inserted::Overlap(lost) => held -= lost.fragments,
            Inserted::Whole(whole) => {
                held = held + 1 - whole.made_of.fragments;
                let packet = &whole.frame[whole.link_len..];
                if whole.six {
                    assert_eq!(Ipv6::parse(packet).map(|ip| ip.total_len()), Ok(packet.len()));
                } else {
                    let ip = Ipv4::parse(packet).map(|ip| (ip.is_fragment(), usize::from(ip.total_len())));
                    assert_eq!(ip, Ok((false, packet.len())));
                }
            }
        }
    }
    while let Some(lost) = table.give_up() {
        held -= lost.fragments;
    }
    assert_eq!(held, 0, "fragments that nobody counted");
}

/// Packets of both families in fragments, in order and not.
pub fn seeds() -> Vec<Vec<u8>> {
    let (a, b) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let (a6, b6) = ("2001:db8::1".parse(), "2001:db8::2".parse());
    let four = |offset, more, len| {
        PacketBuilder::ipv4(a, b)
            .fragment(offset, more)
            .payload(Protocol::UDP, &vec![1; len])
    };
    let mut all = vec![
        vec![four(0, true, 16), four(16, true, 8), four(24, false, 5)],
        vec![four(24, false, 5), four(0, true, 16), four(8, true, 16)],
        vec![four(0, true, 16), four(0, true, 16), four(16, false, 100)],
    ];
    if let (Ok(a6), Ok(b6)) = (a6, b6) {
        let six = |offset, more, len| {
            PacketBuilder::ipv6(a6, b6)
                .router_alert(0)
                .fragment(offset, more, 9)
                .payload(Protocol::UDP, &vec![1; len])
        };
        all.push(vec![six(0, true, 16), six(16, true, 8), six(24, false, 5)]);
        all.push(vec![six(16, false, 5), six(0, true, 16), four(0, true, 8)]);
    }
    let framed = |packets: Vec<Vec<u8>>| {
        let with_length = |packet: Vec<u8>| [vec![packet.len() as u8], packet].concat();
        packets.into_iter().flat_map(with_length).collect()
    };
    all.into_iter().map(framed).collect()
}

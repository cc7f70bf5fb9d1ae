//! What the load balancer sees of a frame, and all that it may change of it. What is changed there and back is as it was, and a
//! checksum is as right behind a change as before.
//!
//! ```text
//!   input: │ flags │ difference of sequence numbers, 4 bytes │ frame │
//!           flags: 1 IPv4's and ICMP's checksums are made right first   2 the frame's last 4 bytes are elsewhere
//! ```

use lb::icmp::{error_to_client, error_to_server};
use lb::rewrite::{clamp_mss, insert_toa, remove_timestamps, to_client, to_server, toa_len};
use lb::view::look_start;
use lb::{Ends, Flow, Quoted, Sequence, View, What};
use packet::checksum::{Sum, checksum};
use packet::icmp_error::{
    HEADERS_LEN_V4, HEADERS_LEN_V6, Icmpv4Problem, Icmpv6Problem, emit_v4, emit_v6, quote_len_v4,
    quote_len_v6,
};
use packet::{Ipv4, Ipv6, Protocol};

use super::{sums_up, u16_at};

const MENDED: u8 = 1;
const BEHIND: u8 = 2;

/// Frames of every kind, and errors about each.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut frames = crate::packets::frames(0);
    for packet in crate::network_packets(0x08, 0x00) {
        if let Ok(ip) = Ipv4::parse(&packet) {
            let quote = &packet[..quote_len_v4(packet.len())];
            let mut headers = [0; HEADERS_LEN_V4];
            let problem = Icmpv4Problem::FragmentationNeeded { mtu: 1400 };
            emit_v4(
                problem,
                [10, 9, 9, 9].into(),
                ip.source(),
                64,
                quote,
                &mut headers,
            );
            frames.push(framed(&[0x08, 0x00], &headers, quote));
        }
    }
    for packet in crate::network_packets(0x86, 0xdd) {
        if let Ok(ip) = Ipv6::parse(&packet) {
            let quote = &packet[..quote_len_v6(packet.len())];
            let mut headers = [0; HEADERS_LEN_V6];
            let (problem, router) = (
                Icmpv6Problem::PacketTooBig { mtu: 1400 },
                (0x2001 << 112 | 9).into(),
            );
            emit_v6(problem, router, ip.source(), 64, quote, &mut headers);
            frames.push(framed(&[0x86, 0xdd], &headers, quote));
        }
    }
    let head = |number: usize| [(number % 4) as u8, 0x10, 0, 0, number as u8];
    let numbered = frames.into_iter().enumerate();
    numbered
        .map(|(number, frame)| [&head(number)[..], &frame].concat())
        .collect()
}

fn framed(ethertype: &[u8], headers: &[u8], quote: &[u8]) -> Vec<u8> {
    [&[2; 12], ethertype, headers, quote].concat()
}

/// Looks at a frame, and makes every change to it.
pub fn body(bytes: &[u8]) {
    let Some((&[flags, d0, d1, d2, d3], frame)) = bytes.split_first_chunk() else {
        return;
    };
    let mut frame = frame.to_vec();
    if flags & MENDED != 0 {
        mend(&mut frame);
    }
    let mut behind = 0;
    if flags & BEHIND != 0 && frame.len() > 60 {
        behind = 4;
        frame.truncate(frame.len() - behind);
    }
    let view = look_start(&frame, behind);
    if view == View::OTHER {
        return;
    }
    let (network, transport, end) = (
        usize::from(view.network),
        usize::from(view.transport),
        usize::from(view.end),
    );
    assert!((14..=22).contains(&network) && network + if view.six { 40 } else { 20 } <= transport);
    assert!(transport <= end && end <= frame.len());
    let in_delta = u32::from_be_bytes([d0, d1, d2, d3]);
    let there = Way::new(&view, in_delta);
    match view.what {
        What::Segment { header, .. } => {
            assert!(transport + usize::from(header) <= end);
            translated(
                &frame,
                &view,
                &there,
                behind,
                Some(u16_at(&frame, transport + 16)),
            );
            options(&frame, &view, behind);
            carried_address(&frame, &view, &there.ends, behind);
        }
        What::Datagram => {
            translated(&frame, &view, &there, behind, Some(u16_at(&frame, transport + 6)));
        }
        What::Query { .. } | What::Reply { .. } => translated(&frame, &view, &there, behind, None),
        What::Error(quoted) => error(&frame, &view, &quoted, in_delta),
        What::Fragment | What::Other | What::Bad(_) => {
            let mut bytes = frame.clone();
            assert!(!to_server(&mut bytes, &view, &there.ends, &there.sequence));
            assert!(!error_to_client(
                &mut bytes,
                &view,
                &there.ends,
                &there.sequence,
                8
            ));
            assert_eq!(bytes, frame);
        }
    }
}

/// Makes the checksums right that keep changed frames from being looked at.
fn mend(frame: &mut [u8]) {
    let Some((link, packet)) = frame.split_at_mut_checked(14) else {
        return;
    };
    match (&link[12..], &mut *packet) {
        ([0x08, 0x00], &mut [start, _, a, b, ..]) => {
            let (header, len) = (
                usize::from(start & 15) * 4,
                usize::from(u16::from_be_bytes([a, b])),
            );
            if header < 20 || header > len || len > packet.len() {
                return;
            }
            packet[10..12].fill(0);
            let sum = checksum(&packet[..header]).to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
            if packet[9] == 1 && len >= header + 8 {
                packet[header + 2..header + 4].fill(0);
                let sum = checksum(&packet[header..len]).to_be_bytes();
                packet[header + 2..header + 4].copy_from_slice(&sum);
            }
        }
        ([0x86, 0xdd], &mut [_, _, _, _, a, b, 58, ..]) => {
            let len = u16::from_be_bytes([a, b]);
            let end = 40 + usize::from(len);
            if end > packet.len() || len < 8 {
                return;
            }
            packet[42..44].fill(0);
            let (source, destination) = (address(&packet[8..24]), address(&packet[24..40]));
            let sum = Sum::ZERO.pseudo_header(
                std::net::Ipv6Addr::from(source),
                std::net::Ipv6Addr::from(destination),
                Protocol::ICMPV6,
                len,
            );
            let sum = sum.bytes(&packet[40..end]).checksum().to_be_bytes();
            packet[42..44].copy_from_slice(&sum);
        }
        _ => {}
    }
}

fn address(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// Ends for a packet both ways, and the numbers.
struct Way {
    ends: Ends,
    sequence: Sequence,
}

impl Way {
    /// The packet's own ends are the client's and the service's, and, since it is taken for a server's too, the server's and the
    /// local ones.
    fn new(view: &View, in_delta: u32) -> Way {
        let mapped = |last: u128| {
            if view.six {
                0x2001 << 112 | last
            } else {
                0xffff_0a0a_0000 | last
            }
        };
        Way {
            ends: Ends {
                six: view.six,
                client: mapped(1),
                client_port: 0xfffe,
                service: mapped(2),
                service_port: 80,
                local: mapped(3),
                local_port: 1030,
                server: mapped(4),
                server_port: 0,
            },
            sequence: Sequence {
                in_delta,
                first_ack: 0,
            },
        }
    }

    /// What `to_server` and `to_client` are undone with, given the flow that there was.
    fn back(&self, flow: &Flow, id: Option<u16>) -> Way {
        Way {
            ends: Ends {
                six: self.ends.six,
                client: flow.destination,
                client_port: id.unwrap_or(flow.destination_port),
                service: flow.source,
                service_port: flow.source_port,
                local: flow.source,
                local_port: id.unwrap_or(flow.source_port),
                server: flow.destination,
                server_port: flow.destination_port,
            },
            sequence: Sequence {
                in_delta: self.sequence.in_delta.wrapping_neg(),
                first_ack: 0,
            },
        }
    }
}

/// Both translations, and back.
fn translated(frame: &[u8], view: &View, way: &Way, behind: usize, field: Option<u16>) {
    let id = match view.what {
        What::Query { id, .. } | What::Reply { id, .. } => Some(id),
        _ => None,
    };
    let back = way.back(&view.flow, id);
    let ends = &way.ends;
    for to_a_server in [true, false] {
        let translate = if to_a_server { to_server } else { to_client };
        let mut bytes = frame.to_vec();
        assert!(translate(&mut bytes, view, ends, &way.sequence));
        let now = look_start(&bytes, behind);
        let (source, destination) = if to_a_server {
            (ends.local, ends.server)
        } else {
            (ends.service, ends.client)
        };
        assert_eq!((now.flow.source, now.flow.destination), (source, destination));
        if field.is_some() {
            let ports = if to_a_server {
                (ends.local_port, ends.server_port)
            } else {
                (ends.service_port, ends.client_port)
            };
            assert_eq!((now.flow.source_port, now.flow.destination_port), ports);
        }
        assert_eq!((now.end, now.transport), (view.end, view.transport));
        // A message of zeros adds up to nothing, which is neither right nor a number that a difference can tell from what is right.
        let is_nothing = frame[view.transport.into()..view.end.into()]
            .iter()
            .all(|&byte| byte == 0);
        if behind == 0 && !is_nothing {
            assert_eq!(is_right(&bytes, &now), is_right(frame, view));
        }
        if matches!(view.what, What::Datagram) {
            let at = usize::from(view.transport) + 6;
            assert_eq!(
                u16_at(&bytes, at) == 0,
                field == Some(0),
                "no checksum stays none"
            );
        }
        assert!(translate(&mut bytes, &now, &back.ends, &back.sequence));
        assert_same(&bytes, frame);
    }
}

/// As far as the sums go: zero is two numbers in ones' complement.
fn assert_same(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    let differ: Vec<_> = (0..found.len()).filter(|&at| found[at] != expected[at]).collect();
    for &at in &differ {
        let zeros = [0x00, 0xff];
        assert!(
            zeros.contains(&found[at]) && zeros.contains(&expected[at]),
            "{differ:?}: {found:02x?} should be {expected:02x?}"
        );
    }
}

/// Whether the checksum of what the packet carries is right.
fn is_right(frame: &[u8], view: &View) -> bool {
    let (transport, mut end) = (usize::from(view.transport), usize::from(view.end));
    let protocol = match view.what {
        What::Segment { .. } => 6,
        What::Datagram => {
            end = transport + usize::from(u16_at(frame, transport + 4));
            17
        }
        _ if view.six => 58,
        _ => return sums_up(0, &frame[transport..end]),
    };
    let addresses = [view.flow.source, view.flow.destination];
    // The prefix of a mapped address sums up to nothing.
    let words = addresses
        .iter()
        .flat_map(|address| address.to_be_bytes())
        .collect::<Vec<_>>();
    let pairs = words
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]));
    sums_up(
        pairs.sum::<u64>() + protocol + (end - transport) as u64,
        &frame[transport..end],
    )
}

/// What is done to options leaves the checksum as right as it was.
fn options(frame: &[u8], view: &View, behind: usize) {
    for change in 0..2 {
        let mut bytes = frame.to_vec();
        let changed = if change == 0 {
            clamp_mss(&mut bytes, view, 8)
        } else {
            remove_timestamps(&mut bytes, view)
        };
        let now = look_start(&bytes, behind);
        assert_eq!(&now, view);
        assert!(changed || bytes == frame);
        if behind == 0 {
            assert_eq!(is_right(&bytes, view), is_right(frame, view));
        }
    }
}

/// The client's address goes in behind the header and pushes nothing but the front.
fn carried_address(frame: &[u8], view: &View, ends: &Ends, behind: usize) {
    let (mut bytes, mut now) = (frame.to_vec(), *view);
    if !insert_toa(&mut bytes, &mut now, ends, 1500) {
        assert_eq!((&bytes[..], &now), (frame, view));
        return;
    }
    let (len, at) = (usize::from(toa_len(view.six)), usize::from(view.transport) + 20);
    assert_eq!(bytes[at + len..], frame[at..]);
    assert_eq!(bytes[at..at + 2], [254, len as u8]);
    let View { what, flow, end, .. } = look_start(&bytes, behind);
    assert_eq!((what, flow, end), (now.what, now.flow, now.end));
    if behind == 0 {
        assert_eq!(is_right(&bytes, &now), is_right(frame, view));
    }
}

/// An error both ways, and back.
fn error(frame: &[u8], view: &View, quoted: &Quoted, in_delta: u32) {
    assert!(view.transport + 8 == quoted.network && quoted.network < quoted.transport);
    assert!(quoted.transport + 8 <= quoted.end && quoted.end <= view.end);
    assert!(is_right(frame, view));
    let way = Way::new(view, in_delta);
    let ends = way.ends;
    for to_a_client in [true, false] {
        let mut bytes = frame.to_vec();
        let (outer, inner) = if to_a_client {
            assert!(error_to_client(&mut bytes, view, &ends, &way.sequence, 0));
            ((ends.service, ends.client), (ends.client, ends.service))
        } else {
            assert!(error_to_server(&mut bytes, view, &ends, &way.sequence));
            ((ends.local, ends.server), (ends.server, ends.local))
        };
        // The receiver reads it as an error about what it sent itself.
        let now = look_start(&bytes, 0);
        assert_eq!((now.flow.source, now.flow.destination), outer);
        assert!(is_right(&bytes, &now));
        let What::Error(translated) = now.what else {
            panic!("the error has become something else: {:?}", now.what);
        };
        assert_eq!((translated.flow.source, translated.flow.destination), inner);
        assert!(translated.sound);
        assert_eq!(translated.kind, quoted.kind);
        assert_eq!(
            (translated.network, translated.transport, translated.end),
            (quoted.network, quoted.transport, quoted.end)
        );
        // What is behind the quote, and the header's own fields, are as they were.
        assert_eq!(bytes[quoted.end.into()..], frame[quoted.end.into()..]);
        let header = usize::from(view.transport);
        assert_eq!(bytes[header..header + 2], frame[header..header + 2]);
        assert_eq!(bytes[header + 4..header + 8], frame[header + 4..header + 8]);
        if quoted.sound {
            undone(&mut bytes, frame, (&now, view), quoted, to_a_client, in_delta);
        }
    }
}

/// Undoes the translation of an error.
fn undone(
    bytes: &mut [u8],
    frame: &[u8],
    (now, view): (&View, &View),
    quoted: &Quoted,
    to_a_client: bool,
    in_delta: u32,
) {
    let flow = quoted.flow;
    let id = if quoted.is_reply {
        flow.destination_port
    } else {
        flow.source_port
    };
    let query = matches!(quoted.kind, lb::Kind::Icmp);
    let port = |port| if query { id } else { port };
    let back = Sequence {
        in_delta: in_delta.wrapping_neg(),
        first_ack: 0,
    };
    if to_a_client {
        let ends = Ends {
            six: view.six,
            client: flow.source,
            client_port: port(flow.source_port),
            service: flow.destination,
            service_port: flow.destination_port,
            ..Ends::default()
        };
        assert!(error_to_client(bytes, now, &ends, &back, 0));
    } else {
        let ends = Ends {
            six: view.six,
            server: flow.source,
            server_port: flow.source_port,
            local: flow.destination,
            local_port: port(flow.destination_port),
            ..Ends::default()
        };
        assert!(error_to_server(bytes, now, &ends, &back));
    }
    // The error's own source is now the quoted destination, which both its checksums say.
    let header = usize::from(view.transport);
    assert_same(&bytes[header + 4..], &frame[header + 4..]);
}

//! What is seen of frames.

use lb::view::look_start;
use lb::{Flow, Refused, View, What, look};
use packet::tcp::TcpFlags;

use crate::frames::*;

fn flow(from: End, to: End) -> Flow {
    Flow {
        source: number(from.0),
        destination: number(to.0),
        source_port: from.1,
        destination_port: to.1,
    }
}

fn segment() -> Segment {
    Segment {
        flags: ACK | PSH,
        sequence: 0x0102_0304,
        acknowledgment: 0x0506_0708,
        options: vec![1; 8],
        payload: b"data".to_vec(),
    }
}

#[test]
fn segment_in_a_plain_frame_and_behind_tags() {
    for net in nets() {
        let packet = segment().packet(net.client, net.service);
        let header = if net.six() { 40 } else { 20 };
        for (tags, link) in [(&[][..], 14), (&[5], 18), (&[5, 6], 22)] {
            let bytes = [tagged(tags, &packet), vec![0; 7]].concat();
            let expected = View {
                flow: flow(net.client, net.service),
                what: What::Segment {
                    flags: TcpFlags(ACK | PSH),
                    header: 28,
                    sequence: 0x0102_0304,
                    acknowledgment: 0x0506_0708,
                },
                network: link,
                transport: link + header,
                end: link + packet.len() as u16,
                traffic_class: 0xb8,
                ttl: 64,
                six: net.six(),
                plain: true,
            };
            assert_eq!(look(&bytes), expected);
        }
        assert_eq!(look(&tagged(&[5, 6, 7], &packet)), View::OTHER);
    }
}

#[test]
fn frames_for_groups_and_from_nobody_are_left_to_the_stages() {
    for net in nets() {
        let mut bytes = segment().frame(net.client, net.service);
        bytes[0] |= 1;
        assert_eq!(look(&bytes), View::OTHER);
    }
    for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        assert_eq!(
            look(&segment().frame((ip(source), 9), net4().service)),
            View::OTHER
        );
    }
    for source in ["::", "::1", "::10.0.0.48", "::ffff:10.0.0.48", "ff02::1"] {
        assert_eq!(
            look(&segment().frame((ip(source), 9), net6().service)),
            View::OTHER
        );
    }
    assert_eq!(
        look(&segment().frame(net6().client, (ip("::ffff:10.0.0.100"), 80))),
        View::OTHER
    );
}

#[test]
fn faults_of_the_network_layer_are_left_to_the_stages() {
    let net = net4();
    let good = segment().frame(net.client, net.service);
    for at in 14..34 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert_eq!(look(&bytes), View::OTHER, "byte {at}");
    }
    for source_route in [131, 137] {
        let between: (u8, &[u8]) = (0, &[source_route, 7, 4, 10, 0, 0, 9, 0]);
        let bytes = packet_with(
            net.client.0,
            net.service.0,
            TCP,
            between,
            &segment().bytes(net.client, net.service),
        );
        assert_eq!(look(&frame(&bytes)), View::OTHER);
    }
    let net = net6();
    // Unknown behind hop-by-hop options, a routing header that is not at its end, AH, a header beyond the packet, a second place.
    let chains: [(u8, &[u8]); 4] = [
        (43, &[6, 0, 4, 1, 0, 0, 0, 0]),
        (51, &[6, 0, 0, 0, 0, 0, 0, 9]),
        (0, &[6, 255, 1, 4, 0, 0, 0, 0]),
        (60, &[0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]),
    ];
    for between in chains {
        let bytes = packet_with(
            net.client.0,
            net.service.0,
            TCP,
            between,
            &segment().bytes(net.client, net.service),
        );
        assert_eq!(look(&frame(&bytes)), View::OTHER, "{between:02x?}");
    }
    // One at its end is no hindrance.
    let between: (u8, &[u8]) = (43, &[6, 0, 4, 0, 0, 0, 0, 0]);
    let bytes = packet_with(
        net.client.0,
        net.service.0,
        TCP,
        between,
        &segment().bytes(net.client, net.service),
    );
    assert_eq!(look(&frame(&bytes)).flow, flow(net.client, net.service));
}

#[test]
fn other_protocols_are_other_and_have_addresses() {
    for net in nets() {
        let view = look(&frame(&packet(net.client.0, net.service.0, 50, &[0xee; 60])));
        assert_eq!(view.what, What::Other);
        assert_eq!(view.flow, flow((net.client.0, 0), (net.service.0, 0)));
    }
    let mut arp = frame(&segment().packet(net4().client, net4().service));
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(look(&arp), View::OTHER);
}

#[test]
fn fragments_are_told_apart() {
    let net = net4();
    let of = |high: u8, low: u8| {
        let mut bytes = segment().frame(net.client, net.service);
        bytes[20..22].copy_from_slice(&[high, low]);
        bytes[24..26].fill(0);
        let checksum = !sum(&[&bytes[14..34]]);
        bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
        look(&bytes)
    };
    for (high, low) in [(0x20, 0), (0, 1), (0x20, 9)] {
        let view = of(high, low);
        assert_eq!(
            (view.what, view.flow),
            (What::Fragment, flow((net.client.0, 0), (net.service.0, 0)))
        );
    }
    assert_eq!(of(0x40, 0).flow, flow(net.client, net.service));
    let net = net6();
    for (offset, is_fragment) in [(0, false), (1, true), (8, true)] {
        let between: (u8, &[u8]) = (44, &[6, 0, 0, offset, 0, 0, 0, 9]);
        let bytes = packet_with(
            net.client.0,
            net.service.0,
            TCP,
            between,
            &segment().bytes(net.client, net.service),
        );
        let view = look(&frame(&bytes));
        assert_eq!(view.what == What::Fragment, is_fragment, "offset {offset}");
        assert_eq!(view.flow.destination, number(net.service.0));
    }
}

#[test]
fn transport_headers_that_do_not_fit_are_short() {
    for net in nets() {
        let tcp = segment().bytes(net.client, net.service);
        let short = |protocol, payload: &[u8]| {
            look(&frame(&packet(net.client.0, net.service.0, protocol, payload))).what
        };
        for len in 0..28 {
            assert_eq!(short(TCP, &tcp[..len]), What::Bad(Refused::Short), "{len} bytes");
        }
        let mut odd = tcp.clone();
        odd[12] = 0x40;
        assert_eq!(short(TCP, &odd), What::Bad(Refused::Short));
        let udp = datagram(net.client, net.service, b"data");
        for len in 0..udp.len() {
            assert_eq!(short(UDP, &udp[..len]), What::Bad(Refused::Short), "{len} bytes");
        }
        let mut odd = udp.clone();
        odd[5] = 7;
        assert_eq!(short(UDP, &odd), What::Bad(Refused::Short));
        // What is behind the datagram is not its own.
        odd[5] = 8;
        assert_eq!(short(UDP, &odd), What::Datagram);
    }
}

#[test]
fn packet_in_several_segments_is_seen_by_its_headers() {
    for net in nets() {
        let whole = segment().frame(net.client, net.service);
        let start = &whole[..whole.len() - 3];
        assert_eq!(look(start), View::OTHER);
        assert_eq!(look_start(start, 2), View::OTHER);
        let view = look_start(start, 3);
        assert_eq!(
            (view.flow, usize::from(view.end)),
            (flow(net.client, net.service), start.len())
        );
        let udp = frame(&udp(net.client, net.service, &[7; 60]));
        assert_eq!(look_start(&udp[..70], udp.len() - 70).what, What::Datagram);
        // Of an error all is to be there: its checksum is looked at.
        let head = if net.six() { [1, 3] } else { [3, 1] };
        let error = frame(&icmp(
            net.lan_router,
            net.local.0,
            head,
            [0; 4],
            &segment().packet(net.local, net.server),
        ));
        assert_eq!(
            look_start(&error[..error.len() - 1], 1).what,
            What::Bad(Refused::IcmpShort)
        );
    }
}

#[test]
fn req_icmp_23_frames_cut_anywhere_change_nothing() {
    let net = net4();
    let error = icmp(
        net.lan_router,
        net.local.0,
        [3, 1],
        [0; 4],
        &segment().packet(net.local, net.server),
    );
    for whole in [
        segment().frame(net.client, net.service),
        tagged(&[5, 6], &error),
        frame(&error),
    ] {
        for len in 0..whole.len() {
            let cut = &whole[..len];
            assert_eq!(look(cut), View::OTHER, "{len} of {}", whole.len());
        }
        // A view of the whole does not fit what has been cut off since, unless only payload is gone.
        let view = look(&whole);
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            let ends = net.ends();
            let done = lb::rewrite::to_server(&mut cut, &view, &ends, &sequence())
                || lb::icmp::error_to_client(&mut cut, &view, &ends, &sequence(), 8);
            assert_eq!(done, cut != whole[..len], "{len} of {}", whole.len());
        }
    }
}

//! Packets for a tunnel: which outer headers they get, and what becomes of these.

use super::*;

#[test]
fn what_leaves_by_a_tunnel_leaves_alone_and_is_looked_up_again() {
    let bench = bench();
    let frame = |to| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv4(HOST_A, to)
            .udp(1, 2, b"x")
    };
    let (together, notes) = bench.burst(vec![frame(INNER[1]); 3]);
    assert_eq!(together, None);
    assert!(
        notes
            .iter()
            .all(|note| note.disposition == Disposition::Transmit(FOUR))
    );
    let mut outer = wrapped(&bench, FOUR, &four()).unwrap();
    let note = bench.path.run_one(FOUR, &mut outer);
    assert_eq!(note.disposition, Disposition::Transmit(1));
    let (link, packet) = EthernetHeader::parse(&outer).unwrap();
    assert_eq!((link.destination, link.source), (NEIGHBOR, GATEWAY[1]));
    let header = Ipv4::parse(packet).unwrap();
    assert_eq!(header.ttl(), 64, "that of the tunnel, on the wire");
    assert_eq!((header.source(), header.destination()), (OWN, HOST_B));
    assert_eq!(
        (header.protocol(), header.payload()),
        (Protocol::IPIP, &four()[..])
    );
    assert_eq!((header.traffic_class(), header.identification()), (0xb8, 0x1234));
    assert!(!header.dont_fragment(), "as inside");
}

#[test]
fn df_dscp_and_ttl_are_as_the_tunnel_says() {
    let mut bench = Bench::new();
    let may_be_cut = four();
    let may_not = PacketBuilder::ipv4(INNER[0], INNER[1])
        .dont_fragment()
        .traffic_class(2)
        .udp(1, 2, b"");
    for (df, of_inner) in [
        (Df::Copy, [false, true, true]),
        (Df::Set, [true; 3]),
        (Df::Clear, [false; 3]),
    ] {
        let mut tunnel = tunnels()[0].clone();
        (tunnel.df, tunnel.dscp, tunnel.ttl) = (df, Dscp::Fixed(10), 9);
        set(&mut bench, FOUR, &tunnel);
        for (inner, expected) in [&may_be_cut, &may_not, &six()].into_iter().zip(of_inner) {
            let frame = wrapped(&bench, FOUR, inner).unwrap();
            let header = Ipv4::parse(&frame[HEADER_LEN..]).unwrap();
            assert_eq!(header.dont_fragment(), expected, "{df:?}");
            // The lookup takes one off.
            assert_eq!(header.ttl(), 10);
        }
        let frame = wrapped(&bench, FOUR, &may_not).unwrap();
        let header = Ipv4::parse(&frame[HEADER_LEN..]).unwrap();
        assert_eq!(header.traffic_class(), 10 << 2 | 2, "the mark is the inner one's");
    }
}

#[test]
fn a_flow_has_its_label_and_others_have_others() {
    let bench = bench();
    let label = |port| {
        let packet = PacketBuilder::ipv4(INNER[0], INNER[1]).udp(port, 2, b"");
        let frame = wrapped(&bench, SIX, &packet).unwrap();
        Ipv6::parse(&frame[HEADER_LEN..]).unwrap().flow_label()
    };
    let labels: std::collections::HashSet<_> = (0..100).map(label).collect();
    assert!(labels.len() > 95 && !labels.contains(&0));
    assert_eq!(label(5), label(5));
}

#[test]
fn a_tunnel_that_is_down_or_no_tunnel_sends_nothing() {
    let mut bench = bench();
    let up = set(&mut bench, FOUR, &tunnels()[0]);
    up.store(false, Ordering::Relaxed);
    assert_eq!(wrapped(&bench, FOUR, &four()), Err(DropReason::TunnelDown));
    assert_eq!(wrapped(&bench, 1, &four()), Err(DropReason::TunnelDown));
    assert_eq!(wrapped(&bench, 99, &four()), Err(DropReason::TunnelDown));
    assert_eq!(
        wrapped(&bench, GRE, &[0x15; 40]),
        Err(DropReason::TunnelMalformed)
    );
    let inside = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, INNER[1])
        .udp(1, 2, b"");
    assert_eq!(bench.dropped(inside), DropReason::TunnelDown);
}

#[test]
fn an_outer_packet_of_ipv6_that_is_too_long_for_the_path_is_cut_here() {
    let bench = bench();
    let view = bench.path.interfaces.tunnel(SIX).unwrap();
    view.path_mtu.learn(1240, 0, u64::MAX);
    let frame = |len| [&[0; HEADER_LEN][..], &vec![0x60; len]].concat();
    let limit = |len| {
        let frame = frame(len);
        let wrapping = bench.path.wrapping(SIX, &frame, frame.len(), 0, 0);
        wrapping.unwrap().path_limit
    };
    assert_eq!((limit(1240), limit(1241)), (None, Some(1280)));
}

#[test]
fn headers_take_as_much_as_the_mtu_is_smaller() {
    for tunnel in tunnels() {
        let view = TunnelView::new(&tunnel);
        assert_eq!(view.overhead(), tunnel.overhead());
    }
    let most = tunnels().iter().map(Tunnel::overhead).max().unwrap();
    // Twice, as one in the other, and a tag: what is free in front of a packet is 128 bytes.
    assert!(2 * most + 8 <= 128);
    let longest = Outer::len_of(&packet::tunnel::Ends::V6(OWN6, HOST_B6), Some(Some(1)));
    assert!(2 * longest + 8 <= 128);
}
